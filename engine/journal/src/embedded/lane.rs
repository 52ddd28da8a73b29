//! One producer's way into a stream.
//!
//! Does: gathers records in a buffer that already has a group's form. The writer swaps it for an empty
//! one; a producer ahead of the writer turns a full buffer into a finished body itself, checksum
//! included, so that at saturation the writer copies nothing. Does not write or wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::frame::{Draft, Packing, frame_bytes_of};
use super::stream::StreamCore;
use crate::rest::Rest;
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
    /// What the producer says of itself.
    pub(super) rest: Rest,
    /// Whom to tell.
    pub(super) on_settled: OnSettled,
}

/// Records waiting to be taken.
#[derive(Default)]
struct Waiting {
    /// Groups that are full, oldest first.
    full: VecDeque<Draft>,
    /// Bytes of the records in them.
    full_bytes: usize,
    /// The newest records.
    current: Packing,
    /// No more are taken.
    is_closed: bool,
    /// The producer is gone.
    is_dropped: bool,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.full_bytes + self.current.body().len()
    }

    fn finish_current(&mut self, block_bytes: usize) {
        let full = std::mem::take(&mut self.current).into_draft(block_bytes);
        self.full_bytes += full.body_bytes();
        self.full.push_back(full);
    }
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
            rest: Rest::default(),
            on_settled,
        }
    }

    /// The oldest full group.
    pub(super) fn take_full(&self) -> Option<Draft> {
        let mut waiting = self.waiting.lock();
        let draft = waiting.full.pop_front()?;
        waiting.full_bytes -= draft.body_bytes();
        self.waiting_bytes.store(waiting.bytes(), Ordering::Relaxed);
        Some(draft)
    }

    /// Swaps the newest records for an empty buffer if they are next and fit into `room`.
    pub(super) fn take_current(&self, room: usize, empty: &mut Packing) -> bool {
        if self.waiting_bytes() == 0 {
            return false;
        }
        let mut waiting = self.waiting.lock();
        let bytes = waiting.current.body().len();
        if bytes == 0 || bytes > room || !waiting.full.is_empty() {
            return false;
        }
        std::mem::swap(&mut waiting.current, empty);
        self.waiting_bytes.store(0, Ordering::Relaxed);
        true
    }

    /// Whether records wait. Takes the lock: see [`crate::bell`].
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting.lock().bytes() > 0
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

    /// Whether something waits of which only the clock can tell that nothing more comes.
    pub(super) fn waits_silently(&self) -> bool {
        self.rest.is_silent() && self.waiting_bytes() > 0
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
        let bytes = waiting.bytes() + 4 + record.len();
        // While groups wait for room on the disk, what comes later would wait longer still.
        if bytes > config.lane_bytes_max as usize || self.core.is_held() {
            return Err(Refused::Full);
        }
        let gather_bytes_max = config.gather_bytes_max as usize;
        let block_bytes = self.core.shared.block_bytes;
        if waiting.current.body().len() + 4 + record.len() > gather_bytes_max {
            waiting.finish_current(block_bytes);
        }
        waiting.current.push(record, frame_bytes_of(gather_bytes_max, block_bytes));
        let ticket = self.shared.pushed.load(Ordering::Relaxed);
        self.shared.pushed.store(ticket + 1, Ordering::Release);
        self.shared.waiting_bytes.store(bytes, Ordering::Relaxed);
        drop(waiting);
        if bytes >= gather_bytes_max && self.core.bell.is_pausing() {
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

    fn set_resting(&self, is_resting: bool) {
        self.shared.rest.set(is_resting);
        if is_resting && self.core.bell.is_listening() && self.core.is_worth_writing() {
            self.core.bell.ring();
        }
    }
}

impl Drop for EmbeddedLane {
    fn drop(&mut self) {
        // Whoever is left need not wait for this one.
        self.set_resting(true);
        self.shared.waiting.lock().is_dropped = true;
    }
}
