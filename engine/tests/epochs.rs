//! Several engines, one journal: one writes at a time, and what a deposed one still writes changes
//! nothing for anybody.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::{EngineConfig, EngineError, Phase};
use journal::{Journal, Stream};
use support::running::{Running, config, replayed};
use support::script::{self, Dice};
use support::wrapped::Wrapped;
use support::{TestClock, memory, read_events, seed, wait_until};

fn shared(folder: &Path) -> EngineConfig {
    let mut config = config(folder);
    config.exclusive = false;
    config
}

fn append_some(journal: &Arc<dyn Journal>, dice: &mut Dice, count: usize) {
    let records: Vec<_> = (0..count).map(|_| script::any(dice)).collect();
    script::append_in_groups(journal.as_ref(), &records, dice, 20);
}

/// The engine's events reach the end of the commands as it stands now.
fn settle(engine: &Running, journal: &Arc<dyn Journal>) {
    let sequence = replayed(journal, None).sequence;
    engine.wait_for_sequence(sequence);
}

#[test]
fn a_standby_waits_for_silence_and_then_takes_over() {
    let seed = seed(51);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 300), &mut dice, 50);

    let first = Running::start(shared(one.path()), &journal, &clock);
    first.wait_for_phase(Phase::Active);
    assert_eq!(first.status.epoch(), 1);
    let second = Running::start(shared(two.path()), &journal, &clock);
    second.wait_for_phase(Phase::Standby);
    append_some(&journal, &mut dice, 300);
    settle(&first, &journal);
    settle(&second, &journal);
    assert_eq!(second.status.phase(), Phase::Standby);
    assert_eq!(second.status.epoch(), 1);

    first.stop();
    append_some(&journal, &mut dice, 300);
    second.wait_for_phase(Phase::Active);
    assert_eq!(second.status.epoch(), 2);
    append_some(&journal, &mut dice, 300);
    settle(&second, &journal);
    second.stop();
    for folder in [one.path(), two.path()] {
        let found = replayed(&journal, Some(folder));
        assert!(found.matches, "{:?}", found.differences);
    }
    assert_eq!(read_events(journal.as_ref()).behind, 0);
}

#[test]
fn a_paused_engine_that_wakes_up_writes_nothing_that_counts_and_stands_by() {
    let seed = seed(52);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let wrapped = Wrapped::new(&journal);
    let (paused, is_held) = (Arc::clone(&wrapped.paused), Arc::clone(&wrapped.is_held));
    let slow: Arc<dyn Journal> = Arc::new(wrapped);
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 300), &mut dice, 50);

    let first = Running::start(shared(one.path()), &slow, &clock);
    first.wait_for_phase(Phase::Active);
    paused.store(true, Ordering::SeqCst);
    append_some(&journal, &mut dice, 100);
    wait_until("the first engine hangs with decided commands in its hands", || {
        is_held.load(Ordering::SeqCst)
    });

    let second = Running::start(shared(two.path()), &journal, &clock);
    second.wait_for_phase(Phase::Active);
    append_some(&journal, &mut dice, 200);
    settle(&second, &journal);
    let before = read_events(journal.as_ref());

    paused.store(false, Ordering::SeqCst);
    first.wait_for_phase(Phase::Standby);
    append_some(&journal, &mut dice, 200);
    settle(&second, &journal);
    settle(&first, &journal);
    assert_eq!(first.status.phase(), Phase::Standby);
    assert_eq!(second.status.phase(), Phase::Active);

    let after = read_events(journal.as_ref());
    assert!(after.behind > 0, "the woken engine wrote its group after all");
    assert_eq!(after.commands[..before.commands.len()], before.commands);
    first.stop();
    second.stop();
    let found = replayed(&journal, Some(two.path()));
    assert!(found.matches, "{:?}", found.differences);
    assert_eq!(found.events_sequence, found.sequence);
}

#[test]
fn groups_that_a_deposed_engine_left_beyond_a_hole_are_written_again() {
    let seed = seed(53);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut wrapped = Wrapped::new(&journal);
    wrapped.syncs_fail = true;
    let (lose, paused) = (Arc::clone(&wrapped.lose), Arc::clone(&wrapped.paused));
    let lossy: Arc<dyn Journal> = Arc::new(wrapped);
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 200), &mut dice, 50);

    let first = Running::start(shared(one.path()), &lossy, &clock);
    first.wait_for_phase(Phase::Active);
    lose.store(3, Ordering::SeqCst);
    append_some(&journal, &mut dice, 200);
    settle(&first, &journal);
    assert_eq!(lose.load(Ordering::SeqCst), 0);
    paused.store(true, Ordering::SeqCst);

    let second = Running::start(shared(two.path()), &journal, &clock);
    second.wait_for_phase(Phase::Active);
    assert!(second.status.beyond() > 0);
    append_some(&journal, &mut dice, 100);
    settle(&second, &journal);
    let read = read_events(journal.as_ref());
    assert!(read.beyond > 0);
    assert_eq!(read.commands.last().unwrap().0, read.commands.len() as u64);

    paused.store(false, Ordering::SeqCst);
    // It learns that it was deposed and that its writes failed: it halts rather than go on.
    let error = first.wait_for_error();
    assert!(matches!(error, EngineError::Journal(_)), "{error}");
    second.stop();
    let found = replayed(&journal, Some(two.path()));
    assert!(found.matches, "{:?}", found.differences);
    assert_eq!(found.events_sequence, found.sequence);
}

#[test]
fn an_engine_that_takes_over_again_counts_only_what_every_reader_counts() {
    let seed = seed(56);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let slow = Wrapped::new(&journal);
    let (paused, is_held) = (Arc::clone(&slow.paused), Arc::clone(&slow.is_held));
    let slow: Arc<dyn Journal> = Arc::new(slow);
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 200), &mut dice, 50);
    let first = Running::start(shared(one.path()), &slow, &clock);
    first.wait_for_phase(Phase::Active);
    paused.store(true, Ordering::SeqCst);
    append_some(&journal, &mut dice, 100);
    wait_until("the first engine hangs with decided commands in its hands", || {
        is_held.load(Ordering::SeqCst)
    });

    // The second one loses the first group that it writes, so that its later ones lie beyond a hole,
    // and is gone before it writes that group again.
    let mut lossy = Wrapped::new(&journal);
    lossy.syncs_fail = true;
    lossy.lose.store(1, Ordering::SeqCst);
    let lossy: Arc<dyn Journal> = Arc::new(lossy);
    let second = Running::start(shared(two.path()), &lossy, &clock);
    second.wait_for_phase(Phase::Active);
    append_some(&journal, &mut dice, 100);
    settle(&second, &journal);
    second.end().unwrap_err();
    journal.sync(Stream::Events).unwrap();
    assert!(read_events(journal.as_ref()).beyond > 0);

    // The first one fills the hole, behind those groups, and is active again later.
    paused.store(false, Ordering::SeqCst);
    first.wait_for_phase(Phase::Standby);
    first.wait_for_phase(Phase::Active);
    append_some(&journal, &mut dice, 100);
    settle(&first, &journal);
    first.stop();
    let found = replayed(&journal, Some(one.path()));
    assert!(found.matches, "{:?}", found.differences);
    assert_eq!(found.events_sequence, found.sequence, "no reader is wedged");
}

#[test]
fn of_two_standbys_one_becomes_active() {
    let seed = seed(54);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 100), &mut dice, 50);
    let engines: Vec<_> = folders
        .iter()
        .map(|folder| Running::start(shared(folder.path()), &journal, &clock))
        .collect();
    wait_until("one of three is active", || {
        engines.iter().any(|engine| engine.status.phase() == Phase::Active)
    });
    append_some(&journal, &mut dice, 300);
    for engine in &engines {
        settle(engine, &journal);
    }
    for engine in engines {
        engine.stop();
    }
    for folder in &folders {
        let found = replayed(&journal, Some(folder.path()));
        assert!(found.matches, "{:?}", found.differences);
    }
}

#[test]
fn a_second_engine_in_exclusive_mode_halts_the_first() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Running::start(config(one.path()), &journal, &clock);
    first.wait_for_phase(Phase::Active);
    let second = Running::start(config(two.path()), &journal, &clock);
    let error = first.wait_for_error();
    assert!(matches!(error, EngineError::Contended { epoch: 2 }), "{error}");
    second.wait_for_phase(Phase::Active);
    second.stop();
}

#[test]
fn a_standby_without_an_active_engine_does_not_fill_its_memory() {
    let seed = seed(55);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let script: Vec<_> = script::whole(seed, 60_000);
    script::append_in_groups(journal.as_ref(), &script, &mut dice, 100);
    let mut config = shared(folder.path());
    config.events_pending_bytes_max = 1 << 20;
    let engine = Running::start(config, &journal, &clock);
    let error = engine.wait_for_error();
    assert!(matches!(error, EngineError::TooFarBehind { .. }), "{error}");
    assert!(error.to_string().contains("exclusive"), "{error}");
    assert!(read_events(journal.as_ref()).commands.is_empty(), "an inactive engine writes nothing");
}
