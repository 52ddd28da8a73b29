//! B5: seeing one's booking, and giving it up.

use domain::Command;
use domain::view::{BookingStatus, OutcomeResult};
use hyper::StatusCode;
use hyper::http::request::Parts;

use super::places::period_number;
use super::words;
use crate::core::Core;
use crate::i18n::Language;
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::reply::{Reply, private_json};
use crate::retry::{Asked, Request, Standing};

/// `GET /v1/bookings/mine?period=`
pub(crate) async fn get(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    let query = Query::of(head.uri.query());
    let period = period_number(query.required("period")?)?;
    core.view_reached(caller.seen_sequence).await?;
    let found = {
        let view = core.context.view.read();
        let number = caller.number_in(&view);
        number.and_then(|number| {
            let booking = view.booking_of(number, period)?;
            let status = view.booking_status(booking, crate::context::now())?;
            Some((booking, view.booking(booking)?.slot, status))
        })
    };
    let (booking, slot, status) = found.ok_or(Slug::NotFound)?;
    let mut words = words::booking(core, Language::of(&head.headers), booking, period, slot);
    words.truncate(words.len() - 1);
    let status = match status {
        BookingStatus::Booked => "booked",
        BookingStatus::Cancelled => "cancelled",
        BookingStatus::Attended => "attended",
        BookingStatus::NoShow => "no_show",
    };
    let body = format!("{{\"booking\":{words},\"status\":\"{status}\"}}}}");
    Ok(private_json(StatusCode::OK, body))
}

/// `DELETE /v1/bookings/mine?period=`
pub(crate) async fn delete(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    let query = Query::of(head.uri.query());
    let period = period_number(query.required("period")?)?;
    let content = period.0.to_le_bytes();
    let request = Request::new(core, caller, &head.headers, period, Asked::Cancel, &content)?;
    let command = Command::Cancel { person: caller.reference(), period, retry: request.retry };
    match request.send(core, command).await? {
        Standing::Accepted => Ok(request.accepted(core)),
        Standing::Decided(outcome) => match outcome.result {
            OutcomeResult::Cancelled { .. } => {
                let receipt = request.receipt(core);
                let body = words::confirmed(receipt.as_str(), None);
                Ok(private_json(StatusCode::OK, body))
            }
            OutcomeResult::Rejected(reason) => Err(request.rejected(core, &outcome, reason)),
            _ => Err(Slug::Internal.into()),
        },
    }
}
