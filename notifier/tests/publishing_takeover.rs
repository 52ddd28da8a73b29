//! Several notifiers on one topic: one publishes at a time, the next goes on where the topic ends, and
//! one that was deposed in the middle of a batch repeats at most that.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::path::Path;
use std::sync::Arc;

use domain::EventId;
use journal::{Journal, Stream};
use notifier::publishing::{ConfirmationTopic, MemoryTopic, Message, TopicError};
use notifier::{NotifierConfig, NotifierPhase};
use parking_lot::{Condvar, Mutex};
use world::topic::consumed;
use world::*;

fn shared(folder: &Path, name: &str, takeover_ms: u64) -> NotifierConfig {
    NotifierConfig {
        exclusive: false,
        takeover_ms,
        confirmation_batch_messages_max: 5,
        confirmation_backlog_messages_max: 40,
        ..quick(&folder.join(name))
    }
}

/// A world just opened, and its journal.
fn open(seed: u64) -> (World, Arc<dyn Journal>) {
    let world = World::with_consumer(seed);
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(seed));
    world.pour(&*journal);
    (world, journal)
}

/// Lets more happen, and appends it.
fn go_on(world: &mut World, journal: &dyn Journal, commands: u32) {
    let before = world.groups.len();
    world.live(12, commands);
    append_groups(journal, &world.groups[before..]);
}

/// A topic whose next batch can be stopped just before it is written.
#[derive(Clone, Default)]
struct GatedTopic {
    inner: MemoryTopic,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Gate {
    #[default]
    Open,
    /// The next batch stops.
    Shut,
    /// One has stopped.
    Holds,
}

impl GatedTopic {
    fn set(&self, gate: Gate) {
        *self.gate.0.lock() = gate;
        self.gate.1.notify_all();
    }

    fn holds(&self) -> bool {
        *self.gate.0.lock() == Gate::Holds
    }
}

impl ConfirmationTopic for GatedTopic {
    fn last_ids(&self, count: usize) -> Result<Vec<EventId>, TopicError> {
        self.inner.last_ids(count)
    }

    fn publish(&mut self, messages: &[Message]) -> Result<(), TopicError> {
        let mut gate = self.gate.0.lock();
        while *gate != Gate::Open {
            *gate = Gate::Holds;
            self.gate.1.wait(&mut gate);
        }
        drop(gate);
        self.inner.publish(messages)
    }
}

#[test]
fn a_standby_publishes_nothing_and_goes_on_where_the_topic_ends() {
    let (mut world, journal) = open(1);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    go_on(&mut world, &*journal, 200);
    let first = publish(&world, &journal, shared(folder.path(), "first", 400), &topic);
    first.wait_for_topic(world.last());
    let second = publish(&world, &journal, shared(folder.path(), "second", 4_000), &topic);
    second.wait_until("it stands by", |status| status.phase() == NotifierPhase::Standby);
    go_on(&mut world, &*journal, 400);
    // It learns from the topic what it need not hold any more: far more than its backlog.
    second.wait_for_topic(world.last());
    first.wait_for_topic(world.last());
    assert_eq!(second.status.publishing().published(), 0);
    assert!(!second.status.publishing().is_active() && first.status.publishing().is_active());
    first.end().unwrap();
    second.wait_until("it publishes", |status| status.publishing().is_active());
    go_on(&mut world, &*journal, 200);
    second.wait_for_topic(world.last());
    assert_eq!(second.status.publishing().rebuilds(), 0);
    second.end().unwrap();
    assert_eq!(consumed(&topic), world.messages());
    assert_eq!(topic.records().len(), world.messages().len(), "nothing twice");
}

#[test]
fn whoever_takes_over_asks_the_topic_first() {
    let (mut world, journal) = open(10);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    go_on(&mut world, &*journal, 200);
    let first = publish(&world, &journal, shared(folder.path(), "first", 400), &topic);
    first.wait_for_topic(world.last());
    // As a standby it never asks, so it holds all messages that follow.
    let config = NotifierConfig {
        topic_look_interval_ms: u64::MAX,
        confirmation_backlog_messages_max: 10_000,
        ..shared(folder.path(), "second", 4_000)
    };
    let second = publish(&world, &journal, config, &topic);
    second.wait_for_topic(world.last());
    go_on(&mut world, &*journal, 200);
    first.wait_for_topic(world.last());
    second.wait_until("it holds them", |status| status.publishing().waiting() > 10);
    first.end().unwrap();
    second.wait_until("it publishes", |status| status.publishing().is_active());
    go_on(&mut world, &*journal, 100);
    second.wait_for_topic(world.last());
    second.end().unwrap();
    assert_eq!(consumed(&topic), world.messages());
    assert_eq!(topic.records().len(), world.messages().len(), "nothing twice");
}

#[test]
fn a_notifier_deposed_in_the_middle_of_a_batch_repeats_at_most_that() {
    let (mut world, journal) = open(2);
    let folder = tempfile::tempdir().unwrap();
    let topic = MemoryTopic::new();
    let gated = GatedTopic { inner: topic.clone(), ..GatedTopic::default() };
    go_on(&mut world, &*journal, 200);
    // It is heard of every second: somebody less patient takes over in between.
    let zombie = publish(&world, &journal, shared(folder.path(), "zombie", 4_000), &gated);
    zombie.wait_for_topic(world.last());
    gated.set(Gate::Shut);
    // One group with several batches.
    for person in 0..12 {
        world.register(person, 1);
        world.cancel(person);
        world.book(person, 0);
    }
    world.cut();
    journal.append(Stream::Events, &[world.groups.last().unwrap()]).unwrap();
    zombie.wait_until("it is about to write", |_| gated.holds());
    let published = topic.records().len();
    assert!(published + 10 < world.messages().len());
    let second = publish(&world, &journal, shared(folder.path(), "second", 200), &topic);
    second.wait_until("it publishes", |status| status.publishing().is_active());
    go_on(&mut world, &*journal, 200);
    second.wait_for_topic(world.last());
    let complete = topic.records().len();
    assert_eq!(complete, world.messages().len());
    // The deposed one wakes up: its batch arrives behind everything, and it writes no other.
    gated.set(Gate::Open);
    zombie.wait_until("it stands by", |status| !status.publishing().is_active());
    zombie.wait_for_topic(world.last());
    let records = topic.records();
    assert_eq!(records[complete..], records[published..published + 5], "one batch");
    // It takes over again, and goes on where the topic ends, not where it had come to.
    second.end().unwrap();
    zombie.wait_until("it publishes", |status| status.publishing().is_active());
    go_on(&mut world, &*journal, 200);
    zombie.wait_for_topic(world.last());
    zombie.end().unwrap();
    assert_eq!(consumed(&topic), world.messages());
    assert_eq!(topic.records().len(), world.messages().len() + 5);
}

#[test]
fn a_relay_of_notifiers_writes_what_one_would_have_written() {
    for seed in 3..9 {
        let (mut world, journal) = open(seed);
        let folder = tempfile::tempdir().unwrap();
        let topic = MemoryTopic::new();
        go_on(&mut world, &*journal, 150);
        let start = |world: &World, name: u32| {
            let config = shared(folder.path(), &name.to_string(), 60);
            publish(world, &journal, config, &topic)
        };
        let mut active = start(&world, 0);
        for runner in 1..6 {
            // Each has the book of an earlier leg, or none.
            let next = start(&world, runner % 3 + 1);
            go_on(&mut world, &*journal, 150);
            let through = world.below(world.last() as u32);
            active.wait_for_topic(u64::from(through));
            active.end().unwrap();
            active = next;
        }
        active.wait_for_topic(world.last());
        active.end().unwrap();
        assert_eq!(consumed(&topic), world.messages(), "seed {seed}");
    }
}
