//! Number ranges: a place in a range gives one valid number, another place another number.
//!
//! Forms and check digits of the national ID, the new unified ID and the old residence number are
//! the official ones. Card, permit and passport numbers carry no public check digit; only their
//! shape is kept.

/// Codes of the letters A to Z in ID numbers.
const LETTER_CODES: [u8; 26] = [
    10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30,
    31, 33,
];
/// First letters in use.
const LETTERS: u64 = 26;
/// Seven free digits before the check digit.
const FREE_DIGITS: u64 = 10_000_000;
/// How many national IDs exist: letter, sex, seven digits.
pub const NATIONAL_IDS: u64 = LETTERS * 2 * FREE_DIGITS;
/// How many new unified IDs exist: letter, 8 or 9, seven digits.
pub const UNIFIED_IDS: u64 = LETTERS * 2 * FREE_DIGITS;
/// How many old residence numbers exist: letter, A to D, seven digits.
pub const OLD_RESIDENCE_NUMBERS: u64 = LETTERS * 4 * FREE_DIGITS;
/// NHI card numbers in use here: twelve digits of which the first is zero.
pub const CARDS: u64 = 100_000_000_000;
/// Exit-entry permit numbers in use here: twelve digits of which the first two are fixed.
pub const PERMITS: u64 = 10_000_000_000;
/// Passport numbers in use here: a letter and eight digits.
pub const PASSPORTS: u64 = LETTERS * 100_000_000;
/// Taiwan mobile numbers: eight digits after `09`.
pub const PHONES: u64 = 100_000_000;

/// A one-to-one mapping of `0..size` onto itself that spreads neighbours apart.
#[derive(Clone, Copy, Debug)]
pub struct Scatter {
    size: u64,
    /// Shares no factor with `size`, which makes the mapping one to one.
    multiplier: u64,
    offset: u64,
}

impl Scatter {
    /// A mapping chosen by two random words.
    pub fn new(size: u64, multiplier_draw: u64, offset: u64) -> Scatter {
        let mut multiplier = (size / 2 + multiplier_draw % (size / 2)) | 1;
        while common_factor(multiplier, size) != 1 {
            multiplier += 2;
        }
        Scatter { size, multiplier, offset: offset % size }
    }

    /// Where `index` goes.
    pub fn place(&self, index: u64) -> u64 {
        let product = u128::from(index) * u128::from(self.multiplier) + u128::from(self.offset);
        (product % u128::from(self.size)) as u64
    }
}

/// National ID: letter, `1` or `2`, seven digits, check digit.
pub fn national_id(place: u64) -> String {
    id_with_digit(place, [b'1', b'2'])
}

/// Unified ID of the new form: letter, `8` or `9`, seven digits, check digit.
pub fn unified_id(place: u64) -> String {
    id_with_digit(place, [b'8', b'9'])
}

/// Residence number of the old form: two letters, seven digits, check digit.
pub fn old_residence_number(place: u64) -> String {
    let second = b'A' + (place % 4) as u8;
    assemble(place / 4, second, LETTER_CODES[usize::from(second - b'A')] % 10)
}

/// NHI card number: twelve digits.
pub fn card_number(place: u64) -> String {
    format!("{place:012}")
}

/// Exit-entry permit number: twelve digits.
pub fn permit_number(place: u64) -> String {
    format!("11{place:010}")
}

/// Passport number: a letter and eight digits.
pub fn passport_number(place: u64) -> String {
    format!("{}{:08}", (b'A' + (place % LETTERS) as u8) as char, place / LETTERS)
}

/// Mobile number: `09` and eight digits.
pub fn phone_number(place: u64) -> String {
    format!("09{place:08}")
}

fn id_with_digit(place: u64, choices: [u8; 2]) -> String {
    let second = choices[(place % 2) as usize];
    assemble(place / 2, second, second - b'0')
}

/// Puts letter, second character and digits together and adds the digit that makes the sum whole.
fn assemble(place: u64, second: u8, second_value: u8) -> String {
    let letter = (place % LETTERS) as usize;
    let free = place / LETTERS % FREE_DIGITS;
    let code = u32::from(LETTER_CODES[letter]);
    let mut sum = code / 10 + code % 10 * 9 + u32::from(second_value) * 8;
    let digits = format!("{free:07}");
    for (digit, weight) in digits.bytes().zip((1..=7).rev()) {
        sum += u32::from(digit - b'0') * weight;
    }
    let check = (10 - sum % 10) % 10;
    format!("{}{}{digits}{check}", (b'A' + letter as u8) as char, second as char)
}

fn common_factor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_small_range_is_mapped_one_to_one() {
        for size in [26u64, 100, 2_600] {
            let scatter = Scatter::new(size, 12_345, 678);
            let mut seen = vec![false; size as usize];
            for index in 0..size {
                let place = scatter.place(index) as usize;
                assert!(!seen[place], "size {size}, index {index}");
                seen[place] = true;
            }
        }
    }

    #[test]
    fn the_well_known_sample_number_is_in_the_range() {
        // A123456789: letter 0, sex 1, digits 2345678.
        assert_eq!(national_id(2 * (2_345_678 * LETTERS)), "A123456789");
    }
}
