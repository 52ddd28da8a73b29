//! How outcomes travel from the one reader of events to the cores whose requests await them.
//!
//! Each core has an [`Inbox`]. The reader of events puts what belongs to a core into it and wakes that
//! core once per group, and not at all when nothing is for it; the journal does the same with news of
//! durability. What this module does not do: complete requests; each core does that itself, from its
//! own slab (`submitter`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use domain::view::Outcome;
use domain::{Event, KeyHash, Sequence};
use journal::Settled;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What came of a command.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// A citizen's command, or an earlier one under the same key with the same body.
    Outcome(Outcome),
    /// The key was used before for another body: this request has no outcome of its own.
    KeyReused,
    /// A command of this gateway without a retry key: all its events.
    Applied {
        /// Its place in the journal.
        sequence: Sequence,
        /// What it did.
        events: Vec<Event>,
    },
}

/// A decision on its way to the slab entry that awaits it.
#[derive(Debug)]
pub(crate) struct Completion {
    /// Which entry; the serial number of a command without a retry key.
    pub(crate) index: u32,
    /// The key that the entry must carry; `None` for commands without one.
    pub(crate) key: Option<KeyHash>,
    /// What came of it.
    pub(crate) decision: Decision,
}

/// One core's letter box.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// Every ticket below this has settled.
    settled_end: AtomicU64,
    /// Runs of tickets whose fate nobody knows.
    lost: Mutex<Vec<(u64, u32)>>,
    /// Decisions since the core last looked.
    completions: Mutex<Vec<Completion>>,
    /// Requests of the core that leave as soon as they are durable. Written by the core.
    durable_waiters: AtomicU32,
    /// Reads of the core that wait for the view. Written by the core.
    view_waiters: AtomicU32,
    /// Commands that the core pushed. Written by the core.
    pushed: AtomicU64,
    /// Commands of the core whose events the view has, or whose fate is unknown. A journal that holds a
    /// command twice has it counted twice; where that can be, reads wait for the `horizon`, too, which
    /// counts groups as they stand there.
    seen: AtomicU64,
    /// Wakes sent, for the metrics.
    wakes: AtomicU64,
    /// Wakes the core.
    wake: Notify,
}

impl Inbox {
    /// For the journal: a run of the core's records settled. The core is woken when a request of it
    /// waits for no more than that, or when the fate of the run is unknown.
    pub(crate) fn settle(&self, settled: &Settled) {
        let mut wake = self.durable_waiters.load(Ordering::Acquire) > 0;
        if settled.result.is_err() {
            self.lost.lock().push((settled.first.0, settled.count));
            self.seen.fetch_add(u64::from(settled.count), Ordering::AcqRel);
            wake = true;
        }
        let end = settled.first.0 + u64::from(settled.count);
        self.settled_end.store(end, Ordering::Release);
        if wake {
            self.wake();
        }
    }

    /// For the reader of events: decisions for the core, and how many of its commands were seen.
    /// Empties `decisions` and wakes the core once if it has a reason to look.
    pub(crate) fn deliver(&self, decisions: &mut Vec<Completion>, seen: u64) {
        if seen > 0 {
            self.seen.fetch_add(seen, Ordering::AcqRel);
        }
        // Either this sees who waits, or who waits sees what was stored above.
        fence(Ordering::SeqCst);
        let any = !decisions.is_empty();
        if any {
            self.completions.lock().append(decisions);
        }
        if any || self.view_waiters.load(Ordering::Acquire) > 0 {
            self.wake();
        }
    }

    /// For whoever else moves what the reads of the core wait for.
    pub(crate) fn wake_view_waiters(&self) {
        // As in `deliver`.
        fence(Ordering::SeqCst);
        if self.view_waiters.load(Ordering::Acquire) > 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Waits until there is something to look at.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Moves the decisions into `into`, which must be empty.
    pub(crate) fn take_completions(&self, into: &mut Vec<Completion>) {
        std::mem::swap(&mut *self.completions.lock(), into);
    }

    /// Takes the runs of tickets whose fate nobody knows.
    pub(crate) fn take_lost(&self) -> Vec<(u64, u32)> {
        std::mem::take(&mut *self.lost.lock())
    }

    /// Every ticket below this has settled.
    pub(crate) fn settled_end(&self) -> u64 {
        self.settled_end.load(Ordering::Acquire)
    }

    /// For the core: how many of its requests leave as soon as they are durable.
    pub(crate) fn set_durable_waiters(&self, count: usize) {
        self.durable_waiters.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Release);
    }

    /// For the core: how many of its reads wait for the view.
    pub(crate) fn set_view_waiters(&self, count: usize) {
        self.view_waiters.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Release);
    }

    /// For the core: one more command was pushed.
    pub(crate) fn count_pushed(&self) {
        let count = self.pushed.load(Ordering::Relaxed) + 1;
        self.pushed.store(count, Ordering::Release);
    }

    /// Commands the core pushed so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Commands of the core that the view has.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Wakes sent to the core.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }
}

/// Who reads a receipt's outcome and has not got it yet: by retry key, which no two people share.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    count: AtomicUsize,
    by_key: Mutex<HashMap<KeyHash, Vec<(u8, u32)>>>,
}

impl Watchers {
    /// A slab entry of a core wants this key's outcome.
    pub(crate) fn add(&self, key: KeyHash, core: u8, index: u32) {
        let mut by_key = self.by_key.lock();
        by_key.entry(key).or_default().push((core, index));
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// It no longer does.
    pub(crate) fn remove(&self, key: KeyHash, core: u8, index: u32) {
        let mut by_key = self.by_key.lock();
        let Some(places) = by_key.get_mut(&key) else {
            return;
        };
        let before = places.len();
        places.retain(|place| *place != (core, index));
        self.count.fetch_sub(before - places.len(), Ordering::AcqRel);
        if places.is_empty() {
            by_key.remove(&key);
        }
    }

    /// True when nobody watches anything: the usual case, told without a lock.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Takes those who watch one of these keys.
    pub(crate) fn take(&self, key: KeyHash) -> Vec<(u8, u32)> {
        let places = self.by_key.lock().remove(&key).unwrap_or_default();
        self.count.fetch_sub(places.len(), Ordering::AcqRel);
        places
    }
}

/// The inboxes of all cores, by core.
pub(crate) type Inboxes = Vec<Arc<Inbox>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watcher_is_found_once_and_a_removed_one_not_at_all() {
        let watchers = Watchers::default();
        watchers.add(KeyHash(1), 0, 10);
        watchers.add(KeyHash(1), 1, 11);
        watchers.remove(KeyHash(1), 0, 10);
        assert_eq!(watchers.take(KeyHash(1)), vec![(1, 11)]);
        assert!(watchers.take(KeyHash(1)).is_empty());
        assert!(watchers.is_empty());
    }

    #[test]
    fn news_of_durability_wake_only_a_core_that_waits_for_them() {
        let inbox = Inbox::default();
        let settled = |first| Settled {
            first: journal::Ticket(first),
            count: 1,
            result: Ok(journal::Appended {
                position: journal::Position(1),
                next: journal::Position(2),
                at_ms: 0,
            }),
        };
        inbox.settle(&settled(0));
        assert_eq!((inbox.wakes(), inbox.settled_end()), (0, 1));
        inbox.set_durable_waiters(1);
        inbox.settle(&settled(1));
        assert_eq!((inbox.wakes(), inbox.settled_end()), (1, 2));
        inbox.deliver(&mut Vec::new(), 2);
        assert_eq!((inbox.wakes(), inbox.seen()), (1, 2));
    }
}
