//! A small world for the notifier: real rules make the events, a real vault seals the contacts, and the
//! texts and messages that are owed are worked out a second time, plainly.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod carrier;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::codec::{EventGroup, EventGroupWriter, import_hash};
use domain::{
    Attested, Category, CategoryNumber, Command, CountyNumber, Day, DistrictNumber, Event, EventId,
    Fingerprint, ImportKind, ImportRows, Intent, KeyHash, LanguageNumber, Millis, Origin, Period,
    PeriodNumber, PersonKey, PersonNumber, PersonRef, RetryKey, Site, SiteNumber, SlotNumber,
    SlotRow, State, VaccineSet,
};
use journal::memory::{MemoryConfig, MemoryJournal};
use journal::{Journal, Position, Stream, Visibility};
use notifier::publishing::ConfirmationTopic;
use notifier::{
    Accepted, DeliveryRecord, DeliveryState, LookUp, Notifier, NotifierConfig, NotifierError,
    NotifierStatus, SendError, Sms, SmsProvider, decode_delivery,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use vault::{Contact, Secrets, Vault};

pub mod cut;
pub mod told;
pub mod topic;

pub use told::Owed;

pub const PERIOD: PeriodNumber = PeriodNumber(2);
pub const SLOTS: u32 = 6;
/// 10:00 in Taiwan on 12 July 2021, in milliseconds.
pub const START_MS: i64 = 1_626_055_200_000;
const VACCINES: [&str; 2] = ["AZ", "Moderna"];

/// Commands decided by the rules, and the events group of each as they stand in the journal.
pub struct World {
    pub vault: Arc<Vault>,
    pub state: State,
    pub groups: Vec<Vec<u8>>,
    open: Option<EventGroupWriter>,
    at: i64,
    request: u64,
    random: ChaCha8Rng,
    nonce: u8,
}

impl World {
    /// Sites, slots, a category and an open period.
    pub fn new(seed: u64) -> World {
        let mut world = World {
            vault: Arc::new(Vault::new(Secrets::sample())),
            state: State::new(),
            groups: Vec::new(),
            open: None,
            at: START_MS,
            request: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            nonce: 0,
        };
        world.open_for_business();
        world
    }

    fn open_for_business(&mut self) {
        let names = vec![("zh-TW".to_owned(), "名".to_owned())];
        let vaccines: Vec<String> = VACCINES.iter().map(|name| (*name).to_owned()).collect();
        self.decide(Command::PutCategory(Category {
            number: CategoryNumber(9),
            names: names.clone(),
            born_on_or_before: Some(Day(12_000)),
            members: false,
            opens_at: Millis(0),
            closes_at: None,
            vaccines: vaccines.clone(),
        }));
        self.decide(Command::PutPeriod(Period {
            number: PERIOD,
            names,
            vaccines: vaccines.clone(),
            registered_before: None,
            counties: None,
            categories: None,
            born_on_or_before: None,
            opens_at: Millis(0),
            closes_at: Millis(START_MS + 30 * 86_400_000),
            openings: Vec::new(),
            identity_methods: Vec::new(),
        }));
        let sites = (0..2_u8).map(|site| Site {
            id: format!("63000070-C0{site}"),
            name_zh: format!("臺北市萬華區第{site}健康服務中心"),
            name_en: format!("Wanhua Health Centre {site}"),
            county: CountyNumber(0),
            district: DistrictNumber(0),
            address: "東園街".into(),
            kind: "health_centre".into(),
        });
        self.import(ImportKind::Sites, ImportRows::Sites(sites.collect()), 2);
        let slots = (0..SLOTS).map(|slot| SlotRow {
            site: SiteNumber(slot % 2),
            day: Day(Millis(START_MS).day().0 + 1 + (slot / 2) as i32),
            start_minute: 540,
            end_minute: 720,
            vaccine: (slot % 2) as u8,
            capacity: 10_000_000,
        });
        let kind = ImportKind::Slots { vaccines };
        self.import(kind, ImportRows::Slots(slots.collect()), SLOTS);
        self.cut();
    }

    fn import(&mut self, kind: ImportKind, rows: ImportRows, count: u32) {
        let import = self.next_request();
        let hash = import_hash([&rows]);
        self.decide(Command::ImportBegin { import, kind });
        self.decide(Command::ImportChunk { import, rows });
        let events = self.decide(Command::ImportCommit { import, rows: count, hash });
        assert!(
            events.iter().any(|event| matches!(event, Event::ImportCommitted { .. })),
            "{events:?}"
        );
    }

    /// One command through the rules.
    pub fn decide(&mut self, command: Command) -> Vec<Event> {
        self.at += 7;
        let mut events = Vec::new();
        self.state.apply(&command, Millis(self.at), &mut events);
        let (sequence, at) = (self.state.sequence(), Millis(self.at));
        let open = self.open.get_or_insert_with(|| EventGroupWriter::new(sequence, at));
        open.command(Origin(0), &events);
        events
    }

    /// Ends the events group.
    pub fn cut(&mut self) {
        if let Some(mut open) = self.open.take() {
            let mut bytes = Vec::new();
            open.finish([0; 32], &mut bytes);
            self.groups.push(bytes);
        }
    }

    fn next_request(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    pub fn retry(&mut self) -> RetryKey {
        let request = self.next_request();
        RetryKey { key: KeyHash(request), fingerprint: Fingerprint(request) }
    }

    pub fn key(person: u32) -> PersonKey {
        let mut key = [0xa5; 16];
        key[..4].copy_from_slice(&person.to_be_bytes());
        PersonKey(key)
    }

    /// Contact data of a person; each version has another number.
    pub fn contact(person: u32, version: u32) -> Contact {
        Contact {
            name: format!("王小明{person}"),
            phone: format!("09{:08}", person.wrapping_mul(100) % 100_000_000 + version % 100),
            id_number: "A123456789".into(),
            language: ((person + version) % 4) as u8,
        }
    }

    fn intent(language: u8) -> Intent {
        Intent {
            county: CountyNumber(0),
            district: DistrictNumber(0),
            vaccines: VaccineSet(3),
            language: LanguageNumber(language),
        }
    }

    pub fn register(&mut self, person: u32, version: u32) -> Vec<Event> {
        let contact = World::contact(person, version);
        let sealed = self.vault.seal_contact(&World::key(person).0, &contact);
        self.register_with(person, sealed.unwrap(), contact.language)
    }

    pub fn register_sealed(&mut self, person: u32, sealed: Vec<u8>) -> Vec<Event> {
        self.register_with(person, sealed, 0)
    }

    fn register_with(&mut self, person: u32, sealed: Vec<u8>, language: u8) -> Vec<Event> {
        let retry = self.retry();
        self.decide(Command::Register {
            person: World::key(person),
            attested: Attested { born_on: Day(5_000), roster_version: 1 },
            intent: World::intent(language),
            sealed,
            retry,
        })
    }

    pub fn modify(&mut self, person: u32, version: u32) -> Vec<Event> {
        let contact = World::contact(person, version);
        let sealed = self.vault.seal_contact(&World::key(person).0, &contact);
        let retry = self.retry();
        self.decide(Command::Modify {
            person: PersonRef::Key(World::key(person)),
            attested: Attested { born_on: Day(5_000), roster_version: 1 },
            intent: World::intent(contact.language),
            sealed: sealed.unwrap(),
            retry,
        })
    }

    pub fn withdraw(&mut self, person: u32) -> Vec<Event> {
        let retry = self.retry();
        self.decide(Command::Withdraw { person: PersonRef::Key(World::key(person)), retry })
    }

    pub fn book(&mut self, person: u32, slot: u32) -> Vec<Event> {
        let retry = self.retry();
        self.book_again(person, slot, retry)
    }

    pub fn book_again(&mut self, person: u32, slot: u32, retry: RetryKey) -> Vec<Event> {
        self.decide(Command::Book {
            person: PersonRef::Key(World::key(person)),
            period: PERIOD,
            slot: SlotNumber(slot),
            retry,
        })
    }

    pub fn move_to(&mut self, person: u32, slot: u32) -> Vec<Event> {
        let retry = self.retry();
        self.decide(Command::Move {
            person: PersonRef::Key(World::key(person)),
            period: PERIOD,
            slot: SlotNumber(slot),
            retry,
        })
    }

    pub fn cancel(&mut self, person: u32) -> Vec<Event> {
        let retry = self.retry();
        self.decide(Command::Cancel {
            person: PersonRef::Key(World::key(person)),
            period: PERIOD,
            retry,
        })
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        self.random.next_u32() % bound
    }

    /// Anything that people do, by seed.
    pub fn live(&mut self, people: u32, commands: u32) {
        for version in 0..commands {
            let person = self.below(people);
            let slot = self.below(SLOTS);
            match self.below(12) {
                0..=2 => self.register(person, version),
                3..=5 => self.book(person, slot),
                6 | 7 => self.move_to(person, slot),
                8 | 9 => self.cancel(person),
                10 => self.modify(person, version),
                _ => self.withdraw(person),
            };
            if self.below(3) == 0 {
                self.cut();
            }
        }
        self.cut();
    }

    /// The last command's sequence.
    pub fn last(&self) -> u64 {
        self.state.sequence().0
    }

    /// Appends all groups to the journal.
    pub fn pour(&self, journal: &dyn Journal) {
        append_groups(journal, &self.groups);
    }

    /// All events with their ids and times.
    pub fn events(&self) -> Vec<(EventId, Millis, Event)> {
        let mut events = Vec::new();
        for bytes in &self.groups {
            let group = EventGroup::decode(bytes).unwrap();
            for command in group.commands() {
                let command = command.unwrap();
                for (index, event) in command.events.into_iter().enumerate() {
                    let id = EventId::new(command.sequence, index as u16);
                    events.push((id, group.at, event));
                }
            }
        }
        events
    }

    pub fn person(&self, person: u32) -> Option<PersonNumber> {
        self.events().into_iter().find_map(|(_, _, event)| match event {
            Event::Numbered { person: number, key } if key == World::key(person) => Some(number),
            _ => None,
        })
    }
}

/// Appends groups of events to the journal.
pub fn append_groups(journal: &dyn Journal, groups: &[Vec<u8>]) {
    for group in groups {
        journal.append(Stream::Events, &[group]).unwrap();
    }
}

pub fn memory_journal(seed: u64) -> MemoryJournal {
    MemoryJournal::new(MemoryConfig { seed, ..MemoryConfig::default() })
}

/// Settings that lose no time.
pub fn quick(data_dir: &Path) -> NotifierConfig {
    NotifierConfig {
        poll_ms: 1,
        batch_interval_ms: 0,
        retry_ms_min: 1,
        retry_ms_max: 2,
        topic_look_interval_ms: 1,
        ..NotifierConfig::new(data_dir)
    }
}

/// A notifier on a thread.
pub struct Running {
    pub status: Arc<NotifierStatus>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<(), NotifierError>>,
}

impl Running {
    pub fn start(
        config: NotifierConfig,
        journal: Arc<dyn Journal>,
        vault: &Arc<Vault>,
        provider: Box<dyn SmsProvider>,
        stop: Arc<AtomicBool>,
    ) -> Running {
        Running::of(Notifier::open(config, journal, Arc::clone(vault), provider).unwrap(), stop)
    }

    pub fn of(notifier: Notifier, stop: Arc<AtomicBool>) -> Running {
        let status = notifier.status();
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || notifier.run(&flag));
        Running { status, stop, thread }
    }

    /// Waits until every message through a command is in the topic, or the notifier has ended.
    pub fn wait_for_topic(&self, sequence: u64) {
        self.wait_until("all messages are published", |status| {
            status.publishing().through() >= sequence
        });
    }

    /// Waits until everything through a command is settled, or the notifier has ended.
    pub fn wait_for(&self, sequence: u64) {
        self.wait_until("all texts are settled", |status| {
            status.sequence() >= sequence && status.waiting() == 0
        });
    }

    pub fn wait_until(&self, what: &str, holds: impl Fn(&NotifierStatus) -> bool) {
        let begin = Instant::now();
        while !holds(&self.status) && !self.thread.is_finished() {
            assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    pub fn end(self) -> Result<(), NotifierError> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// A notifier that sends to nobody and publishes to this topic.
pub fn publish(
    world: &World,
    journal: &Arc<dyn Journal>,
    config: NotifierConfig,
    topic: &(impl ConfirmationTopic + Clone + 'static),
) -> Running {
    let (topic, provider) = (Box::new(topic.clone()), Box::new(Nobody));
    publish_and_send(world, journal, config, topic, provider, Arc::default())
}

/// A notifier that also publishes to this topic.
pub fn publish_and_send(
    world: &World,
    journal: &Arc<dyn Journal>,
    config: NotifierConfig,
    topic: Box<dyn ConfirmationTopic>,
    provider: Box<dyn SmsProvider>,
    stop: Arc<AtomicBool>,
) -> Running {
    let (journal, vault) = (Arc::clone(journal), Arc::clone(&world.vault));
    let notifier = Notifier::open(config, journal, vault, provider).unwrap();
    Running::of(notifier.publish_to(topic), stop)
}

/// Takes every text.
pub struct Nobody;

impl SmsProvider for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn send(&self, _: &Sms<'_>) -> Result<Accepted, SendError> {
        Ok(Accepted)
    }

    fn lookup(&self, _: &str, _: u64) -> Result<LookUp, SendError> {
        Ok(LookUp::NeverArrived)
    }
}

/// The lines of an outbox, in order.
pub fn read_outbox(folder: &Path) -> Vec<Owed> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut lines = Vec::new();
    for name in names {
        let text = std::fs::read_to_string(name).unwrap();
        for line in text.lines() {
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| read[name].as_str().unwrap().to_owned();
            lines.push(Owed {
                reference: field("reference"),
                to: field("to"),
                text: field("text"),
            });
        }
    }
    lines
}

/// What the deliveries stream says of each event, and the records as they stand.
pub fn read_deliveries(
    journal: &dyn Journal,
) -> (BTreeMap<EventId, DeliveryState>, Vec<DeliveryRecord>) {
    let mut reader =
        journal.reader(Stream::Deliveries, Position::START, Visibility::Durable).unwrap();
    let mut records = Vec::new();
    while let Some(group) = reader.poll(Duration::ZERO).unwrap() {
        records.extend(group.records.iter().map(|record| decode_delivery(record).unwrap()));
    }
    let mut states = BTreeMap::new();
    let mut pending = Vec::new();
    for record in &records {
        match record {
            DeliveryRecord::Intents(intents) => pending.clone_from(&intents.events),
            DeliveryRecord::Results(results) => {
                assert_eq!(pending.last(), Some(&results.through));
                states.extend(pending.drain(..).zip(results.states.iter().copied()));
            }
            _ => {}
        }
    }
    (states, records)
}
