//! A scenario: everything that decides what a run does, from a TOML file and the command line.
//!
//! Every value has a default and a bound; an unknown key is an error, so that a typing mistake
//! never silently runs something else.

use std::path::Path;
use std::time::Duration;

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::arrivals::{Spacing, Stages, parse_quantity, parse_time};
use crate::people::wishes::WishModel;
use crate::people::{PEOPLE_MAX, PopulationOptions};
use crate::retry::RetrySettings;
use crate::threshold::Threshold;

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

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeopleSettings {
    /// How many.
    pub count: u64,
    /// Index of the first, so that several runs can share a seed.
    pub first: u64,
    /// Same seed, same people; chosen at random and printed where absent.
    pub seed: Option<u64>,
    /// Nobody is born later.
    pub born_on_or_before: Date,
    /// How people choose among the vaccines on offer.
    pub wishes: WishModel,
    /// Rows of one roster import.
    pub roster_rows_per_file: u64,
    /// Connections used while people log in and register.
    pub set_up_connections: usize,
    /// Logging in or registering all people may take this long.
    pub set_up_time_max_s: u64,
}

impl Default for PeopleSettings {
    fn default() -> PeopleSettings {
        PeopleSettings {
            count: 2_000,
            first: 0,
            seed: None,
            born_on_or_before: date(2003, 12, 31),
            wishes: WishModel::All,
            roster_rows_per_file: 50_000,
            set_up_connections: 64,
            set_up_time_max_s: 1_800,
        }
    }
}

/// What is booked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeriodSettings {
    /// The period.
    pub number: u16,
    /// Only sites of this county (code); without `--prepare` only.
    pub county: Option<String>,
    /// Only sites of this district (code); without `--prepare` only.
    pub district: Option<String>,
    /// Sites whose slots are used, at most; without `--prepare` only.
    pub sites_max: usize,
    /// Days whose slots are looked up, from tomorrow (Taiwan); without `--prepare` only.
    pub days: u32,
}

impl Default for PeriodSettings {
    fn default() -> PeriodSettings {
        PeriodSettings { number: 900, county: None, district: None, sites_max: 200, days: 7 }
    }
}

/// What the operator makes for the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PrepareSettings {
    /// Category whose members may register: everybody of the population.
    pub category: u16,
    /// Vaccine of the period and its slots.
    pub vaccine: String,
    /// Sites made.
    pub sites: usize,
    /// Days with slots, from tomorrow (Taiwan).
    pub days: u32,
    /// Slots of one site on one day.
    pub slots_per_day: u32,
    /// Places per person over all slots; decides the capacity of each slot, at least 1.
    pub places_per_person: f64,
}

impl Default for PrepareSettings {
    fn default() -> PrepareSettings {
        PrepareSettings {
            category: 900,
            vaccine: "AZ".to_owned(),
            sites: 20,
            days: 3,
            slots_per_day: 8,
            places_per_person: 1.2,
        }
    }
}

/// Open or closed model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadModel {
    /// People come when they come, whatever the server does.
    Open,
    /// Each connection sends as soon as it has its answer: finds the highest rate, hides waiting.
    Saturate,
}

/// How hard the server is driven.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadSettings {
    /// Open or closed model.
    pub model: LoadModel,
    /// Constant arrivals per second, such as `500` or `20k`; not together with `stages`.
    pub rate: Option<String>,
    /// Course of the arrivals per second, such as `0s:0,30s:20k`.
    pub stages: Option<String>,
    /// How arrivals lie around the rate.
    pub spacing: Spacing,
    /// How long people come; with `stages` their end decides.
    pub duration_s: u64,
    /// Booking requests at most, retries apart.
    pub requests_max: u64,
    /// Connections over all threads.
    pub connections: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// Seconds of `Prefer: wait`; 0 takes the receipt and asks for the outcome afterwards.
    pub wait_s: u32,
    /// An arrival that has waited this long for a connection goes away and counts as dropped.
    pub drop_after_ms: u64,
    /// After the last arrival: time for retries and answers still due.
    pub drain_time_max_s: u64,
}

impl Default for LoadSettings {
    fn default() -> LoadSettings {
        LoadSettings {
            model: LoadModel::Open,
            rate: None,
            stages: None,
            spacing: Spacing::Poisson,
            duration_s: 10,
            requests_max: REQUESTS_MAX,
            connections: 64,
            threads: 2,
            wait_s: 0,
            drop_after_ms: 10_000,
            drain_time_max_s: 120,
        }
    }
}

/// Which slot people want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotChoice {
    /// Person after person the next slot: no slot is wanted more than another.
    Spread,
    /// Any slot, all equally likely.
    Uniform,
    /// A few slots are wanted by most (Zipf, exponent 1).
    Popular,
    /// Everybody wants the same one.
    One,
}

/// How people behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BehaviourSettings {
    /// Which slot people want.
    pub slot_choice: SlotChoice,
    /// Slots a person tries when the one wanted is full.
    pub slot_tries_max: u32,
    /// Share of requests sent twice under one key on purpose.
    pub duplicate_share: f64,
    /// The second send comes at most this long after the first.
    pub duplicate_delay_ms_max: u64,
    /// Share of people who book twice at once under two keys, as from two open pages.
    pub rival_share: f64,
    /// Share of people who move their booking.
    pub move_share: f64,
    /// Share of people who cancel.
    pub cancel_share: f64,
    /// Pause before a person moves or cancels.
    pub follow_up_delay_ms: u64,
    /// Looks at the slots of a site per arrival.
    pub reads_per_arrival: f64,
}

impl Default for BehaviourSettings {
    fn default() -> BehaviourSettings {
        BehaviourSettings {
            slot_choice: SlotChoice::Uniform,
            slot_tries_max: 3,
            duplicate_share: 0.0,
            duplicate_delay_ms_max: 50,
            rival_share: 0.0,
            move_share: 0.0,
            cancel_share: 0.0,
            follow_up_delay_ms: 500,
            reads_per_arrival: 0.0,
        }
    }
}

/// What is verified afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Whether the audit is made at all.
    pub enabled: bool,
    /// Nobody else books these slots: places left must agree exactly.
    pub alone: bool,
    /// Every outcome must be known after this long.
    pub settle_time_max_s: u64,
    /// Reads the confirmations from the operator's listener, where one is given.
    pub confirmations: bool,
    /// Confirmations and text messages must all be there after this long.
    pub stream_time_max_s: u64,
}

impl Default for AuditSettings {
    fn default() -> AuditSettings {
        AuditSettings { enabled: true, alone: true, settle_time_max_s: 120, confirmations: true, stream_time_max_s: 60 }
    }
}

impl Scenario {
    /// Reads a scenario file.
    pub fn load(path: &Path) -> Result<Scenario, ScenarioError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Unreadable { path: shown.clone(), reason: error.to_string() })?;
        Scenario::parse(&text).map_err(|reason| ScenarioError::Malformed { path: shown, reason })
    }

    /// Reads the text of a scenario; bounds are checked by [`Scenario::check`].
    pub fn parse(text: &str) -> Result<Scenario, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Checks every bound.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let bound = |key, holds: bool, reason: &str| {
            if holds { Ok(()) } else { Err(ScenarioError::OutOfBounds { key, reason: reason.to_owned() }) }
        };
        let share = |key, value: f64| bound(key, (0.0..=1.0).contains(&value), "must lie between 0 and 1");
        let (people, load, behaviour) = (&self.people, &self.load, &self.behaviour);
        bound("people.count", (1..=PEOPLE_MAX).contains(&people.count), "must lie between 1 and 50,000,000")?;
        bound(
            "people.first",
            people.first.checked_add(people.count).is_some_and(|end| end <= PEOPLE_MAX),
            "first + count must not exceed 50,000,000",
        )?;
        bound("people.roster_rows_per_file", people.roster_rows_per_file > 0, "must be at least 1")?;
        let connections = 1..=CONNECTIONS_MAX;
        bound("people.set_up_connections", connections.contains(&people.set_up_connections), "must lie between 1 and 16,384")?;
        bound("period.number", self.period.number > 0, "must be at least 1")?;
        bound("period.days", (1..=60).contains(&self.period.days), "must lie between 1 and 60")?;
        bound("period.sites_max", (1..=100_000).contains(&self.period.sites_max), "must lie between 1 and 100,000")?;
        bound("prepare.sites", (1..=10_000).contains(&self.prepare.sites), "must lie between 1 and 10,000")?;
        bound("prepare.days", (1..=60).contains(&self.prepare.days), "must lie between 1 and 60")?;
        bound("prepare.slots_per_day", (1..=48).contains(&self.prepare.slots_per_day), "must lie between 1 and 48")?;
        bound(
            "prepare.places_per_person",
            self.prepare.places_per_person > 0.0 && self.prepare.places_per_person <= 1_000.0,
            "must be more than 0 and at most 1,000",
        )?;
        bound("load.connections", connections.contains(&load.connections), "must lie between 1 and 16,384")?;
        bound("load.threads", (1..=THREADS_MAX).contains(&load.threads), "must lie between 1 and 64")?;
        bound("load.wait_s", load.wait_s <= 25, "must be at most 25, the server's limit")?;
        bound("load.duration_s", (1..=DURATION_MAX_S).contains(&load.duration_s), "must lie between 1 and 86,400")?;
        bound("load.requests_max", (1..=REQUESTS_MAX).contains(&load.requests_max), "must lie between 1 and 200,000,000")?;
        bound("load.rate", load.rate.is_none() || load.stages.is_none(), "give rate or stages, not both")?;
        share("behaviour.duplicate_share", behaviour.duplicate_share)?;
        share("behaviour.rival_share", behaviour.rival_share)?;
        share("behaviour.move_share", behaviour.move_share)?;
        share("behaviour.cancel_share", behaviour.cancel_share)?;
        bound("behaviour.reads_per_arrival", (0.0..=10_000.0).contains(&behaviour.reads_per_arrival), "must lie between 0 and 10,000")?;
        bound("behaviour.slot_tries_max", (1..=100).contains(&behaviour.slot_tries_max), "must lie between 1 and 100")?;
        bound("retry.attempts_max", (1..=1_000).contains(&self.retry.attempts_max), "must lie between 1 and 1,000")?;
        self.stages().map_err(|reason| ScenarioError::OutOfBounds { key: "load.stages", reason })?;
        self.thresholds().map_err(|reason| ScenarioError::OutOfBounds { key: "fail_if", reason })?;
        Ok(())
    }

    /// The course of arrivals; `None` in a saturating run.
    pub fn stages(&self) -> Result<Option<Stages>, String> {
        let load = &self.load;
        if load.model == LoadModel::Saturate {
            return match (&load.rate, &load.stages) {
                (None, None) => Ok(None),
                _ => Err("a saturating run has no rate and no stages: the server decides".to_owned()),
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
                    assert!(text.contains(&format!("{key} = ")), "{name}: {section}.{key} is not named");
                }
            }
            for optional in ["seed", "county", "district", "rate", "stages"] {
                assert!(text.contains(&format!("{optional} = ")), "{name}: {optional} is not named");
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
