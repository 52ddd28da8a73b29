//! Whether this engine may write: replaying, standing by, claiming an epoch, active, and back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use journal::{Stream, unless_away};

use super::Writer;
use crate::EngineError;
use crate::output::TakeOver;
use crate::status::Phase;

impl Writer<'_> {
    /// Leaves the replay when all that was durable at the start has been read.
    pub(super) fn note_caught_up(&mut self) {
        if self.is_replaying && self.engine.decider.next().0 >= self.replay_target {
            self.is_replaying = false;
            self.engine.status.set_phase(Phase::Standby);
            self.engine.metrics.phase.set(f64::from(Phase::Standby as u8));
            tracing::info!(
                sequence = self.engine.decider.sequence(),
                seconds = self.started.elapsed().as_secs_f64(),
                "replayed"
            );
        }
    }

    /// The active engine pulses; a standby claims the next epoch when its time has come.
    pub(super) fn beat_or_claim(&mut self, now_ms: u64) -> Result<(), EngineError> {
        if self.election.is_active() {
            let epoch = self.engine.decider.state.epoch();
            self.heartbeat.beat(epoch, now_ms, &self.engine.metrics);
            return Ok(());
        }
        if self.is_replaying || !self.election.is_due(now_ms) {
            self.claim_target = None;
            return Ok(());
        }
        let Some(target) = self.learn_claim_target(now_ms)? else { return Ok(()) };
        if self.engine.commands.position().0 >= target && !self.is_events_ahead()? {
            self.claim_target = None;
            let epoch = self.election.claim(now_ms);
            tracing::info!(epoch, "claiming the next epoch");
            self.heartbeat.claim(epoch, self.engine.config.engine_id);
        }
        Ok(())
    }

    /// Up to where a standby must have read before it claims: the end of the commands, as it stood when
    /// the silence had lasted long enough. `None` when the silence may be the journal's own.
    pub(super) fn learn_claim_target(&mut self, now_ms: u64) -> Result<Option<u64>, EngineError> {
        if self.claim_target.is_none() {
            let end = unless_away(self.engine.journal.durable_end(Stream::Commands))?;
            let answered_ms = self.now_ms();
            if end.is_none() || self.election.was_deaf(answered_ms - now_ms) {
                self.election.listen_anew(answered_ms);
            } else {
                self.claim_target = end.map(|end| end.0);
            }
        }
        Ok(self.claim_target)
    }

    /// True when the events stream holds more than this engine has computed: somebody is ahead.
    pub(super) fn is_events_ahead(&mut self) -> Result<bool, EngineError> {
        let Some(sequence) = self.engine.output.ahead()? else {
            return Ok(false);
        };
        // Whoever wrote those events had read their commands as durable; so they are here too, or
        // they are lost.
        let end = unless_away(self.engine.journal.durable_end(Stream::Commands))?;
        if end.is_some_and(|end| self.engine.commands.position() >= end) {
            return Err(events_ahead(sequence, self.engine.decider.sequence()));
        }
        Ok(true)
    }

    pub(super) fn activate(&mut self) -> Result<(), EngineError> {
        let stop = Arc::clone(&self.stop);
        let stopped = move || stop.load(Ordering::Relaxed);
        match self.engine.output.take_over(&stopped)? {
            TakeOver::Done => {
                self.set_phase(Phase::Active);
                tracing::info!(epoch = self.engine.decider.state.epoch(), "active");
            }
            TakeOver::Ahead if self.engine.config.exclusive => {
                let sequence = self.engine.decider.sequence();
                return Err(events_ahead(sequence + 1, sequence));
            }
            TakeOver::Ahead => {
                tracing::warn!("a later epoch already writes; standing by");
                let now_ms = self.now_ms();
                self.election.step_back(now_ms);
            }
            TakeOver::Stopped => {}
        }
        Ok(())
    }

    pub(super) fn stand_down(&mut self) -> Result<(), EngineError> {
        tracing::warn!(
            epoch = self.engine.decider.state.epoch(),
            "deposed by a later epoch; standing by"
        );
        self.engine.output.stand_down()?;
        self.set_phase(Phase::Standby);
        Ok(())
    }
}

pub(super) fn events_ahead(found: u64, commands: u64) -> EngineError {
    EngineError::Diverged {
        sequence: found,
        what: format!(
            "the events stream holds sequence {found}, but the commands stream ends at {commands}: commands were lost"
        ),
    }
}
