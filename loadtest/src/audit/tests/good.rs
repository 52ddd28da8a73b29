//! Histories in which every promise was kept.

use super::*;

#[test]
fn good_histories_pass() {
    let table = [
        ("nothing", Story::new()),
        ("one booking", one_booking()),
        ("one booking, its confirmation and its message", one_booking_told()),
        (
            "accepted, then confirmed by the receipt",
            Story::new()
                .ask(1, Action::Book(1))
                .processing()
                .by_receipt(Outcome::Confirmed, Some(10), Some(1))
                .shown(1, Some((10, 1)))
                .left(1, 1),
        ),
        ("a repeated request with the same answer", one_booking().confirmed(10, 1)),
        (
            "a repeated request turned away for a while",
            one_booking().told(Told {
                request: 0,
                source: Source::Send,
                status: 503,
                outcome: Outcome::TurnedAway(Reason::named("unavailable")),
                receipt: None,
                booking: None,
                slot: None,
                digest: 0,
            }),
        ),
        (
            "full, then another slot",
            Story::new()
                .ask(1, Action::Book(1))
                .rejected("slot_full")
                .ask(1, Action::Book(2))
                .confirmed(10, 2)
                .shown(1, Some((10, 2)))
                .left(2, 1),
        ),
        (
            "booked, moved, cancelled, booked anew",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(1, Action::Move(2))
                .confirmed(10, 2)
                .ask(1, Action::Cancel)
                .cancelled()
                .ask(1, Action::Book(1))
                .confirmed(11, 1)
                .shown(1, Some((11, 1)))
                .left(1, 1)
                .confirmation("0-1-0", ConfirmationKind::Confirmed, 10, 1)
                .confirmation("0-2-0", ConfirmationKind::Changed, 10, 2)
                .confirmation("0-3-0", ConfirmationKind::Cancelled, 10, 2)
                .confirmation("0-4-0", ConfirmationKind::Confirmed, 11, 1)
                .message("0-1-0")
                .message("0-2-0")
                .message("0-3-0")
                .message("0-4-0"),
        ),
        (
            "two open pages, one booking",
            Story::new()
                .ask(1, Action::Book(1))
                .rejected("already_booked")
                .ask(1, Action::Book(2))
                .confirmed(10, 2)
                .shown(1, Some((10, 2)))
                .left(2, 1),
        ),
        (
            "a request turned away and its person without a booking",
            Story::new().ask(1, Action::Book(1)).turned_away().shown(1, None),
        ),
        (
            "a request never acknowledged, decided or not",
            Story::new().ask(1, Action::Book(1)).shown(1, Some((10, 1))).left(1, 1),
        ),
        (
            "a full slot",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(2, Action::Book(1))
                .confirmed(11, 1)
                .shown(1, Some((10, 1)))
                .shown(2, Some((11, 1)))
                .left(1, 0),
        ),
        (
            "a place freed and taken again",
            Story::new()
                .ask(1, Action::Book(1))
                .confirmed(10, 1)
                .ask(2, Action::Book(1))
                .confirmed(11, 1)
                .ask(1, Action::Cancel)
                .cancelled()
                .ask(3, Action::Book(1))
                .confirmed(12, 1)
                .shown(1, None)
                .shown(2, Some((11, 1)))
                .shown(3, Some((12, 1)))
                .left(1, 0)
                .confirmation("a", ConfirmationKind::Confirmed, 10, 1)
                .confirmation("b", ConfirmationKind::Confirmed, 11, 1)
                .confirmation("c", ConfirmationKind::Cancelled, 10, 1)
                .confirmation("d", ConfirmationKind::Confirmed, 12, 1),
        ),
        (
            "others book at the same time",
            one_booking().left(1, 0).with(|evidence| evidence.alone = false),
        ),
    ];
    for (name, story) in table {
        let report = audit(&story.evidence);
        assert!(report.passed, "{name}: {:?}", report.findings);
    }
}
