//! How often someone may try, in bounded memory.
//!
//! [`FailureBook`] counts failed proofs of identity per ID; [`RateBook`] counts requests per person or
//! address. Both are tables of a fixed number of places, eight to a set, found by a hash that the
//! caller cannot choose; when a set is full, the entry nearest its end makes room. A flood of strangers
//! can thus shorten a memory, never grow it.
//!
//! What this module does not do: look at who asks; it is given a hash.

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use parking_lot::Mutex;

/// Entries that share a set.
const WAYS: usize = 8;

/// Sets that share a lock.
const SETS_PER_LOCK: usize = 64;

/// One thing counted.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Who; 0 for an empty place.
    tag: u64,
    /// Second at which the count starts anew.
    until_s: u32,
    /// So far.
    count: u32,
}

/// The sets that share a lock.
type Sets = Box<[[Entry; WAYS]]>;

/// Counts per key within windows that begin at a key's first count.
#[derive(Debug)]
struct WindowCounts {
    locks: Box<[Mutex<Sets>]>,
    hasher: RandomState,
    start: Instant,
    window_s: u32,
}

impl WindowCounts {
    fn new(entries_max: usize, window_s: u32) -> WindowCounts {
        let sets = entries_max.div_ceil(WAYS).max(1);
        let per_lock = SETS_PER_LOCK.min(sets);
        let locks = (0..sets.div_ceil(per_lock))
            .map(|_| Mutex::new(vec![[Entry::default(); WAYS]; per_lock].into_boxed_slice()))
            .collect();
        WindowCounts {
            locks,
            hasher: RandomState::new(),
            start: Instant::now(),
            window_s: window_s.max(1),
        }
    }

    fn now_s(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// Calls `act` with the key's set, its tag and the time.
    fn with<R>(&self, key: &[u8], act: impl FnOnce(&mut [Entry; WAYS], u64, u32) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let lock = hash as usize % self.locks.len();
        let mut sets = self.locks[lock].lock();
        let set = (hash >> 32) as usize % sets.len();
        act(&mut sets[set], hash | 1, self.now_s())
    }

    /// The count now, and in how many seconds it starts anew.
    fn count(&self, key: &[u8]) -> (u32, u32) {
        self.with(key, |set, tag, now_s| {
            let live = set.iter().find(|entry| entry.tag == tag && entry.until_s > now_s);
            live.map_or((0, 0), |entry| (entry.count, entry.until_s - now_s))
        })
    }

    /// Adds one. Gives the count then, and in how many seconds it starts anew.
    fn add(&self, key: &[u8]) -> (u32, u32) {
        self.with(key, |set, tag, now_s| {
            let live = set.iter().position(|entry| entry.tag == tag && entry.until_s > now_s);
            let place = live.unwrap_or_else(|| {
                let oldest = (0..WAYS).min_by_key(|place| {
                    let entry = &set[*place];
                    if entry.tag == tag { 0 } else { entry.until_s }
                });
                let place = oldest.unwrap_or(0);
                set[place] = Entry { tag, until_s: now_s.saturating_add(self.window_s), count: 0 };
                place
            });
            let entry = &mut set[place];
            entry.count = entry.count.saturating_add(1);
            (entry.count, entry.until_s - now_s)
        })
    }

    /// Forgets a key.
    fn forget(&self, key: &[u8]) {
        self.with(key, |set, tag, _| {
            for entry in set.iter_mut().filter(|entry| entry.tag == tag) {
                *entry = Entry::default();
            }
        });
    }
}

/// Failed proofs of identity.
#[derive(Debug)]
pub(crate) struct FailureBook {
    counts: WindowCounts,
    failures_max: u32,
}

impl FailureBook {
    /// At most `failures_max` failures per ID and window, for at most `entries_max` IDs.
    pub(crate) fn new(failures_max: u32, window_s: u64, entries_max: usize) -> FailureBook {
        FailureBook {
            counts: WindowCounts::new(entries_max, u32::try_from(window_s).unwrap_or(u32::MAX)),
            failures_max,
        }
    }

    /// Whether another try is taken.
    ///
    /// # Errors
    /// Seconds until it is.
    pub(crate) fn may_try(&self, id: &[u8]) -> Result<(), u32> {
        let (count, left_s) = self.counts.count(id);
        if count >= self.failures_max { Err(left_s) } else { Ok(()) }
    }

    /// A try failed.
    pub(crate) fn fail(&self, id: &[u8]) {
        self.counts.add(id);
    }

    /// A try succeeded: whoever it was knows the secret, so earlier slips do not count.
    pub(crate) fn succeed(&self, id: &[u8]) {
        self.counts.forget(id);
    }
}

/// Requests per person or address.
#[derive(Debug)]
pub(crate) struct RateBook {
    counts: WindowCounts,
    per_window_max: u32,
    window_s: u32,
}

/// A rate was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// How many a window are taken.
    pub(crate) limit: u32,
    /// The window.
    pub(crate) window_s: u32,
    /// Seconds until more are.
    pub(crate) retry_after_s: u32,
}

impl RateBook {
    /// At most `per_window_max` per key and window (0: no limit), for at most `entries_max` keys.
    pub(crate) fn new(per_window_max: u32, window_s: u32, entries_max: usize) -> RateBook {
        // Without a limit nothing is remembered.
        let entries_max = if per_window_max == 0 { 1 } else { entries_max };
        RateBook { counts: WindowCounts::new(entries_max, window_s), per_window_max, window_s }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// When it is too many.
    pub(crate) fn take(&self, key: &[u8]) -> Result<(), TooMany> {
        if self.per_window_max == 0 {
            return Ok(());
        }
        let (count, left_s) = self.counts.add(key);
        if count <= self.per_window_max {
            return Ok(());
        }
        Err(TooMany {
            limit: self.per_window_max,
            window_s: self.window_s,
            retry_after_s: left_s.max(1),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_try_after_five_failures_is_refused_and_another_id_is_not() {
        let book = FailureBook::new(5, 900, 1_024);
        for _ in 0..5 {
            assert_eq!(book.may_try(b"A"), Ok(()));
            book.fail(b"A");
        }
        assert!(book.may_try(b"A").unwrap_err() <= 900);
        assert_eq!(book.may_try(b"B"), Ok(()));
    }

    #[test]
    fn a_success_wipes_the_slate() {
        let book = FailureBook::new(2, 900, 64);
        book.fail(b"A");
        book.succeed(b"A");
        book.fail(b"A");
        assert_eq!(book.may_try(b"A"), Ok(()));
    }

    #[test]
    fn strangers_never_grow_the_table_and_the_latest_is_remembered() {
        let book = FailureBook::new(1, 900, 16);
        for stranger in 0_u32..10_000 {
            book.fail(&stranger.to_le_bytes());
            assert!(book.may_try(&stranger.to_le_bytes()).is_err());
        }
        let places: usize = book.counts.locks.iter().map(|lock| lock.lock().len() * WAYS).sum();
        assert_eq!(places, 16);
    }

    #[test]
    fn a_rate_of_zero_limits_nothing() {
        let book = RateBook::new(0, 60, 8);
        assert!((0..1_000).all(|_| book.take(b"A").is_ok()));
    }

    #[test]
    fn the_request_beyond_the_rate_says_when_to_come_back() {
        let book = RateBook::new(2, 60, 8);
        assert!(book.take(b"A").is_ok() && book.take(b"A").is_ok());
        let too_many = book.take(b"A").unwrap_err();
        assert_eq!((too_many.limit, too_many.window_s), (2, 60));
        assert!((1..=60).contains(&too_many.retry_after_s));
    }
}
