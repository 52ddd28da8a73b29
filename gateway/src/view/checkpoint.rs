//! Writing checkpoints of the view beside it.
//!
//! The reader of events begins a capture between two groups, when enough is new and the contacts up to
//! there are in the disk book. A thread of its own then makes the book durable, copies the view portion
//! by portion, writes it at a bounded rate, and lets it count: the book is never behind a checkpoint.
//! A failure is told and counted; the view goes on, and another checkpoint is tried at the next time.
//!
//! What this module does not do: wait for anything while it holds the view.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use domain::Sequence;
use domain::view::View;
use domain::view::checkpoint::Capture;
use parking_lot::RwLock;
use vault::contacts::ContactBook;

use super::files::{Files, Step};
use crate::config::ViewConfig;
use crate::context::{Context, now};

/// The longest sleep of the writing thread before it looks whether it shall hurry.
const NAP_MS: u64 = 50;

/// What is told about checkpoints.
#[derive(Debug, Default)]
pub(crate) struct CheckpointFigures {
    /// The last command that the newest one holds; 0 without one.
    pub(crate) sequence: AtomicU64,
    /// When it was written, milliseconds since 1970; 0 without one.
    pub(crate) written_at_ms: AtomicI64,
    /// Its length.
    pub(crate) bytes: AtomicU64,
    /// How long writing it took; 0 for one that was loaded.
    pub(crate) duration_ms: AtomicU64,
    /// The longest time for which it held the view.
    pub(crate) hold_us: AtomicU64,
    /// Written since the start.
    pub(crate) written: AtomicU64,
    /// Not written since the start although they were begun.
    pub(crate) failures: AtomicU64,
}

impl CheckpointFigures {
    /// There is a newest checkpoint now.
    pub(super) fn set(&self, sequence: u64, bytes: u64, written_at_ms: i64) {
        self.sequence.store(sequence, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.written_at_ms.store(written_at_ms, Ordering::Relaxed);
    }
}

/// When a checkpoint is due.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    commands_min: u64,
    growth_percent_min: u64,
    /// When the last one was begun, or the start.
    last_begun: Instant,
}

impl Schedule {
    pub(super) fn new(config: &ViewConfig) -> Schedule {
        Schedule {
            interval: Duration::from_millis(config.checkpoint_interval_ms),
            commands_min: config.checkpoint_commands_min,
            growth_percent_min: u64::from(config.checkpoint_growth_percent_min),
            last_begun: Instant::now(),
        }
    }

    /// True when enough is new to be worth writing everything.
    pub(super) fn is_enough_new(&self, sequence: Sequence, last: u64) -> bool {
        let growth = (u128::from(last) * u128::from(self.growth_percent_min)).div_ceil(100);
        let new = sequence.0.saturating_sub(last);
        new >= self.commands_min && u128::from(new) >= growth
    }

    /// True when the next one may begin, if enough is new.
    pub(super) fn is_time(&self) -> bool {
        self.last_begun.elapsed() >= self.interval
    }

    pub(super) fn began(&mut self) {
        self.last_begun = Instant::now();
    }
}

/// The writing thread, as the reader of events sees it.
#[derive(Debug)]
pub(super) struct Writer<'scope> {
    captures: Option<SyncSender<Capture>>,
    thread: Option<ScopedJoinHandle<'scope, ()>>,
    busy: &'scope AtomicBool,
}

impl<'scope> Writer<'scope> {
    /// Starts the thread. Without one, which is told, no checkpoints are written.
    pub(super) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        context: &'env Context,
        files: &'env Files,
        busy: &'scope AtomicBool,
        stop: &'env AtomicBool,
    ) -> Writer<'scope> {
        let (captures, incoming) = sync_channel(1);
        let builder = std::thread::Builder::new().name("gateway-checkpoint".to_owned());
        let thread = builder.spawn_scoped(scope, move || {
            write_all(context, files, &incoming, busy, stop);
        });
        match thread {
            Ok(thread) => Writer { captures: Some(captures), thread: Some(thread), busy },
            Err(error) => {
                tracing::error!(%error, "no thread for checkpoints of the view: none are written");
                Writer::none(busy)
            }
        }
    }

    /// Writes nothing.
    pub(super) fn none(busy: &'scope AtomicBool) -> Writer<'scope> {
        Writer { captures: None, thread: None, busy }
    }

    /// True when a capture would be taken at once.
    pub(super) fn is_idle(&self) -> bool {
        self.captures.is_some() && !self.busy.load(Ordering::Acquire)
    }

    /// Waits until it is idle; false when it never will be.
    pub(super) fn wait_until_idle(&self) -> bool {
        while self.captures.is_some() {
            if self.thread.as_ref().is_none_or(ScopedJoinHandle::is_finished) {
                return false;
            }
            if self.is_idle() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// Hands a capture over; false when the thread does not take it.
    pub(super) fn submit(&self, capture: Capture) -> bool {
        let Some(captures) = &self.captures else { return false };
        self.busy.store(true, Ordering::Release);
        captures.try_send(capture).is_ok()
    }

    /// Waits until the last capture is written.
    pub(super) fn finish(mut self) {
        self.captures = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that writes checkpoints of the view panicked");
        }
    }
}

/// The thread.
fn write_all(
    context: &Context,
    files: &Files,
    incoming: &Receiver<Capture>,
    busy: &AtomicBool,
    stop: &AtomicBool,
) {
    let figures = &context.view.checkpoints;
    while let Ok(capture) = incoming.recv() {
        let (began, sequence) = (Instant::now(), capture.sequence().0);
        let job = Job {
            view: &context.view.view,
            contacts: &context.view.contacts,
            files,
            bytes_per_second_max: context.config.view.checkpoint_bytes_per_second_max,
            hurry: stop,
        };
        match job.write(capture, |_| {}) {
            Ok(written) => {
                let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                figures.set(sequence, written.bytes, now().0);
                figures.duration_ms.store(took_ms, Ordering::Relaxed);
                let hold_us = u64::try_from(written.longest_hold.as_micros()).unwrap_or(u64::MAX);
                figures.hold_us.store(hold_us, Ordering::Relaxed);
                figures.written.fetch_add(1, Ordering::Relaxed);
                tracing::info!(
                    sequence,
                    bytes = written.bytes,
                    took_ms,
                    "checkpoint of the view written"
                );
            }
            Err(why) => {
                context.view.view.write().end_capture();
                figures.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(sequence, %why, "a checkpoint of the view was not written; the view goes on, another one is tried later");
            }
        }
        busy.store(false, Ordering::Release);
    }
}

/// What writing a checkpoint needs.
pub(super) struct Job<'a> {
    pub(super) view: &'a RwLock<View>,
    pub(super) contacts: &'a RwLock<ContactBook>,
    pub(super) files: &'a Files,
    /// How fast; 0 = no limit.
    pub(super) bytes_per_second_max: u64,
    /// When true, as fast as it goes.
    pub(super) hurry: &'a AtomicBool,
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) longest_hold: Duration,
}

impl Job<'_> {
    /// Writes one checkpoint; `step` is told between any two steps.
    pub(super) fn write(
        &self,
        mut capture: Capture,
        mut step: impl FnMut(Step),
    ) -> Result<Written, String> {
        self.contacts.read().flush().map_err(|error| error.to_string())?;
        step(Step::ContactsDurable);
        let told = |error: std::io::Error| format!("the disk: {error}");
        let mut partial = self.files.begin(capture.sequence().0).map_err(told)?;
        step(Step::Begun);
        let began = Instant::now();
        let (mut portion, mut written, mut longest_hold) = (Vec::new(), 0, Duration::ZERO);
        loop {
            longest_hold = longest_hold.max(self.copy(&mut capture)?);
            let more = capture.pack(&mut portion);
            partial.write(&portion).map_err(told)?;
            written += portion.len() as u64;
            portion.clear();
            step(Step::Portion);
            if !more {
                break;
            }
            self.rest(began, written);
        }
        let bytes = partial.commit(&mut step).map_err(told)?;
        // It counts: older ones that cannot be removed are no failure of this one.
        if let Err(error) = self.files.prune() {
            tracing::warn!(%error, "old checkpoints of the view could not be removed");
        }
        step(Step::Pruned);
        Ok(Written { bytes, longest_hold })
    }

    /// Copies a portion; gives the longest time for which that held the view.
    fn copy(&self, capture: &mut Capture) -> Result<Duration, String> {
        let view = self.view.read();
        let began = Instant::now();
        capture.copy(&view);
        let mut held = began.elapsed();
        drop(view);
        if capture.needs_settling() {
            let mut view = self.view.write();
            let began = Instant::now();
            let settled = capture.settle(&mut view);
            held = held.max(began.elapsed());
            drop(view);
            settled.map_err(|lost| lost.to_string())?;
        }
        Ok(held)
    }

    /// Sleeps when more was written than the rate allows.
    fn rest(&self, began: Instant, written: u64) {
        if self.bytes_per_second_max == 0 {
            return;
        }
        let due = Duration::from_secs_f64(written as f64 / self.bytes_per_second_max as f64);
        while !self.hurry.load(Ordering::Acquire) {
            let Some(early) = due.checked_sub(began.elapsed()).filter(|early| !early.is_zero())
            else {
                return;
            };
            std::thread::sleep(early.min(Duration::from_millis(NAP_MS)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_when_enough_is_new_by_number_and_by_share() {
        let schedule = Schedule::new(&ViewConfig {
            checkpoint_commands_min: 100,
            checkpoint_growth_percent_min: 20,
            ..ViewConfig::default()
        });
        let cases = [
            (0, 0, false),
            (99, 0, false),
            (100, 0, true),
            (600, 501, false),
            (600, 500, true),
            (1_199, 1_000, false),
            (1_200, 1_000, true),
            (1_202, 1_002, false),
            (10, 1_000, false),
            (u64::MAX, u64::MAX, false),
        ];
        for (sequence, last, expected) in cases {
            let enough = schedule.is_enough_new(Sequence(sequence), last);
            assert_eq!(enough, expected, "{sequence} after {last}");
        }
        assert!(!schedule.is_time());
    }
}
