//! When the next group may leave.
//!
//! Does: keeps groups apart while requests keep coming, by a multiple of the measured time of a
//! durable write. Does not sleep: the writer does.
//!
//! Each durable write costs CPU that requests need, so at saturation fewer, larger groups make
//! everything faster. At low load a pause would only add to the wait. Three rules tell them apart:
//! after a tiny group there is no pause; a pause ends as soon as nobody is about to add to what waits,
//! which producers say of themselves ([`crate::Lane::set_resting`]), or which shows, where they do not, in
//! arrivals that dry up for half of it; and it never exceeds the configured interval.

use std::time::Duration;

/// A pause is at most this many times the measured write time: on a fast disk syncing stays near one
/// eighth of the appender's time, on a slow one the configured interval is the bound.
const INTERVAL_WRITE_TIMES: u32 = 8;

/// Weight of the newest measurement: one in so many.
const SMOOTHING: u32 = 8;

/// A full pause is looked at in so many steps: each costs a wake of some microseconds, and whoever runs
/// on that core its place.
const STEPS: u32 = 2;

/// Shortest step in which arrivals are looked at during a pause.
const STEP_US_MIN: u64 = 50;

/// The distance between groups.
#[derive(Debug)]
pub(crate) struct Pacing {
    /// Smoothed time of one durable write.
    write_time: Duration,
    /// Longest distance between the starts of two groups.
    interval_max: Duration,
    /// Groups up to this many records are followed at once.
    tiny_group_records: u32,
}

impl Pacing {
    /// No measurement yet.
    pub(crate) fn new(group_interval_us_max: u32, tiny_group_records: u32) -> Pacing {
        Pacing {
            write_time: Duration::ZERO,
            interval_max: Duration::from_micros(group_interval_us_max.into()),
            tiny_group_records,
        }
    }

    /// Learns from a write.
    pub(crate) fn measured(&mut self, took: Duration) {
        self.write_time = if self.write_time.is_zero() {
            took
        } else {
            (self.write_time * (SMOOTHING - 1) + took) / SMOOTHING
        };
    }

    /// Least time from the start of a group of `records` to the start of the next.
    pub(crate) fn interval_after(&self, records: u32) -> Duration {
        if records <= self.tiny_group_records {
            return Duration::ZERO;
        }
        (self.write_time * INTERVAL_WRITE_TIMES).min(self.interval_max)
    }

    /// Time after which arrivals that stopped are taken to have dried up.
    pub(crate) fn step(&self) -> Duration {
        let longest = (self.write_time * INTERVAL_WRITE_TIMES).min(self.interval_max);
        (longest / STEPS).max(Duration::from_micros(STEP_US_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacing(write_us: u64) -> Pacing {
        let mut pacing = Pacing::new(1_000, 16);
        for _ in 0..64 {
            pacing.measured(Duration::from_micros(write_us));
        }
        pacing
    }

    #[test]
    fn tiny_groups_are_followed_at_once() {
        assert_eq!(pacing(100).interval_after(16), Duration::ZERO);
        assert!(pacing(100).interval_after(17) > Duration::ZERO);
    }

    #[test]
    fn the_distance_follows_the_write_time_up_to_the_limit() {
        assert_eq!(pacing(50).interval_after(100), Duration::from_micros(400));
        assert_eq!(pacing(5_000).interval_after(100), Duration::from_micros(1_000));
    }

    #[test]
    fn an_interval_of_zero_never_pauses() {
        let mut pacing = Pacing::new(0, 16);
        pacing.measured(Duration::from_micros(100));
        assert_eq!(pacing.interval_after(1_000), Duration::ZERO);
    }
}
