//! The edge: HTTP in, commands out, answers from a view of the events.
//!
//! ```text
//! server ─▶ connection ─▶ handler ─▶ submitter ─▶ commands           (a core: one thread, one lane)
//!                            ▲           ▲
//!             availability ──┤           └── inbox ◀── view ◀── events (one thread, one wake a core and group)
//! ```
//!
//! # Where things are
//! - [`config`]: every limit, by name. `context`: what all cores share. `core`: what one core has.
//! - `server`, `core_watch`, `connection`, `head`: sockets, threads, patience, the watched byte stream.
//!   `route`: which call it is. `body`, `query`, `import::json`: what was sent. `problem`, `reply`, `i18n`: what is
//!   answered.
//! - `caller`: the citizen's token. `retry`: keys, fingerprints, receipts. `shed`: what need not be
//!   written. `submitter`, `outcomes`, `origin`, `in_flight`, `decided`: a command's way out and its answer's way
//!   back. `view`: the reader of events. `horizon`, `roster_end`, `looks`: how far other gateways wrote.
//!   `availability`: answers for everyone.
//! - `handler`: one file per thing a person does. `operator`: the operator listener; `monitor`: a small one for
//!   processes without a gateway. `identity`: ways of proving who one is. [`roster`]: the people the authority
//!   knows.
//!
//! # The seams
//! - A handler is `async fn(&Core, &Parts, Incoming) -> Result<Reply, Problem>`; problems are worded by
//!   the dispatcher. It runs on its core's thread: nothing in it may block for long; what does goes to
//!   `tokio::task::spawn_blocking` with a clone of the [`Arc`] in `core.context`.
//! - An operator's write is `core.apply(command).await`, which gives the command's events once the view
//!   has them; `context.availability.all_published().await` then makes announcements show it.
//! - A person's own read starts with `core.view_reached(token's sequence).await`.
//!
//! What this crate deliberately does not do: decide (the engine does), hold a secret (the vault does),
//! TLS, compression, pages for people.

pub mod config;
pub mod import;
pub mod regions;
pub mod roster;
pub mod untrusted;

mod availability;
mod body;
mod caller;
mod connection;
mod context;
mod core;
mod core_watch;
mod decided;
mod handler;
mod head;
mod horizon;
mod i18n;
mod identity;
mod in_flight;
mod limiter;
mod looks;
pub mod metrics;
mod monitor;
mod openapi;
mod operator;
mod origin;
mod outcomes;
mod problem;
mod query;
mod reply;
mod retry;
mod roster_end;
mod route;
mod server;
mod shed;
mod submitter;
mod text;
mod view;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::view::View;
use domain::{PersonNumber, Sequence};
use journal::{Journal, JournalError, Stream};
use tokio::sync::watch;
use vault::Vault;
use vault::contacts::{BookError, ContactBook};

pub use config::{
    AvailabilityConfig, BadSetting, GatewayConfig, IdentityConfig, LimitConfig, RequestConfig,
    ViewConfig,
};
pub use context::{Attachments, Readiness, ReadyCheck};
pub use horizon::GroupsBefore;
pub use metrics::MetricsSource;
pub use monitor::{Monitor, monitor};
pub use operator::{AcceptTime, ConfirmationsError, ConfirmationsSource};
pub use problem::Slug;

use availability::Availability;
use context::Context;
use core_watch::CoreWatch;
use limiter::{FailureBook, RateBook};
use metrics::Counters;
use outcomes::Inbox;
use roster::owner::OwnerError;
use roster::{RosterError, RosterView};
use server::Listener;

/// Pause between two questions whose roster it is, while the journal is away.
const OWNER_PAUSE: Duration = Duration::from_millis(200);

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// An address cannot be had.
    #[error("cannot listen on {address}: {cause}. Is another process using it?")]
    Address {
        /// Which.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
    /// The journal refuses.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The contact book cannot be opened.
    #[error(transparent)]
    Contacts(#[from] BookError),
    /// The roster view cannot be opened.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The secrets are not those of this journal.
    #[error("{0}")]
    OtherSecrets(OwnerError),
    /// A thread of the listeners cannot work.
    #[error("a thread of the listeners cannot start: {0}")]
    Core(io::Error),
    /// The system refuses a thread or a folder.
    #[error("gateway: {0}")]
    System(#[from] io::Error),
}

/// Reads the roster once it is known whose it is; others' is never read, and the gateway never ready then.
fn follow_roster(context: &Context, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match roster::owner::claim(&*context.journal, &context.vault) {
            Ok(()) => return context.roster.run(stop),
            Err(OwnerError::Journal(error)) => {
                tracing::warn!(%error, "whose roster it is cannot be asked yet");
                std::thread::sleep(OWNER_PAUSE);
            }
            Err(error) => return tracing::error!(%error, "the roster is not read"),
        }
    }
}

impl From<OwnerError> for ServeError {
    fn from(error: OwnerError) -> ServeError {
        match error {
            OwnerError::Journal(error) => ServeError::Journal(error),
            error @ OwnerError::OtherSecrets => ServeError::OtherSecrets(error),
        }
    }
}

/// A way to look into a gateway's view; changes nothing.
#[derive(Clone, Debug)]
pub struct Reads {
    context: Arc<Context>,
}

impl Reads {
    /// The last command whose events the view has taken in.
    pub fn sequence(&self) -> Sequence {
        self.context.view.sequence()
    }

    /// Looks at the view. Keep it short: the view's writer waits meanwhile.
    pub fn look<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.context.view.read())
    }

    /// Sealed contact data of these people, in order.
    ///
    /// # Errors
    /// In words, when the disk book cannot be read.
    pub fn contacts(&self, people: &[PersonNumber]) -> Result<Vec<Option<Vec<u8>>>, String> {
        self.context.view.contacts(people)
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct GatewayHandle {
    /// Where citizens call; the real port where the configured one was 0.
    pub public: SocketAddr,
    /// Where operators and monitoring call.
    pub operator: SocketAddr,
    context: Arc<Context>,
    stop_public: watch::Sender<bool>,
    stop_operator: watch::Sender<bool>,
    stop_readers: Arc<AtomicBool>,
    public_threads: Vec<JoinHandle<()>>,
    operator_threads: Vec<JoinHandle<()>>,
    reader_threads: Vec<JoinHandle<()>>,
}

/// Starts a gateway on threads of its own. The listeners answer at once; what is not known yet is
/// answered with 503 until the view has caught up.
///
/// # Errors
/// When settings, addresses, journal or disk views do not allow it.
pub fn serve(
    config: GatewayConfig,
    journal: Arc<dyn Journal>,
    vault: Arc<Vault>,
    attachments: impl Into<Attachments>,
) -> Result<GatewayHandle, ServeError> {
    config.check()?;
    let (public_sockets, public) = sockets(config.public_address, config.public_cores())?;
    let (operator_sockets, operator) = sockets(config.operator_address, 1)?;
    let context = Arc::new(build(config, journal, vault, attachments.into())?);
    let mut gateway = GatewayHandle {
        public,
        operator,
        context,
        stop_public: watch::Sender::new(false),
        stop_operator: watch::Sender::new(false),
        stop_readers: Arc::new(AtomicBool::new(false)),
        public_threads: Vec::new(),
        operator_threads: Vec::new(),
        reader_threads: Vec::new(),
    };
    gateway.start_readers()?;
    gateway.mark()?;
    gateway.start_cores(public_sockets, operator_sockets).map_err(ServeError::Core)?;
    Ok(gateway)
}

/// One listening socket a core, all on one address.
fn sockets(
    address: SocketAddr,
    cores: usize,
) -> Result<(Vec<std::net::TcpListener>, SocketAddr), ServeError> {
    let failed = |cause| ServeError::Address { address, cause };
    server::ensure_free(address).map_err(failed)?;
    let first = server::listen(address).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?;
    let mut all = vec![first];
    for _ in 1..cores {
        all.push(server::listen(bound).map_err(failed)?);
    }
    Ok((all, bound))
}

/// What all cores share, the operator listener's core last.
fn build(
    config: GatewayConfig,
    journal: Arc<dyn Journal>,
    vault: Arc<Vault>,
    attachments: Attachments,
) -> Result<Context, ServeError> {
    std::fs::create_dir_all(&config.data_dir)?;
    match roster::owner::claim(&*journal, &vault) {
        // Whose it is, is asked again before the roster is read.
        Err(OwnerError::Journal(JournalError::Unavailable { .. })) => {}
        claimed => claimed?,
    }
    let contacts = contact_book(&config.data_dir, &*journal)?;
    let roster = RosterView::open(
        &config.data_dir.join("roster"),
        Arc::clone(&journal),
        Arc::clone(&vault),
    )?;
    let cores = config.public_cores() + 1;
    let (identity, limits) = (&config.identity, &config.limits);
    Ok(Context {
        view: view::ViewHandle::new(contacts),
        roster: Arc::new(roster),
        horizon: horizon::Horizon::new(
            attachments.groups_before.clone(),
            Duration::from_millis(config.request.look_interval_ms),
        ),
        roster_end: roster_end::RosterEnd::new(),
        availability: Availability::new(config.availability.clone()),
        in_flight: Arc::new(in_flight::InFlight::new(cores)),
        decided: decided::DecidedKeys::new(),
        watchers: Arc::default(),
        inboxes: (0..cores).map(|_| Arc::new(Inbox::default())).collect(),
        counters: (0..cores).map(|_| Arc::new(Counters::default())).collect(),
        failures: FailureBook::new(
            identity.failures_max,
            identity.failure_window_s,
            identity.failure_entries_max,
        ),
        person_rates: RateBook::new(
            limits.person_commands_per_minute_max,
            60,
            limits.rate_entries_max,
        ),
        address_rates: RateBook::new(
            limits.address_requests_per_second_max,
            1,
            limits.rate_entries_max,
        ),
        instance: origin::new_instance(),
        draining: AtomicBool::new(false),
        stopped: OnceLock::new(),
        desk: operator::Desk::default(),
        journal,
        vault,
        attachments,
        config,
    })
}

/// The contact book of this journal; one of another journal is begun anew, as it is only a copy.
fn contact_book(data_dir: &Path, journal: &dyn Journal) -> Result<ContactBook, ServeError> {
    let folder = data_dir.join("contacts");
    let book = ContactBook::open(&folder)?;
    if book.claim(journal.id().0).is_ok() {
        return Ok(book);
    }
    tracing::warn!("the contact book does not belong to this journal and is begun anew");
    drop(book);
    std::fs::remove_dir_all(&folder)?;
    let book = ContactBook::open(&folder)?;
    book.claim(journal.id().0)?;
    Ok(book)
}

impl GatewayHandle {
    /// True when the gateway and every part attached to it are ready: what `/readyz` says.
    pub fn is_ready(&self) -> bool {
        operator::is_ready(&self.context)
    }

    /// Why a part of a listener ended that nobody told to: only a new start of the process puts that right.
    pub fn fault(&self) -> Option<String> {
        self.context.stopped.get().cloned()
    }

    /// What the gateway knows, for other parts of the process that publish it.
    pub fn reads(&self) -> Reads {
        Reads { context: Arc::clone(&self.context) }
    }

    /// Stops taking connections and lets answers under way finish; returns at once.
    pub fn drain(&self) {
        self.context.draining.store(true, Ordering::Release);
        self.stop_public.send_replace(true);
    }

    /// Drains, waits until all threads have ended, and gives back what they held.
    pub fn join(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.drain();
        wait_for(&mut self.public_threads);
        // Health is answered, and operators are served, until the last citizen is.
        self.stop_operator.send_replace(true);
        wait_for(&mut self.operator_threads);
        self.stop_readers.store(true, Ordering::Release);
        self.context.availability.ring();
        wait_for(&mut self.reader_threads);
    }

    fn start_readers(&mut self) -> io::Result<()> {
        type Run = fn(&Context, &AtomicBool);
        let readers: [(&str, Run); 5] = [
            ("view", view::run),
            ("horizon", horizon::run),
            ("availability", availability::run),
            ("roster", follow_roster),
            ("roster-end", roster_end::run),
        ];
        for (name, run) in readers {
            let (context, stop) = (Arc::clone(&self.context), Arc::clone(&self.stop_readers));
            let thread = named(name).spawn(move || {
                let watched = std::panic::AssertUnwindSafe(|| run(&context, &stop));
                if std::panic::catch_unwind(watched).is_err() {
                    // The text is in the log; nobody reads for this gateway any more.
                    let why = format!("the thread {name} of the gateway panicked");
                    let _ = context.stopped.set(why);
                }
            })?;
            self.reader_threads.push(thread);
        }
        Ok(())
    }

    /// Writes the marker by which the view knows that it has caught up with this moment. A journal that
    /// takes its time holds up nobody: listeners answer meanwhile.
    fn mark(&self) -> io::Result<()> {
        let mut record = Vec::new();
        domain::codec::encode_command(&view::marker(&self.context), &mut record);
        // Counted here, before the operator's core counts its own.
        self.context.inboxes[usize::from(self.context.operator_core())].count_pushed();
        let journal = Arc::clone(&self.context.journal);
        // The thread may outlive a gateway that is stopped meanwhile, and must not hold it.
        let context = Arc::downgrade(&self.context);
        named("mark").spawn(move || {
            let appended = journal.append(Stream::Commands, &[&record]);
            let Some(context) = context.upgrade() else { return };
            match appended {
                Ok(appended) => context.horizon.mark(appended.next),
                Err(error) => context.view.halt(format!("the start could not be marked: {error}")),
            }
            context.inboxes.iter().for_each(|inbox| inbox.wake_view_waiters());
        })?;
        Ok(())
    }

    fn start_cores(
        &mut self,
        public: Vec<std::net::TcpListener>,
        operator: Vec<std::net::TcpListener>,
    ) -> io::Result<()> {
        let all = [
            (Listener::Public, public, self.stop_public.subscribe()),
            (Listener::Operator, operator, self.stop_operator.subscribe()),
        ];
        let mut index = 0_u8;
        let (started, reports) = mpsc::channel();
        for (listener, sockets, stop) in all {
            let open = Arc::new(AtomicUsize::new(0));
            for socket in sockets {
                let (context, open, stop) =
                    (Arc::clone(&self.context), Arc::clone(&open), stop.clone());
                let core = index;
                let watch = CoreWatch::new(Arc::clone(&context), stop.clone(), core);
                let started = started.clone();
                let thread = named("core").spawn(move || {
                    // Dropped when the thread ends, by a panic too.
                    let watch = watch;
                    let mut report = Some(started);
                    let opened = || drop(report.take().map(|report| report.send(Ok(()))));
                    let ran = server::run_core(context, core, listener, socket, open, stop, opened);
                    if let Err(error) = ran {
                        watch.stopped(&error.to_string());
                        drop(report.take().map(|report| report.send(Err(error))));
                    }
                })?;
                match listener {
                    Listener::Public => self.public_threads.push(thread),
                    Listener::Operator => self.operator_threads.push(thread),
                }
                index = index.saturating_add(1);
            }
        }
        drop(started);
        // Without this a gateway whose listeners all failed would be taken for one that runs.
        for _ in 0..index {
            let report = reports.recv();
            report.unwrap_or_else(|_| Err(io::Error::other("a core stopped while it started")))?;
        }
        Ok(())
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn named(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(format!("gateway-{name}"))
}

/// Waits for threads; one that panicked has said so already.
fn wait_for(threads: &mut Vec<JoinHandle<()>>) {
    for thread in threads.drain(..) {
        let _ = thread.join();
    }
}
