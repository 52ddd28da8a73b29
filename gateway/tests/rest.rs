//! A gateway's cores tell the journal when they have nothing left to do, and when they are at work again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use journal::memory::MemoryConfig;
use journal::{
    Appended, Health, Journal, JournalError, JournalId, Lane, MemoryJournal, OnSettled, Position,
    Reader, Refused, Stream, Ticket, Visibility,
};
use support::client::Client;
use support::{House, until};

/// What the lanes of one journal heard.
#[derive(Default)]
struct Heard {
    rests: AtomicU64,
    returns: AtomicU64,
}

/// A journal whose lanes note what their producers say of themselves.
struct Listening {
    inner: MemoryJournal,
    heard: Arc<Heard>,
}

struct ListeningLane {
    inner: Box<dyn Lane>,
    heard: Arc<Heard>,
}

impl Lane for ListeningLane {
    fn push(&self, record: &[u8]) -> Result<Ticket, Refused> {
        self.inner.push(record)
    }

    fn unsettled(&self) -> u64 {
        self.inner.unsettled()
    }

    fn set_resting(&self, is_resting: bool) {
        let heard = if is_resting { &self.heard.rests } else { &self.heard.returns };
        heard.fetch_add(1, Ordering::SeqCst);
    }
}

impl Journal for Listening {
    fn id(&self) -> JournalId {
        self.inner.id()
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        let inner = self.inner.lane(stream, on_settled)?;
        Ok(Box::new(ListeningLane { inner, heard: Arc::clone(&self.heard) }))
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        self.inner.append(stream, records)
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        self.inner.append_behind(stream, record)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        self.inner.sync(stream)
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        self.inner.reader(stream, from, visibility)
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        self.inner.durable_end(stream)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.inner.stored_bytes(stream)
    }

    fn close(&self) {
        self.inner.close();
    }
}

#[test]
fn a_core_says_that_it_rests_and_that_it_is_at_work_again() {
    let heard = Arc::new(Heard::default());
    let inner = MemoryJournal::new(MemoryConfig::default());
    let house = House::over(Arc::new(Listening { inner, heard: Arc::clone(&heard) }), |_| {});
    let read = || (heard.rests.load(Ordering::SeqCst), heard.returns.load(Ordering::SeqCst));
    let before = read();
    assert_eq!(Client::to(house.operator).get("/livez").status, 200);
    until("a core was at work and rests again", || {
        let now = read();
        now.0 > before.0 && now.1 > before.1
    });
}
