//! What the notifier asks of the topic to which it publishes.
//!
//! What this file deliberately does not do: know a broker. Over Kafka the trait is a few lines around a
//! producer; [`super::MemoryTopic`] stands in for it in tests.

use domain::PersonNumber;
use domain::watermark::EventId;

/// The topic's name.
pub const TOPIC: &str = "slotline.confirmations";

/// The headers of every message: which schema its value has. A change that readers must know of changes
/// the number.
pub const HEADERS: [(&str, &str); 1] = [("schema", "slotline.confirmation/1")];

/// Messages that any notifier of an installation, of any version, gives to the topic at a time. It is part
/// of the public format: no message comes for the first time after so many with higher ids.
pub const BATCH_MESSAGES_MAX: usize = 1_024;

/// One message for the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id that also stands in the value.
    pub id: EventId,
    /// Whose booking; gives the key.
    pub person: PersonNumber,
    /// The JSON, without a line break.
    pub value: Vec<u8>,
}

impl Message {
    /// The record's key: the person's number in decimal figures.
    pub fn key(&self) -> String {
        self.person.0.to_string()
    }
}

/// Why the topic could not be read or written; in words, for logs. It is tried again, always.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("confirmations topic: {0}")]
pub struct TopicError(pub String);

/// The topic `slotline.confirmations`: one log, read by others in the order in which it was written.
///
/// An implementation keeps these promises, and need keep no others. Over Kafka: one partition,
/// `acks=all`, an idempotent producer; `publish` fails when any delivery report of the batch does.
///
/// 1. **Durable.** What `publish` acknowledged survives, and `last_ids` sees it from then on.
/// 2. **After an error anything may be there** of what was given and not acknowledged: all, nothing, or
///    some of it with holes between, now or later, once or more than once. But nothing else.
/// 3. **Bounded.** Every call returns after a time, with an error if it must: a stop waits for it.
pub trait ConfirmationTopic: Send {
    /// The ids of the last records, oldest first: `count` of them, or of all records where there are
    /// fewer. [`crate::confirmations::message_id`] finds the id in a record's value.
    ///
    /// # Errors
    /// When the topic cannot be read now, or one of these records is no message.
    fn last_ids(&self, count: usize) -> Result<Vec<EventId>, TopicError>;

    /// Writes messages in this order, each with its [`Message::key`] and [`HEADERS`]; durable when it
    /// returns. At most [`BATCH_MESSAGES_MAX`] are given at a time.
    ///
    /// # Errors
    /// When any of them may not be durable. What is missing then will be given again.
    fn publish(&mut self, messages: &[Message]) -> Result<(), TopicError>;
}
