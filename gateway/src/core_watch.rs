//! Notes when a core ends that was not told to: `/readyz` says so then, and the process ends.
//!
//! What this module does not do: start cores, or end the process.

use std::sync::Arc;

use tokio::sync::watch;

use crate::context::Context;

/// Lives as long as a core's thread, a panic included.
pub(crate) struct CoreWatch {
    context: Arc<Context>,
    stop: watch::Receiver<bool>,
    core: u8,
}

impl CoreWatch {
    /// Watches the core of this number, which ends when `stop` says so.
    pub(crate) fn new(context: Arc<Context>, stop: watch::Receiver<bool>, core: u8) -> CoreWatch {
        CoreWatch { context, stop, core }
    }

    /// The core has ended, and why; the first word counts.
    pub(crate) fn stopped(&self, why: &str) {
        let core = self.core;
        if self.context.stopped.set(format!("core {core} of the gateway stopped: {why}")).is_ok() {
            tracing::error!(core, error = why, "a core of the gateway stopped");
        }
    }
}

impl Drop for CoreWatch {
    fn drop(&mut self) {
        if !*self.stop.borrow() {
            self.stopped("it ended without having been told to");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};

    use journal::MemoryJournal;
    use journal::memory::MemoryConfig;
    use vault::{Secrets, Vault};

    use super::*;
    use crate::{Attachments, GatewayConfig, serve};

    #[test]
    fn a_core_that_ends_by_itself_is_a_fault_and_one_that_was_told_to_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let config = GatewayConfig {
            public_address: "127.0.0.1:0".parse().unwrap(),
            operator_address: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().to_path_buf(),
            cores: 1,
            ..GatewayConfig::default()
        };
        let journal = Arc::new(MemoryJournal::new(MemoryConfig::default()));
        let vault = Arc::new(Vault::new(Secrets::sample()));
        let gateway = serve(config, journal, vault, Attachments::default()).unwrap();
        let stop = watch::Sender::new(false);
        let watched = || CoreWatch::new(Arc::clone(&gateway.context), stop.subscribe(), 7);
        stop.send_replace(true);
        drop(watched());
        assert_eq!(gateway.fault(), None);
        stop.send_replace(false);
        let thread = std::thread::spawn({
            let watch = watched();
            move || {
                let _watch = watch;
                std::panic::resume_unwind(Box::new("as a panic would"));
            }
        });
        assert!(thread.join().is_err());
        assert!(gateway.fault().unwrap().starts_with("core 7 of the gateway stopped"));
        let mut caller = std::net::TcpStream::connect(gateway.operator).unwrap();
        caller.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut said = String::new();
        caller.read_to_string(&mut said).unwrap();
        assert!(
            said.starts_with("HTTP/1.1 503") && said.contains("core 7 of the gateway"),
            "{said}"
        );
    }
}
