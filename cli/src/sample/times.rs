//! Times of the sample data, relative to the day on which it is loaded: `today+7 17:00`.

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// Taiwan keeps UTC+08:00 all year.
fn taipei() -> TimeZone {
    TimeZone::fixed(Offset::constant(8))
}

/// The day it is in Taiwan.
pub fn today() -> Date {
    Timestamp::now().to_zoned(taipei()).date()
}

/// A day so many days away.
pub fn day_after(today: Date, days: i64) -> Result<Date, String> {
    today.checked_add(days.days()).map_err(|error| format!("{days} days from {today}: {error}"))
}

/// Turns `today-1 10:00` into RFC 3339 with Taiwan's offset.
pub fn absolute(text: &str, today: Date) -> Result<String, String> {
    let wrong = || format!("{text:?} is not a time of the form \"today+7 17:00\"");
    let (day, time) = text.split_once(' ').ok_or_else(wrong)?;
    let days = day.strip_prefix("today").ok_or_else(wrong)?;
    let days: i64 = if days.is_empty() { 0 } else { days.parse().map_err(|_| wrong())? };
    let time: Time = Time::strptime("%H:%M", time).map_err(|_| wrong())?;
    let date = day_after(today, days)?;
    Ok(format!("{}+08:00", date.to_datetime(time).strftime("%Y-%m-%dT%H:%M:%S")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn relative_times_become_absolute_ones() {
        let today = date(2021, 7, 13);
        for (text, expected) in [
            ("today 10:00", Some("2021-07-13T10:00:00+08:00")),
            ("today-1 10:00", Some("2021-07-12T10:00:00+08:00")),
            ("today+20 17:30", Some("2021-08-02T17:30:00+08:00")),
            ("tomorrow 10:00", None),
            ("today+x 10:00", None),
            ("today+1", None),
            ("today+1 25:00", None),
        ] {
            assert_eq!(absolute(text, today).ok().as_deref(), expected, "{text}");
        }
    }
}
