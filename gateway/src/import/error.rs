//! What can be wrong with an operator's file or body: where, and for which stable reason.
//!
//! A reason has a code for programs and words per language for people (`[import]` in
//! `messages/*.toml`); the numbers in the words come with the reason. No error repeats a value.

use std::fmt;

use crate::i18n::Language;

/// Why a file, a row, a cell or a field of a body is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The file has more bytes than allowed.
    FileTooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Nothing stands in the file.
    NoHeader,
    /// The header names a column that is none of this file's.
    UnknownColumn {
        /// Which one, from 1.
        place: u64,
    },
    /// The header lacks this column.
    MissingColumn,
    /// The header names this column twice.
    RepeatedColumn,
    /// A header and nothing more.
    NoRows,
    /// More rows than allowed.
    TooManyRows {
        /// The limit.
        rows_max: u64,
    },
    /// More errors than are named; the rest of the file was not looked at.
    TooManyErrors {
        /// How many are named.
        errors_max: u64,
    },
    /// The row has more or fewer cells than the header.
    WrongCellCount {
        /// Columns of the header.
        expected: u64,
        /// Cells of the row.
        found: u64,
    },

    /// A NUL, a line break, an invisible or a direction-changing character.
    ControlCharacter,
    /// Nothing stands where something must.
    Required,
    /// More characters than allowed.
    TooLong {
        /// The limit.
        chars_max: u64,
    },
    /// Begins like a formula of a spreadsheet.
    Formula,
    /// Characters that this kind of name may not have.
    Characters,
    /// Not a whole number in plain digits.
    Number,
    /// A number outside the range.
    OutOfRange {
        /// Least.
        least: u64,
        /// Most.
        most: u64,
    },
    /// Not a day of the calendar in the form `2021-07-13`.
    Date,
    /// Not a time of day in the form `09:30`.
    TimeOfDay,
    /// Not an instant in the form `2021-07-13T10:00:00+08:00`.
    Time,
    /// Ends before or when it begins.
    EndNotAfterStart,
    /// Lies in the future.
    InFuture,
    /// No county has this code.
    UnknownCounty,
    /// No district has this code.
    UnknownDistrict,
    /// The district lies in another county.
    DistrictElsewhere,
    /// Not of the form of an ID number.
    IdNumber,
    /// The check digit of the ID number is wrong.
    IdCheckDigit,
    /// Not twelve digits.
    CardNumber,
    /// Not of the form of an exit-entry permit number.
    EntryPermitNumber,
    /// Not of the form of a passport number.
    PassportNumber,
    /// Not a Taiwan mobile number.
    Phone,
    /// No category offers this vaccine.
    UnknownVaccine,
    /// Exactly one document's number is expected.
    OneDocument,
    /// No card, permit or passport number: this person could never prove who they are.
    NoDocument,
    /// The same as on an earlier line.
    Duplicate {
        /// Which line.
        first_line: u64,
    },
    /// The former number is the number itself.
    SameNumber,
    /// More vaccines than one set holds.
    TooManyVaccines {
        /// The limit.
        vaccines_max: u64,
    },

    /// No site has this id.
    UnknownSite,
    /// No slot has this number.
    UnknownSlot,
    /// Fewer places than are booked.
    CapacityBelowBooked {
        /// Places booked.
        booked: u64,
    },
    /// No booking has this number.
    UnknownBooking,
    /// The booking was cancelled.
    BookingCancelled,
    /// Not on the day of the booked slot.
    AttendedOnAnotherDay,
    /// No category has this number.
    UnknownCategory,
    /// The category takes nobody by membership.
    NoMembershipRule,
    /// The numbers belong to a person who already takes part under another one.
    PersonKnown,

    /// Not JSON.
    NotJson {
        /// Where the reader stopped, from 1.
        line: u64,
        /// Where in that line, from 1.
        column: u64,
    },
    /// Nested deeper than allowed.
    TooDeep {
        /// The limit.
        depth_max: u64,
    },
    /// The contract has no such field.
    Unknown,
    /// The field stands there twice.
    Repeated,
    /// Another JSON type is expected.
    WrongType,
    /// More entries than allowed.
    TooManyEntries {
        /// The limit.
        entries_max: u64,
    },
    /// An empty list would mean nobody.
    EmptyList,
    /// Not one of the values that the contract names.
    NotAllowed,
    /// Neither a birth date nor a list of members: nobody would belong.
    NoRule,
}

impl Reason {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Reason::FileTooLarge { .. } => "file_too_large",
            Reason::NotUtf8 => "not_utf8",
            Reason::NoHeader => "no_header",
            Reason::UnknownColumn { .. } => "unknown_column",
            Reason::MissingColumn => "missing_column",
            Reason::RepeatedColumn => "repeated_column",
            Reason::NoRows => "no_rows",
            Reason::TooManyRows { .. } => "too_many_rows",
            Reason::TooManyErrors { .. } => "too_many_errors",
            Reason::WrongCellCount { .. } => "wrong_cell_count",
            Reason::ControlCharacter => "control_character",
            Reason::Required => "required",
            Reason::TooLong { .. } => "too_long",
            Reason::Formula => "formula",
            Reason::Characters => "characters",
            Reason::Number => "number",
            Reason::OutOfRange { .. } => "out_of_range",
            Reason::Date => "date",
            Reason::TimeOfDay => "time_of_day",
            Reason::Time => "time",
            Reason::EndNotAfterStart => "end_not_after_start",
            Reason::InFuture => "in_future",
            Reason::UnknownCounty => "unknown_county",
            Reason::UnknownDistrict => "unknown_district",
            Reason::DistrictElsewhere => "district_elsewhere",
            Reason::IdNumber => "id_number",
            Reason::IdCheckDigit => "id_check_digit",
            Reason::CardNumber => "card_number",
            Reason::EntryPermitNumber => "entry_permit_number",
            Reason::PassportNumber => "passport_number",
            Reason::Phone => "phone",
            Reason::UnknownVaccine => "unknown_vaccine",
            Reason::OneDocument => "one_document",
            Reason::NoDocument => "no_document",
            Reason::Duplicate { .. } => "duplicate",
            Reason::SameNumber => "same_number",
            Reason::TooManyVaccines { .. } => "too_many_vaccines",
            Reason::UnknownSite => "unknown_site",
            Reason::UnknownSlot => "unknown_slot",
            Reason::CapacityBelowBooked { .. } => "capacity_below_booked",
            Reason::UnknownBooking => "unknown_booking",
            Reason::BookingCancelled => "booking_cancelled",
            Reason::AttendedOnAnotherDay => "attended_on_another_day",
            Reason::UnknownCategory => "unknown_category",
            Reason::NoMembershipRule => "no_membership_rule",
            Reason::PersonKnown => "person_known",
            Reason::NotJson { .. } => "not_json",
            Reason::TooDeep { .. } => "too_deep",
            Reason::Unknown => "unknown",
            Reason::Repeated => "repeated",
            Reason::WrongType => "wrong_type",
            Reason::TooManyEntries { .. } => "too_many_entries",
            Reason::EmptyList => "empty_list",
            Reason::NotAllowed => "not_allowed",
            Reason::NoRule => "no_rule",
        }
    }

    /// The numbers that stand in its words as `{first}` and `{second}`.
    const fn numbers(&self) -> [Option<u64>; 2] {
        match *self {
            Reason::FileTooLarge { bytes_max: number }
            | Reason::UnknownColumn { place: number }
            | Reason::TooManyRows { rows_max: number }
            | Reason::TooManyErrors { errors_max: number }
            | Reason::TooLong { chars_max: number }
            | Reason::Duplicate { first_line: number }
            | Reason::TooManyVaccines { vaccines_max: number }
            | Reason::CapacityBelowBooked { booked: number }
            | Reason::TooDeep { depth_max: number }
            | Reason::TooManyEntries { entries_max: number } => [Some(number), None],
            Reason::WrongCellCount { expected: first, found: second }
            | Reason::OutOfRange { least: first, most: second }
            | Reason::NotJson { line: first, column: second } => [Some(first), Some(second)],
            _ => [None, None],
        }
    }

    /// What is wrong and what to do, in words.
    pub fn text(&self, language: Language) -> String {
        let words = language.messages().import(self.code());
        let [first, second] = self.numbers();
        let mut text = words.to_owned();
        for (name, number) in [("{first}", first), ("{second}", second)] {
            if let Some(number) = number {
                text = text.replace(name, &number.to_string());
            }
        }
        text
    }
}

/// One fault of a CSV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Where the row begins; the header stands on line 1.
    pub line: u32,
    /// Which column; empty where the whole row or file is meant.
    pub field: &'static str,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        write!(f, ": {} ({})", self.reason.text(Language::EN), self.reason.code())
    }
}

/// One fault of a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyError {
    /// JSON pointer (RFC 6901); empty for the whole body.
    pub pointer: String,
    /// What is wrong.
    pub reason: Reason,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{place}: {} ({})", self.reason.text(Language::EN), self.reason.code())
    }
}

/// The errors of one file, up to a number.
#[derive(Debug)]
pub(super) struct RowErrors {
    list: Vec<RowError>,
    errors_max: usize,
}

impl RowErrors {
    pub(super) fn new(errors_max: usize) -> RowErrors {
        RowErrors { list: Vec::new(), errors_max: errors_max.max(1) }
    }

    /// Keeps the error if there is room; the first without room is replaced by a word about that.
    pub(super) fn push(&mut self, error: RowError) {
        let errors_max = self.errors_max as u64;
        match self.list.len().cmp(&self.errors_max) {
            std::cmp::Ordering::Less => self.list.push(error),
            std::cmp::Ordering::Equal => self.list.push(RowError {
                field: "",
                reason: Reason::TooManyErrors { errors_max },
                ..error
            }),
            std::cmp::Ordering::Greater => {}
        }
    }

    /// True when no more can be named.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() > self.errors_max
    }

    /// The rows taken, or what is wrong.
    pub(super) fn finish(self, rows: u32) -> Result<u32, Vec<RowError>> {
        if self.list.is_empty() { Ok(rows) } else { Err(self.list) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One of each.
    const ALL: [Reason; 55] = [
        Reason::FileTooLarge { bytes_max: 7 },
        Reason::NotUtf8,
        Reason::NoHeader,
        Reason::UnknownColumn { place: 7 },
        Reason::MissingColumn,
        Reason::RepeatedColumn,
        Reason::NoRows,
        Reason::TooManyRows { rows_max: 7 },
        Reason::TooManyErrors { errors_max: 7 },
        Reason::WrongCellCount { expected: 7, found: 8 },
        Reason::ControlCharacter,
        Reason::Required,
        Reason::TooLong { chars_max: 7 },
        Reason::Formula,
        Reason::Characters,
        Reason::Number,
        Reason::OutOfRange { least: 7, most: 8 },
        Reason::Date,
        Reason::TimeOfDay,
        Reason::Time,
        Reason::EndNotAfterStart,
        Reason::InFuture,
        Reason::UnknownCounty,
        Reason::UnknownDistrict,
        Reason::DistrictElsewhere,
        Reason::IdNumber,
        Reason::IdCheckDigit,
        Reason::CardNumber,
        Reason::EntryPermitNumber,
        Reason::PassportNumber,
        Reason::Phone,
        Reason::UnknownVaccine,
        Reason::OneDocument,
        Reason::NoDocument,
        Reason::Duplicate { first_line: 7 },
        Reason::SameNumber,
        Reason::TooManyVaccines { vaccines_max: 7 },
        Reason::UnknownSite,
        Reason::UnknownSlot,
        Reason::CapacityBelowBooked { booked: 7 },
        Reason::UnknownBooking,
        Reason::BookingCancelled,
        Reason::AttendedOnAnotherDay,
        Reason::UnknownCategory,
        Reason::NoMembershipRule,
        Reason::PersonKnown,
        Reason::NotJson { line: 7, column: 8 },
        Reason::TooDeep { depth_max: 7 },
        Reason::Unknown,
        Reason::Repeated,
        Reason::WrongType,
        Reason::TooManyEntries { entries_max: 7 },
        Reason::EmptyList,
        Reason::NotAllowed,
        Reason::NoRule,
    ];

    #[test]
    fn every_reason_has_words_with_its_numbers_in_every_language_and_no_words_are_left_over() {
        let codes: BTreeSet<&str> = ALL.iter().map(Reason::code).collect();
        assert_eq!(codes.len(), ALL.len());
        for language in Language::all() {
            let words: BTreeSet<&str> = language.messages().import_codes().collect();
            assert_eq!(words, codes, "{}", language.tag());
            for reason in ALL {
                let text = reason.text(language);
                let numbers = reason.numbers().into_iter().flatten();
                let named = numbers.filter(|number| text.contains(&number.to_string())).count();
                let expected = reason.numbers().into_iter().flatten().count();
                assert!(!text.is_empty() && !text.contains('{'), "{}: {text}", language.tag());
                assert_eq!(named, expected, "{}: {text}", language.tag());
            }
        }
    }

    #[test]
    fn an_error_names_line_column_reason_and_what_to_do() {
        let reason = Reason::OutOfRange { least: 0, most: 100_000 };
        let error = RowError { line: 7, field: "capacity", reason };
        let text = "line 7, capacity: The number must be from 0 to 100000. (out_of_range)";
        assert_eq!(error.to_string(), text);
        let error = BodyError { pointer: String::new(), reason: Reason::WrongType };
        assert_eq!(error.to_string(), "/: A value of another type is expected. (wrong_type)");
    }
}
