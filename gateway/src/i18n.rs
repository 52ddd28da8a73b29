//! What the gateway says to people, in their language.
//!
//! One file a language under `messages/`, compiled in; a language is added by adding its file to
//! [`LANGUAGES`]. What this module does not do: names of categories, periods and sites (they come with
//! the data), and SMS texts (the notifier's).

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::LanguageNumber;
use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;
use serde::Deserialize;

/// Tag and texts of every language, in the order of [`LanguageNumber`]. The first is the default.
const LANGUAGES: [(&str, &str); 4] = [
    ("zh-TW", include_str!("../messages/zh-TW.toml")),
    ("en", include_str!("../messages/en.toml")),
    ("ja", include_str!("../messages/ja.toml")),
    ("id", include_str!("../messages/id.toml")),
];

/// Ranges of an `Accept-Language` that are looked at.
const RANGES_MAX: usize = 16;

/// One of the languages above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Language(u8);

/// The texts of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// By problem slug.
    problem: HashMap<String, Text>,
    /// What is wrong with a field or a row, by code.
    #[serde(default)]
    import: HashMap<String, String>,
}

/// A problem in words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// What happened.
    pub title: String,
    /// What happened and what to do.
    pub detail: String,
}

impl Language {
    /// Chinese as written in Taiwan, the default.
    pub const ZH_TW: Language = Language(0);
    /// English.
    pub const EN: Language = Language(1);

    /// The language that the client likes best among ours.
    pub fn of(headers: &HeaderMap) -> Language {
        headers
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .map_or(Language::default(), Language::preferred)
    }

    /// The best of an `Accept-Language` value; the default when none is ours.
    fn preferred(ranges: &str) -> Language {
        let mut best = (0.0, Language::default());
        for range in ranges.split(',').take(RANGES_MAX) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(Some(1.0), |text| text.trim().parse::<f32>().ok());
            let (Some(weight), Some(language)) = (weight, Language::by_range(tag)) else {
                continue;
            };
            if weight > best.0 {
                best = (weight, language);
            }
        }
        best.1
    }

    /// The language whose tag begins like the range: `zh`, `zh-Hant-TW` and `zh-tw` are all zh-TW.
    fn by_range(range: &str) -> Option<Language> {
        let primary = range.split('-').next().unwrap_or_default();
        let found = LANGUAGES.iter().position(|(tag, _)| {
            tag.split('-').next().is_some_and(|own| own.eq_ignore_ascii_case(primary))
        })?;
        u8::try_from(found).ok().map(Language)
    }

    /// The language with exactly this tag, as it stands in requests.
    pub fn by_tag(tag: &str) -> Option<Language> {
        let found = LANGUAGES.iter().position(|(own, _)| own.eq_ignore_ascii_case(tag))?;
        u8::try_from(found).ok().map(Language)
    }

    /// The language with this number; the default when it is not ours.
    pub fn from_number(number: LanguageNumber) -> Language {
        if number.index() < LANGUAGES.len() { Language(number.0) } else { Language::default() }
    }

    /// Its number in commands.
    pub const fn number(self) -> LanguageNumber {
        LanguageNumber(self.0)
    }

    /// Its tag, for example `zh-TW`.
    pub const fn tag(self) -> &'static str {
        LANGUAGES[self.0 as usize].0
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Language> {
        (0u8..).take(LANGUAGES.len()).map(Language)
    }

    /// Its texts.
    pub fn messages(self) -> &'static Messages {
        static MESSAGES: LazyLock<Vec<Messages>> =
            LazyLock::new(|| LANGUAGES.iter().map(|(_, file)| parse(file)).collect());
        &MESSAGES[self.0 as usize]
    }
}

impl Messages {
    /// The words for a problem; empty for a slug without a text, which the tests rule out.
    pub fn problem(&self, slug: &str) -> &Text {
        static NONE: Text = Text { title: String::new(), detail: String::new() };
        self.problem.get(slug).unwrap_or(&NONE)
    }

    /// The codes that have words.
    #[cfg(test)]
    pub(crate) fn import_codes(&self) -> impl Iterator<Item = &str> {
        self.import.keys().map(String::as_str)
    }

    /// The words for what is wrong with a field or a row; its numbers stand as `{first}`, `{second}`.
    pub fn import(&self, code: &str) -> &str {
        self.import.get(code).map_or("", String::as_str)
    }
}

/// Reads a compiled-in file; that each one reads is a test.
fn parse(file: &str) -> Messages {
    toml::from_str(file)
        .unwrap_or_else(|_| Messages { problem: HashMap::new(), import: HashMap::new() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::problem::Slug;

    #[test]
    fn every_language_has_words_for_every_problem_and_for_nothing_else() {
        for (tag, file) in LANGUAGES {
            let messages: Messages = toml::from_str(file).unwrap();
            for slug in Slug::all() {
                let text = messages.problem(slug.name());
                assert!(
                    !text.title.is_empty() && !text.detail.is_empty(),
                    "{tag} has no words for {}",
                    slug.name()
                );
            }
            assert_eq!(messages.problem.len(), Slug::all().count(), "{tag}");
        }
    }

    #[test]
    fn the_best_liked_language_of_ours_is_taken() {
        for (ranges, tag) in [
            ("", "zh-TW"),
            ("en", "en"),
            ("fr, ja;q=0.8, en;q=0.9", "en"),
            ("zh-Hant-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
            ("id-ID", "id"),
            ("fr;q=1, *;q=0.5", "zh-TW"),
            ("en;q=abc, ja;q=0.1", "ja"),
            ("en;q=0", "zh-TW"),
        ] {
            assert_eq!(Language::preferred(ranges).tag(), tag, "{ranges}");
        }
    }
}
