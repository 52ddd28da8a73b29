//! Every changed byte of a sealed part is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use journal::embedded::WriteMode;
use journal::storage::crash::CrashStorage;
use journal::{Journal, JournalError, Stream};
use support::{Seeded, config, disk, groups, is_full_run, open, segment_path};

const STREAM: Stream = Stream::Commands;
const SEED: u64 = 65_536;

/// Bytes of a segment file in this test.
const FILE_BYTES: usize = 64 << 10;

/// A disk with one full segment and a sealed part of a second one.
fn sealed_disk(mode: WriteMode) -> CrashStorage {
    let disk = disk(mode);
    let journal = open(disk.clone(), config(mode)).unwrap();
    let mut seeded = Seeded(SEED);
    while journal.durable_end(STREAM).unwrap().0 < (FILE_BYTES + 8_192) as u64 {
        let record: Vec<u8> = (0..seeded.below(900)).map(|_| seeded.next() as u8).collect();
        journal.append(STREAM, &[&record, b"second"]).unwrap();
    }
    journal.close();
    disk
}

/// Masks to try at an offset: one by seed, or each bit in the full run.
fn masks(offset: usize) -> Vec<u8> {
    if is_full_run() {
        return (0..8).map(|bit| 1 << bit).collect();
    }
    let mask = Seeded(SEED ^ offset as u64).below(255) as u8 + 1;
    vec![mask]
}

fn is_noticed(result: Result<(), JournalError>, file: &str) -> bool {
    match result {
        Err(JournalError::Damaged { place, .. } | JournalError::UnknownFormat { place, .. }) => {
            assert!(place.contains(file), "{place} does not name {file}");
            true
        }
        Err(other) => panic!("{other}"),
        Ok(()) => false,
    }
}

#[test]
fn every_changed_byte_of_a_sealed_file_is_noticed_when_it_is_read() {
    println!("seed {SEED}");
    let mode = WriteMode::Direct;
    let path = segment_path(STREAM, 0);
    let disk = sealed_disk(mode);
    assert_eq!(disk.bytes(&path).unwrap().len(), FILE_BYTES);
    let noticed = AtomicUsize::new(0);
    let half = FILE_BYTES / 2;
    std::thread::scope(|scope| {
        for range in [0..half, half..FILE_BYTES] {
            let (path, noticed, disk) = (&path, &noticed, disk.copy());
            scope.spawn(move || {
                let journal = open(disk.clone(), config(mode)).unwrap();
                journal.verify(STREAM).unwrap();
                for offset in range {
                    let mut all = true;
                    for mask in masks(offset) {
                        disk.flip(path, offset, mask);
                        let result = journal.verify(STREAM).map(|_| ());
                        all &= is_noticed(result, "00000000000000000000.segment");
                        disk.flip(path, offset, mask);
                    }
                    noticed.fetch_add(usize::from(all), Ordering::Relaxed);
                }
                journal.verify(STREAM).unwrap();
            });
        }
    });
    let noticed = noticed.into_inner();
    println!("noticed {noticed} of {FILE_BYTES}");
    assert_eq!(noticed, FILE_BYTES);
}

/// The part of the last file below its sealing group is checked at the start, and never cut.
#[test]
fn every_changed_byte_below_the_proven_end_stops_the_start() {
    println!("seed {SEED}");
    let mode = WriteMode::Direct;
    let disk = sealed_disk(mode);
    let journal = open(disk.copy(), config(mode)).unwrap();
    let all = groups(&journal, STREAM).unwrap();
    let seal = all.last().unwrap();
    assert!(seal.records.is_empty());
    let second = all
        .iter()
        .map(|group| group.position.0)
        .filter(|position| disk.bytes(&segment_path(STREAM, *position)).is_some());
    let start = second.max().unwrap();
    let path = segment_path(STREAM, start);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let sealed_bytes = 4_096 + (seal.position.0 - start) as usize;
    assert!(sealed_bytes > 8_192);
    let mut noticed = 0;
    for offset in 0..sealed_bytes {
        let mask = Seeded(SEED ^ offset as u64).below(255) as u8 + 1;
        disk.flip(&path, offset, mask);
        let before = disk.bytes(&path).unwrap();
        let result = open(disk.clone(), config(mode)).map(|_| ());
        noticed += usize::from(is_noticed(result, &name));
        assert!(disk.bytes(&path).unwrap() == before, "damage was changed");
        disk.flip(&path, offset, mask);
    }
    println!("noticed {noticed} of {sealed_bytes}");
    assert_eq!(noticed, sealed_bytes);
    open(disk, config(mode)).unwrap();
}
