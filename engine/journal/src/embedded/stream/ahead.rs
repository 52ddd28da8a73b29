//! The segment after the current one: made ahead of need, and again when it could not be had.
//!
//! Does: one short-lived thread a segment, what the writer is given when it comes to the segment's
//! beginning, the wait for what is short. Does not write groups.
//!
//! # What is short, and what is broken
//!
//! A system that has no file descriptor or no room left refuses to make a segment. Nothing was promised of
//! that file, and no group was written into it: it is removed and made anew after a pause, for as long as it
//! takes, and all goes on by itself once the cause is gone. Groups that need the segment meanwhile are held,
//! and no more are accepted into lanes. Any other failure (a medium that breaks, a folder whose names could
//! not be synced) ends all writing, as a failed write of a group does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::StreamCore;
use crate::JournalError;
use crate::embedded::segment::{Maker, SEGMENT_HEADER_BYTES, Segment, Trouble, trouble};
use crate::storage::{Access, StorageFile};

/// The first pause before a segment is made again; each later one is twice as long.
const PAUSE_MS_FIRST: u64 = 20;

/// The longest pause.
const PAUSE_MS_MAX: u64 = 2_000;

/// A segment and its file, open for groups.
pub(in crate::embedded) type Opened = (Arc<Segment>, Box<dyn StorageFile>);

/// The segment after the current one.
#[derive(Default)]
pub(super) struct Ahead {
    /// How far it is.
    state: Mutex<State>,
    /// A change of `state`, or of what is waited for.
    changed: Condvar,
    /// Somebody waits for the segment being made.
    is_urgent: AtomicBool,
    /// It cannot be made now.
    is_short: AtomicBool,
    /// Why not.
    shortage: Mutex<Option<String>>,
    /// The thread that makes it.
    maker: Mutex<Option<JoinHandle<()>>>,
}

/// How far the segment is.
#[derive(Default)]
enum State {
    /// Not asked for.
    #[default]
    Nothing,
    /// Being made.
    Making,
    /// Ready for groups.
    Ready(Arc<Segment>, Box<dyn StorageFile>),
    /// Could not be made, and never will.
    Failed(JournalError),
}

impl Ahead {
    fn set(&self, state: State) {
        *self.state.lock() = state;
        self.changed.notify_all();
    }

    /// Whoever waits looks at what he waits for.
    pub(super) fn look_again(&self) {
        // Under the lock, so that nobody is between looking and waiting.
        let state = self.state.lock();
        self.changed.notify_all();
        drop(state);
    }
}

impl StreamCore {
    /// Has the segment made that starts at `start`, in the background, if it is not there or asked for.
    pub(in crate::embedded) fn prepare(self: &Arc<Self>, start: u64, file_bytes: u64) {
        let mut state = self.ahead.state.lock();
        if !matches!(*state, State::Nothing) || self.segments.lock().contains_key(&start) {
            return;
        }
        *state = State::Making;
        drop(state);
        let core = Arc::clone(self);
        let spawned = std::thread::Builder::new()
            .name("journal-segment".to_owned())
            .spawn(move || core.make_ahead(start, file_bytes));
        match spawned {
            Ok(handle) => *self.ahead.maker.lock() = Some(handle),
            // Asked for again at the next write; the writer makes it itself when it has to have it.
            Err(cause) => {
                tracing::debug!(%cause, stream = self.stream.name(), "no thread for the next segment");
                self.ahead.set(State::Nothing);
            }
        }
    }

    fn make_ahead(self: Arc<Self>, start: u64, file_bytes: u64) {
        let attempt = std::panic::AssertUnwindSafe(|| self.make(start, file_bytes));
        let made = std::panic::catch_unwind(attempt)
            .unwrap_or_else(|_| Err(JournalError::Closed("making a segment panicked".to_owned())));
        self.ahead.set(match made {
            Ok((segment, file)) => State::Ready(segment, file),
            Err(error) => {
                // One that was only short of something has failed nobody until a group needs it.
                if !self.shared.is_ending() {
                    self.shared.fail(self.stream, &error);
                }
                State::Failed(error)
            }
        });
    }

    /// Makes a segment and opens it, however long what it needs cannot be had.
    fn make(&self, start: u64, file_bytes: u64) -> Result<Opened, JournalError> {
        let maker = Maker {
            storage: &*self.shared.storage,
            folder: &self.folder,
            journal: self.shared.id,
            stream: self.stream,
            is_direct: self.shared.is_direct,
            is_urgent: &self.ahead.is_urgent,
        };
        let named = self.patiently(|| maker.make(start, file_bytes))?;
        self.patiently(|| maker.make_name_durable())?;
        let file = self.open_for_groups(&named)?;
        Ok((Arc::new(named), file))
    }

    fn open_for_groups(&self, segment: &Segment) -> Result<Box<dyn StorageFile>, JournalError> {
        let access =
            if self.shared.is_direct { Access::write_durably() } else { Access::write(false) };
        self.patiently(|| {
            let opened = self.shared.storage.open(&segment.path, access);
            opened.map_err(|cause| trouble("open", &segment.path, &cause))
        })
    }

    /// Tries again while something is short, until the journal ends or fails.
    fn patiently<T>(&self, attempt: impl Fn() -> Result<T, Trouble>) -> Result<T, JournalError> {
        let mut pause_ms = PAUSE_MS_FIRST;
        loop {
            let result = attempt();
            let mut state = self.ahead.state.lock();
            match result {
                Ok(value) => {
                    self.is_no_longer_short();
                    return Ok(value);
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Short(error)) => {
                    self.is_short_of(&error);
                    if self.shared.is_ending() || self.shared.has_failed() {
                        return Err(error);
                    }
                }
            }
            self.ahead.changed.wait_for(&mut state, Duration::from_millis(pause_ms));
            pause_ms = (2 * pause_ms).min(PAUSE_MS_MAX);
        }
    }

    fn is_short_of(&self, error: &JournalError) {
        let mut shortage = self.ahead.shortage.lock();
        if shortage.is_none() {
            tracing::warn!(
                stream = self.stream.name(),
                %error,
                "the next segment cannot be made now; it is tried again, and writes wait once they need it"
            );
        }
        *shortage = Some(format!("{error}; it is tried again"));
        self.ahead.is_short.store(true, Ordering::Release);
    }

    fn is_no_longer_short(&self) {
        if self.ahead.is_short.swap(false, Ordering::AcqRel) {
            *self.ahead.shortage.lock() = None;
            tracing::info!(stream = self.stream.name(), "the next segment could be made");
        }
    }

    /// What the next segment is short of, if anything.
    pub(in crate::embedded) fn short_of(&self) -> Option<String> {
        self.ahead.shortage.lock().clone()
    }

    /// Whether groups wait for a segment that cannot be made now.
    pub(in crate::embedded) fn is_held(&self) -> bool {
        self.ahead.is_short.load(Ordering::Acquire) && self.ahead.is_urgent.load(Ordering::Acquire)
    }

    /// What groups wait for, if they do.
    pub(in crate::embedded) fn held(&self) -> Option<String> {
        if self.is_held() { self.short_of() } else { None }
    }

    /// The segment that starts or continues at `position` with its file, made now if need be.
    pub(in crate::embedded) fn segment_for_groups(
        self: &Arc<Self>,
        position: u64,
        segment_end: u64,
    ) -> Result<Opened, JournalError> {
        self.ahead.is_urgent.store(true, Ordering::Release);
        let opened = self.segment_now(position, segment_end);
        self.ahead.is_urgent.store(false, Ordering::Release);
        opened
    }

    fn segment_now(
        self: &Arc<Self>,
        position: u64,
        segment_end: u64,
    ) -> Result<Opened, JournalError> {
        if let Some(segment) = self.segment_at(position) {
            let file = self.open_for_groups(&segment)?;
            return Ok((segment, file));
        }
        let file_bytes = segment_end - position + SEGMENT_HEADER_BYTES;
        self.prepare(position, file_bytes);
        let mut state = self.ahead.state.lock();
        if matches!(*state, State::Making) {
            self.counters.segment_waits.fetch_add(1, Ordering::Relaxed);
            // One who pauses tries at once.
            self.ahead.changed.notify_all();
            while matches!(*state, State::Making) {
                self.ahead.changed.wait(&mut state);
            }
        }
        let (segment, file) = match std::mem::take(&mut *state) {
            State::Ready(segment, file) => (segment, file),
            State::Failed(error) => return Err(error),
            State::Nothing | State::Making => {
                drop(state);
                self.make(position, file_bytes)?
            }
        };
        self.segments.lock().insert(segment.start, Arc::clone(&segment));
        Ok((segment, file))
    }

    /// Waits for a segment being made; nobody needs it any more.
    pub(super) fn finish_making(&self) {
        self.ahead.is_urgent.store(true, Ordering::Release);
        self.ahead.look_again();
        let maker = self.ahead.maker.lock().take();
        if let Some(maker) = maker {
            // A panic was told of by the thread itself.
            let _ = maker.join();
        }
    }
}
