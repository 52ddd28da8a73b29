//! The store against the real state, and crashes between the steps of a checkpoint.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use journal::embedded::Ground;
use journal::storage::crash::CrashStorage;
use journal::{EmbeddedConfig, EmbeddedJournal, Journal, Position, Stream};
use parking_lot::Mutex;

use super::scatter::Scatter;
use super::{CHECKPOINTS_KEPT, CheckpointMeta, Loaded, Step, Steps, Store};
use crate::decide::Decider;
use crate::support::copies::groups;
use crate::support::running::{Running, config, replayed};
use crate::support::script::{self, Dice};
use crate::support::{TestClock, copy_changing_folder, memory, rounds, seed, wait_until};
use crate::{Engine, EngineError, Phase};

/// Decides one group after another, commits a checkpoint after each and folds what is worth it.
/// Gives the digest at each checkpoint.
fn commit_all(store: &mut Store, journal: &dyn Journal) -> Vec<(u64, [u8; 32])> {
    let mut decider = Decider::new();
    let mut packed = Vec::new();
    let mut digests = Vec::new();
    for group in groups(journal, Stream::Commands) {
        decider.decide(group, &mut packed).unwrap();
        let mut changes = Vec::new();
        decider.state.take_changes(&mut changes);
        let mut scatter = Scatter::new();
        scatter.fill(&[changes]).unwrap();
        let meta = decider.describe(journal.id().0, Position::START).unwrap();
        store.commit(&scatter, &meta, || {}).unwrap();
        for block in store.blocks_to_fold(usize::MAX) {
            store.fold(block).unwrap();
        }
        digests.push((decider.sequence(), decider.state.digest()));
    }
    digests
}

fn digest_of(store: &mut Store, meta: &CheckpointMeta) -> [u8; 32] {
    match store.load(meta) {
        Loaded::State(state) => state.digest(),
        Loaded::Damaged(why) => panic!("{why}"),
    }
}

fn journal_of(seed: u64, commands: usize, largest: u64) -> Arc<dyn Journal> {
    let journal = memory(&TestClock::new());
    let script = script::whole(seed, commands);
    script::append_in_groups(journal.as_ref(), &script, &mut Dice::new(seed), largest);
    journal
}

#[test]
fn both_checkpoints_load_to_the_state_as_it_was_however_much_was_folded() {
    let seed = seed(61);
    let journal = journal_of(seed, 3_000, 20);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let digests = commit_all(&mut store, journal.as_ref());
    assert!(store.base_bytes > 0, "something was folded");
    drop(store);

    let mut store = Store::open(folder.path()).unwrap();
    let kept = store.checkpoints();
    assert_eq!(kept.len(), CHECKPOINTS_KEPT);
    for (meta, (sequence, digest)) in kept.iter().zip(digests.iter().rev()) {
        assert_eq!(meta.sequence, *sequence);
        assert_eq!(digest_of(&mut store, meta), *digest);
    }
}

#[test]
fn a_store_that_goes_on_from_its_older_checkpoint_forgets_the_newer_one() {
    let seed = seed(62);
    let journal = journal_of(seed, 1_000, 20);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let digests = commit_all(&mut store, journal.as_ref());
    let older = store.checkpoints()[1].clone();
    store.forget_after(older.sequence).unwrap();
    assert_eq!(store.checkpoints().as_slice(), std::slice::from_ref(&older));
    drop(store);
    let mut store = Store::open(folder.path()).unwrap();
    assert_eq!(digest_of(&mut store, &older), digests[digests.len() - 2].1);
    store.forget_after(0).unwrap();
    assert!(store.checkpoints().is_empty());
    assert_eq!(commit_all(&mut store, journal.as_ref()), digests);
}

#[test]
fn what_is_kept_in_memory_about_blocks_agrees_with_what_is_on_disk() {
    let journal = journal_of(seed(63), 2_000, 15);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    commit_all(&mut store, journal.as_ref());
    let (base, delta) = (store.base_bytes, store.delta_bytes);
    let newest = store.checkpoints()[0].clone();
    digest_of(&mut store, &newest);
    assert_eq!((store.base_bytes, store.delta_bytes), (base, delta));
}

#[test]
fn a_checkpoint_of_a_newer_format_halts_instead_of_being_rebuilt() {
    let journal = journal_of(seed(65), 100, 50);
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    commit_all(&mut store, journal.as_ref());
    let mut newer = store.checkpoints()[0].encode();
    newer[0] += 1;
    store.db.put(super::keys::meta(1 << 40), newer).unwrap();
    drop(store);
    let Err(error) = Store::open(folder.path()) else {
        panic!("the store opened");
    };
    assert!(matches!(error, EngineError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert!(!folder.path().join("checkpoint.damaged").exists());
}

/// A process at work on a disk that can lose its power.
struct Machine {
    disk: CrashStorage,
    clock: TestClock,
    journal: Arc<dyn Journal>,
}

fn open_journal(disk: &CrashStorage, clock: &TestClock) -> Arc<dyn Journal> {
    let config = EmbeddedConfig {
        segment_bytes_first: 1 << 20,
        segment_bytes: 2 << 20,
        group_bytes_max: 64 << 10,
        gather_bytes_max: 48 << 10,
        record_bytes_max: 32 << 10,
        lane_bytes_max: 128 << 10,
        behind_record_bytes_max: 256 << 10,
        behind_bytes_max: 2 << 20,
        // So long that only the checkpoints make events durable.
        behind_sync_interval_ms: 600_000,
        write_bytes_max: 512 << 10,
        tail_bytes_max: 1 << 20,
        ..EmbeddedConfig::default()
    };
    let ground = Ground { storage: Arc::new(disk.clone()), clock: clock.source() };
    Arc::new(EmbeddedJournal::open_on(Path::new("/journal"), config, ground).unwrap())
}

impl Machine {
    fn new(has_direct: bool) -> Machine {
        let (disk, clock) = (CrashStorage::new(has_direct), TestClock::new());
        let journal = open_journal(&disk, &clock);
        Machine { disk, clock, journal }
    }
}

/// What was on disk when the power went.
struct Wreck {
    step: Step,
    folder: PathBuf,
    disk: CrashStorage,
    /// Commands that somebody had been told were durable.
    acknowledged: u64,
}

/// Copies of the checkpoint folder and the disk, taken at steps chosen by the dice.
struct Wrecks {
    data_dir: PathBuf,
    into: PathBuf,
    disk: CrashStorage,
    acknowledged: Arc<AtomicU64>,
    taken: Mutex<(Dice, Vec<Wreck>)>,
}

impl Wrecks {
    fn look(&self, step: Step) {
        let mut taken = self.taken.lock();
        let (dice, wrecks) = &mut *taken;
        let often = wrecks.iter().filter(|wreck| wreck.step == step).count() as u64;
        if often >= 8 || dice.below(1 + often) != 0 {
            return;
        }
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        let folder = self.into.join(format!("{}", wrecks.len()));
        copy_changing_folder(&self.data_dir, &folder);
        let disk = self.disk.copy();
        disk.cut();
        disk.restart_after_cut(dice.next());
        wrecks.push(Wreck { step, folder, disk, acknowledged });
    }
}

/// Runs an engine under load while the power goes at many moments of many copies.
fn wrecks_of_a_busy_day(seed: u64, into: &Path, has_direct: bool) -> (Vec<Wreck>, TestClock) {
    let mut dice = Dice::new(seed);
    let machine = Machine::new(has_direct);
    let data = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let wrecks = Arc::new(Wrecks {
        data_dir: data.path().to_owned(),
        into: into.to_owned(),
        disk: machine.disk.clone(),
        acknowledged: Arc::clone(&acknowledged),
        taken: Mutex::new((dice.clone(), Vec::new())),
    });
    let hook = Arc::clone(&wrecks);
    let engine = Engine::open_with_clock(
        config(data.path()),
        Arc::clone(&machine.journal),
        machine.clock.source(),
    )
    .unwrap()
    .with_steps(Steps(Some(Arc::new(move |step| hook.look(step)))));
    let status = engine.status();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let thread = std::thread::spawn(move || engine.run(stopping));

    let script = script::whole(seed, 1_500);
    let mut rest = script.as_slice();
    while !rest.is_empty() {
        let size = dice.size(60).min(rest.len());
        script::append_one_group(machine.journal.as_ref(), &rest[..size]);
        acknowledged.fetch_add(size as u64, Ordering::SeqCst);
        rest = &rest[size..];
        let seen = status.checkpoint_sequence();
        if dice.below(3) == 0 {
            wait_until("another checkpoint", || status.checkpoint_sequence() > seen);
        }
    }
    stop.store(true, Ordering::SeqCst);
    thread.join().unwrap().unwrap();
    let taken = std::mem::take(&mut wrecks.taken.lock().1);
    (taken, machine.clock)
}

#[test]
fn a_power_cut_between_any_two_steps_of_a_checkpoint_loses_nothing_acknowledged() {
    let first_seed = seed(64);
    for round in 0..rounds(2, 40) {
        let (seed, has_direct) = (first_seed + round, round % 2 == 0);
        let into = tempfile::tempdir().unwrap();
        let (wrecks, clock) = wrecks_of_a_busy_day(seed, into.path(), has_direct);
        for step in [Step::Taken, Step::EventsDurable, Step::Written, Step::Committed] {
            assert!(wrecks.iter().any(|wreck| wreck.step == step), "no crash at {step:?}");
        }
        for wreck in wrecks {
            let journal = open_journal(&wreck.disk, &clock);
            let engine = Running::start(config(&wreck.folder), &journal, &clock);
            engine.wait_for_phase(Phase::Active);
            engine.stop();
            let found = replayed(&journal, Some(&wreck.folder));
            assert!(found.matches, "seed {seed}, {:?}: {:?}", wreck.step, found.differences);
            assert_eq!(found.events_sequence, found.sequence, "{:?}", wreck.step);
            assert!(found.sequence >= wreck.acknowledged, "{:?}", wreck.step);
            assert!(!wreck.folder.join("checkpoint.damaged").exists(), "{:?}", wreck.step);
        }
    }
}

#[test]
fn an_engine_whose_checkpoint_thread_panicked_says_so_and_still_stops() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let data = tempfile::tempdir().unwrap();
    let panics = |step| assert!(step != Step::Taken, "a defect of the checkpoint thread");
    let engine = Engine::open_with_clock(config(data.path()), Arc::clone(&journal), clock.source())
        .unwrap()
        .with_steps(Steps(Some(Arc::new(panics))));
    let status = engine.status();
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    let thread = std::thread::spawn(move || engine.run(stopping));
    wait_until("it is active", || status.phase() == Phase::Active);
    script::append_in_groups(journal.as_ref(), &script::whole(5, 1_500), &mut Dice::new(5), 40);
    wait_until("everything is decided", || status.sequence() >= 1_500);
    stop.store(true, Ordering::SeqCst);
    wait_until("it has stopped", || thread.is_finished());
    thread.join().unwrap().unwrap();
    let failure = status.checkpoint_failure();
    assert!(failure.is_some_and(|why| why.contains("panicked")), "nobody is told");
}
