//! The roster, corrections of it, and members.

use domain::PersonKey;
use gateway::roster::record::{Record, Row};
use journal::{Stream, Visibility};
use serde_json::json;
use vault::Lookup;

use crate::support;
use crate::support::{House, Person, document, instant, intent, roster, slug};
use crate::{RESIDENT, RESIDENT_BEFORE, ROSTER_HEADER, csv, period, rows};

#[test]
fn a_roster_is_taken_whole_or_not_at_all() {
    let house = House::empty(|_| {});
    house.put_category();
    let mut operator = house.operator();
    let file = roster(1..=3).replace("1980-05-20\n", "1980-05-20\r\n");
    let broken = file.clone() + "A123456780,,000012345678,,,1985-07-06\n";
    assert_eq!(
        rows(&csv(&mut operator, "/v1/roster:import", &broken)),
        ["5:id_number:id_check_digit"]
    );
    assert_eq!(house.client().post("/v1/identity", &document(&Person::numbered(1))).status, 401);
    let answer = csv(&mut operator, "/v1/roster:import", &file);
    assert_eq!(
        answer.json,
        json!({ "rows": 3, "roster_version": 1, "corrected": 0 }),
        "{answer:?}"
    );
    assert_eq!(house.client().post("/v1/identity", &document(&Person::numbered(1))).status, 201);
}

#[test]
fn both_numbers_of_a_resident_are_one_person_and_a_known_person_is_never_rekeyed() {
    let house = House::empty(|_| {});
    house.put_category();
    let row = |id: &str, former: &str, card: &str| {
        format!("{ROSTER_HEADER}\n{id},{former},{card},,,1980-05-20\n")
    };
    house.import("/v1/roster:import", &row(RESIDENT, RESIDENT_BEFORE, "000000000001"));
    let resident =
        |id: &str| Person { id_number: id.to_owned(), card_number: "000000000001".to_owned() };
    let mut client = house.logged_in(&resident(RESIDENT_BEFORE));
    assert_eq!(client.waited("POST", "/v1/intents", "k", &intent()).status, 201);
    let mut same = house.logged_in(&resident(RESIDENT));
    assert_eq!(same.get("/v1/intents/mine").json["intent"]["serial_number"], 1);

    // Two people who registered under their own numbers cannot become one.
    let mut operator = house.operator();
    house.import("/v1/roster:import", &roster(1..=1));
    drop(house.registered(1));
    let merging = row(&Person::numbered(1).id_number, RESIDENT_BEFORE, "000000000009");
    let refused = csv(&mut operator, "/v1/roster:import", &merging);
    assert_eq!(rows(&refused), ["2:former_id_number:person_known"]);
}

#[test]
fn a_corrected_birth_date_holds_for_a_registered_person_at_once() {
    let house = House::furnished(1, &[1]);
    let mut elders = period(3_600);
    elders["born_on_or_before"] = json!("1985-12-31");
    let mut operator = house.operator();
    assert_eq!(operator.put("/v1/periods/4", &elders).status, 201);
    let mut client = house.registered(1);
    assert_eq!(client.get("/v1/periods/4").json["eligible"], true);
    let younger = roster(1..=1).replace("1980-05-20", "1990-05-20");
    let answer = csv(&mut operator, "/v1/roster:import", &younger);
    assert_eq!(answer.json, json!({ "rows": 1, "roster_version": 2, "corrected": 1 }));
    let shown = client.get("/v1/periods/4").json;
    assert_eq!(
        (shown["eligible"].as_bool(), shown["reason"].as_str()),
        (Some(false), Some("not_eligible"))
    );
    let again = csv(&mut operator, "/v1/roster:import", &younger);
    assert_eq!(again.json, json!({ "rows": 1, "roster_version": 3, "corrected": 0 }));
}

#[test]
fn members_of_a_list_may_register_whatever_their_age() {
    let house = House::furnished(0, &[1]);
    let young = roster(1..=2).replace("1980-05-20", "2010-05-20");
    house.import("/v1/roster:import", &young);
    let mut operator = house.operator();
    let members = format!("id_number\n{}\n", Person::numbered(1).id_number);
    let answer = csv(&mut operator, "/v1/categories/9/members:import", &members);
    assert_eq!(answer.json, json!({ "rows": 1, "added": 1 }), "{answer:?}");
    let again = csv(&mut operator, "/v1/categories/9/members:import", &members);
    assert_eq!(again.json, json!({ "rows": 1, "added": 0 }));
    drop(house.registered(1));
    let mut other = house.logged_in(&Person::numbered(2));
    let refused = other.waited("POST", "/v1/intents", "k", &intent());
    assert_eq!((refused.status, slug(&refused)), (409, "not-eligible"));

    assert_eq!(csv(&mut operator, "/v1/categories/77/members:import", &members).status, 404);
    let by_age = json!({
        "names": { "zh-TW": "第8類" }, "born_on_or_before": "1950-01-01",
        "opens_at": instant(-60), "vaccines": ["AZ"],
    });
    assert_eq!(operator.put("/v1/categories/8", &by_age).status, 201);
    let refused = csv(&mut operator, "/v1/categories/8/members:import", &members);
    assert_eq!(rows(&refused), ["1::no_membership_rule"]);
}

/// Writes an import of the roster as a gateway does that dies right behind the commit.
fn import_and_die(house: &House, serial: u32, born_on: i32) {
    let person = Person::numbered(serial);
    let key = house.vault.person_key(&person.id_number);
    let row = Row {
        person: PersonKey(key),
        id: house.vault.lookup_hash(Lookup::Id, &person.id_number),
        former: None,
        card: Some(house.vault.lookup_hash(Lookup::Card, &person.card_number)),
        entry_permit: None,
        passport: None,
        born_on: house.vault.seal_birth(&key, born_on),
    };
    let mut rows = Vec::new();
    row.encode(&mut rows);
    let hash = *blake3::hash(&rows).as_bytes();
    for record in [
        Record::Begin { import: 1, base_version: 1 },
        Record::Chunk { import: 1, rows: &rows },
        Record::Commit { import: 1, rows: 1, hash },
    ] {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        house.journal.append(Stream::Roster, &[&bytes]).unwrap();
    }
}

#[test]
fn a_correction_left_owed_by_a_dead_gateway_is_told_by_the_next() {
    let mut house = House::furnished(1, &[1]);
    let mut elders = period(3_600);
    elders["born_on_or_before"] = json!("1985-12-31");
    assert_eq!(house.operator().put("/v1/periods/4", &elders).status, 201);
    let mut client = house.registered(1);
    assert_eq!(client.get("/v1/periods/4").json["eligible"], true);
    house.stop_gateway();
    // 1990-01-01
    import_and_die(&house, 1, 7_305);
    house.start_gateway();
    let mut client = house.logged_in(&Person::numbered(1));
    support::until("the engine was told", || client.get("/v1/periods/4").json["eligible"] == false);
}

#[test]
fn a_second_gateway_and_a_restarted_one_know_the_roster() {
    let mut house = House::furnished(2, &[1]);
    drop(house.registered(1));
    house.stop_gateway();
    house.start_gateway();
    let mut client = house.logged_in(&Person::numbered(1));
    assert_eq!(client.get("/v1/intents/mine").status, 200);
    drop(house.registered(2));
    let answer = csv(&mut house.operator(), "/v1/roster:import", &roster(1..=3));
    assert_eq!(answer.json["roster_version"], 2);
}

#[test]
fn who_registers_while_the_roster_gives_them_another_key_stays_one_person() {
    let house = House::furnished(1, &[5, 5]);
    let person = Person::numbered(1);
    let mut before = house.logged_in(&person);
    let row =
        format!("{},{RESIDENT_BEFORE},{},,,1980-05-20\n", person.id_number, person.card_number);
    let file = roster(100..=20_000) + &row;
    let end = house.journal.durable_end(Stream::Roster).unwrap();
    let mut stream = house.journal.reader(Stream::Roster, end, Visibility::Durable).unwrap();
    let registered = std::thread::scope(|scope| {
        let import = scope.spawn(|| csv(&mut house.operator(), "/v1/roster:import", &file));
        // The import has begun, and is not committed yet.
        support::until("the import is written", || {
            stream.poll(std::time::Duration::from_millis(1)).unwrap().is_some()
        });
        let registered = before.waited("POST", "/v1/intents", "register", &intent());
        let imported = import.join().unwrap();
        assert_eq!(imported.status, 200, "{imported:?}");
        registered
    });
    // Decided against, or no longer in the roster by then.
    assert!(matches!(registered.status, 401 | 409), "{registered:?}");
    let late = before.waited("POST", "/v1/intents", "late", &intent());
    assert_eq!((late.status, slug(&late)), (401, "identity-not-confirmed"));
    let mut after = house.registered(1);
    let wish = json!({ "period": 2, "slot": 0 });
    assert_eq!(after.waited("POST", "/v1/bookings", "b", &wish).status, 201);
    let refused = before.waited("POST", "/v1/bookings", "b", &wish);
    assert_eq!((refused.status, slug(&refused)), (409, "not-registered"));
}
