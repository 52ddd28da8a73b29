//! Who may register, and who may book in which period from when.
//!
//! Pure functions on small structs, used by `State`, which decides, and by `View`, which foretells:
//! there is no second copy of these rules. The functions follow the order of [`Rejection`] numbers.
//!
//! What this file deliberately does not do: retry keys, places, bookings. It knows a person as
//! [`Facts`], a period as [`PeriodRule`], a category as [`CategoryRule`], and nothing else.

use serde::{Deserialize, Serialize};

use crate::{
    Category, CategoryNumber, CountyNumber, Day, Millis, Opening, Period, PeriodNumber, Rejection,
    VaccineSet,
};

/// Categories that a membership mask holds.
pub const CATEGORIES_MAX: usize = 32;

/// Vaccines that a [`VaccineSet`] holds.
pub const VACCINES_MAX: usize = 16;

/// The highest county number that a period's mask of counties holds.
pub const COUNTY_NUMBER_MAX: u8 = 63;

/// What the rules ask of a person who holds an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When the intent was first registered; a modification does not move it.
    pub registered_at: Millis,
    /// The date of birth that holds, attested or corrected.
    pub born_on: Day,
    /// County of the wished region.
    pub county: CountyNumber,
    /// Vaccines ticked.
    pub vaccines: VaccineSet,
    /// Categories whose imported list names the person: bit n = the n-th category in order of first
    /// publication.
    pub memberships: u32,
}

/// What decides about a category. Its place in the slice handed to the functions below is its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryRule {
    /// As announced.
    pub number: CategoryNumber,
    /// Whether the imported list counts.
    pub members: bool,
    /// People born on or before this day belong to it.
    pub born_on_or_before: Option<Day>,
    /// Registration opens.
    pub opens_at: Millis,
    /// Registration closes; never, when absent.
    pub closes_at: Option<Millis>,
}

impl CategoryRule {
    /// The part of a category that decides.
    pub fn compile(category: &Category) -> CategoryRule {
        CategoryRule {
            number: category.number,
            members: category.members,
            born_on_or_before: category.born_on_or_before,
            opens_at: category.opens_at,
            closes_at: category.closes_at,
        }
    }

    /// True when a person belongs to the category whose bit is `bit`: by birth **or** by list.
    #[inline]
    pub fn takes(&self, bit: usize, born_on: Day, memberships: u32) -> bool {
        let by_list = self.members && memberships >> bit & 1 == 1;
        by_list || self.born_on_or_before.is_some_and(|last| born_on <= last)
    }

    /// True while intents of the category may be registered, changed or withdrawn.
    #[inline]
    pub fn is_open(&self, at: Millis) -> bool {
        self.opens_at <= at && self.closes_at.is_none_or(|end| at < end)
    }
}

/// What decides about a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodRule {
    /// As announced.
    pub number: PeriodNumber,
    /// Vaccines offered.
    pub vaccines: VaccineSet,
    /// Intents first registered before this instant are eligible; any, when absent.
    pub registered_before: Option<Millis>,
    /// Wished regions that are eligible, bit = county number; all, when absent.
    pub counties: Option<u64>,
    /// Categories of which the person must belong to one, bit = place of the category; any, when absent.
    pub categories: Option<u32>,
    /// People born on or before this day are eligible; all, when absent.
    pub born_on_or_before: Option<Day>,
    /// The window opens, when `openings` is empty.
    pub opens_at: Millis,
    /// The window closes.
    pub closes_at: Millis,
    /// When not empty, these alone decide when whom.
    pub openings: Vec<Opening>,
}

/// Why a period cannot be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPeriod {
    /// It names a category that was never published.
    UnknownCategory,
    /// It names a county above [`COUNTY_NUMBER_MAX`].
    BadCounty,
}

impl PeriodRule {
    /// The part of a period that decides. `vaccines` are the period's vaccine names as numbers,
    /// `categories` those published so far.
    ///
    /// # Errors
    /// When the period names a category or county that no person can have.
    pub fn compile(
        period: &Period,
        vaccines: VaccineSet,
        categories: &[CategoryRule],
    ) -> Result<PeriodRule, BadPeriod> {
        let category_mask = match &period.categories {
            None => None,
            Some(numbers) => Some(category_mask(numbers, categories)?),
        };
        let county_mask = match &period.counties {
            None => None,
            Some(numbers) => Some(county_mask(numbers)?),
        };
        Ok(PeriodRule {
            number: period.number,
            vaccines,
            registered_before: period.registered_before,
            counties: county_mask,
            categories: category_mask,
            born_on_or_before: period.born_on_or_before,
            opens_at: period.opens_at,
            closes_at: period.closes_at,
            openings: period.openings.clone(),
        })
    }

    /// The earliest opening that takes a person born on this day.
    #[inline]
    fn opening(&self, born_on: Day) -> Option<Millis> {
        if self.openings.is_empty() {
            return Some(self.opens_at);
        }
        self.openings
            .iter()
            .filter(|opening| opening.born_on_or_before.is_none_or(|last| born_on <= last))
            .map(|opening| opening.opens_at)
            .min()
    }

    #[inline]
    fn takes_county(&self, county: CountyNumber) -> bool {
        self.counties.is_none_or(|mask| county.0 <= COUNTY_NUMBER_MAX && mask >> county.0 & 1 == 1)
    }

    #[inline]
    fn takes_category(&self, categories: &[CategoryRule], facts: &Facts) -> bool {
        let Some(mask) = self.categories else {
            return true;
        };
        categories.iter().enumerate().any(|(bit, category)| {
            mask >> bit & 1 == 1 && category.takes(bit, facts.born_on, facts.memberships)
        })
    }
}

/// The instant from which a person may book in a period, whatever the time is now.
///
/// # Errors
/// [`Rejection::NotEligible`] when the person never may.
#[inline]
pub fn may_book_from(
    period: &PeriodRule,
    categories: &[CategoryRule],
    facts: &Facts,
) -> Result<Millis, Rejection> {
    let eligible = facts.vaccines.meets(period.vaccines)
        && period.registered_before.is_none_or(|end| facts.registered_at < end)
        && period.takes_county(facts.county)
        && period.born_on_or_before.is_none_or(|last| facts.born_on <= last)
        && period.takes_category(categories, facts);
    if !eligible {
        return Err(Rejection::NotEligible);
    }
    period.opening(facts.born_on).ok_or(Rejection::NotEligible)
}

/// Refusals 2 to 7, in their order: whether a person may book in a period now. `missed` is the latest
/// day on which the person did not come ([`no_show_day`]).
///
/// # Errors
/// The refusal with the lowest number that applies.
#[inline]
pub fn booking_allowed(
    period: Option<&PeriodRule>,
    categories: &[CategoryRule],
    facts: Option<&Facts>,
    missed: Option<Day>,
    at: Millis,
) -> Result<Millis, Rejection> {
    let period = period.ok_or(Rejection::UnknownPeriod)?;
    let facts = facts.ok_or(Rejection::NotRegistered)?;
    may_book_now(period, categories, facts, missed, at)
}

/// Refusals 4 to 7 of [`booking_allowed`], for a known period and a person with an intent.
///
/// # Errors
/// The refusal with the lowest number that applies.
#[inline]
pub fn may_book_now(
    period: &PeriodRule,
    categories: &[CategoryRule],
    facts: &Facts,
    missed: Option<Day>,
    at: Millis,
) -> Result<Millis, Rejection> {
    let from = may_book_from(period, categories, facts)?;
    if at < from {
        return Err(Rejection::WindowNotOpen);
    }
    if at >= period.closes_at {
        return Err(Rejection::WindowClosed);
    }
    if missed.is_some_and(|day| is_barred(day, from)) {
        return Err(Rejection::BarredUntilNextPeriod);
    }
    Ok(from)
}

/// True when a person who did not come on `missed` may not book in a period that opens for that
/// person at `from`: it must open after the missed day.
#[inline]
pub fn is_barred(missed: Day, from: Millis) -> bool {
    from < missed.ends_at()
}

/// True while a booking that was neither cancelled nor attended is active: until its day has passed.
#[inline]
pub fn is_active(slot_day: Day, at: Millis) -> bool {
    at < slot_day.ends_at()
}

/// The missed day of a booking that was neither cancelled nor attended, once that day has passed.
/// Time alone decides; no sweep has to have run.
#[inline]
pub fn no_show_day(slot_day: Day, at: Millis) -> Option<Day> {
    (!is_active(slot_day, at)).then_some(slot_day)
}

/// Whether a person may register or modify an intent now.
///
/// # Errors
/// [`Rejection::NotEligible`] when no category takes the person, [`Rejection::CategoryClosed`] when
/// all that do are closed.
pub fn registration_allowed(
    categories: &[CategoryRule],
    born_on: Day,
    memberships: u32,
    at: Millis,
) -> Result<(), Rejection> {
    is_eligible_to_register(categories, born_on, memberships)?;
    is_any_category_open(categories, born_on, memberships, at)
}

/// Refusal 4 for intents.
///
/// # Errors
/// [`Rejection::NotEligible`] when no category takes the person.
pub fn is_eligible_to_register(
    categories: &[CategoryRule],
    born_on: Day,
    memberships: u32,
) -> Result<(), Rejection> {
    taking(categories, born_on, memberships).next().map(|_| ()).ok_or(Rejection::NotEligible)
}

/// Refusal 9 for intents. A person whom no category takes any more is not refused here: whoever was
/// shut out by a change of rules may still withdraw.
///
/// # Errors
/// [`Rejection::CategoryClosed`] when categories take the person and all of them are closed.
pub fn is_any_category_open(
    categories: &[CategoryRule],
    born_on: Day,
    memberships: u32,
    at: Millis,
) -> Result<(), Rejection> {
    let mut taken = false;
    for category in taking(categories, born_on, memberships) {
        taken = true;
        if category.is_open(at) {
            return Ok(());
        }
    }
    if taken { Err(Rejection::CategoryClosed) } else { Ok(()) }
}

/// The categories to which a person belongs.
pub fn taking(
    categories: &[CategoryRule],
    born_on: Day,
    memberships: u32,
) -> impl Iterator<Item = &CategoryRule> {
    categories
        .iter()
        .enumerate()
        .filter(move |(bit, category)| category.takes(*bit, born_on, memberships))
        .map(|(_, category)| category)
}

fn category_mask(
    numbers: &[CategoryNumber],
    categories: &[CategoryRule],
) -> Result<u32, BadPeriod> {
    let mut mask = 0;
    for number in numbers {
        let bit = categories
            .iter()
            .position(|category| category.number == *number)
            .ok_or(BadPeriod::UnknownCategory)?;
        mask |= 1 << bit;
    }
    Ok(mask)
}

fn county_mask(numbers: &[CountyNumber]) -> Result<u64, BadPeriod> {
    let mut mask = 0;
    for number in numbers {
        if number.0 > COUNTY_NUMBER_MAX {
            return Err(BadPeriod::BadCounty);
        }
        mask |= 1 << number.0;
    }
    Ok(mask)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(1_626_148_800_000);

    fn category(number: u16, born: Option<i32>, members: bool) -> CategoryRule {
        CategoryRule {
            number: CategoryNumber(number),
            members,
            born_on_or_before: born.map(Day),
            opens_at: Millis(1_000),
            closes_at: Some(Millis(2_000)),
        }
    }

    fn facts() -> Facts {
        Facts {
            registered_at: Millis(500),
            born_on: Day(-10_000),
            county: CountyNumber(3),
            vaccines: VaccineSet(0b01),
            memberships: 0,
        }
    }

    fn period() -> PeriodRule {
        PeriodRule {
            number: PeriodNumber(2),
            vaccines: VaccineSet(0b11),
            registered_before: None,
            counties: None,
            categories: None,
            born_on_or_before: None,
            opens_at: Millis(1_000),
            closes_at: Millis(2_000),
            openings: Vec::new(),
        }
    }

    #[test]
    fn each_rule_of_a_period_alone_can_make_a_person_not_eligible() {
        type Change = fn(&mut PeriodRule);
        let cases: &[(&str, Change, bool)] = &[
            ("no rule", |_| {}, true),
            ("another vaccine", |rule| rule.vaccines = VaccineSet(0b10), false),
            ("no vaccine", |rule| rule.vaccines = VaccineSet(0), false),
            ("registered just before", |rule| rule.registered_before = Some(Millis(501)), true),
            ("registered at the cut-off", |rule| rule.registered_before = Some(Millis(500)), false),
            ("own county", |rule| rule.counties = Some(1 << 3), true),
            ("another county", |rule| rule.counties = Some(1 << 4), false),
            ("no county", |rule| rule.counties = Some(0), false),
            ("born on the last day", |rule| rule.born_on_or_before = Some(Day(-10_000)), true),
            ("born a day late", |rule| rule.born_on_or_before = Some(Day(-10_001)), false),
            ("a category that takes by birth", |rule| rule.categories = Some(0b01), true),
            ("a category that takes by list", |rule| rule.categories = Some(0b10), false),
            ("one of two categories", |rule| rule.categories = Some(0b11), true),
            ("no category", |rule| rule.categories = Some(0), false),
        ];
        let categories = [category(9, Some(-10_000), false), category(10, None, true)];
        for (name, change, eligible) in cases {
            let mut rule = period();
            change(&mut rule);
            let expected = if *eligible { Ok(Millis(1_000)) } else { Err(Rejection::NotEligible) };
            assert_eq!(may_book_from(&rule, &categories, &facts()), expected, "{name}");
        }
    }

    #[test]
    fn the_earliest_opening_that_takes_the_person_counts_and_the_periods_own_does_not() {
        let opening = |born: Option<i32>, at| Opening {
            born_on_or_before: born.map(Day),
            opens_at: Millis(at),
        };
        let cases: &[(&[Opening], Result<i64, Rejection>)] = &[
            (&[], Ok(1_000)),
            (&[opening(None, 1_500)], Ok(1_500)),
            (&[opening(None, 1_500), opening(Some(-10_000), 1_200)], Ok(1_200)),
            (&[opening(Some(-10_001), 1_200), opening(None, 1_500)], Ok(1_500)),
            (&[opening(Some(-10_001), 1_200)], Err(Rejection::NotEligible)),
        ];
        for (openings, expected) in cases {
            let rule = PeriodRule { openings: openings.to_vec(), ..period() };
            let found = may_book_from(&rule, &[], &facts());
            assert_eq!(found, expected.map(Millis), "{openings:?}");
        }
    }

    #[test]
    fn refusals_two_to_seven_come_in_the_order_of_their_numbers() {
        let rule = period();
        let shut = PeriodRule { counties: Some(0), ..period() };
        let person = facts();
        let missed = Some(Millis(1_000).day());
        let cases: &[(Option<&PeriodRule>, Option<&Facts>, Option<Day>, i64, Option<Rejection>)] =
            &[
                (None, None, missed, 0, Some(Rejection::UnknownPeriod)),
                (Some(&shut), None, missed, 0, Some(Rejection::NotRegistered)),
                (Some(&shut), Some(&person), missed, 0, Some(Rejection::NotEligible)),
                (Some(&rule), Some(&person), missed, 999, Some(Rejection::WindowNotOpen)),
                (Some(&rule), Some(&person), missed, 2_000, Some(Rejection::WindowClosed)),
                (Some(&rule), Some(&person), missed, 1_999, Some(Rejection::BarredUntilNextPeriod)),
                (Some(&rule), Some(&person), None, 1_000, None),
                (Some(&rule), Some(&person), None, 1_999, None),
            ];
        for (index, (rule, person, missed, at, expected)) in cases.iter().enumerate() {
            let found = booking_allowed(*rule, &[], *person, *missed, Millis(*at));
            assert_eq!(found.err(), *expected, "case {index}");
        }
    }

    #[test]
    fn a_missed_day_bars_every_window_that_opened_up_to_its_end() {
        let day = NOON.day();
        assert!(is_barred(day, Millis(0)));
        assert!(is_barred(day, Millis(day.ends_at().0 - 1)));
        assert!(!is_barred(day, day.ends_at()));
        assert_eq!(no_show_day(day, Millis(day.ends_at().0 - 1)), None);
        assert_eq!(no_show_day(day, day.ends_at()), Some(day));
    }

    #[test]
    fn an_intent_needs_a_category_that_takes_the_person_and_is_open() {
        let born = Day(-10_000);
        let by_birth = category(9, Some(-10_000), false);
        let by_list = category(10, None, true);
        let never = category(11, None, false);
        let cases: &[(&[CategoryRule], u32, i64, Option<Rejection>)] = &[
            (&[], 0, 1_000, Some(Rejection::NotEligible)),
            (&[never], u32::MAX, 1_000, Some(Rejection::NotEligible)),
            (&[by_list], 0, 1_000, Some(Rejection::NotEligible)),
            (&[by_list], 1, 1_000, None),
            (&[by_birth], 0, 999, Some(Rejection::CategoryClosed)),
            (&[by_birth], 0, 1_000, None),
            (&[by_birth], 0, 1_999, None),
            (&[by_birth], 0, 2_000, Some(Rejection::CategoryClosed)),
            (&[CategoryRule { closes_at: None, ..by_birth }], 0, i64::MAX, None),
            (&[by_birth, CategoryRule { opens_at: Millis(0), ..by_list }], 2, 999, None),
        ];
        for (index, (categories, memberships, at, expected)) in cases.iter().enumerate() {
            let found = registration_allowed(categories, born, *memberships, Millis(*at));
            assert_eq!(found.err(), *expected, "case {index}");
        }
    }

    #[test]
    fn a_person_whom_no_category_takes_any_more_may_still_withdraw() {
        assert_eq!(is_any_category_open(&[], Day(0), 0, NOON), Ok(()));
    }
}
