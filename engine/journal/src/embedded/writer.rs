//! The one thread that writes a stream.
//!
//! Does: takes what waits in all lanes into one group, writes every waiting group of a segment in one
//! call, makes it durable, shows it to readers, settles the lanes, keeps its distance
//! ([`crate::pacing`]), proves the last group durable when idle. While it writes, lanes fill: that is
//! the next group. Does not retry: the first failed call ends the thread and the journal's writing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::frame::{Draft, Frame, Packing};
use super::lane::LaneShared;
use super::segment::Segment;
use super::stream::StreamCore;
use super::tail::Kind;
use crate::pacing::Pacing;
use crate::storage::{StorageFile, io_error, write_all_at};
use crate::system::{WRITE_PARTS_MAX, sharpen_timers, shorten_turns};
use crate::{Appended, JournalError, Settled, Ticket};

/// Runs until the journal is closed or a write fails.
pub(super) fn run(core: Arc<StreamCore>) {
    core.bell.adopt();
    sharpen_timers();
    shorten_turns();
    let attempt = std::panic::AssertUnwindSafe(|| Writer::new(Arc::clone(&core)).run());
    if std::panic::catch_unwind(attempt).is_err() {
        let error = JournalError::Closed("the writing thread panicked".to_owned());
        core.shared.fail(core.stream, &error);
        fail_lanes(&core);
    }
}

/// The writer's own state.
struct Writer {
    /// Shared with producers and readers.
    core: Arc<StreamCore>,
    /// The lanes, each with what was taken from it and did not fit the last group.
    feeds: Vec<Feed>,
    /// Which change of the lanes `feeds` shows.
    feeds_version: u64,
    /// The feed that is first in the next group, so that none is always last.
    first_feed: usize,
    /// Runs of records in groups not yet durable, in order.
    in_flight: VecDeque<InFlight>,
    /// The segment being written.
    current: Option<(Arc<Segment>, Box<dyn StorageFile>)>,
    /// Groups of the current write.
    frames: Vec<Frame>,
    /// Distance between groups.
    pacing: Pacing,
    /// End of the last write.
    last_write: Instant,
}

/// One lane, seen from the writer.
struct Feed {
    /// Shared with the producer.
    lane: Arc<LaneShared>,
    /// Records taken from the lane for the group being made; empty otherwise.
    taken: Packing,
    /// Records of the lane that are in groups.
    grouped: u64,
}

/// A group from lanes that is not durable yet.
struct InFlight {
    /// Where it stands.
    appended: Appended,
    /// Whose records it holds.
    runs: Vec<Run>,
}

/// Records of one lane in one group.
struct Run {
    /// The lane.
    lane: Arc<LaneShared>,
    /// First record.
    first: u64,
    /// How many.
    count: u32,
}

/// What one look at everything led to.
enum Step {
    /// A group of so many lane records was written, begun then.
    Wrote(u32, Instant),
    /// Nothing to do.
    Idle,
    /// All is written and the journal is closing.
    Done,
}

impl Writer {
    fn new(core: Arc<StreamCore>) -> Writer {
        let config = core.config();
        let pacing = Pacing::new(config.group_interval_us_max, config.tiny_group_records);
        Writer {
            core,
            feeds: Vec::new(),
            feeds_version: 0,
            first_feed: 0,
            in_flight: VecDeque::new(),
            current: None,
            frames: Vec::new(),
            pacing,
            last_write: Instant::now(),
        }
    }

    fn run(mut self) {
        loop {
            if self.core.shared.has_failed() {
                return fail_lanes(&self.core);
            }
            match self.step() {
                Ok(Step::Wrote(records, began)) => self.keep_distance(records, began),
                Ok(Step::Idle) => self.sleep(),
                Ok(Step::Done) => return,
                Err(error) => self.core.shared.fail(self.core.stream, &error),
            }
        }
    }

    /// Takes, writes and settles once.
    fn step(&mut self) -> Result<Step, JournalError> {
        let is_closing = self.core.tail.lock().is_closing;
        self.refresh_feeds();
        if is_closing {
            self.feeds.iter().for_each(|feed| {
                feed.lane.close();
            });
        }
        let began = Instant::now();
        let records = self.gather();
        let mut segment_end = None;
        {
            let mut tail = self.core.tail.lock();
            if self.must_seal(is_closing, !tail.has_waiting() && !tail.is_sealed(), began) {
                let seal = Draft::empty(self.core.shared.block_bytes);
                tail.accept(seal, Kind::Firm, (self.core.shared.clock)());
            }
            if tail.is_due(began) {
                segment_end = tail.next_write(&mut self.frames, WRITE_PARTS_MAX);
            }
        }
        match segment_end {
            Some(segment_end) => {
                self.write(segment_end)?;
                self.settle();
                Ok(Step::Wrote(records, began))
            }
            None if is_closing => Ok(Step::Done),
            None => Ok(Step::Idle),
        }
    }

    /// An empty group is due when the last one holds records and nothing followed for a while.
    fn must_seal(&self, is_closing: bool, is_unsealed: bool, now: Instant) -> bool {
        is_unsealed && (is_closing || now >= self.seal_at())
    }

    fn seal_at(&self) -> Instant {
        let idle = Duration::from_millis(self.core.config().seal_after_idle_ms.into());
        self.last_write + idle
    }

    fn refresh_feeds(&mut self) {
        let Some(lanes) = self.core.lanes_since(&mut self.feeds_version) else {
            return;
        };
        let known = std::mem::take(&mut self.feeds);
        let mut known: Vec<Option<Feed>> = known.into_iter().map(Some).collect();
        self.feeds = lanes
            .into_iter()
            .map(|lane| {
                let same = known
                    .iter_mut()
                    .find(|feed| feed.as_ref().is_some_and(|feed| Arc::ptr_eq(&feed.lane, &lane)));
                same.and_then(Option::take).unwrap_or(Feed {
                    lane,
                    taken: Packing::new(),
                    grouped: 0,
                })
            })
            .collect();
        // Fewer lanes than before may be left.
        self.first_feed %= self.feeds.len().max(1);
    }

    /// Makes groups of what waits in the lanes, to share one write; returns their records. First the
    /// groups that lanes filled, then one of what all of them hold beyond.
    fn gather(&mut self) -> u32 {
        let records = self.gather_full() + self.gather_rest();
        self.first_feed = (self.first_feed + 1) % self.feeds.len().max(1);
        records
    }

    /// A full group of each lane by turns, as long as there are any and one write may hold them.
    fn gather_full(&mut self) -> u32 {
        let mut room = u64::from(self.core.config().write_bytes_max);
        let (mut records, mut turns_without) = (0, 0);
        let mut index = self.first_feed;
        while turns_without < self.feeds.len() && room > 0 {
            let lane = &self.feeds[index].lane;
            let full = if lane.waiting_bytes() > 0 { lane.take_full() } else { None };
            turns_without += 1;
            if let Some(draft) = full {
                turns_without = 0;
                room = room.saturating_sub(draft.frame_bytes());
                let run = self.feeds[index].advance(draft.count());
                records += self.accept(draft, vec![run]);
            }
            index = (index + 1) % self.feeds.len();
        }
        records
    }

    /// One group of the newest records of all lanes that have no full group left.
    fn gather_rest(&mut self) -> u32 {
        let feeds = self.feeds.len();
        let mut room = self.core.config().gather_bytes_max as usize;
        for turn in 0..feeds {
            let feed = &mut self.feeds[(self.first_feed + turn) % feeds];
            if feed.lane.take_current(room, &mut feed.taken) {
                room -= feed.taken.body().len();
            }
        }
        self.draft_of_taken().map_or(0, |(draft, runs)| self.accept(draft, runs))
    }

    /// Gives a group its place; returns its records.
    fn accept(&mut self, draft: Draft, runs: Vec<Run>) -> u32 {
        let records = draft.count();
        let now_ms = (self.core.shared.clock)();
        let frame = self.core.tail.lock().accept(draft, Kind::Firm, now_ms);
        self.in_flight.push_back(InFlight { appended: frame.appended(), runs });
        records
    }

    /// The group of what was taken from the lanes.
    fn draft_of_taken(&mut self) -> Option<(Draft, Vec<Run>)> {
        let taken = || self.feeds.iter().map(|feed| &feed.taken);
        let count = taken().map(Packing::count).sum();
        if count == 0 {
            return None;
        }
        let bytes = taken().map(|taken| taken.body().len()).sum();
        let pieces = taken().map(Packing::body);
        let draft = Draft::new(pieces, bytes, count, self.core.shared.block_bytes);
        let runs = self.feeds.iter_mut().filter(|feed| feed.taken.count() > 0).map(|feed| {
            let run = feed.advance(feed.taken.count());
            feed.taken.clear();
            run
        });
        Some((draft, runs.collect()))
    }

    /// Writes the chosen groups, makes them durable and shows them.
    fn write(&mut self, segment_end: u64) -> Result<(), JournalError> {
        let (Some(first), Some(last)) = (self.frames.first(), self.frames.last()) else {
            return Ok(());
        };
        let (position, bytes) = (first.position, last.position - first.position);
        let bytes = bytes + last.bytes.len() as u64;
        self.enter_segment(position, segment_end)?;
        let Some((segment, file)) = &self.current else {
            return Err(self.core.shared.refusal());
        };
        let mut parts = [&[][..]; WRITE_PARTS_MAX];
        for (part, frame) in parts.iter_mut().zip(&self.frames) {
            *part = &frame.bytes;
        }
        let parts = &parts[..self.frames.len()];
        let began = Instant::now();
        write_all_at(&**file, parts, segment.offset_of(position))
            .map_err(|cause| io_error("write", &segment.path, &cause))?;
        if !self.core.shared.is_direct {
            file.sync_data().map_err(|cause| io_error("sync", &segment.path, &cause))?;
        }
        self.last_write = Instant::now();
        let took = self.last_write - began;
        self.pacing.measured(took);
        self.count(bytes, took);
        self.publish();
        self.prepare_next(position + bytes);
        Ok(())
    }

    fn enter_segment(&mut self, position: u64, segment_end: u64) -> Result<(), JournalError> {
        let is_current =
            self.current.as_ref().is_some_and(|(segment, _)| segment.end() == segment_end);
        if !is_current {
            let opened = self.core.segment_for_groups(position, segment_end)?;
            self.current = Some(opened);
        }
        Ok(())
    }

    fn count(&self, bytes: u64, took: Duration) {
        let counters = &self.core.counters;
        let records: u64 = self.frames.iter().map(|frame| u64::from(frame.count)).sum();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for (counter, more) in [
            (&counters.groups, self.frames.len() as u64),
            (&counters.records, records),
            (&counters.written_bytes, bytes),
            (&counters.writes, 1),
            (&counters.write_time_us, took_us),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// The written groups are durable: readers see them, waiting calls return.
    fn publish(&self) {
        let mut tail = self.core.tail.lock();
        tail.wrote(self.frames.len());
        let durable_end = tail.durable_end();
        for group in &self.in_flight {
            if group.appended.next.0 <= durable_end {
                for run in &group.runs {
                    run.lane.set_durable(run.first + u64::from(run.count));
                }
            }
        }
        drop(tail);
        self.core.grown.notify_all();
        self.core.written.notify_all();
    }

    /// Has the next segment made once half of this one is used.
    fn prepare_next(&self, written_until: u64) {
        if let Some((segment, _)) = &self.current
            && written_until - segment.start >= segment.capacity / 2
        {
            let bytes = self.core.config().next_segment_bytes(Some(segment.file_bytes()));
            self.core.prepare(segment.end(), bytes);
        }
    }

    /// Tells the lanes what became durable.
    fn settle(&mut self) {
        let durable_end = self.core.tail.lock().durable_end();
        while self.in_flight.front().is_some_and(|group| group.appended.next.0 <= durable_end) {
            // Nothing is acknowledged once the journal failed, not even what happens to be durable.
            if self.core.shared.has_failed() {
                return;
            }
            let Some(group) = self.in_flight.pop_front() else {
                return;
            };
            for run in group.runs {
                run.lane.set_settled(run.first + u64::from(run.count));
                (run.lane.on_settled)(Settled {
                    first: Ticket(run.first),
                    count: run.count,
                    result: Ok(group.appended),
                });
            }
        }
    }

    /// Waits until the next group may leave, as [`Pacing`] says.
    fn keep_distance(&mut self, records: u32, began: Instant) {
        let due = began + self.pacing.interval_after(records);
        if due <= Instant::now() {
            return;
        }
        let enough = self.core.config().gather_bytes_max as usize;
        let mut before = self.waiting_records();
        self.core.bell.listen();
        loop {
            let now = Instant::now();
            let is_full = self.waiting_bytes() >= enough;
            let is_rung = !self.core.bell.is_pausing();
            if now >= due
                || is_full
                || is_rung
                || self.core.is_worth_writing()
                || self.has_urgent(now)
            {
                break;
            }
            let (left, by_clock) = (due - now, self.must_look_by_the_clock());
            self.core.bell.sleep(Some(if by_clock { self.pacing.step().min(left) } else { left }));
            let waiting = self.waiting_records();
            // Arrivals dried up, or never came.
            if by_clock && waiting == before {
                break;
            }
            before = waiting;
        }
        self.core.bell.rise();
    }

    /// Whether somebody may have records coming who never says so: anybody, as long as nobody ever did, else
    /// one of whom some wait.
    fn must_look_by_the_clock(&self) -> bool {
        let mut lanes = self.feeds.iter().map(|feed| &feed.lane);
        lanes.clone().all(|lane| lane.rest.is_silent()) || lanes.any(|lane| lane.waits_silently())
    }

    fn has_urgent(&self, now: Instant) -> bool {
        let mut tail = self.core.tail.lock();
        tail.is_due(now) || tail.is_closing || self.core.shared.has_failed()
    }

    fn waiting_records(&self) -> u64 {
        let waiting = self.feeds.iter().map(|feed| feed.lane.pushed() - feed.grouped);
        waiting.sum()
    }

    fn waiting_bytes(&self) -> usize {
        self.feeds.iter().map(|feed| feed.lane.waiting_bytes()).sum()
    }

    /// Sleeps until there is something to do.
    fn sleep(&mut self) {
        self.core.bell.lie_down();
        let mut wake_at = None;
        let has_work =
            self.feeds_changed() || self.feeds.iter().any(|feed| feed.lane.has_waiting()) || {
                let now = Instant::now();
                let mut tail = self.core.tail.lock();
                let must_seal = !tail.is_sealed() && !tail.has_waiting();
                let seal_at = must_seal.then(|| self.seal_at());
                wake_at = [tail.due_at(), seal_at].into_iter().flatten().min();
                tail.is_due(now) || tail.is_closing || self.core.shared.has_failed()
            };
        if !has_work {
            let longest = wake_at.map(|at| at.saturating_duration_since(Instant::now()));
            if longest != Some(Duration::ZERO) {
                self.core.bell.sleep(longest);
            }
        }
        self.core.bell.rise();
    }

    fn feeds_changed(&self) -> bool {
        let mut version = self.feeds_version;
        self.core.lanes_since(&mut version).is_some()
    }
}

impl Feed {
    /// The next `count` records are in a group.
    fn advance(&mut self, count: u32) -> Run {
        let first = self.grouped;
        self.grouped += u64::from(count);
        Run { lane: Arc::clone(&self.lane), first, count }
    }
}

/// Settles everything with an error: what became of records in flight is unknown, the rest was not
/// written.
fn fail_lanes(core: &StreamCore) {
    let error = core.shared.refusal();
    // Lanes are added under this lock: after it, all there will ever be are in the list.
    drop(core.tail.lock());
    for lane in core.all_lanes() {
        let pushed = lane.close();
        let first = lane.settled();
        if pushed > first {
            lane.set_settled(pushed);
            (lane.on_settled)(Settled {
                first: Ticket(first),
                count: u32::try_from(pushed - first).unwrap_or(u32::MAX),
                result: Err(error.clone()),
            });
        }
    }
}
