//! A whole run: set-up, load, evidence, verdict.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use thiserror::Error;

use crate::address::{AddressError, Target};
use crate::answer::Reason;
use crate::arrivals::ArrivalPlan;
use crate::audit::{AuditReport, Evidence, SlotFacts, audit};
use crate::booking::{BookingOptions, BookingTraffic, Chooser, Counts};
use crate::calls::{CallError, Caller};
use crate::campaign::Campaign;
use crate::collect::{CollectOptions, people_of, settle, shown, slots_after};
use crate::crowd::{Registration, log_in, register};
use crate::driver::{DriverOptions, DriverReport, drive};
use crate::history::History;
use crate::people::Population;
use crate::prepare::{self, CALL_TIME_MAX, SiteDay};
use crate::progress::{Live, Progress};
use crate::record::{RecordError, RecordFile, RecordHeader, read_record};
use crate::result::{GeneratorResult, LatencyResult, LimitingCause, LoadResult, Machine, Phase, RESULT_FORMAT, RunResult, SEND_LAG_SHARE_MAX, explanation};
use crate::scenario::{AuditSettings, LoadModel, Scenario, ScenarioError};
use crate::streams;
use crate::sweep::SweepOptions;

/// A target rate is met when at least this share of it was sent.
const RATE_MET_SHARE: f64 = 0.99;
/// Threads that were busy for this share of the time had none left.
const BUSY_SHARE_FULL: f64 = 0.95;
/// A response time this short is not made invalid by any lag that is below it in absolute terms.
const SEND_LAG_NEGLIGIBLE_MS: f64 = 1.0;

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
    /// The citizens' listener.
    pub public: String,
    /// The operator's listener.
    pub operator: Option<String>,
    /// Its token.
    pub operator_token: Option<String>,
    /// Hosts other than loopback that the caller owns.
    pub owned_hosts: Vec<String>,
}

impl Servers {
    fn public(&self) -> Result<Target, AddressError> {
        Target::parse(&self.public, &self.owned_hosts)
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
        timed(&mut phases, "roster rows imported", count, || prepare::import_roster(operator, &people, first, count, rows, progress))?;
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
        progress.say(&format!("period {number} is {}, not open: bookings will be turned away until it is", period.state));
    }
    let sweep = set_up_sweep(scenario);
    let indexes: Vec<u64> = (first..first + count).collect();
    let tokens = timed(&mut phases, "people logged in", count, || log_in(&target, &people, &indexes, &sweep, progress)).map_err(LoadError::Other)?;
    let registration = Registration { run, regions: &regions, model: scenario.people.wishes, vaccines: &period.vaccines };
    timed(&mut phases, "people registered", count, || register(&target, &people, first, &tokens, registration, &sweep, progress)).map_err(LoadError::Other)?;
    let mut slots = timed(&mut phases, "sites and days read", places.len() as u64, || prepare::read_slots(&target, number, &places, options.prepare, &sweep)).map_err(LoadError::Other)?;
    slots.retain(|slot| options.prepare || slot.facts.left_before > 0);
    if slots.is_empty() {
        return Err(LoadError::Other(format!("period {number} offers no places; use --prepare, or choose another period, county or days")));
    }
    let campaign = Campaign::new(target, run, people, first, number, slots, tokens, scenario.load.wait_s);
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

fn timed<T, E>(phases: &mut Vec<Phase>, name: &str, count: u64, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
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
            let header = RecordHeader::new(campaign.run, population, campaign.period, campaign.slots.clone(), scenario.audit.alone);
            Some(RecordFile::create(path, &header)?)
        }
        None => None,
    };
    let started_at = Timestamp::now().to_string();
    let (mut history, load, latency, mut incomplete) = drive_load(&campaign, scenario, seed, record.as_ref(), progress)?;
    let mut result = RunResult {
        format: RESULT_FORMAT.to_owned(),
        scenario: scenario.clone(),
        seed,
        run: format!("{:016x}", campaign.run),
        server: campaign.target.url(),
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
        match collect_and_judge(&campaign, &mut history, &facts, &places, streams, &scenario.audit, sweep, progress) {
            Ok(report) => result.audit = Some(report),
            Err(reason) => incomplete.push(format!("the audit could not be made: {reason}")),
        }
        phases.push(Phase { name: "audited".to_owned(), count: history.asked.len() as u64, seconds: started.elapsed().as_secs_f64() });
    }
    result.phases = phases;
    let thresholds = scenario.thresholds().map_err(LoadError::Other)?;
    result.judge(&thresholds, incomplete);
    Ok(result)
}

/// Drives the load over all threads.
fn drive_load(
    campaign: &Campaign,
    scenario: &Scenario,
    seed: u64,
    record: Option<&RecordFile>,
    progress: &Progress,
) -> Result<(History, LoadResult, LatencyResult, Vec<String>), LoadError> {
    let stages = scenario.stages().map_err(LoadError::Other)?;
    let threads = scenario.load.threads.min(scenario.load.connections);
    let slots: Vec<u32> = campaign.slots.iter().map(|slot| slot.facts.number).collect();
    let chooser = Chooser::new(slots, scenario.behaviour.slot_choice, seed);
    let live = Live::default();
    let start = Instant::now();
    let until = start + scenario.duration();
    let options = BookingOptions {
        campaign,
        behaviour: &scenario.behaviour,
        retry: scenario.retry.policy(),
        seed,
        chooser: &chooser,
        live: &live,
        start,
        until,
        drained: until + Duration::from_secs(scenario.load.drain_time_max_s),
        drop_after: Duration::from_millis(scenario.load.drop_after_ms),
        arrivals_max: scenario.load.requests_max.div_ceil(threads as u64),
    };
    let seconds = || start.elapsed().as_secs();
    let threads_done = progress.watch("seconds of load", scenario.duration().as_secs(), &seconds, &|| live.line(), || {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let plan = stages.clone().map(|stages| ArrivalPlan::new(stages, scenario.load.spacing, seed, thread, threads));
                    let connections = scenario.load.connections / threads + usize::from(thread < scenario.load.connections % threads);
                    let record = record.map(RecordFile::writer);
                    let options = &options;
                    scope.spawn(move || {
                        let mut traffic = BookingTraffic::new(options, plan, record, thread as u64, threads as u64);
                        let bounds = DriverOptions { connections, request_timeout: options.retry.request_timeout };
                        let report = drive(options.campaign.target.address, bounds, &mut traffic).map_err(|error| error.to_string())?;
                        traffic.counts.show_now(options.live);
                        let failure = traffic.record_failure();
                        Ok::<_, String>((traffic.history, traffic.counts, report, failure))
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|_| "a thread of the generator panicked".to_owned())?)
                .collect::<Result<Vec<_>, String>>()
        })
    });
    let mut history = History::default();
    let mut counts = Counts::default();
    let mut reports = Vec::new();
    let mut incomplete = Vec::new();
    for (part, count, report, failure) in threads_done.map_err(LoadError::Other)? {
        history.append(part);
        counts.add(&count);
        reports.push(report);
        incomplete.extend(failure.map(|reason| format!("the record file is not complete: {reason}")));
    }
    let target = stages.as_ref().map(|stages| stages.expected() / stages.time().as_secs_f64());
    let load = load_result(scenario, &counts, &reports, start, target);
    Ok((history, load, latency_result(scenario, &counts), incomplete))
}

fn latency_result(scenario: &Scenario, counts: &Counts) -> LatencyResult {
    LatencyResult {
        explanation: explanation(scenario.load.model == LoadModel::Saturate).to_owned(),
        response: counts.response.summary(),
        service: counts.service.summary(),
        turned_away: counts.turned_away_latency.summary(),
        reads: counts.read_latency.summary(),
        send_lag: counts.send_lag.summary(),
    }
}

fn load_result(scenario: &Scenario, counts: &Counts, reports: &[DriverReport], start: Instant, target: Option<f64>) -> LoadResult {
    let came_for = scenario.duration();
    let seconds = counts.last_answer.map_or(came_for, |last| last.saturating_duration_since(start)).as_secs_f64();
    let rejected: u64 = counts.rejected.values().sum();
    let acknowledged = counts.confirmed + counts.processing + rejected;
    let achieved = counts.arrivals as f64 / came_for.as_secs_f64();
    let generator = generator_result(scenario, counts, reports);
    let limiting_cause = limiting_cause(counts, &generator, target.is_none());
    let by_name = |counts: &BTreeMap<Reason, u64>| counts.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect();
    let mut errors = counts.errors.clone();
    for (status, count) in &counts.pushed_back {
        errors.insert(format!("status_{status}"), *count);
    }
    LoadResult {
        seconds,
        target_per_second: target,
        achieved_per_second: achieved,
        acknowledged_per_second: if seconds > 0.0 { acknowledged as f64 / seconds } else { 0.0 },
        limiting_cause,
        limiting_sentence: limiting_cause.sentence().to_owned(),
        requests: counts.requests,
        exchanges: counts.exchanges,
        retries: counts.retries,
        duplicates: counts.duplicates,
        dropped: counts.dropped,
        confirmed: counts.confirmed,
        processing: counts.processing,
        rejected: by_name(&counts.rejected),
        turned_away: by_name(&counts.turned_away),
        gave_up: counts.gave_up,
        errors,
        statuses: counts.statuses.clone(),
        reads: counts.reads,
        generator,
    }
}

fn generator_result(scenario: &Scenario, counts: &Counts, reports: &[DriverReport]) -> GeneratorResult {
    let sum = |of: fn(&DriverReport) -> f64| reports.iter().map(of).sum::<f64>();
    let exchanges = (counts.exchanges + counts.reads) as f64;
    let elapsed = sum(|report| report.elapsed.as_secs_f64());
    let turns = sum(|report| report.turns as f64);
    let lag = counts.send_lag.quantile_ms(0.99);
    let negligible = (counts.response.quantile_ms(0.99) * SEND_LAG_SHARE_MAX).max(SEND_LAG_NEGLIGIBLE_MS);
    GeneratorResult {
        threads: u32::try_from(reports.len()).unwrap_or(u32::MAX),
        connections: u32::try_from(scenario.load.connections).unwrap_or(u32::MAX),
        cpu_us_per_exchange: if exchanges > 0.0 { sum(|report| report.cpu.as_secs_f64()) * 1e6 / exchanges } else { 0.0 },
        busy_share: if elapsed > 0.0 { sum(|report| report.busy.as_secs_f64()) / elapsed } else { 0.0 },
        no_connection_share: if turns > 0.0 { sum(|report| report.turns_without_connection as f64) / turns } else { 0.0 },
        // Lag for want of connections is the server's; then the response time tells the truth anyway.
        valid: lag <= negligible || sum(|report| report.turns_without_connection as f64) > 0.0,
    }
}

/// What kept the run from more. In an open model the share of planned arrivals that was sent decides
/// whether anything did.
fn limiting_cause(counts: &Counts, generator: &GeneratorResult, saturating: bool) -> LimitingCause {
    let sent_all = counts.arrivals as f64 >= counts.planned as f64 * RATE_MET_SHARE && counts.dropped == 0;
    if counts.people_exhausted {
        LimitingCause::People
    } else if counts.requests_max_reached {
        LimitingCause::RequestsMax
    } else if !saturating && sent_all {
        LimitingCause::None
    } else if generator.busy_share >= BUSY_SHARE_FULL {
        LimitingCause::Generator
    } else {
        LimitingCause::Server
    }
}

/// Where decisions are published.
#[derive(Clone, Copy, Debug)]
struct Streams<'a> {
    operator: Option<&'a Caller>,
    outbox: Option<&'a std::path::Path>,
}

/// Collects all evidence and judges it.
#[allow(clippy::too_many_arguments)] // The evidence has this many sources.
fn collect_and_judge(
    campaign: &Campaign,
    history: &mut History,
    facts: &[SlotFacts],
    places: &[SiteDay],
    streams: Streams<'_>,
    settings: &AuditSettings,
    sweep: SweepOptions,
    progress: &Progress,
) -> Result<AuditReport, String> {
    let options = CollectOptions { sweep, settle_time_max: Duration::from_secs(settings.settle_time_max_s) };
    let receipts = settle(campaign, history, &options, progress)?;
    let shown = shown(campaign, history, &options, progress)?;
    let slots = slots_after(campaign, facts, places, &options)?;
    let mut evidence = Evidence {
        history: std::mem::take(history),
        receipts,
        shown,
        slots,
        alone: settings.alone,
        confirmations: None,
        messages: None,
    };
    let outcome = add_streams(&mut evidence, campaign.period, streams, settings);
    let report = outcome.map(|()| audit(&evidence));
    *history = evidence.history;
    report
}

/// Adds confirmations and text messages to the evidence, where they can be read.
fn add_streams(evidence: &mut Evidence, period: u16, streams: Streams<'_>, settings: &AuditSettings) -> Result<(), String> {
    let Some(operator) = streams.operator.filter(|_| settings.confirmations) else {
        return match streams.outbox {
            Some(_) => Err("text messages are compared with confirmations: add --operator URL and --operator-token TOKEN".to_owned()),
            None => Ok(()),
        };
    };
    let time_max = Duration::from_secs(settings.stream_time_max_s);
    let confirmed: Vec<_> = evidence.history.told.iter().filter(|told| told.outcome == crate::answer::Outcome::Confirmed).collect();
    let requests: HashSet<u32> = confirmed.iter().map(|told| told.request).collect();
    let bookings: HashSet<u64> = confirmed.iter().filter_map(|told| told.booking).collect();
    let ours: HashSet<u32> = evidence.slots.iter().map(|slot| slot.number).collect();
    let mine = |confirmation: &crate::audit::Confirmation| ours.contains(&confirmation.slot) || bookings.contains(&confirmation.booking);
    let confirmations = streams::confirmations(operator, period, requests.len(), time_max, mine).map_err(|error| error.to_string())?;
    if let Some(outbox) = streams.outbox {
        let wanted = confirmations.iter().map(|confirmation| confirmation.id.as_str()).collect();
        evidence.messages = Some(streams::messages(outbox, &wanted, time_max)?);
    }
    evidence.confirmations = Some(confirmations);
    Ok(())
}

/// An audit of a record, after the fact.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Where the server is now.
    pub servers: Servers,
    /// The record file.
    pub record: PathBuf,
    /// Directory of the text messages sent.
    pub outbox: Option<PathBuf>,
    /// Bounds of the audit.
    pub settings: AuditSettings,
    /// Bounds of its calls.
    pub scenario: Scenario,
}

/// Verifies that the server still stands by everything in the record.
pub fn audit_record(options: &AuditOptions, progress: &Progress) -> Result<AuditReport, LoadError> {
    let (header, mut history) = read_record(&options.record)?;
    let target = options.servers.public()?;
    let operator = options.servers.operator()?;
    let people = Population::new(header.population.clone());
    let indexes = people_of(&history);
    let sweep = set_up_sweep(&options.scenario);
    let found = log_in(&target, &people, &indexes, &sweep, progress).map_err(LoadError::Other)?;
    let (first, last) = (indexes.first().copied().unwrap_or(0), indexes.last().copied().unwrap_or(0));
    let mut tokens = vec![String::new(); (last - first + 1) as usize];
    for (person, token) in indexes.iter().zip(found) {
        tokens[(person - first) as usize] = token;
    }
    let mut places: Vec<SiteDay> = Vec::new();
    for slot in &header.slots {
        let place = SiteDay { site: slot.site.clone(), date: slot.date.clone() };
        if places.last() != Some(&place) {
            places.push(place);
        }
    }
    places.sort_by(|left, right| (&left.site, &left.date).cmp(&(&right.site, &right.date)));
    places.dedup();
    let facts: Vec<SlotFacts> = header.slots.iter().map(|slot| slot.facts).collect();
    let wait_s = options.scenario.load.wait_s;
    let campaign = Campaign::new(target, header.run, people, first, header.period, header.slots, tokens, wait_s);
    let streams = Streams { operator: operator.as_ref(), outbox: options.outbox.as_deref() };
    let settings = AuditSettings { alone: header.alone && options.settings.alone, ..options.settings.clone() };
    let report = collect_and_judge(&campaign, &mut history, &facts, &places, streams, &settings, sweep, progress);
    report.map_err(LoadError::Other)
}
