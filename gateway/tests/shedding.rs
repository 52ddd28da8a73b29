//! Refusing work without writing it, and never against what was decided or is on its way.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{House, slug, until};

#[test]
fn before_any_window_opens_bookings_are_turned_away_with_the_time_to_come_back() {
    let house = House::furnished(1, &[1]);
    let mut client = house.registered(1);
    house.put_period(2, 1_000, 2_000);
    let wish = json!({ "period": 2, "slot": 0 });
    let before = commands(&house);
    let answer = client.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!((answer.status, slug(&answer)), (425, "window-not-open-yet"), "{answer:?}");
    assert_eq!(answer.json["decided"], false);
    assert!(answer.json.get("receipt").is_none());
    let retry_after_s: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((900..=1_001).contains(&retry_after_s), "{retry_after_s}");
    assert_eq!(commands(&house), before, "nothing is written");
}

#[test]
fn after_the_last_window_bookings_are_turned_away_but_earlier_answers_still_hold() {
    let house = House::furnished(2, &[5]);
    let (mut one, mut two) = (house.registered(1), house.registered(2));
    let wish = json!({ "period": 2, "slot": 0 });
    let booked = one.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!(booked.status, 201);
    house.put_period(2, -7_200, -3_600);
    let closed = two.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!((closed.status, slug(&closed)), (409, "window-closed"));
    assert_eq!(closed.json["decided"], false);
    // The same key as before the window closed: the same answer.
    let again = one.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!((again.status, again.body.as_str()), (201, booked.body.as_str()));
    // Another key of somebody with a booking: the writer says what is first.
    let other = one.waited("POST", "/v1/bookings", "k2", &wish);
    assert_eq!((other.status, &other.json["decided"]), (409, &json!(true)));
}

#[test]
fn within_the_clock_skew_of_a_window_the_writer_decides() {
    let house =
        House::furnished_with(1, &[5], |config| config.request.clock_skew_ms_max = 3_600_000);
    let mut client = house.registered(1);
    house.put_period(2, 1_000, 2_000);
    let answer = client.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
    assert_eq!((answer.status, slug(&answer)), (409, "window-not-open"));
    assert_eq!(answer.json["decided"], true);
}

#[test]
fn a_full_slot_is_shed_from_live_counts_and_its_holder_keeps_the_answer() {
    let house = House::furnished(3, &[1]);
    let (mut one, mut two) = (house.registered(1), house.registered(2));
    let wish = json!({ "period": 2, "slot": 0 });
    let booked = one.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!(booked.status, 201);
    let before = commands(&house);
    let full = two.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!(
        (full.status, slug(&full), &full.json["decided"]),
        (409, "slot-full", &json!(false))
    );
    assert!(full.json.get("receipt").is_none());
    assert_eq!(commands(&house), before, "nothing is written");
    let again = one.another().waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!((again.status, again.body.as_str()), (201, booked.body.as_str()));
    let reused =
        one.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0, "x": 1 }));
    assert_eq!(reused.status, 422);
}

#[test]
fn a_request_on_its_way_is_never_contradicted_by_a_shed_reply() {
    let mut house = House::furnished_with(2, &[5], |config| config.request.clock_skew_ms_max = 0);
    let (mut one, mut two) = (house.registered(1), house.registered(2));
    let wish = json!({ "period": 2, "slot": 0 });
    // The window is about to close while the writer pauses: what is admitted stays on its way.
    let mut attempt = 0;
    let first = loop {
        attempt += 1;
        house.put_period(2, -3_600, 4);
        house.stop_engine();
        let first = one.accepted("POST", "/v1/bookings", &format!("k{attempt}"), &wish);
        if first.status == 202 {
            break first;
        }
        // A machine so slow that the window closed first: once more.
        house.start_engine();
    };
    let state = |house: &House| house.client().get("/v1/periods/2").json["state"].clone();
    until("the window has closed", || state(&house) == "closed");
    let key = format!("k{attempt}");
    for _ in 0..3 {
        let again = one.another().accepted("POST", "/v1/bookings", &key, &wish);
        assert_eq!((again.status, again.body.as_str()), (202, first.body.as_str()));
    }
    // Somebody else, whose key is nowhere, is turned away.
    let other = two.accepted("POST", "/v1/bookings", "k", &wish);
    assert_eq!((other.status, slug(&other)), (409, "window-closed"), "{other:?}");
    assert_eq!(other.json["decided"], false);
    house.start_engine();
    // The journal took the first request before the window closed, and so it is decided.
    let url = first.json["status_url"].as_str().unwrap();
    let outcome = one.get(&format!("{url}?wait=25"));
    assert_eq!(outcome.json["outcome"], "confirmed", "{outcome:?}");
}

#[test]
fn a_persons_rate_is_bounded_and_says_when_to_come_back() {
    let house =
        House::furnished_with(1, &[1], |config| config.limits.person_commands_per_minute_max = 3);
    let mut client = house.logged_in(&support::Person::numbered(1));
    for number in 0..3 {
        let answer = client.waited("DELETE", "/v1/intents/mine", &format!("k{number}"), &json!({}));
        assert_eq!(answer.status, 409, "{answer:?}");
    }
    let answer = client.waited("DELETE", "/v1/intents/mine", "k9", &json!({}));
    assert_eq!((answer.status, slug(&answer)), (429, "too-many-requests"));
    assert!(answer.header("retry-after").is_some() && answer.header("ratelimit").is_some());
}

#[test]
fn an_address_rate_is_bounded() {
    let house =
        House::furnished_with(0, &[], |config| config.limits.address_requests_per_second_max = 5);
    let mut client = house.client();
    until("the rate is passed", || client.get("/v1/regions").status == 429);
}

/// Commands that this gateway has written, from its own metrics.
fn commands(house: &House) -> u64 {
    let mut monitor = support::client::Client::to(house.operator);
    let count = |body: &str| {
        let line =
            body.lines().find(|line| line.starts_with("slotline_gateway_commands_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    count(&monitor.get("/metrics").body)
}
