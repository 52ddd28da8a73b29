//! R1: creates or replaces a category.
//!
//! Refusals: 7 too many vaccines, 8 a 33rd category, 13 number 0.

use crate::eligibility::CategoryRule;
use crate::state::State;
use crate::{Category, Event, OperatorRefusal};

use super::refuse_operator;

/// Decides a `PutCategory`.
pub(crate) fn apply(state: &mut State, category: &Category, events: &mut Vec<Event>) {
    let new_vaccines = match decide(state, category) {
        Ok(names) => names,
        Err(reason) => return refuse_operator(0, reason, events),
    };
    state.name_vaccines(new_vaccines, events);
    state.put_category(CategoryRule::compile(category));
    events.push(Event::CategoryPut {
        category: category.clone(),
        vaccines: state.catalogue.vaccine_set(&category.vaccines),
    });
}

/// The vaccine names that get a number by this.
fn decide(state: &State, category: &Category) -> Result<Vec<String>, OperatorRefusal> {
    let names = state
        .catalogue
        .new_vaccines(&category.vaccines)
        .map_err(|_| OperatorRefusal::TooManyVaccines)?;
    if !state.catalogue.has_room_for_category(category.number) {
        return Err(OperatorRefusal::TooManyCategories);
    }
    if category.number.0 == 0 {
        return Err(OperatorRefusal::BadNumber);
    }
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{CategoryNumber, Command, VaccineNumber, VaccineSet};

    fn put(number: u16, vaccines: &[&str]) -> Command {
        Command::PutCategory(Category {
            number: CategoryNumber(number),
            vaccines: vaccines.iter().map(|name| name.to_string()).collect(),
            ..category(Some(ADULT), false)
        })
    }

    #[test]
    fn new_vaccine_names_get_numbers_in_order_before_the_category_holds() {
        let mut desk = Desk::empty();
        let events = desk.apply(put(9, &["AZ", "Moderna", "AZ"]));
        let named = |number, name: &str| Event::VaccineNamed {
            vaccine: VaccineNumber(number),
            name: name.to_string(),
        };
        assert_eq!(events[..2], [named(0, "AZ"), named(1, "Moderna")]);
        assert!(matches!(events[2..], [Event::CategoryPut { vaccines: VaccineSet(0b11), .. }]));
        let again = desk.apply(put(10, &["Moderna", "BNT"]));
        assert_eq!(again[0], named(2, "BNT"));
        assert!(matches!(again[1..], [Event::CategoryPut { vaccines: VaccineSet(0b110), .. }]));
    }

    #[test]
    fn a_category_put_again_keeps_its_bit() {
        let mut desk = Desk::empty();
        desk.apply(put(9, &[]));
        desk.apply(put(10, &[]));
        desk.apply(put(9, &["AZ"]));
        assert_eq!(desk.state.catalogue.category_bit(CategoryNumber(9)), Some(0));
        assert_eq!(desk.state.catalogue.category_bit(CategoryNumber(10)), Some(1));
        desk.check();
    }

    #[test]
    fn limits_refuse_and_leave_no_vaccine_named() {
        let mut desk = Desk::empty();
        for number in 1..=32 {
            assert_eq!(desk.refusals(put(number, &[])), []);
        }
        let many: Vec<String> = (0..17).map(|number| format!("vaccine {number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let cases: &[(u16, &[&str], &[(u32, OperatorRefusal)])] = &[
            (0, &many, &[(0, OperatorRefusal::TooManyVaccines)]),
            (0, &["AZ"], &[(0, OperatorRefusal::TooManyCategories)]),
            (33, &["AZ"], &[(0, OperatorRefusal::TooManyCategories)]),
            (32, &many[..16], &[]),
            (32, &["one more"], &[(0, OperatorRefusal::TooManyVaccines)]),
        ];
        for (number, vaccines, expected) in cases {
            let known = desk.state.catalogue.vaccines.len();
            assert_eq!(desk.refusals(put(*number, vaccines)), *expected);
            if !expected.is_empty() {
                assert_eq!(desk.state.catalogue.vaccines.len(), known);
            }
        }
        let mut empty = Desk::empty();
        assert_eq!(empty.refusals(put(0, &[])), [(0, OperatorRefusal::BadNumber)]);
    }
}
