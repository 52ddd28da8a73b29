//! The journal on Apache Kafka: one topic of one partition a stream, one record a group.
//!
//! Does: everything the trait promises, on topics made by `slotline admin topics create`, with any
//! number of processes writing and reading. What makes an acknowledgement durable is the topic's
//! replication, which is checked at every start ([`topics`]); idempotence of the producer keeps a group
//! single and in its place through retries.
//!
//! Differences from one machine, none of which the trait sees:
//!
//! - The broker dates the groups of lanes and appends. Groups accepted behind carry their own time, as
//!   readers of this process see them before the broker does. A reader never gives a time below its
//!   predecessor's.
//! - A broker that is away is waited for; only a group that is on its way for `delivery_timeout_ms` has
//!   failed. Its fate, and that of all others on their way, is unknown then, and the process must be
//!   started again.
//! - The size on disk is the brokers' affair: [`Journal::stored_bytes`] counts what this process wrote
//!   or read.
//!
//! Does not use transactions, consumer groups or committed offsets.

mod client;
mod config;
mod deadline;
mod fate;
mod frame;
mod keyed;
mod lane;
mod reader;
mod sender;
mod shared;
mod stream;
mod tail;
mod topic_id;
mod topics;

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

pub use config::{Durability, KafkaConfig};
pub use fate::StreamFigures;
pub use keyed::{KafkaPublisher, KeyedRecord};
pub use topics::{CONFIRMATIONS, MadeTopic, check_topics, create_topics, topic_names};

use crate::embedded::Clock;
use crate::{
    Appended, Group, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader,
    Stream, Visibility,
};
use client::Connection;
use deadline::Deadline;
use lane::{KafkaLane, LaneShared};
use reader::{Consumers, KafkaReader};
use shared::Shared;
use stream::StreamCore;
use topics::Timestamps;

/// A journal on Kafka.
pub struct KafkaJournal {
    id: JournalId,
    shared: Arc<Shared>,
    streams: Vec<Arc<StreamCore>>,
    consumers: Arc<Consumers>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl KafkaJournal {
    /// Connects, checks the topics and gets ready to write.
    ///
    /// # Errors
    /// [`JournalError::Setting`] naming the setting, or the topic and its setting, that is to blame;
    /// [`JournalError::Unavailable`] when brokers have not answered everything within
    /// `connect_timeout_ms`.
    pub fn open(config: KafkaConfig) -> Result<KafkaJournal, JournalError> {
        KafkaJournal::open_as(config, None)
    }

    /// The same on topics whose groups the producer dates, by this clock. For tests.
    ///
    /// # Errors
    /// As [`KafkaJournal::open`].
    pub fn open_with_clock(
        config: KafkaConfig,
        clock: Clock,
    ) -> Result<KafkaJournal, JournalError> {
        KafkaJournal::open_as(config, Some(clock))
    }

    fn open_as(config: KafkaConfig, own: Option<Clock>) -> Result<KafkaJournal, JournalError> {
        let deadline = Deadline::to_connect(&config);
        let connection = Connection::open(&config, deadline)?;
        let timestamps = if own.is_some() { Timestamps::Own } else { Timestamps::Broker };
        let names = topics::stream_names(&config);
        topics::check(&config, &connection, &timestamps, &names, deadline)?;
        let commands = config.topic(Stream::Commands);
        let id = deadline.ask(|longest| topic_id::topic_id(&connection, &commands, longest))?;
        let mut ends = Vec::new();
        for name in &names {
            ends.push(connection.watermarks_until(name, deadline)?.1);
        }
        let shared = Arc::new(Shared::new(config, connection, own));
        let streams: Vec<_> = Stream::ALL
            .iter()
            .zip(ends)
            .map(|(stream, end)| Arc::new(StreamCore::new(Arc::clone(&shared), *stream, end)))
            .collect();
        let journal = KafkaJournal {
            id: JournalId(id),
            shared,
            streams,
            consumers: Arc::default(),
            threads: Mutex::default(),
        };
        journal.start_threads()?;
        Ok(journal)
    }

    fn start_threads(&self) -> Result<(), JournalError> {
        for core in &self.streams {
            let name = format!("kafka-{}", core.stream.name());
            let running = Arc::clone(core);
            let thread = std::thread::Builder::new().name(name.clone());
            let thread = thread.spawn(move || running.run()).map_err(|error| JournalError::Io {
                call: "thread",
                place: name,
                cause: error.to_string(),
            })?;
            self.threads.lock().push(thread);
        }
        Ok(())
    }

    /// Whether a new start would find its brokers. A client of its own asks: the one whose writes failed may
    /// go on asking those that are gone. Blocks for `connect_timeout_ms` at most.
    pub fn would_open(&self) -> bool {
        let checked = check_topics(&self.shared.config);
        !matches!(checked, Err(JournalError::Unavailable { .. }))
    }

    /// What the topics' replication makes of an acknowledgement.
    pub fn durability(&self) -> Durability {
        self.shared.config.durability
    }

    /// Counts of a stream since the journal was opened.
    pub fn figures(&self, stream: Stream) -> StreamFigures {
        self.core(stream).figures()
    }

    /// Stops at once: nothing that waits is written, what is on its way is forgotten. As a crash would.
    pub fn abort(&self) {
        self.shared.abort();
        self.end();
    }

    fn core(&self, stream: Stream) -> &Arc<StreamCore> {
        &self.streams[stream as usize]
    }

    /// Waits for the sending threads, which end when everything is written or nothing can be.
    fn end(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        self.streams.iter().for_each(|core| core.close_lanes());
        for thread in threads {
            // A panic of the thread was reported by it.
            let _ = thread.join();
        }
        self.shared.closed();
        self.shared.connection.end();
    }
}

impl Journal for KafkaJournal {
    fn id(&self) -> JournalId {
        self.id
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        let core = Arc::clone(self.core(stream));
        let shared = Arc::new(LaneShared::new(on_settled));
        core.add_lane(Arc::clone(&shared))?;
        Ok(Box::new(KafkaLane { shared, core }))
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        let bytes: u64 = records.iter().map(|record| 4 + record.len() as u64).sum();
        let limit = u64::from(self.shared.config.group_bytes_max);
        if bytes > limit {
            return Err(JournalError::TooLarge { bytes, limit });
        }
        self.core(stream).append(records)?.wait()
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        let bytes = record.len() as u64;
        let limit = u64::from(self.shared.config.behind_record_bytes_max);
        if bytes > limit {
            return Err(JournalError::TooLarge { bytes, limit });
        }
        self.core(stream).accept(record)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        self.core(stream).sync()
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        let core = Arc::clone(self.core(stream));
        let (low, high) = self.shared.connection.watermarks(&core.topic)?;
        core.learn_end(high);
        let accepted_end = match visibility {
            Visibility::Durable => None,
            Visibility::Accepted => core.tail.end(),
        };
        let end = accepted_end.map_or(high, |end| high.max(end.0));
        if from.0 < low || from.0 > end {
            return Err(JournalError::NoSuchPosition { stream: stream.name(), position: from.0 });
        }
        let consumers = Arc::clone(&self.consumers);
        Ok(Box::new(KafkaReader::new(core, consumers, visibility, from.0)))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        let core = self.core(stream);
        let (_, high) = self.shared.connection.watermarks(&core.topic)?;
        core.learn_end(high);
        Ok(Position(high))
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.core(stream).seen_bytes()
    }

    fn close(&self) {
        // First, so that nothing is taken once the sending threads may have ended.
        self.streams.iter().for_each(|core| core.close_lanes());
        if self.shared.shut() {
            self.end();
        }
    }
}

impl Drop for KafkaJournal {
    fn drop(&mut self) {
        if self.shared.shut() {
            self.abort();
        } else {
            self.end();
        }
    }
}

/// Carries another journal's groups into an empty installation, each with its own time and bounds.
///
/// The topics are switched to the producer's time first and back at the end, so that nothing else must
/// write meanwhile.
pub struct KafkaImport {
    journal: KafkaJournal,
}

impl KafkaImport {
    /// Begins: the streams must be empty, and stay with the producer's time until
    /// [`KafkaImport::finish`].
    ///
    /// # Errors
    /// When a stream holds anything, and as [`KafkaJournal::open`].
    pub fn begin(config: KafkaConfig) -> Result<KafkaImport, JournalError> {
        topics::find_streams(&config)?;
        let begun = topics::set_timestamps(&config, Timestamps::Own)
            .and_then(|()| KafkaImport::open_empty(config.clone()));
        if begun.is_err() {
            // Whatever was wrong, the topics are not left with the wrong kind of time.
            topics::set_timestamps(&config, Timestamps::Broker)?;
        }
        begun
    }

    fn open_empty(config: KafkaConfig) -> Result<KafkaImport, JournalError> {
        let journal = KafkaJournal::open_as(config, Some(crate::embedded::system_clock()))?;
        for stream in Stream::ALL {
            let end = journal.durable_end(stream)?.0;
            if end > 0 {
                return Err(JournalError::Setting {
                    key: "kafka.topic_prefix",
                    why: format!(
                        "topic {} holds {end} groups already; only an empty installation can be filled. Make new topics under another prefix",
                        journal.core(stream).topic
                    ),
                });
            }
        }
        Ok(KafkaImport { journal })
    }

    /// Writes one group as it stood. Returns before it is durable.
    ///
    /// # Errors
    /// When an earlier one could not be written.
    pub fn write(&self, stream: Stream, group: &Group) -> Result<(), JournalError> {
        let count = u32::try_from(group.records.len()).unwrap_or(u32::MAX);
        self.journal.core(stream).import(group.at_ms, group.records.packed(), count)
    }

    /// Waits until everything is durable, and lets the brokers date what comes from now on.
    ///
    /// # Errors
    /// When something could not be written, or the cluster refuses.
    pub fn finish(self) -> Result<(), JournalError> {
        for stream in Stream::ALL {
            self.journal.sync(stream)?;
        }
        self.journal.close();
        topics::set_timestamps(&self.journal.shared.config, Timestamps::Broker)
    }
}

#[cfg(test)]
mod tests;
