//! The id that a cluster gave a topic, which the wrapper of the client library does not offer.
//!
//! The one place of this module with `unsafe`: calls of the client library, each on objects made here
//! and freed here.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use super::client::{Connection, unanswered};
use crate::JournalError;

/// The topic's id: 16 bytes, never given out again, also when a topic of the same name is made anew.
///
/// # Errors
/// [`JournalError::Unavailable`] when the cluster does not answer within `longest`; any other when it
/// refuses.
pub(super) fn topic_id(
    connection: &Connection,
    topic: &str,
    longest: Duration,
) -> Result<[u8; 16], JournalError> {
    let failed = |(code, cause): Failure| {
        unanswered("describe topics", &format!("topic {topic}"), code, &cause)
    };
    let name = CString::new(topic).map_err(|error| failed((None, error.to_string())))?;
    let longest_ms = i32::try_from(longest.as_millis()).unwrap_or(i32::MAX);
    let client = connection.producer().client().native_ptr();
    let mut names = [name.as_ptr()];
    // SAFETY: `client` lives as long as `connection`; `names` outlives the call, which copies it, as it
    // does the options; the queue, the collection, the options and the event are freed below, each once,
    // on every path. No text of an error is asked for.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let for_api = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = sys::rd_kafka_AdminOptions_new(client, for_api);
        // A value out of its range leaves the default, which the wait below does not depend on.
        sys::rd_kafka_AdminOptions_set_request_timeout(options, longest_ms, ptr::null_mut(), 0);
        sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, longest_ms);
        let id = if event.is_null() {
            let timed_out = RDKafkaErrorCode::OperationTimedOut;
            Err(failed((Some(timed_out), "no answer in time".to_owned())))
        } else {
            id_in(event).map_err(failed)
        };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_queue_destroy(queue);
        id
    }
}

/// The client library's code, where it gives one, and words.
type Failure = (Option<RDKafkaErrorCode>, String);

/// # Safety
/// `event` is an event of a live client.
unsafe fn id_in(event: *mut sys::rd_kafka_event_t) -> Result<[u8; 16], Failure> {
    let strange = |what: &str| Err((None, what.to_owned()));
    // SAFETY: what the getters give belongs to the event, which the caller keeps until after; the code of
    // an error that is null is that of no error.
    unsafe {
        told(sys::rd_kafka_event_error(event))?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return strange("an answer to another question");
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count != 1 || topics.is_null() {
            return strange("the cluster does not describe it");
        }
        told(sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(*topics)))?;
        let id = sys::rd_kafka_TopicDescription_topic_id(*topics);
        if id.is_null() {
            return strange("the cluster names no id for it");
        }
        let high = sys::rd_kafka_Uuid_most_significant_bits(id);
        let low = sys::rd_kafka_Uuid_least_significant_bits(id);
        if high == 0 && low == 0 {
            return strange("the cluster gives topics no ids; it must run Kafka 3.1 or newer");
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        Ok(bytes)
    }
}

fn told(code: sys::rd_kafka_resp_err_t) -> Result<(), Failure> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err((Some(code), code.to_string())),
    }
}
