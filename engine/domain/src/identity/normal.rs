//! One normal form for what people type.

/// The longest text looked at; numbers are far shorter, separators included.
const TEXT_CHARS_MAX: usize = 64;

/// Full-width forms of `!` to `~`.
const FULL_WIDTH: std::ops::RangeInclusive<u32> = 0xFF01..=0xFF5E;

/// From a full-width form down to its plain one.
const FULL_WIDTH_OFFSET: u32 = 0xFEE0;

/// Blanks cut at both ends, full-width forms made plain, letters made upper case. `None` when anything
/// but printable ASCII remains, or the text is too long for any number.
pub fn normalised(text: &str) -> Option<String> {
    let text = text.trim();
    let mut plain = String::with_capacity(text.len().min(TEXT_CHARS_MAX));
    for (place, character) in text.chars().enumerate() {
        let character = narrow(character).to_ascii_uppercase();
        if place >= TEXT_CHARS_MAX || !(character.is_ascii_graphic() || character == ' ') {
            return None;
        }
        plain.push(character);
    }
    Some(plain)
}

/// The plain form of a full-width character (and of the ideographic space); others as they are.
fn narrow(character: char) -> char {
    let code = character as u32;
    if FULL_WIDTH.contains(&code) {
        return char::from_u32(code - FULL_WIDTH_OFFSET).unwrap_or(character);
    }
    match character {
        '\u{3000}' => ' ',
        other => other,
    }
}

/// Takes out one blank or hyphen at each of the given places, if they stand there: between the boxes
/// of a form, as `0000-1234-5678`. Separators anywhere else stay, and make the shape wrong.
pub(super) fn joined(text: &str, box_lengths: &[usize]) -> String {
    let mut rest = text;
    let mut whole = String::with_capacity(text.len());
    for &length in box_lengths {
        let (front, back) = rest.split_at(length.min(rest.len()));
        whole.push_str(front);
        rest = back.strip_prefix([' ', '-']).unwrap_or(back);
    }
    whole.push_str(rest);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_width_forms_blanks_and_case_are_normalised() {
        for (typed, plain) in [
            ("  a123456789 ", "A123456789"),
            ("Ａ１２３４５６７８９", "A123456789"),
            ("ａ１２３４５６７８９\u{3000}", "A123456789"),
            ("0000\u{3000}1234－5678", "0000 1234-5678"),
            ("", ""),
        ] {
            assert_eq!(normalised(typed).as_deref(), Some(plain), "{typed:?}");
        }
    }

    #[test]
    fn other_scripts_control_characters_and_long_texts_are_no_numbers() {
        for typed in ["身分證", "A12345678é", "A1\u{0}", "A1\t2", "٠١٢", "𝟎𝟏"] {
            assert_eq!(normalised(typed), None, "{typed:?}");
        }
        assert!(normalised(&"1".repeat(64)).is_some());
        assert_eq!(normalised(&"1".repeat(65)), None);
    }

    #[test]
    fn separators_are_taken_out_between_boxes_only() {
        assert_eq!(joined("0000 1234-5678", &[4, 4]), "000012345678");
        assert_eq!(joined("000012345678", &[4, 4]), "000012345678");
        assert_eq!(joined("00001234-5678", &[4, 4]), "000012345678");
        assert_eq!(joined("000-012345678", &[4, 4]), "000-012345678");
        assert_eq!(joined("0000--12345678", &[4, 4]), "0000-12345678");
        assert_eq!(joined("00", &[4, 4]), "00");
        assert_eq!(joined("", &[4, 4]), "");
    }
}
