//! All parts in one process: journal, engine, gateway, notifier, wired and ended in order.
//!
//! The order of the end matters: first the doors close and answers under way leave, then the notifier
//! finishes what it began, then the engine writes its events and a checkpoint, then the journal closes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::{Engine, EngineStatus, Phase};
use gateway::{Attachments, GatewayHandle, Readiness, ReadyCheck};
use journal::Journal;
use journal::embedded::EmbeddedJournal;
use notifier::{Notifier, NotifierConfig};
use vault::Vault;

use crate::config::Settings;
use crate::publisher::Publisher;

/// How often a wait for readiness looks again.
const READY_POLL: Duration = Duration::from_millis(20);

/// Everything that runs.
pub(crate) struct Process {
    journal: Arc<EmbeddedJournal>,
    gateway: GatewayHandle,
    engine: Part,
    notifier: Part,
    status: Arc<EngineStatus>,
    ready: Vec<ReadyCheck>,
}

/// A part on a thread of its own.
struct Part {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Part {
    fn start(
        name: &'static str,
        work: impl FnOnce(Arc<AtomicBool>) -> Result<(), String> + Send + 'static,
    ) -> Result<Part, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let run = move || match work(flag) {
            Ok(()) => tracing::info!(part = name, "stopped"),
            // The rest of the process stays: reads go on, and /readyz says why writes do not.
            Err(error) => tracing::error!(part = name, "stopped: {error}"),
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        Ok(Part { stop, thread: thread.map_err(|error| format!("thread {name}: {error}"))? })
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Release);
        // A panic of the part was reported by its thread.
        let _ = self.thread.join();
    }
}

impl Process {
    /// Starts all parts. They are not ready yet when this returns.
    ///
    /// # Errors
    /// A sentence that names the part and the reason.
    pub(crate) fn start(settings: &Settings, vault: Vault) -> Result<Process, String> {
        std::fs::create_dir_all(&settings.data_dir)
            .map_err(|error| format!("{}: {error}", settings.data_dir.display()))?;
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new()
            .install_recorder()
            .map_err(|error| format!("metrics: {error}"))?;
        let vault = Arc::new(vault);
        let journal =
            EmbeddedJournal::open(&settings.data_dir.join("journal"), settings.journal.clone())
                .map_err(|error| error.to_string())?;
        let journal = Arc::new(journal);
        let shared: Arc<dyn Journal> = Arc::clone(&journal) as Arc<dyn Journal>;

        let engine = Engine::open(settings.engine_config(rand::random()), Arc::clone(&shared))
            .map_err(|error| format!("engine: {error}"))?;
        let status = engine.status();
        let engine =
            Part::start("engine", move |stop| engine.run(stop).map_err(|error| error.to_string()))?;

        let notifier = Notifier::open(
            NotifierConfig::new(settings.data_dir.join("notifier")),
            Arc::clone(&shared),
            Arc::clone(&vault),
            outbox(settings)?,
        )
        .map_err(|error| format!("notifier: {error}"))?;
        let notified = notifier.status();
        let notifier = Part::start("notifier", move |stop| {
            notifier.run(&stop).map_err(|error| error.to_string())
        })?;

        let ready = vec![engine_check(Arc::clone(&status)), notifier_check(notified)];
        let publisher = Publisher::new(Arc::clone(&shared), Arc::clone(&vault));
        let attachments = Attachments {
            readiness: ready.clone(),
            metrics: vec![Arc::new(move |out: &mut String| out.push_str(&metrics.render()))],
            confirmations: Some(publisher.source()),
            accept_time: Some(accept_time(Arc::clone(&status))),
        };
        let gateway = gateway::serve(settings.gateway_config(), shared, vault, attachments)
            .map_err(|error| format!("gateway: {error}"))?;
        publisher.attach(gateway.reads());
        Ok(Process { journal, gateway, engine, notifier, status, ready })
    }

    /// Address of the citizens' listener.
    pub(crate) fn public(&self) -> SocketAddr {
        self.gateway.public
    }

    /// Address of the operator's listener.
    pub(crate) fn operator(&self) -> SocketAddr {
        self.gateway.operator
    }

    /// Waits until every part is ready.
    ///
    /// # Errors
    /// When the engine halted, which it does not leave by itself.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        loop {
            if let Some(reason) = self.status.halted_reason() {
                return Err(format!("the engine halted: {reason}"));
            }
            let waiting = self.ready.iter().find(|check| !(check.check)().ready);
            if waiting.is_none() && self.gateway.is_ready() {
                return Ok(());
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Ends all parts in order.
    pub(crate) fn stop(self) {
        self.gateway.drain();
        self.gateway.join();
        self.notifier.stop();
        self.engine.stop();
        self.journal.close();
    }
}

/// The file provider, where plain texts are allowed.
fn outbox(settings: &Settings) -> Result<Box<dyn notifier::SmsProvider>, String> {
    if !settings.sms.plaintext_outbox {
        return Err(
            "sms.plaintext_outbox is false and no other SMS provider is configured; set it to true only where texts in plain on this disk are acceptable"
                .to_owned(),
        );
    }
    let outbox = notifier::FileOutbox::open(&settings.sms.outbox_dir)
        .map_err(|error| format!("{}: {error}", settings.sms.outbox_dir.display()))?;
    Ok(Box::new(outbox))
}

fn engine_check(status: Arc<EngineStatus>) -> ReadyCheck {
    let check = move || match status.phase() {
        Phase::Active => Readiness::ready(),
        Phase::Halted => Readiness::because(status.halted_reason().unwrap_or_default()),
        phase => {
            let mut readiness = Readiness::because(phase.name());
            readiness.progress = Some((status.position(), status.replay_target()));
            readiness
        }
    };
    ReadyCheck { name: "engine", check: Arc::new(check) }
}

fn notifier_check(status: Arc<notifier::NotifierStatus>) -> ReadyCheck {
    let check = move || match status.failure() {
        Some(why) => Readiness::because(why),
        None if status.is_active() => Readiness::ready(),
        None => Readiness::because("reading what was sent before"),
    };
    ReadyCheck { name: "notifier", check: Arc::new(check) }
}

fn accept_time(status: Arc<EngineStatus>) -> Arc<dyn Fn() -> bool + Send + Sync> {
    Arc::new(move || status.accept_time())
}
