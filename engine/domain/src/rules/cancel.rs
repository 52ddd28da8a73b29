//! B5: gives up the active booking of a period; its place is bookable at once.
//!
//! Refusals: 2 unknown period, 10 no booking, 14 the slot has begun. Eligibility and window are not
//! asked: whoever holds a place may give it up.

use crate::state::State;
use crate::state::history::Standing;
use crate::{BookingNumber, Event, PeriodNumber, PersonRef, Rejection, RetryKey};

use super::citizen;
use super::move_booking::active_in;

/// Decides a `Cancel`.
pub(crate) fn apply(
    state: &mut State,
    who: PersonRef,
    period: PeriodNumber,
    retry: RetryKey,
    events: &mut Vec<Event>,
) {
    let Some(person) = citizen::resolve(state, who, events) else {
        return;
    };
    let Some(standing) = citizen::admit(state, person, period, retry, events) else {
        return;
    };
    let booking = match decide(state, period, &standing) {
        Ok(booking) => booking,
        Err(reason) => return citizen::refuse(state, person, period, retry, reason, events),
    };
    state.keep_request(person, period, retry);
    let slot = state.cancel_booking(booking);
    events.push(Event::Cancelled {
        person,
        period,
        key: retry.key,
        fingerprint: retry.fingerprint,
        booking,
        slot,
    });
}

fn decide(
    state: &State,
    period: PeriodNumber,
    standing: &Standing,
) -> Result<BookingNumber, Rejection> {
    if state.catalogue.period(period).is_none() {
        return Err(Rejection::UnknownPeriod);
    }
    let (booking, held) = active_in(state, period, standing).ok_or(Rejection::NoBooking)?;
    if state.slots.starts_at(held) <= state.globals.now {
        return Err(Rejection::SlotPast);
    }
    Ok(booking)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{Command, Millis, PersonNumber};

    fn cancel(person: PersonNumber, period: PeriodNumber) -> Command {
        Command::Cancel { person: PersonRef::Number(person), period, retry: retry(900) }
    }

    #[test]
    fn a_freed_place_is_bookable_at_once_also_by_its_former_holder() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.fill(SLOT);
        let events = desk.apply(cancel(person, PERIOD));
        assert!(matches!(
            events[..],
            [Event::Cancelled { booking: BookingNumber(0), slot: SLOT, .. }]
        ));
        assert_eq!(desk.state.slot(SLOT).unwrap().1, SLOT_CAPACITY - 1);
        assert_eq!(desk.state.booked_slot(BookingNumber(0)), None);
        assert!(matches!(desk.book(person, SLOT, 2)[..], [Event::Confirmed { .. }]));
        desk.check();
    }

    #[test]
    fn a_booking_can_be_given_up_after_the_window_until_its_slot_begins() {
        let cases = [
            (SLOT_STARTS_AT.0 - 1, None),
            (SLOT_STARTS_AT.0, Some(Rejection::SlotPast)),
            (SLOT_DAY.ends_at().0 - 1, Some(Rejection::SlotPast)),
            (SLOT_DAY.ends_at().0, Some(Rejection::NoBooking)),
        ];
        for (at, expected) in cases {
            let mut desk = Desk::open();
            let person = desk.register(1);
            desk.book(person, SLOT, 1);
            desk.put_period(PERIOD, WINDOW_OPENS_AT, Millis(WINDOW_OPENS_AT.0 + 1));
            desk.at = Millis(at);
            assert_eq!(desk.reason(&cancel(person, PERIOD)), expected, "at {at}");
            desk.check();
        }
    }

    #[test]
    fn nothing_is_given_up_in_another_period_twice_or_after_attendance() {
        let mut desk = Desk::open();
        desk.put_period(PeriodNumber(4), WINDOW_OPENS_AT, WINDOW_CLOSES_AT);
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        let unknown = cancel(person, PeriodNumber(77));
        assert_eq!(desk.reason(&unknown), Some(Rejection::UnknownPeriod));
        let other = cancel(person, PeriodNumber(4));
        assert_eq!(desk.reason(&other), Some(Rejection::NoBooking));
        assert_eq!(desk.reason(&cancel(person, PERIOD)), None);
        let again = Command::Cancel {
            person: PersonRef::Number(person),
            period: PERIOD,
            retry: retry(901),
        };
        assert_eq!(desk.reason(&again), Some(Rejection::NoBooking));

        let attended = desk.register(2);
        desk.book(attended, SLOT, 1);
        desk.at = SLOT_STARTS_AT;
        desk.attend(BookingNumber(1));
        assert_eq!(desk.reason(&cancel(attended, PERIOD)), Some(Rejection::NoBooking));
    }
}
