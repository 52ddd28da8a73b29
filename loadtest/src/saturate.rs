//! The bare generator: as many requests as the connections carry, or as a plan says.
//!
//! It knows nothing of bookings, so that a benchmark can drive any server, a bare echo or the
//! product, with the same connections and the same cost per request. No retries here.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::arrivals::{ArrivalPlan, Spacing, Stages};
use crate::connection::Failure;
use crate::driver::{Answer, DriverOptions, DriverReport, Next, Times, Traffic, drive};
use crate::latency::Latency;

/// Appends the bytes of the request with this index; false when there is none left.
pub type RequestBytes<'a> = &'a (dyn Fn(u64, &mut Vec<u8>) -> bool + Sync);
/// Sees every answer: index, status, body.
pub type AnswerSeen<'a> = &'a (dyn Fn(u64, u16, &[u8]) + Sync);

/// When requests are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    /// Each connection sends its next request as soon as the last one is answered.
    Saturating,
    /// Requests are due by plan, whatever the server does.
    Planned {
        /// The rate's course; its end ends the run.
        stages: Stages,
        /// How arrivals lie around the rate.
        spacing: Spacing,
        /// Same seed, same plan.
        seed: u64,
        /// A request that has waited this long for a connection is dropped and counted.
        drop_after: Duration,
    },
}

/// What to drive, how hard, how long.
#[derive(Clone)]
pub struct SaturateOptions<'a> {
    /// The server.
    pub address: SocketAddr,
    /// Connections over all threads.
    pub connections: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// How long requests are sent and counted, after the warm-up.
    pub duration: Duration,
    /// Requests in this time before are sent and not counted.
    pub warm_up: Duration,
    /// Requests at most, the warm-up's included.
    pub requests_max: u64,
    /// A request not answered in this time failed.
    pub request_timeout: Duration,
    /// When requests are sent.
    pub pace: Pace,
    /// The requests; each index is asked for once, roughly in order.
    pub requests: RequestBytes<'a>,
    /// Sees the answers, where somebody wants to.
    pub answers: Option<AnswerSeen<'a>>,
}

impl<'a> SaturateOptions<'a> {
    /// A saturating run of ten seconds over 256 connections from two threads.
    pub fn new(address: SocketAddr, requests: RequestBytes<'a>) -> SaturateOptions<'a> {
        SaturateOptions {
            address,
            connections: 256,
            threads: 2,
            duration: Duration::from_secs(10),
            warm_up: Duration::ZERO,
            requests_max: u64::MAX,
            request_timeout: Duration::from_secs(30),
            pace: Pace::Saturating,
            requests,
            answers: None,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct SaturateResult {
    /// Requests answered in the time counted.
    pub requests: u64,
    /// Answers per second of the time counted.
    pub per_second: f64,
    /// The time counted, to the last answer.
    pub elapsed: Duration,
    /// From the moment a request was due to its answer. In a saturating run a request is due when it
    /// is sent, so this is the same as `service` there and hides what waiting users would see.
    pub response: Latency,
    /// From the moment a request was written to its answer.
    pub service: Latency,
    /// From the moment a request was due to the moment it was written.
    pub send_lag: Latency,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without an answer, by cause.
    pub failures: BTreeMap<Failure, u64>,
    /// Requests due that were never sent.
    pub dropped: u64,
    /// CPU time of the generator's threads, the warm-up's included.
    pub generator_cpu: Duration,
    /// CPU time of the generator per exchange.
    pub generator_cpu_us_per_request: f64,
}

/// Drives the server and counts.
pub fn saturate(options: &SaturateOptions<'_>) -> io::Result<SaturateResult> {
    let threads = options.threads.clamp(1, options.connections.max(1));
    let next_index = AtomicU64::new(0);
    let start = Instant::now();
    let outcomes = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let next_index = &next_index;
                scope.spawn(move || run_thread(options, threads, thread, start, next_index))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker.join().map_err(|_| io::Error::other("a thread of the generator panicked"))?
            })
            .collect::<io::Result<Vec<_>>>()
    })?;
    Ok(sum(options, start, outcomes))
}

fn run_thread(
    options: &SaturateOptions<'_>,
    threads: usize,
    thread: usize,
    start: Instant,
    next_index: &AtomicU64,
) -> io::Result<(Counted, DriverReport)> {
    let connections =
        options.connections / threads + usize::from(thread < options.connections % threads);
    let plan = match &options.pace {
        Pace::Saturating => None,
        Pace::Planned { stages, spacing, seed, .. } => {
            Some(ArrivalPlan::new(stages.clone(), *spacing, *seed, thread, threads))
        }
    };
    let drop_after = match &options.pace {
        Pace::Planned { drop_after, .. } => *drop_after,
        Pace::Saturating => Duration::MAX,
    };
    let mut traffic = Stream {
        options,
        next_index,
        due: None,
        plan,
        drop_after,
        start,
        counted_from: start + options.warm_up,
        until: start + options.warm_up + options.duration,
        under_way: Vec::with_capacity(connections),
        vacant: Vec::with_capacity(connections),
        over: false,
        counted: Counted::default(),
    };
    let report = drive(
        &[options.address],
        DriverOptions { connections, request_timeout: options.request_timeout },
        &mut traffic,
    )?;
    Ok((traffic.counted, report))
}

fn sum(
    options: &SaturateOptions<'_>,
    start: Instant,
    outcomes: Vec<(Counted, DriverReport)>,
) -> SaturateResult {
    let mut result = SaturateResult::default();
    let mut exchanges = 0;
    let mut last = start;
    for (counted, report) in outcomes {
        result.requests += counted.answered;
        result.response.add(&counted.response);
        result.service.add(&counted.service);
        result.send_lag.add(&counted.send_lag);
        result.dropped += counted.dropped;
        result.generator_cpu += report.cpu;
        exchanges += counted.exchanges;
        last = last.max(counted.last_answer.unwrap_or(start));
        for (status, count) in counted.statuses {
            *result.statuses.entry(status).or_default() += count;
        }
        for (failure, count) in counted.failures {
            *result.failures.entry(failure).or_default() += count;
        }
    }
    result.elapsed = last.saturating_duration_since(start + options.warm_up);
    if !result.elapsed.is_zero() {
        result.per_second = result.requests as f64 / result.elapsed.as_secs_f64();
    }
    if exchanges > 0 {
        result.generator_cpu_us_per_request =
            result.generator_cpu.as_secs_f64() * 1e6 / exchanges as f64;
    }
    result
}

/// What one thread counted.
#[derive(Default)]
struct Counted {
    answered: u64,
    exchanges: u64,
    response: Latency,
    service: Latency,
    send_lag: Latency,
    statuses: BTreeMap<u16, u64>,
    failures: BTreeMap<Failure, u64>,
    dropped: u64,
    last_answer: Option<Instant>,
}

/// One request under way.
#[derive(Clone, Copy)]
struct UnderWay {
    index: u64,
    due: Instant,
}

/// The traffic of one thread.
struct Stream<'a> {
    options: &'a SaturateOptions<'a>,
    /// Shared by all threads: each index is used once.
    next_index: &'a AtomicU64,
    /// Taken from the plan and not yet sent.
    due: Option<Instant>,
    plan: Option<ArrivalPlan>,
    drop_after: Duration,
    start: Instant,
    counted_from: Instant,
    until: Instant,
    under_way: Vec<UnderWay>,
    vacant: Vec<usize>,
    over: bool,
    counted: Counted,
}

impl Stream<'_> {
    /// The next moment at which a request is due; `None` when there is none any more.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        let Some(plan) = self.plan.as_mut() else { return (now < self.until).then_some(now) };
        loop {
            let due = match self.due {
                Some(due) => due,
                None => *self.due.insert(self.start + plan.next()?),
            };
            // The time counted bounds what is due, not when the late are sent.
            if due >= self.until {
                return None;
            }
            if now.saturating_duration_since(due) <= self.drop_after {
                return Some(due);
            }
            self.due = None;
            self.counted.dropped += 1;
        }
    }

    fn release(&mut self, ticket: u64) -> UnderWay {
        self.vacant.push(ticket as usize);
        self.under_way[ticket as usize]
    }
}

impl Traffic for Stream<'_> {
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        if self.over {
            return Next::Finished;
        }
        let Some(due) = self.due(now) else {
            self.over = true;
            return Next::Finished;
        };
        if due > now {
            return Next::At(due);
        }
        self.due = None;
        let index = self.next_index.fetch_add(1, Ordering::Relaxed);
        if index >= self.options.requests_max || !(self.options.requests)(index, out) {
            self.over = true;
            return Next::Finished;
        }
        let entry = UnderWay { index, due };
        let place = match self.vacant.pop() {
            Some(place) => {
                self.under_way[place] = entry;
                place
            }
            None => {
                self.under_way.push(entry);
                self.under_way.len() - 1
            }
        };
        Next::Send(place as u64)
    }

    fn answered(&mut self, ticket: u64, times: Times, answer: Answer<'_>) {
        let entry = self.release(ticket);
        if let Some(seen) = self.options.answers {
            seen(entry.index, answer.status, answer.body);
        }
        self.counted.exchanges += 1;
        // In a saturating run `due` is when the loop asked for a request, a moment before it was sent.
        let planned = self.plan.is_some();
        let due = if planned { entry.due } else { times.sent };
        let place_in_time = if planned { due } else { times.ended };
        if place_in_time < self.counted_from || place_in_time > self.until {
            return;
        }
        self.counted.answered += 1;
        *self.counted.statuses.entry(answer.status).or_default() += 1;
        self.counted.response.record(times.ended.saturating_duration_since(due));
        self.counted.service.record(times.ended.saturating_duration_since(times.sent));
        self.counted.send_lag.record(times.sent.saturating_duration_since(due));
        self.counted.last_answer = Some(times.ended);
    }

    fn failed(&mut self, ticket: u64, times: Times, failure: Failure) {
        self.release(ticket);
        self.counted.exchanges += 1;
        if times.ended >= self.counted_from {
            *self.counted.failures.entry(failure).or_default() += 1;
        }
    }

    fn turn(&mut self, _now: Instant) {}
}
