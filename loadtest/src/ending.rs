//! An early end of a run: nobody comes any more, what is under way is finished and audited.
//!
//! What this module does not do: end anything itself. The load asks it before each arrival.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Whether the run was asked to end before its time.
#[derive(Debug, Default)]
pub struct Ending {
    at: OnceLock<Instant>,
}

impl Ending {
    /// Asks it to end; a second time changes nothing.
    pub fn ask(&self) {
        // Set already: the first moment counts.
        let _ = self.at.set(Instant::now());
    }

    /// When it was asked to, if it was.
    pub fn at(&self) -> Option<Instant> {
        self.at.get().copied()
    }

    /// Asks the run to end at the first Ctrl-C or SIGTERM; a second one ends the process at once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn listen(self: &Arc<Ending>) -> std::io::Result<()> {
        let ending = Arc::clone(self);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let wait = move || {
            runtime.block_on(async {
                if signalled().await.is_ok() {
                    eprintln!("nobody comes any more; what is under way is finished and audited");
                    ending.ask();
                    // A second failure to listen would be the system's; the run ends by itself then.
                    if signalled().await.is_ok() {
                        std::process::exit(1);
                    }
                }
            });
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
    }
}

async fn signalled() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
