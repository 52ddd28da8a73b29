//! What survives a restart of the gateway, what waits for the engine, and how a drain ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;

use serde_json::json;
use support::client::{Client, connect, read_answer};
use support::{House, slug, until};

#[test]
fn tokens_receipts_and_data_survive_a_restart_of_the_gateway() {
    let mut house = House::furnished(1, &[1]);
    let mut client = house.registered(1);
    let wish = json!({ "period": 2, "slot": 0 });
    let booked = client.waited("POST", "/v1/bookings", "k", &wish);
    let receipt = booked.json["receipt"].as_str().unwrap().to_owned();
    let intent = client.get("/v1/intents/mine").body;
    house.stop_gateway();
    house.config.public_address = house.public;
    house.start_gateway();
    assert_eq!(client.get("/v1/intents/mine").body, intent);
    assert_eq!(client.get(&format!("/v1/requests/{receipt}")).json["outcome"], "confirmed");
    let again = client.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!((again.status, again.body), (201, booked.body));
}

#[test]
fn without_an_engine_requests_are_still_taken_and_own_reads_say_so_in_time() {
    let mut house = House::furnished_with(1, &[1], |config| config.request.view_wait_ms_max = 200);
    let mut client = house.registered(1);
    house.stop_engine();
    let wish = json!({ "period": 2, "slot": 0 });
    let waited = client.json(
        "POST",
        "/v1/bookings",
        &[("idempotency-key", "k"), ("prefer", "wait=1")],
        &wish,
    );
    assert_eq!(waited.status, 202, "{waited:?}");
    let url = waited.json["status_url"].as_str().unwrap().to_owned();
    let processing = client.get(&url);
    assert_eq!(processing.json, json!({ "outcome": "processing", "ahead": null }));
    let own = client.get("/v1/bookings/mine?period=2");
    assert_eq!((own.status, slug(&own)), (503, "catching-up"));
    assert!(own.header("retry-after").is_some());
    // Answers for everyone go on.
    assert_eq!(house.client().get("/v1/home").status, 200);
    house.start_engine();
    assert_eq!(client.get(&format!("{url}?wait=25")).json["outcome"], "confirmed");
    assert_eq!(client.get("/v1/bookings/mine?period=2").status, 200);
}

#[test]
fn a_gateway_that_does_not_know_the_past_yet_shows_nothing_instead_of_half() {
    let mut house = House::furnished_with(1, &[1], |config| config.request.view_wait_ms_max = 200);
    let mut client = house.registered(1);
    house.stop_gateway();
    house.stop_engine();
    house.config.public_address = house.public;
    house.start_gateway();
    let mut monitor = Client::to(house.operator);
    assert_eq!(monitor.get("/livez").status, 200);
    let ready = monitor.get("/readyz");
    assert_eq!(ready.status, 503, "{ready:?}");
    for path in ["/v1/home", "/v1/periods", "/v1/periods/2/sites", "/v1/intents/mine"] {
        let answer = client.get(path);
        assert_eq!((answer.status, slug(&answer)), (503, "catching-up"), "{path}");
    }
    // A booking is taken all the same: the journal keeps it.
    let accepted = client.accepted("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
    assert_eq!(accepted.status, 202);
    house.start_engine();
    house.wait_until_ready();
    let url = accepted.json["status_url"].as_str().unwrap();
    assert_eq!(client.get(&format!("{url}?wait=25")).json["outcome"], "confirmed");
}

#[test]
fn a_drain_answers_what_is_under_way_and_closes_what_is_idle() {
    let mut house = House::furnished(1, &[1]);
    let client = house.registered(1);
    house.stop_engine();
    let mut idle = connect(house.public);
    idle.write_all(b"GET /v1/home HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut idle, false).unwrap().status, 200);
    let waiting = std::thread::spawn(move || {
        let mut client = client;
        client.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }))
    });
    let mut monitor = Client::to(house.operator);
    until("the request waits", || {
        let metrics = monitor.get("/metrics").body;
        let line = metrics
            .lines()
            .find(|line| line.starts_with("slotline_gateway_waiting "))
            .map(str::to_owned);
        line.as_deref() == Some("slotline_gateway_waiting 1")
    });
    house.gateway.as_ref().unwrap().drain();
    assert!(read_answer(&mut idle, false).is_none(), "the idle connection is closed");
    until("no connection is taken", || std::net::TcpStream::connect(house.public).is_err());
    assert_eq!(monitor.get("/readyz").status, 503);
    house.start_engine();
    let answer = waiting.join().unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn a_drain_has_a_deadline() {
    let mut house = House::furnished_with(1, &[1], |config| config.limits.drain_ms_max = 200);
    let client = house.registered(1);
    house.stop_engine();
    let mut stream = connect(house.public);
    stream.write_all(b"POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{").unwrap();
    drop(client);
    // Returns although the half request never ends.
    house.stop_gateway();
    assert!(read_answer(&mut stream, false).is_none());
}
