//! The promises of the journal on a real Kafka broker, and what is particular to it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions, Security};
use futures_executor::block_on;
use journal::conformance::{Harness, Limits, PROMISES, Promise};
use journal::kafka::{
    CONFIRMATIONS, Durability, KafkaConfig, KafkaImport, KafkaJournal, KafkaPublisher,
    check_topics, create_topics, topic_names,
};
use journal::{Journal, JournalError, Position, Stream, Visibility};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const RECORD_BYTES_MAX: u32 = 1_024;
const GROUP_BYTES_MAX: u32 = 4_096;
const LANE_BYTES_MAX: u32 = 16_384;
const BEHIND_RECORD_BYTES_MAX: u32 = 30_000;
const BEHIND_BYTES_MAX: u64 = 1 << 20;
/// Many times what a broker takes for anything, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(120);

fn bootstrap() -> &'static str {
    broker::shared(1).bootstrap()
}

/// An installation of its own on the shared broker.
fn fresh_config() -> KafkaConfig {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    KafkaConfig {
        bootstrap_servers: bootstrap().to_owned(),
        topic_prefix: format!("test-{}-{number}.", std::process::id()),
        durability: Durability::SingleBroker,
        group_bytes_max: GROUP_BYTES_MAX,
        gather_bytes_max: GROUP_BYTES_MAX,
        record_bytes_max: RECORD_BYTES_MAX,
        lane_bytes_max: LANE_BYTES_MAX,
        behind_record_bytes_max: BEHIND_RECORD_BYTES_MAX,
        behind_bytes_max: BEHIND_BYTES_MAX,
        behind_sync_interval_ms: 600_000,
        connect_timeout_ms: PATIENCE.as_millis() as u32,
        // The suite opens hundreds of readers, each in place of one that waits.
        fetch_wait_ms_max: 5,
        ..KafkaConfig::default()
    }
}

/// Sets a topic's settings through the cluster's own interface.
struct Settings(AdminClient<DefaultClientContext>);

impl Settings {
    fn new() -> Settings {
        Settings(ClientConfig::new().set("bootstrap.servers", bootstrap()).create().unwrap())
    }

    /// These, and otherwise what the journal makes its topics with.
    fn set(&self, config: &KafkaConfig, topics: &[String], other: &[(&str, &str)]) {
        let most = config.message_bytes_max().to_string();
        let usual = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
            ("unclean.leader.election.enable", "false"),
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", most.as_str()),
            ("min.insync.replicas", "1"),
            ("flush.messages", "1"),
        ];
        let changes: Vec<_> = topics
            .iter()
            .map(|topic| {
                let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
                let change = usual.iter().fold(change, |change, (key, value)| {
                    let other = other.iter().find(|(name, _)| name == key);
                    change.set(key, other.map_or(*value, |(_, value)| *value))
                });
                let is_new = |key: &str| usual.iter().all(|(name, _)| *name != key);
                other
                    .iter()
                    .filter(|(key, _)| is_new(key))
                    .fold(change, |change, (key, value)| change.set(key, value))
            })
            .collect();
        let done = block_on(self.0.alter_configs(&changes, &AdminOptions::new())).unwrap();
        done.into_iter().for_each(|result| {
            result.unwrap();
        });
    }
}

/// The journal on a broker; a crash is a process that forgets what it has not sent.
struct OnKafka {
    config: KafkaConfig,
    journal: Option<Arc<KafkaJournal>>,
    now_ms: Arc<AtomicI64>,
    is_dated_here: bool,
}

impl OnKafka {
    fn new() -> OnKafka {
        let config = fresh_config();
        create_topics(&config).unwrap();
        OnKafka { config, journal: None, now_ms: Arc::new(AtomicI64::new(1)), is_dated_here: false }
    }

    fn topics(&self) -> Vec<String> {
        topic_names(&self.config)
    }

    fn try_open(&self) -> Result<KafkaJournal, JournalError> {
        if self.is_dated_here {
            let now_ms = Arc::clone(&self.now_ms);
            let clock = Arc::new(move || now_ms.load(Ordering::SeqCst));
            KafkaJournal::open_with_clock(self.config.clone(), clock)
        } else {
            KafkaJournal::open(self.config.clone())
        }
    }
}

impl Harness for OnKafka {
    fn open(&mut self) -> Arc<dyn Journal> {
        let began = Instant::now();
        let journal = loop {
            match self.try_open() {
                Ok(journal) => break Arc::new(journal),
                // The broker that is asked learns of changed settings a moment later.
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
        };
        self.journal = Some(Arc::clone(&journal));
        journal
    }

    fn crash(&mut self, journal: Arc<dyn Journal>) -> Arc<dyn Journal> {
        drop(journal);
        self.journal.take().unwrap().abort();
        Settings::new().set(&self.config, &self.topics(), &[]);
        self.open()
    }

    /// The broker refuses every record from now on. Its topics learn of it in order, so once the last
    /// one refuses, all do.
    fn break_writes(&mut self) {
        let topics = self.topics();
        Settings::new().set(&self.config, &topics, &[("max.message.bytes", "1")]);
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap())
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .create()
            .unwrap();
        let began = Instant::now();
        let last = topics.last().unwrap();
        let offsets = |producer: &BaseProducer| {
            producer.client().fetch_watermarks(last, 0, PATIENCE).unwrap().1
        };
        loop {
            let before = offsets(&producer);
            producer.send(BaseRecord::<(), str>::to(last).payload("does this fit?")).unwrap();
            producer.flush(PATIENCE).unwrap();
            if offsets(&producer) == before {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "writes go on");
        }
    }

    fn set_clock_ms(&mut self, now_ms: i64) {
        self.now_ms.store(now_ms, Ordering::SeqCst);
        if !self.is_dated_here {
            self.is_dated_here = true;
            let own = [("message.timestamp.type", "CreateTime")];
            Settings::new().set(&self.config, &self.topics(), &own);
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            record_bytes_max: RECORD_BYTES_MAX as usize,
            group_bytes_max: GROUP_BYTES_MAX as usize,
            lane_bytes_max: LANE_BYTES_MAX as usize,
            behind_record_bytes_max: BEHIND_RECORD_BYTES_MAX as usize,
            behind_bytes_max: BEHIND_BYTES_MAX as usize,
        }
    }
}

#[test]
fn the_journal_on_kafka_keeps_every_promise() {
    for (name, promise) in PROMISES {
        let began = Instant::now();
        let promise: Promise = *promise;
        promise(&mut OnKafka::new());
        println!("{name} {:.1} s", began.elapsed().as_secs_f64());
    }
}

/// A topic whose settings break a promise is refused by name.
#[test]
fn a_topic_that_would_break_a_promise_is_refused_by_topic_and_setting() {
    let config = fresh_config();
    create_topics(&config).unwrap();
    let settings = Settings::new();
    let commands = vec![config.topic(Stream::Commands)];
    let broken = [
        ("cleanup.policy", "compact"),
        ("retention.ms", "86400000"),
        ("retention.bytes", "1000000"),
        ("unclean.leader.election.enable", "true"),
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
        ("flush.messages", "100"),
    ];
    for (setting, value) in broken {
        settings.set(&config, &commands, &[(setting, value)]);
        let refused = loop {
            // The broker that is asked learns of the change a moment later.
            match check_topics(&config) {
                Err(error) => break error,
                Ok(()) => std::thread::yield_now(),
            }
        };
        let told = refused.to_string();
        assert!(matches!(refused, JournalError::Setting { .. }), "{told}");
        for word in [&commands[0], setting, value] {
            assert!(told.contains(word), "{setting}: {told}");
        }
        assert!(KafkaJournal::open(config.clone()).is_err(), "{setting}");
    }
    settings.set(&config, &commands, &[]);
    while check_topics(&config).is_err() {
        std::thread::yield_now();
    }
    let replicated = KafkaConfig { durability: Durability::Replicated, ..config.clone() };
    let told = check_topics(&replicated).unwrap_err().to_string();
    assert!(told.contains("replication factor = 1"), "{told}");
    // It waits for more brokers, which do not come.
    let other =
        KafkaConfig { topic_prefix: "other.".into(), connect_timeout_ms: 2_000, ..replicated };
    let told = create_topics(&other);
    let told = told.unwrap_err().to_string();
    assert!(told.contains("the cluster has 1"), "{told}");
    let made = create_topics(&config).unwrap();
    assert!(made.len() == 5 && made.iter().all(|topic| !topic.is_new), "{made:?}");
}

#[test]
fn a_missing_topic_and_a_silent_address_are_told_within_the_time_limit() {
    let missing = fresh_config();
    let told = KafkaJournal::open(missing.clone()).err().unwrap().to_string();
    assert!(told.contains(&missing.topic(Stream::Commands)), "{told}");
    assert!(told.contains("slotline admin topics create"), "{told}");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = nobody.local_addr().unwrap().to_string();
    let closed = "127.0.0.1:1".to_owned();
    for address in [silent, closed, "no-such-host.invalid:9092".to_owned()] {
        let config = KafkaConfig {
            bootstrap_servers: address.clone(),
            connect_timeout_ms: 1_500,
            ..fresh_config()
        };
        let began = Instant::now();
        let error = KafkaJournal::open(config).err().unwrap();
        assert!(began.elapsed() < PATIENCE, "{address} took too long");
        let told = error.to_string();
        assert!(matches!(error, JournalError::Unavailable { .. }), "{told}");
        assert!(told.contains("kafka.bootstrap_servers") && told.contains(&address), "{told}");
    }
}

/// A record that is there once more comes within this time.
const TOO_MUCH: Duration = Duration::from_millis(300);

/// Two processes write one stream: one order for everybody, and nothing is lost where the positions
/// foretold for accepted groups turn out wrong.
#[test]
fn two_writers_share_one_order_and_lose_nothing() {
    let config = KafkaConfig { behind_sync_interval_ms: 0, ..fresh_config() };
    create_topics(&config).unwrap();
    let one = KafkaJournal::open(config.clone()).unwrap();
    let other = KafkaJournal::open(config).unwrap();
    assert_eq!(one.id(), other.id());
    let mut accepted = one.reader(Stream::Events, Position::START, Visibility::Accepted).unwrap();
    let mut durable = other.reader(Stream::Events, Position::START, Visibility::Durable).unwrap();
    let records: Vec<[u8; 8]> = (0..400_u64).map(u64::to_le_bytes).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for record in records.iter().filter(|record| record[0] % 2 == 0) {
                one.append_behind(Stream::Events, record).unwrap();
            }
            one.sync(Stream::Events).unwrap();
        });
        scope.spawn(|| {
            for record in records.iter().filter(|record| record[0] % 2 == 1) {
                other.append(Stream::Events, &[record]).unwrap();
            }
        });
    });
    // Everything once, at least; then whatever comes too much.
    let read = |reader: &mut dyn journal::Reader| {
        let (mut found, mut missing) = (Vec::new(), HashSet::<_>::from_iter(records.clone()));
        let wait = |missing: &HashSet<_>| if missing.is_empty() { TOO_MUCH } else { PATIENCE };
        while let Some(group) = reader.poll(wait(&missing)).unwrap() {
            for record in group.records.iter() {
                missing.remove(record);
                found.push(record.to_vec());
            }
        }
        assert!(missing.is_empty(), "{} records are lost", missing.len());
        found
    };
    let order = read(&mut *durable);
    assert_eq!(order.len(), records.len());
    read(&mut *accepted);
    for parity in [0, 1] {
        let own = |found: &&Vec<u8>| found[0] % 2 == parity;
        let expected = records.iter().filter(|record| record[0] % 2 == parity);
        assert!(order.iter().filter(own).eq(expected), "a writer's own order");
    }
    let end = one.durable_end(Stream::Events).unwrap();
    assert_eq!(end.0, order.len() as u64);
    one.close();
    other.close();
}

#[test]
fn a_trimmed_stream_is_refused_at_its_start_and_named_in_the_middle() {
    let config = fresh_config();
    create_topics(&config).unwrap();
    let journal = KafkaJournal::open(config.clone()).unwrap();
    for number in 0..20_u8 {
        journal.append(Stream::Commands, &[&[number]]).unwrap();
    }
    let mut reader = journal.reader(Stream::Commands, Position(3), Visibility::Durable).unwrap();
    let mut cut = rdkafka::TopicPartitionList::new();
    let topic = config.topic(Stream::Commands);
    cut.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(10)).unwrap();
    block_on(Settings::new().0.delete_records(&cut, &AdminOptions::new())).unwrap();
    let start = journal.reader(Stream::Commands, Position::START, Visibility::Durable);
    assert!(matches!(start.err(), Some(JournalError::NoSuchPosition { position: 0, .. })));
    let kept = journal.reader(Stream::Commands, Position(10), Visibility::Durable);
    let group = kept.unwrap().poll(PATIENCE).unwrap().unwrap();
    assert_eq!(group.records.iter().next(), Some(&[10_u8][..]));
    let told = loop {
        match reader.poll(PATIENCE) {
            // What was fetched before the cut may still come.
            Ok(Some(group)) => assert!(group.position.0 < 20),
            Ok(None) => panic!("the reader says nothing"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(told.contains(&topic), "{told}");
    assert_eq!(reader.poll(Duration::ZERO).unwrap_err().to_string(), told, "an error repeats");
    journal.close();
}

#[test]
fn an_import_keeps_times_and_bounds_and_leaves_the_topics_as_they_were() {
    let config = fresh_config();
    create_topics(&config).unwrap();
    let source = journal::MemoryJournal::new(journal::memory::MemoryConfig::default());
    for number in 0..50_u8 {
        let records: Vec<Vec<u8>> = (0..=number % 5).map(|index| vec![number, index]).collect();
        let borrowed: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        source.append(Stream::Commands, &borrowed).unwrap();
        source.append(Stream::Events, &[&[number; 300]]).unwrap();
    }
    let groups_of = |journal: &dyn Journal, stream| {
        let mut reader = journal.reader(stream, Position::START, Visibility::Durable).unwrap();
        let mut groups = Vec::new();
        while let Some(group) = reader.poll(Duration::ZERO).unwrap() {
            groups.push((group.at_ms, group.records.packed().clone()));
        }
        groups
    };
    let import = KafkaImport::begin(config.clone()).unwrap();
    for stream in Stream::ALL {
        let mut reader = source.reader(stream, Position::START, Visibility::Durable).unwrap();
        while let Some(mut group) = reader.poll(Duration::ZERO).unwrap() {
            // Long ago, so that a broker's own time would show.
            group.at_ms -= 1_000_000;
            import.write(stream, &group).unwrap();
        }
    }
    import.finish().unwrap();
    while check_topics(&config).is_err() {
        std::thread::yield_now();
    }
    let journal = KafkaJournal::open(config.clone()).unwrap();
    for stream in Stream::ALL {
        let expected: Vec<_> = groups_of(&source, stream)
            .into_iter()
            .map(|(at_ms, bytes)| (at_ms - 1_000_000, bytes))
            .collect();
        assert_eq!(groups_of(&journal, stream), expected, "{}", stream.name());
    }
    let later = journal.append(Stream::Commands, &[b"later"]).unwrap();
    assert!(later.at_ms > groups_of(&source, Stream::Commands)[0].0 - 1_000_000);
    journal.close();
    let again = KafkaImport::begin(config.clone()).err().unwrap().to_string();
    assert!(again.contains("only an empty installation"), "{again}");
    while check_topics(&config).is_err() {
        std::thread::yield_now();
    }
}

#[test]
fn keyed_records_are_durable_when_flushed_and_the_last_ones_are_found() {
    let config = fresh_config();
    create_topics(&config).unwrap();
    let publisher = KafkaPublisher::open(config.clone(), CONFIRMATIONS).unwrap();
    assert_eq!(publisher.last_records(5).unwrap(), []);
    for number in 0..100_u32 {
        let (key, value) = (number.to_string(), format!("value {number}"));
        publisher.publish(key.as_bytes(), &[("schema", b"1")], value.as_bytes()).unwrap();
    }
    publisher.flush().unwrap();
    drop(publisher);
    let publisher = KafkaPublisher::open(config.clone(), CONFIRMATIONS).unwrap();
    let last = publisher.last_records(3).unwrap();
    let keys: Vec<_> = last.iter().map(|record| record.key.clone()).collect();
    assert_eq!(keys, [b"97", b"98", b"99"]);
    assert_eq!(last[2].value, b"value 99");
    assert_eq!(publisher.last_records(1_000).unwrap().len(), 100);
    Settings::new().set(
        &config,
        &[config.topic_named(CONFIRMATIONS)],
        &[("max.message.bytes", "1")],
    );
    let failed = loop {
        publisher.publish(b"key", &[], b"a value").unwrap();
        match publisher.flush() {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error.to_string(),
        }
    };
    assert!(failed.contains(CONFIRMATIONS), "{failed}");
}

/// The settings by which a client is let in, as the configuration has them.
fn client_settings(cluster: &Cluster) -> std::collections::BTreeMap<String, String> {
    let properties = cluster.client_properties().unwrap();
    properties.into_iter().map(|(key, value)| (key.replace('.', "_"), value)).collect()
}

#[test]
fn credentials_and_certificates_let_in_and_wrong_ones_are_named() {
    for (security, setting, wrong) in [
        (Security::SaslPlaintext, "sasl_password", "no such password"),
        (Security::Ssl, "ssl_ca_location", "/etc/ssl/certs/ca-certificates.crt"),
    ] {
        let options = ClusterOptions { security, ..ClusterOptions::default() };
        let cluster = Cluster::start(options).unwrap();
        let right = KafkaConfig {
            bootstrap_servers: cluster.bootstrap().to_owned(),
            client: client_settings(&cluster),
            ..fresh_config()
        };
        create_topics(&right).unwrap();
        let journal = KafkaJournal::open(right.clone()).unwrap();
        journal.append(Stream::Commands, &[b"let in"]).unwrap();
        let mut reader =
            journal.reader(Stream::Commands, Position::START, Visibility::Durable).unwrap();
        assert!(reader.poll(PATIENCE).unwrap().is_some());
        journal.close();

        let mut refused = right.clone();
        refused.client.insert(setting.to_owned(), wrong.to_owned());
        let began = Instant::now();
        let error = KafkaJournal::open(refused).err().unwrap();
        assert!(began.elapsed() < PATIENCE, "{security:?} took too long");
        let told = error.to_string();
        assert!(matches!(error, JournalError::Setting { .. }), "{told}");
        assert!(told.contains(&format!("kafka.client.{setting}")), "{told}");

        // Plain words to a listener that wants more end in time, too.
        let plain = KafkaConfig {
            client: std::collections::BTreeMap::new(),
            connect_timeout_ms: 3_000,
            ..right
        };
        let told = KafkaJournal::open(plain).err().unwrap().to_string();
        assert!(told.contains("security_protocol"), "{told}");
    }
}
