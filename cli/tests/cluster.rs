//! The product on three brokers, every part twice, while brokers, engines, notifiers and gateways die,
//! freeze and come back in the middle of a surge: nothing acknowledged is lost, nothing is oversold, no
//! confirmation or text is missing or doubled, and decisions flow again in time.
//!
//! The load test's auditor is the judge, after every wave of people.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use support::cluster::faults::{Fault, Scene};
use support::cluster::flow::Times;
use support::cluster::{Installation, Wave, WaveSize, confirmations};
use support::{Folder, full_counts, next, seed, wait_until};

/// Decisions flow again within this time, as promised …
const PROMISED: Duration = Duration::from_secs(30);
/// … and at the latest, on a machine that is slow or busy with other things.
const LIMIT: Duration = Duration::from_secs(180);
/// A fault begins only while people come for so long, so that somebody asks when it is over.
const FAULT_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_surge_survives_the_death_of_every_part() {
    let mut random = seed();
    let folder = Folder::new("cluster");
    let installation = Installation::start(&folder.0);
    let plan = if full_counts() { every_fault(&mut random) } else { one_of_each(&mut random) };
    let (rate, seconds) = if full_counts() { (100, 400) } else { (100, 150) };
    let people_seed = next(&mut random) >> 1;
    let mut times = BTreeMap::<Fault, Times>::new();
    let mut faults = plan.into_iter().peekable();
    for number in 0.. {
        if faults.peek().is_none() {
            break;
        }
        let size = WaveSize { seed: people_seed, number, rate, seconds };
        let wave = Wave::start(&installation, &folder.0, size);
        let mut flow = wave.flow();
        while wave.time_left() > FAULT_MAX {
            let Some(fault) = faults.next() else { break };
            let mut scene = Scene {
                installation: &installation,
                flow: &mut flow,
                random: &mut random,
                limit: LIMIT,
            };
            let took = scene.happens(fault);
            println!("{fault:?}: decisions again after {:.2} s", took.as_secs_f64());
            if took > PROMISED {
                println!("  that is more than the promised {PROMISED:?}");
            }
            times.entry(fault).or_default().note(took);
            installation.assert_nothing_halted();
            // So that faults meet every phase of what runs by itself.
            std::thread::sleep(Duration::from_millis(next(&mut random) % 1_000));
        }
        wave.end();
        let report = wave.assert_audit_passes();
        println!("wave {number}: {}", audit_line(&report));
        engines_agree(&installation);
        let found = confirmations::judge(&installation);
        println!("wave {number}: the topic holds {found:?}");
        assert_replay_matches(&installation);
    }
    for (fault, times) in &mut times {
        println!("{fault:?}: {}", times.show());
    }
    for member in installation.members() {
        let unordered = member.unordered();
        println!("{}: {} KiB, ended by itself {unordered:?}", member.name, member.memory_kib());
    }
}

/// The short plan: each fault once, in an order of chance.
fn one_of_each(random: &mut u64) -> Vec<Fault> {
    use Fault::*;
    let all = [
        BrokerStop,
        LeaderKill,
        LeaderPause,
        EngineKill,
        EnginePair,
        NotifierKill,
        GatewayKill,
        EnginePause,
        NotifierPause,
        GatewayPause,
    ];
    shuffled(all.to_vec(), random)
}

/// The full plan.
fn every_fault(random: &mut u64) -> Vec<Fault> {
    use Fault::*;
    let counts = [
        (BrokerStop, 10),
        (BrokerKill, 10),
        (LeaderKill, 10),
        (LeaderPause, 5),
        (EngineKill, 10),
        (EnginePair, 20),
        (NotifierKill, 10),
        (GatewayKill, 10),
        (EnginePause, 8),
        (NotifierPause, 8),
        (GatewayPause, 4),
    ];
    let all = counts.iter().flat_map(|(fault, count)| std::iter::repeat_n(*fault, *count));
    shuffled(all.collect(), random)
}

fn shuffled(mut faults: Vec<Fault>, random: &mut u64) -> Vec<Fault> {
    for place in (1..faults.len()).rev() {
        faults.swap(place, (next(random) % (place as u64 + 1)) as usize);
    }
    faults
}

fn audit_line(report: &str) -> &str {
    report.lines().find(|line| line.starts_with("audit ")).unwrap_or_default()
}

/// The standby has computed what the active engine has, and compared it.
fn engines_agree(installation: &Installation) {
    let engines = &installation.engines;
    let sequence = |place: usize| engines[place].figure("slotline_engine_sequence");
    let (active, standby) = Installation::active_of(engines);
    let mut reached = None;
    wait_until("the active engine says how far it has come", || {
        reached = sequence(active);
        reached.is_some()
    });
    wait_until("the standby has come as far", || sequence(standby) >= reached);
    installation.assert_nothing_halted();
}

/// The whole chain, rehashed from the topics: what stands in `events` is what `commands` give.
fn assert_replay_matches(installation: &Installation) {
    let (status, found) = installation.fleet.replay();
    assert!(status.success() && found["matches"] == true, "replay differs: {found}");
    println!("replay: {} commands, {} events match", found["sequence"], found["events"]);
}
