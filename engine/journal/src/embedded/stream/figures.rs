//! What a stream counts about its writes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures of one stream since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Groups made durable.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes written, padding included.
    pub written_bytes: u64,
    /// Durable writes.
    pub writes: u64,
    /// Time spent in them.
    pub write_time_us: u64,
    /// Times a group had to wait for its segment to be made.
    pub segment_waits: u64,
}

/// The same, as they are counted.
#[derive(Debug, Default)]
pub(in crate::embedded) struct Counters {
    /// See [`StreamFigures::groups`].
    pub(in crate::embedded) groups: AtomicU64,
    /// See [`StreamFigures::records`].
    pub(in crate::embedded) records: AtomicU64,
    /// See [`StreamFigures::written_bytes`].
    pub(in crate::embedded) written_bytes: AtomicU64,
    /// See [`StreamFigures::writes`].
    pub(in crate::embedded) writes: AtomicU64,
    /// See [`StreamFigures::write_time_us`].
    pub(in crate::embedded) write_time_us: AtomicU64,
    /// See [`StreamFigures::segment_waits`].
    pub(in crate::embedded) segment_waits: AtomicU64,
}

impl Counters {
    /// As they stand now.
    pub(in crate::embedded) fn figures(&self) -> StreamFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StreamFigures {
            groups: read(&self.groups),
            records: read(&self.records),
            written_bytes: read(&self.written_bytes),
            writes: read(&self.writes),
            write_time_us: read(&self.write_time_us),
            segment_waits: read(&self.segment_waits),
        }
    }
}
