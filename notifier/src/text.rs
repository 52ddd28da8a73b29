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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use domain::{CountyNumber, Day, DistrictNumber, SiteNumber, VaccineNumber};

    fn site() -> Site {
        Site {
            id: "63000070-H01".into(),
            name_zh: "臺北市萬華區健康服務中心".into(),
            name_en: "Wanhua District Health Centre, Taipei City".into(),
            county: CountyNumber(0),
            district: DistrictNumber(6),
            address: "臺北市萬華區東園街152號".into(),
            kind: "health_centre".into(),
        }
    }

    fn slot() -> Slot {
        Slot {
            site: SiteNumber(0),
            // Tuesday, 13 July 2021.
            day: Day(18_821),
            start_minute: 9 * 60,
            end_minute: 12 * 60 + 5,
            vaccine: VaccineNumber(0),
            capacity: 50,
        }
    }

    fn render(kind: MessageKind, language: u8, vaccine: &str) -> String {
        let (site, slot) = (site(), slot());
        let details =
            Details { site: &site, slot: &slot, vaccine, booking: BookingNumber(1_234_567) };
        let mut out = String::new();
        Texts::read().unwrap().push(kind, language, &details, &mut out);
        out
    }

    #[test]
    fn texts_read_as_written_in_every_language() {
        use MessageKind::{Cancelled, Changed, Confirmed};
        let table = [
            (
                Confirmed,
                0,
                "Moderna",
                "【1922】預約成功：莫德納疫苗，民國110年7月13日（二） 09:00至12:05，臺北市萬華區健康服務中心。預約編號1234567，請攜帶健保卡或身分證件準時前往。",
            ),
            (
                Changed,
                0,
                "AZ",
                "【1922】預約已更改：AZ疫苗，民國110年7月13日（二） 09:00至12:05，臺北市萬華區健康服務中心。預約編號1234567，請攜帶健保卡或身分證件準時前往。",
            ),
            (
                Cancelled,
                0,
                "AZ",
                "【1922】預約已取消：AZ疫苗，民國110年7月13日（二） 09:00至12:05，臺北市萬華區健康服務中心。預約編號1234567。",
            ),
            (
                Confirmed,
                1,
                "AZ",
                "1922: Your booking is confirmed. AZ vaccine, Tue 13 Jul 2021, 09:00-12:05, Wanhua District Health Centre, Taipei City. Booking no. 1234567. Please bring your NHI card or ID.",
            ),
            (
                Changed,
                1,
                "AZ",
                "1922: Your booking has been moved. AZ vaccine, Tue 13 Jul 2021, 09:00-12:05, Wanhua District Health Centre, Taipei City. Booking no. 1234567. Please bring your NHI card or ID.",
            ),
            (
                Cancelled,
                1,
                "Moderna",
                "1922: Your booking has been cancelled. Moderna vaccine, Tue 13 Jul 2021, 09:00-12:05, Wanhua District Health Centre, Taipei City. Booking no. 1234567.",
            ),
            (
                Confirmed,
                2,
                "AZ",
                "【1922】ワクチン接種の予約が完了しました。アストラゼネカ、2021年7月13日（火） 09:00～12:05、臺北市萬華區健康服務中心。予約番号1234567。健康保険カードまたは身分証をお持ちください。",
            ),
            (
                Changed,
                2,
                "Moderna",
                "【1922】ワクチン接種の予約を変更しました。モデルナ、2021年7月13日（火） 09:00～12:05、臺北市萬華區健康服務中心。予約番号1234567。健康保険カードまたは身分証をお持ちください。",
            ),
            (
                Cancelled,
                2,
                "新疫苗",
                "【1922】ワクチン接種の予約を取り消しました。新疫苗、2021年7月13日（火） 09:00～12:05、臺北市萬華區健康服務中心。予約番号1234567。",
            ),
            (
                Confirmed,
                3,
                "AZ",
                "1922: Pemesanan Anda berhasil. Vaksin AZ, Selasa, 13 Juli 2021, pukul 09:00-12:05, Wanhua District Health Centre, Taipei City. Nomor pemesanan 1234567. Harap bawa kartu NHI atau kartu identitas.",
            ),
            (
                Changed,
                3,
                "AZ",
                "1922: Pemesanan Anda telah diubah. Vaksin AZ, Selasa, 13 Juli 2021, pukul 09:00-12:05, Wanhua District Health Centre, Taipei City. Nomor pemesanan 1234567. Harap bawa kartu NHI atau kartu identitas.",
            ),
            (
                Cancelled,
                3,
                "AZ",
                "1922: Pemesanan Anda telah dibatalkan. Vaksin AZ, Selasa, 13 Juli 2021, pukul 09:00-12:05, Wanhua District Health Centre, Taipei City. Nomor pemesanan 1234567.",
            ),
        ];
        for (kind, language, vaccine, expected) in table {
            assert_eq!(render(kind, language, vaccine), expected, "{kind:?} {language}");
        }
    }

    #[test]
    fn an_unknown_language_is_written_in_chinese() {
        let chinese = render(MessageKind::Confirmed, 0, "AZ");
        for language in [4, 9, u8::MAX] {
            assert_eq!(render(MessageKind::Confirmed, language, "AZ"), chinese);
        }
    }

    #[test]
    fn names_of_operators_cannot_break_a_text() {
        let (mut site, slot) = (site(), slot());
        site.name_en = String::new();
        site.name_zh = "第一\r\n{site}醫院\u{0}".into();
        let details =
            Details { site: &site, slot: &slot, vaccine: "A\tZ", booking: BookingNumber(0) };
        let mut out = String::new();
        Texts::read().unwrap().push(MessageKind::Cancelled, 1, &details, &mut out);
        assert!(out.contains("第一  {site}醫院 . Booking no. 0."), "{out}");
        assert!(out.contains("A Z vaccine"), "{out}");
    }

    #[test]
    fn broken_texts_are_refused_when_read() {
        let good = LANGUAGES[1].1;
        let cases = [
            ("an unknown field", good.replacen("{booking}", "{bokking}", 1)),
            ("a field of another text", good.replacen("{weekday}", "{site}", 1)),
            ("a field left out", good.replacen("{booking}", "", 1)),
            ("a stray brace", good.replacen("{booking}", "{booking", 1)),
            ("a closing brace", good.replacen("{booking}", "booking}", 1)),
            ("a missing text", good.replacen("changed =", "moved =", 1)),
            ("six weekdays", good.replacen("\"Mon\", ", "", 1)),
        ];
        assert!(Language::parse(good).is_ok());
        for (what, text) in cases {
            assert!(Language::parse(&text).is_err(), "{what}");
        }
    }

    #[test]
    fn latin_texts_keep_to_the_gsm_alphabet() {
        for (tag, text) in [LANGUAGES[1], LANGUAGES[3]] {
            let file: File = toml::from_str(text).unwrap();
            for text in [&file.confirmed, &file.changed, &file.cancelled, &file.date, &file.time] {
                assert!(
                    text.is_ascii() && !text.contains(['`', '[', ']', '^', '\\', '~', '|']),
                    "{tag}: {text}"
                );
            }
        }
    }
}
