//! Changing records: each verb changes an array and records the change while it is in cache.

use super::State;
use super::corrections::KeyedCorrection;
use super::history::{Booking, Link, Linked, Registration, Request, Stamp, Status};
use super::packing::pack_whole;
use super::people::{KeyedPerson, Person};
use crate::changes::Section;
use crate::eligibility::{CategoryRule, PeriodRule};
use crate::prefetch;
use crate::{
    Attested, BookingNumber, Day, Event, Intent, PeriodNumber, PersonKey, PersonNumber, RetryKey,
    SiteNumber, Slot, SlotNumber, VaccineNumber,
};

impl State {
    /// The number of a key, given now if it has none: `Numbered` comes first. `None` when all numbers
    /// are given.
    pub(crate) fn number(
        &mut self,
        key: PersonKey,
        events: &mut Vec<Event>,
    ) -> Option<PersonNumber> {
        if let Some(known) = self.people.number_of(&key) {
            return Some(known);
        }
        let person = self.people.add(key)?;
        self.record_person(person);
        events.push(Event::Numbered { person, key });
        Some(person)
    }

    /// Keeps the key of a request that made neither a booking nor a registration.
    pub(crate) fn keep_request(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        retry: RetryKey,
    ) {
        let stamp = Stamp::new(self.globals.sequence, period);
        self.link_request(person, retry, stamp);
    }

    fn link_request(&mut self, person: PersonNumber, retry: RetryKey, stamp: Stamp) {
        let link = Link::request(self.history.requests.len());
        let request = Request {
            key: retry.key,
            fingerprint: retry.fingerprint,
            stamp,
            person,
            previous: self.link_newest(person, stamp.period(), link),
        };
        let index = self.history.requests.push(request);
        self.recorder.put_fixed(Section::Requests, index, &request);
        self.note_crowd(person, stamp.period());
    }

    /// Makes a booking, together with its request, and takes its place.
    #[inline]
    pub(crate) fn add_booking(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        slot: SlotNumber,
        retry: RetryKey,
    ) -> BookingNumber {
        let link = Link::booking(self.history.bookings.len());
        let booking = Booking {
            key: retry.key,
            fingerprint: retry.fingerprint,
            stamp: Stamp::new(self.globals.sequence, period),
            person,
            slot,
            previous: self.link_newest(person, period, link),
            status: Status::Held,
        };
        self.slots.take(slot);
        let number = self.history.bookings.push(booking);
        self.recorder.put_fixed(Section::Bookings, number, &booking);
        self.note_crowd(person, period);
        BookingNumber(number)
    }

    /// Makes a request the newest of its chain and returns the one before it.
    #[inline]
    pub(crate) fn link_newest(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        link: Link,
    ) -> Link {
        if period == PeriodNumber::INTENTS {
            let before = self.history.on_intents.insert(person, link);
            return before.unwrap_or(Link::NONE);
        }
        let record = self.people.get_mut(person);
        record.requests = record.requests.saturating_add(1);
        std::mem::replace(&mut record.latest, link)
    }

    #[inline]
    pub(crate) fn note_crowd(&mut self, person: PersonNumber, period: PeriodNumber) {
        if period != PeriodNumber::INTENTS {
            self.history.note_crowd(person, self.people.get(person));
        }
    }

    /// Moves a booking that counts to a slot with a place left; its own slot is no change.
    pub(crate) fn move_booking(&mut self, booking: BookingNumber, to: SlotNumber) -> SlotNumber {
        let record = &mut self.history.bookings[booking.0];
        let from = std::mem::replace(&mut record.slot, to);
        if from != to {
            self.slots.take(to);
            self.slots.free(from);
            self.record_booking(booking);
        }
        from
    }

    /// Gives up a booking that counts and frees its place; returns its slot.
    pub(crate) fn cancel_booking(&mut self, booking: BookingNumber) -> SlotNumber {
        let record = &mut self.history.bookings[booking.0];
        record.status = Status::Cancelled;
        let slot = record.slot;
        self.slots.free(slot);
        self.record_booking(booking);
        slot
    }

    /// Says what became of a booking that keeps its place.
    pub(crate) fn mark_booking(&mut self, booking: BookingNumber, status: Status) {
        self.history.bookings[booking.0].status = status;
        self.record_booking(booking);
    }

    /// Gives a person a new intent with the next serial number.
    pub(crate) fn add_intent(
        &mut self,
        person: PersonNumber,
        held: Attested,
        intent: &Intent,
        retry: RetryKey,
    ) -> u32 {
        let registration = Registration::new(retry, self.globals.sequence);
        let index = self.history.registrations.push(registration);
        self.recorder.put_fixed(Section::Registrations, index, &registration);
        let now = self.globals.now;
        let record = self.people.get_mut(person);
        record.serial = index + 1;
        record.registered_at = now;
        self.set_intent(person, held, intent);
        index + 1
    }

    /// Changes a person's intent; serial number and time of registration stay.
    pub(crate) fn set_intent(&mut self, person: PersonNumber, held: Attested, intent: &Intent) {
        let record = self.people.get_mut(person);
        record.born_on = held.born_on;
        record.roster_version = held.roster_version;
        record.vaccines = intent.vaccines;
        record.county = intent.county;
        self.record_person(person);
    }

    /// Ends a person's intent and returns its serial number. The key of the registration joins the
    /// person's other requests on intents.
    pub(crate) fn end_intent(&mut self, person: PersonNumber) -> u32 {
        let record = self.people.get_mut(person);
        let serial = record.serial;
        *record = Person {
            memberships: record.memberships,
            latest: record.latest,
            requests: record.requests,
            ..Person::NEW
        };
        self.record_person(person);
        if let Some(ended) = self.history.registration(serial).copied() {
            let stamp = Stamp::new(ended.first(), PeriodNumber::INTENTS);
            self.link_request(person, ended.retry(), stamp);
        }
        serial
    }

    /// Changes the date of birth of a person who holds an intent.
    pub(crate) fn correct_birth(
        &mut self,
        person: PersonNumber,
        roster_version: u32,
        born_on: Day,
    ) {
        let record = self.people.get_mut(person);
        record.born_on = born_on;
        record.roster_version = roster_version;
        self.record_person(person);
    }

    /// Puts a person on a category's list; false when already there.
    pub(crate) fn add_member(&mut self, person: PersonNumber, bit: usize) -> bool {
        let record = self.people.get_mut(person);
        if record.memberships >> bit & 1 == 1 {
            return false;
        }
        record.memberships |= 1 << bit;
        self.record_person(person);
        true
    }

    /// Keeps a correction for a key, or that it was superseded, unless something later is known.
    pub(crate) fn keep_correction(
        &mut self,
        key: PersonKey,
        roster_version: u32,
        born_on: Option<Day>,
    ) -> bool {
        let Some(kept) = self.corrections.keep(key, roster_version, born_on) else {
            return false;
        };
        self.recorder.put_fixed(Section::Corrections, kept.index, &KeyedCorrection(&key, &kept));
        true
    }

    /// The number of a site id, given now if it has none; and whether it is new.
    pub(crate) fn put_site(&mut self, id: &str) -> (SiteNumber, bool) {
        if let Some(known) = self.catalogue.sites.get(id) {
            return (*known, false);
        }
        let number = SiteNumber(self.catalogue.sites.len() as u32);
        self.catalogue.sites.insert(id.to_owned(), number);
        self.recorder.put(Section::Sites, number.0, id.as_bytes());
        (number, true)
    }

    /// Adds a slot, or changes the capacity of the same one; its number, and whether it is new.
    pub(crate) fn put_slot(&mut self, slot: &Slot) -> (SlotNumber, bool) {
        let known = self.slots.find(slot);
        let number = known.unwrap_or_else(|| self.slots.add(slot));
        self.set_capacity(number, slot.capacity);
        (number, known.is_none())
    }

    /// Changes a slot's capacity to one that is not below the places taken.
    pub(crate) fn set_capacity(&mut self, slot: SlotNumber, capacity: u32) {
        self.slots.set_capacity(slot, capacity);
        let record = self.slots.record(slot);
        self.recorder.put_fixed(Section::Slots, slot.0, &record);
    }

    /// Gives numbers to vaccine names that have none.
    pub(crate) fn name_vaccines(&mut self, names: Vec<String>, events: &mut Vec<Event>) {
        for name in names {
            let number = self.catalogue.vaccines.len() as u8;
            self.recorder.put(Section::Vaccines, u32::from(number), name.as_bytes());
            self.catalogue.vaccines.push(name.clone());
            events.push(Event::VaccineNamed { vaccine: VaccineNumber(number), name });
        }
    }

    /// Puts a category's rule in force.
    pub(crate) fn put_category(&mut self, rule: CategoryRule) {
        let bit = self.catalogue.put_category(rule);
        self.recorder.put(Section::Categories, bit as u32, &pack_whole(&rule));
    }

    /// Puts a period's rule in force.
    pub(crate) fn put_period(&mut self, rule: PeriodRule) {
        self.recorder.put(Section::Periods, u32::from(rule.number.0), &pack_whole(&rule));
        self.catalogue.put_period(rule);
    }

    fn record_person(&mut self, person: PersonNumber) {
        let key = &self.people.keys[person.0];
        let record = KeyedPerson(key, &self.people.records[person.0]);
        self.recorder.put_fixed(Section::Persons, person.0, &record);
    }

    fn record_booking(&mut self, booking: BookingNumber) {
        let record = &self.history.bookings[booking.0];
        self.recorder.put_fixed(Section::Bookings, booking.0, record);
    }
}

impl super::history::History {
    /// Asks for the memory of a person's newest request.
    #[inline]
    pub(crate) fn prefetch(&self, latest: Link) {
        match latest.follow() {
            Linked::Nothing => {}
            Linked::Booking(number) => prefetch::read(self.bookings.get(number)),
            Linked::Request(place) => prefetch::read(self.requests.get(place)),
        }
    }
}
