//! One process of the installation and its supervisor, which starts it again when it ends by itself, as
//! systemd would.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use super::super::fleet::{Fleet, Kind};
use super::super::{free_port, signal, wait_until};

/// How often the supervisor looks, and how long it waits before it starts a process again.
const LOOK: Duration = Duration::from_millis(50);
const RESTART: Duration = Duration::from_millis(500);
/// A process that is paused takes a connection and never answers. A slow one does.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// One process, whichever run of it lives now.
pub struct Supervised {
    pub kind: Kind,
    pub name: String,
    pub public: SocketAddr,
    pub operator: SocketAddr,
    shared: Arc<Shared>,
    supervisor: Option<JoinHandle<()>>,
}

struct Shared {
    kind: Kind,
    fleet: Arc<Fleet>,
    data: PathBuf,
    log: PathBuf,
    /// Public and operator.
    addresses: (SocketAddr, SocketAddr),
    child: Mutex<Option<Child>>,
    is_over: AtomicBool,
    /// Ends that nobody ordered, in words.
    unordered: Mutex<Vec<String>>,
}

impl Supervised {
    /// A process that does not run yet.
    pub fn new(kind: Kind, number: u8, fleet: &Arc<Fleet>) -> Supervised {
        let name = format!("{}-{number}", kind.verb());
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (public, operator) = (address(), address());
        let shared = Arc::new(Shared {
            kind,
            fleet: Arc::clone(fleet),
            data: fleet.folder.join(&name),
            log: fleet.folder.join(format!("{name}.log")),
            addresses: (public, operator),
            child: Mutex::default(),
            is_over: AtomicBool::new(false),
            unordered: Mutex::default(),
        });
        let supervised = Arc::clone(&shared);
        let supervisor = std::thread::spawn(move || supervised.supervise());
        Supervised { kind, name, public, operator, shared, supervisor: Some(supervisor) }
    }

    /// Starts it; it is not ready yet.
    pub fn start(&self) {
        let mut child = self.shared.child.lock();
        assert!(child.is_none(), "{} runs already", self.name);
        *child = Some(self.shared.spawn());
    }

    /// kill -9; it stays away until it is started.
    pub fn kill(&self) {
        if let Some(mut child) = self.shared.child.lock().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        signal(self.pid(), "STOP");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        signal(self.pid(), "CONT");
    }

    fn pid(&self) -> u32 {
        self.shared.child.lock().as_ref().expect("it runs").id()
    }

    /// Removes what it kept on disk, as the loss of that disk would. It must not run.
    pub fn lose_data(&self) {
        assert!(self.shared.child.lock().is_none(), "{} runs", self.name);
        if self.shared.data.exists() {
            fs::remove_dir_all(&self.shared.data).unwrap();
        }
    }

    /// What it says of its part in `/readyz` ("active", "standby", or why it is not ready); `None` when
    /// it does not answer.
    pub fn role(&self) -> Option<String> {
        let (_, body) = self.get("/readyz")?;
        let ready: serde_json::Value = serde_json::from_str(&body).ok()?;
        let checks = ready["checks"].as_array()?;
        let own = checks.iter().find(|check| check["name"] == self.kind.verb())?;
        Some(own["reason"].as_str()?.to_owned())
    }

    /// True when every check of `/readyz` holds.
    pub fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|(status, _)| status == 200)
    }

    /// Waits until it is ready.
    pub fn wait_ready(&self) {
        wait_until(&format!("{} is ready", self.name), || self.is_ready());
    }

    /// A figure of `/metrics`, by its name with labels.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// Status and body of a GET on the operator's listener.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.operator, ANSWER_MAX).ok()?;
        stream.set_read_timeout(Some(ANSWER_MAX)).ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Resident memory, KiB; 0 when it does not run.
    pub fn memory_kib(&self) -> u64 {
        let child = self.shared.child.lock();
        let Some(pid) = child.as_ref().map(Child::id) else { return 0 };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok());
        figure.unwrap_or(0)
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.shared.log).unwrap_or_default()
    }

    /// Ends that nobody ordered, in words.
    pub fn unordered(&self) -> Vec<String> {
        self.shared.unordered.lock().clone()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        self.kill();
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
        // It may have started one more meanwhile.
        self.kill();
    }
}

impl Shared {
    fn spawn(&self) -> Child {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let (public, operator) = self.addresses;
        self.fleet
            .command(&[self.kind.verb()])
            .env("SLOTLINE__DATA_DIR", &self.data)
            .env("SLOTLINE__LISTEN__PUBLIC", public.to_string())
            .env("SLOTLINE__LISTEN__OPERATOR", operator.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Starts it again whenever it has ended by itself.
    fn supervise(&self) {
        while !self.is_over.load(Ordering::Acquire) {
            std::thread::sleep(LOOK);
            let mut child = self.child.lock();
            let Some(Ok(Some(status))) = child.as_mut().map(Child::try_wait) else { continue };
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let why = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            self.unordered.lock().push(format!("{status}: {why}"));
            // Whoever kills it now finds nothing running, and must not see it come back.
            std::thread::sleep(RESTART);
            *child = Some(self.spawn());
        }
    }
}
