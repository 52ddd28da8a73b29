//! Reading `events` from where a checkpoint ended.
//!
//! Before anything is applied, the group at which the checkpoint ends is found again
//! ([`domain::Anchor`]). Reading begins at the newest hint; when that is no good (the journal refuses
//! it, what stands there cannot be read, or comes after), at the next older one, and at last at the
//! start of the stream, where a group that comes after is a deposed engine's and is dropped. When the
//! events end before the checkpoint, because their end was torn off, this waits: the engine writes the
//! same groups again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::codec::EventGroup;
use domain::{Admission, Anchor, Sighting, Watermark};
use journal::{Group, Journal, JournalError, Position, Reader, Stream, Visibility, once_there};

use super::note::Hint;

/// The stream, as far as the view has not taken it in.
pub(super) struct Events<'a> {
    journal: &'a dyn Journal,
    /// Set when the gateway ends.
    stop: &'a AtomicBool,
    reader: Box<dyn Reader>,
    watermark: Watermark,
    /// The group to be found again, until it is.
    anchor: Option<Anchor>,
    /// Where to begin when the present hint is no good, the best first.
    hints: std::vec::IntoIter<Hint>,
    /// True when reading began at the start of the stream.
    from_start: bool,
    /// True once something was read since reading began.
    has_read: bool,
}

/// What to do with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It continues what was read: take it in.
    TakeIn,
    /// It is known.
    Drop,
    /// It does not continue what was read: a deposed engine's. Count it.
    DropAndCount,
    /// Reading began again further back: leave the rest of what was read.
    BeganAgain,
    /// The events are not those that the checkpoint was made of.
    OtherHistory,
}

impl<'a> Events<'a> {
    /// From the first event on.
    ///
    /// # Errors
    /// Those of the journal.
    pub(super) fn from_start(
        journal: &'a dyn Journal,
        stop: &'a AtomicBool,
    ) -> Result<Events<'a>, JournalError> {
        Ok(Events {
            journal,
            stop,
            reader: open(journal, stop, Position::START)?,
            watermark: Watermark::START,
            anchor: None,
            hints: Vec::new().into_iter(),
            from_start: true,
            has_read: false,
        })
    }

    /// Behind a checkpoint that ends with `anchor`.
    ///
    /// # Errors
    /// Those of the journal, at the start of the stream.
    pub(super) fn behind(
        journal: &'a dyn Journal,
        stop: &'a AtomicBool,
        anchor: Anchor,
        hints: Vec<Hint>,
    ) -> Result<Events<'a>, JournalError> {
        let mut events = Events::from_start(journal, stop)?;
        events.watermark = Watermark::after(anchor.last);
        events.anchor = Some(anchor);
        events.hints = hints.into_iter();
        events.begin_at_next_hint()?;
        Ok(events)
    }

    /// How far the events were taken in.
    pub(super) fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Where the next group will be read.
    pub(super) fn position(&self) -> Position {
        self.reader.position()
    }

    /// The next group, waiting up to `wait` for one.
    ///
    /// # Errors
    /// Those of the journal, unless a hint may be to blame.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        match self.reader.poll(wait) {
            Err(error) if !self.from_start && !self.has_read => {
                self.give_up_hint(&error.to_string());
                self.begin_at_next_hint()?;
                Ok(None)
            }
            polled => {
                self.has_read |= matches!(polled, Ok(Some(_)));
                polled
            }
        }
    }

    /// Says what to do with a group of events that was polled.
    ///
    /// # Errors
    /// Those of the journal, when reading has to begin again.
    pub(super) fn judge(&mut self, group: &EventGroup<'_>) -> Result<Verdict, JournalError> {
        let (first, last) = (group.first, group.last());
        let Some(anchor) = &self.anchor else {
            return Ok(match self.watermark.admit(first, last) {
                Admission::Next => Verdict::TakeIn,
                Admission::Behind => Verdict::Drop,
                Admission::Beyond => Verdict::DropAndCount,
            });
        };
        Ok(match anchor.judge(first, last, &group.chain) {
            Sighting::Before => Verdict::Drop,
            Sighting::Found => {
                self.anchor = None;
                Verdict::Drop
            }
            Sighting::OtherHistory => Verdict::OtherHistory,
            Sighting::After if self.from_start => Verdict::DropAndCount,
            Sighting::After => {
                self.give_up_hint("what stands there comes after the checkpoint");
                self.begin_at_next_hint()?;
                Verdict::BeganAgain
            }
        })
    }

    fn give_up_hint(&self, why: &str) {
        tracing::warn!(
            checkpoint = self.watermark.last().0,
            %why,
            "the events are not where the checkpoint last saw them; looking for them further back"
        );
    }

    /// Opens the stream at the next hint that the journal accepts, or at its start.
    fn begin_at_next_hint(&mut self) -> Result<(), JournalError> {
        self.has_read = false;
        while let Some(hint) = self.hints.next() {
            match open(self.journal, self.stop, hint.position) {
                Ok(reader) => {
                    self.reader = reader;
                    self.from_start = hint.position == Position::START;
                    return Ok(());
                }
                Err(error) => self.give_up_hint(&error.to_string()),
            }
        }
        self.reader = open(self.journal, self.stop, Position::START)?;
        self.from_start = true;
        Ok(())
    }
}

/// Opens the stream; an outage of the journal is waited out.
fn open(
    journal: &dyn Journal,
    stop: &AtomicBool,
    from: Position,
) -> Result<Box<dyn Reader>, JournalError> {
    let stopped = || stop.load(Ordering::Acquire);
    let opened =
        once_there(&stopped, || journal.reader(Stream::Events, from, Visibility::Accepted))?;
    opened.ok_or_else(|| JournalError::Unavailable {
        place: "events".to_owned(),
        cause: "the gateway ended first".to_owned(),
    })
}
