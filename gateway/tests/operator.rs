//! What an operator does, over real sockets: publish, import, report, look.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use domain::PersonKey;
use gateway::roster::record::{Record, Row};
use gateway::{Attachments, ConfirmationsError};
use journal::Stream;
use serde_json::{Value, json};
use support::client::{Answer, Client};
use support::{COUNTY, DISTRICT, House, Person, date, document, instant, intent, roster, slug};
use vault::{Lookup, Role};

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

/// Every call that needs a token, with a body that gets past the door, and the role it takes.
fn calls() -> Vec<(&'static str, String, &'static str, &'static str, Role)> {
    let json = "application/json";
    let csv = "text/csv";
    vec![
        ("PUT", "/v1/categories/9".to_owned(), json, "{}", Role::Planner),
        ("PUT", "/v1/periods/2".to_owned(), json, "{}", Role::Planner),
        ("POST", "/v1/categories/9/members:import".to_owned(), csv, "x\n", Role::Importer),
        ("POST", "/v1/roster:import".to_owned(), csv, "x\n", Role::Importer),
        ("POST", "/v1/sites:import".to_owned(), csv, "x\n", Role::Importer),
        ("POST", "/v1/slots:import".to_owned(), csv, "x\n", Role::Importer),
        ("PATCH", "/v1/slots/0".to_owned(), json, "{}", Role::Importer),
        ("POST", "/v1/attendance".to_owned(), csv, "x\n", Role::Site),
        ("GET", format!("/v1/sites/S1/roster?date={}", date(2)), json, "", Role::Site),
        ("GET", "/v1/overview".to_owned(), json, "", Role::Viewer),
        ("GET", "/v1/confirmations".to_owned(), json, "", Role::Confirmations),
        ("POST", "/v1/engine:accept-time".to_owned(), json, "", Role::Admin),
    ]
}

#[test]
fn each_role_opens_its_calls_and_no_others() {
    let house = House::furnished(1, &[1]);
    let mint =
        |role| house.vault.mint_operator_token("test", &[role], u64::from(u32::MAX)).unwrap();
    let mut grants = 0;
    for role in Role::ALL {
        let mut client = Client::to(house.operator).with_token(&mint(role));
        for (method, path, kind, body, needed) in calls() {
            let answer = client.send(method, &path, &[("content-type", kind)], body.as_bytes());
            let opened = answer.status != 403 && answer.status != 401;
            assert_eq!(
                opened,
                role == needed || role == Role::Admin,
                "{role:?} {method} {path} {answer:?}"
            );
            if !opened {
                assert_eq!(slug(&answer), "not-permitted");
            }
            grants += u32::from(opened);
        }
    }
    // Eleven calls have a role of their own, and `admin` opens all twelve.
    assert_eq!(grants, 11 + 12);
}

#[test]
fn without_an_operators_token_nothing_opens() {
    let house = House::furnished(1, &[1]);
    let person = house.client().post("/v1/identity", &document(&Person::numbered(1)));
    let citizen = person.json["token"].as_str().unwrap();
    let expired = house.vault.mint_operator_token("test", &[Role::Admin], 1).unwrap();
    let strange = vault::Vault::new(vault::Secrets::generate());
    let strange = strange.mint_operator_token("test", &[Role::Admin], u64::from(u32::MAX)).unwrap();
    let cases = [
        (None, 401, "not-authenticated"),
        (Some(""), 401, "not-authenticated"),
        (Some("slo_AAAA"), 401, "not-authenticated"),
        (Some(strange.as_str()), 401, "not-authenticated"),
        (Some(expired.as_str()), 401, "token-expired"),
        (Some(citizen), 403, "not-permitted"),
    ];
    for (token, status, expected) in cases {
        let mut client = Client::to(house.operator);
        if let Some(token) = token {
            client = client.with_token(token);
        }
        for (method, path, kind, body, _) in calls() {
            let answer = client.send(method, &path, &[("content-type", kind)], body.as_bytes());
            assert_eq!((answer.status, slug(&answer)), (status, expected), "{method} {path}");
            assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        }
    }
}

#[test]
fn health_and_documentation_need_no_token_and_other_paths_are_404_or_405() {
    let house = House::empty(|_| {});
    let mut client = Client::to(house.operator);
    for (path, kind) in [
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "application/json"),
        ("/metrics", "text/plain; charset=utf-8"),
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(kind)), "{path}");
        assert!(!answer.body.is_empty());
        let head = client.send("HEAD", path, &[], b"");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        let posted = client.send("POST", path, &[], b"");
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    for path in ["/", "/v1/bookings", "/v1/categories", "/v1/sites/S1", "/v1/kiosk/requests"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    let mut operator = house.operator();
    let answer = operator.send("DELETE", "/v1/categories/9", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("PUT")));
    let ready = client.get("/readyz").json;
    let names: Vec<&str> = ready["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        (ready["ready"].as_bool(), names),
        (Some(true), vec!["gateway", "view", "roster", "journal"])
    );
    let metrics = client.get("/metrics").body;
    for name in [
        "slotline_view_sequence",
        "slotline_roster_version",
        "slotline_journal_stored_bytes{stream=\"roster\"}",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
}

#[test]
fn the_document_is_served_by_both_listeners_with_a_name_for_caches() {
    let house = House::empty(|_| {});
    for path in ["/openapi.json", "/docs"] {
        let public = house.client().get(path);
        let operator = Client::to(house.operator).get(path);
        assert_eq!((public.status, &public.body), (200, &operator.body));
        let etag = public.header("etag").unwrap();
        let again = house.client().send("GET", path, &[("if-none-match", etag)], b"");
        assert_eq!((again.status, again.body.as_str()), (304, ""));
    }
}

#[test]
fn publishing_creates_then_replaces_and_a_dry_run_only_counts() {
    let house = House::furnished(3, &[1]);
    (1..=3).for_each(|serial| drop(house.registered(serial)));
    let mut operator = house.operator();
    let dry = operator.put("/v1/periods/3?dry_run=true", &period(60));
    assert_eq!(
        (dry.status, &dry.json),
        (200, &json!({ "dry_run": true, "eligible": 3, "gained": 3, "lost": 0 }))
    );
    assert_eq!(house.client().get("/v1/periods/3").status, 404, "a dry run publishes nothing");
    let created = operator.put("/v1/periods/3", &period(60));
    assert_eq!(
        (created.status, created.json["created"].as_bool()),
        (201, Some(true)),
        "{created:?}"
    );
    assert_eq!(house.client().get("/v1/periods/3").status, 200, "visible at once");

    let mut narrower = period(60);
    narrower["born_on_or_before"] = json!("1950-01-01");
    let dry = operator.put("/v1/periods/3?dry_run=true", &narrower);
    assert_eq!(dry.json, json!({ "dry_run": true, "eligible": 0, "gained": 0, "lost": 3 }));
    let replaced = operator.put("/v1/periods/3?dry_run=false", &narrower);
    assert_eq!((replaced.status, replaced.json["created"].as_bool()), (200, Some(false)));
    let shown = house.client().get("/v1/periods/3").json;
    assert_eq!(shown["born_on_or_before"], "1950-01-01");

    let category = json!({
        "names": { "zh-TW": "第8類" }, "born_on_or_before": "1950-01-01",
        "opens_at": instant(-60), "vaccines": ["AZ"],
    });
    let dry = operator.put("/v1/categories/8?dry_run=true", &category);
    assert_eq!(dry.json, json!({ "dry_run": true, "eligible": 0, "gained": 0, "lost": 0 }));
    assert_eq!(operator.put("/v1/categories/8", &category).status, 201);
    let home = house.client().get("/v1/home").json;
    assert!(home["categories"].as_array().unwrap().iter().any(|one| one["number"] == 8));
}

#[test]
fn a_rule_that_cannot_stand_is_refused_with_pointers() {
    let house = House::furnished(0, &[1]);
    let mut operator = house.operator();
    let mut unknown = period(60);
    unknown["categories"] = json!([9, 77]);
    assert_eq!(
        fields(&operator.put("/v1/periods/3", &unknown)),
        ["/categories/1:unknown_category"]
    );
    let mut several = period(-120);
    several["vaccine"] = json!("AZ");
    let mut found = fields(&operator.put("/v1/periods/3", &several));
    found.sort();
    assert_eq!(found, ["/closes_at:end_not_after_start", "/vaccine:unknown"]);
    // A misspelt parameter must not publish.
    assert_eq!(fields(&operator.put("/v1/periods/3?dryrun=true", &period(60))), ["query:unknown"]);
    assert_eq!(
        fields(&operator.put("/v1/periods/3?dry_run=yes", &period(60))),
        ["dry_run:not_allowed"]
    );
    for path in ["/v1/periods/0", "/v1/periods/65536", "/v1/periods/x", "/v1/categories/0"] {
        assert_eq!(operator.put(path, &period(60)).status, 404, "{path}");
    }
    let broken =
        operator.send("PUT", "/v1/periods/3", &[("content-type", "application/json")], b"{");
    assert_eq!((broken.status, slug(&broken)), (400, "malformed-json"));
    let typed = operator.send("PUT", "/v1/periods/3", &[("content-type", "text/csv")], b"{}");
    assert_eq!((typed.status, slug(&typed)), (415, "unsupported-media-type"));
    assert_eq!(house.client().get("/v1/periods/3").status, 404);
}

#[test]
fn sites_are_added_and_changed_all_or_none() {
    let house = House::furnished(0, &[1]);
    let mut operator = house.operator();
    let good = format!("S2,第二醫院,Second Hospital,{COUNTY},{DISTRICT},測試路2號,hospital");
    let bad = good.replace("S2", "S3").replace(DISTRICT, "99999999");
    let answer =
        csv(&mut operator, "/v1/sites:import", &format!("{SITES_HEADER}\n{good}\n{bad}\n"));
    assert_eq!(rows(&answer), ["3:district:unknown_district"]);
    let slots = format!("{SLOTS_HEADER}\nS2,{},08:00,09:00,AZ,5\n", date(2));
    assert_eq!(rows(&csv(&mut operator, "/v1/slots:import", &slots)), ["2:site:unknown_site"]);

    let changed = format!("S1,改名醫院,Renamed Hospital,{COUNTY},{DISTRICT},測試路9號,hospital");
    let file = format!("\u{feff}{SITES_HEADER}\r\n{good}\r\n{changed}\r\n");
    let answer = csv(&mut operator, "/v1/sites:import", &file);
    assert_eq!(
        (answer.status, &answer.json),
        (200, &json!({ "rows": 2, "added": 1 })),
        "{answer:?}"
    );
    let sites = house.client().get("/v1/periods/2/sites").json;
    assert_eq!(sites["sites"][0]["name"], "改名醫院");
    let answer = csv(&mut operator, "/v1/slots:import", &slots);
    assert_eq!(answer.json, json!({ "rows": 1, "added": 1 }));
    let sites = house.client().get("/v1/periods/2/sites").json;
    assert_eq!(sites["sites"].as_array().unwrap().len(), 2, "visible at once");
}

#[test]
fn slots_change_their_capacity_but_never_below_what_is_booked() {
    let house = House::furnished(2, &[2]);
    for serial in [1, 2] {
        let mut client = house.registered(serial);
        let booked = client.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
        assert_eq!(booked.status, 201, "{booked:?}");
    }
    let mut operator = house.operator();
    let slots =
        |capacity: i32| format!("{SLOTS_HEADER}\nS1,{},08:00,09:00,AZ,{capacity}\n", date(2));
    let answer = csv(&mut operator, "/v1/slots:import", &slots(1));
    assert_eq!(rows(&answer), ["2:capacity:capacity_below_booked"]);
    let detail = answer.json["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains('2'), "{detail}");
    assert_eq!(
        csv(&mut operator, "/v1/slots:import", &slots(3)).json,
        json!({ "rows": 1, "added": 0 })
    );
    assert_eq!(
        rows(&csv(&mut operator, "/v1/slots:import", &slots(-1))),
        ["2:capacity:out_of_range"]
    );

    let patch =
        |operator: &mut Client, path: &str, body: Value| operator.json("PATCH", path, &[], &body);
    let answer = patch(&mut operator, "/v1/slots/0", json!({ "capacity": 5 }));
    assert_eq!(answer.json, json!({ "number": 0, "capacity": 5, "places_left": 3 }));
    let shown = house.client().get("/v1/periods/2/slots?site=S1").json;
    assert_eq!(shown["slots"][0]["places_left"], 3, "visible at once");
    let refused = patch(&mut operator, "/v1/slots/0", json!({ "capacity": 1 }));
    assert_eq!((refused.status, slug(&refused)), (409, "refused"));
    assert_eq!(refused.json["refusals"], json!([{ "row": 0, "reason": "capacity_below_booked" }]));
    assert_eq!(patch(&mut operator, "/v1/slots/99", json!({ "capacity": 1 })).status, 404);
    assert_eq!(patch(&mut operator, "/v1/slots/x", json!({ "capacity": 1 })).status, 404);
    let answer = patch(&mut operator, "/v1/slots/0", json!({ "capacity": -1, "more": 1 }));
    let mut found = fields(&answer);
    found.sort();
    assert_eq!(found, ["/capacity:out_of_range", "/more:unknown"]);
}

#[test]
fn an_import_of_many_chunks_takes_every_row() {
    let house = House::furnished(0, &[1]);
    let mut file = format!("{SLOTS_HEADER}\n");
    for day in 0..40 {
        for minute in 0..240 {
            let (from, to) = (format!("{:02}:{:02}", 8 + minute / 60, minute % 60), "13:00");
            file += &format!("S1,{},{from},{to},AZ,1\n", date(3 + day));
        }
    }
    let answer = csv(&mut house.operator(), "/v1/slots:import", &file);
    assert_eq!(answer.json, json!({ "rows": 9_600, "added": 9_600 }), "{answer:?}");
    let overview = house.operator().get("/v1/overview").json;
    assert_eq!(
        (overview["slots"].as_u64(), overview["places"].as_u64()),
        (Some(9_601), Some(9_601))
    );
    assert_eq!(overview["import"], Value::Null);
}

#[test]
fn a_file_beyond_the_configured_limits_is_refused_whole() {
    let house = House::empty(|config| {
        config.limits.import_rows_max = 3;
        config.limits.import_body_bytes_max = 4_096;
    });
    let mut operator = house.operator();
    let three = roster(1..=3);
    let four = roster(1..=4);
    assert_eq!(rows(&csv(&mut operator, "/v1/roster:import", &four)), ["5::too_many_rows"]);
    assert_eq!(house.client().post("/v1/identity", &document(&Person::numbered(1))).status, 401);
    let answer = csv(&mut operator, "/v1/roster:import", &three);
    assert_eq!((answer.status, answer.json["rows"].as_u64()), (200, Some(3)));
    let large = "x".repeat(5_000);
    let answer = csv(&mut operator, "/v1/roster:import", &large);
    assert_eq!((answer.status, slug(&answer)), (413, "too-large"));
}

#[test]
fn errors_of_a_file_speak_the_callers_language_and_repeat_no_value() {
    let house = House::empty(|_| {});
    let mut operator = house.operator();
    let file = format!("{ROSTER_HEADER}\nA123456780,,000012345678,,,1985-07-06\n");
    let mut details = std::collections::BTreeSet::new();
    for language in ["zh-TW", "en", "ja", "id"] {
        let headers = [("content-type", "text/csv"), ("accept-language", language)];
        let answer = operator.send("POST", "/v1/roster:import", &headers, file.as_bytes());
        assert_eq!(rows(&answer), ["2:id_number:id_check_digit"]);
        assert_eq!(answer.header("content-language"), Some(language));
        assert!(!answer.body.contains("A123456780"));
        details.insert(answer.json["errors"][0]["detail"].as_str().unwrap().to_owned());
    }
    assert_eq!(details.len(), 4);
    let mut many = format!("{ROSTER_HEADER}\n");
    (0..300).for_each(|_| many += "x,,,,,\n");
    let answer = csv(&mut operator, "/v1/roster:import", &many);
    let found = rows(&answer);
    assert_eq!(found.len(), 100);
    assert!(found[99].ends_with("::too_many_errors"), "{}", found[99]);
}

#[test]
fn a_roster_is_taken_whole_or_not_at_all() {
    let house = House::empty(|_| {});
    house.put_category();
    let mut operator = house.operator();
    let file = roster(1..=3).replace("1980-05-20\n", "1980-05-20\r\n");
    let broken = file.clone() + "A123456780,,000012345678,,,1985-07-06\n";
    assert_eq!(
        rows(&csv(&mut operator, "/v1/roster:import", &broken)),
        ["5:id_number:id_check_digit"]
    );
    assert_eq!(house.client().post("/v1/identity", &document(&Person::numbered(1))).status, 401);
    let answer = csv(&mut operator, "/v1/roster:import", &file);
    assert_eq!(
        answer.json,
        json!({ "rows": 3, "roster_version": 1, "corrected": 0 }),
        "{answer:?}"
    );
    assert_eq!(house.client().post("/v1/identity", &document(&Person::numbered(1))).status, 201);
}

#[test]
fn both_numbers_of_a_resident_are_one_person_and_a_known_person_is_never_rekeyed() {
    let house = House::empty(|_| {});
    house.put_category();
    let row = |id: &str, former: &str, card: &str| {
        format!("{ROSTER_HEADER}\n{id},{former},{card},,,1980-05-20\n")
    };
    house.import("/v1/roster:import", &row(RESIDENT, RESIDENT_BEFORE, "000000000001"));
    let resident =
        |id: &str| Person { id_number: id.to_owned(), card_number: "000000000001".to_owned() };
    let mut client = house.logged_in(&resident(RESIDENT_BEFORE));
    assert_eq!(client.waited("POST", "/v1/intents", "k", &intent()).status, 201);
    let mut same = house.logged_in(&resident(RESIDENT));
    assert_eq!(same.get("/v1/intents/mine").json["intent"]["serial_number"], 1);

    // Two people who registered under their own numbers cannot become one.
    let mut operator = house.operator();
    house.import("/v1/roster:import", &roster(1..=1));
    drop(house.registered(1));
    let merging = row(&Person::numbered(1).id_number, RESIDENT_BEFORE, "000000000009");
    let refused = csv(&mut operator, "/v1/roster:import", &merging);
    assert_eq!(rows(&refused), ["2:former_id_number:person_known"]);
}

#[test]
fn a_corrected_birth_date_holds_for_a_registered_person_at_once() {
    let house = House::furnished(1, &[1]);
    let mut elders = period(3_600);
    elders["born_on_or_before"] = json!("1985-12-31");
    let mut operator = house.operator();
    assert_eq!(operator.put("/v1/periods/4", &elders).status, 201);
    let mut client = house.registered(1);
    assert_eq!(client.get("/v1/periods/4").json["eligible"], true);
    let younger = roster(1..=1).replace("1980-05-20", "1990-05-20");
    let answer = csv(&mut operator, "/v1/roster:import", &younger);
    assert_eq!(answer.json, json!({ "rows": 1, "roster_version": 2, "corrected": 1 }));
    let shown = client.get("/v1/periods/4").json;
    assert_eq!(
        (shown["eligible"].as_bool(), shown["reason"].as_str()),
        (Some(false), Some("not_eligible"))
    );
    let again = csv(&mut operator, "/v1/roster:import", &younger);
    assert_eq!(again.json, json!({ "rows": 1, "roster_version": 3, "corrected": 0 }));
}

#[test]
fn members_of_a_list_may_register_whatever_their_age() {
    let house = House::furnished(0, &[1]);
    let young = roster(1..=2).replace("1980-05-20", "2010-05-20");
    house.import("/v1/roster:import", &young);
    let mut operator = house.operator();
    let members = format!("id_number\n{}\n", Person::numbered(1).id_number);
    let answer = csv(&mut operator, "/v1/categories/9/members:import", &members);
    assert_eq!(answer.json, json!({ "rows": 1, "added": 1 }), "{answer:?}");
    let again = csv(&mut operator, "/v1/categories/9/members:import", &members);
    assert_eq!(again.json, json!({ "rows": 1, "added": 0 }));
    drop(house.registered(1));
    let mut other = house.logged_in(&Person::numbered(2));
    let refused = other.waited("POST", "/v1/intents", "k", &intent());
    assert_eq!((refused.status, slug(&refused)), (409, "not-eligible"));

    assert_eq!(csv(&mut operator, "/v1/categories/77/members:import", &members).status, 404);
    let by_age = json!({
        "names": { "zh-TW": "第8類" }, "born_on_or_before": "1950-01-01",
        "opens_at": instant(-60), "vaccines": ["AZ"],
    });
    assert_eq!(operator.put("/v1/categories/8", &by_age).status, 201);
    let refused = csv(&mut operator, "/v1/categories/8/members:import", &members);
    assert_eq!(rows(&refused), ["1::no_membership_rule"]);
}

/// Today in Taiwan, once enough of it is left for a test.
fn today() -> String {
    let minutes_left = || {
        let in_day_s = (jiff::Timestamp::now().as_second() + 8 * 3_600).rem_euclid(86_400);
        (86_400 - in_day_s) / 60
    };
    support::until("a new day begins", || minutes_left() >= 2);
    date(0)
}

#[test]
fn a_site_reports_who_came_as_csv_and_as_json() {
    let house = House::furnished(3, &[3]);
    let today = today();
    house.import("/v1/slots:import", &format!("{SLOTS_HEADER}\nS1,{today},23:59,24:00,AZ,9\n"));
    let mut clients: Vec<Client> = (1..=3).map(|serial| house.registered(serial)).collect();
    let mut numbers = Vec::new();
    for (client, slot) in clients.iter_mut().zip([1, 1, 0]) {
        let booked =
            client.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": slot }));
        assert_eq!(booked.status, 201, "{booked:?}");
        numbers.push(booked.json["booking"]["number"].as_u64().unwrap());
    }
    let mut operator = house.operator();
    let at = format!("{today}T00:00:01+08:00");
    let file =
        format!("booking_number,attended_at\n{},{at}\n99,{at}\n{},{at}\n", numbers[0], numbers[2]);
    let refused = csv(&mut operator, "/v1/attendance", &file);
    assert_eq!(
        rows(&refused),
        ["3:booking_number:unknown_booking", "4:attended_at:attended_on_another_day"]
    );
    assert_eq!(clients[0].get("/v1/bookings/mine?period=2").json["booking"]["status"], "booked");

    let file = format!("booking_number,attended_at\n{},{at}\n", numbers[0]);
    let expected = json!({ "rows": 1, "attended": 1, "refused": [] });
    assert_eq!(csv(&mut operator, "/v1/attendance", &file).json, expected);
    assert_eq!(
        csv(&mut operator, "/v1/attendance", &file).json,
        expected,
        "a report may come again"
    );
    assert_eq!(clients[0].get("/v1/bookings/mine?period=2").json["booking"]["status"], "attended");

    let body =
        |number: u64| json!({ "attendance": [{ "booking_number": number, "attended_at": at }] });
    assert_eq!(operator.post("/v1/attendance", &body(numbers[1])).json, expected);
    let refused = operator.post("/v1/attendance", &body(99));
    assert_eq!(fields(&refused), ["/attendance/0/booking_number:unknown_booking"]);
    clients[2].waited("DELETE", "/v1/bookings/mine?period=2", "c", &json!({}));
    let refused = operator.post("/v1/attendance", &body(numbers[2]));
    assert_eq!(fields(&refused), ["/attendance/0/booking_number:booking_cancelled"]);
    let typed = operator.send("POST", "/v1/attendance", &[("content-type", "text/plain")], b"x");
    assert_eq!(typed.status, 415);
    let figures = operator.get("/v1/overview").json["total"].clone();
    assert_eq!((figures["attended"].as_u64(), figures["cancelled"].as_u64()), (Some(2), Some(1)));
}

#[test]
fn the_days_list_opens_names_and_phones_and_disarms_formulas() {
    let house = House::furnished(2, &[2, 1]);
    let date = date(2);
    for (serial, name, slot) in [(1, "王小明", 1), (2, "陳大文", 0)] {
        let mut client = house.logged_in(&Person::numbered(serial));
        let mut form = intent();
        form["name"] = json!(name);
        form["phone"] = json!(format!("091234567{serial}"));
        assert_eq!(client.waited("POST", "/v1/intents", "r", &form).status, 201);
        let wish = json!({ "period": 2, "slot": slot });
        assert_eq!(client.waited("POST", "/v1/bookings", "b", &wish).status, 201);
    }
    let mut operator = house.operator();
    let list = operator.get(&format!("/v1/sites/S1/roster?date={date}"));
    assert_eq!(list.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(list.header("cache-control"), Some("no-store"));
    let masked = |serial| {
        let id = Person::numbered(serial).id_number;
        format!("{}****{}", &id[..3], &id[7..])
    };
    let expected = format!(
        "\u{feff}booking_number,starts_at,ends_at,vaccine,status,id_number,name,phone\r\n\
         1,{date}T08:00:00+08:00,{date}T09:00:00+08:00,AZ,booked,{},陳大文,0912345672\r\n\
         0,{date}T09:00:00+08:00,{date}T10:00:00+08:00,AZ,booked,{},王小明,0912345671\r\n",
        masked(2),
        masked(1)
    );
    assert_eq!(list.body, expected);
    let empty = operator.get("/v1/sites/S1/roster?date=2021-07-13");
    assert_eq!((empty.status, empty.body.lines().count()), (200, 1));
    assert_eq!(operator.get(&format!("/v1/sites/S9/roster?date={date}")).status, 404);
    assert_eq!(fields(&operator.get("/v1/sites/S1/roster")), ["date:required"]);
    assert_eq!(fields(&operator.get("/v1/sites/S1/roster?date=tomorrow")), ["date:date"]);
}

#[test]
fn the_overview_counts_what_happened() {
    let house = House::furnished(2, &[3]);
    let mut client = house.registered(1);
    drop(house.registered(2));
    let wish = json!({ "period": 2, "slot": 0 });
    for (key, status) in [("k", 201), ("k", 201), ("l", 409), ("l", 409)] {
        let answer = client.waited("POST", "/v1/bookings", key, &wish);
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let overview = house.operator().get("/v1/overview").json;
    for (pointer, expected) in [
        ("/people", 2),
        ("/intents", 2),
        ("/sites", 1),
        ("/slots", 1),
        ("/places", 3),
        ("/places_left", 2),
        ("/roster_version", 1),
        ("/total/confirmed", 1),
        ("/total/standing", 1),
        ("/total/rejected", 1),
        ("/rejected/already_booked", 1),
        ("/rules_version", 1),
        ("/repeated", 2),
        ("/periods/0/number", 2),
        ("/periods/0/requests/confirmed", 1),
    ] {
        assert_eq!(
            overview.pointer(pointer).and_then(Value::as_u64),
            Some(expected),
            "{pointer}: {overview}"
        );
    }
    assert_eq!(overview["periods"][0]["state"], "open");
    assert!(overview["at"].as_str().unwrap().ends_with("+08:00"));
}

#[test]
fn confirmations_and_the_engines_clock_are_there_when_somebody_brings_them() {
    let house = House::empty(|_| {});
    let mut bare = house.operator();
    assert_eq!(bare.get("/v1/confirmations").status, 404);
    assert_eq!(bare.post("/v1/engine:accept-time", &json!({})).status, 404);

    let folder = tempfile::tempdir().unwrap();
    let mut config = house.config.clone();
    config.data_dir = folder.path().to_owned();
    let attachments = Attachments {
        confirmations: Some(Arc::new(|after, limit| match after {
            Some(id) if id.sequence.0 > 100 => Err(ConfirmationsError::UnknownId),
            Some(id) if id.sequence.0 == 100 => Err(ConfirmationsError::Unavailable("disk".into())),
            after => {
                let first = after.map_or(1, |id| id.sequence.0 + 1);
                let lines = (first..=3).map(|number| format!("{{\"id\":\"0-{number}-0\"}}"));
                Ok(lines.take(limit).collect())
            }
        })),
        accept_time: Some(Arc::new(|| true)),
        ..Attachments::default()
    };
    let other =
        gateway::serve(config, Arc::clone(&house.journal), Arc::clone(&house.vault), attachments);
    let other = other.unwrap();
    let token =
        house.vault.mint_operator_token("test", &[Role::Admin], u64::from(u32::MAX)).unwrap();
    let mut client = Client::to(other.operator).with_token(&token);
    let all = client.get("/v1/confirmations");
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(all.body, "{\"id\":\"0-1-0\"}\n{\"id\":\"0-2-0\"}\n{\"id\":\"0-3-0\"}\n");
    let some = client.get("/v1/confirmations?after=0-1-0&limit=1");
    assert_eq!(some.body, "{\"id\":\"0-2-0\"}\n");
    assert_eq!(client.get("/v1/confirmations?after=0-3-0").body, "");
    for (query, expected) in [
        ("after=x", "after:not_allowed"),
        ("after=0-101-0", "after:not_allowed"),
        ("limit=0", "limit:out_of_range"),
        ("limit=10001", "limit:out_of_range"),
        ("limit=1000000000", "limit:out_of_range"),
    ] {
        assert_eq!(fields(&client.get(&format!("/v1/confirmations?{query}"))), [expected]);
    }
    assert_eq!(client.get("/v1/confirmations?after=0-100-0").status, 503);
    assert_eq!(client.post("/v1/engine:accept-time", &json!({})).json, json!({ "accepted": true }));
}

/// Writes an import of the roster as a gateway does that dies right behind the commit.
fn import_and_die(house: &House, serial: u32, born_on: i32) {
    let person = Person::numbered(serial);
    let key = house.vault.person_key(&person.id_number);
    let row = Row {
        person: PersonKey(key),
        id: house.vault.lookup_hash(Lookup::Id, &person.id_number),
        former: None,
        card: Some(house.vault.lookup_hash(Lookup::Card, &person.card_number)),
        entry_permit: None,
        passport: None,
        born_on: house.vault.seal_birth(&key, born_on),
    };
    let mut rows = Vec::new();
    row.encode(&mut rows);
    let hash = *blake3::hash(&rows).as_bytes();
    for record in [
        Record::Begin { import: 1, base_version: 1 },
        Record::Chunk { import: 1, rows: &rows },
        Record::Commit { import: 1, rows: 1, hash },
    ] {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        house.journal.append(Stream::Roster, &[&bytes]).unwrap();
    }
}

#[test]
fn a_correction_left_owed_by_a_dead_gateway_is_told_by_the_next() {
    let mut house = House::furnished(1, &[1]);
    let mut elders = period(3_600);
    elders["born_on_or_before"] = json!("1985-12-31");
    assert_eq!(house.operator().put("/v1/periods/4", &elders).status, 201);
    let mut client = house.registered(1);
    assert_eq!(client.get("/v1/periods/4").json["eligible"], true);
    house.stop_gateway();
    // 1990-01-01
    import_and_die(&house, 1, 7_305);
    house.start_gateway();
    let mut client = house.logged_in(&Person::numbered(1));
    support::until("the engine was told", || client.get("/v1/periods/4").json["eligible"] == false);
}

#[test]
fn a_second_gateway_and_a_restarted_one_know_the_roster() {
    let mut house = House::furnished(2, &[1]);
    drop(house.registered(1));
    house.stop_gateway();
    house.start_gateway();
    let mut client = house.logged_in(&Person::numbered(1));
    assert_eq!(client.get("/v1/intents/mine").status, 200);
    drop(house.registered(2));
    let answer = csv(&mut house.operator(), "/v1/roster:import", &roster(1..=3));
    assert_eq!(answer.json["roster_version"], 2);
}
