//! What becomes of each group: by dice, and counted.
//!
//! Does not write: the producer carries out what was drawn.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::seeded::Seeded;

/// How often each fault strikes: one group in so many on average, 0 never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turbulence {
    /// Written twice, the second time right behind the first.
    pub repeat_once_in: u32,
    /// Written twice, the second time after groups of other producers, but before this producer's
    /// next group of the stream: records of one lane never change places.
    pub late_repeat_once_in: u32,
    /// Written twice, the second time after whatever else was written, this producer's own later
    /// groups included. Only for records whose repetition is harmless at any later time: commands
    /// that carry a retry key, events, deliveries.
    pub stray_repeat_once_in: u32,
    /// Held back until groups of other producers have overtaken it, or for `hold_ms_max`.
    pub hold_once_in: u32,
    /// Written, and its writer is told that nobody knows. The producer has failed then.
    pub lost_answer_once_in: u32,
    /// Not written, and its writer is told that nobody knows. The producer has failed then. (Whoever
    /// only accepted it hears so later: groups accepted meanwhile stand beyond a hole.)
    pub lost_group_once_in: u32,
    /// Its writer is told that nobody knows, and it is written later, also after the producer was
    /// reopened. The producer has failed then.
    pub late_write_once_in: u32,
    /// A reader sees it later than it is durable, and everything behind it too.
    pub lag_once_in: u32,
    /// Most groups of others that go before one that is held back, repeated late or written late.
    pub overtaking_groups_max: u32,
    /// Longest time that a group is held back, milliseconds.
    pub hold_ms_max: u32,
    /// Longest time by which a reader sees a group late, milliseconds.
    pub lag_ms_max: u32,
}

impl Turbulence {
    /// No fault at all.
    pub const CALM: Turbulence = Turbulence {
        repeat_once_in: 0,
        late_repeat_once_in: 0,
        stray_repeat_once_in: 0,
        hold_once_in: 0,
        lost_answer_once_in: 0,
        lost_group_once_in: 0,
        late_write_once_in: 0,
        lag_once_in: 0,
        overtaking_groups_max: 4,
        hold_ms_max: 5,
        lag_ms_max: 5,
    };
}

impl Default for Turbulence {
    fn default() -> Turbulence {
        Turbulence::CALM
    }
}

/// What can happen to a group, or to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fault {
    /// Written a second time right behind the first.
    Repeat,
    /// … after groups of others.
    LateRepeat,
    /// … after whatever else was written.
    StrayRepeat,
    /// Held back.
    Hold,
    /// Held back, and overtaken by a group of another producer.
    Overtaking,
    /// Written, and its answer was lost.
    LostAnswer,
    /// Lost with its answer.
    LostGroup,
    /// Written after its writer was told that nobody knows.
    LateWrite,
    /// Seen late by a reader.
    Lag,
    /// A call stood still because the process was paused.
    Pause,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 10] = [
        Fault::Repeat,
        Fault::LateRepeat,
        Fault::StrayRepeat,
        Fault::Hold,
        Fault::Overtaking,
        Fault::LostAnswer,
        Fault::LostGroup,
        Fault::LateWrite,
        Fault::Lag,
        Fault::Pause,
    ];
}

/// How often each fault really happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Struck([u64; Fault::ALL.len()]);

impl Struck {
    /// How often this one did.
    pub fn count(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Those of these that never did.
    pub fn missing(&self, faults: &[Fault]) -> Vec<Fault> {
        faults.iter().copied().filter(|fault| self.count(*fault) == 0).collect()
    }
}

impl AddAssign for Struck {
    fn add_assign(&mut self, other: Struck) {
        for (own, others) in self.0.iter_mut().zip(other.0) {
            *own += others;
        }
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL {
            write!(f, "{fault:?} {}  ", self.count(fault))?;
        }
        Ok(())
    }
}

/// The counts while they grow, from several threads.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; Fault::ALL.len()]);

impl Counters {
    /// One more.
    pub(super) fn count(&self, fault: Fault) {
        self.0[fault as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Struck {
        Struck(std::array::from_fn(|fault| self.0[fault].load(Ordering::Relaxed)))
    }
}

/// Whether a group is written again, and after how many further groups of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    AtOnce,
    Late(u64),
    Astray(u64),
}

/// What the writer is told, and whether the group is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Given,
    Lost,
    LostWithTheGroup,
    LostAndWrittenAfter(u64),
}

/// What becomes of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// So many groups of others go first.
    pub(super) overtaken_by: Option<u64>,
    /// Written again.
    pub(super) again: Again,
    /// The answer.
    pub(super) answer: Answer,
    /// Bad news of an accepted group arrive after so many further ones.
    pub(super) told_after: u64,
}

impl Fate {
    /// Draws one. Every fault has its own number, so that changing one rate leaves the others alone.
    pub(super) fn draw(dice: &mut Seeded, faults: &Turbulence) -> Fate {
        let mut strikes = |once_in: u32| {
            let number = dice.next_u64();
            once_in > 0 && number.is_multiple_of(once_in.into())
        };
        let repeats = strikes(faults.repeat_once_in);
        let repeats_late = strikes(faults.late_repeat_once_in);
        let repeats_astray = strikes(faults.stray_repeat_once_in);
        let is_held = strikes(faults.hold_once_in);
        let loses_answer = strikes(faults.lost_answer_once_in);
        let loses_group = strikes(faults.lost_group_once_in);
        let writes_late = strikes(faults.late_write_once_in);
        let mut groups = || 1 + dice.below(u64::from(faults.overtaking_groups_max.max(1)));
        let (first, second, third, told_after) = (groups(), groups(), groups(), groups() - 1);
        Fate {
            overtaken_by: is_held.then_some(first),
            again: match (repeats, repeats_late, repeats_astray) {
                (true, ..) => Again::AtOnce,
                (_, true, _) => Again::Late(second),
                (_, _, true) => Again::Astray(second),
                _ => Again::Never,
            },
            answer: match (loses_answer, loses_group, writes_late) {
                (true, ..) => Answer::Lost,
                (_, true, _) => Answer::LostWithTheGroup,
                (_, _, true) => Answer::LostAndWrittenAfter(third),
                _ => Answer::Given,
            },
            told_after,
        }
    }
}
