//! A server as a child process: the product, or the echo it is measured against.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::part::Run;

/// A running server; ended when dropped.
pub struct Server {
    child: Child,
    /// Where requests go.
    pub address: SocketAddr,
}

impl Server {
    /// Starts the product on an existing data directory and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, in words.
    pub fn product(binary: &Path, data: &Path) -> Result<Server, String> {
        let mut command = Command::new(binary);
        command
            .args([
                "dev",
                "--empty",
                "--json",
                "--public",
                "127.0.0.1:0",
                "--operator",
                "127.0.0.1:0",
            ])
            .args(["--set", "gateway.limits.person_commands_per_minute_max=0"])
            .args(["--set", "log.level=warn", "--data"])
            .arg(data);
        Server::start(command)
    }

    /// Starts a bare echo whose bodies have this size.
    ///
    /// # Errors
    /// When it does not start, in words.
    pub fn echo(run: &Run, body_bytes: usize) -> Result<Server, String> {
        Server::start(run.role("echo", &[&body_bytes.to_string()])?)
    }

    /// Starts a command that prints one line of JSON once it is ready.
    ///
    /// # Errors
    /// When it does not, in words.
    pub fn start(mut command: Command) -> Result<Server, String> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let output = child.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        let ready: Value = serde_json::from_str(&line)
            .map_err(|error| format!("the server did not become ready: {error}: {line:?}"))?;
        // A part without citizens has an operator's listener alone.
        let said = ["public", "operator"].iter().find_map(|key| ready[key].as_str());
        let address = said.unwrap_or("").trim_start_matches("http://");
        let address = address.parse().map_err(|error| format!("{address:?}: {error}"))?;
        Ok(Server { child, address })
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A benchmark's server holds nothing of worth.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
