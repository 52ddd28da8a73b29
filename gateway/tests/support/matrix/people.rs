//! Calls that are well-formed and not theirs, not now, or not again.

use serde_json::json;

use super::super::campaign::{Person, document};
use super::super::client::slug;
use super::{Door, assert_problem};

/// The slot with one place.
const SMALL_SLOT: u32 = 2;
const MINE: &str = "/v1/bookings/mine?period=2";

pub fn a_key_used_for_something_else_is_refused(door: &Door) {
    let mut client = door.registered(7);
    let first = client.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
    assert_eq!(first.status, 201, "{first:?}");
    let other = json!({ "period": 2, "slot": 1 });
    for (what, answer) in [
        ("waited for", client.waited("POST", "/v1/bookings", "k", &other)),
        ("accepted", client.accepted("POST", "/v1/bookings", "k", &other)),
        ("another call", client.waited("DELETE", MINE, "k", &json!({}))),
    ] {
        assert_problem(what, &answer, 422, "idempotency-key-reused");
    }
    assert_eq!(client.get(MINE).json["booking"]["slot"], 0);
}

pub fn a_second_booking_and_a_full_slot_are_refused(door: &Door) {
    let (mut one, mut two) = (door.registered(8), door.registered(9));
    let wish = json!({ "period": 2, "slot": SMALL_SLOT });
    let booked = one.waited("POST", "/v1/bookings", "a", &wish);
    assert_eq!(booked.status, 201, "{booked:?}");
    let second = one.waited("POST", "/v1/bookings", "b", &json!({ "period": 2, "slot": 0 }));
    assert_problem("a second booking", &second, 409, "already-booked");
    let full = two.waited("POST", "/v1/bookings", "c", &wish);
    assert_problem("a full slot", &full, 409, "slot-full");
    let moved = two.waited("PUT", MINE, "d", &json!({ "slot": 0 }));
    assert_problem("nothing to move", &moved, 409, "no-booking");
    // A retry gets the first answer.
    let again = one.waited("POST", "/v1/bookings", "a", &wish);
    assert_eq!((again.status, again.body), (201, booked.body));
}

pub fn a_receipt_is_read_by_its_owner_alone(door: &Door) {
    let (mut owner, mut stranger) = (door.registered(10), door.registered(11));
    let wish = json!({ "period": 2, "slot": 0 });
    let accepted = owner.accepted("POST", "/v1/bookings", "k", &wish);
    let url = accepted.json["status_url"].as_str().unwrap().to_owned();
    assert!(matches!(owner.get(&url).status, 200 | 202));
    let mut changed = url.clone();
    let last = if changed.pop() == Some('A') { 'B' } else { 'A' };
    changed.push(last);
    let random = "/v1/requests/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (what, answer) in [
        ("another person's", stranger.get(&url)),
        ("nobody's", stranger.get(random)),
        ("a changed one", owner.get(&changed)),
        ("a short one", owner.get("/v1/requests/AAAA")),
    ] {
        assert_problem(what, &answer, 404, "not-found");
    }
    assert_problem("without a token", &door.client().get(&url), 401, "not-authenticated");
}

pub fn cancelling_twice_gives_one_answer(door: &Door) {
    let mut client = door.registered(12);
    let booked = client.waited("POST", "/v1/bookings", "a", &json!({ "period": 2, "slot": 1 }));
    assert_eq!(booked.status, 201, "{booked:?}");
    let first = client.waited("DELETE", MINE, "b", &json!({}));
    assert_eq!(first.status, 200, "{first:?}");
    let again = client.waited("DELETE", MINE, "b", &json!({}));
    assert_eq!((again.status, again.body), (200, first.body));
    assert_problem("another", &client.waited("DELETE", MINE, "c", &json!({})), 409, "no-booking");
}

pub fn strangers_and_wrong_documents_get_the_same_answer(door: &Door) {
    let known = Person::numbered(13);
    let unknown = Person::numbered(9_000_001);
    let wrong = Person { card_number: "999999999999".to_owned(), ..known };
    let answers = [&unknown, &wrong].map(|who| door.client().post("/v1/identity", &document(who)));
    for answer in &answers {
        assert_problem("not confirmed", answer, 401, "identity-not-confirmed");
    }
    let told = |place: usize| {
        let mut told = answers[place].json.clone();
        told["request_id"] = json!(null);
        told
    };
    assert_eq!(told(0), told(1));
    assert_eq!(slug(&answers[0]), slug(&answers[1]));
}
