//! P1, P2: creates or replaces a period.
//!
//! Refusals: 6 a category never published, 7 too many vaccines, 13 number 0 or a county that no mask
//! holds, 14 too many openings.

use crate::eligibility::{BadPeriod, PeriodRule};
use crate::state::State;
use crate::{Event, OperatorRefusal, Period, PeriodNumber, VaccineSet};

use super::{PERIOD_OPENINGS_MAX, refuse_operator};

/// Decides a `PutPeriod`.
pub(crate) fn apply(state: &mut State, period: &Period, events: &mut Vec<Event>) {
    let (mut rule, new_vaccines) = match decide(state, period) {
        Ok(decided) => decided,
        Err(reason) => return refuse_operator(0, reason, events),
    };
    state.name_vaccines(new_vaccines, events);
    rule.vaccines = state.catalogue.vaccine_set(&period.vaccines);
    events.push(Event::PeriodPut { period: period.clone(), vaccines: rule.vaccines });
    state.put_period(rule);
}

/// The rule, still without vaccines, and the names that get a number by it.
fn decide(state: &State, period: &Period) -> Result<(PeriodRule, Vec<String>), OperatorRefusal> {
    let categories = &state.catalogue.categories;
    let compiled = PeriodRule::compile(period, VaccineSet::default(), categories);
    if compiled == Err(BadPeriod::UnknownCategory) {
        return Err(OperatorRefusal::UnknownCategory);
    }
    let names = state
        .catalogue
        .new_vaccines(&period.vaccines)
        .map_err(|_| OperatorRefusal::TooManyVaccines)?;
    let rule = compiled.map_err(|_| OperatorRefusal::BadNumber)?;
    if period.number == PeriodNumber::INTENTS {
        return Err(OperatorRefusal::BadNumber);
    }
    if period.openings.len() > PERIOD_OPENINGS_MAX {
        return Err(OperatorRefusal::TooManyRows);
    }
    Ok((rule, names))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{CategoryNumber, Command, CountyNumber, Opening};

    #[test]
    fn a_period_holds_at_once_and_a_second_put_replaces_it() {
        let mut desk = Desk::empty();
        let events = desk.apply(Command::PutPeriod(period(PERIOD, "AZ")));
        assert!(matches!(
            events[..],
            [Event::VaccineNamed { .. }, Event::PeriodPut { vaccines: VaccineSet(1), .. }]
        ));
        desk.apply(Command::PutPeriod(Period {
            closes_at: WINDOW_OPENS_AT,
            ..period(PERIOD, "AZ")
        }));
        assert_eq!(desk.state.catalogue.period(PERIOD).unwrap().closes_at, WINDOW_OPENS_AT);
        assert_eq!(desk.state.catalogue.periods.len(), 1);
        desk.check();
    }

    #[test]
    fn the_highest_and_lowest_numbers_are_usable() {
        let mut desk = Desk::empty();
        for number in [u16::MAX, 1, 300] {
            desk.apply(Command::PutPeriod(period(PeriodNumber(number), "AZ")));
            let found = desk.state.catalogue.period(PeriodNumber(number)).unwrap();
            assert_eq!(found.number, PeriodNumber(number));
        }
        assert_eq!(desk.state.catalogue.period(PeriodNumber(2)), None);
        desk.check();
    }

    #[test]
    fn the_refusal_with_the_lowest_number_is_given_and_nothing_changes() {
        type Change = fn(&mut Period);
        let cases: &[(OperatorRefusal, Change)] = &[
            (OperatorRefusal::UnknownCategory, |put| {
                put.number = PeriodNumber(0);
                put.categories = Some(vec![CategoryNumber(9), CategoryNumber(10)]);
                put.vaccines = (0..17).map(|number| number.to_string()).collect();
            }),
            (OperatorRefusal::TooManyVaccines, |put| {
                put.number = PeriodNumber(0);
                put.vaccines = (0..17).map(|number| number.to_string()).collect();
            }),
            (OperatorRefusal::BadNumber, |put| {
                put.number = PeriodNumber(0);
                put.openings = vec![OPENING; PERIOD_OPENINGS_MAX + 1];
            }),
            (OperatorRefusal::BadNumber, |put| {
                put.counties = Some(vec![CountyNumber(0), CountyNumber(64)]);
            }),
            (OperatorRefusal::TooManyRows, |put| {
                put.openings = vec![OPENING; PERIOD_OPENINGS_MAX + 1];
            }),
        ];
        for (expected, change) in cases {
            let mut desk = Desk::early();
            let mut put = Period {
                categories: Some(vec![CategoryNumber(9)]),
                ..period(PeriodNumber(5), "another vaccine")
            };
            change(&mut put);
            let before = desk.state.catalogue.vaccines.len();
            assert_eq!(desk.refusals(Command::PutPeriod(put)), [(0, *expected)]);
            assert_eq!(desk.state.catalogue.vaccines.len(), before);
        }
    }

    const OPENING: Opening = Opening { born_on_or_before: None, opens_at: WINDOW_OPENS_AT };
}
