//! The numbers and keys by which the rules name things.
//!
//! People, slots, sites and bookings are dense arrays, so their names are small integers that are
//! given once, in order of first mention in the journal, and never used again.

use serde::{Deserialize, Serialize};

/// Declares a transparent integer name.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The name as an array index.
            #[inline]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number!(
    /// A person's dense number, given at the first command that mentions the person (a registration,
    /// a membership row, a refused request) and never reused: it belongs to the person, not to an intent.
    PersonNumber(u32)
);
number!(
    /// A slot's dense number: one site, one date, one time range, one vaccine.
    SlotNumber(u32)
);
number!(
    /// A site's dense number, in order of first import; the operator's own `id` is a string.
    SiteNumber(u32)
);
number!(
    /// A booking's dense number, shown to the citizen; a move keeps it.
    BookingNumber(u32)
);
number!(
    /// A period's number as announced (第NN期); 0 is never a period: it is the scope of the retry
    /// keys of commands on intents.
    PeriodNumber(u16)
);
number!(
    /// A target category's number as announced (第9類).
    CategoryNumber(u16)
);
number!(
    /// A county's place in the fixed list of regions (22 of them), at most 63.
    CountyNumber(u8)
);
number!(
    /// A district's place in the fixed list of regions (368 of them).
    DistrictNumber(u16)
);
number!(
    /// The language in which a person is written to: 0 zh-TW, 1 en, 2 ja, 3 id.
    LanguageNumber(u8)
);
number!(
    /// The dense count of commands since the beginning of the journal; the first command is 1.
    Sequence(u64)
);

impl PeriodNumber {
    /// The scope of the retry keys of commands on intents.
    pub const INTENTS: PeriodNumber = PeriodNumber(0);
}

/// A person's key: 128 bits of a keyed hash of the normalised earliest known ID number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonKey(pub [u8; 16]);

/// How a command names its person: by number when the gateway knows it, else by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PersonRef {
    /// Known to the gateway that wrote the command.
    Number(PersonNumber),
    /// Resolved by the writer.
    Key(PersonKey),
}

/// Keyed hash of the client's idempotency key, within one person and period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub u64);

/// Keyed hash of the canonical plaintext of a request: tells a retry from another body under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub u64);

/// What makes a command safe to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryKey {
    /// Which request this is.
    pub key: KeyHash,
    /// What it said.
    pub fingerprint: Fingerprint,
}

/// Where an answer is awaited: gateway instance, core and place in that core's slab, as the gateway
/// packed it; opaque here, carried from the command to its events so that the gateway finds the
/// waiting request without a look-up. Zero when nobody waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origin(pub u64);

/// A vaccine's place in the list of names seen so far, at most 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaccineNumber(pub u8);

/// A set of vaccines, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VaccineSet(pub u16);

impl VaccineSet {
    /// True when the two sets share a vaccine.
    #[inline]
    pub const fn meets(self, other: VaccineSet) -> bool {
        self.0 & other.0 != 0
    }

    /// True when the vaccine is in the set.
    #[inline]
    pub const fn contains(self, vaccine: VaccineNumber) -> bool {
        self.0 & (1 << vaccine.0) != 0
    }
}
