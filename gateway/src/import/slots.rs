//! The CSV of slots: `site,date,start,end,vaccine,capacity`.

use std::collections::HashMap;

use domain::Day;
use domain::rules::{SLOT_DAY_MAX, SLOT_DAY_MIN};

use super::csv::read_rows;
use super::error::{Reason, RowError};
use super::when::MINUTES_OF_DAY;
use super::{Reading, RowResult, sites};

/// The columns.
pub const COLUMNS: [&str; 6] = ["site", "date", "start", "end", "vaccine", "capacity"];

/// Characters of a vaccine's name.
pub const VACCINE_CHARS_MAX: usize = 32;
/// Vaccines of one file, and of the whole programme.
pub const VACCINES_MAX: usize = domain::eligibility::VACCINES_MAX;
/// Places of one slot; more is a slip of the finger.
pub const CAPACITY_MAX: u32 = 100_000;

/// One row: who offers what when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLine<'r> {
    /// The site's id.
    pub site: &'r str,
    /// The day in Taiwan.
    pub day: Day,
    /// First minute of the day.
    pub start_minute: u16,
    /// Minute of the day at which it ends.
    pub end_minute: u16,
    /// The vaccine's name.
    pub vaccine: &'r str,
    /// Places.
    pub capacity: u32,
}

/// Reads the file; every good row goes to `each`.
///
/// # Errors
/// All that is wrong with the file, the caller's own errors included.
pub fn read(
    bytes: &[u8],
    reading: &Reading,
    mut each: impl FnMut(u32, SlotLine<'_>) -> RowResult,
) -> Result<u32, Vec<RowError>> {
    let mut seen = Seen::default();
    read_rows(bytes, &COLUMNS, &reading.limits, |cells| {
        let site = cells.name(0, sites::ID_CHARS_MAX);
        let day = cells.day(1);
        if day.is_some_and(|day| !(SLOT_DAY_MIN..=SLOT_DAY_MAX).contains(&day.0)) {
            cells.fault(1, Reason::Date);
            return None;
        }
        let start_minute = cells.minute(2);
        let end_minute = cells.minute(3);
        let vaccine = cells.words(4, VACCINE_CHARS_MAX);
        let capacity = cells.number(5, 0, CAPACITY_MAX);
        if let (Some(start), Some(end)) = (start_minute, end_minute)
            && start >= end
        {
            cells.fault(3, Reason::EndNotAfterStart);
            return None;
        }
        let slot = SlotLine {
            site: site?,
            day: day?,
            start_minute: start_minute?,
            end_minute: end_minute?,
            vaccine: vaccine?,
            capacity: capacity?,
        };
        match seen.note(&slot, cells.line) {
            Ok(()) => Some(each(cells.line, slot)),
            Err(reason) => {
                cells.fault(if matches!(reason, Reason::Duplicate { .. }) { 0 } else { 4 }, reason);
                None
            }
        }
    })
}

/// The slots of the file so far, by identity: (site, date, start, end, vaccine).
#[derive(Default)]
struct Seen {
    sites: HashMap<String, u32>,
    vaccines: Vec<String>,
    lines: HashMap<(u32, Day, u16, u16, u8), u32>,
}

impl Seen {
    fn note(&mut self, slot: &SlotLine<'_>, line: u32) -> Result<(), Reason> {
        debug_assert!(slot.end_minute <= MINUTES_OF_DAY);
        let site = match self.sites.get(slot.site) {
            Some(site) => *site,
            None => {
                let site = u32::try_from(self.sites.len()).unwrap_or(u32::MAX);
                self.sites.insert(slot.site.to_owned(), site);
                site
            }
        };
        let known = self.vaccines.iter().position(|name| name == slot.vaccine);
        let vaccine = match known {
            Some(place) => place,
            None if self.vaccines.len() == VACCINES_MAX => {
                return Err(Reason::TooManyVaccines { vaccines_max: VACCINES_MAX as u64 });
            }
            None => {
                self.vaccines.push(slot.vaccine.to_owned());
                self.vaccines.len() - 1
            }
        };
        let vaccine = u8::try_from(vaccine).unwrap_or(u8::MAX);
        let identity = (site, slot.day, slot.start_minute, slot.end_minute, vaccine);
        match self.lines.insert(identity, line) {
            None => Ok(()),
            Some(first_line) => Err(Reason::Duplicate { first_line: u64::from(first_line) }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests_support::codes;
    use super::*;

    const GOOD: &str = "T-01,2021-07-16,09:00,12:00,AZ,150";

    fn read_all(rows: &str) -> Result<u32, Vec<String>> {
        let file = format!("{}\n{rows}\n", COLUMNS.join(","));
        codes(read(file.as_bytes(), &Reading::for_tests(), |_, _| Ok(())))
    }

    #[test]
    fn a_slot_is_read() {
        let file = format!("{}\n{GOOD}\n", COLUMNS.join(","));
        let mut found = 0;
        let result = read(file.as_bytes(), &Reading::for_tests(), |line, slot| {
            assert_eq!(line, 2);
            assert_eq!((slot.site, slot.vaccine, slot.capacity), ("T-01", "AZ", 150));
            assert_eq!((slot.day, slot.start_minute, slot.end_minute), (Day(18_824), 540, 720));
            found += 1;
            Ok(())
        });
        assert_eq!((result, found), (Ok(1), 1));
    }

    #[test]
    fn every_rule_of_a_slot_names_its_column() {
        for (from, to, expected) in [
            ("T-01", "", "2:site:required"),
            ("T-01", "T 01", "2:site:characters"),
            ("2021-07-16", "2021-02-30", "2:date:date"),
            ("2021-07-16", "110/07/16", "2:date:date"),
            ("2021-07-16", "1969-12-31", "2:date:date"),
            ("2021-07-16", "", "2:date:required"),
            ("09:00", "9", "2:start:time_of_day"),
            ("09:00", "24:00", "2:end:end_not_after_start"),
            ("12:00", "24:30", "2:end:time_of_day"),
            ("12:00", "09:00", "2:end:end_not_after_start"),
            ("12:00", "08:00", "2:end:end_not_after_start"),
            ("AZ", "", "2:vaccine:required"),
            ("AZ", "=AZ", "2:vaccine:formula"),
            ("AZ", "a vaccine with far too long a name", "2:vaccine:too_long"),
            ("150", "-1", "2:capacity:out_of_range"),
            ("150", "100001", "2:capacity:out_of_range"),
            ("150", "99999999999999999999", "2:capacity:out_of_range"),
            ("150", "1.5", "2:capacity:number"),
            ("150", "", "2:capacity:required"),
        ] {
            assert_eq!(read_all(&GOOD.replace(from, to)).unwrap_err(), [expected], "{from} → {to}");
        }
    }

    #[test]
    fn an_evening_slot_may_end_at_midnight_and_a_slot_may_be_empty() {
        assert_eq!(read_all(&GOOD.replace("12:00", "24:00")), Ok(1));
        assert_eq!(read_all(&GOOD.replace("150", "0")), Ok(1));
        assert_eq!(read_all(&GOOD.replace("150", "１５０")), Ok(1));
    }

    #[test]
    fn the_same_slot_twice_names_the_earlier_line_whatever_its_capacity() {
        let other_day = GOOD.replace("07-16", "07-17");
        let other_vaccine = GOOD.replace("AZ", "BNT");
        let again = GOOD.replace("150", "151");
        let rows = [GOOD, &other_day, &other_vaccine].join("\n");
        assert_eq!(read_all(&rows), Ok(3));
        assert_eq!(read_all(&format!("{rows}\n{again}")).unwrap_err(), ["5:site:duplicate"]);
    }

    #[test]
    fn a_seventeenth_vaccine_is_refused() {
        let rows: Vec<String> =
            (0..17).map(|number| GOOD.replace("AZ", &format!("V{number}"))).collect();
        assert_eq!(read_all(&rows[..16].join("\n")), Ok(16));
        assert_eq!(read_all(&rows.join("\n")).unwrap_err(), ["18:vaccine:too_many_vaccines"]);
    }
}
