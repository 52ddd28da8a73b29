//! How long a start takes to end where it cannot be: every kind of process, with whatever keeps it from its
//! brokers or topics.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions, Security};
use journal::kafka::KafkaConfig;

use super::installation::{self, Installation};
use crate::figures::{Figure, Summary};
use crate::part::Run;

/// Every kind of process that reaches for brokers.
const PARTS: [&str; 3] = ["gateway", "engine", "notifier"];
/// The exit codes of a start that ended by itself: try again, and mend the configuration.
const ENDED: [i32; 2] = [1, 78];
/// Longest wait for such an end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(5);

/// One way in which a start cannot be.
struct Refusal {
    name: &'static str,
    kafka: KafkaConfig,
    /// Settings of the client library, as the environment gives them.
    client: Vec<(String, String)>,
}

/// Adds `refused_start_seconds`, and each way's own figure.
pub(super) fn measure(run: &Run, cluster: &Cluster, summary: &mut Summary) -> Result<(), String> {
    // Somebody takes connections here, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let options = ClusterOptions { security: Security::SaslPlaintext, ..ClusterOptions::default() };
    let secured = Cluster::start(options)?;
    let refusals = [
        no_broker("closed_port", &closed_address()?),
        no_broker("silent_broker", &address(&silent)?),
        no_broker("unknown_name", "no-such-host.invalid:9092"),
        wrong_credentials(&secured)?,
        Refusal {
            name: "missing_topics",
            kafka: installation::config(cluster, "nowhere."),
            client: Vec::new(),
        },
        short_retention(cluster)?,
    ];
    let mut slowest = 0.0_f64;
    for refusal in &refusals {
        let seconds = refusal.longest(run)?.as_secs_f64();
        slowest = slowest.max(seconds);
        summary.add(Figure::printed(&format!("refused_{}_seconds", refusal.name), seconds, "s"));
    }
    summary.add(Figure::absolute("refused_start_seconds", slowest, "s"));
    Ok(())
}

fn no_broker(name: &'static str, bootstrap_servers: &str) -> Refusal {
    let bootstrap_servers = bootstrap_servers.to_owned();
    Refusal {
        name,
        kafka: KafkaConfig { bootstrap_servers, ..KafkaConfig::default() },
        client: Vec::new(),
    }
}

fn wrong_credentials(secured: &Cluster) -> Result<Refusal, String> {
    let properties = secured.client_properties()?;
    let client = properties.into_iter().map(|(key, value)| {
        let value = if key == "sasl.password" { "wrong".to_owned() } else { value };
        (key, value)
    });
    Ok(Refusal {
        name: "wrong_credentials",
        kafka: installation::config(secured, "secured."),
        client: client.collect(),
    })
}

/// Topics that forget before a campaign ends.
fn short_retention(cluster: &Cluster) -> Result<Refusal, String> {
    let kafka = installation::config(cluster, "short.");
    installation::make_topics(&kafka)?;
    let words = ["--alter", "--entity-type", "topics", "--entity-name", "short.commands"];
    let setting = ["--add-config", "retention.ms=60000"];
    let altered = cluster.tool("configs", &[&words[..], &setting[..]].concat())?;
    if !altered.status.success() {
        return Err(String::from_utf8_lossy(&altered.stderr).into_owned());
    }
    Ok(Refusal { name: "bad_topic_setting", kafka, client: Vec::new() })
}

/// Nobody listens here: the port was free a moment ago.
fn closed_address() -> Result<String, String> {
    address(&TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?)
}

fn address(listener: &TcpListener) -> Result<String, String> {
    listener.local_addr().map(|at| at.to_string()).map_err(|error| error.to_string())
}

impl Refusal {
    /// The longest that any kind of process took, all started at once.
    fn longest(&self, run: &Run) -> Result<Duration, String> {
        let folder = run.scratch.join(self.name);
        let house = Installation::new(&run.product, &folder, &self.kafka)?;
        let begin = Instant::now();
        let launched: Vec<(&str, Child)> = PARTS
            .into_iter()
            .map(|part| Ok((part, self.launch(&house, part, &folder)?)))
            .collect::<Result<_, String>>()?;
        let mut longest = Duration::ZERO;
        for (part, child) in launched {
            longest = longest.max(ended(child, begin, part, self.name)?);
        }
        Ok(longest)
    }

    fn launch(&self, house: &Installation, part: &str, folder: &Path) -> Result<Child, String> {
        let mut command: Command = house.command(part, part);
        for (key, value) in &self.client {
            let key = key.replace('.', "_").to_uppercase();
            command.env(format!("SLOTLINE__KAFKA__CLIENT__{key}"), value);
        }
        let log = std::fs::File::create(folder.join(format!("{part}.log")));
        command.stdout(Stdio::null()).stderr(log.map_err(|error| error.to_string())?);
        command.spawn().map_err(|error| error.to_string())
    }
}

/// How long after `begin` a process ended by itself.
fn ended(mut child: Child, begin: Instant, part: &str, way: &str) -> Result<Duration, String> {
    while begin.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            let took = begin.elapsed();
            let by_itself = status.code().is_some_and(|code| ENDED.contains(&code));
            return by_itself.then_some(took).ok_or(format!("{part}, {way}: ended with {status}"));
        }
        std::thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!("{part}, {way}: still there after {PATIENCE:?}"))
}
