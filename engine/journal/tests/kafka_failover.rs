//! The journal when brokers die or sleep: what was acknowledged stays, writes go on, every stream can be
//! asked for again, also one that this process neither writes nor reads, and a start waits for a broker
//! that wakes; and what readers see when another process begins to write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions};
use journal::kafka::{Durability, KafkaConfig, KafkaJournal, create_topics};
use journal::{Journal, JournalError, Position, Stream, Visibility, once_there};

/// Far more than the cluster needs to choose another leader, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A broker of the development cluster that is silent for so long is taken for dead.
const SESSION: Duration = Duration::from_secs(3);

/// An installation with its topics.
fn made(cluster: &Cluster, durability: Durability) -> KafkaConfig {
    let config = KafkaConfig {
        bootstrap_servers: cluster.bootstrap().to_owned(),
        durability,
        ..KafkaConfig::default()
    };
    at_last(|| create_topics(&config));
    config
}

/// What comes about once all brokers know of topics that are new.
fn at_last<T>(mut ask: impl FnMut() -> Result<T, JournalError>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(value) => return value,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The journal as a process has it that is started again while no broker answers in time.
fn started(config: &KafkaConfig) -> KafkaJournal {
    let began = Instant::now();
    let expired = || began.elapsed() > PATIENCE;
    let opened = once_there(&expired, || KafkaJournal::open(config.clone()));
    opened.unwrap().expect("no broker answers in time")
}

/// The broker that leads the stream's only partition.
fn leader(cluster: &Cluster, stream: Stream) -> u8 {
    let topic = format!("slotline.{}", stream.name());
    let told = cluster.tool("topics", &["--describe", "--topic", &topic]).unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let (_, rest) = told.split_once("Leader: ").expect(&told);
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn every_stream_is_found_again_when_a_broker_has_died() {
    let cluster = Cluster::start(ClusterOptions { nodes: 3, ..Default::default() }).unwrap();
    let config = made(&cluster, Durability::Replicated);
    let journal = at_last(|| KafkaJournal::open(config.clone()));
    for stream in Stream::ALL {
        assert_eq!(journal.durable_end(stream).unwrap(), Position(0));
    }
    journal.append(Stream::Commands, &[b"before"]).unwrap();

    let dead = leader(&cluster, Stream::Events);
    cluster.kill_node(dead).unwrap();
    let began = Instant::now();
    // Enough for the client to learn that the broker is gone.
    while began.elapsed() < Duration::from_secs(6) {
        journal.append(Stream::Commands, &[b"meanwhile"]).unwrap();
    }
    for stream in Stream::ALL {
        let expired = || began.elapsed() > PATIENCE;
        let end = once_there(&expired, || journal.durable_end(stream)).unwrap();
        let end = end.unwrap_or_else(|| panic!("{}: still out of reach", stream.name()));
        assert_eq!(end > Position(0), stream == Stream::Commands, "{}", stream.name());
        println!("{}: found again {:?} after the death", stream.name(), began.elapsed());
    }
    let mut reader = journal.reader(Stream::Commands, Position(0), Visibility::Durable).unwrap();
    let first = reader.poll(PATIENCE).unwrap().expect("the first group");
    assert!(first.records.iter().eq([&b"before"[..]]));
    journal.close();
}

/// Starts that ask while the broker wakes meet all its moods: it may be deaf, know no controller, or
/// lead nothing yet. None of that is a fault of the configuration, and a new start gets through.
#[test]
fn a_start_waits_for_a_broker_that_wakes() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let config = made(&cluster, Durability::SingleBroker);
    cluster.pause_node(1).unwrap();
    std::thread::sleep(2 * SESSION);
    std::thread::scope(|scope| {
        for place in 0..6 {
            let config = &config;
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(100 * place));
                let began = Instant::now();
                started(config).close();
                println!("a start took {:?}", began.elapsed());
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        cluster.resume_node(1).unwrap();
    });
}

#[test]
fn a_reader_of_accepted_groups_misses_nothing_that_another_process_wrote_before() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let config = made(&cluster, Durability::SingleBroker);
    let (standby, active) = (started(&config), started(&config));
    for number in 0..5_u8 {
        active.append(Stream::Events, &[&[number]]).unwrap();
    }
    // An engine asks before it takes over.
    assert_eq!(standby.durable_end(Stream::Events).unwrap(), Position(5));
    let mut view = standby.reader(Stream::Events, Position::START, Visibility::Accepted).unwrap();
    standby.append_behind(Stream::Events, &[100]).unwrap();
    standby.append_behind(Stream::Events, &[101]).unwrap();
    let mut next = || view.poll(PATIENCE).unwrap().unwrap().records.iter().next().unwrap()[0];
    let mut seen: Vec<u8> = (0..2).map(|_| next()).collect();
    standby.sync(Stream::Events).unwrap();
    seen.extend((2..7).map(|_| next()));
    assert_eq!(seen, [0, 1, 2, 3, 4, 100, 101]);
}
