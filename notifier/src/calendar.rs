//! Days and instants of Taiwan in figures: years, months, weekdays, RFC 3339.
//!
//! What this file deliberately does not do: languages ([`crate::text`]), other time zones.

use domain::time::DAY_MS;
use domain::time::TAIPEI_OFFSET_MS;
use domain::{Day, Millis};
use jiff::Span;
use jiff::civil::Date;

/// Days whose figures are kept: texts of one minute name few of them.
const CACHED_DAYS: usize = 64;

/// A day in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i16,
    pub(crate) month: i8,
    pub(crate) day: i8,
    /// 0 is Monday.
    pub(crate) weekday: i8,
}

/// Turns days into figures, and keeps the last ones.
#[derive(Debug)]
pub(crate) struct Calendar {
    cached: [Option<(Day, Civil)>; CACHED_DAYS],
}

impl Calendar {
    pub(crate) fn new() -> Calendar {
        Calendar { cached: [None; CACHED_DAYS] }
    }

    /// The day in figures. Days outside the years 1 to 9999, which no record holds, are shown as the
    /// nearest that is inside.
    pub(crate) fn civil(&mut self, day: Day) -> Civil {
        let place = day.0.rem_euclid(CACHED_DAYS as i32) as usize;
        if let Some((known, civil)) = self.cached[place]
            && known == day
        {
            return civil;
        }
        let epoch = Date::constant(1970, 1, 1);
        let limit = if day.0 < 0 { Date::constant(1, 1, 1) } else { Date::constant(9999, 12, 31) };
        let date = Span::new().try_days(day.0).and_then(|days| epoch.checked_add(days));
        let date = date.unwrap_or(limit);
        let civil = Civil {
            year: date.year(),
            month: date.month(),
            day: date.day(),
            weekday: date.weekday().to_monday_zero_offset(),
        };
        self.cached[place] = Some((day, civil));
        civil
    }

    /// Appends the instant in RFC 3339 with the offset of Taiwan, to the second, or to the millisecond
    /// where it is not a whole second.
    pub(crate) fn push_rfc3339(&mut self, at: Millis, out: &mut String) {
        let Civil { year, month, day, .. } = self.civil(at.day());
        push_padded(year as u32, 4, out);
        out.push('-');
        push_padded(month as u32, 2, out);
        out.push('-');
        push_padded(day as u32, 2, out);
        out.push('T');
        let of_day_ms = (at.0 + TAIPEI_OFFSET_MS).rem_euclid(DAY_MS) as u32;
        let of_day_s = of_day_ms / 1_000;
        push_padded(of_day_s / 3_600, 2, out);
        out.push(':');
        push_padded(of_day_s / 60 % 60, 2, out);
        out.push(':');
        push_padded(of_day_s % 60, 2, out);
        if !of_day_ms.is_multiple_of(1_000) {
            out.push('.');
            push_padded(of_day_ms % 1_000, 3, out);
        }
        out.push_str("+08:00");
    }
}

/// Appends a number with leading zeros.
pub(crate) fn push_padded(number: u32, width: usize, out: &mut String) {
    let mut digits = [b'0'; 10];
    let mut rest = number;
    let mut first = digits.len();
    while rest > 0 || digits.len() - first < width {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    // ASCII digits by construction.
    out.push_str(std::str::from_utf8(&digits[first..]).unwrap_or(""));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use domain::codec::{INSTANT_MAX, INSTANT_MIN};

    #[test]
    fn days_have_the_figures_of_the_calendar() {
        let mut calendar = Calendar::new();
        let cases = [
            (0, (1970, 1, 1, 3)),
            (-1, (1969, 12, 31, 2)),
            (20_779, (2026, 11, 22, 6)),
            (19_782, (2024, 2, 29, 3)),
            (11_016, (2000, 2, 29, 1)),
        ];
        // Twice: from the calendar, then from what is kept.
        for (day, (year, month, of_month, weekday)) in cases.into_iter().chain(cases) {
            let expected = Civil { year, month, day: of_month, weekday };
            assert_eq!(calendar.civil(Day(day)), expected, "{day}");
        }
        for (day, year) in [(i32::MIN, 1), (i32::MAX, 9999)] {
            assert_eq!(calendar.civil(Day(day)).year, year);
        }
    }

    #[test]
    fn instants_read_back_as_they_were() {
        let mut calendar = Calendar::new();
        let mut instants: Vec<i64> = vec![0, 1, 999, 1_000, -1, 1_795_392_000_123, 57_600_000];
        instants.extend((0..5_000).map(|step| step * 86_399_999_i64 - 62_000_000_000_000));
        for at in instants {
            let mut text = String::new();
            calendar.push_rfc3339(Millis(at), &mut text);
            let read: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(read.as_millisecond(), at, "{text}");
            assert!(text.ends_with("+08:00"), "{text}");
        }
        for at in [INSTANT_MIN, INSTANT_MAX] {
            calendar.push_rfc3339(at, &mut String::new());
        }
    }

    #[test]
    fn numbers_are_padded() {
        let mut text = String::new();
        for (number, width) in [(0, 1), (0, 2), (7, 3), (1234, 2), (u32::MAX, 0)] {
            push_padded(number, width, &mut text);
            text.push(' ');
        }
        assert_eq!(text, "0 00 007 1234 4294967295 ");
    }
}
