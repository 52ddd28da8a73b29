//! An instant or a count in six bytes, so that rows stay small.

use crate::{Millis, Sequence};

/// Milliseconds since 1970 in 48 bits: from about 2,490 BC to the year 6429; what lies beyond is kept
/// as the nearest bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instant48(pub(super) [u8; 6]);

impl Instant48 {
    pub(super) const ZERO: Instant48 = Instant48([0; 6]);

    pub(super) fn new(at: Millis) -> Instant48 {
        const BOUND: i64 = 1 << 47;
        let [a, b, c, d, e, f, ..] = at.0.clamp(-BOUND, BOUND - 1).to_le_bytes();
        Instant48([a, b, c, d, e, f])
    }

    pub(super) fn get(self) -> Millis {
        let [a, b, c, d, e, f] = self.0;
        // Shifted to the top and back, so that the sign comes down with it.
        Millis(i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16)
    }
}

/// A sequence in 48 bits: at a million commands a second they last nine years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence48(pub(super) [u8; 6]);

impl Sequence48 {
    pub(super) fn new(sequence: Sequence) -> Sequence48 {
        let [a, b, c, d, e, f, ..] = sequence.0.min((1 << 48) - 1).to_le_bytes();
        Sequence48([a, b, c, d, e, f])
    }

    pub(super) fn get(self) -> Sequence {
        let [a, b, c, d, e, f] = self.0;
        Sequence(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_sequences_come_back_as_they_were() {
        for at in [0, 1, -1, 1_626_148_800_123, -62_135_596_800_000, (1 << 47) - 1, -(1 << 47)] {
            assert_eq!(Instant48::new(Millis(at)).get(), Millis(at));
        }
        assert_eq!(Instant48::new(Millis(i64::MAX)).get(), Millis((1 << 47) - 1));
        assert_eq!(Instant48::new(Millis(i64::MIN)).get(), Millis(-(1 << 47)));
        for sequence in [0, 1, 0x0102_0304_0506, (1 << 48) - 1] {
            assert_eq!(Sequence48::new(Sequence(sequence)).get(), Sequence(sequence));
        }
    }
}
