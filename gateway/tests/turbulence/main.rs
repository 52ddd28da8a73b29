//! Several gateways over streams that misbehave by seed: citizens and operators call at once, while
//! commands are written twice, overtaken, late, or lost with or without their answer, and gateways are
//! started again. Whatever happens, every call is answered with its own outcome, or with 503.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod citizens;
mod operators;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::GroupsBefore;
use journal::memory::MemoryConfig;
use journal::turbulent::{
    Fault, Struck, Turbulence, TurbulentConfig, TurbulentJournal, lives, seeds,
};
use journal::{Health, Journal, MemoryJournal};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use citizens::Citizen;
use operators::Operator;
use support::shared::groups_before;
use support::{House, until};

/// Seeds of a usual run, and of `SLOTLINE_FAULTS=full`.
const SEEDS: (u64, u64) = (6, 200);
/// Seeds run at a time: most of a run is waiting.
const AT_A_TIME: usize = 3;
/// Gateways that misbehave, beside one that does not.
const GATEWAYS: u64 = 3;
/// Times between two looks at which gateways must be started again.
const ACTS: u64 = 4;
/// Citizens, each on a thread of their own.
const CITIZENS: u32 = 5;
/// Operators of each gateway: its one core has calls of several waiting.
const OPERATORS: u16 = 3;

/// What gateways go through. Operators' commands may come again at any time, too: what they set is then
/// set once more, but nobody is told so in the place of another.
const AT_SEA: Turbulence = Turbulence {
    repeat_once_in: 4,
    late_repeat_once_in: 4,
    stray_repeat_once_in: 6,
    hold_once_in: 6,
    lost_answer_once_in: 60,
    lost_group_once_in: 60,
    late_write_once_in: 60,
    lag_once_in: 6,
    overtaking_groups_max: 4,
    hold_ms_max: 3,
    lag_ms_max: 3,
};

/// A gateway process with its journal.
struct Process {
    house: House,
    journal: TurbulentJournal,
}

impl Process {
    fn start(journal: TurbulentJournal, groups: &GroupsBefore) -> Process {
        let seen: Arc<dyn Journal> = Arc::new(journal.clone());
        let house = House::unstarted(seen, Arc::clone(groups), |_| {});
        let mut process = Process { house, journal };
        process.begin();
        process
    }

    /// A start that meets a failure of its journal ends, and the next one follows when somebody tends to it.
    fn begin(&mut self) {
        if let Err(error) = self.house.try_start_gateway() {
            assert!(matches!(self.journal.health(), Health::Failed(_)), "{error}");
        }
    }

    /// Starts it again for as long as its journal fails before it is ready.
    fn tend(&mut self) {
        loop {
            let has_failed = || matches!(self.journal.health(), Health::Failed(_));
            let is_ready = || self.house.gateway.as_ref().is_some_and(|one| one.is_ready());
            until("a gateway is ready, or fails", || has_failed() || is_ready());
            if !has_failed() {
                return;
            }
            self.house.stop_gateway();
            self.journal = self.journal.reopen();
            self.house.journal = Arc::new(self.journal.clone());
            self.begin();
        }
    }
}

/// One country, from its first call to the audit: calls answered with an outcome, and faults.
fn live(seed: u64) -> ([usize; 2], Struck) {
    let streams: Arc<dyn Journal> = Arc::new(MemoryJournal::new(MemoryConfig::default()));
    let groups = groups_before(&streams);
    let calm =
        TurbulentJournal::new(Arc::clone(&streams), TurbulentConfig::new(seed, Turbulence::CALM));
    let steady = House::sharing(Arc::new(calm.clone()), Arc::clone(&groups), true, |_| {});
    let steady = steady.furnish(CITIZENS, &[100; citizens::SLOTS as usize]);
    let mut processes: Vec<Process> = (0..GATEWAYS)
        .map(|number| {
            let config = TurbulentConfig::new(seed.wrapping_mul(64).wrapping_add(number), AT_SEA);
            Process::start(calm.another(config), &groups)
        })
        .collect();
    let dice = |number: u32| ChaCha8Rng::seed_from_u64(seed << 16 | u64::from(number));
    let mut crowd: Vec<Citizen> = (1..=CITIZENS)
        .map(|serial| Citizen::new(serial, steady.registered(serial), dice(serial)))
        .collect();
    let mut desks: Vec<(usize, Operator)> = (0..GATEWAYS as usize)
        .flat_map(|gateway| (0..OPERATORS).map(move |desk| (gateway, desk)))
        .map(|(gateway, desk)| {
            let number = 100 + OPERATORS * gateway as u16 + desk;
            (gateway, Operator::new(number, dice(number.into())))
        })
        .collect();

    for _ in 0..ACTS {
        processes.iter_mut().for_each(Process::tend);
        let mut publics: Vec<SocketAddr> =
            processes.iter().map(|process| process.house.public).collect();
        publics.push(steady.public);
        std::thread::scope(|scope| {
            for citizen in &mut crowd {
                scope.spawn(|| citizen.act(&publics));
            }
            for (gateway, operator) in &mut desks {
                let client = processes[*gateway].house.operator();
                scope.spawn(|| operator.act(client));
            }
        });
    }

    let mut struck = Struck::default();
    for process in &mut processes {
        process.journal.set_faults(Turbulence::CALM);
        process.tend();
        struck += process.journal.struck();
    }
    calm.land();
    crowd.iter_mut().for_each(|citizen| citizen.finds_the_same_everywhere(&processes, &steady));
    let answered: Vec<_> = desks.into_iter().flat_map(|(_, desk)| desk.answered).collect();
    operators::audit(&streams, &steady, &answered);
    ([crowd.iter().map(|citizen| citizen.outcomes).sum(), answered.len()], struck)
}

#[test]
fn every_call_is_answered_with_its_own_outcome() {
    let seeds = seeds(SEEDS);
    let (mut outcomes, mut struck) = ([0, 0], Struck::default());
    for ([citizens, operators], faults) in lives(&seeds, AT_A_TIME, live) {
        outcomes[0] += citizens;
        outcomes[1] += operators;
        struck += faults;
    }
    println!("outcomes of citizens and operators: {outcomes:?}\n{struck}");
    if seeds.len() > 1 {
        // A test through which nothing went wrong proves nothing.
        let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Pause);
        assert_eq!(struck.missing(&faults.collect::<Vec<_>>()), []);
        assert!(outcomes.iter().all(|count| *count > 100), "{outcomes:?}");
    }
}
