//! The streams as far as the publisher has read them, and what is owed to the topic.
//!
//! What this file deliberately does not do: write to the topic, decide who may.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::LanguageNumber;
use domain::watermark::EventId;
use journal::{Journal, Position, Reader, Stream, Visibility};
use vault::{Contact, OpenError, Vault};

use super::Trouble;
use super::tail::{Tail, next_batch};
use super::topic::Message;
use crate::confirmations::{Content, MessageWriter, open_contact};
use crate::error::NotifierError;
use crate::fold::{Draft, Fold, contact_of};
use crate::reached::{Found, Reached};
use crate::watch::Watch;

/// One reading of the events from their beginning.
pub(super) struct Session {
    pub(super) deliveries: Watch,
    events: Box<dyn Reader>,
    pub(super) fold: Fold,
    /// Nobody is kept in memory where messages carry the contact data itself.
    pub(super) reached: Reached,
    /// The topic holds every message up to this id.
    cursor: Option<EventId>,
    /// It holds these higher ids too.
    known: BTreeSet<EventId>,
    /// Ids that the topic held at the beginning and the events have not shown yet.
    unseen: RefCell<BTreeSet<EventId>>,
    /// The epoch in which this session publishes.
    pub(super) epoch: Option<u64>,
    /// An attempt failed: what became of it stands in the topic.
    pub(super) must_look: bool,
    /// When the topic was last looked at.
    pub(super) looked_at: Instant,
}

impl Session {
    pub(super) fn begin(
        journal: &dyn Journal,
        reached: Reached,
        tail: Tail,
    ) -> Result<Session, NotifierError> {
        let looked_at = Instant::now();
        let deliveries = Watch::open(journal)?;
        let events = journal.reader(Stream::Events, Position::START, Visibility::Durable)?;
        let unseen = tail.complete.iter().chain(&tail.known).copied().collect();
        Ok(Session {
            deliveries,
            events,
            fold: Fold::new(),
            reached,
            cursor: tail.complete,
            known: tail.known,
            unseen: RefCell::new(unseen),
            epoch: None,
            must_look: false,
            looked_at,
        })
    }

    /// True while it publishes.
    pub(super) fn is_active(&self) -> bool {
        self.epoch.is_some()
    }

    /// Takes in the next group of events. False when none came.
    pub(super) fn read_events(&mut self, wait: Duration) -> Result<bool, Trouble> {
        let Some(group) = self.events.poll(wait).map_err(NotifierError::from)? else {
            return Ok(false);
        };
        for record in group.records.iter() {
            self.absorb(record)?;
        }
        Ok(true)
    }

    fn absorb(&mut self, record: &[u8]) -> Result<(), Trouble> {
        let Session { fold, reached, cursor, known, unseen, .. } = self;
        let is_owed = |id| {
            unseen.borrow_mut().remove(&id);
            is_owed(*cursor, known, id)
        };
        fold.absorb(record, reached.book(), is_owed).map_err(NotifierError::from)?;
        // A topic ahead of the events waits for them; one that holds what they passed over is not theirs.
        match unseen.get_mut().first() {
            Some(id) if id.sequence <= fold.sequence() => return Err(Trouble::OtherTopic(*id)),
            _ => {}
        }
        // The book follows the topic; a message owed from before it would be made with contact data of
        // a later time.
        match fold.drafts.front() {
            Some(first) if first.what.id.sequence.0 <= reached.book().watermark() => {
                Err(Trouble::TopicLostItsEnd(first.what.id))
            }
            _ => Ok(()),
        }
    }

    /// Takes in what the topic's end says.
    pub(super) fn learn(&mut self, tail: Tail) {
        self.known.extend(tail.known);
        self.advance(tail.complete);
        let Session { fold, cursor, known, .. } = self;
        fold.drafts.retain(|draft| is_owed(*cursor, known, draft.what.id));
        self.must_look = false;
        self.looked_at = Instant::now();
    }

    /// The topic holds everything up to this id.
    pub(super) fn advance(&mut self, last: Option<EventId>) {
        self.cursor = self.cursor.max(last);
        let Session { fold, cursor, known, .. } = self;
        known.retain(|id| Some(*id) > *cursor);
        fold.forget(|id| is_owed(*cursor, known, id));
    }

    /// The highest id that the topic holds along with everything before it, as far as is known.
    pub(super) fn last_id(&self) -> Option<EventId> {
        let before = match self.fold.drafts.front() {
            Some(first) => self.known.range(..first.what.id).next_back(),
            None => self.known.last(),
        };
        before.copied().max(self.cursor)
    }

    /// The last command whose messages, and those of all before it, are in the topic as far as is known.
    pub(super) fn through(&self) -> u64 {
        match self.fold.drafts.front() {
            Some(first) => first.what.id.sequence.0 - 1,
            None => self.fold.sequence().0,
        }
    }

    /// The next messages owed, in order, at most so many.
    pub(super) fn messages(
        &self,
        messages_max: usize,
        vault: &Vault,
        writer: &mut MessageWriter,
    ) -> Result<Vec<Message>, Trouble> {
        let ids = self.fold.drafts.iter().map(|draft| draft.what.id);
        let count = next_batch(&self.known, ids, messages_max);
        let drafts: Vec<&Draft> = self.fold.drafts.iter().take(count).collect();
        let people = self.people(&drafts, vault)?;
        let mut messages = Vec::with_capacity(drafts.len());
        for (draft, (language, contact)) in drafts.iter().zip(&people) {
            let what = draft.what;
            let details = what.details(&self.fold.catalogue).map_err(NotifierError::from)?;
            let content = Content {
                site: &details.site.id,
                starts_at: details.slot.starts_at(),
                vaccine: details.vaccine,
                language: LanguageNumber(*language),
                contact: contact.as_ref(),
            };
            let mut value = Vec::new();
            writer.push(&what, &content, &mut value)?;
            messages.push(Message { id: what.id, person: what.person, value });
        }
        Ok(messages)
    }

    /// Language of each draft's person when its event happened, and contact data where it was needed to
    /// tell.
    fn people(
        &self,
        drafts: &[&Draft],
        vault: &Vault,
    ) -> Result<Vec<(u8, Option<Contact>)>, NotifierError> {
        let mut people = vec![(0, None); drafts.len()];
        let mut missing_key: Option<OpenError> = None;
        self.reached.visit(drafts, |place, found| match found {
            Found::Kept(_, language) => people[place].0 = language,
            Found::Row(row) => {
                let opened = contact_of(row).map(|(key, sealed)| open_contact(vault, key, sealed));
                match opened {
                    Some(Ok(contact)) => {
                        let language = contact.as_ref().map_or(0, |contact| contact.language);
                        people[place] = (language, contact);
                    }
                    Some(Err(error)) => missing_key = Some(error),
                    None => {}
                }
            }
        })?;
        missing_key.map_or(Ok(people), |error| Err(NotifierError::Vault(error)))
    }

    /// Gives contact data to the book, as far as no message before it is owed.
    pub(super) fn keep_rows(&mut self) -> Result<(), NotifierError> {
        Ok(self.fold.keep_rows(&mut self.reached)?)
    }

    /// Leaves the book so that the next start has little to read again.
    pub(super) fn end(mut self) -> Result<(), NotifierError> {
        self.keep_rows()?;
        Ok(self.reached.flush()?)
    }
}

/// True when the topic is not known to hold this id.
fn is_owed(cursor: Option<EventId>, known: &BTreeSet<EventId>, id: EventId) -> bool {
    Some(id) > cursor && !known.contains(&id)
}
