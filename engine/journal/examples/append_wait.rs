//! How long a lone record waits until it is durable and its producer is told.
//!
//! Pushes one record after another with a rest between them, so that every group holds one, and prints
//! the waits beside those of a raw direct synchronous write of one block.
//!
//! `cargo run --release -p journal --example append_wait -- [records] [rest in µs] [folder]`
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measurement that fails has nothing to tell

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::{Journal, Stream};

/// Size of the file for raw writes.
const RAW_FILE_BYTES: u64 = 8 << 20;

/// Bytes of a raw write.
const RAW_BLOCK_BYTES: usize = 512;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let records: usize = arguments.first().map_or(2_000, |text| text.parse().unwrap());
    let rest_us: u64 = arguments.get(1).map_or(500, |text| text.parse().unwrap());
    let parent = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    let rest = Duration::from_micros(rest_us);
    print("journal", through_the_journal(&folder.path().join("journal"), records, rest));
    print("direct + dsync", raw(&folder.path().join("raw"), records, rest));
}

fn print(way: &str, mut waits: Vec<Duration>) {
    waits.sort();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_micros();
    println!(
        "{way:<16} p50 {:>6} µs  p90 {:>6} µs  p99 {:>6} µs  p99.9 {:>6} µs",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999)
    );
}

fn through_the_journal(folder: &Path, records: usize, rest: Duration) -> Vec<Duration> {
    let journal = EmbeddedJournal::open(folder, EmbeddedConfig::default()).unwrap();
    let (sender, told) = channel();
    let on_settled = move |settled: journal::Settled| {
        sender.send(settled.result.is_ok()).unwrap();
    };
    let lane = journal.lane(Stream::Commands, Arc::new(on_settled)).unwrap();
    lane.push(&[7; 40]).unwrap();
    assert!(told.recv().unwrap());
    let push = || {
        let began = Instant::now();
        lane.push(&[7; 40]).unwrap();
        assert!(told.recv().unwrap());
        let wait = began.elapsed();
        std::thread::sleep(rest);
        wait
    };
    std::iter::repeat_with(push).take(records).collect()
}

fn raw(path: &Path, records: usize, rest: Duration) -> Vec<Duration> {
    let file = File::create(path).unwrap();
    file.write_all_at(&vec![0; RAW_FILE_BYTES as usize], 0).unwrap();
    file.sync_all().unwrap();
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC);
    let file = options.open(path).unwrap();
    let memory = vec![7_u8; RAW_BLOCK_BYTES + 4_096];
    let block = &memory[memory.as_ptr().align_offset(4_096)..][..RAW_BLOCK_BYTES];
    let write = |index: usize| {
        let offset = (index * RAW_BLOCK_BYTES) as u64 % RAW_FILE_BYTES;
        let began = Instant::now();
        file.write_all_at(block, offset).unwrap();
        let wait = began.elapsed();
        std::thread::sleep(rest);
        wait
    };
    (0..records).map(write).collect()
}
