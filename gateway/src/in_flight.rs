//! Which retry keys of this gateway may still be on their way through the journal.
//!
//! A reply that sheds a request ("sold out", "closed") must not contradict an earlier request under
//! the same key that was admitted and is not decided yet. Each core counts, per bucket of key hashes,
//! what it pushed; the reader of events counts what came back. A bucket whose two counts differ may
//! hold the key, and the request then goes to the writer, who knows. One writer per count: no locked
//! instruction on the way of a booking.
//!
//! A journal may hold a command twice, and then its outcome comes twice. One that comes while nothing of
//! its bucket is in flight is not counted, or it would stand for the next command's for ever after.
//!
//! What this module does not do: name keys. Two keys of one bucket look alike, which only costs a
//! shed reply; a command whose fate stayed unknown marks its bucket until the next start, likewise. Nor
//! tell a second outcome from the first one of another key of the bucket that is just in flight: until
//! that is decided, it may be missed. It takes a repetition, a bucket shared within milliseconds, and a
//! retry in that time.

use std::sync::atomic::{AtomicU16, Ordering};

use domain::KeyHash;

/// Buckets per core; 16,384 times two counts of two bytes are 64 KiB a core.
const BUCKETS: usize = 1 << 14;

/// The two counts of every bucket of every core.
#[derive(Debug)]
pub(crate) struct InFlight {
    cores: Vec<Core>,
}

/// One core's counts.
#[derive(Debug)]
struct Core {
    /// Written by the core.
    pushed: Box<[AtomicU16]>,
    /// Written by the reader of events.
    seen: Box<[AtomicU16]>,
}

impl InFlight {
    /// Nothing is in flight.
    pub(crate) fn new(cores: usize) -> InFlight {
        let counts = || (0..BUCKETS).map(|_| AtomicU16::new(0)).collect();
        InFlight { cores: (0..cores).map(|_| Core { pushed: counts(), seen: counts() }).collect() }
    }

    /// A core is about to push a command under this key.
    #[inline]
    pub(crate) fn push(&self, core: u8, key: KeyHash) {
        self.add(core, key, 1);
    }

    /// The journal refused it: nothing was written.
    pub(crate) fn unpush(&self, core: u8, key: KeyHash) {
        self.add(core, key, u16::MAX);
    }

    #[inline]
    fn add(&self, core: u8, key: KeyHash, step: u16) {
        let count = &self.cores[core as usize].pushed[bucket(key)];
        count.store(count.load(Ordering::Relaxed).wrapping_add(step), Ordering::Release);
    }

    /// The outcome of a command that this core pushed under this key is in the view.
    #[inline]
    pub(crate) fn see(&self, core: u8, key: KeyHash) {
        if let Some(core) = self.cores.get(core as usize) {
            let place = bucket(key);
            let count = &core.seen[place];
            let seen = count.load(Ordering::Relaxed);
            // What was seen was pushed before, and so is counted there.
            if core.pushed[place].load(Ordering::Acquire) != seen {
                count.store(seen.wrapping_add(1), Ordering::Release);
            }
        }
    }

    /// True when a command under this key may be in flight on any core.
    pub(crate) fn may_hold(&self, key: KeyHash) -> bool {
        let place = bucket(key);
        self.cores.iter().any(|core| {
            // `seen` first: what is pushed in between makes the answer "maybe", never "no".
            let seen = core.seen[place].load(Ordering::Acquire);
            core.pushed[place].load(Ordering::Acquire) != seen
        })
    }
}

#[inline]
const fn bucket(key: KeyHash) -> usize {
    key.0 as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_flight_from_its_push_until_its_outcome_is_seen() {
        let flights = InFlight::new(2);
        let (key, other) = (KeyHash(5), KeyHash(6));
        assert!(!flights.may_hold(key));
        flights.push(1, key);
        assert!(flights.may_hold(key));
        assert!(!flights.may_hold(other));
        flights.see(1, key);
        assert!(!flights.may_hold(key));
    }

    #[test]
    fn an_outcome_that_comes_twice_hides_no_later_command() {
        let flights = InFlight::new(1);
        // Two keys of one bucket: the counts cannot tell them apart.
        let (key, later) = (KeyHash(5), KeyHash(5 + BUCKETS as u64));
        flights.push(0, key);
        flights.see(0, key);
        flights.see(0, key);
        assert!(!flights.may_hold(key));
        flights.push(0, later);
        assert!(flights.may_hold(later));
        flights.see(0, later);
        assert!(!flights.may_hold(later), "and the bucket is not marked for good");
    }

    #[test]
    fn a_refused_push_leaves_no_trace() {
        let flights = InFlight::new(1);
        flights.push(0, KeyHash(9));
        flights.unpush(0, KeyHash(9));
        assert!(!flights.may_hold(KeyHash(9)));
    }
}
