//! The promises of the journal on every implementation that needs no server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use journal::conformance::{Harness, Limits, PROMISES, Promise};
use journal::embedded::{Clock, EmbeddedConfig, EmbeddedJournal, Ground, WriteMode};
use journal::memory::{MemoryConfig, MemoryFaults, MemoryJournal};
use journal::storage::crash::CrashStorage;
use journal::storage::faulty::{Fault, FaultyStorage};
use journal::storage::real::RealStorage;
use journal::turbulent::{Turbulence, TurbulentConfig, TurbulentJournal};
use journal::{Journal, Stream};

const RECORD_BYTES_MAX: u32 = 1_024;
const GROUP_BYTES_MAX: u32 = 4_096;
const LANE_BYTES_MAX: u32 = 16_384;
const BEHIND_RECORD_BYTES_MAX: u32 = 30_000;
const BEHIND_BYTES_MAX: u64 = 1 << 20;
const BEHIND_SYNC_INTERVAL_MS: u32 = 600_000;

fn limits() -> Limits {
    Limits {
        record_bytes_max: RECORD_BYTES_MAX as usize,
        group_bytes_max: GROUP_BYTES_MAX as usize,
        lane_bytes_max: LANE_BYTES_MAX as usize,
        behind_record_bytes_max: BEHIND_RECORD_BYTES_MAX as usize,
        behind_bytes_max: BEHIND_BYTES_MAX as usize,
    }
}

fn clock_of(now_ms: &Arc<AtomicI64>) -> Clock {
    let now_ms = Arc::clone(now_ms);
    Arc::new(move || now_ms.load(Ordering::SeqCst))
}

/// Small segments, so that every promise is kept across many of them.
fn config(write_mode: WriteMode) -> EmbeddedConfig {
    EmbeddedConfig {
        write_mode,
        segment_bytes_first: 64 << 10,
        segment_bytes: 128 << 10,
        group_bytes_max: GROUP_BYTES_MAX,
        gather_bytes_max: GROUP_BYTES_MAX,
        record_bytes_max: RECORD_BYTES_MAX,
        lane_bytes_max: LANE_BYTES_MAX,
        behind_record_bytes_max: BEHIND_RECORD_BYTES_MAX,
        behind_bytes_max: BEHIND_BYTES_MAX,
        behind_sync_interval_ms: BEHIND_SYNC_INTERVAL_MS,
        write_bytes_max: 64 << 10,
        tail_bytes_max: 32 << 10,
        read_bytes: 8 << 10,
        ..EmbeddedConfig::default()
    }
}

/// The embedded journal on real files; a crash is a process that can do nothing any more.
struct OnFiles {
    folder: tempfile::TempDir,
    storage: FaultyStorage,
    now_ms: Arc<AtomicI64>,
    mode: WriteMode,
}

impl OnFiles {
    fn new(mode: WriteMode) -> OnFiles {
        OnFiles {
            // Beside the build, not in the system's temporary folder, which may not take direct writes.
            folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            storage: FaultyStorage::new(Arc::new(RealStorage)),
            now_ms: Arc::new(AtomicI64::new(1)),
            mode,
        }
    }
}

impl Harness for OnFiles {
    fn open(&mut self) -> Arc<dyn Journal> {
        let ground =
            Ground { storage: Arc::new(self.storage.clone()), clock: clock_of(&self.now_ms) };
        let folder = self.folder.path().join("journal");
        Arc::new(EmbeddedJournal::open_on(&folder, config(self.mode), ground).unwrap())
    }

    fn crash(&mut self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        self.storage.fail_from_call(1, Fault::Medium);
        journal.close();
        drop(journal);
        self.storage.heal();
        self.open()
    }

    fn break_writes(&mut self) {
        self.storage.fail_from_call(1, Fault::Medium);
    }

    fn set_clock_ms(&mut self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    fn limits(&self) -> Limits {
        limits()
    }
}

/// The embedded journal on a disk that loses its power.
struct OnCrashingDisk {
    disk: CrashStorage,
    storage: FaultyStorage,
    now_ms: Arc<AtomicI64>,
    mode: WriteMode,
    seed: u64,
}

impl OnCrashingDisk {
    fn new(mode: WriteMode) -> OnCrashingDisk {
        let disk = CrashStorage::new(mode == WriteMode::Direct);
        OnCrashingDisk {
            storage: FaultyStorage::new(Arc::new(disk.clone())),
            disk,
            now_ms: Arc::new(AtomicI64::new(1)),
            mode,
            seed: 0,
        }
    }
}

impl Harness for OnCrashingDisk {
    fn open(&mut self) -> Arc<dyn Journal> {
        let ground =
            Ground { storage: Arc::new(self.storage.clone()), clock: clock_of(&self.now_ms) };
        let folder = PathBuf::from("/disk/journal");
        Arc::new(EmbeddedJournal::open_on(&folder, config(self.mode), ground).unwrap())
    }

    fn crash(&mut self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        self.disk.cut();
        journal.close();
        drop(journal);
        self.seed += 1;
        self.disk.restart_after_cut(self.seed);
        self.storage.heal();
        self.open()
    }

    fn break_writes(&mut self) {
        self.storage.fail_from_call(1, Fault::NoSpace);
    }

    fn set_clock_ms(&mut self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    fn limits(&self) -> Limits {
        limits()
    }
}

/// The journal in memory.
struct InMemory {
    journal: Option<MemoryJournal>,
    now_ms: Arc<AtomicI64>,
}

impl InMemory {
    fn new() -> InMemory {
        InMemory { journal: None, now_ms: Arc::new(AtomicI64::new(1)) }
    }
}

impl Harness for InMemory {
    fn open(&mut self) -> Arc<dyn Journal> {
        let journal = match &self.journal {
            Some(last) => last.reopen(),
            None => {
                let config = MemoryConfig {
                    group_bytes_max: GROUP_BYTES_MAX,
                    record_bytes_max: RECORD_BYTES_MAX,
                    lane_bytes_max: LANE_BYTES_MAX,
                    behind_record_bytes_max: BEHIND_RECORD_BYTES_MAX,
                    behind_bytes_max: BEHIND_BYTES_MAX,
                    behind_sync_interval_ms: BEHIND_SYNC_INTERVAL_MS,
                    ..MemoryConfig::default()
                };
                MemoryJournal::with_clock(config, clock_of(&self.now_ms))
            }
        };
        self.journal = Some(journal.clone());
        Arc::new(journal)
    }

    fn crash(&mut self, _journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        self.open()
    }

    fn break_writes(&mut self) {
        if let Some(journal) = &self.journal {
            journal.set_faults(MemoryFaults { failed_write_once_in: 1, ..MemoryFaults::default() });
        }
    }

    fn set_clock_ms(&mut self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
    }

    fn limits(&self) -> Limits {
        limits()
    }
}

/// One process of several over the journal in memory, and nothing goes wrong. (With faults the suite
/// does not run on it: they bend the promises on purpose.)
struct InCalmWaters(InMemory);

impl InCalmWaters {
    fn process(journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        let config = TurbulentConfig {
            group_bytes_max: GROUP_BYTES_MAX,
            record_bytes_max: RECORD_BYTES_MAX,
            lane_bytes_max: LANE_BYTES_MAX,
            behind_record_bytes_max: BEHIND_RECORD_BYTES_MAX,
            behind_bytes_max: BEHIND_BYTES_MAX,
            ..TurbulentConfig::new(1, Turbulence::CALM)
        };
        Arc::new(TurbulentJournal::new(journal, config))
    }
}

impl Harness for InCalmWaters {
    fn open(&mut self) -> Arc<dyn Journal> {
        InCalmWaters::process(self.0.open())
    }

    fn crash(&mut self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        InCalmWaters::process(self.0.crash(journal))
    }

    fn break_writes(&mut self) {
        self.0.break_writes();
    }

    fn set_clock_ms(&mut self, now_ms: i64) {
        self.0.set_clock_ms(now_ms);
    }

    fn limits(&self) -> Limits {
        self.0.limits()
    }
}

/// Every promise on a fresh journal each.
fn keeps_every_promise(fresh: impl Fn() -> Box<dyn Harness>) {
    for (name, promise) in PROMISES {
        println!("{name}");
        let promise: Promise = *promise;
        promise(&mut *fresh());
    }
}

#[test]
fn the_journal_in_memory_keeps_every_promise() {
    keeps_every_promise(|| Box::new(InMemory::new()));
}

#[test]
fn the_turbulent_journal_at_rest_keeps_every_promise() {
    keeps_every_promise(|| Box::new(InCalmWaters(InMemory::new())));
}

#[test]
fn the_embedded_journal_with_direct_writes_keeps_every_promise() {
    keeps_every_promise(|| Box::new(OnFiles::new(WriteMode::Direct)));
}

#[test]
fn the_embedded_journal_with_buffered_writes_keeps_every_promise() {
    keeps_every_promise(|| Box::new(OnFiles::new(WriteMode::Buffered)));
}

#[test]
fn the_embedded_journal_keeps_every_promise_through_power_cuts() {
    keeps_every_promise(|| Box::new(OnCrashingDisk::new(WriteMode::Direct)));
    keeps_every_promise(|| Box::new(OnCrashingDisk::new(WriteMode::Buffered)));
}

#[test]
fn a_second_journal_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let first = EmbeddedJournal::open(folder.path(), config(WriteMode::Auto)).unwrap();
    let second = EmbeddedJournal::open(folder.path(), config(WriteMode::Auto));
    assert!(matches!(second, Err(journal::JournalError::Locked(_))));
    first.close();
    EmbeddedJournal::open(folder.path(), config(WriteMode::Auto)).unwrap();
}

#[test]
fn a_journal_written_in_one_mode_is_continued_in_the_other() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let modes = [WriteMode::Buffered, WriteMode::Direct, WriteMode::Buffered];
    for (round, mode) in modes.into_iter().enumerate() {
        let journal = EmbeddedJournal::open(folder.path(), config(mode)).unwrap();
        assert_eq!(journal.is_direct(), mode == WriteMode::Direct);
        for _ in 0..200 {
            journal.append(Stream::Commands, &[&[7; 600]]).unwrap();
        }
        let verified = journal.verify(Stream::Commands).unwrap();
        assert_eq!(verified.records, 200 * (round as u64 + 1));
        assert!(journal.figures(Stream::Commands).writes >= 200);
    }
}

#[test]
fn a_folder_that_takes_no_direct_writes_is_named() {
    let storage: Arc<CrashStorage> = Arc::new(CrashStorage::new(false));
    let ground = || Ground { storage: storage.clone(), ..Ground::default() };
    let folder = Path::new("/disk/journal");
    match EmbeddedJournal::open_on(folder, config(WriteMode::Direct), ground()) {
        Err(journal::JournalError::Setting { key, why }) => {
            assert_eq!(key, "write_mode");
            assert!(why.contains("/disk/journal"), "{why}");
        }
        other => panic!("{:?}", other.err()),
    }
    let journal = EmbeddedJournal::open_on(folder, config(WriteMode::Auto), ground()).unwrap();
    assert!(!journal.is_direct());
}
