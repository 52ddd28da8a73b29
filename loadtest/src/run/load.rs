//! The load over all threads, and what it amounts to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::LoadError;
use crate::answer::Reason;
use crate::arrivals::ArrivalPlan;
use crate::booking::{BookingOptions, BookingTraffic, Chooser, Counts};
use crate::campaign::Campaign;
use crate::driver::{DriverOptions, DriverReport, drive};
use crate::history::History;
use crate::progress::{Live, Progress};
use crate::record::RecordFile;
use crate::result::{
    GeneratorResult, LatencyResult, LimitingCause, LoadResult, SEND_LAG_SHARE_MAX, explanation,
};
use crate::scenario::{LoadModel, Scenario};

/// A target rate is met when at least this share of it was sent.
const RATE_MET_SHARE: f64 = 0.99;
/// Threads that were busy for this share of the time had none left.
const BUSY_SHARE_FULL: f64 = 0.95;
/// A response time this short is not made invalid by any lag that is below it in absolute terms.
const SEND_LAG_NEGLIGIBLE_MS: f64 = 1.0;

/// Drives the load over all threads.
pub(super) fn drive_load(
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
        arrivals_max: scenario.load.requests_max,
    };
    let seconds = || start.elapsed().as_secs();
    let threads_done = progress.watch(
        "seconds of load",
        scenario.duration().as_secs(),
        &seconds,
        &|| live.line(),
        || {
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..threads)
                    .map(|thread| {
                        let plan = stages.clone().map(|stages| {
                            ArrivalPlan::new(stages, scenario.load.spacing, seed, thread, threads)
                        });
                        let connections = scenario.load.connections / threads
                            + usize::from(thread < scenario.load.connections % threads);
                        let record = record.map(RecordFile::writer);
                        let options = &options;
                        scope.spawn(move || {
                            let mut traffic = BookingTraffic::new(
                                options,
                                plan,
                                record,
                                thread as u64,
                                threads as u64,
                            );
                            let bounds = DriverOptions {
                                connections,
                                request_timeout: options.retry.request_timeout,
                            };
                            let report =
                                drive(&options.campaign.target.addresses(), bounds, &mut traffic)
                                    .map_err(|error| error.to_string())?;
                            traffic.counts.show_now(options.live);
                            let failure = traffic.record_failure();
                            Ok::<_, String>((traffic.history, traffic.counts, report, failure))
                        })
                    })
                    .collect();
                workers
                    .into_iter()
                    .map(|worker| {
                        worker
                            .join()
                            .map_err(|_| "a thread of the generator panicked".to_owned())?
                    })
                    .collect::<Result<Vec<_>, String>>()
            })
        },
    );
    let mut history = History::default();
    let mut counts = Counts::default();
    let mut reports = Vec::new();
    let mut incomplete = Vec::new();
    for (part, count, report, failure) in threads_done.map_err(LoadError::Other)? {
        history.append(part);
        counts.add(&count);
        reports.push(report);
        incomplete
            .extend(failure.map(|reason| format!("the record file is not complete: {reason}")));
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

fn load_result(
    scenario: &Scenario,
    counts: &Counts,
    reports: &[DriverReport],
    start: Instant,
    target: Option<f64>,
) -> LoadResult {
    let came_for = scenario.duration();
    let seconds = counts
        .last_answer
        .map_or(came_for, |last| last.saturating_duration_since(start))
        .as_secs_f64();
    let rejected: u64 = counts.rejected.values().sum();
    let acknowledged = counts.confirmed + counts.processing + rejected;
    let achieved = counts.arrivals as f64 / came_for.as_secs_f64();
    let generator = generator_result(scenario, counts, reports);
    let limiting_cause = limiting_cause(counts, &generator, target.is_none());
    let by_name = |counts: &BTreeMap<Reason, u64>| {
        counts.iter().map(|(reason, count)| (reason.name().to_owned(), *count)).collect()
    };
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

fn generator_result(
    scenario: &Scenario,
    counts: &Counts,
    reports: &[DriverReport],
) -> GeneratorResult {
    let sum = |of: fn(&DriverReport) -> f64| reports.iter().map(of).sum::<f64>();
    let exchanges = (counts.exchanges + counts.reads) as f64;
    let elapsed = sum(|report| report.elapsed.as_secs_f64());
    let turns = sum(|report| report.turns as f64);
    let lag = counts.send_lag.quantile_ms(0.99);
    let negligible =
        (counts.response.quantile_ms(0.99) * SEND_LAG_SHARE_MAX).max(SEND_LAG_NEGLIGIBLE_MS);
    GeneratorResult {
        threads: u32::try_from(reports.len()).unwrap_or(u32::MAX),
        connections: u32::try_from(scenario.load.connections).unwrap_or(u32::MAX),
        cpu_us_per_exchange: if exchanges > 0.0 {
            sum(|report| report.cpu.as_secs_f64()) * 1e6 / exchanges
        } else {
            0.0
        },
        busy_share: if elapsed > 0.0 {
            sum(|report| report.busy.as_secs_f64()) / elapsed
        } else {
            0.0
        },
        no_connection_share: if turns > 0.0 {
            sum(|report| report.turns_without_connection as f64) / turns
        } else {
            0.0
        },
        // Lag for want of connections is the server's; then the response time tells the truth anyway.
        valid: lag <= negligible || sum(|report| report.turns_without_connection as f64) > 0.0,
    }
}

/// What kept the run from more. In an open model the share of planned arrivals that was sent decides
/// whether anything did.
fn limiting_cause(counts: &Counts, generator: &GeneratorResult, saturating: bool) -> LimitingCause {
    let sent_all =
        counts.arrivals as f64 >= counts.planned as f64 * RATE_MET_SHARE && counts.dropped == 0;
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
