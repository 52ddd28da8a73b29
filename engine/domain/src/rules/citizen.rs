//! What all commands of citizens have in common: who asks, whether the key was decided before, and
//! how a refusal is kept.

use crate::state::State;
use crate::state::history::{Link, Standing};
use crate::state::people::Person;
use crate::{Event, PeriodNumber, PersonNumber, PersonRef, Rejection, RetryKey};

use super::REQUEST_KEYS_MAX;

/// Finds or numbers the person. `None`, with the event, when the number was never given.
#[inline]
pub(super) fn resolve(
    state: &mut State,
    who: PersonRef,
    events: &mut Vec<Event>,
) -> Option<PersonNumber> {
    let found = match who {
        PersonRef::Number(number) => (number.0 < state.people.len()).then_some(number),
        PersonRef::Key(key) => state.number(key, events),
    };
    if found.is_none() {
        events.push(Event::Malformed);
    }
    found
}

/// True when a person has asked for nothing in any period, and there is room for the request:
/// [`admit`] would find nothing.
#[inline]
pub(super) fn is_first(state: &State, person: &Person, period: PeriodNumber) -> bool {
    person.latest == Link::NONE && period != PeriodNumber::INTENTS && state.history.has_room()
}

/// Looks back over what the person asked before. `None`, with the event, when the key is decided or
/// one too many: nothing is left to do then.
pub(super) fn admit(
    state: &State,
    person: PersonNumber,
    period: PeriodNumber,
    retry: RetryKey,
    events: &mut Vec<Event>,
) -> Option<Standing> {
    let record = state.people.get(person);
    let standing = if period == PeriodNumber::INTENTS {
        state.history.standing_on_intents(person, record, retry.key)
    } else {
        let now = state.globals.now;
        state.history.standing(person, record, period, retry.key, now, &state.slots)
    };
    if let Some((first, fingerprint)) = standing.decided {
        let key = retry.key;
        events.push(if fingerprint == retry.fingerprint {
            Event::Repeated { person, period, key, first }
        } else {
            Event::KeyReused { person, period, key, first }
        });
        return None;
    }
    if standing.keys >= REQUEST_KEYS_MAX || !state.history.has_room() {
        events.push(rejected(person, period, retry, Rejection::TooManyKeys));
        return None;
    }
    Some(standing)
}

/// Refuses a request and keeps its key.
pub(super) fn refuse(
    state: &mut State,
    person: PersonNumber,
    period: PeriodNumber,
    retry: RetryKey,
    reason: Rejection,
    events: &mut Vec<Event>,
) {
    state.keep_request(person, period, retry);
    events.push(rejected(person, period, retry, reason));
}

fn rejected(
    person: PersonNumber,
    period: PeriodNumber,
    retry: RetryKey,
    reason: Rejection,
) -> Event {
    Event::Rejected { person, period, key: retry.key, fingerprint: retry.fingerprint, reason }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::{Desk, PERIOD, SLOT, key, retry};
    use super::*;
    use crate::{Command, Fingerprint, KeyHash, PeriodNumber, Sequence, SlotNumber};

    #[test]
    fn a_decided_key_is_repeated_and_with_another_body_it_is_reused() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        let first = Sequence(desk.state.sequence().0 + 1);
        desk.book(person, SLOT, 7);
        let again = desk.book(person, SLOT, 7);
        let key = KeyHash(7);
        assert_eq!(again, [Event::Repeated { person, period: PERIOD, key, first }]);
        let other = RetryKey { key, fingerprint: Fingerprint(999) };
        let reused = desk.apply(Command::Book {
            person: PersonRef::Number(person),
            period: PERIOD,
            slot: SlotNumber(1),
            retry: other,
        });
        assert_eq!(reused, [Event::KeyReused { person, period: PERIOD, key, first }]);
    }

    #[test]
    fn a_key_is_decided_once_a_period_whatever_the_command() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 7);
        let cancel =
            |period| Command::Cancel { person: PersonRef::Number(person), period, retry: retry(7) };
        assert!(matches!(desk.apply(cancel(PERIOD))[..], [Event::Repeated { .. }]));
        let elsewhere = desk.apply(cancel(PeriodNumber(99)));
        assert!(matches!(
            elsewhere[..],
            [Event::Rejected { reason: Rejection::UnknownPeriod, .. }]
        ));
    }

    #[test]
    fn key_257_of_a_period_is_refused_and_not_kept_while_other_periods_go_on() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        for number in 0..REQUEST_KEYS_MAX as u64 {
            assert_eq!(desk.reason(&desk_cancel(person, number)), Some(Rejection::NoBooking));
        }
        let kept = desk.state.requests_count();
        for number in [1_000, 1_000, 1_001] {
            assert_eq!(desk.reason(&desk_cancel(person, number)), Some(Rejection::TooManyKeys));
        }
        assert_eq!(desk.state.requests_count(), kept);
        assert!(matches!(desk.apply(desk_cancel(person, 255))[..], [Event::Repeated { .. }]));
        let other = Command::Cancel {
            person: PersonRef::Number(person),
            period: PeriodNumber(9),
            retry: retry(1_000),
        };
        assert_eq!(desk.reason(&other), Some(Rejection::UnknownPeriod));
    }

    fn desk_cancel(person: PersonNumber, number: u64) -> Command {
        Command::Cancel { person: PersonRef::Number(person), period: PERIOD, retry: retry(number) }
    }

    #[test]
    fn a_request_for_period_0_shares_the_keys_of_intents() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        let book = |number| Command::Book {
            person: PersonRef::Number(person),
            period: PeriodNumber::INTENTS,
            slot: SLOT,
            retry: retry(number),
        };
        assert_eq!(desk.reason(&book(50)), Some(Rejection::UnknownPeriod));
        let withdraw = Command::Withdraw { person: PersonRef::Number(person), retry: retry(50) };
        assert!(matches!(desk.apply(withdraw)[..], [Event::Repeated { .. }]));
    }

    #[test]
    fn an_unknown_key_is_numbered_even_for_a_refusal_and_an_unknown_number_is_malformed() {
        let mut desk = Desk::open();
        let events =
            desk.apply(Command::Withdraw { person: PersonRef::Key(key(3)), retry: retry(1) });
        let person = PersonNumber(0);
        assert_eq!(events[0], Event::Numbered { person, key: key(3) });
        assert!(matches!(
            events[1..],
            [Event::Rejected { person: PersonNumber(0), reason: Rejection::NotRegistered, .. }]
        ));
        let unknown = desk.apply(Command::Withdraw {
            person: PersonRef::Number(PersonNumber(1)),
            retry: retry(1),
        });
        assert_eq!(unknown, [Event::Malformed]);
    }
}
