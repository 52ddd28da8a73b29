//! Whatever becomes of the checkpoint, the journal gives the same state again; and a checkpoint that
//! does not fit the journal halts the engine with words that name the reason.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::Arc;

use engine::{EngineError, Phase};
use journal::{Journal, JournalId, Position, Stream};
use support::copies::{flipped, groups, rewritten};
use support::running::{Running, config, replayed};
use support::script::{self, Dice};
use support::wrapped::Wrapped;
use support::{TestClock, copy_folder, memory, rounds, seed, wait_until};

/// A journal with history, and the folder of an engine that was stopped in order.
struct Lived {
    clock: TestClock,
    journal: Arc<dyn Journal>,
    folder: tempfile::TempDir,
}

/// Runs an engine over a script in two stretches, so that two checkpoints stand at different places.
fn lived(seed: u64) -> Lived {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice::new(seed);
    let script = script::whole(seed, 1_500);
    let (front, back) = script.split_at(script.len() / 2);
    for part in [front, back] {
        script::append_in_groups(journal.as_ref(), part, &mut dice, 40);
        let engine = Running::start(config(folder.path()), &journal, &clock);
        engine.wait_for_phase(Phase::Active);
        engine.stop();
    }
    Lived { clock, journal, folder }
}

fn checkpoint_folder(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("checkpoint")
}

/// Starts an engine, lets it become active, stops it, and compares everything.
fn comes_up_right(journal: &Arc<dyn Journal>, folder: &Path, clock: &TestClock, what: &str) {
    let engine = Running::start(config(folder), journal, clock);
    engine.wait_for_phase(Phase::Active);
    engine.stop();
    let found = replayed(journal, Some(folder));
    assert!(found.matches, "{what}: {:?}", found.differences);
    assert_eq!(found.events_sequence, found.sequence, "{what}");
    assert_eq!(found.checkpoint_sequence, Some(found.sequence), "{what}");
}

fn refusal(journal: &Arc<dyn Journal>, folder: &Path, clock: &TestClock) -> EngineError {
    match Running::try_start(config(folder), journal, clock) {
        Ok(engine) => engine.wait_for_error(),
        Err(error) => error,
    }
}

#[test]
fn a_restart_continues_from_the_checkpoint() {
    let lived = lived(seed(21));
    let before = replayed(&lived.journal, None).sequence;
    let engine = Running::start(config(lived.folder.path()), &lived.journal, &lived.clock);
    assert!(engine.status.checkpoint_sequence() >= before);
    engine.wait_for_phase(Phase::Active);
    engine.stop();
}

#[test]
fn a_deleted_checkpoint_is_rebuilt_from_the_journal() {
    let lived = lived(seed(22));
    std::fs::remove_dir_all(checkpoint_folder(lived.folder.path())).unwrap();
    comes_up_right(&lived.journal, lived.folder.path(), &lived.clock, "deleted");
}

#[test]
fn a_damaged_checkpoint_is_rebuilt_from_the_journal() {
    let seed = seed(23);
    let mut dice = Dice::new(seed);
    let lived = lived(seed);
    let mut set_aside = 0;
    for round in 0..rounds(24, 500) {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(lived.folder.path(), copy.path());
        let what = damage(&checkpoint_folder(copy.path()), &mut dice);
        comes_up_right(
            &lived.journal,
            copy.path(),
            &lived.clock,
            &format!("round {round}: {what}"),
        );
        set_aside += u32::from(copy.path().join("checkpoint.damaged").exists());
    }
    assert!(set_aside > 0, "some damage must have been noticed");
}

/// Flips a byte of, shortens or removes one file of the store.
fn damage(folder: &Path, dice: &mut Dice) -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            path.is_file() && name != "LOCK" && !name.starts_with("LOG")
        })
        .collect();
    files.sort();
    let path = &files[dice.below(files.len() as u64) as usize];
    let mut bytes = std::fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    if bytes.is_empty() || dice.below(8) == 0 {
        std::fs::remove_file(path).unwrap();
        return format!("{name} removed");
    }
    let place = dice.below(bytes.len() as u64) as usize;
    if dice.below(4) == 0 {
        bytes.truncate(place);
        std::fs::write(path, &bytes).unwrap();
        return format!("{name} cut to {place} bytes");
    }
    bytes[place] ^= 1 << dice.below(8);
    std::fs::write(path, &bytes).unwrap();
    format!("{name} byte {place} flipped")
}

#[test]
fn another_journals_checkpoint_halts() {
    let lived = lived(seed(24));
    let mut other = Wrapped::new(&lived.journal);
    other.id = Some(JournalId([0xAB; 16]));
    let other: Arc<dyn Journal> = Arc::new(other);
    let error = refusal(&other, lived.folder.path(), &lived.clock);
    assert!(matches!(error, EngineError::OtherJournal { .. }), "{error}");
}

#[test]
fn swapped_journals_halt() {
    let (one, two) = (lived(seed(25)), lived(seed(26)));
    let error = refusal(&two.journal, one.folder.path(), &one.clock);
    assert!(
        matches!(
            error,
            EngineError::OtherJournal { .. }
                | EngineError::OtherHistory { .. }
                | EngineError::CheckpointAhead { .. }
        ),
        "{error}"
    );
}

#[test]
fn a_checkpoint_ahead_of_the_journal_halts() {
    let lived = lived(seed(27));
    let commands = groups(lived.journal.as_ref(), Stream::Commands);
    let events = groups(lived.journal.as_ref(), Stream::Events);
    let short = rewritten(
        lived.journal.as_ref(),
        &lived.clock,
        &commands[..commands.len() - 3],
        &events[..commands.len() - 3],
    );
    let error = refusal(&short, lived.folder.path(), &lived.clock);
    assert!(matches!(error, EngineError::CheckpointAhead { .. }), "{error}");
}

#[test]
fn another_last_group_than_the_checkpoints_halts() {
    let lived = lived(seed(28));
    let mut commands = groups(lived.journal.as_ref(), Stream::Commands);
    let events = groups(lived.journal.as_ref(), Stream::Events);
    let last = commands.len() - 1;
    commands[last] = flipped(&commands[last], 6);
    let changed = rewritten(lived.journal.as_ref(), &lived.clock, &commands, &events);
    let error = refusal(&changed, lived.folder.path(), &lived.clock);
    assert!(matches!(error, EngineError::OtherHistory { .. }), "{error}");
}

#[test]
fn a_missing_start_of_the_journal_halts_an_engine_without_checkpoint() {
    let lived = lived(seed(29));
    let mut trimmed = Wrapped::new(&lived.journal);
    trimmed.has_no_start = true;
    let trimmed: Arc<dyn Journal> = Arc::new(trimmed);
    let empty = tempfile::tempdir().unwrap();
    let error = refusal(&trimmed, empty.path(), &lived.clock);
    assert!(matches!(error, EngineError::MissingStart { .. }), "{error}");
    // With a checkpoint the start is not needed.
    let engine = Running::start(config(lived.folder.path()), &trimmed, &lived.clock);
    engine.wait_for_phase(Phase::Active);
    engine.stop();
}

#[test]
fn a_gap_between_groups_halts() {
    let lived = lived(seed(30));
    let mut holed = Wrapped::new(&lived.journal);
    let commands = groups(lived.journal.as_ref(), Stream::Commands);
    holed.left_out = Some(commands[commands.len() / 2].position);
    let holed: Arc<dyn Journal> = Arc::new(holed);
    let empty = tempfile::tempdir().unwrap();
    let error = refusal(&holed, empty.path(), &lived.clock);
    assert!(matches!(error, EngineError::Gap { .. }), "{error}");
}

#[test]
fn two_engines_cannot_share_a_checkpoint() {
    let lived = lived(seed(31));
    let engine = Running::start(config(lived.folder.path()), &lived.journal, &lived.clock);
    let error = refusal(&lived.journal, lived.folder.path(), &lived.clock);
    assert!(matches!(error, EngineError::StoreLocked { .. }), "{error}");
    engine.stop();
}

#[test]
fn checkpoints_are_taken_while_commands_come_in_and_never_reach_beyond_the_events() {
    let seed = seed(32);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_phase(Phase::Active);
    let mut dice = Dice::new(seed);
    let mut seen = 0;
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 0), &mut dice, 100);
    for _ in 0..5 {
        let records: Vec<_> = (0..300).map(|_| script::any(&mut dice)).collect();
        script::append_in_groups(journal.as_ref(), &records, &mut dice, 60);
        wait_until("a newer checkpoint", || engine.status.checkpoint_sequence() > seen);
        seen = engine.status.checkpoint_sequence();
        let durable = support::read_events(journal.as_ref()).commands.len() as u64;
        assert!(durable >= seen, "events durable through {durable}, checkpoint at {seen}");
    }
    engine.stop();
    assert_ne!(journal.durable_end(Stream::Events).unwrap(), Position::START);
}

#[test]
fn bookings_go_on_when_checkpoints_fail_and_the_next_start_rebuilds() {
    let seed = seed(33);
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_phase(Phase::Active);
    std::fs::remove_dir_all(checkpoint_folder(folder.path())).unwrap();
    let mut dice = Dice::new(seed);
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 500), &mut dice, 100);
    wait_until("the checkpoint fails", || engine.status.checkpoint_failure().is_some());
    let records: Vec<_> = (0..500).map(|_| script::any(&mut dice)).collect();
    script::append_in_groups(journal.as_ref(), &records, &mut dice, 60);
    engine.wait_for_sequence(replayed(&journal, None).sequence);
    assert_eq!(engine.status.phase(), Phase::Active);
    engine.stop();
    // A broken store is closed by the end of its process; this one goes on elsewhere.
    let elsewhere = tempfile::tempdir().unwrap();
    comes_up_right(&journal, elsewhere.path(), &clock, "after a failed checkpoint");
}

#[test]
fn a_failed_write_of_events_halts_the_engine_and_the_next_start_writes_them() {
    let seed = seed(34);
    let clock = TestClock::new();
    let inner = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let wrapped = Wrapped::new(&inner);
    let refuse = Arc::clone(&wrapped.refuse_events);
    let journal: Arc<dyn Journal> = Arc::new(wrapped);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_phase(Phase::Active);
    refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    let script = script::whole(seed, 500);
    script::append_in_groups(journal.as_ref(), &script, &mut Dice::new(seed), 60);
    let status = Arc::clone(&engine.status);
    let error = engine.wait_for_error();
    assert!(matches!(error, EngineError::Journal(_)), "{error}");
    assert_eq!(status.phase(), Phase::Halted);
    assert!(status.halted_reason().unwrap().contains("the disk is full"));
    comes_up_right(&inner, folder.path(), &clock, "after a failed write");
}

#[test]
fn an_engine_whose_journal_failed_lets_go_of_its_store() {
    let seed = seed(35);
    let clock = TestClock::new();
    let inner = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let mut wrapped = Wrapped::new(&inner);
    wrapped.syncs_fail = true;
    let lose = Arc::clone(&wrapped.lose);
    let journal: Arc<dyn Journal> = Arc::new(wrapped);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_phase(Phase::Active);
    lose.store(1, std::sync::atomic::Ordering::SeqCst);
    let script = script::whole(seed, 500);
    script::append_in_groups(journal.as_ref(), &script, &mut Dice::new(seed), 60);
    wait_until("no checkpoint is taken", || engine.status.checkpoint_failure().is_some());
    let error = engine.end().unwrap_err();
    assert!(matches!(error, EngineError::Journal(_)), "{error}");
    comes_up_right(&inner, folder.path(), &clock, "after a failed sync");
}

#[test]
fn an_idle_active_engine_keeps_writing_pulses_of_its_epoch() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_phase(Phase::Active);
    let before = engine.status.sequence();
    wait_until("ten pulses", || engine.status.sequence() >= before + 10);
    engine.stop();
    let records = groups(journal.as_ref(), Stream::Commands);
    let pulses = records.iter().flat_map(|group| group.records.iter().map(<[u8]>::to_vec));
    assert!(pulses.filter(|record| *record == script::pulse(1)).count() >= 10);
}
