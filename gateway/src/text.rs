//! Times and JSON pieces as they stand in answers.
//!
//! What this module does not do: read them (`import::when`).

use domain::time::{DAY_MS, TAIPEI_OFFSET_MS};
use domain::{Day, Millis, Names};

use crate::import::when::date_text;

/// Minutes in an hour.
const HOUR_MINUTES: u16 = 60;

/// An instant on the clocks of Taiwan: `2021-07-13T10:00:00+08:00`, with milliseconds only where
/// there are any.
pub(crate) fn instant(at: Millis) -> String {
    let day = at.day();
    let in_day_ms = at.0 + TAIPEI_OFFSET_MS - i64::from(day.0) * DAY_MS;
    let (seconds, millis) = (in_day_ms / 1_000, in_day_ms % 1_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let date = date_text(day);
    let fraction = if millis == 0 { String::new() } else { format!(".{millis:03}") };
    format!("{date}T{hours:02}:{minutes:02}:{:02}{fraction}+08:00", seconds % 60)
}

/// Appends a minute of a day as an instant; 1,440 is the beginning of the next day.
pub(crate) fn push_minute(out: &mut String, day: Day, date: &str, minute: u16) {
    let hours = minute / HOUR_MINUTES;
    if hours >= 24 {
        out.push_str(&date_text(Day(day.0.saturating_add(1))));
    } else {
        out.push_str(date);
    }
    let digits = |number: u16| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
    out.push('T');
    let clock = [digits(hours % 24), digits(minute % HOUR_MINUTES)];
    for (place, pair) in clock.iter().enumerate() {
        if place > 0 {
            out.push(':');
        }
        out.push(char::from(pair[0]));
        out.push(char::from(pair[1]));
    }
    out.push_str(":00+08:00");
}

/// A text as a JSON string, quotes included.
pub(crate) fn quoted(text: &str) -> String {
    // A text can always be written as JSON.
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// Appends a number.
pub(crate) fn push_number(out: &mut String, number: impl itoa::Integer) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Texts per language as a JSON object.
pub(crate) fn names(names: &Names) -> serde_json::Value {
    let entries = names.iter().map(|(tag, text)| (tag.clone(), text.as_str().into()));
    serde_json::Value::Object(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_on_taiwans_clock() {
        assert_eq!(instant(Millis(0)), "1970-01-01T08:00:00+08:00");
        assert_eq!(instant(Millis(1_626_141_600_000)), "2021-07-13T10:00:00+08:00");
        assert_eq!(instant(Millis(1_626_141_600_007)), "2021-07-13T10:00:00.007+08:00");
        assert_eq!(instant(Millis(-1)), "1970-01-01T07:59:59.999+08:00");
    }

    #[test]
    fn minutes_of_a_day_become_instants() {
        let day = Millis(1_626_141_600_000).day();
        for (minute, text) in [
            (0, "2021-07-13T00:00:00+08:00"),
            (615, "2021-07-13T10:15:00+08:00"),
            (1_440, "2021-07-14T00:00:00+08:00"),
        ] {
            let mut out = String::new();
            push_minute(&mut out, day, "2021-07-13", minute);
            assert_eq!(out, text);
        }
    }
}
