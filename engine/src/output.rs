//! The events stream: what stands there already is compared, what does not is appended.
//!
//! Groups are deterministic, so a group that somebody wrote before (this engine in an earlier life,
//! a deposed one) must have the same bytes; anything else halts. The stream is continued from its
//! contiguous watermark, never from its last record.
//!
//! Deliberately does not decide who may write; the loop says so.

mod tail;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use journal::{Health, Journal, JournalError, Position, Stream, once_there, unless_away};

use crate::{EngineConfig, EngineError};

pub(crate) use tail::{KNOWN_GROUP_POLL_MS, KNOWN_GROUP_POLLS_MAX, Tail, TailGroup, stalled};

/// One wait for the rest of the events stream while taking over.
const TAKE_OVER_POLL_MS: u64 = 50;

/// What came of an attempt to write from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeOver {
    /// This engine writes from here on.
    Done,
    /// The stream holds groups that this engine has not computed yet: a later epoch is at work.
    Ahead,
    /// Asked to stop meanwhile.
    Stopped,
}

/// Events computed and not yet seen in the stream.
struct Pending {
    first: u64,
    last: u64,
    bytes: Vec<u8>,
}

/// What this engine does with the events stream.
enum Side {
    /// Reads what others write, and compares.
    Reading(Tail),
    /// Will read from this place on, behind this sequence, as soon as the journal can be reached.
    Resuming { from: Position, through: u64 },
    /// Writes.
    Writing,
}

/// The engine's side of the events stream.
pub(crate) struct Output {
    /// Where it stands.
    journal: Arc<dyn Journal>,
    /// Reading or writing.
    side: Side,
    /// Computed and not yet seen in the stream, in order.
    pending: VecDeque<Pending>,
    /// Their bytes together.
    pending_bytes: u64,
    /// The most of them that may wait.
    pending_bytes_max: u64,
    /// Events stand without a hole, compared or written by this engine, through this sequence.
    through: u64,
    /// Where the group that ends there stands (a hint).
    through_position: Position,
    /// Where reading goes on after this engine has written, and behind which sequence: its own groups
    /// may stand behind another engine's, so their positions say nothing. Absent while reading, and
    /// where no other can write.
    reading_resumes: Option<(Position, u64)>,
    /// No other engine can write.
    exclusive: bool,
    /// Dropped by earlier tails.
    beyond: u64,
}

impl Output {
    /// Continues behind `through`, comparing first.
    pub(crate) fn new(
        journal: Arc<dyn Journal>,
        tail: Tail,
        through: u64,
        through_position: Position,
        config: &EngineConfig,
    ) -> Output {
        Output {
            journal,
            side: Side::Reading(tail),
            pending: VecDeque::new(),
            pending_bytes: 0,
            pending_bytes_max: config.events_pending_bytes_max,
            through,
            through_position,
            reading_resumes: None,
            exclusive: config.exclusive,
            beyond: 0,
        }
    }

    /// Events stand without a hole through this sequence.
    pub(crate) fn through(&self) -> u64 {
        self.through
    }

    /// From this group on the stream can be read without a hole, through `through` and beyond.
    pub(crate) fn resume_position(&self) -> Position {
        self.reading_resumes.map_or(self.through_position, |(position, _)| position)
    }

    /// True when everything computed stands in the stream.
    pub(crate) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// True while this engine writes.
    pub(crate) fn is_writing(&self) -> bool {
        matches!(self.side, Side::Writing)
    }

    /// Bytes computed and not yet seen in the stream.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Groups of deposed engines that were dropped.
    pub(crate) fn beyond(&self) -> u64 {
        let here = if let Side::Reading(tail) = &self.side { tail.beyond } else { 0 };
        self.beyond + here
    }

    /// Reads what others wrote; `None` while this engine writes, and while the journal is out of reach.
    fn tail(&mut self) -> Result<Option<&mut Tail>, JournalError> {
        if let Side::Resuming { from, through } = self.side {
            let opened = Tail::open(self.journal.as_ref(), from, through + 1);
            if let Some(tail) = unless_away(opened)? {
                self.side = Side::Reading(tail);
            }
        }
        Ok(if let Side::Reading(tail) = &mut self.side { Some(tail) } else { None })
    }

    /// Takes one computed group: appends it while writing, else compares it with the stream or keeps
    /// it until the stream gets there.
    ///
    /// # Errors
    /// Divergence, too much pending, errors of the journal.
    pub(crate) fn put(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<(), EngineError> {
        if self.is_writing() {
            return self.append(first, last, bytes);
        }
        if self.pending.is_empty() && self.compare_next(first, last, bytes)? {
            return Ok(());
        }
        self.pending_bytes += bytes.len() as u64;
        self.pending.push_back(Pending { first, last, bytes: bytes.to_vec() });
        self.reconcile(Duration::ZERO)
    }

    /// Compares what is pending with what has come into the stream meanwhile.
    ///
    /// # Errors
    /// Divergence, errors of the journal.
    pub(crate) fn reconcile(&mut self, wait: Duration) -> Result<(), EngineError> {
        while let Some(pending) = self.pending.pop_front() {
            if !self.wait_and_compare(pending.first, pending.last, &pending.bytes, wait)? {
                self.pending.push_front(pending);
                break;
            }
            self.pending_bytes -= pending.bytes.len() as u64;
        }
        Ok(())
    }

    /// True when more waits than may.
    pub(crate) fn is_overfull(&self) -> bool {
        self.pending_bytes > self.pending_bytes_max
    }

    /// The error for that.
    pub(crate) fn too_far_behind(&self) -> EngineError {
        EngineError::TooFarBehind { bytes: self.pending_bytes, limit: self.pending_bytes_max }
    }

    /// True when the stream holds the events of `sequence` already: somebody decided it before.
    ///
    /// # Errors
    /// Divergence, errors of the journal.
    pub(crate) fn covers(&mut self, sequence: u64) -> Result<bool, EngineError> {
        self.reconcile(Duration::ZERO)?;
        if sequence <= self.through {
            return Ok(true);
        }
        if !self.pending.is_empty() {
            return Ok(false);
        }
        let next = self.peek(Duration::ZERO)?;
        Ok(next.is_some_and(|next| next.last >= sequence))
    }

    /// First sequence that stands in the stream without having been computed, if any.
    ///
    /// # Errors
    /// Divergence, errors of the journal.
    pub(crate) fn ahead(&mut self) -> Result<Option<u64>, EngineError> {
        self.reconcile(Duration::ZERO)?;
        if !self.pending.is_empty() {
            return Ok(None);
        }
        Ok(self.peek(Duration::ZERO)?.map(|next| next.first))
    }

    /// Reads the stream to its end, then writes what is pending: from here on this engine writes.
    ///
    /// # Errors
    /// Divergence, errors of the journal.
    pub(crate) fn take_over(&mut self, stop: &dyn Fn() -> bool) -> Result<TakeOver, EngineError> {
        let asked = once_there(stop, || self.journal.durable_end(Stream::Events))?;
        let Some(end) = asked else { return Ok(TakeOver::Stopped) };
        loop {
            self.reconcile(Duration::ZERO)?;
            if self.is_writing() {
                return Ok(TakeOver::Done);
            }
            let Some(tail) = self.tail()? else {
                if stop() {
                    return Ok(TakeOver::Stopped);
                }
                std::thread::sleep(Duration::from_millis(TAKE_OVER_POLL_MS));
                continue;
            };
            // With nothing pending, a further group in the count is one this engine cannot know.
            let wait =
                Duration::from_millis(if tail.position() < end { TAKE_OVER_POLL_MS } else { 0 });
            let found = self.peek(wait)?.is_some();
            if found && self.pending.is_empty() {
                return Ok(TakeOver::Ahead);
            }
            let is_read = self.tail()?.is_none_or(|tail| tail.position() >= end);
            if !found && is_read {
                break;
            }
            if stop() {
                return Ok(TakeOver::Stopped);
            }
        }
        self.beyond = self.beyond();
        self.side = Side::Writing;
        self.reading_resumes = (!self.exclusive).then_some((self.through_position, self.through));
        while let Some(pending) = self.pending.pop_front() {
            self.pending_bytes -= pending.bytes.len() as u64;
            self.append(pending.first, pending.last, &pending.bytes)?;
        }
        Ok(TakeOver::Done)
    }

    /// Stops writing: what was written so far is made durable, and reading goes on where this engine
    /// began to write. What it wrote itself is read again, as every reader reads it: another engine's
    /// later groups may stand before it, and count for nobody then.
    ///
    /// # Errors
    /// Errors of the journal.
    pub(crate) fn stand_down(&mut self) -> Result<(), EngineError> {
        if !self.is_writing() {
            return Ok(());
        }
        self.journal.sync(Stream::Events)?;
        let resumes = self.reading_resumes.take();
        let (from, through) = resumes.unwrap_or((self.through_position, self.through));
        self.side = Side::Resuming { from, through };
        self.through_position = from;
        Ok(())
    }

    /// The next group of the stream that was neither compared nor written by this engine.
    fn peek(&mut self, wait: Duration) -> Result<Option<&TailGroup>, EngineError> {
        let through = self.through;
        let Some(tail) = self.tail()? else {
            return Ok(None);
        };
        while tail.peek(wait)?.is_some_and(|next| next.last <= through) {
            tail.take();
        }
        Ok(tail.peeked())
    }

    fn append(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<(), EngineError> {
        let position = match self.journal.append_behind(Stream::Events, bytes) {
            Ok(position) => position,
            Err(JournalError::TooLarge { bytes, limit }) => {
                return Err(EngineError::EventsTooLarge { first, last, bytes, limit });
            }
            // Too much waits to be written: let it out, then once more. A failed write is final.
            Err(_) if matches!(self.journal.health(), Health::Writable | Health::Waiting(_)) => {
                self.journal.sync(Stream::Events)?;
                self.journal.append_behind(Stream::Events, bytes)?
            }
            Err(error) => return Err(error.into()),
        };
        self.through = last;
        self.through_position = position;
        Ok(())
    }

    fn compare_next(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<bool, EngineError> {
        self.wait_and_compare(first, last, bytes, Duration::ZERO)
    }

    /// Compares one computed group with the next one in the stream; false when that is not there yet.
    fn wait_and_compare(
        &mut self,
        first: u64,
        last: u64,
        bytes: &[u8],
        wait: Duration,
    ) -> Result<bool, EngineError> {
        let Some(next) = self.peek(wait)? else {
            return Ok(false);
        };
        compare(next, first, last, bytes)?;
        let position = next.position;
        self.through = last;
        self.through_position = position;
        if let Side::Reading(tail) = &mut self.side {
            tail.take();
        }
        Ok(true)
    }
}

/// Halts unless the stream holds exactly what the commands give.
pub(crate) fn compare(
    found: &TailGroup,
    first: u64,
    last: u64,
    bytes: &[u8],
) -> Result<(), EngineError> {
    if found.first == first && found.last == last && found.bytes() == bytes {
        return Ok(());
    }
    Err(EngineError::Diverged {
        sequence: first,
        what: format!(
            "the events group at position {} covers {}..={} in {} bytes; the commands give {first}..={last} in {} other bytes",
            found.position.0,
            found.first,
            found.last,
            found.bytes().len(),
            bytes.len()
        ),
    })
}
