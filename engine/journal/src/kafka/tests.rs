//! What becomes of groups when the client library fails for good in the middle of them.

#![allow(unsafe_code, clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions};
use rdkafka::bindings::{rd_kafka_resp_err_t, rd_kafka_test_fatal_error};
use rdkafka::producer::Producer;

use super::*;

/// Many times what a broker takes for anything, on a slow machine too.
const PATIENCE: Duration = Duration::from_secs(300);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whoever is told of a later group takes the earlier ones for settled.
#[test]
fn fates_come_in_the_order_of_groups_when_the_client_takes_no_more() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let config = KafkaConfig {
        bootstrap_servers: cluster.bootstrap().to_owned(),
        durability: Durability::SingleBroker,
        group_bytes_max: 4_096,
        gather_bytes_max: 4_096,
        record_bytes_max: 1_024,
        connect_timeout_ms: 120_000,
        ..KafkaConfig::default()
    };
    create_topics(&config).unwrap();
    let journal = KafkaJournal::open(config).unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let tell = move |run: crate::Settled| {
        teller.lock().push((run.first.0, u64::from(run.count), run.result.is_ok()));
    };
    let lane = journal.lane(Stream::Commands, Arc::new(tell)).unwrap();
    lane.push(&[7; 1_000]).unwrap();
    journal.sync(Stream::Commands).unwrap();

    // Several groups are on their way to a broker that says nothing ...
    cluster.pause_node(1).unwrap();
    let mut pushed = 1;
    let mut push = || pushed += u64::from(lane.push(&[7; 1_000]).is_ok());
    (0..40).for_each(|_| push());
    until("groups are on their way", || journal.figures(Stream::Commands).groups_in_flight >= 9);
    let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    let client = journal.shared.connection.producer().client().native_ptr();
    // SAFETY: the journal holds the client until its end, and the call copies the text.
    unsafe { rd_kafka_test_fatal_error(client, code, c"a test".as_ptr()) };
    // ... when the client refuses the next one.
    (0..12).for_each(|_| push());
    until("everything has its fate", || lane.unsettled() == 0);
    cluster.resume_node(1).unwrap();

    let told = told.lock().clone();
    let mut next = 0;
    for (first, count, _) in &told {
        assert_eq!(*first, next, "earlier ones were left out: {told:?}");
        next += count;
    }
    assert_eq!(next, pushed, "{told:?}");
    assert!(told[0].2 && told[1..].iter().all(|(_, _, is_durable)| !is_durable), "{told:?}");
}
