//! When the loop takes a checkpoint, and how it hands it over.
//!
//! The loop only packs what changed; the checkpoint thread does the rest (`store`).

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Writer;
use crate::EngineError;
use crate::store::{Cut, PIECE_BYTES};

/// Fewer commands than this since the last checkpoint are not worth one at every interval …
const CHECKPOINT_COMMANDS_MIN: u64 = 10_000;
/// … but at every so many.
const CHECKPOINT_IDLE_INTERVALS: u64 = 12;
/// The writer waits for a slow disk when this many times `checkpoint_changes_bytes_max` changed.
const CHANGES_BACKLOG_TIMES: u64 = 4;

impl Writer<'_> {
    /// Takes changes out of the state in small pieces, and cuts a checkpoint when it is time.
    pub(super) fn checkpoint_if_due(&mut self) -> Result<(), EngineError> {
        let untaken = self.engine.decider.state.changes_bytes();
        if untaken >= PIECE_BYTES {
            self.take_piece();
        }
        if self.checkpointer.has_failed() {
            self.pieces.clear();
            self.pieces_bytes = 0;
            return Ok(());
        }
        if !self.engine.output.is_settled() {
            return Ok(());
        }
        let changed = self.pieces_bytes + self.engine.decider.state.changes_bytes() as u64;
        if self.is_checkpoint_due(changed) {
            if changed >= self.engine.config.checkpoint_changes_bytes_max * CHANGES_BACKLOG_TIMES {
                self.wait_for_checkpointer(true);
            }
            if self.checkpointer.is_idle() {
                self.cut();
            }
        }
        Ok(())
    }

    fn is_checkpoint_due(&self, changed: u64) -> bool {
        let commands = self.engine.decider.sequence().saturating_sub(self.cut_sequence);
        if commands == 0 {
            return false;
        }
        if changed >= self.engine.config.checkpoint_changes_bytes_max {
            return true;
        }
        let interval_ms = self.engine.config.checkpoint_interval_ms;
        let elapsed_ms = self.now_ms().saturating_sub(self.cut_at_ms);
        elapsed_ms >= interval_ms
            && (commands >= CHECKPOINT_COMMANDS_MIN
                || elapsed_ms >= interval_ms.saturating_mul(CHECKPOINT_IDLE_INTERVALS))
    }

    fn take_piece(&mut self) {
        let mut piece = self.checkpointer.piece();
        self.engine.decider.state.take_changes(&mut piece);
        self.pieces_bytes += piece.len() as u64;
        self.pieces.push(piece);
    }

    /// Hands everything changed since the last cut to the checkpoint thread.
    pub(super) fn cut(&mut self) {
        let made_at = Instant::now();
        let events = self.engine.output.resume_position();
        let Some(group) = self.engine.decider.last_group() else {
            return;
        };
        let Some(meta) = self.engine.decider.describe(self.engine.journal.id().0, events) else {
            return;
        };
        self.take_piece();
        let sequence = meta.sequence;
        let cut = Cut {
            pieces: std::mem::take(&mut self.pieces),
            meta,
            group,
            sync_events: self.engine.output.is_writing(),
            made_at,
        };
        if let Some(back) = self.checkpointer.submit(cut) {
            self.pieces = back.pieces;
            return;
        }
        self.pieces_bytes = 0;
        self.cut_sequence = sequence;
        self.cut_at_ms = self.now_ms();
        let pause = made_at.elapsed();
        self.engine.metrics.cut_seconds.record(pause.as_secs_f64());
        self.engine.status.record_cut_pause(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
    }

    /// Waits until the checkpoint thread takes the next cut.
    pub(super) fn wait_for_checkpointer(&self, until_stop: bool) {
        while !self.checkpointer.is_idle() && !self.checkpointer.has_failed() {
            if until_stop && self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
