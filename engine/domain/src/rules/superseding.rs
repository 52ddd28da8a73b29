//! The roster is about to give people another key.
//!
//! A person's key never changes once they take part. An import that would change it is planned against
//! what a gateway knows, and somebody may register under the old key before the import holds; this
//! command decides who came first, in the one order. It is written before the import is, and undoes
//! itself: an attestation of the version that the import would have made, or of a later one, registers
//! under the key again, as it comes from a roster in which a number still leads to it.

use crate::state::State;
use crate::{Event, OperatorRefusal, PersonKey};

use super::{CORRECTION_ROWS_MAX, refuse_operator};

/// Decides a `Supersede`.
pub(crate) fn apply(
    state: &mut State,
    roster_version: u32,
    keys: &[PersonKey],
    events: &mut Vec<Event>,
) {
    if keys.len() > CORRECTION_ROWS_MAX {
        let row = CORRECTION_ROWS_MAX as u32;
        return refuse_operator(row, OperatorRefusal::TooManyRows, events);
    }
    let known = keys.iter().position(|key| state.people.number_of(key).is_some());
    if let Some(row) = known {
        return refuse_operator(row as u32, OperatorRefusal::PersonKnown, events);
    }
    for key in keys {
        state.keep_correction(*key, roster_version, None);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{Command, Day, PersonNumber, Rejection};

    fn supersede(roster_version: u32, names: &[u8]) -> Command {
        let keys = names.iter().map(|name| key(*name)).collect();
        Command::Supersede { roster_version, keys }
    }

    #[test]
    fn a_superseded_key_registers_nobody_but_by_the_version_that_superseded_it_or_a_later_one() {
        let cases = [(4, Some(Rejection::NotEligible)), (5, None), (6, None)];
        for (attested_version, expected) in cases {
            let mut desk = Desk::open();
            assert_eq!(desk.apply(supersede(5, &[1, 2])), []);
            assert_eq!(desk.state.people_count(), 0, "it numbers nobody");
            let command = register_attested(1, ADULT, attested_version, 1);
            assert_eq!(desk.reason(&command), expected, "version {attested_version}");
            assert_eq!(desk.reason(&register_attested(3, ADULT, 4, 1)), None, "another key");
            desk.check();
        }
    }

    #[test]
    fn whoever_came_first_keeps_the_key_and_nothing_is_superseded() {
        let mut desk = Desk::open();
        let first = desk.mention(2);
        let refused = desk.refusals(supersede(5, &[1, 2, 3]));
        assert_eq!(refused, [(1, OperatorRefusal::PersonKnown)]);
        for name in [1, 3] {
            assert_eq!(desk.reason(&register_attested(name, ADULT, 4, 1)), None);
        }
        assert_eq!(desk.facts(first), None);
    }

    #[test]
    fn a_later_correction_and_a_later_superseding_hold_over_the_earlier_one() {
        let mut desk = Desk::open();
        let correct = |roster_version| Command::CorrectRoster {
            roster_version,
            rows: vec![(key(1), Day(ADULT.0 - 1))],
        };
        desk.apply(supersede(5, &[1]));
        desk.apply(correct(5));
        assert_eq!(desk.reason(&register_attested(1, ADULT, 4, 1)), Some(Rejection::NotEligible));
        desk.apply(correct(6));
        assert_eq!(desk.reason(&register_attested(1, ADULT, 4, 2)), None);
        assert_eq!(desk.facts(PersonNumber(0)).unwrap().born_on, Day(ADULT.0 - 1));
        desk.check();
    }

    #[test]
    fn who_registered_by_a_later_version_modifies_by_an_older_attestation() {
        let mut desk = Desk::open();
        desk.apply(supersede(5, &[1]));
        desk.apply(register_attested(1, ADULT, 5, 1));
        assert_eq!(desk.reason(&modify_attested(0, ADULT, 4, 2)), None);
    }

    #[test]
    fn too_many_keys_do_nothing_at_all() {
        let mut desk = Desk::open();
        let keys = vec![key(1); CORRECTION_ROWS_MAX + 1];
        let found = desk.refusals(Command::Supersede { roster_version: 5, keys });
        assert_eq!(found, [(CORRECTION_ROWS_MAX as u32, OperatorRefusal::TooManyRows)]);
        assert_eq!(desk.reason(&register_attested(1, ADULT, 4, 1)), None);
    }
}
