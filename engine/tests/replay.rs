//! The same commands give the same state and the same events, however they were grouped, wherever
//! checkpoints fell and however often the engine was stopped.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use engine::Phase;
use journal::turbulent::{Turbulence, TurbulentConfig, TurbulentJournal};
use journal::{Journal, Stream};
use support::running::{Running, config, replayed};
use support::script::{self, Dice};
use support::{TestClock, memory, read_events, seed};

/// Busy commands of one run.
const COMMANDS: usize = 4_000;

#[test]
fn any_group_sizes_give_the_same_digest_and_the_same_events() {
    let seed = seed(11);
    let script = script::whole(seed, COMMANDS);
    let mut outcomes = Vec::new();
    for largest in [1, 7, 1_000] {
        let clock = TestClock::new();
        let journal = memory(&clock);
        script::append_in_groups(journal.as_ref(), &script, &mut Dice::new(seed), largest);
        let alone = replayed(&journal, None);
        assert_eq!(alone.sequence, script.len() as u64);
        assert_eq!(alone.events_sequence, 0);

        let folder = tempfile::tempdir().unwrap();
        let engine = Running::start(config(folder.path()), &journal, &clock);
        engine.wait_for_sequence(script.len() as u64);
        engine.stop();
        let after = replayed(&journal, Some(folder.path()));
        assert!(after.matches, "{:?}", after.differences);
        assert_eq!(after.events_sequence, after.sequence);
        assert_eq!(after.checkpoint_sequence, Some(after.sequence));

        let mut events = read_events(journal.as_ref());
        events.commands.truncate(script.len());
        outcomes.push((alone.digest, events.commands));
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], outcomes[2]);
}

#[test]
fn stops_and_checkpoints_at_random_points_change_nothing() {
    let seed = seed(12);
    let mut dice = Dice::new(seed);
    let script = script::whole(seed, COMMANDS);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let mut rest = script.as_slice();
    let mut starts = 0;
    while !rest.is_empty() {
        let engine = Running::start(config(folder.path()), &journal, &clock);
        starts += 1;
        for _ in 0..dice.size(8) {
            let size = dice.size(400).min(rest.len());
            script::append_in_groups(journal.as_ref(), &rest[..size], &mut dice, 50);
            rest = &rest[size..];
            clock.advance(dice.below(30) as i64);
        }
        if dice.below(2) == 0 {
            engine.wait_for_phase(Phase::Active);
        }
        engine.stop();
        let now = replayed(&journal, Some(folder.path()));
        assert!(now.matches, "{:?}", now.differences);
    }
    assert!(starts > 1);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_sequence(script.len() as u64);
    engine.stop();
    let end = replayed(&journal, Some(folder.path()));
    assert!(end.matches, "{:?}", end.differences);
    assert_eq!(end.events_sequence, end.sequence);
    assert!(end.malformed > 0, "the script holds records that are no commands");
    assert_eq!(read_events(journal.as_ref()).behind, 0, "nothing was written twice");
}

#[test]
fn readers_that_fall_behind_are_waited_for() {
    let seed = seed(13);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 300), &mut Dice::new(seed), 20);
    let faults = Turbulence { lag_once_in: 2, lag_ms_max: 3, ..Turbulence::CALM };
    let slow = TurbulentJournal::new(journal, TurbulentConfig::new(seed, faults));
    let slow: Arc<dyn Journal> = Arc::new(slow);
    for _ in 0..2 {
        // The second start looks for its checkpoint's place in the events.
        let engine = Running::start(config(folder.path()), &slow, &clock);
        engine.wait_for_phase(Phase::Active);
        engine.stop();
        let found = replayed(&slow, Some(folder.path()));
        assert!(found.matches, "{:?}", found.differences);
        assert_eq!(found.events_sequence, found.sequence);
    }
}

#[test]
fn a_replay_beside_an_engine_at_work_finds_nothing_wrong() {
    let seed = seed(14);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 300), &mut dice, 20);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_phase(Phase::Active);
    for _ in 0..50 {
        let some: Vec<_> = (0..20).map(|_| script::any(&mut dice)).collect();
        script::append_in_groups(journal.as_ref(), &some, &mut dice, 3);
        let found = replayed(&journal, None);
        assert!(found.matches, "{:?}", found.differences);
        if dice.below(4) == 0 {
            journal.sync(Stream::Events).unwrap();
        }
    }
    engine.stop();
}

#[test]
fn an_empty_journal_is_replayed_to_nothing() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let found = replayed(&journal, None);
    assert!(found.matches);
    assert_eq!((found.sequence, found.groups, found.events), (0, 0, 0));
}

#[test]
fn a_replay_stops_when_it_is_told_to() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    script::append_one_group(journal.as_ref(), &script::opening());
    let outcome = engine::replay(&journal, &engine::ReplayOptions::default(), &mut |_| false);
    assert!(matches!(outcome, Err(engine::EngineError::Stopped)));
}
