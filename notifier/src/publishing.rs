//! The public topic `slotline.confirmations`: the messages of [`crate::confirmations`], written by the
//! active notifier to a log that outside systems read.
//!
//! ```text
//! deliveries ─▶ who holds the epoch ─┐
//! events ─▶ drafts, own book ────────┴▶ batch ─▶ topic (durable) ─▶ next batch
//! ```
//!
//! It runs on a thread of its own beside the one that sends texts, with its own readers, its own cursor
//! and its own book of contact data, so that neither a silent topic nor a silent provider holds up the
//! other; what waits is bounded, the rest stays in `events`. The two share nothing but the epoch.
//!
//! How far it has come stands in the topic alone. That nothing is left out, and that an id always has the
//! same bytes, follows from three rules:
//! - whoever takes the epoch first reads the topic's end, and then writes what is missing there, in order,
//!   one batch at a time, each after another look whether the epoch still holds. A deposed notifier that
//!   wakes up in the middle of a batch repeats messages, no more;
//! - after a failed batch the end is read again, and what is missing is written before anything else. A
//!   crash in between is the same case: the end shows it ([`tail`]);
//! - contact data goes to the book only when every message before it is known to be in the topic, so a
//!   message is made from the contact data of its event's own time, by whomever and however late. If the
//!   topic has lost its end, the book is begun anew from the first event.
//!
//! What this module deliberately does not do: know a broker, take or keep the epoch (the worker does).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::Millis;
use domain::watermark::EventId;
use journal::Journal;
use vault::Vault;
use vault::consumer::ConsumerError;

use crate::config::NotifierConfig;
use crate::confirmations::MessageWriter;
use crate::error::NotifierError;
use crate::reached::Reached;
use crate::sending::pause;
use crate::status::NotifierStatus;

mod memory;
mod session;
mod status;
mod tail;
mod topic;

pub use memory::{MemoryTopic, TopicFault, TopicRecord};
use session::Session;
use status::Progress;
pub use status::PublishingStatus;
use tail::Tail;
pub use topic::{BATCH_MESSAGES_MAX, ConfirmationTopic, HEADERS, Message, TOPIC, TopicError};

/// The book's folder under the notifier's.
const BOOK_FOLDER: &str = "confirmations";

/// Publishes what the events say, while its notifier holds the epoch.
pub(crate) struct Publisher {
    config: NotifierConfig,
    journal: Arc<dyn Journal>,
    topic: Box<dyn ConfirmationTopic>,
    writer: MessageWriter,
    vault: Arc<Vault>,
    status: Arc<NotifierStatus>,
    /// Its notifier's.
    instance: [u8; 16],
    now: fn() -> Millis,
}

/// Why an attempt failed. Each is tried again after a wait.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// What was read stays; only the topic is tried again.
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Notifier(#[from] NotifierError),
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    #[error(
        "the topic ends before event {0}, which the book of contact data is past; the book is begun anew"
    )]
    TopicLostItsEnd(EventId),
    #[error(
        "the topic holds {0}, which is no confirmation of these events: it is another installation's topic"
    )]
    OtherTopic(EventId),
}

impl Publisher {
    pub(crate) fn new(
        config: NotifierConfig,
        journal: Arc<dyn Journal>,
        vault: Arc<Vault>,
        topic: Box<dyn ConfirmationTopic>,
        status: Arc<NotifierStatus>,
        instance: [u8; 16],
        now: fn() -> Millis,
    ) -> Publisher {
        PublishingStatus::describe();
        status.publishing().configure();
        let writer = MessageWriter::new(Arc::clone(&vault));
        Publisher { config, journal, topic, writer, vault, status, instance, now }
    }

    /// Publishes on a thread of its own for as long as `work` takes.
    pub(crate) fn run_beside<T>(self, work: impl FnOnce() -> T) -> T {
        let status = Arc::clone(&self.status);
        let ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ended);
        let thread = std::thread::Builder::new().name("confirmations".into()).spawn(move || {
            let _guard = EndGuard { status: Arc::clone(&self.status), stop: Arc::clone(&flag) };
            self.run(&flag);
        });
        // Also when the work ends with a panic.
        let _stop = StopGuard(ended);
        let thread = match thread {
            Ok(thread) => thread,
            Err(error) => {
                status.publishing().fail(format!("no thread to publish on: {error}"));
                return work();
            }
        };
        let done = work();
        _stop.0.store(true, Ordering::Release);
        // A panic was reported by its thread.
        let _ = thread.join();
        done
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut session = None;
        let mut wait_ms = self.config.retry_ms_min;
        while !stop.load(Ordering::Acquire) {
            let turn = self.turn(&mut session, stop);
            self.show(session.as_ref());
            let Err(trouble) = turn else {
                self.status.publishing().set_trouble(None);
                wait_ms = self.config.retry_ms_min;
                continue;
            };
            self.status.publishing().fail(trouble.to_string());
            match (&trouble, &mut session) {
                (Trouble::Topic(_), Some(session)) => session.must_look = true,
                // From the topic's end again: nothing read so far is needed.
                _ => session = None,
            }
            if matches!(trouble, Trouble::TopicLostItsEnd(_)) {
                self.begin_book_anew();
            }
            pause(wait_ms, stop);
            wait_ms = wait_ms.saturating_mul(2).min(self.config.retry_ms_max);
        }
        if let Some(Err(error)) = session.map(Session::end) {
            tracing::warn!("notifier: confirmations: {error}");
        }
    }

    /// Once around: the epoch, the events, the messages they make.
    fn turn(&mut self, session: &mut Option<Session>, stop: &AtomicBool) -> Result<(), Trouble> {
        let session = match session {
            Some(session) => session,
            None => session.insert(self.begin()?),
        };
        session.deliveries.read()?;
        self.take_role(session)?;
        let wait_ms = if session.reached.is_complete() { self.config.poll_ms } else { 0 };
        let came = self.read_events(session, Duration::from_millis(wait_ms))?;
        session.reached.take_in(!came).map_err(NotifierError::from)?;
        if came && !self.is_full(session) {
            // More will come: fewer, larger batches.
            pause(self.config.batch_interval_ms, stop);
            self.read_events(session, Duration::ZERO)?;
        }
        if session.is_active() {
            self.publish(session, stop)?;
        } else if !came && self.is_full(session) {
            pause(self.config.poll_ms, stop);
        }
        session.keep_rows()?;
        Ok(())
    }

    /// Asks the topic first: without it there is nothing to begin with.
    fn begin(&self) -> Result<Session, Trouble> {
        let tail = Tail::read(&*self.topic, BATCH_MESSAGES_MAX)?;
        let has_consumer = self.vault.has_consumer();
        let people_max = if has_consumer { 0 } else { self.config.reached_people_max };
        let (folder, vault) = (self.book_folder(), Arc::clone(&self.vault));
        let reached = Reached::open(&folder, self.journal.id(), vault, people_max)?;
        Ok(Session::begin(&*self.journal, reached, tail)?)
    }

    /// Publishes from now on, or no more, as the epoch says. Whoever begins to publish looks at the
    /// topic's end after the epoch became its own; a standby looks from time to time.
    fn take_role(&self, session: &mut Session) -> Result<(), Trouble> {
        let held = self.epoch_held(session);
        let is_new = session.epoch != held;
        let interval = Duration::from_millis(self.config.topic_look_interval_ms);
        let is_due = if held.is_some() {
            is_new || session.must_look
        } else {
            // Without drafts there is nothing to learn.
            !session.fold.drafts.is_empty() && session.looked_at.elapsed() >= interval
        };
        if is_due {
            session.epoch = None;
            session.learn(Tail::read(&*self.topic, BATCH_MESSAGES_MAX)?);
            if is_new && held.is_some() {
                let last_id = session.last_id();
                tracing::info!(epoch = held, ?last_id, "notifier: publishes confirmations");
            }
        }
        session.epoch = held;
        Ok(())
    }

    fn epoch_held(&self, session: &Session) -> Option<u64> {
        let ledger = session.deliveries.ledger();
        ledger.is_owned_by(&self.instance).then(|| ledger.epoch())
    }

    /// Reads events until there are none, or enough to do. True when any came.
    fn read_events(&self, session: &mut Session, wait: Duration) -> Result<bool, Trouble> {
        let mut wait = wait;
        let mut came = false;
        while !self.is_full(session) && session.read_events(wait)? {
            came = true;
            wait = Duration::ZERO;
        }
        Ok(came)
    }

    /// True when there is enough to do.
    fn is_full(&self, session: &Session) -> bool {
        let messages_max = if session.is_active() {
            self.config.confirmation_batch_messages_max
        } else {
            self.config.confirmation_backlog_messages_max
        };
        session.fold.drafts.len() >= messages_max
            || session.fold.rows_waiting() >= self.config.contact_rows_max
    }

    /// Publishes the drafts, batch by batch, until none is left, a stop is asked for or the epoch is
    /// lost.
    fn publish(&mut self, session: &mut Session, stop: &AtomicBool) -> Result<(), Trouble> {
        while let Some(oldest) = session.fold.drafts.front().map(|draft| draft.what.at) {
            // What is durable counts, also what has not come here yet.
            session.deliveries.read_to_end(&*self.journal)?;
            if self.epoch_held(session) != session.epoch || stop.load(Ordering::Acquire) {
                return Ok(());
            }
            let count = self.config.confirmation_batch_messages_max;
            let messages = session.messages(count, &self.vault, &mut self.writer)?;
            self.topic.publish(&messages)?;
            session.advance(messages.last().map(|last| last.id));
            let delay_ms = (self.now)().0 - oldest.0;
            self.status.publishing().record_batch(messages.len() as u64, delay_ms);
        }
        Ok(())
    }

    fn show(&self, session: Option<&Session>) {
        let Some(session) = session else { return self.status.publishing().stop() };
        let oldest = session.fold.drafts.front();
        let lag_ms = oldest.map_or(0, |draft| ((self.now)().0 - draft.what.at.0).max(0));
        self.status.publishing().show(&Progress {
            is_active: session.is_active(),
            last_id: session.last_id(),
            through: session.through(),
            waiting: session.fold.drafts.len() as u64,
            lag_ms: lag_ms as u64,
        });
    }

    fn book_folder(&self) -> PathBuf {
        self.config.data_dir.join(BOOK_FOLDER)
    }

    /// The book is a view of the events: nothing is lost.
    fn begin_book_anew(&self) {
        self.status.publishing().record_rebuild();
        if let Err(error) = std::fs::remove_dir_all(self.book_folder()) {
            self.status.publishing().fail(format!("{}: {error}", self.book_folder().display()));
        }
    }
}

/// Asks the publisher to stop.
struct StopGuard(Arc<AtomicBool>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Says so when the publisher ends without being asked.
struct EndGuard {
    status: Arc<NotifierStatus>,
    stop: Arc<AtomicBool>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.status.publishing().stop();
        if !self.stop.load(Ordering::Acquire) {
            let why = "publishing has ended by a defect; start the notifier again";
            self.status.publishing().fail(why.to_owned());
        }
    }
}
