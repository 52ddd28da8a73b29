//! `GET /v1/confirmations`: the public stream of confirmations as NDJSON, for those who read no broker.
//!
//! The messages are made elsewhere (the notifier makes the same ones); whoever runs the gateway hands
//! in their source. Without one this call is not there.

use std::sync::Arc;

use domain::EventId;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;

use super::desk;
use crate::core::Core;
use crate::import::Reason;
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::reply::{self, Reply};

/// Lines of one answer.
pub(crate) const LINES_MAX: usize = 10_000;

/// Gives up to so many messages behind an event id (from the beginning, without one), each one line of
/// JSON without its line end. May block.
pub type ConfirmationsSource =
    Arc<dyn Fn(Option<EventId>, usize) -> Result<Vec<String>, ConfirmationsError> + Send + Sync>;

/// Why no messages came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmationsError {
    /// The id was never given out.
    #[error("no confirmation has this id")]
    UnknownId,
    /// They cannot be read at the moment; the text says why.
    #[error("confirmations cannot be read: {0}")]
    Unavailable(String),
}

/// Answers the call.
pub(super) async fn answer(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    let query = Query::of(head.uri.query());
    let after = query.parsed("after", Reason::NotAllowed, |text| text.parse::<EventId>().ok())?;
    let limit = query.number("limit", 1, LINES_MAX as u64)?;
    let limit = limit.map_or(LINES_MAX, |limit| usize::try_from(limit).unwrap_or(LINES_MAX));
    let source = core.context.attachments.confirmations.clone().ok_or(Slug::NotFound)?;
    let retry_after_s = core.retry_after_s();
    let lines = desk::aside(move || {
        source(after, limit).map_err(|error| match error {
            ConfirmationsError::UnknownId => Problem::parameter("after", Reason::NotAllowed),
            ConfirmationsError::Unavailable(why) => {
                tracing::error!(reason = %why, "confirmations cannot be read");
                Problem::from(Slug::CatchingUp).retry_after_s(retry_after_s)
            }
        })
    })
    .await?;
    let mut body = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines.iter().take(limit) {
        body.push_str(line);
        body.push('\n');
    }
    let mut reply = reply::with_type(StatusCode::OK, reply::NDJSON, body.into());
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}
