//! The background thread that turns cuts into checkpoints.
//!
//! Order per checkpoint: the events through its sequence are made durable, then the changes and the
//! description are written in one batch, then flushed, and only then does the checkpoint count. After
//! a failure no more are taken until the restart: RocksDB is never coaxed on after an error, and the
//! journal holds everything anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use journal::{Group, Journal, Stream};

use super::scatter::Scatter;
use super::{CheckpointMeta, Store, group_hash};
use crate::EngineError;
use crate::metrics::StoreMetrics;
use crate::status::EngineStatus;

/// Changes are taken from the state in pieces of about this size: small enough that taking one never
/// holds the writer up, and that the piece being filled stays in the processor's cache.
pub(crate) const PIECE_BYTES: usize = 1 << 20;
/// Room for one group beyond that.
const PIECE_SLACK_BYTES: usize = 256 << 10;
/// Emptied pieces kept for use again.
const PIECES_KEPT: usize = 64;
/// Blocks folded between two looks for the next cut.
const FOLDS_AT_ONCE: usize = 64;

/// Everything that changed since the previous cut.
pub(crate) struct Cut {
    /// Packed changes, in order.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// What the checkpoint will say of itself; the thread fills in the group's hash.
    pub(crate) meta: CheckpointMeta,
    /// The last group, to be hashed.
    pub(crate) group: Arc<Group>,
    /// True when this engine wrote the events, so that they may not be durable yet.
    pub(crate) sync_events: bool,
    /// When the cut was made.
    pub(crate) made_at: Instant,
}

/// A point between the steps of a checkpoint at which a crash may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// A cut has arrived; nothing is done.
    Taken,
    /// Its events are durable.
    EventsDurable,
    /// The batch is written, and in memory only.
    Written,
    /// The checkpoint counts.
    Committed,
    /// A block was folded, in memory only.
    Folded,
}

/// Called at each step; does something in tests only.
#[derive(Clone, Default)]
pub(crate) struct Steps(#[cfg(test)] pub(crate) Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Steps {
    #[cfg(test)]
    fn reached(&self, step: Step) {
        if let Some(hook) = &self.0 {
            hook(step);
        }
    }

    #[cfg(not(test))]
    #[inline]
    fn reached(&self, _step: Step) {}
}

/// The writer's handle.
pub(crate) struct Checkpointer {
    /// Takes one cut at a time.
    cuts: Option<Sender<Cut>>,
    /// Gives emptied pieces back.
    pieces: Receiver<Vec<u8>>,
    /// True from the hand-over of a cut until it is committed or has failed.
    busy: Arc<AtomicBool>,
    /// True after a failure.
    failed: Arc<AtomicBool>,
    /// The thread.
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(
        store: Store,
        journal: Arc<dyn Journal>,
        status: Arc<EngineStatus>,
        steps: Steps,
    ) -> Result<Checkpointer, EngineError> {
        let (cuts, incoming) = bounded(1);
        let (emptied, pieces) = bounded(PIECES_KEPT);
        let busy = Arc::new(AtomicBool::new(false));
        let failed = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            store,
            changes: Scatter::new(),
            journal,
            status,
            steps,
            metrics: StoreMetrics::new(),
            emptied,
            busy: Arc::clone(&busy),
            failed: Arc::clone(&failed),
            is_store_broken: false,
        };
        let guard = PanicGuard { failed: Arc::clone(&failed), status: Arc::clone(&worker.status) };
        let thread = std::thread::Builder::new()
            .name("slotline-checkpoint".to_owned())
            .spawn(move || {
                let _guard = guard;
                worker.run(&incoming);
            })
            .map_err(|cause| EngineError::Internal {
                what: format!("no thread for checkpoints: {cause}"),
            })?;
        Ok(Checkpointer { cuts: Some(cuts), pieces, busy, failed, thread: Some(thread) })
    }

    /// True when a cut would be taken at once.
    pub(crate) fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }

    /// True when no more checkpoints are taken.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// An empty piece with room.
    pub(crate) fn piece(&self) -> Vec<u8> {
        self.pieces
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(PIECE_BYTES + PIECE_SLACK_BYTES))
    }

    /// Hands a cut over; gives it back when the thread is busy after all.
    pub(crate) fn submit(&self, cut: Cut) -> Option<Cut> {
        let Some(cuts) = &self.cuts else {
            return Some(cut);
        };
        self.busy.store(true, Ordering::Release);
        match cuts.try_send(cut) {
            Ok(()) => None,
            Err(TrySendError::Full(cut) | TrySendError::Disconnected(cut)) => Some(cut),
        }
    }

    /// Waits until the last cut is committed and the store is closed.
    pub(crate) fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        self.cuts = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the checkpoint thread panicked; the journal holds everything");
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.close();
    }
}

/// Says so when the thread panics: the loop would wait for it for ever.
struct PanicGuard {
    failed: Arc<AtomicBool>,
    status: Arc<EngineStatus>,
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let why = "the checkpoint thread panicked; the text is in the log";
            self.status.fail_checkpoint(why.to_owned());
            self.failed.store(true, Ordering::Release);
        }
    }
}

/// The thread's side.
struct Worker {
    store: Store,
    /// The changes of the checkpoint under way, by block.
    changes: Scatter,
    journal: Arc<dyn Journal>,
    status: Arc<EngineStatus>,
    steps: Steps,
    metrics: StoreMetrics,
    emptied: Sender<Vec<u8>>,
    busy: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    /// The failure was the store's own, not the journal's.
    is_store_broken: bool,
}

impl Worker {
    fn run(mut self, incoming: &Receiver<Cut>) {
        while let Ok(cut) = incoming.recv() {
            if self.failed.load(Ordering::Acquire) {
                self.busy.store(false, Ordering::Release);
                continue;
            }
            let outcome = self.checkpoint(cut);
            self.busy.store(false, Ordering::Release);
            if let Err(error) = outcome.and_then(|()| self.fold(incoming)) {
                self.fail(&error);
            }
        }
        if self.is_store_broken {
            // Closing waits for work that a broken disk may never finish; the process's end does not.
            std::mem::forget(self.store);
        }
    }

    fn checkpoint(&mut self, mut cut: Cut) -> Result<(), EngineError> {
        self.steps.reached(Step::Taken);
        if cut.sync_events {
            self.journal.sync(Stream::Events)?;
        }
        self.steps.reached(Step::EventsDurable);
        self.changes.fill(&cut.pieces)?;
        cut.pieces.drain(..).for_each(|piece| self.give_back(piece));
        cut.meta.group_hash = group_hash(&cut.group);
        let steps = &self.steps;
        self.store.commit(&self.changes, &cut.meta, || steps.reached(Step::Written))?;
        self.steps.reached(Step::Committed);
        self.status.set_checkpoint(cut.meta.sequence);
        self.metrics.checkpoints.increment(1);
        self.metrics.changes_bytes.increment(self.changes.bytes() as u64);
        self.metrics.sequence.set(cut.meta.sequence as f64);
        self.metrics.commit_seconds.record(cut.made_at.elapsed().as_secs_f64());
        Ok(())
    }

    /// Folds while nothing else is to do.
    fn fold(&mut self, incoming: &Receiver<Cut>) -> Result<(), EngineError> {
        for block in self.store.blocks_to_fold(FOLDS_AT_ONCE) {
            if !incoming.is_empty() {
                break;
            }
            self.store.fold(block)?;
            self.steps.reached(Step::Folded);
            self.metrics.folds.increment(1);
        }
        self.metrics.base_bytes.set(self.store.base_bytes as f64);
        self.metrics.delta_bytes.set(self.store.delta_bytes as f64);
        Ok(())
    }

    fn give_back(&self, mut piece: Vec<u8>) {
        piece.clear();
        if piece.capacity() <= 2 * (PIECE_BYTES + PIECE_SLACK_BYTES) {
            // When enough are kept, this one is simply freed.
            let _ = self.emptied.try_send(piece);
        }
    }

    fn fail(&mut self, error: &EngineError) {
        self.is_store_broken = !matches!(error, EngineError::Journal(_));
        tracing::error!(%error, "no more checkpoints until the restart; bookings go on, the journal holds everything");
        self.metrics.failures.increment(1);
        self.status.fail_checkpoint(error.to_string());
        self.failed.store(true, Ordering::Release);
    }
}
