//! Separate processes on a Kafka cluster: gateways, engines, notifiers, started and ended one by one.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use broker::Cluster;
use serde_json::Value;

use super::crowd::Stage;
use super::{PATIENCE, binary, call, ready_line, signal, wait_until};

/// How long a service manager waits before it starts a process again.
const RESTART: Duration = Duration::from_secs(1);
/// What a request may wait for takes less than this; `call` waits a little longer.
const REQUEST_WAIT_MS: &str = "100000";
/// The exit code of a process that another start may help: a broker did not answer in time.
pub const FAILED: i32 = 1;

/// A kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All of the others in one process.
    Run,
    Gateway,
    Engine,
    Notifier,
}

impl Kind {
    /// As on the command line.
    pub const fn verb(self) -> &'static str {
        match self {
            Kind::Run => "run",
            Kind::Gateway => "gateway",
            Kind::Engine => "engine",
            Kind::Notifier => "notifier",
        }
    }
}

/// An installation: one configuration, one file of secrets, the topics under one prefix.
pub struct Fleet {
    pub folder: PathBuf,
    pub config: PathBuf,
    pub secrets: PathBuf,
    pub outbox: PathBuf,
    pub token: String,
    /// In the environment of every process.
    pub environment: Vec<(String, String)>,
}

impl Fleet {
    /// An installation without topics. Takeovers are quick, so that tests are.
    pub fn unmade(folder: &Path, bootstrap: &str, prefix: &str) -> Fleet {
        fs::create_dir_all(folder).unwrap();
        let (config, secrets) = (folder.join("kafka.toml"), folder.join("secrets.toml"));
        let outbox = folder.join("outbox");
        let made = binary().args(["admin", "secrets", "--output"]).arg(&secrets).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let made = binary()
            .args(["admin", "operator-token", "--name", "test", "--role", "admin", "--secrets"])
            .arg(&secrets)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let text = format!(
            r#"
journal_kind = "kafka"
data_dir = "{data}"
secrets_file = "{secrets}"
[listen]
public = "127.0.0.1:0"
operator = "127.0.0.1:0"
[kafka]
bootstrap_servers = "{bootstrap}"
topic_prefix = "{prefix}"
durability = "single_broker"
[engine]
pulse_interval_ms = 200
takeover_ms = 1500
[notifier]
takeover_ms = 2000
[sms]
plaintext_outbox = true
outbox_dir = "{outbox}"
"#,
            data = folder.join("data").display(),
            secrets = secrets.display(),
            outbox = outbox.display(),
        );
        fs::write(&config, text).unwrap();
        Fleet {
            folder: folder.to_owned(),
            config,
            secrets,
            outbox,
            token: String::from_utf8(made.stdout).unwrap().trim().to_owned(),
            environment: Vec::new(),
        }
    }

    /// Its gateways let requests wait as long as a slow machine takes, so that none is refused for that.
    pub fn patient(mut self) -> Fleet {
        for wait in ["DURABLE", "VIEW", "APPLIED"] {
            self.set(&format!("GATEWAY__REQUEST__{wait}_WAIT_MS_MAX"), REQUEST_WAIT_MS);
        }
        self
    }

    /// An installation with its topics, on one broker.
    pub fn new(folder: &Path, cluster: &Cluster, prefix: &str) -> Fleet {
        let fleet = Fleet::unmade(folder, cluster.bootstrap(), prefix).patient();
        fleet.make_topics();
        fleet
    }

    /// Makes the topics, for as long as brokers take.
    pub fn make_topics(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let made = self.admin(&["topics", "create"]);
            if made.status.success() {
                return;
            }
            let may_help = made.status.code() == Some(FAILED) && Instant::now() < deadline;
            assert!(may_help, "{made:?}");
            std::thread::sleep(RESTART);
        }
    }

    /// A setting of every process, as in the configuration: `KAFKA__DELIVERY_TIMEOUT_MS`.
    pub fn set(&mut self, key: &str, value: &str) {
        self.environment.push((format!("SLOTLINE__{key}"), value.to_owned()));
    }

    /// A command of the program with this installation's configuration.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = binary();
        command.args(words).arg("--config").arg(&self.config);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Runs `slotline admin … --config` to its end.
    pub fn admin(&self, words: &[&str]) -> Output {
        self.command(&[&["admin"], words].concat()).output().unwrap()
    }

    /// Runs `slotline replay --config` and gives what it found.
    pub fn replay(&self) -> (ExitStatus, Value) {
        let output = self.command(&["replay", "--json"]).output().unwrap();
        let found = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status, found)
    }

    /// The lines of all texts that were written.
    pub fn texts(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(&self.outbox) else { return Vec::new() };
        let paths = files.map(|file| file.unwrap().path());
        let texts = paths
            .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
            .map(|path| fs::read_to_string(path).unwrap_or_default());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Launches a process of this name, and does not wait. Names have folders of their own; a process that
    /// takes the name of an earlier one continues there.
    pub fn launch(&self, kind: Kind, name: &str) -> Launched {
        let log = self.folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = self
            .command(&[kind.verb(), "--json"])
            .env("SLOTLINE__DATA_DIR", self.folder.join(name))
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        Launched { name: name.to_owned(), process: Held(child), log, begin: Instant::now() }
    }

    /// Starts a process of this name, again where it ends, and waits until it is ready.
    pub fn start(&self, kind: Kind, name: &str) -> Member {
        self.await_ready(kind, self.launch(kind, name))
    }

    /// Does what a service manager does: starts a process again a second after it has ended with code 1,
    /// until it is ready. A broker that was away, or that a slow machine holds up, may answer too late
    /// for one start.
    fn await_ready(&self, kind: Kind, mut launched: Launched) -> Member {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failed = match launched.ready() {
                Ok(member) => return member,
                Err(failed) => failed,
            };
            let may_help = failed.code == Some(FAILED) && Instant::now() < deadline;
            assert!(may_help, "{failed}");
            println!("{failed}\nit is started again");
            std::thread::sleep(RESTART);
            launched = self.launch(kind, &failed.name);
        }
    }

    /// An engine that is the active one, a notifier that is, and gateways of these names.
    pub fn start_all(&self, gateways: &[&str]) -> (Member, Member, Vec<Member>) {
        let engine = self.launch(Kind::Engine, "engine");
        let notifier = self.launch(Kind::Notifier, "notifier");
        let launched: Vec<Launched> =
            gateways.iter().map(|name| self.launch(Kind::Gateway, name)).collect();
        let engine = self.await_ready(Kind::Engine, engine);
        let notifier = self.await_ready(Kind::Notifier, notifier);
        let gateways = launched.into_iter().map(|one| self.await_ready(Kind::Gateway, one));
        (engine, notifier, gateways.collect())
    }
}

/// A process that ends with this value.
struct Held(Child);

impl Held {
    /// Its status when it ends within this time; it is killed otherwise.
    fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let begin = Instant::now();
        while begin.elapsed() < limit {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        None
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A process that may not be ready yet.
pub struct Launched {
    name: String,
    process: Held,
    log: PathBuf,
    begin: Instant,
}

impl Launched {
    /// Waits until it says that it is ready, or how it ended.
    fn ready(mut self) -> Result<Member, FailedStart> {
        match ready_line(&mut self.process.0) {
            Ok(told) => {
                let text = |key: &str| told[key].as_str().unwrap_or("").to_owned();
                let (public, operator) = (text("public"), text("operator"));
                Ok(Member {
                    name: self.name,
                    process: self.process,
                    log: self.log,
                    public,
                    operator,
                })
            }
            Err(printed) => Err(FailedStart {
                code: self.process.0.wait().unwrap().code(),
                log: fs::read_to_string(&self.log).unwrap_or_default(),
                name: self.name,
                printed,
            }),
        }
    }

    /// Waits until it ends by itself, at most this long; exit code, time since its launch, and what it said.
    pub fn end(mut self, limit: Duration) -> (Option<i32>, Duration, String) {
        let status = self.process.ended(limit);
        let took = self.begin.elapsed();
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        (status.and_then(|status| status.code()), took, said)
    }
}

/// A process that is not ready and no longer there.
struct FailedStart {
    name: String,
    code: Option<i32>,
    /// In place of the line that says it is ready.
    printed: String,
    log: String,
}

impl fmt::Display for FailedStart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedStart { name, code, printed, log } = self;
        write!(out, "{name} is not ready: exit code {code:?}, {printed:?}; its log:\n{log}")
    }
}

/// A process that said it is ready.
pub struct Member {
    pub name: String,
    process: Held,
    log: PathBuf,
    /// Address of a gateway's public listener.
    pub public: String,
    /// Address of the operator's listener.
    pub operator: String,
}

impl Member {
    /// kill -9.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// SIGTERM; panics unless it ends in order.
    pub fn stop(mut self) {
        signal(self.pid(), "TERM");
        let status = self.process.ended(PATIENCE);
        assert!(status.is_some_and(|status| status.success()), "{}: {status:?}", self.name);
    }

    /// SIGSTOP: it stands still and everybody takes it for dead, though it is not.
    pub fn pause(&self) {
        signal(self.pid(), "STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        signal(self.pid(), "CONT");
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Its exit code when it ends by itself within this time.
    pub fn end(mut self, limit: Duration) -> Option<i32> {
        self.process.ended(limit).and_then(|status| status.code())
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.0.try_wait().unwrap().is_none()
    }

    /// What it wrote to its log, earlier processes of its name included.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where that is.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Status and body of `/readyz`.
    pub fn readiness(&self) -> (u16, Value) {
        let (status, body) = call("GET", &format!("{}/readyz", self.operator), "", &[]);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// Where a crowd finds this gateway and others, and where texts are written.
    pub fn stage<'a>(&'a self, fleet: &'a Fleet, publics: &'a [String]) -> Stage<'a> {
        Stage { publics, operator: &self.operator, token: &fleet.token, outbox: &fleet.outbox }
    }

    /// The remark of one of its checks.
    pub fn remark(&self, check: &str) -> String {
        let (_, ready) = self.readiness();
        let checks = ready["checks"].as_array().cloned().unwrap_or_default();
        let found = checks.iter().find(|found| found["name"] == check);
        found.and_then(|found| found["reason"].as_str()).unwrap_or("").to_owned()
    }

    /// Waits until one of its checks says this.
    pub fn wait_for_remark(&self, check: &str, remark: &str) {
        wait_until(&format!("{}: {check} is {remark}", self.name), || self.remark(check) == remark);
    }

    /// One of its metrics, by name and labels as they stand.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = call("GET", &format!("{}/metrics", self.operator), "", &[]);
        let line = text
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}
