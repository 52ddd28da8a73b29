//! Sites and slots, and what holds for any file.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::{COUNTY, DISTRICT, House, Person, date, document, roster, slug};
use crate::{ROSTER_HEADER, SITES_HEADER, SLOTS_HEADER, csv, fields, rows};

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
