//! R7: ends an intent. The person keeps number, keys, memberships and bookings, and may register anew.
//!
//! Refusals: 3 no intent, 8 an active booking of any period, 9 all categories that take the person are
//! closed. A person whom no category takes any more may withdraw.

use crate::eligibility::is_any_category_open;
use crate::state::State;
use crate::{Event, PeriodNumber, PersonNumber, PersonRef, Rejection, RetryKey};

use super::citizen;
use super::modify::refuse_while_booked;

/// Decides a `Withdraw`.
pub(crate) fn apply(state: &mut State, who: PersonRef, retry: RetryKey, events: &mut Vec<Event>) {
    let Some(person) = citizen::resolve(state, who, events) else {
        return;
    };
    let period = PeriodNumber::INTENTS;
    if citizen::admit(state, person, period, retry, events).is_none() {
        return;
    }
    if let Err(reason) = decide(state, person) {
        return citizen::refuse(state, person, period, retry, reason, events);
    }
    let serial = state.end_intent(person);
    state.keep_request(person, period, retry);
    events.push(Event::Withdrawn {
        person,
        key: retry.key,
        fingerprint: retry.fingerprint,
        serial,
    });
}

fn decide(state: &State, person: PersonNumber) -> Result<(), Rejection> {
    let record = state.people.get(person);
    let facts = record.facts().ok_or(Rejection::NotRegistered)?;
    refuse_while_booked(state, person)?;
    let categories = &state.catalogue.categories;
    is_any_category_open(categories, facts.born_on, facts.memberships, state.globals.now)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{BookingNumber, Command};

    fn withdraw(person: PersonNumber, number: u64) -> Command {
        Command::Withdraw { person: PersonRef::Number(person), retry: retry(number) }
    }

    #[test]
    fn whoever_withdrew_may_register_anew_under_a_new_serial_number() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        let events = desk.apply(withdraw(person, 300));
        assert!(matches!(events[..], [Event::Withdrawn { serial: 1, .. }]));
        assert_eq!(desk.facts(person), None);
        assert_eq!(desk.reason(&withdraw(person, 301)), Some(Rejection::NotRegistered));
        let again = desk.apply(register(1, ADULT, 302));
        assert!(matches!(again[..], [Event::Registered { serial: 2, .. }]));
        desk.check();
    }

    #[test]
    fn an_active_booking_or_a_closed_category_refuses() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.close_category();
        assert_eq!(desk.reason(&withdraw(person, 300)), Some(Rejection::HasBooking));
        desk.at = SLOT_STARTS_AT;
        desk.attend(BookingNumber(0));
        assert_eq!(desk.reason(&withdraw(person, 301)), Some(Rejection::CategoryClosed));
    }

    #[test]
    fn whom_no_category_takes_any_more_may_withdraw() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.put_category(None, false);
        assert_eq!(desk.reason(&withdraw(person, 300)), None);
    }

    #[test]
    fn memberships_and_missed_days_stay() {
        let mut desk = Desk::open();
        desk.put_category(Some(ADULT), true);
        desk.import_members(&[key(1)]);
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.at = SLOT_DAY.ends_at();
        desk.apply(withdraw(person, 300));
        desk.apply(register(1, ADULT, 301));
        assert_eq!(desk.facts(person).unwrap().memberships, 1);
        let book = Command::Book {
            person: PersonRef::Number(person),
            period: PERIOD,
            slot: LATE_SLOT,
            retry: retry(2),
        };
        assert_eq!(desk.reason(&book), Some(Rejection::BarredUntilNextPeriod));
    }
}
