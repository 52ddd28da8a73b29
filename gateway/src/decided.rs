//! Which retry keys may have been decided: one bit a key, read without a lock.
//!
//! Most requests carry a key that was never used. To learn that from the view would take its lock and
//! three look-ups in large tables, on the way of every booking; here it takes one. A set bit means
//! "look it up": two keys may share a bit, which costs time and nothing else.
//!
//! What this module does not do: forget. Keys live as long as the campaign.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::KeyHash;

/// Bits; 2^27 are 16 MiB, and with fifty million keys two strangers in three are told apart at once.
const BITS_LOG2: u32 = 27;

/// One bit a key.
#[derive(Debug)]
pub(crate) struct DecidedKeys {
    words: Box<[AtomicU64]>,
}

impl DecidedKeys {
    /// No key was decided.
    pub(crate) fn new() -> DecidedKeys {
        let words = 1_usize << (BITS_LOG2 - u64::BITS.trailing_zeros());
        DecidedKeys { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// For the reader of events, before it lets go of the view: the key is decided.
    pub(crate) fn add(&self, key: KeyHash) {
        let (word, bit) = place(key);
        let bits = self.words[word].load(Ordering::Relaxed);
        // There is one writer: load and store need not be one step.
        self.words[word].store(bits | bit, Ordering::Release);
    }

    /// Asks for the memory of a key that will be looked up or added soon: it lies anywhere in sixteen
    /// mebibytes.
    #[inline]
    pub(crate) fn prefetch(&self, key: KeyHash) {
        domain::prefetch::read(self.words.get(place(key).0));
    }

    /// False when the view knows no outcome of the key.
    #[inline]
    pub(crate) fn may_hold(&self, key: KeyHash) -> bool {
        let (word, bit) = place(key);
        self.words[word].load(Ordering::Acquire) & bit != 0
    }
}

/// Word and bit of a key: its upper bits, as the lower ones choose buckets elsewhere.
#[inline]
const fn place(key: KeyHash) -> (usize, u64) {
    let bit = key.0 >> (u64::BITS - BITS_LOG2);
    ((bit / 64) as usize, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decided_key_is_held_and_most_others_are_not() {
        let keys = DecidedKeys::new();
        // Multiples of a large odd number stand for hashes.
        let key = |number: u64| KeyHash(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..10_000).for_each(|number| keys.add(key(number)));
        assert!((0..10_000).all(|number| keys.may_hold(key(number))));
        let strangers = (10_000..20_000).filter(|number| keys.may_hold(key(*number))).count();
        assert!(strangers < 100, "{strangers}");
    }
}
