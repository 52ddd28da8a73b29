//! `slotline dev` and `slotline run`: everything in one process.
//!
//! `dev` keeps to loopback, uses the sample secrets and loads sample data; `run` is for production on
//! one machine and takes its own secrets only.

use std::io::IsTerminal;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use vault::{Role, Secrets, Vault};

use crate::End;
use crate::admin::now_s;
use crate::config::{LogSettings, Settings};
use crate::http::Client;
use crate::options::{DevOptions, RunOptions};
use crate::process::Process;
use crate::sample;

/// How long the operator token that `dev` prints is good for.
const DEV_TOKEN_LIFETIME_S: u64 = 365 * 86_400;
/// After a second signal the process ends at once; after the first it may take this long.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the product with sample data.
pub(crate) fn dev(options: &DevOptions) -> End {
    let mut settings = match Settings::from_pairs(&options.settings) {
        Ok(settings) => settings,
        Err(text) => return configuration(&text),
    };
    settings.data_dir.clone_from(&options.data);
    settings.listen.public = options.public;
    settings.listen.operator = options.operator;
    settings.sms.plaintext_outbox = true;
    settings.sms.outbox_dir = outbox_beside(&options.data);
    if !options.public.ip().is_loopback() || !options.operator.ip().is_loopback() {
        return configuration(
            "`slotline dev` uses sample secrets and listens on loopback addresses only; use `slotline run` for others",
        );
    }
    let vault = Vault::new(Secrets::sample());
    let mode = Mode::Dev { empty: options.empty };
    serve(settings, vault, mode, options.json)
}

/// Runs the product for production.
pub(crate) fn run(options: &RunOptions) -> End {
    let settings = match Settings::load(&options.config) {
        Ok(settings) => settings,
        Err(text) => return configuration(&text),
    };
    let Some(path) = &settings.secrets_file else {
        return configuration(
            "secrets_file is not set; make one with `slotline admin secrets --output secrets.toml`",
        );
    };
    let secrets = match Secrets::load(path) {
        Ok(secrets) => secrets,
        Err(error) => return configuration(&format!("{}: {error}", path.display())),
    };
    if secrets.is_sample() {
        return configuration(&format!(
            "{} holds sample secrets, which everyone knows; make your own with `slotline admin secrets`",
            path.display()
        ));
    }
    serve(settings, Vault::new(secrets), Mode::Run, options.json)
}

/// What differs between the two.
#[derive(Clone, Copy)]
enum Mode {
    Dev { empty: bool },
    Run,
}

/// `data` → `outbox`, `elsewhere/data` → `elsewhere/data-outbox`: outside the data directory.
fn outbox_beside(data: &std::path::Path) -> std::path::PathBuf {
    if data == std::path::Path::new("data") {
        return "outbox".into();
    }
    let name =
        data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    data.with_file_name(format!("{name}-outbox"))
}

fn configuration(text: &str) -> End {
    eprintln!("slotline: configuration: {text}");
    End::Configuration
}

fn serve(settings: Settings, vault: Vault, mode: Mode, json: bool) -> End {
    if let Err(text) = settings.check() {
        return configuration(&text);
    }
    start_log(&settings.log);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("slotline: {error}");
            return End::Failed;
        }
    };
    match runtime.block_on(attend(settings, vault, mode, json)) {
        Ok(()) => End::Done,
        Err(text) => {
            eprintln!("slotline: {text}");
            End::Failed
        }
    }
}

/// From the start of the parts to their end.
async fn attend(settings: Settings, vault: Vault, mode: Mode, json: bool) -> Result<(), String> {
    let mut signals = Signals::listen()?;
    let token = match mode {
        Mode::Dev { .. } => {
            let token = vault
                .mint_operator_token("dev", &Role::ALL, now_s() + DEV_TOKEN_LIFETIME_S)
                .map_err(|error| error.to_string())?;
            Some(token.to_string())
        }
        Mode::Run => None,
    };
    let process = Process::start(&settings, vault)?;
    let prepared = tokio::select! {
        prepared = prepare(&process, &settings, mode, token.as_deref(), json) => prepared,
        () = signals.next() => Ok(()),
    };
    if prepared.is_ok() {
        signals.next().await;
    }
    tracing::info!("stopping");
    end(process, signals).await;
    prepared
}

/// Waits until all is ready, loads sample data, prints where to go.
async fn prepare(
    process: &Process,
    settings: &Settings,
    mode: Mode,
    token: Option<&str>,
    json: bool,
) -> Result<(), String> {
    process.ready().await?;
    let public = format!("http://{}", process.public());
    let operator = format!("http://{}", process.operator());
    let citizens = Client::new(&public, None).map_err(|error| error.to_string())?;
    let sampled = matches!(mode, Mode::Dev { empty: false });
    if sampled {
        let operators = Client::new(&operator, token).map_err(|error| error.to_string())?;
        sample::load(&operators, &citizens).await.map_err(|error| error.to_string())?;
    }
    if json {
        let line = json!({
            "public": public, "operator": operator, "operator_token": token,
            "data": settings.data_dir, "outbox": settings.sms.outbox_dir,
        });
        println!("{line}");
        return Ok(());
    }
    println!("public    {public}      (readable contract: {public}/docs)");
    println!("operator  {operator}      (/readyz, /metrics)");
    if let Some(token) = token {
        println!("operator token  {token}");
    }
    if sampled {
        let slot = sample::sample_slot(&citizens).await.map_err(|error| error.to_string())?;
        print_lines(&public, slot.unwrap_or(0), settings);
    }
    Ok(())
}

/// The three lines to paste.
fn print_lines(public: &str, slot: u64, settings: &Settings) {
    let (id, card) = (sample::SAMPLE_ID_NUMBER, sample::SAMPLE_CARD_NUMBER);
    let period = sample::SAMPLE_PERIOD;
    let json = "-H 'content-type: application/json'";
    println!("\nLog in as a sample person, book a place, see the SMS:\n");
    println!(
        "  TOKEN=$(curl -s {public}/v1/identity {json} -d '{{\"method\":\"document\",\"id_number\":\"{id}\",\"card_number\":\"{card}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')"
    );
    println!(
        "  curl -s {public}/v1/bookings {json} -H \"authorization: Bearer $TOKEN\" -H 'idempotency-key: my-first-booking' -H 'prefer: wait=10' -d '{{\"period\":{period},\"slot\":{slot}}}'; echo"
    );
    println!("  tail -n 1 {}/*", settings.sms.outbox_dir.display());
    println!("\nCtrl-C ends it; the next start resumes.");
}

/// Ends the parts; a second signal or a long wait ends the process at once.
async fn end(process: Process, mut signals: Signals) {
    let ended = tokio::task::spawn_blocking(move || process.stop());
    let impatient = async {
        tokio::select! {
            () = signals.next() => {}
            () = tokio::time::sleep(STOP_TIMEOUT) => {}
        }
    };
    tokio::select! {
        _ = ended => {}
        () = impatient => {
            eprintln!("slotline: ended at once; the journal is complete");
            std::process::exit(1);
        }
    }
}

/// SIGTERM and Ctrl-C.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, String> {
        let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
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
