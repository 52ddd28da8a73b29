//! A system that has no descriptors or no room left for a while: nothing is lost, groups are held once they
//! need the next segment, reads go on, and writing goes on by itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use journal::embedded::{EmbeddedJournal, WriteMode};
use journal::storage::faulty::{Call, Fault, FaultyStorage};
use journal::{Health, Journal, Lane, Refused, Settled, Stream};
use support::{MODES, config, disk, open, records};

/// What is short, and the call that says so.
const SHORTAGES: [(Call, Fault); 5] = [
    (Call::Open, Fault::NoDescriptors),
    (Call::Reserve, Fault::NoSpace),
    (Call::Write, Fault::NoSpace),
    (Call::SyncData, Fault::NoSpace),
    (Call::Rename, Fault::NoSpace),
];

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stands in every stream from the beginning.
const FIRST: &[u8] = b"first";

/// A running journal with one lane, on a disk that can be short of something.
struct Bench {
    storage: FaultyStorage,
    journal: EmbeddedJournal,
    lane: Box<dyn Lane>,
    settled: Receiver<Settled>,
    pushed: Vec<Vec<u8>>,
}

impl Bench {
    fn new(mode: WriteMode) -> Bench {
        let storage = FaultyStorage::new(Arc::new(disk(mode)));
        let journal = open(storage.clone(), config(mode)).unwrap();
        // Both streams have a first segment.
        for stream in [Stream::Commands, Stream::Roster] {
            journal.append(stream, &[FIRST]).unwrap();
        }
        let (sender, settled) = channel();
        let lane = journal.lane(
            Stream::Commands,
            Arc::new(move |told| {
                let _ = sender.send(told);
            }),
        );
        Bench { storage, lane: lane.unwrap(), journal, settled, pushed: Vec::new() }
    }

    /// Pushes until the lane refuses; each record is one that was taken.
    fn push_until_full(&mut self) {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "nothing was ever held");
            let mut record = self.pushed.len().to_le_bytes().to_vec();
            record.resize(900, 7);
            match self.lane.push(&record) {
                Ok(_) => self.pushed.push(record),
                Err(Refused::Full) if self.waits() => return,
                Err(Refused::Full) => std::thread::yield_now(),
                Err(refused) => panic!("{refused}: {:?}", self.journal.health()),
            }
        }
    }

    /// What is durable beyond the first record.
    fn durable(&self) -> Vec<Vec<u8>> {
        let mut all = records(&self.journal, Stream::Commands).unwrap();
        assert_eq!(all.remove(0), FIRST);
        all
    }

    fn waits(&self) -> bool {
        matches!(self.journal.health(), Health::Waiting(_))
    }

    /// Takes what the lane tells until everything pushed has settled; true when all was acknowledged.
    fn settle(&self) -> bool {
        let (mut told, mut all_good) = (0, true);
        while told < self.pushed.len() {
            let settled = self.settled.recv_timeout(PATIENCE).expect("every record settles");
            told += settled.count as usize;
            all_good &= settled.result.is_ok();
        }
        all_good
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_shortage_holds_groups_and_passes_by_itself() {
    for mode in MODES {
        for (call, fault) in SHORTAGES {
            let mut bench = Bench::new(mode);
            bench.storage.fail_making(call, fault);
            bench.push_until_full();
            match bench.journal.health() {
                Health::Waiting(why) => assert!(why.contains("stream commands"), "{why}"),
                other => panic!("{other:?}"),
            }
            // Reads go on, and other streams have room of their own.
            assert!(bench.durable().len() < bench.pushed.len());
            bench.journal.append(Stream::Roster, &[b"a person"]).unwrap_or_else(|error| {
                panic!("{call:?} {mode:?}: another stream: {error}");
            });

            bench.storage.heal();
            assert!(bench.settle(), "{call:?} {mode:?}: everything held is acknowledged");
            until("it says that it takes writes", || bench.journal.health() == Health::Writable);
            assert_eq!(bench.journal.shortage(), None);
            assert!(
                bench.durable() == bench.pushed,
                "{call:?} {mode:?}: what was pushed is there, in order"
            );
            bench.journal.verify(Stream::Commands).unwrap();
        }
    }
}

/// A segment that is not needed yet harms nobody: half of the one before is left.
#[test]
fn a_shortage_ahead_of_need_is_told_and_holds_nothing() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        bench.storage.fail_making(Call::Open, Fault::NoDescriptors);
        let began = Instant::now();
        while bench.journal.shortage().is_none() {
            assert!(began.elapsed() < PATIENCE, "nothing was tried ahead of need");
            let record = [5; 100];
            bench.lane.push(&record).unwrap();
            bench.pushed.push(record.to_vec());
            let settled = bench.settled.recv_timeout(PATIENCE).unwrap();
            assert!(settled.result.is_ok(), "{:?}", settled.result);
        }
        assert!(bench.journal.shortage().unwrap().contains("Too many open files"));
        assert_eq!(bench.journal.health(), Health::Writable);
        bench.storage.heal();
        until("the shortage passes", || bench.journal.shortage().is_none());
    }
}

/// Who ends waits for no room: what was held settles with an error, and nothing hangs.
#[test]
fn an_end_during_a_shortage_waits_for_nothing() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        bench.storage.fail_making(Call::Reserve, Fault::NoSpace);
        bench.push_until_full();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| bench.journal.append(Stream::Commands, &[b"held"]));
            bench.journal.wait_no_longer();
            waiting.join().unwrap().unwrap_err();
        });
        assert!(matches!(bench.journal.health(), Health::Failed(_)));
        assert!(!bench.settle(), "what was held was not written");
        let acknowledged = records(&bench.journal, Stream::Commands).unwrap();
        bench.journal.close();
        bench.storage.heal();
        let journal = open(bench.storage.clone(), config(mode)).unwrap();
        assert_eq!(records(&journal, Stream::Commands).unwrap(), acknowledged);
    }
}
