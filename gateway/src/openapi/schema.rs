//! The bodies of the public calls.
//!
//! Answers for everyone are prepared as text, and a booking's answer is written piece by piece, so
//! these structs do not make them; a test compares every kind of answer, as it comes over a socket, with
//! the schema derived from them. Bodies of operators' calls are their handlers' own structs.

mod announced;
mod personal;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

pub(super) use announced::{Home, PeriodInfo, Periods, RegionList, SiteList, SlotList};
pub(super) use personal::{
    BookingBody, BookingDone, Done, IdentityBody, IntentBody, IntentDone, MoveBody, MyBooking,
    MyIntent, Processing, RequestState, Session,
};

/// Schemas that no call's own body refers to.
pub(super) fn all() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    schemas.push((Problem::name().into_owned(), Problem::schema()));
    schemas
}

/// An error, RFC 9457.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// `/problems/` and a stable name.
    #[serde(rename = "type")]
    #[schema(example = "/problems/slot-full")]
    pub(crate) kind: String,
    /// What happened, in the caller's language.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened and what to do, in the caller's language.
    pub(crate) detail: String,
    /// Names the request; with a decided refusal, the decision.
    pub(crate) request_id: String,
    /// Why the rules said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "slot_full")]
    pub(crate) reason: Option<String>,
    /// True when this is the outcome of the request; false when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decided: Option<bool>,
    /// The receipt of a decided request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
    /// Fields or rows at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) errors: Vec<ProblemError>,
    /// How many there are, those not named included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) errors_total: Option<u64>,
    /// Rows of an operator's command that were decided against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) refusals: Vec<ProblemRefusal>,
}

/// One field or row at fault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemError {
    /// A stable name of the fault.
    #[schema(example = "required")]
    pub(crate) code: String,
    /// What is wrong, in the caller's language.
    pub(crate) detail: String,
    /// JSON pointer into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// A query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// Line of a CSV file; the header is line 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// Column of a CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

/// One row that was decided against.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemRefusal {
    /// Place of the row in the command, from 0.
    pub(crate) row: u32,
    /// Why.
    #[schema(example = "capacity_below_booked")]
    pub(crate) reason: String,
}
