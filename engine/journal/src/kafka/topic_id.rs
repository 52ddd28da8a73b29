//! The id that a cluster gave a topic, which the wrapper of the client library does not offer.
//!
//! The one place of this module with `unsafe`: six calls of the client library, each on objects made
//! here and freed here.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::producer::Producer;

use super::client::Connection;
use crate::JournalError;

/// The topic's id: 16 bytes, never given out again, also when a topic of the same name is made anew.
///
/// # Errors
/// When the cluster does not answer in time or refuses.
pub(super) fn topic_id(
    connection: &Connection,
    topic: &str,
    patience: Duration,
) -> Result<[u8; 16], JournalError> {
    let failed = |cause: String| JournalError::Io {
        call: "describe topics",
        place: format!("topic {topic}"),
        cause,
    };
    let name = CString::new(topic).map_err(|error| failed(error.to_string()))?;
    let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    let client = connection.producer().client().native_ptr();
    let mut names = [name.as_ptr()];
    // SAFETY: `client` lives as long as `connection`; `names` outlives the call, which copies it; the
    // queue, the collection and the event are freed below, each once, on every path.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        sys::rd_kafka_DescribeTopics(client, collection, ptr::null(), queue);
        let event = sys::rd_kafka_queue_poll(queue, patience_ms);
        let id = if event.is_null() {
            Err(failed("no answer in time".to_owned()))
        } else {
            id_in(event).map_err(failed)
        };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_queue_destroy(queue);
        id
    }
}

/// # Safety
/// `event` is an event of a live client.
unsafe fn id_in(event: *mut sys::rd_kafka_event_t) -> Result<[u8; 16], String> {
    // SAFETY: what the getters give belongs to the event, which the caller keeps until after.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err("an answer to another question".to_owned());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count != 1 || topics.is_null() {
            return Err("the cluster does not describe it".to_owned());
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(*topics);
        if id.is_null() {
            return Err("the cluster names no id for it".to_owned());
        }
        let high = sys::rd_kafka_Uuid_most_significant_bits(id);
        let low = sys::rd_kafka_Uuid_least_significant_bits(id);
        if high == 0 && low == 0 {
            return Err(
                "the cluster gives topics no ids; it must run Kafka 3.1 or newer".to_owned()
            );
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        Ok(bytes)
    }
}
