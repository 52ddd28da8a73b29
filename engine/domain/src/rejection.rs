//! Why a command was decided against.
//!
//! The numbers are stable for ever: they stand in the journal. A command that breaks several rules
//! is refused for the one with the lowest number, so the order here *is* the order of the checks.

use serde::{Deserialize, Serialize};

/// A refusal of a citizen's command. The names are those of the HTTP contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Rejection {
    /// The person has used 256 retry keys in this period.
    TooManyKeys = 1,
    /// No period has this number.
    UnknownPeriod = 2,
    /// The person holds no intent.
    NotRegistered = 3,
    /// The intent, the person or the cut-off does not meet the period's (or any category's) rule.
    NotEligible = 4,
    /// The window of this person in this period has not opened.
    WindowNotOpen = 5,
    /// The window has closed.
    WindowClosed = 6,
    /// A no-show may book only in a period whose window opens after the missed day.
    BarredUntilNextPeriod = 7,
    /// The intent cannot change or end while a booking is active.
    HasBooking = 8,
    /// Every category that takes this person is closed at this moment.
    CategoryClosed = 9,
    /// There is no active booking to move or cancel.
    NoBooking = 10,
    /// The person holds an active booking, or has a booking in this period that counts.
    AlreadyBooked = 11,
    /// No slot has this number.
    UnknownSlot = 12,
    /// The slot's vaccine is not one of the period's, or not one the person ticked.
    WrongVaccine = 13,
    /// The slot has begun.
    SlotPast = 14,
    /// No place is left.
    SlotFull = 15,
}

impl Rejection {
    /// All of them, in order of precedence.
    pub const ALL: [Rejection; 15] = [
        Rejection::TooManyKeys,
        Rejection::UnknownPeriod,
        Rejection::NotRegistered,
        Rejection::NotEligible,
        Rejection::WindowNotOpen,
        Rejection::WindowClosed,
        Rejection::BarredUntilNextPeriod,
        Rejection::HasBooking,
        Rejection::CategoryClosed,
        Rejection::NoBooking,
        Rejection::AlreadyBooked,
        Rejection::UnknownSlot,
        Rejection::WrongVaccine,
        Rejection::SlotPast,
        Rejection::SlotFull,
    ];

    /// The refusal with this stable number.
    pub const fn from_number(number: u8) -> Option<Rejection> {
        if number == 0 || number as usize > Rejection::ALL.len() {
            return None;
        }
        Some(Rejection::ALL[number as usize - 1])
    }

    /// The name in the HTTP contract, for example `slot_full`.
    pub const fn reason(self) -> &'static str {
        match self {
            Rejection::TooManyKeys => "too_many_keys",
            Rejection::UnknownPeriod => "unknown_period",
            Rejection::NotRegistered => "not_registered",
            Rejection::NotEligible => "not_eligible",
            Rejection::WindowNotOpen => "window_not_open",
            Rejection::WindowClosed => "window_closed",
            Rejection::BarredUntilNextPeriod => "barred_until_next_period",
            Rejection::HasBooking => "has_booking",
            Rejection::CategoryClosed => "category_closed",
            Rejection::NoBooking => "no_booking",
            Rejection::AlreadyBooked => "already_booked",
            Rejection::UnknownSlot => "unknown_slot",
            Rejection::WrongVaccine => "wrong_vaccine",
            Rejection::SlotPast => "slot_past",
            Rejection::SlotFull => "slot_full",
        }
    }
}

/// A refusal of an operator's command; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum OperatorRefusal {
    /// No slot has this number.
    UnknownSlot = 1,
    /// The new capacity is below the number of places booked.
    CapacityBelowBooked = 2,
    /// No booking has this number.
    UnknownBooking = 3,
    /// The booking was cancelled.
    BookingCancelled = 4,
    /// The attendance is not on the day of the booked slot.
    AttendedOnAnotherDay = 5,
    /// No category has this number, or it has no membership rule.
    UnknownCategory = 6,
    /// More vaccines than a set holds (16).
    TooManyVaccines = 7,
    /// More categories than a membership mask holds (32).
    TooManyCategories = 8,
    /// A chunk or commit for an import that is not under way (never begun, void, or another began).
    UnknownImport = 9,
    /// The commit's hash or row count does not match the chunks: nothing was taken.
    ImportMismatch = 10,
    /// A slot row names a site that does not exist.
    UnknownSite = 11,
    /// The rules version is not one this build knows, or not newer than the one in force.
    UnknownRules = 12,
    /// The number is 0 or otherwise not usable.
    BadNumber = 13,
    /// More rows than one command, or one import, may carry.
    TooManyRows = 14,
    /// The person has taken part under this key, which therefore stays.
    PersonKnown = 15,
}

impl OperatorRefusal {
    /// All of them, in order of their stable numbers.
    pub const ALL: [OperatorRefusal; 15] = [
        OperatorRefusal::UnknownSlot,
        OperatorRefusal::CapacityBelowBooked,
        OperatorRefusal::UnknownBooking,
        OperatorRefusal::BookingCancelled,
        OperatorRefusal::AttendedOnAnotherDay,
        OperatorRefusal::UnknownCategory,
        OperatorRefusal::TooManyVaccines,
        OperatorRefusal::TooManyCategories,
        OperatorRefusal::UnknownImport,
        OperatorRefusal::ImportMismatch,
        OperatorRefusal::UnknownSite,
        OperatorRefusal::UnknownRules,
        OperatorRefusal::BadNumber,
        OperatorRefusal::TooManyRows,
        OperatorRefusal::PersonKnown,
    ];

    /// The refusal with this stable number.
    pub const fn from_number(number: u8) -> Option<OperatorRefusal> {
        if number == 0 || number as usize > OperatorRefusal::ALL.len() {
            return None;
        }
        Some(OperatorRefusal::ALL[number as usize - 1])
    }
}
