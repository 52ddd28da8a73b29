//! One producer's way into a stream on Kafka.
//!
//! Does: gathers records in chunks that already have a group's packed form, and keeps count of bytes
//! whose fate is unknown, on their way included, so that a slow broker fills lanes and nothing else.
//! Does not send.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::frame;
use super::stream::StreamCore;
use crate::rest::Rest;
use crate::{JournalError, Lane, OnSettled, Refused, Settled, Ticket};

/// What the producer and the stream share.
pub(super) struct LaneShared {
    waiting: Mutex<Waiting>,
    /// Bytes waiting to be taken, to be looked at without the lock.
    waiting_bytes: AtomicUsize,
    /// Records whose fate was told.
    settled: AtomicU64,
    /// What the producer says of itself.
    pub(super) rest: Rest,
    /// Whom to tell.
    on_settled: OnSettled,
}

#[derive(Default)]
struct Waiting {
    /// Oldest first; each fits into one group.
    chunks: VecDeque<Chunk>,
    /// Records pushed so far.
    pushed: u64,
    /// Records taken into groups so far.
    taken: u64,
    /// Bytes pushed whose fate is unknown.
    unsettled_bytes: usize,
    /// No more are taken.
    is_closed: bool,
    /// The producer is gone.
    is_dropped: bool,
}

/// Some records of one lane, packed.
#[derive(Default)]
pub(super) struct Chunk {
    /// As in a group.
    pub(super) bytes: Vec<u8>,
    /// How many.
    pub(super) count: u32,
}

/// A run of a lane's records in a group on its way.
pub(super) struct Run {
    lane: Arc<LaneShared>,
    first: Ticket,
    count: u32,
    bytes: usize,
}

impl LaneShared {
    /// An empty lane.
    pub(super) fn new(on_settled: OnSettled) -> LaneShared {
        LaneShared {
            waiting: Mutex::default(),
            waiting_bytes: AtomicUsize::new(0),
            settled: AtomicU64::new(0),
            rest: Rest::default(),
            on_settled,
        }
    }

    /// Bytes waiting to be taken.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::SeqCst)
    }

    /// The oldest chunk, if it fits into `room`, and the run it makes.
    pub(super) fn take(self: &Arc<Self>, room: usize) -> Option<(Chunk, Run)> {
        let mut waiting = self.waiting.lock();
        if waiting.chunks.front()?.bytes.len() > room {
            return None;
        }
        let chunk = waiting.chunks.pop_front()?;
        let first = Ticket(waiting.taken);
        waiting.taken += u64::from(chunk.count);
        self.waiting_bytes.fetch_sub(chunk.bytes.len(), Ordering::SeqCst);
        let run =
            Run { lane: Arc::clone(self), first, count: chunk.count, bytes: chunk.bytes.len() };
        Some((chunk, run))
    }

    /// Takes no more records.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closed = true;
    }

    /// All that waits ends with this error. To be called when nothing of the lane is on its way.
    pub(super) fn fail_waiting(self: &Arc<Self>, error: &JournalError) {
        while let Some((_, run)) = self.take(usize::MAX) {
            run.settle(Err(error.clone()));
        }
    }

    /// Whether nothing will come any more and everything was told.
    pub(super) fn is_done(&self) -> bool {
        let waiting = self.waiting.lock();
        waiting.is_dropped && self.settled.load(Ordering::Acquire) == waiting.pushed
    }
}

impl Run {
    /// Tells the lane what became of the run.
    pub(super) fn settle(self, result: Result<crate::Appended, JournalError>) {
        self.lane.waiting.lock().unsettled_bytes -= self.bytes;
        self.lane.settled.store(self.first.0 + u64::from(self.count), Ordering::Release);
        (self.lane.on_settled)(Settled { first: self.first, count: self.count, result });
    }
}

/// The producer's end.
pub(super) struct KafkaLane {
    /// Shared with the stream.
    pub(super) shared: Arc<LaneShared>,
    /// Whose bell to ring, and the limits.
    pub(super) core: Arc<StreamCore>,
}

impl Lane for KafkaLane {
    fn push(&self, record: &[u8]) -> Result<Ticket, Refused> {
        let config = &self.core.shared.config;
        if record.len() > config.record_bytes_max as usize {
            return Err(Refused::TooLarge);
        }
        let bytes = 4 + record.len();
        let mut waiting = self.shared.waiting.lock();
        if waiting.is_closed {
            return Err(Refused::Closed);
        }
        if waiting.unsettled_bytes + bytes > config.lane_bytes_max as usize {
            return Err(Refused::Full);
        }
        let room = config.gather_bytes_max as usize;
        if waiting.chunks.back().is_none_or(|chunk| chunk.bytes.len() + bytes > room) {
            waiting.chunks.push_back(Chunk::default());
        }
        if let Some(chunk) = waiting.chunks.back_mut() {
            frame::push(&mut chunk.bytes, record);
            chunk.count += 1;
        }
        let ticket = Ticket(waiting.pushed);
        waiting.pushed += 1;
        waiting.unsettled_bytes += bytes;
        let before = self.shared.waiting_bytes.fetch_add(bytes, Ordering::SeqCst);
        drop(waiting);
        if before + bytes >= room && self.core.bell.is_pausing() {
            self.core.bell.ring();
        } else {
            self.core.bell.nudge();
        }
        Ok(ticket)
    }

    fn unsettled(&self) -> u64 {
        // Read in this order, settled is never above pushed.
        let settled = self.shared.settled.load(Ordering::Acquire);
        self.shared.waiting.lock().pushed - settled
    }

    fn set_resting(&self, is_resting: bool) {
        self.shared.rest.set(is_resting);
        if is_resting && self.core.bell.is_listening() && self.core.is_worth_sending() {
            self.core.bell.ring();
        }
    }
}

impl Drop for KafkaLane {
    fn drop(&mut self) {
        // Whoever is left need not wait for this one.
        self.set_resting(true);
        self.shared.waiting.lock().is_dropped = true;
    }
}
