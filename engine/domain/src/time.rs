//! Instants and days. The only clock of the rules is the journal's.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

/// A calendar day in Taiwan, as days since 1970-01-01.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Day(pub i32);

/// Milliseconds in a day.
pub const DAY_MS: i64 = 86_400_000;

/// Taiwan keeps UTC+08:00 all year; it has had no daylight saving time since 1979.
pub const TAIPEI_OFFSET_MS: i64 = 8 * 3_600_000;

impl Millis {
    /// The day in Taiwan on which this instant falls.
    #[inline]
    pub const fn day(self) -> Day {
        Day((self.0 + TAIPEI_OFFSET_MS).div_euclid(DAY_MS) as i32)
    }
}

impl Day {
    /// The first instant of the day in Taiwan.
    #[inline]
    pub const fn starts_at(self) -> Millis {
        Millis(self.0 as i64 * DAY_MS - TAIPEI_OFFSET_MS)
    }

    /// The first instant after the day in Taiwan.
    #[inline]
    pub const fn ends_at(self) -> Millis {
        Millis((self.0 as i64 + 1) * DAY_MS - TAIPEI_OFFSET_MS)
    }
}
