//! B2: where and when there are places left. For everyone; no token.

use domain::PeriodNumber;
use hyper::http::request::Parts;

use super::expect_caught_up;
use crate::availability::{Question, is_english};
use crate::core::Core;
use crate::i18n::Language;
use crate::import::{Reason, when};
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::regions::regions;
use crate::reply::{JSON, Reply};

/// `GET /v1/periods/{number}/sites?county=&district=`
pub(crate) fn sites(core: &Core, head: &Parts, number: &str) -> Result<Reply, Problem> {
    expect_caught_up(core)?;
    let query = Query::of(head.uri.query());
    let county =
        query.parsed("county", Reason::UnknownCounty, |code| regions().county_by_code(code))?;
    let district = query
        .parsed("district", Reason::UnknownDistrict, |code| regions().district_by_code(code))?;
    let question = Question::Sites {
        period: period_number(number)?,
        county,
        district,
        english: is_english(Language::of(&head.headers)),
    };
    reply(core, head, question, true)
}

/// `GET /v1/periods/{number}/slots?site=&date=`
pub(crate) fn slots(core: &Core, head: &Parts, number: &str) -> Result<Reply, Problem> {
    expect_caught_up(core)?;
    let query = Query::of(head.uri.query());
    let id = query.required("site")?;
    let day = query.parsed("date", Reason::Date, when::day)?;
    let site = {
        let view = core.context.view.read();
        view.catalogue.site_number(id)
    };
    let question =
        Question::Slots { period: period_number(number)?, site: site.ok_or(Slug::NotFound)?, day };
    reply(core, head, question, false)
}

fn reply(
    core: &Core,
    head: &Parts,
    question: Question,
    by_language: bool,
) -> Result<Reply, Problem> {
    let context = &core.context;
    let answer = context.availability.answer(question, context.view.places());
    let answer = answer.ok_or(Slug::NotFound)?;
    Ok(answer.reply(&head.headers, JSON, 1, by_language))
}

/// The number in a path.
///
/// # Errors
/// 404: nothing but a number is the address of a period.
pub(crate) fn period_number(text: &str) -> Result<PeriodNumber, Problem> {
    let plain = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    match number {
        Some(number) if number > 0 => Ok(PeriodNumber(number)),
        _ => Err(Slug::NotFound.into()),
    }
}
