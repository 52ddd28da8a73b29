//! The CSV of a category's members: `id_number`.

use std::collections::HashMap;

use domain::identity::IdNumber;

use super::csv::read_rows;
use super::error::{Reason, RowError};
use super::{Reading, RowResult, roster};

/// The columns.
pub const COLUMNS: [&str; 1] = ["id_number"];

/// Reads the file; every good row goes to `each`.
///
/// # Errors
/// All that is wrong with the file, the caller's own errors included.
pub fn read(
    bytes: &[u8],
    reading: &Reading,
    mut each: impl FnMut(u32, IdNumber) -> RowResult,
) -> Result<u32, Vec<RowError>> {
    let mut seen = HashMap::new();
    read_rows(bytes, &COLUMNS, &reading.limits, |cells| {
        let id = roster::id_number(cells, 0)?;
        if let Some(first_line) = seen.insert(roster::id_bytes(&id), cells.line) {
            cells.fault(0, Reason::Duplicate { first_line: u64::from(first_line) });
            return None;
        }
        Some(each(cells.line, id))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests_support::codes;
    use super::*;

    fn read_all(rows: &str) -> Result<Vec<String>, Vec<String>> {
        let mut ids = Vec::new();
        let result = read(rows.as_bytes(), &Reading::for_tests(), |_, id| {
            ids.push(id.as_str().to_owned());
            Ok(())
        });
        codes(result).map(|_| ids)
    }

    #[test]
    fn numbers_are_normalised() {
        let ids = read_all("id_number\nA123456789\nｈ２８３１３９２８０\n").unwrap();
        assert_eq!(ids, ["A123456789", "H283139280"]);
    }

    #[test]
    fn every_rule_of_a_member_names_its_line() {
        for (rows, expected) in [
            ("id_number\n\"\"\n", "2:id_number:required"),
            ("id_number\nA12345678\n", "2:id_number:id_number"),
            ("id_number\nA123456788\n", "2:id_number:id_check_digit"),
            ("id_number\n=A1\n", "2:id_number:id_number"),
            ("id_number\nA123456789\na123456789\n", "3:id_number:duplicate"),
            ("id_number\n", "1::no_rows"),
        ] {
            assert_eq!(read_all(rows).unwrap_err(), [expected], "{rows:?}");
        }
    }
}
