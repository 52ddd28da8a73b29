//! Whether a producer is about to push more: what it says of itself.
//!
//! Does: keep what each producer said last, and judge from all of them whether a pause between two groups
//! is still of use. Does not wake anybody: a lane rings the bell of its stream.

use std::sync::atomic::{AtomicU8, Ordering};

/// The producer never said what it does.
const SILENT: u8 = 0;
/// More may come at any moment.
const AT_WORK: u8 = 1;
/// Nothing comes until the producer says that it is at work again.
const RESTING: u8 = 2;

/// What one producer says of itself.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    says: AtomicU8,
}

impl Rest {
    /// The producer rests, or is at work again. Look at the bell after this: whoever listens announces that
    /// before looking at the producers, so that one of the two sees the other.
    pub(crate) fn set(&self, is_resting: bool) {
        self.says.store(if is_resting { RESTING } else { AT_WORK }, Ordering::SeqCst);
    }

    /// Whether the producer never said what it does.
    pub(crate) fn is_silent(&self) -> bool {
        self.says.load(Ordering::Relaxed) == SILENT
    }

    /// Whether there is no use in waiting for more. One that never says what it does counts as resting while
    /// nothing of it waits.
    fn is_resting(&self, waiting_bytes: usize) -> bool {
        match self.says.load(Ordering::SeqCst) {
            SILENT => waiting_bytes == 0,
            said => said == RESTING,
        }
    }
}

/// Whether something waits and no producer is about to add to it. `lanes`: of each, what its producer says
/// and the bytes that wait.
pub(crate) fn is_worth_writing<'a>(lanes: impl Iterator<Item = (&'a Rest, usize)>) -> bool {
    let mut waiting = 0;
    for (rest, bytes) in lanes {
        if !rest.is_resting(bytes) {
            return false;
        }
        waiting += bytes;
    }
    waiting > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_worth_writing_once_no_producer_will_add_to_it() {
        let cases: &[(&[(u8, usize)], bool)] = &[
            (&[], false),
            (&[(RESTING, 0), (RESTING, 0)], false),
            (&[(RESTING, 9), (RESTING, 0)], true),
            (&[(RESTING, 9), (AT_WORK, 0)], false),
            (&[(AT_WORK, 9)], false),
            // Of one that never says what it does, only the clock can tell that nothing more comes.
            (&[(SILENT, 9)], false),
            (&[(SILENT, 9), (RESTING, 9)], false),
            (&[(SILENT, 0), (RESTING, 9)], true),
        ];
        for (lanes, expected) in cases {
            let all: Vec<_> = lanes
                .iter()
                .map(|&(says, bytes)| (Rest { says: AtomicU8::new(says) }, bytes))
                .collect();
            let looked_at = all.iter().map(|(rest, bytes)| (rest, *bytes));
            assert_eq!(is_worth_writing(looked_at), *expected, "{lanes:?}");
        }
    }

    #[test]
    fn what_was_said_last_holds() {
        let rest = Rest::default();
        assert!(rest.is_silent());
        for is_resting in [true, false, true] {
            rest.set(is_resting);
            assert_eq!((rest.is_resting(1), rest.is_silent()), (is_resting, false));
        }
    }
}
