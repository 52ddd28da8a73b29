//! What the engine's tests share: a seeded script of commands, a clock that the test moves, an engine
//! on a thread, and a journal wrapper that pauses, loses and tampers.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod copies;
pub mod running;
pub mod script;
pub mod wrapped;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::codec::EventGroup;
use domain::{Admission, Event, Origin, Watermark};
use journal::memory::{MemoryConfig, MemoryJournal};
use journal::{Journal, Position, Stream, Visibility};

/// Longest wait for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where the tests' time begins: 2026-07-13 10:00 in Taiwan.
pub const BASE_MS: i64 = 1_783_908_000_000;

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn new() -> TestClock {
        TestClock(Arc::new(AtomicI64::new(BASE_MS)))
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn advance(&self, by_ms: i64) {
        self.0.fetch_add(by_ms, Ordering::SeqCst);
    }

    pub fn set(&self, to_ms: i64) {
        self.0.store(to_ms, Ordering::SeqCst);
    }

    pub fn source(&self) -> Arc<dyn Fn() -> i64 + Send + Sync> {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}

/// An empty journal in memory, with a name of its own.
pub fn memory(clock: &TestClock) -> Arc<dyn Journal> {
    static SEEDS: AtomicU64 = AtomicU64::new(1);
    let config = MemoryConfig {
        seed: SEEDS.fetch_add(1, Ordering::SeqCst),
        behind_sync_interval_ms: 5,
        ..MemoryConfig::default()
    };
    Arc::new(MemoryJournal::with_clock(config, clock.source()))
}

/// Waits until something is so, and fails with its name when it never is.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The seed of a test: from the environment, to repeat a failure, else the one given; printed.
pub fn seed(default: u64) -> u64 {
    let seed =
        std::env::var("SLOTLINE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    println!("seed {seed} (repeat with SLOTLINE_SEED={seed})");
    seed
}

/// How often to try: a few times, or many with `SLOTLINE_FAULTS=full`.
pub fn rounds(few: u64, many: u64) -> u64 {
    match std::env::var("SLOTLINE_FAULTS").as_deref() {
        Ok("full") => many,
        _ => few,
    }
}

/// What a reader of events ends up with, using the one watermark that all readers use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadEvents {
    /// Each command's events in order.
    pub commands: Vec<(u64, Origin, Vec<Event>)>,
    /// Bytes of the groups that were applied.
    pub groups: Vec<Vec<u8>>,
    /// Groups dropped as read before.
    pub behind: u64,
    /// Groups dropped as lying beyond.
    pub beyond: u64,
}

/// Reads the durable events as a view would.
pub fn read_events(journal: &dyn Journal) -> ReadEvents {
    let end = journal.durable_end(Stream::Events).unwrap();
    let mut reader = journal.reader(Stream::Events, Position::START, Visibility::Durable).unwrap();
    let mut watermark = Watermark::START;
    let mut read = ReadEvents::default();
    let began = Instant::now();
    while reader.position() < end {
        assert!(began.elapsed() < PATIENCE, "the events never end");
        let Some(group) = reader.poll(Duration::from_millis(100)).unwrap() else {
            continue;
        };
        for record in group.records.iter() {
            let events = EventGroup::decode(record).unwrap();
            match watermark.admit(events.first, events.last()) {
                Admission::Behind => read.behind += 1,
                Admission::Beyond => read.beyond += 1,
                Admission::Next => {
                    read.groups.push(record.to_vec());
                    for command in events.commands() {
                        let command = command.unwrap();
                        read.commands.push((command.sequence.0, command.origin, command.events));
                    }
                }
            }
        }
    }
    read
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    try_copy_folder(from, to).unwrap();
}

/// Copies a folder in which another thread may add and remove files: again until nothing changed
/// meanwhile, which is what a moment in time looks like.
pub fn copy_changing_folder(from: &Path, to: &Path) {
    wait_until("the folder stands still while it is copied", || {
        let before = listing(from);
        let copied = try_copy_folder(from, to).is_ok();
        if copied && listing(from) == before {
            return true;
        }
        std::fs::remove_dir_all(to).unwrap();
        false
    });
}

fn try_copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Every file below a folder, with its length.
fn listing(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => files.extend(listing(&entry.path())),
            Ok(metadata) => {
                files.insert(entry.path(), metadata.len());
            }
            Err(_) => {}
        }
    }
    files
}
