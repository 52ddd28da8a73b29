//! What readers may ask, answered by looking at everything.

use std::collections::BTreeMap;

use domain::view::BookingStatus;
use domain::*;

use super::{Held, Twin};

/// Events counted by what they say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) confirmed: BTreeMap<PeriodNumber, u64>,
    pub(crate) changed: BTreeMap<PeriodNumber, u64>,
    pub(crate) cancelled: BTreeMap<PeriodNumber, u64>,
    pub(crate) rejected: BTreeMap<Rejection, u64>,
    pub(crate) registered: u64,
    pub(crate) repeated: u64,
    pub(crate) keys_reused: u64,
    pub(crate) operator_refused: u64,
    pub(crate) malformed: u64,
}

impl Figures {
    pub(super) fn count(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Confirmed { period, .. } => *self.confirmed.entry(*period).or_default() += 1,
                Event::Changed { period, .. } => *self.changed.entry(*period).or_default() += 1,
                Event::Cancelled { period, .. } => *self.cancelled.entry(*period).or_default() += 1,
                Event::Rejected { reason, .. } => *self.rejected.entry(*reason).or_default() += 1,
                Event::Registered { .. } => self.registered += 1,
                Event::Repeated { .. } => self.repeated += 1,
                Event::KeyReused { .. } => self.keys_reused += 1,
                Event::OperatorRefused { .. } => self.operator_refused += 1,
                Event::Malformed => self.malformed += 1,
                _ => {}
            }
        }
    }
}

impl Twin {
    /// Refusals 2 to 7.
    pub(crate) fn may_book_now(
        &self,
        person: Option<PersonNumber>,
        period: PeriodNumber,
        at: Millis,
    ) -> Result<Millis, Rejection> {
        let from = self.may_book_from(person, period)?;
        if at < from {
            return Err(Rejection::WindowNotOpen);
        }
        if at >= self.periods[&period].closes_at {
            return Err(Rejection::WindowClosed);
        }
        let missed = person.and_then(|person| self.missed_day(person, at));
        if missed.is_some_and(|day| from.day() <= day) {
            return Err(Rejection::BarredUntilNextPeriod);
        }
        Ok(from)
    }

    /// Refusals 2 to 4.
    pub(crate) fn may_book_from(
        &self,
        person: Option<PersonNumber>,
        period: PeriodNumber,
    ) -> Result<Millis, Rejection> {
        let period = self.periods.get(&period).ok_or(Rejection::UnknownPeriod)?;
        let person = person.ok_or(Rejection::NotRegistered)?;
        let held = self.intents.get(&person).ok_or(Rejection::NotRegistered)?;
        self.window_opens(person, held, period).ok_or(Rejection::NotEligible)
    }

    /// When the window of this person opens; never for one who is not eligible.
    pub(crate) fn window_opens(
        &self,
        person: PersonNumber,
        held: &Held,
        period: &Period,
    ) -> Option<Millis> {
        let wished: Vec<&String> = (0..self.vaccines.len())
            .filter(|number| held.intent.vaccines.0 & (1 << number) != 0)
            .map(|number| &self.vaccines[number])
            .collect();
        if !period.vaccines.iter().any(|name| wished.contains(&name)) {
            return None;
        }
        if let Some(before) = period.registered_before
            && held.registered_at >= before
        {
            return None;
        }
        if let Some(counties) = &period.counties
            && !counties.contains(&held.intent.county)
        {
            return None;
        }
        if let Some(last) = period.born_on_or_before
            && held.born_on > last
        {
            return None;
        }
        if let Some(numbers) = &period.categories {
            let belongs = |number: &CategoryNumber| {
                self.categories.iter().any(|category| {
                    category.number == *number && self.belongs(person, held.born_on, category)
                })
            };
            if !numbers.iter().any(belongs) {
                return None;
            }
        }
        if period.openings.is_empty() {
            return Some(period.opens_at);
        }
        period
            .openings
            .iter()
            .filter(|opening| opening.born_on_or_before.is_none_or(|last| held.born_on <= last))
            .map(|opening| opening.opens_at)
            .min()
    }

    /// What a person without number is told about registering.
    pub(crate) fn registration_allowed(
        &self,
        born_on: Day,
        lists: &[CategoryNumber],
        at: Millis,
    ) -> Result<(), Rejection> {
        let taking: Vec<&Category> = self
            .categories
            .iter()
            .filter(|category| {
                category.born_on_or_before.is_some_and(|last| born_on <= last)
                    || (category.members && lists.contains(&category.number))
            })
            .collect();
        if taking.is_empty() {
            return Err(Rejection::NotEligible);
        }
        let open = taking.iter().any(|category| {
            at >= category.opens_at && category.closes_at.is_none_or(|closes| at < closes)
        });
        if open { Ok(()) } else { Err(Rejection::CategoryClosed) }
    }

    /// A booking's status as announced, and as time has it.
    pub(crate) fn statuses(
        &self,
        booking: BookingNumber,
        at: Millis,
    ) -> (BookingStatus, BookingStatus) {
        let known = &self.bookings[&booking];
        let announced = if known.cancelled {
            BookingStatus::Cancelled
        } else if known.attended {
            BookingStatus::Attended
        } else if known.announced_no_show {
            BookingStatus::NoShow
        } else {
            BookingStatus::Booked
        };
        let passed = at.day() > self.slots[&known.slot].day;
        let timely = match announced {
            BookingStatus::Booked if passed => BookingStatus::NoShow,
            status => status,
        };
        (announced, timely)
    }

    /// The categories whose list names the person, as a mask.
    pub(crate) fn memberships(&self, person: PersonNumber) -> u32 {
        let mut mask = 0;
        for (bit, category) in self.categories.iter().enumerate() {
            if self.members.contains(&(category.number, person)) {
                mask |= 1 << bit;
            }
        }
        mask
    }

    pub(crate) fn places_left(&self, slot: SlotNumber) -> u32 {
        self.slots.get(&slot).map_or(0, |known| known.capacity - self.booked(slot))
    }

    /// The bookings of a site's day that were not cancelled, by time and number.
    pub(crate) fn roster(&self, site: SiteNumber, day: Day) -> Vec<BookingNumber> {
        let mut list: Vec<_> = self
            .bookings
            .iter()
            .filter(|(_, booking)| !booking.cancelled)
            .map(|(number, booking)| (booking.slot, self.slots[&booking.slot], *number))
            .filter(|(_, slot, _)| slot.site == site && slot.day == day)
            .collect();
        list.sort_by_key(|(number, slot, booking)| {
            (slot.start_minute, slot.end_minute, slot.vaccine, *number, *booking)
        });
        list.into_iter().map(|(_, _, booking)| booking).collect()
    }

    /// The slots that a period offers and that have not begun.
    pub(crate) fn offered(&self, period: &Period, at: Millis) -> Vec<SlotNumber> {
        self.slots
            .iter()
            .filter(|(_, slot)| {
                period.vaccines.contains(&self.vaccines[usize::from(slot.vaccine.0)])
                    && at < slot.starts_at()
            })
            .map(|(number, _)| *number)
            .collect()
    }
}
