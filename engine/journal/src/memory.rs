//! The journal in memory: for tests, with seeded faults.
//!
//! Does: keeps every promise of the trait with the plainest code that can (one lock, one thread), so
//! that it also checks the conformance suite itself; fails by seed; simulates a restart. Does not keep
//! anything when it is dropped.

mod ends;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use ends::{MemoryLane, MemoryReader};

use crate::embedded::{Clock, system_clock};
use crate::lanes::{Lanes, Told, tell};
use crate::seeded::Seeded;
use crate::{
    Appended, Group, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader,
    Records, Stream, Visibility,
};

/// Limits of a journal in memory; the names mean what they mean in
/// [`crate::embedded::EmbeddedConfig`].
#[derive(Clone, Debug)]
pub struct MemoryConfig {
    /// Most bytes of one group.
    pub group_bytes_max: u32,
    /// Longest record a lane takes.
    pub record_bytes_max: u32,
    /// Most bytes waiting in one lane.
    pub lane_bytes_max: u32,
    /// Longest record `append_behind` takes.
    pub behind_record_bytes_max: u32,
    /// Most bytes accepted and not yet durable.
    pub behind_bytes_max: u64,
    /// Longest time between acceptance and durability.
    pub behind_sync_interval_ms: u32,
    /// The seed names the journal.
    pub seed: u64,
    /// Faults to come.
    pub faults: MemoryFaults,
}

impl Default for MemoryConfig {
    fn default() -> MemoryConfig {
        MemoryConfig {
            group_bytes_max: 256 << 10,
            record_bytes_max: 64 << 10,
            lane_bytes_max: 1 << 20,
            behind_record_bytes_max: 4 << 20,
            behind_bytes_max: 64 << 20,
            behind_sync_interval_ms: 50,
            seed: 0,
            faults: MemoryFaults::default(),
        }
    }
}

/// How often a write fails, by seed. After the first failure nothing is written until
/// [`MemoryJournal::reopen`], as the trait promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryFaults {
    /// One write in so many is not made; 0 never.
    pub failed_write_once_in: u32,
    /// One write in so many is made, and reported as failed; 0 never.
    pub lost_acknowledgement_once_in: u32,
}

/// The journal in memory; clones share it.
#[derive(Clone)]
pub struct MemoryJournal {
    /// Shared with lanes, readers and the writing thread.
    inner: Arc<Inner>,
}

/// What everybody shares.
struct Inner {
    /// The name.
    id: JournalId,
    /// Limits.
    config: MemoryConfig,
    /// The clock.
    clock: Clock,
    /// Everything else.
    state: Mutex<State>,
    /// Anything changed.
    changed: Condvar,
}

/// Everything that changes.
struct State {
    /// By the number of the stream.
    streams: [StreamState; Stream::ALL.len()],
    /// What waits to be written.
    lanes: Lanes,
    /// Whether writes are taken.
    health: Health,
    /// Closing: what was pushed is still written.
    is_closing: bool,
    /// Decides about faults.
    seeded: Seeded,
    /// Faults to come.
    faults: MemoryFaults,
}

/// One stream.
#[derive(Clone, Default)]
struct StreamState {
    /// All groups accepted.
    groups: Vec<Group>,
    /// How many of them are durable.
    durable: usize,
    /// When accepted groups must be durable.
    behind_due: Option<Instant>,
}

impl StreamState {
    fn accepted_end(&self) -> Position {
        self.groups.last().map_or(Position::START, |group| group.next)
    }

    fn durable_end(&self) -> Position {
        match self.durable {
            0 => Position::START,
            count => self.groups[count - 1].next,
        }
    }

    fn visible(&self, visibility: Visibility) -> usize {
        match visibility {
            Visibility::Durable => self.durable,
            Visibility::Accepted => self.groups.len(),
        }
    }

    fn accept(&mut self, records: &[&[u8]], now_ms: i64) -> Appended {
        let mut body = Vec::new();
        for record in records {
            body.extend_from_slice(&(record.len() as u32).to_le_bytes());
            body.extend_from_slice(record);
        }
        let position = self.accepted_end();
        let before_ms = self.groups.last().map_or(i64::MIN, |group| group.at_ms);
        let appended = Appended {
            position,
            next: Position(position.0 + body.len() as u64 + 1),
            at_ms: now_ms.max(before_ms),
        };
        self.groups.push(Group {
            position,
            next: appended.next,
            at_ms: appended.at_ms,
            records: Records::from_packed(body.into(), records.len() as u32),
        });
        appended
    }

    fn behind_bytes(&self) -> u64 {
        let waiting = &self.groups[self.durable..];
        waiting.iter().map(|group| group.records.packed().len() as u64).sum()
    }
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new(config: MemoryConfig) -> MemoryJournal {
        MemoryJournal::with_clock(config, system_clock())
    }

    /// An empty journal that takes its time from `clock`.
    pub fn with_clock(config: MemoryConfig, clock: Clock) -> MemoryJournal {
        let mut seeded = Seeded::new(config.seed);
        let mut id = [0; 16];
        id[..8].copy_from_slice(&seeded.next_u64().to_le_bytes());
        id[8..].copy_from_slice(&seeded.next_u64().to_le_bytes());
        MemoryJournal::start(JournalId(id), config, clock, seeded, Default::default())
    }

    fn start(
        id: JournalId,
        config: MemoryConfig,
        clock: Clock,
        seeded: Seeded,
        streams: [StreamState; Stream::ALL.len()],
    ) -> MemoryJournal {
        let faults = config.faults;
        let inner = Arc::new(Inner {
            id,
            config,
            clock,
            state: Mutex::new(State {
                streams,
                lanes: Lanes::default(),
                health: Health::Writable,
                is_closing: false,
                seeded,
                faults,
            }),
            changed: Condvar::new(),
        });
        let writer = Arc::downgrade(&inner);
        let spawned =
            std::thread::Builder::new().name("journal-memory".to_owned()).spawn(move || {
                while let Some(inner) = writer.upgrade() {
                    if inner.step() {
                        return;
                    }
                }
            });
        if let Err(cause) = spawned {
            inner.state.lock().health =
                Health::Failed(format!("no thread could be started: {cause}"));
        }
        MemoryJournal { inner }
    }

    /// A new start with what was durable, as after a crash: nothing else is left, this journal is dead,
    /// and faults are over.
    pub fn reopen(&self) -> MemoryJournal {
        let (streams, seeded) = {
            let mut state = self.inner.state.lock();
            if !matches!(state.health, Health::Closed) {
                state.health = Health::Failed("the process was stopped".to_owned());
            }
            let mut streams = state.streams.clone();
            for stream in &mut streams {
                stream.groups.truncate(stream.durable);
                stream.behind_due = None;
            }
            (streams, state.seeded.clone())
        };
        self.inner.changed.notify_all();
        let config = MemoryConfig { faults: MemoryFaults::default(), ..self.inner.config.clone() };
        let clock = Arc::clone(&self.inner.clock);
        MemoryJournal::start(self.inner.id, config, clock, seeded, streams)
    }

    /// Changes the faults to come.
    pub fn set_faults(&self, faults: MemoryFaults) {
        self.inner.state.lock().faults = faults;
    }
}

/// Longest rest of the writing thread: then it sees whether the journal still exists.
const REST_MS_MAX: u64 = 20;

impl Inner {
    /// Writes what waits, or waits itself; true when there will be no more.
    fn step(&self) -> bool {
        let mut state = self.state.lock();
        if state.health != Health::Writable {
            let refusal = self.refusal(&state);
            let told = state.lanes.settle_all(&refusal);
            drop(state);
            self.tell(told);
            return true;
        }
        let mut told = Vec::new();
        for stream in Stream::ALL {
            let is_due =
                state.streams[stream as usize].behind_due.is_some_and(|due| due <= Instant::now());
            if is_due {
                // A failure shows in the health.
                let _ = self.make_durable(&mut state, stream);
            }
            self.write_lanes(&mut state, stream, &mut told);
        }
        if told.is_empty() && state.is_closing {
            for stream in Stream::ALL {
                let _ = self.make_durable(&mut state, stream);
            }
            if state.health == Health::Writable {
                state.health = Health::Closed;
            }
        } else if told.is_empty() && state.health == Health::Writable {
            let rest = Duration::from_millis(REST_MS_MAX);
            self.changed.wait_for(&mut state, rest);
        }
        drop(state);
        self.tell(told);
        false
    }

    fn tell(&self, told: Told) {
        self.changed.notify_all();
        tell(told);
    }

    /// One group of what waits in a stream's lanes.
    fn write_lanes(&self, state: &mut State, stream: Stream, told: &mut Told) {
        let gathered = state.lanes.gather(stream, self.config.group_bytes_max);
        if gathered.is_empty() {
            return;
        }
        let now_ms = (self.clock)();
        let appended = state.streams[stream as usize].accept(&gathered.records(), now_ms);
        let result = self.make_durable(state, stream).map(|()| appended);
        told.append(&mut state.lanes.settle(&gathered, &result));
    }

    /// All accepted groups of a stream become durable, or a fault strikes.
    fn make_durable(&self, state: &mut State, stream: Stream) -> Result<(), JournalError> {
        let State { streams, seeded, faults, health, .. } = state;
        let accepted = &mut streams[stream as usize];
        accepted.behind_due = None;
        if accepted.durable == accepted.groups.len() {
            return Ok(());
        }
        let mut strikes = |once_in: u32| once_in > 0 && seeded.once_in(once_in.into());
        let is_failed = strikes(faults.failed_write_once_in);
        let is_lost = strikes(faults.lost_acknowledgement_once_in);
        if !is_failed {
            accepted.durable = accepted.groups.len();
        }
        if is_failed || is_lost {
            let text = format!("stream {}: write: a seeded fault", stream.name());
            *health = Health::Failed(text.clone());
            return Err(JournalError::Closed(text));
        }
        Ok(())
    }

    fn refusal(&self, state: &State) -> JournalError {
        JournalError::Closed(match &state.health {
            Health::Failed(text) => text.clone(),
            Health::Closed | Health::Writable | Health::Waiting(_) => "it was closed".to_owned(),
        })
    }

    fn writable(&self) -> Result<MutexGuard<'_, State>, JournalError> {
        let state = self.state.lock();
        if state.is_closing || state.health != Health::Writable {
            return Err(self.refusal(&state));
        }
        Ok(state)
    }
}

impl Journal for MemoryJournal {
    fn id(&self) -> JournalId {
        self.inner.id
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        let mut state = self.inner.writable()?;
        let number = state.lanes.open(stream, on_settled);
        let inner = Arc::clone(&self.inner);
        Ok(Box::new(MemoryLane { inner, number }))
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        let bytes: u64 = records.iter().map(|record| 4 + record.len() as u64).sum();
        let limit = u64::from(self.inner.config.group_bytes_max);
        if bytes > limit {
            return Err(JournalError::TooLarge { bytes, limit });
        }
        let mut state = self.inner.writable()?;
        let now_ms = (self.inner.clock)();
        let appended = state.streams[stream as usize].accept(records, now_ms);
        let result = self.inner.make_durable(&mut state, stream);
        drop(state);
        self.inner.changed.notify_all();
        result.map(|()| appended)
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        let (bytes, limit) = (record.len() as u64, self.inner.config.behind_record_bytes_max);
        if bytes > limit.into() {
            let limit = limit.into();
            return Err(JournalError::TooLarge { bytes, limit });
        }
        let mut state = self.inner.writable()?;
        let now_ms = (self.inner.clock)();
        let interval = Duration::from_millis(self.inner.config.behind_sync_interval_ms.into());
        let stream = &mut state.streams[stream as usize];
        if stream.behind_bytes() + bytes > self.inner.config.behind_bytes_max {
            return Err(JournalError::Full {
                what: "behind_bytes_max",
                limit: self.inner.config.behind_bytes_max,
            });
        }
        let appended = stream.accept(&[record], now_ms);
        stream.behind_due.get_or_insert_with(|| Instant::now() + interval);
        drop(state);
        self.inner.changed.notify_all();
        Ok(appended.position)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        let mut state = self.inner.state.lock();
        let pushed = state.lanes.pushed(stream);
        loop {
            if let Health::Failed(_) = state.health {
                return Err(self.inner.refusal(&state));
            }
            if state.lanes.have_settled(&pushed) {
                let result = self.inner.make_durable(&mut state, stream);
                drop(state);
                self.inner.changed.notify_all();
                return result;
            }
            self.inner.changed.wait(&mut state);
        }
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        let state = self.inner.state.lock();
        let groups = &state.streams[stream as usize].groups;
        let is_end = from == state.streams[stream as usize].accepted_end();
        let index = match groups.binary_search_by_key(&from, |group| group.position) {
            Ok(index) => index,
            Err(_) if is_end => groups.len(),
            Err(_) => {
                return Err(JournalError::NoSuchPosition {
                    stream: stream.name(),
                    position: from.0,
                });
            }
        };
        Ok(Box::new(MemoryReader { inner: Arc::clone(&self.inner), stream, visibility, index }))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        Ok(self.inner.state.lock().streams[stream as usize].durable_end())
    }

    fn health(&self) -> Health {
        self.inner.state.lock().health.clone()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        let state = self.inner.state.lock();
        let groups = &state.streams[stream as usize].groups;
        groups.iter().map(|group| group.records.packed().len() as u64).sum()
    }

    fn close(&self) {
        let mut state = self.inner.state.lock();
        state.is_closing = true;
        self.inner.changed.notify_all();
        while state.health == Health::Writable {
            self.inner.changed.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests;
