//! How far a reader of events has come, and the names of events.
//!
//! Every reader of the `events` stream (the gateway's view, the notifier, the engine when it starts)
//! uses the one function [`Watermark::admit`], so that all of them apply the same groups.
//!
//! # The deposed engine
//! Two engines may write for a moment: one was deposed (it hung, its machine was cut off) and does not
//! know it yet. Both read the same commands and decide them by the same pure rules, so an events group
//! of either has the same range, bytes and ids. What can differ is how far each has come:
//! - the deposed engine writes a range again that its successor has written: *behind*, dropped;
//! - it is ahead, its groups between were lost with its machine, and one later group arrives: *beyond*,
//!   dropped and counted, never applied, since applying it would skip commands. The active engine
//!   resumes from the contiguous watermark, not from the last record, and so writes the missing groups
//!   and that one again; the reader goes on as they come and is never wedged.
//!
//! A reader that continues from a checkpoint first finds the checkpoint's last group again ([`Anchor`]).
//!
//! What this module deliberately does not do: look at positions of a stream. They are hints for
//! seeking and differ between writers.

mod anchor;

use std::fmt;
use std::str::FromStr;

use crate::Sequence;

pub use anchor::{Anchor, Sighting};

/// How far a reader has come: it has applied every command below `next`, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    next: Sequence,
}

/// What to do with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It continues what was applied: apply all of it. The watermark has moved past it.
    Next,
    /// All of it was applied before: drop it.
    Behind,
    /// Something is missing before it, or it straddles the watermark, which no engine of this journal
    /// writes: drop it and count it.
    Beyond,
}

impl Watermark {
    /// Before the first command.
    pub const START: Watermark = Watermark { next: Sequence(1) };

    /// A reader that has applied everything up to and including `last`.
    pub const fn after(last: Sequence) -> Watermark {
        Watermark { next: Sequence(last.0.saturating_add(1)) }
    }

    /// The first sequence not applied yet.
    pub const fn next(self) -> Sequence {
        self.next
    }

    /// The last sequence applied; 0 before the first.
    pub const fn last(self) -> Sequence {
        Sequence(self.next.0.saturating_sub(1))
    }

    /// Judges the group of the commands `first..=last` (`last` is one below `first` for an empty
    /// group), and moves past it when it is the next one.
    pub fn admit(&mut self, first: Sequence, last: Sequence) -> Admission {
        let after = last.0.saturating_add(1);
        if first.0 > after {
            return Admission::Beyond;
        }
        if first == self.next {
            self.next = Sequence(after);
            return Admission::Next;
        }
        if after <= self.next.0 {
            return Admission::Behind;
        }
        Admission::Beyond
    }
}

impl Default for Watermark {
    fn default() -> Watermark {
        Watermark::START
    }
}

/// An event's name: deterministic, so an event written again after a crash has the same one. Written
/// `shard-sequence-index`, for example `0-123456-0`. Ids order as the events happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// Always 0 in this product; kept so that ids stay unique when there are more.
    pub shard: u16,
    /// The command that gave rise to it.
    pub sequence: Sequence,
    /// Its place among the command's events. Only large imports have more than 65,536, and none of
    /// those is published under an id.
    pub index: u16,
}

impl EventId {
    /// Names an event of the one shard there is.
    pub const fn new(sequence: Sequence, index: u16) -> EventId {
        EventId { shard: 0, sequence, index }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.sequence.0, self.index)
    }
}

/// The text is not an event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnEventId;

impl fmt::Display for NotAnEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an event id: it reads like 0-123456-0 (shard, sequence, index)")
    }
}

impl std::error::Error for NotAnEventId {}

impl FromStr for EventId {
    type Err = NotAnEventId;

    /// Takes the one spelling that `Display` gives: no signs, no leading zeros.
    fn from_str(text: &str) -> Result<EventId, NotAnEventId> {
        let mut parts = text.split('-');
        let id = EventId {
            shard: part(parts.next())?,
            sequence: Sequence(part(parts.next())?),
            index: part(parts.next())?,
        };
        match parts.next() {
            None => Ok(id),
            Some(_) => Err(NotAnEventId),
        }
    }
}

fn part<T: FromStr>(text: Option<&str>) -> Result<T, NotAnEventId> {
    let text = text.ok_or(NotAnEventId)?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(NotAnEventId);
    }
    text.parse().map_err(|_| NotAnEventId)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn admit(watermark: &mut Watermark, first: u64, last: u64) -> Admission {
        watermark.admit(Sequence(first), Sequence(last))
    }

    #[test]
    fn groups_in_order_are_applied_once() {
        let mut watermark = Watermark::START;
        assert_eq!(admit(&mut watermark, 1, 3), Admission::Next);
        assert_eq!(admit(&mut watermark, 1, 3), Admission::Behind);
        assert_eq!(admit(&mut watermark, 4, 4), Admission::Next);
        assert_eq!(admit(&mut watermark, 1, 3), Admission::Behind);
        assert_eq!(admit(&mut watermark, 4, 4), Admission::Behind);
        assert_eq!(watermark, Watermark::after(Sequence(4)));
        assert_eq!(watermark.last(), Sequence(4));
        assert_eq!(watermark.next(), Sequence(5));
    }

    #[test]
    fn a_group_of_a_deposed_engine_is_dropped_and_does_not_wedge_the_reader() {
        let mut watermark = Watermark::START;
        assert_eq!(admit(&mut watermark, 1, 10), Admission::Next);
        // The deposed engine's 11..=20 was lost with its machine; its 21..=30 arrives.
        assert_eq!(admit(&mut watermark, 21, 30), Admission::Beyond);
        // The active engine writes both.
        assert_eq!(admit(&mut watermark, 11, 20), Admission::Next);
        assert_eq!(admit(&mut watermark, 21, 30), Admission::Next);
        assert_eq!(admit(&mut watermark, 21, 30), Admission::Behind);
    }

    #[test]
    fn a_group_across_the_watermark_is_never_applied() {
        let mut watermark = Watermark::after(Sequence(5));
        assert_eq!(admit(&mut watermark, 4, 8), Admission::Beyond);
        assert_eq!(watermark.next(), Sequence(6));
    }

    #[test]
    fn an_empty_group_changes_nothing() {
        let mut watermark = Watermark::after(Sequence(5));
        assert_eq!(admit(&mut watermark, 6, 5), Admission::Next);
        assert_eq!(admit(&mut watermark, 3, 2), Admission::Behind);
        assert_eq!(admit(&mut watermark, 9, 8), Admission::Beyond);
        assert_eq!(watermark.next(), Sequence(6));
    }

    #[test]
    fn a_range_that_runs_backwards_is_never_applied() {
        let mut watermark = Watermark::after(Sequence(5));
        assert_eq!(admit(&mut watermark, 6, 2), Admission::Beyond);
        assert_eq!(watermark.next(), Sequence(6));
    }

    #[test]
    fn event_ids_read_back_as_they_were_written() {
        for (sequence, index) in [(0, 0), (123_456, 0), (u64::MAX, u16::MAX)] {
            let id = EventId::new(Sequence(sequence), index);
            assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        }
        assert_eq!(EventId::new(Sequence(123_456), 2).to_string(), "0-123456-2");
    }

    #[test]
    fn other_spellings_of_event_ids_are_refused() {
        for text in [
            "",
            "0",
            "0-1",
            "0-1-",
            "-0-1-0",
            "0-1-0-0",
            "0-01-0",
            "0-+1-0",
            "0-1-65536",
            " 0-1-0",
            "0-１-0",
            "65536-1-0",
            "0-18446744073709551616-0",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(NotAnEventId), "{text:?}");
        }
    }
}
