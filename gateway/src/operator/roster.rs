//! The authority's file becomes records of the `roster` stream.
//!
//! Lines are planned against the roster and the people who take part, away from the thread that answers
//! requests; then `Begin`, the chunks and the `Commit` are written, and the answer waits until this
//! gateway's view has taken it. Birth dates that changed are told to the engine before the answer.
//!
//! What this module deliberately does not do: decide whether an import counts; the fold of the stream
//! does (`roster::fold`), the same in every gateway.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::rules::CORRECTION_ROWS_MAX;
use domain::{Command, PersonKey};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use journal::{Journal, JournalError, Position, Stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::{corrections, desk, write};
use crate::context::Context;
use crate::core::Core;
use crate::import::{self, Kind, Reason, RowError};
use crate::problem::{Problem, Slug};
use crate::reply::{self, Reply};
use crate::roster::plan::{Plan, Planner};
use crate::roster::record::Record;
use crate::roster::{Roster, RosterError};

/// The roster was imported.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct RosterImported {
    /// Rows of the file.
    pub(crate) rows: u32,
    /// The roster's version from now on: how many imports it has taken.
    pub(crate) roster_version: u32,
    /// People known before whose birth date changed.
    pub(crate) corrected: u32,
}

/// `POST /v1/roster:import`
pub(super) async fn import(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    desk::expect_csv(&head.headers)?;
    ready(core)?;
    let file = desk::file(core, Kind::Roster, body).await?;
    let _turn = core.context.desk.turn(core).await?;
    let roster = &core.context.roster;
    let under_way = || Some((roster.import_under_way()?, roster.progress().borrow().position));
    let patience = desk::Patience::new(core);
    loop {
        desk::let_others_finish(core, under_way).await?;
        if let Some(answer) = attempt(core, &file.bytes).await? {
            return Ok(reply::private_value(StatusCode::OK, &answer));
        }
        patience.rest(core).await?;
    }
}

/// Plans and writes the import once; `None` when one of another gateway came between.
async fn attempt(core: &Core, file: &Bytes) -> Result<Option<RosterImported>, Problem> {
    reach_end(core).await?;
    core.view_reached(0).await?;
    let (context, read) = (Arc::clone(&core.context), file.clone());
    let plan = desk::aside(move || planned(&context, &read)).await?;
    supersede(core, &plan).await?;
    let import: u64 = rand::random_range(1..=u64::MAX);
    let rows = plan.rows;
    let context = Arc::clone(&core.context);
    let end = desk::aside(move || write_import(&context, import, &plan)).await?;
    reach(core, end).await?;
    let Some(roster_version) = core.context.roster.committed(import) else { return Ok(None) };
    let corrected = corrections::send(core).await?;
    Ok(Some(RosterImported { rows, roster_version, corrected }))
}

/// Waits until this gateway's roster has what other gateways wrote until now.
///
/// # Errors
/// 503 when the end cannot be learned, or is not reached in time.
pub(super) async fn reach_end(core: &Core) -> Result<(), Problem> {
    if !core.context.horizon.is_shared() {
        return Ok(());
    }
    let journal = Arc::clone(&core.context.journal);
    let end = desk::aside(move || {
        journal.durable_end(Stream::Roster).map_err(|error| {
            tracing::warn!(reason = %error, "the end of the roster is not known");
            Problem::from(Slug::CatchingUp).retry_after_s(1)
        })
    });
    reach(core, end.await?).await
}

/// Refuses while the roster is still being read: what is not known yet could be overwritten.
pub(super) fn ready(core: &Core) -> Result<(), Problem> {
    core.context
        .roster
        .ready()
        .map_err(|_| Problem::from(Slug::CatchingUp).retry_after_s(core.retry_after_s()))
}

/// The roster's disk failed.
pub(super) fn unreadable(error: &RosterError) -> Problem {
    tracing::error!(reason = %error, "the roster view cannot be read");
    Slug::Internal.into()
}

fn planned(context: &Context, file: &Bytes) -> Result<Plan, Problem> {
    let is_known = |key: &PersonKey| context.view.read().person_number(key).is_some();
    let mut planner = Planner::new(&context.roster, &context.vault, &is_known);
    let mut failed = None;
    let reading = desk::reading(context, Kind::Roster);
    let read =
        import::roster::read(file, &reading, |line, person| match planner.add(line, &person) {
            Ok(result) => result,
            Err(error) => {
                failed = Some(error);
                Ok(())
            }
        });
    if let Some(error) = failed {
        return Err(unreadable(&error));
    }
    read.map_err(Problem::rows)?;
    Ok(planner.finish())
}

/// Has the engine close the keys that no number will lead to: somebody may take part under one of them
/// between the plan and the commit, here or at another gateway, and only the one order says who came first.
///
/// # Errors
/// 422 with the line whose person came first; 503 when the commands cannot be written.
async fn supersede(core: &Core, plan: &Plan) -> Result<(), Problem> {
    let roster_version = plan.base_version.saturating_add(1);
    for some in plan.displaced.chunks(CORRECTION_ROWS_MAX) {
        let keys = some.iter().map(|(_, key)| *key).collect();
        let applied = core.apply(Command::Supersede { roster_version, keys }).await?;
        let refused = write::refusals(&applied.events);
        let known = refused.iter().filter_map(|(row, _)| some.get(*row as usize));
        let errors: Vec<RowError> = known.map(|(line, _)| person_known(*line)).collect();
        if !errors.is_empty() {
            return Err(Problem::rows(errors));
        }
    }
    Ok(())
}

fn person_known(line: u32) -> RowError {
    RowError { line, field: "former_id_number", reason: Reason::PersonKnown }
}

/// Writes the import. Only a failure of the commit leaves its fate open.
fn write_import(context: &Context, import: u64, plan: &Plan) -> Result<Position, Problem> {
    let journal = context.journal.as_ref();
    let unwritten = |error: JournalError| {
        tracing::error!(reason = %error, "a roster import could not be written");
        Problem::shed(Slug::NotWritable).retry_after_s(1)
    };
    append(journal, &Record::Begin { import, base_version: plan.base_version })
        .map_err(unwritten)?;
    for rows in &plan.chunks {
        append(journal, &Record::Chunk { import, rows }).map_err(unwritten)?;
    }
    let commit = Record::Commit { import, rows: plan.rows, hash: plan.hash };
    append(journal, &commit).map_err(|error| {
        tracing::error!(reason = %error, "the fate of a roster import is unknown");
        Problem::from(Slug::OutcomeUnknown).retry_after_s(1)
    })
}

/// Writes one record; gives the place behind it.
pub(super) fn append(journal: &dyn Journal, record: &Record<'_>) -> Result<Position, JournalError> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    Ok(journal.append(Stream::Roster, &[&bytes])?.next)
}

/// Waits until this gateway's roster was read up to here.
pub(super) async fn reach(core: &Core, end: Position) -> Result<(), Problem> {
    let wait = Duration::from_millis(core.context.config.request.roster_wait_ms_max);
    let mut progress = core.context.roster.progress();
    let reached = progress.wait_for(|progress| progress.position >= end || !progress.running);
    match tokio::time::timeout(wait, reached).await {
        Ok(Ok(progress)) if progress.position >= end => Ok(()),
        _ => Err(Problem::from(Slug::OutcomeUnknown).retry_after_s(core.retry_after_s())),
    }
}
