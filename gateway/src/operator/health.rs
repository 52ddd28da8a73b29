//! What monitoring asks, and the one order an operator may give the engine.
//!
//! Liveness never waits for anything. Readiness says of every part whether it is ready and why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    let accepting = match context.stopped.get() {
        Some(why) => Readiness::because(why.clone()),
        None if context.is_draining() => Readiness::because("draining"),
        None => Readiness::ready(),
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
    let wakes = context.inboxes.iter().map(|inbox| inbox.wakes()).sum();
    let version = u64::from(context.roster.version());
    let refused = context.roster.refused_imports();
    write_plain(
        &mut out,
        &[
            ("slotline_roster_version", "gauge", "Imports that the roster has taken.", version),
            (
                "slotline_roster_refused_imports_total",
                "counter",
                "Roster imports that were written and not taken.",
                refused,
            ),
            (
                "slotline_gateway_wakes_total",
                "counter",
                "Wakes of cores by journal and view.",
                wakes,
            ),
            (
                "slotline_gateway_looks_total",
                "counter",
                "Looks at how far the commands of all gateways reach.",
                context.horizon.looked(),
            ),
        ],
    );
    write_view(context, &mut out);
    write_checkpoints(context, &mut out);
    metrics::write_stored_bytes(&*context.journal, &mut out);
    context.attachments.metrics.iter().for_each(|write| write(&mut out));
    out
}

/// Name, kind, meaning and value.
type Metric = (&'static str, &'static str, &'static str, u64);

fn write_plain(out: &mut String, all: &[Metric]) {
    for (name, kind, help, value) in all {
        metrics::heading(out, name, kind, help);
        metrics::line(out, name, &[], *value);
    }
}

fn write_view(context: &Context, out: &mut String) {
    let view = &context.view;
    let contradictions = view.read().contradictions();
    let all: [Metric; 6] = [
        (
            "slotline_view_sequence",
            "gauge",
            "The last command that the view knows.",
            view.sequence().0,
        ),
        (
            "slotline_view_lag_ms",
            "gauge",
            "Age of the last command that the view knows.",
            age_ms(view.at().0),
        ),
        (
            "slotline_view_loaded_sequence",
            "gauge",
            "The last command of the checkpoint that this start began with; 0 without one.",
            view.loaded(),
        ),
        (
            "slotline_view_groups_total",
            "counter",
            "Groups of events taken in since the start.",
            view.groups(),
        ),
        (
            "slotline_view_dropped_groups_total",
            "counter",
            "Groups of events that did not continue what was read.",
            view.dropped(),
        ),
        (
            "slotline_view_contradictions_total",
            "counter",
            "Events that did not fit what came before.",
            contradictions,
        ),
    ];
    write_plain(out, &all);
}

fn write_checkpoints(context: &Context, out: &mut String) {
    let figures = &context.view.checkpoints;
    let get = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
    let written_at_ms = figures.written_at_ms.load(Ordering::Relaxed);
    let age_ms = if written_at_ms > 0 { age_ms(written_at_ms) } else { 0 };
    let all: [Metric; 7] = [
        (
            "slotline_view_checkpoint_sequence",
            "gauge",
            "The last command that the newest checkpoint of the view holds; 0 without one.",
            get(&figures.sequence),
        ),
        (
            "slotline_view_checkpoint_age_ms",
            "gauge",
            "Age of the newest checkpoint of the view; 0 without one.",
            age_ms,
        ),
        (
            "slotline_view_checkpoint_bytes",
            "gauge",
            "Length of the newest checkpoint of the view.",
            get(&figures.bytes),
        ),
        (
            "slotline_view_checkpoint_duration_ms",
            "gauge",
            "How long the last checkpoint of the view took to write.",
            get(&figures.duration_ms),
        ),
        (
            "slotline_view_checkpoint_hold_us",
            "gauge",
            "The longest time for which writing it held the view.",
            get(&figures.hold_us),
        ),
        (
            "slotline_view_checkpoints_total",
            "counter",
            "Checkpoints of the view written since the start.",
            get(&figures.written),
        ),
        (
            "slotline_view_checkpoint_failures_total",
            "counter",
            "Checkpoints of the view begun and not written.",
            get(&figures.failures),
        ),
    ];
    write_plain(out, &all);
}

fn age_ms(at_ms: i64) -> u64 {
    u64::try_from(crate::context::now().0.saturating_sub(at_ms)).unwrap_or(0)
}

/// Text for a machine, never kept by a cache.
pub(crate) fn plain(text: impl Into<Bytes>) -> Reply {
    let mut reply = reply::with_type(StatusCode::OK, reply::TEXT, text.into());
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
