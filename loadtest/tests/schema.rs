//! The published schema describes exactly what results hold.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod json_schema;

use std::time::Duration;

use json_schema::check;
use loadtest::audit::{AuditReport, Check, Finding};
use loadtest::latency::Latency;
use loadtest::result::{Phase, RESULT_FORMAT, RunResult};
use serde_json::Value;

const SCHEMA: &str = include_str!("../schema/result.json");

fn full_result() -> RunResult {
    let mut latency = Latency::new();
    latency.record(Duration::from_millis(3));
    let mut result = RunResult { format: RESULT_FORMAT.to_owned(), ..RunResult::default() };
    result.phases.push(Phase { name: "people registered".to_owned(), count: 5, seconds: 0.5 });
    result.latency.response = latency.summary();
    result.load.target_per_second = Some(5.0);
    result.load.errors.insert("status_503".to_owned(), 3);
    result.load.statuses.insert(503, 3);
    result.audit = Some(AuditReport {
        confirmations: Some(4),
        findings: vec![Finding { check: Check::OversoldSlot, detail: "slot 5".to_owned() }],
        ..AuditReport::default()
    });
    result.incomplete.push("stopped".to_owned());
    result.judge(&["p99_ms>1".parse().unwrap()]);
    result
}

#[test]
fn results_hold_exactly_what_the_schema_describes() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for result in
        [full_result(), RunResult { format: RESULT_FORMAT.to_owned(), ..RunResult::default() }]
    {
        let value = serde_json::to_value(&result).unwrap();
        check(&schema, &schema, &value, "").unwrap();
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_result() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let good = serde_json::to_value(full_result()).unwrap();
    let broken = |change: fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        check(&schema, &schema, &value, "")
    };
    assert!(broken(|value| value["format"] = "other".into()).is_err());
    assert!(broken(|value| value["load"]["dropped"] = "7".into()).is_err());
    assert!(broken(|value| value["surprise"] = 1.into()).is_err());
    assert!(
        broken(|value| {
            value["latency"].as_object_mut().unwrap().remove("service");
        })
        .is_err()
    );
    assert!(broken(|value| value["audit"]["findings"][0]["check"] = "luck".into()).is_err());
}

#[test]
fn every_check_of_the_auditor_stands_in_the_schema() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let named: Vec<&str> = schema["$defs"]["finding"]["properties"]["check"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    for name in named {
        let check: Check = serde_json::from_value(name.into()).unwrap();
        assert_eq!(check.name(), name);
    }
}
