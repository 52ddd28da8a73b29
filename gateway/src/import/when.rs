//! Days, times of day and instants as operators write them.
//!
//! Days are `2021-07-13`, times of day `09:30` (Taiwan), instants RFC 3339 with any offset. What this
//! module does not do: read years of the Republic, or guess the order of day and month.

use domain::{Day, Millis};
use jiff::civil::Date;

/// The first year that any date here may have; the oldest people alive were born after it.
pub const FIRST_YEAR: i16 = 1880;

/// The last year that any date here may have.
pub const LAST_YEAR: i16 = 2199;

/// Minutes in a day: the latest end of a slot, written `24:00`.
pub const MINUTES_OF_DAY: u16 = 1_440;

/// Days since 1970-01-01 of a calendar date written `2021-07-13`.
pub fn day(text: &str) -> Option<Day> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = i16::try_from(digits(&bytes[..4])?).ok()?;
    let month = i8::try_from(digits(&bytes[5..7])?).ok()?;
    let of_month = i8::try_from(digits(&bytes[8..])?).ok()?;
    if !(FIRST_YEAR..=LAST_YEAR).contains(&year) {
        return None;
    }
    let date = Date::new(year, month, of_month).ok()?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    i32::try_from(days).ok().map(Day)
}

/// Minute of the day of a time written `09:30`; `24:00` is the end of the day.
pub fn minute(text: &str) -> Option<u16> {
    let bytes = text.as_bytes();
    if bytes.len() != 5 || bytes[2] != b':' {
        return None;
    }
    let (hours, minutes) = (digits(&bytes[..2])?, digits(&bytes[3..])?);
    if hours > 24 || minutes > 59 || (hours == 24 && minutes > 0) {
        return None;
    }
    u16::try_from(hours * 60 + minutes).ok()
}

/// An instant in RFC 3339, with any offset; seconds may be left out.
pub fn instant(text: &str) -> Option<Millis> {
    // Annotations such as `[Asia/Taipei]` are another format (RFC 9557).
    if !text.is_ascii() || text.contains(['[', ' ']) {
        return None;
    }
    let at = Millis(text.parse::<jiff::Timestamp>().ok()?.as_millisecond());
    let year = i64::from(at.day().0).div_euclid(365) + 1970;
    (i64::from(FIRST_YEAR)..=i64::from(LAST_YEAR)).contains(&year).then_some(at)
}

/// The day as it is written: `2021-07-13`.
pub fn date_text(day: Day) -> String {
    let date = Date::constant(1970, 1, 1)
        .checked_add(jiff::Span::new().try_days(day.0).unwrap_or_default())
        .unwrap_or(Date::constant(1970, 1, 1));
    date.to_string()
}

/// Plain digits as a number; no sign, no blank.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn days_that_exist_are_read_and_written_back() {
        for (text, days) in
            [("1970-01-01", 0), ("1969-12-31", -1), ("2021-07-13", 18_821), ("2020-02-29", 18_321)]
        {
            assert_eq!(day(text), Some(Day(days)), "{text}");
            assert_eq!(date_text(Day(days)), text);
        }
    }

    #[test]
    fn days_that_do_not_exist_or_are_written_otherwise_are_not_read() {
        for text in [
            "",
            "2021-02-29",
            "1900-02-29",
            "2021-13-01",
            "2021-00-01",
            "2021-04-31",
            "2021-01-00",
            "2021/07/13",
            "13-07-2021",
            "110-07-13",
            "20210713",
            "2021-7-13",
            "+021-07-13",
            "2021-07-1 ",
            "1879-12-31",
            "2200-01-01",
            "２０２１-07-13",
        ] {
            assert_eq!(day(text), None, "{text:?}");
        }
    }

    #[test]
    fn times_of_day_end_at_24_00() {
        for (text, expected) in [
            ("00:00", Some(0)),
            ("09:30", Some(570)),
            ("23:59", Some(1_439)),
            ("24:00", Some(1_440)),
        ] {
            assert_eq!(minute(text), expected, "{text}");
        }
        for text in ["", "24:01", "25:00", "12:60", "9:30", "0930", "09.30", "-1:00", "09:3x"] {
            assert_eq!(minute(text), None, "{text:?}");
        }
    }

    #[test]
    fn instants_take_any_offset() {
        let expected = Some(Millis(1_626_141_600_000));
        for text in [
            "2021-07-13T10:00:00+08:00",
            "2021-07-13T02:00:00Z",
            "2021-07-12T21:00:00-05:00",
            "2021-07-13T10:00+08:00",
            "2021-07-13T10:00:00.000+08:00",
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
    }

    #[test]
    fn instants_without_an_offset_or_that_do_not_exist_are_not_read() {
        for text in [
            "",
            "2021-07-13",
            "2021-07-13T10:00:00",
            "2021-02-30T10:00:00Z",
            "2021-07-13T25:00:00Z",
            "2021-07-13T10:00:00+08:00[Asia/Taipei]",
            "2021-07-13 10:00:00+08:00",
            "1626141600",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
        ] {
            assert_eq!(instant(text), None, "{text:?}");
        }
    }
}
