//! Durable records a second through the embedded journal, beside raw writes of the same sizes.
//!
//! Prints rounds of three: the journal (lanes on two threads, records of 40 bytes, saturating), then
//! `write + fdatasync` and direct synchronous writes to a file prepared in the same way, with the
//! journal's own mean write size. Then the medians, the ratio to the better raw way, and CPU per record.
//!
//! `cargo run --release -p journal --example append_rate -- [seconds per run] [rounds] [folder]`
#![allow(clippy::unwrap_used, clippy::expect_used)] // a measurement that fails has nothing to tell

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::{Journal, Refused, Stream};

/// Bytes of a record, and with its length in a group.
const RECORD_BYTES: usize = 40;
const PACKED_BYTES: f64 = 44.0;

/// Threads that push, and lanes of each.
const THREADS: usize = 2;
const LANES_OF_A_THREAD: usize = 2;

/// Size of the file for raw writes.
const RAW_FILE_BYTES: u64 = 256 << 20;

/// Clock ticks a second in `/proc/self/stat`.
const TICKS_PER_S: f64 = 100.0;

struct Run {
    records_per_s: f64,
    cpu_ns_per_record: f64,
    write_bytes: usize,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.first().map_or(2.0, |text| text.parse().unwrap());
    let rounds: usize = arguments.get(1).map_or(5, |text| text.parse().unwrap());
    let parent = arguments.get(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent).unwrap();
    let time = Duration::from_secs_f64(seconds);
    let mut table: [Vec<Run>; 3] = Default::default();
    println!("round  way                   records/s   CPU ns/record   bytes/write");
    for round in 1..=rounds {
        let journal = through_the_journal(&folder.path().join("journal"), time);
        let size = journal.write_bytes;
        let synced = raw(&folder.path().join("raw"), size, time, false);
        let direct = raw(&folder.path().join("raw"), size, time, true);
        let ways = ["journal", "write + fdatasync", "direct + dsync"];
        for ((way, run), rows) in ways.iter().zip([journal, synced, direct]).zip(&mut table) {
            println!(
                "{round:>5}  {way:<18} {:>12.0} {:>15.1} {:>13}",
                run.records_per_s, run.cpu_ns_per_record, run.write_bytes
            );
            rows.push(run);
        }
    }
    let rate = |runs: &[Run]| median(runs.iter().map(|run| run.records_per_s));
    let cpu = |runs: &[Run]| median(runs.iter().map(|run| run.cpu_ns_per_record));
    let [journal, synced, direct] = &table;
    let better = rate(synced).max(rate(direct));
    let by_round = journal.iter().zip(synced).zip(direct).map(|((journal, synced), direct)| {
        journal.records_per_s / synced.records_per_s.max(direct.records_per_s)
    });
    println!("ratio to the better, median of the rounds: {:.3}", median(by_round));
    println!(
        "median: journal {:.0}/s, write + fdatasync {:.0}/s, direct {:.0}/s; ratio to the better {:.3}; \
         CPU per record {:.1} ns, raw direct {:.1} ns",
        rate(journal),
        rate(synced),
        rate(direct),
        rate(journal) / better,
        cpu(journal),
        cpu(direct),
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_S
}

fn through_the_journal(folder: &Path, time: Duration) -> Run {
    let _ = std::fs::remove_dir_all(folder);
    let journal = Arc::new(EmbeddedJournal::open(folder, EmbeddedConfig::default()).unwrap());
    // The first segment is made before the clock starts.
    journal.append(Stream::Commands, &[b"begin"]).unwrap();
    let before = journal.figures(Stream::Commands);
    let stop = Arc::new(AtomicBool::new(false));
    let durable = Arc::new(AtomicU64::new(0));
    let cpu_before = cpu_seconds();
    let began = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (journal, stop, durable) = (journal.clone(), stop.clone(), durable.clone());
            std::thread::spawn(move || push_all(&journal, &stop, &durable))
        })
        .collect();
    std::thread::sleep(time);
    let records = durable.load(Ordering::Relaxed);
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;
    let after = journal.figures(Stream::Commands);
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    journal.close();
    let written = after.written_bytes - before.written_bytes;
    Run {
        records_per_s: records as f64 / elapsed,
        cpu_ns_per_record: cpu * 1e9 / records as f64,
        write_bytes: (written / (after.writes - before.writes)) as usize,
    }
}

/// Pushes into the thread's lanes by turns; rests when they are full until something settles.
fn push_all(journal: &EmbeddedJournal, stop: &AtomicBool, durable: &Arc<AtomicU64>) {
    let me = std::thread::current();
    let lanes: Vec<_> = (0..LANES_OF_A_THREAD)
        .map(|_| {
            let (durable, me) = (durable.clone(), me.clone());
            let on_settled = move |settled: journal::Settled| {
                settled.result.unwrap();
                durable.fetch_add(settled.count.into(), Ordering::Relaxed);
                me.unpark();
            };
            journal.lane(Stream::Commands, Arc::new(on_settled)).unwrap()
        })
        .collect();
    let record = [7; RECORD_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let mut full = 0;
        for lane in &lanes {
            for _ in 0..64 {
                match lane.push(&record) {
                    Ok(_) => {}
                    Err(Refused::Full) => {
                        full += 1;
                        break;
                    }
                    Err(refused) => panic!("{refused}"),
                }
            }
        }
        if full == lanes.len() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// One thread writing blocks of `size` bytes one after another, each durable before the next.
fn raw(path: &Path, size: usize, time: Duration, is_direct: bool) -> Run {
    prepare(path);
    let size = size.next_multiple_of(4_096);
    let mut options = OpenOptions::new();
    options.write(true);
    if is_direct {
        options.custom_flags(libc::O_DIRECT | libc::O_DSYNC);
    }
    let file = options.open(path).unwrap();
    let memory = vec![7_u8; size + 4_096];
    let block = &memory[memory.as_ptr().align_offset(4_096)..][..size];
    let cpu_before = cpu_seconds();
    let began = Instant::now();
    let (mut offset, mut writes) = (0, 0_u64);
    while began.elapsed() < time {
        if offset + size as u64 > RAW_FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(block, offset).unwrap();
        if !is_direct {
            file.sync_data().unwrap();
        }
        offset += size as u64;
        writes += 1;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu_before;
    let records = writes as f64 * size as f64 / PACKED_BYTES;
    Run {
        records_per_s: records / elapsed,
        cpu_ns_per_record: cpu * 1e9 / records,
        write_bytes: size,
    }
}

/// A file whose every block was written.
fn prepare(path: &Path) {
    let file = File::create(path).unwrap();
    let zeros = vec![0; 1 << 20];
    for offset in (0..RAW_FILE_BYTES).step_by(1 << 20) {
        file.write_all_at(&zeros, offset).unwrap();
    }
    file.sync_all().unwrap();
}
