//! The sending thread of one stream: when what waits is sent.
//!
//! Does: send at once at low load, keep a distance between groups while requests keep coming (each group
//! costs the broker CPU, whatever it holds) until no producer is about to add to what waits, send full groups while others are on their way, write out
//! what waits at an orderly end, and end what waits with an error after a failure. Does not pack or
//! settle ([`super::stream`] does).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stream::{BEHIND_IN_FLIGHT_MAX, Sending, StreamCore};

/// Longest sleep; work rings the bell.
const REST_MS: u64 = 1_000;

impl StreamCore {
    /// The sending thread: until everything is written after the journal was shut, or it failed.
    pub(super) fn run(self: &Arc<Self>) {
        self.bell.adopt();
        loop {
            if self.shared.is_failed() {
                return self.end();
            }
            self.bell.lie_down();
            let mut sending = self.sending.lock();
            let rest = self.turn(&mut sending);
            let is_done = self.shared.is_shut()
                && sending.behind.is_empty()
                && sending.in_flight == 0
                && self.lanes_waiting() == 0;
            drop(sending);
            if is_done {
                // A failure since the look above may have left lost groups that nobody was told of.
                return self.end();
            }
            if let Some(rest) = rest {
                self.bell.sleep(Some(rest));
            }
            self.bell.rise();
        }
    }

    /// Sends what is due; the time to rest, or `None` to look again at once.
    fn turn(self: &Arc<Self>, sending: &mut Sending) -> Option<Duration> {
        let now = Instant::now();
        let mut rest = Duration::from_millis(REST_MS);
        if let Some(due) = sending.behind_due {
            if sending.in_flight >= BEHIND_IN_FLIGHT_MAX {
                // The next settlement rings.
            } else if due <= now || self.shared.is_shut() {
                self.send_behind(sending, BEHIND_IN_FLIGHT_MAX - sending.in_flight);
                return None;
            } else {
                rest = rest.min(due - now);
            }
        }
        let waiting = self.lanes_waiting();
        if waiting == 0 {
            return Some(rest);
        }
        let config = &self.shared.config;
        let is_full = waiting >= config.gather_bytes_max as usize;
        if sending.in_flight >= config.groups_in_flight_max as usize {
            self.bell.pause();
            return Some(rest);
        }
        if !is_full && !self.shared.is_shut() {
            if sending.in_flight > 0 {
                // The next settlement rings.
                self.bell.pause();
                return Some(rest);
            }
            let left = sending.last_group.and_then(|(began, records)| {
                (began + sending.pacing.interval_after(records)).checked_duration_since(now)
            });
            if let Some(left) = left.filter(|left| !left.is_zero()) {
                // Announced before the producers are looked at: one that rests from here on rings.
                self.bell.listen();
                if !self.is_worth_sending() {
                    return Some(rest.min(left));
                }
            }
        }
        // Awake: who rests or pushes now need not ring.
        self.bell.rise();
        self.send_lanes(sending);
        None
    }

    /// The end of the thread. After a failure everything on its way arrives as lost, then it and what waits
    /// end with the error, in their order; after an orderly end there is nothing of either.
    fn end(self: &Arc<Self>) {
        if self.shared.is_failed() {
            self.shared.connection.purge();
        }
        let mut sending = self.sending.lock();
        while sending.in_flight > 0 {
            self.settled.wait_for(&mut sending, Duration::from_millis(REST_MS));
        }
        self.settle_lost(&mut sending);
        sending.behind.clear();
        sending.behind_due = None;
        let lanes = self.lanes.lock().clone();
        drop(sending);
        let refusal = self.shared.refusal();
        for lane in lanes {
            lane.close();
            if !self.shared.is_aborted() {
                lane.fail_waiting(&refusal);
            }
        }
    }
}
