//! The public messages: complete, in order, the same each time, readable from anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../loadtest/tests/json_schema/mod.rs"]
mod json_schema;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::codec::EventGroup;
use domain::{Event, EventId, Sequence, View};
use journal::Journal;
use json_schema::check;
use notifier::confirmations::{Confirmation, Directory, Reader, Resolved};
use notifier::publishing::MemoryTopic;
use serde_json::Value;
use world::told::CONSUMER;
use world::*;

/// A view and contact data, as a gateway has them.
struct Desk {
    view: View,
    contacts: BTreeMap<u32, Vec<u8>>,
}

impl Desk {
    fn of(world: &World) -> Desk {
        let mut desk = Desk { view: View::new(), contacts: BTreeMap::new() };
        for bytes in &world.groups {
            let group = EventGroup::decode(bytes).unwrap();
            for command in group.commands() {
                let command = command.unwrap();
                for event in &command.events {
                    desk.view.absorb(command.sequence, group.at, event);
                    if let Event::Registered { person, sealed, .. }
                    | Event::Modified { person, sealed, .. } = event
                    {
                        desk.contacts.insert(person.0, sealed.clone());
                    }
                }
                desk.view.advance(command.sequence, group.at);
            }
        }
        desk
    }
}

impl Directory for Desk {
    fn sequence(&self) -> Sequence {
        self.view.sequence()
    }

    fn resolve(
        &self,
        confirmations: &[Confirmation],
        with_contact: bool,
    ) -> Result<Vec<Resolved>, String> {
        let resolve = |confirmation: &Confirmation| {
            let mut resolved = confirmation.resolve(&self.view)?;
            if with_contact {
                resolved.sealed = self.contacts.get(&confirmation.person.0).cloned();
            }
            Ok(resolved)
        };
        confirmations.iter().map(resolve).collect()
    }
}

fn lines(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id(line: &Value) -> EventId {
    line["id"].as_str().unwrap().parse().unwrap()
}

#[test]
fn each_booking_confirmed_changed_or_cancelled_is_one_message() {
    let mut world = World::with_consumer(1);
    world.register(7, 1);
    world.book(7, 0);
    world.move_to(7, 0);
    world.move_to(7, 3);
    world.cancel(7);
    world.cut();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(1));
    world.pour(&*journal);
    let desk = Desk::of(&world);
    let reader = Reader::new(Arc::clone(&journal), Arc::clone(&world.vault));
    let mut out = Vec::new();
    let page = reader.read(&desk, None, usize::MAX, &mut out).unwrap();
    let lines = lines(&out);
    assert_eq!((page.lines, page.is_end, lines.len()), (3, true, 3));
    assert_eq!(page.last, Some(id(&lines[2])));
    let first = &lines[0];
    let sequence = id(first).sequence.0;
    let mut shown = first.clone();
    let contact = shown["contact"].take();
    let expected = serde_json::json!({
        "id": format!("0-{sequence}-0"), "type": "confirmed", "at": shown["at"], "period": 2,
        "booking": 0, "site": "63000070-C00", "slot": 0,
        "starts_at": "2021-07-13T09:00:00+08:00", "vaccine": "AZ", "language": "zh-TW",
        "contact": null
    });
    assert_eq!(shown, expected);
    assert!(shown["at"].as_str().unwrap().starts_with("2021-07-12T10:00:00."));
    let plain =
        vault::consumer::open(&CONSUMER, &format!("0-{sequence}-0"), contact.as_str().unwrap());
    let plain: Value = serde_json::from_slice(&plain.unwrap()).unwrap();
    assert_eq!(plain["phone"], "0900000701");
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["confirmed", "changed", "cancelled"]);
    assert_eq!((&lines[1]["slot"], &lines[1]["vaccine"]), (&3.into(), &"Moderna".into()));
    // Read again, the bytes are the same.
    let mut again = Vec::new();
    Reader::new(journal, Arc::clone(&world.vault)).read(&desk, None, 10, &mut again).unwrap();
    assert_eq!(out, again);
}

#[test]
fn pages_of_any_size_from_any_id_give_the_same_stream() {
    let mut world = World::new(2);
    world.live(40, 6_000);
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(2));
    world.pour(&*journal);
    let desk = Desk::of(&world);
    let reader = Reader::new(journal, Arc::clone(&world.vault));
    let mut whole = Vec::new();
    reader.read(&desk, None, usize::MAX, &mut whole).unwrap();
    let all = lines(&whole);
    let references: Vec<String> = world.owed("").into_iter().map(|owed| owed.reference).collect();
    let ids: Vec<String> = all.iter().map(|line| id(line).to_string()).collect();
    assert_eq!(ids, references, "the same events as the texts");
    assert!(all.len() > 1_000);
    for size in [1, 7, 1_000] {
        let (mut after, mut out) = (None, Vec::new());
        loop {
            let page = reader.read(&desk, after, size, &mut out).unwrap();
            assert!(page.lines <= size);
            if page.lines == 0 {
                assert!(page.is_end);
                break;
            }
            after = page.last;
        }
        assert_eq!(out, whole, "pages of {size}");
    }
    // From ids that are no confirmation's, and from far ahead.
    for sequence in (0..world.last() + 50).step_by(97) {
        for index in [0, 1, u16::MAX] {
            let after = EventId::new(Sequence(sequence), index);
            let mut out = Vec::new();
            reader.read(&desk, Some(after), 3, &mut out).unwrap();
            let expected: Vec<&Value> =
                all.iter().filter(|line| id(line) > after).take(3).collect();
            assert_eq!(lines(&out).iter().collect::<Vec<_>>(), expected, "after {after}");
        }
    }
}

#[test]
fn nothing_is_published_that_the_view_has_not_seen() {
    let mut world = World::new(3);
    world.live(20, 300);
    let desk = Desk::of(&world);
    let seen = world.owed("").len();
    world.live(20, 300);
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(3));
    world.pour(&*journal);
    let reader = Reader::new(journal, Arc::clone(&world.vault));
    let mut out = Vec::new();
    let page = reader.read(&desk, None, usize::MAX, &mut out).unwrap();
    assert_eq!((page.lines, page.is_end), (seen, true));
    assert!(world.owed("").len() > seen);
}

#[test]
fn without_a_consumer_no_contact_is_published() {
    let mut world = World::new(4);
    world.live(20, 300);
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(4));
    world.pour(&*journal);
    let reader = Reader::new(journal, Arc::clone(&world.vault));
    let mut out = Vec::new();
    reader.read(&Desk::of(&world), None, usize::MAX, &mut out).unwrap();
    assert!(lines(&out).iter().all(|line| line["contact"].is_null()));
}

#[test]
fn messages_are_as_the_schema_says_and_nothing_else_is() {
    let schema: Value = serde_json::from_str(include_str!("../schema/confirmation.json")).unwrap();
    let conforms = |message: &Value| check(&schema, &schema, message, "");
    let mut world = World::with_consumer(5);
    world.live(20, 400);
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(5));
    world.pour(&*journal);
    let mut out = Vec::new();
    let reader = Reader::new(journal, Arc::clone(&world.vault));
    reader.read(&Desk::of(&world), None, usize::MAX, &mut out).unwrap();
    let lines = lines(&out);
    assert!(lines.iter().any(|line| line["contact"].is_string()));
    for line in &lines {
        conforms(line).unwrap();
    }
    let languages = schema["properties"]["language"]["enum"].clone();
    assert_eq!(languages, serde_json::json!(notifier::LANGUAGE_TAGS));
    type Change = fn(&mut Value);
    let broken: [(&str, Change); 8] = [
        ("id", |message| message["id"] = "0-07-0".into()),
        ("type", |message| message["type"] = "moved".into()),
        ("at", |message| message["at"] = "yesterday".into()),
        ("period", |message| message["period"] = 0.into()),
        ("period", |message| message["period"] = 65_536.into()),
        ("contact", |message| message["contact"] = "a+b".into()),
        ("phone", |message| message["phone"] = "0912345678".into()),
        ("site", |message| drop(message.as_object_mut().unwrap().remove("site"))),
    ];
    for (field, change) in broken {
        let mut message = lines[0].clone();
        change(&mut message);
        let refused = conforms(&message).unwrap_err();
        assert!(refused.contains(field), "{field}: {refused}");
    }
}

#[test]
fn the_topic_holds_the_same_bytes_as_the_call_while_contact_data_stays() {
    let mut world = World::with_consumer(6);
    for person in 0..12 {
        world.register(person, person);
    }
    for _ in 0..200 {
        let (person, slot) = (world.below(12), world.below(SLOTS));
        match world.below(3) {
            0 => world.book(person, slot),
            1 => world.move_to(person, slot),
            _ => world.cancel(person),
        };
        world.cut();
    }
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(6));
    world.pour(&*journal);
    let mut lines = Vec::new();
    let reader = Reader::new(Arc::clone(&journal), Arc::clone(&world.vault));
    reader.read(&Desk::of(&world), None, usize::MAX, &mut lines).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let running = publish(&world, &journal, quick(folder.path()), &topic);
    running.wait_for_topic(world.last());
    running.end().unwrap();
    let mut written = Vec::new();
    for record in topic.records() {
        written.extend_from_slice(&record.value);
        written.push(b'\n');
    }
    assert!(topic.records().len() > 60);
    assert_eq!(String::from_utf8(written), String::from_utf8(lines));
}
