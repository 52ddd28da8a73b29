//! What engines say: time, epochs, rules.

use domain::*;

use super::Twin;
use super::operator::refused;

/// An import silent for longer is void.
const SILENCE_MS: i64 = 600_000;

/// Bookings that one pulse looks at.
const VISITS: u32 = 65_536;

/// No-shows that one pulse announces.
const ANNOUNCEMENTS: usize = 1_024;

impl Twin {
    pub(super) fn begin_epoch(&mut self, epoch: u64) -> Vec<Event> {
        if epoch != self.epoch + 1 {
            return Vec::new();
        }
        self.epoch = epoch;
        vec![Event::EpochBegan { epoch }]
    }

    /// This build knows version 1 alone, which is in force from the beginning.
    pub(super) fn activate_rules(&mut self, _version: u32) -> Vec<Event> {
        refused(0, OperatorRefusal::UnknownRules)
    }

    pub(super) fn pulse(&mut self, epoch: u64) -> Vec<Event> {
        if epoch != self.epoch {
            return Vec::new();
        }
        let mut events = Vec::new();
        let now = self.now();
        if self.import.as_ref().is_some_and(|known| now.0 - known.heard_at.0 > SILENCE_MS) {
            events.extend(self.void_import());
        }
        let yesterday = Day(now.day().0 - 1);
        if self.sweep.is_none() && self.swept.is_none_or(|swept| swept < yesterday) {
            self.sweep = Some((yesterday, 0));
        }
        if let Some((day, cursor)) = self.sweep {
            self.announce_no_shows(day, cursor, &mut events);
        }
        events
    }

    fn announce_no_shows(&mut self, day: Day, mut cursor: u32, events: &mut Vec<Event>) {
        let last = self.bookings.len() as u32;
        let mut announced = 0;
        let mut visits = 0;
        while cursor < last && visits < VISITS && announced < ANNOUNCEMENTS {
            let number = BookingNumber(cursor);
            let booking = self.bookings.get_mut(&number).unwrap();
            let missed =
                !booking.cancelled && !booking.attended && self.slots[&booking.slot].day <= day;
            if missed && !booking.announced_no_show {
                booking.announced_no_show = true;
                announced += 1;
                events.push(Event::NoShow { person: booking.person, booking: number });
            }
            cursor += 1;
            visits += 1;
        }
        if cursor == last {
            self.swept = Some(day);
            self.sweep = None;
        } else {
            self.sweep = Some((day, cursor));
        }
    }
}
