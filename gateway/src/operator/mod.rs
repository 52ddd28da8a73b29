//! The operator's calls: rules, imports, attendance, lists, figures, health.
//!
//! Every call but those of monitoring and documentation needs an operator's token with the right role;
//! a citizen's token never opens one. A write answers once it is applied, so that the next read of
//! this gateway sees it. An import is all or nothing, and one is taken at a time.
//!
//! Each call that changes something, or that opens personal data, leaves one line in the text log: who,
//! what, how it ended. No line holds personal data.
//!
//! What this module deliberately does not do: keep anything of its own; what it writes is commands and
//! roster records, what it reads are the views.

pub(crate) mod access;
mod attendance;
mod confirmations;
mod corrections;
mod day_list;
mod desk;
pub(crate) mod health;
mod overview;
mod places;
mod roster;
pub(crate) mod route;
mod rules;
mod write;

use hyper::body::Incoming;
use hyper::http::request::Parts;

use crate::core::Core;
use crate::handler::worded;
use crate::problem::{Problem, Slug};
use crate::reply::Reply;

pub(crate) use attendance::AttendanceReported;
pub(crate) use confirmations::LINES_MAX;
pub use confirmations::{ConfirmationsError, ConfirmationsSource};
pub(crate) use corrections::tell_engine;
pub(crate) use day_list::COLUMNS as DAY_LIST_COLUMNS;
pub(crate) use desk::Desk;
pub use health::AcceptTime;
pub(crate) use health::{Accepted, Ready, is_ready};
pub(crate) use overview::Overview;
pub(crate) use places::{CapacityBody, CapacitySet};
pub(crate) use roster::RosterImported;
pub(crate) use route::OperatorRoute;
pub(crate) use rules::{DryRunAnswer, Published, RowsImported};

/// Answers one request of the operator listener.
pub(crate) async fn answer(core: &Core, head: &Parts, body: Incoming) -> Reply {
    let result = routed(core, head, body).await;
    let reply = result.unwrap_or_else(|problem| worded(core, head, problem));
    core.counters.answered_status(reply.status());
    reply
}

async fn routed(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    let route = OperatorRoute::find(head.uri.path()).ok_or(Slug::NotFound)?;
    if !route.takes(&head.method) {
        return Err(Problem::from(Slug::MethodNotAllowed).allow(route.allow()));
    }
    let Some(role) = route.role() else {
        return health::answer(core, route, head);
    };
    let operator = access::operator(&core.context.vault, &head.headers, role)?;
    // Taken now: the count moves on while this call waits.
    let request_id = core.request_id();
    let result = perform(core, route, head, body).await;
    audit(route, &operator.name, &request_id, &result);
    result
}

/// One line for each call that changes something or opens personal data.
pub(crate) fn audit(
    route: OperatorRoute<'_>,
    operator: &str,
    request_id: &str,
    result: &Result<Reply, Problem>,
) {
    if !route.is_audited() {
        return;
    }
    let status = match result {
        Ok(reply) => reply.status(),
        Err(problem) => problem.slug().status(),
    };
    tracing::info!(
        target: "slotline::audit",
        %operator,
        call = route.name(),
        about = route.subject(),
        status = status.as_u16(),
        request = %request_id,
        "operator call"
    );
}

async fn perform(
    core: &Core,
    route: OperatorRoute<'_>,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    match route {
        OperatorRoute::Category(number) => rules::put_category(core, number, head, body).await,
        OperatorRoute::Period(number) => rules::put_period(core, number, head, body).await,
        OperatorRoute::ImportMembers(number) => {
            rules::import_members(core, number, head, body).await
        }
        OperatorRoute::ImportRoster => roster::import(core, head, body).await,
        OperatorRoute::ImportSites => places::import_sites(core, head, body).await,
        OperatorRoute::ImportSlots => places::import_slots(core, head, body).await,
        OperatorRoute::Slot(number) => places::set_capacity(core, number, head, body).await,
        OperatorRoute::Attendance => attendance::report(core, head, body).await,
        OperatorRoute::DayList(site) => day_list::export(core, site, head).await,
        OperatorRoute::Overview => overview::answer(core).await,
        OperatorRoute::Confirmations => confirmations::answer(core, head).await,
        OperatorRoute::AcceptTime => health::accept_time(core),
        // Answered before a token was asked for.
        OperatorRoute::Metrics
        | OperatorRoute::Livez
        | OperatorRoute::Readyz
        | OperatorRoute::OpenApi
        | OperatorRoute::Docs => Err(Slug::NotFound.into()),
    }
}
