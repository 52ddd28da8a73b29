//! A small seeded sequence of numbers for injected faults, so that a failing run can be repeated from
//! the seed it printed. Not for secrets, and not for anything a product decision depends on.

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Seeded {
    /// The generator's whole state.
    state: u64,
}

impl Seeded {
    /// The sequence of this seed.
    pub(crate) fn new(seed: u64) -> Seeded {
        Seeded { state: seed }
    }

    /// The next number.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which must be above 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// True once in `times` on average.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
