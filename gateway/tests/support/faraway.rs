//! A journal as another host sees it: events arrive late, and questions may find nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway::GroupsBefore;
use journal::{
    Appended, Group, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader,
    Stream, Visibility,
};
use parking_lot::Mutex;

/// What goes wrong on the way, from now on or no longer.
#[derive(Default)]
pub struct Way {
    /// No event arrives.
    pub is_held: AtomicBool,
    /// Nobody tells where a stream ends.
    pub hides_ends: AtomicBool,
    /// No reader can be opened.
    pub refuses_readers: AtomicBool,
}

impl Way {
    pub fn set(flag: &AtomicBool, value: bool) {
        flag.store(value, Ordering::SeqCst);
    }

    fn check(flag: &AtomicBool) -> Result<(), JournalError> {
        if !flag.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (place, cause) = ("the broker".to_owned(), "nobody answers".to_owned());
        Err(JournalError::Unavailable { place, cause })
    }
}

pub struct Faraway {
    inner: Arc<dyn Journal>,
    way: Arc<Way>,
}

impl Faraway {
    pub fn new(inner: &Arc<dyn Journal>) -> (Arc<dyn Journal>, Arc<Way>) {
        let way = Arc::new(Way::default());
        (Arc::new(Faraway { inner: Arc::clone(inner), way: Arc::clone(&way) }), way)
    }
}

struct HeldReader {
    inner: Box<dyn Reader>,
    way: Arc<Way>,
    /// Came in the moment in which the way was closed.
    kept: Option<Group>,
}

impl Reader for HeldReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        if self.way.is_held.load(Ordering::SeqCst) {
            std::thread::sleep(wait.min(Duration::from_millis(5)));
            return Ok(None);
        }
        if self.kept.is_none() {
            self.kept = self.inner.poll(wait.min(Duration::from_millis(5)))?;
        }
        if self.way.is_held.load(Ordering::SeqCst) { Ok(None) } else { Ok(self.kept.take()) }
    }

    fn position(&self) -> Position {
        self.kept.as_ref().map_or_else(|| self.inner.position(), |kept| kept.position)
    }
}

impl Journal for Faraway {
    fn id(&self) -> JournalId {
        self.inner.id()
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        self.inner.lane(stream, on_settled)
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
        Way::check(&self.way.refuses_readers)?;
        let inner = self.inner.reader(stream, from, visibility)?;
        if stream != Stream::Events {
            return Ok(inner);
        }
        Ok(Box::new(HeldReader { inner, way: Arc::clone(&self.way), kept: None }))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        Way::check(&self.way.hides_ends)?;
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

/// Counts the groups of commands before a position by reading them.
pub fn groups_before(journal: &Arc<dyn Journal>) -> GroupsBefore {
    let reader = journal.reader(Stream::Commands, Position::START, Visibility::Durable).unwrap();
    // Where each group ends, in order.
    let read = Mutex::new((reader, Vec::new()));
    Arc::new(move |position| {
        let (reader, ends) = &mut *read.lock();
        while reader.position() < position {
            let group = reader.poll(Duration::from_secs(1)).unwrap().expect("it is durable");
            if !group.records.is_empty() {
                ends.push(group.next);
            }
        }
        ends.partition_point(|end| *end <= position) as u64
    })
}
