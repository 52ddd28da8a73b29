//! Who opened or changed what stands in the log, and nobody's data does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use support::client::Client;
use support::{House, Person, date, document, intent, roster};
use tracing_subscriber::fmt::MakeWriter;
use vault::Role;

/// The whole text log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The audit lines of a call.
    fn of(&self, call: &str) -> Vec<String> {
        let wanted = format!("call=\"{call}\"");
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains("slotline::audit"));
        lines.filter(|line| line.contains(&wanted)).map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

#[test]
fn every_audited_call_leaves_one_line_and_no_line_holds_personal_data() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();

    let house = House::furnished(1, &[1]);
    let person = Person::numbered(1);
    let mut form = intent();
    form["name"] = json!("金絲雀");
    form["phone"] = json!("0987654321");
    let mut client = house.logged_in(&person);
    assert_eq!(client.waited("POST", "/v1/intents", "r", &form).status, 201);
    let wish = json!({ "period": 2, "slot": 0 });
    assert_eq!(client.waited("POST", "/v1/bookings", "b", &wish).status, 201);
    let stranger = Person::numbered(7_777_777);
    assert_eq!(house.client().post("/v1/identity", &document(&stranger)).status, 401);

    let token =
        |role, name| house.vault.mint_operator_token(name, &[role], u64::from(u32::MAX)).unwrap();
    let mut site = Client::to(house.operator).with_token(&token(Role::Site, "clinic desk"));
    let list = site.get(&format!("/v1/sites/S1/roster?date={}", date(2)));
    assert!(list.body.contains("金絲雀") && list.body.contains("0987654321"));
    let lines = log.of("export_day_list");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["operator=clinic desk", "about=\"S1\"", "status=200", "request="] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }

    // A refusal of the rows is audited too, and so is one at the door's other side.
    let mut importer = Client::to(house.operator).with_token(&token(Role::Importer, "importer"));
    let before = log.of("import_roster").len();
    let broken = roster(1..=1).replace("1980-05-20", "1980-05-99");
    let refused = importer.send(
        "POST",
        "/v1/roster:import",
        &[("content-type", "text/csv")],
        broken.as_bytes(),
    );
    assert_eq!(refused.status, 422);
    let lines = log.of("import_roster");
    assert_eq!(lines.len(), before + 1);
    assert!(lines[before].contains("status=422") && lines[before].contains("operator=importer"));
    let id_in_path = format!("/v1/sites/{}%0Aforged/roster?date={}", person.id_number, date(2));
    assert_eq!(site.get(&id_in_path).status, 404);
    assert!(log.of("export_day_list")[1].contains("about=\"?\""));
    assert_eq!(importer.get("/v1/overview").status, 403);
    assert!(log.of("overview").is_empty());

    let text = log.text();
    assert!(text.lines().count() > 5, "{text}");
    for canary in [
        person.id_number.as_str(),
        person.card_number.as_str(),
        stranger.id_number.as_str(),
        "金絲雀",
        "0987654321",
        "1980-05-99",
    ] {
        assert!(!text.contains(canary), "{canary} stands in the log");
    }
}
