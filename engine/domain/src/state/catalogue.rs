//! What the operator announced: sites, vaccines, categories, periods. Only what later decisions need:
//! names and addresses pass through to the events and are not kept.

use std::collections::BTreeMap;

use crate::eligibility::{CATEGORIES_MAX, CategoryRule, PeriodRule, VACCINES_MAX};
use crate::{CategoryNumber, PeriodNumber, SiteNumber, VaccineNumber, VaccineSet};

/// Sites that can be numbered.
pub(crate) const SITES_MAX: usize = 1 << 20;

/// No period has this place.
const NO_PLACE: u16 = u16::MAX;

/// The catalogue.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    /// By the operator's own id.
    pub(crate) sites: BTreeMap<String, SiteNumber>,
    /// Names, by vaccine number.
    pub(crate) vaccines: Vec<String>,
    /// By membership bit.
    pub(crate) categories: Vec<CategoryRule>,
    /// In order of first publication.
    pub(crate) periods: Vec<PeriodRule>,
    /// By period number: its place among `periods`.
    period_places: Vec<u16>,
}

/// More vaccine names than a set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyVaccines;

impl Catalogue {
    /// Nothing was announced.
    pub(crate) fn new() -> Catalogue {
        Catalogue {
            sites: BTreeMap::new(),
            vaccines: Vec::new(),
            categories: Vec::new(),
            periods: Vec::new(),
            period_places: Vec::new(),
        }
    }

    /// The rule of a period.
    #[inline]
    pub(crate) fn period(&self, number: PeriodNumber) -> Option<&PeriodRule> {
        let place = *self.period_places.get(number.index())?;
        self.periods.get(usize::from(place))
    }

    /// Puts a period in the place of the one with its number, or adds it. Period 0 is none.
    pub(crate) fn put_period(&mut self, rule: PeriodRule) {
        let index = rule.number.index();
        if index >= self.period_places.len() {
            self.period_places.resize(index + 1, NO_PLACE);
        }
        let place = usize::from(self.period_places[index]);
        if let Some(known) = self.periods.get_mut(place) {
            *known = rule;
        } else {
            // 65,535 numbers are left when 0 is none, so the last place is below NO_PLACE.
            self.period_places[index] = self.periods.len() as u16;
            self.periods.push(rule);
        }
    }

    /// The bit of a category.
    pub(crate) fn category_bit(&self, number: CategoryNumber) -> Option<usize> {
        self.categories.iter().position(|rule| rule.number == number)
    }

    /// True when the category is known or can be added.
    pub(crate) fn has_room_for_category(&self, number: CategoryNumber) -> bool {
        self.category_bit(number).is_some() || self.categories.len() < CATEGORIES_MAX
    }

    /// Puts a category in the place of the one with its number, or adds it; returns its bit.
    pub(crate) fn put_category(&mut self, rule: CategoryRule) -> usize {
        let known = self.category_bit(rule.number);
        match known {
            Some(bit) => self.categories[bit] = rule,
            None => self.categories.push(rule),
        }
        known.unwrap_or(self.categories.len() - 1)
    }

    /// The names of a list that have no number yet, in order, once each.
    pub(crate) fn new_vaccines(&self, names: &[String]) -> Result<Vec<String>, TooManyVaccines> {
        let mut added: Vec<String> = Vec::new();
        for name in names {
            if self.vaccines.contains(name) || added.contains(name) {
                continue;
            }
            if self.vaccines.len() + added.len() >= VACCINES_MAX {
                return Err(TooManyVaccines);
            }
            added.push(name.clone());
        }
        Ok(added)
    }

    /// The number of a name that has one.
    pub(crate) fn vaccine(&self, name: &str) -> Option<VaccineNumber> {
        let place = self.vaccines.iter().position(|known| known == name)?;
        Some(VaccineNumber(place as u8))
    }

    /// The numbers of those names that have one.
    pub(crate) fn vaccine_set(&self, names: &[String]) -> VaccineSet {
        let numbers = names.iter().filter_map(|name| self.vaccine(name));
        VaccineSet(numbers.fold(0, |set, number| set | 1 << number.0))
    }
}
