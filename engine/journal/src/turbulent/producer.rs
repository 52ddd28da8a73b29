//! One process: its lanes, its writing thread, and how it ends.
//!
//! Does: takes records, gives what waits to the stream's turn, and stands still while the process is
//! paused. Does not read, and does not decide what becomes of a group ([`super::turn`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::TurbulentConfig;
use super::fate::{Counters, Fault, Turbulence};
use super::network::{Network, UnderWay};
use super::turn::Turn;
use crate::lanes::{Lanes, tell};
use crate::seeded::Seeded;
use crate::{Health, JournalError, Stream};

/// Longest rest of the writing thread: then it sees whether the process still exists.
const REST: Duration = Duration::from_millis(20);

/// One life of one process.
pub(super) struct Producer {
    pub(super) network: Arc<Network>,
    pub(super) config: TurbulentConfig,
    /// Its number in the network.
    pub(super) number: usize,
    /// Faults to come; the next life goes on with them.
    pub(super) faults: Arc<Mutex<Turbulence>>,
    /// Faults that happened, in all lives.
    pub(super) counters: Arc<Counters>,
    /// Readers opened so far: each has dice of its own.
    readers: AtomicU64,
    /// Each stream's writes, one at a time.
    pub(super) turns: [Mutex<Turn>; Stream::ALL.len()],
    state: Mutex<State>,
    changed: Condvar,
}

/// What changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) lanes: Lanes,
    /// Every thread of the process stands still.
    is_paused: bool,
    /// How many stand.
    standing: usize,
    /// No more is taken; what was taken is still written.
    is_closing: bool,
    /// Nothing is written any more.
    end: Option<End>,
}

#[derive(Clone)]
enum End {
    Closed,
    Failed(String),
}

impl Producer {
    /// The first life of a process.
    pub(super) fn new(network: Arc<Network>, config: TurbulentConfig) -> Arc<Producer> {
        let turns = Stream::ALL.map(|stream| Mutex::new(Turn::new(config.seed, stream)));
        let faults = Arc::new(Mutex::new(config.faults));
        Producer::start(network, config, faults, Arc::default(), turns)
    }

    /// The next life: what this one had not written is lost, but for a beginning of it that is under
    /// way already.
    pub(super) fn reborn(&self) -> Arc<Producer> {
        self.end(End::Failed("the process was stopped".to_owned()));
        self.set_paused(false);
        let turns = Stream::ALL.map(|stream| {
            let mut turn = self.turns[stream as usize].lock();
            for (place, record) in turn.survivors().into_iter().enumerate() {
                self.counters.count(Fault::LateWrite);
                let (records, after) = (vec![record], 1 + place as u64);
                let group = UnderWay { stream, records, after, before_next_of: None };
                self.network.send_later(group);
            }
            Mutex::new(turn.next_life())
        });
        let (network, faults) = (Arc::clone(&self.network), Arc::clone(&self.faults));
        let counters = Arc::clone(&self.counters);
        Producer::start(network, self.config.clone(), faults, counters, turns)
    }

    fn start(
        network: Arc<Network>,
        config: TurbulentConfig,
        faults: Arc<Mutex<Turbulence>>,
        counters: Arc<Counters>,
        turns: [Mutex<Turn>; Stream::ALL.len()],
    ) -> Arc<Producer> {
        let producer = Arc::new(Producer {
            number: network.join(),
            network,
            config,
            faults,
            counters,
            readers: AtomicU64::new(0),
            turns,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let writer = Arc::downgrade(&producer);
        let run = move || {
            while let Some(producer) = writer.upgrade() {
                if producer.step() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("journal-turbulent".to_owned());
        if let Err(cause) = thread.spawn(run) {
            producer.end(End::Failed(format!("no thread could be started: {cause}")));
        }
        producer
    }

    /// Stands still while the process is paused.
    pub(super) fn stand_still(&self) {
        let mut state = self.state.lock();
        if !state.is_paused {
            return;
        }
        self.counters.count(Fault::Pause);
        state.standing += 1;
        while state.is_paused {
            self.changed.wait(&mut state);
        }
        state.standing -= 1;
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
        self.changed.notify_all();
    }

    /// Dice for one more reader: which groups it sees late does not depend on what is written.
    pub(super) fn reader_dice(&self, stream: Stream) -> Seeded {
        let number = self.readers.fetch_add(1, Ordering::Relaxed);
        let place = (stream as u64 + Stream::ALL.len() as u64) << 56 | number << 32;
        let mut dice = Seeded::new(self.config.seed ^ place);
        Seeded::new(dice.next_u64())
    }

    /// Threads that stand still right now.
    pub(super) fn standing(&self) -> usize {
        self.state.lock().standing
    }

    /// The state, as long as writes are taken.
    pub(super) fn writable(&self) -> Result<MutexGuard<'_, State>, JournalError> {
        self.stand_still();
        let state = self.state.lock();
        match &state.end {
            None if !state.is_closing => Ok(state),
            end => Err(refusal(end.as_ref())),
        }
    }

    /// Records of a lane pushed and not yet settled.
    pub(super) fn unsettled(&self, lane: u64) -> u64 {
        self.state.lock().lanes.unsettled(lane)
    }

    /// News for the writing thread.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    pub(super) fn health(&self) -> Health {
        match &self.state.lock().end {
            None => self.network.inner.health(),
            Some(End::Closed) => Health::Closed,
            Some(End::Failed(why)) => Health::Failed(why.clone()),
        }
    }

    /// Makes durable what was pushed and accepted.
    pub(super) fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        self.stand_still();
        let mut state = self.state.lock();
        let pushed = state.lanes.pushed(stream);
        while state.end.is_none() && !state.lanes.have_settled(&pushed) {
            self.changed.wait(&mut state);
        }
        drop(state);
        let mut turn = self.turns[stream as usize].lock();
        self.hand_on(stream, &mut turn)?;
        self.hear(&mut turn)?;
        self.network.inner.sync(stream).inspect_err(|error| self.fail(error))
    }

    /// Writes what was taken, and takes no more.
    pub(super) fn close(&self) {
        self.stand_still();
        let mut state = self.state.lock();
        state.is_closing = true;
        self.changed.notify_all();
        while state.end.is_none() {
            self.changed.wait(&mut state);
        }
    }

    /// Writes what waits, or waits itself; true when there will be no more.
    fn step(&self) -> bool {
        self.stand_still();
        let mut is_idle = true;
        for stream in Stream::ALL {
            self.hand_on_in_time(stream);
            let gathered = self.state.lock().lanes.gather(stream, self.config.group_bytes_max);
            if gathered.is_empty() {
                continue;
            }
            is_idle = false;
            let result = self.write(stream, &gathered.records());
            let told = self.state.lock().lanes.settle(&gathered, &result);
            self.changed.notify_all();
            tell(told);
        }
        self.rest_or_end(is_idle)
    }

    fn rest_or_end(&self, is_idle: bool) -> bool {
        let mut state = self.state.lock();
        if let Some(end) = state.end.clone() {
            let told = state.lanes.settle_all(&refusal(Some(&end)));
            drop(state);
            tell(told);
            return true;
        }
        if is_idle && state.is_closing && !state.lanes.has_waiting() {
            drop(state);
            let synced = Stream::ALL.into_iter().all(|stream| self.sync(stream).is_ok());
            if synced {
                self.end(End::Closed);
            }
        } else if is_idle && !state.lanes.has_waiting() {
            self.changed.wait_for(&mut state, REST);
        }
        false
    }

    /// True when nothing is written any more.
    pub(super) fn is_over(&self) -> bool {
        self.state.lock().end.is_some()
    }

    /// Whether this life goes on, once it does not stand still.
    pub(super) fn go_on(&self) -> Result<(), JournalError> {
        self.stand_still();
        match &self.state.lock().end {
            None => Ok(()),
            end => Err(refusal(end.as_ref())),
        }
    }

    /// Why nothing is written any more.
    pub(super) fn refusal(&self) -> JournalError {
        refusal(self.state.lock().end.as_ref())
    }

    /// The streams themselves failed.
    pub(super) fn fail(&self, error: &JournalError) {
        self.fail_because(error.to_string());
    }

    /// This life writes nothing more.
    pub(super) fn fail_because(&self, why: String) {
        self.end(End::Failed(why));
    }

    fn end(&self, how: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(how);
        drop(state);
        self.changed.notify_all();
    }
}

fn refusal(end: Option<&End>) -> JournalError {
    JournalError::Closed(match end {
        Some(End::Failed(why)) => why.clone(),
        Some(End::Closed) | None => "it was closed".to_owned(),
    })
}
