#![allow(clippy::unwrap_used, clippy::expect_used)]

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
        Story { evidence: Evidence { slots: vec![slot(1), slot(2)], alone: true, ..Evidence::default() } }
    }

    fn ask(mut self, person: u64, action: Action) -> Story {
        let ordinal = self.evidence.history.asked.iter().filter(|asked| asked.person == person).count() as u16;
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

    fn answer(&self, status: u16, outcome: Outcome, booking: Option<u64>, slot: Option<u32>) -> Told {
        let request = self.last();
        let receipt = Some(format!("receipt-{request}").into_boxed_str());
        let digest = u64::from(status) << 32 | booking.unwrap_or(9_999) << 8 | u64::from(slot.unwrap_or(0));
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
        let told = Told { source: Source::Receipt, receipt: None, status: 200, digest: 0, ..self.answer(200, outcome, booking, slot) };
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
        self.evidence.messages.get_or_insert_default().push(TextMessage { reference: reference.to_owned() });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Evidence)) -> Story {
        change(&mut self.evidence);
        self
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = audit(&self.evidence).findings.iter().map(|finding| finding.check).collect();
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
fn good_histories_pass() {
    let table = [
        ("nothing", Story::new()),
        ("one booking", one_booking()),
        ("one booking, its confirmation and its message", one_booking_told()),
        (
            "accepted, then confirmed by the receipt",
            Story::new().ask(1, Action::Book(1)).processing().by_receipt(Outcome::Confirmed, Some(10), Some(1)).shown(1, Some((10, 1))).left(1, 1),
        ),
        ("a repeated request with the same answer", one_booking().confirmed(10, 1)),
        ("a repeated request turned away for a while", one_booking().told(Told {
            request: 0, source: Source::Send, status: 503, outcome: Outcome::TurnedAway(Reason::named("unavailable")),
            receipt: None, booking: None, slot: None, digest: 0,
        })),
        (
            "full, then another slot",
            Story::new().ask(1, Action::Book(1)).rejected("slot_full").ask(1, Action::Book(2)).confirmed(10, 2).shown(1, Some((10, 2))).left(2, 1),
        ),
        (
            "booked, moved, cancelled, booked anew",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(1, Action::Move(2)).confirmed(10, 2)
                .ask(1, Action::Cancel).cancelled().ask(1, Action::Book(1)).confirmed(11, 1)
                .shown(1, Some((11, 1))).left(1, 1)
                .confirmation("0-1-0", ConfirmationKind::Confirmed, 10, 1).confirmation("0-2-0", ConfirmationKind::Changed, 10, 2)
                .confirmation("0-3-0", ConfirmationKind::Cancelled, 10, 2).confirmation("0-4-0", ConfirmationKind::Confirmed, 11, 1)
                .message("0-1-0").message("0-2-0").message("0-3-0").message("0-4-0"),
        ),
        (
            "two open pages, one booking",
            Story::new().ask(1, Action::Book(1)).rejected("already_booked").ask(1, Action::Book(2)).confirmed(10, 2).shown(1, Some((10, 2))).left(2, 1),
        ),
        ("a request turned away and its person without a booking", Story::new().ask(1, Action::Book(1)).turned_away().shown(1, None)),
        ("a request never acknowledged, decided or not", Story::new().ask(1, Action::Book(1)).shown(1, Some((10, 1))).left(1, 1)),
        (
            "a full slot",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(2, Action::Book(1)).confirmed(11, 1)
                .shown(1, Some((10, 1))).shown(2, Some((11, 1))).left(1, 0),
        ),
        (
            "a place freed and taken again",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(2, Action::Book(1)).confirmed(11, 1)
                .ask(1, Action::Cancel).cancelled().ask(3, Action::Book(1)).confirmed(12, 1)
                .shown(1, None).shown(2, Some((11, 1))).shown(3, Some((12, 1))).left(1, 0)
                .confirmation("a", ConfirmationKind::Confirmed, 10, 1).confirmation("b", ConfirmationKind::Confirmed, 11, 1)
                .confirmation("c", ConfirmationKind::Cancelled, 10, 1).confirmation("d", ConfirmationKind::Confirmed, 12, 1),
        ),
        ("others book at the same time", one_booking().left(1, 0).with(|evidence| evidence.alone = false)),
    ];
    for (name, story) in table {
        let report = audit(&story.evidence);
        assert!(report.passed, "{name}: {:?}", report.findings);
    }
}

#[test]
fn each_bad_history_is_found() {
    use Check::*;
    use ConfirmationKind::{Cancelled, Changed, Confirmed};
    let three_in_two = || {
        (1..=3u64).fold(Story::new(), |story, person| {
            story.ask(person, Action::Book(1)).confirmed(person + 9, 1).shown(person, Some((person + 9, 1)))
        })
    };
    let full = Outcome::Rejected(Reason::named("slot_full"));
    let table: Vec<(&str, Story, Vec<Check>)> = vec![
        ("three bookings for two places", three_in_two().left(1, 0), vec![OversoldSlot, WrongPlacesLeft]),
        (
            "three shown for two places, one never confirmed",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(2, Action::Book(1)).confirmed(11, 1).ask(3, Action::Book(1))
                .shown(1, Some((10, 1))).shown(2, Some((11, 1))).shown(3, Some((12, 1))).left(1, 0),
            vec![OversoldSlot, WrongPlacesLeft],
        ),
        (
            "three at once, in the stream only",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(2, Action::Book(1)).confirmed(11, 1).ask(3, Action::Book(1)).confirmed(12, 1)
                .ask(3, Action::Cancel).cancelled().shown(1, Some((10, 1))).shown(2, Some((11, 1))).shown(3, None).left(1, 0)
                .confirmation("a", Confirmed, 10, 1).confirmation("b", Confirmed, 11, 1)
                .confirmation("c", Confirmed, 12, 1).confirmation("d", Cancelled, 12, 1),
            vec![OversoldSlot],
        ),
        ("a place that vanished", one_booking().left(1, 0), vec![WrongPlacesLeft]),
        ("a place that was not taken", one_booking().left(1, 2), vec![WrongPlacesLeft]),
        (
            "a receipt unknown after a restart",
            Story::new().ask(1, Action::Book(1)).processing().receipt_state(ReceiptState::Unknown),
            vec![LostRequest, NoOutcome],
        ),
        ("a decided request unknown after a restart", one_booking().receipt_state(ReceiptState::Unknown), vec![LostRequest]),
        ("a receipt that never leads anywhere", Story::new().ask(1, Action::Book(1)).processing(), vec![NoOutcome]),
        ("a decided request whose receipt is silent", one_booking().receipt_state(ReceiptState::Unanswered), vec![NoOutcome]),
        ("confirmed, and rejected by its receipt", one_booking().by_receipt(full, None, None), vec![OutcomeChanged]),
        ("confirmed, and another booking by its receipt", one_booking().by_receipt(Outcome::Confirmed, Some(11), Some(1)), vec![OutcomeChanged]),
        ("confirmed, and another slot by its receipt", one_booking().by_receipt(Outcome::Confirmed, Some(10), Some(2)), vec![OutcomeChanged]),
        ("a retry with another outcome", one_booking().rejected("already_booked"), vec![OutcomeChanged, RetryDiffers]),
        ("a retry with another booking", one_booking().confirmed(11, 1), vec![OutcomeChanged, RetryDiffers]),
        (
            "a retry whose text differs",
            { let story = one_booking(); let told = Told { digest: 1, ..story.answer(201, Outcome::Confirmed, Some(10), Some(1)) }; story.told(told) },
            vec![RetryDiffers],
        ),
        (
            "a retry turned away as sold out after it was confirmed",
            { let story = one_booking(); let told = Told { receipt: None, ..story.answer(409, Outcome::TurnedAway(Reason::named("slot_full")), None, None) }; story.told(told) },
            vec![RetryDiffers],
        ),
        (
            "a second receipt for one request",
            { let story = one_booking(); let told = Told { receipt: Some("other".into()), ..story.answer(201, Outcome::Confirmed, Some(10), Some(1)) }; story.told(told) },
            vec![ReceiptNotUnique],
        ),
        (
            "one receipt for two requests",
            one_booking().ask(2, Action::Book(2)).confirmed(11, 2).shown(2, Some((11, 2))).left(2, 1)
                .with(|evidence| evidence.history.told[1].receipt = evidence.history.told[0].receipt.clone()),
            vec![ReceiptNotUnique],
        ),
        (
            "two bookings of one person",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(1, Action::Book(2)).confirmed(11, 2).shown(1, Some((11, 2))).left(2, 1),
            vec![TwoBookings],
        ),
        (
            "one booking number for two people",
            one_booking().ask(2, Action::Book(2)).confirmed(10, 2).shown(2, Some((10, 2))).left(2, 1),
            vec![WrongBookingNumber],
        ),
        (
            "a move that changes the booking's number",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(1, Action::Move(2)).confirmed(11, 2).shown(1, Some((11, 2))).left(2, 1),
            vec![WrongBookingNumber],
        ),
        ("another slot than asked for", Story::new().ask(1, Action::Book(1)).confirmed(10, 2).shown(1, Some((10, 1))).left(1, 1), vec![WrongSlot]),
        ("a cancellation of nothing", Story::new().ask(1, Action::Cancel).cancelled().shown(1, None), vec![NothingToChange]),
        ("a move of nothing", Story::new().ask(1, Action::Move(1)).confirmed(10, 1).shown(1, Some((10, 1))).left(1, 1), vec![NothingToChange]),
        ("a confirmed booking not shown", Story::new().ask(1, Action::Book(1)).confirmed(10, 1).shown(1, None).left(1, 1), vec![BookingNotShown]),
        ("another booking shown", Story::new().ask(1, Action::Book(1)).confirmed(10, 1).shown(1, Some((11, 1))).left(1, 1), vec![BookingNotShown]),
        ("the old slot shown after a move", Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(1, Action::Move(2)).confirmed(10, 2).shown(1, Some((10, 1))).left(1, 2).left(2, 1), vec![BookingNotShown, WrongPlacesLeft]),
        ("a booking shown after a refusal", Story::new().ask(1, Action::Book(1)).rejected("slot_full").shown(1, Some((10, 1))).left(1, 1), vec![BookingUnasked]),
        ("a booking shown after being turned away", Story::new().ask(1, Action::Book(1)).turned_away().shown(1, Some((10, 1))), vec![BookingUnasked, WrongPlacesLeft]),
        ("a booking shown after its cancellation", Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(1, Action::Cancel).cancelled().shown(1, Some((10, 1))).left(1, 1), vec![BookingUnasked]),
        ("no confirmation", one_booking().with(|evidence| evidence.confirmations = Some(Vec::new())), vec![ConfirmationMissing]),
        (
            "two confirmations of one decision",
            one_booking_told().confirmation("0-6-0", Confirmed, 10, 1).message("0-6-0"),
            vec![ConfirmationDoubled],
        ),
        ("one confirmation twice", one_booking_told().confirmation("0-5-0", Confirmed, 10, 1), vec![ConfirmationDoubled]),
        ("a confirmation of a change that was not decided", one_booking_told().confirmation("0-6-0", Changed, 10, 1), vec![ConfirmationUnasked]),
        ("a cancellation without its confirmation",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).ask(1, Action::Cancel).cancelled().shown(1, None).confirmation("a", Confirmed, 10, 1),
            vec![ConfirmationMissing]),
        ("no text message", one_booking_told().with(|evidence| evidence.messages = Some(Vec::new())), vec![MessageMissing]),
        ("two text messages", one_booking_told().message("0-5-0"), vec![MessageDoubled]),
    ];
    for (name, story, wanted) in table {
        let mut wanted = wanted;
        wanted.sort();
        let found = story.checks();
        for check in &wanted {
            assert!(found.contains(check), "{name}: {check:?} not found, but {:?}", audit(&story.evidence).findings);
        }
        let allowed = found.iter().all(|check| wanted.contains(check));
        assert!(allowed, "{name}: wanted {wanted:?}, found {:?}", audit(&story.evidence).findings);
        assert!(!audit(&story.evidence).passed, "{name}");
    }
}

#[test]
fn every_kind_of_finding_appears_in_the_table_of_bad_histories() {
    // The table above names them; this list must grow with the enumeration.
    let source = include_str!("tests.rs");
    let names = [
        "OversoldSlot", "WrongPlacesLeft", "LostRequest", "NoOutcome", "OutcomeChanged", "RetryDiffers", "ReceiptNotUnique",
        "TwoBookings", "WrongBookingNumber", "WrongSlot", "NothingToChange", "BookingNotShown", "BookingUnasked",
        "ConfirmationMissing", "ConfirmationDoubled", "ConfirmationUnasked", "MessageMissing", "MessageDoubled",
    ];
    for name in names {
        assert!(source.matches(name).count() >= 2, "{name} has no bad history");
    }
}

#[test]
fn findings_are_all_counted_and_some_described() {
    let story = (0..500u64).fold(Story::new(), |story, person| story.ask(person, Action::Book(1)).processing());
    let report = audit(&story.evidence);
    assert_eq!(report.findings_total, 500);
    assert_eq!(report.findings_by_check["no_outcome"], 500);
    assert_eq!(report.findings.len(), FINDINGS_SHOWN_MAX);
    assert_eq!((report.requests, report.acknowledged, report.decided), (500, 500, 0));
}
