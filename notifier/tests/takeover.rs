//! Several notifiers on one journal: one sends at a time, and the next goes on where it ended.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use journal::away::{AwayJournal, Fault};
use journal::{Journal, Stream};
use notifier::{
    Accepted, DeliveryRecord, LookUp, NotifierConfig, NotifierPhase, SendError, Sms, SmsProvider,
};
use world::*;

/// One provider for all; it can be held up in the middle of a batch.
#[derive(Clone, Default)]
struct Shared {
    taken: Arc<Mutex<BTreeMap<String, u32>>>,
    is_held: Arc<AtomicBool>,
}

impl SmsProvider for Shared {
    fn name(&self) -> &'static str {
        "shared"
    }

    fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        if self.is_held.load(Ordering::Acquire) {
            return Err(SendError::Unavailable("held up".into()));
        }
        *self.taken.lock().unwrap().entry(sms.reference.to_owned()).or_default() += 1;
        Ok(Accepted)
    }

    fn lookup(&self, reference: &str, _: u64) -> Result<LookUp, SendError> {
        let known = self.taken.lock().unwrap().contains_key(reference);
        Ok(if known { LookUp::Accepted } else { LookUp::NeverArrived })
    }
}

fn shared_config(folder: &std::path::Path, name: &str, takeover_ms: u64) -> NotifierConfig {
    NotifierConfig {
        exclusive: false,
        takeover_ms,
        batch_messages_max: 8,
        give_up_after_ms: u64::MAX / 4,
        ..quick(&folder.join(name))
    }
}

fn start(
    world: &World,
    journal: &Arc<dyn Journal>,
    config: NotifierConfig,
    provider: &Shared,
) -> Running {
    let stop = Arc::new(AtomicBool::new(false));
    Running::start(config, Arc::clone(journal), &world.vault, Box::new(provider.clone()), stop)
}

#[test]
fn a_second_notifier_waits_and_takes_over_when_the_first_is_gone() {
    let mut world = World::new(1);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(1));
    world.pour(&*journal);
    let provider = Shared::default();
    let first = start(&world, &journal, shared_config(folder.path(), "first", 400), &provider);
    first.wait_until("it is active", |status| status.phase() == NotifierPhase::Active);
    first.wait_for(world.last());
    let second = start(&world, &journal, shared_config(folder.path(), "second", 4_000), &provider);
    second.wait_until("it stands by", |status| status.phase() == NotifierPhase::Standby);
    // The first lives on with nothing to do, and says so.
    let beats = || {
        let (_, records) = read_deliveries(&*journal);
        records.iter().filter(|record| matches!(record, DeliveryRecord::Beat { epoch: 1 })).count()
    };
    first.wait_until("it has been heard of several times", |_| beats() >= 3);
    assert_eq!(second.status.phase(), NotifierPhase::Standby);
    first.end().unwrap();
    second.wait_until("it is active", |status| status.phase() == NotifierPhase::Active);

    let before = world.groups.len();
    world.live(20, 200);
    for group in &world.groups[before..] {
        journal.append(Stream::Events, &[group]).unwrap();
    }
    second.wait_for(world.last());
    second.end().unwrap();
    let once: BTreeMap<String, u32> =
        world.owed("").into_iter().map(|owed| (owed.reference, 1)).collect();
    assert_eq!(*provider.taken.lock().unwrap(), once);
}

#[test]
fn a_notifier_deposed_in_the_middle_of_a_batch_sends_nothing_more() {
    let mut world = World::new(2);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(2));
    world.pour(&*journal);
    let provider = Shared::default();
    // The first has recorded its intents and cannot reach the provider.
    let stuck = Shared { is_held: Arc::new(AtomicBool::new(true)), ..provider.clone() };
    let first = start(&world, &journal, shared_config(folder.path(), "first", 60_000), &stuck);
    first.wait_until("texts wait", |status| status.trouble().is_some());
    // Somebody else takes the next epoch, as after a silence.
    let successor = DeliveryRecord::Epoch { epoch: 2, notifier: [7; 16] };
    let bytes = [&[1_u8, 1, 2][..], &[7; 16]].concat();
    assert_eq!(notifier::decode_delivery(&bytes), Ok(successor));
    journal.append(Stream::Deliveries, &[&bytes]).unwrap();
    first.wait_until("it stands by", |status| status.phase() == NotifierPhase::Standby);
    stuck.is_held.store(false, Ordering::Release);
    assert_eq!(provider.taken.lock().unwrap().len(), 0);
    // The successor is silent for good; a third looks up what the first began, and sends all.
    let third = start(&world, &journal, shared_config(folder.path(), "third", 50), &provider);
    third.wait_until("it is active", |status| status.phase() == NotifierPhase::Active);
    third.wait_for(world.last());
    assert_eq!(first.status.phase(), NotifierPhase::Standby);
    first.end().unwrap();
    third.end().unwrap();
    let once: BTreeMap<String, u32> =
        world.owed("").into_iter().map(|owed| (owed.reference, 1)).collect();
    assert_eq!(*provider.taken.lock().unwrap(), once);
}

#[test]
fn an_outage_delays_a_start_and_is_not_taken_for_the_silence_of_the_active_notifier() {
    let mut world = World::new(5);
    world.live(20, 100);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(5));
    world.pour(&*journal);
    let provider = Shared::default();
    let first = start(&world, &journal, shared_config(folder.path(), "first", 400), &provider);
    first.wait_for(world.last());

    let (through, faults) = AwayJournal::new(&journal);
    faults.set_away(Stream::Deliveries, true);
    // Long beside the distance of the first one's beats: a slow machine must not look like a dead one.
    let patient = shared_config(folder.path(), "second", 2_000);
    let second = start(&world, &through, patient, &provider);
    let asked = |more: u64| {
        let goal = faults.asked_in_vain(Stream::Deliveries) + more;
        second.wait_until("it asked in vain", |_| faults.asked_in_vain(Stream::Deliveries) >= goal);
    };
    asked(2);
    assert_eq!(second.status.phase(), NotifierPhase::Reading);
    faults.set_away(Stream::Deliveries, false);
    second.wait_until("it stands by", |status| status.phase() == NotifierPhase::Standby);

    // It hears nobody, and learns that it could not have.
    faults.set(Stream::Deliveries, Fault::Silent, true);
    faults.set_away(Stream::Deliveries, true);
    asked(1);
    faults.set(Stream::Deliveries, Fault::Silent, false);
    faults.set_away(Stream::Deliveries, false);
    let (_, before) = read_deliveries(&*journal);
    second.wait_until("the first was heard of since", |_| {
        read_deliveries(&*journal).1.len() >= before.len() + 2
    });
    assert_eq!(second.status.phase(), NotifierPhase::Standby);
    assert_eq!(first.status.phase(), NotifierPhase::Active);

    // The next silence is the first one's own.
    first.end().unwrap();
    second.wait_until("it is active", |status| status.phase() == NotifierPhase::Active);
    second.end().unwrap();
    assert!(provider.taken.lock().unwrap().values().all(|times| *times == 1));
}
