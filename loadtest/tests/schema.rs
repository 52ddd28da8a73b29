//! The published schema describes exactly what results hold.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use loadtest::audit::{AuditReport, Check, Finding};
use loadtest::latency::Latency;
use loadtest::result::{Phase, RESULT_FORMAT, RunResult};
use serde_json::Value;

const SCHEMA: &str = include_str!("../schema/result.json");

/// The part of JSON Schema that the file uses; an unknown keyword is an error, so that nothing in the
/// file goes unchecked.
fn check(schema: &Value, root: &Value, value: &Value, place: &str) -> Result<(), String> {
    let fail = |reason: String| Err(format!("{place}: {reason}"));
    for (keyword, rule) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$schema" | "$id" | "title" | "description" | "$defs" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                check(&root["$defs"][name], root, value, place)?;
            }
            "anyOf" => {
                let fits = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|choice| check(choice, root, value, place).is_ok());
                if !fits {
                    return fail("fits no choice".to_owned());
                }
            }
            "const" if rule != value => return fail(format!("{value} is not {rule}")),
            "enum" if !rule.as_array().unwrap().contains(value) => {
                return fail(format!("{value} is not in {rule}"));
            }
            "const" | "enum" => {}
            "type" => {
                let names: Vec<&str> = rule.as_str().map_or_else(
                    || rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect(),
                    |name| vec![name],
                );
                let fits = names.iter().any(|name| match *name {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                });
                if !fits {
                    return fail(format!("{value} is not {rule}"));
                }
            }
            "minimum" => assert_eq!(rule, 0),
            "minItems" | "maxItems" => {
                if value.as_array().unwrap().len() as u64 != rule.as_u64().unwrap() {
                    return fail("wrong length".to_owned());
                }
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, root, item, &format!("{place}/{number}"))?;
                }
            }
            "required" => {
                for name in rule.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        return fail(format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(rule, root, value, &format!("{place}/{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.contains_key(name)) {
                        continue;
                    }
                    match rule {
                        Value::Bool(false) => return fail(format!("{name} is not described")),
                        rule => check(rule, root, value, &format!("{place}/{name}"))?,
                    }
                }
            }
            other => panic!("{place}: the keyword {other} is not checked"),
        }
    }
    Ok(())
}

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
