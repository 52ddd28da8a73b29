//! The table of figures: each one beside what it is measured against, in the same run.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::goals::Goal;

/// One line of the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// Stable name.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// Of the value.
    pub unit: String,
    /// What it is measured against: a ceiling measured in the same run, or a fixed goal.
    pub against: String,
    /// The ceiling's or goal's value; null where the figure is only printed.
    pub against_value: Option<f64>,
    /// value ÷ against_value; null where the goal is absolute.
    pub ratio: Option<f64>,
}

/// What `target/bench/summary.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The machine of the run.
    pub machine: String,
    /// All figures.
    pub figures: Vec<Figure>,
}

impl Figure {
    /// A figure with a ceiling measured beside it.
    pub fn against(name: &str, value: f64, unit: &str, against: &str, ceiling: f64) -> Figure {
        Figure {
            against: against.to_owned(),
            against_value: Some(ceiling),
            ratio: (ceiling > 0.0).then(|| value / ceiling),
            ..Figure::printed(name, value, unit)
        }
    }

    /// A figure with an absolute goal, which [`crate::goals`] knows; printed only, where it has none.
    pub fn absolute(name: &str, value: f64, unit: &str) -> Figure {
        let Some((goal, now)) = Goal::of(name).and_then(|goal| Some((goal, goal.now?))) else {
            return Figure::printed(name, value, unit);
        };
        Figure {
            against: format!("goal: {}", goal.bound.words()),
            against_value: Some(now),
            ..Figure::printed(name, value, unit)
        }
    }

    /// A figure that is printed for its own sake.
    pub fn printed(name: &str, value: f64, unit: &str) -> Figure {
        Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            against: "printed".to_owned(),
            against_value: None,
            ratio: None,
        }
    }
}

impl Summary {
    /// An empty table for this machine.
    pub fn new() -> Summary {
        Summary { machine: machine(), figures: Vec::new() }
    }

    /// Adds a figure.
    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.machine);
        line(&mut text, ["figure", "value", "unit", "against", "ratio", "goal"]);
        for figure in &self.figures {
            let against = match figure.against_value {
                Some(value) => format!("{} {}", figure.against, short(value)),
                None => figure.against.clone(),
            };
            let ratio = figure.ratio.map_or(String::new(), |ratio| format!("{ratio:.3}"));
            let goal =
                Goal::of(&figure.name).map_or(String::new(), |goal| goal_words(goal, figure));
            line(
                &mut text,
                [&figure.name, &short(figure.value), &figure.unit, &against, &ratio, &goal],
            );
        }
        text
    }

    /// Writes the JSON file, with its folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?)
    }
}

impl Default for Summary {
    fn default() -> Summary {
        Summary::new()
    }
}

fn line(text: &mut String, [name, value, unit, against, ratio, goal]: [&str; 6]) {
    let words = format!("{name:<38} {value:>10} {unit:<4} {against:<46} {ratio:>7}  {goal}");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", words.trim_end());
}

/// `at least 0.60: met; later 0.90`.
fn goal_words(goal: &Goal, figure: &Figure) -> String {
    let (bound, later) = (goal.bound.words(), short(goal.later));
    match (goal.now, goal.is_met(figure)) {
        (Some(now), Some(is_met)) => {
            let met = if is_met { "met" } else { "MISSED" };
            format!("{bound} {}: {met}; later {later}", short(now))
        }
        _ => format!("later {bound} {later}"),
    }
}

/// The middle of several measurements.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1e9 => format!("{:.2} G", value / 1e9),
        v if v >= 1e6 => format!("{:.2} M", value / 1e6),
        v if v >= 1e4 => format!("{:.1} k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// Processor, cores, memory and kernel, as the kernel tells them.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'))
            .map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores, memory {}, Linux {}",
        field(&read("/proc/cpuinfo"), "model name"),
        field(&read("/proc/meminfo"), "MemTotal"),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn a_ratio_stands_only_beside_a_ceiling() {
        assert_eq!(Figure::against("a", 60.0, "1/s", "echo", 120.0).ratio, Some(0.5));
        let bytes = Figure::absolute("registrant_bytes", 60.0, "B");
        assert_eq!((bytes.against_value, bytes.ratio), (Some(80.0), None));
        assert_eq!(Figure::absolute("recovery_10m_seconds", 1.0, "s").against_value, None);
    }

    #[test]
    fn the_table_says_which_goals_are_met() {
        let mut summary = Summary { machine: "m".to_owned(), figures: Vec::new() };
        summary.add(Figure::against("http_booking_vs_echo", 60.0, "1/s", "echo", 120.0));
        summary.add(Figure::absolute("apply_per_second", 9e6, "1/s"));
        let table = summary.table();
        assert!(table.contains("at least 0.60: MISSED; later 0.90"), "{table}");
        assert!(table.contains("at least 8.00 M: met; later 20.00 M"), "{table}");
    }
}
