//! How far `commands` reached when somebody asked, where other gateways write them too.
//!
//! A person's own read must show what they wrote at another gateway a moment ago. So it asks how far the
//! commands reach, and waits until the view has come there. The journal answers with a position; the view
//! counts groups, one of events for each of commands. The marker that a gateway writes at its start stands
//! at a known position and in a known group of the view, which ties the two together.
//!
//! Questions are put together (`looks`). Where this gateway alone writes, nobody asks anything.
//!
//! What this module does not do: wait; a core's reads do (`core`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use journal::{Position, Stream};

use crate::context::Context;
use crate::looks::Looks;

/// How many groups of `commands` stand before a position of that stream.
pub type GroupsBefore = Arc<dyn Fn(Position) -> u64 + Send + Sync>;

/// What is known of the end of `commands`.
pub(crate) struct Horizon {
    /// `None`: nobody else writes.
    groups_before: Option<GroupsBefore>,
    looks: Looks,
    /// Looks whose answer is in `reach`.
    looked: AtomicU64,
    /// Groups of commands that are known to be durable.
    reach: AtomicU64,
    /// Groups of events that the view has taken in since the start.
    taken_in: AtomicU64,
    /// Of them, those up to the marker's; 0 while it is not there.
    marker_taken_in: AtomicU64,
    /// Groups of commands up to the marker's; 0 while that is not known.
    marker_reach: AtomicU64,
}

impl Horizon {
    /// Of a journal that others write too, if it can say how many groups stand before a position.
    pub(crate) fn new(groups_before: Option<GroupsBefore>, interval: Duration) -> Horizon {
        Horizon {
            groups_before,
            looks: Looks::new(interval),
            looked: AtomicU64::new(0),
            reach: AtomicU64::new(0),
            taken_in: AtomicU64::new(0),
            marker_taken_in: AtomicU64::new(0),
            marker_reach: AtomicU64::new(0),
        }
    }

    /// True when other gateways write the same commands.
    pub(crate) fn is_shared(&self) -> bool {
        self.groups_before.is_some()
    }

    /// Looks at the journal so far, for the metrics.
    pub(crate) fn looked(&self) -> u64 {
        self.looked.load(Ordering::Relaxed)
    }

    /// Asks how far the commands reach at this moment, or later: the look that will tell. `None` where
    /// nobody else writes.
    pub(crate) fn ask(&self) -> Option<u64> {
        self.groups_before.as_ref()?;
        Some(self.looks.ask())
    }

    /// How far the commands reach, once that look or a later one is through.
    pub(crate) fn told(&self, look: u64) -> Option<u64> {
        (self.looked.load(Ordering::Acquire) >= look).then(|| self.reach.load(Ordering::Acquire))
    }

    /// True when the view has taken in so many groups.
    pub(crate) fn is_taken_in(&self, groups: u64) -> bool {
        let marker_reach = self.marker_reach.load(Ordering::Acquire);
        let marker_taken_in = self.marker_taken_in.load(Ordering::Acquire);
        if marker_reach == 0 || marker_taken_in == 0 {
            return false;
        }
        let since = self.taken_in.load(Ordering::Acquire) - marker_taken_in;
        marker_reach + since >= groups
    }

    /// For the view: it has taken in one more group, this gateway's marker in it or not.
    pub(crate) fn take_in(&self, with_marker: bool) {
        let count = self.taken_in.load(Ordering::Relaxed) + 1;
        // The view is the one writer of both.
        self.taken_in.store(count, Ordering::Release);
        if with_marker {
            self.marker_taken_in.store(count, Ordering::Release);
        }
    }

    /// The marker's group ends before this position.
    pub(crate) fn mark(&self, next: Position) {
        if let Some(groups_before) = &self.groups_before {
            self.marker_reach.store(groups_before(next), Ordering::Release);
        }
    }

    fn finish(&self, look: u64, reach: u64) {
        self.reach.fetch_max(reach, Ordering::AcqRel);
        self.looked.store(look, Ordering::Release);
    }
}

/// Looks whenever somebody asks, until told to stop. Runs on a thread of its own.
pub(crate) fn run(context: &Context, stop: &AtomicBool) {
    let horizon = &context.horizon;
    let Some(groups_before) = &horizon.groups_before else { return };
    horizon.looks.run(stop, |look| {
        let end = context.journal.durable_end(Stream::Commands)?;
        horizon.finish(look, groups_before(end));
        context.inboxes.iter().for_each(|inbox| inbox.wake_view_waiters());
        Ok(())
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn horizon() -> Horizon {
        let groups_before: GroupsBefore = Arc::new(|position| position.0);
        Horizon::new(Some(groups_before), Duration::ZERO)
    }

    #[test]
    fn where_nobody_else_writes_nobody_asks() {
        let alone = Horizon::new(None, Duration::ZERO);
        assert_eq!(alone.ask(), None);
        assert!(!alone.is_shared());
    }

    #[test]
    fn nobody_is_told_by_a_look_that_was_not_asked_for_yet() {
        let horizon = horizon();
        let asked = horizon.ask().unwrap();
        assert_eq!(horizon.told(asked), None);
        horizon.finish(asked, 7);
        assert_eq!((horizon.told(asked), horizon.told(asked + 1)), (Some(7), None));
        // A broker that is behind moves nothing back.
        horizon.finish(asked + 1, 5);
        assert_eq!(horizon.told(asked + 1), Some(7));
    }

    #[test]
    fn the_marker_ties_the_views_count_to_the_commands() {
        let horizon = horizon();
        // A view that began with a checkpoint counts from there.
        horizon.take_in(false);
        horizon.mark(Position(1_000));
        assert!(!horizon.is_taken_in(0), "the marker is not there yet");
        horizon.take_in(true);
        assert!(horizon.is_taken_in(1_000) && !horizon.is_taken_in(1_001));
        horizon.take_in(false);
        assert!(horizon.is_taken_in(1_001) && !horizon.is_taken_in(1_002));
    }
}
