//! P1, P2: the periods, and for a citizen who is logged in, whether and from when they may book.

use domain::view::{PeriodEntry, View};
use domain::{Millis, Rejection};
use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::expect_caught_up;
use super::places::period_number;
use crate::availability::notices::period as period_value;
use crate::caller::Caller;
use crate::context::now;
use crate::core::Core;
use crate::problem::{Problem, Slug};
use crate::reply::{JSON, Reply, private_value};
use crate::text::instant;

/// `GET /v1/periods`
pub(crate) async fn list(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    let Some(caller) = optional_caller(core, head)? else {
        expect_caught_up(core)?;
        let published = core.context.availability.published();
        let mut reply = published.notices.list.reply(&head.headers, JSON, 1, false);
        vary(&mut reply);
        return Ok(reply);
    };
    core.view_reached(caller.seen_sequence).await?;
    let view = core.context.view.read();
    let at = now();
    let periods: Vec<Value> =
        view.catalogue.periods().map(|entry| personal(&view, &caller, entry, at)).collect();
    Ok(private_value(StatusCode::OK, &json!({ "periods": periods })))
}

/// `GET /v1/periods/{number}`
pub(crate) async fn one(core: &Core, head: &Parts, number: &str) -> Result<Reply, Problem> {
    let number = period_number(number)?;
    let Some(caller) = optional_caller(core, head)? else {
        expect_caught_up(core)?;
        let published = core.context.availability.published();
        let mut single = published.notices.single.iter();
        let (_, prepared) = single.find(|(own, _)| *own == number).ok_or(Slug::NotFound)?;
        let mut reply = prepared.reply(&head.headers, JSON, 1, false);
        vary(&mut reply);
        return Ok(reply);
    };
    core.view_reached(caller.seen_sequence).await?;
    let view = core.context.view.read();
    let entry = view.catalogue.period(number).ok_or(Slug::NotFound)?;
    Ok(private_value(StatusCode::OK, &personal(&view, &caller, entry, now())))
}

/// The caller, when a token was sent: then it must be a good one.
fn optional_caller(core: &Core, head: &Parts) -> Result<Option<Caller>, Problem> {
    if head.headers.contains_key(AUTHORIZATION) {
        core.caller(&head.headers).map(Some)
    } else {
        Ok(None)
    }
}

/// The same address answers otherwise to who is logged in.
fn vary(reply: &mut Reply) {
    let by_token = hyper::header::HeaderValue::from_static("authorization");
    reply.headers_mut().insert(hyper::header::VARY, by_token);
}

/// A period as it concerns one person. `eligible` says whether the period's conditions take them;
/// `reason` says what stands in the way of booking at this moment.
fn personal(view: &View, caller: &Caller, entry: &PeriodEntry, at: Millis) -> Value {
    let number = caller.number_in(view);
    let period = entry.period.number;
    let reason = view.eligibility(number, period, at).err();
    let eligible =
        matches!(reason, None | Some(Rejection::WindowNotOpen | Rejection::WindowClosed));
    let from = view.may_book_from(number, period).ok();
    let mut value = period_value(entry, at);
    value["eligible"] = eligible.into();
    value["reason"] = reason.map(Rejection::reason).into();
    value["may_book_from"] = from.map(instant).into();
    value
}
