//! Whether the view answers every question as the twin does.

use std::collections::BTreeSet;

use domain::view::{BookingStatus, SlotIdentity, View};
use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::twin::Twin;
use crate::world::{World, born_on};

/// Asks about one person, at one instant.
pub(crate) fn about_a_person(
    view: &View,
    twin: &Twin,
    person: PersonNumber,
    at: Millis,
    periods: u16,
) {
    let key = twin.key_of(person);
    assert_eq!(view.person_number(&key), Some(person));
    assert_eq!(view.person_key(person), Some(key));
    let held = twin.intents.get(&person);
    let shown = view.intent(person);
    assert_eq!(
        shown.map(|shown| (shown.serial, shown.registered_at, shown.born_on, shown.intent)),
        held.map(|held| (held.serial, held.registered_at, held.born_on, held.intent)),
        "{person:?}"
    );
    assert_eq!(view.memberships(person), twin.memberships(person), "{person:?}");
    assert_eq!(view.active_booking(person, at), twin.active_booking(person, at), "{person:?}");
    assert_eq!(view.missed_day(person, at), twin.missed_day(person, at), "{person:?}");
    for number in 0..=periods + 1 {
        let period = PeriodNumber(number);
        let eligibility = view.eligibility(Some(person), period, at);
        assert_eq!(eligibility, twin.may_book_now(Some(person), period, at), "{person:?}");
        let from = view.may_book_from(Some(person), period);
        assert_eq!(from, twin.may_book_from(Some(person), period), "{person:?}");
        assert_eq!(view.booking_of(person, period), twin.counting_booking(person, period));
        let used = twin.keys_used(person, period);
        assert_eq!(view.recorded_request(person, period), used > 0);
        assert_eq!(view.has_used_all_keys(person, period), used >= 256);
    }
    let bookings: Vec<BookingNumber> = view.bookings_of(person).map(|(number, _)| number).collect();
    let expected = twin.bookings.iter().rev().filter(|(_, known)| known.person == person);
    assert!(bookings.iter().eq(expected.map(|(number, _)| number)), "{person:?}");
}

/// Asks everything, at one instant.
pub(crate) fn about_everything(
    view: &View,
    twin: &Twin,
    world: &World,
    rng: &mut ChaCha8Rng,
    at: Millis,
) {
    assert_eq!(view.contradictions(), 0);
    for person in twin.people.values() {
        about_a_person(view, twin, *person, at, world.periods);
    }
    let stranger = PersonNumber(twin.people.len() as u32);
    assert_eq!(view.person_key(stranger), None);
    assert_eq!(view.intent(stranger), None);
    about_requests(view, twin);
    about_bookings(view, twin, at);
    about_offers(view, twin, world, at);
    about_drafts(view, twin, world, rng, at);
    about_figures(view, twin);
}

fn about_requests(view: &View, twin: &Twin) {
    for ((person, period, key), known) in &twin.requests {
        let shown = view.outcome(*person, *period, *key).expect("a recorded request");
        assert_eq!(
            (shown.sequence, shown.at, shown.fingerprint, shown.result),
            (known.sequence, known.at, known.fingerprint, known.result),
            "{person:?} {period:?} {key:?}"
        );
        let other = PeriodNumber(period.0 + 100);
        assert_eq!(view.outcome(*person, other, *key), None);
        assert_eq!(view.outcome(*person, *period, KeyHash(!key.0)), None);
    }
}

fn about_bookings(view: &View, twin: &Twin, at: Millis) {
    for (number, known) in &twin.bookings {
        let shown = view.booking(*number).expect("a booking");
        let (announced, timely) = twin.statuses(*number, at);
        assert_eq!(
            (shown.person, shown.period, shown.slot, shown.status),
            (known.person, known.period, known.slot, announced),
            "{number:?}"
        );
        assert_eq!(view.booking_status(*number, at), Some(timely), "{number:?}");
    }
    let next = BookingNumber(twin.bookings.len() as u32);
    assert_eq!(view.booking(next), None);
    let days: BTreeSet<(SiteNumber, Day)> =
        twin.slots.values().map(|slot| (slot.site, slot.day)).collect();
    for (site, day) in days {
        let shown: Vec<BookingNumber> =
            view.bookings_on(site, day).map(|(number, _)| number).collect();
        assert_eq!(shown, twin.roster(site, day), "{site:?} {day:?}");
    }
}

fn about_offers(view: &View, twin: &Twin, world: &World, at: Millis) {
    let catalogue = &view.catalogue;
    assert_eq!(catalogue.vaccines(), twin.vaccines);
    assert!(catalogue.categories().iter().map(|entry| &entry.category).eq(&twin.categories));
    assert!(catalogue.periods().map(|entry| &entry.period).eq(twin.periods.values()));
    assert_eq!(catalogue.sites_count() as usize, twin.sites.len());
    assert_eq!(catalogue.slots_count() as usize, twin.slots.len());
    for (number, site) in &twin.sites {
        assert_eq!(catalogue.site(*number), Some(site));
        assert_eq!(catalogue.site_number(&site.id), Some(*number));
    }
    for county in 0..4 {
        for district in 0..4 {
            let (county, district) = (CountyNumber(county), DistrictNumber(district));
            let shown = catalogue.sites_in(Some(county), Some(district)).map(|(number, _)| number);
            let here = |site: &Site| site.county == county && site.district == district;
            let expected = twin.sites.iter().filter(|(_, site)| here(site));
            assert!(shown.eq(expected.map(|(number, _)| *number)), "{county:?} {district:?}");
        }
    }
    for (number, slot) in &twin.slots {
        assert_eq!(catalogue.slot(*number), Some(slot));
        assert_eq!(view.places_left(*number), twin.places_left(*number), "{number:?}");
        assert_eq!(catalogue.slot_by_identity(&SlotIdentity::of(slot)), Some(*number));
    }
    assert_eq!(view.places_left(SlotNumber(twin.slots.len() as u32)), 0);
    for number in 0..=world.periods + 1 {
        about_a_periods_offer(view, twin, PeriodNumber(number), at);
    }
}

fn about_a_periods_offer(view: &View, twin: &Twin, number: PeriodNumber, at: Millis) {
    let Some(period) = twin.periods.get(&number) else {
        assert_eq!(view.sites_with_places(number, None, None, at), None);
        assert_eq!(view.slots_with_places(number, SiteNumber(0), None, at), None);
        return;
    };
    let offered = twin.offered(period, at);
    for county in [None, Some(CountyNumber(0)), Some(CountyNumber(2))] {
        let mut expected: Vec<(SiteNumber, u64)> = Vec::new();
        for (site, known) in &twin.sites {
            let slots: Vec<_> =
                offered.iter().filter(|slot| twin.slots[slot].site == *site).collect();
            if !slots.is_empty() && county.is_none_or(|wanted| wanted == known.county) {
                let left = slots.iter().map(|slot| u64::from(twin.places_left(**slot))).sum();
                expected.push((*site, left));
            }
        }
        let shown = view.sites_with_places(number, county, None, at).expect("a period");
        let shown: Vec<_> = shown.iter().map(|entry| (entry.site, entry.places_left)).collect();
        assert_eq!(shown, expected, "{number:?} {county:?}");
    }
    for site in twin.sites.keys() {
        let mut expected: Vec<_> =
            offered.iter().filter(|slot| twin.slots[slot].site == *site).collect();
        let order = |number: &SlotNumber| {
            let slot = twin.slots[number];
            (slot.day, slot.start_minute, slot.end_minute, slot.vaccine, *number)
        };
        expected.sort_by_key(|number| order(number));
        let shown = view.slots_with_places(number, *site, None, at).expect("a period");
        assert!(shown.iter().map(|entry| &entry.number).eq(expected.iter().copied()));
        for entry in &shown {
            assert_eq!(entry.slot, twin.slots[&entry.number]);
            assert_eq!(entry.places_left, twin.places_left(entry.number));
            let day = Some(entry.slot.day);
            let one = view.slots_with_places(number, *site, day, at).expect("a period");
            assert!(one.contains(entry));
            assert!(one.iter().all(|other| other.slot.day == entry.slot.day));
        }
    }
}

fn about_drafts(view: &View, twin: &Twin, world: &World, rng: &mut ChaCha8Rng, at: Millis) {
    let period = world.period_to_put(rng);
    let refused = twin.clone().apply(&Command::PutPeriod(period.clone()), at);
    match view.dry_run_period(&period) {
        Err(reason) => assert_eq!(refused, [Event::OperatorRefused { row: 0, reason }]),
        Ok(run) => {
            let counted = run.finish(view);
            let opens = |person, held, period| twin.window_opens(person, held, period).is_some();
            let mut expected = (0, 0, 0);
            for (person, held) in &twin.intents {
                let new = opens(*person, held, &period);
                let published = twin.periods.get(&period.number);
                let old = published.is_some_and(|known| opens(*person, held, known));
                expected.0 += u64::from(new);
                expected.1 += u64::from(new && !old);
                expected.2 += u64::from(old && !new);
            }
            assert_eq!((counted.eligible, counted.gained, counted.lost), expected, "{period:?}");
            assert_eq!(view.count_eligible(&period), expected.0);
        }
    }
    let category = world.category(rng);
    let refused = twin.clone().apply(&Command::PutCategory(category.clone()), at);
    match view.dry_run_category(&category) {
        Err(reason) => assert_eq!(refused, [Event::OperatorRefused { row: 0, reason }]),
        Ok(run) => {
            let counted = run.finish(view);
            let expected = twin.people.values().filter(|person| match twin.intents.get(*person) {
                Some(held) => twin.belongs(**person, held.born_on, &category),
                None => category.members && twin.members.contains(&(category.number, **person)),
            });
            assert_eq!(counted.eligible, expected.count() as u64, "{category:?}");
        }
    }
    let (born_on, mask) = (born_on(rng), rng.random::<u32>());
    let lists: Vec<CategoryNumber> = twin
        .categories
        .iter()
        .enumerate()
        .filter(|(bit, _)| mask & (1 << bit) != 0)
        .map(|(_, category)| category.number)
        .collect();
    assert_eq!(
        view.registration_allowed(born_on, mask, at),
        twin.registration_allowed(born_on, &lists, at)
    );
}

fn about_figures(view: &View, twin: &Twin) {
    let figures = view.figures();
    assert_eq!(figures.commands, twin.sequence);
    assert_eq!(figures.people, twin.people.len() as u64);
    assert_eq!(figures.intents, twin.intents.len() as u64);
    assert_eq!(figures.registrations, twin.figures.registered);
    assert_eq!(figures.repeated, twin.figures.repeated);
    assert_eq!(figures.keys_reused, twin.figures.keys_reused);
    assert_eq!(figures.operator_refused, twin.figures.operator_refused);
    assert_eq!(figures.malformed, twin.figures.malformed);
    assert_eq!(figures.epoch, twin.epoch);
    for reason in Rejection::ALL {
        let expected = twin.figures.rejected.get(&reason).copied().unwrap_or(0);
        assert_eq!(figures.rejected_for(reason), expected, "{reason:?}");
    }
    let places: u64 = twin.slots.values().map(|slot| u64::from(slot.capacity)).sum();
    let left: u64 = twin.slots.keys().map(|slot| u64::from(twin.places_left(*slot))).sum();
    assert_eq!((figures.places, figures.places_left), (places, left));
    assert_eq!(figures.slots, twin.slots.len() as u64);
    assert_eq!(figures.sites, twin.sites.len() as u64);
    let staged = figures.import.map(|(import, _)| import);
    assert_eq!(staged, twin.import.as_ref().map(|known| known.import));
    let mut standing = 0;
    for (period, counted) in &figures.periods {
        let of = |map: &std::collections::BTreeMap<PeriodNumber, u64>| {
            map.get(period).copied().unwrap_or(0)
        };
        assert_eq!(counted.confirmed, of(&twin.figures.confirmed), "{period:?}");
        assert_eq!(counted.changed, of(&twin.figures.changed), "{period:?}");
        assert_eq!(counted.cancelled, of(&twin.figures.cancelled), "{period:?}");
        let with = |wanted: BookingStatus| {
            let numbers = twin.bookings.iter().filter(|(_, known)| known.period == *period);
            let same = |number: &BookingNumber| twin.statuses(*number, twin.now()).0 == wanted;
            numbers.filter(|(number, _)| same(number)).count() as u64
        };
        assert_eq!(counted.attended, with(BookingStatus::Attended), "{period:?}");
        assert_eq!(counted.no_shows, with(BookingStatus::NoShow), "{period:?}");
        standing += counted.standing();
    }
    assert_eq!(figures.total.standing(), standing);
    assert_eq!(places - left, standing);
}
