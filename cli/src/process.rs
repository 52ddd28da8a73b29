//! The parts of the product in one process: all of them, or one beside others on the same journal.
//!
//! The order of the end matters: first the doors close and answers under way leave, then the notifier
//! finishes what it began, then the engine writes its events and a checkpoint, then the journal closes.

mod checks;
mod confirmations;
mod descriptors;
mod part;
mod streams;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::Engine;
use gateway::{Attachments, GatewayHandle, MetricsSource, Monitor, ReadyCheck};
use notifier::Notifier;
use vault::Vault;

use crate::config::Settings;
use crate::publisher::Publisher;
use crate::trouble::Trouble;
use checks::Board;
use confirmations::KafkaTopic;
use part::Part;
pub(crate) use streams::Streams;

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(20);

/// Which parts a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// All of them.
    All,
    /// The HTTP edge.
    Gateway,
    /// The writer.
    Engine,
    /// What follows from events.
    Notifier,
}

impl Cast {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Cast::All => "run",
            Cast::Gateway => "gateway",
            Cast::Engine => "engine",
            Cast::Notifier => "notifier",
        }
    }

    /// Whether it answers citizens.
    pub(crate) const fn has_gateway(self) -> bool {
        matches!(self, Cast::All | Cast::Gateway)
    }

    const fn has_engine(self) -> bool {
        matches!(self, Cast::All | Cast::Engine)
    }

    const fn has_notifier(self) -> bool {
        matches!(self, Cast::All | Cast::Notifier)
    }

    /// Whether it opens what only the secrets open.
    pub(crate) const fn needs_secrets(self) -> bool {
        !matches!(self, Cast::Engine)
    }
}

/// Everything that runs.
pub(crate) struct Process {
    cast: Cast,
    board: Arc<Board>,
    checks: Vec<ReadyCheck>,
    streams: Streams,
    /// The contact books of the parts.
    books: Vec<PathBuf>,
    engine: Option<Part>,
    notifier: Option<Part>,
    gateway: Option<GatewayHandle>,
    monitor: Option<Monitor>,
}

impl Process {
    /// Opens and starts the parts; blocks meanwhile. They are not ready yet when this returns.
    ///
    /// # Errors
    /// A sentence that names the part and the reason.
    pub(crate) fn start(
        settings: &Settings,
        vault: Option<Arc<Vault>>,
        cast: Cast,
    ) -> Result<Process, Trouble> {
        // Before anything is opened; a gateway looks at the result again.
        let _ = journal::raise_descriptor_limit();
        std::fs::create_dir_all(&settings.data_dir)
            .map_err(|error| format!("data_dir {}: {error}", settings.data_dir.display()))?;
        let board = Arc::new(Board::default());
        let checks = board.checks(cast, settings.is_exclusive());
        let attachments = Attachments {
            readiness: checks.clone(),
            metrics: vec![recorded_metrics()?, board.journal_metrics(!cast.has_gateway())],
            accept_time: cast.has_engine().then(|| board.accept_time()),
            ..Attachments::default()
        };
        // Without a gateway the operator's listener is there first: liveness waits for nothing.
        let mut monitor = None;
        if !cast.has_gateway() {
            let (address, limits) = (settings.listen.operator, settings.gateway_config().limits);
            let opened = gateway::monitor(address, &limits, vault.clone(), attachments.clone())?;
            monitor = Some(opened);
        }
        let streams = Streams::open(settings)?;
        let _ = board.streams.set(streams.clone());
        let mut process = Process {
            cast,
            board,
            checks,
            streams,
            books: books(settings, cast),
            engine: None,
            notifier: None,
            gateway: None,
            monitor,
        };
        match process.start_parts(settings, vault, attachments) {
            Ok(()) => Ok(process),
            Err(trouble) => {
                process.stop();
                Err(trouble)
            }
        }
    }

    fn start_parts(
        &mut self,
        settings: &Settings,
        vault: Option<Arc<Vault>>,
        attachments: Attachments,
    ) -> Result<(), Trouble> {
        let (streams, board) = (&self.streams, &self.board);
        if self.cast.has_engine() {
            self.engine = Some(start_engine(settings, streams, board)?);
        }
        // Who needs secrets has them.
        let Some(vault) = vault else { return Ok(()) };
        if self.cast.has_notifier() {
            self.notifier = Some(start_notifier(settings, streams, &vault, board)?);
        }
        if self.cast.has_gateway() {
            self.gateway = Some(start_gateway(settings, streams, &vault, attachments)?);
        }
        Ok(())
    }

    /// Address of the citizens' listener, where there is one.
    pub(crate) fn public(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(|gateway| gateway.public)
    }

    /// Address of the operator's listener.
    pub(crate) fn operator(&self) -> Option<SocketAddr> {
        let gateways = self.gateway.as_ref().map(|gateway| gateway.operator);
        gateways.or(self.monitor.as_ref().map(|monitor| monitor.address))
    }

    /// Waits until every part is ready.
    ///
    /// # Errors
    /// When the engine halted, which it does not leave by itself.
    pub(crate) async fn ready(&self) -> Result<(), Trouble> {
        loop {
            if let Some(status) = self.board.engine.get()
                && let Some(reason) = status.halted_reason()
                && !status.awaits_time()
            {
                return Err(Trouble::Failed(format!("the engine halted: {reason}")));
            }
            let waiting = self.checks.iter().any(|check| !(check.check)().ready);
            if !waiting && self.gateway.as_ref().is_none_or(GatewayHandle::is_ready) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for something that only a new start of this process can put right.
    ///
    /// A part alone in its process ends with it. Where all parts share one, the others stay: reads go on,
    /// and `/readyz` says why writes do not. A journal on Kafka that failed is opened again by a new start
    /// as soon as a broker answers, and not before: until then reads go on here.
    pub(crate) async fn fault(&self) -> Trouble {
        loop {
            tokio::time::sleep(POLL * 10).await;
            if let Some(reason) = self.gateway.as_ref().and_then(GatewayHandle::fault) {
                return Trouble::Failed(reason);
            }
            if self.monitor.as_ref().is_some_and(Monitor::has_stopped) {
                return Trouble::Failed("the operator's listener stopped".to_owned());
            }
            if let Some(book) = self.books.iter().find(|book| vault::contacts::is_damaged(book)) {
                return Trouble::Failed(format!(
                    "the contact book {} is damaged: this process ends, and a new start fills another from the journal",
                    book.display()
                ));
            }
            if self.streams.has_failed() {
                let streams = self.streams.clone();
                let asked = tokio::task::spawn_blocking(move || streams.restart_reason()).await;
                if let Ok(Some(reason)) = asked {
                    return Trouble::Failed(reason);
                }
                continue;
            }
            let mut parts = [&self.engine, &self.notifier].into_iter().flatten();
            if self.cast != Cast::All
                && let Some(reason) = parts.find_map(Part::fault)
            {
                return Trouble::Failed(reason);
            }
        }
    }

    /// Ends all parts in order.
    pub(crate) fn stop(self) {
        self.streams.wait_no_longer();
        if let Some(gateway) = self.gateway {
            gateway.drain();
            gateway.join();
        }
        for part in [self.notifier, self.engine].into_iter().flatten() {
            part.stop();
        }
        self.streams.close();
        drop(self.monitor);
    }
}

/// Where the parts keep contact data.
fn books(settings: &Settings, cast: Cast) -> Vec<PathBuf> {
    let gateway = cast.has_gateway().then(|| settings.gateway_config().data_dir);
    let notifier = cast.has_notifier().then(|| settings.notifier_config().data_dir);
    [gateway, notifier].into_iter().flatten().map(|folder| folder.join("contacts")).collect()
}

fn start_engine(settings: &Settings, streams: &Streams, board: &Board) -> Result<Part, Trouble> {
    let engine = Engine::open(settings.engine_config(rand::random()), streams.shared())?;
    let _ = board.engine.set(engine.status());
    let run = move |stop| engine.run(stop).map_err(|error| error.to_string());
    Ok(Part::start("engine", run)?)
}

fn start_notifier(
    settings: &Settings,
    streams: &Streams,
    vault: &Arc<Vault>,
    board: &Board,
) -> Result<Part, Trouble> {
    let notifier = Notifier::open(
        settings.notifier_config(),
        streams.shared(),
        Arc::clone(vault),
        outbox(settings)?,
    )?;
    let notifier = match streams {
        Streams::Embedded(_) => notifier,
        Streams::Kafka(_) => notifier.publish_to(Box::new(KafkaTopic::open(&settings.kafka)?)),
    };
    let _ = board.notifier.set(notifier.status());
    let run = move |stop: Arc<_>| notifier.run(&stop).map_err(|error| error.to_string());
    Ok(Part::start("notifier", run)?)
}

fn start_gateway(
    settings: &Settings,
    streams: &Streams,
    vault: &Arc<Vault>,
    attachments: Attachments,
) -> Result<GatewayHandle, Trouble> {
    // On Kafka a topic carries the same messages to those who read one.
    let publisher = Publisher::new(streams.shared(), Arc::clone(vault));
    let attachments = Attachments {
        confirmations: Some(publisher.source()),
        groups_before: streams.groups_before(),
        ..attachments
    };
    let mut config = settings.gateway_config();
    descriptors::fit(&mut config);
    let gateway = gateway::serve(config, streams.shared(), Arc::clone(vault), attachments)?;
    publisher.attach(gateway.reads());
    Ok(gateway)
}

/// The file provider, where plain texts are allowed.
fn outbox(settings: &Settings) -> Result<Box<dyn notifier::SmsProvider>, Trouble> {
    if !settings.sms.plaintext_outbox {
        return Err(Trouble::Configuration(
            "sms.plaintext_outbox is false and no other SMS provider is configured; set it to true only where texts in plain on this disk are acceptable"
                .to_owned(),
        ));
    }
    let folder = &settings.sms.outbox_dir;
    let opened = if settings.is_exclusive() {
        notifier::FileOutbox::open(folder)
    } else {
        notifier::FileOutbox::open_shared(folder)
    };
    let outbox = opened.map_err(|error| format!("sms.outbox_dir {}: {error}", folder.display()))?;
    Ok(Box::new(outbox))
}

/// What the parts count through the `metrics` interface: one recorder a process.
fn recorded_metrics() -> Result<MetricsSource, Trouble> {
    static RECORDER: OnceLock<metrics_exporter_prometheus::PrometheusHandle> = OnceLock::new();
    if RECORDER.get().is_none() {
        let installed = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder();
        let _ = RECORDER.set(installed.map_err(|error| format!("metrics: {error}"))?);
    }
    Ok(Arc::new(|out: &mut String| {
        if let Some(recorder) = RECORDER.get() {
            out.push_str(&recorder.render());
        }
    }))
}
