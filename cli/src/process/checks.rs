//! What `/readyz` and `/metrics` say of the parts of a process.
//!
//! The answers are there before the parts are: a check of a part that is not open yet says so. What this
//! module does not do: judge for the parts; each says itself how it is.

use std::sync::{Arc, OnceLock};

use engine::{EngineStatus, Phase};
use gateway::{AcceptTime, MetricsSource, Readiness, ReadyCheck};
use notifier::{NotifierPhase, NotifierStatus};

use super::Cast;
use super::streams::Streams;

/// Where the parts tell of themselves, once they are open.
#[derive(Default)]
pub(super) struct Board {
    pub(super) streams: OnceLock<Streams>,
    pub(super) engine: OnceLock<Arc<EngineStatus>>,
    pub(super) notifier: OnceLock<Arc<NotifierStatus>>,
}

impl Board {
    /// The checks of these parts. `exclusive`: there is no other process, so standing by is not enough.
    pub(super) fn checks(self: &Arc<Board>, cast: Cast, exclusive: bool) -> Vec<ReadyCheck> {
        let mut checks = vec![self.check("journal", |board| {
            board.streams.get().map_or_else(|| Readiness::because("opening"), Streams::readiness)
        })];
        if cast.has_engine() {
            checks.push(self.check("engine", move |board| match board.engine.get() {
                None => Readiness::because("opening the checkpoint"),
                Some(status) => engine_readiness(status, exclusive),
            }));
        }
        if cast.has_notifier() {
            checks.push(self.check("notifier", move |board| match board.notifier.get() {
                None => Readiness::because("opening"),
                Some(status) => notifier_readiness(status, exclusive),
            }));
        }
        checks
    }

    fn check(
        self: &Arc<Board>,
        name: &'static str,
        look: impl Fn(&Board) -> Readiness + Send + Sync + 'static,
    ) -> ReadyCheck {
        let board = Arc::clone(self);
        ReadyCheck { name, check: Arc::new(move || look(&board)) }
    }

    /// Figures of the journal, once it is open.
    pub(super) fn journal_metrics(self: &Arc<Board>, with_sizes: bool) -> MetricsSource {
        let board = Arc::clone(self);
        Arc::new(move |out| {
            if let Some(streams) = board.streams.get() {
                streams.metrics(with_sizes)(out);
            }
        })
    }

    /// Tells an engine that waits for it that the journal's time is right.
    pub(super) fn accept_time(self: &Arc<Board>) -> AcceptTime {
        let board = Arc::clone(self);
        Arc::new(move || board.engine.get().is_some_and(|status| status.accept_time()))
    }
}

fn engine_readiness(status: &EngineStatus, exclusive: bool) -> Readiness {
    match status.phase() {
        Phase::Halted => Readiness::because(status.halted_reason().unwrap_or_default()),
        Phase::Active => remarked(Phase::Active.name()),
        Phase::Standby if !exclusive => remarked(Phase::Standby.name()),
        phase => {
            let progress = Some((status.position(), status.replay_target()));
            Readiness { progress, ..Readiness::because(phase.name()) }
        }
    }
}

fn notifier_readiness(status: &NotifierStatus, exclusive: bool) -> Readiness {
    if let Some(why) = status.failure() {
        return Readiness::because(why);
    }
    if let Some(why) = status.book_trouble() {
        return Readiness::because(why);
    }
    match status.phase() {
        NotifierPhase::Active => remarked("active"),
        NotifierPhase::Standby if !exclusive => remarked("standby"),
        _ => Readiness::because("reading what was sent before"),
    }
}

/// Ready, and what as.
fn remarked(what: &str) -> Readiness {
    Readiness { reason: what.to_owned(), ..Readiness::ready() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_open_yet_says_so() {
        let board = Arc::new(Board::default());
        let told: Vec<(&str, bool, String)> = board
            .checks(Cast::All, true)
            .iter()
            .map(|check| (check.name, check))
            .map(|(name, check)| (name, (check.check)()))
            .map(|(name, readiness)| (name, readiness.ready, readiness.reason))
            .collect();
        let expected =
            [("journal", "opening"), ("engine", "opening the checkpoint"), ("notifier", "opening")];
        assert_eq!(told, expected.map(|(name, why)| (name, false, why.to_owned())));
        assert!(!board.accept_time()());
    }

    #[test]
    fn each_process_checks_its_own_parts() {
        let board = Arc::new(Board::default());
        let names = |cast| -> Vec<&str> {
            board.checks(cast, false).iter().map(|check| check.name).collect()
        };
        assert_eq!(names(Cast::Gateway), ["journal"]);
        assert_eq!(names(Cast::Engine), ["journal", "engine"]);
        assert_eq!(names(Cast::Notifier), ["journal", "notifier"]);
    }
}
