//! The records of what people asked for: requests, bookings, registrations, and the links between them.

use super::packing::{Fields, Pack, Packer};
use crate::{Fingerprint, KeyHash, PeriodNumber, PersonNumber, RetryKey, Sequence, SlotNumber};

/// Bookings, and requests apart from them, that a link can name.
pub(crate) const RECORDS_MAX: u32 = (1 << 31) - 1;

/// Bytes of a request in a checkpoint.
pub(crate) const REQUEST_BYTES: usize = 32;

/// Bytes of a booking in a checkpoint.
pub(crate) const BOOKING_BYTES: usize = 37;

/// Bytes of a registration in a checkpoint.
pub(crate) const REGISTRATION_BYTES: usize = 24;

/// The newest or the previous request of a person: a place in one of the two arrays, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Link(u32);

/// A link taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    Nothing,
    Booking(u32),
    Request(u32),
}

impl Link {
    pub(crate) const NONE: Link = Link(u32::MAX);

    const BOOKING_BIT: u32 = 1 << 31;

    /// To a booking below [`RECORDS_MAX`].
    #[inline]
    pub(crate) fn booking(index: u32) -> Link {
        Link(index | Link::BOOKING_BIT)
    }

    /// To a request below [`RECORDS_MAX`].
    #[inline]
    pub(crate) fn request(index: u32) -> Link {
        Link(index)
    }

    #[inline]
    pub(crate) fn follow(self) -> Linked {
        if self == Link::NONE {
            Linked::Nothing
        } else if self.0 & Link::BOOKING_BIT != 0 {
            Linked::Booking(self.0 & !Link::BOOKING_BIT)
        } else {
            Linked::Request(self.0)
        }
    }
}

/// The command that decided a request, and the period of the request, in eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Stamp(u64);

impl Stamp {
    /// Sequences below 2^48: nine years at a million commands a second. Beyond, the writer stops.
    #[inline]
    pub(crate) fn new(first: Sequence, period: PeriodNumber) -> Stamp {
        assert!(first.0 >> 48 == 0, "more commands than a stamp counts");
        Stamp(first.0 << 16 | u64::from(period.0))
    }

    #[inline]
    pub(crate) fn first(self) -> Sequence {
        Sequence(self.0 >> 16)
    }

    #[inline]
    pub(crate) fn period(self) -> PeriodNumber {
        PeriodNumber(self.0 as u16)
    }
}

/// A decided request that made neither a booking nor a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Its retry key, within person and period.
    pub(crate) key: KeyHash,
    /// What it said.
    pub(crate) fingerprint: Fingerprint,
    /// When it was decided, and in which period.
    pub(crate) stamp: Stamp,
    /// Whose.
    pub(crate) person: PersonNumber,
    /// The person's request before it.
    pub(crate) previous: Link,
}

impl Pack<REQUEST_BYTES> for Request {
    #[inline]
    fn pack(&self, place: &mut [u8; REQUEST_BYTES]) {
        Packer::new(place)
            .u64(self.key.0)
            .u64(self.fingerprint.0)
            .u64(self.stamp.0)
            .u32(self.person.0)
            .u32(self.previous.0)
            .finish();
    }
}

impl Request {
    pub(crate) fn unpack(bytes: &[u8]) -> Option<Request> {
        let mut fields = Fields::of(bytes);
        let request = Request {
            key: KeyHash(fields.u64()?),
            fingerprint: Fingerprint(fields.u64()?),
            stamp: Stamp(fields.u64()?),
            person: PersonNumber(fields.u32()?),
            previous: Link(fields.u32()?),
        };
        fields.end(request)
    }
}

/// What became of a booking. A missed day is evaluated from time, not stored; only its announcement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// It holds its place.
    Held = 0,
    /// Given up; its place is free.
    Cancelled = 1,
    /// The person came.
    Attended = 2,
    /// It holds its place, its day passed and the no-show was announced.
    Announced = 3,
}

/// A booking and the request that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    /// Retry key of the request.
    pub(crate) key: KeyHash,
    /// What the request said.
    pub(crate) fingerprint: Fingerprint,
    /// When it was made, and in which period.
    pub(crate) stamp: Stamp,
    /// Whose.
    pub(crate) person: PersonNumber,
    /// The place held; a move changes it.
    pub(crate) slot: SlotNumber,
    /// The person's request before it.
    pub(crate) previous: Link,
    /// What became of it.
    pub(crate) status: Status,
}

impl Pack<BOOKING_BYTES> for Booking {
    #[inline]
    fn pack(&self, place: &mut [u8; BOOKING_BYTES]) {
        Packer::new(place)
            .u64(self.key.0)
            .u64(self.fingerprint.0)
            .u64(self.stamp.0)
            .u32(self.person.0)
            .u32(self.slot.0)
            .u32(self.previous.0)
            .u8(self.status as u8)
            .finish();
    }
}

impl Booking {
    /// True while the booking takes a place of its slot and counts in its period.
    #[inline]
    pub(crate) fn counts(&self) -> bool {
        self.status != Status::Cancelled
    }

    /// True when a passed day makes it a missed one.
    #[inline]
    pub(crate) fn is_unattended(&self) -> bool {
        matches!(self.status, Status::Held | Status::Announced)
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Option<Booking> {
        let mut fields = Fields::of(bytes);
        let booking = Booking {
            key: KeyHash(fields.u64()?),
            fingerprint: Fingerprint(fields.u64()?),
            stamp: Stamp(fields.u64()?),
            person: PersonNumber(fields.u32()?),
            slot: SlotNumber(fields.u32()?),
            previous: Link(fields.u32()?),
            status: match fields.u8()? {
                0 => Status::Held,
                1 => Status::Cancelled,
                2 => Status::Attended,
                3 => Status::Announced,
                _ => return None,
            },
        };
        fields.end(booking)
    }
}

/// The request behind a valid registration; its place is the serial number − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(2))]
pub(crate) struct Registration {
    key: u64,
    fingerprint: u64,
    first_low: u32,
    first_high: u16,
}

const _: () = assert!(size_of::<Registration>() == 22);

impl Pack<REGISTRATION_BYTES> for Registration {
    #[inline]
    fn pack(&self, place: &mut [u8; REGISTRATION_BYTES]) {
        Packer::new(place).u64(self.key).u64(self.fingerprint).u64(self.first().0).finish();
    }
}

impl Registration {
    pub(crate) fn new(retry: RetryKey, first: Sequence) -> Registration {
        assert!(first.0 >> 48 == 0, "more commands than a stamp counts");
        Registration {
            key: retry.key.0,
            fingerprint: retry.fingerprint.0,
            first_low: first.0 as u32,
            first_high: (first.0 >> 32) as u16,
        }
    }

    pub(crate) fn retry(&self) -> RetryKey {
        RetryKey { key: KeyHash(self.key), fingerprint: Fingerprint(self.fingerprint) }
    }

    pub(crate) fn first(&self) -> Sequence {
        Sequence(u64::from(self.first_high) << 32 | u64::from(self.first_low))
    }

    pub(crate) fn unpack(bytes: &[u8]) -> Option<Registration> {
        let mut fields = Fields::of(bytes);
        let retry =
            RetryKey { key: KeyHash(fields.u64()?), fingerprint: Fingerprint(fields.u64()?) };
        let first = Sequence(fields.u64()?);
        if first.0 >> 48 != 0 {
            return None;
        }
        fields.end(Registration::new(retry, first))
    }
}
