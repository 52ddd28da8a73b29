//! R2: the numbers that name a person, with the check digit that the household registration and
//! immigration offices use.
//!
//! A letter stands for the two digits of its district of first registration. With these in front, the
//! digits are weighted 1 9 8 7 6 5 4 3 2 1 1 and must add up to a multiple of ten. In an old ARC number
//! the second letter counts as the last of its two digits.

use std::fmt;

use super::{NotANumber, normalised};

/// Characters of every ID number.
const ID_CHARS: usize = 10;

/// The two digits of `A` to `Z`.
const LETTER_DIGITS: [u8; 26] = [
    10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30,
    31, 33,
];

/// Weights of the nine characters after the first.
const WEIGHTS: [u8; 9] = [8, 7, 6, 5, 4, 3, 2, 1, 1];

/// Which authority's number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// National ID of a citizen with household registration.
    National,
    /// Unified ID of residents since 2021.
    Unified,
    /// Unified ID (ARC number) of residents before 2021; still on old cards.
    OldUnified,
}

/// A valid ID number in its normal form. Shown masked; the whole number leaves only through
/// [`IdNumber::as_str`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdNumber {
    text: [u8; ID_CHARS],
    kind: IdKind,
}

impl IdNumber {
    /// Normalises and checks what a person typed.
    ///
    /// # Errors
    /// When the shape or the check digit is wrong.
    pub fn parse(typed: &str) -> Result<IdNumber, NotANumber> {
        let plain = normalised(typed).ok_or(NotANumber::Shape)?;
        let text: [u8; ID_CHARS] = plain.as_bytes().try_into().map_err(|_| NotANumber::Shape)?;
        let kind = kind(&text).ok_or(NotANumber::Shape)?;
        if !weighted_sum(&text).is_multiple_of(10) {
            return Err(NotANumber::CheckDigit);
        }
        Ok(IdNumber { text, kind })
    }

    /// Which authority's number it is.
    pub const fn kind(&self) -> IdKind {
        self.kind
    }

    /// The whole number: ten characters, upper case.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters and digits pass `kind`.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// For screens and records: `A12****789`.
    pub fn masked(&self) -> String {
        masked(self.as_str())
    }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdNumber({})", self.masked())
    }
}

impl fmt::Display for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Three characters, four stars, three characters. A text that is not ten characters long shows
/// nothing of itself.
pub fn masked(id_number: &str) -> String {
    if !id_number.is_ascii() || id_number.len() != ID_CHARS {
        return "**********".to_owned();
    }
    format!("{}****{}", &id_number[..3], &id_number[7..])
}

fn kind(text: &[u8; ID_CHARS]) -> Option<IdKind> {
    let digits = text[2..].iter().all(u8::is_ascii_digit);
    if !digits || !text[0].is_ascii_uppercase() {
        return None;
    }
    match text[1] {
        b'1' | b'2' => Some(IdKind::National),
        b'8' | b'9' => Some(IdKind::Unified),
        // A, B: nationals without household registration and people of the mainland, Hong Kong and
        // Macau; C, D: foreigners.
        b'A'..=b'D' => Some(IdKind::OldUnified),
        _ => None,
    }
}

fn weighted_sum(text: &[u8; ID_CHARS]) -> u32 {
    let first = LETTER_DIGITS[usize::from(text[0] - b'A')];
    let mut sum = u32::from(first / 10) + u32::from(first % 10) * 9;
    for (character, weight) in text[1..].iter().zip(WEIGHTS) {
        let digit = match character {
            b'A'..=b'Z' => LETTER_DIGITS[usize::from(character - b'A')] % 10,
            digit => digit - b'0',
        };
        sum += u32::from(digit) * u32::from(weight);
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn known_numbers_of_each_kind_are_taken() {
        for (number, kind) in [
            ("A123456789", IdKind::National),
            ("A100000001", IdKind::National),
            ("A223456781", IdKind::National),
            ("B123456780", IdKind::National),
            ("F131104093", IdKind::National),
            ("O158238845", IdKind::National),
            ("N116247806", IdKind::National),
            ("L122544270", IdKind::National),
            ("C180661564", IdKind::National),
            ("Y123456788", IdKind::National),
            ("A800000014", IdKind::Unified),
            ("A800000005", IdKind::Unified),
            ("A900000007", IdKind::Unified),
            ("AA00000009", IdKind::OldUnified),
            ("AB00000001", IdKind::OldUnified),
            ("AC00000003", IdKind::OldUnified),
            ("AD00000005", IdKind::OldUnified),
            ("AC01234567", IdKind::OldUnified),
            ("AB00207171", IdKind::OldUnified),
            ("AC03095424", IdKind::OldUnified),
            ("BD01300667", IdKind::OldUnified),
            ("CC00151114", IdKind::OldUnified),
            ("HD02181288", IdKind::OldUnified),
            ("TD00251124", IdKind::OldUnified),
            ("AD30196818", IdKind::OldUnified),
        ] {
            let id = IdNumber::parse(number);
            assert_eq!(id.map(|id| id.kind()), Ok(kind), "{number}");
            assert_eq!(id.unwrap().as_str(), number);
        }
    }

    #[test]
    fn numbers_are_normalised_before_they_are_checked() {
        for typed in [" a123456789", "Ａ１２３４５６７８９", "ａ123456789\u{3000}"] {
            assert_eq!(IdNumber::parse(typed).unwrap().as_str(), "A123456789");
        }
    }

    #[test]
    fn wrong_shapes_are_told_from_wrong_check_digits() {
        for typed in [
            "",
            "A",
            "A12345678",
            "A1234567890",
            "1123456789",
            "A323456789",
            "A023456789",
            "AE00000009",
            "A1234S6789",
            "AAA0000009",
            "A-12345678",
            "Á123456789",
            "A 23456789",
        ] {
            assert_eq!(IdNumber::parse(typed), Err(NotANumber::Shape), "{typed:?}");
        }
        for typed in ["A123456788", "A800000015", "AA00000008", "B123456789", "A213456789"] {
            assert_eq!(IdNumber::parse(typed), Err(NotANumber::CheckDigit), "{typed:?}");
        }
    }

    #[test]
    fn only_the_mask_is_printed() {
        let id = IdNumber::parse("A123456789").unwrap();
        assert_eq!(id.masked(), "A12****789");
        assert_eq!(format!("{id}"), "A12****789");
        assert_eq!(format!("{id:?}"), "IdNumber(A12****789)");
        assert_eq!(masked("A1"), "**********");
        assert_eq!(masked("身分證"), "**********");
    }
}
