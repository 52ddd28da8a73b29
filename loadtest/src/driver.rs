//! The loop that keeps many connections busy from one thread.
//!
//! One thread, one poll, no tasks and no locks: a generator that shares the cores with the server
//! must cost as little as it can. The loop hands out requests when the [`Traffic`] says that one is
//! due and a connection is free, and hands back answers. It never decides what to send, never
//! retries, and never sends two requests on one connection at once.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::connection::{Connection, Failure, Phase, Step};
use crate::timer::{PreciseTimer, TIMER_TOKEN};

/// Readiness events taken from the poll at once.
const EVENTS_MAX: usize = 1_024;
/// How often requests under way are checked against the time allowed, and counters are shown.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);
/// A place whose connection was refused rests this long, so that a dead server is not stormed.
const REFUSED_REST: Duration = Duration::from_millis(50);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The request in the buffer is to be sent under this name.
    Send(u64),
    /// Nothing before this instant.
    At(Instant),
    /// Nothing until an answer comes.
    Waiting,
    /// Nothing more, ever; answers under way are still taken.
    Finished,
}

/// A whole answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after_s: Option<u32>,
    pub(crate) body: &'a [u8],
}

/// When an exchange began and ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
}

/// What is sent, and what answers mean.
pub(crate) trait Traffic {
    /// Says what to do now; for [`Next::Send`] the request has been appended to `out`, which is empty.
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next;
    /// The exchange `ticket` was answered.
    fn answered(&mut self, ticket: u64, times: Times, answer: Answer<'_>);
    /// The exchange `ticket` ended without an answer; whether the server acted on it is not known,
    /// except after [`Failure::Refused`].
    fn failed(&mut self, ticket: u64, times: Times, failure: Failure);
    /// Called once per turn of the loop, after all answers of the turn.
    fn turn(&mut self, now: Instant);
}

/// Bounds of one driver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DriverOptions {
    pub(crate) connections: usize,
    pub(crate) request_timeout: Duration,
}

/// What the loop knows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DriverReport {
    pub(crate) elapsed: Duration,
    /// Not spent waiting in the poll.
    pub(crate) busy: Duration,
    /// CPU time of the thread.
    pub(crate) cpu: Duration,
    /// Requests due that found no free connection at the time, as seen once per turn.
    pub(crate) turns_without_connection: u64,
    pub(crate) turns: u64,
}

/// The loop's own state.
struct Driver<'a, T> {
    poll: Poll,
    timer: PreciseTimer,
    /// Each place of a connection has one of them, in turn.
    addresses: &'a [SocketAddr],
    options: DriverOptions,
    connections: Vec<Connection>,
    /// Places that may take a request, used in turn: citizens come on connections of their own, and
    /// a server that spreads connections over its cores must see all of them.
    free: VecDeque<usize>,
    resting: VecDeque<(Instant, usize)>,
    traffic: &'a mut T,
    report: DriverReport,
}

/// Runs `traffic` against `addresses`, at least one, until it is finished and nothing is under way.
pub(crate) fn drive<T: Traffic>(
    addresses: &[SocketAddr],
    options: DriverOptions,
    traffic: &mut T,
) -> io::Result<DriverReport> {
    let now = Instant::now();
    let count = options.connections.max(1);
    let poll = Poll::new()?;
    let timer = PreciseTimer::new(poll.registry())?;
    let mut driver = Driver {
        poll,
        timer,
        addresses,
        options,
        connections: (0..count).map(|_| Connection::closed(now)).collect(),
        free: (0..count).collect(),
        resting: VecDeque::new(),
        traffic,
        report: DriverReport::default(),
    };
    driver.run()?;
    Ok(driver.report)
}

impl<T: Traffic> Driver<'_, T> {
    fn run(&mut self) -> io::Result<()> {
        let started = Instant::now();
        let cpu_before = thread_cpu();
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut next_sweep = started + SWEEP_INTERVAL;
        let mut waited = Duration::ZERO;
        loop {
            let wake = match self.hand_out() {
                Next::Finished if self.under_way() == 0 => break,
                Next::At(wake) => Some(wake),
                _ => None,
            };
            let before = Instant::now();
            let limit = wake.map_or(next_sweep, |wake| wake.min(next_sweep));
            self.timer.wait(
                &mut self.poll,
                &mut events,
                limit.saturating_duration_since(before),
            )?;
            let after = Instant::now();
            waited += after - before;
            for event in &events {
                let Token(place) = event.token();
                if event.token() == TIMER_TOKEN {
                    self.timer.fired();
                } else if place < self.connections.len() {
                    let step = self.connections[place].advance();
                    self.take(place, step);
                }
            }
            if after >= next_sweep {
                self.sweep(after);
                next_sweep = after + SWEEP_INTERVAL;
            }
            self.report.turns += 1;
            self.traffic.turn(after);
        }
        self.traffic.turn(Instant::now());
        self.report.elapsed = started.elapsed();
        self.report.busy = self.report.elapsed.saturating_sub(waited);
        self.report.cpu = thread_cpu().saturating_sub(cpu_before);
        Ok(())
    }

    fn under_way(&self) -> usize {
        self.connections.len() - self.free.len() - self.resting.len()
    }

    /// Gives every due request a free connection, as long as there are both.
    fn hand_out(&mut self) -> Next {
        let mut now = Instant::now();
        loop {
            let Some(place) = self.free.pop_front() else {
                self.report.turns_without_connection += 1;
                return Next::Waiting;
            };
            let connection = &mut self.connections[place];
            connection.out.clear();
            let next = self.traffic.next(now, &mut connection.out);
            let Next::Send(ticket) = next else {
                self.free.push_front(place);
                return next;
            };
            now = Instant::now();
            connection.ticket = ticket;
            connection.sent_at = now;
            let address = self.addresses[place % self.addresses.len()];
            let step = connection.begin(address, self.poll.registry(), Token(place));
            self.take(place, step);
        }
    }

    /// Draws the consequence of one step of one connection.
    fn take(&mut self, place: usize, step: Step) {
        let connection = &mut self.connections[place];
        match step {
            Step::Wait => {}
            Step::ClosedIdle => connection.close(self.poll.registry()),
            Step::Answered(head) => {
                let times = Times { sent: connection.sent_at, ended: Instant::now() };
                let answer = Answer {
                    status: head.status,
                    retry_after_s: head.retry_after_s,
                    body: connection.body(&head),
                };
                self.traffic.answered(connection.ticket, times, answer);
                connection.finish(&head, self.poll.registry());
                self.free.push_back(place);
            }
            Step::Failed(failure) => {
                let times = Times { sent: connection.sent_at, ended: Instant::now() };
                connection.close(self.poll.registry());
                self.traffic.failed(connection.ticket, times, failure);
                if failure == Failure::Refused {
                    self.resting.push_back((times.ended + REFUSED_REST, place));
                } else {
                    self.free.push_back(place);
                }
            }
        }
    }

    /// Ends what took too long and lets rested places work again.
    fn sweep(&mut self, now: Instant) {
        for place in 0..self.connections.len() {
            let connection = &self.connections[place];
            let under_way =
                matches!(connection.phase, Phase::Connecting | Phase::Writing | Phase::Reading);
            if under_way
                && now.saturating_duration_since(connection.sent_at) >= self.options.request_timeout
            {
                self.take(place, Step::Failed(Failure::TimedOut));
            }
        }
        while self.resting.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, place)) = self.resting.pop_front() {
                self.free.push_back(place);
            }
        }
    }
}

/// CPU time this thread has used.
fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
