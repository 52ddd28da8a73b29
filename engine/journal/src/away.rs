//! A journal as another host sees it when the network is bad: for tests.
//!
//! Stream by stream, for as long as is wanted: questions find nobody ([`JournalError::Unavailable`]), and
//! readers that are open see nothing new. Writes pass. Nothing is lost or changed; that is what
//! [`crate::turbulent`] is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::{
    Appended, Group, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader,
    Stream, Visibility,
};

/// What goes wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody tells where it ends.
    HidesEnd = 0,
    /// No reader can be opened.
    RefusesReaders = 1,
    /// Open readers see nothing new.
    Silent = 2,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 3] = [Fault::HidesEnd, Fault::RefusesReaders, Fault::Silent];
}

/// What goes wrong now; shared by the journal and whoever decides that.
#[derive(Debug, Default)]
pub struct Faults {
    set: [[AtomicBool; 3]; 4],
    asked: [AtomicU64; 4],
}

impl Faults {
    /// Begins or ends one.
    pub fn set(&self, stream: Stream, fault: Fault, is_so: bool) {
        self.set[stream as usize][fault as usize].store(is_so, Ordering::SeqCst);
    }

    /// Nobody answers about a stream, or somebody does again; open readers are not concerned.
    pub fn set_away(&self, stream: Stream, is_so: bool) {
        self.set(stream, Fault::HidesEnd, is_so);
        self.set(stream, Fault::RefusesReaders, is_so);
    }

    /// Questions about a stream that found nobody so far.
    pub fn asked_in_vain(&self, stream: Stream) -> u64 {
        self.asked[stream as usize].load(Ordering::SeqCst)
    }

    fn is_set(&self, stream: Stream, fault: Fault) -> bool {
        self.set[stream as usize][fault as usize].load(Ordering::SeqCst)
    }

    fn check(&self, stream: Stream, fault: Fault) -> Result<(), JournalError> {
        if !self.is_set(stream, fault) {
            return Ok(());
        }
        self.asked[stream as usize].fetch_add(1, Ordering::SeqCst);
        let (place, cause) = (format!("stream {}", stream.name()), "nobody answers".to_owned());
        Err(JournalError::Unavailable { place, cause })
    }
}

/// The journal behind the bad network.
pub struct AwayJournal {
    inner: Arc<dyn Journal>,
    faults: Arc<Faults>,
}

impl AwayJournal {
    /// A view of a journal, without faults yet.
    pub fn over(inner: &Arc<dyn Journal>) -> (Arc<dyn Journal>, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        (Arc::new(AwayJournal { inner: Arc::clone(inner), faults: Arc::clone(&faults) }), faults)
    }
}

struct AwayReader {
    inner: Box<dyn Reader>,
    stream: Stream,
    faults: Arc<Faults>,
    /// Came in the moment in which the silence began.
    kept: Option<Group>,
}

/// Longest wait for a group, so that a silence that begins or ends is noticed.
const PIECE: Duration = Duration::from_millis(5);

impl Reader for AwayReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        let is_silent = || self.faults.is_set(self.stream, Fault::Silent);
        if is_silent() {
            std::thread::sleep(wait.min(PIECE));
            return Ok(None);
        }
        if self.kept.is_none() {
            self.kept = self.inner.poll(wait.min(PIECE))?;
        }
        if self.faults.is_set(self.stream, Fault::Silent) { Ok(None) } else { Ok(self.kept.take()) }
    }

    fn position(&self) -> Position {
        self.kept.as_ref().map_or_else(|| self.inner.position(), |kept| kept.position)
    }
}

impl Journal for AwayJournal {
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
        self.faults.check(stream, Fault::RefusesReaders)?;
        let inner = self.inner.reader(stream, from, visibility)?;
        Ok(Box::new(AwayReader { inner, stream, faults: Arc::clone(&self.faults), kept: None }))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        self.faults.check(stream, Fault::HidesEnd)?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::memory::{MemoryConfig, MemoryJournal};

    #[test]
    fn faults_begin_and_end_and_lose_nothing() {
        let inner: Arc<dyn Journal> = Arc::new(MemoryJournal::new(MemoryConfig::default()));
        let (journal, faults) = AwayJournal::over(&inner);
        let open = || journal.reader(Stream::Roster, Position::START, Visibility::Durable);
        let mut reader = open().unwrap();
        for fault in Fault::ALL {
            faults.set(Stream::Roster, fault, true);
        }
        journal.append(Stream::Roster, &[b"one"]).unwrap();
        assert!(matches!(open().err(), Some(JournalError::Unavailable { .. })));
        assert!(matches!(
            journal.durable_end(Stream::Roster),
            Err(JournalError::Unavailable { .. })
        ));
        assert!(reader.poll(Duration::ZERO).unwrap().is_none());
        assert_eq!(faults.asked_in_vain(Stream::Roster), 2);
        assert!(journal.durable_end(Stream::Events).is_ok(), "other streams are not concerned");
        for fault in Fault::ALL {
            faults.set(Stream::Roster, fault, false);
        }
        let end = journal.durable_end(Stream::Roster).unwrap();
        let group = reader.poll(Duration::from_secs(10)).unwrap().unwrap();
        assert_eq!((group.next, reader.position()), (end, end));
    }
}
