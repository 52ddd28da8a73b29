//! What one thread counted, and the sum over threads.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::answer::Reason;
use crate::latency::Latency;
use crate::progress::Live;
use crate::result::add_counts;

/// How often the progress counters are brought up to date.
const SHOW_INTERVAL: Duration = Duration::from_millis(20);

/// Counters and latencies of one thread.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Arrivals drawn from the plan.
    pub(crate) planned: u64,
    /// People who came to book.
    pub(crate) arrivals: u64,
    pub(crate) dropped: u64,
    pub(crate) requests: u64,
    pub(crate) exchanges: u64,
    pub(crate) retries: u64,
    pub(crate) duplicates: u64,
    pub(crate) confirmed: u64,
    pub(crate) processing: u64,
    pub(crate) rejected: BTreeMap<Reason, u64>,
    pub(crate) turned_away: BTreeMap<Reason, u64>,
    /// Exchanges answered with "later": 425, 429, 503.
    pub(crate) pushed_back: BTreeMap<u16, u64>,
    pub(crate) gave_up: u64,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) reads: u64,
    pub(crate) people_exhausted: bool,
    pub(crate) requests_max_reached: bool,
    pub(crate) response: Latency,
    pub(crate) service: Latency,
    pub(crate) turned_away_latency: Latency,
    pub(crate) read_latency: Latency,
    pub(crate) send_lag: Latency,
    pub(crate) last_answer: Option<Instant>,
    shown_at: Option<Instant>,
    shown: [u64; 4],
}

impl Counts {
    /// Brings the progress counters up to date, not in every turn.
    pub(crate) fn show(&mut self, live: &Live, now: Instant) {
        if self.shown_at.is_some_and(|at| now.saturating_duration_since(at) < SHOW_INTERVAL) {
            return;
        }
        self.shown_at = Some(now);
        self.show_now(live);
    }

    /// Brings the progress counters up to date.
    pub(crate) fn show_now(&mut self, live: &Live) {
        let rejected: u64 = self.rejected.values().sum();
        let acknowledged = self.confirmed + self.processing + rejected;
        let errors: u64 = self.errors.values().sum();
        let current = [self.exchanges, acknowledged, errors, self.dropped];
        let counters = [&live.exchanges, &live.acknowledged, &live.errors, &live.dropped];
        for ((counter, now), before) in counters.into_iter().zip(current).zip(&mut self.shown) {
            counter.fetch_add(now - *before, Ordering::Relaxed);
            *before = now;
        }
    }

    /// Adds the counts of another thread.
    pub(crate) fn add(&mut self, other: &Counts) {
        for (mine, theirs) in [
            (&mut self.planned, other.planned),
            (&mut self.arrivals, other.arrivals),
            (&mut self.dropped, other.dropped),
            (&mut self.requests, other.requests),
            (&mut self.exchanges, other.exchanges),
            (&mut self.retries, other.retries),
            (&mut self.duplicates, other.duplicates),
            (&mut self.confirmed, other.confirmed),
            (&mut self.processing, other.processing),
            (&mut self.gave_up, other.gave_up),
            (&mut self.reads, other.reads),
        ] {
            *mine += theirs;
        }
        add_counts(&mut self.rejected, &other.rejected);
        add_counts(&mut self.turned_away, &other.turned_away);
        add_counts(&mut self.pushed_back, &other.pushed_back);
        add_counts(&mut self.errors, &other.errors);
        add_counts(&mut self.statuses, &other.statuses);
        self.people_exhausted |= other.people_exhausted;
        self.requests_max_reached |= other.requests_max_reached;
        for (mine, theirs) in [
            (&mut self.response, &other.response),
            (&mut self.service, &other.service),
            (&mut self.turned_away_latency, &other.turned_away_latency),
            (&mut self.read_latency, &other.read_latency),
            (&mut self.send_lag, &other.send_lag),
        ] {
            mine.add(theirs);
        }
        self.last_answer = self.last_answer.max(other.last_answer);
    }
}
