//! A process that dies at a chosen step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use journal::memory::MemoryJournal;
use journal::{
    Appended, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader, Stream,
    Visibility,
};

/// Counts steps down to a crash. After it nothing has any effect.
pub struct Fuse {
    left: AtomicI64,
    is_dead: AtomicBool,
    stop: Arc<AtomicBool>,
}

impl Fuse {
    pub fn new(steps: i64) -> Arc<Fuse> {
        let stop = Arc::new(AtomicBool::new(false));
        Arc::new(Fuse { left: AtomicI64::new(steps), is_dead: AtomicBool::new(false), stop })
    }

    /// True when the crash is here, or was before.
    pub fn burns(&self) -> bool {
        if self.left.fetch_sub(1, Ordering::AcqRel) <= 0 {
            self.is_dead.store(true, Ordering::Release);
            self.stop.store(true, Ordering::Release);
        }
        self.is_dead()
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Acquire)
    }

    /// Steps left before the crash.
    pub fn left(&self) -> i64 {
        self.left.load(Ordering::Acquire)
    }

    /// Set at the crash: nobody waits for a dead process.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
}

/// The journal, cut off at the fuse.
pub struct CutJournal {
    inner: MemoryJournal,
    fuse: Arc<Fuse>,
}

impl CutJournal {
    pub fn new(inner: MemoryJournal, fuse: &Arc<Fuse>) -> CutJournal {
        CutJournal { inner, fuse: Arc::clone(fuse) }
    }
}

fn dead() -> JournalError {
    JournalError::Closed("the process is dead".into())
}

impl Journal for CutJournal {
    fn id(&self) -> JournalId {
        self.inner.id()
    }

    fn lane(&self, _: Stream, _: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        Err(dead())
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        if self.fuse.burns() {
            return Err(dead());
        }
        let appended = self.inner.append(stream, records)?;
        if self.fuse.burns() { Err(dead()) } else { Ok(appended) }
    }

    fn append_behind(&self, _: Stream, _: &[u8]) -> Result<Position, JournalError> {
        Err(dead())
    }

    fn sync(&self, _: Stream) -> Result<(), JournalError> {
        Err(dead())
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        self.inner.reader(stream, from, visibility)
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        self.inner.durable_end(stream)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.inner.stored_bytes(stream)
    }

    fn close(&self) {}
}

pub fn number_from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
