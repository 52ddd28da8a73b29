//! The topic: every message once by id, in order, whatever fails where, and nothing waits for it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::path::Path;
use std::sync::Arc;

use domain::EventId;
use journal::Journal;
use notifier::publishing::{
    BATCH_MESSAGES_MAX, ConfirmationTopic, MemoryTopic, Message, TopicError, TopicFault,
};
use notifier::{
    Accepted, DeliveryState, LookUp, NotifierConfig, NotifierPhase, SendError, Sms, SmsProvider,
};
use serde_json::Value;
use world::topic::{consumed, consumed_by_id, received_by_id};
use world::*;

/// A history in which people move house, leave and come back between their bookings.
fn history(seed: u64, commands: u32) -> World {
    let mut world = World::with_consumer(seed);
    world.live(12, commands);
    world
}

fn poured(world: &World, seed: u64) -> Arc<dyn Journal> {
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(seed));
    world.pour(&*journal);
    journal
}

fn small_batches(folder: &Path) -> NotifierConfig {
    NotifierConfig { confirmation_batch_messages_max: 7, ..quick(folder) }
}

/// Runs until the topic holds everything, and ends in order.
fn run(world: &World, journal: &Arc<dyn Journal>, config: NotifierConfig, topic: &MemoryTopic) {
    let running = publish(world, journal, config, topic);
    running.wait_for_topic(world.last());
    running.end().unwrap();
}

#[test]
fn each_event_is_one_message_with_the_contact_data_of_its_own_time() {
    let world = history(1, 600);
    let journal = poured(&world, 1);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let running = publish(&world, &journal, small_batches(folder.path()), &topic);
    running.wait_for_topic(world.last());
    let told = world.told();
    let publishing = running.status.publishing();
    assert!(publishing.is_configured() && publishing.is_active());
    assert_eq!(publishing.last_id(), told.last().map(|told| told.id));
    assert_eq!((publishing.waiting(), publishing.lag_ms(), publishing.failures()), (0, 0, 0));
    assert_eq!(publishing.published(), told.len() as u64);
    assert_eq!(topic.records().len(), told.len(), "nothing twice");
    assert_eq!(consumed(&topic), world.messages());
    let status = Arc::clone(&running.status);
    running.end().unwrap();
    assert!(!status.publishing().is_active());
    // The same person is written to in several languages and at several numbers.
    let mut versions = std::collections::BTreeSet::new();
    for (key, message) in world.messages() {
        versions.insert((key, message["contact"]["phone"].to_string()));
    }
    assert!(versions.len() > 24, "{}", versions.len());
}

#[test]
fn a_person_without_readable_contact_data_has_null_and_the_first_language() {
    let mut world = World::with_consumer(2);
    let foreign = world.vault.seal_contact(&World::key(9).0, &World::contact(9, 1)).unwrap();
    world.register_sealed(0, Vec::new());
    world.register_sealed(1, foreign);
    world.register(2, 1);
    for person in 0..3 {
        world.book(person, 0);
    }
    world.cut();
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    run(&world, &poured(&world, 2), quick(folder.path()), &topic);
    let read: Vec<(Value, bool)> = consumed(&topic)
        .into_iter()
        .map(|(_, message)| (message["language"].clone(), message["contact"].is_null()))
        .collect();
    assert_eq!(read, [("zh-TW".into(), true), ("zh-TW".into(), true), ("id".into(), false)]);
}

/// However many people's languages are kept in memory, and with a start in between.
#[test]
fn without_a_consumer_key_the_language_is_still_the_persons() {
    for reached_people_max in [0, 5, 1 << 25] {
        let mut world = World::new(3);
        let folder = tempfile::tempdir().unwrap();
        let topic = MemoryTopic::new();
        let journal: Arc<dyn Journal> = Arc::new(memory_journal(3));
        let mut poured = 0;
        for _ in 0..4 {
            world.live(12, 150);
            append_groups(&*journal, &world.groups[poured..]);
            poured = world.groups.len();
            let config = NotifierConfig { reached_people_max, ..quick(folder.path()) };
            run(&world, &journal, config, &topic);
        }
        let mut messages = world.messages();
        for (_, message) in &mut messages {
            message["contact"] = Value::Null;
        }
        assert_eq!(consumed(&topic), messages, "{reached_people_max} in memory");
        for language in notifier::LANGUAGE_TAGS {
            assert!(messages.iter().any(|(_, told)| told["language"] == language), "{language}");
        }
    }
}

#[test]
fn without_a_topic_nothing_is_published_or_kept() {
    let world = history(4, 100);
    let journal = poured(&world, 4);
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(
        quick(folder.path()),
        journal,
        &world.vault,
        Box::new(Nobody),
        Arc::default(),
    );
    running.wait_for(world.last());
    assert!(!running.status.publishing().is_configured());
    running.end().unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["contacts", "deliveries-reached"]);
}

#[test]
fn every_fault_of_the_topic_leaves_no_hole_and_no_second_content() {
    // How often a message is written again: what arrived is seen in the topic and not repeated.
    let faults = [
        (TopicFault::BeforeTheWrite, 0..=0),
        (TopicFault::After(3), 0..=0),
        (TopicFault::Hole(2), 0..=0),
        (TopicFault::AfterTheWrite, 0..=0),
        (TopicFault::Late, 5..=5 * 7),
        (TopicFault::Twice, 5..=5 * 7),
    ];
    for (seed, (fault, repeats)) in (10..).zip(faults) {
        let world = history(seed, 600);
        let journal = poured(&world, seed);
        let folder = tempfile::tempdir().unwrap();
        let topic = MemoryTopic::new();
        topic.fail(TopicFault::Reading);
        for _ in 0..5 {
            topic.fail(fault);
        }
        let running = publish(&world, &journal, small_batches(folder.path()), &topic);
        running.wait_for_topic(world.last());
        let failures = running.status.publishing().failures();
        assert_eq!(failures, if fault == TopicFault::Twice { 1 } else { 6 }, "{fault:?}");
        assert_eq!(running.status.publishing().trouble(), None, "it is over");
        running.end().unwrap();
        assert_eq!(topic.faults_left(), 0, "{fault:?}");
        let repeated = topic.records().len() - world.messages().len();
        assert!(repeats.contains(&repeated), "{fault:?}: {repeated} repeats");
        if matches!(fault, TopicFault::Hole(_)) {
            assert_ne!(consumed(&topic), world.messages(), "one comes late");
            assert_eq!(consumed_by_id(&topic), world.messages());
        } else {
            assert_eq!(consumed(&topic), world.messages(), "{fault:?}");
        }
    }
}

#[test]
fn a_hole_at_the_end_of_a_long_topic_is_filled_by_whoever_comes_next() {
    let mut world = World::with_consumer(28);
    world.live(100, 30_000);
    let journal = poured(&world, 28);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    run(&world, &journal, quick(&folder.path().join("first")), &topic);
    let records = topic.records();
    assert!(records.len() > 5 * BATCH_MESSAGES_MAX, "{}", records.len());
    // Of the last batch a part is missing, and a deposed notifier's batch came late.
    let last_batch = records.len() - 900;
    topic.cut(last_batch);
    let is_there = |place: &usize| place % 7 != 3;
    let places = (last_batch..records.len()).filter(is_there).chain(3_000..3_500);
    for place in places {
        topic.restore(&records[place]);
    }
    let before = topic.records().len();
    run(&world, &journal, quick(&folder.path().join("second")), &topic);
    let missing = (last_batch..records.len()).filter(|place| !is_there(place)).count();
    assert_eq!(topic.records().len(), before + missing, "what is missing, and nothing else");
    assert_eq!(received_by_id(topic.records()), records);
    // Once more, with the book that is at the end now: nothing is to be done.
    let running = publish(&world, &journal, quick(&folder.path().join("second")), &topic);
    running.wait_for_topic(world.last());
    assert_eq!(running.status.publishing().rebuilds(), 0);
    running.end().unwrap();
    assert_eq!(topic.records().len(), before + missing);
}

#[test]
fn a_topic_that_is_down_holds_up_no_text_and_what_waits_is_bounded() {
    let mut world = history(20, 300);
    let journal = poured(&world, 20);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let running = publish(&world, &journal, small_batches(folder.path()), &topic);
    running.wait_for_topic(world.last());
    topic.set_down(true);
    let before = world.groups.len();
    world.live(12, 600);
    append_groups(&*journal, &world.groups[before..]);
    // All texts go out meanwhile.
    running.wait_for(world.last());
    running.wait_until("it is tried several times", |status| status.publishing().failures() > 3);
    let publishing = running.status.publishing();
    assert!(publishing.trouble().unwrap().contains("not reachable"));
    assert!(publishing.through() < world.last() && publishing.lag_ms() > 0);
    let one_group_more = 20;
    assert!((1..7 + one_group_more).contains(&publishing.waiting()), "{}", publishing.waiting());
    assert!(running.status.failure().is_none() && running.status.trouble().is_none());
    topic.set_down(false);
    running.wait_for_topic(world.last());
    assert_eq!((publishing.trouble(), publishing.waiting(), publishing.lag_ms()), (None, 0, 0));
    running.end().unwrap();
    assert_eq!(consumed(&topic), world.messages());
    assert_eq!(topic.records().len(), world.messages().len(), "nothing twice");
}

/// Takes no text.
struct Silent;

impl SmsProvider for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn send(&self, _: &Sms<'_>) -> Result<Accepted, SendError> {
        Err(SendError::Unavailable("silent".into()))
    }

    fn lookup(&self, _: &str, _: u64) -> Result<LookUp, SendError> {
        Err(SendError::Unavailable("silent".into()))
    }
}

#[test]
fn a_silent_provider_holds_up_no_message() {
    let world = history(21, 400);
    let journal = poured(&world, 21);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let config = NotifierConfig {
        give_up_after_ms: u64::MAX / 4,
        batch_messages_max: 5,
        ..small_batches(folder.path())
    };
    let (handle, silent) = (Box::new(topic.clone()), Box::new(Silent));
    let running = publish_and_send(&world, &journal, config, handle, silent, Arc::default());
    running.wait_for_topic(world.last());
    running.wait_until("texts wait", |status| status.trouble().is_some());
    assert_eq!(running.status.count(DeliveryState::Sent), 0);
    assert_eq!(running.status.phase(), NotifierPhase::Active);
    running.end().unwrap();
    assert_eq!(consumed(&topic), world.messages());
}

/// A topic with a defect.
#[derive(Clone)]
struct Defective;

impl ConfirmationTopic for Defective {
    fn last_ids(&self, _: usize) -> Result<Vec<EventId>, TopicError> {
        Ok(Vec::new())
    }

    fn publish(&mut self, _: &[Message]) -> Result<(), TopicError> {
        panic!("a defect, as this test wants it")
    }
}

#[test]
fn a_defect_in_publishing_is_shown_and_texts_go_out() {
    let world = history(27, 200);
    let journal = poured(&world, 27);
    let folder = tempfile::tempdir().unwrap();
    let running = publish(&world, &journal, quick(folder.path()), &Defective);
    running.wait_until("it says so", |status| {
        status.publishing().trouble().is_some_and(|why| why.contains("start the notifier again"))
    });
    running.wait_for(world.last());
    assert_eq!(running.status.sent(), world.told().len() as u64);
    running.end().unwrap();
}

#[test]
fn a_restart_goes_on_from_the_topic_alone_also_with_a_lost_disk() {
    let mut world = World::with_consumer(22);
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(22));
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let mut poured = 0;
    for life in 0..4 {
        world.live(12, 120);
        append_groups(&*journal, &world.groups[poured..]);
        poured = world.groups.len();
        if life == 2 {
            std::fs::remove_dir_all(folder.path().join("notifier")).unwrap();
        }
        run(&world, &journal, small_batches(&folder.path().join("notifier")), &topic);
        assert_eq!(topic.records().len(), world.messages().len(), "nothing twice");
    }
    assert_eq!(consumed(&topic), world.messages());
}

#[test]
fn a_topic_ahead_of_the_events_waits_for_them() {
    let mut world = history(23, 300);
    let early = world.groups.len() / 2;
    let topic = MemoryTopic::new();
    let folder = tempfile::tempdir().unwrap();
    run(&world, &poured(&world, 23), quick(&folder.path().join("first")), &topic);
    let records = topic.records();
    // The events are there only to the half: restored from a copy, or still to be read.
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(23));
    append_groups(&*journal, &world.groups[..early]);
    let running = publish(&world, &journal, quick(&folder.path().join("second")), &topic);
    running.wait_until("it is active", |status| status.publishing().is_active());
    running.wait_until("it has read the half", |status| status.publishing().through() > 0);
    assert_eq!(running.status.publishing().last_id(), world.told().last().map(|told| told.id));
    let done = world.groups.len();
    append_groups(&*journal, &world.groups[early..]);
    running.wait_for_topic(world.last());
    assert_eq!(topic.records(), records, "nothing again");
    world.live(12, 100);
    append_groups(&*journal, &world.groups[done..]);
    running.wait_for_topic(world.last());
    running.end().unwrap();
    assert_eq!(topic.records().len(), world.messages().len());
    assert_eq!(consumed(&topic), world.messages());
}

#[test]
fn a_topic_that_lost_its_end_gets_the_same_bytes_again() {
    let world = history(24, 400);
    let journal = poured(&world, 24);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    run(&world, &journal, small_batches(folder.path()), &topic);
    let records = topic.records();
    for kept in [records.len() - 1, records.len() / 2, 0] {
        topic.cut(kept);
        let running = publish(&world, &journal, small_batches(folder.path()), &topic);
        running.wait_for_topic(world.last());
        assert_eq!(running.status.publishing().rebuilds(), 1, "{kept} kept");
        running.end().unwrap();
        assert_eq!(topic.records(), records, "{kept} kept");
    }
    // And once the book is right again, nothing is begun anew.
    let running = publish(&world, &journal, small_batches(folder.path()), &topic);
    running.wait_for_topic(world.last());
    assert_eq!(running.status.publishing().rebuilds(), 0);
    running.end().unwrap();
}

#[test]
fn the_topic_of_another_installation_is_not_written_to_and_texts_go_out() {
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let other = history(25, 203);
    run(&other, &poured(&other, 25), quick(&folder.path().join("other")), &topic);
    let records = topic.records();
    let last = other.told().last().unwrap().id;
    let world = (26..)
        .map(|seed| history(seed, 400))
        .find(|world| world.told().iter().all(|told| told.id != last))
        .unwrap();
    let journal = poured(&world, 26);
    let running = publish(&world, &journal, quick(&folder.path().join("ours")), &topic);
    running.wait_until("it says so", |status| {
        let trouble = status.publishing().trouble();
        trouble.is_some_and(|why| why.contains("another installation's topic"))
    });
    running.wait_for(world.last());
    assert_eq!(running.status.sent(), world.told().len() as u64);
    running.end().unwrap();
    assert_eq!(topic.records(), records);
}
