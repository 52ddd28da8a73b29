//! The part of JSON Schema that our published schemas use.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use serde_json::Value;

/// The only pattern that a schema of ours has: the id of an event.
const EVENT_ID: &str = "^(0|[1-9][0-9]{0,4})-(0|[1-9][0-9]{0,19})-(0|[1-9][0-9]{0,4})$";

/// Checks a value. A keyword or pattern that is not known here is a panic, so that nothing in a schema
/// goes unchecked.
pub fn check(schema: &Value, root: &Value, value: &Value, place: &str) -> Result<(), String> {
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
            "minimum" if value.as_f64().is_some_and(|value| value < rule.as_f64().unwrap()) => {
                return fail(format!("{value} is below {rule}"));
            }
            "maximum" if value.as_f64().is_some_and(|value| value > rule.as_f64().unwrap()) => {
                return fail(format!("{value} is above {rule}"));
            }
            "minimum" | "maximum" => {}
            "pattern" | "format" | "contentEncoding" => {
                let fits = text_rule(rule.as_str().unwrap());
                if value.as_str().is_some_and(|text| !fits(text)) {
                    return fail(format!("{value} is not {rule}"));
                }
            }
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

/// How a text is checked against a pattern, format or encoding.
fn text_rule(rule: &str) -> fn(&str) -> bool {
    match rule {
        EVENT_ID => |text| {
            let fits = |part: &str, digits: usize| {
                (1..=digits).contains(&part.len())
                    && part.bytes().all(|byte| byte.is_ascii_digit())
                    && (part == "0" || !part.starts_with('0'))
            };
            let parts: Vec<&str> = text.split('-').collect();
            parts.len() == 3 && fits(parts[0], 5) && fits(parts[1], 20) && fits(parts[2], 5)
        },
        "date-time" => |text| text.parse::<jiff::Timestamp>().is_ok(),
        "base64url" => {
            |text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        }
        other => panic!("the rule {other} is not checked"),
    }
}
