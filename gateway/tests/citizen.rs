//! What a citizen does, from the identity check to the cancelled booking, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::json;
use support::{COUNTY, DISTRICT, House, Person, date, document, intent, slug};

#[test]
fn a_person_registers_books_moves_and_cancels() {
    let house = House::furnished(1, &[5, 5]);
    let person = Person::numbered(1);
    let answer = house.client().post("/v1/identity", &document(&person));
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json["has_intent"], false);
    let masked = format!("{}****{}", &person.id_number[..3], &person.id_number[7..]);
    assert_eq!(answer.json["person"]["id_number"], masked);
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let mut client = house.client().with_token(answer.json["token"].as_str().unwrap());
    assert_eq!(client.get("/v1/intents/mine").status, 404);
    let registered = client.waited("POST", "/v1/intents", "k1", &intent());
    assert_eq!(registered.status, 201, "{registered:?}");
    let shown = &registered.json["intent"];
    assert_eq!(shown["serial_number"], 1);
    assert_eq!(shown["id_number"], masked);
    assert_eq!(shown["name"], "王小明");
    assert_eq!(
        (shown["county"].as_str(), shown["district"].as_str()),
        (Some(COUNTY), Some(DISTRICT))
    );
    assert_eq!(shown["vaccines"], json!(["AZ", "Moderna"]));
    assert!(shown["completed_at"].as_str().unwrap().ends_with("+08:00"));
    let mine = client.get("/v1/intents/mine");
    assert_eq!((mine.status, &mine.json["intent"]), (200, shown));

    let booked = client.waited("POST", "/v1/bookings", "k2", &json!({ "period": 2, "slot": 0 }));
    assert_eq!(booked.status, 201, "{booked:?}");
    let booking = &booked.json["booking"];
    assert_eq!((&booking["period"], &booking["slot"]), (&json!(2), &json!(0)));
    assert_eq!(booking["site"], json!({ "id": "S1", "name": "測試醫院", "address": "測試路1號" }));
    assert_eq!(booking["starts_at"], format!("{}T08:00:00+08:00", date(2)));
    assert_eq!(booking["ends_at"], format!("{}T09:00:00+08:00", date(2)));
    assert_eq!(booking["vaccine"], "AZ");

    let moved = client.waited("PUT", "/v1/bookings/mine?period=2", "k3", &json!({ "slot": 1 }));
    assert_eq!(moved.status, 200, "{moved:?}");
    assert_eq!(moved.json["booking"]["number"], booking["number"]);
    assert_eq!(moved.json["booking"]["slot"], 1);
    let mine = client.get("/v1/bookings/mine?period=2");
    assert_eq!(mine.json["booking"]["slot"], 1);
    assert_eq!(mine.json["booking"]["status"], "booked");

    let held = client.waited("DELETE", "/v1/intents/mine", "k4", &json!({}));
    assert_eq!((held.status, slug(&held)), (409, "has-booking"));
    let cancelled = client.waited("DELETE", "/v1/bookings/mine?period=2", "k5", &json!({}));
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    assert_eq!(cancelled.json["outcome"], "confirmed");
    assert_eq!(client.get("/v1/bookings/mine?period=2").status, 404);
    let withdrawn = client.waited("DELETE", "/v1/intents/mine", "k6", &json!({}));
    assert_eq!(withdrawn.status, 200, "{withdrawn:?}");
    assert_eq!(client.get("/v1/intents/mine").status, 404);
}

#[test]
fn a_request_that_does_not_wait_gets_a_receipt_and_its_outcome_later() {
    let house = House::furnished(1, &[1]);
    let mut client = house.registered(1);
    let wish = json!({ "period": 2, "slot": 0 });
    let accepted = client.accepted("POST", "/v1/bookings", "a", &wish);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    assert_eq!(accepted.json["outcome"], "processing");
    let receipt = accepted.json["receipt"].as_str().unwrap();
    let url = accepted.json["status_url"].as_str().unwrap();
    assert_eq!(url, format!("/v1/requests/{receipt}"));
    let outcome = client.get(&format!("{url}?wait=20"));
    assert_eq!(outcome.status, 200);
    assert_eq!(outcome.json["outcome"], "confirmed", "{outcome:?}");
    assert_eq!(outcome.json["booking"]["slot"], 0);
    // The same, asked again without waiting, and asked for by sending the request again.
    assert_eq!(client.get(url).body, outcome.body);
    let again = client.accepted("POST", "/v1/bookings", "a", &wish);
    assert_eq!((again.status, again.body), (202, accepted.body));
}

#[test]
fn a_repetition_gets_the_same_status_and_body_whatever_happened_since() {
    let house = House::furnished(2, &[1, 1]);
    let mut client = house.registered(1);
    let wish = json!({ "period": 2, "slot": 0 });
    let first = client.waited("POST", "/v1/bookings", "\"key\"", &wish);
    assert_eq!(first.status, 201, "{first:?}");
    let moved = client.waited("PUT", "/v1/bookings/mine?period=2", "m", &json!({ "slot": 1 }));
    assert_eq!(moved.status, 200);
    for _ in 0..3 {
        // Another connection may land on another core; the key is the same without its quotes.
        let again = client.another().waited("POST", "/v1/bookings", "key", &wish);
        assert_eq!((again.status, again.body.as_str()), (201, first.body.as_str()));
    }
    let refused = client.waited("POST", "/v1/bookings", "key2", &wish);
    assert_eq!((refused.status, slug(&refused)), (409, "already-booked"));
    assert_eq!(refused.json["decided"], true);
    assert_eq!(refused.json["reason"], "already_booked");
    let again = client.waited("POST", "/v1/bookings", "key2", &wish);
    assert_eq!((again.status, again.body.as_str()), (409, refused.body.as_str()));
    let receipt = refused.json["receipt"].as_str().unwrap();
    let told = client.get(&format!("/v1/requests/{receipt}"));
    assert_eq!(told.json, json!({ "outcome": "rejected", "reason": "already_booked" }));
}

#[test]
fn a_key_used_for_something_else_is_refused_and_changes_nothing() {
    let house = House::furnished(1, &[5, 5]);
    let mut client = house.registered(1);
    let first = client.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
    assert_eq!(first.status, 201);
    let other = json!({ "period": 2, "slot": 1 });
    let waited = client.waited("POST", "/v1/bookings", "k", &other);
    assert_eq!((waited.status, slug(&waited)), (422, "idempotency-key-reused"));
    let accepted = client.accepted("POST", "/v1/bookings", "k", &other);
    assert_eq!((accepted.status, slug(&accepted)), (422, "idempotency-key-reused"));
    let cancel = client.waited("DELETE", "/v1/bookings/mine?period=2", "k", &json!({}));
    assert_eq!((cancel.status, slug(&cancel)), (422, "idempotency-key-reused"));
    assert_eq!(client.get("/v1/bookings/mine?period=2").json["booking"]["slot"], 0);
}

#[test]
fn a_receipt_is_read_by_its_owner_alone() {
    let house = House::furnished(2, &[5]);
    let (mut owner, mut stranger) = (house.registered(1), house.registered(2));
    let wish = json!({ "period": 2, "slot": 0 });
    let accepted = owner.accepted("POST", "/v1/bookings", "k", &wish);
    let url = accepted.json["status_url"].as_str().unwrap().to_owned();
    assert_eq!(owner.get(&url).status, 200);
    let theirs = stranger.get(&url);
    let random =
        stranger.get("/v1/requests/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!((theirs.status, slug(&theirs)), (404, "not-found"));
    assert_eq!((random.status, slug(&random)), (404, "not-found"));
    assert_eq!(house.client().get(&url).status, 401);
    // One byte changed is nobody's receipt.
    let mut bytes = url.into_bytes();
    let last = bytes.last_mut().unwrap();
    *last = if *last == b'A' { b'B' } else { b'A' };
    assert_eq!(owner.get(&String::from_utf8(bytes).unwrap()).status, 404);
}

#[test]
fn a_second_registration_shows_the_first() {
    let house = House::furnished(1, &[]);
    let mut client = house.registered(1);
    let mut other = intent();
    other["name"] = "李大華".into();
    let second = client.waited("POST", "/v1/intents", "another", &other);
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.json["intent"]["name"], "王小明");
    let changed = client.waited("PUT", "/v1/intents/mine", "change", &other);
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json["intent"]["name"], "李大華");
    assert_eq!(changed.json["intent"]["serial_number"], 1);
    assert_eq!(client.get("/v1/intents/mine").json["intent"], changed.json["intent"]);
}

#[test]
fn strangers_and_wrong_documents_get_the_same_answer_and_five_failures_lock_the_id() {
    let house = House::furnished(1, &[]);
    let known = Person::numbered(1);
    let wrong = Person { card_number: "999999999999".to_owned(), ..known.clone() };
    let stranger = Person::numbered(4_242);
    let mut client = house.client();
    let (a, b) = (
        client.post("/v1/identity", &document(&wrong)),
        client.post("/v1/identity", &document(&stranger)),
    );
    for answer in [&a, &b] {
        assert_eq!((answer.status, slug(answer)), (401, "identity-not-confirmed"));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let without_id = |json: &serde_json::Value| {
        let mut json = json.clone();
        json["request_id"] = "".into();
        json
    };
    assert_eq!(without_id(&a.json), without_id(&b.json));
    for person in [&wrong, &stranger] {
        for _ in 0..4 {
            assert_eq!(client.post("/v1/identity", &document(person)).status, 401);
        }
        let locked = client.post("/v1/identity", &document(person));
        assert_eq!((locked.status, slug(&locked)), (429, "too-many-failures"));
        assert!(locked.header("retry-after").unwrap().parse::<u32>().unwrap() <= 900);
    }
    // The right card does not help while the ID is locked.
    assert_eq!(client.post("/v1/identity", &document(&known)).status, 429);
}

#[test]
fn what_a_person_typed_is_normalised_once() {
    let house = House::furnished(1, &[]);
    let person = Person::numbered(1);
    let wide: String = person
        .id_number
        .to_lowercase()
        .chars()
        .map(|c| match c {
            '0'..='9' => char::from_u32(c as u32 + 0xfee0).unwrap(),
            other => other,
        })
        .collect();
    let card = format!(
        "{}-{} {}",
        &person.card_number[..4],
        &person.card_number[4..8],
        &person.card_number[8..]
    );
    let body = json!({ "method": "document", "id_number": wide, "card_number": card });
    let answer = house.client().post("/v1/identity", &body);
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[test]
fn everyone_sees_what_is_announced_and_what_is_free() {
    let house = House::furnished(1, &[3, 2]);
    let mut client = house.client();
    let home = client.get("/v1/home");
    assert_eq!(home.json["categories"][0]["number"], 9);
    assert_eq!(home.json["periods"][0]["state"], "open");
    assert_eq!(home.json["periods"][0]["identity_methods"], json!(["document"]));
    let etag = home.header("etag").unwrap().to_owned();
    let same = client.send("GET", "/v1/home", &[("if-none-match", &etag)], b"");
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    let regions = client.get("/v1/regions");
    assert_eq!(regions.json["counties"].as_array().unwrap().len(), 22);
    let period = client.get("/v1/periods/2");
    assert_eq!((period.status, &period.json["number"]), (200, &json!(2)));
    assert_eq!(client.get("/v1/periods").json["periods"].as_array().unwrap().len(), 1);
    assert_eq!(client.get("/v1/periods/3").status, 404);
    let sites = client.get(&format!("/v1/periods/2/sites?county={COUNTY}&district={DISTRICT}"));
    assert_eq!(sites.json["sites"][0]["id"], "S1");
    assert_eq!(sites.json["sites"][0]["places_left"], 5);
    let english = client.send("GET", "/v1/periods/2/sites", &[("accept-language", "en")], b"");
    assert_eq!(english.json["sites"][0]["name"], "Test Hospital");
    let slots = client.get(&format!("/v1/periods/2/slots?site=S1&date={}", date(2)));
    assert_eq!(slots.json["slots"].as_array().unwrap().len(), 2);
    assert_eq!(slots.json["slots"][1]["capacity"], 2);
    assert_eq!(slots.json["slots"][1]["starts_at"], format!("{}T09:00:00+08:00", date(2)));
    assert!(slots.header("cache-control").unwrap().contains("max-age=1"));
    let none = client.get(&format!("/v1/periods/2/slots?site=S1&date={}", date(3)));
    assert_eq!(none.json["slots"], json!([]));
    assert_eq!(client.get("/v1/periods/2/slots?site=nowhere").status, 404);
    assert_eq!(client.get("/v1/periods/2/slots").status, 422);
    assert_eq!(client.get("/v1/periods/2/sites?county=1").status, 422);
    let head = client.send("HEAD", "/v1/home", &[], b"");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn free_places_are_at_most_a_second_old_and_a_freed_place_is_bookable_at_once() {
    let house = House::furnished(2, &[1]);
    let (mut one, mut two) = (house.registered(1), house.registered(2));
    let wish = json!({ "period": 2, "slot": 0 });
    let left = |client: &mut support::client::Client| {
        client.get("/v1/periods/2/slots?site=S1").json["slots"][0]["places_left"].clone()
    };
    let mut client = house.client();
    assert_eq!(left(&mut client), 1);
    assert_eq!(one.waited("POST", "/v1/bookings", "k", &wish).status, 201);
    support::until("the place is gone", || left(&mut client) == 0);
    let full = two.waited("POST", "/v1/bookings", "k", &wish);
    assert_eq!((full.status, slug(&full)), (409, "slot-full"));
    assert_eq!(one.waited("DELETE", "/v1/bookings/mine?period=2", "c", &json!({})).status, 200);
    let now = two.waited("POST", "/v1/bookings", "k2", &wish);
    assert_eq!(now.status, 201, "{now:?}");
}

#[test]
fn a_period_says_whether_and_from_when_its_caller_may_book() {
    let house = House::furnished(2, &[1]);
    house.put_period(3, 3_600, 7_200);
    let mut stranger = house.logged_in(&Person::numbered(2));
    let answer = stranger.get("/v1/periods/2");
    assert_eq!(answer.json["eligible"], false);
    assert_eq!(answer.json["reason"], "not_registered");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut client = house.registered(1);
    let open = client.get("/v1/periods/2");
    assert_eq!((&open.json["eligible"], &open.json["reason"]), (&json!(true), &json!(null)));
    let coming = client.get("/v1/periods/3");
    assert_eq!(
        (&coming.json["eligible"], &coming.json["reason"]),
        (&json!(true), &json!("window_not_open"))
    );
    assert_eq!(coming.json["may_book_from"], coming.json["opens_at"]);
    assert_eq!(client.get("/v1/periods").json["periods"].as_array().unwrap().len(), 2);
    let bad = house.client().with_token("slt_nonsense").get("/v1/periods/2");
    assert_eq!(bad.status, 401);
}
