//! From a checkpoint back to a state.
//!
//! Records are put in their places one by one, in the order of the changes or, section by section, in
//! order of index. At the end everything that is not stored is worked out again, and a set of records
//! that no state can have had is refused.

use super::State;
use super::globals::{COUNTS, Globals};
use super::history::{Booking, Link, Registration, Request, Stamp};
use super::packing::unpack_whole;
use super::people::Person;
use crate::changes::{CorruptRecord, Section};
use crate::codec::INSTANT_MAX;
use crate::eligibility::{CATEGORIES_MAX, CategoryRule, PeriodRule, VACCINES_MAX};
use crate::prefetch;
use crate::{Millis, PeriodNumber, PersonNumber, Sequence, SiteNumber, SlotNumber};

/// How far ahead of a booking its person's record is asked for.
const LOOK_AHEAD: u32 = 16;

impl State {
    /// Puts one record of a checkpoint in its place. Within a section no index may be left out.
    ///
    /// # Errors
    /// When the bytes are no such record, or the index lies beyond the next.
    pub fn load(
        &mut self,
        section: Section,
        index: u32,
        bytes: &[u8],
    ) -> Result<(), CorruptRecord> {
        self.put_record(section, index, bytes)
            .ok_or_else(|| CorruptRecord::new(section, index, "not a record of this section"))
    }

    /// Works out what is not stored, after the last [`State::load`].
    ///
    /// # Errors
    /// When records are missing, or contradict each other.
    pub fn finish_load(&mut self) -> Result<(), CorruptRecord> {
        self.check_counts()?;
        if !self.people.finish_load() {
            return Err(whole(Section::Persons, "a key stands twice"));
        }
        if !self.slots.finish_load() {
            return Err(whole(Section::Slots, "a slot stands twice"));
        }
        self.staging.finish_load().ok_or_else(|| whole(Section::Imports, "chunks are missing"))?;
        self.check_people()?;
        self.link_history()?;
        self.check_places()
    }

    fn put_record(&mut self, section: Section, index: u32, bytes: &[u8]) -> Option<()> {
        match section {
            Section::Globals => {
                let (globals, counts) = Globals::unpack(bytes)?;
                self.globals = globals;
                self.loaded_counts = Some(counts);
                (index == 0).then_some(())
            }
            Section::Persons => {
                let (key, person) = Person::unpack(bytes)?;
                self.people.load(index, key, person).then_some(())
            }
            Section::Requests => {
                let request = Request::unpack(bytes)?;
                self.history.requests.put(index, request).then_some(())
            }
            Section::Bookings => {
                let booking = Booking::unpack(bytes)?;
                self.history.bookings.put(index, booking).then_some(())
            }
            Section::Registrations => {
                let registration = Registration::unpack(bytes)?;
                self.history.registrations.put(index, registration).then_some(())
            }
            Section::Slots => self.slots.load(index, bytes),
            Section::Corrections => self.corrections.load(index, bytes),
            Section::Imports => self.staging.load(index, bytes),
            Section::Sites => self.put_site_record(index, bytes),
            Section::Vaccines => self.put_vaccine_record(index, bytes),
            Section::Categories => self.put_category_record(index, unpack_whole(bytes)?),
            Section::Periods => self.put_period_record(index, unpack_whole(bytes)?),
        }
    }

    fn put_site_record(&mut self, index: u32, bytes: &[u8]) -> Option<()> {
        let id = std::str::from_utf8(bytes).ok()?;
        let sites = &mut self.catalogue.sites;
        let next = SiteNumber(sites.len() as u32);
        let number = *sites.entry(id.to_owned()).or_insert(next);
        (number.0 == index).then_some(())
    }

    fn put_vaccine_record(&mut self, index: u32, bytes: &[u8]) -> Option<()> {
        let name = std::str::from_utf8(bytes).ok()?.to_owned();
        let vaccines = &mut self.catalogue.vaccines;
        let known = vaccines.len();
        match vaccines.get_mut(index as usize) {
            Some(place) => *place = name,
            None if index as usize == known && known < VACCINES_MAX => vaccines.push(name),
            None => return None,
        }
        Some(())
    }

    fn put_category_record(&mut self, index: u32, rule: CategoryRule) -> Option<()> {
        let fits = self.catalogue.categories.len() < CATEGORIES_MAX
            || self.catalogue.category_bit(rule.number).is_some();
        (fits && self.catalogue.put_category(rule) == index as usize).then_some(())
    }

    fn put_period_record(&mut self, index: u32, rule: PeriodRule) -> Option<()> {
        (index == u32::from(rule.number.0) && rule.number != PeriodNumber::INTENTS).then_some(())?;
        self.catalogue.put_period(rule);
        Some(())
    }

    /// Compares the arrays with the lengths in the globals.
    fn check_counts(&mut self) -> Result<(), CorruptRecord> {
        let expected: [u32; COUNTS] = self.loaded_counts.take().unwrap_or_default();
        if self.counts() != expected {
            return Err(whole(Section::Globals, "records are missing or too many"));
        }
        let globals = &self.globals;
        let can_be = globals.sequence.0 >> 48 == 0
            && (Millis(0)..=INSTANT_MAX).contains(&globals.now)
            && globals.sweep.cursor <= self.history.bookings.len();
        if !can_be {
            return Err(whole(Section::Globals, "contradict each other"));
        }
        Ok(())
    }

    fn check_people(&mut self) -> Result<(), CorruptRecord> {
        for number in 0..self.people.len() {
            let person = &mut self.people.records[number];
            person.latest = Link::NONE;
            person.requests = 0;
            let serial = person.serial;
            if serial > self.history.registrations.len() {
                return Err(CorruptRecord::new(
                    Section::Persons,
                    number,
                    "a serial number that was never given",
                ));
            }
        }
        Ok(())
    }

    /// Links each person's requests anew, in the order in which they were decided.
    fn link_history(&mut self) -> Result<(), CorruptRecord> {
        self.history.on_intents.clear();
        self.history.crowds.clear();
        let mut last = Sequence(0);
        let (mut booking, mut request) = (0, 0);
        loop {
            self.prefetch_owner(booking);
            let next_booking = self.history.bookings.get(booking).map(|found| found.stamp);
            let next_request = self.history.requests.get(request).map(|found| found.stamp);
            match (next_booking, next_request) {
                (None, None) => return Ok(()),
                (Some(stamp), other) if other.is_none_or(|other| is_before(stamp, other)) => {
                    self.link_booking(booking, &mut last)
                        .ok_or_else(|| broken(Section::Bookings, booking))?;
                    booking += 1;
                }
                _ => {
                    self.link_request_again(request, &mut last)
                        .ok_or_else(|| broken(Section::Requests, request))?;
                    request += 1;
                }
            }
        }
    }

    fn prefetch_owner(&self, booking: u32) {
        if let Some(ahead) = self.history.bookings.get(booking.saturating_add(LOOK_AHEAD)) {
            prefetch::read(self.people.records.get(ahead.person.0));
        }
    }

    fn link_booking(&mut self, number: u32, last: &mut Sequence) -> Option<()> {
        let booking = *self.history.bookings.get(number)?;
        let known = self.slots.places(booking.slot).is_some()
            && booking.stamp.period() != PeriodNumber::INTENTS;
        known.then_some(())?;
        self.link_again(
            booking.person,
            booking.stamp,
            Link::booking(number),
            booking.previous,
            last,
        )?;
        if booking.counts() {
            self.slots.take(booking.slot);
        }
        Some(())
    }

    fn link_request_again(&mut self, place: u32, last: &mut Sequence) -> Option<()> {
        let request = *self.history.requests.get(place)?;
        self.link_again(request.person, request.stamp, Link::request(place), request.previous, last)
    }

    fn link_again(
        &mut self,
        person: PersonNumber,
        stamp: Stamp,
        link: Link,
        previous: Link,
        last: &mut Sequence,
    ) -> Option<()> {
        let on_intents = stamp.period() == PeriodNumber::INTENTS;
        let in_order = on_intents || stamp.first() > *last;
        let known = person.0 < self.people.len() && stamp.first() <= self.globals.sequence;
        (in_order && known).then_some(())?;
        if !on_intents {
            *last = stamp.first();
        }
        (self.link_newest(person, stamp.period(), link) == previous).then_some(())?;
        self.note_crowd(person, stamp.period());
        Some(())
    }

    fn check_places(&self) -> Result<(), CorruptRecord> {
        for slot in 0..self.slots.len() {
            let number = SlotNumber(slot);
            let corrupt = |what| Err(CorruptRecord::new(Section::Slots, slot, what));
            if self.slots.places(number).is_some_and(|places| places.booked > places.capacity) {
                return corrupt("more places taken than there are");
            }
            let is_known = self.slots.get(number).is_some_and(|slot| {
                slot.site.index() < self.catalogue.sites.len()
                    && usize::from(slot.vaccine.0) < self.catalogue.vaccines.len()
            });
            if !is_known {
                return corrupt("a site or vaccine that was never named");
            }
        }
        Ok(())
    }
}

/// True when a booking comes before a request. Requests on intents are chained apart, so they may
/// come at once.
fn is_before(booking: Stamp, request: Stamp) -> bool {
    request.period() != PeriodNumber::INTENTS && booking.first() < request.first()
}

fn broken(section: Section, index: u32) -> CorruptRecord {
    CorruptRecord::new(section, index, "contradicts other records")
}

fn whole(section: Section, what: &'static str) -> CorruptRecord {
    CorruptRecord::new(section, 0, what)
}
