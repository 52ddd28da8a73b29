//! Slots: never more bookings than places, and places left that agree.

use std::collections::HashMap;

use super::people::Holdings;
use super::{AuditReport, Check, Evidence};

/// Judges every slot.
pub(super) fn judge(evidence: &Evidence, holdings: &Holdings, report: &mut AuditReport) {
    let mut shown: HashMap<u32, u32> = HashMap::new();
    for (_, slot) in evidence.shown.iter().filter_map(|shown| shown.booking) {
        *shown.entry(slot).or_default() += 1;
    }
    for facts in &evidence.slots {
        report.slots += 1;
        let count =
            |bookings: &HashMap<u32, u32>| bookings.get(&facts.number).copied().unwrap_or(0);
        let held = count(&holdings.per_slot).max(count(&shown));
        if held > facts.capacity {
            report.find(Check::OversoldSlot, || {
                format!("slot {}: {held} bookings for {} places", facts.number, facts.capacity)
            });
        }
        let Some(left) = facts.left_after else { continue };
        let exact = evidence.alone && holdings.complete;
        let agrees = if exact {
            u64::from(left) + u64::from(held) == u64::from(facts.left_before)
        } else {
            u64::from(left) + u64::from(held) <= u64::from(facts.capacity)
        };
        if !agrees {
            report.find(Check::WrongPlacesLeft, || {
                format!(
                    "slot {}: {} places, {} left before, {held} booked, {left} left now",
                    facts.number, facts.capacity, facts.left_before
                )
            });
        }
    }
}
