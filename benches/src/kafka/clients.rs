//! Durable commands a second through the journal on Kafka, and what others would do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::kafka::{KafkaConfig, KafkaJournal};
use journal::{Health, Journal, Position, Stream, Visibility};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::journal::{RECORD_BYTES, THREADS, push_all};

/// Records that the other producer has on their way at once.
const ON_THE_WAY: usize = 20_000;

/// Durable commands a second through lanes on two threads.
pub(super) fn through_the_journal(config: &KafkaConfig, time: Duration) -> Result<f64, String> {
    let journal = KafkaJournal::open(config.clone()).map_err(|error| error.to_string())?;
    journal.append(Stream::Commands, &[b"begin"]).map_err(|error| error.to_string())?;
    let (stop, durable) = (AtomicBool::new(false), Arc::new(AtomicU64::new(0)));
    let began = Instant::now();
    let rate = std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (journal, stop, durable) = (&journal, &stop, &durable);
            scope.spawn(move || push_all(journal, stop, durable));
        }
        std::thread::sleep(time);
        let rate = durable.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        rate
    });
    if let Health::Failed(why) = journal.health() {
        return Err(why);
    }
    journal.close();
    Ok(rate)
}

/// Durable records a second, one a booking, with the same promises.
pub(super) fn through_a_future_producer(
    config: &KafkaConfig,
    time: Duration,
) -> Result<f64, String> {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .create()
        .map_err(|error| error.to_string())?;
    let topic = config.topic(Stream::Deliveries);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let record = [7_u8; RECORD_BYTES];
    runtime.block_on(async {
        let mut on_the_way = std::collections::VecDeque::new();
        let (mut durable, began) = (0_u64, Instant::now());
        while began.elapsed() < time {
            while on_the_way.len() < ON_THE_WAY {
                let sent = producer.send_result(FutureRecord::<(), _>::to(&topic).payload(&record));
                let Ok(delivery) = sent else { break };
                on_the_way.push_back(delivery);
            }
            // All but a few of the oldest: the rest keep the client busy meanwhile.
            for _ in 0..on_the_way.len() / 2 {
                let Some(delivery) = on_the_way.pop_front() else { break };
                match delivery.await {
                    Ok(Ok(_)) => durable += 1,
                    Ok(Err((error, _))) => return Err(error.to_string()),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        Ok(durable as f64 / began.elapsed().as_secs_f64())
    })
}

/// Commands read a second, from the first on.
pub(super) fn read_all(config: &KafkaConfig) -> Result<f64, String> {
    let journal = KafkaJournal::open(config.clone()).map_err(|error| error.to_string())?;
    let failed = |error: journal::JournalError| error.to_string();
    let end = journal.durable_end(Stream::Commands).map_err(failed)?;
    let began = Instant::now();
    let mut reader =
        journal.reader(Stream::Commands, Position::START, Visibility::Durable).map_err(failed)?;
    let mut records = 0;
    while reader.position() < end {
        if let Some(group) = reader.poll(Duration::from_secs(1)).map_err(failed)? {
            records += group.records.iter().count();
        }
    }
    Ok(records as f64 / began.elapsed().as_secs_f64())
}
