//! What the figures shall reach, in one place. The table shows it; nothing fails because of it.

use crate::figures::Figure;

/// On which side of its goal a figure shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Not below.
    AtLeast,
    /// Not above.
    AtMost,
}

impl Bound {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        }
    }

    /// Whether a value keeps to it.
    pub fn holds(self, value: f64, goal: f64) -> bool {
        match self {
            Bound::AtLeast => value >= goal,
            Bound::AtMost => value <= goal,
        }
    }
}

/// The goal of one figure: of its ratio, where it has a ceiling, else of its value.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The figure's name.
    pub name: &'static str,
    /// Which side.
    pub bound: Bound,
    /// What holds now; `None` while the figure is only printed.
    pub now: Option<f64>,
    /// What shall hold later.
    pub later: f64,
}

impl Goal {
    const fn new(name: &'static str, bound: Bound, now: Option<f64>, later: f64) -> Goal {
        Goal { name, bound, now, later }
    }

    /// The goal of a figure, if it has one.
    pub fn of(name: &str) -> Option<&'static Goal> {
        GOALS.iter().find(|goal| goal.name == name)
    }

    /// Whether the figure reaches it; `None` while the figure is only printed.
    pub fn is_met(&self, figure: &Figure) -> Option<bool> {
        let value = figure.ratio.unwrap_or(figure.value);
        self.now.map(|goal| self.bound.holds(value, goal))
    }
}

/// All goals.
pub const GOALS: &[Goal] = &[
    Goal::new("http_booking_vs_echo", Bound::AtLeast, Some(0.60), 0.90),
    Goal::new("http_booking_cpu_vs_echo", Bound::AtMost, Some(1.8), 1.25),
    Goal::new("apply_per_second", Bound::AtLeast, Some(8e6), 20e6),
    Goal::new("registrant_bytes", Bound::AtMost, Some(80.0), 45.0),
    Goal::new("booking_bytes", Bound::AtMost, Some(128.0), 64.0),
    Goal::new("journal_vs_append", Bound::AtLeast, Some(0.8), 0.9),
    Goal::new("engine_durable_per_second", Bound::AtLeast, Some(500e3), 2e6),
    Goal::new("recovery_10m_seconds", Bound::AtMost, None, 2.0),
    Goal::new("kafka_vs_embedded", Bound::AtLeast, Some(0.6), 0.8),
    Goal::new("kafka_journal_vs_future_producer", Bound::AtLeast, Some(4.0), 8.0),
    Goal::new("takeover_seconds", Bound::AtMost, Some(5.0), 3.5),
    Goal::new("refused_start_seconds", Bound::AtMost, Some(10.0), 9.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_judged_before_the_value() {
        let goal = Goal::new("a", Bound::AtLeast, Some(0.5), 1.0);
        assert_eq!(goal.is_met(&Figure::against("a", 60.0, "1/s", "echo", 100.0)), Some(true));
        assert_eq!(goal.is_met(&Figure::against("a", 40.0, "1/s", "echo", 100.0)), Some(false));
        assert_eq!(goal.is_met(&Figure::printed("a", 0.6, "1")), Some(true));
    }

    #[test]
    fn a_figure_that_is_only_printed_meets_and_misses_nothing() {
        let goal = Goal::new("a", Bound::AtMost, None, 2.0);
        assert_eq!(goal.is_met(&Figure::printed("a", 60.0, "s")), None);
    }

    #[test]
    fn no_figure_has_two_goals() {
        for (place, goal) in GOALS.iter().enumerate() {
            assert!(GOALS[..place].iter().all(|other| other.name != goal.name), "{}", goal.name);
        }
    }
}
