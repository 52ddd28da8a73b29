//! The active engine's own commands: `Pulse`, and the `Epoch` that makes it active.
//!
//! They go through a lane of their own, so that the loop never waits for a sync; a pulse that the
//! journal does not take is skipped, never queued up.

use std::sync::Arc;

use domain::codec::encode_command;
use domain::{Command, Envelope, Origin};
use journal::{Journal, JournalError, Lane, Refused, Settled, Stream};

use crate::metrics::EngineMetrics;
use crate::status::EngineStatus;

/// Writes the engine's own commands.
pub(crate) struct Heartbeat {
    /// The way into `commands`.
    lane: Box<dyn Lane>,
    /// For saying once that the journal takes nothing more.
    status: Arc<EngineStatus>,
    /// Distance between pulses.
    interval_ms: u64,
    /// When the next pulse is due.
    next_at_ms: u64,
    /// Scratch.
    buffer: Vec<u8>,
}

impl Heartbeat {
    /// Opens the lane.
    ///
    /// # Errors
    /// When the journal takes no more writes.
    pub(crate) fn open(
        journal: &dyn Journal,
        status: Arc<EngineStatus>,
        interval_ms: u64,
    ) -> Result<Heartbeat, JournalError> {
        let told = Arc::clone(&status);
        let on_settled = Arc::new(move |settled: Settled| {
            if let Err(error) = settled.result {
                told.fail_pulse(error.to_string());
            }
        });
        Ok(Heartbeat {
            lane: journal.lane(Stream::Commands, on_settled)?,
            status,
            interval_ms,
            next_at_ms: 0,
            buffer: Vec::new(),
        })
    }

    /// Asks for an epoch.
    pub(crate) fn claim(&mut self, epoch: u64, engine: [u8; 16]) {
        self.push(Command::Epoch { epoch, engine });
    }

    /// Writes a pulse when one is due and the previous one has settled.
    pub(crate) fn beat(&mut self, epoch: u64, now_ms: u64, metrics: &EngineMetrics) {
        if now_ms < self.next_at_ms {
            return;
        }
        self.next_at_ms = now_ms + self.interval_ms;
        if self.lane.unsettled() == 0 && self.push(Command::Pulse { epoch }) {
            metrics.pulses.increment(1);
        } else {
            metrics.pulses_refused.increment(1);
        }
    }

    /// True when the fate of everything pushed is known.
    pub(crate) fn is_settled(&self) -> bool {
        self.lane.unsettled() == 0
    }

    /// Milliseconds until the next pulse.
    pub(crate) fn due_in_ms(&self, now_ms: u64) -> u64 {
        self.next_at_ms.saturating_sub(now_ms)
    }

    fn push(&mut self, command: Command) -> bool {
        self.buffer.clear();
        let envelope = Envelope { origin: Origin::default(), command };
        encode_command(&envelope, &mut self.buffer);
        match self.lane.push(&self.buffer) {
            Ok(_) => true,
            Err(Refused::Full) => false,
            Err(refused) => {
                self.status.fail_pulse(refused.to_string());
                false
            }
        }
    }
}
