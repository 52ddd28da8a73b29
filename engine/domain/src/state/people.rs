//! People: their keys, their intents, and where their requests begin.
//!
//! A person is half a cache line, so that a booking reads one line of it. Contact data, language and
//! district are not here: no later event depends on them.

use super::chunked::Chunked;
use super::history::Link;
use super::key_index::KeyIndex;
use super::packing::{Fields, Pack, Packer};
use crate::eligibility::Facts;
use crate::prefetch;
use crate::{CountyNumber, Day, Millis, PersonKey, PersonNumber, VaccineSet};

/// Numbers that can be given to people.
pub(crate) const PEOPLE_MAX: u32 = 1 << 31;

/// Bytes of a person in a checkpoint: the key and the record without what bookings and requests tell.
pub(crate) const PERSON_BYTES: usize = 43;

/// One person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(32))]
pub(crate) struct Person {
    /// When the intent was first registered. Meaningless without intent, like all but memberships
    /// and the two last fields.
    pub(crate) registered_at: Millis,
    /// The date of birth that holds.
    pub(crate) born_on: Day,
    /// Serial number of the intent; 0 without intent.
    pub(crate) serial: u32,
    /// Categories whose list names the person, one bit each.
    pub(crate) memberships: u32,
    /// The roster version from which the date of birth comes.
    pub(crate) roster_version: u32,
    /// The newest of this person's requests in periods; where a booking begins to look back.
    pub(crate) latest: Link,
    /// Vaccines ticked.
    pub(crate) vaccines: VaccineSet,
    /// County of the wished region.
    pub(crate) county: CountyNumber,
    /// Requests in periods, as far as a byte counts.
    pub(crate) requests: u8,
}

const _: () = assert!(size_of::<Person>() == 32);

impl Person {
    /// Known by key, and nothing else.
    pub(crate) const NEW: Person = Person {
        registered_at: Millis(0),
        born_on: Day(0),
        serial: 0,
        memberships: 0,
        roster_version: 0,
        latest: Link::NONE,
        vaccines: VaccineSet(0),
        county: CountyNumber(0),
        requests: 0,
    };

    /// What the rules ask about, while there is an intent.
    #[inline]
    pub(crate) fn facts(&self) -> Option<Facts> {
        (self.serial != 0).then_some(Facts {
            registered_at: self.registered_at,
            born_on: self.born_on,
            county: self.county,
            vaccines: self.vaccines,
            memberships: self.memberships,
        })
    }

    /// Reads what [`KeyedPerson`] packs.
    pub(crate) fn unpack(bytes: &[u8]) -> Option<(PersonKey, Person)> {
        let mut fields = Fields::of(bytes);
        let key = PersonKey(fields.bytes()?);
        let person = Person {
            registered_at: Millis(fields.i64()?),
            born_on: Day(fields.i32()?),
            serial: fields.u32()?,
            memberships: fields.u32()?,
            roster_version: fields.u32()?,
            vaccines: VaccineSet(fields.u16()?),
            county: CountyNumber(fields.u8()?),
            ..Person::NEW
        };
        fields.end((key, person))
    }
}

/// A person as it stands in a checkpoint.
pub(crate) struct KeyedPerson<'a>(pub(crate) &'a PersonKey, pub(crate) &'a Person);

impl Pack<PERSON_BYTES> for KeyedPerson<'_> {
    #[inline]
    fn pack(&self, place: &mut [u8; PERSON_BYTES]) {
        let KeyedPerson(key, person) = self;
        Packer::new(place)
            .bytes(key.0)
            .i64(person.registered_at.0)
            .i32(person.born_on.0)
            .u32(person.serial)
            .u32(person.memberships)
            .u32(person.roster_version)
            .u16(person.vaccines.0)
            .u8(person.county.0)
            .finish();
    }
}

/// All people.
#[derive(Clone, Debug)]
pub(crate) struct People {
    /// By number.
    pub(crate) records: Chunked<Person>,
    /// By number; apart from the records, because a booking by number needs no key.
    pub(crate) keys: Chunked<PersonKey>,
    /// From key to number.
    index: KeyIndex,
}

impl People {
    /// Nobody.
    pub(crate) fn new() -> People {
        People { records: Chunked::new(), keys: Chunked::new(), index: KeyIndex::new() }
    }

    /// Numbers given so far.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.records.len()
    }

    /// The number of a key.
    pub(crate) fn number_of(&self, key: &PersonKey) -> Option<PersonNumber> {
        self.index.find(key, &self.keys).map(PersonNumber)
    }

    /// Gives the next number to an unknown key; `None` when all numbers are given.
    pub(crate) fn add(&mut self, key: PersonKey) -> Option<PersonNumber> {
        if self.len() >= PEOPLE_MAX {
            return None;
        }
        let number = self.records.push(Person::NEW);
        self.keys.push(key);
        self.index.insert(number, &self.keys);
        Some(PersonNumber(number))
    }

    /// The person of a number that was given.
    #[inline]
    pub(crate) fn get(&self, person: PersonNumber) -> &Person {
        &self.records[person.0]
    }

    /// The person of a number that was given, to be changed.
    #[inline]
    pub(crate) fn get_mut(&mut self, person: PersonNumber) -> &mut Person {
        &mut self.records[person.0]
    }

    /// Puts a record of a checkpoint; false when a record before it is missing.
    pub(crate) fn load(&mut self, index: u32, key: PersonKey, person: Person) -> bool {
        index < PEOPLE_MAX && self.keys.put(index, key) && self.records.put(index, person)
    }

    /// Indexes the loaded keys; false when a key stands twice.
    pub(crate) fn finish_load(&mut self) -> bool {
        self.index.rebuild(&self.keys)
    }

    /// First step of warming a look-up by key.
    #[inline]
    pub(crate) fn prefetch_key(&self, key: &PersonKey) {
        self.index.prefetch_bucket(key);
    }

    /// Second step: the key and the record of the number that it most likely has.
    #[inline]
    pub(crate) fn prefetch_likely(&self, key: &PersonKey) {
        if let Some(number) = self.index.likely(key) {
            prefetch::read(self.keys.get(number));
            prefetch::read(self.records.get(number));
        }
    }
}
