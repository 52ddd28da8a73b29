//! Conditions under which a run fails, such as `p99_ms>50`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::result::RunResult;

/// Figures that a condition may name.
pub const FIGURES: [&str; 17] = [
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "p999_ms",
    "max_ms",
    "mean_ms",
    "service_p50_ms",
    "service_p99_ms",
    "service_p999_ms",
    "achieved_per_second",
    "confirmed",
    "rejected",
    "dropped",
    "gave_up",
    "errors",
    "error_share",
    "audit_findings",
];

/// How the figure is compared with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Comparison {
    fn text(self) -> &'static str {
        match self {
            Comparison::Above => ">",
            Comparison::AtLeast => ">=",
            Comparison::Below => "<",
            Comparison::AtMost => "<=",
        }
    }

    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Comparison::Above => value > limit,
            Comparison::AtLeast => value >= limit,
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
        }
    }
}

/// One condition; the run fails when it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    figure: String,
    comparison: Comparison,
    limit: f64,
}

/// What a condition made of a result; limit and value both stand in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThresholdOutcome {
    /// The condition under which the run fails.
    pub fail_if: String,
    /// The limit in it.
    pub limit: f64,
    /// The figure measured.
    pub value: f64,
    /// True when the condition did not hold.
    pub passed: bool,
}

impl Threshold {
    /// Applies the condition to a result.
    pub fn judge(&self, result: &RunResult) -> ThresholdOutcome {
        let value = result.figure(&self.figure).unwrap_or(f64::NAN);
        // A figure that was not measured proves nothing: it does not pass.
        let passed = value.is_finite() && !self.comparison.holds(value, self.limit);
        let value = if value.is_finite() { value } else { -1.0 };
        ThresholdOutcome { fail_if: self.to_string(), limit: self.limit, value, passed }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Threshold, String> {
        let place = text.find(['<', '>']).ok_or_else(|| {
            format!("\"{text}\" is not a condition; write a figure, one of < <= > >=, and a limit, such as p99_ms>50")
        })?;
        let (figure, rest) = text.split_at(place);
        let (comparison, limit) = match (rest.strip_prefix(">="), rest.strip_prefix("<=")) {
            (Some(limit), _) => (Comparison::AtLeast, limit),
            (_, Some(limit)) => (Comparison::AtMost, limit),
            _ if rest.starts_with('>') => (Comparison::Above, &rest[1..]),
            _ => (Comparison::Below, &rest[1..]),
        };
        let figure = figure.trim().to_owned();
        if !FIGURES.contains(&figure.as_str()) {
            return Err(format!(
                "\"{figure}\" is not a figure; choose one of {}",
                FIGURES.join(", ")
            ));
        }
        match limit.trim().parse::<f64>() {
            Ok(limit) if limit.is_finite() => Ok(Threshold { figure, comparison, limit }),
            _ => Err(format!("\"{limit}\" is not a number")),
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}{}", self.figure, self.comparison.text(), self.limit)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_holds_fails_the_run_and_shows_limit_and_value() {
        let mut result = RunResult::default();
        result.load.dropped = 7;
        let judge = |text: &str| text.parse::<Threshold>().unwrap().judge(&result);
        let outcome = judge("dropped>5");
        assert_eq!((outcome.limit, outcome.value, outcome.passed), (5.0, 7.0, false));
        assert!(judge("dropped > 7").passed);
        assert!(!judge("dropped>=7").passed);
        assert!(judge("dropped<7").passed);
        assert!(!judge("dropped<=7").passed);
    }

    #[test]
    fn a_figure_that_was_not_measured_does_not_pass() {
        assert!(!"p99_ms>50".parse::<Threshold>().unwrap().judge(&RunResult::default()).passed);
        assert!(
            !"audit_findings>0".parse::<Threshold>().unwrap().judge(&RunResult::default()).passed
        );
    }

    #[test]
    fn unknown_figures_and_missing_limits_are_refused() {
        for text in ["p99", "p98_ms>5", "p99_ms>", "p99_ms>fast", ">5", ""] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }
}
