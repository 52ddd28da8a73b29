//! Tells the engine of birth dates that an import of the roster changed.
//!
//! The roster's view remembers whom the engine must be told of until a record of the stream says that
//! it was. A gateway that dies between commit and correction leaves the work to whichever starts next;
//! telling twice changes nothing.

use std::rc::Rc;
use std::sync::Arc;

use domain::{Command, Day, PersonKey};

use super::{desk, roster, write};
use crate::context::Context;
use crate::core::Core;
use crate::problem::{Problem, Slug};
use crate::roster::Roster;
use crate::roster::record::Record;

/// Rows of one command.
const ROWS_MAX: usize = domain::rules::CORRECTION_ROWS_MAX;

/// How often a start looks whether both views have caught up.
const LOOK_MS: u64 = 200;

/// Sends what is owed. The caller holds the turn.
///
/// # Errors
/// 503 when the commands cannot be written; what is owed stays owed.
pub(super) async fn send(core: &Core) -> Result<u32, Problem> {
    let version = core.context.roster.version();
    let context = Arc::clone(&core.context);
    let rows = desk::aside(move || owed(&context)).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    for rows in rows.chunks(ROWS_MAX) {
        let rows = rows.to_vec();
        write::apply(core, Command::CorrectRoster { roster_version: version, rows }).await?;
    }
    let context = Arc::clone(&core.context);
    let end = desk::aside(move || {
        let record = Record::Corrected { version };
        roster::append(context.journal.as_ref(), &record).map_err(|error| {
            tracing::error!(reason = %error, "the roster's corrections could not be noted");
            Problem::from(Slug::OutcomeUnknown).retry_after_s(1)
        })
    })
    .await?;
    roster::reach(core, end).await?;
    Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
}

fn owed(context: &Context) -> Result<Vec<(PersonKey, Day)>, Problem> {
    let rows: Result<Vec<_>, _> = context.roster.corrections().collect();
    rows.map_err(|error| roster::unreadable(&error))
}

/// Once after a start, when both views have caught up: sends what an earlier process left owed. Runs
/// on the operator listener's thread.
pub(crate) async fn tell_engine(core: Rc<Core>) {
    while core.context.roster.ready().is_err() || !core.context.view.is_caught_up() {
        if core.context.is_draining() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(LOOK_MS)).await;
    }
    let Ok(_turn) = core.context.desk.turn(&core).await else { return };
    match send(&core).await {
        Ok(0) => {}
        Ok(people) => {
            tracing::info!(people, "told the engine of birth dates changed before this start")
        }
        Err(problem) => tracing::warn!(
            status = problem.slug().status().as_u16(),
            "birth dates changed before this start could not be told; the next import or start will"
        ),
    }
}
