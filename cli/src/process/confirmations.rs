//! The public topic of confirmations, as the notifier wants it.

use domain::watermark::EventId;
use journal::kafka::{CONFIRMATIONS, KafkaConfig, KafkaPublisher};
use notifier::confirmations::message_id;
use notifier::publishing::{ConfirmationTopic, HEADERS, Message, TopicError};

use crate::trouble::Trouble;

/// The topic on Kafka.
pub(super) struct KafkaTopic {
    publisher: KafkaPublisher,
}

impl KafkaTopic {
    /// Connects to the topic and checks its settings.
    ///
    /// # Errors
    /// In words that name the setting, or what cannot be reached.
    pub(super) fn open(config: &KafkaConfig) -> Result<KafkaTopic, Trouble> {
        Ok(KafkaTopic { publisher: KafkaPublisher::open(config.clone(), CONFIRMATIONS)? })
    }
}

impl ConfirmationTopic for KafkaTopic {
    fn last_ids(&self, count: usize) -> Result<Vec<EventId>, TopicError> {
        let records =
            self.publisher.last_records(count as u64).map_err(|error| in_words(&error))?;
        records
            .iter()
            .map(|record| message_id(&record.value).map_err(|error| in_words(&error)))
            .collect()
    }

    fn publish(&mut self, messages: &[Message]) -> Result<(), TopicError> {
        let headers = HEADERS.map(|(name, value)| (name, value.as_bytes()));
        let sent = messages.iter().try_for_each(|message| {
            self.publisher.publish(message.key().as_bytes(), &headers, &message.value)
        });
        // What was sent is waited for in any case: the next batch must not overtake it.
        let durable = self.publisher.flush();
        sent.and(durable).map_err(|error| in_words(&error))
    }
}

fn in_words(error: &dyn std::fmt::Display) -> TopicError {
    TopicError(error.to_string())
}
