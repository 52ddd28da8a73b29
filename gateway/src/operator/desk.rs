//! What the operator's calls share: one import is taken at a time.
//!
//! An import ends, in the engine, any other that is under way; so the next one waits here, or is told to
//! come back. Its file is read before that: who sends slowly holds up nobody else's turn. Files held in
//! memory are few, and reports of attendance have places of their own, as more people may send them. Other
//! gateways have desks of their own: an import lets theirs finish, and is begun anew where one of them
//! came between after all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::body::{self, Allowance};
use crate::context::{Context, now};
use crate::core::Core;
use crate::import::{Kind, Limits, Reading};
use crate::problem::{Problem, Slug};

/// Content type of files.
pub(super) const CSV_TYPE: &str = "text/csv";
/// Content type of bodies.
pub(super) const JSON_TYPE: &str = "application/json";

/// Longest rest before an import is begun anew when one of another gateway came between: by chance, so
/// that two gateways do not end each other's again and again.
const REST_MS_MAX: u64 = 200;
/// An import of another gateway that has not come further for this long is dead.
const STANDSTILL: Duration = Duration::from_secs(3);
/// How often one looks.
const LOOK: Duration = Duration::from_millis(50);

/// Files of imports held at once: each may be as long as `import_body_bytes_max`.
const IMPORT_FILES_MAX: usize = 3;
/// Reports of attendance held at once; they are much shorter.
const REPORT_FILES_MAX: usize = 16;

/// The one place at which imports wait for each other.
#[derive(Debug)]
pub(crate) struct Desk {
    turn: Semaphore,
    imports: Arc<Semaphore>,
    reports: Arc<Semaphore>,
}

impl Default for Desk {
    fn default() -> Self {
        Desk {
            turn: Semaphore::new(1),
            imports: Arc::new(Semaphore::new(IMPORT_FILES_MAX)),
            reports: Arc::new(Semaphore::new(REPORT_FILES_MAX)),
        }
    }
}

/// A file, and its place among those held in memory.
pub(super) struct File {
    /// What was sent.
    pub(super) bytes: Bytes,
    _place: OwnedSemaphorePermit,
}

impl Desk {
    /// Waits for a turn.
    pub(super) async fn turn<'d>(&'d self, core: &Core) -> Result<SemaphorePermit<'d>, Problem> {
        let wait = Duration::from_millis(core.context.config.request.applied_wait_ms_max);
        match tokio::time::timeout(wait, self.turn.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::from(Slug::Overloaded).retry_after_s(core.retry_after_s())),
        }
    }

    /// Waits for a place in memory.
    async fn place(&self, core: &Core, kind: Kind) -> Result<OwnedSemaphorePermit, Problem> {
        let wait = Duration::from_millis(core.context.config.request.applied_wait_ms_max);
        let places = Arc::clone(match kind {
            Kind::Attendance => &self.reports,
            _ => &self.imports,
        });
        match tokio::time::timeout(wait, places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::from(Slug::Overloaded).retry_after_s(core.retry_after_s())),
        }
    }
}

/// How long an import is begun anew when those of other gateways come between.
pub(super) struct Patience {
    until: Instant,
}

impl Patience {
    /// As long as an import waits for its turn.
    pub(super) fn new(core: &Core) -> Patience {
        let limit = Duration::from_millis(core.context.config.request.applied_wait_ms_max);
        Patience { until: Instant::now() + limit }
    }

    /// Rests before another attempt.
    ///
    /// # Errors
    /// 503 when that took too long.
    pub(super) async fn rest(&self, core: &Core) -> Result<(), Problem> {
        if Instant::now() >= self.until {
            return Err(Problem::from(Slug::Overloaded).retry_after_s(core.retry_after_s()));
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..=REST_MS_MAX))).await;
        Ok(())
    }
}

/// Waits while an import of another gateway is under way and gets on: beginning now would end it. One that
/// stands still is taken for dead. `under_way` names the import and how far it has come.
///
/// # Errors
/// 503 when it takes longer than an import waits for its turn.
pub(super) async fn let_others_finish<P: PartialEq>(
    core: &Core,
    under_way: impl Fn() -> Option<P>,
) -> Result<(), Problem> {
    if !core.context.horizon.is_shared() {
        return Ok(());
    }
    let begin = Instant::now();
    let limit = Duration::from_millis(core.context.config.request.applied_wait_ms_max);
    let (mut seen, mut seen_at) = (under_way(), begin);
    while seen.is_some() && seen_at.elapsed() < STANDSTILL {
        if begin.elapsed() >= limit {
            return Err(Problem::from(Slug::Overloaded).retry_after_s(core.retry_after_s()));
        }
        tokio::time::sleep(LOOK).await;
        let now = under_way();
        if now != seen {
            (seen, seen_at) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Reads a file: larger and slower than a citizen's body may be, but never standing still for longer. Its
/// place in memory is free again when it is dropped.
pub(super) async fn file(core: &Core, kind: Kind, body: Incoming) -> Result<File, Problem> {
    let _place = core.context.desk.place(core, kind).await?;
    let limits = &core.context.config.limits;
    let bytes_max = match kind {
        Kind::Attendance => kind.limits().bytes_max.min(limits.import_body_bytes_max),
        _ => limits.import_body_bytes_max,
    };
    let wait = Duration::from_millis(limits.import_body_wait_ms_max);
    let pause = Duration::from_millis(limits.body_wait_ms_max);
    let bytes = body::read_file(body, Allowance { bytes_max, wait }, pause).await?;
    Ok(File { bytes, _place })
}

/// Reads a JSON body of ordinary size.
pub(super) async fn json(core: &Core, head: &Parts, body: Incoming) -> Result<Bytes, Problem> {
    body::expect_type(&head.headers, JSON_TYPE)?;
    let limits = &core.context.config.limits;
    let allowance = Allowance {
        bytes_max: limits.body_bytes_max,
        wait: Duration::from_millis(limits.body_wait_ms_max),
    };
    body::read(body, allowance).await
}

/// Refuses everything but CSV.
pub(super) fn expect_csv(headers: &HeaderMap) -> Result<(), Problem> {
    body::expect_type(headers, CSV_TYPE)
}

/// How much of a file is read, and when.
pub(super) fn reading(context: &Context, kind: Kind) -> Reading {
    let configured = &context.config.limits;
    let usual = kind.limits();
    let limits = Limits {
        rows_max: usual.rows_max.min(configured.import_rows_max),
        bytes_max: usual.bytes_max.min(configured.import_body_bytes_max),
        errors_max: usual.errors_max,
    };
    Reading { limits, now: now() }
}

/// Runs long work away from the thread that answers requests.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(Slug::Internal.into()),
    }
}
