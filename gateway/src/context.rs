//! What all cores of a gateway share.
//!
//! Immutable once built, or made to be read while one thread writes. What this module does not do:
//! anything per core (`core`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Millis;
use journal::Journal;
use vault::Vault;

use crate::availability::Availability;
use crate::config::GatewayConfig;
use crate::decided::DecidedKeys;
use crate::horizon::{GroupsBefore, Horizon};
use crate::in_flight::InFlight;
use crate::limiter::{FailureBook, RateBook};
use crate::metrics::{Counters, MetricsSource};
use crate::operator::{AcceptTime, ConfirmationsSource, Desk};
use crate::outcomes::{Inboxes, Watchers};
use crate::roster::RosterView;
use crate::roster_end::RosterEnd;
use crate::view::ViewHandle;

/// Tells whether a part of the process is ready, and if not, why.
#[derive(Clone)]
pub struct ReadyCheck {
    /// What is checked, for example `engine`.
    pub name: &'static str,
    /// Quick; called at every `GET /readyz`.
    pub check: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

impl std::fmt::Debug for ReadyCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyCheck").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The answer of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Readiness {
    /// Whether it is ready.
    pub ready: bool,
    /// Why not, or a remark; never personal data.
    pub reason: String,
    /// Done and to do, where it is catching up.
    pub progress: Option<(u64, u64)>,
}

impl Readiness {
    /// Ready, nothing to say.
    pub fn ready() -> Readiness {
        Readiness { ready: true, reason: String::new(), progress: None }
    }

    /// Not ready.
    pub fn because(reason: impl Into<String>) -> Readiness {
        Readiness { ready: false, reason: reason.into(), progress: None }
    }
}

/// What other parts of the process add to the gateway's operator listener.
#[derive(Clone, Default)]
pub struct Attachments {
    /// Checks of `/readyz`.
    pub readiness: Vec<ReadyCheck>,
    /// Texts of `/metrics`.
    pub metrics: Vec<MetricsSource>,
    /// Lines of `GET /v1/confirmations`; without, the call is not there.
    pub confirmations: Option<ConfirmationsSource>,
    /// What `POST /v1/engine:accept-time` does; without, the call is not there.
    pub accept_time: Option<AcceptTime>,
    /// Given where other gateways write the same journal: how its positions count groups. Without, this
    /// gateway is taken for the only one.
    pub groups_before: Option<GroupsBefore>,
}

impl From<Vec<ReadyCheck>> for Attachments {
    fn from(readiness: Vec<ReadyCheck>) -> Attachments {
        Attachments { readiness, ..Attachments::default() }
    }
}

impl std::fmt::Debug for Attachments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachments").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

/// What all cores share.
pub(crate) struct Context {
    /// Every limit.
    pub(crate) config: GatewayConfig,
    /// The streams.
    pub(crate) journal: Arc<dyn Journal>,
    /// Keys, tokens, receipts, seals.
    pub(crate) vault: Arc<Vault>,
    /// What the events say, and how far they were read.
    pub(crate) view: ViewHandle,
    /// The people the authority knows.
    pub(crate) roster: Arc<RosterView>,
    /// How far the commands of all gateways reach.
    pub(crate) horizon: Horizon,
    /// How far the roster reaches.
    pub(crate) roster_end: RosterEnd,
    /// Answers for everyone.
    pub(crate) availability: Availability,
    /// Keys that may have an outcome.
    pub(crate) decided: DecidedKeys,
    /// Keys on their way.
    pub(crate) in_flight: Arc<InFlight>,
    /// Readers of receipts.
    pub(crate) watchers: Arc<Watchers>,
    /// Where decisions for a core go; the last is the operator listener's.
    pub(crate) inboxes: Inboxes,
    /// Each core's counts.
    pub(crate) counters: Vec<Arc<Counters>>,
    /// Failed proofs of identity.
    pub(crate) failures: FailureBook,
    /// Commands of people.
    pub(crate) person_rates: RateBook,
    /// Requests of addresses.
    pub(crate) address_rates: RateBook,
    /// What other parts add to the operator listener.
    pub(crate) attachments: Attachments,
    /// Where imports wait for each other.
    pub(crate) desk: Desk,
    /// Random per start, never 0.
    pub(crate) instance: u32,
    /// True from the beginning of a drain.
    pub(crate) draining: AtomicBool,
    /// Why a core ended that nobody told to.
    pub(crate) stopped: OnceLock<String>,
}

impl Context {
    /// The core number of the operator listener.
    pub(crate) fn operator_core(&self) -> u8 {
        u8::try_from(self.inboxes.len().saturating_sub(1)).unwrap_or(u8::MAX)
    }

    /// True from the beginning of a drain.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("instance", &self.instance).finish_non_exhaustive()
    }
}

/// The gateway's clock: for tokens, patience and shedding. Decisions take the journal's.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
