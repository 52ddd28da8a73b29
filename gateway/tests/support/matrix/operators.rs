//! The operator's calls: without the right to them, and with files and rules that cannot stand.

use serde_json::json;

use super::super::campaign::{COUNTY, DISTRICT, Person, document, instant};
use super::super::client::{Client, slug};
use super::{Door, assert_problem};

const CSV: (&str, &str) = ("content-type", "text/csv");
const SITES: &str = "id,name_zh,name_en,county,district,address,kind";
const SLOTS: &str = "site,date,start,end,vaccine,capacity";
const ROSTER: &str =
    "id_number,former_id_number,card_number,entry_permit_number,passport_number,birth_date";

pub fn without_an_operators_token_nothing_opens(door: &Door) {
    let person = door.client().post("/v1/identity", &document(&Person::numbered(14)));
    let citizen = person.json["token"].as_str().unwrap();
    for (what, token, status, expected) in [
        ("none", "", 401, "not-authenticated"),
        ("nonsense", "slo_CANARY", 401, "not-authenticated"),
        ("a citizen's", citizen, 403, "not-permitted"),
    ] {
        let mut client = Client::to(door.operator);
        if !token.is_empty() {
            client = client.with_token(token);
        }
        for (method, path) in [
            ("PUT", "/v1/categories/9"),
            ("PUT", "/v1/periods/2"),
            ("POST", "/v1/sites:import"),
            ("POST", "/v1/slots:import"),
            ("POST", "/v1/roster:import"),
            ("GET", "/v1/overview"),
            ("GET", "/v1/confirmations"),
        ] {
            let answer = client.send(method, path, &[CSV], b"");
            assert_problem(&format!("{what}: {method} {path}"), &answer, status, expected);
        }
    }
}

pub fn a_file_with_a_wrong_row_is_refused_whole(door: &Door) {
    let mut operator = door.operator();
    let good = format!("M1,甲醫院,First Hospital,{COUNTY},{DISTRICT},測試路1號,hospital");
    let files = [
        (
            "/v1/sites:import",
            SITES,
            good.replace(DISTRICT, "99999999"),
            "district:unknown_district",
        ),
        ("/v1/slots:import", SLOTS, "S1,2098-12-31,08:00,09:00,AZ,-5".to_owned(), "capacity:"),
        ("/v1/slots:import", SLOTS, "S1,2098-02-30,08:00,09:00,AZ,5".to_owned(), "date:"),
        (
            "/v1/slots:import",
            SLOTS,
            "M9,2098-12-31,08:00,09:00,AZ,5".to_owned(),
            "site:unknown_site",
        ),
        (
            "/v1/roster:import",
            ROSTER,
            "A123456780,,000012345678,,,1985-07-06".to_owned(),
            "id_number:id_check_digit",
        ),
        (
            "/v1/roster:import",
            ROSTER,
            "\"=1+1\",,000012345678,,,1985-07-06".to_owned(),
            "id_number:",
        ),
    ];
    for (path, header, row, fault) in files {
        // Behind a good row, where one is at hand: nothing of the file is taken.
        let before = if path.starts_with("/v1/sites") { good.as_str() } else { "" };
        let file: Vec<&str> =
            [header, before, &row].into_iter().filter(|line| !line.is_empty()).collect();
        let answer = operator.send("POST", path, &[CSV], file.join("\n").as_bytes());
        assert_problem(&row, &answer, 422, "invalid-rows");
        let error = &answer.json["errors"][0];
        let told =
            format!("{}:{}", error["field"].as_str().unwrap(), error["code"].as_str().unwrap());
        assert!(told.starts_with(fault), "{row}: {told}");
        assert_eq!(error["line"], file.len(), "{row}");
    }
    let sites = door.client().get("/v1/periods/2/sites").json;
    assert!(!sites.to_string().contains("甲醫院"), "{sites}");
    let typed = operator.send("POST", "/v1/slots:import", &[("content-type", "image/png")], b"x");
    assert_problem("a picture", &typed, 415, "unsupported-media-type");
}

pub fn a_rule_that_cannot_stand_is_refused(door: &Door) {
    let mut operator = door.operator();
    let body = json!({
        "names": { "zh-TW": "第3期" }, "vaccines": ["CANARY"],
        "opens_at": instant(60), "closes_at": instant(-60),
    });
    let answer = operator.put("/v1/periods/3", &body);
    assert_eq!((answer.status, slug(&answer)), (422, "invalid-fields"), "{answer:?}");
    let period = door.client().get("/v1/periods/3");
    assert_problem("it was not published", &period, 404, "not-found");
}
