//! Two engines on turbulent streams, and whoever starts them again.

use tempfile::TempDir;

use engine::{EngineConfig, EngineError, Phase};
use journal::turbulent::TurbulentJournal;
use journal::{Health, Journal, Stream};
use std::sync::Arc;

use crate::support::running::{self, Running};
use crate::support::{TestClock, wait_until};

/// An engine's data directory, and its way to the streams.
pub type Home = (TempDir, TurbulentJournal);

struct Process {
    home: Home,
    running: Running,
}

/// Both of them.
pub struct Engines {
    clock: TestClock,
    processes: Vec<Process>,
    /// How often a standby took over while the active one was paused.
    pub takeovers: u64,
    /// How often one was started again.
    pub restarts: u64,
}

fn config(home: &Home) -> EngineConfig {
    let mut config = running::config(home.0.path());
    config.exclusive = false;
    config.pulse_interval_ms = 10;
    config.takeover_ms = 40;
    config
}

impl Process {
    fn start(home: Home, clock: &TestClock) -> Process {
        let journal: Arc<dyn Journal> = Arc::new(home.1.clone());
        let running = Running::start(config(&home), &journal, clock);
        Process { home, running }
    }

    fn phase(&self) -> Phase {
        self.running.status.phase()
    }

    /// Ends like a process whose journal failed, or that was killed: whatever it still tried is lost.
    fn restart(self, clock: &TestClock) -> Process {
        let (folder, journal) = self.home;
        let next = journal.reopen();
        match self.running.end() {
            Ok(()) | Err(EngineError::Journal(_)) => {}
            Err(other) => panic!("an engine halted: {other}"),
        }
        Process::start((folder, next), clock)
    }
}

impl Engines {
    pub fn start(journals: [TurbulentJournal; 2], clock: &TestClock) -> Engines {
        let processes = journals
            .into_iter()
            .map(|journal| Process::start((tempfile::tempdir().unwrap(), journal), clock))
            .collect();
        Engines { clock: clock.clone(), processes, takeovers: 0, restarts: 0 }
    }

    pub fn journals(&self) -> impl Iterator<Item = &TurbulentJournal> {
        self.processes.iter().map(|process| &process.home.1)
    }

    /// Starts again whoever cannot write any more.
    pub fn tend(&mut self) {
        for place in 0..self.processes.len() {
            let process = &self.processes[place];
            let is_halted = process.phase() == Phase::Halted;
            if matches!(process.home.1.health(), Health::Failed(_)) {
                self.restart(place);
            } else if is_halted {
                panic!("an engine halted: {:?}", process.running.status.halted_reason());
            }
        }
    }

    fn restart(&mut self, place: usize) {
        self.restarts += 1;
        let process = self.processes.remove(place);
        self.processes.insert(place, process.restart(&self.clock));
    }

    fn active(&self) -> Option<usize> {
        self.processes.iter().position(|process| process.phase() == Phase::Active)
    }

    /// The active engine stands still until the other one has taken over and gone on, then wakes up.
    pub fn pause_the_active(&mut self, meanwhile: &mut impl FnMut(&mut Engines)) {
        let active = self.wait_for_an_active_one();
        let journal = self.processes[active].home.1.clone();
        journal.pause();
        meanwhile(self);
        let standby = 1 - active;
        wait_until("the standby takes over", || {
            self.tend();
            self.processes[standby].phase() == Phase::Active
        });
        self.takeovers += 1;
        meanwhile(self);
        journal.resume();
    }

    /// The standby stands still for a while.
    pub fn pause_the_standby(&mut self, meanwhile: &mut impl FnMut(&mut Engines)) {
        let standby = 1 - self.wait_for_an_active_one();
        let journal = self.processes[standby].home.1.clone();
        journal.pause();
        meanwhile(self);
        journal.resume();
    }

    /// kill -9, and a new start.
    pub fn kill_the_active(&mut self) {
        let active = self.wait_for_an_active_one();
        self.restart(active);
    }

    fn wait_for_an_active_one(&mut self) -> usize {
        wait_until("one is active", || {
            self.tend();
            self.active().is_some()
        });
        self.active().unwrap_or(0)
    }

    /// Waits until everything through a command is decided and its events stand.
    pub fn settle(&mut self, sequence: u64) {
        wait_until("everything is decided", || {
            self.tend();
            self.active().is_some_and(|active| {
                let Process { home, running } = &self.processes[active];
                // What it has accepted counts only once it is written: a lost group shows here.
                running.status.events_sequence() >= sequence && home.1.sync(Stream::Events).is_ok()
            })
        });
    }

    /// Stops both in order.
    pub fn stop(self) -> Vec<Home> {
        self.processes
            .into_iter()
            .map(|process| {
                process.running.stop();
                process.home
            })
            .collect()
    }
}
