//! What a checkpoint says of itself, and what can be counted to see whether it is true.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::View;
use super::super::bookings::{BookingStatus, BookingView};
use super::super::figures::{Figures, PeriodFigures};
use super::super::people::NONE;
use crate::codec::is_instant;
use crate::{Millis, PeriodNumber, Rejection, Sequence};

// One counter a reason stands in the figures: another reason is another format.
const _: () = assert!(Rejection::ALL.len() == 15);

/// No campaign counts so far; below it, counters may be added to without fear.
const COUNT_MAX: u64 = 1 << 62;

/// The head.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) sequence: Sequence,
    pub(super) now: Millis,
    pub(super) lengths: Lengths,
    pub(super) figures: Figures,
    /// What the caller wants to know again.
    pub(super) note: Vec<u8>,
}

/// How many rows each array has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lengths {
    pub(super) sites: u32,
    pub(super) slots: u32,
    pub(super) people: u32,
    pub(super) bookings: u32,
    pub(super) moves: u32,
    pub(super) outcomes: u32,
}

impl Lengths {
    pub(super) fn of(view: &View) -> Lengths {
        Lengths {
            sites: view.catalogue.sites.len(),
            slots: view.catalogue.slots.len(),
            people: view.people.rows.len(),
            bookings: view.bookings.rows.len(),
            moves: view.outcomes.moves.len(),
            outcomes: view.outcomes.rows.len(),
        }
    }
}

impl Head {
    /// Whether a view can have this head, as far as it tells by itself.
    pub(super) fn can_be(&self) -> bool {
        let figures = &self.figures;
        let counts = [
            figures.repeated,
            figures.keys_reused,
            figures.operator_refused,
            figures.malformed,
            figures.places,
            figures.total.rejected,
        ];
        let small = figures.rejected.iter().chain(&counts).all(|count| *count < COUNT_MAX);
        let arrays = [
            self.lengths.sites,
            self.lengths.slots,
            self.lengths.people,
            self.lengths.bookings,
            self.lengths.moves,
            self.lengths.outcomes,
        ];
        let empty = self.sequence.0 == 0 && self.now == Millis(i64::MIN);
        small
            && arrays.iter().all(|length| *length < NONE)
            && (empty || is_instant(self.now))
            && self.sequence.0 >> 48 == 0
            && figures.commands == self.sequence.0
    }
}

/// Sums counted while loading.
#[derive(Debug, Default)]
pub(super) struct Counted {
    intents: u64,
    registrations: u64,
    periods: BTreeMap<PeriodNumber, PeriodFigures>,
    /// The period seen last and its sums: neighbours mostly share it.
    current: Option<(PeriodNumber, PeriodFigures)>,
}

impl Counted {
    pub(super) fn intent(&mut self) {
        self.intents += 1;
    }

    pub(super) fn registration(&mut self) {
        self.registrations += 1;
    }

    pub(super) fn booking(&mut self, booking: &BookingView) {
        let sums = self.of(booking.period);
        sums.confirmed += 1;
        match booking.status {
            BookingStatus::Booked => {}
            BookingStatus::Cancelled => sums.cancelled += 1,
            BookingStatus::Attended => sums.attended += 1,
            BookingStatus::NoShow => sums.no_shows += 1,
        }
    }

    pub(super) fn moved(&mut self, period: PeriodNumber) {
        self.of(period).changed += 1;
    }

    fn of(&mut self, period: PeriodNumber) -> &mut PeriodFigures {
        if self.current.is_none_or(|(current, _)| current != period) {
            self.put_back();
            self.current = self.periods.get(&period).map(|known| (period, *known));
        }
        &mut self.current.get_or_insert((period, PeriodFigures::default())).1
    }

    fn put_back(&mut self) {
        if let Some((period, sums)) = self.current.take() {
            self.periods.insert(period, sums);
        }
    }

    /// True when the figures say what was counted.
    pub(super) fn agrees_with(mut self, view: &View) -> bool {
        self.put_back();
        let figures = view.figures();
        let mut total = PeriodFigures::default();
        for (period, told) in &figures.periods {
            let counted = self.periods.remove(period).unwrap_or_default();
            // Some refusals leave no row behind: they cannot be counted again.
            if (PeriodFigures { rejected: told.rejected, ..counted }) != *told
                || told.rejected >= COUNT_MAX
            {
                return false;
            }
            total.confirmed += told.confirmed;
            total.changed += told.changed;
            total.cancelled += told.cancelled;
            total.attended += told.attended;
            total.no_shows += told.no_shows;
            total.rejected = total.rejected.saturating_add(told.rejected);
        }
        let slots = view.catalogue.slots.iter();
        let places: u64 = slots.map(|slot| u64::from(slot.capacity)).sum();
        self.periods.is_empty()
            && total == figures.total
            && figures.intents == self.intents
            && figures.registrations == self.registrations
            && figures.people == u64::from(view.people.len())
            && figures.sites == u64::from(view.catalogue.sites_count())
            && figures.slots == u64::from(view.catalogue.slots_count())
            && figures.places == places
    }
}
