//! Events in, drafts of texts out: names of sites, slots and vaccines stay in memory, contact data goes
//! to the disk book.
//!
//! A row of the book is the person's key (16 bytes, from the event that numbered them) and then the
//! sealed contact data, if they have any. A draft is written to the contact data as it stood when its
//! event happened: changes wait in memory until every draft before them is settled, then go to the
//! book in one batch with its watermark.
//!
//! What this file deliberately does not do: read streams, open what is sealed, send.

use std::collections::{HashMap, VecDeque};

use domain::codec::{DecodeError, EventGroup};
use domain::view::Catalogue;
use domain::watermark::EventId;
use domain::{
    Admission, BookingNumber, Event, Millis, PersonKey, PersonNumber, Sequence, SlotNumber,
    Watermark,
};
use vault::contacts::{BookError, ContactBook};

use crate::text::MessageKind;

/// Bytes of a person's key, in front of a row.
pub(crate) const KEY_BYTES: usize = 16;

/// A text that is owed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The event it tells of.
    pub(crate) id: EventId,
    /// When that happened.
    pub(crate) at: Millis,
    pub(crate) kind: MessageKind,
    pub(crate) person: PersonNumber,
    pub(crate) booking: BookingNumber,
    /// The slot held from now on, or given up.
    pub(crate) slot: SlotNumber,
    /// The person's row, if it is newer than the book's.
    pub(crate) row: Option<Vec<u8>>,
}

/// What the events say so far.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) catalogue: Catalogue,
    /// Texts owed, in order.
    pub(crate) drafts: VecDeque<Draft>,
    watermark: Watermark,
    /// Rows newer than the book's.
    rows: HashMap<u32, Vec<u8>>,
    /// Groups dropped because they did not continue what was read: a deposed engine's.
    dropped: u64,
}

/// Why events cannot be taken in. None of these passes by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    #[error("events: {0}")]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("event {0} contradicts what came before it; the events stream is damaged")]
    Contradiction(EventId),
}

impl Fold {
    pub(crate) fn new() -> Fold {
        Fold {
            catalogue: Catalogue::new(),
            drafts: VecDeque::new(),
            watermark: Watermark::START,
            rows: HashMap::new(),
            dropped: 0,
        }
    }

    /// Takes in one events group. Drafts that are not owed any more are left out.
    pub(crate) fn absorb(
        &mut self,
        record: &[u8],
        book: &ContactBook,
        is_owed: impl Fn(EventId) -> bool,
    ) -> Result<(), FoldError> {
        let group = EventGroup::decode(record)?;
        match self.watermark.admit(group.first, group.last()) {
            Admission::Next => {}
            Admission::Behind => return Ok(()),
            Admission::Beyond => {
                self.dropped += 1;
                return Ok(());
            }
        }
        let kept_through = book.watermark();
        let mut failed = None;
        group.for_each(|sequence, _, index, event| {
            // Only imports have more than 65,536 events, and none of those asks for a text.
            let id = EventId::new(sequence, index.min(u32::from(u16::MAX)) as u16);
            if failed.is_none()
                && let Err(error) =
                    self.event(id, group.at, event, book, sequence.0 > kept_through, &is_owed)
            {
                failed = Some(error);
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    #[inline]
    fn event(
        &mut self,
        id: EventId,
        at: Millis,
        event: &Event,
        book: &ContactBook,
        is_new_to_book: bool,
        is_owed: impl Fn(EventId) -> bool,
    ) -> Result<(), FoldError> {
        let (kind, person, booking, slot) = match *event {
            Event::Confirmed { person, booking, slot, .. } => {
                (MessageKind::Confirmed, person, booking, slot)
            }
            // The slot they hold already: nothing changed, and no text is owed.
            Event::Changed { from, to, .. } if from == to => return Ok(()),
            Event::Changed { person, booking, to, .. } => {
                (MessageKind::Changed, person, booking, to)
            }
            Event::Cancelled { person, booking, slot, .. } => {
                (MessageKind::Cancelled, person, booking, slot)
            }
            _ if is_new_to_book => return self.other(id, event, book),
            _ => return self.offer(id, event),
        };
        if is_owed(id) {
            let row = self.rows.get(&person.0).cloned();
            self.drafts.push_back(Draft { id, at, kind, person, booking, slot, row });
        }
        Ok(())
    }

    /// An event that may concern contact data.
    fn other(&mut self, id: EventId, event: &Event, book: &ContactBook) -> Result<(), FoldError> {
        match event {
            Event::Numbered { person, key: PersonKey(key) } => {
                self.rows.insert(person.0, key.to_vec());
                Ok(())
            }
            Event::Registered { person, sealed, .. } | Event::Modified { person, sealed, .. } => {
                self.put_contact(id, *person, sealed, book)
            }
            Event::Withdrawn { person, .. } => self.put_contact(id, *person, &[], book),
            _ => self.offer(id, event),
        }
    }

    fn offer(&mut self, id: EventId, event: &Event) -> Result<(), FoldError> {
        if self.catalogue.absorb(event) { Ok(()) } else { Err(FoldError::Contradiction(id)) }
    }

    fn put_contact(
        &mut self,
        id: EventId,
        person: PersonNumber,
        sealed: &[u8],
        book: &ContactBook,
    ) -> Result<(), FoldError> {
        let row = match self.rows.remove(&person.0) {
            Some(row) => Some(row),
            None => book.get(person.0)?,
        };
        let mut row =
            row.filter(|row| row.len() >= KEY_BYTES).ok_or(FoldError::Contradiction(id))?;
        row.truncate(KEY_BYTES);
        row.extend_from_slice(sealed);
        self.rows.insert(person.0, row);
        Ok(())
    }

    /// Gives the rows to the book, once every draft is settled: a draft is owed the contact data of its
    /// own time, also when it is written again after a crash.
    pub(crate) fn keep_rows(&mut self, book: &ContactBook) -> Result<(), BookError> {
        let through = self.watermark.last().0;
        if !self.drafts.is_empty() || through <= book.watermark() {
            return Ok(());
        }
        let mut rows: Vec<(u32, &[u8])> =
            self.rows.iter().map(|(number, row)| (*number, row.as_slice())).collect();
        rows.sort_unstable_by_key(|(number, _)| *number);
        book.put_batch(through, &rows)?;
        self.rows.clear();
        Ok(())
    }

    /// Rows that wait for the book.
    pub(crate) fn rows_waiting(&self) -> usize {
        self.rows.len()
    }

    /// The last command taken in.
    pub(crate) fn sequence(&self) -> Sequence {
        self.watermark.last()
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}
