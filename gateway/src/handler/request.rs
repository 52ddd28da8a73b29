//! What became of a request: by its receipt, for its owner alone.

use std::time::Duration;

use domain::view::{Outcome, OutcomeResult};
use domain::{KeyHash, PeriodNumber, Rejection};
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::words;
use crate::caller::Caller;
use crate::core::Core;
use crate::i18n::Language;
use crate::outcomes::Decision;
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::reply::{Reply, private_json, private_value};
use crate::submitter::Answer;

/// What the view says of a key.
enum Found {
    Outcome(Outcome),
    /// Refused as one key too many, which leaves no record.
    TooManyKeys,
    Nothing,
}

/// `GET /v1/requests/{receipt}?wait=`
pub(crate) async fn get(core: &Core, head: &Parts, receipt: &str) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    let query = Query::of(head.uri.query());
    let wait_s_max = u64::from(core.context.config.request.wait_s_max);
    let wait_s = query.number("wait", 0, wait_s_max)?.unwrap_or(0);
    let claims = core.context.vault.open_receipt(receipt);
    // Somebody else's receipt looks like no receipt at all.
    let claims = claims.filter(|claims| claims.person == caller.key.0);
    let claims = claims.ok_or(Slug::NotFound)?;
    let (period, key) = (PeriodNumber(claims.period), KeyHash(claims.key));
    let mut found = find(core, &caller, period, key);
    if matches!(found, Found::Nothing) && wait_s > 0 {
        found = watch(core, &caller, period, key, Duration::from_secs(wait_s)).await?;
    }
    match found {
        Found::Outcome(outcome) => told(core, head, &caller, period, &outcome),
        Found::TooManyKeys => Ok(rejected(Rejection::TooManyKeys)),
        Found::Nothing => {
            let body = r#"{"outcome":"processing","ahead":null}"#;
            Ok(private_json(StatusCode::OK, body))
        }
    }
}

/// Waits until the key is decided or the time is over.
async fn watch(
    core: &Core,
    caller: &Caller,
    period: PeriodNumber,
    key: KeyHash,
    wait: Duration,
) -> Result<Found, Problem> {
    let watching = core.submitter.watch(key, wait);
    let watching = watching
        .map_err(|_| Problem::from(Slug::Overloaded).retry_after_s(core.retry_after_s()))?;
    // It may have been decided before the watch began.
    let found = find(core, caller, period, key);
    if !matches!(found, Found::Nothing) {
        return Ok(found);
    }
    match watching.await {
        Answer::Decided(Decision::Outcome(outcome)) => Ok(Found::Outcome(outcome)),
        _ => Ok(find(core, caller, period, key)),
    }
}

fn find(core: &Core, caller: &Caller, period: PeriodNumber, key: KeyHash) -> Found {
    let view = core.context.view.read();
    let Some(number) = caller.number_in(&view) else {
        return Found::Nothing;
    };
    match view.outcome(number, period, key) {
        Some(outcome) => Found::Outcome(outcome),
        None if view.has_used_all_keys(number, period) => Found::TooManyKeys,
        None => Found::Nothing,
    }
}

fn rejected(reason: Rejection) -> Reply {
    let body = format!(r#"{{"outcome":"rejected","reason":"{}"}}"#, reason.reason());
    private_json(StatusCode::OK, body)
}

/// A decided request in words.
fn told(
    core: &Core,
    head: &Parts,
    caller: &Caller,
    period: PeriodNumber,
    outcome: &Outcome,
) -> Result<Reply, Problem> {
    let (booking, slot) = match outcome.result {
        OutcomeResult::Confirmed { booking, slot } => (booking, slot),
        OutcomeResult::Changed { booking, to, .. } => (booking, to),
        OutcomeResult::Cancelled { .. } | OutcomeResult::Withdrawn { .. } => {
            return Ok(private_json(StatusCode::OK, r#"{"outcome":"confirmed"}"#));
        }
        OutcomeResult::Registered { .. }
        | OutcomeResult::AlreadyRegistered
        | OutcomeResult::Modified { .. } => {
            let intent = words::held_intent(core, caller)?.unwrap_or(Value::Null);
            let body = json!({ "outcome": "confirmed", "intent": intent });
            return Ok(private_value(StatusCode::OK, &body));
        }
        OutcomeResult::Rejected(reason) => return Ok(rejected(reason)),
    };
    let words = words::booking(core, Language::of(&head.headers), booking, period, slot);
    let body = format!(r#"{{"outcome":"confirmed","booking":{words}}}"#);
    Ok(private_json(StatusCode::OK, body))
}
