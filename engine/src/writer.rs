//! THE loop: poll a durable group → check its time → decide → append its events → maybe cut.
//!
//! Replaying, standing by and being active are the same loop; what differs is only whether the
//! events computed are compared with the stream or appended to it. An inactive engine appends
//! nothing, except that one alone on its journal by lock writes again what a crash tore off.
//!
//! Deliberately single-threaded: who gets a place is decided by order, and order by one loop. The
//! loop never waits for a sync, for the store or for a reader of its events.

mod checkpoints;
mod standing;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use standing::events_ahead;

use journal::{Group, Journal, Reader, Stream, once_there, unless_away};

use crate::clock::{WallClock, system_clock};
use crate::decide::{Decided, Decider};
use crate::election::{Election, Verdict};
use crate::heartbeat::Heartbeat;
use crate::metrics::EngineMetrics;
use crate::output::{Output, TakeOver};
use crate::recovery::{Recovered, recover};
use crate::status::{EngineStatus, Phase};
use crate::store::{Checkpointer, Steps, Store};
use crate::{EngineConfig, EngineError};

/// Longest wait for a group, so that a stop is noticed.
const POLL_MS_MAX: u64 = 50;
/// Longest time that an orderly stop spends on deciding what is durable already.
const DRAIN_MS_MAX: u64 = 10_000;
/// Distance between two looks while waiting for a person to accept the journal's time.
const HOLD_POLL_MS: u64 = 20;
/// Torn-off events that an exclusive engine holds before it begins to write them again.
const REWRITE_BYTES: u64 = 64 << 20;

/// The engine: opened, then run on a thread of its own.
pub struct Engine {
    /// Settings.
    config: EngineConfig,
    /// The streams.
    journal: Arc<dyn Journal>,
    /// Only to notice that the journal's clock is wrong.
    clock: WallClock,
    /// For everyone who asks.
    status: Arc<EngineStatus>,
    /// Figures.
    metrics: EngineMetrics,
    /// The state and its place.
    decider: Decider,
    /// Reads `commands`.
    commands: Box<dyn Reader>,
    /// The events stream.
    output: Output,
    /// Moves to the checkpoint thread when the loop begins.
    store: Option<Store>,
    /// Points of a checkpoint at which tests look.
    steps: Steps,
    /// Sequence of the checkpoint that this engine started from.
    checkpoint: u64,
}

impl Engine {
    /// Opens the store, chooses a checkpoint, checks it against the journal and loads it.
    ///
    /// # Errors
    /// Whatever needs a person: see [`EngineError`].
    pub fn open(config: EngineConfig, journal: Arc<dyn Journal>) -> Result<Engine, EngineError> {
        Engine::open_with_clock(config, journal, system_clock())
    }

    /// The same with another clock.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_with_clock(
        config: EngineConfig,
        journal: Arc<dyn Journal>,
        clock: WallClock,
    ) -> Result<Engine, EngineError> {
        config.validate()?;
        let recovered = recover(&config, &journal)?;
        Ok(Engine::from_recovered(config, journal, clock, recovered))
    }

    fn from_recovered(
        config: EngineConfig,
        journal: Arc<dyn Journal>,
        clock: WallClock,
        recovered: Recovered,
    ) -> Engine {
        let Recovered { decider, commands, output, store, checkpoint } = recovered;
        let status = Arc::new(EngineStatus::default());
        status.set_replay(decider.next().0, decider.next().0);
        status.set_checkpoint(checkpoint);
        status.set_events(output.through(), 0);
        status.applied(
            decider.sequence(),
            decider.next().0,
            decider.state.now().0,
            decider.state.epoch(),
        );
        Engine {
            config,
            journal,
            clock,
            status,
            metrics: EngineMetrics::new(),
            decider,
            commands,
            output,
            store: Some(store),
            steps: Steps::default(),
            checkpoint,
        }
    }

    /// Looks at the steps of checkpoints.
    #[cfg(test)]
    pub(crate) fn with_steps(mut self, steps: Steps) -> Engine {
        self.steps = steps;
        self
    }

    /// What the engine is doing; stays valid while it runs and after.
    pub fn status(&self) -> Arc<EngineStatus> {
        Arc::clone(&self.status)
    }

    /// The engine's data directory.
    pub fn data_dir(&self) -> &PathBuf {
        &self.config.data_dir
    }

    /// Replays, then decides until `stop` is set. On an orderly stop the events are durable and a
    /// checkpoint of everything is taken.
    ///
    /// # Errors
    /// Why the engine halted; the status says so too.
    pub fn run(mut self, stop: Arc<AtomicBool>) -> Result<(), EngineError> {
        let status = Arc::clone(&self.status);
        let _guard = PanicGuard(Arc::clone(&status));
        let outcome = self.start(stop).and_then(|mut writer| {
            writer.run()?;
            writer.finish()
        });
        match &outcome {
            Ok(()) => status.set_phase(Phase::Standby),
            Err(error) => {
                tracing::error!(%error, "the engine halted");
                status.halt(error.to_string());
            }
        }
        outcome
    }

    fn start(&mut self, stop: Arc<AtomicBool>) -> Result<Writer<'_>, EngineError> {
        let Some(store) = self.store.take() else {
            return Err(EngineError::Internal { what: "the engine ran already".to_owned() });
        };
        let stopped = || stop.load(Ordering::Relaxed);
        let end = once_there(&stopped, || self.journal.durable_end(Stream::Commands))?;
        let target = end.unwrap_or(self.decider.next());
        self.status.set_replay(self.decider.next().0, target.0);
        let heartbeat = Heartbeat::open(
            self.journal.as_ref(),
            Arc::clone(&self.status),
            self.config.pulse_interval_ms,
        )?;
        let checkpointer = Checkpointer::start(
            store,
            Arc::clone(&self.journal),
            Arc::clone(&self.status),
            self.steps.clone(),
        )?;
        let election = Election::new(
            self.config.exclusive,
            self.config.engine_id,
            self.config.takeover_ms,
            self.decider.state.epoch(),
            0,
        );
        Ok(Writer {
            started: Instant::now(),
            replay_target: target.0,
            is_replaying: true,
            claim_target: None,
            accepted_ahead_ms: 0,
            packed: Vec::new(),
            pieces: Vec::new(),
            pieces_bytes: 0,
            cut_at_ms: 0,
            cut_sequence: self.checkpoint,
            stop,
            is_left_over: false,
            heartbeat,
            checkpointer,
            election,
            engine: self,
        })
    }
}

/// Says so when the loop panics: nobody else would.
struct PanicGuard(Arc<EngineStatus>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let next = self.0.sequence() + 1;
            self.0.halt(format!(
                "the engine panicked in the group that begins at sequence {next}; the text is in the log. Restart it; if it happens again, report it with the journal's segment."
            ));
        }
    }
}

/// The loop's own things.
struct Writer<'a> {
    /// Everything that outlives a run.
    engine: &'a mut Engine,
    /// Zero of the loop's monotonic clock.
    started: Instant,
    /// Position in `commands` at which the replay ends.
    replay_target: u64,
    /// Not there yet.
    is_replaying: bool,
    /// All up to here must be read before the next epoch is claimed.
    claim_target: Option<u64>,
    /// How far ahead of the own clock an operator accepted the journal's.
    accepted_ahead_ms: i64,
    /// Scratch: the events group.
    packed: Vec<u8>,
    /// Changes taken since the last cut.
    pieces: Vec<Vec<u8>>,
    /// Their bytes.
    pieces_bytes: u64,
    /// When the last cut was made.
    cut_at_ms: u64,
    /// Its sequence.
    cut_sequence: u64,
    /// Asked to end.
    stop: Arc<AtomicBool>,
    /// The stop came while a group was held by its time: it was read and is left to the next start.
    is_left_over: bool,
    /// The engine's own commands.
    heartbeat: Heartbeat,
    /// The checkpoint thread.
    checkpointer: Checkpointer,
    /// Whether this engine may write.
    election: Election,
}

impl Writer<'_> {
    fn run(&mut self) -> Result<(), EngineError> {
        while !self.stop.load(Ordering::Relaxed) {
            let now_ms = self.now_ms();
            self.note_caught_up();
            self.beat_or_claim(now_ms)?;
            let wait = Duration::from_millis(self.wait_ms(now_ms));
            match self.engine.commands.poll(wait)? {
                Some(group) => self.take(group)?,
                None => self.idle()?,
            }
            self.checkpoint_if_due()?;
        }
        Ok(())
    }

    /// Decides what was durable when the stop came, makes the events durable and takes a last
    /// checkpoint.
    fn finish(mut self) -> Result<(), EngineError> {
        if self.election.is_active() {
            self.drain()?;
        }
        if self.engine.output.is_writing() {
            self.engine.journal.sync(Stream::Events)?;
        }
        if self.engine.decider.sequence() > self.cut_sequence && self.engine.output.is_settled() {
            self.wait_for_checkpointer(false);
            self.cut();
        }
        self.checkpointer.finish();
        Ok(())
    }

    /// Decides every command that is durable by now, the engine's own last pulse included.
    fn drain(&mut self) -> Result<(), EngineError> {
        let until_ms = self.now_ms() + DRAIN_MS_MAX;
        while !self.heartbeat.is_settled() && self.now_ms() < until_ms {
            std::thread::sleep(Duration::from_millis(1));
        }
        let end = unless_away(self.engine.journal.durable_end(Stream::Commands))?;
        let end = end.unwrap_or(self.engine.decider.next());
        while !self.is_left_over && self.engine.decider.next() < end && self.now_ms() < until_ms {
            if let Some(group) = self.engine.commands.poll(Duration::from_millis(POLL_MS_MAX))? {
                self.take(group)?;
            }
        }
        Ok(())
    }

    fn wait_ms(&self, now_ms: u64) -> u64 {
        if self.election.is_active() {
            self.heartbeat.due_in_ms(now_ms).min(POLL_MS_MAX)
        } else {
            POLL_MS_MAX.min(self.engine.config.pulse_interval_ms)
        }
    }

    /// One group, from its place in the journal to its events.
    fn take(&mut self, group: Group) -> Result<(), EngineError> {
        self.engine.decider.check_place(&group)?;
        if group.records.is_empty() {
            self.engine.decider.skip(&group);
            self.engine.status.set_position(group.next.0);
            return Ok(());
        }
        if !self.is_time_sane(&group)? {
            self.is_left_over = true;
            return Ok(());
        }
        let began = Instant::now();
        let at_ms = group.at_ms;
        let decided = self.engine.decider.decide(group, &mut self.packed)?;
        let state = &self.engine.decider.state;
        let now_ms = self.now_ms();
        let verdict =
            self.election.observe(state.epoch(), state.engine(), decided.pulse, now_ms)?;
        if verdict == Verdict::StandDown {
            self.stand_down()?;
        }
        self.engine.output.put(decided.first, decided.last, &self.packed)?;
        if verdict == Verdict::Activate {
            self.activate()?;
        } else {
            self.limit_pending()?;
        }
        self.note(&decided, at_ms, began);
        Ok(())
    }

    /// Nothing came: see what came into the events stream meanwhile.
    fn idle(&mut self) -> Result<(), EngineError> {
        self.is_events_ahead()?;
        self.note_events();
        Ok(())
    }

    /// Events that nobody wrote must not fill the memory.
    fn limit_pending(&mut self) -> Result<(), EngineError> {
        let output = &mut self.engine.output;
        if self.engine.config.exclusive && output.pending_bytes() > REWRITE_BYTES {
            // The lock says that nobody else writes: what a crash tore off is written again.
            let stop = Arc::clone(&self.stop);
            if output.take_over(&move || stop.load(Ordering::Relaxed))? == TakeOver::Ahead {
                let sequence = self.engine.decider.sequence();
                return Err(events_ahead(sequence + 1, sequence));
            }
        } else if output.is_overfull() {
            return Err(output.too_far_behind());
        }
        Ok(())
    }

    /// True when the group may be applied; waits, halted, while its time lies too far ahead. False
    /// when asked to stop meanwhile. A group that was decided before is not judged again.
    fn is_time_sane(&mut self, group: &Group) -> Result<bool, EngineError> {
        let limit = i64::try_from(self.engine.config.clock_skew_ms_max).unwrap_or(i64::MAX);
        let first = self.engine.decider.sequence() + 1;
        let mut held = None;
        let sane = loop {
            let ahead_ms = group.at_ms.saturating_sub((self.engine.clock)());
            if ahead_ms <= limit.saturating_add(self.accepted_ahead_ms)
                || self.engine.output.covers(first)?
            {
                break true;
            }
            if held.is_some() && self.engine.status.time_accepted() {
                tracing::warn!(ahead_ms, "an operator accepted the journal's time");
                self.accepted_ahead_ms = ahead_ms;
                break true;
            }
            if self.stop.load(Ordering::Relaxed) {
                break false;
            }
            if held.is_none() {
                held = Some(self.engine.status.phase());
                self.hold(first, ahead_ms, limit);
            }
            std::thread::sleep(Duration::from_millis(HOLD_POLL_MS));
        };
        if let Some(phase) = held {
            self.engine.status.await_time(false);
            self.engine.status.unhalt(phase);
            self.engine.metrics.phase.set(f64::from(phase as u8));
        }
        Ok(sane)
    }

    fn hold(&self, first: u64, ahead_ms: i64, limit: i64) {
        let why = format!(
            "the journal's time of sequence {first} is {ahead_ms} ms ahead of this machine's clock, more than clock_skew_ms_max = {limit}. Nothing is decided until the clocks agree; if the journal's time is right, run `slotline admin accept-time`."
        );
        tracing::error!(%why, "halted");
        self.engine.status.halt(why);
        self.engine.status.await_time(true);
        self.engine.metrics.phase.set(f64::from(Phase::Halted as u8));
    }

    fn note(&self, decided: &Decided, at_ms: i64, began: Instant) {
        let engine = &self.engine;
        let commands = decided.last + 1 - decided.first;
        engine.status.applied(
            decided.last,
            engine.decider.next().0,
            at_ms,
            engine.decider.state.epoch(),
        );
        self.note_events();
        let metrics = &engine.metrics;
        metrics.commands.increment(commands);
        metrics.groups.increment(1);
        metrics.events.increment(decided.events);
        metrics.events_bytes.increment(self.packed.len() as u64);
        metrics.malformed.increment(decided.malformed);
        metrics.group_commands.record(commands as f64);
        metrics.group_seconds.record(began.elapsed().as_secs_f64());
        metrics.sequence.set(decided.last as f64);
        metrics.epoch.set(engine.decider.state.epoch() as f64);
        if self.election.is_active() {
            let ahead_ms = at_ms.saturating_sub((engine.clock)());
            metrics.clock_ahead.set(ahead_ms as f64 / 1_000.0);
        }
    }

    fn note_events(&self) {
        let output = &self.engine.output;
        self.engine.status.set_events(output.through(), output.beyond());
        self.engine.metrics.events_beyond.set(output.beyond() as f64);
        self.engine.metrics.events_pending_bytes.set(output.pending_bytes() as f64);
    }

    fn set_phase(&self, phase: Phase) {
        self.engine.status.set_phase(phase);
        self.engine.metrics.phase.set(f64::from(phase as u8));
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
