//! The CSV of the people the authority knows:
//! `id_number,former_id_number,card_number,entry_permit_number,passport_number,birth_date`.
//!
//! Within a file every ID number stands once, as a person's number or as a former one: two rows about
//! one person could not both hold.

use std::collections::HashMap;

use domain::Day;
use domain::identity::{IdNumber, NotANumber, card_number, entry_permit_number, passport_number};

use super::cell::Cells;
use super::csv::read_rows;
use super::error::{Reason, RowError};
use super::{Reading, RowResult};

/// The columns.
pub const COLUMNS: [&str; 6] = [
    "id_number",
    "former_id_number",
    "card_number",
    "entry_permit_number",
    "passport_number",
    "birth_date",
];

/// One person.
#[derive(Clone, PartialEq, Eq)]
pub struct RosterLine {
    /// The number the person has.
    pub id: IdNumber,
    /// The number the person had before.
    pub former: Option<IdNumber>,
    /// NHI card, twelve digits.
    pub card: Option<String>,
    /// Exit-entry permit.
    pub entry_permit: Option<String>,
    /// Passport.
    pub passport: Option<String>,
    /// Date of birth.
    pub born_on: Day,
}

/// Shows nothing of the person but masked numbers.
impl std::fmt::Debug for RosterLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RosterLine")
            .field("id", &self.id)
            .field("former", &self.former)
            .finish_non_exhaustive()
    }
}

/// Reads the file; every good row goes to `each`.
///
/// # Errors
/// All that is wrong with the file, the caller's own errors included.
pub fn read(
    bytes: &[u8],
    reading: &Reading,
    mut each: impl FnMut(u32, RosterLine) -> RowResult,
) -> Result<u32, Vec<RowError>> {
    let today = reading.now.day();
    let mut ids: HashMap<[u8; 10], u32> = HashMap::new();
    let mut cards: HashMap<u64, u32> = HashMap::new();
    read_rows(bytes, &COLUMNS, &reading.limits, |cells| {
        let person = person(cells, today)?;
        let line = cells.line;
        let mut alone = true;
        for (column, id) in [(0, Some(&person.id)), (1, person.former.as_ref())] {
            let earlier = id.and_then(|id| ids.insert(id_bytes(id), line));
            if let Some(first_line) = earlier {
                cells.fault(column, Reason::Duplicate { first_line: u64::from(first_line) });
                alone = false;
            }
        }
        let card = person.card.as_ref().and_then(|card| card.parse().ok());
        if let Some(first_line) = card.and_then(|card: u64| cards.insert(card, line)) {
            cells.fault(2, Reason::Duplicate { first_line: u64::from(first_line) });
            alone = false;
        }
        alone.then(|| each(line, person))
    })
}

/// One row on its own.
fn person(cells: &mut Cells<'_, '_>, today: Day) -> Option<RosterLine> {
    let id = id_number(cells, 0);
    let former = optional(cells, 1, |cells| id_number(cells, 1));
    let card = document(cells, 2, Reason::CardNumber, card_number);
    let entry_permit = document(cells, 3, Reason::EntryPermitNumber, entry_permit_number);
    let passport = document(cells, 4, Reason::PassportNumber, passport_number);
    let born_on = birth_date(cells, 5, today);
    if cells.texts[2..5].iter().all(|text| text.is_empty()) {
        cells.fault(2, Reason::NoDocument);
        return None;
    }
    let line = RosterLine {
        id: id?,
        former: former?,
        card: card?,
        entry_permit: entry_permit?,
        passport: passport?,
        born_on: born_on?,
    };
    if line.former == Some(line.id) {
        cells.fault(1, Reason::SameNumber);
        return None;
    }
    Some(line)
}

/// An ID number with its check digit.
pub(super) fn id_number(cells: &mut Cells<'_, '_>, column: usize) -> Option<IdNumber> {
    let text = cells.required(column)?;
    match IdNumber::parse(text) {
        Ok(id) => Some(id),
        Err(NotANumber::Shape) => {
            cells.fault(column, Reason::IdNumber);
            None
        }
        Err(NotANumber::CheckDigit) => {
            cells.fault(column, Reason::IdCheckDigit);
            None
        }
    }
}

/// The number's ten characters, for sets.
pub(super) fn id_bytes(id: &IdNumber) -> [u8; 10] {
    let mut bytes = [0; 10];
    for (byte, character) in bytes.iter_mut().zip(id.as_str().bytes()) {
        *byte = character;
    }
    bytes
}

fn birth_date(cells: &mut Cells<'_, '_>, column: usize, today: Day) -> Option<Day> {
    let day = cells.day(column)?;
    if day > today {
        cells.fault(column, Reason::InFuture);
        return None;
    }
    Some(day)
}

fn document(
    cells: &mut Cells<'_, '_>,
    column: usize,
    reason: Reason,
    parse: impl FnOnce(&str) -> Result<String, NotANumber>,
) -> Option<Option<String>> {
    optional(cells, column, |cells| match parse(cells.texts[column]) {
        Ok(number) => Some(number),
        Err(_) => {
            cells.fault(column, reason);
            None
        }
    })
}

/// `Some(None)` for an empty cell, `None` for a bad one.
fn optional<T>(
    cells: &mut Cells<'_, '_>,
    column: usize,
    read: impl FnOnce(&mut Cells<'_, '_>) -> Option<T>,
) -> Option<Option<T>> {
    if cells.texts[column].is_empty() {
        return Some(None);
    }
    read(cells).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests_support::codes;
    use super::*;

    const GOOD: &str = "A123456789,,000012345678,,,1985-07-06";
    const RESIDENT: &str = "P813427101,ZD31324773,,,K48049605,1990-01-21";

    fn read_all(rows: &str) -> Result<Vec<RosterLine>, Vec<String>> {
        let file = format!("{}\n{rows}\n", COLUMNS.join(","));
        let mut people = Vec::new();
        let result = read(file.as_bytes(), &Reading::for_tests(), |_, person| {
            people.push(person);
            Ok(())
        });
        codes(result).map(|_| people)
    }

    #[test]
    fn a_citizen_and_a_resident_are_read() {
        let people = read_all(&format!("{GOOD}\n{RESIDENT}")).unwrap();
        assert_eq!(people[0].id.as_str(), "A123456789");
        assert_eq!(people[0].card.as_deref(), Some("000012345678"));
        assert_eq!(people[0].born_on, Day(5_665));
        assert_eq!(people[1].former.unwrap().as_str(), "ZD31324773");
        assert_eq!(people[1].passport.as_deref(), Some("K48049605"));
    }

    #[test]
    fn full_width_numbers_small_letters_and_boxes_are_normalised() {
        let row = "ａ１２３４５６７８９,,0000-1234 5678,,,１９８５-07-06";
        assert!(read_all(row).unwrap()[0] == read_all(GOOD).unwrap()[0]);
    }

    #[test]
    fn every_rule_of_a_person_names_its_column() {
        for (from, to, expected) in [
            ("A123456789", "", "2:id_number:required"),
            ("A123456789", "A123", "2:id_number:id_number"),
            ("A123456789", "A123456780", "2:id_number:id_check_digit"),
            ("A123456789", "=A1", "2:id_number:id_number"),
            ("A123456789,,", "A123456789,ZD31324770,", "2:former_id_number:id_check_digit"),
            ("A123456789,,", "A123456789,a123456789,", "2:former_id_number:same_number"),
            ("000012345678", "", "2:card_number:no_document"),
            ("000012345678", "00001234567", "2:card_number:card_number"),
            ("000012345678,,", "000012345678,X,", "2:entry_permit_number:entry_permit_number"),
            ("000012345678,,", "000012345678,,X", "2:passport_number:passport_number"),
            ("1985-07-06", "", "2:birth_date:required"),
            ("1985-07-06", "1985-02-29", "2:birth_date:date"),
            ("1985-07-06", "1879-01-01", "2:birth_date:date"),
            ("1985-07-06", "2021-07-14", "2:birth_date:in_future"),
        ] {
            assert_eq!(read_all(&GOOD.replace(from, to)).unwrap_err(), [expected], "{from} → {to}");
        }
    }

    #[test]
    fn somebody_may_be_born_today() {
        assert_eq!(read_all(&GOOD.replace("1985-07-06", "2021-07-13")).unwrap().len(), 1);
    }

    #[test]
    fn a_number_stands_once_in_a_file_as_own_or_former() {
        let same = GOOD.replace("000012345678", "000012345679");
        let errors = read_all(&format!("{GOOD}\n{same}")).unwrap_err();
        assert_eq!(errors, ["3:id_number:duplicate"]);
        let former_of = "P813427101,A123456789,,,K48049605,1990-01-21";
        let errors = read_all(&format!("{GOOD}\n{former_of}")).unwrap_err();
        assert_eq!(errors, ["3:former_id_number:duplicate"]);
        let same_former = RESIDENT.replace("P813427101", "A123456789");
        let errors = read_all(&format!("{RESIDENT}\n{same_former}")).unwrap_err();
        assert_eq!(errors, ["3:former_id_number:duplicate"]);
    }

    #[test]
    fn a_card_belongs_to_one_person() {
        let other = GOOD.replace("A123456789", "H283139280");
        let errors = read_all(&format!("{GOOD}\n{other}")).unwrap_err();
        assert_eq!(errors, ["3:card_number:duplicate"]);
    }
}
