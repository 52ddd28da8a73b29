//! Refusing work that the rules would refuse anyway, without writing a command.
//!
//! A shed reply must never contradict what the writer decided or will decide about the same key. So it
//! is given only when the view has caught up with the start, when neither the view nor the requests in
//! flight know the key, and when the window is shut by more than the clocks may differ. Where other
//! gateways write too, the view must first have what they wrote until now. A shed reply says
//! `decided: false` and carries no receipt. In every other case the writer decides.
//!
//! What this module does not do: eligibility, which is the writer's.

use std::time::Duration;

use domain::view::PeriodEntry;
use domain::{Millis, Rejection, SlotNumber};

use crate::availability::Published;
use crate::caller::Caller;
use crate::core::Core;
use crate::problem::{Problem, Slug};
use crate::retry::{Request, seconds_until};

/// How long a reply that would be shed waits for what other gateways wrote; then the writer decides.
const OTHERS_WAIT: Duration = Duration::from_millis(250);

/// Why a booking need not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shut {
    /// Opens then.
    NotYet(Millis),
    /// Closed for good.
    Closed,
}

impl Shut {
    fn problem(self, at: Millis) -> Problem {
        match self {
            Shut::NotYet(opens_at) => {
                Problem::shed(Slug::WindowNotOpenYet).retry_after_s(seconds_until(at, opens_at))
            }
            Shut::Closed => Problem::shed(Slug::Rejected(Rejection::WindowClosed)),
        }
    }
}

/// Before the body is read: no period is open, and the person has no request, recorded or on its way,
/// that this might be a repetition of. (Without the body the key is not known, so anything on its way
/// counts.)
///
/// # Errors
/// 425 or 409, undecided.
#[inline]
pub(crate) async fn before_body(core: &Core, caller: &Caller) -> Result<(), Problem> {
    let may_be_shed = || {
        let published = core.context.availability.published();
        let skew_ms = core.context.config.request.clock_skew_ms_max;
        let shut = all_shut(&published.notices.periods, caller.at, skew_ms)?;
        let mut inboxes = core.context.inboxes.iter();
        let anything_on_its_way = inboxes.any(|inbox| inbox.pushed() != inbox.seen());
        let known = !core.context.view.is_caught_up()
            || anything_on_its_way
            || has_requests(core, caller, &published);
        (!known).then(|| shut.problem(caller.at))
    };
    let refusal = may_be_shed();
    if refusal.is_none() || !core.context.horizon.is_shared() {
        return shed(core, refusal);
    }
    if others_are_known(core, caller).await { shed(core, may_be_shed()) } else { Ok(()) }
}

/// After the body: this period's window is shut, or no place is left in the slot.
///
/// # Errors
/// 425 or 409, undecided; 422 when the key was used for another request.
#[inline]
pub(crate) async fn booking(
    core: &Core,
    request: &Request,
    slot: SlotNumber,
) -> Result<(), Problem> {
    let first = refusal(core, request, slot)?;
    if first.is_none() || !core.context.horizon.is_shared() {
        return shed(core, first);
    }
    if !others_are_known(core, &request.caller).await {
        return Ok(());
    }
    shed(core, refusal(core, request, slot)?)
}

/// Why this booking need not be written, as far as is known here.
#[inline]
fn refusal(core: &Core, request: &Request, slot: SlotNumber) -> Result<Option<Problem>, Problem> {
    let at = request.caller.at;
    let published = core.context.availability.published();
    let skew_ms = core.context.config.request.clock_skew_ms_max;
    let shut = published.period(request.period).and_then(|period| shut(period, at, skew_ms));
    let problem = match shut {
        Some(shut) => shut.problem(at),
        None if is_full(core, &published, slot) => {
            Problem::shed(Slug::Rejected(Rejection::SlotFull))
        }
        None => return Ok(None),
    };
    let context = &core.context;
    if !context.view.is_caught_up() || context.in_flight.may_hold(request.retry.key) {
        return Ok(None);
    }
    if request.known(core)?.is_some() || has_active_booking(core, request, at) {
        return Ok(None);
    }
    Ok(Some(problem))
}

fn shed(core: &Core, refusal: Option<Problem>) -> Result<(), Problem> {
    let Some(problem) = refusal else { return Ok(()) };
    core.counters.shed.add(1);
    Err(problem)
}

/// True once the view has what other gateways wrote until now.
async fn others_are_known(core: &Core, caller: &Caller) -> bool {
    core.view_reached_within(caller.seen_sequence, OTHERS_WAIT).await.is_ok()
}

/// True for a slot that is known and has no place left, by the live counters.
#[inline]
fn is_full(core: &Core, published: &Published, slot: SlotNumber) -> bool {
    core.context.view.places().get(slot) == 0 && published.places.slot(slot).is_some()
}

/// A person who holds a booking hears that from the writer, not that the slot is full.
fn has_active_booking(core: &Core, request: &Request, at: Millis) -> bool {
    let view = core.context.view.read();
    let number = request.caller.number_in(&view);
    number.is_some_and(|number| view.active_booking(number, at).is_some())
}

fn has_requests(core: &Core, caller: &Caller, published: &Published) -> bool {
    let view = core.context.view.read();
    let Some(number) = caller.number_in(&view) else {
        return false;
    };
    let mut periods = published.notices.periods.iter();
    periods.any(|entry| view.recorded_request(number, entry.period.number))
}

/// Whether and how a period's window is shut by more than the clocks may differ.
fn shut(entry: &PeriodEntry, at: Millis, skew_ms: i64) -> Option<Shut> {
    let opens_at = entry.opens_at();
    if at.0 < opens_at.0.saturating_sub(skew_ms) {
        Some(Shut::NotYet(opens_at))
    } else if at.0 >= entry.period.closes_at.0.saturating_add(skew_ms) {
        Some(Shut::Closed)
    } else {
        None
    }
}

/// How all periods are shut, if they are: the next one to open counts.
fn all_shut(periods: &[PeriodEntry], at: Millis, skew_ms: i64) -> Option<Shut> {
    let mut next = Shut::Closed;
    for entry in periods {
        match (shut(entry, at, skew_ms)?, next) {
            (Shut::NotYet(opens_at), Shut::NotYet(known)) if opens_at >= known => {}
            (Shut::NotYet(opens_at), _) => next = Shut::NotYet(opens_at),
            (Shut::Closed, _) => {}
        }
    }
    // Where nothing was ever announced, the writer says so.
    (!periods.is_empty()).then_some(next)
}
