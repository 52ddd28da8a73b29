//! A journal in front of another: pauses writes of events, loses them, is out of reach for a while, and
//! misreports what it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use journal::{
    Appended, Group, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader,
    Stream, Visibility,
};

use super::wait_until;

/// The wrapper. What it does not change goes straight through.
pub struct Wrapped {
    inner: Arc<dyn Journal>,
    /// Another name than the inner journal's.
    pub id: Option<JournalId>,
    /// Holds `append_behind`, and with it the whole loop, while set: a process that does not run.
    pub paused: Arc<AtomicBool>,
    /// Somebody is held right now in `append_behind`.
    pub is_held: Arc<AtomicBool>,
    /// So many further events groups are taken and never written.
    pub lose: Arc<AtomicU64>,
    /// The start of `commands` is not kept.
    pub has_no_start: bool,
    /// The group of `commands` at this position is not shown.
    pub left_out: Option<Position>,
    /// `sync` fails from the first lost group on.
    pub syncs_fail: bool,
    /// A group was lost.
    has_lost: AtomicBool,
    /// Events are refused, as after a failed write.
    pub refuse_events: Arc<AtomicBool>,
    /// Which streams are out of reach.
    pub outage: Arc<Outage>,
}

/// A passing outage, stream by stream: questions about a stream are answered `Unavailable`, and readers
/// that are open see nothing new.
#[derive(Default)]
pub struct Outage {
    away: [AtomicBool; 4],
    silent: [AtomicBool; 4],
    asked: [AtomicU64; 4],
}

impl Outage {
    /// Questions about a stream find nobody, from now on or no longer.
    pub fn set_away(&self, stream: Stream, is_away: bool) {
        self.away[stream as usize].store(is_away, Ordering::SeqCst);
    }

    /// Open readers of a stream see nothing new, from now on or no longer.
    pub fn set_silent(&self, stream: Stream, is_silent: bool) {
        self.silent[stream as usize].store(is_silent, Ordering::SeqCst);
    }

    /// Questions that found nobody so far.
    pub fn asked_in_vain(&self, stream: Stream) -> u64 {
        self.asked[stream as usize].load(Ordering::SeqCst)
    }

    fn check(&self, stream: Stream) -> Result<(), JournalError> {
        if !self.away[stream as usize].load(Ordering::SeqCst) {
            return Ok(());
        }
        self.asked[stream as usize].fetch_add(1, Ordering::SeqCst);
        let (place, cause) = (stream.name().to_owned(), "nobody answers".to_owned());
        Err(JournalError::Unavailable { place, cause })
    }
}

impl Wrapped {
    pub fn new(inner: &Arc<dyn Journal>) -> Wrapped {
        Wrapped {
            inner: Arc::clone(inner),
            id: None,
            paused: Arc::default(),
            is_held: Arc::default(),
            lose: Arc::default(),
            has_no_start: false,
            left_out: None,
            syncs_fail: false,
            has_lost: AtomicBool::new(false),
            refuse_events: Arc::default(),
            outage: Arc::default(),
        }
    }
}

/// Leaves one group out, and is silent in an outage.
struct HoledReader {
    inner: Box<dyn Reader>,
    left_out: Option<Position>,
    stream: Stream,
    outage: Arc<Outage>,
}

impl Reader for HoledReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        if self.outage.silent[self.stream as usize].load(Ordering::SeqCst) {
            std::thread::sleep(wait);
            return Ok(None);
        }
        let group = self.inner.poll(wait)?;
        match group {
            Some(group) if Some(group.position) == self.left_out => self.inner.poll(wait),
            other => Ok(other),
        }
    }

    fn position(&self) -> Position {
        self.inner.position()
    }
}

impl Journal for Wrapped {
    fn id(&self) -> JournalId {
        self.id.unwrap_or_else(|| self.inner.id())
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        self.inner.lane(stream, on_settled)
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        self.inner.append(stream, records)
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        if self.paused.load(Ordering::SeqCst) {
            self.is_held.store(true, Ordering::SeqCst);
            wait_until("the pause ends", || !self.paused.load(Ordering::SeqCst));
            self.is_held.store(false, Ordering::SeqCst);
        }
        let lost =
            self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if lost.is_ok() {
            self.has_lost.store(true, Ordering::SeqCst);
            return Ok(Position(u64::MAX));
        }
        if self.refuse_events.load(Ordering::SeqCst) {
            return Err(JournalError::Closed("the disk is full".to_owned()));
        }
        self.inner.append_behind(stream, record)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        if self.syncs_fail && self.has_lost.load(Ordering::SeqCst) {
            return Err(JournalError::Closed("a write failed".to_owned()));
        }
        self.inner.sync(stream)
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        if stream == Stream::Commands && self.has_no_start && from == Position::START {
            return Err(JournalError::NoSuchPosition { stream: stream.name(), position: from.0 });
        }
        self.outage.check(stream)?;
        let inner = self.inner.reader(stream, from, visibility)?;
        let left_out = self.left_out.filter(|_| stream == Stream::Commands);
        let outage = Arc::clone(&self.outage);
        Ok(Box::new(HoledReader { inner, left_out, stream, outage }))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        self.outage.check(stream)?;
        self.inner.durable_end(stream)
    }

    fn health(&self) -> Health {
        if self.refuse_events.load(Ordering::SeqCst) {
            return Health::Failed("the disk is full".to_owned());
        }
        self.inner.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.inner.stored_bytes(stream)
    }

    fn close(&self) {
        self.inner.close();
    }
}
