//! The plan of an open model: when requests are due, whatever the server does.
//!
//! The rate runs in straight lines between the stages given; arrivals are even, or random
//! (Poisson) from a seed. The plan is drawn lazily and split among threads: several independent
//! Poisson streams together are one of the summed rate.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Highest rate that may be asked for, per second.
pub const RATE_MAX: f64 = 10_000_000.0;
/// Longest plan.
pub const PLAN_TIME_MAX_S: u64 = 24 * 3600;
/// Stages of one plan at most.
const STAGES_MAX: usize = 100;
/// Sets the random stream of arrivals apart from other uses of the same seed.
const STREAM_LABEL: [u8; 8] = *b"arrivals";

/// How arrivals lie around the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// Independent of each other, as people are.
    #[default]
    Poisson,
    /// One after another at equal distances.
    Even,
}

/// One corner of the rate's course.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Since the beginning.
    pub at: Duration,
    /// Arrivals per second at that moment.
    pub per_second: f64,
}

/// The rate's course; straight lines between the corners.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages(Vec<Stage>);

impl Stages {
    /// A constant rate.
    pub fn constant(per_second: f64, time: Duration) -> Result<Stages, String> {
        Stages::checked(vec![
            Stage { at: Duration::ZERO, per_second },
            Stage { at: time, per_second },
        ])
    }

    fn checked(stages: Vec<Stage>) -> Result<Stages, String> {
        if stages.len() < 2 || stages.len() > STAGES_MAX {
            return Err(format!(
                "between 2 and {STAGES_MAX} stages are needed, such as 0s:0,30s:20k"
            ));
        }
        if !stages[0].at.is_zero() {
            return Err("the first stage must begin at 0s".to_owned());
        }
        if stages.windows(2).any(|pair| pair[1].at < pair[0].at) {
            return Err("the stages must be in order of time".to_owned());
        }
        if stages.iter().any(|stage| !(0.0..=RATE_MAX).contains(&stage.per_second)) {
            return Err(format!("rates must lie between 0 and {RATE_MAX} per second"));
        }
        let stages = Stages(stages);
        if stages.time().is_zero() || stages.time() > Duration::from_secs(PLAN_TIME_MAX_S) {
            return Err(format!(
                "the plan must last more than 0 s and at most {PLAN_TIME_MAX_S} s"
            ));
        }
        if stages.expected() == 0.0 {
            return Err("the stages never rise above a rate of 0".to_owned());
        }
        Ok(stages)
    }

    /// How long the plan lasts.
    pub fn time(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, |stage| stage.at)
    }

    /// How many arrivals the plan has on average.
    pub fn expected(&self) -> f64 {
        self.0
            .windows(2)
            .map(|pair| {
                (pair[1].at - pair[0].at).as_secs_f64() * (pair[0].per_second + pair[1].per_second)
                    / 2.0
            })
            .sum()
    }

    /// The moment at which `wanted` arrivals are expected to have happened; `None` after the end.
    fn moment(&self, wanted: f64) -> Option<Duration> {
        let mut left = wanted;
        for pair in self.0.windows(2) {
            let time = (pair[1].at - pair[0].at).as_secs_f64();
            let (from, to) = (pair[0].per_second, pair[1].per_second);
            let here = time * (from + to) / 2.0;
            if left >= here {
                left -= here;
                continue;
            }
            // Solves from·t + slope·t²/2 = left in the form that stays exact for a level rate.
            let slope = (to - from) / time;
            let root = (from * from + 2.0 * slope * left).max(0.0).sqrt();
            let offset = if from + root == 0.0 { 0.0 } else { 2.0 * left / (from + root) };
            return Some(pair[0].at + Duration::from_secs_f64(offset.clamp(0.0, time)));
        }
        None
    }
}

impl FromStr for Stages {
    type Err = String;

    /// Reads `0s:0,30s:20k,5m:20k`.
    fn from_str(text: &str) -> Result<Stages, String> {
        let stage = |part: &str| -> Result<Stage, String> {
            let (at, rate) = part.split_once(':').ok_or_else(|| {
                format!("\"{part}\" is not a stage; write time:rate, such as 30s:20k")
            })?;
            Ok(Stage { at: parse_time(at)?, per_second: parse_quantity(rate)? })
        };
        Stages::checked(text.split(',').map(|part| stage(part.trim())).collect::<Result<_, _>>()?)
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, stage) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(out, "{comma}{}s:{}", stage.at.as_secs_f64(), stage.per_second)?;
        }
        Ok(())
    }
}

/// Reads `250ms`, `30s`, `5m`, `1h` or bare seconds.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit_s = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        other => return Err(format!("\"{other}\" is not a unit of time; use ms, s, m or h")),
    };
    let number: f64 =
        digits.parse().map_err(|_| format!("\"{text}\" is not a time such as 30s"))?;
    Duration::try_from_secs_f64(number * unit_s)
        .map_err(|_| format!("\"{text}\" is not a time such as 30s"))
}

/// Reads `500`, `2.5k` or `1m`.
pub fn parse_quantity(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (digits, factor) = match text.chars().last() {
        Some('k' | 'K') => (&text[..text.len() - 1], 1_000.0),
        Some('m' | 'M') => (&text[..text.len() - 1], 1_000_000.0),
        _ => (text, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number * factor),
        _ => Err(format!("\"{text}\" is not a quantity such as 500 or 20k")),
    }
}

/// One thread's share of the plan, in order of time.
#[derive(Clone, Debug)]
pub struct ArrivalPlan {
    stages: Stages,
    /// Of the whole rate, one part in this many is this thread's.
    threads: f64,
    draws: Option<ChaCha8Rng>,
    /// Arrivals of the whole plan expected up to the latest arrival of this thread.
    reached: f64,
}

impl ArrivalPlan {
    /// Thread `thread` of `threads`, all with the same seed.
    pub fn new(
        stages: Stages,
        spacing: Spacing,
        seed: u64,
        thread: usize,
        threads: usize,
    ) -> ArrivalPlan {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&STREAM_LABEL);
        let mut draws = ChaCha8Rng::from_seed(key);
        draws.set_stream(thread as u64);
        let threads = threads.max(1) as f64;
        let poisson = spacing == Spacing::Poisson;
        // Even arrivals: the threads take turns, the first thread's first half a step in.
        let reached = if poisson { 0.0 } else { thread as f64 + 0.5 - threads };
        ArrivalPlan { stages, threads, draws: poisson.then_some(draws), reached }
    }
}

impl Iterator for ArrivalPlan {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let step = match &mut self.draws {
            // 53 random bits in (0, 1]: the logarithm is finite.
            Some(draws) => -(((draws.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64).ln(),
            None => 1.0,
        };
        self.reached += step * self.threads;
        self.stages.moment(self.reached)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const SEED: u64 = 42;

    fn plan(text: &str, spacing: Spacing, threads: usize) -> Vec<Duration> {
        let stages: Stages = text.parse().unwrap();
        let mut all: Vec<Duration> = (0..threads)
            .flat_map(|thread| ArrivalPlan::new(stages.clone(), spacing, SEED, thread, threads))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn even_arrivals_keep_the_rate_exactly() {
        let arrivals = plan("0s:1k,10s:1k", Spacing::Even, 3);
        assert_eq!(arrivals.len(), 10_000);
        for pair in arrivals.windows(2) {
            let gap = (pair[1] - pair[0]).as_secs_f64();
            assert!((gap - 0.001).abs() < 1e-6, "{gap}");
        }
    }

    #[test]
    fn random_arrivals_have_mean_and_spread_of_poisson() {
        let arrivals = plan("0s:10k,20s:10k", Spacing::Poisson, 2);
        let count = arrivals.len() as f64;
        assert!((count - 200_000.0).abs() < 5.0 * 200_000f64.sqrt(), "seed {SEED}: {count}");
        let gaps: Vec<f64> =
            arrivals.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of exponential gaps mean and standard deviation are equal.
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.02,
            "seed {SEED}: {}",
            variance.sqrt() / mean
        );
        // Of counts in equal windows mean and variance are equal.
        let mut windows = vec![0f64; 2_000];
        for arrival in &arrivals {
            windows[(arrival.as_millis() / 10) as usize % 2_000] += 1.0;
        }
        let mean = count / 2_000.0;
        let variance = windows.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / 2_000.0;
        assert!((variance / mean - 1.0).abs() < 0.15, "seed {SEED}: {}", variance / mean);
    }

    #[test]
    fn a_ramp_has_its_arrivals_where_the_rate_is_high() {
        let stages: Stages = "0s:0,10s:1k,20s:0".parse().unwrap();
        assert!((stages.expected() - 10_000.0).abs() < 1e-6);
        let arrivals = plan("0s:0,10s:1k,20s:0", Spacing::Poisson, 1);
        let within = |from: u64, to: u64| {
            arrivals.iter().filter(|at| (from..to).contains(&at.as_secs())).count() as f64
        };
        // The middle ten of twenty seconds hold three quarters of a triangle.
        let share = within(5, 15) / arrivals.len() as f64;
        assert!((share - 0.75).abs() < 0.02, "seed {SEED}: {share}");
        assert!(arrivals.iter().all(|at| at.as_secs_f64() <= 20.0));
    }

    #[test]
    fn a_jump_in_the_rate_is_a_stage_of_no_length() {
        let arrivals = plan("0s:100,5s:100,5s:1k,10s:1k", Spacing::Even, 1);
        let before = arrivals.iter().filter(|at| at.as_secs() < 5).count();
        assert_eq!((before, arrivals.len()), (500, 5_500));
    }

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        assert_eq!(
            plan("0s:0,2s:1k", Spacing::Poisson, 2),
            plan("0s:0,2s:1k", Spacing::Poisson, 2)
        );
    }

    #[test]
    fn bad_stages_are_refused_with_a_reason() {
        for text in [
            "",
            "0s:0",
            "1s:5,2s:5",
            "0s:5,0s:5",
            "0s:0,5s:0",
            "0s:1,5x:1",
            "0s:-1,5s:1",
            "0s:1k,9s:NaN",
            "5s:1,0s:1",
        ] {
            assert!(text.parse::<Stages>().is_err(), "{text}");
        }
        let shown = "0s:0,30s:20k".parse::<Stages>().unwrap().to_string();
        assert_eq!(shown, "0s:0,30s:20000");
    }

    #[test]
    fn times_and_quantities_are_read_with_their_units() {
        assert_eq!(parse_time("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_time("5m").unwrap(), Duration::from_secs(300));
        assert_eq!(parse_quantity("2.5k").unwrap(), 2_500.0);
        assert!(parse_time("soon").is_err() && parse_quantity("many").is_err());
    }
}
