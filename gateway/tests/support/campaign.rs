//! A small campaign, set up through the operator's calls, and what its people send.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::client::Client;

/// The county and district of the sample site and people: 臺北市 萬華區.
pub const COUNTY: &str = "63000";
pub const DISTRICT: &str = "63000070";

/// A person of the roster.
#[derive(Clone, Debug)]
pub struct Person {
    pub id_number: String,
    pub card_number: String,
}

impl Person {
    /// The person of this serial number, with a right check digit.
    pub fn numbered(serial: u32) -> Person {
        // The letter A counts as 10: 1 × 1 + 0 × 9.
        let digits: Vec<u32> =
            format!("1{serial:07}").bytes().map(|byte| u32::from(byte - b'0')).collect();
        let sum: u32 =
            1 + digits.iter().zip((1..=8).rev()).map(|(digit, weight)| digit * weight).sum::<u32>();
        let check = (10 - sum % 10) % 10;
        Person { id_number: format!("A1{serial:07}{check}"), card_number: format!("{serial:012}") }
    }
}

/// Puts in category 9, an open period 2, one site, and people 1 to `people` of the roster. `slots` gives
/// the capacity of each slot of the day after tomorrow, numbered from 0.
pub fn furnish(operator: &mut Client, people: u32, slots: &[u32]) {
    put_category(operator);
    put_period(operator, 2, -3_600, 86_400);
    if people > 0 {
        import(operator, "/v1/roster:import", &roster(1..=people));
    }
    let site = format!("S1,測試醫院,Test Hospital,{COUNTY},{DISTRICT},測試路1號,hospital");
    let header = "id,name_zh,name_en,county,district,address,kind";
    import(operator, "/v1/sites:import", &format!("{header}\n{site}\n"));
    if !slots.is_empty() {
        let date = date(2);
        let rows = slots.iter().enumerate().map(|(place, capacity)| {
            format!("S1,{date},{:02}:00,{:02}:00,AZ,{capacity}\n", 8 + place, 9 + place)
        });
        let rows: String = rows.collect();
        import(
            operator,
            "/v1/slots:import",
            &format!("site,date,start,end,vaccine,capacity\n{rows}"),
        );
    }
}

/// Everybody born before 2004, and members.
pub fn put_category(operator: &mut Client) {
    let body = json!({
        "names": { "zh-TW": "第9類", "en": "Category 9" },
        "born_on_or_before": "2003-12-31",
        "members": true,
        "opens_at": instant(-86_400),
        "closes_at": null,
        "vaccines": ["AZ", "Moderna"],
    });
    let answer = operator.put("/v1/categories/9", &body);
    assert!(answer.status < 300, "{answer:?}");
}

/// A period for everyone whose window opens and closes so many seconds from now.
pub fn put_period(operator: &mut Client, number: u16, opens_in_s: i64, closes_in_s: i64) {
    let body = json!({
        "names": { "zh-TW": format!("第{number}期"), "en": format!("Period {number}") },
        "vaccines": ["AZ"],
        "registered_before": null,
        "counties": null,
        "categories": null,
        "born_on_or_before": null,
        "opens_at": instant(opens_in_s),
        "closes_at": instant(closes_in_s),
        "openings": [],
        "identity_methods": ["document"],
    });
    let answer = operator.put(&format!("/v1/periods/{number}"), &body);
    assert!(answer.status < 300, "{answer:?}");
}

/// Imports a file.
pub fn import(operator: &mut Client, path: &str, csv: &str) {
    let answer = operator.send("POST", path, &[("content-type", "text/csv")], csv.as_bytes());
    assert!(answer.status < 300, "{answer:?}");
}

/// A client of a person who proved who they are.
pub fn logged_in(public: SocketAddr, person: &Person) -> Client {
    let answer = Client::to(public).post("/v1/identity", &document(person));
    assert_eq!(answer.status, 201, "{answer:?}");
    Client::to(public).with_token(answer.json["token"].as_str().unwrap())
}

/// A client of a person who holds an intent.
pub fn registered(public: SocketAddr, serial: u32) -> Client {
    let mut client = logged_in(public, &Person::numbered(serial));
    let answer = client.waited("POST", "/v1/intents", "register", &intent());
    assert_eq!(answer.status, 201, "{answer:?}");
    client
}

/// The body of an identity check.
pub fn document(person: &Person) -> Value {
    json!({ "method": "document", "id_number": person.id_number, "card_number": person.card_number })
}

/// The body of a registration.
pub fn intent() -> Value {
    json!({
        "name": "王小明",
        "phone": "0912345678",
        "county": COUNTY,
        "district": DISTRICT,
        "vaccines": ["AZ", "Moderna"],
        "language": "zh-TW",
    })
}

/// The roster's CSV of these people, all born in 1980.
pub fn roster(serials: impl Iterator<Item = u32>) -> String {
    let header =
        "id_number,former_id_number,card_number,entry_permit_number,passport_number,birth_date\n";
    let rows = serials.map(|serial| {
        let person = Person::numbered(serial);
        format!("{},,{},,,1980-05-20\n", person.id_number, person.card_number)
    });
    header.to_owned() + &rows.collect::<String>()
}

/// An instant so many seconds from now, in UTC.
pub fn instant(in_s: i64) -> String {
    let now = jiff::Timestamp::now().as_second() + in_s;
    jiff::Timestamp::from_second(now).unwrap().to_string()
}

/// The date in Taiwan so many days from now.
pub fn date(in_days: i64) -> String {
    let at = jiff::Timestamp::now().as_second() + 8 * 3_600 + in_days * 86_400;
    jiff::Timestamp::from_second(at).unwrap().to_string()[..10].to_owned()
}
