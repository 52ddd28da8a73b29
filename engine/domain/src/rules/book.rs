//! B3: one place of a slot for one person.
//!
//! Refusals 2–7, then 11 already booked, 12 unknown slot, 13 wrong vaccine, 14 slot past, 15 slot full.

use crate::eligibility::{Facts, PeriodRule, may_book_now};
use crate::state::State;
use crate::state::people::Person;
use crate::state::slots::Places;
use crate::{Day, Event, PeriodNumber, PersonRef, Rejection, RetryKey, SlotNumber};

use super::citizen;

/// Decides a `Book`.
#[inline]
pub(crate) fn apply(
    state: &mut State,
    who: PersonRef,
    period: PeriodNumber,
    slot: SlotNumber,
    retry: RetryKey,
    events: &mut Vec<Event>,
) {
    let Some(person) = citizen::resolve(state, who, events) else {
        return;
    };
    // Most who book have asked for nothing before: there is nothing to look back on, then.
    let record = *state.people.get(person);
    let (missed, is_taken) = if citizen::is_first(state, &record, period) {
        (None, false)
    } else {
        let Some(standing) = citizen::admit(state, person, period, retry, events) else {
            return;
        };
        (standing.missed, standing.active.is_some() || standing.booked_in_period)
    };
    if let Err(reason) = decide(state, &record, period, slot, missed, is_taken) {
        return citizen::refuse(state, person, period, retry, reason, events);
    }
    let booking = state.add_booking(person, period, slot, retry);
    // Written straight to its place: `push` would build the event aside and copy all of it over.
    events.extend(std::iter::once_with(|| Event::Confirmed {
        person,
        period,
        key: retry.key,
        fingerprint: retry.fingerprint,
        booking,
        slot,
    }));
}

#[inline]
fn decide(
    state: &State,
    person: &Person,
    period: PeriodNumber,
    slot: SlotNumber,
    missed: Option<Day>,
    is_taken: bool,
) -> Result<(), Rejection> {
    let now = state.globals.now;
    let (rule, facts) = rule_and_facts(state, person, period)?;
    may_book_now(rule, &state.catalogue.categories, &facts, missed, now)?;
    if is_taken {
        return Err(Rejection::AlreadyBooked);
    }
    let places = suitable(state, rule, &facts, slot)?;
    if places.starts_at() <= now {
        return Err(Rejection::SlotPast);
    }
    if places.booked >= places.capacity {
        return Err(Rejection::SlotFull);
    }
    Ok(())
}

/// Refusals 2 and 3.
#[inline]
pub(super) fn rule_and_facts<'a>(
    state: &'a State,
    person: &Person,
    period: PeriodNumber,
) -> Result<(&'a PeriodRule, Facts), Rejection> {
    let rule = state.catalogue.period(period).ok_or(Rejection::UnknownPeriod)?;
    let facts = person.facts().ok_or(Rejection::NotRegistered)?;
    Ok((rule, facts))
}

/// Refusals 12 and 13.
#[inline]
pub(super) fn suitable<'a>(
    state: &'a State,
    rule: &PeriodRule,
    facts: &Facts,
    slot: SlotNumber,
) -> Result<&'a Places, Rejection> {
    let places = state.slots.places(slot).ok_or(Rejection::UnknownSlot)?;
    if !rule.vaccines.contains(places.vaccine) || !facts.vaccines.contains(places.vaccine) {
        return Err(Rejection::WrongVaccine);
    }
    Ok(places)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{BookingNumber, Command, KeyHash, Millis, PersonNumber};

    #[test]
    fn a_booking_takes_one_place_and_says_all_that_its_readers_need() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        let events = desk.book(person, SLOT, 7);
        let expected = Event::Confirmed {
            person,
            period: PERIOD,
            key: KeyHash(7),
            fingerprint: retry(7).fingerprint,
            booking: BookingNumber(0),
            slot: SLOT,
        };
        assert_eq!(events, [expected]);
        assert_eq!(desk.state.slot(SLOT).unwrap().1, 1);
        assert_eq!(desk.state.booked_slot(BookingNumber(0)), Some(SLOT));
    }

    /// Each row breaks its rule and all rules with higher numbers that can be broken along with it.
    #[test]
    fn the_refusal_with_the_lowest_number_is_given() {
        type Prepare = fn(&mut Desk) -> (PersonNumber, PeriodNumber, SlotNumber);
        let cases: &[(Rejection, Prepare)] = &[
            (Rejection::UnknownPeriod, |desk| (desk.mention(1), PeriodNumber(77), UNKNOWN_SLOT)),
            (Rejection::NotRegistered, |desk| {
                desk.at = AFTER_WINDOW;
                (desk.mention(1), PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::NotEligible, |desk| (desk.register_for(1, MODERNA), PERIOD, UNKNOWN_SLOT)),
            (Rejection::WindowNotOpen, |desk| (desk.register(1), PERIOD, UNKNOWN_SLOT)),
            (Rejection::WindowClosed, |desk| {
                desk.at = WINDOW_OPENS_AT;
                let person = desk.register(1);
                desk.book(person, SLOT, 1);
                desk.at = AFTER_WINDOW;
                (person, PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::BarredUntilNextPeriod, |desk| {
                desk.at = WINDOW_OPENS_AT;
                let person = desk.register(1);
                desk.book(person, SLOT, 1);
                desk.at = SLOT_DAY.ends_at();
                (person, PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::AlreadyBooked, |desk| {
                desk.at = WINDOW_OPENS_AT;
                let person = desk.register(1);
                desk.book(person, SLOT, 1);
                (person, PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::UnknownSlot, |desk| {
                desk.at = WINDOW_OPENS_AT;
                (desk.register(1), PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::WrongVaccine, |desk| {
                desk.at = WINDOW_OPENS_AT;
                let person = desk.register(1);
                desk.at = SLOT_DAY.ends_at();
                (person, PERIOD, MODERNA_SLOT)
            }),
            (Rejection::SlotPast, |desk| {
                desk.at = WINDOW_OPENS_AT;
                let person = desk.register(1);
                desk.fill(SLOT);
                desk.at = SLOT_STARTS_AT;
                (person, PERIOD, SLOT)
            }),
            (Rejection::SlotFull, |desk| {
                desk.at = WINDOW_OPENS_AT;
                let person = desk.register(1);
                desk.fill(SLOT);
                (person, PERIOD, SLOT)
            }),
        ];
        for (expected, prepare) in cases {
            let mut desk = Desk::early();
            desk.at = BEFORE_WINDOW;
            let (person, period, slot) = prepare(&mut desk);
            let book = Command::Book {
                person: PersonRef::Number(person),
                period,
                slot,
                retry: retry(1_000),
            };
            assert_eq!(desk.reason(&book), Some(*expected));
            desk.check();
        }
    }

    #[test]
    fn closed_window_rejects_a_booking_at_its_first_instant_and_open_window_takes_it_at_its_first()
    {
        let cases = [
            (WINDOW_OPENS_AT.0 - 1, Some(Rejection::WindowNotOpen)),
            (WINDOW_OPENS_AT.0, None),
            (WINDOW_CLOSES_AT.0 - 1, None),
            (WINDOW_CLOSES_AT.0, Some(Rejection::WindowClosed)),
        ];
        for (at, expected) in cases {
            let mut desk = Desk::early();
            desk.at = BEFORE_WINDOW;
            let person = desk.register(1);
            desk.at = Millis(at);
            assert_eq!(desk.reason(&desk_book(person, LATE_SLOT)), expected, "at {at}");
        }
    }

    #[test]
    fn a_slot_can_be_booked_until_the_millisecond_before_it_begins() {
        for (before, expected) in [(1, None), (0, Some(Rejection::SlotPast))] {
            let mut desk = Desk::open();
            let person = desk.register(1);
            desk.at = Millis(SLOT_STARTS_AT.0 - before);
            assert_eq!(desk.reason(&desk_book(person, SLOT)), expected);
        }
    }

    #[test]
    fn the_last_place_goes_to_the_first_who_asks() {
        let mut desk = Desk::open();
        let people: Vec<_> =
            (1..=SLOT_CAPACITY as u8 + 1).map(|name| desk.register(name)).collect();
        let reasons: Vec<_> =
            people.iter().map(|person| desk.reason(&desk_book(*person, SLOT))).collect();
        let (last, taken) = reasons.split_last().unwrap();
        assert!(taken.iter().all(Option::is_none));
        assert_eq!(*last, Some(Rejection::SlotFull));
        assert_eq!(desk.state.slot(SLOT).unwrap().1, SLOT_CAPACITY);
    }

    #[test]
    fn one_period_after_the_other_can_be_booked_once_the_first_is_attended_or_over() {
        let mut desk = Desk::open();
        desk.put_period(PeriodNumber(3), SLOT_DAY.ends_at(), WINDOW_CLOSES_AT);
        desk.put_period(PeriodNumber(4), WINDOW_OPENS_AT, WINDOW_CLOSES_AT);
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        let in_period = |period, number| Command::Book {
            person: PersonRef::Number(person),
            period: PeriodNumber(period),
            slot: LATE_SLOT,
            retry: retry(number),
        };
        assert_eq!(desk.reason(&in_period(4, 1)), Some(Rejection::AlreadyBooked));
        desk.at = SLOT_DAY.ends_at();
        assert_eq!(desk.reason(&in_period(4, 2)), Some(Rejection::BarredUntilNextPeriod));
        assert_eq!(desk.reason(&in_period(3, 1)), None);

        let other = desk.register(2);
        desk.at = SLOT_DAY.ends_at();
        assert_eq!(desk.reason(&desk_book(other, LATE_SLOT)), None);
    }

    #[test]
    fn an_attended_booking_counts_in_its_period_and_leaves_other_periods_free() {
        let mut desk = Desk::open();
        desk.put_period(PeriodNumber(4), WINDOW_OPENS_AT, WINDOW_CLOSES_AT);
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.at = SLOT_STARTS_AT;
        desk.attend(BookingNumber(0));
        assert_eq!(desk.reason(&desk_book(person, LATE_SLOT)), Some(Rejection::AlreadyBooked));
        let elsewhere = Command::Book {
            person: PersonRef::Number(person),
            period: PeriodNumber(4),
            slot: LATE_SLOT,
            retry: retry(1),
        };
        assert_eq!(desk.reason(&elsewhere), None);
    }

    fn desk_book(person: PersonNumber, slot: SlotNumber) -> Command {
        Command::Book { person: PersonRef::Number(person), period: PERIOD, slot, retry: retry(500) }
    }
}
