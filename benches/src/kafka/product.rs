//! The product over HTTP on Kafka beside its embedded self, and a killed engine's successor.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use broker::Cluster;
use journal::Journal;
use journal::kafka::KafkaJournal;
use loadtest::arrivals::{Spacing, Stages};
use loadtest::saturate::{Pace, SaturateOptions, saturate};

use super::installation::{self, Installation};
use crate::crowd::Crowd;
use crate::figures::{Figure, Summary, median};
use crate::http::{ROUND_BYTES, Round, round, settle};
use crate::memory;
use crate::nation::Nation;
use crate::part::Run;
use crate::process::{Threads, cpu_ns, threads, used_since, words_of};
use crate::server::Server;

/// Requests are sent this long in each round: half of it would show how a broker begins.
const ROUND: Duration = Duration::from_secs(4);
/// Rounds of each side.
const ROUNDS: usize = 5;
/// Rounds before those that count: a broker that has run for a while is what it is about, not one whose
/// Java machine still compiles.
const WARM_UP_ROUNDS: usize = 5;
/// People booked at most in one of them.
const PEOPLE_PER_WARM_UP: u32 = 250_000;
/// Connections judged.
const CONNECTIONS: usize = 256;
/// People booked at most in one round.
const PEOPLE_PER_ROUND: u32 = 450_000;
/// People who book while the engine is killed.
const PEOPLE_OF_THE_KILL: u32 = 60_000;
/// Bookings a second meanwhile.
const RATE_OF_THE_KILL: f64 = 2_000.0;
/// Slots on offer.
const SLOTS: u32 = 35_000;
/// Longest wait for a successor.
const SUCCESSOR: Duration = Duration::from_secs(60);
/// How often it is asked whether it is active.
const LOOK: Duration = Duration::from_millis(10);

/// Adds `kafka_vs_embedded` and `takeover_seconds`.
pub(super) fn measure(run: &Run, cluster: &Cluster, summary: &mut Summary) -> Result<(), String> {
    let warm_up = PEOPLE_PER_WARM_UP * WARM_UP_ROUNDS as u32;
    let people = PEOPLE_PER_ROUND * ROUNDS as u32 + warm_up + PEOPLE_OF_THE_KILL;
    let nation = Nation::roomy(people, SLOTS);

    let embedded = Crowd::new(nation);
    let data = run.scratch.join("embedded");
    embedded.write(&data)?;
    let alone = Server::product(&run.product, &data)?;

    let config = installation::config(cluster, "product.");
    installation::make_topics(&config)?;
    let house = Installation::new(&run.product, &run.scratch.join("kafka"), &config)?;
    let crowd = Crowd::with_secrets(nation, house.secrets.clone());
    let journal = KafkaJournal::open(config).map_err(|error| error.to_string())?;
    crowd.fill(&journal)?;
    journal.close();
    let engine = house.start("engine", "engine")?;
    let notifier = house.start("notifier", "notifier")?;
    let gateway = house.start("gateway", "gateway")?;
    for server in [&alone, &engine, &notifier, &gateway] {
        settle(server)?;
    }
    for _ in 0..WARM_UP_ROUNDS {
        let requests = crowd.prepare(PEOPLE_PER_WARM_UP);
        memory::back(run, ROUND_BYTES)?;
        round(&requests, &gateway, CONNECTIONS, 202, ROUND)?;
    }
    let parts = [&gateway, &engine, &notifier];
    compare(run, summary, (&crowd, &gateway, parts), (&embedded, &alone))?;
    drop(alone);
    take_over(summary, &house, &crowd, &gateway, engine)
}

/// Rounds on Kafka and embedded, in turn.
fn compare(
    run: &Run,
    summary: &mut Summary,
    (crowd, gateway, parts): (&Crowd, &Server, [&Server; 3]),
    (embedded, alone): (&Crowd, &Server),
) -> Result<(), String> {
    let mut pairs: Vec<(Round, Round, f64)> = Vec::new();
    for number in 1..=ROUNDS {
        let requests = crowd.prepare(PEOPLE_PER_ROUND);
        memory::back(run, ROUND_BYTES)?;
        let before = threads_of(parts)?;
        let on_kafka = round(&requests, gateway, CONNECTIONS, 202, ROUND)?;
        let used = used_since(threads_of(parts)?, &before);
        let bookings = on_kafka.per_second * ROUND.as_secs_f64();
        let cpu_us = cpu_ns(&used) as f64 / 1e3 / bookings;
        let requests = embedded.prepare(PEOPLE_PER_ROUND);
        memory::back(run, ROUND_BYTES)?;
        let beside = round(&requests, alone, CONNECTIONS, 202, ROUND)?;
        eprintln!(
            "bench: round {number}: {:.1}k/s of {:.1}k, {cpu_us:.2} us of {:.2}; {}",
            on_kafka.per_second / 1e3,
            beside.per_second / 1e3,
            beside.cpu_us,
            words_of(&used, bookings as u64)
        );
        pairs.push((on_kafka, beside, cpu_us));
    }
    let of =
        |pick: fn(&(Round, Round, f64)) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>());
    summary.add(Figure {
        ratio: Some(of(|(kafka, embedded, _)| kafka.per_second / embedded.per_second)),
        ..Figure::against(
            "kafka_vs_embedded",
            of(|(kafka, _, _)| kafka.per_second),
            "1/s",
            "embedded; Kafka of class single_broker",
            of(|(_, embedded, _)| embedded.per_second),
        )
    });
    summary.add(Figure {
        ratio: Some(of(|(_, embedded, cpu)| cpu / embedded.cpu_us)),
        ..Figure::against(
            "kafka_booking_cpu",
            of(|(_, _, cpu)| *cpu),
            "us",
            "embedded; the broker's own left out",
            of(|(_, embedded, _)| embedded.cpu_us),
        )
    });
    summary.add(Figure::printed("kafka_booking_p50", of(|(kafka, _, _)| kafka.p50_ms), "ms"));
    summary.add(Figure::printed("kafka_booking_p99", of(|(kafka, _, _)| kafka.p99_ms), "ms"));
    Ok(())
}

/// What the threads of the processes on Kafka used so far.
fn threads_of(parts: [&Server; 3]) -> Result<Threads, String> {
    let mut all = Threads::new();
    for (name, part) in ["gateway", "engine", "notifier"].into_iter().zip(parts) {
        let used = threads(part.pid())?;
        all.extend(used.into_iter().map(|(thread, usage)| (format!("{name}: {thread}"), usage)));
    }
    Ok(all)
}

/// Kills the active engine while people book, and waits for the standby's first decision.
fn take_over(
    summary: &mut Summary,
    house: &Installation,
    crowd: &Crowd,
    gateway: &Server,
    active: Server,
) -> Result<(), String> {
    let standby = house.start("engine", "standby")?;
    let requests = crowd.prepare(PEOPLE_OF_THE_KILL);
    let make = |index: u64, out: &mut Vec<u8>| requests.append(index, out);
    let mut options = SaturateOptions::new(gateway.address, &make);
    options.connections = 64;
    options.duration = Duration::from_secs(12);
    options.pace = Pace::Planned {
        stages: Stages::constant(RATE_OF_THE_KILL, options.duration)?,
        spacing: Spacing::Poisson,
        seed: 1,
        drop_after: options.duration,
    };
    let seconds = std::thread::scope(|scope| {
        let load = scope.spawn(|| saturate(&options));
        std::thread::sleep(Duration::from_secs(2));
        // Dropping a server kills it.
        drop(active);
        let killed = Instant::now();
        while !is_active(standby.address) {
            if killed.elapsed() > SUCCESSOR {
                return Err("no successor came".to_owned());
            }
            std::thread::sleep(LOOK);
        }
        let seconds = killed.elapsed().as_secs_f64();
        let result = load.join().map_err(|_| "the load panicked".to_owned())?;
        crate::http::check(&result.map_err(|error| error.to_string())?, 202)?;
        Ok(seconds)
    })?;
    summary.add(Figure::absolute("takeover_seconds", seconds, "s"));
    Ok(())
}

/// True when the engine says that it decides.
fn is_active(operator: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(operator)?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains("\"reason\":\"active\""))
}
