//! Durable bookings over HTTP beside a bare echo: same connections, same generator, in turn.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use loadtest::arrivals::{Spacing, Stages};
use loadtest::saturate::{Pace, SaturateOptions, SaturateResult, saturate};

use crate::crowd::{Crowd, Requests};
use crate::echo;
use crate::figures::{Figure, Summary, median};
use crate::memory;
use crate::nation::Nation;
use crate::part::{Part, Role, Run};
use crate::process::{cpu_ns, cpu_us, resident_bytes, threads, used_since, words_of};
use crate::server::Server;

/// Bookings over HTTP.
pub const PART: Part = Part {
    name: "http",
    title: "durable bookings over HTTP beside a bare echo",
    measure,
    roles: &[Role { name: "echo", work: echo::work }],
};

/// Requests are sent this long in each round: the sides take turns often, as a shared machine is slower for
/// some seconds and faster for others.
const ROUND: Duration = Duration::from_secs(2);
/// The same where latency is measured.
const LATENCY_ROUND: Duration = Duration::from_secs(4);
/// Connections judged, and printed beside, with the rounds of each side.
const CONNECTIONS: [(usize, usize); 3] = [(256, 14), (64, 3), (512, 3)];
/// Shares of the measured maximum at which latency is measured, in per cent.
const SHARES: [u32; 2] = [50, 80];
/// People booked at most in one round: more than the fastest round needs.
const PEOPLE_PER_ROUND: u32 = 350_000;
/// Memory that a round may need, the page cache included.
pub(crate) const ROUND_BYTES: usize = 1 << 29;
/// Slots on offer.
const SLOTS: u32 = 35_000;
/// A server that uses less than a twentieth of a core over this time is at rest.
const SETTLE_STEP: Duration = Duration::from_secs(1);
/// Longest wait for that.
const SETTLE_MAX: Duration = Duration::from_secs(120);

fn measure(run: &Run, summary: &mut Summary) -> Result<(), String> {
    let rounds = CONNECTIONS.iter().map(|(_, rounds)| rounds).sum::<usize>() + SHARES.len();
    // One more, for the size of the answer.
    let people = PEOPLE_PER_ROUND * u32::try_from(rounds).unwrap_or(u32::MAX) + 1;
    let crowd = Crowd::new(Nation::roomy(people, SLOTS));
    let data = run.scratch.join("data");
    crowd.write(&data)?;
    let server = Server::product(&run.product, &data)?;
    settle(&server)?;
    let echo = Server::echo(run, answer_bytes(&crowd, &server)?)?;

    let mut best = (0.0, CONNECTIONS[0].0);
    for (connections, rounds) in CONNECTIONS {
        let pairs = pairs(run, &crowd, &server, &echo, connections, rounds)?;
        let per_second = add(summary, connections, &pairs);
        if per_second > best.0 {
            best = (per_second, connections);
        }
    }
    for share in SHARES {
        open_model(summary, &crowd, &server, best, share)?;
    }
    summary.add(Figure::printed("resident_bytes", resident_bytes(server.pid())? as f64, "B"));
    Ok(())
}

/// Waits until the server has digested its start: millions of registrations leave the disk views some
/// seconds of compaction, which is not what a booking costs.
pub(crate) fn settle(server: &Server) -> Result<(), String> {
    let deadline = Instant::now() + SETTLE_MAX;
    while Instant::now() < deadline {
        let before = cpu_us(server.pid())?;
        std::thread::sleep(SETTLE_STEP);
        let spent = cpu_us(server.pid())?.saturating_sub(before);
        if u128::from(spent) * 20 < SETTLE_STEP.as_micros() {
            return Ok(());
        }
    }
    Err("the server is still busy with its start after two minutes".to_owned())
}

/// Books once and returns how long the body of the answer is.
fn answer_bytes(crowd: &Crowd, server: &Server) -> Result<usize, String> {
    let requests = crowd.prepare(1);
    let make = |index: u64, out: &mut Vec<u8>| requests.append(index, out);
    let size = Mutex::new(0);
    let seen = |_: u64, _: u16, body: &[u8]| {
        if let Ok(mut size) = size.lock() {
            *size = body.len();
        }
    };
    let mut options = SaturateOptions::new(server.address, &make);
    options.connections = 1;
    options.threads = 1;
    options.answers = Some(&seen);
    let result = saturate(&options).map_err(|error| error.to_string())?;
    check(&result, 202)?;
    size.into_inner().map_err(|error| error.to_string())
}

/// One round of both sides.
struct Pair {
    booking: Round,
    echo: Round,
}

/// What one round of one side gave.
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) cpu_us: f64,
    generator_cpu_us: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// What each thread of the server used, in words.
    threads: String,
}

fn pairs(
    run: &Run,
    crowd: &Crowd,
    server: &Server,
    echo: &Server,
    connections: usize,
    rounds: usize,
) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for number in 1..=rounds {
        let requests = crowd.prepare(PEOPLE_PER_ROUND);
        memory::back(run, ROUND_BYTES)?;
        let booking = round(&requests, server, connections, 202, ROUND)?;
        let echo = round(&requests, echo, connections, 200, ROUND)?;
        let pair = Pair { booking, echo };
        eprintln!("bench: {connections} connections, round {number}: {}", pair.words());
        pairs.push(pair);
    }
    Ok(pairs)
}

impl Pair {
    /// Both sides, and which threads of the server did what: a round that is slower than the others
    /// shows here why.
    fn words(&self) -> String {
        let (booking, echo) = (&self.booking, &self.echo);
        format!(
            "{:.1}k/s of {:.1}k, {:.2} us of {:.2}; {}",
            booking.per_second / 1e3,
            echo.per_second / 1e3,
            booking.cpu_us,
            echo.cpu_us,
            booking.threads
        )
    }
}

pub(crate) fn round(
    requests: &Requests,
    server: &Server,
    connections: usize,
    status: u16,
    time: Duration,
) -> Result<Round, String> {
    let make = |index: u64, out: &mut Vec<u8>| requests.append(index, out);
    let mut options = SaturateOptions::new(server.address, &make);
    options.connections = connections;
    options.duration = time;
    let before = threads(server.pid())?;
    let result = saturate(&options).map_err(|error| error.to_string())?;
    let used = used_since(threads(server.pid())?, &before);
    check(&result, status)?;
    Ok(Round {
        per_second: result.per_second,
        cpu_us: cpu_ns(&used) as f64 / 1e3 / result.requests.max(1) as f64,
        threads: words_of(&used, result.requests),
        generator_cpu_us: result.generator_cpu_us_per_request,
        p50_ms: result.service.quantile_ms(0.5),
        p99_ms: result.service.quantile_ms(0.99),
    })
}

/// A figure of refused requests would be a figure of something else.
pub(crate) fn check(result: &SaturateResult, status: u16) -> Result<(), String> {
    let expected = result.statuses.get(&status).copied().unwrap_or(0);
    if result.failures.is_empty() && expected * 1_000 >= result.requests * 999 {
        return Ok(());
    }
    Err(format!("unexpected answers: {:?}, failures {:?}", result.statuses, result.failures))
}

/// Adds the figures of one number of connections; returns the bookings per second.
fn add(summary: &mut Summary, connections: usize, pairs: &[Pair]) -> f64 {
    let of = |pick: fn(&Pair) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>());
    let bookings = of(|pair| pair.booking.per_second);
    let suffix =
        if connections == CONNECTIONS[0].0 { String::new() } else { format!("_{connections}") };
    summary.add(Figure {
        // The middle of the ratios, pair by pair: the machine's drift hits both sides of a pair.
        ratio: Some(of(|pair| pair.booking.per_second / pair.echo.per_second)),
        ..Figure::against(
            &format!("http_booking_vs_echo{suffix}"),
            bookings,
            "1/s",
            &format!("bare hyper echo, {connections} connections"),
            of(|pair| pair.echo.per_second),
        )
    });
    summary.add(Figure {
        ratio: Some(of(|pair| pair.booking.cpu_us / pair.echo.cpu_us)),
        ..Figure::against(
            &format!("http_booking_cpu_vs_echo{suffix}"),
            of(|pair| pair.booking.cpu_us),
            "us",
            "bare hyper echo",
            of(|pair| pair.echo.cpu_us),
        )
    });
    let name = |what: &str| format!("http_booking_{what}{suffix}");
    summary.add(Figure::printed(&name("p50"), of(|pair| pair.booking.p50_ms), "ms"));
    summary.add(Figure::printed(&name("p99"), of(|pair| pair.booking.p99_ms), "ms"));
    let generator = of(|pair| pair.booking.generator_cpu_us);
    let beside = of(|pair| pair.echo.generator_cpu_us);
    let words = "against the echo";
    summary.add(Figure::against(&name("generator_cpu"), generator, "us", words, beside));
    bookings
}

/// Latency from the intended send time at a share of what the product can do, with as many connections.
fn open_model(
    summary: &mut Summary,
    crowd: &Crowd,
    server: &Server,
    (best, connections): (f64, usize),
    share: u32,
) -> Result<(), String> {
    let requests = crowd.prepare(PEOPLE_PER_ROUND);
    let make = |index: u64, out: &mut Vec<u8>| requests.append(index, out);
    let mut options = SaturateOptions::new(server.address, &make);
    let rate = best * f64::from(share) / 100.0;
    options.connections = connections;
    options.pace = Pace::Planned {
        stages: Stages::constant(rate, LATENCY_ROUND)?,
        spacing: Spacing::Poisson,
        seed: u64::from(share),
        drop_after: LATENCY_ROUND,
    };
    options.duration = LATENCY_ROUND;
    let result = saturate(&options).map_err(|error| error.to_string())?;
    check(&result, 202)?;
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999)] {
        let name = format!("acknowledged_{name}_at_{share}_percent");
        summary.add(Figure::printed(&name, result.response.quantile_ms(quantile), "ms"));
    }
    // A generator that sends late measures itself.
    let name = format!("send_lag_p99_at_{share}_percent");
    summary.add(Figure::printed(&name, result.send_lag.quantile_ms(0.99), "ms"));
    Ok(())
}
