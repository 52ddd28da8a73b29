//! The events stream is continued, compared and, where a crash tore it off, written again with the
//! same bytes; anything else than what the commands give halts the engine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::Arc;

use domain::Event;
use domain::codec::EventGroup;
use engine::{EngineError, Phase};
use journal::{Group, Journal, Stream};
use support::copies::{flipped, groups, rewritten};
use support::running::{Running, config, replayed};
use support::script::{self, Dice};
use support::{TestClock, copy_folder, memory, read_events, seed};

struct Lived {
    clock: TestClock,
    journal: Arc<dyn Journal>,
    folder: tempfile::TempDir,
    commands: Vec<Group>,
    events: Vec<Group>,
}

fn lived(seed: u64) -> Lived {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(seed);
    let script = script::whole(seed, 1_200);
    let (front, back) = script.split_at(script.len() / 2);
    for part in [front, back] {
        script::append_in_groups(journal.as_ref(), part, &mut dice, 40);
        let engine = Running::start(config(folder.path()), &journal, &clock);
        engine.wait_for_phase(Phase::Active);
        engine.stop();
    }
    let commands = groups(journal.as_ref(), Stream::Commands);
    let events = groups(journal.as_ref(), Stream::Events);
    assert_eq!(commands.len(), events.len(), "one events group per commands group");
    Lived { clock, journal, folder, commands, events }
}

fn last_sequence(group: &Group) -> u64 {
    let record = group.records.iter().next().unwrap();
    EventGroup::decode(record).unwrap().last().0
}

/// Runs an engine on a journal until it is active, and stops it.
fn run(journal: &Arc<dyn Journal>, folder: &Path, clock: &TestClock) {
    let engine = Running::start(config(folder), journal, clock);
    engine.wait_for_phase(Phase::Active);
    engine.stop();
}

#[test]
fn events_torn_off_anywhere_are_written_again_with_the_same_ids_and_bytes() {
    let seed = seed(41);
    let mut dice = Dice::new(seed);
    let lived = lived(seed);
    let whole = read_events(lived.journal.as_ref());
    let mut cuts = vec![0, 1, lived.events.len() - 1, lived.events.len()];
    cuts.extend((0..8).map(|_| dice.below(lived.events.len() as u64) as usize));
    for kept in cuts {
        let torn =
            rewritten(lived.journal.as_ref(), &lived.clock, &lived.commands, &lived.events[..kept]);
        let folder = tempfile::tempdir().unwrap();
        copy_folder(lived.folder.path(), folder.path());
        run(&torn, folder.path(), &lived.clock);
        let again = read_events(torn.as_ref());
        assert_eq!(again.groups[..whole.groups.len()], whole.groups, "kept {kept}");
        assert_eq!((again.behind, again.beyond), (0, 0), "kept {kept}");
        let found = replayed(&torn, Some(folder.path()));
        assert!(found.matches, "kept {kept}: {:?}", found.differences);
    }
}

#[test]
fn a_flipped_byte_in_an_events_group_halts_and_names_the_sequence() {
    let seed = seed(42);
    let mut dice = Dice::new(seed);
    let lived = lived(seed);
    for _ in 0..12 {
        let place = dice.below(lived.events.len() as u64) as usize;
        let mut events = lived.events.clone();
        let length = events[place].records.packed().len() as u64 - 4;
        // Past the header, whose fields are checked as such.
        let byte = 53 + dice.below(length - 53) as usize;
        events[place] = flipped(&events[place], byte);
        let changed = rewritten(lived.journal.as_ref(), &lived.clock, &lived.commands, &events);
        let empty = tempfile::tempdir().unwrap();
        let engine = Running::start(config(empty.path()), &changed, &lived.clock);
        let status = Arc::clone(&engine.status);
        let error = engine.wait_for_error();
        let EngineError::Diverged { sequence, .. } = &error else {
            panic!("{error}");
        };
        let first =
            place.checked_sub(1).map_or(1, |before| last_sequence(&lived.events[before]) + 1);
        assert_eq!(*sequence, first, "{error}");
        assert_eq!(status.phase(), Phase::Halted);
        assert!(status.halted_reason().unwrap().contains("log diverged"));
        let found = replayed(&changed, None);
        assert!(!found.matches);
    }
}

#[test]
fn another_chain_hash_in_the_checkpoints_last_group_halts() {
    let lived = lived(seed(43));
    let mut events = lived.events.clone();
    let last = events.len() - 1;
    // The chain hash stands at the end of the header.
    events[last] = flipped(&events[last], 52);
    let changed = rewritten(lived.journal.as_ref(), &lived.clock, &lived.commands, &events);
    let Err(error) = Running::try_start(config(lived.folder.path()), &changed, &lived.clock) else {
        panic!("the engine started");
    };
    assert!(matches!(error, EngineError::Diverged { .. }), "{error}");
}

#[test]
fn events_that_reach_further_than_the_commands_halt() {
    let lived = lived(seed(44));
    let short = lived.commands.len() - 5;
    let changed =
        rewritten(lived.journal.as_ref(), &lived.clock, &lived.commands[..short], &lived.events);
    let empty = tempfile::tempdir().unwrap();
    let engine = Running::start(config(empty.path()), &changed, &lived.clock);
    let error = engine.wait_for_error();
    assert!(matches!(error, EngineError::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("commands were lost"), "{error}");
    assert!(!replayed(&changed, None).matches);
}

#[test]
fn groups_written_twice_and_groups_beyond_a_hole_do_no_harm() {
    let seed = seed(45);
    let lived = lived(seed);
    let whole = read_events(lived.journal.as_ref());
    let middle = lived.events.len() / 2;
    let mut events = lived.events[..middle].to_vec();
    // A deposed engine wrote these again, and one group that lies beyond a hole.
    events.extend_from_slice(&lived.events[middle - 3..middle]);
    events.push(lived.events[middle + 4].clone());
    let changed = rewritten(lived.journal.as_ref(), &lived.clock, &lived.commands, &events);
    let empty = tempfile::tempdir().unwrap();
    run(&changed, empty.path(), &lived.clock);
    let read = read_events(changed.as_ref());
    assert_eq!(read.groups[..whole.groups.len()], whole.groups);
    assert_eq!((read.behind, read.beyond), (3, 1));
    let found = replayed(&changed, Some(empty.path()));
    assert!(found.matches, "{:?}", found.differences);
}

#[test]
fn a_record_that_is_no_command_has_an_outcome_of_its_own() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let records = [script::pulse(0), vec![0, 1, 2, 3], Vec::new(), script::pulse(0)];
    script::append_one_group(journal.as_ref(), &records);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_sequence(4);
    engine.stop();
    let read = read_events(journal.as_ref());
    let malformed: Vec<u64> = read
        .commands
        .iter()
        .filter(|(_, _, events)| events.contains(&Event::Malformed))
        .map(|(sequence, _, _)| *sequence)
        .collect();
    assert_eq!(malformed, [2, 3]);
    assert_eq!(replayed(&journal, None).malformed, 2);
}

#[test]
fn a_record_of_a_newer_format_halts_before_anything_of_its_group_counts() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    script::append_one_group(journal.as_ref(), &[script::pulse(0)]);
    script::append_one_group(journal.as_ref(), &[script::pulse(0), vec![250, 1, 2, 3]]);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    let status = Arc::clone(&engine.status);
    let error = engine.wait_for_error();
    assert!(matches!(error, EngineError::NewerFormat { found: 250, .. }), "{error}");
    assert_eq!(status.sequence(), 1);
    assert!(status.halted_reason().unwrap().contains("format 250"));
}

#[test]
fn an_events_group_of_a_newer_format_halts() {
    let lived = lived(seed(46));
    let mut body = lived.events[3].records.packed().to_vec();
    body[4] = 99;
    let mut events = lived.events.clone();
    events[3].records = journal::Records::from_packed(body.into(), 1);
    let changed = rewritten(lived.journal.as_ref(), &lived.clock, &lived.commands, &events);
    let empty = tempfile::tempdir().unwrap();
    let engine = Running::start(config(empty.path()), &changed, &lived.clock);
    let error = engine.wait_for_error();
    assert!(matches!(error, EngineError::NewerFormat { found: 99, .. }), "{error}");
}
