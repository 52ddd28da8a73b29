//! The engine's own clock: only for noticing that the journal's is wrong, and for pacing.
//!
//! Nothing the engine decides depends on it. The journal's time, carried by each group, is the only
//! time the rules see.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells milliseconds since 1970 UTC. Replaceable, so that a test can put the clocks apart.
pub type WallClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> WallClock {
    Arc::new(|| match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    })
}
