//! Where there is a place, as citizens look for one: site → date → slot.
//!
//! These walk over the slots to come. They are for building the snapshots that answers are served
//! from, not for answering each call.

use crate::{
    CountyNumber, Day, DistrictNumber, Millis, PeriodNumber, SiteNumber, Slot, SlotNumber,
};

use super::View;

/// A site and its places left in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SitePlaces {
    /// Which site.
    pub site: SiteNumber,
    /// Places left over all of its slots that have not begun.
    pub places_left: u64,
}

/// A slot and its places left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPlaces {
    /// Which slot.
    pub number: SlotNumber,
    /// As it stands.
    pub slot: Slot,
    /// Places left.
    pub places_left: u32,
}

impl View {
    /// The sites that offer a period's vaccines in slots that have not begun, with places left (also
    /// none), by number. `None` when there is no such period.
    pub fn sites_with_places(
        &self,
        period: PeriodNumber,
        county: Option<CountyNumber>,
        district: Option<DistrictNumber>,
        at: Millis,
    ) -> Option<Vec<SitePlaces>> {
        let vaccines = self.catalogue.period(period)?.rule.vaccines;
        let mut left: Vec<Option<u64>> = vec![None; self.catalogue.sites_count() as usize];
        for (_, site, slots) in self.catalogue.slots_from(at.day()) {
            for number in slots {
                let Some(slot) = self.catalogue.slot(*number) else {
                    continue;
                };
                if vaccines.contains(slot.vaccine) && at < slot.starts_at() {
                    let sum = left[site.index()].get_or_insert(0);
                    *sum += u64::from(self.places.get(*number));
                }
            }
        }
        let mut list: Vec<SitePlaces> = self
            .catalogue
            .sites_in(county, district)
            .filter_map(|(site, _)| Some(SitePlaces { site, places_left: left[site.index()]? }))
            .collect();
        list.sort_unstable_by_key(|entry| entry.site);
        Some(list)
    }

    /// A site's slots of a day (or of all days to come) that offer a period's vaccines and have not
    /// begun, by day and time. `None` when there is no such period.
    pub fn slots_with_places(
        &self,
        period: PeriodNumber,
        site: SiteNumber,
        day: Option<Day>,
        at: Millis,
    ) -> Option<Vec<SlotPlaces>> {
        let vaccines = self.catalogue.period(period)?.rule.vaccines;
        let days: Vec<Day> = match day {
            Some(day) => vec![day],
            None => self.catalogue.days_of(site, at.day()).collect(),
        };
        let numbers = days.iter().flat_map(|day| self.catalogue.slots_on(site, *day));
        Some(
            numbers
                .filter_map(|number| {
                    let slot = *self.catalogue.slot(*number)?;
                    let offered = vaccines.contains(slot.vaccine) && at < slot.starts_at();
                    offered.then(|| SlotPlaces {
                        number: *number,
                        slot,
                        places_left: self.places.get(*number),
                    })
                })
                .collect(),
        )
    }
}
