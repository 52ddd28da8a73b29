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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::client::{Connection, Delivered};
use super::config::KafkaConfig;
use super::frame::{self, HEADER_BYTES};
use super::lane::{LaneShared, Run};
use super::tail::AcceptedTail;
use crate::bell::Bell;
use crate::embedded::Clock;
use crate::pacing::Pacing;
use crate::{Appended, Group, Health, JournalError, Position, Records, Stream};

/// Groups accepted behind that may be on their way at once: enough to fill the client's requests.
const BEHIND_IN_FLIGHT_MAX: usize = 256;
/// Longest sleep of the sending thread; work rings the bell.
const REST_MS: u64 = 1_000;

/// What all streams of a journal share.
pub(super) struct Shared {
    /// Limits.
    pub(super) config: KafkaConfig,
    /// The producer.
    pub(super) connection: Connection,
    /// Dates the groups in place of the broker, for migration and tests.
    pub(super) own_clock: Option<Clock>,
    /// Dates groups accepted behind, which are read before the broker has dated them.
    pub(super) clock: Clock,
    health: Mutex<Health>,
    /// `health` is no longer `Writable`, or will soon not be; read without the lock.
    is_shut: AtomicBool,
    /// Stop at once; nothing that waits is written.
    is_aborted: AtomicBool,
}

impl Shared {
    /// Of a journal that takes writes.
    pub(super) fn new(
        config: KafkaConfig,
        connection: Connection,
        own_clock: Option<Clock>,
    ) -> Shared {
        let clock = own_clock.clone().unwrap_or_else(crate::embedded::system_clock);
        Shared {
            config,
            connection,
            own_clock,
            clock,
            health: Mutex::new(Health::Writable),
            is_shut: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
        }
    }

    /// Whether writes are taken.
    pub(super) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Takes no more writes from now on; what waits is still written. False if that was so before.
    pub(super) fn shut(&self) -> bool {
        !self.is_shut.swap(true, Ordering::SeqCst)
    }

    /// Everything is written.
    pub(super) fn closed(&self) {
        let mut health = self.health.lock();
        if *health == Health::Writable {
            *health = Health::Closed;
        }
    }

    /// Stops at once, as a crash would.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::SeqCst);
        self.fail("it was stopped without writing what waited".to_owned());
    }

    fn fail(&self, why: String) {
        self.shut();
        let mut health = self.health.lock();
        if *health == Health::Writable {
            tracing::error!(%why, "the journal takes no more writes");
            *health = Health::Failed(why);
        }
    }

    fn is_failed(&self) -> bool {
        self.is_shut.load(Ordering::SeqCst) && matches!(*self.health.lock(), Health::Failed(_))
    }

    fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::SeqCst)
    }

    /// Why no more writes are taken.
    pub(super) fn refusal(&self) -> JournalError {
        JournalError::Closed(match self.health() {
            Health::Failed(text) => text,
            Health::Closed | Health::Writable => "it was closed".to_owned(),
        })
    }
}

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

/// A caller of `append` waits here.
#[derive(Default)]
pub(super) struct Waiter {
    fate: Mutex<Option<Result<Appended, JournalError>>>,
    told: Condvar,
}

impl Waiter {
    fn tell(&self, fate: Result<Appended, JournalError>) {
        *self.fate.lock() = Some(fate);
        self.told.notify_all();
    }

    /// Waits for the fate; the client library bounds the time.
    pub(super) fn wait(&self) -> Result<Appended, JournalError> {
        let mut fate = self.fate.lock();
        loop {
            if let Some(fate) = fate.take() {
                return fate;
            }
            self.told.wait(&mut fate);
        }
    }
}

/// The state of sending; who holds it may send.
pub(super) struct Sending {
    /// Groups sent and not settled.
    in_flight: usize,
    /// Groups sent so far, and of those settled.
    sent: u64,
    settled: u64,
    /// Accepted behind and not sent yet, framed.
    behind: VecDeque<Vec<u8>>,
    /// Bytes accepted behind and not settled.
    behind_bytes: u64,
    /// When the oldest of them is to be sent.
    behind_due: Option<Instant>,
    /// Where the next group will stand, unless somebody else writes the stream too.
    next: u64,
    /// The highest time given out.
    last_at_ms: i64,
    /// When the last group of lanes was sent, and how many records it held.
    last_group: Option<(Instant, u32)>,
    pacing: Pacing,
}

/// Counts of one stream since the journal was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Groups acknowledged.
    pub groups: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Time from sending to acknowledgement, together.
    pub delivery_time_us: u64,
    /// Groups on their way.
    pub groups_in_flight: u64,
}

#[derive(Default)]
struct Counters {
    groups: AtomicU64,
    bytes: AtomicU64,
    delivery_time_us: AtomicU64,
}

/// One stream.
pub(super) struct StreamCore {
    /// The journal's.
    pub(super) shared: Arc<Shared>,
    /// Which one.
    pub(super) stream: Stream,
    /// Its topic.
    pub(super) topic: String,
    sending: Mutex<Sending>,
    /// A group settled.
    settled: Condvar,
    /// Wakes the sending thread.
    pub(super) bell: Bell,
    lanes: Mutex<Vec<Arc<LaneShared>>>,
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
                next: end,
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
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StreamFigures {
            groups: read(&self.counters.groups),
            bytes: read(&self.counters.bytes),
            delivery_time_us: read(&self.counters.delivery_time_us),
            groups_in_flight: self.sending.lock().in_flight as u64,
        }
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
        sending.behind_due.get_or_insert_with(|| Instant::now() + interval);
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

    fn lanes_waiting(&self) -> usize {
        self.lanes.lock().iter().map(|lane| lane.waiting_bytes()).sum()
    }

    /// Sends what was accepted behind, so many groups at most.
    fn send_behind(self: &Arc<Self>, sending: &mut Sending, most: usize) {
        for _ in 0..most {
            let Some(value) = sending.behind.pop_front() else { break };
            let bytes = (value.len() - HEADER_BYTES - 4) as u64;
            self.send(sending, value, None, Kind::Behind(bytes));
        }
        if sending.behind.is_empty() {
            sending.behind_due = None;
        }
    }

    /// Sends one group of what waits in the lanes, behind what was accepted before.
    fn send_lanes(self: &Arc<Self>, sending: &mut Sending) {
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
        sending.next += 1;
        sending.sent += 1;
        sending.in_flight += 1;
        let kind = Arc::new(Mutex::new(Some(kind)));
        let (core, began, bytes) = (Arc::clone(self), Instant::now(), value.len());
        let own = Arc::clone(&kind);
        let on_delivery = move |fate: Result<Delivered, String>| {
            if let Some(kind) = own.lock().take() {
                core.arrived(kind, began, bytes, fate);
            }
        };
        let connection = &self.shared.connection;
        let sent = connection.send(&self.topic, None, None, &value, at_ms, Box::new(on_delivery));
        if let Err(why) = sent
            && let Some(kind) = kind.lock().take()
        {
            // The caller holds the lock: settle without it.
            sending.in_flight -= 1;
            sending.settled += 1;
            self.fail(&why);
            self.settle(kind, Err(self.shared.refusal()));
        }
    }

    fn fail(&self, why: &str) {
        self.shared.fail(format!("stream {}: produce: {why}", self.stream.name()));
        self.bell.ring();
    }

    /// The broker's word about a group, or that there will be none.
    fn arrived(
        self: &Arc<Self>,
        kind: Kind,
        began: Instant,
        bytes: usize,
        fate: Result<Delivered, String>,
    ) {
        let result = match fate {
            Ok(delivered) => {
                self.learn_end(delivered.offset + 1);
                self.count_seen(delivered.offset, bytes);
                let took = began.elapsed();
                self.counters.groups.fetch_add(1, Ordering::Relaxed);
                self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.counters.delivery_time_us.fetch_add(took_us, Ordering::Relaxed);
                Ok(self.note_delivered(delivered, took))
            }
            Err(why) => {
                self.fail(&why);
                Err(why)
            }
        };
        // After the first failure nothing counts as acknowledged any more.
        let result = match result {
            Ok(appended) if !self.shared.is_failed() => Ok(appended),
            _ => Err(self.shared.refusal()),
        };
        let behind_bytes = if let Kind::Behind(bytes) = kind { bytes } else { 0 };
        self.settle(kind, result);
        let mut sending = self.sending.lock();
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

    fn settle(&self, kind: Kind, result: Result<Appended, JournalError>) {
        match kind {
            Kind::Lanes(runs) => runs.into_iter().for_each(|run| run.settle(result.clone())),
            Kind::Append(waiter) => waiter.tell(result),
            Kind::Behind(_) | Kind::Import => {}
        }
    }

    /// The sending thread: until everything is written after the journal was shut, or it failed.
    pub(super) fn run(self: &Arc<Self>) {
        self.bell.adopt();
        loop {
            if self.shared.is_failed() {
                return self.end_failed();
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
                return;
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
                self.bell.pause();
                return Some(rest);
            }
            let left = sending.last_group.and_then(|(began, records)| {
                (began + sending.pacing.interval_after(records)).checked_duration_since(now)
            });
            if let Some(left) = left.filter(|left| !left.is_zero()) {
                self.bell.pause();
                return Some(rest.min(left));
            }
        }
        self.send_lanes(sending);
        None
    }

    /// After a failure: everything on its way arrives as lost, then what waits ends with the error.
    fn end_failed(self: &Arc<Self>) {
        self.shared.connection.purge();
        let mut sending = self.sending.lock();
        while sending.in_flight > 0 {
            self.settled.wait_for(&mut sending, Duration::from_millis(REST_MS));
        }
        sending.behind.clear();
        sending.behind_due = None;
        let lanes = self.lanes.lock().clone();
        drop(sending);
        let refusal = self.shared.refusal();
        for lane in lanes {
            lane.close();
            if !self.shared.is_aborted.load(Ordering::SeqCst) {
                lane.fail_waiting(&refusal);
            }
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
