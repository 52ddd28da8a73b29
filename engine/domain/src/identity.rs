//! Identity numbers as people type them: shapes, official check digits, normal forms and masks.
//!
//! | what | shape | check digit |
//! |---|---|---|
//! | national ID (身分證字號) | letter, `1` or `2`, 8 digits | yes |
//! | new unified ID (新式統一證號) | letter, `8` or `9`, 8 digits | the same |
//! | old ARC / unified ID (舊式統一證號) | two letters, 8 digits | the same, second letter as its last digit |
//! | NHI card (健保卡) | 12 digits, typed in three boxes of four | none is published |
//! | exit-entry permit (入出境許可證) | 8 to 12 letters and digits | none |
//! | passport (護照) | 5 to 15 letters and digits | none common to all countries |
//! | mobile number | `09` and 8 digits | none |
//!
//! Input is normalised once: surrounding blanks cut, full-width ASCII forms mapped to their plain
//! ones, letters made upper case. For texts of these shapes that is what NFKC gives.
//!
//! What this module deliberately does not do: say whether a number was ever issued or whose it is
//! (the roster does), hash, seal or keep anything.

mod document;
mod normal;
mod personal;

pub use document::{card_number, entry_permit_number, mobile_number, passport_number};
pub use normal::normalised;
pub use personal::{IdKind, IdNumber, masked};

/// Why a text is not the number it was given as. The words name no digit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotANumber {
    /// Wrong length, or a character where none of its kind may stand.
    Shape,
    /// The shape is right and the check digit is not: most likely a slip of the finger.
    CheckDigit,
}

impl std::fmt::Display for NotANumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotANumber::Shape => "the number does not have the expected form",
            NotANumber::CheckDigit => {
                "the check digit does not match: compare it with the document"
            }
        })
    }
}

impl std::error::Error for NotANumber {}
