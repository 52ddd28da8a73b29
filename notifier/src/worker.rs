//! The notifier itself: takes the epoch, reads, sends, records.
//!
//! One loop. Its order is what makes a text go out once: an intent is durable and read back before the
//! first text of its batch leaves, the results are durable before the next intent, and whoever finds
//! intents without results looks each text up before sending it.
//!
//! What this file deliberately does not do: write texts ([`crate::text`]), judge answers
//! ([`crate::sending`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::Millis;
use domain::watermark::EventId;
use journal::{Journal, JournalError, Position, Reader, Stream, Visibility};
use vault::Vault;
use vault::contacts::BookError;

use crate::config::NotifierConfig;
use crate::deliveries::{DeliveryRecord, Intents, Results, encode_delivery};
use crate::error::NotifierError;
use crate::fold::{Draft, Fold};
use crate::provider::SmsProvider;
use crate::publishing::{ConfirmationTopic, Publisher};
use crate::reached::Reached;
use crate::remembered::Remembered;
use crate::sending::{Errand, Errands, Letters, pause};
use crate::status::{NotifierPhase, NotifierStatus};
use crate::text::Texts;
use crate::watch::Watch;

/// The book's folder under the notifier's.
const BOOK_FOLDER: &str = "contacts";

/// Sends the texts that events ask for.
pub struct Notifier {
    config: NotifierConfig,
    journal: Arc<dyn Journal>,
    vault: Arc<Vault>,
    reached: Reached,
    remembered: Remembered,
    provider: Box<dyn SmsProvider>,
    texts: Texts,
    publisher: Option<Publisher>,
    status: Arc<NotifierStatus>,
    /// The book took no rows, and is tried again then.
    book_pause: Option<Instant>,
    /// Tells this run from every other.
    instance: [u8; 16],
    now: Box<dyn Fn() -> Millis + Send>,
}

/// The streams as far as they were read.
struct Session {
    deliveries: Watch,
    events: Box<dyn Reader>,
    fold: Fold,
    /// When this notifier began to write the last record of its own that was read back. Until then the
    /// epoch was its own, whatever the reader has not shown yet.
    held_at: Instant,
}

impl Notifier {
    /// Opens the book and gets ready. Nothing is read or sent before [`Notifier::run`].
    ///
    /// # Errors
    /// When a setting cannot work, the book is another journal's or cannot be opened, or deliveries are lost.
    pub fn open(
        config: NotifierConfig,
        journal: Arc<dyn Journal>,
        vault: Arc<Vault>,
        provider: Box<dyn SmsProvider>,
    ) -> Result<Notifier, NotifierError> {
        config.check().map_err(NotifierError::Setting)?;
        NotifierStatus::describe();
        let folder = config.data_dir.join(BOOK_FOLDER);
        let people_max = config.reached_people_max;
        let reached = Reached::open(&folder, journal.id(), Arc::clone(&vault), people_max)?;
        let remembered = Remembered::open(&config.data_dir, journal.id()).map_err(|cause| {
            NotifierError::Setting(format!("{}: {cause}", config.data_dir.display()))
        })?;
        match remembered.check(&*journal) {
            // Asked again before anything is sent.
            Err(NotifierError::Journal(JournalError::Unavailable { .. })) => {}
            checked => checked?,
        }
        Ok(Notifier {
            config,
            journal,
            vault,
            reached,
            remembered,
            provider,
            texts: Texts::read()?,
            publisher: None,
            status: Arc::new(NotifierStatus::default()),
            book_pause: None,
            instance: rand::random(),
            now: Box::new(system_time),
        })
    }

    /// Also publishes confirmations to this topic, on a thread of its own, while this notifier is the
    /// active one. Without it nothing is published.
    pub fn publish_to(mut self, topic: Box<dyn ConfirmationTopic>) -> Notifier {
        self.publisher = Some(Publisher::new(
            self.config.clone(),
            Arc::clone(&self.journal),
            Arc::clone(&self.vault),
            topic,
            Arc::clone(&self.status),
            self.instance,
            system_time,
        ));
        self
    }

    /// Live figures; stays valid after the end.
    pub fn status(&self) -> Arc<NotifierStatus> {
        Arc::clone(&self.status)
    }

    /// Sends until a stop is asked for. Blocks: give it a thread.
    ///
    /// # Errors
    /// When it cannot go on; [`NotifierStatus::failure`] says the same.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), NotifierError> {
        let ended = match self.publisher.take() {
            Some(publisher) => publisher.run_beside(|| self.run_inner(stop)),
            None => self.run_inner(stop),
        };
        match &ended {
            Ok(()) => self.status.enter(NotifierPhase::Stopped),
            Err(error) => self.status.fail(error.to_string()),
        }
        ended
    }

    fn run_inner(&mut self, stop: &AtomicBool) -> Result<(), NotifierError> {
        self.status.enter(NotifierPhase::Reading);
        let Some(mut session) = self.begin_once_there(stop)? else { return Ok(()) };
        while !stop.load(Ordering::Acquire) {
            self.turn(&mut session, stop)?;
        }
        session.fold.keep_rows(&mut self.reached)?;
        self.reached.flush()?;
        Ok(())
    }

    /// Begins as soon as the journal can be reached; `None` when a stop is asked for before.
    fn begin_once_there(&self, stop: &AtomicBool) -> Result<Option<Session>, NotifierError> {
        loop {
            match self.begin() {
                Err(NotifierError::Journal(error @ JournalError::Unavailable { .. })) => {
                    tracing::warn!(%error, "notifier: trying again later");
                }
                begun => return begun.map(Some),
            }
            if !pause(self.config.retry_ms_min, stop) {
                return Ok(None);
            }
        }
    }

    /// Reads the deliveries from their beginning, and opens the events at theirs.
    fn begin(&self) -> Result<Session, NotifierError> {
        self.remembered.check(&*self.journal)?;
        let deliveries = Watch::open(&*self.journal)?;
        let events = self.journal.reader(Stream::Events, Position::START, Visibility::Durable)?;
        self.status.show(deliveries.ledger());
        Ok(Session { deliveries, events, fold: Fold::new(), held_at: Instant::now() })
    }

    /// Once around: the epoch, the events, the texts they ask for.
    fn turn(&mut self, session: &mut Session, stop: &AtomicBool) -> Result<(), NotifierError> {
        session.deliveries.read()?;
        self.take_epoch(session)?;
        // What another notifier settled, also the predecessor at the last moment, need not be kept.
        let Session { deliveries, fold, .. } = session;
        fold.forget(|id| deliveries.ledger().is_owed(id));
        let active = session.deliveries.ledger().is_owned_by(&self.instance);
        self.status.enter(if active { NotifierPhase::Active } else { NotifierPhase::Standby });

        let wait_ms = if self.reached.is_complete() { self.config.poll_ms } else { 0 };
        let came = self.read_events(session, Duration::from_millis(wait_ms))?;
        self.reached.take_in(!came)?;
        if came && !self.is_full(session) {
            // More will come: one wake for many groups, one write for many texts.
            pause(self.config.batch_interval_ms, stop);
            self.read_events(session, Duration::ZERO)?;
        }
        if !active {
            if !came && self.is_full(session) {
                session.deliveries.read_group(Duration::from_millis(self.config.poll_ms))?;
            }
        } else if !session.fold.drafts.is_empty() && self.has_provider(session) {
            self.settle(session, stop)?;
        } else if !self.config.exclusive {
            self.beat(session)?;
        }
        self.keep_rows(session, stop)?;
        self.status.read_through(&session.fold);
        Ok(())
    }

    /// Gives contact data to the book. One that takes none (a full disk) is tried again after a pause: texts
    /// go on meanwhile, and so does reading until as many rows wait as may.
    fn keep_rows(&mut self, session: &mut Session, stop: &AtomicBool) -> Result<(), NotifierError> {
        if self.book_pause.is_none_or(|until| until <= Instant::now()) {
            match session.fold.keep_rows(&mut self.reached) {
                Err(error @ BookError::Store { .. }) => {
                    let pause = Duration::from_millis(self.config.retry_ms_min);
                    self.book_pause = Some(Instant::now() + pause);
                    self.status.set_book_trouble(Some(format!("{error}; it is tried again")));
                }
                Err(error) => return Err(error.into()),
                Ok(()) if session.fold.rows_waiting() == 0 => {
                    if self.book_pause.take().is_some() {
                        self.status.set_book_trouble(None);
                    }
                }
                // Texts are still owed: not asked yet.
                Ok(()) => {}
            }
        }
        if self.book_pause.is_some() && session.fold.drafts.is_empty() && self.is_full(session) {
            // Nothing is read and nothing is owed before the book takes the rows.
            pause(self.config.poll_ms, stop);
        }
        Ok(())
    }

    /// Begins an epoch where that is due: at once when nobody else can be there, else after the active
    /// notifier has been silent for long enough.
    fn take_epoch(&self, session: &mut Session) -> Result<(), NotifierError> {
        if session.deliveries.ledger().is_owned_by(&self.instance) {
            return Ok(());
        }
        let takeover = Duration::from_millis(self.config.takeover_ms);
        let is_first = self.config.exclusive || session.deliveries.ledger().epoch() == 0;
        if is_first || self.is_silent(session, takeover)? {
            let epoch = session.deliveries.ledger().epoch() + 1;
            tracing::info!(epoch, "notifier: takes over");
            self.append(session, &DeliveryRecord::Epoch { epoch, notifier: self.instance })?;
        }
        Ok(())
    }

    /// True when nothing was heard of the active notifier for so long, although it could have been: its
    /// silence and the journal's own look the same from here.
    fn is_silent(&self, session: &mut Session, takeover: Duration) -> Result<bool, NotifierError> {
        if session.deliveries.silence() < takeover {
            return Ok(false);
        }
        let asked_at = Instant::now();
        match session.deliveries.read_to_end(&*self.journal) {
            Err(NotifierError::Journal(JournalError::Unavailable { .. })) => {
                session.deliveries.listen_anew();
            }
            Err(error) => return Err(error),
            Ok(()) if asked_at.elapsed() >= takeover / 2 => session.deliveries.listen_anew(),
            Ok(()) => {}
        }
        Ok(session.deliveries.silence() >= takeover)
    }

    /// Takes the provider over from whoever was active before; false while that cannot be done.
    fn has_provider(&self, session: &Session) -> bool {
        let taken = self.provider.take_over(session.deliveries.ledger().epoch());
        if let Err(error) = &taken {
            self.status.set_trouble(Some(error.to_string()));
        }
        taken.is_ok()
    }

    /// Reads events until there are none, or enough to do. True when any came.
    fn read_events(&self, session: &mut Session, wait: Duration) -> Result<bool, NotifierError> {
        let mut wait = wait;
        let mut came = false;
        while !self.is_full(session) {
            let Session { events, fold, deliveries, .. } = session;
            let Some(group) = events.poll(wait)? else { break };
            for record in group.records.iter() {
                fold.absorb(record, self.reached.book(), |id| deliveries.ledger().is_owed(id))?;
            }
            came = true;
            wait = Duration::ZERO;
        }
        Ok(came)
    }

    /// True when there is enough to do: a batch of drafts, or of rows. A batch that was begun is read to
    /// its end first, however many rows lie in between: it is settled whole, and they wait for it.
    fn is_full(&self, session: &Session) -> bool {
        let begun = session.deliveries.ledger().pending().map_or(0, |batch| batch.events.len());
        let drafts = session.fold.drafts.len();
        let is_batch = drafts >= self.config.batch_messages_max;
        drafts >= begun && (is_batch || session.fold.rows_waiting() >= self.config.contact_rows_max)
    }

    /// Sends the drafts, batch by batch, until none is left, a stop is asked for or the epoch is lost.
    fn settle(&mut self, session: &mut Session, stop: &AtomicBool) -> Result<(), NotifierError> {
        while !session.fold.drafts.is_empty() && !stop.load(Ordering::Acquire) {
            let begun = match session.deliveries.ledger().pending() {
                Some(pending) if pending.events.len() > session.fold.drafts.len() => {
                    // The rest of the batch is still to be read.
                    return Ok(());
                }
                Some(pending) => Some(pending.mark),
                None => None,
            };
            if begun.is_none() && !self.intend(session)? {
                return Ok(());
            }
            if !self.deliver(session, begun, stop)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Records what is about to be sent. False when the epoch was lost.
    fn intend(&self, session: &mut Session) -> Result<bool, NotifierError> {
        let batch = session.fold.drafts.len().min(self.config.batch_messages_max);
        let events: Vec<EventId> =
            session.fold.drafts.iter().take(batch).map(|draft| draft.what.id).collect();
        let epoch = session.deliveries.ledger().epoch();
        let mark = self.provider.mark();
        let intents = Intents { epoch, mark, events };
        self.append(session, &DeliveryRecord::Intents(intents.clone()))?;
        Ok(session.deliveries.ledger().is_owned_by(&self.instance)
            && session.deliveries.ledger().pending() == Some(&intents))
    }

    /// Sends the batch that is recorded, and records what became of it. False when it was interrupted.
    fn deliver(
        &mut self,
        session: &mut Session,
        begun: Option<u64>,
        stop: &AtomicBool,
    ) -> Result<bool, NotifierError> {
        let Some(intents) = session.deliveries.ledger().pending().cloned() else {
            return Ok(false);
        };
        let drafts: Vec<&Draft> = session.fold.drafts.iter().take(intents.events.len()).collect();
        for (draft, event) in drafts.iter().zip(&intents.events) {
            if draft.what.id != *event {
                return Err(NotifierError::OtherEvents {
                    deliveries: event.to_string(),
                    events: draft.what.id.to_string(),
                });
            }
        }
        let oldest = drafts.first().map_or(Millis(0), |draft| draft.what.at);
        let letters = Letters::write(
            &drafts,
            &session.fold,
            &self.reached,
            &self.vault,
            &mut self.texts,
            &self.config.reference_prefix,
        )?;
        let status = Arc::clone(&self.status);
        let errand = Errand {
            provider: &*self.provider,
            config: &self.config,
            stop,
            now: &self.now,
            waiting: &move |why| status.set_trouble(why),
        };
        let sent = letters.send(&errand, begun, &mut || self.may_send(session))?;
        let Errands::Done(states) = sent else { return Ok(false) };
        let (count, epoch) = (intents.events.len(), session.deliveries.ledger().epoch());
        let through = *intents.events.last().ok_or(NotifierError::NotReadBack)?;
        self.append(session, &DeliveryRecord::Results(Results { epoch, through, states }))?;
        if session.deliveries.ledger().settled() != Some(through) {
            return Ok(false);
        }
        session.fold.drafts.drain(..count);
        self.status.show(session.deliveries.ledger());
        self.status.record_delay((self.now)().0 - oldest.0);
        Ok(true)
    }

    /// True as long as this notifier holds the epoch. Asked before every attempt: while the provider was
    /// silent, or this process did not run, another may have taken over. What the reader shows is no
    /// answer, as it may fall behind; a record of its own that was read back is, for as long as no other
    /// takes over: `takeover_ms` from when it was written.
    fn may_send(&self, session: &mut Session) -> Result<bool, NotifierError> {
        if self.config.exclusive {
            return Ok(true);
        }
        session.deliveries.read()?;
        self.beat(session)?;
        // Half of it is left for handing over the texts. A process that stood still since it wrote, even
        // while it read its record back, is not sure any more.
        let is_sure = session.held_at.elapsed() < self.takeover() / 2;
        Ok(is_sure && session.deliveries.ledger().is_owned_by(&self.instance))
    }

    /// Shows that this notifier is there, if it has not written for a while.
    fn beat(&self, session: &mut Session) -> Result<(), NotifierError> {
        let due = session.held_at.elapsed() >= self.takeover() / 4;
        if due && session.deliveries.ledger().is_owned_by(&self.instance) {
            let epoch = session.deliveries.ledger().epoch();
            self.append(session, &DeliveryRecord::Beat { epoch })?;
        }
        Ok(())
    }

    fn takeover(&self) -> Duration {
        Duration::from_millis(self.config.takeover_ms)
    }

    /// Writes one record, and reads up to it: only what was read counts.
    fn append(&self, session: &mut Session, record: &DeliveryRecord) -> Result<(), NotifierError> {
        let bytes = encode_delivery(record);
        let began_at = Instant::now();
        let appended = self.journal.append(Stream::Deliveries, &[&bytes])?;
        session.deliveries.read_to(&*self.journal, appended.next)?;
        self.remembered.note(appended.next);
        if session.deliveries.ledger().is_owned_by(&self.instance) {
            session.held_at = began_at;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier")
            .field("config", &self.config)
            .field("provider", &self.provider.name())
            .finish_non_exhaustive()
    }
}

fn system_time() -> Millis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Millis(now.map_or(0, |since| since.as_millis() as i64))
}
