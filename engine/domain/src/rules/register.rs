//! R5, R8: a new intent.
//!
//! A person who has one is shown it, whatever else would be wrong. Else 4 when the key was superseded or no
//! category takes the person, by the date of birth that holds or by list, and 9 when all that do are closed.
//!
//! Which vaccines a category offers for ticking is the gateway's check: an intent for others books
//! nothing.

use crate::eligibility::registration_allowed;
use crate::state::State;
use crate::{Attested, Event, Intent, PeriodNumber, PersonKey, Rejection, RetryKey};

use super::citizen;

/// Decides a `Register`.
pub(crate) fn apply(
    state: &mut State,
    key: PersonKey,
    attested: Attested,
    intent: &Intent,
    sealed: &[u8],
    retry: RetryKey,
    events: &mut Vec<Event>,
) {
    let Some(person) = citizen::resolve(state, crate::PersonRef::Key(key), events) else {
        return;
    };
    let period = PeriodNumber::INTENTS;
    if citizen::admit(state, person, period, retry, events).is_none() {
        return;
    }
    let record = state.people.get(person);
    if record.serial != 0 {
        state.keep_request(person, period, retry);
        events.push(Event::AlreadyRegistered {
            person,
            key: retry.key,
            fingerprint: retry.fingerprint,
        });
        return;
    }
    let Some(held) = state.corrections.holding(&key, attested) else {
        // Another key leads to this person now: at the next identity check they get it.
        return citizen::refuse(state, person, period, retry, Rejection::NotEligible, events);
    };
    let categories = &state.catalogue.categories;
    let now = state.globals.now;
    let allowed = registration_allowed(categories, held.born_on, record.memberships, now);
    if let Err(reason) = allowed {
        return citizen::refuse(state, person, period, retry, reason, events);
    }
    let serial = state.add_intent(person, held, intent, retry);
    events.push(Event::Registered {
        person,
        key: retry.key,
        fingerprint: retry.fingerprint,
        serial,
        born_on: held.born_on,
        intent: *intent,
        sealed: sealed.to_vec(),
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{Command, Day, KeyHash, Millis, PersonNumber, PersonRef, Sequence};

    #[test]
    fn serial_numbers_are_dense_from_1_and_the_event_carries_the_sealed_contact() {
        let mut desk = Desk::open();
        for name in 1..=3_u8 {
            let events = desk.apply(register(name, ADULT, 1));
            let person = PersonNumber(u32::from(name) - 1);
            assert_eq!(events[0], Event::Numbered { person, key: key(name) });
            let Event::Registered { serial, born_on, sealed, .. } = &events[1] else {
                panic!("{events:?}");
            };
            assert_eq!((*serial, *born_on, &sealed[..]), (u32::from(name), ADULT, &[name; 5][..]));
        }
    }

    #[test]
    fn only_whom_a_category_takes_can_register_and_only_while_it_is_open() {
        let cases = [
            (TOO_YOUNG, CATEGORY_OPENS_AT.0 - 1, Some(Rejection::NotEligible)),
            (TOO_YOUNG, CATEGORY_OPENS_AT.0, Some(Rejection::NotEligible)),
            (ADULT, CATEGORY_OPENS_AT.0 - 1, Some(Rejection::CategoryClosed)),
            (ADULT, CATEGORY_OPENS_AT.0, None),
            (ADULT, CATEGORY_CLOSES_AT.0 - 1, None),
            (ADULT, CATEGORY_CLOSES_AT.0, Some(Rejection::CategoryClosed)),
        ];
        for (born_on, at, expected) in cases {
            let mut desk = Desk::early();
            desk.at = Millis(at);
            assert_eq!(desk.reason(&register(1, born_on, 1)), expected, "{born_on:?} at {at}");
        }
    }

    #[test]
    fn a_second_registration_shows_the_first_even_when_the_category_is_closed() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.at = CATEGORY_CLOSES_AT;
        let events = desk.apply(register(1, TOO_YOUNG, 2));
        let key = KeyHash(2);
        let fingerprint = retry(2).fingerprint;
        assert_eq!(events, [Event::AlreadyRegistered { person, key, fingerprint }]);
        assert_eq!(desk.facts(person).unwrap().born_on, ADULT);
    }

    #[test]
    fn the_key_of_a_registration_stays_decided_after_the_intent_has_ended() {
        let mut desk = Desk::open();
        let first = Sequence(desk.state.sequence().0 + 1);
        let person = desk.register(1);
        let repeated = |desk: &mut Desk| {
            let events = desk.apply(register(1, ADULT, 1));
            matches!(events[..], [Event::Repeated { first: found, .. }] if found == first)
        };
        assert!(repeated(&mut desk));
        desk.apply(Command::Withdraw { person: PersonRef::Number(person), retry: retry(2) });
        assert!(repeated(&mut desk));
        let again = desk.apply(register(1, ADULT, 3));
        assert!(matches!(again[..], [Event::Registered { serial: 2, .. }]));
        assert!(repeated(&mut desk));
        desk.check();
    }

    #[test]
    fn a_known_correction_of_a_higher_version_outweighs_the_attestation() {
        let cases = [(4, TOO_YOUNG), (5, ADULT), (6, ADULT)];
        for (attested_version, expected) in cases {
            let mut desk = Desk::open();
            desk.apply(Command::CorrectRoster {
                roster_version: 5,
                rows: vec![(key(1), TOO_YOUNG)],
            });
            let command = register_attested(1, ADULT, attested_version, 1);
            let reason = desk.reason(&command);
            let held = if reason.is_some() { TOO_YOUNG } else { ADULT };
            assert_eq!(held, expected, "version {attested_version}");
        }
    }

    #[test]
    fn a_refused_registration_leaves_nothing_but_its_key() {
        let mut desk = Desk::open();
        assert_eq!(desk.reason(&register(1, TOO_YOUNG, 1)), Some(Rejection::NotEligible));
        assert_eq!(desk.facts(PersonNumber(0)), None);
        assert!(matches!(desk.apply(register(1, TOO_YOUNG, 1))[..], [Event::Repeated { .. }]));
        assert_eq!(desk.reason(&register(1, ADULT, 2)), None);
        assert_eq!(desk.facts(PersonNumber(0)).unwrap().born_on, Day(ADULT.0));
    }
}
