//! Birth dates by an age pyramid.
//!
//! The groups follow the shape of Taiwan's resident population in 2021, rounded to a thousandth;
//! good enough to make staggered openings by age behave, not a statistic.

use jiff::civil::{Date, date};

/// Residents out of 1,000 by five-year age group, youngest first; the last group is 85 to 99.
const GROUPS_PER_1000: [u64; 18] =
    [37, 44, 42, 48, 61, 68, 69, 76, 85, 77, 77, 78, 74, 63, 46, 26, 21, 18];
/// Years per group.
const GROUP_YEARS: i16 = 5;
/// Years in the last group.
const LAST_GROUP_YEARS: i16 = 15;
/// Ages are counted at this date: the middle of the year in which the platform opened.
const COUNTED_ON: Date = date(2021, 7, 1);

/// One group, cut to the births that are let in.
#[derive(Clone, Debug)]
struct Group {
    first: Date,
    days: u64,
    /// Weight of this group and all before it.
    weight_through: u64,
}

/// Draws birth dates.
#[derive(Clone, Debug)]
pub struct AgePyramid {
    groups: Vec<Group>,
}

impl AgePyramid {
    /// The pyramid without those born after `born_on_or_before`. A limit before every birth leaves
    /// the oldest group whole: a population is never empty.
    pub fn new(born_on_or_before: Option<Date>) -> AgePyramid {
        let limit = born_on_or_before.unwrap_or(COUNTED_ON);
        let mut groups: Vec<Group> = Vec::with_capacity(GROUPS_PER_1000.len());
        let mut weight = 0;
        for (number, share) in GROUPS_PER_1000.iter().enumerate() {
            let (first, last, years) = bounds(number);
            if first > limit {
                continue;
            }
            let days = days_between(first, last.min(limit));
            weight += (share * days * 1_000 / (years as u64 * 365)).max(1);
            groups.push(Group { first, days, weight_through: weight });
        }
        if groups.is_empty() {
            let (first, last, _) = bounds(GROUPS_PER_1000.len() - 1);
            groups.push(Group { first, days: days_between(first, last), weight_through: 1 });
        }
        AgePyramid { groups }
    }

    /// The birth date of two random words.
    pub fn birth_date(&self, group_draw: u64, day_draw: u64) -> Date {
        let total = self.groups.last().map_or(1, |group| group.weight_through);
        let wanted = group_draw % total;
        let place = self.groups.partition_point(|group| group.weight_through <= wanted);
        let group = &self.groups[place.min(self.groups.len() - 1)];
        let days = (day_draw % group.days) as i64;
        group.first.saturating_add(jiff::Span::new().days(days))
    }
}

/// First and last birth of a group, and its years.
fn bounds(number: usize) -> (Date, Date, i16) {
    let youngest = number as i16 * GROUP_YEARS;
    let years = if number + 1 == GROUPS_PER_1000.len() { LAST_GROUP_YEARS } else { GROUP_YEARS };
    let last = years_before(youngest);
    let first = years_before(youngest + years).saturating_add(jiff::Span::new().days(1));
    (first, last, years)
}

fn years_before(years: i16) -> Date {
    COUNTED_ON.saturating_sub(jiff::Span::new().years(years))
}

/// Days from `first` to `last`, both counted.
fn days_between(first: Date, last: Date) -> u64 {
    let span = last.duration_since(first).as_hours() / 24;
    u64::try_from(span).unwrap_or(0) + 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn word(index: u64) -> u64 {
        // Any well-spread sequence will do here; the pyramid takes words, not a generator.
        index
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(31)
            .wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    #[test]
    fn nobody_is_born_after_the_limit() {
        let limit = date(2003, 12, 31);
        let ages = AgePyramid::new(Some(limit));
        let oldest = years_before(100);
        for index in 0..200_000 {
            let born = ages.birth_date(word(index), word(index + 1));
            assert!(born <= limit && born >= oldest, "{born}");
        }
    }

    #[test]
    fn middle_ages_outnumber_the_very_old() {
        let ages = AgePyramid::new(None);
        let (mut forties, mut over_85, mut children) = (0, 0, 0);
        for index in 0..200_000u64 {
            let age = 2021 - ages.birth_date(word(index), word(index + 7)).year();
            forties += u32::from((40..50).contains(&age));
            over_85 += u32::from(age > 85);
            children += u32::from(age < 15);
        }
        assert!(forties > 5 * over_85, "{forties} {over_85}");
        assert!((18_000..32_000).contains(&children), "{children}");
    }

    #[test]
    fn a_limit_before_every_birth_leaves_the_oldest() {
        let born = AgePyramid::new(Some(date(1800, 1, 1))).birth_date(3, 4);
        assert!(born < date(1937, 1, 1));
    }
}
