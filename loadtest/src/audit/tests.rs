//! Good and bad histories: each bad one must be caught, no good one accused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad;
mod good;

use super::*;
use crate::answer::{Outcome, Reason};
use crate::history::{Action, Asked, Source, Told};

/// Builds evidence the way a run would have left it.
#[derive(Clone, Default)]
struct Story {
    evidence: Evidence,
}

impl Story {
    fn new() -> Story {
        let slot = |number| SlotFacts { number, capacity: 2, left_before: 2, left_after: Some(2) };
        Story {
            evidence: Evidence {
                slots: vec![slot(1), slot(2)],
                alone: true,
                ..Evidence::default()
            },
        }
    }

    fn ask(mut self, person: u64, action: Action) -> Story {
        let ordinal =
            self.evidence.history.asked.iter().filter(|asked| asked.person == person).count()
                as u16;
        self.evidence.history.asked.push(Asked { person, ordinal, action });
        self
    }

    fn last(&self) -> u32 {
        self.evidence.history.asked.len() as u32 - 1
    }

    fn told(mut self, told: Told) -> Story {
        self.evidence.history.told.push(told);
        self
    }

    fn answer(
        &self,
        status: u16,
        outcome: Outcome,
        booking: Option<u64>,
        slot: Option<u32>,
    ) -> Told {
        let request = self.last();
        let receipt = Some(format!("receipt-{request}").into_boxed_str());
        let digest =
            u64::from(status) << 32 | booking.unwrap_or(9_999) << 8 | u64::from(slot.unwrap_or(0));
        Told { request, source: Source::Send, status, outcome, receipt, booking, slot, digest }
    }

    fn confirmed(self, booking: u64, slot: u32) -> Story {
        let told = self.answer(201, Outcome::Confirmed, Some(booking), Some(slot));
        self.told(told)
    }

    fn cancelled(self) -> Story {
        let told = self.answer(200, Outcome::Confirmed, None, None);
        self.told(told)
    }

    fn rejected(self, reason: &str) -> Story {
        let told = self.answer(409, Outcome::Rejected(Reason::named(reason)), None, None);
        self.told(told)
    }

    fn turned_away(self) -> Story {
        let outcome = Outcome::TurnedAway(Reason::named("slot_full"));
        let told = Told { receipt: None, ..self.answer(409, outcome, None, None) };
        self.told(told)
    }

    fn processing(self) -> Story {
        let told = self.answer(202, Outcome::Processing, None, None);
        self.told(told)
    }

    fn by_receipt(self, outcome: Outcome, booking: Option<u64>, slot: Option<u32>) -> Story {
        let told = Told {
            source: Source::Receipt,
            receipt: None,
            status: 200,
            digest: 0,
            ..self.answer(200, outcome, booking, slot)
        };
        self.told(told)
    }

    fn shown(mut self, person: u64, booking: Option<(u64, u32)>) -> Story {
        self.evidence.shown.push(Shown { person, booking });
        self
    }

    fn left(mut self, slot: u32, left: u32) -> Story {
        let facts = self.evidence.slots.iter_mut().find(|facts| facts.number == slot).unwrap();
        facts.left_after = Some(left);
        self
    }

    fn receipt_state(mut self, state: ReceiptState) -> Story {
        let request = self.last();
        self.evidence.receipts.push((request, state));
        self
    }

    fn confirmation(mut self, id: &str, kind: ConfirmationKind, booking: u64, slot: u32) -> Story {
        let confirmation = Confirmation { id: id.to_owned(), kind, booking, slot };
        self.evidence.confirmations.get_or_insert_default().push(confirmation);
        self
    }

    fn message(mut self, reference: &str) -> Story {
        self.evidence
            .messages
            .get_or_insert_default()
            .push(TextMessage { reference: reference.to_owned() });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Evidence)) -> Story {
        change(&mut self.evidence);
        self
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> =
            audit(&self.evidence).findings.iter().map(|finding| finding.check).collect();
        checks.sort();
        checks.dedup();
        checks
    }
}

/// One person booked slot 1 as booking 10.
fn one_booking() -> Story {
    Story::new().ask(1, Action::Book(1)).confirmed(10, 1).shown(1, Some((10, 1))).left(1, 1)
}

/// The same, with its confirmation and text message.
fn one_booking_told() -> Story {
    one_booking().confirmation("0-5-0", ConfirmationKind::Confirmed, 10, 1).message("0-5-0")
}

#[test]
fn every_kind_of_finding_appears_in_the_table_of_bad_histories() {
    // This list must grow with the enumeration.
    let source = include_str!("tests/bad.rs");
    let names = [
        "OversoldSlot",
        "WrongPlacesLeft",
        "LostRequest",
        "NoOutcome",
        "OutcomeChanged",
        "RetryDiffers",
        "ReceiptNotUnique",
        "TwoBookings",
        "WrongBookingNumber",
        "WrongSlot",
        "NothingToChange",
        "BookingNotShown",
        "BookingUnasked",
        "ConfirmationMissing",
        "ConfirmationDoubled",
        "ConfirmationUnasked",
        "MessageMissing",
        "MessageDoubled",
    ];
    for name in names {
        assert!(source.contains(name), "{name} has no bad history");
    }
}

#[test]
fn findings_are_all_counted_and_some_described() {
    let story = (0..500u64)
        .fold(Story::new(), |story, person| story.ask(person, Action::Book(1)).processing());
    let report = audit(&story.evidence);
    assert_eq!(report.findings_total, 500);
    assert_eq!(report.findings_by_check["no_outcome"], 500);
    assert_eq!(report.findings.len(), FINDINGS_SHOWN_MAX);
    assert_eq!((report.requests, report.acknowledged, report.decided), (500, 500, 0));
}
