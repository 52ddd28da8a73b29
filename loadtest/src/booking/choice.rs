//! What people want: which slot, and whether they change their minds. All from seed and index, so
//! that a run can be repeated.

use crate::retry::mixed;
use crate::scenario::{BehaviourSettings, SlotChoice};

/// What one person will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Books twice at once.
    pub(crate) rival: bool,
    /// Moves the booking.
    pub(crate) moves: bool,
    /// Cancels in the end.
    pub(crate) cancels: bool,
}

impl Habits {
    /// The habits of a person.
    pub(crate) fn of(seed: u64, person: u64, behaviour: &BehaviourSettings) -> Habits {
        Habits {
            rival: chance(seed, person, 1, behaviour.rival_share),
            moves: chance(seed, person, 2, behaviour.move_share),
            cancels: chance(seed, person, 3, behaviour.cancel_share),
        }
    }

    /// Whether this request is sent twice on purpose.
    pub(crate) fn sends_twice(
        seed: u64,
        person: u64,
        ordinal: u16,
        behaviour: &BehaviourSettings,
    ) -> bool {
        chance(seed, person, 16 + u64::from(ordinal), behaviour.duplicate_share)
    }
}

/// True for a share of people, for each purpose other ones.
fn chance(seed: u64, person: u64, purpose: u64, share: f64) -> bool {
    let draw = mixed(seed ^ mixed(person.wrapping_mul(1_024) + purpose));
    ((draw >> 11) as f64 / (1u64 << 53) as f64) < share
}

/// Chooses slots.
#[derive(Clone, Debug)]
pub(crate) struct Chooser {
    slots: Vec<u32>,
    choice: SlotChoice,
    seed: u64,
    /// For popular slots: the summed weights, so that a draw finds its slot by halving.
    weights_through: Vec<f64>,
}

impl Chooser {
    /// A chooser among `slots`, of which there is at least one.
    pub(crate) fn new(slots: Vec<u32>, choice: SlotChoice, seed: u64) -> Chooser {
        let mut sum = 0.0;
        let weights_through = (1..=slots.len())
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Chooser { slots, choice, seed, weights_through }
    }

    /// The slot that a person wants at the given try.
    pub(crate) fn slot(&self, person: u64, attempt: u16) -> u32 {
        let count = self.slots.len() as u64;
        let draw = mixed(self.seed ^ mixed(person.wrapping_mul(65_536) + u64::from(attempt)));
        let place = match (self.choice, attempt) {
            (SlotChoice::Spread, _) => (person + u64::from(attempt)) % count,
            (SlotChoice::One, 0) => 0,
            (SlotChoice::Popular, _) => {
                let total = self.weights_through.last().copied().unwrap_or(1.0);
                let wanted = (draw >> 11) as f64 / (1u64 << 53) as f64 * total;
                self.weights_through.partition_point(|through| *through <= wanted) as u64
            }
            (SlotChoice::Uniform | SlotChoice::One, _) => draw % count,
        };
        self.slots[(place % count) as usize]
    }

    /// The same, but not the slot given, where there is another one.
    pub(crate) fn other_slot(&self, person: u64, attempt: u16, not: u32) -> u32 {
        let slot = self.slot(person, attempt.max(1));
        if slot != not {
            return slot;
        }
        let place = self.slots.iter().position(|other| *other == slot).unwrap_or(0);
        self.slots[(place + 1) % self.slots.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_gives_every_slot_the_same_number_of_people() {
        let chooser = Chooser::new((0..7).collect(), SlotChoice::Spread, 1);
        let mut counts = [0; 7];
        for person in 0..700 {
            counts[chooser.slot(person, 0) as usize] += 1;
        }
        assert_eq!(counts, [100; 7]);
    }

    #[test]
    fn popular_slots_are_wanted_more_by_rank() {
        let chooser = Chooser::new((0..100).collect(), SlotChoice::Popular, 1);
        let mut counts = [0u32; 100];
        for person in 0..100_000 {
            counts[chooser.slot(person, 0) as usize] += 1;
        }
        // Zipf over 100 ranks: the first has 1/H(100) = 19.3 % of all.
        assert!((18_500..20_100).contains(&counts[0]), "{}", counts[0]);
        assert!(counts[0] > 5 * counts[9]);
    }

    #[test]
    fn everybody_may_want_the_same_slot_first_and_another_one_then() {
        let chooser = Chooser::new((10..20).collect(), SlotChoice::One, 1);
        for person in 0..1_000 {
            assert_eq!(chooser.slot(person, 0), 10);
            assert_ne!(chooser.other_slot(person, 1, 10), 10);
        }
    }

    #[test]
    fn habits_follow_their_shares_and_do_not_depend_on_each_other() {
        let behaviour = BehaviourSettings {
            move_share: 0.3,
            cancel_share: 0.3,
            ..BehaviourSettings::default()
        };
        let (mut moves, mut both) = (0u32, 0u32);
        for person in 0..100_000 {
            let habits = Habits::of(5, person, &behaviour);
            assert!(!habits.rival);
            moves += u32::from(habits.moves);
            both += u32::from(habits.moves && habits.cancels);
        }
        assert!((29_000..31_000).contains(&moves), "{moves}");
        assert!((8_400..9_600).contains(&both), "{both}");
    }
}
