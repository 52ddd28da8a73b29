//! What follows from an answer: done, again later, another slot, a change of mind.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::{BookingTraffic, Due, Habits, Why};
use crate::answer::{Outcome, Reason};
use crate::driver::Times;
use crate::history::{Action, Asked};

impl BookingTraffic<'_> {
    /// The request will be sent again later, or not at all any more.
    pub(super) fn again(&mut self, request: u32, now: Instant, asked_pause: Option<Duration>) {
        let known = self.requests[request as usize];
        if known.acknowledged || known.ended {
            return;
        }
        if known.attempts >= self.options.retry.attempts_max {
            return self.give_up(request);
        }
        let draw = self.draw();
        let pause = self.options.retry.pause(known.attempts, asked_pause, draw);
        self.due.push(Reverse((now + pause, Due::Send { request, why: Why::Retry })));
    }

    pub(super) fn give_up(&mut self, request: u32) {
        let known = &mut self.requests[request as usize];
        if !known.acknowledged && !known.ended {
            known.ended = true;
            self.counts.gave_up += 1;
        }
    }

    /// An answer that the server must stand by.
    pub(super) fn acknowledged(&mut self, request: u32, outcome: Outcome, ended: Instant) {
        let known = &mut self.requests[request as usize];
        let first = !known.acknowledged;
        known.acknowledged = true;
        if !first {
            return;
        }
        known.ended = true;
        let known = *known;
        self.counts.last_answer = Some(ended);
        self.counts.response.record(ended.saturating_duration_since(known.due));
        match outcome {
            Outcome::Confirmed => self.counts.confirmed += 1,
            Outcome::Processing => self.counts.processing += 1,
            Outcome::Rejected(reason) => {
                *self.counts.rejected.entry(reason).or_default() += 1;
                return self.try_another_slot(request, reason, ended);
            }
            _ => {}
        }
        self.follow_up(request, ended);
    }

    /// Moves and cancellations come after the booking is acknowledged.
    pub(super) fn follow_up(&mut self, request: u32, ended: Instant) {
        let asked = self.history.asked[request as usize];
        if self.requests[request as usize].rival || ended >= self.options.until {
            return;
        }
        let habits = Habits::of(self.options.seed, asked.person, self.options.behaviour);
        let acts = match asked.action {
            Action::Book(_) => habits.moves || habits.cancels,
            Action::Move(_) => habits.cancels,
            Action::Cancel => false,
        };
        if acts {
            let pause = Duration::from_millis(self.options.behaviour.follow_up_delay_ms);
            self.due.push(Reverse((ended + pause, Due::FollowUp { request })));
        }
    }

    /// The slot was full: the person picks another one, under a new key.
    pub(super) fn try_another_slot(&mut self, request: u32, reason: Reason, ended: Instant) {
        let known = self.requests[request as usize];
        let asked = self.history.asked[request as usize];
        let Action::Book(slot) = asked.action else { return };
        let tries_left = known.tries < self.options.behaviour.slot_tries_max;
        if !reason.is_slot_full() || !tries_left || known.rival || ended >= self.options.drained {
            return;
        }
        let ordinal = asked.ordinal + 1;
        let other = self.options.chooser.other_slot(asked.person, ordinal, slot);
        let next = self.ask(
            Asked { ordinal, action: Action::Book(other), ..asked },
            ended,
            known.tries + 1,
            false,
        );
        self.due.push(Reverse((ended, Due::Send { request: next, why: Why::First })));
    }

    /// The server would not take the request now.
    pub(super) fn turned_away(
        &mut self,
        request: u32,
        why: Why,
        reason: Reason,
        status: u16,
        times: Times,
        pause: Option<Duration>,
    ) {
        let passing = matches!(status, 425 | 429 | 503);
        if passing {
            *self.counts.pushed_back.entry(status).or_default() += 1;
            if why != Why::Duplicate {
                self.again(request, times.ended, pause);
            }
            return;
        }
        let known = &mut self.requests[request as usize];
        if known.acknowledged || known.ended || why == Why::Duplicate {
            return;
        }
        known.ended = true;
        let due = known.due;
        *self.counts.turned_away.entry(reason).or_default() += 1;
        self.counts.turned_away_latency.record(times.ended.saturating_duration_since(due));
        self.counts.last_answer = Some(times.ended);
        self.try_another_slot(request, reason, times.ended);
    }
}
