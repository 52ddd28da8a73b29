//! What becomes of groups: a place where a caller waits for one, and counts of all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::{Appended, JournalError};

/// A caller of `append` waits here.
#[derive(Default)]
pub(super) struct Waiter {
    fate: Mutex<Option<Result<Appended, JournalError>>>,
    told: Condvar,
}

impl Waiter {
    /// The fate is known.
    pub(super) fn tell(&self, fate: Result<Appended, JournalError>) {
        *self.fate.lock() = Some(fate);
        self.told.notify_all();
    }

    /// Waits for the fate; the client library bounds the time.
    pub(super) fn wait(&self) -> Result<Appended, JournalError> {
        let mut fate = self.fate.lock();
        loop {
            if let Some(fate) = fate.take() {
                return fate;
            }
            self.told.wait(&mut fate);
        }
    }
}

/// Counts of one stream since the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Groups acknowledged.
    pub groups: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Time from sending to acknowledgement, together.
    pub delivery_time_us: u64,
    /// Groups on their way.
    pub groups_in_flight: u64,
}

/// The same, as they are counted.
#[derive(Default)]
pub(super) struct Counters {
    groups: AtomicU64,
    bytes: AtomicU64,
    delivery_time_us: AtomicU64,
}

impl Counters {
    /// One group was acknowledged.
    pub(super) fn count(&self, bytes: usize, took: Duration) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.delivery_time_us.fetch_add(took_us, Ordering::Relaxed);
    }

    /// As they stand now.
    pub(super) fn figures(&self, in_flight: usize) -> StreamFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StreamFigures {
            groups: read(&self.groups),
            bytes: read(&self.bytes),
            delivery_time_us: read(&self.delivery_time_us),
            groups_in_flight: in_flight as u64,
        }
    }
}
