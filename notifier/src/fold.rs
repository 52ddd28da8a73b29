//! Events in, drafts of texts or public messages out: names of sites, slots and vaccines stay in memory,
//! contact data goes to the disk book. Texts and public messages have a fold and a book each, so that
//! neither waits for the other.
//!
//! A row of the book is the person's key (16 bytes, from the event that numbered them) and then the
//! sealed contact data, if they have any. A draft is written with the contact data as it stood when its
//! event happened: changes wait in memory until every draft before them is settled, then go to the
//! book in one batch with its watermark.
//!
//! What this file deliberately does not do: read streams, open what is sealed, send.

use std::collections::{HashMap, VecDeque};

use domain::codec::{DecodeError, EventGroup};
use domain::view::Catalogue;
use domain::watermark::EventId;
use domain::{Admission, Event, Millis, PersonKey, PersonNumber, Sequence, Watermark};
use vault::contacts::{BookError, ContactBook};

use crate::confirmations::Confirmation;
use crate::reached::Reached;

/// Bytes of a person's key, in front of a row.
const KEY_BYTES: usize = 16;

/// A text or a public message that is owed.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// What it tells of.
    pub(crate) what: Confirmation,
    /// The person's row, if it is newer than the book's.
    row: Option<Vec<u8>>,
}

/// What the events say so far.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) catalogue: Catalogue,
    /// What is owed, in order.
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

impl Draft {
    /// True when the contact data as it stood when its event happened is what the book has.
    pub(crate) fn is_in_book(&self) -> bool {
        self.row.is_none()
    }
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
        let Some(what) = Confirmation::of(id, at, event) else {
            return if is_new_to_book {
                self.other(id, event, book)
            } else {
                self.offer(id, event)
            };
        };
        if is_owed(id) {
            let row = self.rows.get(&what.person.0).cloned();
            self.drafts.push_back(Draft { what, row });
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
    pub(crate) fn keep_rows(&mut self, reached: &mut Reached) -> Result<(), BookError> {
        let through = self.watermark.last().0;
        if !self.drafts.is_empty() || through <= reached.book().watermark() {
            return Ok(());
        }
        let mut rows: Vec<(u32, &[u8])> =
            self.rows.iter().map(|(number, row)| (*number, row.as_slice())).collect();
        rows.sort_unstable_by_key(|(number, _)| *number);
        reached.put_batch(through, &rows)?;
        self.rows.clear();
        Ok(())
    }

    /// Leaves out what is not owed any more.
    pub(crate) fn forget(&mut self, is_owed: impl Fn(EventId) -> bool) {
        while self.drafts.front().is_some_and(|draft| !is_owed(draft.what.id)) {
            self.drafts.pop_front();
        }
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

/// Shows the row of each draft's person as it stood when its event happened, in no certain order.
/// `keep_rows` was not called since the first of them was made.
pub(crate) fn visit_rows(
    drafts: &[&Draft],
    book: &ContactBook,
    mut show: impl FnMut(usize, Option<&[u8]>),
) -> Result<(), BookError> {
    // Sorted look-ups share the store's blocks.
    let mut stored: Vec<usize> =
        (0..drafts.len()).filter(|place| drafts[*place].row.is_none()).collect();
    stored.sort_unstable_by_key(|place| drafts[*place].what.person);
    let numbers: Vec<u32> = stored.iter().map(|place| drafts[*place].what.person.0).collect();
    book.visit_many(&numbers, |place, row| show(stored[place], row))?;
    for (place, draft) in drafts.iter().enumerate() {
        if let Some(row) = &draft.row {
            show(place, Some(row));
        }
    }
    Ok(())
}

/// The person's key and their sealed contact data; `None` when they have none.
pub(crate) fn contact_of(row: Option<&[u8]>) -> Option<(&[u8; KEY_BYTES], &[u8])> {
    row?.split_first_chunk::<KEY_BYTES>().filter(|(_, sealed)| !sealed.is_empty())
}
