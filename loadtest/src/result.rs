//! The result of a run as it is written, read again and merged. The schema is `schema/result.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audit::{AuditReport, Finding};
use crate::latency::LatencySummary;
use crate::scenario::Scenario;
use crate::threshold::{Threshold, ThresholdOutcome};

/// Names the format of the result; a change that readers notice changes it.
pub const RESULT_FORMAT: &str = "slotline-loadtest-result/1";
/// The generator's own delay may be at most this part of the response time it reports.
pub const SEND_LAG_SHARE_MAX: f64 = 0.1;

/// Everything a run has to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// Always [`RESULT_FORMAT`].
    pub format: String,
    /// True when the audit found nothing, every condition held and the run came to its end.
    pub passed: bool,
    /// Why it did not pass, one sentence each.
    pub failures: Vec<String>,
    /// What kept the run from its end, or the audit from being made; no condition can mend it.
    pub incomplete: Vec<String>,
    /// What was run, with every default filled in.
    pub scenario: Scenario,
    /// The seed in use.
    pub seed: u64,
    /// Part of every retry key of the run.
    pub run: String,
    /// The server.
    pub server: String,
    /// When the first booking was due.
    pub started_at: String,
    /// The machine of the generator.
    pub machine: Machine,
    /// The set-up, phase by phase.
    pub phases: Vec<Phase>,
    /// The load and what came of it.
    pub load: LoadResult,
    /// The latencies.
    pub latency: LatencyResult,
    /// The audit, where one was made.
    pub audit: Option<AuditReport>,
    /// The conditions and their figures.
    pub thresholds: Vec<ThresholdOutcome>,
    /// How many results this one was merged from.
    pub merged_from: u32,
}

/// The machine of the generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Processors that this process may use.
    pub processors: u32,
    /// Operating system and architecture.
    pub system: String,
}

impl Machine {
    /// The machine this runs on.
    pub fn this() -> Machine {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        Machine {
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// One phase of the set-up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What was done.
    pub name: String,
    /// How many of it.
    pub count: u64,
    /// In how many seconds.
    pub seconds: f64,
}

/// What kept the run from its target rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitingCause {
    /// Nothing: the target was met.
    #[default]
    None,
    /// All connections were waiting for the server.
    Server,
    /// The generator's threads had no time left.
    Generator,
    /// No people were left.
    People,
    /// The bound on requests was reached.
    RequestsMax,
}

impl LimitingCause {
    /// One plain sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            LimitingCause::None => "The target rate was met.",
            LimitingCause::Server => {
                "Every connection was waiting for the server: it answers no faster, or there are too few connections."
            }
            LimitingCause::Generator => {
                "The generator's threads had no time left: the server may be able to do more."
            }
            LimitingCause::People => {
                "Everybody had booked before the time was over: more people are needed."
            }
            LimitingCause::RequestsMax => {
                "The bound on requests was reached before the time was over."
            }
        }
    }
}

/// The load and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadResult {
    /// From the first due request to the last answer.
    pub seconds: f64,
    /// Arrivals per second on average of the plan; absent in a saturating run.
    pub target_per_second: Option<f64>,
    /// Booking arrivals sent per second of the time in which people came.
    pub achieved_per_second: f64,
    /// Acknowledged requests per second, to the last answer.
    pub acknowledged_per_second: f64,
    /// What kept the run from its target, and in a saturating run from more.
    pub limiting_cause: LimitingCause,
    /// The cause in one sentence.
    pub limiting_sentence: String,
    /// Requests with a key of their own: bookings, second tries, moves, cancellations.
    pub requests: u64,
    /// Exchanges of these requests, retries and duplicates included.
    pub exchanges: u64,
    /// Sends after the first under the same key because there was no usable answer.
    pub retries: u64,
    /// Deliberate second sends under the same key.
    pub duplicates: u64,
    /// Arrivals that were never sent because no connection was free in time. Not errors.
    pub dropped: u64,
    /// Requests confirmed.
    pub confirmed: u64,
    /// Requests accepted, whose outcome was asked for afterwards.
    pub processing: u64,
    /// Requests decided against, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Requests turned away before they were accepted, by reason; nothing happened to them.
    pub turned_away: BTreeMap<String, u64>,
    /// Requests without an acknowledgement after all attempts.
    pub gave_up: u64,
    /// Exchanges without a usable answer, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Looks at slots, apart from all of the above.
    pub reads: u64,
    /// The generator's own part.
    pub generator: GeneratorResult,
}

/// What the generator cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorResult {
    /// Threads.
    pub threads: u32,
    /// Connections.
    pub connections: u32,
    /// CPU time per exchange, reads included.
    pub cpu_us_per_exchange: f64,
    /// Share of the time in which its threads were not waiting, on average.
    pub busy_share: f64,
    /// Share of the loop's turns in which no connection was free.
    pub no_connection_share: f64,
    /// False when the generator's own delays are a noticeable part of the latencies reported.
    pub valid: bool,
}

/// The latencies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyResult {
    /// What the two kinds of latency mean, in one sentence.
    pub explanation: String,
    /// Of acknowledged requests: from the moment each was due to its first acknowledgement, waits
    /// and retries included.
    pub response: LatencySummary,
    /// Of all exchanges: from writing the request to its answer.
    pub service: LatencySummary,
    /// Of requests turned away: from the moment each was due to the answer.
    pub turned_away: LatencySummary,
    /// Of reads: from the moment each was due to its answer.
    pub reads: LatencySummary,
    /// The generator's delay: from the moment a request was due to its being written.
    pub send_lag: LatencySummary,
}

/// The sentence about the two kinds of latency.
pub fn explanation(saturating: bool) -> &'static str {
    if saturating {
        "In a saturating run each connection sends only after its last answer, so a stall delays requests that are then never counted: judge throughput by this run, and latency by an open-model run."
    } else {
        "Response time counts from the moment a person wanted to send, as people feel it; service time only from the moment the request was written, which hides the waiting when the server stalls."
    }
}

impl RunResult {
    /// A figure by the name that conditions use; `None` when it was not measured.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let latency = |summary: &LatencySummary, value: f64| (summary.count > 0).then_some(value);
        let (response, service, load) = (&self.latency.response, &self.latency.service, &self.load);
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>() as f64;
        match name {
            "p50_ms" => latency(response, response.p50_ms),
            "p90_ms" => latency(response, response.p90_ms),
            "p99_ms" => latency(response, response.p99_ms),
            "p999_ms" => latency(response, response.p999_ms),
            "max_ms" => latency(response, response.max_ms),
            "mean_ms" => latency(response, response.mean_ms),
            "service_p50_ms" => latency(service, service.p50_ms),
            "service_p99_ms" => latency(service, service.p99_ms),
            "service_p999_ms" => latency(service, service.p999_ms),
            "achieved_per_second" => Some(load.achieved_per_second),
            "confirmed" => Some(load.confirmed as f64),
            "rejected" => Some(sum(&load.rejected)),
            "dropped" => Some(load.dropped as f64),
            "gave_up" => Some(load.gave_up as f64),
            "errors" => Some(sum(&load.errors)),
            "error_share" => {
                (load.exchanges > 0).then(|| sum(&load.errors) / load.exchanges as f64)
            }
            "audit_findings" => self.audit.as_ref().map(|audit| audit.findings_total as f64),
            _ => None,
        }
    }

    /// Applies the conditions and decides whether the run passed; earlier conditions are forgotten.
    pub fn judge(&mut self, thresholds: &[Threshold]) {
        self.thresholds = thresholds.iter().map(|threshold| threshold.judge(self)).collect();
        self.failures.clone_from(&self.incomplete);
        if let Some(audit) = self.audit.as_ref().filter(|audit| !audit.passed) {
            self.failures.push(format!("the audit found {} broken promises", audit.findings_total));
        }
        for outcome in self.thresholds.iter().filter(|outcome| !outcome.passed) {
            let measured = if outcome.value < 0.0 {
                "it was not measured".to_owned()
            } else {
                format!("it is {}", outcome.value)
            };
            self.failures.push(format!("{} was forbidden, and {measured}", outcome.fail_if));
        }
        self.passed = self.failures.is_empty();
    }

    /// Adds the result of another generator that ran at the same time.
    pub fn merge(&mut self, other: &RunResult) {
        self.merged_from = self.merged_from.max(1) + other.merged_from.max(1);
        self.failures.extend(other.failures.iter().cloned());
        self.incomplete.extend(other.incomplete.iter().cloned());
        self.phases.extend(other.phases.iter().cloned());
        self.load.merge(&other.load);
        merge_latency(&mut self.latency.response, &other.latency.response);
        merge_latency(&mut self.latency.service, &other.latency.service);
        merge_latency(&mut self.latency.turned_away, &other.latency.turned_away);
        merge_latency(&mut self.latency.reads, &other.latency.reads);
        merge_latency(&mut self.latency.send_lag, &other.latency.send_lag);
        match (&mut self.audit, &other.audit) {
            (Some(mine), Some(theirs)) => merge_audit(mine, theirs),
            // One part without an audit: the whole was not audited.
            (mine, _) => *mine = None,
        }
        self.passed = self.passed && other.passed;
    }
}

impl LoadResult {
    fn merge(&mut self, other: &LoadResult) {
        let (exchanges, others) =
            ((self.exchanges + self.reads) as f64, (other.exchanges + other.reads) as f64);
        let cpu = self.generator.cpu_us_per_exchange * exchanges
            + other.generator.cpu_us_per_exchange * others;
        if exchanges + others > 0.0 {
            self.generator.cpu_us_per_exchange = cpu / (exchanges + others);
        }
        self.generator.threads += other.generator.threads;
        self.generator.connections += other.generator.connections;
        self.generator.busy_share = self.generator.busy_share.max(other.generator.busy_share);
        self.generator.no_connection_share =
            self.generator.no_connection_share.max(other.generator.no_connection_share);
        self.generator.valid &= other.generator.valid;
        self.seconds = self.seconds.max(other.seconds);
        self.target_per_second = match (self.target_per_second, other.target_per_second) {
            (Some(mine), Some(theirs)) => Some(mine + theirs),
            _ => None,
        };
        self.achieved_per_second += other.achieved_per_second;
        self.acknowledged_per_second += other.acknowledged_per_second;
        if self.limiting_cause == LimitingCause::None {
            self.limiting_cause = other.limiting_cause;
            self.limiting_sentence.clone_from(&other.limiting_sentence);
        }
        for (mine, theirs) in [
            (&mut self.requests, other.requests),
            (&mut self.exchanges, other.exchanges),
            (&mut self.retries, other.retries),
            (&mut self.duplicates, other.duplicates),
            (&mut self.dropped, other.dropped),
            (&mut self.confirmed, other.confirmed),
            (&mut self.processing, other.processing),
            (&mut self.gave_up, other.gave_up),
            (&mut self.reads, other.reads),
        ] {
            *mine += theirs;
        }
        add_counts(&mut self.rejected, &other.rejected);
        add_counts(&mut self.turned_away, &other.turned_away);
        add_counts(&mut self.errors, &other.errors);
        add_counts(&mut self.statuses, &other.statuses);
    }
}

/// Adds counts by name.
pub(crate) fn add_counts<K: Ord + Clone>(mine: &mut BTreeMap<K, u64>, theirs: &BTreeMap<K, u64>) {
    for (name, count) in theirs {
        *mine.entry(name.clone()).or_default() += count;
    }
}

fn merge_latency(mine: &mut LatencySummary, theirs: &LatencySummary) {
    let mut all = mine.restore();
    all.add(&theirs.restore());
    *mine = all.summary();
}

fn merge_audit(mine: &mut AuditReport, theirs: &AuditReport) {
    mine.passed &= theirs.passed;
    mine.requests += theirs.requests;
    mine.acknowledged += theirs.acknowledged;
    mine.decided += theirs.decided;
    mine.never_acknowledged += theirs.never_acknowledged;
    mine.people += theirs.people;
    mine.slots += theirs.slots;
    mine.confirmations = sum_known(mine.confirmations, theirs.confirmations);
    mine.messages = sum_known(mine.messages, theirs.messages);
    mine.findings_total += theirs.findings_total;
    add_counts(&mut mine.findings_by_check, &theirs.findings_by_check);
    mine.findings.extend::<Vec<Finding>>(theirs.findings.clone());
}

fn sum_known(mine: Option<u64>, theirs: Option<u64>) -> Option<u64> {
    Some(mine? + theirs?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::Latency;

    fn sample(milliseconds: u64, confirmed: u64) -> RunResult {
        let mut latency = Latency::new();
        latency.record(Duration::from_millis(milliseconds));
        let mut result = RunResult {
            format: RESULT_FORMAT.to_owned(),
            passed: true,
            merged_from: 1,
            ..RunResult::default()
        };
        result.latency.response = latency.summary();
        result.load.confirmed = confirmed;
        result.load.achieved_per_second = 100.0;
        result.load.target_per_second = Some(100.0);
        result.load.statuses.insert(201, confirmed);
        result.audit =
            Some(AuditReport { passed: true, people: confirmed, ..AuditReport::default() });
        result
    }

    #[test]
    fn merging_adds_counts_rates_and_latencies() {
        let mut all = sample(10, 5);
        all.merge(&sample(30, 7));
        assert_eq!((all.load.confirmed, all.load.statuses[&201], all.merged_from), (12, 12, 2));
        assert_eq!(all.latency.response.count, 2);
        assert!(all.latency.response.max_ms >= 29.9);
        assert_eq!(all.load.target_per_second, Some(200.0));
        assert_eq!(all.audit.unwrap().people, 12);
    }

    #[test]
    fn a_part_that_failed_or_was_not_audited_shows_in_the_whole() {
        let mut all = sample(10, 5);
        let mut failed = sample(10, 5);
        failed.judge(&["p99_ms>5".parse().unwrap()]);
        assert!(!failed.passed);
        failed.audit = None;
        all.merge(&failed);
        assert!(!all.passed && all.audit.is_none() && all.failures.len() == 1);
    }

    #[test]
    fn other_conditions_take_the_place_of_earlier_ones_but_mend_nothing_else() {
        let mut result = sample(10, 5);
        result.judge(&["p99_ms>5".parse().unwrap()]);
        assert!(!result.passed);
        result.judge(&["p99_ms>50".parse().unwrap()]);
        assert!(result.passed);
        result.incomplete.push("the audit could not be made".to_owned());
        result.judge(&["p99_ms>50".parse().unwrap()]);
        assert!(!result.passed);
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let result = sample(10, 5);
        let text = serde_json::to_string(&result).unwrap();
        assert_eq!(serde_json::from_str::<RunResult>(&text).unwrap(), result);
    }
}
