//! Latencies: recorded in HdrHistograms, written as counted values that any tool can add up.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer times are counted as this one.
pub const LATENCY_MAX_US: u64 = 3_600 * 1_000_000;
/// Significant digits kept.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A growing collection of latencies in microseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency::new()
    }
}

impl Latency {
    /// An empty collection.
    pub fn new() -> Latency {
        #[allow(clippy::expect_used)] // The bounds are constants, proven valid by the tests.
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_US, SIGNIFICANT_DIGITS)
            .expect("valid bounds");
        Latency { histogram }
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, latency: Duration) {
        self.histogram
            .saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US).max(1));
    }

    /// Adds all of `other`.
    pub fn add(&mut self, other: &Latency) {
        for value in other.histogram.iter_recorded() {
            self.histogram.saturating_record_n(value.value_iterated_to(), value.count_at_value());
        }
    }

    /// How many latencies were counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency below which the share `quantile` (0 to 1) lies, in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.histogram.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The longest, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.histogram.max() as f64 / 1_000.0
    }

    /// The average, in milliseconds.
    pub fn mean_ms(&self) -> f64 {
        self.histogram.mean() / 1_000.0
    }

    /// The histogram itself, in microseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.histogram
    }

    /// As it stands in results.
    pub fn summary(&self) -> LatencySummary {
        LatencySummary {
            count: self.count(),
            mean_ms: self.mean_ms(),
            p50_ms: self.quantile_ms(0.5),
            p90_ms: self.quantile_ms(0.9),
            p99_ms: self.quantile_ms(0.99),
            p999_ms: self.quantile_ms(0.999),
            max_ms: self.max_ms(),
            counted_us: self
                .histogram
                .iter_recorded()
                .map(|value| (value.value_iterated_to(), value.count_at_value()))
                .collect(),
        }
    }
}

/// Latencies as they stand in results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencySummary {
    /// How many were counted.
    pub count: u64,
    /// Average.
    pub mean_ms: f64,
    /// Half are below.
    pub p50_ms: f64,
    /// Nine of ten are below.
    pub p90_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// 999 of 1,000 are below.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// Every latency: microseconds (to three digits) and how many, so that results can be merged.
    pub counted_us: Vec<(u64, u64)>,
}

impl LatencySummary {
    /// The collection that this is the summary of.
    pub fn restore(&self) -> Latency {
        let mut latency = Latency::new();
        for (value, count) in &self.counted_us {
            latency.histogram.saturating_record_n(*value, *count);
        }
        latency
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_restores_to_the_same_summary() {
        let mut latency = Latency::new();
        for number in 1..5_000u64 {
            latency.record(Duration::from_micros(number * number));
        }
        let summary = latency.summary();
        assert_eq!(summary.restore().summary(), summary);
        assert_eq!(summary.count, 4_999);
    }

    #[test]
    fn adding_two_collections_counts_both() {
        let (mut left, mut right) = (Latency::new(), Latency::new());
        left.record(Duration::from_millis(1));
        right.record(Duration::from_secs(9_999));
        left.add(&right);
        assert_eq!(left.count(), 2);
        assert!(left.max_ms() >= 3_599_000.0);
    }
}
