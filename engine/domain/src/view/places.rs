//! Places left, as counters that any thread may read at any time.
//!
//! One thread writes (the one that owns the view); others hold an `Arc` of this and read single
//! counters or walk over all of them without a lock. A reader may see the counters of two slots from
//! different moments; each by itself was true at some moment.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::SlotNumber;

/// Counters of the first block; each following block is twice as long, so that a few blocks name
/// every slot and none ever moves.
const FIRST_BLOCK_SLOTS: u32 = 1 << 12;

/// Blocks: enough for all 2^32 slots.
const BLOCKS: usize = 21;

/// Places left by slot number.
#[derive(Debug, Default)]
pub struct PlacesLeft {
    blocks: [OnceLock<Box<[AtomicU32]>>; BLOCKS],
}

impl PlacesLeft {
    /// Places left in a slot; 0 for one never imported.
    #[inline]
    pub fn get(&self, slot: SlotNumber) -> u32 {
        let (block, place) = locate(slot);
        match self.blocks[block].get() {
            Some(counters) => counters[place].load(Ordering::Relaxed),
            None => 0,
        }
    }

    /// Forgets everything. Readers see it counter by counter.
    pub(super) fn clear(&self) {
        let known = self.blocks.iter().filter_map(OnceLock::get).flatten();
        known.for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    /// Sets a slot's counter.
    pub(super) fn set(&self, slot: SlotNumber, left: u32) {
        self.counter(slot).store(left, Ordering::Relaxed);
    }

    /// Takes a place. False when none was left, which no journal of this product says.
    #[inline]
    pub(super) fn take(&self, slot: SlotNumber) -> bool {
        let counter = self.counter(slot);
        // There is one writer: load and store need not be one step.
        match counter.load(Ordering::Relaxed).checked_sub(1) {
            Some(left) => {
                counter.store(left, Ordering::Relaxed);
                true
            }
            None => false,
        }
    }

    /// Gives a place back.
    #[inline]
    pub(super) fn give_back(&self, slot: SlotNumber) {
        let counter = self.counter(slot);
        counter.store(counter.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    #[inline]
    fn counter(&self, slot: SlotNumber) -> &AtomicU32 {
        let (block, place) = locate(slot);
        let counters = self.blocks[block].get_or_init(|| {
            let length = (FIRST_BLOCK_SLOTS as usize) << block;
            (0..length).map(|_| AtomicU32::new(0)).collect()
        });
        &counters[place]
    }
}

/// Block and place in it.
#[inline]
fn locate(slot: SlotNumber) -> (usize, usize) {
    let shifted = u64::from(slot.0) + u64::from(FIRST_BLOCK_SLOTS);
    let block = shifted.ilog2() - FIRST_BLOCK_SLOTS.ilog2();
    (block as usize, (shifted - (u64::from(FIRST_BLOCK_SLOTS) << block)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for slot in 0..100_000 {
            assert_eq!(locate(SlotNumber(slot)), expected);
            expected.1 += 1;
            if expected.1 == (FIRST_BLOCK_SLOTS as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        let (block, place) = locate(SlotNumber(u32::MAX));
        assert!(block < BLOCKS && place < (FIRST_BLOCK_SLOTS as usize) << block);
    }

    #[test]
    fn places_are_taken_and_given_back() {
        let places = PlacesLeft::default();
        let slot = SlotNumber(70_000);
        assert_eq!(places.get(slot), 0);
        assert!(!places.take(slot));
        places.set(slot, 2);
        assert!(places.take(slot) && places.take(slot) && !places.take(slot));
        places.give_back(slot);
        assert_eq!(places.get(slot), 1);
        assert_eq!(places.get(SlotNumber(69_999)), 0);
        places.clear();
        assert_eq!(places.get(slot), 0);
    }
}
