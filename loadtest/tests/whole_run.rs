//! Whole runs against a booking desk in memory: an honest one passes, each dishonest one is caught.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use loadtest::audit::Check;
use loadtest::cli::Command;
use loadtest::progress::Progress;
use loadtest::result::{LimitingCause, RunResult};
use loadtest::scenario::{LoadModel, Scenario, SlotChoice};
use loadtest::{AuditOptions, RunOptions, Servers, audit_record, run_scenario};
use support::desk::{Desk, Sin, Trouble};

fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.people.count = 600;
    scenario.people.seed = Some(7);
    scenario.people.roster_rows_per_file = 250;
    scenario.people.set_up_connections = 8;
    scenario.prepare.sites = 3;
    scenario.prepare.days = 2;
    scenario.prepare.slots_per_day = 4;
    scenario.prepare.places_per_person = 0.9;
    scenario.load.model = LoadModel::Saturate;
    scenario.load.connections = 16;
    scenario.load.wait_s = 25;
    scenario.load.duration_s = 60;
    scenario.behaviour.duplicate_share = 0.2;
    scenario.behaviour.rival_share = 0.1;
    scenario.behaviour.move_share = 0.2;
    scenario.behaviour.cancel_share = 0.2;
    scenario.behaviour.follow_up_delay_ms = 20;
    scenario.retry.backoff_first_ms = 5;
    scenario.audit.stream_time_max_s = 1;
    scenario.audit.settle_time_max_s = 20;
    scenario
}

fn servers(address: std::net::SocketAddr) -> Servers {
    let url = format!("http://{address}");
    Servers {
        public: vec![url.clone()],
        operator: Some(url),
        operator_token: Some("operator".to_owned()),
        owned_hosts: Vec::new(),
    }
}

fn run(sin: Sin, trouble: Trouble, scenario: Scenario, outbox: &Path) -> RunResult {
    let address = Desk::open(sin, trouble, Some(outbox.to_owned()));
    let options = RunOptions {
        servers: servers(address),
        scenario,
        prepare: true,
        outbox: Some(outbox.to_owned()),
        ..RunOptions::default()
    };
    run_scenario(&options, &Progress::QUIET).unwrap()
}

#[test]
fn an_honest_desk_passes_with_everything_compared() {
    let outbox = tempfile::tempdir().unwrap();
    let result = run(Sin::None, Trouble::default(), scenario(), outbox.path());
    let audit = result.audit.as_ref().unwrap();
    assert!(result.passed, "{:?}", audit.findings);
    assert_eq!((audit.people, audit.slots, audit.never_acknowledged), (600, 24, 0));
    assert_eq!(audit.decided, audit.requests);
    let load = &result.load;
    assert!(load.confirmed > 600 && load.duplicates > 50, "{load:?}");
    assert!(load.rejected["already_booked"] > 20, "{load:?}");
    assert_eq!(audit.confirmations, audit.messages);
    assert_eq!(audit.confirmations, Some(load.confirmed));
    assert_eq!(load.limiting_cause, LimitingCause::People);
}

#[test]
fn receipts_are_followed_when_nobody_waits() {
    let outbox = tempfile::tempdir().unwrap();
    let mut scenario = scenario();
    scenario.load.wait_s = 0;
    let result = run(Sin::None, Trouble::default(), scenario, outbox.path());
    let audit = result.audit.as_ref().unwrap();
    assert!(result.passed, "{:?}", audit.findings);
    assert_eq!((result.load.confirmed, audit.decided), (0, audit.requests));
    assert!(result.load.processing >= 600);
}

#[test]
fn a_busy_desk_that_cuts_connections_loses_nothing() {
    let outbox = tempfile::tempdir().unwrap();
    let trouble = Trouble { busy_every: 7, cut_every: 5 };
    let result = run(Sin::None, trouble, scenario(), outbox.path());
    let audit = result.audit.as_ref().unwrap();
    assert!(result.passed, "{:?}", audit.findings);
    assert!(result.load.errors["status_503"] > 0 && result.load.errors["connection_lost"] > 0);
    assert!(result.load.retries > 0);
    assert_eq!(audit.never_acknowledged, 0);
}

#[test]
fn an_open_model_run_meets_its_rate() {
    let outbox = tempfile::tempdir().unwrap();
    let mut scenario = scenario();
    scenario.load.model = LoadModel::Open;
    scenario.load.stages = Some("0s:50,2s:150,3s:150".to_owned());
    scenario.behaviour.reads_per_arrival = 1.5;
    scenario.fail_if = vec!["dropped>0".to_owned(), "confirmed<100".to_owned()];
    let result = run(Sin::None, Trouble::default(), scenario, outbox.path());
    assert!(result.passed, "{:?}", result.failures);
    assert_eq!(result.load.limiting_cause, LimitingCause::None);
    assert!(result.load.reads > 300, "{}", result.load.reads);
    assert!(result.latency.response.count > 250 && result.latency.send_lag.count > 0);
    assert_eq!(result.thresholds.len(), 2);
}

#[test]
fn people_who_hold_a_booking_from_an_earlier_run_are_left_out() {
    let address = Desk::open(Sin::None, Trouble::default(), None);
    let mut options = RunOptions {
        servers: servers(address),
        scenario: scenario(),
        prepare: true,
        ..RunOptions::default()
    };
    let first = run_scenario(&options, &Progress::QUIET).unwrap();
    assert!(first.passed, "{:?}", first.failures);
    options.scenario.people.first = 300;
    let second = run_scenario(&options, &Progress::QUIET).unwrap();
    assert!(second.passed, "{:?}", second.audit.unwrap().findings);
    let left_out = second.phases.iter().find(|phase| phase.name.contains("left out")).unwrap();
    // Of the 300 people of both runs all but those without a place and those who cancelled.
    assert!((100..300).contains(&left_out.count), "{}", left_out.count);
    assert_eq!(second.audit.unwrap().people, 600 - left_out.count);
}

#[test]
fn each_sin_is_found() {
    for (sin, wait_s, checks) in [
        (Sin::Oversells, 25, &[Check::OversoldSlot][..]),
        (Sin::Loses, 0, &[Check::LostRequest]),
        (Sin::Loses, 25, &[Check::LostRequest]),
        (Sin::BooksTwice, 25, &[Check::TwoBookings]),
        (Sin::ForgetsKeys, 25, &[Check::RetryDiffers]),
        (Sin::ForgetsBookings, 25, &[Check::BookingNotShown]),
        (Sin::ChangesOutcomes, 25, &[Check::OutcomeChanged]),
        (Sin::ConfirmsTwice, 25, &[Check::ConfirmationDoubled]),
        (Sin::ConfirmsNever, 25, &[Check::ConfirmationMissing]),
        (Sin::TextsTwice, 25, &[Check::MessageDoubled]),
    ] {
        let outbox = tempfile::tempdir().unwrap();
        let mut scenario = scenario();
        scenario.load.wait_s = wait_s;
        scenario.behaviour.slot_choice = SlotChoice::Uniform;
        let result = run(sin, Trouble::default(), scenario, outbox.path());
        let audit = result.audit.unwrap();
        assert!(!result.passed && !audit.passed, "{sin:?}");
        for check in checks {
            assert!(
                audit.findings_by_check.contains_key(check.name()),
                "{sin:?}: {:?}",
                audit.findings_by_check
            );
        }
    }
}

#[test]
fn a_record_is_audited_afterwards_and_a_sin_committed_meanwhile_found() {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("run.ndjson");
    let mut unaudited = scenario();
    unaudited.audit.enabled = false;
    // The desk forgets some bookings; the run itself, without an audit, cannot know.
    for (sin, passes) in [(Sin::None, true), (Sin::ForgetsBookings, false)] {
        let address = Desk::open(sin, Trouble::default(), None);
        let _ = std::fs::remove_file(&record);
        let options = RunOptions {
            servers: servers(address),
            scenario: unaudited.clone(),
            prepare: true,
            record: Some(record.clone()),
            ..RunOptions::default()
        };
        let result = run_scenario(&options, &Progress::QUIET).unwrap();
        assert!(result.passed && result.audit.is_none());
        let settings = scenario().audit;
        let audit = AuditOptions {
            servers: servers(address),
            record: record.clone(),
            outbox: None,
            settings,
            scenario: scenario(),
        };
        let report = audit_record(&audit, &Progress::QUIET).unwrap();
        assert_eq!(report.passed, passes, "{sin:?}: {:?}", report.findings_by_check);
        assert_eq!(report.requests, result.load.requests);
        assert_eq!(report.people, 600);
    }
}

#[test]
fn the_exit_code_tells_passed_failed_and_usage_apart() {
    use clap::Parser;

    #[derive(Parser)]
    struct Whole {
        #[command(subcommand)]
        command: Command,
    }

    let code = |words: &[&str]| {
        let words = ["loadtest"].iter().chain(words);
        loadtest::run(Whole::try_parse_from(words).unwrap().command)
    };
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let roster = path("roster.csv");
    assert_eq!(code(&["people", "--count", "1k", "--seed", "5", "--output", &roster]), 0);
    assert_eq!(std::fs::read_to_string(&roster).unwrap().lines().count(), 1_001);
    let url = format!("http://{}", Desk::open(Sin::None, Trouble::default(), None));
    let result = path("result.json");
    let words = |condition: &'static str| {
        vec![
            "run",
            "--public",
            &url,
            "--operator",
            &url,
            "--operator-token",
            "t",
            "--prepare",
            "--people",
            "100",
            "--saturate",
            "--slot-choice",
            "spread",
            "-z",
            "30s",
            "-c",
            "4",
            "--wait",
            "--output-format",
            "json",
            "-o",
            &result,
            "--no-tui",
            "--fail-if",
            condition,
        ]
    };
    assert_eq!(code(&words("confirmed<100")), 0);
    assert_eq!(code(&words("confirmed>=100")), 1);
    assert_eq!(code(&words("luck>5")), 2);
    assert_eq!(code(&["run", "--public", "http://192.0.2.1:80"]), 2);
    assert_eq!(code(&["run", "--scenario", &path("missing.toml")]), 2);
    assert_eq!(
        code(&["report", &result, &result, "--output-format", "json", "-o", &path("merged.json")]),
        1
    );
    assert_eq!(
        code(&["report", &result, "--fail-if", "confirmed<100", "--output-format", "quiet"]),
        0
    );
    let merged: RunResult =
        serde_json::from_slice(&std::fs::read(path("merged.json")).unwrap()).unwrap();
    assert_eq!((merged.merged_from, merged.load.confirmed), (2, 200));
}
