//! One hash over everything that can influence a later event, in a defined order.
//!
//! Left out is what the rest tells: indexes, the newest request of each person, places taken.

use super::State;
use super::corrections::KeyedCorrection;
use super::globals::{COUNTS, CountedGlobals};
use super::packing::{Pack, pack_whole};
use super::people::KeyedPerson;

/// Bytes gathered before they are hashed: short strokes would keep blake3 from its full width.
const BUFFER_BYTES: usize = 1 << 16;

struct Digester {
    hasher: blake3::Hasher,
    buffer: Vec<u8>,
}

impl Digester {
    fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.hasher.update(&self.buffer);
        self.buffer.clear();
    }
}

impl State {
    /// Two states with the same digest answer every later command with the same events.
    pub fn digest(&self) -> [u8; 32] {
        let mut digester = Digester {
            hasher: blake3::Hasher::new_derive_key("slotline state digest 1"),
            buffer: Vec::with_capacity(2 * BUFFER_BYTES),
        };
        digester.add(&CountedGlobals(&self.globals, self.counts()).packed());
        self.digest_people(&mut digester);
        self.digest_history(&mut digester);
        self.digest_catalogue(&mut digester);
        digester.flush();
        self.staging.digest(&mut digester.hasher);
        *digester.hasher.finalize().as_bytes()
    }

    /// Lengths of the arrays, in the order of their sections.
    pub(super) fn counts(&self) -> [u32; COUNTS] {
        [
            self.people.len(),
            self.history.requests.len(),
            self.history.bookings.len(),
            self.slots.len(),
            self.catalogue.sites.len() as u32,
            self.catalogue.categories.len() as u32,
            self.catalogue.periods.len() as u32,
            self.history.registrations.len(),
            self.corrections.len(),
            self.catalogue.vaccines.len() as u32,
        ]
    }

    fn digest_people(&self, digester: &mut Digester) {
        for (person, key) in self.people.records.iter().zip(self.people.keys.iter()) {
            digester.add(&KeyedPerson(key, person).packed());
        }
        for (key, correction) in &self.corrections.by_key {
            digester.add(&correction.index.to_le_bytes());
            digester.add(&KeyedCorrection(key, correction).packed());
        }
    }

    fn digest_history(&self, digester: &mut Digester) {
        for request in self.history.requests.iter() {
            digester.add(&request.packed());
        }
        for booking in self.history.bookings.iter() {
            digester.add(&booking.packed());
        }
        for registration in self.history.registrations.iter() {
            digester.add(&registration.packed());
        }
    }

    fn digest_catalogue(&self, digester: &mut Digester) {
        for slot in 0..self.slots.len() {
            digester.add(&self.slots.record(crate::SlotNumber(slot)).packed());
        }
        for (id, number) in &self.catalogue.sites {
            digester.add(&pack_whole(&(number, id)));
        }
        digester.add(&pack_whole(&self.catalogue.vaccines));
        for category in &self.catalogue.categories {
            digester.add(&pack_whole(category));
        }
        // By number: the order of first publication decides nothing.
        let mut periods: Vec<_> = self.catalogue.periods.iter().collect();
        periods.sort_unstable_by_key(|rule| rule.number);
        for period in periods {
            digester.add(&pack_whole(period));
        }
    }
}
