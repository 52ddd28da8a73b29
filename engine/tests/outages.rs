//! A journal that is out of reach for a while halts nobody: what cannot be asked now is asked later.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::{Engine, EngineConfig, Phase};
use journal::away::{AwayJournal, Fault, Faults};
use journal::{Journal, Stream};
use support::running::{Running, config, replayed};
use support::script::{self, Dice};
use support::wrapped::Wrapped;
use support::{TestClock, memory, seed, wait_until};

/// A journal with some history, and the same one as seen through outages.
struct World {
    clock: TestClock,
    journal: Arc<dyn Journal>,
    through: Arc<dyn Journal>,
    outage: Arc<Faults>,
    dice: Dice,
}

fn world(default_seed: u64) -> World {
    let seed = seed(default_seed);
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let journal = memory(&clock);
    script::append_in_groups(journal.as_ref(), &script::whole(seed, 300), &mut dice, 50);
    let (through, outage) = AwayJournal::over(&journal);
    World { clock, journal, through, outage, dice }
}

impl World {
    fn append_some(&mut self, count: usize) {
        let records: Vec<_> = (0..count).map(|_| script::any(&mut self.dice)).collect();
        script::append_in_groups(self.journal.as_ref(), &records, &mut self.dice, 20);
    }

    /// Waits until so many more questions about a stream found nobody.
    fn wait_for_questions(&self, stream: Stream, more: u64) {
        let goal = self.outage.asked_in_vain(stream) + more;
        wait_until("asked in vain", || self.outage.asked_in_vain(stream) >= goal);
    }

    fn settle(&self, engine: &Running) {
        engine.wait_for_sequence(replayed(&self.journal, None).sequence);
    }
}

fn shared(folder: &Path) -> EngineConfig {
    EngineConfig { exclusive: false, ..config(folder) }
}

#[test]
fn an_engine_that_starts_in_an_outage_begins_when_it_is_over() {
    let world = world(71);
    let folder = tempfile::tempdir().unwrap();
    let clock = world.clock.source();
    let opened = Engine::open_with_clock(config(folder.path()), Arc::clone(&world.through), clock);
    world.outage.set_away(Stream::Commands, true);
    let engine = Running::of(opened.unwrap());
    world.wait_for_questions(Stream::Commands, 2);
    assert_eq!(engine.status.phase(), Phase::Replaying);
    world.outage.set_away(Stream::Commands, false);
    engine.wait_for_phase(Phase::Active);
    world.settle(&engine);
    engine.stop();
}

#[test]
fn a_standby_does_not_take_its_own_outage_for_the_silence_of_the_active_engine() {
    let mut world = world(72);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Running::start(shared(one.path()), &world.journal, &world.clock);
    first.wait_for_phase(Phase::Active);
    // Long beside the distance of pulses: a slow machine must not look like a dead engine.
    let patient = EngineConfig { takeover_ms: 2_000, ..shared(two.path()) };
    let second = Running::start(patient, &world.through, &world.clock);
    second.wait_for_phase(Phase::Standby);

    world.outage.set(Stream::Commands, Fault::Silent, true);
    world.outage.set_away(Stream::Commands, true);
    world.wait_for_questions(Stream::Commands, 1);
    world.append_some(100);
    world.outage.set_away(Stream::Commands, false);
    world.outage.set(Stream::Commands, Fault::Silent, false);
    world.settle(&second);
    assert_eq!((second.status.phase(), second.status.epoch()), (Phase::Standby, 1));
    assert_eq!(first.status.phase(), Phase::Active);

    // The next silence is the active engine's own, and an outage only delays what follows from it.
    world.outage.set_away(Stream::Commands, true);
    first.stop();
    world.wait_for_questions(Stream::Commands, 1);
    assert_eq!(second.status.phase(), Phase::Standby);
    world.outage.set_away(Stream::Commands, false);
    second.wait_for_phase(Phase::Active);
    world.append_some(100);
    world.settle(&second);
    second.stop();
}

#[test]
fn an_engine_whose_claim_won_in_an_outage_of_the_events_writes_when_it_is_over() {
    let mut world = world(73);
    let folder = tempfile::tempdir().unwrap();
    let clock = world.clock.source();
    let opened = Engine::open_with_clock(shared(folder.path()), Arc::clone(&world.through), clock);
    world.outage.set_away(Stream::Events, true);
    let engine = Running::of(opened.unwrap());
    world.wait_for_questions(Stream::Events, 2);
    assert_ne!(engine.status.phase(), Phase::Halted);
    world.outage.set_away(Stream::Events, false);
    engine.wait_for_phase(Phase::Active);
    world.append_some(100);
    world.settle(&engine);
    engine.stop();
    let found = replayed(&world.journal, Some(folder.path()));
    assert!(found.matches, "{:?}", found.differences);
}

#[test]
fn a_deposed_engine_reads_on_once_the_events_can_be_reached_again() {
    let mut world = world(74);
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let wrapped = Wrapped::new(&world.journal);
    let (paused, is_held) = (Arc::clone(&wrapped.paused), Arc::clone(&wrapped.is_held));
    let slow: Arc<dyn Journal> = Arc::new(wrapped);
    let (slow, outage) = AwayJournal::over(&slow);
    world.outage = outage;
    let first = Running::start(shared(one.path()), &slow, &world.clock);
    first.wait_for_phase(Phase::Active);
    paused.store(true, Ordering::SeqCst);
    world.append_some(50);
    wait_until("the first engine hangs", || is_held.load(Ordering::SeqCst));
    let second = Running::start(shared(two.path()), &world.journal, &world.clock);
    second.wait_for_phase(Phase::Active);

    world.outage.set_away(Stream::Events, true);
    paused.store(false, Ordering::SeqCst);
    first.wait_for_phase(Phase::Standby);
    world.append_some(100);
    world.settle(&second);
    world.wait_for_questions(Stream::Events, 2);
    assert_eq!(first.status.phase(), Phase::Standby);
    world.outage.set_away(Stream::Events, false);
    world.settle(&first);
    first.stop();
    second.stop();
    for folder in [one.path(), two.path()] {
        let found = replayed(&world.journal, Some(folder));
        assert!(found.matches, "{:?}", found.differences);
    }
}

#[test]
fn an_engine_told_to_stop_in_an_outage_stops_in_order() {
    for is_active in [true, false] {
        let world = world(75);
        let folder = tempfile::tempdir().unwrap();
        let mut config = shared(folder.path());
        if !is_active {
            config.takeover_ms = 600_000;
        }
        let engine = Running::start(config, &world.through, &world.clock);
        engine.wait_for_phase(if is_active { Phase::Active } else { Phase::Standby });
        for stream in Stream::ALL {
            world.outage.set_away(stream, true);
            world.outage.set(stream, Fault::Silent, true);
        }
        engine.stop();
    }
}
