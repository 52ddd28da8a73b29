//! The single writer: reads `commands`, decides each one with `domain::State`, appends to `events`.
//!
//! ```text
//! commands ──▶ decide ──▶ events          (THE loop, `writer`)
//!                │
//!                └─ changes ──▶ checkpoint (RocksDB, a background thread, `store`)
//! ```
//!
//! - `writer` is the loop; `decide` turns one commands group into one events group; `output` owns the
//!   events stream: it compares what stands there and appends what does not; `election` decides
//!   whether this engine may write at all.
//! - `store` keeps two checkpoints; `recovery` chooses one, checks it against the journal and hands
//!   over a state that continues there. The journal is the truth: a lost or damaged store is rebuilt.
//! - [`replay()`] rebuilds everything from the journal alone and compares.
//!
//! What this crate deliberately does not do: HTTP, secrets, SMS, answering anybody. A reply comes
//! from a view of `events`, never from a channel back out of the engine.

#[cfg(test)]
extern crate self as engine;

mod clock;
mod config;
mod decide;
mod election;
mod error;
mod heartbeat;
mod metrics;
mod output;
mod recovery;
mod replay;
mod status;
mod store;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
mod writer;

pub use clock::{WallClock, system_clock};
pub use config::EngineConfig;
pub use error::EngineError;
pub use replay::{ReplayOptions, ReplayProgress, Replayed, replay};
pub use status::{EngineStatus, Phase};
pub use writer::Engine;
