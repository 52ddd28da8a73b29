//! Numbers of cards, documents and phones, in their normal form.

use super::NotANumber;
use super::normal::{joined, normalised};

/// Digits of an NHI card number: three boxes of four.
const CARD_DIGITS: usize = 12;

/// Characters of an exit-entry permit number.
const ENTRY_PERMIT_CHARS: std::ops::RangeInclusive<usize> = 8..=12;

/// Characters of a passport number. Machine-readable zones hold nine; some countries print more.
const PASSPORT_CHARS: std::ops::RangeInclusive<usize> = 5..=15;

/// Digits of a Taiwan mobile number.
const MOBILE_DIGITS: usize = 10;

/// R2: the NHI card's twelve digits. A blank or hyphen may stand between the boxes.
///
/// # Errors
/// When it is not twelve digits.
pub fn card_number(text: &str) -> Result<String, NotANumber> {
    let digits = boxes(text, &[4, 4])?;
    if digits.len() == CARD_DIGITS && all_digits(&digits) {
        return Ok(digits);
    }
    Err(NotANumber::Shape)
}

/// R3: the number of an exit-entry permit: letters and digits, at least half of them digits.
///
/// # Errors
/// When it does not have that shape.
pub fn entry_permit_number(text: &str) -> Result<String, NotANumber> {
    let number = normalised(text).ok_or(NotANumber::Shape)?;
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    if ENTRY_PERMIT_CHARS.contains(&number.len())
        && letters_and_digits(&number)
        && digits * 2 >= number.len()
    {
        return Ok(number);
    }
    Err(NotANumber::Shape)
}

/// R3: the number of a passport: letters and digits, at least one of them a digit.
///
/// # Errors
/// When it does not have that shape.
pub fn passport_number(text: &str) -> Result<String, NotANumber> {
    let number = normalised(text).ok_or(NotANumber::Shape)?;
    if PASSPORT_CHARS.contains(&number.len())
        && letters_and_digits(&number)
        && number.bytes().any(|byte| byte.is_ascii_digit())
    {
        return Ok(number);
    }
    Err(NotANumber::Shape)
}

/// R5: a Taiwan mobile number, `09` and eight digits. A blank or hyphen may stand after the fourth and
/// the seventh digit.
///
/// # Errors
/// When it does not have that shape.
pub fn mobile_number(text: &str) -> Result<String, NotANumber> {
    let digits = boxes(text, &[4, 3])?;
    if digits.len() == MOBILE_DIGITS && digits.starts_with("09") && all_digits(&digits) {
        return Ok(digits);
    }
    Err(NotANumber::Shape)
}

fn boxes(text: &str, lengths: &[usize]) -> Result<String, NotANumber> {
    let plain = normalised(text).ok_or(NotANumber::Shape)?;
    Ok(joined(&plain, lengths))
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn letters_and_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nhi_card_number_has_twelve_digits_in_three_boxes() {
        for typed in [
            "000012345678",
            "0000 1234 5678",
            "0000-1234-5678",
            "０００0１２３４5678",
            " 000012345678\u{3000}",
        ] {
            assert_eq!(card_number(typed).as_deref(), Ok("000012345678"), "{typed:?}");
        }
        for typed in [
            "",
            "00001234567",
            "0000123456789",
            "00001234567A",
            "000-012345678",
            "0000  12345678",
            "0000123456781234",
            "-000012345678",
        ] {
            assert_eq!(card_number(typed), Err(NotANumber::Shape), "{typed:?}");
        }
    }

    #[test]
    fn a_taiwan_mobile_number_starts_with_09_and_has_ten_digits() {
        for typed in ["0912345678", "0912-345-678", "0912 345 678", "０９１２３４５６７８"]
        {
            assert_eq!(mobile_number(typed).as_deref(), Ok("0912345678"), "{typed:?}");
        }
        for typed in [
            "",
            "091234567",
            "09123456789",
            "0812345678",
            "+886912345678",
            "912345678",
            "0223456789",
            "09-12345678",
            "0912345O78",
        ] {
            assert_eq!(mobile_number(typed), Err(NotANumber::Shape), "{typed:?}");
        }
    }

    #[test]
    fn an_exit_entry_permit_number_is_mostly_digits() {
        for (typed, plain) in [
            ("103330123456", "103330123456"),
            ("10333012", "10333012"),
            ("ab1234567", "AB1234567"),
            ("１０３３３０１２３４", "1033301234"),
        ] {
            assert_eq!(entry_permit_number(typed).as_deref(), Ok(plain), "{typed:?}");
        }
        for typed in ["", "1033301", "1033301234567", "ABCDE123", "1033-301234", "10333 01234"] {
            assert_eq!(entry_permit_number(typed), Err(NotANumber::Shape), "{typed:?}");
        }
    }

    #[test]
    fn a_passport_number_is_letters_and_digits_with_a_digit() {
        for (typed, plain) in [
            ("A1234567", "A1234567"),
            ("x12345678", "X12345678"),
            ("300123456", "300123456"),
            ("C01X0006H", "C01X0006H"),
            ("Ｅ12345", "E12345"),
        ] {
            assert_eq!(passport_number(typed).as_deref(), Ok(plain), "{typed:?}");
        }
        for typed in ["", "A123", "ABCDEFGH", "A1234567<", "A123 4567", "1234567890123456"] {
            assert_eq!(passport_number(typed), Err(NotANumber::Shape), "{typed:?}");
        }
    }
}
