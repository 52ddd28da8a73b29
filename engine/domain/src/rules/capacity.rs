//! L2: changes a slot's capacity.
//!
//! Refusals: 1 unknown slot, 2 below the number of places booked.

use crate::state::State;
use crate::{Event, OperatorRefusal, SlotNumber};

use super::refuse_operator;

/// Decides a `SetCapacity`.
pub(crate) fn apply(state: &mut State, slot: SlotNumber, capacity: u32, events: &mut Vec<Event>) {
    let Some(places) = state.slots.places(slot) else {
        return refuse_operator(0, OperatorRefusal::UnknownSlot, events);
    };
    if capacity < places.booked {
        return refuse_operator(0, OperatorRefusal::CapacityBelowBooked, events);
    }
    state.set_capacity(slot, capacity);
    events.push(Event::CapacitySet { slot, capacity });
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::Command;

    #[test]
    fn capacity_can_fall_to_the_places_booked_and_no_further_and_rise_at_will() {
        let cases: &[(SlotNumber, u32, &[(u32, OperatorRefusal)])] = &[
            (UNKNOWN_SLOT, 5, &[(0, OperatorRefusal::UnknownSlot)]),
            (SLOT, 1, &[(0, OperatorRefusal::CapacityBelowBooked)]),
            (SLOT, 2, &[]),
            (SLOT, u32::MAX, &[]),
        ];
        let mut desk = Desk::open();
        for name in [1, 2] {
            let person = desk.register(name);
            desk.book(person, SLOT, 1);
        }
        for (slot, capacity, expected) in cases {
            let command = Command::SetCapacity { slot: *slot, capacity: *capacity };
            assert_eq!(desk.refusals(command), *expected);
            desk.check();
        }
        assert_eq!(desk.state.slot(SLOT).unwrap().0.capacity, u32::MAX);
    }

    #[test]
    fn a_place_added_to_a_full_slot_is_bookable_at_once() {
        let mut desk = Desk::open();
        desk.fill(SLOT);
        let capacity = SLOT_CAPACITY + 1;
        let events = desk.apply(Command::SetCapacity { slot: SLOT, capacity });
        assert_eq!(events, [Event::CapacitySet { slot: SLOT, capacity }]);
        let person = desk.register(1);
        assert!(matches!(desk.book(person, SLOT, 1)[..], [Event::Confirmed { .. }]));
    }
}
