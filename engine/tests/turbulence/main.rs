//! Gateways and engines over streams that behave as Kafka does in the large: groups of several
//! producers in any order, written twice, lost with or without their answer, late; an engine that was
//! paused and wakes up deposed. None of it may show in what was decided.
//!
//! One seed is one country: people book, move, cancel and repeat themselves through several gateways
//! while engines are paused, killed and replaced. Then everything is compared: with the naive twin of
//! the rules, with plain counters, between readers, and with a replay.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod audit;
mod crowd;
mod engines;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../domain/tests/twin/mod.rs"]
#[allow(dead_code)]
mod twin;

use std::sync::Arc;

use journal::Stream;
use journal::turbulent::{
    Fault, Struck, Turbulence, TurbulentConfig, TurbulentJournal, lives, seeds,
};

use audit::{Audited, Watcher};
use crowd::Crowd;
use engines::Engines;
use support::script::{self, Dice};
use support::{TestClock, copies::groups, memory, wait_until};

/// Seeds of a usual run, and of `SLOTLINE_FAULTS=full`.
const SEEDS: (u64, u64) = (24, 1_000);
/// Seeds run at a time: most of a run is waiting.
const AT_A_TIME: usize = 4;
/// Incidents in one country.
const ACTS: u64 = 4;
/// Requests between two of them.
const REQUESTS: u64 = 40;

/// What gateways go through. Citizens' commands carry retry keys, so that a repetition may come at any
/// time.
const AT_SEA: Turbulence = Turbulence {
    repeat_once_in: 8,
    late_repeat_once_in: 10,
    stray_repeat_once_in: 10,
    hold_once_in: 4,
    lost_answer_once_in: 25,
    lost_group_once_in: 25,
    late_write_once_in: 25,
    lag_once_in: 6,
    overtaking_groups_max: 4,
    hold_ms_max: 3,
    lag_ms_max: 3,
};

/// What engines go through: a little less often, or none would be active for long.
const IN_SWELL: Turbulence = Turbulence {
    lost_answer_once_in: 150,
    lost_group_once_in: 150,
    late_write_once_in: 150,
    ..AT_SEA
};

/// One country, from its first command to the audit.
fn live(seed: u64) -> (Audited, Struck) {
    let mut dice = Dice::new(seed);
    let clock = TestClock::new();
    let streams = memory(&clock);
    let operator =
        TurbulentJournal::new(Arc::clone(&streams), TurbulentConfig::new(seed, Turbulence::CALM));
    // Operators' commands carry no keys: what they write is written once, in its order.
    script::append_in_groups(&operator, &script::opening(), &mut dice, 8);
    let process = |number: u64, faults| {
        operator.another(TurbulentConfig::new(seed.wrapping_mul(64).wrapping_add(number), faults))
    };
    let watchers: Vec<Watcher> =
        (0..2).map(|number| Watcher::start(process(20 + number, AT_SEA))).collect();
    let mut engines = Engines::start([process(10, IN_SWELL), process(11, IN_SWELL)], &clock);
    let gateways = (0..3).map(|number| process(number, AT_SEA)).collect();
    let mut crowd = Crowd::new(gateways, operator.clone(), dice.clone());

    for _ in 0..ACTS {
        let mut meanwhile = |engines: &mut Engines| {
            for _ in 0..REQUESTS / 4 {
                crowd.step();
                clock.advance(1);
            }
            crowd.tend();
            engines.tend();
        };
        meanwhile(&mut engines);
        match dice.below(4) {
            0 => engines.pause_the_active(&mut meanwhile),
            1 => engines.pause_the_standby(&mut meanwhile),
            2 => engines.kill_the_active(),
            _ => {}
        }
        (0..3).for_each(|_| meanwhile(&mut engines));
    }

    let calm = |journal: &TurbulentJournal| journal.set_faults(Turbulence::CALM);
    crowd.journals().chain(engines.journals()).for_each(calm);
    operator.land();
    wait_until("everything is acknowledged", || {
        engines.tend();
        crowd.tend();
        crowd.send_what_is_unanswered()
    });
    let commands: usize =
        groups(&*streams, Stream::Commands).iter().map(|group| group.records.len()).sum();
    engines.settle(commands as u64);
    let (takeovers, restarts) = (engines.takeovers, engines.restarts);
    let folders = engines.stop();
    let mut struck = Struck::default();
    crowd.journals().for_each(|journal| struck += journal.struck());
    folders.iter().for_each(|(_, journal)| struck += journal.struck());
    let seen: Vec<_> = watchers
        .into_iter()
        .map(|watcher| {
            struck += watcher.journal.struck();
            watcher.finish(commands as u64)
        })
        .collect();
    let lagging = process(30, AT_SEA);
    let mut audited = audit::audit(&streams, &lagging, &crowd, &folders, &seen, commands as u64);
    audited.takeovers = takeovers;
    audited.restarts = restarts;
    (audited, struck)
}

#[test]
fn nothing_that_a_large_kafka_does_shows_in_what_was_decided() {
    let seeds = seeds(SEEDS);
    let (mut audited, mut struck) = (Audited::default(), Struck::default());
    for (one, faults) in lives(&seeds, AT_A_TIME, live) {
        audited += one;
        struck += faults;
    }
    println!("{audited}\n{struck}");
    if seeds.len() > 1 {
        // A test through which nothing went wrong, or in which nobody wanted anything, proves nothing.
        assert_eq!(struck.missing(&Fault::ALL), []);
        assert_eq!(audited.missing(), Vec::<&str>::new());
    }
}
