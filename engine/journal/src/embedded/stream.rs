//! What the threads of one stream share, and what the streams of one journal share.
//!
//! Does: health, lanes, the tail with its two conditions, the segments known, the making of segments
//! ahead of need (`ahead`). Does not write groups ([`super::writer`]) or read them ([`super::reader`]).

mod ahead;
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
use super::segment::{Segment, read_segment};
use super::tail::{Kind, Tail};
use super::writer;
use crate::bell::Bell;
use crate::rest::is_worth_writing;
use crate::storage::{Access, Storage, io_error};
use crate::{Appended, Health, JournalError, JournalId, Position, Stream};
use ahead::Ahead;
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
    /// What cannot be had now is not waited for any longer.
    is_ending: AtomicBool,
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
            is_ending: AtomicBool::new(false),
            streams: Mutex::default(),
        }
    }

    /// Whether writes are taken.
    pub(super) fn health(&self) -> Health {
        let health = self.health.lock().clone();
        match self.shortage(StreamCore::held) {
            Some(why) if health == Health::Writable => Health::Waiting(why),
            _ => health,
        }
    }

    /// What `look` finds in the first stream where it finds something.
    pub(super) fn shortage(&self, look: impl Fn(&StreamCore) -> Option<String>) -> Option<String> {
        self.cores().iter().find_map(|core| {
            let why = look(core)?;
            Some(format!("stream {}: {why}", core.stream.name()))
        })
    }

    /// All streams. The list is not held meanwhile: who wakes them takes their locks.
    fn cores(&self) -> Vec<Arc<StreamCore>> {
        self.streams.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// From now on a group that waits for room fails instead: the process ends, and nobody may hold it up.
    pub(super) fn wait_no_longer(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
        self.cores().iter().for_each(|core| core.ahead.look_again());
    }

    /// Whether nothing is waited for any more.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
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
        for core in self.cores() {
            core.wake_everybody();
            core.ahead.look_again();
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
        JournalError::Closed(match self.health.lock().clone() {
            Health::Failed(text) => text,
            Health::Closed | Health::Writable | Health::Waiting(_) => "it was closed".to_owned(),
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
    /// The segment after the current one.
    ahead: Ahead,
    /// The writer, once something is to be written.
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Figures.
    pub(super) counters: Counters,
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
            ahead: Ahead::default(),
            thread: Mutex::default(),
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

    /// Whether records wait and no producer is about to add to them.
    pub(super) fn is_worth_writing(&self) -> bool {
        let lanes = self.lanes.lock();
        is_worth_writing(lanes.iter().map(|lane| (&lane.rest, lane.waiting_bytes())))
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
        self.finish_making();
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
}

#[cfg(test)]
mod tests;
