//! Confirmations and text messages: exactly one for each decision.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::requests::Decision;
use super::{AuditReport, Check, Evidence};
use crate::history::{Action, Asked};

/// What a confirmation confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmationKind {
    /// A new booking.
    Confirmed,
    /// A move to another slot.
    Changed,
    /// A cancellation.
    Cancelled,
}

/// One message of the confirmations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Its deterministic name.
    pub id: String,
    /// What it confirms.
    pub kind: ConfirmationKind,
    /// Which booking.
    pub booking: u64,
    /// The slot it stands for.
    pub slot: u32,
}

/// One text message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMessage {
    /// The confirmation it tells of.
    pub reference: String,
}

/// Judges the streams that were read.
pub(super) fn judge(evidence: &Evidence, decisions: &[Decision], report: &mut AuditReport) {
    let Some(confirmations) = &evidence.confirmations else { return };
    report.confirmations = Some(confirmations.len() as u64);
    let expected = expected(evidence, decisions);
    judge_ids(confirmations, report);
    judge_counts(confirmations, &expected, evidence, report);
    judge_over_time(confirmations, evidence, report);
    if let Some(messages) = &evidence.messages {
        judge_messages(confirmations, messages, &expected, report);
    }
}

/// How many confirmations of each kind each booking of this run must have.
fn expected(evidence: &Evidence, decisions: &[Decision]) -> HashMap<(u64, ConfirmationKind), u32> {
    let asked = &evidence.history.asked;
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_unstable_by_key(|place| (asked[*place].person, asked[*place].ordinal));
    let mut expected = HashMap::new();
    // A cancellation's answer names no booking: it is the one the person held.
    let mut held: Option<(u64, u64)> = None;
    for place in order {
        let Decision::Confirmed { booking, .. } = decisions[place] else { continue };
        let Asked { person, action, .. } = asked[place];
        let known =
            booking.or(held.filter(|(owner, _)| *owner == person).map(|(_, booking)| booking));
        let Some(booking) = known else { continue };
        held = Some((person, booking));
        let kind = match action {
            Action::Book(_) => ConfirmationKind::Confirmed,
            Action::Move(_) => ConfirmationKind::Changed,
            Action::Cancel => ConfirmationKind::Cancelled,
        };
        *expected.entry((booking, kind)).or_default() += 1;
    }
    expected
}

/// An id names one confirmation.
fn judge_ids(confirmations: &[Confirmation], report: &mut AuditReport) {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for confirmation in confirmations {
        let count = seen.entry(&confirmation.id).or_default();
        *count += 1;
        if *count == 2 {
            report.find(Check::ConfirmationDoubled, || {
                format!("confirmation {} came more than once", confirmation.id)
            });
        }
    }
}

/// Exactly one confirmation for each decision.
fn judge_counts(
    confirmations: &[Confirmation],
    expected: &HashMap<(u64, ConfirmationKind), u32>,
    evidence: &Evidence,
    report: &mut AuditReport,
) {
    let mut seen: HashMap<(u64, ConfirmationKind), u32> = HashMap::new();
    for confirmation in confirmations {
        *seen.entry((confirmation.booking, confirmation.kind)).or_default() += 1;
    }
    for ((booking, kind), wanted) in expected {
        let found = seen.get(&(*booking, *kind)).copied().unwrap_or(0);
        if found < *wanted {
            report.find(Check::ConfirmationMissing, || {
                format!("booking {booking}: {found} of {wanted} {kind:?} came")
            });
        } else if found > *wanted {
            report.find(Check::ConfirmationDoubled, || {
                format!("booking {booking}: {found} {kind:?} came for {wanted}")
            });
        }
    }
    // Others may book at the same time, and outcomes never told may have been decided: only a
    // complete run knows what was not asked for.
    if !evidence.alone || report.never_acknowledged > 0 {
        return;
    }
    let ours: std::collections::HashSet<u32> =
        evidence.slots.iter().map(|facts| facts.number).collect();
    for confirmation in
        confirmations.iter().filter(|confirmation| ours.contains(&confirmation.slot))
    {
        if !expected.contains_key(&(confirmation.booking, confirmation.kind)) {
            report.find(Check::ConfirmationUnasked, || {
                format!(
                    "confirmation {}: {:?} of booking {} was not decided",
                    confirmation.id, confirmation.kind, confirmation.booking
                )
            });
        }
    }
}

/// The stream is in order of decisions: at no moment may a slot hold more than its places.
fn judge_over_time(confirmations: &[Confirmation], evidence: &Evidence, report: &mut AuditReport) {
    let capacity: HashMap<u32, u32> =
        evidence.slots.iter().map(|facts| (facts.number, facts.capacity)).collect();
    let mut place_of: HashMap<u64, u32> = HashMap::new();
    let mut held: HashMap<u32, u32> = HashMap::new();
    for confirmation in confirmations {
        if let Some(earlier) = place_of.remove(&confirmation.booking) {
            held.entry(earlier).and_modify(|count| *count = count.saturating_sub(1));
        }
        if confirmation.kind == ConfirmationKind::Cancelled {
            continue;
        }
        place_of.insert(confirmation.booking, confirmation.slot);
        let count = held.entry(confirmation.slot).or_default();
        *count += 1;
        if capacity.get(&confirmation.slot).is_some_and(|capacity| *count > *capacity) {
            let count = *count;
            report.find(Check::OversoldSlot, || {
                format!(
                    "slot {}: {count} bookings at once at confirmation {}",
                    confirmation.slot, confirmation.id
                )
            });
        }
    }
}

/// Exactly one text message for each confirmation of a decision of this run.
fn judge_messages(
    confirmations: &[Confirmation],
    messages: &[TextMessage],
    expected: &HashMap<(u64, ConfirmationKind), u32>,
    report: &mut AuditReport,
) {
    let mut sent: HashMap<&str, u32> = HashMap::new();
    let mut compared = 0;
    for message in messages {
        *sent.entry(&message.reference).or_default() += 1;
    }
    for confirmation in confirmations {
        if !expected.contains_key(&(confirmation.booking, confirmation.kind)) {
            continue;
        }
        compared += 1;
        match sent.get(confirmation.id.as_str()).copied().unwrap_or(0) {
            1 => {}
            0 => report.find(Check::MessageMissing, || {
                format!("confirmation {}: no text message", confirmation.id)
            }),
            count => report.find(Check::MessageDoubled, || {
                format!("confirmation {}: {count} text messages", confirmation.id)
            }),
        }
    }
    report.messages = Some(compared);
}
