//! Calls of the script `kafka/broker`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

/// A call of the script for the cluster in a folder.
pub(crate) fn command(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/broker"));
    command.arg(name).arg("--dir").arg(dir);
    command
}

/// Runs it; what it printed when it succeeded, its complaint otherwise.
pub(crate) fn checked(command: &mut Command) -> Result<String, String> {
    let output = run(command, b"")?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(match complaint.trim() {
        "" => format!("kafka/broker ended with {}: {command:?}", output.status),
        complaint => complaint.to_owned(),
    })
}

/// Runs it with something to read, and waits for its end.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Result<Output, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |cause| format!("kafka/broker cannot be run: {cause}");
    let mut child = command.spawn().map_err(failed)?;
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        // On its own thread: a child that prints before it has read everything must not block on us.
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A child that ends early closes the pipe; its status tells more than the error here.
                let _ = stdin.write_all(input);
            }
        });
        child.wait_with_output().map_err(failed)
    })
}
