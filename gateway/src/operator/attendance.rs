//! B6: a site reports who came.
//!
//! Every row is checked against the view first: a report with a wrong row brings nothing. What the
//! writer refuses in spite of that (a booking cancelled in the same moment) is named in the answer.

use std::sync::Arc;

use bytes::Bytes;
use domain::view::{BookingStatus, View};
use domain::{Attendance, Command, Event, OperatorRefusal};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::{desk, write};
use crate::body;
use crate::context::Context;
use crate::core::Core;
use crate::import::{self, BodyError, Kind, Reason, RowError};
use crate::problem::{Problem, Slug};
use crate::reply::{self, Reply};

/// Rows of one command.
const ROWS_MAX: usize = domain::rules::ATTENDANCE_ROWS_MAX;

/// Bytes of a report in JSON; larger ones are CSV.
const JSON_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Attendance was reported.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AttendanceReported {
    /// Rows of the report.
    pub(crate) rows: u32,
    /// Bookings marked as attended.
    pub(crate) attended: u32,
    /// Rows decided against after all.
    pub(crate) refused: Vec<AttendanceRefused>,
}

/// One row was decided against.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AttendanceRefused {
    /// The booking.
    pub(crate) booking_number: u32,
    /// Why.
    #[schema(example = "booking_cancelled")]
    pub(crate) reason: String,
}

/// `POST /v1/attendance`
pub(super) async fn report(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    let is_csv = desk::expect_csv(&head.headers).is_ok();
    if !is_csv {
        body::expect_type(&head.headers, desk::JSON_TYPE)?;
    }
    let file = desk::file(core, Kind::Attendance, body).await?;
    if !is_csv && file.bytes.len() > JSON_BYTES_MAX {
        return Err(Slug::TooLarge.into());
    }
    let _turn = core.context.desk.turn(core).await?;
    core.view_reached(0).await?;
    let context = Arc::clone(&core.context);
    let rows = desk::aside(move || match is_csv {
        true => read_csv(&context, &file.bytes),
        false => read_json(&context, &file.bytes),
    })
    .await?;
    let mut answer = AttendanceReported {
        rows: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        attended: 0,
        refused: Vec::new(),
    };
    for rows in rows.chunks(ROWS_MAX) {
        let applied = core.apply(Command::Attend { rows: rows.to_vec() }).await?;
        let attended =
            applied.events.iter().filter(|event| matches!(event, Event::Attended { .. }));
        answer.attended += u32::try_from(attended.count()).unwrap_or(u32::MAX);
        for (row, reason) in write::refusals(&applied.events) {
            answer.refused.push(AttendanceRefused {
                booking_number: rows.get(row as usize).map_or(0, |row| row.booking.0),
                reason: refusal_reason(reason).code().to_owned(),
            });
        }
    }
    Ok(reply::private_value(StatusCode::OK, &answer))
}

fn read_csv(context: &Context, file: &Bytes) -> Result<Vec<Attendance>, Problem> {
    let reading = desk::reading(context, Kind::Attendance);
    let mut rows = Vec::new();
    let read = import::attendance::read(file, &reading, |line, row| {
        if let Some((field, reason)) = fault(&context.view.read(), &row) {
            return Err(RowError { line, field, reason });
        }
        rows.push(row);
        Ok(())
    });
    read.map_err(Problem::rows)?;
    Ok(rows)
}

fn read_json(context: &Context, body: &Bytes) -> Result<Vec<Attendance>, Problem> {
    let reading = desk::reading(context, Kind::Attendance);
    let rows = import::attendance::read_json(body, &reading).map_err(Problem::body)?;
    let mut errors = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        if let Some((field, reason)) = fault(&context.view.read(), row) {
            errors.push(BodyError { pointer: format!("/attendance/{place}/{field}"), reason });
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(Problem::body(errors)) }
}

/// What the writer would refuse, as far as the view knows.
fn fault(view: &View, row: &Attendance) -> Option<(&'static str, Reason)> {
    let Some(booking) = view.booking(row.booking) else {
        return Some(("booking_number", Reason::UnknownBooking));
    };
    if booking.status == BookingStatus::Cancelled {
        return Some(("booking_number", Reason::BookingCancelled));
    }
    let slot = view.catalogue.slot(booking.slot)?;
    (slot.day != row.attended_at.day()).then_some(("attended_at", Reason::AttendedOnAnotherDay))
}

fn refusal_reason(reason: OperatorRefusal) -> Reason {
    match reason {
        OperatorRefusal::BookingCancelled => Reason::BookingCancelled,
        OperatorRefusal::AttendedOnAnotherDay => Reason::AttendedOnAnotherDay,
        _ => Reason::UnknownBooking,
    }
}
