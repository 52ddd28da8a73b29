//! Bookings by number, linked to the other bookings of the person and of the slot.

use crate::{BookingNumber, PeriodNumber, PersonNumber, SlotNumber};

use super::people::NONE;
use super::rows::Rows;
use crate::prefetch;
use crate::state::chunked::Chunked;
use crate::state::packing::{Fields, Pack, Packer};

/// All bookings ever made.
#[derive(Clone, Debug)]
pub(super) struct Bookings {
    pub(super) rows: Rows<BookingRow>,
    /// The bookings of each slot that were not cancelled, in no order that means anything.
    by_slot: Chunked<Vec<u32>>,
}

/// One booking. It knows its place in its slot's list, so that a cancelled or moved one leaves the list
/// at once however many hold the slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookingRow {
    person: PersonNumber,
    /// Where it is now, or was when it was cancelled.
    slot: SlotNumber,
    /// The person's booking before this one.
    earlier_of_person: u32,
    /// Place in the slot's list, while it is not cancelled.
    place_on_slot: u32,
    period: PeriodNumber,
    status: BookingStatus,
}

// The budget of a booking, its four bytes in a slot's list apart; see the module doc of `view`.
const _: () = assert!(size_of::<BookingRow>() == 20);

/// What became of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BookingStatus {
    /// It stands.
    Booked = 0,
    /// It was given up.
    Cancelled = 1,
    /// The person came.
    Attended = 2,
    /// The day passed and nobody said that the person came.
    NoShow = 3,
}

impl BookingStatus {
    /// In the order of their numbers in checkpoints.
    const ALL: [BookingStatus; 4] = [
        BookingStatus::Booked,
        BookingStatus::Cancelled,
        BookingStatus::Attended,
        BookingStatus::NoShow,
    ];

    /// Neither cancelled nor attended: what it is beyond that, time decides.
    pub const fn is_open(self) -> bool {
        matches!(self, BookingStatus::Booked | BookingStatus::NoShow)
    }
}

/// A booking as its readers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookingView {
    /// Whose.
    pub person: PersonNumber,
    /// In which period.
    pub period: PeriodNumber,
    /// Where it is now, or was when it was cancelled.
    pub slot: SlotNumber,
    /// What became of it, as last announced.
    pub status: BookingStatus,
}

impl Bookings {
    pub(super) fn new() -> Bookings {
        Bookings { rows: Rows::new(), by_slot: Chunked::new() }
    }

    pub(super) fn view(&self, booking: BookingNumber) -> Option<BookingView> {
        self.rows.get(booking.0).map(BookingRow::view)
    }

    /// How many were ever made.
    pub(super) fn len(&self) -> u32 {
        self.rows.len()
    }

    /// Adds the next booking, of a slot that exists; `earlier` is the person's newest so far.
    pub(super) fn add(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        slot: SlotNumber,
        earlier: u32,
    ) -> BookingNumber {
        let number = self.rows.push(BookingRow {
            person,
            slot,
            earlier_of_person: earlier,
            place_on_slot: NONE,
            period,
            status: BookingStatus::Booked,
        });
        self.link(number, slot);
        BookingNumber(number)
    }

    /// Adds the next booking of a checkpoint, of a person and a slot that exist. `None` when it is
    /// linked to one that does not come before it.
    pub(super) fn load(&mut self, row: BookingRow) -> Option<()> {
        let number = self.rows.len();
        (row.earlier_of_person == NONE || row.earlier_of_person < number).then_some(())?;
        self.rows.push(row);
        if row.status != BookingStatus::Cancelled {
            self.link(number, row.slot);
        }
        Some(())
    }

    /// How many bookings of a slot were not cancelled.
    pub(super) fn count_on(&self, slot: SlotNumber) -> u32 {
        self.by_slot.get(slot.0).map_or(0, |list| list.len() as u32)
    }

    /// Puts a booking into another slot.
    pub(super) fn relocate(&mut self, booking: BookingNumber, to: SlotNumber) {
        let Some(row) = self.rows.get_mut(booking.0) else {
            return;
        };
        let (from, place) = (std::mem::replace(&mut row.slot, to), row.place_on_slot);
        self.unlink(from, place);
        self.link(booking.0, to);
    }

    /// Marks a booking as given up; it keeps its slot for those who ask.
    pub(super) fn cancel(&mut self, booking: BookingNumber) {
        let Some(row) = self.rows.get_mut(booking.0) else {
            return;
        };
        row.status = BookingStatus::Cancelled;
        let (from, place) = (row.slot, row.place_on_slot);
        self.unlink(from, place);
    }

    pub(super) fn mark(&mut self, booking: BookingNumber, status: BookingStatus) {
        if let Some(row) = self.rows.get_mut(booking.0) {
            row.status = status;
        }
    }

    /// A person's bookings, the newest first.
    pub(super) fn of_person(
        &self,
        newest: u32,
    ) -> impl Iterator<Item = (BookingNumber, BookingView)> + '_ {
        let mut next = newest;
        std::iter::from_fn(move || {
            let number = next;
            let row = self.rows.get(number)?;
            next = row.earlier_of_person;
            Some((BookingNumber(number), row.view()))
        })
    }

    /// A slot's bookings that were not cancelled, in no order that means anything.
    pub(super) fn on_slot(
        &self,
        slot: SlotNumber,
    ) -> impl Iterator<Item = (BookingNumber, BookingView)> + '_ {
        let list = self.by_slot.get(slot.0).map_or(&[][..], Vec::as_slice);
        list.iter()
            .filter_map(|number| Some((BookingNumber(*number), self.view(BookingNumber(*number))?)))
    }

    /// Asks for the memory of a slot's list.
    #[inline]
    pub(super) fn prefetch(&self, slot: SlotNumber) {
        prefetch::read(self.by_slot.get(slot.0));
    }

    /// Asks for the end of a slot's list.
    #[inline]
    pub(super) fn prefetch_end(&self, slot: SlotNumber) {
        prefetch::read(self.by_slot.get(slot.0).and_then(|list| list.last()));
    }

    /// Sets a list aside for a slot, before anyone books it.
    pub(super) fn open_slot(&mut self, slot: SlotNumber) {
        while self.by_slot.len() <= slot.0 {
            self.by_slot.push(Vec::new());
        }
    }

    fn link(&mut self, number: u32, slot: SlotNumber) {
        let Some(list) = self.by_slot.get_mut(slot.0) else {
            return;
        };
        let place = list.len() as u32;
        list.push(number);
        if let Some(row) = self.rows.get_mut_unwatched(number) {
            row.place_on_slot = place;
        }
    }

    /// Takes the booking at a place out of a slot's list; the last of the list takes its place.
    fn unlink(&mut self, slot: SlotNumber, place_on_slot: u32) {
        let place = place_on_slot as usize;
        let Some(list) = self.by_slot.get_mut(slot.0).filter(|list| place < list.len()) else {
            return;
        };
        list.swap_remove(place);
        let moved = list.get(place).and_then(|moved| self.rows.get_mut_unwatched(*moved));
        if let Some(moved) = moved {
            moved.place_on_slot = place_on_slot;
        }
    }
}

impl BookingRow {
    pub(super) fn view(&self) -> BookingView {
        BookingView {
            person: self.person,
            period: self.period,
            slot: self.slot,
            status: self.status,
        }
    }

    /// Reads what [`Pack::pack`] wrote.
    pub(super) fn unpack(bytes: &[u8]) -> Option<BookingRow> {
        let mut fields = Fields::of(bytes);
        let row = BookingRow {
            person: PersonNumber(fields.u32()?),
            slot: SlotNumber(fields.u32()?),
            earlier_of_person: fields.u32()?,
            place_on_slot: NONE,
            period: PeriodNumber(fields.u16()?),
            status: *BookingStatus::ALL.get(usize::from(fields.u8()?))?,
        };
        fields.end(row)
    }
}

/// Bytes of a row in a checkpoint. Its place in its slot's list is found again.
pub(super) const BOOKING_BYTES: usize = 15;

impl Pack<BOOKING_BYTES> for BookingRow {
    fn pack(&self, place: &mut [u8; BOOKING_BYTES]) {
        Packer::new(place)
            .u32(self.person.0)
            .u32(self.slot.0)
            .u32(self.earlier_of_person)
            .u16(self.period.0)
            .u8(self.status as u8)
            .finish();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn on(bookings: &Bookings, slot: u32) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            bookings.on_slot(SlotNumber(slot)).map(|(number, _)| number.0).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn bookings_leave_and_enter_the_lists_of_slots_in_any_order() {
        let mut bookings = Bookings::new();
        bookings.open_slot(SlotNumber(3));
        for person in 0..5 {
            let added = bookings.add(PersonNumber(person), PeriodNumber(1), SlotNumber(3), NONE);
            assert_eq!(added, BookingNumber(person));
        }
        assert_eq!(on(&bookings, 3), [0, 1, 2, 3, 4]);
        bookings.cancel(BookingNumber(2));
        bookings.cancel(BookingNumber(4));
        assert_eq!(on(&bookings, 3), [0, 1, 3]);
        bookings.relocate(BookingNumber(0), SlotNumber(1));
        bookings.relocate(BookingNumber(3), SlotNumber(1));
        assert_eq!((on(&bookings, 3), on(&bookings, 1)), (vec![1], vec![0, 3]));
        bookings.relocate(BookingNumber(1), SlotNumber(1));
        bookings.relocate(BookingNumber(0), SlotNumber(3));
        assert_eq!((on(&bookings, 3), on(&bookings, 1)), (vec![0], vec![1, 3]));
        assert_eq!(on(&bookings, 99), [0; 0]);
        let cancelled = bookings.view(BookingNumber(2)).unwrap();
        assert_eq!((cancelled.slot, cancelled.status), (SlotNumber(3), BookingStatus::Cancelled));
    }
}
