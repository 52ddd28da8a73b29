//! The body of `PUT /v1/periods/{number}`.

use std::collections::BTreeMap;

use domain::{CategoryNumber, CountyNumber, Opening, Period, PeriodNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::category::{names, texts, vaccines};
use super::error::{BodyError, Reason};
use super::json::{self, BodyErrors, Fields, Node};
use super::when;
use crate::regions::regions;

/// Staggered openings of one period.
pub const OPENINGS_MAX: usize = domain::rules::PERIOD_OPENINGS_MAX;
/// Categories of one period.
pub const CATEGORIES_MAX: usize = 32;
/// Counties: all there are.
const COUNTIES_MAX: usize = 22;
/// Ways to prove who one is (B1).
pub const IDENTITY_METHODS: [&str; 4] = ["document", "card_password", "app_otp", "kiosk"];
/// Characters of the longest of them.
const METHOD_CHARS_MAX: usize = 32;

/// A period as the operator writes it (P1, P2).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeriodBody {
    /// What it is called, by language tag; `zh-TW` must be there.
    pub names: BTreeMap<String, String>,
    /// Vaccines offered, by name.
    #[schema(min_items = 1, max_items = 16)]
    pub vaccines: Vec<String>,
    /// Intents completed before this instant are eligible; any, when absent.
    #[schema(format = DateTime)]
    pub registered_before: Option<String>,
    /// Codes of the counties whose wished region is eligible; all, when absent.
    #[schema(min_items = 1, max_items = 22)]
    pub counties: Option<Vec<String>>,
    /// Categories of which the person must belong to one; any, when absent.
    #[schema(min_items = 1, max_items = 32)]
    pub categories: Option<Vec<u16>>,
    /// People born on or before this day are eligible; all, when absent.
    #[schema(format = Date)]
    pub born_on_or_before: Option<String>,
    /// The window opens; RFC 3339 with any offset. A past instant is allowed.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// The window closes, after it opens.
    #[schema(format = DateTime)]
    pub closes_at: String,
    /// Staggered openings. Where there are any, these alone decide when whom.
    #[schema(required = false, max_items = 128)]
    pub openings: Vec<OpeningBody>,
    /// How people may prove who they are; `["document"]` when absent.
    #[schema(required = false, min_items = 1)]
    pub identity_methods: Vec<String>,
}

/// A staggered opening.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OpeningBody {
    /// For people born on or before this day; for everyone, when absent.
    #[schema(format = Date)]
    pub born_on_or_before: Option<String>,
    /// From this instant, before the window closes.
    #[schema(format = DateTime)]
    pub opens_at: String,
}

/// Reads the body.
///
/// # Errors
/// All that is wrong, with pointers.
pub fn read(number: PeriodNumber, bytes: &[u8]) -> Result<Period, Vec<BodyError>> {
    json::read(bytes, |node, errors| {
        let mut fields = Fields::of(node, "", errors)?;
        let names = names(&mut fields, errors);
        let vaccines = vaccines(&mut fields, errors);
        let registered_before =
            fields.optional_parsed("registered_before", Reason::Time, errors, when::instant);
        let counties = counties(&mut fields, errors);
        let categories = categories(&mut fields, errors);
        let born_on_or_before =
            fields.optional_parsed("born_on_or_before", Reason::Date, errors, when::day);
        let opens_at = fields.parsed("opens_at", Reason::Time, errors, when::instant);
        let closes_at = fields.parsed("closes_at", Reason::Time, errors, when::instant);
        let openings = openings(&mut fields, errors);
        let identity_methods = identity_methods(&mut fields, errors);
        fields.finish(errors);
        let period = Period {
            number,
            names: names?,
            vaccines: vaccines?,
            registered_before: registered_before?,
            counties: counties?,
            categories: categories?,
            born_on_or_before: born_on_or_before?,
            opens_at: opens_at?,
            closes_at: closes_at?,
            openings: openings?,
            identity_methods: identity_methods?,
        };
        check_window(&period, errors);
        Some(period)
    })
}

/// Every opening lies before the close: one behind it would never let anyone in.
fn check_window(period: &Period, errors: &mut BodyErrors) {
    if period.closes_at <= period.opens_at {
        errors.push("/closes_at", Reason::EndNotAfterStart);
        return;
    }
    for (place, opening) in period.openings.iter().enumerate() {
        if opening.opens_at >= period.closes_at {
            errors.push(format!("/openings/{place}/opens_at"), Reason::EndNotAfterStart);
        }
    }
}

fn counties(fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Option<Vec<CountyNumber>>> {
    let Some((pointer, node)) = fields.optional("counties") else { return Some(None) };
    let codes = texts(node, &pointer, COUNTIES_MAX, 16, errors)?;
    let mut counties = Vec::with_capacity(codes.len());
    for (place, code) in codes.iter().enumerate() {
        match regions().county_by_code(code) {
            Some(county) => counties.push(county),
            None => errors.push(format!("{pointer}/{place}"), Reason::UnknownCounty),
        }
    }
    Some(Some(counties))
}

fn categories(
    fields: &mut Fields<'_>,
    errors: &mut BodyErrors,
) -> Option<Option<Vec<CategoryNumber>>> {
    let Some((pointer, node)) = fields.optional("categories") else { return Some(None) };
    let list = json::list(node, &pointer, 1, CATEGORIES_MAX, errors)?;
    let mut categories = Vec::with_capacity(list.len());
    for (place, entry) in list.iter().enumerate() {
        let pointer = format!("{pointer}/{place}");
        let most = u32::from(u16::MAX);
        let Some(number) = json::number(entry, &pointer, 1, most, errors) else { continue };
        let category = CategoryNumber(u16::try_from(number).unwrap_or(u16::MAX));
        if categories.contains(&category) {
            errors.push(pointer, Reason::Repeated);
        }
        categories.push(category);
    }
    Some(Some(categories))
}

fn openings(fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Vec<Opening>> {
    let Some((pointer, node)) = fields.optional("openings") else { return Some(Vec::new()) };
    let list = json::list(node, &pointer, 0, OPENINGS_MAX, errors)?;
    let read = |(place, entry): (usize, &Node)| {
        let mut fields = Fields::of(entry, &format!("{pointer}/{place}"), errors)?;
        let born_on_or_before =
            fields.optional_parsed("born_on_or_before", Reason::Date, errors, when::day);
        let opens_at = fields.parsed("opens_at", Reason::Time, errors, when::instant);
        fields.finish(errors);
        Some(Opening { born_on_or_before: born_on_or_before?, opens_at: opens_at? })
    };
    // A bad entry is noted and left out; the body is refused then.
    Some(list.iter().enumerate().filter_map(read).collect())
}

fn identity_methods(fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Vec<String>> {
    let Some((pointer, node)) = fields.optional("identity_methods") else {
        return Some(vec![IDENTITY_METHODS[0].to_owned()]);
    };
    let methods = texts(node, &pointer, IDENTITY_METHODS.len(), METHOD_CHARS_MAX, errors)?;
    for (place, method) in methods.iter().enumerate() {
        if !IDENTITY_METHODS.contains(&method.as_str()) {
            errors.push(format!("{pointer}/{place}"), Reason::NotAllowed);
        }
    }
    Some(methods)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use domain::{Day, Millis};

    use super::super::tests_support::body_codes;
    use super::*;

    const GOOD: &str = r#"{"names":{"zh-TW":"第02期"},"vaccines":["AZ"],"registered_before":"2021-07-12T17:00:00+08:00","counties":["63000","09007"],"categories":[9],"born_on_or_before":"2003-12-31","opens_at":"2021-07-13T10:00:00+08:00","closes_at":"2021-07-15T17:00:00+08:00","openings":[{"born_on_or_before":"1961-12-31","opens_at":"2021-07-13T10:00:00+08:00"},{"opens_at":"2021-07-14T02:00:00Z"}],"identity_methods":["document","kiosk"]}"#;

    fn read_one(body: &str) -> Result<Period, Vec<String>> {
        read(PeriodNumber(2), body.as_bytes()).map_err(|errors| body_codes(&errors))
    }

    #[test]
    fn a_period_is_read() {
        let period = read_one(GOOD).unwrap();
        assert_eq!(period.registered_before, Some(Millis(1_626_080_400_000)));
        assert_eq!(period.counties.as_ref().map(Vec::len), Some(2));
        assert_eq!(period.categories, Some(vec![CategoryNumber(9)]));
        assert_eq!(period.openings[0].born_on_or_before, Some(Day(-2_923)));
        assert_eq!(period.openings[1].born_on_or_before, None);
        assert_eq!(period.identity_methods, ["document", "kiosk"]);
    }

    #[test]
    fn what_is_absent_means_everyone() {
        let least = r#"{"names":{"zh-TW":"第01期"},"vaccines":["AZ"],"opens_at":"2021-07-13T10:00:00+08:00","closes_at":"2021-07-15T17:00:00+08:00"}"#;
        let period = read_one(least).unwrap();
        assert_eq!((period.registered_before, period.counties), (None, None));
        assert_eq!((period.categories, period.born_on_or_before), (None, None));
        assert!(period.openings.is_empty());
        assert_eq!(period.identity_methods, ["document"]);
    }

    #[test]
    fn a_cut_off_after_the_opening_is_allowed() {
        let late = GOOD.replace("2021-07-12T17:00:00+08:00", "2021-07-14T17:00:00+08:00");
        assert!(read_one(&late).is_ok());
    }

    #[test]
    fn every_rule_of_a_period_has_its_pointer() {
        for (from, to, expected) in [
            ("\"names\":{\"zh-TW\":\"第02期\"},", "", "/names:required"),
            ("[\"AZ\"]", "[]", "/vaccines:empty_list"),
            ("2021-07-12T17:00:00+08:00", "2021-07-32T17:00:00+08:00", "/registered_before:time"),
            ("[\"63000\",\"09007\"]", "[]", "/counties:empty_list"),
            ("\"09007\"", "\"99999\"", "/counties/1:unknown_county"),
            ("\"09007\"", "9007", "/counties/1:wrong_type"),
            ("\"09007\"", "\"63000\"", "/counties/1:repeated"),
            ("[9]", "[]", "/categories:empty_list"),
            ("[9]", "[0]", "/categories/0:out_of_range"),
            ("[9]", "[65536]", "/categories/0:out_of_range"),
            ("[9]", "[\"9\"]", "/categories/0:wrong_type"),
            ("[9]", "[9,9]", "/categories/1:repeated"),
            ("\"2003-12-31\"", "\"2003-13-31\"", "/born_on_or_before:date"),
            (
                "\"opens_at\":\"2021-07-13T10:00:00+08:00\",\"closes",
                "\"closes",
                "/opens_at:required",
            ),
            ("2021-07-15T17:00:00+08:00", "2021-07-13T02:00:00Z", "/closes_at:end_not_after_start"),
            (
                "2021-07-14T02:00:00Z",
                "2021-07-15T09:00:00Z",
                "/openings/1/opens_at:end_not_after_start",
            ),
            ("\"1961-12-31\"", "\"1961\"", "/openings/0/born_on_or_before:date"),
            ("{\"opens_at\":\"2021-07-14T02:00:00Z\"}", "{}", "/openings/1/opens_at:required"),
            ("{\"opens_at\":\"2021-07-14T02:00:00Z\"}", "7", "/openings/1:wrong_type"),
            ("\"kiosk\"", "\"oath\"", "/identity_methods/1:not_allowed"),
            ("[\"document\",\"kiosk\"]", "[]", "/identity_methods:empty_list"),
            ("\"vaccines\"", "\"doses\":1,\"vaccines\"", "/doses:unknown"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert_eq!(
                read_one(&GOOD.replacen(from, to, 1)),
                Err(vec![expected.to_owned()]),
                "{to}"
            );
        }
    }
}
