//! R1, P1: publishing categories and periods, trying them out first, and the lists of members.

use std::collections::HashSet;

use domain::view::{DryRun, DryRunFigures};
use domain::{
    Category, CategoryNumber, Command, ImportKind, OperatorRefusal, Period, PeriodNumber, PersonKey,
};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;
use vault::Lookup;

use super::write::{self, Chunks};
use super::{desk, roster};
use crate::core::Core;
use crate::import::{self, BodyError, Kind, Reason, RowError};
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::reply::{self, Reply};

/// People looked at between two looks at the other requests.
const DRY_RUN_PEOPLE: u32 = 8_192;

/// What publishing a category or period would change.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct DryRunAnswer {
    /// Always true: nothing was published.
    pub(crate) dry_run: bool,
    /// People whom the draft takes.
    pub(crate) eligible: u64,
    /// Of them, those whom the published version does not take.
    pub(crate) gained: u64,
    /// People whom the published version takes and the draft does not.
    pub(crate) lost: u64,
}

/// A category or period was published.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Published {
    /// Its number.
    pub(crate) number: u16,
    /// False when it replaced an earlier version.
    pub(crate) created: bool,
    /// The command's place in the journal.
    pub(crate) sequence: u64,
}

/// Members were imported.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct RowsImported {
    /// Rows of the file.
    pub(crate) rows: u32,
    /// Of them, those that were not there before.
    pub(crate) added: u32,
}

/// `PUT /v1/categories/{number}`
pub(super) async fn put_category(
    core: &Core,
    number: &str,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let number = CategoryNumber(rule_number(number)?);
    let dry_run = dry_run(head)?;
    let body = desk::json(core, head, body).await?;
    let category: Category = import::category::read(number, &body).map_err(Problem::body)?;
    core.view_reached(0).await?;
    if dry_run {
        let run = core.context.view.read().dry_run_category(&category);
        return figures(core, run).await;
    }
    let created = core.context.view.read().catalogue.category(number).is_none();
    let applied = write::apply(core, Command::PutCategory(category)).await?;
    core.context.availability.all_published().await;
    Ok(published(number.0, created, applied.sequence.0))
}

/// `PUT /v1/periods/{number}`
pub(super) async fn put_period(
    core: &Core,
    number: &str,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let number = PeriodNumber(rule_number(number)?);
    let dry_run = dry_run(head)?;
    let body = desk::json(core, head, body).await?;
    let period: Period = import::period::read(number, &body).map_err(Problem::body)?;
    core.view_reached(0).await?;
    check_categories(core, &period)?;
    if dry_run {
        let run = core.context.view.read().dry_run_period(&period);
        return figures(core, run).await;
    }
    let created = core.context.view.read().catalogue.period(number).is_none();
    let applied = write::apply(core, Command::PutPeriod(period)).await?;
    core.context.availability.all_published().await;
    Ok(published(number.0, created, applied.sequence.0))
}

/// `POST /v1/categories/{number}/members:import`
pub(super) async fn import_members(
    core: &Core,
    number: &str,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let category = CategoryNumber(rule_number(number)?);
    desk::expect_csv(&head.headers)?;
    roster::ready(core)?;
    let file = desk::file(core, Kind::Members, body).await?;
    let _turn = core.context.desk.turn(core).await?;
    roster::reach_end(core).await?;
    core.view_reached(0).await?;
    match core.context.view.read().catalogue.category(category) {
        None => return Err(Slug::NotFound.into()),
        Some(entry) if !entry.category.members => {
            let reason = Reason::NoMembershipRule;
            return Err(Problem::rows(vec![RowError { line: 1, field: "", reason }]));
        }
        Some(_) => {}
    }
    let context = std::sync::Arc::clone(&core.context);
    let chunks = desk::aside(move || {
        let reading = desk::reading(&context, Kind::Members);
        let mut keys: HashSet<PersonKey> = HashSet::new();
        let mut chunks = Chunks::of_members();
        let mut failed = None;
        let read = import::members::read(&file.bytes, &reading, |_, id| {
            let hash = context.vault.lookup_hash(Lookup::Id, id.as_str());
            match context.roster.person_of(&hash) {
                Ok(known) => {
                    let own = || PersonKey(context.vault.person_key(id.as_str()));
                    let key = known.unwrap_or_else(own);
                    // A person may stand there under the present and under a former number.
                    if keys.insert(key) {
                        chunks.push(key);
                    }
                }
                Err(error) => failed = Some(error),
            }
            Ok(())
        });
        if let Some(error) = failed {
            return Err(roster::unreadable(&error));
        }
        read.map_err(Problem::rows)?;
        Ok(chunks.finish())
    })
    .await?;
    let imported = write::import(core, ImportKind::Members { category }, chunks).await?;
    Ok(rows_imported(imported))
}

/// The answer to an import of rows.
pub(super) fn rows_imported(imported: write::Imported) -> Reply {
    let write::Imported { rows, added } = imported;
    reply::private_value(StatusCode::OK, &RowsImported { rows, added })
}

/// A number as announced: 1 to 65535.
fn rule_number(text: &str) -> Result<u16, Problem> {
    let plain = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten().filter(|number| *number != 0);
    number.ok_or_else(|| Slug::NotFound.into())
}

/// Whether the call only asks. A misspelt parameter must not publish, so no other is taken, nor this one
/// without a value.
fn dry_run(head: &Parts) -> Result<bool, Problem> {
    let query = Query::of(head.uri.query());
    query.only(&["dry_run"])?;
    let value = query.parsed("dry_run", Reason::NotAllowed, |text| text.parse::<bool>().ok())?;
    Ok(value.unwrap_or(false))
}

/// Names the categories of a period that were never published.
fn check_categories(core: &Core, period: &Period) -> Result<(), Problem> {
    let view = core.context.view.read();
    let named = period.categories.iter().flatten().enumerate();
    let unknown = named.filter(|(_, number)| view.catalogue.category(**number).is_none());
    let errors: Vec<BodyError> = unknown
        .map(|(place, _)| BodyError {
            pointer: format!("/categories/{place}"),
            reason: Reason::UnknownCategory,
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::body(errors)) }
}

/// Walks over all people in portions.
async fn figures(core: &Core, run: Result<DryRun, OperatorRefusal>) -> Result<Reply, Problem> {
    let mut run = run.map_err(|reason| Problem::refused(vec![(0, reason)]))?;
    while !run.step(&core.context.view.read(), DRY_RUN_PEOPLE) {
        tokio::task::yield_now().await;
    }
    let DryRunFigures { eligible, gained, lost } = run.figures();
    let answer = DryRunAnswer { dry_run: true, eligible, gained, lost };
    Ok(reply::private_value(StatusCode::OK, &answer))
}

fn published(number: u16, created: bool, sequence: u64) -> Reply {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    reply::private_value(status, &Published { number, created, sequence })
}
