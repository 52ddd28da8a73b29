//! One producer's way into a stream.
//!
//! Does: gathers records in a buffer that already has a group's form, and hands the whole buffer to
//! the writer by swapping it. Does not write or wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::stream::StreamCore;
use crate::{Lane, OnSettled, Refused, Ticket};

/// What producer and writer share.
pub(super) struct LaneShared {
    /// Records waiting to be taken. Locked by the producer for a copy, by the writer for a swap.
    waiting: Mutex<Waiting>,
    /// Records pushed so far.
    pushed: AtomicU64,
    /// Bytes waiting to be taken, to be looked at without the lock.
    waiting_bytes: AtomicUsize,
    /// Records that are durable.
    durable: AtomicU64,
    /// Records whose fate was told.
    settled: AtomicU64,
    /// Whom to tell.
    pub(super) on_settled: OnSettled,
}

/// Records waiting to be taken.
#[derive(Default)]
struct Waiting {
    /// Each record's length and bytes, as in a group's body.
    bytes: Vec<u8>,
    /// No more are taken.
    is_closed: bool,
    /// The producer is gone.
    is_dropped: bool,
}

impl LaneShared {
    /// An empty lane.
    pub(super) fn new(on_settled: OnSettled) -> LaneShared {
        LaneShared {
            waiting: Mutex::default(),
            pushed: AtomicU64::new(0),
            waiting_bytes: AtomicUsize::new(0),
            durable: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            on_settled,
        }
    }

    /// Swaps the waiting records for an empty buffer; returns how many were pushed so far.
    pub(super) fn take(&self, empty: &mut Vec<u8>) -> u64 {
        let mut waiting = self.waiting.lock();
        std::mem::swap(&mut waiting.bytes, empty);
        self.waiting_bytes.store(0, Ordering::Relaxed);
        self.pushed.load(Ordering::Relaxed)
    }

    /// Whether records wait. Takes the lock: see [`super::bell`].
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.lock().bytes.is_empty()
    }

    /// Bytes waiting to be taken.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Records pushed so far.
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Records that are durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The first `count` records are durable.
    pub(super) fn set_durable(&self, count: u64) {
        self.durable.store(count, Ordering::Release);
    }

    /// Records whose fate was told.
    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// The fate of the first `count` records is told.
    pub(super) fn set_settled(&self, count: u64) {
        self.settled.store(count, Ordering::Release);
    }

    /// Takes no more records; returns how many were pushed.
    pub(super) fn close(&self) -> u64 {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        self.pushed.load(Ordering::Relaxed)
    }

    /// Whether nothing will come any more and everything was told.
    pub(super) fn is_done(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.is_dropped && self.settled() == self.pushed.load(Ordering::Relaxed)
    }
}

/// The producer's end.
pub(super) struct EmbeddedLane {
    /// Shared with the writer.
    pub(super) shared: Arc<LaneShared>,
    /// Whose bell to ring, and the limits.
    pub(super) core: Arc<StreamCore>,
}

impl Lane for EmbeddedLane {
    fn push(&self, record: &[u8]) -> Result<Ticket, Refused> {
        let config = self.core.config();
        if record.len() > config.record_bytes_max as usize {
            return Err(Refused::TooLarge);
        }
        let mut waiting = self.shared.waiting.lock();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        let bytes = waiting.bytes.len() + 4 + record.len();
        if bytes > config.lane_bytes_max as usize {
            return Err(Refused::Full);
        }
        waiting.bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        waiting.bytes.extend_from_slice(record);
        let ticket = self.shared.pushed.load(Ordering::Relaxed);
        self.shared.pushed.store(ticket + 1, Ordering::Release);
        self.shared.waiting_bytes.store(bytes, Ordering::Relaxed);
        drop(waiting);
        if bytes >= config.gather_bytes_max as usize && self.core.bell.is_pausing() {
            self.core.bell.ring();
        } else {
            self.core.bell.nudge();
        }
        Ok(Ticket(ticket))
    }

    fn unsettled(&self) -> u64 {
        // Read in this order, settled is never above pushed.
        let settled = self.shared.settled();
        self.shared.pushed() - settled
    }
}

impl Drop for EmbeddedLane {
    fn drop(&mut self) {
        self.shared.waiting.lock().is_dropped = true;
    }
}
