//! An engine on a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;

use engine::{
    Engine, EngineConfig, EngineError, EngineStatus, Phase, ReplayOptions, Replayed, replay,
};
use journal::Journal;

use super::{TestClock, wait_until};

/// Settings for tests: quick checkpoints and pulses.
pub fn config(data_dir: &Path) -> EngineConfig {
    static RUNS: AtomicU8 = AtomicU8::new(1);
    let mut config = EngineConfig::new(data_dir, [RUNS.fetch_add(1, Ordering::SeqCst).max(1); 16]);
    config.checkpoint_interval_ms = 10;
    config.pulse_interval_ms = 20;
    config.takeover_ms = 200;
    config
}

/// An engine at work.
pub struct Running {
    pub status: Arc<EngineStatus>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), EngineError>>>,
}

impl Running {
    /// Opens and starts an engine.
    pub fn start(config: EngineConfig, journal: &Arc<dyn Journal>, clock: &TestClock) -> Running {
        Running::try_start(config, journal, clock).unwrap()
    }

    pub fn try_start(
        config: EngineConfig,
        journal: &Arc<dyn Journal>,
        clock: &TestClock,
    ) -> Result<Running, EngineError> {
        let engine = Engine::open_with_clock(config, Arc::clone(journal), clock.source())?;
        Ok(Running::of(engine))
    }

    /// Runs an engine that is open.
    pub fn of(engine: Engine) -> Running {
        let status = engine.status();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || engine.run(stopping));
        Running { status, stop, thread: Some(thread) }
    }

    pub fn wait_for_phase(&self, phase: Phase) {
        wait_until(phase.name(), || {
            if self.status.phase() == Phase::Halted && phase != Phase::Halted {
                panic!("halted: {:?}", self.status.halted_reason());
            }
            self.status.phase() == phase
        });
    }

    /// Waits until everything that is durable now has its events.
    pub fn wait_for_sequence(&self, sequence: u64) {
        wait_until("sequence reached", || {
            if self.status.phase() == Phase::Halted {
                panic!("halted: {:?}", self.status.halted_reason());
            }
            self.status.events_sequence() >= sequence
        });
    }

    /// Stops in order.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.join().unwrap();
    }

    /// Stops, whatever came of it.
    pub fn end(mut self) -> Result<(), EngineError> {
        self.stop.store(true, Ordering::SeqCst);
        self.join()
    }

    /// Waits for the engine to halt of its own accord.
    pub fn wait_for_error(mut self) -> EngineError {
        let thread = self.thread.as_ref().unwrap();
        wait_until("the engine halts", || thread.is_finished());
        self.join().unwrap_err()
    }

    fn join(&mut self) -> Result<(), EngineError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let outcome = thread.join();
            if !std::thread::panicking() {
                outcome.unwrap().unwrap();
            }
        }
    }
}

/// Rebuilds from the journal and compares with the checkpoint.
pub fn replayed(journal: &Arc<dyn Journal>, data_dir: Option<&Path>) -> Replayed {
    let options = ReplayOptions { data_dir: data_dir.map(Path::to_owned) };
    replay(journal, &options, &mut |_| true).unwrap()
}
