//! Numbers without pattern, the same in every run.

/// SplitMix64: a number that looks like chance, always the same for the same input.
pub const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Every number below a bound once, in an order without pattern.
#[derive(Clone, Copy, Debug)]
pub struct Shuffled {
    bound: u64,
    mask: u64,
    seed: u64,
}

impl Shuffled {
    /// An order of the numbers below `bound`, which must be above zero.
    pub const fn new(bound: u64, seed: u64) -> Shuffled {
        Shuffled { bound, mask: bound.next_power_of_two() - 1, seed }
    }

    /// The number at a place below the bound.
    pub fn at(&self, place: u64) -> u64 {
        // Steps that can be undone within the mask lead every number to another one; those beyond the
        // bound are led on until they come back below it, as a place below the bound always does.
        let mut number = place;
        loop {
            number = self.step(number);
            if number < self.bound {
                return number;
            }
        }
    }

    fn step(&self, mut number: u64) -> u64 {
        for round in 0..3 {
            number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) & self.mask;
            number ^= number >> (self.mask.count_ones() / 2 + 1);
            number = number.wrapping_add(mix(self.seed ^ round)) & self.mask;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for (bound, seed) in [(1, 0), (2, 1), (1_000, 2), (1_024, 3), (70_001, 4)] {
            let order = Shuffled::new(bound, seed);
            let mut numbers: Vec<u64> = (0..bound).map(|place| order.at(place)).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..bound), "bound {bound}, seed {seed}");
        }
    }

    #[test]
    fn seeds_give_different_orders() {
        let (one, other) = (Shuffled::new(1_000, 1), Shuffled::new(1_000, 2));
        let same = (0..1_000).filter(|place| one.at(*place) == other.at(*place)).count();
        assert!(same < 50, "{same}");
    }
}
