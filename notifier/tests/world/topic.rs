//! Reads the topic as a consumer does.

use std::collections::{BTreeMap, BTreeSet};

use domain::EventId;
use notifier::confirmations::{message_id, open_message};
use notifier::publishing::{BATCH_MESSAGES_MAX, MemoryTopic, TopicRecord};
use serde_json::Value;

use super::told::CONSUMER;

/// What a consumer takes, by the rule of `docs/confirmations.md`: it remembers the highest ids, and drops
/// those and everything below them. Equal ids must have equal bytes.
pub fn received(records: Vec<TopicRecord>) -> Vec<TopicRecord> {
    let mut contents: BTreeMap<EventId, TopicRecord> = BTreeMap::new();
    let mut remembered: BTreeSet<EventId> = BTreeSet::new();
    let mut taken: Vec<TopicRecord> = Vec::new();
    for record in records {
        let id = message_id(&record.value).unwrap();
        let content = contents.entry(id).or_insert_with(|| record.clone());
        assert_eq!(*content, record, "{id} has two contents");
        let is_full = remembered.len() >= BATCH_MESSAGES_MAX;
        if (is_full && remembered.first() > Some(&id)) || !remembered.insert(id) {
            continue;
        }
        if is_full {
            remembered.pop_first();
        }
        taken.push(record);
    }
    assert_eq!(taken.len(), contents.len(), "every id is taken once");
    taken
}

/// The same in the order of their ids: where the topic lost a part of a batch for a while, it comes late.
pub fn received_by_id(records: Vec<TopicRecord>) -> Vec<TopicRecord> {
    let mut received = received(records);
    received.sort_by_key(|record| message_id(&record.value).unwrap());
    received
}

/// What a consumer has after dropping what it knows: key, and message with the contact opened.
pub fn consumed(topic: &MemoryTopic) -> Vec<(String, Value)> {
    read(received(topic.records()))
}

/// The same in the order of their ids.
pub fn consumed_by_id(topic: &MemoryTopic) -> Vec<(String, Value)> {
    read(received_by_id(topic.records()))
}

fn read(records: Vec<TopicRecord>) -> Vec<(String, Value)> {
    let read = |record: TopicRecord| {
        let headers = [("schema".to_owned(), "slotline.confirmation/1".to_owned())];
        assert_eq!(record.headers, headers);
        let mut message: Value = serde_json::from_slice(&record.value).unwrap();
        let contact = open_message(&CONSUMER, &record.value).unwrap();
        message["contact"] =
            contact.map_or(Value::Null, |plain| serde_json::from_slice(&plain).unwrap());
        (record.key, message)
    };
    records.into_iter().map(read).collect()
}
