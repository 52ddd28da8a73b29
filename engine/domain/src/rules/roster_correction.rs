//! The roster changed what it says of people.
//!
//! A correction holds against every attestation of a lower roster version: at once for the intent that
//! exists, and later for whoever registers or modifies through a gateway whose roster is behind. It
//! numbers nobody. More rows than allowed: 14, and nothing is done.

use crate::state::State;
use crate::{Day, Event, OperatorRefusal, PersonKey};

use super::{CORRECTION_ROWS_MAX, refuse_operator};

/// Decides a `CorrectRoster`.
pub(crate) fn apply(
    state: &mut State,
    roster_version: u32,
    rows: &[(PersonKey, Day)],
    events: &mut Vec<Event>,
) {
    if rows.len() > CORRECTION_ROWS_MAX {
        let row = CORRECTION_ROWS_MAX as u32;
        return refuse_operator(row, OperatorRefusal::TooManyRows, events);
    }
    for (key, born_on) in rows {
        if !state.keep_correction(*key, roster_version, Some(*born_on)) {
            continue;
        }
        let Some(person) = state.people.number_of(key) else {
            continue;
        };
        let record = state.people.get(person);
        if record.serial != 0 && record.roster_version < roster_version {
            state.correct_birth(person, roster_version, *born_on);
            events.push(Event::BirthCorrected { person, born_on: *born_on });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::Command;

    fn correct(roster_version: u32, name: u8, born_on: Day) -> Command {
        Command::CorrectRoster { roster_version, rows: vec![(key(name), born_on)] }
    }

    #[test]
    fn a_correction_holds_when_its_version_is_higher_than_the_attested_and_every_known_one() {
        let mut desk = Desk::open();
        desk.apply(register_attested(1, ADULT, 5, 1));
        let person = crate::PersonNumber(0);
        let cases = [
            (4, 1, false),
            (5, 2, false),
            (7, 3, true),
            (6, 4, false),
            (7, 5, false),
            (8, 6, true),
        ];
        let mut holding = ADULT;
        for (version, day, holds) in cases {
            let born_on = Day(day);
            let events = desk.apply(correct(version, 1, born_on));
            if holds {
                holding = born_on;
                assert_eq!(events, [Event::BirthCorrected { person, born_on }]);
            } else {
                assert_eq!(events, []);
            }
            assert_eq!(desk.facts(person).unwrap().born_on, holding, "version {version}");
        }
        desk.check();
    }

    #[test]
    fn a_correction_of_an_unknown_person_gives_no_number_and_no_event() {
        let mut desk = Desk::open();
        assert_eq!(desk.apply(correct(5, 1, TOO_YOUNG)), []);
        assert_eq!(desk.state.people_count(), 0);
        let person = desk.mention(2);
        assert_eq!(desk.apply(correct(5, 2, TOO_YOUNG)), []);
        assert_eq!(desk.facts(person), None);
        desk.check();
    }

    #[test]
    fn a_corrected_date_decides_from_then_on() {
        let mut desk = Desk::open();
        desk.put_period_from_birth(ADULT);
        let person = desk.register(1);
        desk.apply(correct(5, 1, TOO_YOUNG));
        let events = desk.book(person, SLOT, 1);
        let not_eligible = crate::Rejection::NotEligible;
        assert!(matches!(events[..], [Event::Rejected { reason, .. }] if reason == not_eligible));
    }

    #[test]
    fn too_many_rows_do_nothing_at_all() {
        let mut desk = Desk::open();
        let rows = vec![(key(1), ADULT); CORRECTION_ROWS_MAX + 1];
        let found = desk.refusals(Command::CorrectRoster { roster_version: 5, rows });
        assert_eq!(found, [(CORRECTION_ROWS_MAX as u32, OperatorRefusal::TooManyRows)]);
    }
}
