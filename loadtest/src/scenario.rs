//! A scenario: everything that decides what a run does, from a TOML file and the command line.
//!
//! Every value has a default and a bound; an unknown key is an error, so that a typing mistake
//! never silently runs something else.

mod settings;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::arrivals::{Stages, parse_quantity, parse_time};
use crate::people::{PEOPLE_MAX, PopulationOptions};
use crate::retry::RetrySettings;
use crate::threshold::Threshold;

pub use settings::{
    AuditSettings, BehaviourSettings, LoadModel, LoadSettings, PeopleSettings, PeriodSettings,
    PrepareSettings, SlotChoice,
};

/// Connections of one run at most.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Threads of the generator at most.
pub const THREADS_MAX: usize = 64;
/// Requests of one run at most.
pub const REQUESTS_MAX: u64 = 200_000_000;
/// A run, set-up and audit apart, lasts no longer.
pub const DURATION_MAX_S: u64 = 24 * 3_600;

/// Why a scenario was not accepted.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is not a scenario.
    #[error("the scenario {path} is not valid: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Line and reason.
        reason: String,
    },
    /// A value is outside its bounds.
    #[error("{key}: {reason}")]
    OutOfBounds {
        /// Name of the value.
        key: &'static str,
        /// What is allowed.
        reason: String,
    },
}

/// Everything that decides what a run does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Shown in results.
    pub name: String,
    /// Who takes part.
    pub people: PeopleSettings,
    /// What is booked.
    pub period: PeriodSettings,
    /// What the operator makes for the run, where `--prepare` is given.
    pub prepare: PrepareSettings,
    /// How hard the server is driven.
    pub load: LoadSettings,
    /// How people behave.
    pub behaviour: BehaviourSettings,
    /// When a request is sent again.
    pub retry: RetrySettings,
    /// What is verified afterwards.
    pub audit: AuditSettings,
    /// Conditions under which the run fails, such as `p99_ms>50`.
    pub fail_if: Vec<String>,
}

impl Scenario {
    /// Reads a scenario file.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ScenarioError::Unreadable {
            path: shown.clone(),
            reason: error.to_string(),
        })?;
        Scenario::parse(&text).map_err(|reason| ScenarioError::Malformed { path: shown, reason })
    }

    /// Reads the text of a scenario; bounds are checked by [`Scenario::check`].
    pub fn parse(text: &str) -> Result<Scenario, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Checks every bound.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let bound = |key, holds: bool, reason: &str| {
            if holds {
                Ok(())
            } else {
                Err(ScenarioError::OutOfBounds { key, reason: reason.to_owned() })
            }
        };
        let share =
            |key, value: f64| bound(key, (0.0..=1.0).contains(&value), "must lie between 0 and 1");
        let (people, load, behaviour) = (&self.people, &self.load, &self.behaviour);
        bound(
            "people.count",
            (1..=PEOPLE_MAX).contains(&people.count),
            "must lie between 1 and 50,000,000",
        )?;
        bound(
            "people.first",
            people.first.checked_add(people.count).is_some_and(|end| end <= PEOPLE_MAX),
            "first + count must not exceed 50,000,000",
        )?;
        bound(
            "people.roster_rows_per_file",
            people.roster_rows_per_file > 0,
            "must be at least 1",
        )?;
        let connections = 1..=CONNECTIONS_MAX;
        bound(
            "people.set_up_connections",
            connections.contains(&people.set_up_connections),
            "must lie between 1 and 16,384",
        )?;
        bound("period.number", self.period.number > 0, "must be at least 1")?;
        bound("period.days", (1..=60).contains(&self.period.days), "must lie between 1 and 60")?;
        bound(
            "period.sites_max",
            (1..=100_000).contains(&self.period.sites_max),
            "must lie between 1 and 100,000",
        )?;
        bound(
            "prepare.sites",
            (1..=10_000).contains(&self.prepare.sites),
            "must lie between 1 and 10,000",
        )?;
        bound("prepare.days", (1..=60).contains(&self.prepare.days), "must lie between 1 and 60")?;
        bound(
            "prepare.slots_per_day",
            (1..=48).contains(&self.prepare.slots_per_day),
            "must lie between 1 and 48",
        )?;
        bound(
            "prepare.places_per_person",
            self.prepare.places_per_person > 0.0 && self.prepare.places_per_person <= 1_000.0,
            "must be more than 0 and at most 1,000",
        )?;
        bound(
            "load.connections",
            connections.contains(&load.connections),
            "must lie between 1 and 16,384",
        )?;
        bound(
            "load.threads",
            (1..=THREADS_MAX).contains(&load.threads),
            "must lie between 1 and 64",
        )?;
        bound("load.wait_s", load.wait_s <= 25, "must be at most 25, the server's limit")?;
        bound(
            "load.duration_s",
            (1..=DURATION_MAX_S).contains(&load.duration_s),
            "must lie between 1 and 86,400",
        )?;
        bound(
            "load.requests_max",
            (1..=REQUESTS_MAX).contains(&load.requests_max),
            "must lie between 1 and 200,000,000",
        )?;
        bound(
            "load.rate",
            load.rate.is_none() || load.stages.is_none(),
            "give rate or stages, not both",
        )?;
        share("behaviour.duplicate_share", behaviour.duplicate_share)?;
        share("behaviour.rival_share", behaviour.rival_share)?;
        share("behaviour.move_share", behaviour.move_share)?;
        share("behaviour.cancel_share", behaviour.cancel_share)?;
        bound(
            "behaviour.reads_per_arrival",
            (0.0..=10_000.0).contains(&behaviour.reads_per_arrival),
            "must lie between 0 and 10,000",
        )?;
        bound(
            "behaviour.slot_tries_max",
            (1..=100).contains(&behaviour.slot_tries_max),
            "must lie between 1 and 100",
        )?;
        bound(
            "retry.attempts_max",
            (1..=1_000).contains(&self.retry.attempts_max),
            "must lie between 1 and 1,000",
        )?;
        self.stages()
            .map_err(|reason| ScenarioError::OutOfBounds { key: "load.stages", reason })?;
        self.thresholds()
            .map_err(|reason| ScenarioError::OutOfBounds { key: "fail_if", reason })?;
        Ok(())
    }

    /// The course of arrivals; `None` in a saturating run.
    pub fn stages(&self) -> Result<Option<Stages>, String> {
        let load = &self.load;
        if load.model == LoadModel::Saturate {
            return match (&load.rate, &load.stages) {
                (None, None) => Ok(None),
                _ => {
                    Err("a saturating run has no rate and no stages: the server decides".to_owned())
                }
            };
        }
        if let Some(stages) = &load.stages {
            return stages.parse().map(Some);
        }
        let rate = parse_quantity(load.rate.as_deref().unwrap_or("200"))?;
        Stages::constant(rate, Duration::from_secs(load.duration_s)).map(Some)
    }

    /// How long people come.
    pub fn duration(&self) -> Duration {
        match self.stages() {
            Ok(Some(stages)) => stages.time(),
            _ => Duration::from_secs(self.load.duration_s),
        }
    }

    /// The conditions under which the run fails.
    pub fn thresholds(&self) -> Result<Vec<Threshold>, String> {
        self.fail_if.iter().map(|text| text.parse()).collect()
    }

    /// The population of this run, once the seed is chosen.
    pub fn population(&self, seed: u64) -> PopulationOptions {
        PopulationOptions { seed, born_on_or_before: Some(self.people.born_on_or_before) }
    }
}

/// Reads a duration of whole seconds for a flag such as `-z 30s`.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let time = parse_time(text)?;
    if time.as_secs() == 0 || time.subsec_nanos() != 0 {
        return Err(format!("\"{text}\" is not a whole number of seconds of at least 1"));
    }
    Ok(time.as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const SHIPPED: [(&str, &str); 3] = [
        ("smoke", include_str!("../../config/scenarios/smoke.toml")),
        ("opening_day", include_str!("../../config/scenarios/opening_day.toml")),
        ("stampede", include_str!("../../config/scenarios/stampede.toml")),
    ];

    #[test]
    fn the_shipped_scenarios_are_valid_and_name_every_key() {
        for (name, text) in SHIPPED {
            let scenario = Scenario::parse(text).unwrap();
            scenario.check().unwrap();
            assert_eq!(scenario.name, name);
            let keys = toml::Value::try_from(Scenario::default()).unwrap();
            for (section, values) in keys.as_table().unwrap() {
                let Some(values) = values.as_table() else { continue };
                assert!(text.contains(&format!("[{section}]")), "{name}: [{section}]");
                for key in values.keys() {
                    assert!(
                        text.contains(&format!("{key} = ")),
                        "{name}: {section}.{key} is not named"
                    );
                }
            }
            for optional in ["seed", "county", "district", "rate", "stages"] {
                assert!(
                    text.contains(&format!("{optional} = ")),
                    "{name}: {optional} is not named"
                );
            }
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        Scenario::default().check().unwrap();
        assert_eq!(Scenario::parse("").unwrap(), Scenario::default());
    }

    #[test]
    fn unknown_keys_and_values_out_of_bounds_are_refused() {
        assert!(Scenario::parse("[load]\nconections = 5\n").unwrap_err().contains("conections"));
        let table = [
            "[people]\ncount = 0",
            "[people]\ncount = 50000001",
            "[load]\nconnections = 0",
            "[load]\nthreads = 65",
            "[load]\nwait_s = 26",
            "[load]\nrate = \"5\"\nstages = \"0s:1,5s:1\"",
            "[load]\nmodel = \"saturate\"\nrate = \"5\"",
            "[load]\nrate = \"fast\"",
            "[behaviour]\ncancel_share = 1.5",
            "fail_if = [\"p99_ms\"]",
        ];
        for text in table {
            assert!(Scenario::parse(text).unwrap().check().is_err(), "{text}");
        }
    }
}
