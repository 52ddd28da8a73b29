//! A core's way into the journal, and its slab of requests that await an answer.
//!
//! [`Submitter::submit`] encodes a command, pushes it into the core's own lane and gives back a future.
//! Nothing here crosses a thread: the journal and the reader of events only fill the core's inbox and
//! wake it once a group; [`Submitter::drain`] then completes this core's requests. A request leaves
//! either when its command is durable or when its outcome is known, and is woken for that alone.
//!
//! A command with a retry key is answered by whatever is said of that key, wherever it stands; so it
//! travels with its place in the slab, and the key is compared. Events without a key say nothing of
//! whose they are, and a journal may hold a command twice: such a command travels with a serial number
//! that no other command of the core carries.
//!
//! What this module does not do: decide whether a request may be submitted (`shed`, the handlers), or
//! say in HTTP what came of it (`handler`).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use domain::codec::encode_command;
use domain::{Command, Envelope, KeyHash};
use journal::{Lane, Refused};

use crate::in_flight::InFlight;
use crate::origin::{NOWHERE, Place};
use crate::outcomes::{Completion, Decision, Inbox, Watchers};

/// How often requests whose time is over are looked for.
pub(crate) const TICK_MS: u64 = 50;

/// What a request waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// The command is durable.
    Durable,
    /// The outcome is known, or this much time has passed and the command is durable.
    Outcome(Duration),
}

/// What a request gets.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The command is durable; its outcome was not asked for or did not come in time.
    Durable,
    /// The outcome.
    Decided(Decision),
    /// Nobody knows what became of the command.
    Unknown,
    /// A watcher's time is over.
    NotYet,
}

/// One core's lane and slab.
pub(crate) struct Submitter {
    core: u8,
    instance: u32,
    lane: Arc<dyn Lane>,
    inbox: Arc<Inbox>,
    in_flight: Arc<InFlight>,
    watchers: Arc<Watchers>,
    durable_wait: Duration,
    slab: RefCell<Slab>,
    /// The encoded command, kept for its capacity.
    encoded: RefCell<Vec<u8>>,
    /// Decisions taken from the inbox, kept for its capacity.
    taken: RefCell<Vec<Completion>>,
    /// Microseconds from submission to completion: `latency[n]` counts those below 2^n.
    latency: [Cell<u64>; LATENCY_BUCKETS],
    latency_sum_us: Cell<u64>,
}

/// Buckets of the latency histogram: the last but one ends at about 34 s.
pub(crate) const LATENCY_BUCKETS: usize = 27;

/// The requests of a core that await an answer.
struct Slab {
    entries: Vec<Entry>,
    /// First free entry, or [`NOWHERE`].
    free: u32,
    /// Entries in use.
    used: usize,
    /// At most so many.
    used_max: usize,
    /// Entries that leave when durable, in order of ticket.
    durable: VecDeque<(u64, u32)>,
    /// Entries in use that have a time limit.
    timed: usize,
    /// The entries whose commands have no retry key, by serial number.
    serials: HashMap<u32, u32>,
    /// The next serial number.
    next_serial: u32,
}

struct Entry {
    /// The retry key a completion must carry; `None` for commands without one.
    key: Option<KeyHash>,
    /// The serial number of a command without a retry key, or [`NOWHERE`].
    serial: u32,
    /// The record's place in the lane.
    ticket: u64,
    submitted: Instant,
    waker: Option<Waker>,
    state: State,
}

enum State {
    /// Not in use; the next free one.
    Free(u32),
    /// Leaves when durable; gives up at the instant.
    Durable(Instant),
    /// Leaves with the outcome; from the instant on with durability alone.
    Outcome(Instant),
    /// Wants the outcome of a key that was submitted elsewhere.
    Watch(Instant),
    /// The answer is there.
    Done(Answer),
}

impl Submitter {
    /// A core's submitter on its own lane.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        place: (u32, u8),
        lane: Box<dyn Lane>,
        inbox: Arc<Inbox>,
        in_flight: Arc<InFlight>,
        watchers: Arc<Watchers>,
        durable_wait: Duration,
        in_flight_max: usize,
    ) -> Submitter {
        Submitter {
            core: place.1,
            instance: place.0,
            lane: lane.into(),
            inbox,
            in_flight,
            watchers,
            durable_wait,
            slab: RefCell::new(Slab {
                entries: Vec::new(),
                free: NOWHERE,
                used: 0,
                used_max: in_flight_max,
                durable: VecDeque::new(),
                timed: 0,
                serials: HashMap::new(),
                next_serial: 0,
            }),
            encoded: RefCell::new(Vec::with_capacity(256)),
            taken: RefCell::new(Vec::new()),
            latency: std::array::from_fn(|_| Cell::new(0)),
            latency_sum_us: Cell::new(0),
        }
    }

    /// The lane, for whoever knows when the core has nothing to do.
    pub(crate) fn lane(&self) -> Arc<dyn Lane> {
        Arc::clone(&self.lane)
    }

    /// Pushes a command and gives the future of its answer. `key` is the command's retry key.
    ///
    /// # Errors
    /// [`Refused`]: nothing was written.
    pub(crate) fn submit(
        &self,
        command: Command,
        key: Option<KeyHash>,
        until: Until,
    ) -> Result<Waiting<'_>, Refused> {
        let now = Instant::now();
        let state = match until {
            Until::Durable => State::Durable(now + self.durable_wait),
            Until::Outcome(wait) => State::Outcome(now + wait),
        };
        let awaits_outcome = matches!(until, Until::Outcome(_));
        let mut slab = self.slab.borrow_mut();
        let index = slab.insert(key, now, state).ok_or(Refused::Full)?;
        if !awaits_outcome {
            // Told before the push: the record may be durable before this function returns.
            self.inbox.set_durable_waiters(slab.durable.len() + 1);
        }
        let place = match (awaits_outcome, key) {
            (false, _) => NOWHERE,
            (true, Some(_)) => index,
            (true, None) => slab.number(index),
        };
        match self.push(command, key, place) {
            Ok(ticket) => {
                slab.entries[index as usize].ticket = ticket;
                if !awaits_outcome {
                    slab.durable.push_back((ticket, index));
                }
                Ok(self.waiting(index))
            }
            Err(refused) => {
                slab.release(index);
                self.inbox.set_durable_waiters(slab.durable.len());
                Err(refused)
            }
        }
    }

    fn push(&self, command: Command, key: Option<KeyHash>, index: u32) -> Result<u64, Refused> {
        let place = Place { instance: self.instance, core: self.core, index };
        let envelope = Envelope { origin: place.pack(), command };
        let mut encoded = self.encoded.borrow_mut();
        encoded.clear();
        encode_command(&envelope, &mut encoded);
        if let Some(key) = key {
            self.in_flight.push(self.core, key);
        }
        match self.lane.push(&encoded) {
            Ok(ticket) => {
                self.inbox.count_pushed();
                Ok(ticket.0)
            }
            Err(refused) => {
                if let Some(key) = key {
                    self.in_flight.unpush(self.core, key);
                }
                Err(refused)
            }
        }
    }

    /// Awaits the outcome of a key that was submitted before, here or elsewhere. The caller looks
    /// into the view after this call and before awaiting, so that no outcome slips between.
    ///
    /// # Errors
    /// [`Refused::Full`] when too many requests wait.
    pub(crate) fn watch(&self, key: KeyHash, wait: Duration) -> Result<Waiting<'_>, Refused> {
        let now = Instant::now();
        let mut slab = self.slab.borrow_mut();
        let index = slab.insert(Some(key), now, State::Watch(now + wait)).ok_or(Refused::Full)?;
        self.watchers.add(key, self.core, index);
        Ok(self.waiting(index))
    }

    fn waiting(&self, index: u32) -> Waiting<'_> {
        Waiting { submitter: self, index, finished: false }
    }

    /// Completes what the inbox holds answers for. Called by the core after each wake.
    pub(crate) fn drain(&self) {
        let mut taken = self.taken.borrow_mut();
        self.inbox.take_completions(&mut taken);
        let mut slab = self.slab.borrow_mut();
        let now = Instant::now();
        let end = self.settled_end(&mut slab);
        while let Some(&(ticket, index)) = slab.durable.front() {
            if ticket >= end {
                break;
            }
            slab.durable.pop_front();
            let entry = &mut slab.entries[index as usize];
            if entry.ticket == ticket && matches!(entry.state, State::Durable(_)) {
                self.measure(now, entry.submitted);
                slab.finish(index, Answer::Durable);
            }
        }
        self.inbox.set_durable_waiters(slab.durable.len());
        for completion in taken.drain(..) {
            if let Some(submitted) = slab.complete(completion) {
                self.measure(now, submitted);
            }
        }
    }

    /// The ticket below which everything that still waits is durable: what was lost has been answered.
    ///
    /// The end is read first. A run is noted as lost before it counts as settled, so that nothing below
    /// this end can be lost and not yet noted.
    fn settled_end(&self, slab: &mut Slab) -> u64 {
        let end = self.inbox.settled_end();
        for (first, count) in self.inbox.take_lost() {
            slab.lose(first, count);
        }
        end
    }

    /// Ends the waits whose time is over. Called by the core every [`TICK_MS`].
    pub(crate) fn tick(&self) {
        let mut slab = self.slab.borrow_mut();
        if slab.timed == 0 {
            return;
        }
        let (now, end) = (Instant::now(), self.settled_end(&mut slab));
        for index in 0..slab.entries.len() {
            let entry = &mut slab.entries[index];
            let answer = match entry.state {
                State::Watch(until) if now >= until => Answer::NotYet,
                State::Outcome(until) if now >= until && entry.ticket < end => Answer::Durable,
                State::Outcome(until) if now >= until + self.durable_wait => Answer::Unknown,
                State::Durable(until) if now >= until => Answer::Unknown,
                _ => continue,
            };
            let watched = matches!(entry.state, State::Watch(_)).then_some(entry.key).flatten();
            let index = u32::try_from(index).unwrap_or(NOWHERE);
            if let Some(key) = watched {
                self.watchers.remove(key, self.core, index);
            }
            slab.finish(index, answer);
        }
    }

    /// Requests that await an answer.
    pub(crate) fn waiting_count(&self) -> usize {
        self.slab.borrow().used
    }

    fn measure(&self, now: Instant, submitted: Instant) {
        let micros = u64::try_from(now.duration_since(submitted).as_micros()).unwrap_or(u64::MAX);
        let bucket = (64 - micros.leading_zeros() as usize).min(LATENCY_BUCKETS - 1);
        self.latency[bucket].set(self.latency[bucket].get() + 1);
        self.latency_sum_us.set(self.latency_sum_us.get().wrapping_add(micros));
    }

    /// The latency histogram so far: counts per bucket and the sum in microseconds.
    pub(crate) fn latency(&self) -> ([u64; LATENCY_BUCKETS], u64) {
        (std::array::from_fn(|bucket| self.latency[bucket].get()), self.latency_sum_us.get())
    }
}

impl std::fmt::Debug for Submitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Submitter").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Slab {
    fn insert(&mut self, key: Option<KeyHash>, now: Instant, state: State) -> Option<u32> {
        if self.used >= self.used_max {
            return None;
        }
        let entry =
            Entry { key, serial: NOWHERE, ticket: u64::MAX, submitted: now, waker: None, state };
        self.used += 1;
        self.timed += 1;
        if self.free == NOWHERE {
            let index = u32::try_from(self.entries.len()).ok()?;
            self.entries.push(entry);
            return Some(index);
        }
        let index = self.free;
        if let State::Free(next) = self.entries[index as usize].state {
            self.free = next;
        }
        self.entries[index as usize] = entry;
        Some(index)
    }

    /// Gives an entry a serial number. They begin again after sixteen million, long after the journal
    /// can have repeated the first.
    fn number(&mut self, index: u32) -> u32 {
        let serial = self.next_serial;
        self.next_serial = (serial + 1) % NOWHERE;
        self.entries[index as usize].serial = serial;
        self.serials.insert(serial, index);
        serial
    }

    fn release(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        if !matches!(entry.state, State::Done(_)) {
            self.timed -= 1;
        }
        if entry.serial != NOWHERE {
            self.serials.remove(&entry.serial);
            entry.serial = NOWHERE;
        }
        entry.state = State::Free(self.free);
        entry.waker = None;
        entry.key = None;
        entry.ticket = u64::MAX;
        self.free = index;
        self.used -= 1;
    }

    /// The answer is there; wakes the request.
    fn finish(&mut self, index: u32, answer: Answer) {
        let entry = &mut self.entries[index as usize];
        self.timed -= 1;
        entry.state = State::Done(answer);
        if let Some(waker) = entry.waker.take() {
            waker.wake();
        }
    }

    /// Nobody knows what became of these records.
    fn lose(&mut self, first: u64, count: u32) {
        let run = first..first + u64::from(count);
        for index in 0..self.entries.len() {
            let entry = &self.entries[index];
            if !run.contains(&entry.ticket) {
                continue;
            }
            let index = u32::try_from(index).unwrap_or(NOWHERE);
            match entry.state {
                State::Durable(_) | State::Outcome(_) => self.finish(index, Answer::Unknown),
                State::Free(_) | State::Watch(_) | State::Done(_) => {}
            }
        }
        self.durable.retain(|(ticket, _)| !run.contains(ticket));
    }

    /// A decision came. Tells when the request was submitted, if it still waited.
    fn complete(&mut self, completion: Completion) -> Option<Instant> {
        let index = match completion.key {
            Some(_) => completion.index,
            None => *self.serials.get(&completion.index)?,
        };
        let entry = self.entries.get(index as usize)?;
        if entry.key != completion.key {
            return None;
        }
        match entry.state {
            State::Outcome(_) | State::Watch(_) => {
                let submitted = entry.submitted;
                self.finish(index, Answer::Decided(completion.decision));
                Some(submitted)
            }
            State::Free(_) | State::Durable(_) | State::Done(_) => None,
        }
    }
}

/// The future of an answer. Dropping it lets the command go on without anyone waiting.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    submitter: &'a Submitter,
    index: u32,
    finished: bool,
}

impl Future for Waiting<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let submitter = self.submitter;
        let mut slab = submitter.slab.borrow_mut();
        let entry = &mut slab.entries[self.index as usize];
        if !matches!(entry.state, State::Done(_)) {
            match &mut entry.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            return Poll::Pending;
        }
        let done = std::mem::replace(&mut entry.state, State::Done(Answer::Unknown));
        slab.release(self.index);
        self.finished = true;
        match done {
            State::Done(answer) => Poll::Ready(answer),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut slab = self.submitter.slab.borrow_mut();
        let entry = &slab.entries[self.index as usize];
        if let (State::Watch(_), Some(key)) = (&entry.state, entry.key) {
            self.submitter.watchers.remove(key, self.submitter.core, self.index);
        }
        slab.release(self.index);
    }
}

#[cfg(test)]
mod tests;
