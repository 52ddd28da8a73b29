//! The whole product on a real Kafka, as separate processes: three brokers, two gateways, two engines,
//! two notifiers, which share one outbox. All of it ends with the value, also when the test panics.

pub mod faults;
pub mod flow;
pub mod member;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions};

use self::flow::Flow;
use self::member::{Kind, Member};
use super::{PATIENCE, binary, wait_until};

/// How many brokers.
pub const BROKERS: u8 = 3;
/// Commands and events of an installation stand in topics of this prefix.
const PREFIX: &str = "slotline.";
/// A notifier takes over after this long; the default is meant for providers that are slow to answer.
const NOTIFIER_TAKEOVER_MS: u32 = 3_000;

/// The installation.
pub struct Installation {
    // Processes end before the brokers.
    pub gateways: Vec<Member>,
    pub engines: Vec<Member>,
    pub notifiers: Vec<Member>,
    pub outbox: PathBuf,
    pub config: PathBuf,
    pub token: String,
    kafka: Cluster,
}

impl Installation {
    /// Starts everything in an empty folder and waits until it is ready.
    pub fn start(folder: &Path) -> Installation {
        let options = ClusterOptions {
            nodes: BROKERS,
            dir: Some(folder.join("kafka")),
            ..ClusterOptions::default()
        };
        let kafka = Cluster::start(options).unwrap();
        let (config, outbox) = (folder.join("slotline.toml"), folder.join("outbox"));
        let secrets = folder.join("secrets.toml");
        fs::write(&config, settings(kafka.bootstrap(), &secrets, &outbox)).unwrap();
        said(binary().args(["admin", "secrets", "--output"]).arg(&secrets));
        let token = said(
            binary()
                .args(["admin", "operator-token", "--name", "test", "--role", "admin"])
                .arg("--secrets")
                .arg(&secrets),
        );
        said(binary().args(["admin", "topics", "create", "--config"]).arg(&config));
        let two = |kind| [1, 2].map(|number| Member::new(kind, number, folder, &config)).into();
        let installation = Installation {
            gateways: two(Kind::Gateway),
            engines: two(Kind::Engine),
            notifiers: two(Kind::Notifier),
            outbox,
            token: token.trim().to_owned(),
            kafka,
            config,
        };
        installation.members().for_each(Member::start);
        installation.members().for_each(Member::wait_ready);
        installation
    }

    /// All processes.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.gateways.iter().chain(&self.engines).chain(&self.notifiers)
    }

    /// The brokers.
    pub fn kafka(&self) -> &Cluster {
        &self.kafka
    }

    /// The broker that leads a stream's only partition.
    pub fn leader(&self, stream: &str) -> u8 {
        let topic = format!("{PREFIX}{stream}");
        let mut leader = None;
        wait_until(&format!("{topic} has a leader"), || {
            let told = self.kafka.tool("topics", &["--describe", "--topic", &topic]).unwrap();
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            let word = told.split_once("Leader: ").and_then(|(_, rest)| rest.split('\t').next());
            leader = word.and_then(|word| word.trim().parse().ok());
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Starts a broker again and waits until every replica has everything.
    pub fn bring_back(&self, node: u8) {
        self.kafka.start_node(node).unwrap();
        self.kafka.await_in_sync(PATIENCE).unwrap();
    }

    /// Places of the engine, or notifier, that is active and of the one that stands by.
    pub fn active_of(pair: &[Member]) -> (usize, usize) {
        let mut active = None;
        wait_until(&format!("one {} is active", pair[0].kind.name()), || {
            active = pair.iter().position(is_active);
            active.is_some()
        });
        (active.unwrap(), 1 - active.unwrap())
    }

    /// What went wrong in a way that nothing mends by itself: a halted engine, a view that stopped.
    pub fn assert_nothing_halted(&self) {
        for member in self.members() {
            let log = member.log();
            let halted = log.lines().find(|line| {
                ["halted", "stopped reason", "panicked"].iter().any(|word| line.contains(word))
            });
            assert!(halted.is_none(), "{}: {}", member.name, halted.unwrap_or_default());
        }
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for member in self.members() {
            member.kill();
        }
        // An orderly end of all brokers at once would wait for leaders that no longer exist.
        for node in 1..=BROKERS {
            let _ = self.kafka.resume_node(node);
            let _ = self.kafka.kill_node(node);
        }
    }
}

/// True while it says that it is the one that writes.
pub fn is_active(member: &Member) -> bool {
    member.role().as_deref() == Some("active")
}

/// True while it says that it stands by.
pub fn is_standby(member: &Member) -> bool {
    member.role().as_deref() == Some("standby")
}

fn settings(bootstrap: &str, secrets: &Path, outbox: &Path) -> String {
    format!(
        "journal_kind = \"kafka\"\nsecrets_file = {secrets:?}\n\
         [kafka]\nbootstrap_servers = {bootstrap:?}\ntopic_prefix = {PREFIX:?}\n\
         [gateway]\ncores = 1\n\
         [notifier]\ntakeover_ms = {NOTIFIER_TAKEOVER_MS}\n\
         [sms]\nplaintext_outbox = true\noutbox_dir = {outbox:?}\n"
    )
}

/// Runs a command that must succeed; what it printed.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// Some people of one population, who come while faults happen.
pub struct Wave {
    child: Child,
    record: PathBuf,
    report: PathBuf,
    /// When the first of them came, and for how long they come.
    began: Instant,
    lasts: Duration,
}

/// Who comes in a wave.
#[derive(Clone, Copy, Debug)]
pub struct WaveSize {
    /// Same seed, same people.
    pub seed: u64,
    /// Which wave of these people, from 0: each has people and a period of its own.
    pub number: u16,
    /// How many come a second.
    pub rate: u32,
    /// For how long.
    pub seconds: u32,
}

impl Wave {
    /// Prepares period, places and people, and lets them come; returns when the first have come.
    pub fn start(installation: &Installation, folder: &Path, size: WaveSize) -> Wave {
        let record = folder.join(format!("record-{}", size.number));
        let report = folder.join(format!("report-{}.txt", size.number));
        let output = File::create(&report).unwrap();
        let people = size.rate * size.seconds;
        let gateway = &installation.gateways[0];
        let mut command = binary();
        command
            .args(["loadtest", "run", "--prepare", "--no-tui", "--wait", "5"])
            .args(["--period", &(900 + size.number).to_string()])
            .args(["--first", &(u64::from(size.number) * 1_000_000).to_string()])
            .args(["--people", &people.to_string(), "--rate", &size.rate.to_string()])
            .args(["--duration", &format!("{}s", size.seconds), "--seed", &size.seed.to_string()])
            .args(["--attempts", "200", "--duplicate-share", "0.1", "--rival-share", "0.02"])
            .args(["--move-share", "0.1", "--cancel-share", "0.1", "--connections", "1024"])
            .args(["--operator", &format!("http://{}", gateway.operator)])
            .args(["--operator-token", &installation.token]);
        for gateway in &installation.gateways[..1] {
            command.args(["--public", &format!("http://{}", gateway.public)]);
        }
        let child = command
            .arg("--record")
            .arg(&record)
            .arg("--outbox")
            .arg(&installation.outbox)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let lasts = Duration::from_secs(size.seconds.into());
        let mut wave = Wave { child, record, report, began: Instant::now(), lasts };
        wave.wait_for_people();
        wave
    }

    fn wait_for_people(&mut self) {
        wait_until("people book", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the load test ended early:\n{}", self.told());
            // The first line is the header.
            fs::read_to_string(&self.record).is_ok_and(|text| text.lines().count() > 1)
        });
        self.began = Instant::now();
    }

    /// For how long people still come.
    pub fn time_left(&self) -> Duration {
        self.lasts.saturating_sub(self.began.elapsed())
    }

    /// The flow of its decisions.
    pub fn flow(&self) -> Flow {
        Flow::of(self.record.clone())
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.report).unwrap_or_default()
    }

    /// Nobody comes any more.
    pub fn end(&self) {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(asked.unwrap().success());
    }

    /// Waits for the end and panics unless the audit passed, texts included; the audit's lines.
    pub fn assert_audit_passes(mut self) -> String {
        let judged = self.child.wait().unwrap();
        let report = self.told();
        assert!(judged.success(), "the audit failed:\n{report}");
        assert!(report.contains("text messages"), "texts were not compared:\n{report}");
        report
    }
}

impl Drop for Wave {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
