//! Many independent calls over few connections: logging in, registering, asking back.
//!
//! Every call is repeated on failures of the connection, 429, 503 and where its reader asks for it,
//! within bounds of number and time. The order of calls is not kept.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::address::Target;
use crate::connection::Failure;
use crate::driver::{Answer, DriverOptions, Next, Times, Traffic, drive};
use crate::retry::RetryPolicy;

/// What the reader makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<R> {
    /// That was it.
    Done(R),
    /// Not yet: ask again, and if it stays so, fail with these words.
    Again(String),
    /// It will not get better.
    Failed(String),
}

/// One kind of call, asked for by index.
pub(crate) trait Call: Sync {
    /// What one call gives.
    type Output: Send;
    /// Appends the request.
    fn write(&self, index: usize, out: &mut Vec<u8>);
    /// Reads an answer; not called for 429 and 503.
    fn read(&self, index: usize, status: u16, body: &[u8]) -> Verdict<Self::Output>;
}

/// The outcomes of one thread, each with its index.
type Outcomes<R> = Vec<(usize, Result<R, String>)>;

/// Bounds of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct SweepOptions {
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) retry: RetryPolicy,
    /// Calls not done by then fail.
    pub(crate) time_max: Duration,
}

/// Makes `count` calls; the outcome of each stands at its index. `done` counts them while they go.
pub(crate) fn sweep<C: Call>(
    target: &Target,
    options: &SweepOptions,
    count: usize,
    call: &C,
    done: &AtomicU64,
) -> io::Result<Vec<Result<C::Output, String>>> {
    let threads = options.threads.clamp(1, count.max(1)).min(options.connections.max(1));
    let next = AtomicUsize::new(0);
    let deadline = Instant::now() + options.time_max;
    let parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let next = &next;
                scope.spawn(move || -> io::Result<Outcomes<C::Output>> {
                    let connections = (options.connections / threads).max(1);
                    let seed = thread as u64;
                    let mut traffic = Calls {
                        call,
                        options,
                        next,
                        count,
                        deadline,
                        done,
                        seed,
                        repeats: BinaryHeap::new(),
                        under_way: Vec::new(),
                        vacant: Vec::new(),
                        outcomes: Vec::new(),
                        finished: 0,
                    };
                    let bounds = DriverOptions {
                        connections,
                        request_timeout: options.retry.request_timeout,
                    };
                    drive(&target.addresses(), bounds, &mut traffic)?;
                    Ok(traffic.outcomes)
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| {
                worker.join().map_err(|_| io::Error::other("a thread of the generator panicked"))?
            })
            .collect::<io::Result<Vec<_>>>()
    })?;
    let mut outcomes: Vec<Result<C::Output, String>> = Vec::with_capacity(count);
    outcomes.resize_with(count, || Err("not attempted before the time was over".to_owned()));
    for (index, outcome) in parts.into_iter().flatten() {
        outcomes[index] = outcome;
    }
    Ok(outcomes)
}

/// One call that is under way or waits to be repeated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    index: usize,
    number: u32,
}

/// The calls of one thread.
struct Calls<'a, C: Call> {
    call: &'a C,
    options: &'a SweepOptions,
    next: &'a AtomicUsize,
    count: usize,
    deadline: Instant,
    done: &'a AtomicU64,
    seed: u64,
    repeats: BinaryHeap<Reverse<(Instant, Attempt)>>,
    under_way: Vec<Attempt>,
    vacant: Vec<usize>,
    outcomes: Outcomes<C::Output>,
    /// Outcomes since the last turn.
    finished: u64,
}

impl<C: Call> Calls<'_, C> {
    fn send(&mut self, attempt: Attempt, out: &mut Vec<u8>) -> Next {
        self.call.write(attempt.index, out);
        let place = match self.vacant.pop() {
            Some(place) => {
                self.under_way[place] = attempt;
                place
            }
            None => {
                self.under_way.push(attempt);
                self.under_way.len() - 1
            }
        };
        Next::Send(place as u64)
    }

    fn release(&mut self, ticket: u64) -> Attempt {
        self.vacant.push(ticket as usize);
        self.under_way[ticket as usize]
    }

    fn settle(&mut self, attempt: Attempt, outcome: Result<C::Output, String>) {
        self.outcomes.push((attempt.index, outcome));
        self.finished += 1;
    }

    fn repeat(&mut self, attempt: Attempt, now: Instant, asked: Option<Duration>, reason: String) {
        if attempt.number >= self.options.retry.attempts_max || now >= self.deadline {
            self.settle(attempt, Err(format!("{reason} (attempt {})", attempt.number)));
            return;
        }
        self.seed = self.seed.wrapping_add(1);
        let pause = self.options.retry.pause(attempt.number, asked, self.seed);
        self.repeats
            .push(Reverse((now + pause, Attempt { number: attempt.number + 1, ..attempt })));
    }
}

impl<C: Call> Traffic for Calls<'_, C> {
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        if let Some(Reverse((due, attempt))) = self.repeats.peek().copied()
            && due <= now
        {
            self.repeats.pop();
            return self.send(attempt, out);
        }
        if now < self.deadline {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index < self.count {
                return self.send(Attempt { index, number: 1 }, out);
            }
        }
        match self.repeats.peek() {
            Some(Reverse((due, _))) => Next::At(*due),
            None if self.vacant.len() < self.under_way.len() => Next::Waiting,
            None => Next::Finished,
        }
    }

    fn answered(&mut self, ticket: u64, times: Times, answer: Answer<'_>) {
        let attempt = self.release(ticket);
        if matches!(answer.status, 429 | 503) {
            let asked = answer.retry_after_s.map(|seconds| Duration::from_secs(seconds.into()));
            self.repeat(attempt, times.ended, asked, format!("status {}", answer.status));
            return;
        }
        match self.call.read(attempt.index, answer.status, answer.body) {
            Verdict::Done(output) => self.settle(attempt, Ok(output)),
            Verdict::Failed(reason) => self.settle(attempt, Err(reason)),
            Verdict::Again(reason) => self.repeat(attempt, times.ended, None, reason),
        }
    }

    fn failed(&mut self, ticket: u64, times: Times, failure: Failure) {
        let attempt = self.release(ticket);
        self.repeat(attempt, times.ended, None, failure.name().replace('_', " "));
    }

    fn turn(&mut self, _now: Instant) {
        self.done.fetch_add(self.finished, Ordering::Relaxed);
        self.finished = 0;
    }
}

/// The message of a sweep in which some calls failed: how many, and the first reason.
pub(crate) fn failures<T>(what: &str, outcomes: &[Result<T, String>]) -> Option<String> {
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let first = outcomes
        .iter()
        .enumerate()
        .find_map(|(index, outcome)| outcome.as_ref().err().map(|reason| (index, reason)))?;
    Some(format!(
        "{what}: {failed} of {} failed; the first, number {}: {}",
        outcomes.len(),
        first.0,
        first.1
    ))
}
