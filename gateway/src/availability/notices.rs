//! Announcements: categories and periods as they stand at one moment, ready to be sent.
//!
//! What this module does not do: say what is free, or who may.

use domain::view::{PeriodEntry, PeriodState, View};
use domain::{Category, Millis, PeriodNumber};
use serde_json::{Value, json};

use crate::identity::METHODS;
use crate::import::when::date_text;
use crate::regions::regions;
use crate::reply::Prepared;
use crate::text::{instant, names};

/// What is announced at one moment.
#[derive(Debug)]
pub(crate) struct Notices {
    /// `GET /v1/home`.
    pub(crate) home: Prepared,
    /// `GET /v1/periods` without a token.
    pub(crate) list: Prepared,
    /// `GET /v1/periods/{number}` without a token, by number.
    pub(crate) single: Vec<(PeriodNumber, Prepared)>,
    /// The periods, by number.
    pub(crate) periods: Vec<PeriodEntry>,
    /// When any of it next changes by itself.
    pub(crate) change_at: Option<Millis>,
}

impl Default for Notices {
    fn default() -> Self {
        Notices {
            home: Prepared::new(r#"{"categories":[],"periods":[]}"#),
            list: Prepared::new(r#"{"periods":[]}"#),
            single: Vec::new(),
            periods: Vec::new(),
            change_at: None,
        }
    }
}

impl Notices {
    /// What is announced now.
    pub(crate) fn of(view: &View, at: Millis) -> Notices {
        let periods: Vec<PeriodEntry> = view.catalogue.periods().cloned().collect();
        let values: Vec<Value> = periods.iter().map(|entry| period(entry, at)).collect();
        let shown = periods.iter().zip(&values);
        let shown = shown.filter(|(entry, _)| entry.state(at) != PeriodState::Closed);
        let home = json!({
            "categories": view.catalogue.categories().iter()
                .filter(|entry| is_open(&entry.category, at))
                .map(|entry| category(&entry.category))
                .collect::<Vec<_>>(),
            "periods": shown.map(|(_, value)| value.clone()).collect::<Vec<_>>(),
        });
        Notices {
            home: Prepared::new(home.to_string()),
            list: Prepared::new(json!({ "periods": values }).to_string()),
            single: periods
                .iter()
                .zip(&values)
                .map(|(entry, value)| (entry.period.number, Prepared::new(value.to_string())))
                .collect(),
            change_at: change_at(view, at),
            periods,
        }
    }
}

/// A period as everyone may know it.
pub(crate) fn period(entry: &PeriodEntry, at: Millis) -> Value {
    let period = &entry.period;
    let state = match entry.state(at) {
        PeriodState::Coming => "coming",
        PeriodState::Open => "open",
        PeriodState::Closed => "closed",
    };
    let counties = period.counties.as_ref().map(|numbers| {
        let codes = numbers.iter().filter_map(|number| regions().county(*number));
        codes.map(|county| county.code).collect::<Vec<_>>()
    });
    let categories = period.categories.as_ref();
    let openings = period.openings.iter().map(|opening| {
        json!({
            "born_on_or_before": opening.born_on_or_before.map(date_text),
            "opens_at": instant(opening.opens_at),
        })
    });
    json!({
        "number": period.number.0,
        "names": names(&period.names),
        "vaccines": period.vaccines,
        "registered_before": period.registered_before.map(instant),
        "counties": counties,
        "categories": categories.map(|list| list.iter().map(|one| one.0).collect::<Vec<_>>()),
        "born_on_or_before": period.born_on_or_before.map(date_text),
        "opens_at": instant(period.opens_at),
        "closes_at": instant(period.closes_at),
        "openings": openings.collect::<Vec<_>>(),
        "state": state,
        "identity_methods": period.identity_methods,
    })
}

/// A category as everyone may know it. Registration takes every way of proving identity there is.
fn category(category: &Category) -> Value {
    json!({
        "number": category.number.0,
        "names": names(&category.names),
        "born_on_or_before": category.born_on_or_before.map(date_text),
        "members": category.members,
        "opens_at": instant(category.opens_at),
        "closes_at": category.closes_at.map(instant),
        "vaccines": category.vaccines,
        "identity_methods": METHODS,
    })
}

/// True while people may register in the category.
fn is_open(category: &Category, at: Millis) -> bool {
    category.opens_at <= at && category.closes_at.is_none_or(|end| at < end)
}

/// The next instant at which anything opens or closes.
fn change_at(view: &View, at: Millis) -> Option<Millis> {
    let periods = view.catalogue.periods();
    let periods = periods.flat_map(|entry| [entry.opens_at(), entry.period.closes_at]);
    let categories = view.catalogue.categories().iter();
    let categories = categories
        .flat_map(|entry| [Some(entry.category.opens_at), entry.category.closes_at])
        .flatten();
    periods.chain(categories).filter(|instant| *instant > at).min()
}
