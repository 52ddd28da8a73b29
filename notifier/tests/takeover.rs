//! Several notifiers on one journal: one sends at a time, and the next goes on where it ended.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use journal::away::{AwayJournal, Fault};
use journal::turbulent::{Turbulence, TurbulentConfig, TurbulentJournal};
use journal::{
    Appended, Group, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader,
    Stream, Visibility,
};
use notifier::{
    Accepted, DeliveryRecord, LookUp, NotifierConfig, NotifierPhase, SendError, Sms, SmsProvider,
};
use world::*;

/// One provider for all; it can be held up in the middle of a batch.
#[derive(Clone, Default)]
struct Shared {
    taken: Arc<Mutex<BTreeMap<String, u32>>>,
    is_held: Arc<AtomicBool>,
    /// This process is paused once a batch was taken.
    pauses: Option<TurbulentJournal>,
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

    fn send_many(&self, batch: &[Sms<'_>], answers: &mut Vec<Result<Accepted, SendError>>) {
        answers.extend(batch.iter().map(|sms| self.send(sms)));
        if let Some(process) = &self.pauses {
            process.pause();
        }
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
    append_groups(&*journal, &world.groups[before..]);
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

    let (through, faults) = AwayJournal::over(&journal);
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

/// Done once, before the next append.
type Meddling = Box<dyn FnOnce() + Send>;

/// A journal to which something happens at the wrong moment.
struct Meddled {
    inner: Arc<dyn Journal>,
    before_append: Mutex<Option<Meddling>>,
    /// Whoever does not wait for a group gets none: its reader is still fetching.
    is_fetching: Arc<AtomicBool>,
}

struct MeddledReader {
    inner: Box<dyn Reader>,
    is_fetching: Arc<AtomicBool>,
}

impl Meddled {
    fn new(inner: &Arc<dyn Journal>) -> Meddled {
        Meddled {
            inner: Arc::clone(inner),
            before_append: Mutex::new(None),
            is_fetching: Arc::default(),
        }
    }
}

impl Reader for MeddledReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        if wait.is_zero() && self.is_fetching.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.inner.poll(wait)
    }

    fn position(&self) -> Position {
        self.inner.position()
    }
}

impl Journal for Meddled {
    fn id(&self) -> JournalId {
        self.inner.id()
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        self.inner.lane(stream, on_settled)
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        let meddling = self.before_append.lock().unwrap().take();
        if let Some(meddle) = meddling {
            meddle();
        }
        self.inner.append(stream, records)
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        self.inner.append_behind(stream, record)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        self.inner.sync(stream)
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        let inner = self.inner.reader(stream, from, visibility)?;
        Ok(Box::new(MeddledReader { inner, is_fetching: Arc::clone(&self.is_fetching) }))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        self.inner.durable_end(stream)
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.inner.stored_bytes(stream)
    }

    fn close(&self) {
        self.inner.close();
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn what_the_predecessor_settles_at_the_last_moment_is_settled() {
    let mut world = World::new(3);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let streams: Arc<dyn Journal> = Arc::new(memory_journal(3));
    world.pour(&*streams);
    let config = TurbulentConfig::new(3, Turbulence::CALM);
    let process = TurbulentJournal::new(Arc::clone(&streams), config);
    let provider = Shared::default();
    // The first one stands still after each batch, before it records what became of it.
    let pausing = Shared { pauses: Some(process.clone()), ..provider.clone() };
    let journal: Arc<dyn Journal> = Arc::new(process.clone());
    let first = start(&world, &journal, shared_config(folder.path(), "first", 60_000), &pausing);
    until("it stands still", || process.stands_still());
    // The second one reads the texts of that batch as owed. Then, between its last look and its epoch,
    // the first one runs for a moment: it records those results, and begins the next batch.
    let meddled = Meddled::new(&streams);
    let runs_on = process.clone();
    let taken = Arc::clone(&provider.taken);
    *meddled.before_append.lock().unwrap() = Some(Box::new(move || {
        let before = taken.lock().unwrap().len();
        runs_on.resume();
        until("the next batch was taken", || taken.lock().unwrap().len() > before);
        until("it stands still again", || runs_on.stands_still());
    }));
    let journal: Arc<dyn Journal> = Arc::new(meddled);
    let second = start(&world, &journal, shared_config(folder.path(), "second", 100), &provider);
    second.wait_until("it is active", |status| status.phase() == NotifierPhase::Active);
    second.wait_for(world.last());
    let (_, records) = read_deliveries(&*streams);
    let at = |epoch| {
        let is_it = |record: &DeliveryRecord| matches!(record, DeliveryRecord::Epoch { epoch: begun, .. } if *begun == epoch);
        records.iter().position(is_it).unwrap()
    };
    assert_eq!(at(2), 4, "epoch, intents, results, intents of the first one");
    process.resume();
    second.end().unwrap();
    first.end().unwrap();
    let once: BTreeMap<String, u32> =
        world.owed("").into_iter().map(|owed| (owed.reference, 1)).collect();
    assert_eq!(*provider.taken.lock().unwrap(), once);
}

#[test]
fn a_deposed_notifier_that_wakes_up_to_old_news_sends_nothing() {
    const TAKEOVER_MS: u64 = 2_000;
    let mut world = World::new(4);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let streams: Arc<dyn Journal> = Arc::new(memory_journal(4));
    world.pour(&*streams);
    let config = TurbulentConfig::new(4, Turbulence::CALM);
    let process = TurbulentJournal::new(Arc::clone(&streams), config);
    let paused: Arc<dyn Journal> = Arc::new(process.clone());
    let meddled = Meddled::new(&paused);
    let is_fetching = Arc::clone(&meddled.is_fetching);
    let provider = Shared::default();
    let stuck = Shared { is_held: Arc::new(AtomicBool::new(true)), ..provider.clone() };
    let journal: Arc<dyn Journal> = Arc::new(meddled);
    let first = start(&world, &journal, shared_config(folder.path(), "first", TAKEOVER_MS), &stuck);
    first.wait_until("texts wait", |status| status.trouble().is_some());
    process.pause();
    until("it stands still", || process.stands_still());
    // It is silent for long enough to be no longer sure of its epoch, and somebody takes the next one.
    // When it wakes up, its reader has fetched an old heartbeat of its own, and not yet that.
    std::thread::sleep(Duration::from_millis(TAKEOVER_MS / 2));
    streams.append(Stream::Deliveries, &[&[1, 2, 1]]).unwrap();
    streams.append(Stream::Deliveries, &[&[&[1_u8, 1, 2][..], &[7; 16]].concat()]).unwrap();
    is_fetching.store(true, Ordering::Release);
    stuck.is_held.store(false, Ordering::Release);
    process.resume();
    first.wait_until("it stands by", |status| status.phase() == NotifierPhase::Standby);
    assert_eq!(provider.taken.lock().unwrap().len(), 0);
    is_fetching.store(false, Ordering::Release);
    first.end().unwrap();
}

#[test]
fn a_begun_batch_is_finished_by_a_notifier_whose_book_is_behind() {
    let mut world = World::new(7);
    world.register(1, 0);
    world.register(2, 0);
    world.book(1, 0);
    world.cut();
    // More rows than may wait lie between the first and the last event of the batch.
    for person in 11..=30 {
        world.register(person, 0);
        world.cut();
    }
    world.book(2, 0);
    world.cut();
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(7));
    world.pour(&*journal);
    let provider = Shared { is_held: Arc::new(AtomicBool::new(true)), ..Shared::default() };
    let first = start(&world, &journal, shared_config(folder.path(), "first", 400), &provider);
    let begun = || {
        let (_, records) = read_deliveries(&*journal);
        records.iter().find_map(|record| match record {
            DeliveryRecord::Intents(intents) => Some(intents.events.len()),
            _ => None,
        })
    };
    first.wait_until("a batch is begun", |_| begun().is_some());
    assert_eq!(begun(), Some(2));
    first.end().unwrap();

    provider.is_held.store(false, Ordering::Release);
    let few_rows =
        NotifierConfig { contact_rows_max: 8, ..shared_config(folder.path(), "second", 400) };
    let second = start(&world, &journal, few_rows, &provider);
    second.wait_for(world.last());
    second.end().unwrap();
    let once: BTreeMap<String, u32> =
        world.owed("").into_iter().map(|owed| (owed.reference, 1)).collect();
    assert_eq!(once.len(), 2);
    assert_eq!(*provider.taken.lock().unwrap(), once);
}
