//! Time passes: an import that fell silent is void, and missed days are announced.
//!
//! No decision waits for the announcement: a missed day is evaluated from time. The search visits the
//! bookings in bounded portions behind a cursor that is part of the state, so that no pulse is long
//! and every replay announces the same in the same place. A pulse of another epoch is void.

use crate::eligibility::is_active;
use crate::state::history::Status;
use crate::state::{State, Sweep};
use crate::{BookingNumber, Day, Event};

use super::{IMPORT_SILENCE_MS_MAX, SWEEP_BOOKINGS_MAX, SWEEP_NO_SHOWS_MAX, import};

/// Decides a `Pulse`.
pub(crate) fn apply(state: &mut State, epoch: u64, events: &mut Vec<Event>) {
    if epoch != state.globals.epoch {
        return;
    }
    void_silent_import(state, events);
    let yesterday = Day(state.globals.now.day().0 - 1);
    let sweep = &mut state.globals.sweep;
    if sweep.pass.is_none() && yesterday > sweep.swept {
        sweep.pass = Some(yesterday);
    }
    if let Some(day) = sweep.pass {
        announce(state, day, events);
    }
}

fn void_silent_import(state: &mut State, events: &mut Vec<Event>) {
    let now = state.globals.now;
    let silent = |heard_at: i64| now.0 - heard_at > IMPORT_SILENCE_MS_MAX;
    if state.staging.import.as_ref().is_some_and(|import| silent(import.head.heard_at.0)) {
        import::void(state, events);
    }
}

/// Goes on with the pass of a day.
fn announce(state: &mut State, day: Day, events: &mut Vec<Event>) {
    let end = state.history.bookings.len();
    let before = events.len();
    let mut cursor = state.globals.sweep.cursor;
    for _ in 0..SWEEP_BOOKINGS_MAX {
        if cursor == end || events.len() - before == SWEEP_NO_SHOWS_MAX {
            break;
        }
        let booking = &state.history.bookings[cursor];
        let missed = !is_active(state.slots.day(booking.slot), day.ends_at());
        if booking.status == Status::Held && missed {
            let person = booking.person;
            let booking = BookingNumber(cursor);
            state.mark_booking(booking, Status::Announced);
            events.push(Event::NoShow { person, booking });
        }
        cursor += 1;
    }
    state.globals.sweep = if cursor == end {
        Sweep { swept: day, pass: None, cursor: 0 }
    } else {
        Sweep { cursor, ..state.globals.sweep }
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{Command, ImportKind, Millis, PersonRef};

    fn pulse(desk: &mut Desk) -> Vec<Event> {
        desk.apply(Command::Pulse { epoch: desk.state.epoch() })
    }

    #[test]
    fn a_missed_day_is_announced_once_and_neither_attended_nor_cancelled_ones_are() {
        let mut desk = Desk::open();
        let people = [desk.register(1), desk.register(2), desk.register(3), desk.register(4)];
        for person in &people[..3] {
            desk.book(*person, SLOT, 1);
        }
        desk.book(people[3], LATE_SLOT, 1);
        desk.apply(Command::Cancel {
            person: PersonRef::Number(people[1]),
            period: PERIOD,
            retry: retry(2),
        });
        desk.at = SLOT_STARTS_AT;
        desk.attend(BookingNumber(2));
        desk.at = Millis(SLOT_DAY.ends_at().0 - 1);
        assert_eq!(pulse(&mut desk), []);
        desk.at = SLOT_DAY.ends_at();
        let person = people[0];
        assert_eq!(pulse(&mut desk), [Event::NoShow { person, booking: BookingNumber(0) }]);
        assert_eq!(pulse(&mut desk), []);
        desk.at = Millis(SLOT_DAY.ends_at().0 + 3 * crate::time::DAY_MS);
        assert_eq!(pulse(&mut desk), []);
        desk.check();
    }

    #[test]
    fn many_missed_days_are_announced_in_bounded_portions_each_once() {
        let mut desk = Desk::open();
        let count = 2 * SWEEP_NO_SHOWS_MAX + 5;
        desk.set_capacity(SLOT, count as u32);
        for number in 0..count {
            let person = desk.register_key(numbered_key(number as u64), 1);
            desk.book(person, SLOT, 1);
        }
        desk.at = SLOT_DAY.ends_at();
        let mut announced = Vec::new();
        for expected in [SWEEP_NO_SHOWS_MAX, SWEEP_NO_SHOWS_MAX, 5, 0] {
            let events = pulse(&mut desk);
            assert_eq!(events.len(), expected);
            announced.extend(events);
            desk.check();
        }
        for (number, event) in announced.iter().enumerate() {
            let booking = BookingNumber(number as u32);
            assert!(matches!(event, Event::NoShow { booking: found, .. } if *found == booking));
        }
    }

    #[test]
    fn a_day_that_ends_during_a_pass_is_swept_by_the_next_pass() {
        let mut desk = Desk::open();
        let count = SWEEP_NO_SHOWS_MAX + 1;
        desk.set_capacity(SLOT, count as u32);
        let late = desk.register(1);
        desk.book(late, LATE_SLOT, 1);
        for number in 0..count {
            let person = desk.register_key(numbered_key(number as u64), 1);
            desk.book(person, SLOT, 1);
        }
        desk.at = SLOT_DAY.ends_at();
        assert_eq!(pulse(&mut desk).len(), SWEEP_NO_SHOWS_MAX);
        desk.at = LATE_SLOT_DAY.ends_at();
        assert_eq!(pulse(&mut desk).len(), 1);
        let events = pulse(&mut desk);
        assert!(matches!(events[..], [Event::NoShow { booking: BookingNumber(0), .. }]));
        assert_eq!(pulse(&mut desk), []);
    }

    #[test]
    fn a_pulse_of_another_epoch_does_nothing() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.apply(Command::Epoch { epoch: 1, engine: [1; 16] });
        desk.at = SLOT_DAY.ends_at();
        assert_eq!(desk.apply(Command::Pulse { epoch: 0 }), []);
        assert_eq!(desk.apply(Command::Pulse { epoch: 2 }), []);
        assert_eq!(desk.apply(Command::Pulse { epoch: 1 }).len(), 1);
    }

    #[test]
    fn an_import_is_void_after_a_long_silence_and_not_before() {
        for (silence, voided) in [(IMPORT_SILENCE_MS_MAX, false), (IMPORT_SILENCE_MS_MAX + 1, true)]
        {
            let mut desk = Desk::open();
            desk.apply(Command::ImportBegin { import: 5, kind: ImportKind::Sites });
            desk.at = Millis(desk.at.0 + IMPORT_SILENCE_MS_MAX);
            desk.apply(site_chunk(5, &["a"]));
            desk.at = Millis(desk.at.0 + silence);
            let events = pulse(&mut desk);
            let expected =
                if voided { vec![Event::ImportVoided { import: 5 }] } else { Vec::new() };
            assert_eq!(events, expected);
            desk.check();
        }
    }
}
