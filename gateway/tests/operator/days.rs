//! A day at a site, the overview, and what other parts of the process bring.

use std::sync::Arc;

use gateway::{Attachments, ConfirmationsError};
use serde_json::{Value, json};
use vault::Role;

use crate::support;
use crate::support::client::Client;
use crate::support::{House, Person, date, intent};
use crate::{SLOTS_HEADER, csv, fields, rows};

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
