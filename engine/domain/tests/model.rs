//! The fast state and the view against the naive twin, over random commands.
//!
//! Every command is decided twice and must give the same events; every event, after a passage through
//! its bytes, is folded into the view, which must then answer as the twin does. At the end everything
//! that can happen must have happened often enough for the agreement to mean something.
//!
//! `SLOTLINE_MODEL_COMMANDS` sets how many commands, `SLOTLINE_SEED` repeats a run.

// Tests may read a seed from the environment and print it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agreement;
mod both;
mod support;
mod twin;
mod world;

use std::collections::BTreeMap;

use domain::{Attendance, BookingNumber, Command, Event, Millis, OperatorRefusal, Rejection};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use both::Both;
use world::World;

/// Commands of an ordinary run.
const COMMANDS: u64 = 200_000;

/// Commands of the run that looks for faults (`SLOTLINE_FAULTS=full`).
const COMMANDS_FULL: u64 = 1_000_000;

/// Commands of one world.
const WORLD_COMMANDS: u64 = 2_500;

/// Commands between two rounds of all questions.
const QUESTIONS_INTERVAL_COMMANDS: u64 = 400;

/// People of a day on which nobody comes: more than one pulse announces.
const CROWD: u32 = 2_500;

/// How often everything must have happened in an ordinary run, at least.
const SIGHTINGS_MIN: u64 = 20;

#[test]
fn state_and_view_agree_with_the_naive_twin() {
    let mut rng = support::seeded("state_and_view_agree_with_the_naive_twin");
    let commands = commands();
    let mut sightings = Sightings::default();
    let mut left = commands;
    while left > 0 {
        let length = left.min(WORLD_COMMANDS);
        // Each world has its own generator, so that a failing one is small to look at.
        let mut own = ChaCha8Rng::seed_from_u64(rng.random());
        live_through(&mut own, length, &mut sightings);
        left -= length;
    }
    println!("{commands} commands: {:?}", sightings.counts);
    if commands >= COMMANDS {
        sightings.assert_everything_was_seen();
    }
}

#[test]
fn a_crowd_that_does_not_come_is_announced_in_portions_by_both() {
    let (mut both, at) = (Both::default(), world::FIRST_DAY.starts_at());
    both.open_a_slot_for(CROWD, at);
    for number in 0..CROWD {
        both.apply(&world::registration(number), at);
        both.apply(&world::booking(number), at);
    }
    let next_day = world::FIRST_DAY.ends_at();
    let mut portions = Vec::new();
    for pulse in 0..6 {
        // Some come after all, while the portions are under way.
        let rows = (0..20)
            .map(|place| Attendance {
                booking: BookingNumber(pulse * 20 + place + CROWD / 2),
                attended_at: Millis(next_day.0 - 1),
            })
            .collect();
        both.apply(&Command::Attend { rows }, next_day);
        let events = both.apply(&Command::Pulse { epoch: 1 }, next_day);
        portions.push(events.iter().filter(|event| matches!(event, Event::NoShow { .. })).count());
    }
    assert!(portions[0] < CROWD as usize && portions[1] > 0, "{portions:?}");
    let announced: usize = portions.iter().sum();
    let no_shows = both.view.figures().total.no_shows as usize;
    assert!(no_shows <= announced && announced < CROWD as usize, "{portions:?}");
    for (number, known) in &both.twin.bookings {
        assert!(known.attended || known.announced_no_show, "{number:?}");
    }
    assert_eq!(no_shows + both.view.figures().total.attended as usize, CROWD as usize);
}

#[test]
fn large_imports_take_effect_in_the_same_portions_by_both() {
    let (mut both, at) = (Both::default(), world::FIRST_DAY.starts_at());
    both.open_a_slot_for(5, at);
    let mut portions = BTreeMap::new();
    for command in world::large_imports() {
        for event in both.apply(&command, at) {
            *portions.entry(kind_of(&event)).or_insert(0) += 1;
        }
    }
    let of = |kind: &str| portions.get(kind).copied().unwrap_or(0);
    assert_eq!((of("SitesPut"), of("SlotsPut"), of("MembersPut")), (3, 3, 3));
    assert_eq!((of("ImportCommitted"), of("Numbered")), (3, 9_000));
    assert_eq!(both.view.contradictions(), 0);
    let (view, twin) = (&both.view, &both.twin);
    assert_eq!(view.figures().places, 4_500 * 3);
    assert!(twin.slots.iter().all(|(number, slot)| view.catalogue.slot(*number) == Some(slot)));
    assert!(twin.people.iter().all(|(key, number)| view.person_number(key) == Some(*number)));
    let listed = twin.people.values().filter(|number| view.memberships(**number) == 1);
    assert_eq!(listed.count(), 9_000);
}

/// How many commands to try.
fn commands() -> u64 {
    let full = std::env::var("SLOTLINE_FAULTS").is_ok_and(|word| word == "full");
    match std::env::var("SLOTLINE_MODEL_COMMANDS") {
        Ok(text) => text.parse().expect("SLOTLINE_MODEL_COMMANDS is a number"),
        Err(_) if full => COMMANDS_FULL,
        Err(_) => COMMANDS,
    }
}

/// One world from its first command on.
fn live_through(rng: &mut ChaCha8Rng, commands: u64, sightings: &mut Sightings) {
    let mut world = World::new(rng);
    let mut both = Both::default();
    for number in 1..=commands {
        let (at, command) = world.next(rng, &both.twin);
        let events = match &command {
            Some(command) => both.apply(command, at),
            None => both.apply_malformed(at),
        };
        events.iter().for_each(|event| sightings.see(event));
        let (view, twin) = (&both.view, &both.twin);
        for person in events.iter().filter_map(person_of) {
            agreement::about_a_person(view, twin, person, twin.now(), world.periods);
        }
        if number % QUESTIONS_INTERVAL_COMMANDS == 0 || number == commands {
            let later = Millis(twin.now().0 + rng.random_range(0..3 * 24) * world::HOUR_MS);
            for instant in [twin.now(), later] {
                agreement::about_everything(view, twin, &world, rng, instant);
            }
        }
    }
}

/// Whom an event concerns most.
fn person_of(event: &Event) -> Option<domain::PersonNumber> {
    match event {
        Event::Confirmed { person, .. }
        | Event::Changed { person, .. }
        | Event::Cancelled { person, .. }
        | Event::Registered { person, .. }
        | Event::Modified { person, .. }
        | Event::Withdrawn { person, .. }
        | Event::Attended { person, .. }
        | Event::NoShow { person, .. }
        | Event::BirthCorrected { person, .. } => Some(*person),
        _ => None,
    }
}

/// What happened how often.
#[derive(Debug, Default)]
struct Sightings {
    counts: BTreeMap<String, u64>,
}

impl Sightings {
    fn see(&mut self, event: &Event) {
        let name = match event {
            Event::Rejected { reason, .. } => format!("Rejected({reason:?})"),
            Event::OperatorRefused { reason, .. } => format!("OperatorRefused({reason:?})"),
            Event::Changed { from, to, .. } if from == to => "Changed to the slot held".to_owned(),
            other => kind_of(other).to_owned(),
        };
        *self.counts.entry(name).or_default() += 1;
    }

    fn assert_everything_was_seen(&self) {
        let rejections = Rejection::ALL.iter().map(|reason| format!("Rejected({reason:?})"));
        let refusals =
            OperatorRefusal::ALL.iter().map(|reason| format!("OperatorRefused({reason:?})"));
        let kinds = KINDS.iter().map(|kind| (*kind).to_owned());
        let expected = rejections.chain(refusals).chain(kinds);
        let rare: Vec<(String, u64)> = expected
            .map(|name| (name.clone(), self.counts.get(&name).copied().unwrap_or(0)))
            .filter(|(_, count)| *count < SIGHTINGS_MIN)
            .collect();
        assert!(rare.is_empty(), "seen fewer than {SIGHTINGS_MIN} times: {rare:?}");
    }
}

/// Every kind of event that this build can give rise to. It knows one version of the rules, which is
/// in force from the beginning, so `RulesActivated` cannot happen.
const KINDS: [&str; 26] = [
    "Numbered",
    "Confirmed",
    "Changed",
    "Changed to the slot held",
    "Cancelled",
    "Registered",
    "AlreadyRegistered",
    "Modified",
    "Withdrawn",
    "Repeated",
    "KeyReused",
    "Attended",
    "NoShow",
    "CategoryPut",
    "PeriodPut",
    "VaccineNamed",
    "ImportStaged",
    "SitesPut",
    "SlotsPut",
    "MembersPut",
    "ImportCommitted",
    "ImportVoided",
    "CapacitySet",
    "BirthCorrected",
    "EpochBegan",
    "Malformed",
];

fn kind_of(event: &Event) -> &'static str {
    match event {
        Event::Numbered { .. } => "Numbered",
        Event::Confirmed { .. } => "Confirmed",
        Event::Changed { .. } => "Changed",
        Event::Cancelled { .. } => "Cancelled",
        Event::Registered { .. } => "Registered",
        Event::AlreadyRegistered { .. } => "AlreadyRegistered",
        Event::Modified { .. } => "Modified",
        Event::Withdrawn { .. } => "Withdrawn",
        Event::Rejected { .. } => "Rejected",
        Event::Repeated { .. } => "Repeated",
        Event::KeyReused { .. } => "KeyReused",
        Event::Attended { .. } => "Attended",
        Event::NoShow { .. } => "NoShow",
        Event::CategoryPut { .. } => "CategoryPut",
        Event::PeriodPut { .. } => "PeriodPut",
        Event::VaccineNamed { .. } => "VaccineNamed",
        Event::ImportStaged { .. } => "ImportStaged",
        Event::SitesPut { .. } => "SitesPut",
        Event::SlotsPut { .. } => "SlotsPut",
        Event::MembersPut { .. } => "MembersPut",
        Event::ImportCommitted { .. } => "ImportCommitted",
        Event::ImportVoided { .. } => "ImportVoided",
        Event::CapacitySet { .. } => "CapacitySet",
        Event::BirthCorrected { .. } => "BirthCorrected",
        Event::OperatorRefused { .. } => "OperatorRefused",
        Event::EpochBegan { .. } => "EpochBegan",
        Event::RulesActivated { .. } => "RulesActivated",
        Event::Malformed => "Malformed",
    }
}
