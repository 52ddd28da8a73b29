//! Who may call what, and what is published.

use serde_json::json;
use vault::Role;

use crate::support::client::Client;
use crate::support::{House, Person, date, document, instant, slug};
use crate::{fields, period};

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
    // Nor may one whose value was forgotten, or that stands behind too many others.
    for query in ["dry_run", "dry_run="] {
        let answer = operator.put(&format!("/v1/periods/3?{query}"), &period(60));
        assert_eq!(fields(&answer), ["dry_run:required"], "{query}");
    }
    let query = "dry_run=false&".repeat(32) + "dry_run=true";
    let answer = operator.put(&format!("/v1/periods/3?{query}"), &period(60));
    assert_eq!(fields(&answer), ["query:too_many_entries"]);
    let query = "&".repeat(32) + "dry_run=true";
    let answer = operator.put(&format!("/v1/periods/3?{query}"), &period(60));
    assert_eq!((answer.status, &answer.json["dry_run"]), (200, &json!(true)));
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
