//! Groups accepted behind, for readers of the same process that want them before they are durable.
//!
//! Does: keep them in the order and at the positions expected, from acceptance until some time after
//! they are durable; forget them where another writer's groups came between, so that readers ask the
//! broker. Does not read from the broker.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::{Group, Position};

/// Most bytes of durable groups kept for readers near the end.
const TAIL_BYTES_MAX: usize = 16 << 20;

/// The groups.
#[derive(Default)]
pub(super) struct AcceptedTail {
    groups: Mutex<Kept>,
    grown: Condvar,
    /// Anything was ever accepted here: this process writes the stream.
    is_written_here: AtomicBool,
}

#[derive(Default)]
struct Kept {
    groups: VecDeque<Group>,
    bytes: usize,
}

impl AcceptedTail {
    /// Whether this process writes the stream behind.
    pub(super) fn is_written_here(&self) -> bool {
        self.is_written_here.load(Ordering::Acquire)
    }

    /// Adds the newest group.
    pub(super) fn push(&self, group: Group) {
        let mut kept = self.groups.lock();
        if kept.groups.back().is_some_and(|last| last.next != group.position) {
            *kept = Kept::default();
        }
        kept.bytes += group.records.packed().len();
        kept.groups.push_back(group);
        drop(kept);
        self.is_written_here.store(true, Ordering::Release);
        self.grown.notify_all();
    }

    /// The group that stands at a position, if it is kept.
    pub(super) fn get(&self, position: Position) -> Option<Group> {
        let kept = self.groups.lock();
        let first = kept.groups.front()?.position.0;
        let index = usize::try_from(position.0.checked_sub(first)?).ok()?;
        kept.groups.get(index).cloned()
    }

    /// Where the newest group ends.
    pub(super) fn end(&self) -> Option<Position> {
        self.groups.lock().groups.back().map(|last| last.next)
    }

    /// Waits until the group at a position may be there.
    pub(super) fn wait(&self, position: Position, longest: Duration) {
        let mut kept = self.groups.lock();
        if kept.groups.back().is_none_or(|last| last.next <= position) {
            self.grown.wait_for(&mut kept, longest);
        }
    }

    /// Groups through this position are durable: the oldest of them may go.
    pub(super) fn trim(&self, durable: u64) {
        let mut kept = self.groups.lock();
        while kept.bytes > TAIL_BYTES_MAX
            && kept.groups.front().is_some_and(|first| first.position.0 <= durable)
        {
            if let Some(group) = kept.groups.pop_front() {
                kept.bytes -= group.records.packed().len();
            }
        }
    }

    /// The positions were wrong.
    pub(super) fn forget(&self) {
        *self.groups.lock() = Kept::default();
        self.grown.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Records;

    fn group(position: u64, bytes: usize) -> Group {
        Group {
            position: Position(position),
            next: Position(position + 1),
            at_ms: 0,
            records: Records::from_packed(vec![0; bytes].into(), 0),
        }
    }

    #[test]
    fn groups_are_found_by_position_and_old_durable_ones_go() {
        let tail = AcceptedTail::default();
        assert!(!tail.is_written_here());
        for position in 7..12 {
            tail.push(group(position, TAIL_BYTES_MAX / 4 + 1));
        }
        assert!(tail.is_written_here());
        assert!(tail.get(Position(6)).is_none() && tail.get(Position(12)).is_none());
        assert_eq!(tail.get(Position(9)).map(|group| group.position), Some(Position(9)));
        tail.trim(7);
        assert!(tail.get(Position(7)).is_none(), "durable and too much");
        assert!(tail.get(Position(8)).is_some(), "not durable yet");
        assert_eq!(tail.end(), Some(Position(12)));
    }

    #[test]
    fn a_gap_begins_anew() {
        let tail = AcceptedTail::default();
        tail.push(group(3, 1));
        tail.push(group(9, 1));
        assert!(tail.get(Position(3)).is_none());
        assert!(tail.get(Position(9)).is_some());
        tail.forget();
        assert!(tail.get(Position(9)).is_none());
    }
}
