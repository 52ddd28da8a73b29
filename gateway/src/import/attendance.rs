//! Who came, as CSV (`booking_number,attended_at`) or as JSON
//! (`{"attendance":[{"booking_number":1,"attended_at":"2021-07-16T09:30:00+08:00"}]}`).

use std::collections::HashMap;

use domain::{Attendance, BookingNumber, Millis};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::csv::read_rows;
use super::error::{BodyError, Reason, RowError};
use super::json::{self, BodyErrors, Fields, Node};
use super::{Reading, RowResult, when};

/// The columns.
pub const COLUMNS: [&str; 2] = ["booking_number", "attended_at"];

/// How far a site's clock may be ahead of ours.
pub const CLOCK_AHEAD_MS_MAX: i64 = 5 * 60_000;

/// The JSON form of a report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttendanceBody {
    /// One entry a person who came; no booking twice.
    pub attendance: Vec<AttendanceEntry>,
}

/// One person came.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AttendanceEntry {
    /// Whose booking.
    pub booking_number: u32,
    /// When, on the day of the booked slot; RFC 3339 with any offset.
    #[schema(format = DateTime)]
    pub attended_at: String,
}

/// Reads the CSV file; every good row goes to `each`.
///
/// # Errors
/// All that is wrong with the file, the caller's own errors included.
pub fn read(
    bytes: &[u8],
    reading: &Reading,
    mut each: impl FnMut(u32, Attendance) -> RowResult,
) -> Result<u32, Vec<RowError>> {
    let latest = latest(reading);
    let mut seen = HashMap::new();
    read_rows(bytes, &COLUMNS, &reading.limits, |cells| {
        let booking = cells.number(0, 0, u32::MAX);
        let attended_at = cells.instant(1);
        if attended_at.is_some_and(|at| at > latest) {
            cells.fault(1, Reason::InFuture);
            return None;
        }
        let (booking, attended_at) = (booking?, attended_at?);
        if let Some(first_line) = seen.insert(booking, cells.line) {
            cells.fault(0, Reason::Duplicate { first_line: u64::from(first_line) });
            return None;
        }
        Some(each(cells.line, Attendance { booking: BookingNumber(booking), attended_at }))
    })
}

/// Reads the JSON body.
///
/// # Errors
/// All that is wrong with the body, with pointers.
pub fn read_json(bytes: &[u8], reading: &Reading) -> Result<Vec<Attendance>, Vec<BodyError>> {
    json::read(bytes, |node, errors| {
        let mut fields = Fields::of(node, "", errors)?;
        let list = fields.required("attendance", errors);
        fields.finish(errors);
        let (pointer, list) = list?;
        let entries_max = reading.limits.rows_max as usize;
        let list = json::list(list, &pointer, 1, entries_max, errors)?;
        let mut seen = HashMap::new();
        let mut rows = Vec::with_capacity(list.len());
        for (place, entry) in list.iter().enumerate() {
            let pointer = format!("{pointer}/{place}");
            let Some(row) = read_entry(entry, &pointer, latest(reading), errors) else { continue };
            if let Some(first) = seen.insert(row.booking, place) {
                let reason = Reason::Duplicate { first_line: first as u64 };
                errors.push(format!("{pointer}/booking_number"), reason);
            }
            rows.push(row);
        }
        Some(rows)
    })
}

fn read_entry(
    node: &Node,
    pointer: &str,
    latest: Millis,
    errors: &mut BodyErrors,
) -> Option<Attendance> {
    let mut fields = Fields::of(node, pointer, errors)?;
    let booking = fields.number("booking_number", 0, u32::MAX, errors);
    let attended_at = fields.parsed("attended_at", Reason::Time, errors, when::instant);
    fields.finish(errors);
    let (booking, attended_at) = (booking?, attended_at?);
    if attended_at > latest {
        errors.push(format!("{pointer}/attended_at"), Reason::InFuture);
        return None;
    }
    Some(Attendance { booking: BookingNumber(booking), attended_at })
}

fn latest(reading: &Reading) -> Millis {
    Millis(reading.now.0.saturating_add(CLOCK_AHEAD_MS_MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests_support::{body_codes, codes};
    use super::*;

    const GOOD: &str = "7,2021-07-13T09:30:00+08:00";

    fn read_all(rows: &str) -> Result<u32, Vec<String>> {
        let file = format!("{}\n{rows}\n", COLUMNS.join(","));
        codes(read(file.as_bytes(), &Reading::for_tests(), |_, row| {
            assert_eq!(row.attended_at, Millis(1_626_139_800_000));
            Ok(())
        }))
    }

    #[test]
    fn every_rule_of_attendance_names_its_column() {
        assert_eq!(read_all(GOOD), Ok(1));
        assert_eq!(read_all("7,2021-07-13T01:30:00Z"), Ok(1));
        for (row, expected) in [
            (",2021-07-13T09:30:00+08:00", "2:booking_number:required"),
            ("x,2021-07-13T09:30:00+08:00", "2:booking_number:number"),
            ("-7,2021-07-13T09:30:00+08:00", "2:booking_number:out_of_range"),
            ("4294967296,2021-07-13T09:30:00+08:00", "2:booking_number:out_of_range"),
            ("7,", "2:attended_at:required"),
            ("7,2021-07-13 09:30", "2:attended_at:time"),
            ("7,2021-07-13T09:30:00", "2:attended_at:time"),
            ("7,2021-07-14T09:30:00+08:00", "2:attended_at:in_future"),
        ] {
            assert_eq!(read_all(row).unwrap_err(), [expected], "{row}");
        }
        assert_eq!(
            read_all(&format!("{GOOD}\n{GOOD}")).unwrap_err(),
            ["3:booking_number:duplicate"]
        );
    }

    #[test]
    fn the_json_form_names_its_faults_by_pointer() {
        let entry = r#"{"booking_number":7,"attended_at":"2021-07-13T09:30:00+08:00"}"#;
        let good = format!(r#"{{"attendance":[{entry}]}}"#);
        let rows = read_json(good.as_bytes(), &Reading::for_tests()).unwrap();
        assert_eq!(rows[0].booking, BookingNumber(7));
        for (body, expected) in [
            ("{}".to_owned(), "/attendance:required"),
            (r#"{"attendance":[]}"#.to_owned(), "/attendance:empty_list"),
            (r#"{"attendance":{}}"#.to_owned(), "/attendance:wrong_type"),
            (good.replace(":7", ":\"7\""), "/attendance/0/booking_number:wrong_type"),
            (good.replace(":7", ":-7"), "/attendance/0/booking_number:out_of_range"),
            (good.replace(":7", ":7.5"), "/attendance/0/booking_number:wrong_type"),
            (good.replace("2021-07-13T", "2021-07-33T"), "/attendance/0/attended_at:time"),
            (good.replace("2021-07-13T", "2021-07-14T"), "/attendance/0/attended_at:in_future"),
            (
                good.replace(entry, &format!("{entry},{entry}")),
                "/attendance/1/booking_number:duplicate",
            ),
            (good.replace(":7", ":7,\"x\":1"), "/attendance/0/x:unknown"),
        ] {
            let errors = read_json(body.as_bytes(), &Reading::for_tests()).unwrap_err();
            assert_eq!(body_codes(&errors), [expected], "{body}");
        }
    }
}
