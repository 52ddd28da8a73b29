//! The load itself: people arrive, book, are turned away, try again, change their minds.
//!
//! One [`BookingTraffic`] per thread with people of its own; nothing is shared but the progress
//! counters and the record file. Every request keeps one retry key over all its sends.

mod answers;
mod choice;
mod counts;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::answer::{self, Outcome};
use crate::arrivals::ArrivalPlan;
use crate::campaign::Campaign;
use crate::connection::Failure;
use crate::driver::{Answer, Next, Times, Traffic};
use crate::ending::Ending;
use crate::history::{Action, Asked, History, Source, Told};
use crate::progress::Live;
use crate::record::RecordWriter;
use crate::retry::RetryPolicy;
use crate::scenario::BehaviourSettings;

pub(crate) use choice::{Chooser, Habits};
pub(crate) use counts::Counts;

/// What all threads of one run have in common.
#[derive(Debug)]
pub(crate) struct BookingOptions<'a> {
    pub(crate) campaign: &'a Campaign,
    pub(crate) behaviour: &'a BehaviourSettings,
    pub(crate) retry: RetryPolicy,
    pub(crate) seed: u64,
    pub(crate) chooser: &'a Chooser,
    pub(crate) live: &'a Live,
    pub(crate) start: Instant,
    /// Nobody comes after this.
    pub(crate) until: Instant,
    /// Nothing is sent again after this.
    pub(crate) drained: Instant,
    pub(crate) drop_after: Duration,
    /// Booking arrivals of all threads at most.
    pub(crate) arrivals_max: u64,
    /// Nobody comes any more once it is asked to end.
    pub(crate) ending: &'a Ending,
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    First,
    Retry,
    Duplicate,
}

/// Something due at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A request already made is to be sent (again).
    Send { request: u32, why: Why },
    /// The person of this request acts again: moves or cancels.
    FollowUp { request: u32 },
    /// Somebody looks at slots.
    Read { draw: u64 },
}

/// One request, by its place the same as in the history.
#[derive(Clone, Copy, Debug)]
struct Request {
    due: Instant,
    attempts: u32,
    /// Slots tried so far, this one included.
    tries: u32,
    acknowledged: bool,
    /// Counted as acknowledged, turned away or given up.
    ended: bool,
    /// One of two bookings made at once by the same person.
    rival: bool,
}

/// One exchange under way.
#[derive(Clone, Copy, Debug)]
enum UnderWay {
    Request { request: u32, due: Instant, why: Why },
    Read { due: Instant },
}

/// The traffic of one thread.
pub(crate) struct BookingTraffic<'a> {
    options: &'a BookingOptions<'a>,
    /// The arrivals of an open model; in a saturating run somebody is always ready.
    plan: Option<ArrivalPlan>,
    planned: Option<Instant>,
    /// The next person's place among those who take part, and the distance to the one after.
    place: u64,
    threads: u64,
    /// This thread's part of the bound on arrivals.
    arrivals_max: u64,
    /// Nobody comes any more.
    over: bool,
    reads_owed: f64,
    due: BinaryHeap<Reverse<(Instant, Due)>>,
    requests: Vec<Request>,
    under_way: Vec<UnderWay>,
    vacant: Vec<usize>,
    record: Option<RecordWriter>,
    draws: u64,
    pub(crate) history: History,
    pub(crate) counts: Counts,
}

impl<'a> BookingTraffic<'a> {
    /// Thread `thread` of `threads`.
    pub(crate) fn new(
        options: &'a BookingOptions<'a>,
        plan: Option<ArrivalPlan>,
        record: Option<RecordWriter>,
        thread: u64,
        threads: u64,
    ) -> BookingTraffic<'a> {
        BookingTraffic {
            options,
            plan,
            planned: None,
            place: thread,
            arrivals_max: options.arrivals_max / threads
                + u64::from(thread < options.arrivals_max % threads),
            threads,
            over: false,
            reads_owed: 0.0,
            due: BinaryHeap::new(),
            requests: Vec::new(),
            under_way: Vec::new(),
            vacant: Vec::new(),
            record,
            draws: options.seed ^ thread.wrapping_mul(0xA5A5_1922),
            history: History::default(),
            counts: Counts::default(),
        }
    }

    /// What went wrong with the record file, if anything did.
    pub(crate) fn record_failure(&self) -> Option<String> {
        self.record.as_ref().and_then(|record| record.failure.clone())
    }

    /// When the next person wants to book; `None` when nobody comes any more.
    fn next_arrival(&mut self, now: Instant) -> Option<Instant> {
        self.over |= self.options.ending.at().is_some();
        if self.over {
            return None;
        }
        let Some(plan) = self.plan.as_mut() else {
            self.over = now >= self.options.until;
            return (!self.over).then_some(now);
        };
        loop {
            let due = match self.planned {
                Some(due) => due,
                None => match plan.next() {
                    Some(offset) => {
                        self.counts.planned += 1;
                        *self.planned.insert(self.options.start + offset)
                    }
                    None => {
                        self.over = true;
                        return None;
                    }
                },
            };
            if now.saturating_duration_since(due) <= self.options.drop_after {
                return Some(due);
            }
            self.planned = None;
            self.counts.dropped += 1;
        }
    }

    /// The next person comes to book; false when there is none left.
    fn arrive(&mut self, due: Instant, out: &mut Vec<u8>) -> Option<Next> {
        self.planned = None;
        let campaign = self.options.campaign;
        if self.counts.arrivals >= self.arrivals_max {
            self.counts.requests_max_reached = true;
            self.over = true;
            return None;
        }
        let Some(person) = campaign.person(self.place) else {
            self.counts.people_exhausted = true;
            self.over = true;
            return None;
        };
        self.place += self.threads;
        self.counts.arrivals += 1;
        self.owe_reads(due);
        let habits = Habits::of(self.options.seed, person, self.options.behaviour);
        let slot = self.options.chooser.slot(person, 0);
        let request = self.ask(
            Asked { person, ordinal: 0, action: Action::Book(slot) },
            due,
            1,
            habits.rival,
        );
        if habits.rival {
            let other = self.options.chooser.other_slot(person, 1, slot);
            let rival =
                self.ask(Asked { person, ordinal: 1, action: Action::Book(other) }, due, 1, true);
            self.due.push(Reverse((due, Due::Send { request: rival, why: Why::First })));
        }
        Some(self.send(request, due, Why::First, out))
    }

    /// Looks at slots that go with an arrival.
    fn owe_reads(&mut self, due: Instant) {
        self.reads_owed += self.options.behaviour.reads_per_arrival;
        while self.reads_owed >= 1.0 {
            self.reads_owed -= 1.0;
            let draw = self.draw();
            self.due.push(Reverse((due, Due::Read { draw })));
        }
    }

    /// Notes a new request.
    fn ask(&mut self, asked: Asked, due: Instant, tries: u32, rival: bool) -> u32 {
        if let Some(record) = &mut self.record {
            record.asked(&asked);
        }
        self.history.asked.push(asked);
        self.requests.push(Request {
            due,
            attempts: 0,
            tries,
            acknowledged: false,
            ended: false,
            rival,
        });
        self.counts.requests += 1;
        (self.requests.len() - 1) as u32
    }

    fn send(&mut self, request: u32, due: Instant, why: Why, out: &mut Vec<u8>) -> Next {
        let asked = self.history.asked[request as usize];
        self.options.campaign.write(asked.person, asked.ordinal, asked.action, out);
        let known = &mut self.requests[request as usize];
        known.attempts += u32::from(why != Why::Duplicate);
        let behaviour = self.options.behaviour;
        if why == Why::First
            && Habits::sends_twice(self.options.seed, asked.person, asked.ordinal, behaviour)
        {
            let delay = self.draw() % (behaviour.duplicate_delay_ms_max + 1);
            let again = due + Duration::from_millis(delay);
            self.due.push(Reverse((again, Due::Send { request, why: Why::Duplicate })));
        }
        self.counts.retries += u64::from(why == Why::Retry);
        self.counts.duplicates += u64::from(why == Why::Duplicate);
        self.begin(UnderWay::Request { request, due, why })
    }

    fn begin(&mut self, entry: UnderWay) -> Next {
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

    /// Does what is due; `None` when it came to nothing.
    fn perform(
        &mut self,
        due: Instant,
        what: Due,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Next> {
        if now >= self.options.drained {
            if let Due::Send { request, why: Why::First | Why::Retry } = what {
                self.give_up(request);
            }
            return None;
        }
        match what {
            // A duplicate's answer may have come while the retry was waiting.
            Due::Send { request, why: Why::Retry } if self.requests[request as usize].ended => None,
            Due::Send { request, why } => Some(self.send(request, due, why, out)),
            Due::Read { draw } => {
                self.options.campaign.write_read(draw, out);
                (!out.is_empty()).then(|| self.begin(UnderWay::Read { due }))
            }
            Due::FollowUp { request } => {
                let before = self.history.asked[request as usize];
                let (Action::Book(slot) | Action::Move(slot)) = before.action else { return None };
                let habits = Habits::of(self.options.seed, before.person, self.options.behaviour);
                let action = match before.action {
                    Action::Book(_) if habits.moves => Action::Move(
                        self.options.chooser.other_slot(before.person, before.ordinal + 1, slot),
                    ),
                    _ => Action::Cancel,
                };
                let asked = Asked { person: before.person, ordinal: before.ordinal + 1, action };
                let request = self.ask(asked, due, 1, false);
                Some(self.send(request, due, Why::First, out))
            }
        }
    }

    fn draw(&mut self) -> u64 {
        self.draws = self.draws.wrapping_add(1);
        crate::retry::mixed(self.draws)
    }

    fn release(&mut self, ticket: u64) -> UnderWay {
        self.vacant.push(ticket as usize);
        self.under_way[ticket as usize]
    }

    /// Counts what every exchange of a request has.
    fn count_exchange(&mut self, due: Instant, times: Times) {
        self.counts.exchanges += 1;
        self.counts.service.record(times.ended.saturating_duration_since(times.sent));
        if self.plan.is_some() {
            self.counts.send_lag.record(times.sent.saturating_duration_since(due));
        }
    }
}

impl Traffic for BookingTraffic<'_> {
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        while let Some(Reverse((due, what))) = self.due.peek().copied()
            && due <= now
        {
            self.due.pop();
            if let Some(next) = self.perform(due, what, now, out) {
                return next;
            }
        }
        let arrival = self.next_arrival(now);
        if let Some(due) = arrival
            && due <= now
            && let Some(next) = self.arrive(due, out)
        {
            return next;
        }
        let arrival = arrival.filter(|_| !self.over);
        let later = self.due.peek().map(|Reverse((due, _))| *due);
        match (arrival, later) {
            (Some(arrival), Some(later)) => Next::At(arrival.min(later)),
            (Some(moment), None) | (None, Some(moment)) => Next::At(moment),
            (None, None) if self.vacant.len() < self.under_way.len() => Next::Waiting,
            (None, None) => Next::Finished,
        }
    }

    fn answered(&mut self, ticket: u64, times: Times, answer: Answer<'_>) {
        *self.counts.statuses.entry(answer.status).or_default() += 1;
        let (request, due, why) = match self.release(ticket) {
            UnderWay::Request { request, due, why } => (request, due, why),
            UnderWay::Read { due } => {
                self.counts.reads += 1;
                self.counts.read_latency.record(times.ended.saturating_duration_since(due));
                return;
            }
        };
        self.count_exchange(due, times);
        let reading = answer::read(answer.status, answer.body);
        let outcome = reading.outcome;
        let binding = outcome.is_decided() || outcome == Outcome::Processing;
        // "Later" says nothing about the request, unless it had been accepted before.
        let later = matches!(answer.status, 425 | 429) || answer.status >= 500;
        if binding || !later || self.requests[request as usize].acknowledged {
            let told = Told::new(request, Source::Send, answer.status, &reading);
            if let Some(record) = &mut self.record {
                record.told(&self.history.asked[request as usize], &told);
            }
            self.history.told.push(told);
        }
        let pause = answer.retry_after_s.map(|seconds| Duration::from_secs(seconds.into()));
        match outcome {
            _ if binding => self.acknowledged(request, outcome, times.ended),
            Outcome::TurnedAway(reason) => {
                self.turned_away(request, why, reason, answer.status, times, pause)
            }
            _ => {
                *self.counts.errors.entry(format!("status_{}", answer.status)).or_default() += 1;
                // A server's failure leaves the outcome open, as a lost connection does; a refusal
                // of the request as such does not get better.
                if answer.status >= 500 || answer.status == 408 {
                    self.again(request, times.ended, pause);
                } else {
                    self.give_up(request);
                }
            }
        }
    }

    fn failed(&mut self, ticket: u64, times: Times, failure: Failure) {
        match self.release(ticket) {
            UnderWay::Request { request, due, why } => {
                self.count_exchange(due, times);
                *self.counts.errors.entry(failure.name().to_owned()).or_default() += 1;
                if why != Why::Duplicate {
                    self.again(request, times.ended, None);
                }
            }
            UnderWay::Read { .. } => {
                self.counts.reads += 1;
                *self.counts.errors.entry(format!("read_{}", failure.name())).or_default() += 1;
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        if let Some(record) = &mut self.record {
            record.flush();
        }
        self.counts.show(self.options.live, now);
    }
}

#[cfg(test)]
mod tests;
