//! Durable bookings over HTTP beside a bare echo: same connections, same generator, in turn.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use loadtest::arrivals::{Spacing, Stages};
use loadtest::saturate::{Pace, SaturateOptions, SaturateResult, saturate};
use vault::{IdNumber, TokenClaims, Vault};

use crate::figures::{Figure, Summary, median};
use crate::nation::{self, Nation, PERIOD};
use crate::process::{cpu_us, resident_bytes};
use crate::server::Server;

/// Requests are sent this long in each round.
const ROUND: Duration = Duration::from_secs(4);
/// Rounds of each side at the connections judged.
const ROUNDS: usize = 5;
/// Connections judged, and printed beside.
const CONNECTIONS: [usize; 3] = [256, 64, 512];
/// People booked at most in one round: more than the fastest round needs.
const PEOPLE_PER_ROUND: u32 = 700_000;
/// A server that uses less than a twentieth of a core over this time is at rest.
const SETTLE_STEP: Duration = Duration::from_secs(1);
/// Longest wait for that.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// Tokens are good for a day.
const TOKEN_LIFETIME_S: u64 = 86_400;

/// Measures and adds the figures.
///
/// # Errors
/// When a server does not start or answers with errors, in words.
pub fn measure(
    summary: &mut Summary,
    product: &Path,
    own: &Path,
    data: &Path,
) -> Result<(), String> {
    let rounds = u32::try_from(ROUNDS + CONNECTIONS.len() + 2).unwrap_or(u32::MAX);
    let nation = Nation { people: PEOPLE_PER_ROUND * rounds, slots: 35_000, capacity: 1_000 };
    nation::write(data, nation)?;
    let server = Server::product(product, data)?;
    settle(&server)?;
    let crowd = Crowd { vault: nation::vault(), slots: nation.slots, next: AtomicU32::new(0) };
    let body_bytes = crowd.one_answer(&server)?;
    let echo = Server::echo(own, body_bytes)?;

    let mut best = 0.0_f64;
    for connections in CONNECTIONS {
        let rounds = if connections == CONNECTIONS[0] { ROUNDS } else { 1 };
        let pairs = pairs(&crowd, &server, &echo, connections, rounds)?;
        best = best.max(add(summary, connections, &pairs));
    }
    open_model(summary, &crowd, &server, best)?;
    let resident = resident_bytes(server.pid()).map_err(|error| error.to_string())?;
    summary.figures.push(Figure::printed("resident_bytes", resident as f64, "B"));
    Ok(())
}

/// Waits until the server has digested its start: seven million registrations leave the disk views
/// some seconds of compaction, which is not what a booking costs.
fn settle(server: &Server) -> Result<(), String> {
    let deadline = Instant::now() + SETTLE_MAX;
    while Instant::now() < deadline {
        let before = cpu_us(server.pid()).map_err(|error| error.to_string())?;
        std::thread::sleep(SETTLE_STEP);
        let spent = cpu_us(server.pid()).map_err(|error| error.to_string())?.saturating_sub(before);
        if u128::from(spent) * 20 < SETTLE_STEP.as_micros() {
            return Ok(());
        }
    }
    Err("the server is still busy with its start after two minutes".to_owned())
}

/// One round of both sides.
struct Pair {
    booking: Round,
    echo: Round,
}

/// What one round of one side gave.
struct Round {
    per_second: f64,
    cpu_us: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn pairs(
    crowd: &Crowd,
    server: &Server,
    echo: &Server,
    connections: usize,
    rounds: usize,
) -> Result<Vec<Pair>, String> {
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let booking = round(crowd, server, connections, Some(202))?;
        let echo = round(crowd, echo, connections, Some(200))?;
        pairs.push(Pair { booking, echo });
    }
    Ok(pairs)
}

/// Adds the figures of one number of connections; returns the bookings per second.
fn add(summary: &mut Summary, connections: usize, pairs: &[Pair]) -> f64 {
    let of = |pick: fn(&Pair) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>());
    let bookings = of(|pair| pair.booking.per_second);
    let suffix =
        if connections == CONNECTIONS[0] { String::new() } else { format!("_{connections}") };
    summary.figures.push(Figure {
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
    summary.figures.push(Figure {
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
    summary.figures.push(Figure::printed(&name("p50"), of(|pair| pair.booking.p50_ms), "ms"));
    summary.figures.push(Figure::printed(&name("p99"), of(|pair| pair.booking.p99_ms), "ms"));
    bookings
}

fn round(
    crowd: &Crowd,
    server: &Server,
    connections: usize,
    status: Option<u16>,
) -> Result<Round, String> {
    let requests = crowd.prepare();
    let make = |index: u64, out: &mut Vec<u8>| requests.append(index, out);
    let mut options = SaturateOptions::new(server.address, &make);
    options.connections = connections;
    options.duration = ROUND;
    let before = cpu_us(server.pid()).map_err(|error| error.to_string())?;
    let result = saturate(&options).map_err(|error| error.to_string())?;
    let after = cpu_us(server.pid()).map_err(|error| error.to_string())?;
    check(&result, status)?;
    Ok(Round {
        per_second: result.per_second,
        cpu_us: (after - before) as f64 / result.requests.max(1) as f64,
        p50_ms: result.service.quantile_ms(0.5),
        p99_ms: result.service.quantile_ms(0.99),
    })
}

/// A figure of refused requests would be a figure of something else.
fn check(result: &SaturateResult, status: Option<u16>) -> Result<(), String> {
    let expected = status.and_then(|status| result.statuses.get(&status)).copied().unwrap_or(0);
    if result.failures.is_empty() && expected * 1_000 >= result.requests * 999 {
        return Ok(());
    }
    Err(format!("unexpected answers: {:?}, failures {:?}", result.statuses, result.failures))
}

/// Latency from the intended send time at half and at four fifths of what the product can do.
fn open_model(
    summary: &mut Summary,
    crowd: &Crowd,
    server: &Server,
    best: f64,
) -> Result<(), String> {
    for share in [50_u32, 80] {
        let requests = crowd.prepare();
        let make = |index: u64, out: &mut Vec<u8>| requests.append(index, out);
        let mut options = SaturateOptions::new(server.address, &make);
        let rate = best * f64::from(share) / 100.0;
        options.pace = Pace::Planned {
            stages: Stages::constant(rate, ROUND)?,
            spacing: Spacing::Poisson,
            seed: u64::from(share),
            drop_after: ROUND,
        };
        options.duration = ROUND;
        let result = saturate(&options).map_err(|error| error.to_string())?;
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999)] {
            let name = format!("acknowledged_{name}_at_{share}_percent");
            summary.figures.push(Figure::printed(
                &name,
                result.response.quantile_ms(quantile),
                "ms",
            ));
        }
    }
    Ok(())
}

/// People who have not booked yet.
struct Crowd {
    vault: Vault,
    slots: u32,
    next: AtomicU32,
}

/// Requests of one round, made before the clock starts.
struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    fn append(&self, index: u64, out: &mut Vec<u8>) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        let Some(end) = self.ends.get(index) else { return false };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        out.extend_from_slice(&self.bytes[start..*end]);
        true
    }
}

impl Crowd {
    fn prepare(&self) -> Requests {
        let first = self.next.fetch_add(PEOPLE_PER_ROUND, Ordering::Relaxed);
        let mut requests = Requests { bytes: Vec::new(), ends: Vec::new() };
        for person in first..first + PEOPLE_PER_ROUND {
            self.request(person, &mut requests.bytes);
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    fn request(&self, person: u32, out: &mut Vec<u8>) {
        let id = nation::id_number(person);
        let key = self.vault.person_key(&id);
        let Some(id) = IdNumber::new(&id) else { return };
        let token = self.vault.mint_token(&TokenClaims {
            person: key,
            number: Some(person),
            seen_sequence: 0,
            expires_at_s: nation::now_ms() as u64 / 1_000 + TOKEN_LIFETIME_S,
            sealed_id: self.vault.seal_id(&key, &id),
        });
        // A multiplicative hash spreads neighbours over the whole country.
        let slot = (u64::from(person) * 0x9E37_79B9 % u64::from(self.slots)) as u32;
        let body = format!("{{\"period\":{PERIOD},\"slot\":{slot}}}");
        let head = format!(
            "POST /v1/bookings HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\nidempotency-key: booking-{person}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }

    /// Books once and returns how long the body of the answer is.
    fn one_answer(&self, server: &Server) -> Result<usize, String> {
        let requests = self.prepare();
        let make = |index: u64, out: &mut Vec<u8>| index == 0 && requests.append(index, out);
        let size = Mutex::new(0);
        let seen = |_: u64, _: u16, body: &[u8]| {
            if let Ok(mut size) = size.lock() {
                *size = body.len();
            }
        };
        let mut options = SaturateOptions::new(server.address, &make);
        options.connections = 1;
        options.threads = 1;
        options.requests_max = 1;
        options.answers = Some(&seen);
        let result = saturate(&options).map_err(|error| error.to_string())?;
        check(&result, Some(202))?;
        size.into_inner().map_err(|error| error.to_string())
    }
}
