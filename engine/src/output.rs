//! The events stream: what stands there already is compared, what does not is appended.
//!
//! Groups are deterministic, so a group that somebody wrote before (this engine in an earlier life,
//! a deposed one) must have the same bytes; anything else halts. The stream is continued from its
//! contiguous watermark, never from its last record.
//!
//! Deliberately does not decide who may write; the loop says so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::codec::{DecodeError, EventGroup};
use domain::{Admission, Sequence, Watermark};
use journal::{Group, Health, Journal, JournalError, Position, Reader, Stream, Visibility};

use crate::{EngineConfig, EngineError};

/// One wait for the rest of the events stream while taking over.
const TAKE_OVER_POLL_MS: u64 = 50;
/// One wait for a group that is known to be there.
pub(crate) const KNOWN_GROUP_POLL_MS: u64 = 100;
/// So many of them before giving up.
pub(crate) const KNOWN_GROUP_POLLS_MAX: u32 = 300;

/// Reads `events` forward, giving only the groups that are next in the count.
pub(crate) struct Tail {
    /// The stream.
    reader: Box<dyn Reader>,
    /// What was read without a hole.
    watermark: Watermark,
    /// The next group in the count, read and not yet compared.
    peeked: Option<TailGroup>,
    /// Groups dropped: read before.
    pub(crate) behind: u64,
    /// Groups dropped: beyond the next expected one.
    pub(crate) beyond: u64,
}

/// One events group as it stands.
pub(crate) struct TailGroup {
    /// Its first command.
    pub(crate) first: u64,
    /// Its last command.
    pub(crate) last: u64,
    /// Its chain hash.
    pub(crate) chain: [u8; 32],
    /// Where it stands.
    pub(crate) position: Position,
    /// The journal's group; its only record is the events group.
    group: Group,
}

impl TailGroup {
    /// The events group's bytes.
    fn bytes(&self) -> &[u8] {
        self.group.records.iter().next().unwrap_or_default()
    }
}

impl Tail {
    /// Starts reading at a hint; falls back to the start of the stream when the hint is no good.
    ///
    /// # Errors
    /// Errors of the journal.
    pub(crate) fn open(
        journal: &dyn Journal,
        hint: Position,
        next: u64,
    ) -> Result<Tail, JournalError> {
        let reader = match journal.reader(Stream::Events, hint, Visibility::Durable) {
            Ok(reader) => reader,
            Err(JournalError::NoSuchPosition { .. }) if hint != Position::START => {
                journal.reader(Stream::Events, Position::START, Visibility::Durable)?
            }
            Err(error) => return Err(error),
        };
        Ok(Tail {
            reader,
            watermark: Watermark::after(Sequence(next - 1)),
            peeked: None,
            behind: 0,
            beyond: 0,
        })
    }

    /// Starts reading at a group that is there, whichever it is; `None` when none is, or when the
    /// position is none where a group begins.
    pub(crate) fn open_at_group(
        journal: &dyn Journal,
        position: Position,
        wait: Duration,
    ) -> Option<Tail> {
        let mut reader = journal.reader(Stream::Events, position, Visibility::Durable).ok()?;
        let group = reader.poll(wait).ok()??;
        let first = EventGroup::decode(group.records.iter().next()?).ok()?.first;
        let watermark = Watermark::after(Sequence(first.0 - 1));
        let mut tail = Tail { reader, watermark, peeked: None, behind: 0, beyond: 0 };
        tail.admit(group).ok()?;
        Some(tail)
    }

    /// Where the reader stands.
    pub(crate) fn position(&self) -> Position {
        self.reader.position()
    }

    /// The next group in the count, if it is there; it stays until taken.
    ///
    /// # Errors
    /// Errors of the journal, and records that are no events groups.
    pub(crate) fn peek(&mut self, wait: Duration) -> Result<Option<&TailGroup>, EngineError> {
        while self.peeked.is_none() {
            let Some(group) = self.reader.poll(wait)? else {
                break;
            };
            self.admit(group)?;
        }
        Ok(self.peeked.as_ref())
    }

    /// The next group in the count that stands before `end`, which is durable: a reader may fall behind
    /// what is there, so it is waited for. It stays until taken.
    ///
    /// # Errors
    /// Errors of the journal, records that are no events groups, and a reader that comes no further.
    pub(crate) fn peek_before(&mut self, end: Position) -> Result<Option<&TailGroup>, EngineError> {
        let wait = Duration::from_millis(KNOWN_GROUP_POLL_MS);
        let mut polls = 0;
        while self.peeked.is_none() && self.reader.position() < end {
            match self.reader.poll(wait)? {
                Some(group) => self.admit(group)?,
                None if polls < KNOWN_GROUP_POLLS_MAX => polls += 1,
                None => return Err(stalled("events")),
            }
        }
        Ok(self.peeked.as_ref().filter(|group| group.position < end))
    }

    /// Takes the group that was peeked.
    pub(crate) fn take(&mut self) -> Option<TailGroup> {
        self.peeked.take()
    }

    fn admit(&mut self, group: Group) -> Result<(), EngineError> {
        let Some(record) = group.records.iter().next() else {
            return Ok(());
        };
        let header = EventGroup::decode(record).map_err(|error| self.unreadable(&group, error))?;
        let (first, last, chain) = (header.first, header.last(), header.chain);
        match self.watermark.admit(first, last) {
            Admission::Behind => self.behind += 1,
            Admission::Beyond => self.beyond += 1,
            Admission::Next => {
                self.peeked = Some(TailGroup {
                    first: first.0,
                    last: last.0,
                    chain,
                    position: group.position,
                    group,
                });
            }
        }
        Ok(())
    }

    fn unreadable(&self, group: &Group, error: DecodeError) -> EngineError {
        let what = format!("the events group at position {}", group.position.0);
        match error {
            DecodeError::NewerFormat { found, known } => {
                EngineError::NewerFormat { what, found: u32::from(found), known: u32::from(known) }
            }
            DecodeError::Malformed(why) => EngineError::Diverged {
                sequence: self.watermark.next().0,
                what: format!("{what} cannot be read: {why}"),
            },
        }
    }
}

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

/// The engine's side of the events stream.
pub(crate) struct Output {
    /// Where it stands.
    journal: Arc<dyn Journal>,
    /// Reads what others wrote; absent while this engine writes.
    tail: Option<Tail>,
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
            tail: Some(tail),
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
        self.tail.is_none()
    }

    /// Bytes computed and not yet seen in the stream.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.pending_bytes
    }

    /// Groups of deposed engines that were dropped.
    pub(crate) fn beyond(&self) -> u64 {
        self.beyond + self.tail.as_ref().map_or(0, |tail| tail.beyond)
    }

    /// Takes one computed group: appends it while writing, else compares it with the stream or keeps
    /// it until the stream gets there.
    ///
    /// # Errors
    /// Divergence, too much pending, errors of the journal.
    pub(crate) fn put(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<(), EngineError> {
        if self.tail.is_none() {
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
        let end = self.journal.durable_end(Stream::Events)?;
        loop {
            self.reconcile(Duration::ZERO)?;
            let Some(position) = self.tail.as_ref().map(Tail::position) else {
                return Ok(TakeOver::Done);
            };
            // With nothing pending, a further group in the count is one this engine cannot know.
            let wait = Duration::from_millis(if position < end { TAKE_OVER_POLL_MS } else { 0 });
            let found = self.peek(wait)?.is_some();
            if found && self.pending.is_empty() {
                return Ok(TakeOver::Ahead);
            }
            if !found && self.tail.as_ref().is_none_or(|tail| tail.position() >= end) {
                break;
            }
            if stop() {
                return Ok(TakeOver::Stopped);
            }
        }
        self.beyond = self.beyond();
        self.tail = None;
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
        if self.tail.is_some() {
            return Ok(());
        }
        self.journal.sync(Stream::Events)?;
        let resumes = self.reading_resumes.take();
        let (from, through) = resumes.unwrap_or((self.through_position, self.through));
        self.tail = Some(Tail::open(self.journal.as_ref(), from, through + 1)?);
        self.through_position = from;
        Ok(())
    }

    /// The next group of the stream that was neither compared nor written by this engine.
    fn peek(&mut self, wait: Duration) -> Result<Option<&TailGroup>, EngineError> {
        let Some(tail) = self.tail.as_mut() else {
            return Ok(None);
        };
        while tail.peek(wait)?.is_some_and(|next| next.last <= self.through) {
            tail.take();
        }
        tail.peek(Duration::ZERO)
    }

    fn append(&mut self, first: u64, last: u64, bytes: &[u8]) -> Result<(), EngineError> {
        let position = match self.journal.append_behind(Stream::Events, bytes) {
            Ok(position) => position,
            Err(JournalError::TooLarge { bytes, limit }) => {
                return Err(EngineError::EventsTooLarge { first, last, bytes, limit });
            }
            // Too much waits to be written: let it out, then once more. A failed write is final.
            Err(_) if self.journal.health() == Health::Writable => {
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
        if let Some(tail) = self.tail.as_mut() {
            tail.take();
        }
        Ok(true)
    }
}

fn stalled(stream: &str) -> EngineError {
    EngineError::Journal(JournalError::Io {
        call: "read",
        place: format!("stream {stream}"),
        cause: "no group came although the end is not reached".to_owned(),
    })
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
