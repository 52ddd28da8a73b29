//! What came of a command, as it stands in the `events` stream.
//!
//! An event says all that its readers (the gateway's view, the notifier, the public stream of
//! confirmations) need, so that none of them looks at commands. Its id is (shard, sequence of the
//! command, index among the command's events): an event written again after a crash has the same id
//! and the same bytes.

use serde::{Deserialize, Serialize};

use crate::{
    BookingNumber, Category, CategoryNumber, Day, Fingerprint, Intent, KeyHash, Millis,
    OperatorRefusal, Period, PeriodNumber, PersonKey, PersonNumber, Rejection, Sequence, Site,
    SiteNumber, SlotNumber, VaccineNumber, VaccineSet,
};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A person was mentioned for the first time and has a number from now on.
    Numbered {
        /// The number.
        person: PersonNumber,
        /// Of this key.
        key: PersonKey,
    },

    /// B3: a booking was made.
    Confirmed {
        /// Whose.
        person: PersonNumber,
        /// In which period.
        period: PeriodNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// The new booking.
        booking: BookingNumber,
        /// Its slot.
        slot: SlotNumber,
    },
    /// B5: a booking moved. `from == to` when the person asked for the slot they hold: nothing
    /// changed, and no SMS is owed.
    Changed {
        /// Whose.
        person: PersonNumber,
        /// In which period.
        period: PeriodNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// The booking.
        booking: BookingNumber,
        /// The slot given up; its place is free.
        from: SlotNumber,
        /// The slot held from now on.
        to: SlotNumber,
    },
    /// B5: a booking was given up; its place is free.
    Cancelled {
        /// Whose.
        person: PersonNumber,
        /// In which period.
        period: PeriodNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// The booking.
        booking: BookingNumber,
        /// The slot given up.
        slot: SlotNumber,
    },
    /// R5: an intent was registered.
    Registered {
        /// Whose.
        person: PersonNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// Registration serial number, dense from 1.
        serial: u32,
        /// Date of birth that holds (attested or corrected).
        born_on: Day,
        /// What the person wants.
        intent: Intent,
        /// Sealed contact data.
        sealed: Vec<u8>,
    },
    /// R8: the person has an intent already; it stands unchanged.
    AlreadyRegistered {
        /// Whose.
        person: PersonNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
    },
    /// R7: an intent changed.
    Modified {
        /// Whose.
        person: PersonNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// Date of birth that holds.
        born_on: Day,
        /// What the person wants now.
        intent: Intent,
        /// Sealed contact data.
        sealed: Vec<u8>,
    },
    /// R7: an intent ended.
    Withdrawn {
        /// Whose.
        person: PersonNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// The serial number that ended.
        serial: u32,
    },
    /// A citizen's command was decided against.
    Rejected {
        /// Whose.
        person: PersonNumber,
        /// In which period (0 for intents).
        period: PeriodNumber,
        /// Which request.
        key: KeyHash,
        /// What the request said.
        fingerprint: Fingerprint,
        /// Why.
        reason: Rejection,
    },
    /// The key was decided before: the first answer holds. Never a second confirmation.
    Repeated {
        /// Whose.
        person: PersonNumber,
        /// In which period.
        period: PeriodNumber,
        /// Which request.
        key: KeyHash,
        /// The command whose outcome answers this one.
        first: Sequence,
    },
    /// The key was decided before for another body: nothing changes, this request has no answer of its own.
    KeyReused {
        /// Whose.
        person: PersonNumber,
        /// In which period.
        period: PeriodNumber,
        /// Which key.
        key: KeyHash,
        /// The command that used it first.
        first: Sequence,
    },

    /// B6: the person came.
    Attended {
        /// Whose booking.
        person: PersonNumber,
        /// Which booking.
        booking: BookingNumber,
        /// When.
        attended_at: Millis,
    },
    /// B6: the day of the booking passed without attendance.
    NoShow {
        /// Whose booking.
        person: PersonNumber,
        /// Which booking.
        booking: BookingNumber,
    },

    /// R1: a category holds from now on.
    CategoryPut {
        /// The rule.
        category: Category,
        /// Its vaccines as numbers.
        vaccines: VaccineSet,
    },
    /// P1: a period holds from now on.
    PeriodPut {
        /// The rule.
        period: Period,
        /// Its vaccines as numbers.
        vaccines: VaccineSet,
    },
    /// A vaccine name has a number from now on.
    VaccineNamed {
        /// The number.
        vaccine: VaccineNumber,
        /// The name.
        name: String,
    },
    /// Rows of an import are kept aside.
    ImportStaged {
        /// Which import.
        import: u64,
        /// Rows kept so far.
        rows: u32,
    },
    /// Sites hold from now on (at most 512 an event).
    SitesPut {
        /// Number and data.
        sites: Vec<(SiteNumber, Site)>,
    },
    /// Slots hold from now on (at most 2,048 an event).
    SlotsPut {
        /// Number and data.
        slots: Vec<(SlotNumber, Slot)>,
    },
    /// People belong to a category from now on (at most 4,096 an event); those not known before were
    /// `Numbered` in the same command.
    MembersPut {
        /// Which category.
        category: CategoryNumber,
        /// Who.
        people: Vec<PersonNumber>,
    },
    /// All rows of an import hold from now on.
    ImportCommitted {
        /// Which import.
        import: u64,
        /// How many rows.
        rows: u32,
        /// How many of them were new.
        added: u32,
    },
    /// An import ended without effect: another began, or it grew too old.
    ImportVoided {
        /// Which import.
        import: u64,
    },
    /// L2: a capacity changed.
    CapacitySet {
        /// Which slot.
        slot: SlotNumber,
        /// Places in all.
        capacity: u32,
    },
    /// The roster's correction holds for a known person.
    BirthCorrected {
        /// Who.
        person: PersonNumber,
        /// The date of birth that holds.
        born_on: Day,
    },
    /// An operator's command, or one row of it, was decided against.
    OperatorRefused {
        /// Place of the row in the command, from 0.
        row: u32,
        /// Why.
        reason: OperatorRefusal,
    },

    /// An engine took over.
    EpochBegan {
        /// From now on.
        epoch: u64,
    },
    /// Rules changed.
    RulesActivated {
        /// From now on.
        version: u32,
    },
    /// The record could not be read as a command; it changed nothing.
    Malformed,
}

/// A slot as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Where.
    pub site: SiteNumber,
    /// The day in Taiwan.
    pub day: Day,
    /// First minute of the day.
    pub start_minute: u16,
    /// Minute of the day at which it ends.
    pub end_minute: u16,
    /// What is given.
    pub vaccine: VaccineNumber,
    /// Places in all.
    pub capacity: u32,
}

impl Slot {
    /// When it begins.
    pub const fn starts_at(&self) -> Millis {
        Millis(self.day.starts_at().0 + self.start_minute as i64 * 60_000)
    }

    /// When it ends.
    pub const fn ends_at(&self) -> Millis {
        Millis(self.day.starts_at().0 + self.end_minute as i64 * 60_000)
    }
}
