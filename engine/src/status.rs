//! What the engine is doing, for `/readyz`, progress bars and tests. Read from any thread.
//!
//! Deliberately not a way to ask the engine anything about bookings.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

/// What the engine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Reading what was decided before.
    Replaying = 0,
    /// Up to date, and not the one that writes (also after an orderly stop).
    Standby = 1,
    /// Deciding.
    Active = 2,
    /// Stopped for a reason that needs a person.
    Halted = 3,
}

impl Phase {
    /// Lower-case name.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Replaying => "replaying",
            Phase::Standby => "standby",
            Phase::Active => "active",
            Phase::Halted => "halted",
        }
    }
}

/// Shared figures; each is monotonic or self-contained, so no lock ties them together.
#[derive(Debug, Default)]
pub struct EngineStatus {
    /// [`Phase`] as a number.
    phase: AtomicU8,
    /// Commands applied.
    sequence: AtomicU64,
    /// Where the next commands group will be read.
    position: AtomicU64,
    /// Where the replay began.
    replay_start: AtomicU64,
    /// Where the replay will end: the end of `commands` when the engine started.
    replay_target: AtomicU64,
    /// Events stand (durable or accepted) through this sequence.
    events_sequence: AtomicU64,
    /// Newest committed checkpoint.
    checkpoint_sequence: AtomicU64,
    /// Highest epoch read.
    epoch: AtomicU64,
    /// Time of the last group applied.
    at_ms: AtomicI64,
    /// Groups dropped because they lie beyond the next expected one (a deposed engine's).
    beyond: AtomicU64,
    /// Longest pause of the writer for one cut.
    cut_pause_us_max: AtomicU64,
    /// An operator accepts the journal's time.
    accept_time: AtomicBool,
    /// The engine waits for `accept_time`.
    awaits_time: AtomicBool,
    /// Why it halted.
    halted: Mutex<Option<String>>,
    /// Why no more checkpoints are taken.
    checkpoint_failure: Mutex<Option<String>>,
    /// Why no more pulses are written.
    pulse_failure: Mutex<Option<String>>,
}

impl EngineStatus {
    /// What the engine is doing.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Replaying,
            1 => Phase::Standby,
            2 => Phase::Active,
            _ => Phase::Halted,
        }
    }

    /// Commands applied so far.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Where the next commands group will be read.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Position in `commands` at which the replay ends.
    pub fn replay_target(&self) -> u64 {
        self.replay_target.load(Ordering::Relaxed)
    }

    /// How much of the replay is done, in thousandths.
    pub fn replay_permille(&self) -> u64 {
        let start = self.replay_start.load(Ordering::Relaxed);
        let whole = self.replay_target().saturating_sub(start);
        if whole == 0 {
            return 1_000;
        }
        let done = self.position().saturating_sub(start).min(whole);
        (u128::from(done) * 1_000 / u128::from(whole)) as u64
    }

    /// Events stand through this sequence.
    pub fn events_sequence(&self) -> u64 {
        self.events_sequence.load(Ordering::Acquire)
    }

    /// Sequence of the newest committed checkpoint, 0 when there is none.
    pub fn checkpoint_sequence(&self) -> u64 {
        self.checkpoint_sequence.load(Ordering::Acquire)
    }

    /// Highest epoch read.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Journal time of the last group applied, milliseconds since 1970 UTC.
    pub fn at_ms(&self) -> i64 {
        self.at_ms.load(Ordering::Relaxed)
    }

    /// Events groups of deposed engines that were dropped.
    pub fn beyond(&self) -> u64 {
        self.beyond.load(Ordering::Relaxed)
    }

    /// Longest pause of the writer for one checkpoint cut, microseconds.
    pub fn cut_pause_us_max(&self) -> u64 {
        self.cut_pause_us_max.load(Ordering::Relaxed)
    }

    /// Why the engine halted, if it did.
    pub fn halted_reason(&self) -> Option<String> {
        self.halted.lock().clone()
    }

    /// Why no more checkpoints are taken, if so. Bookings go on: the journal holds everything.
    pub fn checkpoint_failure(&self) -> Option<String> {
        self.checkpoint_failure.lock().clone()
    }

    /// Why the engine can no longer write pulses, if so.
    pub fn pulse_failure(&self) -> Option<String> {
        self.pulse_failure.lock().clone()
    }

    /// An operator says that the journal's time is right although this machine's clock disagrees.
    /// Returns whether the engine was waiting for that.
    pub fn accept_time(&self) -> bool {
        if !self.awaits_time() {
            return false;
        }
        self.accept_time.store(true, Ordering::Release);
        true
    }

    /// True while the engine waits for [`EngineStatus::accept_time`], or for the clocks to agree.
    pub fn awaits_time(&self) -> bool {
        self.awaits_time.load(Ordering::Acquire)
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn set_replay(&self, start: u64, target: u64) {
        self.replay_start.store(start, Ordering::Relaxed);
        self.position.store(start, Ordering::Relaxed);
        self.replay_target.store(target, Ordering::Relaxed);
    }

    pub(crate) fn applied(&self, sequence: u64, position: u64, at_ms: i64, epoch: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.at_ms.store(at_ms, Ordering::Relaxed);
        self.epoch.store(epoch, Ordering::Relaxed);
        self.sequence.store(sequence, Ordering::Release);
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    pub(crate) fn set_events(&self, sequence: u64, beyond: u64) {
        self.beyond.store(beyond, Ordering::Relaxed);
        self.events_sequence.store(sequence, Ordering::Release);
    }

    pub(crate) fn set_checkpoint(&self, sequence: u64) {
        self.checkpoint_sequence.store(sequence, Ordering::Release);
    }

    pub(crate) fn record_cut_pause(&self, pause_us: u64) {
        self.cut_pause_us_max.fetch_max(pause_us, Ordering::Relaxed);
    }

    pub(crate) fn fail_checkpoint(&self, why: String) {
        *self.checkpoint_failure.lock() = Some(why);
    }

    pub(crate) fn fail_pulse(&self, why: String) {
        self.pulse_failure.lock().get_or_insert(why);
    }

    pub(crate) fn halt(&self, why: String) {
        *self.halted.lock() = Some(why);
        self.set_phase(Phase::Halted);
    }

    pub(crate) fn unhalt(&self, phase: Phase) {
        *self.halted.lock() = None;
        self.set_phase(phase);
    }

    pub(crate) fn await_time(&self, waits: bool) {
        self.awaits_time.store(waits, Ordering::Release);
        if !waits {
            self.accept_time.store(false, Ordering::Release);
        }
    }

    pub(crate) fn time_accepted(&self) -> bool {
        self.accept_time.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_from_where_the_replay_began() {
        let status = EngineStatus::default();
        status.set_replay(1_000, 3_000);
        assert_eq!(status.replay_permille(), 0);
        status.applied(7, 2_000, 0, 0);
        assert_eq!(status.replay_permille(), 500);
        status.applied(8, 4_000, 0, 0);
        assert_eq!(status.replay_permille(), 1_000);
    }

    #[test]
    fn an_empty_journal_is_fully_replayed() {
        let status = EngineStatus::default();
        status.set_replay(0, 0);
        assert_eq!(status.replay_permille(), 1_000);
    }

    #[test]
    fn time_is_accepted_only_while_it_is_awaited() {
        let status = EngineStatus::default();
        assert!(!status.accept_time());
        assert!(!status.time_accepted());
        status.await_time(true);
        assert!(status.accept_time());
        assert!(status.time_accepted());
        status.await_time(false);
        assert!(!status.time_accepted());
    }
}
