//! What is on offer: sites, slots, vaccines, categories and periods, as the events last put them.
//!
//! The notifier keeps one of these without the rest of the view.

use std::collections::BTreeMap;

use super::rows::Rows;
use crate::eligibility::{CategoryRule, PeriodRule};
use crate::prefetch;
use crate::{
    Category, CategoryNumber, CountyNumber, Day, DistrictNumber, Event, Millis, Period,
    PeriodNumber, Site, SiteNumber, Slot, SlotNumber, VaccineNumber, VaccineSet,
};

/// Everything on offer.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// Names by vaccine number.
    vaccines: Vec<String>,
    /// Categories in order of first publication, which is the order of membership bits.
    categories: Vec<CategoryEntry>,
    /// The rules of the same, side by side as [`crate::eligibility`] takes them.
    category_rules: Vec<CategoryRule>,
    periods: BTreeMap<PeriodNumber, PeriodEntry>,
    /// Sites by number.
    pub(super) sites: Rows<Site>,
    site_by_id: BTreeMap<String, SiteNumber>,
    sites_by_region: BTreeMap<(CountyNumber, DistrictNumber), Vec<SiteNumber>>,
    pub(super) slots: Rows<Slot>,
    /// Slots of each day and site, by time, vaccine and number; the days to come stand together.
    slots_by_day: BTreeMap<(Day, SiteNumber), Vec<SlotNumber>>,
}

/// A category as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryEntry {
    /// As published.
    pub category: Category,
    /// Its vaccines as numbers.
    pub vaccines: VaccineSet,
    /// Its membership bit.
    pub bit: u8,
}

/// A period as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodEntry {
    /// As published.
    pub period: Period,
    /// What of it decides.
    pub rule: PeriodRule,
}

/// Where a period stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeriodState {
    /// Nobody may book yet.
    Coming,
    /// The earliest window has opened and the last has not closed.
    Open,
    /// Nobody may book any more.
    Closed,
}

/// What tells one slot from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotIdentity {
    /// Where.
    pub site: SiteNumber,
    /// The day in Taiwan.
    pub day: Day,
    /// First minute of the day.
    pub start_minute: u16,
    /// Minute of the day at which it ends.
    pub end_minute: u16,
    /// What is given.
    pub vaccine: VaccineNumber,
}

impl SlotIdentity {
    /// The identity of a slot.
    pub const fn of(slot: &Slot) -> SlotIdentity {
        SlotIdentity {
            site: slot.site,
            day: slot.day,
            start_minute: slot.start_minute,
            end_minute: slot.end_minute,
            vaccine: slot.vaccine,
        }
    }
}

impl PeriodEntry {
    /// When the first person may book: the earliest of the staggered openings, if there are any.
    pub fn opens_at(&self) -> Millis {
        let staggered = self.period.openings.iter().map(|opening| opening.opens_at).min();
        staggered.unwrap_or(self.period.opens_at)
    }

    /// Where the period stands at an instant.
    pub fn state(&self, at: Millis) -> PeriodState {
        if at >= self.period.closes_at {
            PeriodState::Closed
        } else if at < self.opens_at() {
            PeriodState::Coming
        } else {
            PeriodState::Open
        }
    }
}

impl Catalogue {
    /// Nothing on offer.
    pub fn new() -> Catalogue {
        Catalogue {
            vaccines: Vec::new(),
            categories: Vec::new(),
            category_rules: Vec::new(),
            periods: BTreeMap::new(),
            sites: Rows::new(),
            site_by_id: BTreeMap::new(),
            sites_by_region: BTreeMap::new(),
            slots: Rows::new(),
            slots_by_day: BTreeMap::new(),
        }
    }

    /// Takes in an event, if it concerns what is on offer. False when it contradicts what came before;
    /// nothing of the contradicting part is taken in then.
    pub fn absorb(&mut self, event: &Event) -> bool {
        match event {
            Event::VaccineNamed { vaccine, name } => self.name_vaccine(*vaccine, name),
            Event::CategoryPut { category, vaccines } => {
                self.put_category(category, *vaccines);
                true
            }
            Event::PeriodPut { period, vaccines } => self.put_period(period, *vaccines),
            Event::SitesPut { sites } => {
                sites.iter().fold(true, |fits, (number, site)| self.put_site(*number, site) && fits)
            }
            Event::SlotsPut { slots } => {
                slots.iter().fold(true, |fits, (number, slot)| self.put_slot(*number, slot) && fits)
            }
            Event::CapacitySet { slot, capacity } => self.set_capacity(*slot, *capacity),
            _ => true,
        }
    }

    /// Names by vaccine number.
    pub fn vaccines(&self) -> &[String] {
        &self.vaccines
    }

    /// A vaccine's name.
    pub fn vaccine_name(&self, vaccine: VaccineNumber) -> Option<&str> {
        self.vaccines.get(usize::from(vaccine.0)).map(String::as_str)
    }

    /// The vaccine of this name.
    pub fn vaccine_named(&self, name: &str) -> Option<VaccineNumber> {
        let place = self.vaccines.iter().position(|known| known == name)?;
        u8::try_from(place).ok().map(VaccineNumber)
    }

    /// The names of a set, in order of their numbers.
    pub fn vaccine_names(&self, set: VaccineSet) -> impl Iterator<Item = &str> {
        let numbered = self.vaccines.iter().enumerate();
        numbered.filter(move |(number, _)| set.0 >> number & 1 == 1).map(|(_, name)| name.as_str())
    }

    /// The categories in order of first publication.
    pub fn categories(&self) -> &[CategoryEntry] {
        &self.categories
    }

    /// A category by its number.
    pub fn category(&self, number: CategoryNumber) -> Option<&CategoryEntry> {
        self.categories.iter().find(|entry| entry.category.number == number)
    }

    /// What decides about categories, in order of membership bits.
    pub fn category_rules(&self) -> &[CategoryRule] {
        &self.category_rules
    }

    /// The periods by number.
    pub fn periods(&self) -> impl Iterator<Item = &PeriodEntry> {
        self.periods.values()
    }

    /// A period.
    pub fn period(&self, number: PeriodNumber) -> Option<&PeriodEntry> {
        self.periods.get(&number)
    }

    /// True while any period is open, or was or will be within `margin_ms` of the instant.
    pub fn any_period_open(&self, at: Millis, margin_ms: i64) -> bool {
        let (early, late) = (at.0.saturating_sub(margin_ms), at.0.saturating_add(margin_ms));
        self.periods().any(|entry| entry.opens_at().0 <= late && early < entry.period.closes_at.0)
    }

    /// How many sites there are; their numbers are below it.
    pub fn sites_count(&self) -> u32 {
        self.sites.len()
    }

    /// A site.
    pub fn site(&self, number: SiteNumber) -> Option<&Site> {
        self.sites.get(number.0)
    }

    /// The site with this id of the operator's.
    pub fn site_number(&self, id: &str) -> Option<SiteNumber> {
        self.site_by_id.get(id).copied()
    }

    /// The sites of a county, or of one of its districts, or all, by number within each district.
    pub fn sites_in(
        &self,
        county: Option<CountyNumber>,
        district: Option<DistrictNumber>,
    ) -> impl Iterator<Item = (SiteNumber, &Site)> {
        let (first, last) = match county {
            Some(county) => (county, county),
            None => (CountyNumber(0), CountyNumber(u8::MAX)),
        };
        let regions = (first, DistrictNumber(0))..=(last, DistrictNumber(u16::MAX));
        self.sites_by_region
            .range(regions)
            .filter(move |((_, place), _)| district.is_none_or(|wanted| wanted == *place))
            .flat_map(|(_, numbers)| numbers)
            .filter_map(|number| Some((*number, self.sites.get(number.0)?)))
    }

    /// How many slots there are; their numbers are below it.
    pub fn slots_count(&self) -> u32 {
        self.slots.len()
    }

    /// A slot.
    #[inline]
    pub fn slot(&self, number: SlotNumber) -> Option<&Slot> {
        self.slots.get(number.0)
    }

    /// Asks for the memory of a slot that will be read soon.
    #[inline]
    pub fn prefetch_slot(&self, number: SlotNumber) {
        prefetch::read(self.slot(number));
    }

    /// The slot with this identity.
    pub fn slot_by_identity(&self, identity: &SlotIdentity) -> Option<SlotNumber> {
        self.slots_on(identity.site, identity.day)
            .iter()
            .find(|number| {
                self.slot(**number).is_some_and(|slot| SlotIdentity::of(slot) == *identity)
            })
            .copied()
    }

    /// The slots of a site's day, by time, vaccine and number.
    pub fn slots_on(&self, site: SiteNumber, day: Day) -> &[SlotNumber] {
        self.slots_by_day.get(&(day, site)).map_or(&[], Vec::as_slice)
    }

    /// The slots of each site's day from a day on, by day and site.
    pub fn slots_from(
        &self,
        day: Day,
    ) -> impl Iterator<Item = (Day, SiteNumber, &[SlotNumber])> + '_ {
        self.slots_by_day
            .range((day, SiteNumber(0))..)
            .map(|((day, site), slots)| (*day, *site, slots.as_slice()))
    }

    /// The days from a day on for which a site has slots.
    pub fn days_of(&self, site: SiteNumber, from: Day) -> impl Iterator<Item = Day> + '_ {
        self.slots_by_day
            .range((from, SiteNumber(0))..)
            .filter(move |((_, place), _)| *place == site)
            .map(|((day, _), _)| *day)
    }

    fn name_vaccine(&mut self, vaccine: VaccineNumber, name: &str) -> bool {
        if usize::from(vaccine.0) != self.vaccines.len() {
            return false;
        }
        self.vaccines.push(name.to_owned());
        true
    }

    fn put_category(&mut self, category: &Category, vaccines: VaccineSet) {
        let known =
            self.categories.iter().position(|entry| entry.category.number == category.number);
        let place = known.unwrap_or(self.categories.len());
        let entry = CategoryEntry { category: category.clone(), vaccines, bit: place as u8 };
        let rule = CategoryRule::compile(category);
        if known.is_some() {
            self.categories[place] = entry;
            self.category_rules[place] = rule;
        } else {
            self.categories.push(entry);
            self.category_rules.push(rule);
        }
    }

    fn put_period(&mut self, period: &Period, vaccines: VaccineSet) -> bool {
        let Ok(rule) = PeriodRule::compile(period, vaccines, &self.category_rules) else {
            return false;
        };
        self.periods.insert(period.number, PeriodEntry { period: period.clone(), rule });
        true
    }

    fn put_site(&mut self, number: SiteNumber, site: &Site) -> bool {
        let is_next = number.0 == self.sites.len();
        if is_next && !self.site_by_id.contains_key(&site.id) {
            self.sites.push(site.clone());
            self.site_by_id.insert(site.id.clone(), number);
            self.enter_region(number, site);
            return true;
        }
        let Some(known) = self.sites.get_mut(number.0).filter(|known| known.id == site.id) else {
            return false;
        };
        let before = (known.county, known.district);
        *known = site.clone();
        if before != (site.county, site.district) {
            self.leave_region(before, number);
            self.enter_region(number, site);
        }
        true
    }

    fn enter_region(&mut self, number: SiteNumber, site: &Site) {
        let list = self.sites_by_region.entry((site.county, site.district)).or_default();
        if let Err(place) = list.binary_search(&number) {
            list.insert(place, number);
        }
    }

    fn leave_region(&mut self, region: (CountyNumber, DistrictNumber), number: SiteNumber) {
        if let Some(list) = self.sites_by_region.get_mut(&region) {
            list.retain(|listed| *listed != number);
            if list.is_empty() {
                self.sites_by_region.remove(&region);
            }
        }
    }

    pub(super) fn put_slot(&mut self, number: SlotNumber, slot: &Slot) -> bool {
        if number.0 == self.slots.len() && slot.site.0 < self.sites.len() {
            self.slots.push(*slot);
            self.enter_day(number, slot);
            return true;
        }
        let known = self.slots.get(number.0);
        let same = known.is_some_and(|known| SlotIdentity::of(known) == SlotIdentity::of(slot));
        same && self.set_capacity(number, slot.capacity)
    }

    pub(super) fn set_capacity(&mut self, number: SlotNumber, capacity: u32) -> bool {
        match self.slots.get_mut(number.0) {
            Some(slot) => {
                slot.capacity = capacity;
                true
            }
            None => false,
        }
    }

    fn enter_day(&mut self, number: SlotNumber, slot: &Slot) {
        let order = |number: SlotNumber| {
            let slot = self.slots.get(number.0)?;
            Some((slot.start_minute, slot.end_minute, slot.vaccine, number))
        };
        let list = self.slots_by_day.entry((slot.day, slot.site)).or_default();
        let place = list.partition_point(|listed| order(*listed) < order(number));
        list.insert(place, number);
    }
}

impl Default for Catalogue {
    fn default() -> Catalogue {
        Catalogue::new()
    }
}
