//! What the tests of this crate share: a seed that is printed and can be given again.

// A seed is read from the environment and printed: tests alone may.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The environment variable that repeats a run.
const SEED_VARIABLE: &str = "SLOTLINE_SEED";

/// A generator whose seed is printed, and taken from `SLOTLINE_SEED` when that is set.
pub(crate) fn seeded(test: &str) -> ChaCha8Rng {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(text) => text.parse().expect("SLOTLINE_SEED is a number"),
        Err(_) => rand::rng().random::<u64>(),
    };
    println!("{test}: repeat with {SEED_VARIABLE}={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}
