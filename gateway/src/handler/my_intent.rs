//! R6, R7: seeing one's registration of intent, and withdrawing it.

use domain::view::OutcomeResult;
use domain::{Command, PeriodNumber};
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::json;

use super::words;
use crate::core::Core;
use crate::problem::{Problem, Slug};
use crate::reply::{Reply, private_json, private_value};
use crate::retry::{Asked, Request, Standing};

/// `GET /v1/intents/mine`
pub(crate) async fn get(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    core.view_reached(caller.seen_sequence).await?;
    let intent = words::held_intent(core, &caller)?.ok_or(Slug::NotFound)?;
    Ok(private_value(StatusCode::OK, &json!({ "intent": intent })))
}

/// `DELETE /v1/intents/mine`
pub(crate) async fn delete(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    let scope = PeriodNumber::INTENTS;
    let request = Request::new(core, caller, &head.headers, scope, Asked::Withdraw, &[])?;
    let command = Command::Withdraw { person: caller.reference(), retry: request.retry };
    match request.send(core, command).await? {
        Standing::Accepted => Ok(request.accepted(core)),
        Standing::Decided(outcome) => match outcome.result {
            OutcomeResult::Withdrawn { .. } => {
                let receipt = request.receipt(core);
                let body = words::confirmed(receipt.as_str(), None);
                Ok(private_json(StatusCode::OK, body))
            }
            OutcomeResult::Rejected(reason) => Err(request.rejected(core, &outcome, reason)),
            _ => Err(Slug::Internal.into()),
        },
    }
}
