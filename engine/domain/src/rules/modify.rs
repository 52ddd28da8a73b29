//! R7: changes an intent; serial number and time of registration stay.
//!
//! Refusals: 3 no intent, 4 no category takes the person as newly attested, 8 an active booking of any
//! period, 9 all categories that take the person are closed.

use crate::eligibility::{is_any_category_open, is_eligible_to_register};
use crate::state::State;
use crate::{
    Attested, Day, Event, Intent, PeriodNumber, PersonNumber, PersonRef, Rejection, RetryKey,
};

use super::citizen;

/// Decides a `Modify`.
pub(crate) fn apply(
    state: &mut State,
    who: PersonRef,
    attested: Attested,
    intent: &Intent,
    sealed: &[u8],
    retry: RetryKey,
    events: &mut Vec<Event>,
) {
    let Some(person) = citizen::resolve(state, who, events) else {
        return;
    };
    let period = PeriodNumber::INTENTS;
    if citizen::admit(state, person, period, retry, events).is_none() {
        return;
    }
    let held = state.corrections.holding(&state.people.keys[person.0], attested);
    // Who holds an intent under a superseded key registered by a later version: the key is theirs.
    let held = held.unwrap_or(attested);
    if let Err(reason) = decide(state, person, held.born_on) {
        return citizen::refuse(state, person, period, retry, reason, events);
    }
    state.keep_request(person, period, retry);
    state.set_intent(person, held, intent);
    events.push(Event::Modified {
        person,
        key: retry.key,
        fingerprint: retry.fingerprint,
        born_on: held.born_on,
        intent: *intent,
        sealed: sealed.to_vec(),
    });
}

fn decide(state: &State, person: PersonNumber, born_on: Day) -> Result<(), Rejection> {
    let record = state.people.get(person);
    if record.serial == 0 {
        return Err(Rejection::NotRegistered);
    }
    let categories = &state.catalogue.categories;
    is_eligible_to_register(categories, born_on, record.memberships)?;
    refuse_while_booked(state, person)?;
    is_any_category_open(categories, born_on, record.memberships, state.globals.now)
}

/// Refusal 8.
pub(super) fn refuse_while_booked(state: &State, person: PersonNumber) -> Result<(), Rejection> {
    let record = state.people.get(person);
    let now = state.globals.now;
    match state.history.active_booking(person, record, now, &state.slots) {
        Some(_) => Err(Rejection::HasBooking),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{Command, CountyNumber, Millis};

    fn modify(person: PersonNumber, born_on: Day, roster_version: u32) -> Command {
        Command::Modify {
            person: PersonRef::Number(person),
            attested: Attested { born_on, roster_version },
            intent: Intent { county: CountyNumber(7), ..intent(AZ) },
            sealed: vec![8; 3],
            retry: retry(300),
        }
    }

    #[test]
    fn a_modified_intent_keeps_serial_number_and_time_of_registration() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        let before = desk.facts(person).unwrap();
        desk.at = Millis(desk.at.0 + 1_000);
        let events = desk.apply(modify(person, Day(ADULT.0 - 1), 1));
        assert!(matches!(&events[..], [Event::Modified { sealed, .. }] if *sealed == [8; 3]));
        let after = desk.facts(person).unwrap();
        assert_eq!(after.registered_at, before.registered_at);
        assert_eq!((after.county, after.born_on), (CountyNumber(7), Day(ADULT.0 - 1)));
        desk.check();
    }

    #[test]
    fn the_refusal_with_the_lowest_number_is_given() {
        type Prepare = fn(&mut Desk) -> (PersonNumber, Day);
        let cases: &[(Option<Rejection>, Prepare)] = &[
            (Some(Rejection::NotRegistered), |desk| (desk.mention(1), TOO_YOUNG)),
            (Some(Rejection::NotEligible), |desk| {
                let person = desk.register(1);
                desk.book(person, SLOT, 1);
                desk.at = CATEGORY_CLOSES_AT;
                (person, TOO_YOUNG)
            }),
            (Some(Rejection::HasBooking), |desk| {
                let person = desk.register(1);
                desk.book(person, SLOT, 1);
                desk.close_category();
                (person, ADULT)
            }),
            (Some(Rejection::CategoryClosed), |desk| {
                let person = desk.register(1);
                desk.at = CATEGORY_CLOSES_AT;
                (person, ADULT)
            }),
            (None, |desk| {
                let person = desk.register(1);
                desk.book(person, SLOT, 1);
                desk.at = SLOT_DAY.ends_at();
                (person, ADULT)
            }),
        ];
        for (expected, prepare) in cases {
            let mut desk = Desk::open();
            let (person, born_on) = prepare(&mut desk);
            let before = desk.facts(person);
            assert_eq!(desk.reason(&modify(person, born_on, 1)), *expected);
            if expected.is_some() {
                assert_eq!(desk.facts(person), before);
            }
        }
    }

    #[test]
    fn an_older_attestation_yields_to_a_known_correction() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        let corrected = Day(ADULT.0 - 700);
        desk.apply(Command::CorrectRoster { roster_version: 5, rows: vec![(key(1), corrected)] });
        desk.apply(modify(person, ADULT, 4));
        assert_eq!(desk.facts(person).unwrap().born_on, corrected);
    }
}
