//! A real Apache Kafka for tests and benchmarks, one node or three, on this machine.
//!
//! A [`Cluster`] is started by the script `kafka/broker`, which also serves people at a terminal; this
//! crate only calls it. All calls block. The nodes end with the [`Cluster`], and when the process ends in
//! whatever way: the script watches it.
//!
//! Deliberately absent: a Kafka client, and anything that would run in production.

mod options;
mod script;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

pub use options::{ClusterOptions, Security};

/// What a librdkafka client must be told besides `bootstrap.servers`; the file has Java's words as well.
const CLIENT_KEYS: [&str; 5] =
    ["security.protocol", "sasl.mechanism", "sasl.username", "sasl.password", "ssl.ca.location"];

/// Some of Kafka's tools wait for a cluster without end; a test must not.
const TOOL_LIMIT_S: &str = "120";

/// A cluster that runs until this value is dropped.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    temporary: bool,
    bootstrap: String,
}

impl Cluster {
    /// Starts the nodes and waits until they serve: about two seconds for one node, five for three.
    /// The first start on a machine fetches Apache Kafka.
    ///
    /// # Errors
    /// The script's words: what is missing, or the end of the log of a node that did not start.
    pub fn start(options: ClusterOptions) -> Result<Cluster, String> {
        let temporary = options.dir.is_none();
        let dir = match options.dir.clone() {
            Some(dir) => dir,
            None => options::temporary_dir()?,
        };
        let mut command = script::command("start", &dir);
        command.args(options.arguments());
        command.args(["--parent", &std::process::id().to_string()]);
        if temporary {
            command.arg("--temporary");
        }
        if !options.java_options.is_empty() {
            command.env("SLOTLINE_KAFKA_JAVA_OPTIONS", &options.java_options);
        }
        match script::checked(&mut command) {
            Ok(printed) => Ok(Cluster { dir, temporary, bootstrap: printed.trim().to_owned() }),
            Err(complaint) => {
                if temporary {
                    // The script removes it too, unless it did not come that far.
                    let _ = fs::remove_dir_all(&dir);
                }
                Err(complaint)
            }
        }
    }

    /// The value of `bootstrap.servers`: every node's address.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The folder that holds the nodes' data and logs (`node-1/log`) and the clients' secrets.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What a librdkafka client needs besides `bootstrap.servers`: `security.protocol`, and where they
    /// apply `sasl.mechanism`, `sasl.username`, `sasl.password`, `ssl.ca.location`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn client_properties(&self) -> Result<Vec<(String, String)>, String> {
        let path = self.dir.join("client.properties");
        let text = fs::read_to_string(&path)
            .map_err(|cause| format!("{} cannot be read: {cause}", path.display()))?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Ok(pairs
            .filter(|(key, _)| CLIENT_KEYS.contains(key))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect())
    }

    /// Ends a node with SIGKILL and returns when it is gone. Nodes count from 1.
    ///
    /// # Errors
    /// When there is no such node or it does not run.
    pub fn kill_node(&self, node: u8) -> Result<(), String> {
        self.node("kill-node", node)
    }

    /// Ends a node in order: it hands its partitions over first.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn stop_node(&self, node: u8) -> Result<(), String> {
        self.node("stop-node", node)
    }

    /// Starts a node that was stopped or killed, on the same ports with the same data, and waits until
    /// it serves. It may still have records to copy; see [`Cluster::await_in_sync`].
    ///
    /// # Errors
    /// The end of its log when it does not start; when it runs already.
    pub fn start_node(&self, node: u8) -> Result<(), String> {
        self.node("start-node", node)
    }

    /// Stops a node where it stands (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause_node(&self, node: u8) -> Result<(), String> {
        self.node("pause-node", node)
    }

    /// Lets a paused node go on (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_node(&self, node: u8) -> Result<(), String> {
        self.node("resume-node", node)
    }

    /// One line a node: its address, and whether it runs, is paused, was stopped or died.
    ///
    /// # Errors
    /// When the folder is gone.
    pub fn status(&self) -> Result<String, String> {
        script::checked(&mut script::command("status", &self.dir))
    }

    /// Runs one of Kafka's own tools (`topics`, `configs`, `console-consumer`, …; `kafka/broker help`
    /// lists them) against this cluster with its secrets, and waits for its end, two minutes at most (its status
    /// is 124 then).
    ///
    /// # Errors
    /// When it could not be run at all.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Result<Output, String> {
        self.tool_with_input(name, arguments, b"")
    }

    /// The same, with something to read from standard input: the lines of `console-producer`.
    ///
    /// # Errors
    /// When it could not be run at all.
    pub fn tool_with_input(
        &self,
        name: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<Output, String> {
        let mut command = script::command("tool", &self.dir);
        command.args(["--limit", TOOL_LIMIT_S, name]).args(arguments);
        script::run(&mut command, input)
    }

    /// Waits until every replica of every partition has all records, so that the next node may be
    /// stopped.
    ///
    /// # Errors
    /// When that is not so after `limit`: Kafka's list of the partitions that lag behind.
    pub fn await_in_sync(&self, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        loop {
            let output = self.tool("topics", &["--describe", "--under-replicated-partitions"])?;
            let lagging = String::from_utf8_lossy(&output.stdout);
            if output.status.success() && lagging.trim().is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                let errors = String::from_utf8_lossy(&output.stderr);
                return Err(format!("replicas lag behind after {limit:?}:\n{lagging}{errors}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn node(&self, command: &str, node: u8) -> Result<(), String> {
        let mut command = script::command(command, &self.dir);
        script::checked(command.arg(node.to_string())).map(drop)
    }
}

impl Drop for Cluster {
    /// A cluster in a temporary folder ends at once and leaves nothing; one in a folder that was given
    /// is stopped in order and keeps its data.
    fn drop(&mut self) {
        let command = if self.temporary { "wipe" } else { "stop" };
        if let Err(error) = script::checked(&mut script::command(command, &self.dir)) {
            eprintln!("{error}");
        }
    }
}

/// One cluster for all tests of this process, started by whoever asks first. Tests that stop nodes or
/// change settings start their own.
///
/// # Panics
/// When it cannot be started: no test that needs it can pass.
pub fn shared(nodes: u8) -> &'static Cluster {
    static ONE: OnceLock<Result<Cluster, String>> = OnceLock::new();
    static THREE: OnceLock<Result<Cluster, String>> = OnceLock::new();
    let cell = if nodes == 3 { &THREE } else { &ONE };
    let started =
        cell.get_or_init(|| Cluster::start(ClusterOptions { nodes, ..ClusterOptions::default() }));
    match started {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}
