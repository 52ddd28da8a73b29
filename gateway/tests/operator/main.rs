//! What an operator does, over real sockets: publish, import, report, look.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod days;
mod files;
mod people;
mod publishing;
mod uploads;

use serde_json::{Value, json};
use support::client::{Answer, Client};
use support::{instant, slug};

const ROSTER_HEADER: &str =
    "id_number,former_id_number,card_number,entry_permit_number,passport_number,birth_date";
const SITES_HEADER: &str = "id,name_zh,name_en,county,district,address,kind";
const SLOTS_HEADER: &str = "site,date,start,end,vaccine,capacity";

/// A valid old and new number of residents.
const RESIDENT: &str = "P813427101";
const RESIDENT_BEFORE: &str = "ZD31324773";

fn csv(client: &mut Client, path: &str, body: &str) -> Answer {
    client.send("POST", path, &[("content-type", "text/csv")], body.as_bytes())
}

/// The errors of a problem as `line:field:code`.
fn rows(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status, slug(answer)), (422, "invalid-rows"), "{answer:?}");
    let errors = answer.json["errors"].as_array().unwrap().iter();
    errors
        .map(|error| {
            assert!(!error["detail"].as_str().unwrap().is_empty());
            let field = error["field"].as_str().unwrap_or_default();
            format!("{}:{field}:{}", error["line"], error["code"].as_str().unwrap())
        })
        .collect()
}

/// The errors of a problem as `pointer:code`.
fn fields(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status, slug(answer)), (422, "invalid-fields"), "{answer:?}");
    let errors = answer.json["errors"].as_array().unwrap().iter();
    errors
        .map(|error| {
            let place = error["pointer"].as_str().or(error["parameter"].as_str()).unwrap();
            format!("{place}:{}", error["code"].as_str().unwrap())
        })
        .collect()
}

fn period(closes_in_s: i64) -> Value {
    json!({
        "names": { "zh-TW": "第03期" },
        "vaccines": ["AZ"],
        "opens_at": instant(-60),
        "closes_at": instant(closes_in_s),
    })
}
