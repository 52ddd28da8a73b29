//! Durable commands a second through the embedded journal, beside raw writes of the same sizes.
//!
//! Rounds, in turn: the journal (lanes on two threads, saturating), then `write + fdatasync` and direct
//! synchronous writes to a file prepared in the same way, each write of the mean size of a group of that
//! round. The ceiling is the better of the two. The journal puts groups that wait into one write; what
//! raw writes of that size do is printed beside.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::{Health, Journal, Refused, Settled, Stream};

use crate::figures::{Figure, Summary, median};
use crate::nation::open_journal;
use crate::part::{Part, Run, Scratch};
use crate::process::own_cpu;

/// The journal alone.
pub const PART: Part =
    Part { name: "journal", title: "durable commands beside raw writes", measure, roles: &[] };

/// Time of one way in one round.
const TIME: Duration = Duration::from_millis(1_500);
/// Rounds.
const ROUNDS: usize = 5;
/// Bytes of a booking, and with its length in a group.
pub(crate) const RECORD_BYTES: usize = 36;
const PACKED_BYTES: f64 = 40.0;
/// Threads that push, and lanes of each.
pub(crate) const THREADS: usize = 2;
const LANES_OF_A_THREAD: usize = 2;
/// Records pushed into one lane before the other's turn.
const BURST_RECORDS: usize = 64;
/// A producer looks at least this often whether it shall stop.
const REST: Duration = Duration::from_millis(10);
/// Size of the file for raw writes.
const RAW_FILE_BYTES: u64 = 256 << 20;
/// Of every raw write.
const BLOCK_BYTES: usize = 4_096;

/// One way in one round.
struct Way {
    per_second: f64,
    cpu_ns: f64,
    group_bytes: usize,
    write_bytes: usize,
}

fn measure(run: &Run, summary: &mut Summary) -> Result<(), String> {
    let (mut rates, mut ceilings, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut costs, mut raw_costs) = (Vec::new(), Vec::new());
    let (mut groups, mut writes, mut larger) = (Vec::new(), Vec::new(), Vec::new());
    let raw_file = run.scratch.join("raw");
    prepare(&raw_file).map_err(|error| format!("{}: {error}", raw_file.display()))?;
    for _ in 0..ROUNDS {
        let journal = through_the_journal(&run.scratch.join("data"))?;
        let better = better_raw(&raw_file, journal.group_bytes)?;
        larger.push(better_raw(&raw_file, journal.write_bytes)?.per_second);
        ratios.push(journal.per_second / better.per_second);
        rates.push(journal.per_second);
        ceilings.push(better.per_second);
        costs.push(journal.cpu_ns);
        raw_costs.push(better.cpu_ns);
        groups.push(journal.group_bytes as f64);
        writes.push(journal.write_bytes as f64);
    }
    summary.add(Figure {
        ratio: Some(median(&ratios)),
        ..Figure::against(
            "journal_vs_append",
            median(&rates),
            "1/s",
            "better of fdatasync and direct",
            median(&ceilings),
        )
    });
    let words = "against the raw writes";
    summary.add(Figure::against("journal_cpu", median(&costs), "ns", words, median(&raw_costs)));
    summary.add(Figure::printed("journal_group_bytes", median(&groups), "B"));
    summary.add(Figure::printed("journal_write_bytes", median(&writes), "B"));
    summary.add(Figure::printed("raw_writes_of_that_size", median(&larger), "1/s"));
    Ok(())
}

/// The better of both raw ways.
fn better_raw(path: &Path, size: usize) -> Result<Way, String> {
    let raw = |is_direct| raw(path, size, is_direct).map_err(|error| error.to_string());
    let (synced, direct) = (raw(false)?, raw(true)?);
    Ok(if direct.per_second > synced.per_second { direct } else { synced })
}

fn through_the_journal(data: &Path) -> Result<Way, String> {
    let folder = Scratch::new(data)?;
    let journal = Arc::new(open_journal(folder.path())?);
    // The first segment is made before the clock starts.
    journal.append(Stream::Commands, &[b"begin"]).map_err(|error| error.to_string())?;
    let before = journal.figures(Stream::Commands);
    let (stop, durable) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let (cpu_before, began) = (own_cpu(), Instant::now());
    let (records, elapsed, cpu) = std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (journal, stop, durable) = (&*journal, &stop, &durable);
            scope.spawn(move || push_all(journal, stop, durable));
        }
        std::thread::sleep(TIME);
        let records = durable.load(Ordering::Relaxed);
        let (elapsed, cpu) = (began.elapsed(), own_cpu().saturating_sub(cpu_before));
        stop.store(true, Ordering::Relaxed);
        (records as f64, elapsed.as_secs_f64(), cpu.as_nanos() as f64)
    });
    let after = journal.figures(Stream::Commands);
    if let Health::Failed(why) = journal.health() {
        return Err(why);
    }
    journal.close();
    let writes = (after.writes - before.writes).max(1);
    let groups = (after.groups - before.groups).max(1);
    let written = after.written_bytes - before.written_bytes;
    Ok(Way {
        per_second: records / elapsed,
        cpu_ns: cpu / records,
        group_bytes: (written / groups) as usize,
        write_bytes: (written / writes) as usize,
    })
}

/// Pushes into the thread's lanes by turns; rests when they are full until something settles.
pub(crate) fn push_all(journal: &dyn Journal, stop: &AtomicBool, durable: &Arc<AtomicU64>) {
    let me = std::thread::current();
    let lanes: Vec<_> = (0..LANES_OF_A_THREAD)
        .filter_map(|_| {
            let (durable, me) = (Arc::clone(durable), me.clone());
            let on_settled = move |settled: Settled| {
                if settled.result.is_ok() {
                    durable.fetch_add(settled.count.into(), Ordering::Relaxed);
                }
                me.unpark();
            };
            journal.lane(Stream::Commands, Arc::new(on_settled)).ok()
        })
        .collect();
    let record = [7; RECORD_BYTES];
    while !stop.load(Ordering::Relaxed) {
        let mut full = 0;
        for lane in &lanes {
            for _ in 0..BURST_RECORDS {
                match lane.push(&record) {
                    Ok(_) => {}
                    Err(Refused::Full) => {
                        full += 1;
                        break;
                    }
                    // The journal failed; whoever measures says so.
                    Err(_) => return,
                }
            }
        }
        if full == lanes.len() {
            std::thread::park_timeout(REST);
        }
    }
}

/// One thread writing blocks of `size` bytes one after another, each durable before the next.
fn raw(path: &Path, size: usize, is_direct: bool) -> std::io::Result<Way> {
    let size = size.next_multiple_of(BLOCK_BYTES);
    let mut options = OpenOptions::new();
    options.write(true);
    if is_direct {
        options.custom_flags(libc::O_DIRECT | libc::O_DSYNC);
    }
    let file = options.open(path)?;
    let memory = vec![7_u8; size + BLOCK_BYTES];
    let block = &memory[memory.as_ptr().align_offset(BLOCK_BYTES)..][..size];
    let (cpu_before, began) = (own_cpu(), Instant::now());
    let (mut offset, mut writes) = (0, 0_u64);
    while began.elapsed() < TIME {
        if offset + size as u64 > RAW_FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(block, offset)?;
        if !is_direct {
            file.sync_data()?;
        }
        offset += size as u64;
        writes += 1;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let cpu = own_cpu().saturating_sub(cpu_before).as_nanos() as f64;
    let records = writes as f64 * size as f64 / PACKED_BYTES;
    Ok(Way {
        per_second: records / elapsed,
        cpu_ns: cpu / records,
        group_bytes: size,
        write_bytes: size,
    })
}

/// A file whose every block was written.
fn prepare(path: &Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    for offset in (0..RAW_FILE_BYTES).step_by(1 << 20) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()
}
