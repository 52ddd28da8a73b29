//! What people asked for and what they hold: bookings, other decided requests, registrations.
//!
//! The requests of one person in periods form one chain, newest first, over two arrays: a booking is
//! kept together with the request that made it, every other decided request stands in `requests`. A
//! person's first booking therefore reads no chain at all, and each later one walks it once, to learn
//! all that the rules ask ([`Standing`]). Requests on intents are chained apart.
//!
//! Requests remember no answers: a repeated request is told which command decided it, and the readers
//! of events have the answer.

use std::collections::BTreeMap;

use super::chunked::Chunked;
use super::crowds::Crowds;
use super::people::Person;
use super::slots::Slots;
use crate::eligibility::{is_active, no_show_day};
use crate::{
    BookingNumber, Day, Fingerprint, KeyHash, Millis, PeriodNumber, PersonNumber, Sequence,
};

pub(crate) use super::requests::*;

/// All that one look back over a person's requests tells about a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The key was decided before: by which command, and what the request said.
    pub(crate) decided: Option<(Sequence, Fingerprint)>,
    /// Keys used in this period.
    pub(crate) keys: usize,
    /// The active booking, and its period.
    pub(crate) active: Option<(BookingNumber, PeriodNumber)>,
    /// A booking of this period counts.
    pub(crate) booked_in_period: bool,
    /// The latest day on which the person did not come.
    pub(crate) missed: Option<Day>,
}

impl Standing {
    /// Takes in a booking that counts.
    #[inline]
    pub(super) fn weigh(
        &mut self,
        number: u32,
        booking: &Booking,
        day: Day,
        period: PeriodNumber,
        at: Millis,
    ) {
        self.booked_in_period |= booking.stamp.period() == period;
        if !booking.is_unattended() {
            return;
        }
        if is_active(day, at) {
            self.active = Some((BookingNumber(number), booking.stamp.period()));
        }
        self.missed = self.missed.max(no_show_day(day, at));
    }
}

/// The arrays and their chains.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// By booking number.
    pub(crate) bookings: Chunked<Booking>,
    /// In order of decision.
    pub(crate) requests: Chunked<Request>,
    /// By serial number − 1.
    pub(crate) registrations: Chunked<Registration>,
    /// The newest request on intents of those who have one besides a valid registration.
    pub(crate) on_intents: BTreeMap<PersonNumber, Link>,
    /// Indexes over the chains of the few who asked very often.
    pub(crate) crowds: Crowds,
}

impl History {
    /// Nothing happened yet.
    pub(crate) fn new() -> History {
        History {
            bookings: Chunked::new(),
            requests: Chunked::new(),
            registrations: Chunked::new(),
            on_intents: BTreeMap::new(),
            crowds: Crowds::new(),
        }
    }

    /// Looks back over a person's requests in periods.
    #[inline]
    pub(crate) fn standing(
        &self,
        number: PersonNumber,
        person: &Person,
        period: PeriodNumber,
        key: KeyHash,
        at: Millis,
        slots: &Slots,
    ) -> Standing {
        let mut standing = Standing::default();
        if person.latest == Link::NONE {
            return standing;
        }
        if let Some(crowd) = self.crowds.get(number, person) {
            crowd.standing(&mut standing, self, period, key, at, slots);
        } else {
            self.walk(&mut standing, person.latest, period, key, at, slots);
        }
        standing
    }

    pub(super) fn walk(
        &self,
        standing: &mut Standing,
        newest: Link,
        period: PeriodNumber,
        key: KeyHash,
        at: Millis,
        slots: &Slots,
    ) {
        let mut link = newest;
        loop {
            let (found, fingerprint, stamp) = match link.follow() {
                Linked::Nothing => return,
                Linked::Booking(number) => {
                    let booking = &self.bookings[number];
                    if booking.counts() {
                        standing.weigh(number, booking, slots.day(booking.slot), period, at);
                    }
                    link = booking.previous;
                    (booking.key, booking.fingerprint, booking.stamp)
                }
                Linked::Request(place) => {
                    let request = &self.requests[place];
                    link = request.previous;
                    (request.key, request.fingerprint, request.stamp)
                }
            };
            if stamp.period() == period {
                standing.keys += 1;
                if found == key {
                    standing.decided = Some((stamp.first(), fingerprint));
                }
            }
        }
    }

    /// Looks back over a person's requests on intents.
    pub(crate) fn standing_on_intents(
        &self,
        number: PersonNumber,
        person: &Person,
        key: KeyHash,
    ) -> Standing {
        let mut standing = Standing::default();
        if let Some(registration) = self.registration(person.serial) {
            standing.keys = 1;
            let retry = registration.retry();
            if retry.key == key {
                standing.decided = Some((registration.first(), retry.fingerprint));
            }
        }
        let mut link = self.on_intents.get(&number).copied();
        while let Some(Linked::Request(place)) = link.map(Link::follow) {
            let request = &self.requests[place];
            standing.keys += 1;
            if request.key == key {
                standing.decided = Some((request.stamp.first(), request.fingerprint));
            }
            link = Some(request.previous);
        }
        standing
    }

    /// The person's active booking of any period.
    pub(crate) fn active_booking(
        &self,
        number: PersonNumber,
        person: &Person,
        at: Millis,
        slots: &Slots,
    ) -> Option<BookingNumber> {
        // No period has number 0 and no key is asked for: the rest of the answer is not read.
        let standing = self.standing(number, person, PeriodNumber::INTENTS, KeyHash(0), at, slots);
        standing.active.map(|(booking, _)| booking)
    }

    /// The registration of a serial number that was given.
    pub(crate) fn registration(&self, serial: u32) -> Option<&Registration> {
        self.registrations.get(serial.checked_sub(1)?)
    }

    /// True when there is room for one more record of each kind.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.bookings.len() < RECORDS_MAX
            && self.requests.len() < RECORDS_MAX - 1
            && self.registrations.len() < RECORDS_MAX
    }
}
