//! Histories with one broken promise each, and what must be found.

use super::*;

#[test]
fn each_bad_history_is_found() {
    use Check::*;
    use ConfirmationKind::{Cancelled, Changed, Confirmed};
    let three_in_two = || {
        (1..=3u64).fold(Story::new(), |story, person| {
            story
                .ask(person, Action::Book(1))
                .confirmed(person + 9, 1)
                .shown(person, Some((person + 9, 1)))
        })
    };
    let full = Outcome::Rejected(Reason::named("slot_full"));
    let table: Vec<(&str, Story, Vec<Check>)> = vec![
        (
            "three bookings for two places",
            three_in_two().left(1, 0),
            vec![OversoldSlot, WrongPlacesLeft],
        ),
        (
            "three shown for two places, one never confirmed",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(2, Action::Book(1))
                .confirmed(11, 1)
                .ask(3, Action::Book(1))
                .shown(1, Some((10, 1)))
                .shown(2, Some((11, 1)))
                .shown(3, Some((12, 1)))
                .left(1, 0),
            vec![OversoldSlot, WrongPlacesLeft],
        ),
        (
            "three at once, in the stream only",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(2, Action::Book(1))
                .confirmed(11, 1)
                .ask(3, Action::Book(1))
                .confirmed(12, 1)
                .ask(3, Action::Cancel)
                .cancelled()
                .shown(1, Some((10, 1)))
                .shown(2, Some((11, 1)))
                .shown(3, None)
                .left(1, 0)
                .confirmation("a", Confirmed, 10, 1)
                .confirmation("b", Confirmed, 11, 1)
                .confirmation("c", Confirmed, 12, 1)
                .confirmation("d", Cancelled, 12, 1),
            vec![OversoldSlot],
        ),
        ("a place that vanished", one_booking().left(1, 0), vec![WrongPlacesLeft]),
        ("a place that was not taken", one_booking().left(1, 2), vec![WrongPlacesLeft]),
        (
            "a receipt unknown after a restart",
            Story::new().ask(1, Action::Book(1)).processing().receipt_state(ReceiptState::Unknown),
            vec![LostRequest, NoOutcome],
        ),
        (
            "a decided request unknown after a restart",
            one_booking().receipt_state(ReceiptState::Unknown),
            vec![LostRequest],
        ),
        (
            "a receipt that never leads anywhere",
            Story::new().ask(1, Action::Book(1)).processing(),
            vec![NoOutcome],
        ),
        (
            "a decided request whose receipt is silent",
            one_booking().receipt_state(ReceiptState::Unanswered),
            vec![NoOutcome],
        ),
        (
            "confirmed, and rejected by its receipt",
            one_booking().by_receipt(full, None, None),
            vec![OutcomeChanged],
        ),
        (
            "confirmed, and another booking by its receipt",
            one_booking().by_receipt(Outcome::Confirmed, Some(11), Some(1)),
            vec![OutcomeChanged],
        ),
        (
            "confirmed, and another slot by its receipt",
            one_booking().by_receipt(Outcome::Confirmed, Some(10), Some(2)),
            vec![OutcomeChanged],
        ),
        (
            "a retry with another outcome",
            one_booking().rejected("already_booked"),
            vec![OutcomeChanged, RetryDiffers],
        ),
        (
            "a retry with another booking",
            one_booking().confirmed(11, 1),
            vec![OutcomeChanged, RetryDiffers],
        ),
        (
            "a retry whose text differs",
            {
                let story = one_booking();
                let told =
                    Told { digest: 1, ..story.answer(201, Outcome::Confirmed, Some(10), Some(1)) };
                story.told(told)
            },
            vec![RetryDiffers],
        ),
        (
            "a retry turned away as sold out after it was confirmed",
            {
                let story = one_booking();
                let told = Told {
                    receipt: None,
                    ..story.answer(409, Outcome::TurnedAway(Reason::named("slot_full")), None, None)
                };
                story.told(told)
            },
            vec![RetryDiffers],
        ),
        (
            "a second receipt for one request",
            {
                let story = one_booking();
                let told = Told {
                    receipt: Some("other".into()),
                    ..story.answer(201, Outcome::Confirmed, Some(10), Some(1))
                };
                story.told(told)
            },
            vec![ReceiptNotUnique],
        ),
        (
            "one receipt for two requests",
            one_booking()
                .ask(2, Action::Book(2))
                .confirmed(11, 2)
                .shown(2, Some((11, 2)))
                .left(2, 1)
                .with(|evidence| {
                    evidence.history.told[1].receipt = evidence.history.told[0].receipt.clone()
                }),
            vec![ReceiptNotUnique],
        ),
        (
            "two bookings of one person",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(1, Action::Book(2))
                .confirmed(11, 2)
                .shown(1, Some((11, 2)))
                .left(2, 1),
            vec![TwoBookings],
        ),
        (
            "one booking number for two people",
            one_booking()
                .ask(2, Action::Book(2))
                .confirmed(10, 2)
                .shown(2, Some((10, 2)))
                .left(2, 1),
            vec![WrongBookingNumber],
        ),
        (
            "a move that changes the booking's number",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(1, Action::Move(2))
                .confirmed(11, 2)
                .shown(1, Some((11, 2)))
                .left(2, 1),
            vec![WrongBookingNumber],
        ),
        (
            "another slot than asked for",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 2)
                .shown(1, Some((10, 1)))
                .left(1, 1),
            vec![WrongSlot],
        ),
        (
            "a cancellation of nothing",
            Story::new().ask(1, Action::Cancel).cancelled().shown(1, None),
            vec![NothingToChange],
        ),
        (
            "a move of nothing",
            Story::new()
                .ask(1, Action::Move(1))
                .confirmed(10, 1)
                .shown(1, Some((10, 1)))
                .left(1, 1),
            vec![NothingToChange],
        ),
        (
            "a confirmed booking not shown",
            Story::new().ask(1, Action::Book(1)).confirmed(10, 1).shown(1, None).left(1, 1),
            vec![BookingNotShown],
        ),
        (
            "another booking shown",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .shown(1, Some((11, 1)))
                .left(1, 1),
            vec![BookingNotShown],
        ),
        (
            "the old slot shown after a move",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(1, Action::Move(2))
                .confirmed(10, 2)
                .shown(1, Some((10, 1)))
                .left(1, 2)
                .left(2, 1),
            vec![BookingNotShown, WrongPlacesLeft],
        ),
        (
            "a booking shown after a refusal",
            Story::new()
                .ask(1, Action::Book(1))
                .rejected("slot_full")
                .shown(1, Some((10, 1)))
                .left(1, 1),
            vec![BookingUnasked],
        ),
        (
            "a booking shown after being turned away",
            Story::new().ask(1, Action::Book(1)).turned_away().shown(1, Some((10, 1))),
            vec![BookingUnasked, WrongPlacesLeft],
        ),
        (
            "a booking shown after its cancellation",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(1, Action::Cancel)
                .cancelled()
                .shown(1, Some((10, 1)))
                .left(1, 1),
            vec![BookingUnasked],
        ),
        (
            "no confirmation",
            one_booking().with(|evidence| evidence.confirmations = Some(Vec::new())),
            vec![ConfirmationMissing],
        ),
        (
            "two confirmations of one decision",
            one_booking_told().confirmation("0-6-0", Confirmed, 10, 1).message("0-6-0"),
            vec![ConfirmationDoubled],
        ),
        (
            "one confirmation twice",
            one_booking_told().confirmation("0-5-0", Confirmed, 10, 1),
            vec![ConfirmationDoubled],
        ),
        (
            "a confirmation of a change that was not decided",
            one_booking_told().confirmation("0-6-0", Changed, 10, 1),
            vec![ConfirmationUnasked],
        ),
        (
            "a cancellation without its confirmation",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(1, Action::Cancel)
                .cancelled()
                .shown(1, None)
                .confirmation("a", Confirmed, 10, 1),
            vec![ConfirmationMissing],
        ),
        (
            "no text message",
            one_booking_told().with(|evidence| evidence.messages = Some(Vec::new())),
            vec![MessageMissing],
        ),
        ("two text messages", one_booking_told().message("0-5-0"), vec![MessageDoubled]),
    ];
    for (name, story, wanted) in table {
        let mut wanted = wanted;
        wanted.sort();
        let found = story.checks();
        for check in &wanted {
            assert!(
                found.contains(check),
                "{name}: {check:?} not found, but {:?}",
                audit(&story.evidence).findings
            );
        }
        let allowed = found.iter().all(|check| wanted.contains(check));
        assert!(allowed, "{name}: wanted {wanted:?}, found {:?}", audit(&story.evidence).findings);
        assert!(!audit(&story.evidence).passed, "{name}");
    }
}
