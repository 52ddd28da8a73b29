//! A small campaign, set up through the operator's calls, and what a person does in it.

use serde_json::{Value, json};

pub use super::campaign::Person;
use super::campaign::{COUNTY, DISTRICT, document};
use super::{call, wait_until};

const JSON: &str = "content-type: application/json";
const CSV: &str = "content-type: text/csv";
/// Durable, and not decided yet.
pub const ACCEPTED: u16 = 202;

/// Publishes category 9 and period 2, and imports a site, three slots and these people.
pub fn furnish(operator: &str, token: &str, people: &[Person]) {
    let bearer = format!("authorization: Bearer {token}");
    let write = |method: &str, path: &str, kind: &str, body: &str| {
        let (status, answer) = call(method, &format!("{operator}{path}"), body, &[&bearer, kind]);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
    };
    let category = json!({
        "names": { "zh-TW": "第9類" }, "born_on_or_before": "2003-12-31", "members": true,
        "opens_at": "2021-07-01T00:00:00+08:00", "closes_at": null, "vaccines": ["AZ"],
    });
    write("PUT", "/v1/categories/9", JSON, &category.to_string());
    let period = json!({
        "names": { "zh-TW": "第2期" }, "vaccines": ["AZ"], "registered_before": null,
        "counties": null, "categories": null, "born_on_or_before": null,
        "opens_at": "2021-07-13T10:00:00+08:00", "closes_at": "2099-01-01T00:00:00+08:00",
        "openings": [], "identity_methods": ["document"],
    });
    write("PUT", "/v1/periods/2", JSON, &period.to_string());
    let site = format!("S1,測試醫院,Test Hospital,{COUNTY},{DISTRICT},測試路1號,hospital");
    let sites = format!("id,name_zh,name_en,county,district,address,kind\n{site}\n");
    write("POST", "/v1/sites:import", CSV, &sites);
    let slots: String = (8..11)
        .map(|hour| format!("S1,2098-12-31,{hour:02}:00,{:02}:00,AZ,1000\n", hour + 1))
        .collect();
    let slots = format!("site,date,start,end,vaccine,capacity\n{slots}");
    write("POST", "/v1/slots:import", CSV, &slots);
    let header =
        "id_number,former_id_number,card_number,entry_permit_number,passport_number,birth_date\n";
    let rows =
        people.iter().map(|one| format!("{},,{},,,1980-05-20\n", one.id_number, one.card_number));
    let roster = header.to_owned() + &rows.collect::<String>();
    write("POST", "/v1/roster:import", CSV, &roster);
}

impl Person {
    /// Proves who they are; status and answer.
    pub fn log_in(&self, public: &str) -> (u16, Value) {
        let url = format!("{public}/v1/identity");
        parsed(call("POST", &url, &document(self).to_string(), &[JSON]))
    }

    /// Their session at a gateway.
    pub fn session(&self, public: &str) -> Session {
        let (status, answer) = self.log_in(public);
        assert_eq!(status, 201, "{answer}");
        Session { public: public.to_owned(), token: answer["token"].as_str().unwrap().to_owned() }
    }
}

/// Somebody who is logged in, as one gateway sees them.
#[derive(Clone, Debug)]
pub struct Session {
    pub public: String,
    pub token: String,
}

impl Session {
    /// The same person with the same token at another gateway.
    pub fn at(&self, public: &str) -> Session {
        Session { public: public.to_owned(), token: self.token.clone() }
    }

    /// Status and answer of a read.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, "", &[])
    }

    /// Registers an intent; waits for the outcome, however long it takes.
    pub fn register(&self) -> (u16, Value) {
        let body = json!({
            "name": "王小明", "phone": "0912345678", "county": COUNTY, "district": DISTRICT,
            "vaccines": ["AZ"], "language": "zh-TW",
        });
        self.decided("/v1/intents", &body.to_string(), "register")
    }

    /// Books a slot under a key; waits for the outcome, however long it takes.
    pub fn book(&self, slot: u32, key: &str) -> (u16, Value) {
        self.decided("/v1/bookings", &booking(slot), key)
    }

    /// Books a slot under a key, and waits for no outcome.
    pub fn send_booking(&self, slot: u32, key: &str) -> (u16, Value) {
        let key = format!("idempotency-key: {key}");
        self.send("POST", "/v1/bookings", &booking(slot), &[&key])
    }

    /// What became of the request with this receipt, however long it takes.
    pub fn outcome(&self, receipt: &str) -> (u16, Value) {
        let mut last = (0, Value::Null);
        wait_until("the request is decided", || {
            last = self.get(&format!("/v1/requests/{receipt}?wait=20"));
            last.1["outcome"] != "processing"
        });
        last
    }

    /// Asks again, with the same key, while the request is only accepted.
    fn decided(&self, path: &str, body: &str, key: &str) -> (u16, Value) {
        let key = format!("idempotency-key: {key}");
        let mut last = (0, Value::Null);
        wait_until("the request is decided", || {
            last = self.send("POST", path, body, &[&key, "prefer: wait=20"]);
            last.0 != ACCEPTED
        });
        last
    }

    fn send(&self, method: &str, path: &str, body: &str, headers: &[&str]) -> (u16, Value) {
        let bearer = format!("authorization: Bearer {}", self.token);
        let mut all = vec![bearer.as_str()];
        if !body.is_empty() {
            all.push(JSON);
        }
        all.extend(headers);
        parsed(call(method, &format!("{}{path}", self.public), body, &all))
    }
}

fn booking(slot: u32) -> String {
    json!({ "period": 2, "slot": slot }).to_string()
}

fn parsed((status, body): (u16, String)) -> (u16, Value) {
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}
