//! The sections of a scenario with their defaults. Bounds are checked by `Scenario::check`.

use jiff::civil::{Date, date};
use serde::{Deserialize, Serialize};

use super::REQUESTS_MAX;
use crate::arrivals::Spacing;
use crate::people::wishes::WishModel;

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
        AuditSettings {
            enabled: true,
            alone: true,
            settle_time_max_s: 120,
            confirmations: true,
            stream_time_max_s: 60,
        }
    }
}
