//! Several processes on the same streams, over a network that misbehaves: for tests.
//!
//! One [`TurbulentJournal`] is one process, as a gateway, an engine or a notifier with a Kafka client
//! is one. All of them stand over one inner journal, usually the one in memory. Each process writes
//! its own groups, in its own order, and reads; on the way groups are written twice, overtaken, lost
//! with or without their answer, or late, and readers fall behind. Everything by seed
//! ([`Turbulence`]), counted ([`Struck`]), and at rest ([`Turbulence::CALM`]) every promise of the
//! trait is kept.
//!
//! # Which promise each fault bends
//!
//! | fault | bends |
//! |---|---|
//! | repeats | 1: "once, in its place": the record stands there, and once more later |
//! | held back | none: lanes promise no order between them; what `append_behind` accepted is shown late (3), and its position is only a hint: where the stream ended then |
//! | lost answer, lost group, late write | none: after an error nobody knows (7). What was accepted by `append_behind` and is lost shows at the next `sync` and in the health |
//! | late write | 7, across a restart: a write of the last life may land in the next one |
//! | lag | none: nothing says how soon a reader sees what is durable. [`Journal::durable_end`] never lags |
//! | pause | none: a process that is not run |
//!
//! # Lost answers and promise 7
//!
//! A process one of whose writes failed, or was told so, writes nothing more: everything unsettled and
//! later ends with an error and [`Journal::health`] says why, as with a Kafka producer after a failed
//! delivery. [`TurbulentJournal::reopen`] is its restart: the next life of the same process. Other
//! processes are not concerned.
//!
//! # What this does not do
//!
//! Let records of one process change places: an idempotent producer keeps their order, and nothing
//! above the trait claims to do without it. Lose what was acknowledged. Repeat schedules of threads:
//! a seed repeats which of a process's groups are struck, not what was in them when threads race.

mod fate;
mod network;
mod producer;
mod reader;
mod seeds;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;

pub use fate::{Fault, Struck, Turbulence};
use network::Network;
use producer::Producer;
use reader::TurbulentReader;
pub use seeds::{lives, seeds};

use crate::{
    Appended, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader, Refused,
    Stream, Ticket, Visibility,
};

/// Limits and faults of one process; limits mean what they mean in
/// [`crate::embedded::EmbeddedConfig`].
#[derive(Clone, Debug)]
pub struct TurbulentConfig {
    /// Most bytes of one group.
    pub group_bytes_max: u32,
    /// Longest record a lane takes.
    pub record_bytes_max: u32,
    /// Most bytes waiting in one lane.
    pub lane_bytes_max: u32,
    /// Longest record `append_behind` takes.
    pub behind_record_bytes_max: u32,
    /// Most bytes accepted and held back.
    pub behind_bytes_max: u64,
    /// The same seed strikes the same groups of the process.
    pub seed: u64,
    /// Faults to come.
    pub faults: Turbulence,
}

impl TurbulentConfig {
    /// The usual limits.
    pub fn new(seed: u64, faults: Turbulence) -> TurbulentConfig {
        TurbulentConfig {
            group_bytes_max: 256 << 10,
            record_bytes_max: 64 << 10,
            lane_bytes_max: 1 << 20,
            behind_record_bytes_max: 4 << 20,
            behind_bytes_max: 64 << 20,
            seed,
            faults,
        }
    }
}

/// One process's journal; clones are the same process.
#[derive(Clone)]
pub struct TurbulentJournal {
    producer: Arc<Producer>,
}

impl TurbulentJournal {
    /// The first process on these streams.
    pub fn new(inner: Arc<dyn Journal>, config: TurbulentConfig) -> TurbulentJournal {
        let network = Arc::new(Network::new(inner));
        TurbulentJournal { producer: Producer::new(network, config) }
    }

    /// Another process on the same streams.
    pub fn another(&self, config: TurbulentConfig) -> TurbulentJournal {
        let network = Arc::clone(&self.producer.network);
        TurbulentJournal { producer: Producer::new(network, config) }
    }

    /// The process, started again: this life of it ends as in a crash, and what it had accepted and
    /// not written is lost, but for a beginning of it that lands later. Faults go on as set.
    pub fn reopen(&self) -> TurbulentJournal {
        TurbulentJournal { producer: self.producer.reborn() }
    }

    /// Changes the faults to come.
    pub fn set_faults(&self, faults: Turbulence) {
        *self.producer.faults.lock() = faults;
    }

    /// Stops the process where it stands, as SIGSTOP does: each of its threads stays in its next call
    /// of the journal, or of a lane or reader of it, until [`TurbulentJournal::resume`].
    pub fn pause(&self) {
        self.producer.set_paused(true);
    }

    /// Lets a paused process run on, as SIGCONT does.
    pub fn resume(&self) {
        self.producer.set_paused(false);
    }

    /// True while a thread of the paused process stands in a call.
    pub fn stands_still(&self) -> bool {
        self.producer.standing() > 0
    }

    /// Everything that any process has under way lands now.
    pub fn land(&self) {
        self.producer.network.land_all();
    }

    /// Faults that happened to the process, in all its lives.
    pub fn struck(&self) -> Struck {
        self.producer.counters.read()
    }
}

/// One thread's way in.
struct TurbulentLane {
    producer: Arc<Producer>,
    number: u64,
}

impl Lane for TurbulentLane {
    fn push(&self, record: &[u8]) -> Result<Ticket, Refused> {
        let config = &self.producer.config;
        if record.len() > config.record_bytes_max as usize {
            return Err(Refused::TooLarge);
        }
        let mut state = self.producer.writable().map_err(|_| Refused::Closed)?;
        let ticket = state.lanes.push(self.number, record, config.lane_bytes_max)?;
        drop(state);
        self.producer.wake();
        Ok(ticket)
    }

    fn unsettled(&self) -> u64 {
        self.producer.unsettled(self.number)
    }
}

impl Journal for TurbulentJournal {
    fn id(&self) -> JournalId {
        self.producer.network.inner.id()
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        let number = self.producer.writable()?.lanes.open(stream, on_settled);
        Ok(Box::new(TurbulentLane { producer: Arc::clone(&self.producer), number }))
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        let bytes: u64 = records.iter().map(|record| 4 + record.len() as u64).sum();
        fits(bytes, self.producer.config.group_bytes_max)?;
        drop(self.producer.writable()?);
        self.producer.write(stream, records)
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        fits(record.len() as u64, self.producer.config.behind_record_bytes_max)?;
        self.producer.accept(stream, record)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        self.producer.sync(stream)
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        let inner = self.producer.network.inner.reader(stream, from, visibility)?;
        let dice = self.producer.reader_dice(stream);
        let producer = Arc::clone(&self.producer);
        Ok(Box::new(TurbulentReader { inner, producer, dice, late: None }))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        self.producer.network.inner.durable_end(stream)
    }

    fn health(&self) -> Health {
        self.producer.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.producer.network.inner.stored_bytes(stream)
    }

    fn close(&self) {
        self.producer.close();
    }
}

fn fits(bytes: u64, limit: u32) -> Result<(), JournalError> {
    let limit = u64::from(limit);
    if bytes > limit { Err(JournalError::TooLarge { bytes, limit }) } else { Ok(()) }
}
