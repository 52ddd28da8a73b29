//! A failing disk: no acknowledgement after the error, health says so, reads go on, and nothing
//! acknowledged is missing after the restart.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use journal::embedded::{EmbeddedJournal, WriteMode};
use journal::storage::crash::CrashStorage;
use journal::storage::faulty::{Call, Fault, FaultyStorage};
use journal::{Health, Journal, Lane, Refused, Settled, Stream};
use support::{MODES, config, disk, open, records};

/// File calls that fail, one after another.
const CALLS: u64 = 200;

/// Longest wait for a settlement.
const PATIENCE_S: u64 = 60;

/// A running journal with one lane.
struct Bench {
    journal: EmbeddedJournal,
    lane: Box<dyn Lane>,
    settled: Receiver<Settled>,
}

impl Bench {
    fn new(storage: FaultyStorage, mode: WriteMode) -> Option<Bench> {
        let journal = open(storage, config(mode)).ok()?;
        let (sender, settled) = channel();
        let lane = journal.lane(
            Stream::Commands,
            Arc::new(move |told| {
                let _ = sender.send(told);
            }),
        );
        Some(Bench { lane: lane.ok()?, journal, settled })
    }

    /// Pushes a record and waits for its fate: true when acknowledged.
    fn push(&self, record: &[u8]) -> bool {
        match self.lane.push(record) {
            Ok(_) => {
                let told = self.settled.recv_timeout(Duration::from_secs(PATIENCE_S));
                told.expect("every record settles").result.is_ok()
            }
            Err(Refused::Closed) => false,
            Err(refused) => panic!("{refused}"),
        }
    }
}

fn record(number: u64) -> Vec<u8> {
    let mut record = number.to_le_bytes().to_vec();
    record.resize(8 + (number * 37 % 1_000) as usize, number as u8);
    record
}

/// What was acknowledged, by stream.
#[derive(Default)]
struct Acknowledged {
    commands: Vec<Vec<u8>>,
    events: Vec<Vec<u8>>,
}

/// Works until a call fails, by every way of writing.
fn work(bench: &Bench, storage: &FaultyStorage, acknowledged: &mut Acknowledged) {
    let mut accepted = Vec::new();
    for number in 0.. {
        if bench.push(&record(number)) {
            acknowledged.commands.push(record(number));
        }
        let appended = bench.journal.append(Stream::Commands, &[&record(number + 1_000_000)]);
        if appended.is_ok() {
            acknowledged.commands.push(record(number + 1_000_000));
        }
        let event = record(number + 2_000_000);
        if bench.journal.append_behind(Stream::Events, &event).is_ok() {
            accepted.push(event);
        }
        if number % 3 == 0 && bench.journal.sync(Stream::Events).is_ok() {
            acknowledged.events.append(&mut accepted);
        }
        if matches!(bench.journal.health(), Health::Failed(_)) || is_only_short(storage) {
            break;
        }
        assert!(storage.calls() < 5 * CALLS, "the fault never showed");
    }
}

fn holds(found: &[Vec<u8>], acknowledged: &[Vec<u8>]) -> bool {
    let mut found = found.iter();
    acknowledged.iter().all(|record| found.any(|other| other == record))
}

/// True when the call that failed was one on a segment that holds no group yet, for want of room: another
/// attempt is made.
fn is_only_short(storage: &FaultyStorage) -> bool {
    storage.fault() == Some(Fault::NoSpace)
        && (storage.failed_while_making() || storage.failed() == Some(Call::Open))
}

fn survives(call: u64, fault: Fault, mode: WriteMode) {
    let disk = disk(mode);
    let storage = FaultyStorage::new(Arc::new(disk.clone()));
    storage.fail_call(call, fault);
    let mut acknowledged = Acknowledged::default();
    if let Some(bench) = Bench::new(storage.clone(), mode) {
        work(&bench, &storage, &mut acknowledged);
        assert!(storage.failed().is_some());
        if is_only_short(&storage) {
            assert!(bench.push(&record(0)), "call {call} {mode:?}: it did not go on");
            acknowledged.commands.push(record(0));
            assert!(!matches!(bench.journal.health(), Health::Failed(_)));
            drop(bench);
            return nothing_is_missing(&disk, call, fault, mode, &acknowledged);
        }
        // The disk works again, and still nothing is written before the next start.
        assert!(!bench.push(b"late"), "acknowledged after the error");
        let late: &[u8] = b"late";
        bench.journal.append(Stream::Commands, &[late]).unwrap_err();
        bench.journal.append(Stream::Deliveries, &[late]).unwrap_err();
        bench.journal.append_behind(Stream::Events, late).unwrap_err();
        bench.journal.sync(Stream::Events).unwrap_err();
        assert_eq!(bench.lane.unsettled(), 0);
        match bench.journal.health() {
            Health::Failed(why) => assert!(why.contains("stream"), "{why}"),
            other => panic!("{other:?}"),
        }
        let commands = records(&bench.journal, Stream::Commands).unwrap();
        assert!(holds(&commands, &acknowledged.commands), "reads go on");
        assert!(!commands.iter().any(|record| record == b"late"));
    }
    nothing_is_missing(&disk, call, fault, mode, &acknowledged);
}

/// After a restart, and after a power cut, everything acknowledged is there.
fn nothing_is_missing(
    disk: &CrashStorage,
    call: u64,
    fault: Fault,
    mode: WriteMode,
    acknowledged: &Acknowledged,
) {
    for (power_is_cut, name) in [(false, "restart"), (true, "power cut")] {
        let copy = after_stop(disk, power_is_cut, call);
        let journal = open(copy, config(mode))
            .unwrap_or_else(|error| panic!("call {call} {fault:?} {mode:?} {name}: {error}"));
        for (stream, expected) in
            [(Stream::Commands, &acknowledged.commands), (Stream::Events, &acknowledged.events)]
        {
            let found = records(&journal, stream).unwrap();
            assert!(
                holds(&found, expected),
                "call {call} {fault:?} {mode:?} {name}: acknowledged records are missing"
            );
            journal.append(stream, &[b"again"]).unwrap();
        }
    }
}

/// The disk as the next process finds it.
fn after_stop(disk: &CrashStorage, power_is_cut: bool, seed: u64) -> CrashStorage {
    let copy = disk.copy();
    if power_is_cut {
        copy.cut();
        copy.restart_after_cut(seed);
    }
    copy
}

fn survives_each_call(fault: Fault) {
    for mode in MODES {
        for call in 1..=CALLS {
            survives(call, fault, mode);
        }
    }
}

#[test]
fn a_medium_error_at_each_of_200_calls_loses_nothing_acknowledged() {
    survives_each_call(Fault::Medium);
}

#[test]
fn a_full_disk_at_each_of_200_calls_loses_nothing_acknowledged() {
    survives_each_call(Fault::NoSpace);
}

/// A write that took less is continued, or ends all writing; either way the journal stays sound.
#[test]
fn short_writes_are_completed_or_end_all_writing() {
    for mode in MODES {
        for call in 1..=CALLS {
            let disk = disk(mode);
            let storage = FaultyStorage::new(Arc::new(disk.clone()));
            let Some(bench) = Bench::new(storage.clone(), mode) else {
                panic!("nothing failed yet");
            };
            storage.fail_call(call, Fault::ShortWrite);
            let mut expected = Vec::new();
            for number in 0..200 {
                if bench.push(&record(number)) {
                    expected.push(record(number));
                }
            }
            assert!(storage.failed().is_some());
            drop(bench);
            let journal = open(disk.copy(), config(mode)).unwrap();
            assert!(holds(&records(&journal, Stream::Commands).unwrap(), &expected));
            journal.verify(Stream::Commands).unwrap();
        }
    }
}

/// Reading is told of a failing medium, and goes on once it works: it never ends the writing.
#[test]
fn a_failed_read_does_not_end_the_writing() {
    for mode in MODES {
        let storage = FaultyStorage::new(Arc::new(disk(mode)));
        let bench = Bench::new(storage.clone(), mode).unwrap();
        for number in 0..100 {
            assert!(bench.push(&record(number)));
        }
        storage.count_reads();
        for call in 1..=20 {
            storage.fail_call(call, Fault::Medium);
            let _ = records(&bench.journal, Stream::Commands);
            storage.heal();
            assert_eq!(bench.journal.health(), Health::Writable);
            assert_eq!(records(&bench.journal, Stream::Commands).unwrap().len(), 100);
        }
    }
}

/// Power cuts tried after each kill.
const CUTS: u64 = 4;

/// A killed process leaves bytes and names that no sync covered. The next start must make them durable
/// before it builds on them: a power cut right after its first acknowledgements takes nothing back.
#[test]
fn what_a_start_shows_after_a_kill_survives_a_power_cut() {
    for mode in MODES {
        for call in 1..=CALLS {
            let disk = disk(mode);
            let storage = FaultyStorage::new(Arc::new(disk.clone()));
            storage.fail_from_call(call, Fault::Medium);
            if let Some(bench) = Bench::new(storage.clone(), mode) {
                work(&bench, &storage, &mut Acknowledged::default());
            }
            storage.heal();
            disk.restart_process();

            let journal = open(disk.clone(), config(mode)).unwrap();
            let mut shown = Vec::new();
            for stream in [Stream::Commands, Stream::Events] {
                journal.append(stream, &[b"after the kill"]).unwrap();
                shown.push((stream, records(&journal, stream).unwrap()));
            }
            let running = disk.copy();
            drop(journal);
            for seed in 0..CUTS {
                let copy = after_stop(&running, true, call * CUTS + seed);
                let journal = open(copy, config(mode)).unwrap();
                for (stream, shown) in &shown {
                    let found = records(&journal, *stream).unwrap();
                    assert!(
                        found == *shown,
                        "call {call} {mode:?} seed {seed}: {stream:?} changed"
                    );
                }
            }
        }
    }
}
