//! B5: the active booking of a period to another slot, or nothing changes.
//!
//! Refusals 2–7 again, then 10 no booking, 12, 13, 14 for the slot wanted or the slot held, 15 unless it
//! is the slot held. Asking for the slot held is granted and changes nothing.

use crate::eligibility::may_book_now;
use crate::state::State;
use crate::state::history::Standing;
use crate::{
    BookingNumber, Event, PeriodNumber, PersonNumber, PersonRef, Rejection, RetryKey, SlotNumber,
};

use super::book::{rule_and_facts, suitable};
use super::citizen;

/// Decides a `Move`.
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
    let Some(standing) = citizen::admit(state, person, period, retry, events) else {
        return;
    };
    let booking = match decide(state, person, period, slot, &standing) {
        Ok(booking) => booking,
        Err(reason) => return citizen::refuse(state, person, period, retry, reason, events),
    };
    state.keep_request(person, period, retry);
    let from = state.move_booking(booking, slot);
    events.push(Event::Changed {
        person,
        period,
        key: retry.key,
        fingerprint: retry.fingerprint,
        booking,
        from,
        to: slot,
    });
}

fn decide(
    state: &State,
    person: PersonNumber,
    period: PeriodNumber,
    slot: SlotNumber,
    standing: &Standing,
) -> Result<BookingNumber, Rejection> {
    let now = state.globals.now;
    let (rule, facts) = rule_and_facts(state, state.people.get(person), period)?;
    may_book_now(rule, &state.catalogue.categories, &facts, standing.missed, now)?;
    let (booking, held) = active_in(state, period, standing).ok_or(Rejection::NoBooking)?;
    let places = suitable(state, rule, &facts, slot)?;
    if places.starts_at() <= now || state.slots.starts_at(held) <= now {
        return Err(Rejection::SlotPast);
    }
    if slot != held && places.booked >= places.capacity {
        return Err(Rejection::SlotFull);
    }
    Ok(booking)
}

/// The active booking, and the slot held, if it is of this period.
pub(super) fn active_in(
    state: &State,
    period: PeriodNumber,
    standing: &Standing,
) -> Option<(BookingNumber, SlotNumber)> {
    let (booking, _) = standing.active.filter(|(_, of)| *of == period)?;
    Some((booking, state.history.bookings[booking.0].slot))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{Command, Millis};

    fn to(person: PersonNumber, slot: SlotNumber) -> Command {
        Command::Move { person: PersonRef::Number(person), period: PERIOD, slot, retry: retry(900) }
    }

    #[test]
    fn a_move_frees_the_old_place_and_takes_the_new_one_under_the_same_booking() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        let events = desk.apply(to(person, LATE_SLOT));
        assert!(matches!(
            events[..],
            [Event::Changed { booking: BookingNumber(0), from: SLOT, to: LATE_SLOT, .. }]
        ));
        assert_eq!(desk.state.slot(SLOT).unwrap().1, 0);
        assert_eq!(desk.state.slot(LATE_SLOT).unwrap().1, 1);
        desk.check();
    }

    #[test]
    fn asking_for_the_slot_held_is_granted_even_when_it_is_full() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.fill(SLOT);
        let events = desk.apply(to(person, SLOT));
        assert!(matches!(events[..], [Event::Changed { from: SLOT, to: SLOT, .. }]));
        assert_eq!(desk.state.slot(SLOT).unwrap().1, SLOT_CAPACITY);
    }

    #[test]
    fn every_refusal_keeps_the_old_place_and_has_the_lowest_number() {
        type Prepare = fn(&mut Desk, PersonNumber) -> (PeriodNumber, SlotNumber);
        let cases: &[(Rejection, Prepare)] = &[
            (Rejection::UnknownPeriod, |_, _| (PeriodNumber(77), UNKNOWN_SLOT)),
            (Rejection::NotEligible, |desk, _| {
                desk.put_period_for(PERIOD, MODERNA, WINDOW_OPENS_AT, WINDOW_CLOSES_AT);
                (PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::WindowNotOpen, |desk, _| {
                desk.put_period(PERIOD, WINDOW_CLOSES_AT, WINDOW_CLOSES_AT);
                (PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::WindowClosed, |desk, _| {
                desk.put_period(PERIOD, WINDOW_OPENS_AT, Millis(WINDOW_OPENS_AT.0 + 1));
                desk.at = Millis(WINDOW_OPENS_AT.0 + 1);
                (PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::BarredUntilNextPeriod, |desk, _| {
                desk.at = SLOT_DAY.ends_at();
                (PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::NoBooking, |desk, _| {
                desk.put_period(PeriodNumber(4), WINDOW_OPENS_AT, WINDOW_CLOSES_AT);
                (PeriodNumber(4), UNKNOWN_SLOT)
            }),
            (Rejection::UnknownSlot, |desk, _| {
                desk.at = SLOT_STARTS_AT;
                (PERIOD, UNKNOWN_SLOT)
            }),
            (Rejection::WrongVaccine, |desk, _| {
                desk.at = SLOT_STARTS_AT;
                (PERIOD, MODERNA_SLOT)
            }),
            (Rejection::SlotPast, |desk, _| {
                desk.fill(LATE_SLOT);
                desk.at = SLOT_STARTS_AT;
                (PERIOD, LATE_SLOT)
            }),
            (Rejection::SlotFull, |desk, _| {
                desk.fill(LATE_SLOT);
                (PERIOD, LATE_SLOT)
            }),
        ];
        for (expected, prepare) in cases {
            let mut desk = Desk::open();
            let person = desk.register(1);
            desk.book(person, SLOT, 1);
            let (period, slot) = prepare(&mut desk, person);
            let command = Command::Move {
                person: PersonRef::Number(person),
                period,
                slot,
                retry: retry(900),
            };
            assert_eq!(desk.reason(&command), Some(*expected));
            assert_eq!(desk.state.booked_slot(BookingNumber(0)), Some(SLOT), "{expected:?}");
            desk.check();
        }
    }

    #[test]
    fn a_move_to_a_slot_that_has_begun_is_refused() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, LATE_SLOT, 1);
        desk.at = SLOT_STARTS_AT;
        assert_eq!(desk.reason(&to(person, SLOT)), Some(Rejection::SlotPast));
    }

    #[test]
    fn a_person_without_intent_or_booking_has_nothing_to_move() {
        let mut desk = Desk::open();
        let mentioned = desk.mention(1);
        assert_eq!(desk.reason(&to(mentioned, SLOT)), Some(Rejection::NotRegistered));
        let person = desk.register(2);
        assert_eq!(desk.reason(&to(person, SLOT)), Some(Rejection::NoBooking));
    }
}
