//! Counts for the operator's overview, kept as events come.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{PeriodNumber, Rejection};

/// How many of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Commands decided.
    pub commands: u64,
    /// People mentioned at least once.
    pub people: u64,
    /// Intents held now.
    pub intents: u64,
    /// Intents ever registered.
    pub registrations: u64,
    /// Requests decided before under the same key.
    pub repeated: u64,
    /// Keys used for another request.
    pub keys_reused: u64,
    /// Refusals of citizens' requests, by number of the reason minus one; those of too many keys and
    /// of intents included.
    pub rejected: [u64; Rejection::ALL.len()],
    /// Refused operator's commands or rows of them.
    pub operator_refused: u64,
    /// Records that were no command.
    pub malformed: u64,
    /// Sites.
    pub sites: u64,
    /// Slots.
    pub slots: u64,
    /// Places over all slots.
    pub places: u64,
    /// Places left over all slots.
    pub places_left: u64,
    /// Over all periods.
    pub total: PeriodFigures,
    /// By period.
    pub periods: BTreeMap<PeriodNumber, PeriodFigures>,
    /// The import under way and its rows so far.
    pub import: Option<(u64, u32)>,
    /// The engine's epoch.
    pub epoch: u64,
    /// The rules in force.
    pub rules_version: u32,
}

/// How many of everything in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodFigures {
    /// Bookings made.
    pub confirmed: u64,
    /// Moves granted, those to the slot already held included.
    pub changed: u64,
    /// Bookings given up.
    pub cancelled: u64,
    /// Bookings attended.
    pub attended: u64,
    /// Bookings announced as missed and not attended after all.
    pub no_shows: u64,
    /// Requests refused.
    pub rejected: u64,
}

impl PeriodFigures {
    /// Bookings that were not cancelled.
    pub const fn standing(&self) -> u64 {
        self.confirmed.saturating_sub(self.cancelled)
    }
}

impl Figures {
    /// Changes a count in total and for its period.
    pub(super) fn count(&mut self, period: PeriodNumber, change: impl Fn(&mut PeriodFigures)) {
        change(&mut self.total);
        change(self.periods.entry(period).or_default());
    }

    /// Refusals for one reason.
    pub const fn rejected_for(&self, reason: Rejection) -> u64 {
        self.rejected[reason as usize - 1]
    }
}
