//! The real binary as a process: started, killed, stopped, asked.

// Each test file uses its own part of this.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

// The gateway's own tests use these, too.
#[path = "../../../gateway/tests/support/campaign.rs"]
pub mod campaign;
#[path = "../../../gateway/tests/support/client.rs"]
pub mod client;
pub mod cluster;
pub mod crowd;
pub mod fleet;
#[path = "../../../gateway/tests/support/matrix/mod.rs"]
pub mod matrix;
pub mod world;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Many times what anything takes that a test waits for: it ends waiting for what never comes, and decides
/// nothing on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_slotline"))
}

/// True in `make test-faults`.
pub fn full_counts() -> bool {
    std::env::var("SLOTLINE_FAULTS").is_ok_and(|value| value == "full")
}

/// The seed of this run, printed; `SLOTLINE_SEED` repeats one.
pub fn seed() -> u64 {
    let given = std::env::var("SLOTLINE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 0x9E37_79B9);
    println!("seed {seed} (SLOTLINE_SEED={seed} repeats it)");
    seed
}

/// The next number of a small generator (SplitMix64).
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A folder for one test, removed at its end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a failed test left is worth a look.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A running `slotline dev --empty`.
pub struct Server {
    child: Child,
    pub public: String,
    pub operator: String,
    pub token: String,
}

/// Where a server lives across its restarts.
pub struct Home {
    pub data: PathBuf,
    pub outbox: PathBuf,
    pub log: PathBuf,
    ports: (u16, u16),
    pub settings: Vec<String>,
    /// Longest file the server may write; none by default.
    pub file_bytes_max: Option<u64>,
}

impl Home {
    pub fn new(folder: &Folder) -> Home {
        Home {
            data: folder.0.join("data"),
            outbox: folder.0.join("data-outbox"),
            log: folder.0.join("log.txt"),
            ports: (free_port(), free_port()),
            settings: Vec::new(),
            file_bytes_max: None,
        }
    }

    /// The command that starts a server here.
    pub fn command(&self) -> Command {
        let mut command = self.limited();
        command.args(["dev", "--empty", "--json"]);
        command.arg("--data").arg(&self.data);
        command.arg("--public").arg(format!("127.0.0.1:{}", self.ports.0));
        command.arg("--operator").arg(format!("127.0.0.1:{}", self.ports.1));
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        command.stdout(Stdio::piped()).stderr(log);
        command
    }

    fn limited(&self) -> Command {
        let Some(bytes) = self.file_bytes_max else { return binary() };
        let mut command = Command::new("prlimit");
        // The soft limit alone: it can be raised again.
        command.arg(format!("--fsize={bytes}:")).arg(binary().get_program());
        command
    }

    /// Starts it and waits until it is ready.
    pub fn start(&self) -> Server {
        Server::from(self.command()).unwrap_or_else(|line| {
            panic!("not ready: {line:?}; log:\n{}", fs::read_to_string(&self.log).unwrap())
        })
    }
}

impl Server {
    /// Starts a command and waits for its line; the line otherwise.
    pub fn from(mut command: Command) -> Result<Server, String> {
        let mut child = command.spawn().unwrap();
        let ready = ready_line(&mut child)?;
        let text = |key: &str| ready[key].as_str().unwrap_or("").to_owned();
        let (public, operator, token) = (text("public"), text("operator"), text("operator_token"));
        Ok(Server { child, public, operator, token })
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn stop(mut self) -> ExitStatus {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it write files of any length from now on.
    pub fn lift_file_limit(&self) {
        let pid = self.child.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
        assert!(lifted.unwrap().success(), "prlimit --pid {pid}");
    }

    /// Status and body of a call.
    pub fn call(&self, method: &str, url: &str, body: &str, headers: &[&str]) -> (u16, String) {
        call(method, url, body, headers)
    }
}

/// Status and body of a call; status 0 where no answer came.
pub fn call(method: &str, url: &str, body: &str, headers: &[&str]) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "120", "-o", "-", "-w", "\n%{http_code}", "-X", method, url]);
    for header in headers {
        command.args(["-H", header]);
    }
    if !body.is_empty() {
        command.args(["--data-binary", body]);
    }
    let output = command.output().expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}

/// Waits for the line that a process prints once it is ready. What it printed instead, if it is another.
pub fn ready_line(child: &mut Child) -> Result<serde_json::Value, String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).map_err(|_| {
        let _ = child.kill();
        let _ = child.wait();
        line
    })
}

/// Sends a signal to a process of ours.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(sent.unwrap().success(), "kill -{name} {pid}");
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again until it holds, for as long as patience lasts.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
