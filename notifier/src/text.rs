//! SMS texts: one file a language under `texts/`, compiled in and parsed once.
//!
//! A language is added by adding its file to [`LANGUAGES`]. A text that names an unknown field, or has
//! a stray brace, is refused when the texts are read, never when one is sent.
//!
//! What this file deliberately does not do: choose a person's language, send.

use std::collections::HashMap;

use domain::{BookingNumber, Day, Site, Slot};
use serde::Deserialize;

use crate::calendar::{Calendar, push_padded};

/// Tag and texts of every language, in the order of [`domain::LanguageNumber`]. The first stands in
/// for a number that is not known.
const LANGUAGES: [(&str, &str); 4] = [
    ("zh-TW", include_str!("../texts/zh-TW.toml")),
    ("en", include_str!("../texts/en.toml")),
    ("ja", include_str!("../texts/ja.toml")),
    ("id", include_str!("../texts/id.toml")),
];

/// The tags of the languages, by [`domain::LanguageNumber`].
pub const LANGUAGE_TAGS: [&str; LANGUAGES.len()] =
    [LANGUAGES[0].0, LANGUAGES[1].0, LANGUAGES[2].0, LANGUAGES[3].0];

/// Dates kept in a language.
const KEPT_DATES: usize = 32;
/// The year before the first of the Republic.
const ROC_YEAR_ZERO: i32 = 1911;

/// What happened to a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageKind {
    /// It was made.
    Confirmed = 0,
    /// It moved to another slot.
    Changed = 1,
    /// It was given up.
    Cancelled = 2,
}

/// What a text tells.
#[derive(Clone, Copy, Debug)]
pub struct Details<'a> {
    /// Where.
    pub site: &'a Site,
    /// When and what.
    pub slot: &'a Slot,
    /// The vaccine's name as announced.
    pub vaccine: &'a str,
    /// The booking.
    pub booking: BookingNumber,
}

/// All texts, ready to fill in.
#[derive(Debug)]
pub struct Texts {
    languages: Vec<Language>,
    calendar: Calendar,
}

/// What is wrong with a file of texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("texts/{language}.toml: {what}")]
pub struct TextsError {
    /// Whose file.
    pub language: String,
    /// What is wrong there.
    pub what: String,
}

#[derive(Debug)]
struct Language {
    /// By [`MessageKind`].
    messages: [Template; 3],
    date: Template,
    time: Template,
    english_sites: bool,
    weekdays: Vec<String>,
    months: Vec<String>,
    /// Announced name and name here; so few that a search in order is quickest.
    vaccines: Vec<(String, String)>,
    /// Dates already written, by the day's remainder: texts of one minute name few days.
    dates: Vec<Option<(Day, String)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    confirmed: String,
    changed: String,
    cancelled: String,
    date: String,
    time: String,
    site_name: SiteName,
    weekdays: Vec<String>,
    months: Vec<String>,
    vaccines: HashMap<String, String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum SiteName {
    Zh,
    En,
}

/// A text cut at its fields.
type Template = Vec<Piece>;

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Site,
    Date,
    Time,
    Vaccine,
    Booking,
    Year,
    RocYear,
    Month,
    MonthName,
    DayOfMonth,
    Weekday,
    Start,
    End,
}

const MESSAGE_FIELDS: &[(&str, Field)] = &[
    ("site", Field::Site),
    ("date", Field::Date),
    ("time", Field::Time),
    ("vaccine", Field::Vaccine),
    ("booking", Field::Booking),
];
const DATE_FIELDS: &[(&str, Field)] = &[
    ("year", Field::Year),
    ("roc_year", Field::RocYear),
    ("month", Field::Month),
    ("month_name", Field::MonthName),
    ("day", Field::DayOfMonth),
    ("weekday", Field::Weekday),
];
const TIME_FIELDS: &[(&str, Field)] = &[("start", Field::Start), ("end", Field::End)];

impl Texts {
    /// Parses the texts that were compiled in.
    ///
    /// # Errors
    /// Names the file and what is wrong there.
    pub fn read() -> Result<Texts, TextsError> {
        let languages = LANGUAGES
            .iter()
            .map(|(tag, text)| {
                Language::parse(text)
                    .map_err(|what| TextsError { language: (*tag).to_owned(), what })
            })
            .collect::<Result<_, _>>()?;
        Ok(Texts { languages, calendar: Calendar::new() })
    }

    /// Appends the text about a booking in this language.
    pub fn push(
        &mut self,
        kind: MessageKind,
        language: u8,
        details: &Details<'_>,
        out: &mut String,
    ) {
        let known = Some(usize::from(language)).filter(|number| *number < self.languages.len());
        let language = &mut self.languages[known.unwrap_or(0)];
        language.keep_date(&mut self.calendar, details);
        language.push(&language.messages[kind as usize], &mut self.calendar, details, out);
    }
}

impl Language {
    fn parse(text: &str) -> Result<Language, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        if file.weekdays.len() != 7 || file.months.len() != 12 {
            return Err("there are 7 weekdays and 12 months".into());
        }
        let message = |name: &str, text: &str| {
            let template = parse(text, MESSAGE_FIELDS).map_err(|what| format!("{name}: {what}"))?;
            for (field, needed) in MESSAGE_FIELDS {
                if !template.contains(&Piece::Field(*needed)) {
                    return Err(format!("{name}: {{{field}}} is missing"));
                }
            }
            Ok(template)
        };
        Ok(Language {
            messages: [
                message("confirmed", &file.confirmed)?,
                message("changed", &file.changed)?,
                message("cancelled", &file.cancelled)?,
            ],
            date: parse(&file.date, DATE_FIELDS).map_err(|what| format!("date: {what}"))?,
            time: parse(&file.time, TIME_FIELDS).map_err(|what| format!("time: {what}"))?,
            english_sites: file.site_name == SiteName::En,
            weekdays: file.weekdays,
            months: file.months,
            vaccines: file.vaccines.into_iter().collect(),
            dates: vec![None; KEPT_DATES],
        })
    }

    fn push(
        &self,
        template: &Template,
        calendar: &mut Calendar,
        details: &Details<'_>,
        out: &mut String,
    ) {
        for piece in template {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Field(field) => self.push_field(*field, calendar, details, out),
            }
        }
    }

    fn push_field(
        &self,
        field: Field,
        calendar: &mut Calendar,
        details: &Details<'_>,
        out: &mut String,
    ) {
        let slot = details.slot;
        match field {
            Field::Site => push_clean(self.site_name(details.site), out),
            Field::Date => match &self.dates[kept_at(slot.day)] {
                Some((day, text)) if *day == slot.day => out.push_str(text),
                _ => self.push(&self.date, calendar, details, out),
            },
            Field::Time => self.push(&self.time, calendar, details, out),
            Field::Vaccine => {
                let here = self.vaccines.iter().find(|(announced, _)| announced == details.vaccine);
                push_clean(here.map_or(details.vaccine, |(_, here)| here), out);
            }
            Field::Booking => push_padded(details.booking.0, 1, out),
            Field::Year => push_padded(calendar.civil(slot.day).year as u32, 1, out),
            Field::RocYear => {
                let year = i32::from(calendar.civil(slot.day).year) - ROC_YEAR_ZERO;
                push_padded(year.max(1) as u32, 1, out);
            }
            Field::Month => push_padded(calendar.civil(slot.day).month as u32, 1, out),
            Field::MonthName => {
                out.push_str(&self.months[calendar.civil(slot.day).month as usize - 1]);
            }
            Field::DayOfMonth => push_padded(calendar.civil(slot.day).day as u32, 1, out),
            Field::Weekday => {
                out.push_str(&self.weekdays[calendar.civil(slot.day).weekday as usize]);
            }
            Field::Start => push_time(slot.start_minute, out),
            Field::End => push_time(slot.end_minute, out),
        }
    }

    fn keep_date(&mut self, calendar: &mut Calendar, details: &Details<'_>) {
        let day = details.slot.day;
        let place = kept_at(day);
        if self.dates[place].as_ref().is_none_or(|(kept, _)| *kept != day) {
            let mut text = String::new();
            self.push(&self.date, calendar, details, &mut text);
            self.dates[place] = Some((day, text));
        }
    }

    fn site_name<'a>(&self, site: &'a Site) -> &'a str {
        match (self.english_sites, site.name_en.is_empty(), site.name_zh.is_empty()) {
            (true, false, _) | (false, false, true) => &site.name_en,
            _ => &site.name_zh,
        }
    }
}

fn kept_at(day: Day) -> usize {
    day.0.rem_euclid(KEPT_DATES as i32) as usize
}

/// Names come from operators' files: line breaks and other control characters stay out of an SMS.
fn push_clean(name: &str, out: &mut String) {
    if name.bytes().any(|byte| byte < b' ' || byte == 0x7f || byte == 0xc2) {
        out.extend(name.chars().map(|letter| if letter.is_control() { ' ' } else { letter }));
    } else {
        out.push_str(name);
    }
}

fn push_time(minute_of_day: u16, out: &mut String) {
    push_padded(u32::from(minute_of_day / 60), 2, out);
    out.push(':');
    push_padded(u32::from(minute_of_day % 60), 2, out);
}

fn parse(text: &str, fields: &[(&str, Field)]) -> Result<Template, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let brace = rest.find(['{', '}']).unwrap_or(rest.len());
        let (literal, tail) = rest.split_at(brace);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        if tail.is_empty() {
            break;
        }
        let (name, after) = tail
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
            .ok_or_else(|| format!("a brace without its other half in \"{text}\""))?;
        let (_, field) = fields
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| format!("no field is called {{{name}}} here"))?;
        pieces.push(Piece::Field(*field));
        rest = after;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
