//! People: one booking at a time, in the slot asked for, and shown to its owner.

use std::collections::HashMap;

use super::requests::Decision;
use super::{AuditReport, Check, Evidence};
use crate::history::{Action, Asked};

/// A booking as it follows from the outcomes told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    booking: Option<u64>,
    slot: u32,
}

/// Who holds what in the end.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// Bookings per slot, by the outcomes told and, for people whose outcomes are not all known, by
    /// what they are shown.
    pub(super) per_slot: HashMap<u32, u32>,
    /// Everybody's state is known: sums must agree exactly.
    pub(super) complete: bool,
}

/// Judges every person.
pub(super) fn judge(
    evidence: &Evidence,
    decisions: &[Decision],
    report: &mut AuditReport,
) -> Holdings {
    let asked = &evidence.history.asked;
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_unstable_by_key(|place| (asked[*place].person, asked[*place].ordinal));
    let shown: HashMap<u64, Option<(u64, u32)>> =
        evidence.shown.iter().map(|shown| (shown.person, shown.booking)).collect();
    let mut numbers: HashMap<u64, u64> = HashMap::new();
    let mut holdings = Holdings { complete: true, ..Holdings::default() };
    for requests in order.chunk_by(|left, right| asked[*left].person == asked[*right].person) {
        let person = asked[requests[0]].person;
        let mut held = None;
        let mut known = true;
        for place in requests {
            known &= decisions[*place] != Decision::Unknown;
            if let Decision::Confirmed { booking, slot } = decisions[*place] {
                held = follow(held, &asked[*place], booking, slot, report);
                own(&mut numbers, person, booking, report);
            }
        }
        let seen = shown.get(&person).copied();
        report.people += u64::from(seen.is_some());
        let slot = if known {
            compare(person, held, seen, report);
            held.map(|held| held.slot)
        } else {
            holdings.complete &= seen.is_some();
            seen.flatten().map(|(_, slot)| slot)
        };
        if let Some(slot) = slot {
            *holdings.per_slot.entry(slot).or_default() += 1;
        }
    }
    holdings
}

/// The booking after one more confirmed request.
fn follow(
    held: Option<Held>,
    asked: &Asked,
    booking: Option<u64>,
    slot: Option<u32>,
    report: &mut AuditReport,
) -> Option<Held> {
    let person = asked.person;
    let wanted = match asked.action {
        Action::Book(slot) | Action::Move(slot) => slot,
        Action::Cancel => {
            if held.is_none() {
                report.find(Check::NothingToChange, || {
                    format!("person {person}: a cancellation was confirmed without a booking")
                });
            }
            return None;
        }
    };
    if slot.is_some_and(|slot| slot != wanted) {
        report.find(Check::WrongSlot, || {
            format!("person {person}: asked for slot {wanted}, was given {slot:?}")
        });
    }
    match (asked.action, held) {
        (Action::Book(_), Some(earlier)) => report.find(Check::TwoBookings, || {
            format!(
                "person {person}: booking {booking:?} was confirmed beside booking {:?}",
                earlier.booking
            )
        }),
        (Action::Move(_), None) => {
            report.find(Check::NothingToChange, || {
                format!("person {person}: a move was confirmed without a booking")
            });
        }
        (Action::Move(_), Some(earlier))
            if earlier.booking.is_some() && booking.is_some() && earlier.booking != booking =>
        {
            report.find(Check::WrongBookingNumber, || {
                format!(
                    "person {person}: a move changed booking {:?} into {booking:?}",
                    earlier.booking
                )
            });
        }
        _ => {}
    }
    Some(Held { booking: booking.or(held.and_then(|held| held.booking)), slot: wanted })
}

/// A booking number belongs to one person.
fn own(
    numbers: &mut HashMap<u64, u64>,
    person: u64,
    booking: Option<u64>,
    report: &mut AuditReport,
) {
    let Some(booking) = booking else { return };
    let owner = *numbers.entry(booking).or_insert(person);
    if owner != person {
        report.find(Check::WrongBookingNumber, || {
            format!("booking {booking} was given to person {owner} and person {person}")
        });
    }
}

/// What follows from the outcomes against what is shown; `seen` is `None` for who could not be asked.
fn compare(
    person: u64,
    held: Option<Held>,
    seen: Option<Option<(u64, u32)>>,
    report: &mut AuditReport,
) {
    match (held, seen) {
        (_, None) | (None, Some(None)) => {}
        (Some(held), Some(None)) => report.find(Check::BookingNotShown, || {
            format!(
                "person {person}: booking {:?} in slot {} was confirmed and is not shown",
                held.booking, held.slot
            )
        }),
        (None, Some(Some((number, slot)))) => report.find(Check::BookingUnasked, || {
            format!(
                "person {person}: is shown booking {number} in slot {slot} and should have none"
            )
        }),
        (Some(held), Some(Some((number, slot)))) => {
            if held.slot != slot || held.booking.is_some_and(|booking| booking != number) {
                report.find(Check::BookingNotShown, || {
                    format!(
                        "person {person}: booking {:?} in slot {} was confirmed, booking {number} in slot {slot} is shown",
                        held.booking, held.slot
                    )
                });
            }
        }
    }
}
