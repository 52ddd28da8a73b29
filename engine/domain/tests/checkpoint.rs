//! A view made again of a checkpoint, and of the events since, answers every question as the naive twin
//! does, whenever and however slowly the checkpoint was taken; damaged bytes make no view.
//!
//! `SLOTLINE_CHECKPOINT_COMMANDS` sets how many commands, `SLOTLINE_SEED` repeats a run.

// Tests may read a seed from the environment and print it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod agreement;
mod both;
mod support;
mod twin;
mod world;

use domain::view::checkpoint::{
    self, BadCheckpoint, Capture, CaptureLost, FORMAT, NOTE_BYTES_MAX, seal_again,
};
use domain::{
    Command, Day, Event, Fingerprint, KeyHash, Millis, PeriodNumber, PersonNumber, PersonRef,
    RetryKey, Sequence, SiteNumber, SlotNumber, View,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use both::Both;
use world::World;

/// Commands of an ordinary run.
const COMMANDS: u64 = 120_000;

/// Commands of one world.
const WORLD_COMMANDS: u64 = 2_000;

/// Checkpoints with other bytes behind right checks that are loaded.
const FORGED_CHECKPOINTS: usize = 20_000;

/// How often each of the following must have happened in an ordinary run.
const SIGHTINGS_MIN: u64 = 50;

#[test]
fn a_checkpoint_taken_while_commands_come_in_and_the_events_since_make_the_same_view() {
    let mut rng = support::seeded("checkpoint");
    let mut seen = Sightings::default();
    let mut left = commands();
    while left > 0 {
        let length = left.min(WORLD_COMMANDS);
        let mut own = ChaCha8Rng::seed_from_u64(rng.random());
        live_through(&mut own, length, &mut seen);
        left -= length;
    }
    println!("{seen:?}");
    if commands() >= COMMANDS {
        let Sightings { loaded, over_commands, lost, given_up } = seen;
        assert!([loaded, over_commands, lost, given_up].iter().all(|n| *n >= SIGHTINGS_MIN));
    }
}

/// How often what happened.
#[derive(Debug, Default)]
struct Sightings {
    /// Checkpoints made into views.
    loaded: u64,
    /// Of them, those during which more than 20 commands came in.
    over_commands: u64,
    /// Captures lost to too many changes.
    lost: u64,
    /// Captures given up, or ended by another.
    given_up: u64,
}

/// A checkpoint being taken.
struct Taking {
    capture: Capture,
    bytes: Vec<u8>,
    note: Vec<u8>,
    /// Which call is next.
    step: u32,
    /// Events since it began.
    since: Vec<(Sequence, Millis, Vec<Event>)>,
}

fn live_through(rng: &mut ChaCha8Rng, commands: u64, seen: &mut Sightings) {
    let mut world = World::new(rng);
    let mut both = Both::default();
    let mut taking: Option<Taking> = None;
    for _ in 0..commands {
        let (at, command) = world.next(rng, &both.twin);
        let events = match &command {
            Some(command) => both.apply(command, at),
            None => both.apply_malformed(at),
        };
        if let Some(taking) = &mut taking {
            taking.since.push((Sequence(both.twin.sequence), at, events));
        }
        if rng.random_ratio(1, if taking.is_some() { 500 } else { 20 }) {
            seen.given_up += u64::from(taking.is_some());
            taking = Some(begin(&mut both.view, rng));
        }
        for _ in 0..rng.random_range(0..6) {
            let Some(under_way) = &mut taking else { break };
            match go_on(under_way, &mut both.view) {
                Ok(true) => {}
                Ok(false) => {
                    let done = taking.take().unwrap();
                    seen.loaded += 1;
                    seen.over_commands += u64::from(done.since.len() > 20);
                    both.view = made_again(&done);
                    let now = both.twin.now();
                    agreement::about_everything(&both.view, &both.twin, &world, rng, now);
                }
                Err(CaptureLost::TooManyChanges) => {
                    both.view.end_capture();
                    taking = None;
                    seen.lost += 1;
                }
                Err(lost) => panic!("{lost}"),
            }
        }
    }
    let later = Millis(both.twin.now().0 + world::HOUR_MS * 30);
    agreement::about_everything(&both.view, &both.twin, &world, rng, later);
}

fn begin(view: &mut View, rng: &mut ChaCha8Rng) -> Taking {
    let note: Vec<u8> = (0..rng.random_range(0..40)).map(|_| rng.random()).collect();
    let memory = if rng.random_ratio(1, 3) { rng.random_range(0..2_000) } else { 1 << 20 };
    let mut capture = view.begin_capture(&note, memory);
    assert_eq!(capture.sequence(), view.sequence());
    // A few rows at a time.
    capture.set_portion_bytes(rng.random_range(1..1_000));
    Taking { capture, bytes: Vec::new(), note, step: 0, since: Vec::new() }
}

/// One call; true when more are to come.
fn go_on(taking: &mut Taking, view: &mut View) -> Result<bool, CaptureLost> {
    match taking.step {
        0 => taking.capture.copy(view),
        1 if taking.capture.needs_settling() => taking.capture.settle(view)?,
        1 => {}
        _ => {
            taking.step = 0;
            return Ok(taking.capture.pack(&mut taking.bytes));
        }
    }
    taking.step += 1;
    Ok(true)
}

/// The checkpoint as a view, and the events since folded into it.
fn made_again(taking: &Taking) -> View {
    let (mut view, note) = checkpoint::unpack(&taking.bytes).expect("a checkpoint just taken");
    assert_eq!((view.sequence(), &note), (taking.capture.sequence(), &taking.note));
    for (sequence, at, events) in &taking.since {
        events.iter().for_each(|event| view.absorb(*sequence, *at, event));
        view.advance(*sequence, *at);
    }
    view
}

#[test]
fn a_second_capture_ends_the_first() {
    let mut view = small().view;
    let mut first = view.begin_capture(b"", 1_000);
    let mut second = view.begin_capture(&[7; NOTE_BYTES_MAX + 1], 1_000);
    assert_eq!(first.settle(&mut view), Err(CaptureLost::Superseded));
    assert_eq!(second.settle(&mut view), Ok(()));
    view.end_capture();
    assert_eq!(second.settle(&mut view), Err(CaptureLost::Superseded));
    let (_, note) = checkpoint::unpack(&checkpoint::pack(&mut view, &[7; 9_999])).unwrap();
    assert_eq!(note, [7; NOTE_BYTES_MAX]);
}

#[test]
fn an_empty_view_comes_back_empty() {
    let (view, note) = checkpoint::unpack(&checkpoint::pack(&mut View::new(), b"")).unwrap();
    assert_eq!((view.sequence(), view.now(), note.len()), (Sequence(0), Millis(i64::MIN), 0));
}

#[test]
fn every_changed_byte_and_every_cut_is_refused() {
    let bytes = checkpoint::pack(&mut small().view, b"note");
    assert!(checkpoint::unpack(&bytes).is_ok());
    for place in 0..bytes.len() {
        assert!(checkpoint::unpack(&bytes[..place]).is_err(), "cut at {place}");
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            assert!(checkpoint::unpack(&changed).is_err(), "byte {place} ^ {change}");
        }
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(checkpoint::unpack(&longer).is_err());
    let twice = [bytes.as_slice(), &bytes[12..]].concat();
    assert!(checkpoint::unpack(&twice).is_err());
    println!("{} bytes", bytes.len());
}

#[test]
fn what_is_wrong_is_named() {
    let bytes = checkpoint::pack(&mut small().view, b"");
    let refused = |bytes: &[u8]| checkpoint::unpack(bytes).map(|_| ()).unwrap_err();
    assert_eq!(refused(&[0; 100]), BadCheckpoint::Foreign);
    let mut newer = bytes.clone();
    newer[8] += 1;
    let other = BadCheckpoint::OtherFormat { found: FORMAT + 1, known: FORMAT };
    assert_eq!(refused(&newer), other);
    assert!(other.to_string().contains("format 2"), "{other}");
    assert!(matches!(refused(&bytes[..bytes.len() - 1]), BadCheckpoint::Damaged(_)));
}

#[test]
fn bytes_that_no_view_gave_with_checks_that_match_make_no_view_or_one_that_works() {
    let mut rng = support::seeded("forged");
    let bytes = checkpoint::pack(&mut small().view, b"note");
    let mut taken = 0;
    for _ in 0..FORGED_CHECKPOINTS {
        let mut forged = bytes.clone();
        for _ in 0..rng.random_range(1..4) {
            let place = rng.random_range(0..forged.len());
            forged[place] = match rng.random_range(0..4) {
                0 => 0xff,
                1 => 0,
                _ => forged[place] ^ 1 << rng.random_range(0..8),
            };
        }
        seal_again(&mut forged);
        let Ok((mut view, _)) = checkpoint::unpack(&forged) else { continue };
        taken += 1;
        ask(&view);
        for command in [world::booking(3), world::registration(30)] {
            let mut both = small();
            for event in both.apply(&command, both.twin.now()) {
                view.absorb(Sequence(view.sequence().0 + 1), view.now(), &event);
            }
        }
        let again = checkpoint::pack(&mut view, b"");
        assert!(view.contradictions() > 0 || checkpoint::unpack(&again).is_ok());
    }
    println!("{taken} of {FORGED_CHECKPOINTS} taken for a view");
    assert!(taken < FORGED_CHECKPOINTS * 9 / 10);
}

/// Whatever a gateway asks, of everyone and everything.
fn ask(view: &View) {
    let at = view.now();
    let people = view.figures().people.min(1_000) as u32;
    for person in (0..=people).map(PersonNumber) {
        let _ = (view.person_key(person), view.intent(person), view.missed_day(person, at));
        for period in (0..3).map(PeriodNumber) {
            let _ = (view.booking_of(person, period), view.eligibility(Some(person), period, at));
            let _ = view.has_used_all_keys(person, period);
            for key in view.recorded_keys() {
                let _ = view.outcome(person, period, key);
            }
        }
        for (booking, _) in view.bookings_of(person) {
            let _ = view.booking_status(booking, at);
        }
    }
    for site in (0..3).map(SiteNumber) {
        for day in (0..3).map(|day| Day(world::FIRST_DAY.0 + day)) {
            let _ = view.bookings_on(site, day).count();
            let _ = view.slots_with_places(PeriodNumber(1), site, Some(day), at);
        }
    }
    let _ = (view.sites_with_places(PeriodNumber(1), None, None, at), SlotNumber(0));
}

/// A small history in which everything that has rows happened.
fn small() -> Both {
    let (mut both, at) = (Both::default(), world::FIRST_DAY.starts_at());
    both.open_a_slot_for(8, at);
    for number in 0..6 {
        both.apply(&world::registration(number), at);
    }
    for number in 0..4 {
        both.apply(&world::booking(number), at);
    }
    for command in second_thoughts() {
        both.apply(&command, at);
    }
    both.apply(&Command::Pulse { epoch: 1 }, Millis(world::FIRST_DAY.ends_at().0 + 1));
    both.apply_malformed(both.twin.now());
    assert_eq!(both.view.contradictions(), 0);
    both
}

/// A move, a cancellation, a retry, a withdrawal and a correction.
fn second_thoughts() -> [Command; 5] {
    let person = |number| PersonRef::Number(PersonNumber(number));
    let retry = RetryKey { key: KeyHash(2), fingerprint: Fingerprint(2) };
    let period = PeriodNumber(1);
    [
        Command::Move { person: person(0), period, slot: SlotNumber(0), retry },
        Command::Cancel { person: person(1), period, retry },
        world::booking(2),
        Command::Withdraw { person: person(5), retry },
        Command::SetCapacity { slot: SlotNumber(0), capacity: 9 },
    ]
}

#[test]
fn large_imports_come_back_from_many_frames() {
    let (mut both, at) = (Both::default(), world::FIRST_DAY.starts_at());
    both.open_a_slot_for(5, at);
    for command in world::large_imports() {
        both.apply(&command, at);
    }
    let bytes = checkpoint::pack(&mut both.view, b"");
    let (view, _) = checkpoint::unpack(&bytes).unwrap();
    let (catalogue, twin) = (&view.catalogue, &both.twin);
    assert!(twin.slots.iter().all(|(number, slot)| catalogue.slot(*number) == Some(slot)));
    assert!(twin.sites.iter().all(|(number, site)| catalogue.site(*number) == Some(site)));
    assert!(twin.people.iter().all(|(key, number)| view.person_number(key) == Some(*number)));
    assert!(twin.people.values().filter(|number| view.memberships(**number) == 1).count() == 9_000);
    assert!(twin.slots.keys().all(|slot| view.places_left(*slot) == twin.places_left(*slot)));
    assert_eq!((view.figures(), bytes.len() > 300_000), (both.view.figures(), true));
}

#[test]
fn the_bytes_of_this_format_do_not_change() {
    let bytes = checkpoint::pack(&mut small().view, b"note");
    let hash = blake3::hash(&bytes).to_hex();
    // Another hash means that checkpoints of the last version cannot be read any more, or, worse,
    // are read as something else: raise the format, then write the new hash here.
    assert_eq!((FORMAT, &hash[..32]), (2, "42ed10dd78379acd180031173398e662"));
}

fn commands() -> u64 {
    match std::env::var("SLOTLINE_CHECKPOINT_COMMANDS") {
        Ok(text) => text.parse().expect("SLOTLINE_CHECKPOINT_COMMANDS is a number"),
        Err(_) => COMMANDS,
    }
}
