//! The public messages: one for each booking confirmed, changed to another slot, or cancelled.
//!
//! `schema/confirmation.json` describes a message. Its id is the event's, so a message read twice, here
//! or after a crash, is the same message. A [`Reader`] continues after any id: it finds the place in
//! `events` by a sparse index, not from the beginning.
//!
//! What an event names by number (site, vaccine, person) comes from a [`Directory`], which the
//! gateway's view is. The topic's messages ([`crate::publishing`]) are written by the same
//! `MessageWriter`. What this module deliberately does not do: keep a view of its own, check roles.

use std::sync::Arc;
use std::time::Duration;

use domain::codec::{DecodeError, EventGroup};
use domain::view::Catalogue;
use domain::watermark::EventId;
use domain::{
    Admission, BookingNumber, Event, LanguageNumber, Millis, PeriodNumber, PersonNumber, Sequence,
    SlotNumber, View, Watermark,
};
use journal::{Journal, JournalError, Position, Stream, Visibility};
use parking_lot::Mutex;
use vault::consumer::ConsumerError;
use vault::{Contact, OpenError, Vault};

use crate::text::{Details, MessageKind};

mod index;
mod message;

use index::SparseIndex;
pub(crate) use message::{Content, MessageWriter, open_contact};
pub use message::{NotAMessage, OpenMessageError, message_id, open_message};

/// Lines that one call gives at most.
pub const LINES_MAX: usize = 10_000;
/// Messages for which the directory is asked at once, so that it is held only briefly.
const RESOLVED_AT_ONCE: usize = 256;

/// An event that makes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Its name, for ever.
    pub id: EventId,
    /// When it was decided.
    pub at: Millis,
    /// What happened.
    pub kind: MessageKind,
    /// Whose booking.
    pub person: PersonNumber,
    /// In which period.
    pub period: PeriodNumber,
    /// Which booking.
    pub booking: BookingNumber,
    /// The slot held from now on, or given up.
    pub slot: SlotNumber,
}

/// What a message says beyond its event.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The operator's id of the site.
    pub site: String,
    /// When the slot begins.
    pub starts_at: Millis,
    /// The vaccine's name.
    pub vaccine: String,
    /// The person's language.
    pub language: LanguageNumber,
    /// The person's key.
    pub person_key: [u8; 16],
    /// The person's sealed contact data, where a consumer is configured.
    pub sealed: Option<Vec<u8>>,
}

/// Knows what events name by number.
pub trait Directory {
    /// The last command it has taken in. Nothing later is published.
    fn sequence(&self) -> Sequence;

    /// What these messages say, in order. Sealed contact data is asked for only where a message can
    /// carry it.
    ///
    /// # Errors
    /// In words, when something is unknown or cannot be read.
    fn resolve(
        &self,
        confirmations: &[Confirmation],
        with_contact: bool,
    ) -> Result<Vec<Resolved>, String>;
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Lines written.
    pub lines: usize,
    /// Id of the last one; `after` of the next call.
    pub last: Option<EventId>,
    /// Nothing more is there now.
    pub is_end: bool,
}

/// Why a page cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmationsError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Events cannot be read.
    #[error("events: {0}")]
    Events(#[from] DecodeError),
    /// The directory does not know what an event names.
    #[error("{0}")]
    Directory(String),
    /// A key is missing.
    #[error("contact data: {0}")]
    Vault(OpenError),
    /// The consumer's key cannot be used.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
}

/// Reads messages from any place on. Many threads may use one.
pub struct Reader {
    journal: Arc<dyn Journal>,
    vault: Arc<Vault>,
    index: Mutex<SparseIndex>,
}

impl Reader {
    /// A reader that knows no place yet: the first call looks from the beginning, unless
    /// [`Reader::note`] has been called meanwhile.
    pub fn new(journal: Arc<dyn Journal>, vault: Arc<Vault>) -> Reader {
        Reader { journal, vault, index: Mutex::new(SparseIndex::default()) }
    }

    /// Remembers where a group of events stands; for whoever reads all of them anyway. Only for groups
    /// that the watermark admitted. Most calls do nothing.
    pub fn note(&self, first: Sequence, position: Position) {
        self.index.lock().note(first, position);
    }

    /// Writes the messages after an id, one line of JSON each, at most `limit` (and [`LINES_MAX`]). An
    /// id ahead of the end gives none.
    ///
    /// # Errors
    /// When the journal fails, or something that an event names is not known. Lines written before the
    /// error are whole.
    pub fn read(
        &self,
        directory: &dyn Directory,
        after: Option<EventId>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<Page, ConfirmationsError> {
        let through = directory.sequence();
        let found = self.find(after, through, limit.min(LINES_MAX))?;
        let mut writer = MessageWriter::new(Arc::clone(&self.vault));
        for some in found.list.chunks(RESOLVED_AT_ONCE) {
            let with_contact = self.vault.has_consumer();
            let resolved =
                directory.resolve(some, with_contact).map_err(ConfirmationsError::Directory)?;
            for (confirmation, resolved) in some.iter().zip(&resolved) {
                let contact = self.contact(resolved)?;
                let content = Content {
                    site: &resolved.site,
                    starts_at: resolved.starts_at,
                    vaccine: &resolved.vaccine,
                    language: resolved.language,
                    contact: contact.as_ref(),
                };
                writer.push(confirmation, &content, out)?;
                out.push(b'\n');
            }
        }
        Ok(Page {
            lines: found.list.len(),
            last: found.list.last().map(|last| last.id),
            is_end: found.is_end,
        })
    }

    /// The events after an id.
    fn find(
        &self,
        after: Option<EventId>,
        through: Sequence,
        limit: usize,
    ) -> Result<Found, ConfirmationsError> {
        let mut found = Found { list: Vec::new(), is_end: false };
        let begin = after.map_or(Sequence(1), |after| after.sequence);
        let (first, position) = self.index.lock().before(begin);
        let mut watermark = Watermark::after(Sequence(first.0.saturating_sub(1)));
        let mut events = self.journal.reader(Stream::Events, position, Visibility::Durable)?;
        while watermark.next() <= through {
            let Some(group) = events.poll(Duration::ZERO)? else {
                found.is_end = true;
                return Ok(found);
            };
            for record in group.records.iter() {
                let decoded = EventGroup::decode(record)?;
                if watermark.admit(decoded.first, decoded.last()) != Admission::Next {
                    continue;
                }
                self.index.lock().note(decoded.first, group.position);
                if !found.absorb(&decoded, after, through, limit)? {
                    return Ok(found);
                }
            }
        }
        found.is_end = true;
        Ok(found)
    }

    /// What the consumer may know of the person.
    fn contact(&self, resolved: &Resolved) -> Result<Option<Contact>, ConfirmationsError> {
        let Some(sealed) = resolved.sealed.as_deref().filter(|sealed| !sealed.is_empty()) else {
            return Ok(None);
        };
        message::open_contact(&self.vault, &resolved.person_key, sealed)
            .map_err(ConfirmationsError::Vault)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("index", &*self.index.lock()).finish_non_exhaustive()
    }
}

/// An event names what no event before it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event} names {what} {number}, which is not known here")]
pub(crate) struct UnknownName {
    pub(crate) event: EventId,
    pub(crate) what: &'static str,
    pub(crate) number: u32,
}

struct Found {
    list: Vec<Confirmation>,
    is_end: bool,
}

impl Found {
    /// Takes the confirmations of a group. False when there are enough.
    fn absorb(
        &mut self,
        group: &EventGroup<'_>,
        after: Option<EventId>,
        through: Sequence,
        limit: usize,
    ) -> Result<bool, DecodeError> {
        let mut is_full = self.list.len() >= limit;
        group.for_each(|sequence, _, index, event| {
            if is_full || sequence > through || index > u32::from(u16::MAX) {
                return;
            }
            let id = EventId::new(sequence, index as u16);
            if after.is_some_and(|after| id <= after) {
                return;
            }
            if let Some(confirmation) = Confirmation::of(id, group.at, event) {
                self.list.push(confirmation);
                is_full = self.list.len() >= limit;
            }
        })?;
        Ok(!is_full)
    }
}

impl Confirmation {
    /// The message that an event makes, if it makes one.
    pub fn of(id: EventId, at: Millis, event: &Event) -> Option<Confirmation> {
        let (kind, person, period, booking, slot) = match *event {
            Event::Confirmed { person, period, booking, slot, .. } => {
                (MessageKind::Confirmed, person, period, booking, slot)
            }
            // The slot they hold already: nothing changed.
            Event::Changed { from, to, .. } if from == to => return None,
            Event::Changed { person, period, booking, to, .. } => {
                (MessageKind::Changed, person, period, booking, to)
            }
            Event::Cancelled { person, period, booking, slot, .. } => {
                (MessageKind::Cancelled, person, period, booking, slot)
            }
            _ => return None,
        };
        Some(Confirmation { id, at, kind, person, period, booking, slot })
    }

    /// What an event names by number.
    pub(crate) fn details<'a>(&self, catalogue: &'a Catalogue) -> Result<Details<'a>, UnknownName> {
        let event = self.id;
        let unknown = |what, number: u32| move || UnknownName { event, what, number };
        let slot = catalogue.slot(self.slot).ok_or_else(unknown("slot", self.slot.0))?;
        let site = catalogue.site(slot.site).ok_or_else(unknown("site", slot.site.0))?;
        let vaccine = catalogue.vaccine_name(slot.vaccine);
        let vaccine = vaccine.ok_or_else(unknown("vaccine", u32::from(slot.vaccine.0)))?;
        Ok(Details { site, slot, vaccine, booking: self.booking })
    }

    /// What the message says, from a view; the contact data is left out. A person without an intent
    /// (withdrawn since) is written to in the first language.
    ///
    /// # Errors
    /// In words, when the view does not know what the event names.
    pub fn resolve(&self, view: &View) -> Result<Resolved, String> {
        let details = self.details(&view.catalogue).map_err(|unknown| unknown.to_string())?;
        let key = view.person_key(self.person).ok_or_else(|| {
            let (event, number) = (self.id, self.person.0);
            UnknownName { event, what: "person", number }.to_string()
        })?;
        let language = view.intent(self.person).map(|held| held.intent.language);
        Ok(Resolved {
            site: details.site.id.clone(),
            starts_at: details.slot.starts_at(),
            vaccine: details.vaccine.to_owned(),
            language: language.unwrap_or(LanguageNumber(0)),
            person_key: key.0,
            sealed: None,
        })
    }
}
