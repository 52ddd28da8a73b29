//! Reads the events stream as it stands, giving only what is next in the count.
//!
//! Deliberately does not compare, and does not write.

use std::time::Duration;

use domain::codec::{DecodeError, EventGroup};
use domain::{Admission, Sequence, Watermark};
use journal::{Group, Journal, JournalError, Position, Reader, Stream, Visibility};

use crate::EngineError;

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
    pub(super) fn bytes(&self) -> &[u8] {
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
    ///
    /// # Errors
    /// When the journal is out of reach.
    pub(crate) fn open_at_group(
        journal: &dyn Journal,
        position: Position,
        wait: Duration,
    ) -> Result<Option<Tail>, JournalError> {
        match journal.reader(Stream::Events, position, Visibility::Durable) {
            Ok(reader) => Ok(Tail::at_first_group(reader, wait)),
            Err(error @ JournalError::Unavailable { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn at_first_group(mut reader: Box<dyn Reader>, wait: Duration) -> Option<Tail> {
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

/// A stream that does not give what is known to be there.
pub(crate) fn stalled(stream: &str) -> EngineError {
    EngineError::Journal(JournalError::Unavailable {
        place: format!("stream {stream}"),
        cause: "no group came although the end is not reached".to_owned(),
    })
}
