//! A whole run: set-up, load, evidence, verdict.

mod load;
mod verify;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use crate::address::{AddressError, Target};
use crate::audit::SlotFacts;
use crate::calls::{CallError, Caller};
use crate::campaign::{Campaign, CampaignParts};
use crate::crowd::{Registration, leave_out_booked, log_in, register};
use crate::people::Population;
use crate::prepare::{self, CALL_TIME_MAX, SiteDay};
use crate::progress::Progress;
use crate::record::{RecordError, RecordFile, RecordHeader};
use crate::result::{Machine, Phase, RESULT_FORMAT, RunResult};
use crate::scenario::{Scenario, ScenarioError};
use crate::sweep::SweepOptions;

use load::drive_load;
use verify::{Streams, collect_and_judge};

pub use verify::{AuditOptions, audit_record};

/// Names those who cannot take part, in results.
const LEFT_OUT: &str = "people left out, who hold a booking of this period already";

/// Why a run could not be made.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The address is not accepted.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The scenario is not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A call of the set-up failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The record file failed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl LoadError {
    /// True when the command line or the scenario is at fault.
    pub fn is_usage(&self) -> bool {
        matches!(self, LoadError::Address(_) | LoadError::Scenario(_))
    }
}

/// Where a run goes, and with which rights.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    /// The citizens' listeners: one, or those of several gateways.
    pub public: Vec<String>,
    /// The operator's listener.
    pub operator: Option<String>,
    /// Its token.
    pub operator_token: Option<String>,
    /// Hosts other than loopback that the caller owns.
    pub owned_hosts: Vec<String>,
}

impl Servers {
    fn public(&self) -> Result<Target, AddressError> {
        Target::parse_all(&self.public, &self.owned_hosts)
    }

    fn operator(&self) -> Result<Option<Caller>, LoadError> {
        let Some(url) = &self.operator else { return Ok(None) };
        let target = Target::parse(url, &self.owned_hosts)?;
        Ok(Some(Caller::new(target, self.operator_token.clone(), CALL_TIME_MAX)?))
    }
}

/// Everything that a run is told from outside the scenario.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where it goes.
    pub servers: Servers,
    /// What it does.
    pub scenario: Scenario,
    /// Makes period, sites and slots of its own first.
    pub prepare: bool,
    /// Leaves the roster as it is: the people are in it.
    pub skip_roster: bool,
    /// Keeps every acknowledgement.
    pub record: Option<PathBuf>,
    /// Directory of the text messages sent.
    pub outbox: Option<PathBuf>,
}

/// A campaign that is ready, and what the making of it took.
#[derive(Debug)]
pub struct Ready {
    /// People, tokens, slots and requests.
    pub campaign: Campaign,
    /// The set-up, phase by phase.
    pub phases: Vec<Phase>,
    /// The seed in use.
    pub seed: u64,
    places: Vec<SiteDay>,
}

/// Makes everything ready: roster, period, tokens, registrations, slots.
pub fn make_ready(options: &RunOptions, progress: &Progress) -> Result<Ready, LoadError> {
    let scenario = &options.scenario;
    scenario.check()?;
    let target = options.servers.public()?;
    let operator = options.servers.operator()?;
    let seed = scenario.people.seed.unwrap_or_else(rand::random);
    let run: u64 = rand::random();
    let people = Population::new(scenario.population(seed));
    let (first, count) = (scenario.people.first, scenario.people.count);
    progress.say(&format!("seed {seed}, run {run:016x}, people {first} to {}", first + count - 1));
    let citizen = Caller::new(target.clone(), None, CALL_TIME_MAX)?;
    let mut phases = Vec::new();
    let regions = timed(&mut phases, "regions read", 1, || prepare::regions(&citizen))?;
    if let Some(operator) = operator.as_ref().filter(|_| !options.skip_roster) {
        let rows = scenario.people.roster_rows_per_file;
        timed(&mut phases, "roster rows imported", count, || {
            prepare::import_roster(operator, &people, first, count, rows, progress)
        })?;
    }
    let number = scenario.period.number;
    let places = match (&operator, options.prepare) {
        (Some(operator), true) => {
            let born = scenario.people.born_on_or_before;
            timed(&mut phases, "period prepared", 1, || prepare::make_world(operator, number, &scenario.prepare, born, count, run, &regions))?
        }
        (None, true) => return Err(LoadError::Other("--prepare needs the operator's listener: add --operator URL and --operator-token TOKEN".to_owned())),
        (_, false) => prepare::discover_sites(&citizen, &scenario.period)?,
    };
    let period = prepare::period(&citizen, number)?;
    if period.state != "open" {
        progress.say(&format!(
            "period {number} is {}, not open: bookings will be turned away until it is",
            period.state
        ));
    }
    let sweep = set_up_sweep(scenario);
    let indexes: Vec<u64> = (first..first + count).collect();
    let mut crowd = timed(&mut phases, "people logged in", count, || {
        log_in(&target, &people, &indexes, &sweep, progress)
    })
    .map_err(LoadError::Other)?;
    let registration = Registration {
        run,
        regions: &regions,
        model: scenario.people.wishes,
        vaccines: &period.vaccines,
    };
    timed(&mut phases, "people registered", count, || {
        register(&target, &people, &crowd, registration, &sweep, progress)
    })
    .map_err(LoadError::Other)?;
    let left_out =
        leave_out_booked(&target, number, &mut crowd, &sweep).map_err(LoadError::Other)?;
    if left_out > 0 {
        phases.push(Phase { name: LEFT_OUT.to_owned(), count: left_out, seconds: 0.0 });
        progress.say(&format!("{LEFT_OUT}: {left_out}"));
    }
    if crowd.is_empty() {
        return Err(LoadError::Other(
            "everybody holds a booking of this period already; use another --seed or --first"
                .to_owned(),
        ));
    }
    let mut slots = timed(&mut phases, "sites and days read", places.len() as u64, || {
        prepare::read_slots(&target, number, &places, options.prepare, &sweep)
    })
    .map_err(LoadError::Other)?;
    slots.retain(|slot| options.prepare || slot.facts.left_before > 0);
    if slots.is_empty() {
        return Err(LoadError::Other(format!(
            "period {number} offers no places; use --prepare, or choose another period, county or days"
        )));
    }
    let campaign = Campaign::new(CampaignParts {
        target,
        run,
        people,
        period: number,
        slots,
        tokens: crowd.into_iter().map(|person| (person.person, person.token)).collect(),
        wait_s: scenario.load.wait_s,
    });
    Ok(Ready { campaign, phases, seed, places })
}

fn set_up_sweep(scenario: &Scenario) -> SweepOptions {
    SweepOptions {
        connections: scenario.people.set_up_connections,
        threads: scenario.load.threads,
        retry: scenario.retry.policy(),
        time_max: Duration::from_secs(scenario.people.set_up_time_max_s),
    }
}

fn timed<T, E>(
    phases: &mut Vec<Phase>,
    name: &str,
    count: u64,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let started = Instant::now();
    let result = work()?;
    phases.push(Phase { name: name.to_owned(), count, seconds: started.elapsed().as_secs_f64() });
    Ok(result)
}

/// Makes the run.
pub fn run_scenario(options: &RunOptions, progress: &Progress) -> Result<RunResult, LoadError> {
    let Ready { campaign, mut phases, seed, places } = make_ready(options, progress)?;
    let scenario = &options.scenario;
    let record = match &options.record {
        Some(path) => {
            let population = campaign.people.options().clone();
            let header = RecordHeader::new(
                campaign.run,
                population,
                campaign.period,
                campaign.slots.clone(),
                scenario.audit.alone,
            );
            Some(RecordFile::create(path, &header)?)
        }
        None => None,
    };
    let started_at = Timestamp::now().to_string();
    let (mut history, load, latency, mut incomplete) =
        drive_load(&campaign, scenario, seed, record.as_ref(), progress)?;
    let mut result = RunResult {
        format: RESULT_FORMAT.to_owned(),
        scenario: scenario.clone(),
        seed,
        run: format!("{:016x}", campaign.run),
        server: campaign.target.urls(),
        started_at,
        machine: Machine::this(),
        load,
        latency,
        merged_from: 1,
        ..RunResult::default()
    };
    if scenario.audit.enabled {
        let started = Instant::now();
        let facts: Vec<SlotFacts> = campaign.slots.iter().map(|slot| slot.facts).collect();
        let operator = options.servers.operator()?;
        let streams = Streams { operator: operator.as_ref(), outbox: options.outbox.as_deref() };
        let sweep = set_up_sweep(scenario);
        match collect_and_judge(
            &campaign,
            &mut history,
            &facts,
            &places,
            streams,
            &scenario.audit,
            sweep,
            progress,
        ) {
            Ok(report) => result.audit = Some(report),
            Err(reason) => incomplete.push(format!("the audit could not be made: {reason}")),
        }
        phases.push(Phase {
            name: "audited".to_owned(),
            count: history.asked.len() as u64,
            seconds: started.elapsed().as_secs_f64(),
        });
    }
    result.phases = phases;
    let thresholds = scenario.thresholds().map_err(LoadError::Other)?;
    result.incomplete = incomplete;
    result.judge(&thresholds);
    Ok(result)
}
