//! Reading in a turbulent process: late, never less and never in another order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fate::Fault;
use super::producer::Producer;
use crate::seeded::Seeded;
use crate::{Group, JournalError, Position, Reader};

/// Reads one stream.
pub(super) struct TurbulentReader {
    pub(super) inner: Box<dyn Reader>,
    /// The process that reads.
    pub(super) producer: Arc<Producer>,
    pub(super) dice: Seeded,
    /// The next group, and when it is shown.
    pub(super) late: Option<(Group, Instant)>,
}

impl TurbulentReader {
    /// Takes the next group, which may have to wait.
    fn take(&mut self, wait: Duration) -> Result<(), JournalError> {
        let Some(group) = self.inner.poll(wait)? else { return Ok(()) };
        let faults = *self.producer.faults.lock();
        let (strikes, delay) = (self.dice.next_u64(), self.dice.next_u64());
        let mut shown_at = Instant::now();
        let once_in = u64::from(faults.lag_once_in);
        if once_in > 0 && strikes.is_multiple_of(once_in) {
            self.producer.counters.count(Fault::Lag);
            let delay_us = delay % (u64::from(faults.lag_ms_max) * 1_000).max(1);
            shown_at += Duration::from_micros(delay_us);
        }
        self.late = Some((group, shown_at));
        Ok(())
    }
}

impl Reader for TurbulentReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        let until = Instant::now() + wait.min(Duration::from_secs(86_400));
        self.producer.stand_still();
        if self.late.is_none() {
            self.take(wait)?;
        }
        let Some((group, shown_at)) = self.late.take() else { return Ok(None) };
        let now = Instant::now();
        if shown_at > now {
            std::thread::sleep(shown_at.min(until).saturating_duration_since(now));
            if shown_at > until {
                self.late = Some((group, shown_at));
                return Ok(None);
            }
        }
        // A process may be paused with a group in its hands.
        self.producer.stand_still();
        Ok(Some(group))
    }

    fn position(&self) -> Position {
        self.late.as_ref().map_or_else(|| self.inner.position(), |(group, _)| group.position)
    }
}
