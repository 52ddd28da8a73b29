//! What became of each retry key, linked by person.

use crate::{
    BookingNumber, Fingerprint, KeyHash, Millis, PeriodNumber, Rejection, Sequence, SlotNumber,
};

use super::bookings::Bookings;
use super::instant::{Instant48, Sequence48};
use super::people::NONE;
use crate::codec;
use crate::state::chunked::Chunked;
use crate::state::packing::{Fields, Pack, Packer};

/// All recorded requests.
#[derive(Clone, Debug)]
pub(super) struct Outcomes {
    pub(super) rows: Chunked<OutcomeRow>,
    /// The particulars of `Changed` outcomes, which are rarer than the others.
    pub(super) moves: Chunked<Move>,
}

/// One recorded request.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutcomeRow {
    key: KeyHash,
    fingerprint: Fingerprint,
    /// The person's request before this one.
    earlier: u32,
    /// Booking, move, serial or nothing, as `tag` says.
    detail: u32,
    period: PeriodNumber,
    sequence: Sequence48,
    at: Instant48,
    tag: u8,
}

// The budget of an outcome; see the module doc of `view`.
const _: () = assert!(size_of::<OutcomeRow>() == 40);

/// The particulars of a `Changed` outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    booking: BookingNumber,
    from: SlotNumber,
    to: SlotNumber,
}

/// What a row's `detail` means.
mod tag {
    pub(super) const CONFIRMED: u8 = 1;
    pub(super) const CHANGED: u8 = 2;
    pub(super) const CANCELLED: u8 = 3;
    pub(super) const REGISTERED: u8 = 4;
    pub(super) const ALREADY_REGISTERED: u8 = 5;
    pub(super) const MODIFIED: u8 = 6;
    pub(super) const WITHDRAWN: u8 = 7;
    /// Plus the number of the reason.
    pub(super) const REJECTED: u8 = 64;
}

/// The decided outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The command that decided it.
    pub sequence: Sequence,
    /// When.
    pub at: Millis,
    /// What the request said: another fingerprint under the same key is another request.
    pub fingerprint: Fingerprint,
    /// What came of it.
    pub result: OutcomeResult,
}

/// What came of a request. Slots are those of that moment, whatever happened to the booking since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeResult {
    /// A booking was made.
    Confirmed {
        /// The booking.
        booking: BookingNumber,
        /// Its slot then.
        slot: SlotNumber,
    },
    /// A booking moved, or was found where it was wanted (`from == to`).
    Changed {
        /// The booking.
        booking: BookingNumber,
        /// The slot given up.
        from: SlotNumber,
        /// The slot held from then on.
        to: SlotNumber,
    },
    /// A booking was given up.
    Cancelled {
        /// The booking.
        booking: BookingNumber,
        /// The slot given up.
        slot: SlotNumber,
    },
    /// An intent was registered.
    Registered {
        /// Its serial number.
        serial: u32,
    },
    /// The person had an intent already.
    AlreadyRegistered,
    /// The intent changed.
    Modified {
        /// Its serial number.
        serial: u32,
        /// When it was registered.
        registered_at: Millis,
    },
    /// The intent ended.
    Withdrawn {
        /// Its serial number.
        serial: u32,
    },
    /// The request was decided against.
    Rejected(Rejection),
}

/// What identifies a request and when it was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    pub(super) period: PeriodNumber,
    pub(super) key: KeyHash,
    pub(super) fingerprint: Fingerprint,
    pub(super) sequence: Sequence,
    pub(super) at: Millis,
}

impl Outcomes {
    pub(super) fn new() -> Outcomes {
        Outcomes { rows: Chunked::new(), moves: Chunked::new() }
    }

    /// Records an outcome; `earlier` is the person's newest request so far. Gives the new newest, or
    /// `None` when there are more than numbers.
    pub(super) fn record(
        &mut self,
        decided: Decided,
        result: OutcomeResult,
        earlier: u32,
    ) -> Option<u32> {
        if self.rows.len() == NONE {
            return None;
        }
        let (tag, detail) = match result {
            OutcomeResult::Confirmed { booking, .. } => (tag::CONFIRMED, booking.0),
            OutcomeResult::Changed { booking, from, to } => {
                (tag::CHANGED, self.moves.push(Move { booking, from, to }))
            }
            OutcomeResult::Cancelled { booking, .. } => (tag::CANCELLED, booking.0),
            OutcomeResult::Registered { serial } => (tag::REGISTERED, serial),
            OutcomeResult::AlreadyRegistered => (tag::ALREADY_REGISTERED, 0),
            OutcomeResult::Modified { serial, .. } => (tag::MODIFIED, serial),
            OutcomeResult::Withdrawn { serial } => (tag::WITHDRAWN, serial),
            OutcomeResult::Rejected(reason) => (tag::REJECTED + reason as u8, 0),
        };
        Some(self.rows.push(OutcomeRow {
            key: decided.key,
            fingerprint: decided.fingerprint,
            earlier,
            detail,
            period: decided.period,
            sequence: Sequence48::new(decided.sequence),
            at: Instant48::new(decided.at),
            tag,
        }))
    }

    /// The outcome of a key of the person whose newest request is `newest`.
    pub(super) fn find(
        &self,
        newest: u32,
        period: PeriodNumber,
        key: KeyHash,
        bookings: &Bookings,
    ) -> Option<Outcome> {
        let row = self.of_period(newest, period).find(|row| row.key == key)?;
        Some(Outcome {
            sequence: row.sequence.get(),
            at: row.at.get(),
            fingerprint: row.fingerprint,
            result: self.result(row, newest, bookings)?,
        })
    }

    /// The person's recorded requests of a period, the newest first.
    pub(super) fn of_period(
        &self,
        newest: u32,
        period: PeriodNumber,
    ) -> impl Iterator<Item = &OutcomeRow> {
        self.chain(newest).filter(move |row| row.period == period)
    }

    fn chain(&self, newest: u32) -> impl Iterator<Item = &OutcomeRow> {
        let mut next = newest;
        std::iter::from_fn(move || {
            let row = self.rows.get(next)?;
            next = row.earlier;
            Some(row)
        })
    }

    fn result(&self, row: &OutcomeRow, newest: u32, bookings: &Bookings) -> Option<OutcomeResult> {
        let booking = BookingNumber(row.detail);
        Some(match row.tag {
            tag::CONFIRMED => OutcomeResult::Confirmed {
                booking,
                slot: self.first_slot(booking, newest, bookings)?,
            },
            tag::CHANGED => {
                let Move { booking, from, to } = *self.moves.get(row.detail)?;
                OutcomeResult::Changed { booking, from, to }
            }
            // A cancelled booking moves no more.
            tag::CANCELLED => {
                OutcomeResult::Cancelled { booking, slot: bookings.view(booking)?.slot }
            }
            tag::REGISTERED => OutcomeResult::Registered { serial: row.detail },
            tag::ALREADY_REGISTERED => OutcomeResult::AlreadyRegistered,
            tag::MODIFIED => OutcomeResult::Modified {
                serial: row.detail,
                registered_at: self.registered_at(row.detail, newest)?,
            },
            tag::WITHDRAWN => OutcomeResult::Withdrawn { serial: row.detail },
            rejected => OutcomeResult::Rejected(Rejection::from_number(
                rejected.checked_sub(tag::REJECTED)?,
            )?),
        })
    }

    /// When the person registered the intent of this serial number.
    fn registered_at(&self, serial: u32, newest: u32) -> Option<Millis> {
        let registered = |row: &&OutcomeRow| row.tag == tag::REGISTERED && row.detail == serial;
        Some(self.chain(newest).find(registered)?.at.get())
    }

    /// Where a booking was when it was made: where its first move took it from, else where it is.
    fn first_slot(
        &self,
        booking: BookingNumber,
        newest: u32,
        bookings: &Bookings,
    ) -> Option<SlotNumber> {
        let mut slot = bookings.view(booking)?.slot;
        for row in self.chain(newest).filter(|row| row.tag == tag::CHANGED) {
            if let Some(step) = self.moves.get(row.detail)
                && step.booking == booking
            {
                slot = step.from;
            }
        }
        Some(slot)
    }
}

impl OutcomeRow {
    /// Reads what [`Pack::pack`] wrote.
    pub(super) fn unpack(bytes: &[u8]) -> Option<OutcomeRow> {
        let mut fields = Fields::of(bytes);
        let row = OutcomeRow {
            key: KeyHash(fields.u64()?),
            fingerprint: Fingerprint(fields.u64()?),
            earlier: fields.u32()?,
            detail: fields.u32()?,
            period: PeriodNumber(fields.u16()?),
            sequence: Sequence48(fields.bytes()?),
            at: Instant48(fields.bytes()?),
            tag: fields.u8()?,
        };
        fields.end(row)
    }

    /// Whether it can be the outcome with this number, given how many bookings and moves there are.
    pub(super) fn fits(&self, number: u32, bookings: u32, moves: u32) -> bool {
        let detail_fits = match self.tag {
            tag::CONFIRMED | tag::CANCELLED => self.detail < bookings,
            tag::CHANGED => self.detail < moves,
            tag::REGISTERED..=tag::WITHDRAWN => true,
            rejected => {
                rejected.checked_sub(tag::REJECTED).and_then(Rejection::from_number).is_some()
            }
        };
        (self.earlier == NONE || self.earlier < number)
            && detail_fits
            && codec::is_instant(self.at.get())
    }

    /// The retry key that it answers.
    pub(super) fn key(&self) -> KeyHash {
        self.key
    }

    /// The period of a move that was granted.
    pub(super) fn moved_in(&self) -> Option<PeriodNumber> {
        (self.tag == tag::CHANGED).then_some(self.period)
    }

    /// True for a registration.
    pub(super) fn is_registration(&self) -> bool {
        self.tag == tag::REGISTERED
    }
}

/// Bytes of an outcome in a checkpoint.
pub(super) const OUTCOME_BYTES: usize = 39;

impl Pack<OUTCOME_BYTES> for OutcomeRow {
    fn pack(&self, place: &mut [u8; OUTCOME_BYTES]) {
        Packer::new(place)
            .u64(self.key.0)
            .u64(self.fingerprint.0)
            .u32(self.earlier)
            .u32(self.detail)
            .u16(self.period.0)
            .bytes(self.sequence.0)
            .bytes(self.at.0)
            .u8(self.tag)
            .finish();
    }
}

impl Move {
    /// Reads what [`Pack::pack`] wrote.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Move> {
        let mut fields = Fields::of(bytes);
        let step = Move {
            booking: BookingNumber(fields.u32()?),
            from: SlotNumber(fields.u32()?),
            to: SlotNumber(fields.u32()?),
        };
        fields.end(step)
    }

    /// Whether booking and slots exist.
    pub(super) fn fits(&self, bookings: u32, slots: u32) -> bool {
        self.booking.0 < bookings && self.from.0 < slots && self.to.0 < slots
    }
}

/// Bytes of a move in a checkpoint.
pub(super) const MOVE_BYTES: usize = 12;

impl Pack<MOVE_BYTES> for Move {
    fn pack(&self, place: &mut [u8; MOVE_BYTES]) {
        Packer::new(place).u32(self.booking.0).u32(self.from.0).u32(self.to.0).finish();
    }
}
