//! Results as text for people. Machines take the JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::audit::AuditReport;
use crate::latency::LatencySummary;
use crate::result::RunResult;

/// Findings shown in the text; the JSON has more.
const FINDINGS_SHOWN_MAX: usize = 10;

/// The result as text, ended by the verdict.
pub fn text(result: &RunResult) -> String {
    let mut out = String::new();
    write_load(result, &mut out);
    write_latency(result, &mut out);
    if let Some(audit) = &result.audit {
        out.push('\n');
        out.push_str(&audit_text(audit));
    }
    for outcome in &result.thresholds {
        let verdict = if outcome.passed { "passed" } else { "FAILED" };
        let _ = writeln!(
            out,
            "condition  {verdict}: fails if {} (limit {}, measured {})",
            outcome.fail_if, outcome.limit, outcome.value
        );
    }
    out.push('\n');
    if result.passed {
        out.push_str("PASSED\n");
    } else {
        for failure in &result.failures {
            let _ = writeln!(out, "FAILED: {failure}");
        }
    }
    out
}

fn write_load(result: &RunResult, out: &mut String) {
    let (load, scenario) = (&result.load, &result.scenario);
    let name = if scenario.name.is_empty() { "run" } else { &scenario.name };
    let _ = writeln!(
        out,
        "{name} against {}, seed {}, {} people, {}",
        result.server, result.seed, scenario.people.count, result.started_at
    );
    if result.merged_from > 1 {
        let _ = writeln!(out, "merged from {} results", result.merged_from);
    }
    for phase in &result.phases {
        let _ =
            writeln!(out, "set-up     {}: {} in {:.1} s", phase.name, phase.count, phase.seconds);
    }
    match load.target_per_second {
        Some(target) => {
            let _ = writeln!(
                out,
                "rate       target {target:.1}/s, achieved {:.1}/s. {}",
                load.achieved_per_second, load.limiting_sentence
            );
        }
        None => {
            let _ = writeln!(
                out,
                "rate       {:.1} acknowledged/s. {}",
                load.acknowledged_per_second, load.limiting_sentence
            );
        }
    }
    let _ = writeln!(
        out,
        "requests   {} ({} exchanges, {} retries, {} duplicates), {} dropped, {} gave up, {} reads",
        load.requests,
        load.exchanges,
        load.retries,
        load.duplicates,
        load.dropped,
        load.gave_up,
        load.reads
    );
    let _ = writeln!(
        out,
        "outcomes   {} confirmed, {} accepted; rejected: {}; turned away: {}",
        load.confirmed,
        load.processing,
        counts(&load.rejected),
        counts(&load.turned_away)
    );
    let _ = writeln!(out, "errors     {}", counts(&load.errors));
    let generator = &load.generator;
    let _ = writeln!(
        out,
        "generator  {} threads, {} connections, {:.1} us CPU per exchange, busy {:.0} %{}",
        generator.threads,
        generator.connections,
        generator.cpu_us_per_exchange,
        generator.busy_share * 100.0,
        if generator.valid {
            ""
        } else {
            "; ITS OWN DELAYS DISTORT THE LATENCIES: use more threads, a lower rate or a machine with less other work"
        }
    );
}

fn write_latency(result: &RunResult, out: &mut String) {
    let latency = &result.latency;
    let _ = writeln!(
        out,
        "\nms            count       mean       p50       p90       p99     p99.9       max"
    );
    for (name, summary) in [
        ("response", &latency.response),
        ("service", &latency.service),
        ("turned away", &latency.turned_away),
        ("reads", &latency.reads),
        ("send lag", &latency.send_lag),
    ] {
        if summary.count > 0 {
            write_summary(name, summary, out);
        }
    }
    let _ = writeln!(out, "{}", latency.explanation);
}

fn write_summary(name: &str, summary: &LatencySummary, out: &mut String) {
    let _ = writeln!(
        out,
        "{name:<12}{:>7}{:>11.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
        summary.count,
        summary.mean_ms,
        summary.p50_ms,
        summary.p90_ms,
        summary.p99_ms,
        summary.p999_ms,
        summary.max_ms
    );
}

/// The auditor's report as text.
pub fn audit_text(audit: &AuditReport) -> String {
    let mut out = String::new();
    let known =
        |count: Option<u64>| count.map_or("not compared".to_owned(), |count| count.to_string());
    let _ = writeln!(
        out,
        "audit      {}: {} requests ({} acknowledged, {} decided, {} never acknowledged), {} people, {} slots, confirmations {}, text messages {}",
        if audit.passed { "passed" } else { "FAILED" },
        audit.requests,
        audit.acknowledged,
        audit.decided,
        audit.never_acknowledged,
        audit.people,
        audit.slots,
        known(audit.confirmations),
        known(audit.messages)
    );
    if !audit.passed {
        let _ = writeln!(
            out,
            "findings   {}: {}",
            audit.findings_total,
            counts(&audit.findings_by_check)
        );
        for finding in audit.findings.iter().take(FINDINGS_SHOWN_MAX) {
            let _ = writeln!(out, "  {}: {}", finding.check.name(), finding.detail);
        }
    }
    out
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_ends_with_the_verdict() {
        let mut result = RunResult { passed: true, ..RunResult::default() };
        assert!(text(&result).ends_with("PASSED\n"));
        result.passed = false;
        result.failures = vec!["p99_ms>5 was forbidden, and it is 7".to_owned()];
        assert!(text(&result).ends_with("FAILED: p99_ms>5 was forbidden, and it is 7\n"));
    }
}
