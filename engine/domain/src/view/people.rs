//! People by number: key, intent, memberships, and where their requests and bookings begin.

use crate::eligibility::Facts;
use crate::{
    CountyNumber, Day, DistrictNumber, Intent, LanguageNumber, Millis, PersonKey, PersonNumber,
    VaccineSet,
};

use super::instant::Instant48;
use super::rows::Rows;
use crate::codec;
use crate::prefetch;
use crate::state::chunked::Chunked;
use crate::state::key_index::KeyIndex;
use crate::state::packing::{Fields, Pack, Packer};

/// No booking, no request.
pub(super) const NONE: u32 = u32::MAX;

/// Everyone who was ever mentioned.
#[derive(Clone, Debug)]
pub(super) struct People {
    /// Apart from the rows: a look-up by key reads one of these and nothing else.
    pub(super) keys: Chunked<PersonKey>,
    index: KeyIndex,
    pub(super) rows: Rows<PersonRow>,
}

/// One person.
#[derive(Clone, Copy, Debug)]
pub(super) struct PersonRow {
    /// Serial number of the intent; 0 without one.
    serial: u32,
    born_on: Day,
    /// Bit n: on the list of the n-th category.
    pub(super) memberships: u32,
    /// The newest booking, which links to those before.
    pub(super) latest_booking: u32,
    /// The newest recorded request, which links to those before.
    pub(super) latest_request: u32,
    district: DistrictNumber,
    vaccines: VaccineSet,
    registered_at: Instant48,
    county: CountyNumber,
    language: LanguageNumber,
}

// The budget of a person, the key's 16 bytes apart; see the module doc of `view`.
const _: () = assert!(size_of::<PersonRow>() == 32);

/// R5, R6: an intent as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntentView {
    /// Registration serial number.
    pub serial: u32,
    /// When it was first registered; a modification does not move it.
    pub registered_at: Millis,
    /// The date of birth that holds.
    pub born_on: Day,
    /// What the person wants.
    pub intent: Intent,
    /// Categories whose list names the person, bit = place of the category.
    pub memberships: u32,
}

impl IntentView {
    /// What the eligibility rules ask of a person.
    pub fn facts(&self) -> Facts {
        Facts {
            registered_at: self.registered_at,
            born_on: self.born_on,
            county: self.intent.county,
            vaccines: self.intent.vaccines,
            memberships: self.memberships,
        }
    }
}

impl People {
    pub(super) fn new() -> People {
        People { keys: Chunked::new(), index: KeyIndex::new(), rows: Rows::new() }
    }

    /// Gives the next number to a key. False when the number is not the next one or the key has one.
    pub(super) fn add(&mut self, person: PersonNumber, key: PersonKey) -> bool {
        if person.0 != self.keys.len() || person.0 == NONE || self.number(&key).is_some() {
            return false;
        }
        self.rows.push(PersonRow::NEW);
        let number = self.keys.push(key);
        self.index.insert(number, &self.keys);
        true
    }

    /// Finds keys again, once keys and rows are loaded. False when a key stands twice or has no row.
    pub(super) fn finish_load(&mut self) -> bool {
        self.keys.len() == self.rows.len() && self.index.rebuild(&self.keys)
    }

    /// Asks for the memory that an event about a person will need.
    #[inline]
    pub(super) fn prefetch(&self, person: PersonNumber, key: Option<&PersonKey>) {
        match key {
            Some(key) => self.index.prefetch_bucket(key),
            None => prefetch::read(self.rows.get(person.0)),
        }
    }

    /// How many there are; numbers are below it.
    pub(super) fn len(&self) -> u32 {
        self.keys.len()
    }

    #[inline]
    pub(super) fn row(&self, person: PersonNumber) -> Option<&PersonRow> {
        self.rows.get(person.0)
    }

    #[inline]
    pub(super) fn row_mut(&mut self, person: PersonNumber) -> Option<&mut PersonRow> {
        self.rows.get_mut(person.0)
    }

    pub(super) fn number(&self, key: &PersonKey) -> Option<PersonNumber> {
        self.index.find(key, &self.keys).map(PersonNumber)
    }

    pub(super) fn key(&self, person: PersonNumber) -> Option<PersonKey> {
        self.keys.get(person.0).copied()
    }

    pub(super) fn intent(&self, person: PersonNumber) -> Option<IntentView> {
        self.row(person)?.intent()
    }

    pub(super) fn memberships(&self, person: PersonNumber) -> u32 {
        self.row(person).map_or(0, |row| row.memberships)
    }

    /// The newest recorded request, or [`NONE`].
    pub(super) fn requests(&self, person: PersonNumber) -> u32 {
        self.row(person).map_or(NONE, |row| row.latest_request)
    }

    /// The newest booking, or [`NONE`].
    pub(super) fn latest_booking(&self, person: PersonNumber) -> u32 {
        self.row(person).map_or(NONE, |row| row.latest_booking)
    }
}

impl PersonRow {
    const NEW: PersonRow = PersonRow {
        serial: 0,
        born_on: Day(0),
        memberships: 0,
        latest_booking: NONE,
        latest_request: NONE,
        district: DistrictNumber(0),
        vaccines: VaccineSet(0),
        registered_at: Instant48::ZERO,
        county: CountyNumber(0),
        language: LanguageNumber(0),
    };

    pub(super) fn intent(&self) -> Option<IntentView> {
        (self.serial != 0).then(|| IntentView {
            serial: self.serial,
            registered_at: self.registered_at.get(),
            born_on: self.born_on,
            intent: Intent {
                county: self.county,
                district: self.district,
                vaccines: self.vaccines,
                language: self.language,
            },
            memberships: self.memberships,
        })
    }

    pub(super) fn register(&mut self, serial: u32, at: Millis, born_on: Day, intent: &Intent) {
        self.serial = serial;
        self.registered_at = Instant48::new(at);
        self.modify(born_on, intent);
    }

    pub(super) fn modify(&mut self, born_on: Day, intent: &Intent) {
        self.born_on = born_on;
        self.county = intent.county;
        self.district = intent.district;
        self.vaccines = intent.vaccines;
        self.language = intent.language;
    }

    pub(super) fn correct_birth(&mut self, born_on: Day) {
        self.born_on = born_on;
    }

    pub(super) fn withdraw(&mut self) {
        self.serial = 0;
    }

    /// Whether what it links to exists, given how many bookings and outcomes there are.
    pub(super) fn fits(&self, bookings: u32, outcomes: u32) -> bool {
        (self.latest_booking == NONE || self.latest_booking < bookings)
            && (self.latest_request == NONE || self.latest_request < outcomes)
    }

    /// Reads what [`Pack::pack`] wrote; `None` when no event can have made it.
    pub(super) fn unpack(bytes: &[u8]) -> Option<PersonRow> {
        let mut fields = Fields::of(bytes);
        let row = PersonRow {
            serial: fields.u32()?,
            born_on: Day(fields.i32()?),
            memberships: fields.u32()?,
            latest_booking: fields.u32()?,
            latest_request: fields.u32()?,
            district: DistrictNumber(fields.u16()?),
            vaccines: VaccineSet(fields.u16()?),
            registered_at: Instant48(fields.bytes()?),
            county: CountyNumber(fields.u8()?),
            language: LanguageNumber(fields.u8()?),
        };
        let can_be = codec::is_instant(row.born_on.starts_at())
            && codec::is_instant(row.registered_at.get());
        fields.end(row).filter(|_| can_be)
    }
}

/// Bytes of a row in a checkpoint.
pub(super) const PERSON_BYTES: usize = 32;

impl Pack<PERSON_BYTES> for PersonRow {
    fn pack(&self, place: &mut [u8; PERSON_BYTES]) {
        Packer::new(place)
            .u32(self.serial)
            .i32(self.born_on.0)
            .u32(self.memberships)
            .u32(self.latest_booking)
            .u32(self.latest_request)
            .u16(self.district.0)
            .u16(self.vaccines.0)
            .bytes(self.registered_at.0)
            .u8(self.county.0)
            .u8(self.language.0)
            .finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PersonKey {
        PersonKey([seed; 16])
    }

    #[test]
    fn a_number_out_of_turn_or_a_second_number_of_a_key_is_refused() {
        let mut people = People::new();
        assert!(!people.add(PersonNumber(1), key(1)));
        assert!(people.add(PersonNumber(0), key(1)));
        assert!(!people.add(PersonNumber(1), key(1)));
        assert!(!people.add(PersonNumber(0), key(2)));
        assert_eq!((people.len(), people.rows.len()), (1, 1));
        assert_eq!(people.number(&key(1)), Some(PersonNumber(0)));
        assert_eq!(people.key(PersonNumber(0)), Some(key(1)));
    }
}
