//! The `deliveries` stream as one thread reads it: its words so far, and when they last grew.
//!
//! What this file deliberately does not do: write, or judge which records count ([`crate::ledger`]).

use std::time::{Duration, Instant};

use journal::{Journal, Position, Reader, Stream, Visibility, unless_away};

use crate::deliveries::decode_delivery;
use crate::error::NotifierError;
use crate::ledger::Ledger;

/// How long one look for a record that must be there waits.
const READ_BACK_POLL_MS: u64 = 200;
/// How long a record that must be there may take to be read, as long as the journal can be reached.
const READ_BACK_MS_MAX: u64 = 10_000;

/// The deliveries, as far as they were read.
pub(crate) struct Watch {
    reader: Box<dyn Reader>,
    ledger: Ledger,
    /// When the active notifier was last heard of.
    heard_at: Instant,
}

impl Watch {
    /// Reads the stream from its beginning to its end of now.
    pub(crate) fn open(journal: &dyn Journal) -> Result<Watch, NotifierError> {
        let reader = journal.reader(Stream::Deliveries, Position::START, Visibility::Durable)?;
        let mut watch = Watch { reader, ledger: Ledger::default(), heard_at: Instant::now() };
        watch.read_to_end(journal)?;
        Ok(watch)
    }

    /// What the stream says.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// For how long nothing was heard of the active notifier.
    pub(crate) fn silence(&self) -> Duration {
        self.heard_at.elapsed()
    }

    /// Nobody could be heard until now: the silence so far says nothing of the active notifier.
    pub(crate) fn listen_anew(&mut self) {
        self.heard_at = Instant::now();
    }

    /// Takes in what has come here.
    pub(crate) fn read(&mut self) -> Result<(), NotifierError> {
        while self.read_group(Duration::ZERO)? {}
        Ok(())
    }

    /// Takes in everything that is durable now, wherever it was written.
    pub(crate) fn read_to_end(&mut self, journal: &dyn Journal) -> Result<(), NotifierError> {
        let end = journal.durable_end(Stream::Deliveries)?;
        self.read_to(journal, end)
    }

    /// Takes in everything before a position; waits while the journal is out of reach.
    pub(crate) fn read_to(
        &mut self,
        journal: &dyn Journal,
        end: Position,
    ) -> Result<(), NotifierError> {
        let mut came_at = Instant::now();
        while self.reader.position() < end {
            if self.read_group(Duration::from_millis(READ_BACK_POLL_MS))? {
                came_at = Instant::now();
            } else if came_at.elapsed() > Duration::from_millis(READ_BACK_MS_MAX) {
                if unless_away(journal.durable_end(Stream::Deliveries))?.is_some() {
                    return Err(NotifierError::NotReadBack);
                }
                came_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Takes in one group. False when none came.
    pub(crate) fn read_group(&mut self, wait: Duration) -> Result<bool, NotifierError> {
        let Some(group) = self.reader.poll(wait)? else { return Ok(false) };
        for record in group.records.iter() {
            if self.ledger.absorb(decode_delivery(record)?) {
                self.heard_at = Instant::now();
            }
        }
        Ok(true)
    }
}
