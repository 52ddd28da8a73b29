//! What may be asked of the engine, as it stands in the `commands` stream.
//!
//! One [`Envelope`] is one journal record. The rules that decide each command live in one file each
//! under `rules/`; this file holds only the words.

use serde::{Deserialize, Serialize};

use crate::{
    BookingNumber, CategoryNumber, CountyNumber, Day, DistrictNumber, LanguageNumber, Millis,
    Origin, PeriodNumber, PersonKey, PersonRef, RetryKey, SiteNumber, SlotNumber, VaccineSet,
};

/// One record of the `commands` stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Where the answer is awaited.
    pub origin: Origin,
    /// What is asked.
    pub command: Command,
}

/// Everything that changes the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// B3: one place of a slot for one person.
    Book {
        /// Who books.
        person: PersonRef,
        /// In which period.
        period: PeriodNumber,
        /// Which slot.
        slot: SlotNumber,
        /// Makes the request safe to repeat.
        retry: RetryKey,
    },
    /// B5: the person's active booking of this period to another slot, or nothing changes.
    Move {
        /// Who moves.
        person: PersonRef,
        /// The booking's period.
        period: PeriodNumber,
        /// The slot wanted instead.
        slot: SlotNumber,
        /// Makes the request safe to repeat.
        retry: RetryKey,
    },
    /// B5: gives up the person's active booking of this period.
    Cancel {
        /// Who cancels.
        person: PersonRef,
        /// The booking's period.
        period: PeriodNumber,
        /// Makes the request safe to repeat.
        retry: RetryKey,
    },
    /// R5, R8: a new intent. A person who already has one is shown it; nothing changes then.
    Register {
        /// Whose intent.
        person: PersonKey,
        /// What the roster says of the person.
        attested: Attested,
        /// What the person wants.
        intent: Intent,
        /// Name, phone, ID number and language, sealed; carried to the event, not kept.
        sealed: Vec<u8>,
        /// Makes the request safe to repeat (scope: period 0).
        retry: RetryKey,
    },
    /// R7: changes an intent; its serial number and time of registration stay.
    Modify {
        /// Whose intent.
        person: PersonRef,
        /// What the roster says of the person now.
        attested: Attested,
        /// What the person wants.
        intent: Intent,
        /// Sealed contact data, replacing the earlier.
        sealed: Vec<u8>,
        /// Makes the request safe to repeat (scope: period 0).
        retry: RetryKey,
    },
    /// R7: ends an intent; the person may register anew.
    Withdraw {
        /// Whose intent.
        person: PersonRef,
        /// Makes the request safe to repeat (scope: period 0).
        retry: RetryKey,
    },

    /// R1: creates or replaces a category.
    PutCategory(Category),
    /// P1, P2: creates or replaces a period.
    PutPeriod(Period),
    /// Opens an import. One is under way at a time: a new one voids the one before.
    ImportBegin {
        /// Names the import; chosen by the gateway.
        import: u64,
        /// What it brings.
        kind: ImportKind,
    },
    /// Some rows of the import, kept aside until the commit.
    ImportChunk {
        /// Which import.
        import: u64,
        /// The rows, of the kind that `ImportBegin` named.
        rows: ImportRows,
    },
    /// Takes all rows at once, if count and hash match.
    ImportCommit {
        /// Which import.
        import: u64,
        /// Rows over all chunks.
        rows: u32,
        /// [`crate::codec::import_hash`] over the chunks.
        hash: [u8; 32],
    },
    /// L2: changes a slot's capacity; below the number booked is refused.
    SetCapacity {
        /// Which slot.
        slot: SlotNumber,
        /// Places in all.
        capacity: u32,
    },
    /// B6: marks people as vaccinated.
    Attend {
        /// One row a booking, at most 1,024.
        rows: Vec<Attendance>,
    },
    /// The roster changed what it says of people: birth dates as they now stand. Applies to those
    /// known, and is kept for those who register later with an older attestation.
    CorrectRoster {
        /// The roster version from which this holds.
        roster_version: u32,
        /// Who, and the birth date; at most 2,048 rows.
        rows: Vec<(PersonKey, Day)>,
    },
    /// An import of the roster is about to give people another key, which an earlier number of theirs
    /// leads to. Whoever has taken part under one of these keys keeps it, and the import must not hold;
    /// else nobody registers under them any more by an attestation of a lower version.
    Supersede {
        /// The roster version that the import will make.
        roster_version: u32,
        /// The keys that no number will lead to; at most 2,048.
        keys: Vec<PersonKey>,
    },

    /// Time passes: half a second of heartbeat of the active engine, and the clock of deadlines.
    Pulse {
        /// The epoch of the engine that wrote it.
        epoch: u64,
    },
    /// An engine takes over. The first record of an epoch wins; others of the same number are void.
    Epoch {
        /// One more than the highest epoch seen.
        epoch: u64,
        /// Which engine.
        engine: [u8; 16],
    },
    /// Changes the rules, and the bytes of events, from here on.
    ActivateRules {
        /// The version from here on.
        version: u32,
    },
}

/// What the authority's roster says of a person, taken by the gateway when it wrote the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// Date of birth.
    pub born_on: Day,
    /// The roster version that said so; an older one yields to a logged correction.
    pub roster_version: u32,
}

/// R5: what a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// County of the wished region.
    pub county: CountyNumber,
    /// District of the wished region.
    pub district: DistrictNumber,
    /// Vaccines ticked, at least one.
    pub vaccines: VaccineSet,
    /// Language for SMS.
    pub language: LanguageNumber,
}

/// A text per language tag (`zh-TW`, `en`, …), in the order given.
pub type Names = Vec<(String, String)>;

/// R1: a target category. A person belongs to it by birth year **or** by membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// As announced; not 0.
    pub number: CategoryNumber,
    /// What it is called.
    pub names: Names,
    /// People born on or before this day belong to it.
    pub born_on_or_before: Option<Day>,
    /// People on the imported list belong to it.
    pub members: bool,
    /// Registration opens.
    pub opens_at: Millis,
    /// Registration closes; never, when absent.
    pub closes_at: Option<Millis>,
    /// Vaccines offered for ticking, by name.
    pub vaccines: Vec<String>,
}

/// P1, P2: an announced round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// As announced; not 0.
    pub number: PeriodNumber,
    /// What it is called.
    pub names: Names,
    /// Vaccines offered, by name.
    pub vaccines: Vec<String>,
    /// Intents completed before this instant are eligible; any, when absent.
    pub registered_before: Option<Millis>,
    /// Wished regions that are eligible; all, when absent.
    pub counties: Option<Vec<CountyNumber>>,
    /// Categories of which the person must belong to one; any, when absent.
    pub categories: Option<Vec<CategoryNumber>>,
    /// People born on or before this day are eligible; all, when absent.
    pub born_on_or_before: Option<Day>,
    /// The window opens (for everyone when `openings` is empty).
    pub opens_at: Millis,
    /// The window closes.
    pub closes_at: Millis,
    /// When not empty, these alone decide when whom: the earliest that takes the person counts;
    /// a person whom none takes is not eligible.
    pub openings: Vec<Opening>,
    /// How people may prove who they are for this period; descriptive, checked by the gateway.
    pub identity_methods: Vec<String>,
}

/// A staggered opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// For people born on or before this day; for everyone, when absent.
    pub born_on_or_before: Option<Day>,
    /// From this instant.
    pub opens_at: Millis,
}

/// What an import brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportKind {
    /// Sites; a row with a known id changes that site.
    Sites,
    /// Slots; a row with a known (site, day, start, end, vaccine) changes the capacity.
    Slots {
        /// Vaccine names; rows refer to them by place in this list.
        vaccines: Vec<String>,
    },
    /// Members of a category. Rows add; nobody is removed.
    Members {
        /// Which category.
        category: CategoryNumber,
    },
}

/// Rows of one chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportRows {
    /// For [`ImportKind::Sites`].
    Sites(Vec<Site>),
    /// For [`ImportKind::Slots`].
    Slots(Vec<SlotRow>),
    /// For [`ImportKind::Members`].
    Members(Vec<PersonKey>),
}

/// A place where people are vaccinated. Public data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// The operator's own name for it, unique.
    pub id: String,
    /// Name in Chinese.
    pub name_zh: String,
    /// Name in English.
    pub name_en: String,
    /// County.
    pub county: CountyNumber,
    /// District.
    pub district: DistrictNumber,
    /// Street address.
    pub address: String,
    /// `hospital`, `health_centre`, `clinic`, …
    pub kind: String,
}

/// A slot as imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRow {
    /// Where.
    pub site: SiteNumber,
    /// The day in Taiwan.
    pub day: Day,
    /// First minute of the day.
    pub start_minute: u16,
    /// Minute of the day at which it ends, after `start_minute`, at most 1,440.
    pub end_minute: u16,
    /// Place in the import's list of vaccine names.
    pub vaccine: u8,
    /// Places.
    pub capacity: u32,
}

/// B6: one person came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendance {
    /// Whose booking.
    pub booking: BookingNumber,
    /// When, on the day of the booked slot.
    pub attended_at: Millis,
}
