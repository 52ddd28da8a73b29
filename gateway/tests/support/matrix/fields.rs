//! Calls whose method, path, token, retry key, body or parameters are wrong.

#![allow(clippy::type_complexity)]

use serde_json::{Value, json};

use super::super::campaign::intent;
use super::super::client::{Client, slug};
use super::{Door, JSON, KEY, assert_problem, pointers};

pub fn any_call_with_a_broken_body_or_type_is_refused(door: &Door) {
    let mut client = door.registered(1);
    let deep = format!("{}1{}", "[".repeat(9), "]".repeat(9));
    let rows: Vec<(&str, &[(&str, &str)], &[u8], u16, &str)> = vec![
        ("no type", &[KEY], b"{}", 415, "unsupported-media-type"),
        (
            "another type",
            &[KEY, ("content-type", "text/plain")],
            b"{}",
            415,
            "unsupported-media-type",
        ),
        (
            "another charset",
            &[KEY, ("content-type", "application/json; charset=big5")],
            b"{}",
            415,
            "unsupported-media-type",
        ),
        (
            "packed",
            &[KEY, JSON, ("content-encoding", "gzip")],
            b"{}",
            415,
            "unsupported-media-type",
        ),
        ("no body", &[KEY, JSON], b"", 400, "malformed-json"),
        ("no JSON", &[KEY, JSON], b"period=2", 400, "malformed-json"),
        ("half JSON", &[KEY, JSON], b"{\"period\":2", 400, "malformed-json"),
        ("JSON and more", &[KEY, JSON], b"{\"period\":2,\"slot\":0} x", 400, "malformed-json"),
        ("a NUL", &[KEY, JSON], b"{\"period\":2,\"slot\":0}\0", 400, "malformed-json"),
        ("not UTF-8", &[KEY, JSON], b"{\"period\":2,\"slot\":0,\"\xff\":1}", 400, "malformed-json"),
        ("too deep", &[KEY, JSON], deep.as_bytes(), 400, "malformed-json"),
        ("a list", &[KEY, JSON], b"[]", 422, "invalid-fields"),
        ("a wrong type", &[KEY, JSON], b"{\"period\":\"2\",\"slot\":0}", 422, "invalid-fields"),
        ("a fraction", &[KEY, JSON], b"{\"period\":2,\"slot\":0.5}", 422, "invalid-fields"),
        ("a negative number", &[KEY, JSON], b"{\"period\":2,\"slot\":-1}", 422, "invalid-fields"),
        (
            "a huge number",
            &[KEY, JSON],
            b"{\"period\":2,\"slot\":99999999999999999999999}",
            422,
            "invalid-fields",
        ),
        (
            "an impossible number",
            &[KEY, JSON],
            b"{\"period\":2,\"slot\":1e999}",
            400,
            "malformed-json",
        ),
        (
            "a key twice",
            &[KEY, JSON],
            b"{\"period\":2,\"slot\":0,\"slot\":0}",
            422,
            "invalid-fields",
        ),
        (
            "an unknown key",
            &[KEY, JSON],
            b"{\"period\":2,\"slot\":0,\"CANARY\":1}",
            422,
            "invalid-fields",
        ),
        ("a missing key", &[KEY, JSON], b"{\"period\":2}", 422, "invalid-fields"),
    ];
    for (what, headers, body, status, expected) in rows {
        let answer = client.send("POST", "/v1/bookings", headers, body);
        if what == "an unknown key" {
            // The name of a field is not personal; it is how the client finds its mistake.
            assert_eq!((answer.status, slug(&answer)), (status, expected));
            assert_eq!(pointers(&answer), ["/CANARY unknown"]);
            continue;
        }
        assert_problem(what, &answer, status, expected);
    }
    // Nothing of it was taken.
    assert_eq!(client.get("/v1/bookings/mine?period=2").status, 404);
}

pub fn retry_keys_are_required_and_checked(door: &Door) {
    let mut client = door.registered(2);
    let wish = json!({ "period": 2, "slot": 0 });
    let long = "k".repeat(129);
    let rows: Vec<(&str, Vec<(&str, &str)>, &str)> = vec![
        ("no key", vec![], "idempotency-key-missing"),
        ("an empty key", vec![("idempotency-key", "")], "idempotency-key-malformed"),
        ("empty quotes", vec![("idempotency-key", "\"\"")], "idempotency-key-malformed"),
        ("a long key", vec![("idempotency-key", &long)], "idempotency-key-malformed"),
        ("two keys", vec![KEY, KEY], "idempotency-key-malformed"),
        ("a key with a blank", vec![("idempotency-key", "a b")], "idempotency-key-malformed"),
    ];
    for (what, headers, expected) in rows {
        assert_problem(what, &client.json("POST", "/v1/bookings", &headers, &wish), 400, expected);
    }
    // Elsewhere a key is made where none is sent.
    let cancel = client.send("DELETE", "/v1/bookings/mine?period=2", &[("prefer", "wait=20")], b"");
    assert_problem("nothing to cancel", &cancel, 409, "no-booking");
}

pub fn methods_and_paths_that_are_not_there_say_so(door: &Door) {
    let mut client = door.client();
    for (method, path, allow) in [
        ("GET", "/v1/bookings", "POST"),
        ("PATCH", "/v1/bookings/mine", "GET, HEAD, PUT, DELETE"),
        ("POST", "/v1/home", "GET, HEAD"),
        ("DELETE", "/v1/periods/2", "GET, HEAD"),
        ("OPTIONS", "/v1/intents", "POST"),
        ("TRACE", "/v1/home", "GET, HEAD"),
    ] {
        let answer = client.send(method, path, &[], b"");
        assert_problem(path, &answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{path}");
    }
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/captcha",
        "/v1/kiosk/requests",
        "/v1/periods/0",
        "/v1/periods/x",
        "/v1/periods/65536",
        "/v1/periods/2/x",
        "/v1/%62ookings",
        "/v1/home/",
        "/metrics",
        "/readyz",
        "/v1/overview",
    ] {
        assert_problem(path, &client.get(path), 404, "not-found");
    }
}

pub fn tokens_that_do_not_hold_are_refused_everywhere(door: &Door) {
    let expired = door.expired_token.as_str();
    let mut forged = expired.to_owned();
    let place = forged.len() - 3;
    let other = if forged.as_bytes()[place] == b'A' { "B" } else { "A" };
    forged.replace_range(place..=place, other);
    for (what, token, expected) in [
        ("none", None, "not-authenticated"),
        ("expired", Some(expired), "token-expired"),
        ("forged", Some(forged.as_str()), "not-authenticated"),
        ("an operator's", Some(door.operator_token.as_str()), "not-authenticated"),
        ("nonsense", Some("CANARY"), "not-authenticated"),
        ("long", Some("a".repeat(4_000).as_str()), "not-authenticated"),
    ] {
        let mut client = match token {
            Some(token) => door.client().with_token(token),
            None => door.client(),
        };
        for (method, path) in [
            ("POST", "/v1/bookings"),
            ("GET", "/v1/bookings/mine?period=2"),
            ("PUT", "/v1/bookings/mine?period=2"),
            ("DELETE", "/v1/bookings/mine?period=2"),
            ("POST", "/v1/intents"),
            ("GET", "/v1/intents/mine"),
            ("PUT", "/v1/intents/mine"),
            ("DELETE", "/v1/intents/mine"),
            ("GET", "/v1/requests/abc"),
        ] {
            let answer = client.json(method, path, &[KEY], &json!({ "period": 2, "slot": 0 }));
            assert_problem(&format!("{what} {method} {path}"), &answer, 401, expected);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    let basic =
        door.client().send("GET", "/v1/intents/mine", &[("authorization", "Basic YTpi")], b"");
    assert_problem("basic", &basic, 401, "not-authenticated");
}

pub fn a_registration_names_every_field_at_fault(door: &Door) {
    let mut client = door.logged_in(3);
    let with = |field: &str, value: Value| {
        let mut body = intent();
        body[field] = value;
        body
    };
    for (what, body, faults) in [
        (
            "nothing",
            json!({}),
            vec![
                "/county required",
                "/district required",
                "/language required",
                "/name required",
                "/phone required",
                "/vaccines required",
            ],
        ),
        ("an empty name", with("name", json!(" ")), vec!["/name required"]),
        ("a long name", with("name", json!("王".repeat(65))), vec!["/name too_long"]),
        ("a name with a NUL", with("name", json!("王\u{0}")), vec!["/name control_character"]),
        ("a landline", with("phone", json!("0223456789")), vec!["/phone phone"]),
        ("a short mobile", with("phone", json!("091234567")), vec!["/phone phone"]),
        ("a number", with("phone", json!(912_345_678)), vec!["/phone wrong_type"]),
        ("no county", with("county", json!("1")), vec!["/county unknown_county"]),
        (
            "a district elsewhere",
            with("district", json!("09007010")),
            vec!["/district district_elsewhere"],
        ),
        ("no vaccine", with("vaccines", json!([])), vec!["/vaccines empty_list"]),
        (
            "an unknown vaccine",
            with("vaccines", json!(["AZ", "CANARY"])),
            vec!["/vaccines/1 unknown_vaccine"],
        ),
        ("a vaccine twice", with("vaccines", json!(["AZ", "AZ"])), vec!["/vaccines/1 repeated"]),
        ("another language", with("language", json!("fr")), vec!["/language not_allowed"]),
        ("a field too many", with("extra", json!(1)), vec!["/extra unknown"]),
    ] {
        let answer = client.waited("POST", "/v1/intents", "k", &body);
        assert_problem(what, &answer, 422, "invalid-fields");
        assert_eq!(pointers(&answer), faults, "{what}");
    }
    assert_eq!(client.get("/v1/intents/mine").status, 404);
}

pub fn an_identity_check_names_every_field_at_fault_and_repeats_no_number(door: &Door) {
    let mut client = door.client();
    for (what, body, faults) in [
        ("nothing", json!({}), vec![" one_document", "/id_number required", "/method required"]),
        (
            "a wrong check digit",
            json!({"method":"document","id_number":"A123456780","card_number":"000000000001"}),
            vec!["/id_number id_check_digit"],
        ),
        (
            "no ID number",
            json!({"method":"document","id_number":"CANARY","card_number":"000000000001"}),
            vec!["/id_number id_number"],
        ),
        (
            "a short card",
            json!({"method":"document","id_number":"A123456789","card_number":"1"}),
            vec!["/card_number card_number"],
        ),
        (
            "no document",
            json!({"method":"document","id_number":"A123456789"}),
            vec![" one_document"],
        ),
        (
            "two documents",
            json!({"method":"document","id_number":"A123456789","card_number":"000000000001","passport_number":"P1234567"}),
            vec![" one_document"],
        ),
    ] {
        let answer = client.post("/v1/identity", &body);
        assert_problem(what, &answer, 422, "invalid-fields");
        assert_eq!(pointers(&answer), faults, "{what}");
    }
    for method in ["app_otp", "card_password", "kiosk", "CANARY"] {
        let answer = client.post("/v1/identity", &json!({ "method": method, "anything": 1 }));
        assert_problem(method, &answer, 422, "identity-method-unsupported");
    }
}

pub fn queries_are_checked(door: &Door) {
    let mut client = door.registered(4);
    let accepted = client.accepted("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
    let url = accepted.json["status_url"].as_str().unwrap().to_owned();
    let rows = [
        (format!("{url}?wait=26"), 422),
        (format!("{url}?wait=x"), 422),
        (format!("{url}?wait=1&wait=1"), 422),
        ("/v1/bookings/mine".to_owned(), 422),
        ("/v1/bookings/mine?period=x".to_owned(), 404),
        ("/v1/periods/2/slots?site=S1&date=2021-02-30".to_owned(), 422),
        ("/v1/periods/2/slots?site=S1&date=tomorrow".to_owned(), 422),
        ("/v1/periods/2/sites?district=x".to_owned(), 422),
    ];
    for (path, status) in rows {
        assert_eq!(client.get(&path).status, status, "{path}");
    }
}

pub fn problems_speak_the_callers_language(door: &Door) {
    let mut client = door.client();
    let mut titles = Vec::new();
    for (asked, given) in [("", "zh-TW"), ("en-GB", "en"), ("ja", "ja"), ("id;q=0.9, fr", "id")] {
        let answer = client.send("GET", "/v1/nothing", &[("accept-language", asked)], b"");
        assert_eq!(answer.header("content-language"), Some(given));
        titles.push(answer.json["title"].as_str().unwrap().to_owned());
    }
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), 4);
}

pub fn a_refusal_that_was_decided_is_a_409_with_its_reason(door: &Door) {
    let mut stranger = door.logged_in(6);
    let mut client = door.registered(5);
    let book = |client: &mut Client, key: &str, period: u16, slot: u32| {
        client.waited("POST", "/v1/bookings", key, &json!({ "period": period, "slot": slot }))
    };
    for (what, answer, expected) in [
        ("not registered", book(&mut stranger, "a", 2, 0), "not-registered"),
        ("no such period", book(&mut client, "b", 77, 0), "unknown-period"),
        ("no such slot", book(&mut client, "c", 2, 4_000_000), "unknown-slot"),
    ] {
        assert_problem(what, &answer, 409, expected);
        assert_eq!(answer.json["decided"], true, "{what}");
        assert!(answer.json["receipt"].is_string(), "{what}");
    }
}
