//! Live figures for the console, from the view's running counts: no walk over people or bookings.

use std::collections::BTreeMap;

use domain::Rejection;
use domain::rules::RULES_VERSION_FIRST;
use domain::view::{Figures, PeriodEntry, PeriodFigures, PeriodState};
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::context::now;
use crate::core::Core;
use crate::problem::Problem;
use crate::reply::{self, Reply};
use crate::text;

/// `GET /v1/overview`
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// When these figures were taken, by the journal's clock.
    #[schema(format = DateTime)]
    pub(crate) at: String,
    /// The last command they know of.
    pub(crate) sequence: u64,
    /// The engine's epoch.
    pub(crate) epoch: u64,
    /// The rules in force.
    pub(crate) rules_version: u32,
    /// Imports that the roster has taken.
    pub(crate) roster_version: u32,
    /// People mentioned at least once.
    pub(crate) people: u64,
    /// Intents held now.
    pub(crate) intents: u64,
    /// Intents ever registered.
    pub(crate) registrations: u64,
    /// Sites.
    pub(crate) sites: u64,
    /// Slots.
    pub(crate) slots: u64,
    /// Places over all slots.
    pub(crate) places: u64,
    /// Places left over all slots.
    pub(crate) places_left: u64,
    /// Requests for bookings over all periods.
    pub(crate) total: RequestFigures,
    /// Requests refused, by reason; those for intents included.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Requests that repeated a key and met its first outcome.
    pub(crate) repeated: u64,
    /// Requests that used a key for another body.
    pub(crate) keys_reused: u64,
    /// Operators' commands, or rows of them, that were decided against.
    pub(crate) operator_refused: u64,
    /// Each period.
    pub(crate) periods: Vec<PeriodOverview>,
    /// The import under way.
    pub(crate) import: Option<ImportOverview>,
}

/// What became of requests for bookings.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct RequestFigures {
    /// Bookings made.
    pub(crate) confirmed: u64,
    /// Moves granted.
    pub(crate) changed: u64,
    /// Bookings given up.
    pub(crate) cancelled: u64,
    /// Bookings that were not given up.
    pub(crate) standing: u64,
    /// Bookings attended.
    pub(crate) attended: u64,
    /// Bookings whose day passed without attendance.
    pub(crate) no_shows: u64,
    /// Requests refused.
    pub(crate) rejected: u64,
}

/// One period.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PeriodOverview {
    /// Its number.
    pub(crate) number: u16,
    /// What it is called.
    pub(crate) names: BTreeMap<String, String>,
    /// `coming`, `open` or `closed`.
    pub(crate) state: String,
    /// The earliest window opens.
    #[schema(format = DateTime)]
    pub(crate) opens_at: String,
    /// The window closes.
    #[schema(format = DateTime)]
    pub(crate) closes_at: String,
    /// What became of its requests.
    pub(crate) requests: RequestFigures,
}

/// The import under way.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct ImportOverview {
    /// Rows kept aside so far.
    pub(crate) rows: u32,
}

/// Answers `GET /v1/overview`.
pub(super) async fn answer(core: &Core) -> Result<Reply, Problem> {
    core.view_reached(0).await?;
    let roster_version = core.context.roster.version();
    let overview = {
        let view = core.context.view.read();
        let figures = view.figures();
        let periods = view.catalogue.periods().map(|entry| period(entry, figures)).collect();
        let reasons = Rejection::ALL.into_iter();
        Overview {
            at: text::instant(core.context.view.at()),
            sequence: view.sequence().0,
            epoch: figures.epoch,
            rules_version: figures.rules_version.max(RULES_VERSION_FIRST),
            roster_version,
            people: figures.people,
            intents: figures.intents,
            registrations: figures.registrations,
            sites: figures.sites,
            slots: figures.slots,
            places: figures.places,
            places_left: figures.places_left,
            total: requests(&figures.total),
            rejected: reasons
                .map(|reason| (reason.reason().to_owned(), figures.rejected_for(reason)))
                .collect(),
            repeated: figures.repeated,
            keys_reused: figures.keys_reused,
            operator_refused: figures.operator_refused,
            periods,
            import: figures.import.map(|(_, rows)| ImportOverview { rows }),
        }
    };
    Ok(reply::private_value(StatusCode::OK, &overview))
}

fn period(entry: &PeriodEntry, figures: &Figures) -> PeriodOverview {
    let state = match entry.state(now()) {
        PeriodState::Coming => "coming",
        PeriodState::Open => "open",
        PeriodState::Closed => "closed",
    };
    let number = entry.period.number;
    PeriodOverview {
        number: number.0,
        names: entry.period.names.iter().cloned().collect(),
        state: state.to_owned(),
        opens_at: text::instant(entry.opens_at()),
        closes_at: text::instant(entry.period.closes_at),
        requests: requests(&figures.periods.get(&number).copied().unwrap_or_default()),
    }
}

fn requests(figures: &PeriodFigures) -> RequestFigures {
    RequestFigures {
        confirmed: figures.confirmed,
        changed: figures.changed,
        cancelled: figures.cancelled,
        standing: figures.standing(),
        attended: figures.attended,
        no_shows: figures.no_shows,
        rejected: figures.rejected,
    }
}
