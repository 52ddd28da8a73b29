//! The two ends of a stream in memory: the lane of a producer and the reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Inner;
use crate::{Group, JournalError, Lane, Position, Reader, Refused, Stream, Ticket, Visibility};

/// A producer's way in.
pub(super) struct MemoryLane {
    /// Shared.
    pub(super) inner: Arc<Inner>,
    /// Which lane.
    pub(super) number: u64,
}

impl Lane for MemoryLane {
    fn push(&self, record: &[u8]) -> Result<Ticket, Refused> {
        let config = &self.inner.config;
        if record.len() > config.record_bytes_max as usize {
            return Err(Refused::TooLarge);
        }
        let Ok(mut state) = self.inner.writable() else {
            return Err(Refused::Closed);
        };
        let ticket = state.lanes.push(self.number, record, config.lane_bytes_max)?;
        drop(state);
        self.inner.changed.notify_all();
        Ok(ticket)
    }

    fn unsettled(&self) -> u64 {
        self.inner.state.lock().lanes.unsettled(self.number)
    }
}

/// Reads one stream.
pub(super) struct MemoryReader {
    /// Shared.
    pub(super) inner: Arc<Inner>,
    /// Which stream.
    pub(super) stream: Stream,
    /// What is seen.
    pub(super) visibility: Visibility,
    /// Index of the next group.
    pub(super) index: usize,
}

impl Reader for MemoryReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        let deadline = Instant::now() + wait.min(Duration::from_secs(86_400));
        let mut state = self.inner.state.lock();
        loop {
            let stream = &state.streams[self.stream as usize];
            if self.index < stream.visible(self.visibility) {
                let group = stream.groups[self.index].clone();
                self.index += 1;
                return Ok(Some(group));
            }
            if wait.is_zero() || Instant::now() >= deadline {
                return Ok(None);
            }
            self.inner.changed.wait_until(&mut state, deadline);
        }
    }

    fn position(&self) -> Position {
        let state = self.inner.state.lock();
        let stream = &state.streams[self.stream as usize];
        let group = stream.groups.get(self.index);
        group.map_or(stream.accepted_end(), |group| group.position)
    }
}
