//! Power cuts and killed processes by seed: what was acknowledged, or once shown as durable, stays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use journal::embedded::{EmbeddedJournal, WriteMode};
use journal::storage::crash::{CrashStorage, Ignored};
use journal::storage::faulty::{Fault, FaultyStorage};
use journal::{Health, Journal, Lane, OnSettled, Position, Reader, Stream, Visibility};
use support::{Seeded, config, disk, is_full_run, open, records};

/// Scenarios in a short and in a full run.
const SCENARIOS: u64 = 400;
const SCENARIOS_FULL: u64 = 10_000;

/// Starts of one scenario.
const STARTS: u64 = 5;

/// Scenarios in which a left-out sync must show at the latest.
const MUTANT_SCENARIOS: u64 = 400;

const STREAMS: [Stream; 2] = [Stream::Commands, Stream::Events];

/// What is known about one stream.
#[derive(Default)]
struct Known {
    /// Numbers that were acknowledged.
    acknowledged: HashSet<u64>,
    /// Numbers in the order in which they were shown as durable.
    shown: Vec<u64>,
    /// Numbers handed to the journal.
    given: HashSet<u64>,
}

/// Records of one lane: their numbers by ticket, and how many were acknowledged.
#[derive(Default)]
struct LaneLog {
    numbers: Vec<u64>,
    acknowledged: usize,
}

struct Scenario {
    mode: WriteMode,
    seeded: Seeded,
    disk: CrashStorage,
    storage: FaultyStorage,
    known: [Known; 2],
    next_number: u64,
}

/// How a start ends.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// The power goes during a call.
    PowerCut,
    /// The process is killed before a call; the disk keeps what it has, written or not.
    Kill,
    /// A sync fails and forgets its bytes; later the process is stopped.
    FailedSync,
    /// Closed in order, then the power goes.
    Close,
}

fn record(number: u64, seeded: &mut Seeded) -> Vec<u8> {
    let mut record = number.to_le_bytes().to_vec();
    record.resize(8 + seeded.below(600) as usize, number as u8);
    record
}

fn number_of(record: &[u8]) -> u64 {
    u64::from_le_bytes(record[..8].try_into().unwrap())
}

impl Scenario {
    fn new(seed: u64) -> Scenario {
        let mut seeded = Seeded(seed);
        let mode = support::MODES[seeded.below(2) as usize];
        let disk = disk(mode);
        Scenario {
            mode,
            storage: FaultyStorage::new(Arc::new(disk.clone())),
            disk,
            seeded,
            known: Default::default(),
            next_number: 0,
        }
    }

    /// Several starts; an error tells what was lost. Syncs named in `ignored` are left out, in
    /// `ignored_at_start` only while the journal opens.
    fn run(&mut self, ignored: Ignored, ignored_at_start: Ignored) -> Result<(), String> {
        for start in 0..STARTS {
            let stop = match self.seeded.below(6) {
                0 | 1 => Stop::PowerCut,
                2 | 3 => Stop::Kill,
                4 => Stop::FailedSync,
                _ => Stop::Close,
            };
            self.disk.ignore(ignored_at_start);
            self.arm(stop);
            let opened = open(self.storage.clone(), config(self.mode));
            self.disk.ignore(ignored);
            match opened {
                Ok(journal) => {
                    self.check(&journal).map_err(|lost| format!("start {start}: {lost}"))?;
                    self.work(&journal);
                    match stop {
                        Stop::PowerCut => self.disk.cut(),
                        Stop::Kill => self.storage.fail_from_call(1, Fault::Medium),
                        Stop::FailedSync => {}
                        Stop::Close => {
                            journal.close();
                            self.note_synced(&journal);
                        }
                    }
                }
                Err(_) if self.was_struck() => {}
                Err(error) => return Err(format!("start {start} {:?}: {error}", self.mode)),
            }
            self.stop(stop);
        }
        self.disk.ignore(Ignored::default());
        let journal = open(self.storage.clone(), config(self.mode)).map_err(|e| e.to_string())?;
        self.check(&journal)?;
        for stream in STREAMS {
            journal.verify(stream).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn arm(&mut self, stop: Stop) {
        let call = 1 + self.seeded.below(250);
        match stop {
            Stop::PowerCut => self.disk.cut_at_call(call),
            Stop::Kill => self.storage.fail_from_call(call, Fault::Medium),
            Stop::FailedSync | Stop::Close => {}
        }
    }

    fn was_struck(&self) -> bool {
        self.disk.is_off() || self.storage.failed().is_some()
    }

    fn stop(&mut self, stop: Stop) {
        self.storage.heal();
        if matches!(stop, Stop::Kill | Stop::FailedSync) {
            self.disk.restart_process();
        } else {
            self.disk.cut();
            self.disk.restart_after_cut(self.seeded.next());
        }
    }

    /// What a start finds: everything acknowledged, everything shown before, each once and in order.
    fn check(&mut self, journal: &EmbeddedJournal) -> Result<(), String> {
        for (stream, known) in STREAMS.into_iter().zip(&mut self.known) {
            let found = match records(journal, stream) {
                Ok(found) => found,
                // The power went while reading.
                Err(_) if self.disk.is_off() => continue,
                Err(error) => return Err(error.to_string()),
            };
            let found: Vec<u64> = found.iter().map(|record| number_of(record)).collect();
            let distinct: HashSet<u64> = found.iter().copied().collect();
            if distinct.len() != found.len() {
                return Err(format!("{}: a record came twice", stream.name()));
            }
            if let Some(lost) = known.acknowledged.difference(&distinct).next() {
                return Err(format!("{}: acknowledged record {lost} is lost", stream.name()));
            }
            if !found.starts_with(&known.shown) {
                return Err(format!("{}: what was shown as durable changed", stream.name()));
            }
            if !distinct.is_subset(&known.given) {
                return Err(format!("{}: a record nobody gave", stream.name()));
            }
            known.shown = found;
        }
        Ok(())
    }

    /// Works by every way of writing until writes end or enough was done.
    fn work(&mut self, journal: &EmbeddedJournal) {
        let logs: Vec<Arc<Mutex<LaneLog>>> = (0..4).map(|_| Arc::default()).collect();
        let lanes: Vec<Box<dyn Lane>> = logs
            .iter()
            .enumerate()
            .filter_map(|(index, log)| journal.lane(STREAMS[index % 2], notes(log)).ok())
            .collect();
        let mut readers: Vec<Box<dyn Reader>> = STREAMS
            .into_iter()
            .filter_map(|stream| journal.reader(stream, Position::START, Visibility::Durable).ok())
            .collect();
        let mut shown: [Vec<u64>; 2] = Default::default();
        let mut accepted: [Vec<u64>; 2] = Default::default();
        if lanes.len() == logs.len() && readers.len() == 2 {
            for _ in 0..self.seeded.below(300) {
                if journal.health() != Health::Writable {
                    break;
                }
                self.act(journal, &lanes, &logs, &mut accepted);
                let index = self.seeded.below(2) as usize;
                while let Ok(Some(group)) = readers[index].poll(Duration::ZERO) {
                    shown[index].extend(group.records.iter().map(number_of));
                }
            }
        }
        drop(lanes);
        drop(readers);
        self.settle(journal, &logs);
        for (known, shown) in self.known.iter_mut().zip(shown) {
            if shown.len() > known.shown.len() {
                known.shown = shown;
            }
        }
    }

    fn act(
        &mut self,
        journal: &EmbeddedJournal,
        lanes: &[Box<dyn Lane>],
        logs: &[Arc<Mutex<LaneLog>>],
        accepted: &mut [Vec<u64>; 2],
    ) {
        let index = self.seeded.below(2) as usize;
        let stream = STREAMS[index];
        match self.seeded.below(20) {
            0..=11 => {
                let lane = self.seeded.below(4) as usize;
                for _ in 0..=self.seeded.below(5) {
                    let number = self.number(lane % 2);
                    let record = record(number, &mut self.seeded);
                    // Under the log's lock, so that a settlement finds the number.
                    let mut log = logs[lane].lock().unwrap();
                    if lanes[lane].push(&record).is_ok() {
                        log.numbers.push(number);
                    }
                }
            }
            12..=13 => {
                let number = self.number(index);
                let record = record(number, &mut self.seeded);
                if journal.append(stream, &[&record]).is_ok() {
                    self.known[index].acknowledged.insert(number);
                }
            }
            14..=17 => {
                let number = self.number(index);
                let record = record(number, &mut self.seeded);
                if journal.append_behind(stream, &record).is_ok() {
                    accepted[index].push(number);
                }
            }
            18 => {
                if journal.sync(stream).is_ok() {
                    self.known[index].acknowledged.extend(accepted[index].drain(..));
                }
            }
            _ if self.seeded.below(20) == 0 && self.mode == WriteMode::Buffered => {
                self.disk.fail_next_sync();
            }
            _ => std::thread::yield_now(),
        }
    }

    fn number(&mut self, index: usize) -> u64 {
        self.next_number += 1;
        self.known[index].given.insert(self.next_number);
        self.next_number
    }

    /// Waits until the lanes told all there is to tell, then notes what was acknowledged.
    fn settle(&mut self, journal: &EmbeddedJournal, logs: &[Arc<Mutex<LaneLog>>]) {
        for stream in STREAMS {
            // Fails when writes have ended; then the lanes are settled by closing.
            let _ = journal.sync(stream);
        }
        for (index, log) in logs.iter().enumerate() {
            let log = log.lock().unwrap();
            let acknowledged = log.numbers[..log.acknowledged].iter();
            self.known[index % 2].acknowledged.extend(acknowledged);
        }
    }

    /// After an orderly close everything in the journal counts as acknowledged.
    fn note_synced(&mut self, journal: &EmbeddedJournal) {
        if journal.health() != Health::Closed {
            return;
        }
        for (stream, known) in STREAMS.into_iter().zip(&mut self.known) {
            if let Ok(found) = records(journal, stream) {
                let numbers = found.iter().map(|record| number_of(record));
                known.acknowledged.extend(numbers);
            }
        }
    }
}

fn notes(log: &Arc<Mutex<LaneLog>>) -> OnSettled {
    let log = Arc::clone(log);
    Arc::new(move |told| {
        let mut log = log.lock().unwrap();
        assert!(told.result.is_err() || told.first.0 as usize == log.acknowledged);
        if told.result.is_ok() {
            log.acknowledged += told.count as usize;
        }
    })
}

fn scenarios() -> u64 {
    if is_full_run() { SCENARIOS_FULL } else { SCENARIOS }
}

#[test]
fn nothing_acknowledged_or_shown_is_lost_in_any_stop() {
    println!("seeds 0..{}", scenarios());
    for seed in 0..scenarios() {
        let result = Scenario::new(seed).run(Ignored::default(), Ignored::default());
        result.unwrap_or_else(|lost| panic!("seed {seed}: {lost}"));
    }
}

/// How many scenarios notice that a sync is left out.
fn noticed(ignored: Ignored, ignored_at_start: Ignored) -> Option<u64> {
    (0..MUTANT_SCENARIOS).find(|&seed| Scenario::new(seed).run(ignored, ignored_at_start).is_err())
}

#[test]
fn leaving_out_durable_writes_is_noticed() {
    let ignored = Ignored { durable_writes: true, ..Ignored::default() };
    let seed = noticed(ignored, Ignored::default());
    println!("noticed first by seed {seed:?}");
    assert!(seed.is_some());
}

#[test]
fn leaving_out_file_syncs_is_noticed() {
    let ignored = Ignored { file_syncs: true, ..Ignored::default() };
    let seed = noticed(ignored, Ignored::default());
    println!("noticed first by seed {seed:?}");
    assert!(seed.is_some());
}

#[test]
fn leaving_out_folder_syncs_is_noticed() {
    let ignored = Ignored { dir_syncs: true, ..Ignored::default() };
    let seed = noticed(ignored, Ignored::default());
    println!("noticed first by seed {seed:?}");
    assert!(seed.is_some());
}

#[test]
fn leaving_out_the_syncs_of_recovery_is_noticed() {
    let ignored = Ignored { file_syncs: true, ..Ignored::default() };
    let seed = noticed(Ignored::default(), ignored);
    println!("noticed first by seed {seed:?}");
    assert!(seed.is_some());
}
