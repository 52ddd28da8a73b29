//! The life of a server process: signals, start, the line that says it is ready, the end.
//!
//! The first SIGTERM or Ctrl-C ends it in order, with exit code 0; a second one ends it at once. What this
//! module does not do: know the parts (`process`).

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use vault::Vault;

use crate::End;
use crate::config::{LogSettings, Settings};
use crate::process::{Cast, Process};
use crate::trouble::Trouble;

/// After a second signal the process ends at once; after the first it may take this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(75);

/// What is served, and to whom it is told.
pub(crate) struct Service {
    /// The parts.
    pub(crate) cast: Cast,
    /// What only secrets open; the engine alone does without.
    pub(crate) vault: Option<Vault>,
    /// One line of JSON once ready, instead of text.
    pub(crate) json: bool,
}

/// What happens between ready and the line that says so.
pub(crate) trait Prepare {
    /// Prepares a server that is ready; gives more members of its line, and more lines of its text.
    async fn prepare(
        &self,
        process: &Process,
        settings: &Settings,
    ) -> Result<(Vec<(&'static str, Value)>, String), Trouble>;
}

/// Nothing happens.
pub(crate) struct AsItIs;

impl Prepare for AsItIs {
    async fn prepare(
        &self,
        _: &Process,
        _: &Settings,
    ) -> Result<(Vec<(&'static str, Value)>, String), Trouble> {
        Ok((Vec::new(), String::new()))
    }
}

/// Serves until told to end.
pub(crate) fn serve(settings: Settings, service: Service, prepare: &impl Prepare) -> End {
    let served = settings.check().map_err(Trouble::Configuration).and_then(|()| {
        start_log(&settings.log);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Trouble::Failed(error.to_string()))?;
        let served = runtime.block_on(attend(settings, service, prepare));
        // A question to a broker that is away is not waited for.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => End::Done,
        Err(trouble) => trouble.tell("slotline"),
    }
}

/// From the start of the parts to their end.
async fn attend(
    settings: Settings,
    service: Service,
    prepare: &impl Prepare,
) -> Result<(), Trouble> {
    let mut signals = Signals::listen()?;
    let settings = Arc::new(settings);
    let (cast, json) = (service.cast, service.json);
    let vault = service.vault.map(Arc::new);
    let given = Arc::clone(&settings);
    let mut starting = tokio::task::spawn_blocking(move || Process::start(&given, vault, cast));
    let process = tokio::select! {
        started = &mut starting => finished(started)?,
        () = signals.next() => {
            tracing::info!("stopping once the start is through");
            let started = patiently(&mut starting, &mut signals).await;
            return match started {
                Ok(process) => { end(process, signals).await; Ok(()) }
                // What it failed at no longer matters.
                Err(_) => Ok(()),
            };
        }
    };
    let lived = tokio::select! {
        lived = live(&process, &settings, cast, json, prepare) => lived,
        fault = process.fault() => Err(fault),
        () = signals.next() => Ok(()),
    };
    if let Err(Trouble::Failed(why) | Trouble::Configuration(why)) = &lived {
        tracing::error!("ending: {why}");
    } else {
        tracing::info!("stopping");
    }
    end(process, signals).await;
    lived
}

/// Waits until all is ready, says so, and then for ever.
async fn live(
    process: &Process,
    settings: &Settings,
    cast: Cast,
    json: bool,
    prepare: &impl Prepare,
) -> Result<(), Trouble> {
    process.ready().await?;
    let (members, text) = prepare.prepare(process, settings).await?;
    let url = |address: Option<std::net::SocketAddr>| address.map(|one| format!("http://{one}"));
    let (public, operator) = (url(process.public()), url(process.operator()));
    if json {
        let mut line =
            json!({ "part": cast.name(), "operator": operator, "data": settings.data_dir });
        if let Some(public) = public {
            line["public"] = public.into();
        }
        for (name, value) in members {
            line[name] = value;
        }
        println!("{line}");
    } else {
        if let Some(public) = public {
            println!("public    {public}      (readable contract: {public}/docs)");
        }
        println!("operator  {}      (/readyz, /metrics)", operator.unwrap_or_default());
        print!("{text}");
    }
    std::future::pending().await
}

/// Ends the parts; a second signal or a long wait ends the process at once.
async fn end(process: Process, mut signals: Signals) {
    let mut ending = tokio::task::spawn_blocking(move || {
        process.stop();
        Ok(())
    });
    // A panic was reported by its thread.
    let _ = patiently(&mut ending, &mut signals).await;
}

/// Waits for work that a signal, or much time, cuts short together with the process.
async fn patiently<T>(
    work: &mut JoinHandle<Result<T, Trouble>>,
    signals: &mut Signals,
) -> Result<T, Trouble> {
    tokio::select! {
        done = work => finished(done),
        () = signals.next() => at_once(),
        () = tokio::time::sleep(STOP_TIMEOUT) => at_once(),
    }
}

fn at_once() -> ! {
    eprintln!("slotline: ended at once; the journal is complete");
    std::process::exit(1);
}

fn finished<T>(joined: Result<Result<T, Trouble>, tokio::task::JoinError>) -> Result<T, Trouble> {
    joined.unwrap_or_else(|error| Err(Trouble::Failed(error.to_string())))
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Trouble> {
        let listen =
            |kind| signal(kind).map_err(|error| Trouble::Failed(format!("signals: {error}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn start_log(settings: &LogSettings) {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.level)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second logger in one process (tests) is not an error worth dying for.
    let _ = if settings.json { log.json().try_init() } else { log.try_init() };
}
