//! Reads one stream from the brokers, forward, one group a record.
//!
//! Does: stand at an offset of its own (`assign`, nothing is committed anywhere), wait for what is known
//! to be there even when asked not to wait, refuse a gap, and give groups accepted in this process to
//! readers that want them. Does not interpret records.
//!
//! A broker that is away is no error: nothing comes until it, or its successor, is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::client::{Events, millis_of, refused_property};
use super::frame::{self, BadFrame};
use super::stream::StreamCore;
use crate::{Group, JournalError, Position, Reader, Visibility};

/// Longest wait for a group that is known to be durable, when asked not to wait. The broker may be away.
const KNOWN_GROUP_MS_MAX: u64 = 5_000;
/// One look at the broker while groups may also be accepted in this process.
const SLICE_MS: u64 = 20;
/// Consumers kept for the next reader: making one takes a connection and some threads.
const IDLE_CONSUMERS_MAX: usize = 8;

/// Consumers that nobody reads with.
#[derive(Default)]
pub(super) struct Consumers {
    idle: Mutex<Vec<BaseConsumer<Events>>>,
}

impl Consumers {
    fn take(&self, core: &StreamCore) -> Result<BaseConsumer<Events>, JournalError> {
        if let Some(consumer) = self.idle.lock().pop() {
            return Ok(consumer);
        }
        BaseConsumer::from_config_and_context(&core.shared.config.consumer(), Events::default())
            .map_err(|error| refused_property(&error))
    }

    fn give_back(&self, consumer: BaseConsumer<Events>) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONSUMERS_MAX && consumer.unassign().is_ok() {
            idle.push(consumer);
        }
    }
}

/// One reader.
pub(super) struct KafkaReader {
    core: Arc<StreamCore>,
    consumers: Arc<Consumers>,
    visibility: Visibility,
    /// Offset of the next group.
    position: u64,
    /// The highest time given out.
    last_at_ms: i64,
    /// Reads from the broker, once that is needed, and where it stands.
    consumer: Option<(BaseConsumer<Events>, u64)>,
    /// Repeats.
    error: Option<JournalError>,
}

impl KafkaReader {
    /// Stands at a position that exists.
    pub(super) fn new(
        core: Arc<StreamCore>,
        consumers: Arc<Consumers>,
        visibility: Visibility,
        position: u64,
    ) -> KafkaReader {
        KafkaReader {
            core,
            consumers,
            visibility,
            position,
            last_at_ms: i64::MIN,
            consumer: None,
            error: None,
        }
    }

    fn accepted(&mut self) -> Option<Group> {
        if self.visibility == Visibility::Durable {
            return None;
        }
        let group = self.core.tail.get(Position(self.position))?;
        self.given(&group);
        Some(group)
    }

    fn given(&mut self, group: &Group) {
        self.position = group.next.0;
        self.last_at_ms = self.last_at_ms.max(group.at_ms);
    }

    /// Makes the consumer stand at the reader's position.
    fn stand(&mut self) -> Result<(), JournalError> {
        if self.consumer.as_ref().is_some_and(|(_, at)| *at == self.position) {
            return Ok(());
        }
        let consumer = match self.consumer.take() {
            Some((consumer, _)) => consumer,
            None => self.consumers.take(&self.core)?,
        };
        let offset = i64::try_from(self.position).unwrap_or(i64::MAX);
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&self.core.topic, 0, Offset::Offset(offset))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| self.failed("assign", &error))?;
        self.consumer = Some((consumer, self.position));
        Ok(())
    }

    fn failed(&self, call: &'static str, error: &KafkaError) -> JournalError {
        JournalError::Io { call, place: self.place(), cause: error.to_string() }
    }

    fn place(&self) -> String {
        format!("topic {}, offset {}", self.core.topic, self.position)
    }

    fn damaged(&self, what: impl Into<String>) -> JournalError {
        JournalError::Damaged {
            stream: self.core.stream.name(),
            place: self.place(),
            what: what.into(),
        }
    }

    /// One look at the broker.
    fn fetch(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        self.stand()?;
        let Some((consumer, _)) = self.consumer.as_ref() else { return Ok(None) };
        let group = match consumer.poll(whole_ms(wait)) {
            None => return Ok(None),
            Some(Ok(message)) => self.group(&message)?,
            Some(Err(error)) => return self.complaint(&error).map_or(Ok(None), Err),
        };
        if let Some(group) = &group {
            let at = group.next.0;
            self.core.learn_end(at);
            self.given(group);
            if let Some((_, stands)) = self.consumer.as_mut() {
                *stands = at;
            }
        }
        Ok(group)
    }

    fn group(&self, message: &BorrowedMessage<'_>) -> Result<Option<Group>, JournalError> {
        let offset = u64::try_from(message.offset()).unwrap_or(0);
        if offset < self.position {
            return Ok(None);
        }
        if offset > self.position {
            let what = format!(
                "the next record is at offset {offset}: those before it were deleted or compacted away"
            );
            return Err(self.damaged(what));
        }
        let value = message.payload().unwrap_or_default();
        let frame = frame::read(value).map_err(|bad| match bad {
            BadFrame::Newer(found) => {
                JournalError::UnknownFormat { place: self.place(), found: found.into(), known: 1 }
            }
            BadFrame::Malformed(what) => self.damaged(format!("the record is no group: {what}")),
        })?;
        self.core.count_seen(offset, value.len());
        let at_ms = frame.own_at_ms.unwrap_or_else(|| millis_of(message.timestamp()));
        Ok(Some(Group {
            position: Position(offset),
            next: Position(offset + 1),
            at_ms: at_ms.max(self.last_at_ms),
            records: frame.records,
        }))
    }

    /// What the client library reports: `None` for what passes by itself.
    fn complaint(&self, error: &KafkaError) -> Option<JournalError> {
        use RDKafkaErrorCode as Code;
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return Some(self.failed("consume", error));
        }
        match error.rdkafka_error_code() {
            Some(Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation) => Some(self.damaged(
                "the broker no longer has this offset: the topic was trimmed, made anew, or lost its end",
            )),
            Some(Code::BadMessage | Code::InvalidMessage) => {
                Some(self.damaged("the record does not fit its checksum"))
            }
            Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                Some(self.failed("consume", error))
            }
            _ => {
                tracing::debug!(%error, topic = self.core.topic, "kafka reader");
                None
            }
        }
    }

    fn look(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        let began = Instant::now();
        let deadline = began + wait.min(Duration::from_secs(86_400));
        let known_deadline = deadline.max(began + Duration::from_millis(KNOWN_GROUP_MS_MAX));
        loop {
            if let Some(group) = self.accepted() {
                return Ok(Some(group));
            }
            let is_known = self.position < self.core.known_end();
            let until = if is_known { known_deadline } else { deadline };
            let left = until.saturating_duration_since(Instant::now());
            let shared_wait = self.visibility == Visibility::Accepted;
            let slice = if shared_wait { left.min(Duration::from_millis(SLICE_MS)) } else { left };
            let is_fed_here = shared_wait && self.core.tail.is_written_here() && !is_known;
            let fetched = if is_fed_here {
                self.core.tail.wait(Position(self.position), slice);
                if self.core.tail.get(Position(self.position)).is_some() {
                    continue;
                }
                self.fetch(Duration::ZERO)?
            } else {
                self.fetch(slice)?
            };
            if fetched.is_some() || Instant::now() >= until {
                return Ok(fetched);
            }
        }
    }
}

impl Reader for KafkaReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let looked = self.look(wait);
        if let Err(error) = &looked {
            self.error = Some(error.clone());
        }
        looked
    }

    fn position(&self) -> Position {
        Position(self.position)
    }
}

/// No less, in whole milliseconds: the client library takes no others, and its wrapper would ask again and
/// again for the rest.
fn whole_ms(wait: Duration) -> Duration {
    let ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Duration::from_millis(ms)
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        if let Some((consumer, _)) = self.consumer.take()
            && self.error.is_none()
        {
            self.consumers.give_back(consumer);
        }
    }
}
