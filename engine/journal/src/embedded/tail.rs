//! The end of a stream in memory.
//!
//! Does: gives each group its place and time, keeps the groups not yet written and a bounded number of
//! durable ones for readers near the end, knows how far the stream is durable. Does not write files or
//! wake anybody: [`super::writer`] and [`super::stream`] do. One lock guards all of it and is held for
//! the length of a header, never of a body or a file call.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::EmbeddedConfig;
use super::frame::{Draft, Frame, Link, Place};
use crate::{JournalId, Stream, Visibility};

/// Who waits for a group to become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody: it is written at once and invisible until durable.
    Firm,
    /// Nobody: it is visible at once and written soon.
    Behind,
}

/// A group and where it belongs.
#[derive(Clone, Debug)]
struct Entry {
    /// The finished group.
    frame: Frame,
    /// Who waits for it.
    kind: Kind,
    /// End of its segment: groups of different segments are not written together.
    segment_end: u64,
}

/// Where the end of a stream was found.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// Position of the next group.
    pub(super) position: u64,
    /// Header checksum of the last group, 0 if there is none.
    pub(super) previous_crc: u32,
    /// Time of the last group.
    pub(super) at_ms: i64,
    /// The last group proves all before it durable, or there is none.
    pub(super) is_sealed: bool,
    /// Segment of the next group, which may still have to be made: start and bytes of the file.
    pub(super) segment: (u64, u64),
    /// Segments on disk beyond that one.
    pub(super) beyond: VecDeque<(u64, u64)>,
}

/// The end of a stream.
#[derive(Debug)]
pub(super) struct Tail {
    /// Whose groups these are.
    journal: JournalId,
    /// Which stream's.
    stream: Stream,
    /// What frames are padded to.
    block_bytes: usize,
    /// Limits.
    config: EmbeddedConfig,
    /// Durable groups near the end, then those not yet written, without a gap.
    entries: VecDeque<Entry>,
    /// How many of the entries are durable.
    written: usize,
    /// Bytes of the durable entries.
    cached_bytes: u64,
    /// Bytes of the entries not yet written.
    waiting_bytes: u64,
    /// Entries not yet written that somebody waits for.
    firm_waiting: usize,
    /// When the oldest accepted entry not yet written must be written.
    behind_due: Option<Instant>,
    /// Position of the next group to be accepted.
    accepted_end: u64,
    /// Position of the next group to become durable.
    durable_end: u64,
    /// Everything below is to be written at once.
    hurry_until: u64,
    /// Header checksum of the last accepted group.
    previous_crc: u32,
    /// Time of the last accepted group.
    at_ms: i64,
    /// The last accepted group proves all before it durable, or there is none.
    is_sealed: bool,
    /// Segment of the next group: start and bytes of the file.
    segment: (u64, u64),
    /// Segments on disk beyond that one.
    existing: VecDeque<(u64, u64)>,
    /// No more groups are accepted: the journal is closing.
    pub(super) is_closing: bool,
}

impl Tail {
    /// Continues a stream from its end.
    pub(super) fn new(
        journal: JournalId,
        stream: Stream,
        block_bytes: usize,
        config: EmbeddedConfig,
        end: End,
    ) -> Tail {
        Tail {
            journal,
            stream,
            block_bytes,
            config,
            entries: VecDeque::new(),
            written: 0,
            cached_bytes: 0,
            waiting_bytes: 0,
            firm_waiting: 0,
            behind_due: None,
            accepted_end: end.position,
            durable_end: end.position,
            hurry_until: 0,
            previous_crc: end.previous_crc,
            at_ms: end.at_ms,
            is_sealed: end.is_sealed,
            segment: end.segment,
            existing: end.beyond,
            is_closing: false,
        }
    }

    /// Gives a group its place, link and time, and keeps it to be written.
    pub(super) fn accept(&mut self, draft: Draft, kind: Kind, now_ms: i64) -> Frame {
        while draft.frame_bytes() > self.segment_end() - self.accepted_end {
            // A large accepted record does not fit: an empty group closes the segment.
            let room = self.segment_end() - self.accepted_end;
            debug_assert!(room >= self.block_bytes as u64);
            let filler = Draft::empty(self.block_bytes);
            self.push(filler, kind, now_ms, self.segment_end());
        }
        let end = self.accepted_end + draft.frame_bytes();
        let is_full = self.segment_end() - end < self.config.segment_slack_bytes();
        let next = if is_full { self.segment_end() } else { end };
        self.push(draft, kind, now_ms, next)
    }

    fn push(&mut self, draft: Draft, kind: Kind, now_ms: i64, next: u64) -> Frame {
        let segment_end = self.segment_end();
        let place = Place {
            journal: self.journal,
            stream: self.stream,
            position: self.accepted_end,
            segment_end,
        };
        let link = Link { previous_crc: self.previous_crc, proven: self.durable_end };
        self.at_ms = self.at_ms.max(now_ms);
        let frame = draft.finish(&place, next, self.at_ms, &link);
        self.previous_crc = frame.crc;
        self.is_sealed = frame.count == 0 && link.proven == place.position;
        self.waiting_bytes += frame.bytes.len() as u64;
        match kind {
            Kind::Firm => self.firm_waiting += 1,
            Kind::Behind => {
                let interval = Duration::from_millis(self.config.behind_sync_interval_ms.into());
                self.behind_due.get_or_insert_with(|| Instant::now() + interval);
            }
        }
        self.entries.push_back(Entry { frame: frame.clone(), kind, segment_end });
        self.accepted_end = next;
        if next == segment_end {
            self.segment = self.existing.pop_front().unwrap_or_else(|| {
                let bytes = self.config.next_segment_bytes(Some(self.segment.1));
                (segment_end, bytes)
            });
        }
        frame
    }

    fn segment_end(&self) -> u64 {
        self.segment.0 + self.segment.1 - super::segment::SEGMENT_HEADER_BYTES
    }

    /// Whether another accepted record of `bytes` may wait.
    pub(super) fn has_room_behind(&self, bytes: u64) -> bool {
        self.waiting_bytes + bytes <= self.config.behind_bytes_max
    }

    /// Whether something must be written now. Once an accepted group is due, so is all that was
    /// accepted until then.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if !self.has_waiting() {
            return false;
        }
        let is_much = self.waiting_bytes >= u64::from(self.config.write_bytes_max);
        if is_much || self.is_closing || self.behind_due.is_some_and(|due| due <= now) {
            self.hurry_until = self.accepted_end;
        }
        self.firm_waiting > 0 || self.hurry_until > self.durable_end
    }

    /// Whether enough waits to be written before its time.
    pub(super) fn is_much_waiting(&self) -> bool {
        self.waiting_bytes >= u64::from(self.config.write_bytes_max)
    }

    /// When something must be written at the latest, if anything waits.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.behind_due
    }

    /// Whether anything waits to be written.
    pub(super) fn has_waiting(&self) -> bool {
        self.written < self.entries.len()
    }

    /// Whether the last group is proven durable by an empty one.
    pub(super) fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// Everything accepted so far is to be written at once; returns its end.
    pub(super) fn hurry(&mut self) -> u64 {
        self.hurry_until = self.accepted_end;
        self.accepted_end
    }

    /// The next groups to write in one call, all of one segment, and that segment's end.
    pub(super) fn next_write(&self, frames: &mut Vec<Frame>, parts_max: usize) -> Option<u64> {
        frames.clear();
        let segment_end = self.entries.get(self.written)?.segment_end;
        let mut bytes = 0;
        for entry in self.entries.range(self.written..).take(parts_max) {
            bytes += entry.frame.bytes.len() as u64;
            let is_too_much = bytes > u64::from(self.config.write_bytes_max) && !frames.is_empty();
            if entry.segment_end != segment_end || is_too_much {
                break;
            }
            frames.push(entry.frame.clone());
        }
        Some(segment_end)
    }

    /// The next `count` groups are durable.
    pub(super) fn wrote(&mut self, count: usize) {
        for entry in self.entries.range(self.written..self.written + count) {
            let bytes = entry.frame.bytes.len() as u64;
            self.waiting_bytes -= bytes;
            self.cached_bytes += bytes;
            self.firm_waiting -= usize::from(entry.kind == Kind::Firm);
            self.durable_end = entry.frame.next;
        }
        self.written += count;
        self.behind_due = self.has_waiting().then(|| {
            Instant::now() + Duration::from_millis(self.config.behind_sync_interval_ms.into())
        });
        self.forget();
    }

    /// Drops durable groups beyond the limit; readers find them in the files.
    fn forget(&mut self) {
        while self.written > 1 && self.cached_bytes > self.config.tail_bytes_max {
            if let Some(entry) = self.entries.pop_front() {
                self.cached_bytes -= entry.frame.bytes.len() as u64;
                self.written -= 1;
            }
        }
    }

    /// Where a reader must wait.
    pub(super) fn visible_end(&self, visibility: Visibility) -> u64 {
        match visibility {
            Visibility::Durable => self.durable_end,
            Visibility::Accepted if self.firm_waiting == 0 => self.accepted_end,
            Visibility::Accepted => self
                .entries
                .range(self.written..)
                .find(|entry| entry.kind == Kind::Firm)
                .map_or(self.accepted_end, |entry| entry.frame.position),
        }
    }

    /// Position of the next group to be accepted.
    pub(super) fn accepted_end(&self) -> u64 {
        self.accepted_end
    }

    /// Position of the next group to become durable.
    pub(super) fn durable_end(&self) -> u64 {
        self.durable_end
    }

    /// The group at a position, if it is in memory.
    pub(super) fn group_at(&self, position: u64) -> Found<'_> {
        match self.entries.front() {
            Some(first) if position >= first.frame.position => {
                let found =
                    self.entries.binary_search_by_key(&position, |entry| entry.frame.position);
                found.map_or(Found::Nothing, |index| Found::Group(&self.entries[index].frame))
            }
            _ => Found::Older,
        }
    }
}

/// What memory knows about a position.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The group that begins there.
    Group(&'a Frame),
    /// The position is in the range in memory, and no group begins there.
    Nothing,
    /// The files have to say.
    Older,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn tail(tail_bytes_max: u64) -> Tail {
        let config = EmbeddedConfig {
            group_bytes_max: 4_096,
            gather_bytes_max: 4_096,
            record_bytes_max: 1_024,
            behind_record_bytes_max: 40_000,
            segment_bytes_first: 16 << 10,
            segment_bytes: 64 << 10,
            tail_bytes_max,
            ..EmbeddedConfig::default()
        };
        let end = End {
            position: 0,
            previous_crc: 0,
            at_ms: 0,
            is_sealed: true,
            segment: (0, 16 << 10),
            beyond: VecDeque::new(),
        };
        Tail::new(JournalId([1; 16]), Stream::Commands, 512, config, end)
    }

    fn draft(bytes: usize) -> Draft {
        let mut body = ((bytes - 4) as u32).to_le_bytes().to_vec();
        body.resize(bytes, 7);
        Draft::new(std::iter::once(&body[..]), bytes, 1, 512)
    }

    #[test]
    fn time_never_runs_backwards() {
        let mut tail = tail(1 << 20);
        assert_eq!(tail.accept(draft(10), Kind::Firm, 500).at_ms, 500);
        assert_eq!(tail.accept(draft(10), Kind::Firm, 400).at_ms, 500);
        assert_eq!(tail.accept(draft(10), Kind::Firm, 501).at_ms, 501);
    }

    #[test]
    fn firm_groups_hide_what_follows_them_until_durable() {
        let mut tail = tail(1 << 20);
        let behind = tail.accept(draft(10), Kind::Behind, 0);
        assert_eq!(tail.visible_end(Visibility::Accepted), behind.next);
        let firm = tail.accept(draft(10), Kind::Firm, 0);
        tail.accept(draft(10), Kind::Behind, 0);
        assert_eq!(tail.visible_end(Visibility::Accepted), firm.position);
        assert_eq!(tail.visible_end(Visibility::Durable), 0);
        tail.wrote(2);
        assert_eq!(tail.visible_end(Visibility::Durable), firm.next);
        assert_eq!(tail.visible_end(Visibility::Accepted), tail.accepted_end());
    }

    #[test]
    fn a_group_follows_the_previous_one_across_segments() {
        let mut tail = tail(1 << 20);
        let mut expected = 0;
        for size in [10, 4_000, 39_000, 39_000, 10, 39_000, 4_000, 4_000] {
            let before = tail.entries.len();
            tail.accept(draft(size), Kind::Behind, 0);
            for entry in tail.entries.range(before..) {
                assert_eq!(entry.frame.position, expected);
                assert!(entry.frame.position + entry.frame.bytes.len() as u64 <= entry.segment_end);
                expected = entry.frame.next;
            }
        }
    }

    #[test]
    fn one_write_stays_in_one_segment() {
        let mut tail = tail(1 << 20);
        for _ in 0..4 {
            tail.accept(draft(30_000), Kind::Behind, 0);
        }
        let mut frames = Vec::new();
        let mut writes = 0;
        while let Some(end) = tail.next_write(&mut frames, 512) {
            assert!(frames.iter().all(|frame| frame.next <= end));
            tail.wrote(frames.len());
            writes += 1;
        }
        assert!(writes > 1);
        assert_eq!(tail.durable_end(), tail.accepted_end());
    }

    #[test]
    fn memory_holds_durable_groups_up_to_its_limit_and_all_that_wait() {
        let mut tail = tail(2_048);
        let first = tail.accept(draft(10), Kind::Behind, 0);
        for _ in 0..20 {
            tail.accept(draft(10), Kind::Behind, 0);
        }
        assert!(matches!(tail.group_at(first.position), Found::Group(_)));
        assert!(matches!(tail.group_at(first.position + 1), Found::Nothing));
        tail.wrote(21);
        assert!(matches!(tail.group_at(first.position), Found::Older));
        assert_eq!(tail.entries.len(), 4);
    }
}
