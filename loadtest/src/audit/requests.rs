//! Requests: each acknowledged one has exactly one outcome, and the same answer every time.

use std::collections::HashMap;

use super::{AuditReport, Check, Evidence, ReceiptState};
use crate::answer::Outcome;
use crate::history::{Asked, Source, Told};

/// The one outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Confirmed, with the booking and the slot told.
    Confirmed { booking: Option<u64>, slot: Option<u32> },
    /// Decided against, or refused before it was accepted: nothing happened.
    Rejected,
    /// Not known.
    Unknown,
}

/// One request with its answers.
#[derive(Default)]
struct Answers<'a> {
    acknowledged: bool,
    /// The first decided answer to a send, with which every later one must agree to the byte.
    first_sent: Option<&'a Told>,
    /// The first decided answer of any source, with which every later one must agree in substance.
    first_decided: Option<&'a Told>,
    receipt: Option<&'a str>,
    /// Refused as such, before it was accepted: nothing happened.
    refused: bool,
}

/// Judges every request; the decision of each stands at its place.
pub(super) fn judge(evidence: &Evidence, report: &mut AuditReport) -> Vec<Decision> {
    let asked = &evidence.history.asked;
    let mut answers: Vec<Answers<'_>> = asked.iter().map(|_| Answers::default()).collect();
    let mut owners: HashMap<&str, u32> = HashMap::new();
    for told in &evidence.history.told {
        let place = told.request as usize;
        let Some(known) = answers.get_mut(place) else { continue };
        compare_receipt(known, told, &asked[place], &mut owners, report);
        known.acknowledged |= told.outcome.is_decided() || told.outcome == Outcome::Processing;
        if told.outcome.is_decided() {
            compare_decided(known, told, &asked[place], report);
        } else if told.outcome != Outcome::Processing && told.source == Source::Send {
            compare_turned_away(known, told, &asked[place], report);
        }
    }
    judge_receipts(evidence, &answers, report);
    answers.iter().map(|known| decision(known, report)).collect()
}

fn name(asked: &Asked) -> String {
    format!("person {}, request {} ({:?})", asked.person, asked.ordinal, asked.action)
}

/// One request, one receipt; one receipt, one request.
fn compare_receipt<'a>(
    known: &mut Answers<'a>,
    told: &'a Told,
    asked: &Asked,
    owners: &mut HashMap<&'a str, u32>,
    report: &mut AuditReport,
) {
    let Some(receipt) = told.receipt.as_deref() else { return };
    match known.receipt {
        Some(earlier) if earlier != receipt => {
            report.find(Check::ReceiptNotUnique, || {
                format!("{}: two receipts, {earlier} and {receipt}", name(asked))
            });
        }
        Some(_) => return,
        None => known.receipt = Some(receipt),
    }
    let owner = *owners.entry(receipt).or_insert(told.request);
    if owner != told.request {
        report.find(Check::ReceiptNotUnique, || {
            format!("{}: its receipt {receipt} belongs to another request too", name(asked))
        });
    }
}

/// A decided answer against the ones before it.
fn compare_decided<'a>(
    known: &mut Answers<'a>,
    told: &'a Told,
    asked: &Asked,
    report: &mut AuditReport,
) {
    if told.source == Source::Send {
        match known.first_sent {
            None => known.first_sent = Some(told),
            Some(first) if (first.status, first.digest) == (told.status, told.digest) => {}
            Some(first) => report.find(Check::RetryDiffers, || {
                format!(
                    "{}: answered {} {:?}, and when repeated {} {:?}",
                    name(asked),
                    first.status,
                    first.outcome,
                    told.status,
                    told.outcome
                )
            }),
        }
    }
    let Some(first) = known.first_decided else {
        known.first_decided = Some(told);
        return;
    };
    let differs = |left: Option<u64>, right: Option<u64>| matches!((left, right), (Some(left), Some(right)) if left != right);
    let changed = first.outcome != told.outcome
        || differs(first.booking, told.booking)
        || differs(first.slot.map(u64::from), told.slot.map(u64::from));
    if changed {
        report.find(Check::OutcomeChanged, || {
            format!(
                "{}: told {:?} (booking {:?}, slot {:?}), and then {:?} (booking {:?}, slot {:?})",
                name(asked),
                first.outcome,
                first.booking,
                first.slot,
                told.outcome,
                told.booking,
                told.slot
            )
        });
    }
}

/// A request that was turned away: that is final before it was accepted, and wrong afterwards. Only
/// "later" (425, 429) and a server's failure say nothing about the request.
fn compare_turned_away(
    known: &mut Answers<'_>,
    told: &Told,
    asked: &Asked,
    report: &mut AuditReport,
) {
    if matches!(told.status, 408 | 425 | 429) || told.status >= 500 {
        return;
    }
    known.refused = true;
    if known.acknowledged {
        report.find(Check::RetryDiffers, || {
            format!(
                "{}: accepted, and when repeated turned away with {} {:?}",
                name(asked),
                told.status,
                told.outcome
            )
        });
    }
}

/// Receipts that gave no outcome.
fn judge_receipts(evidence: &Evidence, answers: &[Answers<'_>], report: &mut AuditReport) {
    for (request, state) in &evidence.receipts {
        let Some(asked) = evidence.history.asked.get(*request as usize) else { continue };
        let known = &answers[*request as usize];
        if *state == ReceiptState::Unknown {
            report.find(Check::LostRequest, || {
                format!("{}: the server does not know its receipt", name(asked))
            });
        } else if known.first_decided.is_some() {
            report.find(Check::NoOutcome, || {
                format!("{}: its receipt shows no outcome any more", name(asked))
            });
        }
    }
    for (place, known) in answers.iter().enumerate() {
        if known.acknowledged && known.first_decided.is_none() {
            let asked = &evidence.history.asked[place];
            report.find(Check::NoOutcome, || {
                format!("{}: acknowledged and still without an outcome", name(asked))
            });
        }
    }
}

fn decision(known: &Answers<'_>, report: &mut AuditReport) -> Decision {
    report.acknowledged += u64::from(known.acknowledged);
    let Some(told) = known.first_decided else {
        if known.refused && !known.acknowledged {
            return Decision::Rejected;
        }
        report.never_acknowledged += u64::from(!known.acknowledged);
        return Decision::Unknown;
    };
    report.decided += 1;
    match told.outcome {
        Outcome::Confirmed => Decision::Confirmed { booking: told.booking, slot: told.slot },
        _ => Decision::Rejected,
    }
}
