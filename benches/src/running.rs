//! An engine at work in this process, on a real journal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::{Engine, EngineConfig, EngineStatus, Phase};
use journal::{Journal, Stream};

/// How often a wait looks again.
const LOOK: Duration = Duration::from_micros(200);
/// Checkpoints this far apart are never taken in a benchmark.
const NEVER_MS: u64 = 3_600_000;
/// Changes that gather meanwhile.
const CHANGES_BYTES_MAX: u64 = 1 << 30;

/// An engine on a thread of its own.
pub struct Running {
    /// What it says of itself.
    pub status: Arc<EngineStatus>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

/// The settings of the product for a data directory.
pub fn config(data: &Path) -> EngineConfig {
    EngineConfig::new(data.join("engine"), [1; 16])
}

/// The same, without a checkpoint while it runs.
pub fn config_without_checkpoints(data: &Path) -> EngineConfig {
    EngineConfig {
        checkpoint_interval_ms: NEVER_MS,
        checkpoint_changes_bytes_max: CHANGES_BYTES_MAX,
        ..config(data)
    }
}

impl Running {
    /// Opens an engine and lets it run.
    ///
    /// # Errors
    /// When it does not open, in words.
    pub fn start(config: EngineConfig, journal: Arc<dyn Journal>) -> Result<Running, String> {
        let engine = Engine::open(config, journal).map_err(|error| error.to_string())?;
        let status = engine.status();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || engine.run(stopping).map_err(|error| error.to_string()))
            .map_err(|error| error.to_string())?;
        Ok(Running { status, stop, thread })
    }

    /// Waits until it decides.
    ///
    /// # Errors
    /// When it halted, with its reason.
    pub fn wait_active(&self) -> Result<(), String> {
        self.wait(|status| status.phase() == Phase::Active)
    }

    /// Waits until every command that is durable now is decided and its events stand.
    ///
    /// # Errors
    /// When it halted, with its reason, or the journal does not tell its end.
    pub fn wait_decided(&self, journal: &dyn Journal) -> Result<(), String> {
        let end = journal.durable_end(Stream::Commands).map_err(|error| error.to_string())?;
        self.wait(|status| {
            status.position() >= end.0 && status.events_sequence() >= status.sequence()
        })
    }

    fn wait(&self, done: impl Fn(&EngineStatus) -> bool) -> Result<(), String> {
        while !done(&self.status) {
            if let Some(why) = self.status.halted_reason() {
                return Err(why);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// An orderly end: everything decided, events durable, a checkpoint of all.
    ///
    /// # Errors
    /// Why it had halted.
    pub fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the engine panicked".to_owned())?
    }
}
