//! The whole product on a real Kafka, as separate processes: three brokers, two gateways, two engines,
//! two notifiers, which share one outbox. All of it ends with the value, also when the test panics.

pub mod confirmations;
pub mod faults;
pub mod flow;
pub mod supervised;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions};

use self::flow::Flow;
use self::supervised::Supervised;
use super::crowd::{CrowdSize, Stage, load};
use super::fleet::{Fleet, Kind};
use super::{PATIENCE, signal, wait_until};

/// How many brokers.
pub const BROKERS: u8 = 3;
/// Commands and events of an installation stand in topics of this prefix.
const PREFIX: &str = "slotline.";
/// As shipped, except for what a test machine has no use for, and a notifier's take-over, which is meant for
/// providers that are slow to answer.
const SETTINGS: [(&str, &str); 5] = [
    ("KAFKA__DURABILITY", "replicated"),
    ("ENGINE__PULSE_INTERVAL_MS", "500"),
    ("ENGINE__TAKEOVER_MS", "3000"),
    ("NOTIFIER__TAKEOVER_MS", "3000"),
    ("GATEWAY__CORES", "1"),
];

/// The installation.
pub struct Installation {
    // Processes end before the brokers.
    pub gateways: Vec<Supervised>,
    pub engines: Vec<Supervised>,
    pub notifiers: Vec<Supervised>,
    pub fleet: Arc<Fleet>,
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
        let mut fleet = Fleet::unmade(folder, kafka.bootstrap(), PREFIX);
        for (key, value) in SETTINGS {
            fleet.set(key, value);
        }
        confirmations::add_consumer(&fleet.secrets);
        fleet.make_topics();
        let fleet = Arc::new(fleet);
        let two = |kind| [1, 2].map(|number| Supervised::new(kind, number, &fleet)).into();
        let installation = Installation {
            gateways: two(Kind::Gateway),
            engines: two(Kind::Engine),
            notifiers: two(Kind::Notifier),
            fleet,
            kafka,
        };
        installation.members().for_each(Supervised::start);
        installation.members().for_each(Supervised::wait_ready);
        installation
    }

    /// All processes.
    pub fn members(&self) -> impl Iterator<Item = &Supervised> {
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
    pub fn active_of(pair: &[Supervised]) -> (usize, usize) {
        let mut active = None;
        wait_until(&format!("one {} is active", pair[0].kind.verb()), || {
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
pub fn is_active(member: &Supervised) -> bool {
    member.role().as_deref() == Some("active")
}

/// True while it says that it stands by.
pub fn is_standby(member: &Supervised) -> bool {
    member.role().as_deref() == Some("standby")
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

/// Waves take their people so far apart in the population.
const PEOPLE_BETWEEN: u64 = 1_000_000;

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
        let url = |address| format!("http://{address}");
        let publics: Vec<String> =
            installation.gateways.iter().map(|gateway| url(gateway.public)).collect();
        let stage = Stage {
            publics: &publics,
            operator: &url(installation.gateways[0].operator),
            token: &installation.fleet.token,
            outbox: &installation.fleet.outbox,
        };
        let crowd = CrowdSize { people: size.rate * size.seconds, rate: size.rate };
        let child = load(stage, crowd, size.seed, &record, &report)
            .args(["--period", &(900 + size.number).to_string()])
            .args(["--first", &(u64::from(size.number) * PEOPLE_BETWEEN).to_string()])
            // Enough that people come while others wait for the end of a fault.
            .args(["--connections", "1024"])
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
        signal(self.child.id(), "INT");
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
