//! Providers that refuse, are away, lose answers, or cannot be asked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use journal::Journal;
use notifier::{DeliveryState, NotifierConfig, NotifierStatus};
use world::carrier::{Carrier, Manners};
use world::*;

struct Outcome {
    references: Vec<String>,
    taken: BTreeMap<String, u32>,
    states: BTreeMap<String, DeliveryState>,
    status: Arc<NotifierStatus>,
}

fn run(seed: u64, manners: Manners, change: impl Fn(&mut NotifierConfig)) -> Outcome {
    println!("provider faults: seed {seed}");
    let mut world = World::new(seed);
    world.live(20, 250);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(seed));
    world.pour(&*journal);
    let carrier = Carrier::new(seed, manners);
    // No text is too old, unless a test says so.
    let mut config = NotifierConfig {
        batch_messages_max: 16,
        give_up_after_ms: u64::MAX / 4,
        ..quick(folder.path())
    };
    change(&mut config);
    let stop = Arc::new(AtomicBool::new(false));
    let running =
        Running::start(config, Arc::clone(&journal), &world.vault, Box::new(carrier.clone()), stop);
    running.wait_for(world.last());
    let status = Arc::clone(&running.status);
    running.end().unwrap();
    let (states, _) = read_deliveries(&*journal);
    Outcome {
        references: world.owed("").into_iter().map(|owed| owed.reference).collect(),
        taken: carrier.taken(),
        states: states.into_iter().map(|(id, state)| (id.to_string(), state)).collect(),
        status,
    }
}

#[test]
fn with_lookups_every_text_goes_out_once_however_many_answers_are_lost() {
    for seed in 0..8 {
        let manners = Manners {
            away: 20,
            lost_before: 15,
            lost_after: 25,
            away_for_lookups: 30,
            has_lookup: true,
            ..Manners::default()
        };
        let outcome = run(seed, manners, |_| {});
        let once: BTreeMap<String, u32> =
            outcome.references.iter().map(|reference| (reference.clone(), 1)).collect();
        assert_eq!(outcome.taken, once, "seed {seed}");
        assert_eq!(outcome.status.ambiguous(), 0);
        assert_eq!(outcome.status.sent(), outcome.references.len() as u64);
        assert!(outcome.status.count(DeliveryState::FoundSent) > 0);
    }
}

#[test]
fn without_lookups_every_possible_repetition_is_counted() {
    for seed in 0..8 {
        let manners = Manners { lost_before: 10, lost_after: 20, ..Manners::default() };
        let outcome = run(seed, manners, |config| config.uncertain_resends_max = 1);
        for reference in &outcome.references {
            let taken = outcome.taken.get(reference).copied().unwrap_or(0);
            match outcome.states[reference] {
                DeliveryState::Sent => assert_eq!(taken, 1, "seed {seed}: {reference}"),
                DeliveryState::PerhapsTwice => assert!((1..=2).contains(&taken)),
                DeliveryState::Unconfirmed => assert!(taken <= 2),
                state => panic!("seed {seed}: {reference} is {state:?}"),
            }
        }
        let doubled = outcome.taken.values().filter(|taken| **taken > 1).count() as u64;
        assert!(doubled > 0 && outcome.status.ambiguous() >= doubled, "seed {seed}");
    }
}

#[test]
fn a_provider_that_must_not_be_asked_twice_is_not() {
    let manners = Manners { lost_before: 10, lost_after: 20, ..Manners::default() };
    let outcome = run(3, manners, |config| config.uncertain_resends_max = 0);
    assert!(outcome.taken.values().all(|taken| *taken == 1));
    assert_eq!(outcome.status.count(DeliveryState::PerhapsTwice), 0);
    assert!(outcome.status.count(DeliveryState::Unconfirmed) > 0);
}

#[test]
fn a_refused_text_is_settled_and_does_not_hold_up_the_others() {
    let manners = Manners { refused: 30, away: 10, has_lookup: true, ..Manners::default() };
    let outcome = run(4, manners, |_| {});
    let refused = outcome.status.count(DeliveryState::Refused);
    assert!(refused > 0 && outcome.status.failed() == refused);
    assert_eq!(outcome.taken.len() as u64 + refused, outcome.references.len() as u64);
}

#[test]
fn an_absent_provider_is_waited_for_and_shown() {
    let manners = Manners { away_at_first: 100, has_lookup: true, ..Manners::default() };
    let outcome = run(5, manners, |_| {});
    assert_eq!(outcome.status.sent(), outcome.references.len() as u64);
    assert_eq!(outcome.status.trouble(), None, "the trouble is over");
}

#[test]
fn texts_too_old_for_an_absent_provider_are_given_up_and_counted() {
    // The events happened in 2021.
    let manners = Manners { away: 100, has_lookup: true, ..Manners::default() };
    let outcome = run(6, manners, |config| config.give_up_after_ms = 1);
    let given_up = outcome.status.count(DeliveryState::GivenUp);
    assert_eq!(given_up, outcome.references.len() as u64);
    // Texts of which nobody knows are not called unsent.
    let manners =
        Manners { lost_after: 100, away_for_lookups: 100, has_lookup: true, ..Manners::default() };
    let outcome = run(6, manners, |config| config.give_up_after_ms = 1);
    let unconfirmed = outcome.status.count(DeliveryState::Unconfirmed);
    assert_eq!(unconfirmed, outcome.references.len() as u64);
    assert!(outcome.taken.values().all(|taken| *taken == 1));
}

#[test]
fn an_old_text_is_tried_at_least_once() {
    let manners = Manners { has_lookup: true, ..Manners::default() };
    let outcome = run(7, manners, |config| config.give_up_after_ms = 1);
    assert_eq!(outcome.status.sent(), outcome.references.len() as u64);
}
