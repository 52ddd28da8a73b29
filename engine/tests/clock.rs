//! The journal's clock is the only one that counts, and a live group far ahead of the machine's halts
//! the engine before it is applied.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use engine::Phase;
use journal::Journal;
use support::running::{Running, config, replayed};
use support::script;
use support::{TestClock, memory, wait_until};

/// Further than `clock_skew_ms_max`.
const FAR_MS: i64 = 60_000;

struct Held {
    journal_clock: TestClock,
    own_clock: TestClock,
    journal: Arc<dyn Journal>,
    folder: tempfile::TempDir,
    engine: Running,
    /// Commands before the one that is held.
    before: u64,
}

/// An engine that met a group from the future.
fn held() -> Held {
    let (journal_clock, own_clock) = (TestClock::new(), TestClock::new());
    let journal = memory(&journal_clock);
    let folder = tempfile::tempdir().unwrap();
    let engine = Running::start(config(folder.path()), &journal, &own_clock);
    engine.wait_for_phase(Phase::Active);
    journal_clock.advance(FAR_MS);
    script::append_one_group(journal.as_ref(), &[script::pulse(0)]);
    wait_until("the engine halts", || engine.status.phase() == Phase::Halted);
    let before = engine.status.sequence();
    Held { journal_clock, own_clock, journal, folder, engine, before }
}

#[test]
fn a_group_from_the_future_is_not_applied_until_somebody_accepts_the_time() {
    let held = held();
    let reason = held.engine.status.halted_reason().unwrap();
    assert!(reason.contains("clock_skew_ms_max") && reason.contains("accept-time"), "{reason}");
    assert!(replayed(&held.journal, None).sequence > held.before);
    assert_eq!(held.engine.status.sequence(), held.before);
    assert_eq!(held.engine.status.events_sequence(), held.before);

    assert!(held.engine.status.accept_time());
    wait_until("active again", || held.engine.status.phase() == Phase::Active);
    held.engine.wait_for_sequence(held.before + 1);
    assert_eq!(held.engine.status.halted_reason(), None);
    // The same offset is not asked about again, a further jump is.
    held.journal_clock.advance(100);
    held.own_clock.advance(100);
    let sequence = replayed(&held.journal, None).sequence + 1;
    script::append_one_group(held.journal.as_ref(), &[script::pulse(0)]);
    held.engine.wait_for_sequence(sequence);
    held.journal_clock.advance(FAR_MS);
    script::append_one_group(held.journal.as_ref(), &[script::pulse(0)]);
    wait_until("halted again", || held.engine.status.phase() == Phase::Halted);
    held.engine.stop();
}

#[test]
fn the_engine_goes_on_when_the_clocks_agree_again() {
    let held = held();
    held.own_clock.advance(FAR_MS);
    wait_until("active again", || held.engine.status.phase() == Phase::Active);
    held.engine.wait_for_sequence(held.before + 1);
    held.engine.stop();
    let found = replayed(&held.journal, Some(held.folder.path()));
    assert!(found.matches, "{:?}", found.differences);
}

#[test]
fn an_engine_held_by_the_time_stops_when_it_is_told_to() {
    let held = held();
    let status = Arc::clone(&held.engine.status);
    held.engine.stop();
    assert_eq!(status.sequence(), held.before);
    assert!(!status.accept_time());
}

#[test]
fn what_was_decided_before_is_not_judged_again() {
    let clock = TestClock::new();
    let journal = memory(&clock);
    let folder = tempfile::tempdir().unwrap();
    let script = script::whole(7, 200);
    script::append_one_group(journal.as_ref(), &script);
    let engine = Running::start(config(folder.path()), &journal, &clock);
    engine.wait_for_sequence(script.len() as u64);
    engine.stop();
    let decided = replayed(&journal, None).sequence;

    // A machine whose clock is behind replays everything, and halts at the first live group.
    let late = TestClock::new();
    late.advance(-FAR_MS);
    let empty = tempfile::tempdir().unwrap();
    let engine = Running::start(config(empty.path()), &journal, &late);
    wait_until("the engine halts", || engine.status.phase() == Phase::Halted);
    assert_eq!(engine.status.sequence(), decided);
    engine.stop();
}

#[test]
fn the_own_clock_being_ahead_harms_nobody() {
    let (journal_clock, own_clock) = (TestClock::new(), TestClock::new());
    own_clock.advance(365 * 86_400_000);
    let journal = memory(&journal_clock);
    let folder = tempfile::tempdir().unwrap();
    script::append_one_group(journal.as_ref(), &script::whole(8, 50));
    let engine = Running::start(config(folder.path()), &journal, &own_clock);
    engine.wait_for_phase(Phase::Active);
    engine.stop();
}
