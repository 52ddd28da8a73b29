//! One stream's writes of one process, one at a time: what was drawn for a group is carried out here.
//!
//! Does: keeps the order of the process's own groups, whatever happens to them. Does not know lanes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::fate::{Again, Answer, Fate, Fault};
use super::network::{Hold, UnderWay};
use super::producer::Producer;
use crate::seeded::Seeded;
use crate::{Appended, JournalError, Position, Stream};

/// What one stream's writes of a process share.
pub(super) struct Turn {
    dice: Seeded,
    /// Accepted and held back, with what was drawn for each.
    accepted: VecDeque<(Vec<u8>, Fate)>,
    accepted_bytes: u64,
    /// What was accepted is held back.
    held: Option<Hold>,
    /// An accepted group was lost, and the process does not know it yet.
    bad_news: Option<BadNews>,
}

/// News on their way to the process.
struct BadNews {
    /// So many further groups are handed on before they arrive …
    groups: u64,
    /// … but not later than this.
    until: Instant,
    why: String,
}

impl Turn {
    pub(super) fn new(seed: u64, stream: Stream) -> Turn {
        let mut dice = Seeded::new(seed ^ ((stream as u64) << 56));
        Turn::with(Seeded::new(dice.next_u64()))
    }

    fn with(dice: Seeded) -> Turn {
        let (accepted, accepted_bytes) = (VecDeque::new(), 0);
        Turn { dice, accepted, accepted_bytes, held: None, bad_news: None }
    }

    /// The same dice go on.
    pub(super) fn next_life(&self) -> Turn {
        Turn::with(self.dice.clone())
    }

    /// What of the accepted groups is under way when the process ends: a beginning.
    pub(super) fn survivors(&mut self) -> Vec<Vec<u8>> {
        let count = self.dice.below(self.accepted.len() as u64 + 1) as usize;
        self.accepted.drain(..).take(count).map(|(record, _)| record).collect()
    }
}

impl Producer {
    /// Writes one group of this process.
    pub(super) fn write(
        &self,
        stream: Stream,
        records: &[&[u8]],
    ) -> Result<Appended, JournalError> {
        let mut turn = self.turns[stream as usize].lock();
        self.hand_on(stream, &mut turn)?;
        self.hear(&mut turn)?;
        let fate = Fate::draw(&mut turn.dice, &self.faults.lock());
        if let Some(groups) = fate.overtaken_by {
            self.wait(stream, self.hold(stream, groups));
            self.go_on()?;
        }
        let write = || self.network.write(self.number, stream, records);
        match fate.answer {
            Answer::Given => self.write_well(stream, records, fate.again, write),
            answer => {
                let why = self.lose(stream, records, answer, write)?;
                self.fail_because(why);
                Err(self.refusal())
            }
        }
    }

    /// Takes one record to be written later, in its turn.
    pub(super) fn accept(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        let mut turn = self.turns[stream as usize].lock();
        drop(self.writable()?);
        let fate = Fate::draw(&mut turn.dice, &self.faults.lock());
        if turn.held.is_none() {
            let Some(groups) = fate.overtaken_by else {
                return self.hand_on_one(stream, &mut turn, record, fate);
            };
            turn.held = Some(self.hold(stream, groups));
        }
        let (bytes, limit) = (record.len() as u64, self.config.behind_bytes_max);
        if turn.accepted_bytes + bytes > limit {
            return Err(JournalError::Full { what: "behind_bytes_max", limit });
        }
        turn.accepted_bytes += bytes;
        turn.accepted.push_back((record.to_vec(), fate));
        self.wake();
        self.network.inner.durable_end(stream)
    }

    /// For the writing thread: hands on what was held back for long enough, and hears bad news.
    pub(super) fn hand_on_in_time(&self, stream: Stream) {
        let mut turn = self.turns[stream as usize].lock();
        let held = turn.held;
        if held.is_some_and(|hold| self.network.is_released(self.number, stream, hold)) {
            // A failure shows in the health.
            let _ = self.hand_on(stream, &mut turn);
        }
        if turn.bad_news.as_ref().is_some_and(|news| Instant::now() >= news.until) {
            let _ = self.hear(&mut turn);
        }
    }

    /// Hands on what was accepted and held back: whatever this process writes next stands behind it.
    pub(super) fn hand_on(&self, stream: Stream, turn: &mut Turn) -> Result<(), JournalError> {
        if let Some(hold) = turn.held {
            self.wait(stream, hold);
            turn.held = None;
        }
        self.go_on()?;
        while let Some((record, fate)) = turn.accepted.pop_front() {
            turn.accepted_bytes -= record.len() as u64;
            let handed_on = self.hand_on_one(stream, turn, &record, fate);
            if matches!(handed_on, Err(JournalError::Full { .. })) {
                self.network.inner.sync(stream).inspect_err(|error| self.fail(error))?;
                self.hand_on_one(stream, turn, &record, fate)?;
            } else {
                handed_on?;
            }
        }
        Ok(())
    }

    fn hand_on_one(
        &self,
        stream: Stream,
        turn: &mut Turn,
        record: &[u8],
        fate: Fate,
    ) -> Result<Position, JournalError> {
        match &mut turn.bad_news {
            Some(news) if news.groups > 0 => news.groups -= 1,
            _ => self.hear(turn)?,
        }
        let write = || self.network.write_behind(self.number, stream, record);
        if fate.answer == Answer::Given {
            return self.write_well(stream, &[record], fate.again, write);
        }
        let why = self.lose(stream, &[record], fate.answer, write)?;
        turn.bad_news.get_or_insert_with(|| BadNews {
            groups: fate.told_after,
            until: Instant::now() + self.longest_hold(),
            why,
        });
        self.network.inner.durable_end(stream)
    }

    /// The process hears what became of an accepted group.
    pub(super) fn hear(&self, turn: &mut Turn) -> Result<(), JournalError> {
        if let Some(news) = turn.bad_news.take() {
            self.fail_because(news.why);
        }
        self.go_on()
    }

    /// A group whose answer is lost; gives the words for it.
    fn lose<T>(
        &self,
        stream: Stream,
        records: &[&[u8]],
        answer: Answer,
        write: impl Fn() -> Result<T, JournalError>,
    ) -> Result<String, JournalError> {
        let (fault, what) = match answer {
            Answer::Given | Answer::Lost => {
                write().inspect_err(|error| self.fail(error))?;
                (Fault::LostAnswer, "the answer was lost")
            }
            Answer::LostWithTheGroup => (Fault::LostGroup, "the group was lost"),
            Answer::LostAndWrittenAfter(groups) => {
                self.write_later(stream, records, groups, None);
                (Fault::LateWrite, "no answer came in time")
            }
        };
        self.counters.count(fault);
        Ok(format!("stream {}: write: {what}, by seed", stream.name()))
    }

    fn write_well<T>(
        &self,
        stream: Stream,
        records: &[&[u8]],
        again: Again,
        write: impl Fn() -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let written = match write() {
            // More than may wait: nothing of it was taken.
            Err(error @ (JournalError::Full { .. } | JournalError::TooLarge { .. })) => {
                return Err(error);
            }
            other => other.inspect_err(|error| self.fail(error))?,
        };
        match again {
            Again::Never => {}
            Again::AtOnce => {
                self.counters.count(Fault::Repeat);
                write().inspect_err(|error| self.fail(error))?;
            }
            Again::Late(groups) => {
                self.counters.count(Fault::LateRepeat);
                self.write_later(stream, records, groups, Some(self.number));
            }
            Again::Astray(groups) => {
                self.counters.count(Fault::StrayRepeat);
                self.write_later(stream, records, groups, None);
            }
        }
        Ok(written)
    }

    fn write_later(
        &self,
        stream: Stream,
        records: &[&[u8]],
        after: u64,
        before_next_of: Option<usize>,
    ) {
        let records = records.iter().map(|record| record.to_vec()).collect();
        self.network.send_later(UnderWay { stream, records, after, before_next_of });
    }

    fn hold(&self, stream: Stream, groups: u64) -> Hold {
        self.counters.count(Fault::Hold);
        self.network.hold(self.number, stream, groups, self.longest_hold())
    }

    fn wait(&self, stream: Stream, hold: Hold) {
        if self.network.wait(self.number, stream, hold, || self.is_over()) {
            self.counters.count(Fault::Overtaking);
        }
    }

    fn longest_hold(&self) -> Duration {
        Duration::from_millis(self.faults.lock().hold_ms_max.into())
    }
}
