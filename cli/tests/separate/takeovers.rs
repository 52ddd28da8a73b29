//! A standby goes on where the active one ended, whatever ended it.

use crate::support::Folder;
use crate::support::fleet::{Fleet, Kind};
use crate::support::world::{ACCEPTED, Person, furnish};

/// Nobody who lives is silent for so long, on a slow machine either.
const TAKEOVER_MS: &str = "8000";

#[test]
fn standbys_take_over_after_kill_9_and_everything_acknowledged_stands() {
    let folder = Folder::new("separate-takeover");
    let mut fleet = Fleet::new(&folder.0, broker::shared(1), "takeover.");
    fleet.set("ENGINE__TAKEOVER_MS", TAKEOVER_MS);
    fleet.set("NOTIFIER__TAKEOVER_MS", TAKEOVER_MS);
    let (engine, notifier, gateways) = fleet.start_all(&["gateway"]);
    let gateway = &gateways[0];
    let people: Vec<Person> = (1..=30).map(Person::numbered).collect();
    furnish(&gateway.operator, &fleet.token, &people);
    let sessions: Vec<_> = people.iter().map(|person| person.session(&gateway.public)).collect();
    for session in &sessions {
        assert_eq!(session.register().0, 201);
    }
    engine.wait_for_remark("engine", "active");
    notifier.wait_for_remark("notifier", "active");
    let second_engine = fleet.start(Kind::Engine, "engine-2");
    let second_notifier = fleet.start(Kind::Notifier, "notifier-2");
    second_engine.wait_for_remark("engine", "standby");
    second_notifier.wait_for_remark("notifier", "standby");

    let mut answers = Vec::new();
    for session in &sessions[..10] {
        answers.push(session.book(0, "key"));
    }
    engine.kill();
    notifier.kill();
    // Accepted while nobody decides, and decided by the standby.
    for session in &sessions[10..20] {
        let (status, accepted) = session.send_booking(1, "key");
        assert_eq!(status, ACCEPTED, "{accepted}");
    }
    second_engine.wait_for_remark("engine", "active");
    second_notifier.wait_for_remark("notifier", "active");
    for session in &sessions[20..] {
        answers.push(session.book(2, "key"));
    }
    assert!(answers.iter().all(|(status, _)| *status == 201), "{answers:?}");
    for session in &sessions {
        let (status, mine) = session.get("/v1/bookings/mine?period=2");
        assert_eq!(status, 200, "{mine}");
    }
    // The first engine comes back, behind the second.
    let first = fleet.start(Kind::Engine, "engine");
    first.wait_for_remark("engine", "standby");
    first.stop();
    second_engine.stop();
    second_notifier.stop();
    gateways.into_iter().for_each(|gateway| gateway.stop());
}
