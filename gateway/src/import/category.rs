//! The body of `PUT /v1/categories/{number}`.

use std::collections::BTreeMap;

use domain::{Category, CategoryNumber, Names};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{BodyError, Reason};
use super::json::{self, BodyErrors, Fields, Node};
use super::slots::{VACCINE_CHARS_MAX, VACCINES_MAX};
use super::when;

/// Languages in which one thing is named.
pub const NAMES_MAX: usize = 16;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 200;
/// The language in which everything must be named.
pub const NAME_REQUIRED: &str = "zh-TW";
/// Characters of a language tag.
const TAG_CHARS_MAX: usize = 12;

/// A target category as the operator writes it (R1). A person belongs to it by birth date or by
/// membership; at least one of the two rules is there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CategoryBody {
    /// What it is called, by language tag; `zh-TW` must be there.
    pub names: BTreeMap<String, String>,
    /// People born on or before this day belong to it.
    #[schema(format = Date)]
    pub born_on_or_before: Option<String>,
    /// People on the imported list belong to it; false when absent.
    #[schema(required = false)]
    pub members: bool,
    /// Registration opens; RFC 3339 with any offset.
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// Registration closes; never, when absent.
    #[schema(format = DateTime)]
    pub closes_at: Option<String>,
    /// Vaccines offered for ticking, by name.
    #[schema(min_items = 1, max_items = 16)]
    pub vaccines: Vec<String>,
}

/// Reads the body.
///
/// # Errors
/// All that is wrong, with pointers.
pub fn read(number: CategoryNumber, bytes: &[u8]) -> Result<Category, Vec<BodyError>> {
    json::read(bytes, |node, errors| {
        let mut fields = Fields::of(node, "", errors)?;
        let names = names(&mut fields, errors);
        let born_on_or_before =
            fields.optional_parsed("born_on_or_before", Reason::Date, errors, when::day);
        let members = fields.flag("members", errors);
        let opens_at = fields.parsed("opens_at", Reason::Time, errors, when::instant);
        let closes_at = fields.optional_parsed("closes_at", Reason::Time, errors, when::instant);
        let vaccines = vaccines(&mut fields, errors);
        fields.finish(errors);
        let category = Category {
            number,
            names: names?,
            born_on_or_before: born_on_or_before?,
            members: members?,
            opens_at: opens_at?,
            closes_at: closes_at?,
            vaccines: vaccines?,
        };
        if category.closes_at.is_some_and(|closes_at| closes_at <= category.opens_at) {
            errors.push("/closes_at", Reason::EndNotAfterStart);
        }
        if category.born_on_or_before.is_none() && !category.members {
            errors.push("/members", Reason::NoRule);
        }
        Some(category)
    })
}

/// `names`: a text a language.
pub(super) fn names(fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Names> {
    let (pointer, node) = fields.required("names", errors)?;
    let Node::Object(entries) = node else {
        errors.push(pointer, Reason::WrongType);
        return None;
    };
    if entries.len() > NAMES_MAX {
        errors.push(pointer, Reason::TooManyEntries { entries_max: NAMES_MAX as u64 });
        return None;
    }
    if !entries.iter().any(|(tag, _)| tag == NAME_REQUIRED) {
        errors.push(format!("{pointer}/{NAME_REQUIRED}"), Reason::Required);
    }
    let mut names = Names::new();
    for (tag, node) in entries {
        if !is_language_tag(tag) {
            // The tag is not repeated in the pointer: it may be anything.
            errors.push(pointer.clone(), Reason::Characters);
            continue;
        }
        if let Some(name) = json::words(node, &format!("{pointer}/{tag}"), NAME_CHARS_MAX, errors) {
            names.push((tag.clone(), name.to_owned()));
        }
    }
    Some(names)
}

/// `vaccines`: at least one, none twice.
pub(super) fn vaccines(fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Vec<String>> {
    let (pointer, node) = fields.required("vaccines", errors)?;
    texts(node, &pointer, VACCINES_MAX, VACCINE_CHARS_MAX, errors)
}

/// A list of different words, at least one.
pub(super) fn texts(
    node: &Node,
    pointer: &str,
    entries_max: usize,
    chars_max: usize,
    errors: &mut BodyErrors,
) -> Option<Vec<String>> {
    let list = json::list(node, pointer, 1, entries_max, errors)?;
    let mut texts: Vec<String> = Vec::with_capacity(list.len());
    for (place, entry) in list.iter().enumerate() {
        let pointer = format!("{pointer}/{place}");
        let Some(text) = json::words(entry, &pointer, chars_max, errors) else { continue };
        if texts.iter().any(|known| known == text) {
            errors.push(pointer, Reason::Repeated);
        }
        texts.push(text.to_owned());
    }
    Some(texts)
}

/// Letters first, then letters, digits and hyphens: `zh-TW`, `id`.
fn is_language_tag(tag: &str) -> bool {
    (2..=TAG_CHARS_MAX).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && tag.bytes().take(2).all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use domain::{Day, Millis};

    use super::super::tests_support::body_codes;
    use super::*;

    const GOOD: &str = r#"{"names":{"zh-TW":"第9類","en":"Category 9"},"born_on_or_before":"2003-12-31","members":true,"opens_at":"2021-07-06T00:00:00+08:00","closes_at":null,"vaccines":["AZ","Moderna"]}"#;

    fn read_one(body: &str) -> Result<Category, Vec<String>> {
        read(CategoryNumber(9), body.as_bytes()).map_err(|errors| body_codes(&errors))
    }

    #[test]
    fn a_category_is_read() {
        let category = read_one(GOOD).unwrap();
        assert_eq!(category.number, CategoryNumber(9));
        assert_eq!(category.names[0], ("zh-TW".to_owned(), "第9類".to_owned()));
        assert_eq!(category.born_on_or_before, Some(Day(12_417)));
        assert_eq!(category.opens_at, Millis(1_625_500_800_000));
        assert_eq!((category.members, category.closes_at), (true, None));
        assert_eq!(category.vaccines, ["AZ", "Moderna"]);
    }

    #[test]
    fn one_of_the_two_rules_is_enough() {
        assert!(read_one(&GOOD.replace("\"members\":true,", "")).is_ok());
        assert!(read_one(&GOOD.replace("\"2003-12-31\"", "null")).is_ok());
    }

    #[test]
    fn every_rule_of_a_category_has_its_pointer() {
        for (from, to, expected) in [
            ("{\"zh-TW\":\"第9類\",\"en\":\"Category 9\"}", "null", "/names:required"),
            ("{\"zh-TW\":\"第9類\",\"en\":\"Category 9\"}", "\"第9類\"", "/names:wrong_type"),
            ("\"zh-TW\":\"第9類\",", "", "/names/zh-TW:required"),
            ("\"第9類\"", "\" \"", "/names/zh-TW:required"),
            ("\"第9類\"", "9", "/names/zh-TW:wrong_type"),
            ("\"第9類\"", "\"=1\"", "/names/zh-TW:formula"),
            ("\"第9類\"", "\"a\\u0000b\"", "/names/zh-TW:control_character"),
            ("\"en\"", "\"e n\"", "/names:characters"),
            ("\"en\"", "\"zh-TW\"", "/names/zh-TW:repeated"),
            ("\"2003-12-31\"", "\"2003-02-29\"", "/born_on_or_before:date"),
            ("\"2003-12-31\"", "2003", "/born_on_or_before:wrong_type"),
            ("true", "\"yes\"", "/members:wrong_type"),
            ("\"2003-12-31\",\"members\":true", "null", "/members:no_rule"),
            ("\"2021-07-06T00:00:00+08:00\"", "null", "/opens_at:required"),
            ("2021-07-06T00:00:00+08:00", "2021-07-06 00:00", "/opens_at:time"),
            ("\"closes_at\":null", "\"closes_at\":\"later\"", "/closes_at:time"),
            (
                "\"closes_at\":null",
                "\"closes_at\":\"2021-07-05T16:00:00Z\"",
                "/closes_at:end_not_after_start",
            ),
            ("[\"AZ\",\"Moderna\"]", "[]", "/vaccines:empty_list"),
            ("[\"AZ\",\"Moderna\"]", "\"AZ\"", "/vaccines:wrong_type"),
            ("\"Moderna\"", "\"AZ\"", "/vaccines/1:repeated"),
            ("\"Moderna\"", "null", "/vaccines/1:wrong_type"),
            ("\"members\"", "\"member\"", "/member:unknown"),
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
