//! The document against the routes and against the rules of OpenAPI 3.1.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::operator::OperatorRoute;
use crate::route::Route;

fn document() -> Value {
    serde_json::from_str(&json()).unwrap()
}

/// Every operation: path, method in capitals, itself.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| {
            (path.clone(), method.to_uppercase(), operation.clone())
        })
    });
    all.collect()
}

#[test]
fn every_route_is_documented_and_everything_documented_is_a_route() {
    let mut routed: BTreeMap<(String, String), BTreeSet<&str>> = BTreeMap::new();
    let public = Route::ALL.iter().map(|(route, path)| (*path, route.allow(), public::TAG));
    let operator =
        OperatorRoute::ALL.iter().map(|(route, path)| (*path, route.allow(), operator::TAG));
    for (path, allow, tag) in public.chain(operator) {
        for method in allow.split(", ").filter(|method| *method != "HEAD") {
            routed.entry((path.to_owned(), method.to_owned())).or_default().insert(tag);
        }
    }
    let document = document();
    let mut documented = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let tag = operation["tags"][0].as_str().unwrap().to_owned();
        let tags = routed.get(&(path.clone(), method.clone()));
        assert!(tags.is_some_and(|tags| tags.contains(&*tag)), "{method} {path} is no route");
        documented.insert((path, method));
    }
    let routed: BTreeSet<_> = routed.into_keys().collect();
    assert_eq!(documented, routed);
}

#[test]
fn operator_calls_ask_for_the_token_and_name_the_role_of_their_route() {
    let document = document();
    for (route, path) in OperatorRoute::ALL {
        let method = route.allow().split(", ").next().unwrap().to_lowercase();
        let operation = &document["paths"][path][&method];
        let needs_token = operation["security"] == serde_json::json!([{ "operator": [] }]);
        assert_eq!(needs_token, route.role().is_some(), "{path}");
        if let Some(role) = route.role() {
            let words = operation["description"].as_str().unwrap();
            assert!(words.starts_with(&format!("Role: `{}`.", role.name())), "{path}: {words}");
            assert_eq!(operation["operationId"], route.name());
        }
    }
}

#[test]
fn the_document_keeps_the_rules_of_openapi_3_1() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(!document["info"]["title"].as_str().unwrap().is_empty());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags: BTreeSet<&str> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(path.starts_with('/'), "{at}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{at}");
        for tag in operation["tags"].as_array().unwrap() {
            assert!(tags.contains(tag.as_str().unwrap()), "{at}");
        }
        for requirement in operation["security"].as_array().unwrap() {
            let known =
                requirement.as_object().unwrap().keys().all(|name| schemes.contains_key(name));
            assert!(known, "{at}");
        }
        check_parameters(&at, &path, &operation);
        check_responses(&at, &operation);
    }
}

/// Path parameters are exactly those of the path, and required; no name stands twice in one place.
fn check_parameters(at: &str, path: &str, operation: &Value) {
    let templated: BTreeSet<&str> =
        path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
    let mut in_path = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let place = parameter["in"].as_str().unwrap();
        assert!(["path", "query", "header"].contains(&place), "{at} {name}");
        assert!(seen.insert((place, name)), "{at}: {name} stands twice");
        assert!(parameter["schema"].is_object(), "{at} {name}");
        assert!(!parameter["description"].as_str().unwrap().is_empty(), "{at} {name}");
        if place == "path" {
            assert_eq!(parameter["required"], true, "{at} {name}");
            in_path.insert(name);
        }
    }
    assert_eq!(in_path, templated, "{at}");
}

/// Every answer has words; there is a good one, and a default for every other problem.
fn check_responses(at: &str, operation: &Value) {
    let responses = operation["responses"].as_object().unwrap();
    assert!(responses.keys().any(|status| status.starts_with('2')), "{at}");
    assert!(responses.contains_key("default"), "{at}");
    for (status, response) in responses {
        assert!(!response["description"].as_str().unwrap().is_empty(), "{at} {status}");
        let number = status.parse::<u16>().unwrap_or(500);
        let kinds: Vec<&String> =
            response["content"].as_object().into_iter().flatten().map(|(kind, _)| kind).collect();
        let is_ready = operation["operationId"] == "readyz" && status == "503";
        match number {
            304 => assert!(kinds.is_empty(), "{at}"),
            200..=299 => assert_eq!(kinds.len(), 1, "{at} {status}"),
            _ if is_ready => assert_eq!(kinds, ["application/json"], "{at}"),
            _ => assert_eq!(kinds, ["application/problem+json"], "{at} {status}"),
        }
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = document();
    let mut named = BTreeSet::new();
    collect_references(&document, &mut named);
    for reference in &named {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let reference = format!("#/components/schemas/{name}");
        assert!(named.contains(&reference), "{name} is not used");
    }
}

fn collect_references(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                into.insert(reference.to_owned());
            }
            fields.values().for_each(|field| collect_references(field, into));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
        _ => {}
    }
}

#[test]
fn every_schema_is_sound_and_every_field_has_words() {
    const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];
    fn check(at: &str, schema: &Value, types: &[&str]) {
        for kind in schema["type"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(schema["type"].as_str().map(|_| &schema["type"]))
        {
            assert!(types.contains(&kind.as_str().unwrap()), "{at}");
        }
        let properties = schema["properties"].as_object();
        for name in schema["required"].as_array().into_iter().flatten() {
            let known = properties.is_some_and(|all| all.contains_key(name.as_str().unwrap()));
            assert!(known, "{at}: {name} is required and not described");
        }
        for (name, property) in properties.into_iter().flatten() {
            check(&format!("{at}.{name}"), property, types);
        }
        for keyword in ["oneOf", "anyOf", "allOf"] {
            for part in schema[keyword].as_array().into_iter().flatten() {
                check(at, part, types);
            }
        }
        if schema["items"].is_object() {
            check(&format!("{at}[]"), &schema["items"], types);
        }
    }
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        check(name, schema, &TYPES);
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(!page::words_of(property).is_empty(), "{name}.{field}");
        }
    }
}

#[test]
fn the_page_shows_every_call_and_every_body_and_loads_nothing() {
    let document = document();
    let page = page::render(&document);
    for (path, _, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(page.contains(&format!("<h3 id=\"{id}\">")), "{path}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"body-{name}\"")), "{name}");
    }
    for loading in ["<script", "<link", "<img", "<iframe", "src=", "@import", "url(", "href=\"http"]
    {
        assert!(!page.contains(loading), "{loading}");
    }
    for link in page.split("href=\"").skip(1) {
        let target = link.split('"').next().unwrap();
        let known = target == "/openapi.json"
            || target.strip_prefix('#').is_some_and(|id| page.contains(&format!("id=\"{id}\"")));
        assert!(known, "{target}");
    }
}
