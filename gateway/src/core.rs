//! One core: what belongs to one thread of a listener.
//!
//! A request is handled on the core that took its connection, from first byte to last; what it needs
//! of others comes through the core's inbox. What this module does not do: know HTTP calls.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Poll, Waker};
use std::time::Duration;

use domain::{Command, KeyHash};
use journal::{JournalError, Refused, Stream};

use crate::context::Context;
use crate::metrics::Counters;
use crate::outcomes::{Decision, Inbox};
use crate::problem::{Problem, Slug};
use crate::submitter::{Answer, Submitter, TICK_MS, Until};

/// Shortest and longest advice when to come back after an overload, so that not all come at once.
const RETRY_AFTER_S: std::ops::RangeInclusive<u32> = 1..=4;

/// One thread's part of a listener.
#[derive(Debug)]
pub(crate) struct Core {
    /// What all cores share.
    pub(crate) context: Arc<Context>,
    /// Which one this is.
    pub(crate) index: u8,
    /// The way into the journal.
    pub(crate) submitter: Submitter,
    /// This core's counts.
    pub(crate) counters: Arc<Counters>,
    inbox: Arc<Inbox>,
    /// Requests so far; the lower half of request ids.
    requests: Cell<u64>,
    /// A coarse clock in milliseconds, moved by [`Core::run_ticks`].
    now_ms: Rc<Cell<u64>>,
    /// Reads that wait for the view.
    view_waiters: RefCell<Vec<Waker>>,
}

impl Core {
    /// Opens the core's lane.
    ///
    /// # Errors
    /// When the journal takes no more writes.
    pub(crate) fn open(context: Arc<Context>, index: u8) -> Result<Core, JournalError> {
        let inbox = Arc::clone(&context.inboxes[index as usize]);
        let settled_inbox = Arc::clone(&inbox);
        let lane = context
            .journal
            .lane(Stream::Commands, Arc::new(move |settled| settled_inbox.settle(&settled)))?;
        let request = &context.config.request;
        let submitter = Submitter::new(
            (context.instance, index),
            lane,
            Arc::clone(&inbox),
            Arc::clone(&context.in_flight),
            Arc::clone(&context.watchers),
            Duration::from_millis(request.durable_wait_ms_max),
            request.in_flight_max,
        );
        Ok(Core {
            counters: Arc::clone(&context.counters[index as usize]),
            context,
            index,
            submitter,
            inbox,
            requests: Cell::new(0),
            now_ms: Rc::new(Cell::new(0)),
            view_waiters: RefCell::new(Vec::new()),
        })
    }

    /// Pushes a command and waits for its answer.
    ///
    /// # Errors
    /// 503: the journal is full or closed, or the command's fate is unknown.
    pub(crate) async fn submit(
        &self,
        command: Command,
        key: Option<KeyHash>,
        until: Until,
    ) -> Result<Answer, Problem> {
        let waiting = match self.submitter.submit(command, key, until) {
            Ok(waiting) => waiting,
            Err(refused) => return Err(self.refused(refused)),
        };
        self.counters.commands.add(1);
        match waiting.await {
            Answer::Unknown => {
                self.counters.unknown.add(1);
                Err(Problem::from(Slug::OutcomeUnknown).retry_after_s(self.retry_after_s()))
            }
            answer => Ok(answer),
        }
    }

    /// Pushes an operator's command and waits until it is applied: its events, in order.
    ///
    /// # Errors
    /// 503: not taken, or its fate is unknown.
    pub(crate) async fn apply(&self, command: Command) -> Result<Applied, Problem> {
        let wait = Duration::from_millis(self.context.config.request.applied_wait_ms_max);
        match self.submit(command, None, Until::Outcome(wait)).await? {
            Answer::Decided(Decision::Applied { sequence, events }) => {
                Ok(Applied { sequence, events })
            }
            _ => Err(Problem::from(Slug::OutcomeUnknown).retry_after_s(self.retry_after_s())),
        }
    }

    fn refused(&self, refused: Refused) -> Problem {
        self.counters.refused.add(1);
        match refused {
            Refused::Full => Problem::shed(Slug::Overloaded).retry_after_s(self.retry_after_s()),
            Refused::Closed => Problem::shed(Slug::NotWritable).retry_after_s(self.retry_after_s()),
            Refused::TooLarge => Slug::TooLarge.into(),
        }
    }

    /// Seconds to advise, not the same for all.
    pub(crate) fn retry_after_s(&self) -> u32 {
        rand::random_range(RETRY_AFTER_S)
    }

    /// Waits until the view knows every command that this gateway pushed before this call, every one
    /// that was durable then, whoever wrote it, and the command `sequence`: a person who reads their own
    /// data sees what they wrote, here and at other gateways.
    ///
    /// # Errors
    /// 503 `catching-up` after `view_wait_ms_max`.
    pub(crate) async fn view_reached(&self, sequence: u64) -> Result<(), Problem> {
        let wait = Duration::from_millis(self.context.config.request.view_wait_ms_max);
        self.view_reached_within(sequence, wait).await
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// 503 `catching-up` after it.
    pub(crate) async fn view_reached_within(
        &self,
        sequence: u64,
        wait: Duration,
    ) -> Result<(), Problem> {
        let context = &self.context;
        let goals: Vec<u64> = context.inboxes.iter().map(|inbox| inbox.pushed()).collect();
        let look = context.horizon.ask();
        // Fixed as soon as it is told: later looks only tell of what came after.
        let others = Cell::new(None);
        let others_reached = || {
            let Some(look) = look else { return true };
            let goal = others.get().or_else(|| context.horizon.told(look));
            others.set(goal);
            goal.is_some_and(|goal| context.horizon.is_taken_in(goal))
        };
        let reached = || {
            context.view.sequence().0 >= sequence
                && goals.iter().zip(&context.inboxes).all(|(goal, inbox)| inbox.seen() >= *goal)
                && others_reached()
        };
        if reached() {
            return Ok(());
        }
        let arrival = poll_fn(|task| {
            if reached() {
                return Poll::Ready(());
            }
            let mut waiters = self.view_waiters.borrow_mut();
            waiters.push(task.waker().clone());
            self.inbox.set_view_waiters(waiters.len());
            // The view may have moved before it knew that someone waits; the other fences stand in
            // `Inbox`.
            fence(Ordering::SeqCst);
            if reached() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(wait, arrival)
            .await
            .map_err(|_| Problem::from(Slug::CatchingUp).retry_after_s(self.retry_after_s()))
    }

    /// Names a request for the log and the client.
    pub(crate) fn request_id(&self) -> String {
        let count = self.requests.get();
        format!("{:08x}-{:02x}-{count:x}", self.context.instance, self.index)
    }

    /// Counts a request.
    pub(crate) fn count_request(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// The coarse clock that connections measure patience with.
    pub(crate) fn patience_clock(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.now_ms)
    }

    /// Completes requests whenever the inbox says so; for ever.
    pub(crate) async fn run_inbox(self: Rc<Self>) {
        loop {
            self.inbox.woken().await;
            self.submitter.drain();
            let waiters = std::mem::take(&mut *self.view_waiters.borrow_mut());
            if !waiters.is_empty() {
                self.inbox.set_view_waiters(0);
                waiters.into_iter().for_each(Waker::wake);
            }
        }
    }

    /// Moves the coarse clock and ends waits whose time is over; for ever. `each` is called a few
    /// times a second.
    pub(crate) async fn run_ticks(self: Rc<Self>, each: impl Fn()) {
        let start = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let spent = start.elapsed().as_millis();
            self.now_ms.set(u64::try_from(spent).unwrap_or(u64::MAX));
            self.submitter.tick();
            self.publish_counts();
            each();
        }
    }

    /// Puts what the submitter counts where a scrape finds it.
    fn publish_counts(&self) {
        let (buckets, sum_us) = self.submitter.latency();
        for (count, published) in buckets.iter().zip(&self.counters.latency) {
            published.set(*count);
        }
        self.counters.latency_sum_us.set(sum_us);
        self.counters.waiting.set(self.submitter.waiting_count() as u64);
    }
}

/// What an operator's command did.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    /// Its place in the journal.
    pub(crate) sequence: domain::Sequence,
    /// Its events.
    pub(crate) events: Vec<domain::Event>,
}
