//! Slots: what is asked of every booking in 16 bytes, the rest apart.

use std::collections::BTreeMap;
use std::ops::Range;

use super::chunked::Chunked;
use super::packing::{Fields, Pack, Packer};
use crate::prefetch;
use crate::rules::{SLOT_DAY_MAX, SLOT_DAY_MIN};
use crate::time::TAIPEI_OFFSET_MS;
use crate::{Day, Millis, SiteNumber, Slot, SlotNumber, VaccineNumber};

/// Slots that can be numbered.
pub(crate) const SLOTS_MAX: u32 = 1 << 26;

/// Bytes of a slot in a checkpoint.
pub(crate) const SLOT_BYTES: usize = 15;

const DAY_MINUTES: i32 = 1_440;

const MINUTE_MS: i64 = 60_000;

/// First minutes that a slot can have.
const SLOT_MINUTES: Range<i32> = SLOT_DAY_MIN * DAY_MINUTES..(SLOT_DAY_MAX + 1) * DAY_MINUTES;

/// What a booking asks of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub(crate) struct Places {
    /// Places taken: bookings of this slot that were not cancelled. Not in checkpoints: counted anew.
    pub(crate) booked: u32,
    /// Places in all.
    pub(crate) capacity: u32,
    /// First minute, in Taiwan, since 1970-01-01; tells the day as well.
    start: i32,
    /// What is given.
    pub(crate) vaccine: VaccineNumber,
}

impl Places {
    #[inline]
    pub(crate) fn starts_at(&self) -> Millis {
        Millis(i64::from(self.start) * MINUTE_MS - TAIPEI_OFFSET_MS)
    }

    #[inline]
    pub(crate) fn day(&self) -> Day {
        Day(self.start.div_euclid(DAY_MINUTES))
    }
}

/// What only imports and readers ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Definition {
    site: SiteNumber,
    end_minute: u16,
}

/// What makes a slot the same slot: site, first minute since 1970, last minute, vaccine.
type Identity = (SiteNumber, i32, u16, VaccineNumber);

/// All slots.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    places: Chunked<Places>,
    definitions: Chunked<Definition>,
    by_identity: BTreeMap<Identity, SlotNumber>,
}

impl Slots {
    /// None.
    pub(crate) fn new() -> Slots {
        Slots { places: Chunked::new(), definitions: Chunked::new(), by_identity: BTreeMap::new() }
    }

    /// How many.
    pub(crate) fn len(&self) -> u32 {
        self.places.len()
    }

    /// What a booking asks, where the slot exists.
    #[inline]
    pub(crate) fn places(&self, slot: SlotNumber) -> Option<&Places> {
        self.places.get(slot.0)
    }

    /// The day of a slot that exists.
    #[inline]
    pub(crate) fn day(&self, slot: SlotNumber) -> Day {
        self.places[slot.0].day()
    }

    /// When a slot that exists begins.
    #[inline]
    pub(crate) fn starts_at(&self, slot: SlotNumber) -> Millis {
        self.places[slot.0].starts_at()
    }

    /// Takes a place of a slot that has one.
    #[inline]
    pub(crate) fn take(&mut self, slot: SlotNumber) {
        self.places[slot.0].booked += 1;
    }

    /// Frees a place that was taken.
    #[inline]
    pub(crate) fn free(&mut self, slot: SlotNumber) {
        self.places[slot.0].booked -= 1;
    }

    /// The whole slot as readers know it.
    pub(crate) fn get(&self, slot: SlotNumber) -> Option<Slot> {
        let places = self.places.get(slot.0)?;
        let definition = self.definitions.get(slot.0)?;
        Some(Slot {
            site: definition.site,
            day: places.day(),
            start_minute: places.start.rem_euclid(DAY_MINUTES) as u16,
            end_minute: definition.end_minute,
            vaccine: places.vaccine,
            capacity: places.capacity,
        })
    }

    /// The number of the slot with the same site, day, times and vaccine. The day must be one on which
    /// slots may lie.
    pub(crate) fn find(&self, slot: &Slot) -> Option<SlotNumber> {
        self.by_identity.get(&identity(slot)).copied()
    }

    /// Adds a slot that [`Slots::find`] does not find.
    pub(crate) fn add(&mut self, slot: &Slot) -> SlotNumber {
        let number = SlotNumber(self.places.push(Places {
            booked: 0,
            capacity: slot.capacity,
            start: first_minute(slot),
            vaccine: slot.vaccine,
        }));
        self.definitions.push(Definition { site: slot.site, end_minute: slot.end_minute });
        self.by_identity.insert(identity(slot), number);
        number
    }

    /// Changes the capacity of a slot that exists.
    pub(crate) fn set_capacity(&mut self, slot: SlotNumber, capacity: u32) {
        self.places[slot.0].capacity = capacity;
    }

    /// Asks for the memory that a booking of this slot reads.
    #[inline]
    pub(crate) fn prefetch(&self, slot: SlotNumber) {
        prefetch::read(self.places.get(slot.0));
    }

    /// A slot that exists, as it stands in a checkpoint.
    pub(crate) fn record(&self, slot: SlotNumber) -> impl Pack<SLOT_BYTES> {
        SlotRecord(self.places[slot.0], self.definitions[slot.0])
    }

    /// Puts a record of a checkpoint; `None` when it cannot stand there.
    pub(crate) fn load(&mut self, index: u32, bytes: &[u8]) -> Option<()> {
        let mut fields = Fields::of(bytes);
        let site = SiteNumber(fields.u32()?);
        let start = fields.i32()?;
        let end_minute = fields.u16()?;
        let vaccine = VaccineNumber(fields.u8()?);
        let capacity = fields.u32()?;
        fields.end(())?;
        let can_be = SLOT_MINUTES.contains(&start) && end_minute <= DAY_MINUTES as u16;
        can_be.then_some(())?;
        let places = Places { booked: 0, capacity, start, vaccine };
        let definition = Definition { site, end_minute };
        let put = index < SLOTS_MAX
            && self.places.put(index, places)
            && self.definitions.put(index, definition);
        put.then_some(())
    }

    /// Indexes the loaded slots and forgets the places taken; false when a slot stands twice.
    pub(crate) fn finish_load(&mut self) -> bool {
        self.by_identity.clear();
        for number in (0..self.len()).map(SlotNumber) {
            self.places[number.0].booked = 0;
            let Some(slot) = self.get(number) else {
                return false;
            };
            if self.by_identity.insert(identity(&slot), number).is_some() {
                return false;
            }
        }
        true
    }
}

struct SlotRecord(Places, Definition);

impl Pack<SLOT_BYTES> for SlotRecord {
    fn pack(&self, place: &mut [u8; SLOT_BYTES]) {
        let SlotRecord(places, definition) = self;
        Packer::new(place)
            .u32(definition.site.0)
            .i32(places.start)
            .u16(definition.end_minute)
            .u8(places.vaccine.0)
            .u32(places.capacity)
            .finish();
    }
}

fn first_minute(slot: &Slot) -> i32 {
    slot.day.0 * DAY_MINUTES + i32::from(slot.start_minute)
}

fn identity(slot: &Slot) -> Identity {
    (slot.site, first_minute(slot), slot.end_minute, slot.vaccine)
}
