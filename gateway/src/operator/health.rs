//! What monitoring asks, and the one order an operator may give the engine.
//!
//! Liveness never waits for anything. Readiness says of every part whether it is ready and why not.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;

use super::OperatorRoute;
use crate::context::{Context, Readiness, ReadyCheck};
use crate::core::Core;
use crate::metrics;
use crate::openapi;
use crate::problem::{Problem, Slug};
use crate::reply::{self, Reply};
use crate::roster::Roster;

/// Tells an engine that halted before a group from the future to go on; false when none waited.
pub type AcceptTime = Arc<dyn Fn() -> bool + Send + Sync>;

/// `GET /readyz`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// True when every part is.
    pub(crate) ready: bool,
    /// Each part.
    pub(crate) checks: Vec<Check>,
}

/// One part.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// Which.
    pub(crate) name: String,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// Why not, or a remark.
    pub(crate) reason: String,
    /// How far it has come, where it is catching up.
    pub(crate) progress: Option<Progress>,
}

/// How far a part has come.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Progress {
    /// Done.
    pub(crate) done: u64,
    /// To do; 0 where that is not known.
    pub(crate) total: u64,
}

/// `POST /v1/engine:accept-time`
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// True when an engine waited for this and goes on now.
    pub(crate) accepted: bool,
}

/// Answers the calls that need no token.
pub(super) fn answer(
    core: &Core,
    route: OperatorRoute<'_>,
    head: &Parts,
) -> Result<Reply, Problem> {
    match route {
        OperatorRoute::Livez => Ok(plain("ok\n")),
        OperatorRoute::Readyz => Ok(readyz(&core.context)),
        OperatorRoute::Metrics => Ok(plain(metrics_text(&core.context))),
        OperatorRoute::OpenApi => Ok(openapi::document(head)),
        OperatorRoute::Docs => Ok(openapi::page(head)),
        _ => Err(Slug::NotFound.into()),
    }
}

/// Answers `POST /v1/engine:accept-time`. Without an engine in this process the call is not there.
pub(super) fn accept_time(core: &Core) -> Result<Reply, Problem> {
    time_accepted(core.context.attachments.accept_time.as_ref())
}

/// Tells the engine, and says whether it waited for that.
pub(crate) fn time_accepted(accept: Option<&AcceptTime>) -> Result<Reply, Problem> {
    let accept = accept.ok_or(Slug::NotFound)?;
    Ok(reply::private_value(StatusCode::OK, &Accepted { accepted: accept() }))
}

/// True when every part of the gateway, and every part attached to it, is ready.
pub(crate) fn is_ready(context: &Context) -> bool {
    checks(context).iter().all(|check| check.ready)
}

fn readyz(context: &Context) -> Reply {
    ready_reply(checks(context))
}

/// The answer to `GET /readyz`: 200 when every check is ready, else 503.
pub(crate) fn ready_reply(checks: Vec<Check>) -> Reply {
    let ready = checks.iter().all(|check| check.ready);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    reply::private_value(status, &Ready { ready, checks })
}

fn checks(context: &Context) -> Vec<Check> {
    let accepting = match context.is_draining() {
        true => Readiness::because("draining"),
        false => Readiness::ready(),
    };
    let roster = match context.roster.ready() {
        Ok(()) => Readiness::ready(),
        Err(why) => Readiness::because(why),
    };
    let own = [("gateway", accepting), ("view", context.view.readiness()), ("roster", roster)];
    let own = own.into_iter().map(|(name, readiness)| Check::new(name, readiness));
    own.chain(attached(&context.attachments.readiness)).collect()
}

/// The checks that other parts attached, each made now.
pub(crate) fn attached(checks: &[ReadyCheck]) -> impl Iterator<Item = Check> {
    checks.iter().map(|check| Check::new(check.name, (check.check)()))
}

impl Check {
    fn new(name: &str, readiness: Readiness) -> Check {
        Check {
            name: name.to_owned(),
            ready: readiness.ready,
            reason: readiness.reason,
            progress: readiness.progress.map(|(done, total)| Progress { done, total }),
        }
    }
}

/// Everything in Prometheus' text format.
fn metrics_text(context: &Context) -> String {
    let mut out = String::with_capacity(16 * 1024);
    metrics::write_counters(&context.counters, &mut out);
    let gauges = [
        (
            "slotline_view_sequence",
            "The last command that the view knows.",
            context.view.sequence().0,
        ),
        ("slotline_view_lag_ms", "Age of the last command that the view knows.", lag_ms(context)),
        (
            "slotline_roster_version",
            "Imports that the roster has taken.",
            u64::from(context.roster.version()),
        ),
    ];
    for (name, help, value) in gauges {
        metrics::heading(&mut out, name, "gauge", help);
        metrics::line(&mut out, name, &[], value);
    }
    let counters = [
        (
            "slotline_gateway_wakes_total",
            "Wakes of cores by journal and view.",
            context.inboxes.iter().map(|inbox| inbox.wakes()).sum(),
        ),
        (
            "slotline_gateway_looks_total",
            "Looks at how far the commands of all gateways reach.",
            context.horizon.looked(),
        ),
        (
            "slotline_view_dropped_groups_total",
            "Groups of events that did not continue what was read.",
            context.view.dropped(),
        ),
        (
            "slotline_view_contradictions_total",
            "Events that did not fit what came before.",
            context.view.read().contradictions(),
        ),
        (
            "slotline_roster_refused_imports_total",
            "Roster imports that were written and not taken.",
            context.roster.refused_imports(),
        ),
    ];
    for (name, help, value) in counters {
        metrics::heading(&mut out, name, "counter", help);
        metrics::line(&mut out, name, &[], value);
    }
    metrics::write_stored_bytes(&*context.journal, &mut out);
    context.attachments.metrics.iter().for_each(|write| write(&mut out));
    out
}

fn lag_ms(context: &Context) -> u64 {
    let lag = crate::context::now().0.saturating_sub(context.view.at().0);
    u64::try_from(lag).unwrap_or(0)
}

/// Text for a machine, never kept by a cache.
pub(crate) fn plain(text: impl Into<Bytes>) -> Reply {
    let mut reply = reply::with_type(StatusCode::OK, reply::TEXT, text.into());
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
