//! B6: marks people as vaccinated, also days later, and again: a mark lifts a no-show.
//!
//! Refusals by row: 3 unknown booking, 4 cancelled, 5 not on the slot's day or that day has not begun.
//! More rows than allowed: 14, and nothing is done.

use crate::codec::{INSTANT_MAX, INSTANT_MIN};
use crate::state::State;
use crate::state::history::{Booking, Status};
use crate::{Attendance, Event, OperatorRefusal};

use super::{ATTENDANCE_ROWS_MAX, refuse_operator};

/// Decides an `Attend`.
pub(crate) fn apply(state: &mut State, rows: &[Attendance], events: &mut Vec<Event>) {
    if rows.len() > ATTENDANCE_ROWS_MAX {
        let row = ATTENDANCE_ROWS_MAX as u32;
        return refuse_operator(row, OperatorRefusal::TooManyRows, events);
    }
    for (place, row) in rows.iter().enumerate() {
        match decide(state, row) {
            Err(reason) => refuse_operator(place as u32, reason, events),
            Ok(booking) => {
                if booking.status != Status::Attended {
                    state.mark_booking(row.booking, Status::Attended);
                }
                events.push(Event::Attended {
                    person: booking.person,
                    booking: row.booking,
                    attended_at: row.attended_at,
                });
            }
        }
    }
}

fn decide(state: &State, row: &Attendance) -> Result<Booking, OperatorRefusal> {
    let bookings = &state.history.bookings;
    let booking = *bookings.get(row.booking.0).ok_or(OperatorRefusal::UnknownBooking)?;
    if !booking.counts() {
        return Err(OperatorRefusal::BookingCancelled);
    }
    let day = state.slots.day(booking.slot);
    let is_an_instant = (INSTANT_MIN..=INSTANT_MAX).contains(&row.attended_at);
    let has_begun = day.starts_at() <= state.globals.now;
    if !is_an_instant || row.attended_at.day() != day || !has_begun {
        return Err(OperatorRefusal::AttendedOnAnotherDay);
    }
    Ok(booking)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::{BookingNumber, Command, Millis, PersonRef};

    fn row(booking: u32, attended_at: i64) -> Attendance {
        Attendance { booking: BookingNumber(booking), attended_at: Millis(attended_at) }
    }

    #[test]
    fn each_row_is_decided_by_itself() {
        let mut desk = Desk::open();
        let people = [desk.register(1), desk.register(2), desk.register(3)];
        for person in people {
            desk.book(person, SLOT, 1);
        }
        desk.apply(Command::Cancel {
            person: PersonRef::Number(people[1]),
            period: PERIOD,
            retry: retry(2),
        });
        let noon = SLOT_DAY.starts_at().0 + 12 * 3_600_000;
        let rows = vec![
            row(0, noon),
            row(9, noon),
            row(1, noon),
            row(2, SLOT_DAY.starts_at().0 - 1),
            row(2, SLOT_DAY.ends_at().0),
            row(2, i64::MAX),
            row(2, i64::MIN),
            row(0, noon + 1),
        ];
        desk.at = SLOT_DAY.starts_at();
        let events = desk.apply(Command::Attend { rows });
        let refused = |row, reason| Event::OperatorRefused { row, reason };
        let attended = |at| Event::Attended {
            person: people[0],
            booking: BookingNumber(0),
            attended_at: Millis(at),
        };
        let expected = [
            attended(noon),
            refused(1, OperatorRefusal::UnknownBooking),
            refused(2, OperatorRefusal::BookingCancelled),
            refused(3, OperatorRefusal::AttendedOnAnotherDay),
            refused(4, OperatorRefusal::AttendedOnAnotherDay),
            refused(5, OperatorRefusal::AttendedOnAnotherDay),
            refused(6, OperatorRefusal::AttendedOnAnotherDay),
            attended(noon + 1),
        ];
        assert_eq!(events, expected);
        desk.check();
    }

    #[test]
    fn nobody_has_come_before_the_day_has_begun() {
        for (before, expected) in [(1, Some(OperatorRefusal::AttendedOnAnotherDay)), (0, None)] {
            let mut desk = Desk::open();
            let person = desk.register(1);
            desk.book(person, SLOT, 1);
            desk.at = Millis(SLOT_DAY.starts_at().0 - before);
            let rows = vec![row(0, SLOT_DAY.starts_at().0)];
            let found = desk.refusals(Command::Attend { rows });
            assert_eq!(found.first().map(|(_, reason)| *reason), expected);
        }
    }

    #[test]
    fn a_late_mark_lifts_a_no_show_and_its_bar() {
        let mut desk = Desk::open();
        desk.put_period(crate::PeriodNumber(4), WINDOW_OPENS_AT, WINDOW_CLOSES_AT);
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.at = SLOT_DAY.ends_at();
        let events = desk.apply(Command::Pulse { epoch: desk.state.epoch() });
        assert!(matches!(events[..], [Event::NoShow { booking: BookingNumber(0), .. }]));
        let book = |number| Command::Book {
            person: PersonRef::Number(person),
            period: crate::PeriodNumber(4),
            slot: LATE_SLOT,
            retry: retry(number),
        };
        assert_eq!(desk.reason(&book(1)), Some(crate::Rejection::BarredUntilNextPeriod));
        desk.attend(BookingNumber(0));
        assert_eq!(desk.reason(&book(2)), None);
    }

    #[test]
    fn too_many_rows_do_nothing_at_all() {
        let mut desk = Desk::open();
        let person = desk.register(1);
        desk.book(person, SLOT, 1);
        desk.at = SLOT_STARTS_AT;
        let rows = vec![row(0, SLOT_STARTS_AT.0); ATTENDANCE_ROWS_MAX + 1];
        let found = desk.refusals(Command::Attend { rows });
        assert_eq!(found, [(ATTENDANCE_ROWS_MAX as u32, OperatorRefusal::TooManyRows)]);
        let rows = vec![row(0, SLOT_STARTS_AT.0); ATTENDANCE_ROWS_MAX];
        assert_eq!(desk.apply(Command::Attend { rows }).len(), ATTENDANCE_ROWS_MAX);
    }
}
