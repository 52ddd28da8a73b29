//! From one cell of text to one value, or one named fault.
//!
//! Every reader here gives `None` after it has noted what is wrong, so that a row's other cells are
//! still looked at. Numbers, dates and codes may be typed in full-width forms.

use domain::identity::normalised;
use domain::{CountyNumber, Day, DistrictNumber, Millis};

use super::error::{Reason, RowError, RowErrors};
use super::when;
use crate::regions::regions;

/// Digits after which a number is only called too large.
const DIGITS_MAX: usize = 18;

/// The first characters by which a spreadsheet takes a cell for a formula, full-width forms included.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// The cells of one row.
pub(super) struct Cells<'r, 'e> {
    /// Where the row begins.
    pub(super) line: u32,
    /// Names of the columns.
    pub(super) columns: &'static [&'static str],
    /// Trimmed text by column.
    pub(super) texts: &'r [&'r str],
    /// Where faults go.
    pub(super) errors: &'e mut RowErrors,
}

impl<'r> Cells<'r, '_> {
    /// Notes a fault of a cell.
    pub(super) fn fault(&mut self, column: usize, reason: Reason) {
        let field = self.columns[column];
        self.errors.push(RowError { line: self.line, field, reason });
    }

    /// The cell, or the fault that nothing stands there.
    pub(super) fn required(&mut self, column: usize) -> Option<&'r str> {
        let text = self.texts[column];
        if text.is_empty() {
            self.fault(column, Reason::Required);
            return None;
        }
        Some(text)
    }

    /// Words for people: bounded, and nothing that a spreadsheet would run.
    pub(super) fn words(&mut self, column: usize, chars_max: usize) -> Option<&'r str> {
        let text = self.required(column)?;
        match words_fault(text, chars_max) {
            None => Some(text),
            Some(reason) => {
                self.fault(column, reason);
                None
            }
        }
    }

    /// A name for machines: letters, digits, `_`, `.` and `-`, beginning with a letter or digit.
    pub(super) fn name(&mut self, column: usize, chars_max: usize) -> Option<&'r str> {
        let text = self.words(column, chars_max)?;
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if first && text.bytes().all(rest) {
            return Some(text);
        }
        self.fault(column, Reason::Characters);
        None
    }

    /// A whole number within a range.
    pub(super) fn number(&mut self, column: usize, least: u32, most: u32) -> Option<u32> {
        let text = self.required(column)?;
        match number(text, least, most) {
            Ok(number) => Some(number),
            Err(reason) => {
                self.fault(column, reason);
                None
            }
        }
    }

    /// A calendar day.
    pub(super) fn day(&mut self, column: usize) -> Option<Day> {
        self.parsed(column, Reason::Date, when::day)
    }

    /// A time of day.
    pub(super) fn minute(&mut self, column: usize) -> Option<u16> {
        self.parsed(column, Reason::TimeOfDay, when::minute)
    }

    /// An instant.
    pub(super) fn instant(&mut self, column: usize) -> Option<Millis> {
        self.parsed(column, Reason::Time, when::instant)
    }

    /// Codes of a county and of a district within it.
    pub(super) fn region(
        &mut self,
        county_column: usize,
        district_column: usize,
    ) -> Option<(CountyNumber, DistrictNumber)> {
        let by_code = |code: &str| regions().county_by_code(code);
        let county = self.parsed(county_column, Reason::UnknownCounty, by_code);
        let by_code = |code: &str| regions().district_by_code(code);
        let district = self.parsed(district_column, Reason::UnknownDistrict, by_code);
        let (county, district) = (county?, district?);
        if regions().district(district).is_some_and(|found| found.county == county) {
            return Some((county, district));
        }
        self.fault(district_column, Reason::DistrictElsewhere);
        None
    }

    /// What `parse` makes of the cell's plain form.
    fn parsed<T>(
        &mut self,
        column: usize,
        reason: Reason,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.required(column)?;
        let value = normalised(text).and_then(|plain| parse(&plain));
        if value.is_none() {
            self.fault(column, reason);
        }
        value
    }
}

/// What is wrong with words for people, if anything.
pub(super) fn words_fault(text: &str, chars_max: usize) -> Option<Reason> {
    if text.chars().any(super::csv::is_forbidden) {
        return Some(Reason::ControlCharacter);
    }
    if text.starts_with(FORMULA_STARTS) {
        return Some(Reason::Formula);
    }
    (text.chars().count() > chars_max).then_some(Reason::TooLong { chars_max: chars_max as u64 })
}

/// A whole number in plain or full-width digits; a sign is understood only to say that it is too small.
fn number(text: &str, least: u32, most: u32) -> Result<u32, Reason> {
    let range = Reason::OutOfRange { least: u64::from(least), most: u64::from(most) };
    let plain = normalised(text).ok_or(Reason::Number)?;
    let (digits, negative) = match plain.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (plain.as_str(), false),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Reason::Number);
    }
    if negative || digits.len() > DIGITS_MAX {
        return Err(range);
    }
    let number = digits.parse::<u64>().map_err(|_| Reason::Number)?;
    u32::try_from(number).ok().filter(|number| (least..=most).contains(number)).ok_or(range)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain_digits_within_their_range() {
        let range = Err(Reason::OutOfRange { least: 0, most: 100 });
        for (text, expected) in [
            ("0", Ok(0)),
            ("100", Ok(100)),
            ("007", Ok(7)),
            ("４２", Ok(42)),
            ("101", range),
            ("-1", range),
            ("-99999999999999999999", range),
            ("99999999999999999999999", range),
            ("4294967296", range),
            ("+5", Err(Reason::Number)),
            ("1.0", Err(Reason::Number)),
            ("1e2", Err(Reason::Number)),
            ("1,000", Err(Reason::Number)),
            ("ten", Err(Reason::Number)),
            ("-", Err(Reason::Number)),
            ("1 0", Err(Reason::Number)),
            ("=1+1", Err(Reason::Number)),
            ("٤", Err(Reason::Number)),
        ] {
            assert_eq!(number(text, 0, 100), expected, "{text:?}");
        }
    }

    #[test]
    fn words_may_not_begin_like_a_formula_nor_hide_characters() {
        for (text, expected) in [
            ("臺北市立聯合醫院", None),
            ("St. Mary's (East) - Hall 2", None),
            ("=cmd|'/c calc'!A1", Some(Reason::Formula)),
            ("+886", Some(Reason::Formula)),
            ("-2+3", Some(Reason::Formula)),
            ("@SUM(A1)", Some(Reason::Formula)),
            ("＝1+1", Some(Reason::Formula)),
            ("＠x", Some(Reason::Formula)),
            ("a\tb", Some(Reason::ControlCharacter)),
            ("a\u{202e}b", Some(Reason::ControlCharacter)),
            ("醫院醫院醫院醫院醫院醫院醫院醫院醫院醫院院", None),
            ("123456789012345678901234567890x", Some(Reason::TooLong { chars_max: 30 })),
        ] {
            assert_eq!(words_fault(text, 30), expected, "{text:?}");
        }
    }
}
