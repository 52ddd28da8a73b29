//! A topic for others to read: keyed records, published in order, durable when flushed.
//!
//! Does: publish to the only partition of a topic, and read its end, so that whoever publishes after a
//! crash knows where to go on. Does not know what a record says.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Connection, Events, refused_property};
use super::config::KafkaConfig;
use super::deadline::Deadline;
use super::topics::{self, Timestamps};
use crate::JournalError;

/// How long a record waits for others, that many share a request: whoever publishes many flushes once.
const LINGER_MS: u32 = 5;

/// One record of a keyed topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRecord {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Records on their way.
#[derive(Default)]
struct OnTheWay {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    /// The first failure since the last flush.
    failure: Option<String>,
}

/// Publishes to one topic.
pub struct KafkaPublisher {
    config: KafkaConfig,
    topic: String,
    connection: Connection,
    on_the_way: Arc<OnTheWay>,
}

impl KafkaPublisher {
    /// Connects and checks the topic `<topic_prefix><name>`.
    ///
    /// # Errors
    /// As [`super::KafkaJournal::open`].
    pub fn open(config: KafkaConfig, name: &str) -> Result<KafkaPublisher, JournalError> {
        let deadline = Deadline::to_connect(&config);
        let connection = Connection::open_lingering(&config, LINGER_MS, deadline)?;
        let topic = config.topic_named(name);
        let names = std::slice::from_ref(&topic);
        topics::check(&config, &connection, &Timestamps::Broker, names, deadline)?;
        Ok(KafkaPublisher { config, topic, connection, on_the_way: Arc::default() })
    }

    /// Sends one record; it is durable after the next [`KafkaPublisher::flush`] that returns `Ok`.
    ///
    /// # Errors
    /// When the producer takes no more; flush, and send from the first record again that is not known
    /// to be durable.
    pub fn publish(
        &self,
        key: &[u8],
        headers: &[(&str, &[u8])],
        value: &[u8],
    ) -> Result<(), JournalError> {
        let mut owned = OwnedHeaders::new_with_capacity(headers.len());
        for (name, header) in headers {
            owned = owned.insert(Header { key: name, value: Some(*header) });
        }
        self.on_the_way.state.lock().count += 1;
        let told = Arc::clone(&self.on_the_way);
        let on_delivery = move |fate: Result<_, String>| told.arrived(fate.err());
        let sent = self.connection.send(
            &self.topic,
            Some(key),
            Some(owned),
            value,
            None,
            Box::new(on_delivery),
        );
        sent.map_err(|why| {
            self.on_the_way.arrived(Some(why.clone()));
            self.failed("produce", why)
        })
    }

    /// Waits until everything sent before is durable. After an error some of it may be, and records
    /// behind a failed one too: publish them again, readers drop what they know.
    ///
    /// # Errors
    /// The first failure since the last flush.
    pub fn flush(&self) -> Result<(), JournalError> {
        let mut state = self.on_the_way.state.lock();
        while state.count > 0 {
            self.on_the_way.changed.wait(&mut state);
        }
        state.failure.take().map_or(Ok(()), |why| Err(self.failed("produce", why)))
    }

    /// The last records of the topic, oldest first, `count` at most.
    ///
    /// # Errors
    /// When the brokers do not give them in time.
    pub fn last_records(&self, count: u64) -> Result<Vec<KeyedRecord>, JournalError> {
        let (low, high) = self.connection.watermarks(&self.topic)?;
        let first = high.saturating_sub(count).max(low);
        let mut records = Vec::new();
        if first == high {
            return Ok(records);
        }
        let consumer =
            BaseConsumer::from_config_and_context(&self.config.consumer(), Events::default())
                .map_err(|error| refused_property(&error))?;
        let mut assignment = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(first).unwrap_or(i64::MAX));
        assignment
            .add_partition_offset(&self.topic, 0, offset)
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| self.failed("assign", error.to_string()))?;
        let deadline = Deadline::to_connect(&self.config);
        let mut next = first;
        while next < high {
            if deadline.has_passed() {
                return Err(JournalError::Unavailable {
                    place: format!("topic {}", self.topic),
                    cause: "its last records did not come in time".to_owned(),
                });
            }
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                next = u64::try_from(message.offset()).unwrap_or(next) + 1;
                records.push(KeyedRecord {
                    key: message.key().unwrap_or_default().to_vec(),
                    value: message.payload().unwrap_or_default().to_vec(),
                });
            }
        }
        Ok(records)
    }

    fn failed(&self, call: &'static str, cause: String) -> JournalError {
        JournalError::Io { call, place: format!("topic {}", self.topic), cause }
    }
}

impl OnTheWay {
    fn arrived(&self, failure: Option<String>) {
        let mut state = self.state.lock();
        state.count -= 1;
        if state.failure.is_none() {
            state.failure = failure;
        }
        drop(state);
        self.changed.notify_all();
    }
}
