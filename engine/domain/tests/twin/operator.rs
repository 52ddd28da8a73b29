//! What operators may do, imports apart.

use domain::*;

use super::Twin;

/// One refusal.
pub(super) fn refused(row: usize, reason: OperatorRefusal) -> Vec<Event> {
    vec![Event::OperatorRefused { row: row as u32, reason }]
}

impl Twin {
    pub(super) fn put_category(&mut self, category: &Category) -> Vec<Event> {
        let place = self.categories.iter().position(|known| known.number == category.number);
        if self.too_many_vaccines(&category.vaccines) {
            return refused(0, OperatorRefusal::TooManyVaccines);
        }
        if place.is_none() && self.categories.len() == 32 {
            return refused(0, OperatorRefusal::TooManyCategories);
        }
        if category.number.0 == 0 {
            return refused(0, OperatorRefusal::BadNumber);
        }
        let mut events = self.name_vaccines(&category.vaccines);
        match place {
            Some(place) => self.categories[place] = category.clone(),
            None => self.categories.push(category.clone()),
        }
        let vaccines = self.vaccine_set(&category.vaccines);
        events.push(Event::CategoryPut { category: category.clone(), vaccines });
        events
    }

    pub(super) fn put_period(&mut self, period: &Period) -> Vec<Event> {
        let published =
            |number: &CategoryNumber| self.categories.iter().any(|known| known.number == *number);
        if period.categories.iter().flatten().any(|number| !published(number)) {
            return refused(0, OperatorRefusal::UnknownCategory);
        }
        if self.too_many_vaccines(&period.vaccines) {
            return refused(0, OperatorRefusal::TooManyVaccines);
        }
        if period.number.0 == 0 || period.counties.iter().flatten().any(|county| county.0 > 63) {
            return refused(0, OperatorRefusal::BadNumber);
        }
        if period.openings.len() > 128 {
            return refused(0, OperatorRefusal::TooManyRows);
        }
        let mut events = self.name_vaccines(&period.vaccines);
        self.periods.insert(period.number, period.clone());
        let vaccines = self.vaccine_set(&period.vaccines);
        events.push(Event::PeriodPut { period: period.clone(), vaccines });
        events
    }

    pub(super) fn set_capacity(&mut self, slot: SlotNumber, capacity: u32) -> Vec<Event> {
        if !self.slots.contains_key(&slot) {
            return refused(0, OperatorRefusal::UnknownSlot);
        }
        if capacity < self.booked(slot) {
            return refused(0, OperatorRefusal::CapacityBelowBooked);
        }
        self.slots.get_mut(&slot).unwrap().capacity = capacity;
        vec![Event::CapacitySet { slot, capacity }]
    }

    pub(super) fn attend(&mut self, rows: &[Attendance]) -> Vec<Event> {
        if rows.len() > 1_024 {
            return refused(1_024, OperatorRefusal::TooManyRows);
        }
        let today = self.now().day();
        let mut events = Vec::new();
        for (row, Attendance { booking, attended_at }) in rows.iter().enumerate() {
            let Some(known) = self.bookings.get_mut(booking) else {
                events.extend(refused(row, OperatorRefusal::UnknownBooking));
                continue;
            };
            if known.cancelled {
                events.extend(refused(row, OperatorRefusal::BookingCancelled));
                continue;
            }
            let day = self.slots[&known.slot].day;
            if attended_at.day() != day || today < day {
                events.extend(refused(row, OperatorRefusal::AttendedOnAnotherDay));
                continue;
            }
            known.attended = true;
            events.push(Event::Attended {
                person: known.person,
                booking: *booking,
                attended_at: *attended_at,
            });
        }
        events
    }

    pub(super) fn correct_roster(
        &mut self,
        roster_version: u32,
        rows: &[(PersonKey, Day)],
    ) -> Vec<Event> {
        if rows.len() > 2_048 {
            return refused(2_048, OperatorRefusal::TooManyRows);
        }
        let mut events = Vec::new();
        for (key, born_on) in rows {
            let known = self.corrections.get(key);
            if known.is_some_and(|(version, _)| *version >= roster_version) {
                continue;
            }
            self.corrections.insert(*key, (roster_version, Some(*born_on)));
            let person = self.people.get(key).copied();
            let Some((person, held)) =
                person.and_then(|person| Some((person, self.intents.get_mut(&person)?)))
            else {
                continue;
            };
            if held.roster_version < roster_version {
                held.roster_version = roster_version;
                held.born_on = *born_on;
                events.push(Event::BirthCorrected { person, born_on: *born_on });
            }
        }
        events
    }

    pub(super) fn supersede(&mut self, roster_version: u32, keys: &[PersonKey]) -> Vec<Event> {
        if keys.len() > 2_048 {
            return refused(2_048, OperatorRefusal::TooManyRows);
        }
        for (row, key) in keys.iter().enumerate() {
            if self.people.contains_key(key) {
                return refused(row, OperatorRefusal::PersonKnown);
            }
        }
        for key in keys {
            let version = self.corrections.get(key).map_or(-1, |(version, _)| i64::from(*version));
            if version < i64::from(roster_version) {
                self.corrections.insert(*key, (roster_version, None));
            }
        }
        Vec::new()
    }
}
