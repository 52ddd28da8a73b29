//! Moving house: a stopped installation of one machine goes on, on Kafka, as if nothing had happened.

use std::process::Output;

use crate::support::fleet::{Fleet, Kind, Member};
use crate::support::world::{Person, Session, furnish};
use crate::support::{Folder, wait_until};

#[test]
fn an_installation_moves_to_kafka_with_everything_it_promised() {
    let folder = Folder::new("separate-moving");
    let cluster = broker::shared(1);
    let mut fleet = Fleet::unmade(&folder.0, cluster.bootstrap(), "moved.").patient();
    let people: Vec<Person> = (1..=12).map(Person::numbered).collect();
    let before = embedded(&mut fleet);
    furnish(&before.operator, &fleet.token, &people);
    let sessions: Vec<Session> = people.iter().map(|one| one.session(&before.public)).collect();
    let mut receipts = Vec::new();
    for session in &sessions[..10] {
        assert_eq!(session.register().0, 201);
        let (status, booked) = session.book(0, "before");
        assert_eq!(status, 201, "{booked}");
        receipts.push(booked["receipt"].as_str().unwrap().to_owned());
    }
    wait_until("every text is written", || fleet.texts().len() == receipts.len());

    assert_says(&migrate(&fleet), 1, "in use by another process");
    before.stop();
    assert_says(&migrate(&fleet), 78, "admin topics create");
    fleet.make_topics();
    let moved = migrate(&fleet);
    assert_says(&moved, 0, "everything came over");
    let said = String::from_utf8(moved.stdout).unwrap();
    let line = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!(line("before:"), line("after:"), "{said}");
    assert!(line("after:").is_some_and(|line| line.contains("digest")), "{said}");
    assert_says(&migrate(&fleet), 78, "only an empty installation can be filled");

    // All parts in one process again, on the topics this time.
    let after = fleet.start(Kind::Run, "after");
    after.wait_for_remark("engine", "active");
    for (session, receipt) in sessions.iter().zip(&receipts) {
        let there = session.at(&after.public);
        let (status, outcome) = there.outcome(receipt);
        assert_eq!((status, &outcome["outcome"]), (200, &"confirmed".into()), "{outcome}");
        let (status, again) = there.book(0, "before");
        assert_eq!(status, 201, "a retry meets its first answer: {again}");
        let (status, refused) = there.book(1, "after");
        assert_eq!((status, &refused["reason"]), (409, &"already_booked".into()), "{refused}");
    }
    for session in &sessions[10..] {
        let there = session.at(&after.public);
        assert_eq!(there.register().0, 201);
        assert_eq!(there.book(2, "after").0, 201);
    }
    wait_until("the new texts are written", || fleet.texts().len() >= people.len());
    after.stop();
    assert_eq!(fleet.texts().len(), people.len(), "nothing is sent twice");
    let (status, found) = fleet.replay();
    assert!(status.success() && found["matches"] == true, "{found}");
}

fn embedded(fleet: &mut Fleet) -> Member {
    fleet.set("JOURNAL_KIND", "embedded");
    let member = fleet.start(Kind::Run, "before");
    fleet.environment.pop();
    member
}

fn migrate(fleet: &Fleet) -> Output {
    let data = fleet.folder.join("before");
    fleet.admin(&["migrate", "--data", data.to_str().unwrap()])
}

fn assert_says(output: &Output, code: i32, words: &str) {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(words), "no {words:?} in: {said}");
}
