//! What the threads of one stream share, and what the streams of one journal share.
//!
//! Does: health, lanes, the tail with its two conditions, the segments known, the making of segments
//! ahead of need. Does not write groups ([`super::writer`]) or read them ([`super::reader`]).

mod figures;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::config::{Clock, EmbeddedConfig};
use super::frame::Draft;
use super::lane::LaneShared;
use super::segment::{Maker, Segment, read_segment};
use super::tail::{Kind, Tail};
use super::writer;
use crate::bell::Bell;
use crate::storage::{Access, Storage, StorageFile, io_error};
use crate::{Appended, Health, JournalError, JournalId, Position, Stream};
pub(super) use figures::Counters;
pub use figures::StreamFigures;

/// What all streams of a journal share.
pub(super) struct Shared {
    /// Limits.
    pub(super) config: EmbeddedConfig,
    /// Where files are.
    pub(super) storage: Arc<dyn Storage>,
    /// The clock groups take their time from.
    pub(super) clock: Clock,
    /// The journal's name.
    pub(super) id: JournalId,
    /// Groups are written past the page cache.
    pub(super) is_direct: bool,
    /// What frames are padded to.
    pub(super) block_bytes: usize,
    /// Whether writes are taken.
    health: Mutex<Health>,
    /// A write failed: read on every path that would acknowledge.
    has_failed: AtomicBool,
    /// For waking everybody after a failure.
    streams: Mutex<Vec<Weak<StreamCore>>>,
}

impl Shared {
    /// A journal that takes writes.
    pub(super) fn new(
        config: EmbeddedConfig,
        storage: Arc<dyn Storage>,
        clock: Clock,
        id: JournalId,
        block_bytes: Option<usize>,
    ) -> Shared {
        Shared {
            config,
            storage,
            clock,
            id,
            is_direct: block_bytes.is_some(),
            block_bytes: block_bytes.unwrap_or(super::frame::FRAME_BLOCK_BYTES),
            health: Mutex::new(Health::Writable),
            has_failed: AtomicBool::new(false),
            streams: Mutex::default(),
        }
    }

    /// Whether writes are taken.
    pub(super) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Whether a write failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }

    /// A write of some stream failed: no stream takes writes any more, and all who wait are told.
    pub(super) fn fail(&self, stream: Stream, error: &JournalError) {
        {
            let mut health = self.health.lock();
            if matches!(*health, Health::Failed(_)) {
                return;
            }
            let text = format!(
                "stream {}: {error}. Nothing more is written; repair the disk or free space, then start again",
                stream.name()
            );
            tracing::error!("the journal takes no more writes: {text}");
            *health = Health::Failed(text);
            self.has_failed.store(true, Ordering::SeqCst);
        }
        for core in self.streams.lock().iter().filter_map(Weak::upgrade) {
            core.wake_everybody();
        }
    }

    /// The journal was closed in order, unless it had failed.
    pub(super) fn closed(&self) {
        let mut health = self.health.lock();
        if *health == Health::Writable {
            *health = Health::Closed;
        }
    }

    /// Why no writes are taken.
    pub(super) fn refusal(&self) -> JournalError {
        JournalError::Closed(match self.health() {
            Health::Failed(text) => text,
            Health::Closed | Health::Writable => "it was closed".to_owned(),
        })
    }
}

/// One stream.
pub(super) struct StreamCore {
    /// The journal's.
    pub(super) shared: Arc<Shared>,
    /// Which one.
    pub(super) stream: Stream,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// Its end.
    pub(super) tail: Mutex<Tail>,
    /// More is visible to readers.
    pub(super) grown: Condvar,
    /// More is durable, or nothing will be.
    pub(super) written: Condvar,
    /// Wakes the writer.
    pub(super) bell: Bell,
    /// All lanes; the writer keeps a copy.
    lanes: Mutex<Vec<Arc<LaneShared>>>,
    /// Grows with every change of `lanes`.
    lanes_version: AtomicU64,
    /// Segments on disk by start position.
    segments: Mutex<BTreeMap<u64, Arc<Segment>>>,
    /// The segment being made.
    ahead: Mutex<Ahead>,
    /// A change of `ahead`.
    ahead_changed: Condvar,
    /// Somebody waits for the segment being made.
    is_urgent: AtomicBool,
    /// The writer, once something is to be written.
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The thread that makes a segment.
    maker: Mutex<Option<JoinHandle<()>>>,
    /// Figures.
    pub(super) counters: Counters,
}

/// The segment after the current one.
enum Ahead {
    /// Not asked for.
    Nothing,
    /// Being made.
    Making,
    /// Ready for groups.
    Ready(Arc<Segment>, Box<dyn StorageFile>),
    /// Could not be made.
    Failed(JournalError),
}

impl StreamCore {
    /// A stream as recovery found it.
    pub(super) fn new(
        shared: Arc<Shared>,
        stream: Stream,
        folder: PathBuf,
        tail: Tail,
        segments: BTreeMap<u64, Arc<Segment>>,
    ) -> Arc<StreamCore> {
        let core = Arc::new(StreamCore {
            shared: Arc::clone(&shared),
            stream,
            folder,
            tail: Mutex::new(tail),
            grown: Condvar::new(),
            written: Condvar::new(),
            bell: Bell::default(),
            lanes: Mutex::default(),
            lanes_version: AtomicU64::new(0),
            segments: Mutex::new(segments),
            ahead: Mutex::new(Ahead::Nothing),
            ahead_changed: Condvar::new(),
            is_urgent: AtomicBool::new(false),
            thread: Mutex::default(),
            maker: Mutex::default(),
            counters: Counters::default(),
        });
        shared.streams.lock().push(Arc::downgrade(&core));
        core
    }

    /// Limits.
    pub(super) fn config(&self) -> &EmbeddedConfig {
        &self.shared.config
    }

    /// The tail, if groups are accepted.
    fn writable_tail(&self) -> Result<MutexGuard<'_, Tail>, JournalError> {
        let tail = self.tail.lock();
        if tail.is_closing || self.shared.has_failed() {
            return Err(self.shared.refusal());
        }
        Ok(tail)
    }

    /// Starts the writer if it does not run.
    pub(super) fn ensure_writer(self: &Arc<Self>) -> Result<(), JournalError> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let core = Arc::clone(self);
            let name = format!("journal-{}", self.stream.name());
            let handle = std::thread::Builder::new()
                .name(name)
                .spawn(move || writer::run(core))
                .map_err(|cause| io_error("start of a thread", &self.folder, &cause))?;
            *thread = Some(handle);
        }
        Ok(())
    }

    /// Opens a lane.
    pub(super) fn add_lane(
        self: &Arc<Self>,
        lane: LaneShared,
    ) -> Result<Arc<LaneShared>, JournalError> {
        self.ensure_writer()?;
        let lane = Arc::new(lane);
        // Under the tail's lock, so that a closing writer either sees the lane or refuses it here.
        let tail = self.writable_tail()?;
        let mut lanes = self.lanes.lock();
        lanes.retain(|lane| !lane.is_done());
        let limit = self.config().lanes_max as usize;
        if lanes.len() >= limit {
            return Err(JournalError::Full { what: "lanes_max", limit: limit as u64 });
        }
        lanes.push(Arc::clone(&lane));
        self.lanes_version.fetch_add(1, Ordering::SeqCst);
        drop(tail);
        Ok(lane)
    }

    /// The lanes, if they changed since `version`.
    pub(super) fn lanes_since(&self, version: &mut u64) -> Option<Vec<Arc<LaneShared>>> {
        let now = self.lanes_version.load(Ordering::SeqCst);
        if now == *version {
            return None;
        }
        *version = now;
        Some(self.lanes.lock().clone())
    }

    /// All lanes.
    pub(super) fn all_lanes(&self) -> Vec<Arc<LaneShared>> {
        self.lanes.lock().clone()
    }

    /// Accepts a group and waits until it is durable.
    pub(super) fn append(self: &Arc<Self>, draft: Draft) -> Result<Appended, JournalError> {
        self.ensure_writer()?;
        let frame = {
            let mut tail = self.writable_tail()?;
            tail.accept(draft, Kind::Firm, (self.shared.clock)())
        };
        self.bell.ring();
        let mut tail = self.tail.lock();
        loop {
            if self.shared.has_failed() {
                return Err(self.shared.refusal());
            }
            if tail.durable_end() >= frame.next {
                return Ok(frame.appended());
            }
            self.written.wait(&mut tail);
        }
    }

    /// Accepts a group that is written later.
    pub(super) fn append_behind(self: &Arc<Self>, draft: Draft) -> Result<Position, JournalError> {
        self.ensure_writer()?;
        let (frame, must_wake, must_ring) = {
            let mut tail = self.writable_tail()?;
            if !tail.has_room_behind(draft.frame_bytes()) {
                return Err(JournalError::Full {
                    what: "behind_bytes_max",
                    limit: self.config().behind_bytes_max,
                });
            }
            let is_first = !tail.has_waiting();
            let was_much = tail.is_much_waiting();
            let frame = tail.accept(draft, Kind::Behind, (self.shared.clock)());
            let is_much = tail.is_much_waiting() && !was_much;
            (frame, is_first, is_much)
        };
        self.grown.notify_all();
        if must_ring {
            self.bell.ring();
        } else if must_wake {
            self.bell.nudge();
        }
        Ok(Position(frame.position))
    }

    /// Waits until all that was accepted or pushed before is durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        let pushed: Vec<(Arc<LaneShared>, u64)> = self
            .all_lanes()
            .into_iter()
            .map(|lane| {
                let pushed = lane.pushed();
                (lane, pushed)
            })
            .collect();
        let target = self.tail.lock().hurry();
        self.bell.ring();
        let mut tail = self.tail.lock();
        loop {
            if self.shared.has_failed() {
                return Err(self.shared.refusal());
            }
            let lanes_are_durable = pushed.iter().all(|(lane, count)| lane.durable() >= *count);
            if tail.durable_end() >= target && lanes_are_durable {
                return Ok(());
            }
            self.written.wait(&mut tail);
        }
    }

    /// Stops accepting; the writer finishes.
    pub(super) fn begin_close(&self) {
        self.tail.lock().is_closing = true;
        self.bell.ring();
    }

    /// Waits for the writer.
    pub(super) fn finish_close(&self) {
        let thread = self.thread.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the writer was reported when it happened.
            let _ = thread.join();
        }
        self.lanes.lock().clear();
        self.is_urgent.store(true, Ordering::Release);
        if let Some(maker) = self.maker.lock().take() {
            let _ = maker.join();
        }
        self.wake_everybody();
    }

    /// Everybody looks again.
    fn wake_everybody(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let tail = self.tail.lock();
        self.grown.notify_all();
        self.written.notify_all();
        drop(tail);
        self.bell.ring();
    }

    /// The segment that holds a position, if it is on disk.
    pub(super) fn segment_at(&self, position: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.lock();
        let (_, segment) = segments.range(..=position).next_back()?;
        (position < segment.end()).then(|| Arc::clone(segment))
    }

    /// Where the first group kept stands, if there is any file.
    pub(super) fn first_position(&self) -> Option<u64> {
        self.segments.lock().keys().next().copied()
    }

    /// Bytes of all files.
    pub(super) fn stored_bytes(&self) -> u64 {
        let segments = self.segments.lock();
        segments.values().map(|segment| segment.file_bytes()).sum()
    }

    /// Reads and checks every segment's header.
    pub(super) fn check_segment_headers(&self) -> Result<(), JournalError> {
        let segments: Vec<_> = self.segments.lock().values().cloned().collect();
        let Shared { storage, id, .. } = &*self.shared;
        for segment in segments {
            let opened = storage.open(&segment.path, Access::read(self.shared.is_direct));
            let file = opened.map_err(|cause| io_error("open", &segment.path, &cause))?;
            read_segment(&*file, &segment.path, segment.start, *id, self.stream)?;
        }
        Ok(())
    }

    /// Has the segment made that starts at `start`, in the background, if it is not there or asked for.
    pub(super) fn prepare(self: &Arc<Self>, start: u64, file_bytes: u64) {
        let mut ahead = self.ahead.lock();
        if !matches!(*ahead, Ahead::Nothing) || self.segments.lock().contains_key(&start) {
            return;
        }
        *ahead = Ahead::Making;
        drop(ahead);
        let core = Arc::clone(self);
        let spawned = std::thread::Builder::new()
            .name("journal-segment".to_owned())
            .spawn(move || core.make_ahead(start, file_bytes));
        match spawned {
            Ok(handle) => *self.maker.lock() = Some(handle),
            Err(cause) => {
                let error = io_error("start of a thread", &self.folder, &cause);
                self.set_ahead(Ahead::Failed(error));
            }
        }
    }

    fn make_ahead(self: Arc<Self>, start: u64, file_bytes: u64) {
        let attempt = std::panic::AssertUnwindSafe(|| self.make(start, file_bytes));
        let made = std::panic::catch_unwind(attempt)
            .unwrap_or_else(|_| Err(JournalError::Closed("making a segment panicked".to_owned())));
        if let Err(error) = &made {
            self.shared.fail(self.stream, error);
        }
        self.set_ahead(match made {
            Ok((segment, file)) => Ahead::Ready(segment, file),
            Err(error) => Ahead::Failed(error),
        });
    }

    fn set_ahead(&self, ahead: Ahead) {
        *self.ahead.lock() = ahead;
        self.ahead_changed.notify_all();
    }

    fn make(
        &self,
        start: u64,
        file_bytes: u64,
    ) -> Result<(Arc<Segment>, Box<dyn StorageFile>), JournalError> {
        let maker = Maker {
            storage: &*self.shared.storage,
            folder: &self.folder,
            journal: self.shared.id,
            stream: self.stream,
            is_direct: self.shared.is_direct,
            is_urgent: &self.is_urgent,
        };
        let segment = maker.make(start, file_bytes)?;
        let file = self.open_for_groups(&segment)?;
        Ok((Arc::new(segment), file))
    }

    fn open_for_groups(&self, segment: &Segment) -> Result<Box<dyn StorageFile>, JournalError> {
        let access =
            if self.shared.is_direct { Access::write_durably() } else { Access::write(false) };
        let opened = self.shared.storage.open(&segment.path, access);
        opened.map_err(|cause| io_error("open", &segment.path, &cause))
    }

    /// The segment that starts or continues at `position` with its file, made now if need be.
    pub(super) fn segment_for_groups(
        self: &Arc<Self>,
        position: u64,
        segment_end: u64,
    ) -> Result<(Arc<Segment>, Box<dyn StorageFile>), JournalError> {
        if let Some(segment) = self.segment_at(position) {
            let file = self.open_for_groups(&segment)?;
            return Ok((segment, file));
        }
        let file_bytes = segment_end - position + super::segment::SEGMENT_HEADER_BYTES;
        self.prepare(position, file_bytes);
        let mut ahead = self.ahead.lock();
        if matches!(*ahead, Ahead::Making) {
            self.is_urgent.store(true, Ordering::Release);
            self.counters.segment_waits.fetch_add(1, Ordering::Relaxed);
            while matches!(*ahead, Ahead::Making) {
                self.ahead_changed.wait(&mut ahead);
            }
            self.is_urgent.store(false, Ordering::Release);
        }
        match std::mem::replace(&mut *ahead, Ahead::Nothing) {
            Ahead::Ready(segment, file) => {
                let mut segments = self.segments.lock();
                segments.insert(segment.start, Arc::clone(&segment));
                Ok((segment, file))
            }
            Ahead::Failed(error) => Err(error),
            Ahead::Nothing | Ahead::Making => Err(self.shared.refusal()),
        }
    }
}

#[cfg(test)]
mod tests;
