//! Who may write: epochs, as a pure state machine.
//!
//! An engine starts as a standby. It claims the next epoch only after it has read no pulse of the
//! current one for `takeover_ms` (in exclusive mode at once: a lock has decided already), and is
//! active from the moment it reads its own record as the winning one. An active engine that reads a
//! higher epoch stands down.
//!
//! Deliberately knows neither journal nor clock: the loop tells it what it read and what time it is.

use crate::EngineError;

/// What the loop must do about what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing changes.
    Stay,
    /// This engine's record won: write from this group on.
    Activate,
    /// Another engine's record won: this group is already not ours to write.
    StandDown,
}

/// The state of one engine's candidacy.
#[derive(Debug)]
pub(crate) struct Election {
    /// A lock has decided that there is no other.
    exclusive: bool,
    /// This run of this engine.
    engine: [u8; 16],
    /// How long no pulse means that nobody is active.
    takeover_ms: u64,
    /// True while this engine writes.
    active: bool,
    /// The epoch whose record this run appended and has not read yet.
    claimed: Option<u64>,
    /// Highest epoch read.
    epoch: u64,
    /// Since when no pulse of that epoch was read.
    silent_since_ms: u64,
}

impl Election {
    /// A standby that has read up to `epoch`.
    pub(crate) fn new(
        exclusive: bool,
        engine: [u8; 16],
        takeover_ms: u64,
        epoch: u64,
        now_ms: u64,
    ) -> Election {
        Election {
            exclusive,
            engine,
            takeover_ms,
            active: false,
            claimed: None,
            epoch,
            silent_since_ms: now_ms,
        }
    }

    /// True while this engine writes.
    pub(crate) fn is_active(&self) -> bool {
        self.active
    }

    /// Takes note of one group: the highest epoch after it, whose record won that, and the highest
    /// epoch of a pulse in it.
    ///
    /// # Errors
    /// [`EngineError::Contended`] when exclusive mode turns out not to be.
    pub(crate) fn observe(
        &mut self,
        epoch: u64,
        winner: Option<[u8; 16]>,
        pulse: Option<u64>,
        now_ms: u64,
    ) -> Result<Verdict, EngineError> {
        if pulse.is_some_and(|pulse| pulse >= epoch) {
            self.silent_since_ms = now_ms;
        }
        if epoch <= self.epoch {
            return Ok(Verdict::Stay);
        }
        self.epoch = epoch;
        self.silent_since_ms = now_ms;
        if self.claimed == Some(epoch) && winner == Some(self.engine) {
            self.claimed = None;
            self.active = true;
            return Ok(Verdict::Activate);
        }
        let contended = self.active || self.claimed.is_some_and(|claimed| claimed <= epoch);
        if self.exclusive && contended {
            return Err(EngineError::Contended { epoch });
        }
        if self.claimed.is_some_and(|claimed| claimed <= epoch) {
            self.claimed = None;
        }
        if std::mem::take(&mut self.active) {
            return Ok(Verdict::StandDown);
        }
        Ok(Verdict::Stay)
    }

    /// True when it is time to claim the next epoch, provided that everything that was durable by
    /// now has been read and changes nothing.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        if self.active {
            return false;
        }
        let silent_ms = now_ms.saturating_sub(self.silent_since_ms);
        if self.exclusive && self.claimed.is_none() {
            return true;
        }
        silent_ms >= self.takeover_ms
    }

    /// Nobody could be heard until now: the silence so far says nothing of the active engine.
    pub(crate) fn listen_anew(&mut self, now_ms: u64) {
        self.silent_since_ms = now_ms;
    }

    /// True when an answer that took this long means that nobody could be heard meanwhile.
    pub(crate) fn was_deaf(&self, took_ms: u64) -> bool {
        !self.exclusive && took_ms >= self.takeover_ms / 2
    }

    /// Claims the next epoch; the caller appends its record. Claims the same one again when the
    /// earlier record did not come through.
    pub(crate) fn claim(&mut self, now_ms: u64) -> u64 {
        let epoch = self.epoch + 1;
        self.claimed = Some(epoch);
        self.silent_since_ms = now_ms;
        epoch
    }

    /// Gives up having been activated: the events stream shows that a later epoch is at work.
    pub(crate) fn step_back(&mut self, now_ms: u64) {
        self.active = false;
        self.claimed = None;
        self.silent_since_ms = now_ms;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const ME: [u8; 16] = [1; 16];
    const OTHER: [u8; 16] = [2; 16];
    const TAKEOVER_MS: u64 = 3_000;

    fn shared(epoch: u64) -> Election {
        Election::new(false, ME, TAKEOVER_MS, epoch, 0)
    }

    #[test]
    fn a_standby_waits_until_the_pulse_has_been_silent_long_enough() {
        let mut election = shared(4);
        assert!(!election.is_due(TAKEOVER_MS - 1));
        assert_eq!(election.observe(4, Some(OTHER), Some(4), 2_000).unwrap(), Verdict::Stay);
        assert!(!election.is_due(TAKEOVER_MS));
        assert!(election.is_due(2_000 + TAKEOVER_MS));
    }

    #[test]
    fn a_standby_that_heard_nobody_for_a_while_waits_as_long_again() {
        let mut election = shared(4);
        assert!(election.is_due(TAKEOVER_MS));
        assert!(!election.was_deaf(TAKEOVER_MS / 2 - 1) && election.was_deaf(TAKEOVER_MS / 2));
        election.listen_anew(9_000);
        assert!(!election.is_due(9_000 + TAKEOVER_MS - 1));
        assert!(election.is_due(9_000 + TAKEOVER_MS));
        assert!(
            !Election::new(true, ME, TAKEOVER_MS, 0, 0).was_deaf(u64::MAX),
            "a lock has decided"
        );
    }

    #[test]
    fn pulses_of_an_older_epoch_do_not_count() {
        let mut election = shared(4);
        election.observe(4, Some(OTHER), Some(3), 2_000).unwrap();
        assert!(election.is_due(TAKEOVER_MS));
    }

    #[test]
    fn the_own_record_activates_only_when_it_won() {
        let mut election = shared(4);
        assert_eq!(election.claim(3_000), 5);
        assert_eq!(election.observe(5, Some(OTHER), None, 3_010).unwrap(), Verdict::Stay);
        assert!(!election.is_active());

        assert_eq!(election.claim(7_000), 6);
        assert_eq!(election.observe(6, Some(ME), None, 7_010).unwrap(), Verdict::Activate);
        assert!(election.is_active());
    }

    #[test]
    fn a_record_of_an_earlier_run_under_the_same_number_does_not_activate() {
        let mut election = shared(4);
        assert_eq!(election.observe(5, Some(ME), None, 10).unwrap(), Verdict::Stay);
        assert!(!election.is_active());
    }

    #[test]
    fn a_claim_overtaken_within_one_group_does_not_activate() {
        let mut election = shared(4);
        election.claim(3_000);
        assert_eq!(election.observe(6, Some(OTHER), None, 3_010).unwrap(), Verdict::Stay);
        assert!(!election.is_active());
        assert_eq!(election.claim(9_000), 7);
    }

    #[test]
    fn an_active_engine_stands_down_for_a_higher_epoch() {
        let mut election = shared(0);
        election.claim(3_000);
        election.observe(1, Some(ME), None, 3_010).unwrap();
        assert_eq!(election.observe(2, Some(OTHER), None, 3_020).unwrap(), Verdict::StandDown);
        assert!(!election.is_active());
        assert!(!election.is_due(3_030));
    }

    #[test]
    fn a_lost_claim_is_made_again_after_the_same_wait() {
        let mut election = shared(0);
        assert_eq!(election.claim(3_000), 1);
        assert!(!election.is_due(5_999));
        assert!(election.is_due(6_000));
        assert_eq!(election.claim(6_000), 1);
    }

    #[test]
    fn exclusive_mode_claims_at_once_and_refuses_company() {
        let mut election = Election::new(true, ME, TAKEOVER_MS, 9, 0);
        assert!(election.is_due(0));
        assert_eq!(election.claim(0), 10);
        assert!(!election.is_due(1));
        assert_eq!(election.observe(10, Some(ME), None, 1).unwrap(), Verdict::Activate);
        assert!(matches!(
            election.observe(11, Some(OTHER), None, 2),
            Err(EngineError::Contended { epoch: 11 })
        ));
    }

    #[test]
    fn exclusive_mode_reads_earlier_epochs_in_peace() {
        let mut election = Election::new(true, ME, TAKEOVER_MS, 0, 0);
        for epoch in 1..5 {
            assert_eq!(election.observe(epoch, Some(OTHER), None, 0).unwrap(), Verdict::Stay);
        }
        assert_eq!(election.claim(0), 5);
    }
}
