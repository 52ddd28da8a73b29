//! Which seeds a test lives through, and several of them at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The seeds of a run: the one of `SLOTLINE_SEED`, else from 1 on as many as the first count says, or the
/// second with `SLOTLINE_FAULTS=full`.
///
/// # Panics
/// When `SLOTLINE_SEED` is no number.
pub fn seeds((few, many): (u64, u64)) -> Vec<u64> {
    if let Ok(seed) = std::env::var("SLOTLINE_SEED") {
        return match seed.parse() {
            Ok(seed) => vec![seed],
            Err(_) => panic!("SLOTLINE_SEED is no number: {seed:?}"),
        };
    }
    let is_full = std::env::var("SLOTLINE_FAULTS").is_ok_and(|value| value == "full");
    let count = if is_full { many } else { few };
    println!("seeds 1..={count} (SLOTLINE_SEED repeats one)");
    (1..=count).collect()
}

/// What came of living through each seed, `at_a_time` of them at once, in no certain order.
///
/// # Panics
/// When a seed fails; it is named.
pub fn lives<T: Send>(seeds: &[u64], at_a_time: usize, live: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut lived = Vec::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| live(*seed)));
            match one {
                Ok(one) => lived.push(one),
                Err(_) => panic!("seed {seed} failed (repeat with SLOTLINE_SEED={seed})"),
            }
        }
        lived
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_a_time).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(lived) => lived,
            Err(_) => panic!("a seed failed"),
        });
        joined.flatten().collect()
    })
}
