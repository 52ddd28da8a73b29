//! A topic in memory, with faults on demand: for tests.
//!
//! What this file deliberately does not do: survive the process.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::watermark::EventId;
use parking_lot::Mutex;

use super::topic::{ConfirmationTopic, HEADERS, Message, TopicError};
use crate::confirmations::message_id;

/// A topic; clones are handles of the same.
#[derive(Clone, Debug, Default)]
pub struct MemoryTopic {
    inner: Arc<Mutex<Inner>>,
}

/// One record, as a consumer reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// The record's key.
    pub key: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicFault {
    /// The next `publish` fails and has written nothing.
    BeforeTheWrite,
    /// The next `publish` fails when it has written so many.
    After(usize),
    /// The next `publish` fails and has written all but the message at this place.
    Hole(usize),
    /// The next `publish` fails and has written everything.
    AfterTheWrite,
    /// The next `publish` fails, and what it was given arrives after the one that follows.
    Late,
    /// The next `publish` writes everything twice, and says nothing of it.
    Twice,
    /// The next `last_ids` fails.
    Reading,
}

#[derive(Debug, Default)]
struct Inner {
    records: Vec<TopicRecord>,
    faults: VecDeque<TopicFault>,
    /// Messages under way.
    late: Vec<Message>,
    is_down: bool,
}

impl MemoryTopic {
    /// An empty topic.
    pub fn new() -> MemoryTopic {
        MemoryTopic::default()
    }

    /// Adds a fault to come; faults wait for their call in this order.
    pub fn fail(&self, fault: TopicFault) {
        self.inner.lock().faults.push_back(fault);
    }

    /// While it is down, every call fails.
    pub fn set_down(&self, is_down: bool) {
        self.inner.lock().is_down = is_down;
    }

    /// All records in order.
    pub fn records(&self) -> Vec<TopicRecord> {
        self.inner.lock().records.clone()
    }

    /// Faults that have not come yet.
    pub fn faults_left(&self) -> usize {
        self.inner.lock().faults.len()
    }

    /// Appends a record as it stands.
    pub fn restore(&self, record: &TopicRecord) {
        self.inner.lock().records.push(record.clone());
    }

    /// Cuts the log after so many records, as an operator or a broken broker would.
    pub fn cut(&self, records: usize) {
        self.inner.lock().records.truncate(records);
    }
}

impl Inner {
    /// The first fault, if it is one of this call.
    fn take_fault(&mut self, is_reading: bool) -> Option<TopicFault> {
        let fits =
            self.faults.front().is_some_and(|fault| (*fault == TopicFault::Reading) == is_reading);
        if fits { self.faults.pop_front() } else { None }
    }

    fn write(&mut self, messages: &[Message]) {
        self.records.extend(messages.iter().map(|message| TopicRecord {
            key: message.key(),
            headers: HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            value: message.value.clone(),
        }));
    }
}

impl ConfirmationTopic for MemoryTopic {
    fn last_ids(&self, count: usize) -> Result<Vec<EventId>, TopicError> {
        let mut inner = self.inner.lock();
        if inner.is_down || inner.take_fault(true).is_some() {
            return Err(TopicError("not reachable".into()));
        }
        let first = inner.records.len().saturating_sub(count);
        let id = |record: &TopicRecord| message_id(&record.value);
        let ids: Result<Vec<EventId>, _> = inner.records[first..].iter().map(id).collect();
        ids.map_err(|error| TopicError(error.to_string()))
    }

    fn publish(&mut self, messages: &[Message]) -> Result<(), TopicError> {
        let mut inner = self.inner.lock();
        let lost = || Err(TopicError("the acknowledgement was lost".into()));
        if inner.is_down {
            return Err(TopicError("not reachable".into()));
        }
        match inner.take_fault(false) {
            None | Some(TopicFault::Reading) => inner.write(messages),
            Some(TopicFault::BeforeTheWrite) => return lost(),
            Some(TopicFault::After(count)) => {
                inner.write(&messages[..count.min(messages.len())]);
                return lost();
            }
            Some(TopicFault::Hole(place)) => {
                let (before, behind) = messages.split_at(place.min(messages.len()));
                inner.write(before);
                inner.write(behind.get(1..).unwrap_or_default());
                return lost();
            }
            Some(TopicFault::AfterTheWrite) => {
                inner.write(messages);
                return lost();
            }
            Some(TopicFault::Late) => {
                inner.late.extend_from_slice(messages);
                return lost();
            }
            Some(TopicFault::Twice) => {
                inner.write(messages);
                inner.write(messages);
            }
        }
        let late = std::mem::take(&mut inner.late);
        inner.write(&late);
        Ok(())
    }
}
