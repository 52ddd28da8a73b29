//! A part of the product on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::Mutex;

/// A running part.
pub(super) struct Part {
    name: &'static str,
    stop: Arc<AtomicBool>,
    error: Arc<Mutex<Option<String>>>,
    thread: JoinHandle<()>,
}

impl Part {
    /// Starts a part. `work` ends when the flag is set, or earlier with an error.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: &'static str,
        work: impl FnOnce(Arc<AtomicBool>) -> Result<(), String> + Send + 'static,
    ) -> Result<Part, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let error = Arc::new(Mutex::new(None));
        let (flag, told) = (Arc::clone(&stop), Arc::clone(&error));
        let run = move || match work(flag) {
            Ok(()) => tracing::info!(part = name, "stopped"),
            Err(why) => {
                tracing::error!(part = name, "stopped: {why}");
                *told.lock() = Some(why);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(|error| format!("thread {name}: {error}"))?;
        Ok(Part { name, stop, error, thread })
    }

    /// Why it ended although nobody asked it to, if it did.
    pub(super) fn fault(&self) -> Option<String> {
        if self.stop.load(Ordering::Acquire) || !self.thread.is_finished() {
            return None;
        }
        let why = self.error.lock().clone();
        let why = why.unwrap_or_else(|| "it ended by a defect; the log says more".to_owned());
        Some(format!("{}: {why}", self.name))
    }

    /// Asks it to stop, and waits until it has.
    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // A panic of the part was reported by its thread.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fault_of(
        work: impl FnOnce(Arc<AtomicBool>) -> Result<(), String> + Send + 'static,
    ) -> String {
        let part = Part::start("part", work).unwrap();
        loop {
            if let Some(fault) = part.fault() {
                return fault;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_part_that_ends_by_itself_says_why() {
        assert_eq!(fault_of(|_| Err("no more".to_owned())), "part: no more");
        assert!(fault_of(|_| Ok(())).contains("defect"));
    }

    #[test]
    fn a_part_that_was_asked_to_stop_has_no_fault() {
        let part = Part::start("part", |stop| {
            while !stop.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            Err("interrupted".to_owned())
        })
        .unwrap();
        assert_eq!(part.fault(), None);
        part.stop();
    }
}
