//! Every answer, as it comes over a socket, is what the served document says it is.
//!
//! Stricter than JSON Schema: a field that the document does not name is an error.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::client::{Answer, Client};
use support::{House, Person, date, document, instant, intent, roster};

/// The document, and which answers were compared with it.
struct Contract {
    document: Value,
    seen: RefCell<BTreeSet<String>>,
}

impl Contract {
    fn of(house: &House) -> Contract {
        let document = house.client().get("/openapi.json").json;
        assert_eq!(document["openapi"], "3.1.0");
        Contract { document, seen: RefCell::default() }
    }

    /// Compares an answer with what the document says of this call and status.
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let at = format!("{method} {path} {}", answer.status);
        let operation = &self.document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{at} is not documented");
        let named = &operation["responses"][answer.status.to_string()];
        let response = if named.is_null() { &operation["responses"]["default"] } else { named };
        assert!(named.is_object() || answer.status >= 400, "{at} is not documented");
        let content = response["content"].as_object();
        self.seen.borrow_mut().insert(at.clone());
        let Some(content) = content else {
            assert!(answer.body.is_empty(), "{at}");
            return;
        };
        let (kind, media) = content.iter().next().unwrap();
        let sent = answer.header("content-type").unwrap_or_default();
        assert_eq!(sent.split(';').next().unwrap(), kind, "{at}");
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            // An answer made for one caller has no name that caches could use.
            let is_personal = operation["security"].as_array().unwrap().len() > 1;
            let needed = name != "Retry-After" && !(name == "ETag" && is_personal);
            assert!(!needed || answer.header(&name.to_lowercase()).is_some(), "{at} lacks {name}");
        }
        if kind.ends_with("json") {
            let faults = self.faults(&media["schema"], &answer.json, "");
            assert!(faults.is_empty(), "{at}: {faults:?}\n{}", answer.body);
        }
        if kind == "application/problem+json" {
            let slug = support::slug(answer);
            let told = response["description"].as_str().unwrap();
            assert!(
                named.is_null() || told.contains(&format!("`{slug}`")),
                "{at}: {slug} is not in {told}"
            );
        }
    }

    /// Where a value is not what the schema says.
    fn faults(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
            return self.faults(target, value, at);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(parts) = schema[keyword].as_array() {
                let tried: Vec<_> = parts.iter().map(|part| self.faults(part, value, at)).collect();
                return match tried.iter().any(Vec::is_empty) {
                    true => Vec::new(),
                    false => tried.concat(),
                };
            }
        }
        let mut faults = Vec::new();
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
            _ => Vec::new(),
        };
        let is = |kind: &&str| match *kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            _ => value.is_object(),
        };
        if !kinds.is_empty() && !kinds.iter().any(is) {
            faults.push(format!("{at} is not {kinds:?}"));
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            faults.push(format!("{at} is none of {allowed:?}"));
        }
        for (place, item) in value.as_array().into_iter().flatten().enumerate() {
            faults.extend(self.faults(&schema["items"], item, &format!("{at}/{place}")));
        }
        if let Some(fields) = value.as_object() {
            for name in schema["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(name.as_str().unwrap()) {
                    faults.push(format!("{at} lacks {name}"));
                }
            }
            for (name, field) in fields {
                let property = &schema["properties"][name];
                let other = &schema["additionalProperties"];
                match (property.is_object(), other.is_object()) {
                    (true, _) => {
                        faults.extend(self.faults(property, field, &format!("{at}/{name}")))
                    }
                    (false, true) => {
                        faults.extend(self.faults(other, field, &format!("{at}/{name}")))
                    }
                    (false, false) => faults.push(format!("{at}/{name} is not documented")),
                }
            }
        }
        faults
    }
}

#[test]
fn answers_to_citizens_are_as_documented() {
    let house = House::furnished(3, &[1, 1, 0]);
    let contract = Contract::of(&house);
    let mut everyone = house.client();
    for (path, template) in [
        ("/v1/home", "/v1/home"),
        ("/v1/regions", "/v1/regions"),
        ("/v1/periods", "/v1/periods"),
        ("/v1/periods/2", "/v1/periods/{number}"),
        ("/v1/periods/99", "/v1/periods/{number}"),
        ("/v1/periods/2/sites", "/v1/periods/{number}/sites"),
        ("/v1/periods/2/sites?county=x", "/v1/periods/{number}/sites"),
        ("/v1/periods/2/slots?site=S1", "/v1/periods/{number}/slots"),
        ("/v1/periods/2/slots?site=S9", "/v1/periods/{number}/slots"),
        ("/openapi.json", "/openapi.json"),
        ("/docs", "/docs"),
    ] {
        let answer = everyone.get(path);
        if answer.status == 200 {
            let etag = answer.header("etag").unwrap().to_owned();
            if path.starts_with("/v1") {
                let again = everyone.send("GET", path, &[("if-none-match", &etag)], b"");
                contract.check("GET", template, &again);
            }
        }
        if template != "/openapi.json" {
            contract.check("GET", template, &answer);
        }
    }

    let identity = |client: &mut Client, body: &Value| client.post("/v1/identity", body);
    contract.check(
        "POST",
        "/v1/identity",
        &identity(&mut everyone, &document(&Person::numbered(1))),
    );
    contract.check(
        "POST",
        "/v1/identity",
        &identity(&mut everyone, &document(&Person::numbered(9))),
    );
    contract.check(
        "POST",
        "/v1/identity",
        &identity(&mut everyone, &json!({ "method": "document" })),
    );
    contract.check("POST", "/v1/identity", &identity(&mut everyone, &json!({ "method": "oath" })));

    let mut client = house.logged_in(&Person::numbered(1));
    contract.check("GET", "/v1/intents/mine", &client.get("/v1/intents/mine"));
    let register =
        |client: &mut Client, key: &str| client.waited("POST", "/v1/intents", key, &intent());
    contract.check("POST", "/v1/intents", &register(&mut client, "r1"));
    contract.check("POST", "/v1/intents", &register(&mut client, "r2"));
    contract.check("POST", "/v1/intents", &client.accepted("POST", "/v1/intents", "r3", &intent()));
    contract.check("POST", "/v1/intents", &client.post("/v1/intents", &json!({})));
    contract.check("GET", "/v1/intents/mine", &client.get("/v1/intents/mine"));
    contract.check(
        "PUT",
        "/v1/intents/mine",
        &client.waited("PUT", "/v1/intents/mine", "m", &intent()),
    );
    contract.check("GET", "/v1/periods", &client.get("/v1/periods"));
    contract.check("GET", "/v1/periods/{number}", &client.get("/v1/periods/2"));

    let mine = "/v1/bookings/mine?period=2";
    let book = |client: &mut Client, key: &str, slot: u32| {
        client.waited("POST", "/v1/bookings", key, &json!({ "period": 2, "slot": slot }))
    };
    contract.check("GET", "/v1/bookings/mine", &client.get(mine));
    contract.check("GET", "/v1/bookings/mine", &client.get("/v1/bookings/mine"));
    contract.check("POST", "/v1/bookings", &book(&mut client, "b1", 2));
    contract.check("POST", "/v1/bookings", &book(&mut client, "b2", 0));
    contract.check("POST", "/v1/bookings", &book(&mut client, "b2", 1));
    contract.check("POST", "/v1/bookings", &book(&mut client, "b3", 1));
    contract.check(
        "POST",
        "/v1/bookings",
        &client.post("/v1/bookings", &json!({ "period": 2, "slot": 0 })),
    );
    contract.check("GET", "/v1/bookings/mine", &client.get(mine));
    contract.check(
        "PUT",
        "/v1/bookings/mine",
        &client.waited("PUT", mine, "v1", &json!({ "slot": 1 })),
    );
    contract.check(
        "PUT",
        "/v1/bookings/mine",
        &client.waited("PUT", mine, "v2", &json!({ "slot": 2 })),
    );
    contract.check(
        "PUT",
        "/v1/bookings/mine",
        &client.accepted("PUT", mine, "v1", &json!({ "slot": 1 })),
    );
    let held = client.waited("DELETE", "/v1/intents/mine", "w1", &json!({}));
    contract.check("DELETE", "/v1/intents/mine", &held);
    contract.check("DELETE", "/v1/bookings/mine", &client.waited("DELETE", mine, "c1", &json!({})));
    contract.check("DELETE", "/v1/bookings/mine", &client.waited("DELETE", mine, "c2", &json!({})));

    let mut other = house.registered(2);
    let accepted = other.accepted("POST", "/v1/bookings", "o1", &json!({ "period": 2, "slot": 0 }));
    contract.check("POST", "/v1/bookings", &accepted);
    let url = accepted.json["status_url"].as_str().unwrap().to_owned();
    let template = "/v1/requests/{receipt}";
    contract.check("GET", template, &other.get(&format!("{url}?wait=20")));
    contract.check("GET", template, &client.get(&url));
    contract.check("GET", template, &other.get(&format!("{url}?wait=99")));
    let receipts = [book(&mut other, "o2", 1), register(&mut other, "o3")];
    for answer in receipts {
        let receipt = answer.json["receipt"].as_str().unwrap();
        contract.check("GET", template, &other.get(&format!("/v1/requests/{receipt}")));
    }
    contract.check("GET", template, &everyone.get(&url));
    let done = client.waited("DELETE", "/v1/intents/mine", "w2", &json!({}));
    contract.check("DELETE", "/v1/intents/mine", &done);
    assert!(contract.seen.borrow().len() > 40, "{:?}", contract.seen.borrow());
}

#[test]
fn answers_to_operators_are_as_documented() {
    let house = House::furnished(2, &[1]);
    let contract = Contract::of(&house);
    let mut client = house.registered(1);
    let wish = json!({ "period": 2, "slot": 0 });
    assert_eq!(client.waited("POST", "/v1/bookings", "k", &wish).status, 201);
    let mut operator = house.operator();
    let mut nobody = Client::to(house.operator);
    let category = json!({
        "names": { "zh-TW": "第8類" }, "members": true, "opens_at": instant(-60), "vaccines": ["AZ"],
    });
    let period = json!({
        "names": { "zh-TW": "第03期" }, "vaccines": ["AZ"],
        "opens_at": instant(-60), "closes_at": instant(60),
    });
    for (path, template, body) in [
        ("/v1/categories/8", "/v1/categories/{number}", &category),
        ("/v1/periods/3", "/v1/periods/{number}", &period),
    ] {
        let dry = operator.put(&format!("{path}?dry_run=true"), body);
        contract.check("PUT", template, &dry);
        contract.check("PUT", template, &operator.put(path, body));
        contract.check("PUT", template, &operator.put(path, body));
        contract.check("PUT", template, &operator.put(path, &json!({})));
        contract.check("PUT", template, &nobody.put(path, body));
    }
    let csv = [("content-type", "text/csv")];
    let members = format!("id_number\n{}\n", Person::numbered(1).id_number);
    let slots = format!("site,date,start,end,vaccine,capacity\nS1,{},08:00,09:00,AZ,7\n", date(5));
    let sites =
        "id,name_zh,name_en,county,district,address,kind\nS2,甲,A,63000,63000070,乙,clinic\n";
    for (path, template, file) in [
        ("/v1/roster:import", "/v1/roster:import", roster(1..=2)),
        ("/v1/categories/8/members:import", "/v1/categories/{number}/members:import", members),
        ("/v1/sites:import", "/v1/sites:import", sites.to_owned()),
        ("/v1/slots:import", "/v1/slots:import", slots),
    ] {
        contract.check("POST", template, &operator.send("POST", path, &csv, file.as_bytes()));
        contract.check("POST", template, &operator.send("POST", path, &csv, b"x\ny\n"));
        contract.check("POST", template, &operator.send("POST", path, &[], b"x\ny\n"));
    }
    let patch = |operator: &mut Client, path: &str, capacity: i64| {
        operator.json("PATCH", path, &[], &json!({ "capacity": capacity }))
    };
    for (path, capacity) in
        [("/v1/slots/0", 9), ("/v1/slots/0", 0), ("/v1/slots/0", -1), ("/v1/slots/77", 1)]
    {
        contract.check("PATCH", "/v1/slots/{number}", &patch(&mut operator, path, capacity));
    }
    let attended = |number: u32| {
        let at = instant(0);
        json!({ "attendance": [{ "booking_number": number, "attended_at": at }] })
    };
    contract.check("POST", "/v1/attendance", &operator.post("/v1/attendance", &attended(77)));
    contract.check(
        "POST",
        "/v1/attendance",
        &operator.send("POST", "/v1/attendance", &csv, b"x\ny\n"),
    );
    let list = format!("/v1/sites/S1/roster?date={}", date(2));
    for path in [list.as_str(), "/v1/sites/S1/roster", "/v1/sites/S9/roster?date=2021-07-13"] {
        contract.check("GET", "/v1/sites/{id}/roster", &operator.get(path));
    }
    for path in ["/v1/overview", "/v1/confirmations", "/livez", "/readyz", "/metrics"] {
        contract.check("GET", path, &operator.get(path));
    }
    let accept = operator.post("/v1/engine:accept-time", &json!({}));
    contract.check("POST", "/v1/engine:accept-time", &accept);
    assert!(contract.seen.borrow().len() > 30, "{:?}", contract.seen.borrow());
}

#[test]
fn the_comparison_finds_what_is_wrong() {
    let house = House::empty(|_| {});
    let contract = Contract::of(&house);
    let answer = house.client().get("/v1/home");
    let with = |json: Value| Answer { json, ..answer.clone() };
    for wrong in [
        json!({ "categories": [] }),
        json!({ "categories": [], "periods": {} }),
        json!({ "categories": [], "periods": [], "more": 1 }),
        json!({ "categories": [{}], "periods": [] }),
        json!(null),
    ] {
        let schema = json!({ "$ref": "#/components/schemas/Home" });
        assert!(!contract.faults(&schema, &with(wrong.clone()).json, "").is_empty(), "{wrong}");
    }
    contract.check("GET", "/v1/home", &answer);
}
