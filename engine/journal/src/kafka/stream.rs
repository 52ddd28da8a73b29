//! One stream on Kafka: the order in which groups are sent, and what is known of their fate.
//!
//! Does: give groups of lanes, appends and accepted records one order, keep few of them on their way,
//! pace them, settle them as the broker acknowledges, and keep what was accepted for readers of this
//! process. Everything sent goes through one lock, so the order of sending is the order of the stream.
//!
//! Does not read from the broker ([`super::reader`]), and never sends a group a second time: the client
//! library does, under one producer id and sequence, so that the broker drops what it has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::client::Delivered;
use super::fate::{Counters, StreamFigures, Waiter};
use super::frame::{self, HEADER_BYTES};
use super::lane::{LaneShared, Run};
use super::shared::Shared;
use super::tail::AcceptedTail;
use crate::bell::Bell;
use crate::pacing::Pacing;
use crate::rest::is_worth_writing;
use crate::{Appended, Group, JournalError, Position, Records, Stream};

/// Groups accepted behind that may be on their way at once: enough to fill the client's requests.
pub(super) const BEHIND_IN_FLIGHT_MAX: usize = 256;

/// What a group on its way is.
enum Kind {
    /// Gathered from lanes.
    Lanes(Vec<Run>),
    /// One `append`; its caller waits.
    Append(Arc<Waiter>),
    /// Accepted behind: so many bytes of `behind_bytes_max`.
    Behind(u64),
    /// Carried over from another journal.
    Import,
}

/// The state of sending; who holds it may send.
pub(super) struct Sending {
    /// Groups sent and not settled.
    pub(super) in_flight: usize,
    /// Groups sent so far, and of those settled.
    sent: u64,
    settled: u64,
    /// Accepted behind and not sent yet, framed.
    pub(super) behind: VecDeque<Vec<u8>>,
    /// Bytes accepted behind and not settled.
    behind_bytes: u64,
    /// When the oldest of them is to be sent.
    pub(super) behind_due: Option<Instant>,
    /// When some of them were last sent; the beginning, if none were.
    behind_sent: Instant,
    /// Where the next group will stand, unless somebody else writes the stream too.
    next: u64,
    /// Lost groups, with their places in the order of sending. After a failure the client library tells
    /// fates in any order, and takes some groups not at all; but whoever is told of a later group takes the
    /// earlier ones for settled. So they wait until the last fate is known.
    lost: Vec<(u64, Kind)>,
    /// The highest time given out.
    last_at_ms: i64,
    /// When the last group of lanes was sent, and how many records it held.
    pub(super) last_group: Option<(Instant, u32)>,
    pub(super) pacing: Pacing,
}

/// One stream.
pub(super) struct StreamCore {
    /// The journal's.
    pub(super) shared: Arc<Shared>,
    /// Which one.
    pub(super) stream: Stream,
    /// Its topic.
    pub(super) topic: String,
    pub(super) sending: Mutex<Sending>,
    /// A group settled.
    pub(super) settled: Condvar,
    /// Wakes the sending thread.
    pub(super) bell: Bell,
    pub(super) lanes: Mutex<Vec<Arc<LaneShared>>>,
    /// The stream is known to reach at least here: readers wait for what is known to be there.
    known_end: AtomicU64,
    /// Bytes seen in groups below this position, once each.
    seen_through: Mutex<(u64, u64)>,
    /// For readers of this process that want what was accepted.
    pub(super) tail: AcceptedTail,
    counters: Counters,
}

impl StreamCore {
    /// A stream that ends at `end`.
    pub(super) fn new(shared: Arc<Shared>, stream: Stream, end: u64) -> StreamCore {
        let topic = shared.config.topic(stream);
        let pacing =
            Pacing::new(shared.config.group_interval_us_max, shared.config.tiny_group_records);
        StreamCore {
            shared,
            stream,
            topic,
            sending: Mutex::new(Sending {
                in_flight: 0,
                sent: 0,
                settled: 0,
                behind: VecDeque::new(),
                behind_bytes: 0,
                behind_due: None,
                behind_sent: Instant::now(),
                next: end,
                lost: Vec::new(),
                last_at_ms: i64::MIN,
                last_group: None,
                pacing,
            }),
            settled: Condvar::new(),
            bell: Bell::default(),
            lanes: Mutex::default(),
            known_end: AtomicU64::new(end),
            seen_through: Mutex::new((0, 0)),
            tail: AcceptedTail::default(),
            counters: Counters::default(),
        }
    }

    /// The stream reaches at least here.
    pub(super) fn known_end(&self) -> u64 {
        self.known_end.load(Ordering::Acquire)
    }

    /// The stream was seen to reach here.
    pub(super) fn learn_end(&self, end: u64) {
        self.known_end.fetch_max(end, Ordering::AcqRel);
    }

    /// Counts a group once, whoever saw it.
    pub(super) fn count_seen(&self, position: u64, bytes: usize) {
        let mut seen = self.seen_through.lock();
        if position >= seen.0 {
            *seen = (position + 1, seen.1 + bytes as u64);
        }
    }

    /// Bytes of the groups that this process wrote or read.
    pub(super) fn seen_bytes(&self) -> u64 {
        self.seen_through.lock().1
    }

    /// Counts since the journal was opened.
    pub(super) fn figures(&self) -> StreamFigures {
        self.counters.figures(self.sending.lock().in_flight)
    }

    /// Adds a lane.
    pub(super) fn add_lane(&self, lane: Arc<LaneShared>) -> Result<(), JournalError> {
        if self.shared.is_shut() {
            return Err(self.shared.refusal());
        }
        let mut lanes = self.lanes.lock();
        lanes.retain(|lane| !lane.is_done());
        let limit = self.shared.config.lanes_max;
        if lanes.len() >= limit as usize {
            return Err(JournalError::Full { what: "kafka.lanes_max", limit: limit.into() });
        }
        lanes.push(lane);
        Ok(())
    }

    fn writable(&self) -> Result<MutexGuard<'_, Sending>, JournalError> {
        let sending = self.sending.lock();
        if self.shared.is_shut() { Err(self.shared.refusal()) } else { Ok(sending) }
    }

    /// Sends one group of its own, behind everything accepted before; its fate arrives at the waiter.
    pub(super) fn append(self: &Arc<Self>, records: &[&[u8]]) -> Result<Arc<Waiter>, JournalError> {
        let waiter = Arc::new(Waiter::default());
        let mut sending = self.writable()?;
        self.send_behind(&mut sending, usize::MAX);
        let mut value = frame::begin(records.iter().map(|record| 4 + record.len()).sum());
        records.iter().for_each(|record| frame::push(&mut value, record));
        frame::finish(&mut value, u32::try_from(records.len()).unwrap_or(u32::MAX), None);
        self.send(&mut sending, value, None, Kind::Append(Arc::clone(&waiter)));
        Ok(waiter)
    }

    /// Sends one group that another journal dated; never waits for its fate.
    pub(super) fn import(
        self: &Arc<Self>,
        at_ms: i64,
        body: &[u8],
        count: u32,
    ) -> Result<(), JournalError> {
        let mut sending = self.writable()?;
        while sending.in_flight >= BEHIND_IN_FLIGHT_MAX {
            self.settled.wait(&mut sending);
            if self.shared.is_failed() {
                return Err(self.shared.refusal());
            }
        }
        let mut value = frame::begin(body.len());
        value.extend_from_slice(body);
        frame::finish(&mut value, count, None);
        sending.last_at_ms = sending.last_at_ms.max(at_ms);
        self.send(&mut sending, value, Some(at_ms), Kind::Import);
        Ok(())
    }

    /// Accepts one record as one group, to be sent soon.
    pub(super) fn accept(&self, record: &[u8]) -> Result<Position, JournalError> {
        let config = &self.shared.config;
        let mut sending = self.writable()?;
        let bytes = record.len() as u64;
        if sending.behind_bytes + bytes > config.behind_bytes_max {
            let limit = config.behind_bytes_max;
            return Err(JournalError::Full { what: "kafka.behind_bytes_max", limit });
        }
        let at_ms = (self.shared.clock)().max(sending.last_at_ms);
        sending.last_at_ms = at_ms;
        if sending.in_flight == 0 && sending.behind.is_empty() {
            // Nothing of this process stands behind what others may have written until now.
            sending.next = sending.next.max(self.known_end());
        }
        let mut value = frame::begin(4 + record.len());
        frame::push(&mut value, record);
        frame::finish(&mut value, 1, Some(at_ms));
        let position = Position(sending.next + sending.behind.len() as u64);
        let group = Group {
            position,
            next: Position(position.0 + 1),
            at_ms,
            records: Records::from_packed(Bytes::copy_from_slice(&value[HEADER_BYTES..]), 1),
        };
        sending.behind.push_back(value);
        sending.behind_bytes += bytes;
        let interval = Duration::from_millis(config.behind_sync_interval_ms.into());
        let due = Instant::now().max(sending.behind_sent + interval);
        sending.behind_due.get_or_insert(due);
        // Under the lock, so that the tail has the order of the stream.
        self.tail.push(group);
        drop(sending);
        self.bell.nudge();
        Ok(position)
    }

    /// Waits until everything accepted or pushed before the call is settled.
    pub(super) fn sync(self: &Arc<Self>) -> Result<(), JournalError> {
        let mut sending = self.sending.lock();
        if self.shared.is_failed() {
            return Err(self.shared.refusal());
        }
        self.send_behind(&mut sending, usize::MAX);
        while self.lanes_waiting() > 0 && !self.shared.is_failed() {
            self.send_lanes(&mut sending);
        }
        let sent = sending.sent;
        while sending.settled < sent {
            self.settled.wait(&mut sending);
        }
        if self.shared.is_failed() { Err(self.shared.refusal()) } else { Ok(()) }
    }

    /// Bytes waiting in lanes.
    pub(super) fn lanes_waiting(&self) -> usize {
        self.lanes.lock().iter().map(|lane| lane.waiting_bytes()).sum()
    }

    /// Sends what was accepted behind, so many groups at most.
    pub(super) fn send_behind(self: &Arc<Self>, sending: &mut Sending, most: usize) {
        if !sending.behind.is_empty() {
            sending.behind_sent = Instant::now();
        }
        for _ in 0..most {
            let Some(value) = sending.behind.pop_front() else { break };
            let bytes = (value.len() - HEADER_BYTES - 4) as u64;
            self.send(sending, value, None, Kind::Behind(bytes));
        }
        if sending.behind.is_empty() {
            sending.behind_due = None;
        }
    }

    /// Whether records wait in lanes and no producer is about to add to them.
    pub(super) fn is_worth_sending(&self) -> bool {
        let lanes = self.lanes.lock();
        is_worth_writing(lanes.iter().map(|lane| (&lane.rest, lane.waiting_bytes())))
    }

    /// Sends one group of what waits in the lanes, behind what was accepted before.
    pub(super) fn send_lanes(self: &Arc<Self>, sending: &mut Sending) {
        self.send_behind(sending, usize::MAX);
        let mut room = self.shared.config.gather_bytes_max as usize;
        let lanes = self.lanes.lock();
        let waiting: usize = lanes.iter().map(|lane| lane.waiting_bytes()).sum();
        let mut value = frame::begin(waiting.min(room));
        let (mut runs, mut count) = (Vec::new(), 0);
        // Another lane begins each time, so that none is always last.
        let first = usize::try_from(sending.sent).unwrap_or(0) % lanes.len().max(1);
        for lane in lanes[first..].iter().chain(&lanes[..first]) {
            while let Some((chunk, run)) = lane.take(room) {
                room -= chunk.bytes.len();
                count += chunk.count;
                value.extend_from_slice(&chunk.bytes);
                runs.push(run);
            }
        }
        drop(lanes);
        if runs.is_empty() {
            return;
        }
        frame::finish(&mut value, count, None);
        sending.last_group = Some((Instant::now(), count));
        self.send(sending, value, None, Kind::Lanes(runs));
    }

    /// Sends one finished frame. A time is given only to what another journal dated.
    fn send(
        self: &Arc<Self>,
        sending: &mut Sending,
        value: Vec<u8>,
        at_ms: Option<i64>,
        kind: Kind,
    ) {
        let at_ms = at_ms.or_else(|| {
            let clock = self.shared.own_clock.as_ref()?;
            sending.last_at_ms = sending.last_at_ms.max(clock());
            Some(sending.last_at_ms)
        });
        let place = sending.sent;
        sending.next += 1;
        sending.sent += 1;
        sending.in_flight += 1;
        let kind = Arc::new(Mutex::new(Some(kind)));
        let (core, began, bytes) = (Arc::clone(self), Instant::now(), value.len());
        let own = Arc::clone(&kind);
        let on_delivery = move |fate: Result<Delivered, String>| {
            if let Some(kind) = own.lock().take() {
                core.arrived((place, kind), began, bytes, fate);
            }
        };
        let connection = &self.shared.connection;
        let sent = connection.send(&self.topic, None, None, &value, at_ms, Box::new(on_delivery));
        if let Err(why) = sent
            && let Some(kind) = kind.lock().take()
        {
            sending.in_flight -= 1;
            sending.settled += 1;
            sending.lost.push((place, kind));
            self.fail(&why);
        }
    }

    fn fail(&self, why: &str) {
        self.shared.fail(format!("stream {}: produce: {why}", self.stream.name()));
        self.bell.ring();
    }

    /// The broker's word about a group, or that there will be none.
    fn arrived(
        self: &Arc<Self>,
        (place, kind): (u64, Kind),
        began: Instant,
        bytes: usize,
        fate: Result<Delivered, String>,
    ) {
        let result = match fate {
            Ok(delivered) => {
                self.learn_end(delivered.offset + 1);
                self.count_seen(delivered.offset, bytes);
                let took = began.elapsed();
                self.counters.count(bytes, took);
                Ok(self.note_delivered(delivered, took))
            }
            Err(why) => {
                self.fail(&why);
                Err(why)
            }
        };
        let behind_bytes = if let Kind::Behind(bytes) = kind { bytes } else { 0 };
        let mut lost = None;
        match result {
            // After the first failure nothing counts as acknowledged any more.
            Ok(appended) if !self.shared.is_failed() => settle(kind, Ok(appended)),
            _ => lost = Some((place, kind)),
        }
        let mut sending = self.sending.lock();
        sending.lost.extend(lost);
        sending.in_flight -= 1;
        sending.settled += 1;
        sending.behind_bytes -= behind_bytes;
        drop(sending);
        self.settled.notify_all();
        self.bell.ring();
    }

    fn note_delivered(&self, delivered: Delivered, took: Duration) -> Appended {
        let mut sending = self.sending.lock();
        sending.pacing.measured(took);
        // Groups are acknowledged in order, so those still on their way stand behind this one.
        let reached = delivered.offset + sending.in_flight as u64;
        if reached > sending.next {
            // Somebody else writes the stream too: everything later stands further on.
            sending.next = reached;
            self.tail.forget();
        }
        sending.last_at_ms = sending.last_at_ms.max(delivered.at_ms);
        let at_ms = sending.last_at_ms;
        drop(sending);
        self.tail.trim(delivered.offset);
        Appended {
            position: Position(delivered.offset),
            next: Position(delivered.offset + 1),
            at_ms,
        }
    }

    /// Ends what was lost with the error, in the order of sending. Nothing is on its way any more.
    pub(super) fn settle_lost(&self, sending: &mut Sending) {
        let mut lost = std::mem::take(&mut sending.lost);
        lost.sort_unstable_by_key(|(place, _)| *place);
        for (_, kind) in lost {
            settle(kind, Err(self.shared.refusal()));
        }
    }

    /// Takes no more from the lanes.
    pub(super) fn close_lanes(&self) {
        for lane in self.lanes.lock().iter() {
            lane.close();
        }
        self.bell.ring();
    }
}

/// Tells everybody who waits for a group what became of it.
fn settle(kind: Kind, result: Result<Appended, JournalError>) {
    match kind {
        Kind::Lanes(runs) => runs.into_iter().for_each(|run| run.settle(result.clone())),
        Kind::Append(waiter) => waiter.tell(result),
        Kind::Behind(_) | Kind::Import => {}
    }
}
