//! Several gateways on one journal: what one of them wrote, the others show, or say that they cannot yet.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gateway::GatewayConfig;
use journal::away::{AwayJournal, Fault, Faults};
use journal::memory::MemoryConfig;
use journal::{Journal, MemoryJournal, Stream};
use support::client::Client;
use support::shared::groups_before;
use support::{House, Person, date, document, intent, roster, slug, until};

/// Two gateways: `here` with the engine, `there` behind a way on which things can go wrong.
struct Pair {
    here: House,
    there: House,
    way: Arc<Faults>,
}

/// People 1 to 40 are in the roster; slots 0 and 1 have these capacities.
fn pair(capacities: &[u32]) -> Pair {
    pair_with(capacities, |_| {})
}

fn pair_with(capacities: &[u32], adjust: impl FnOnce(&mut GatewayConfig)) -> Pair {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new(MemoryConfig::default()));
    let groups = groups_before(&journal);
    let here = House::sharing(Arc::clone(&journal), Arc::clone(&groups), true, |_| {});
    let here = here.furnish(40, capacities);
    let (faraway, way) = AwayJournal::over(&journal);
    let there = House::sharing(faraway, groups, false, adjust);
    there.wait_until_ready();
    Pair { here, there, way }
}

/// Does something while the other gateway's readers stand still now and then, for longer than a call takes.
fn while_the_other_is_late(pair: &Pair, act: impl FnOnce()) {
    /// Ends the standing still, however the act ends.
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                for (is_silent, lasts_ms) in [(true, 15), (false, 5)] {
                    for stream in [Stream::Events, Stream::Roster] {
                        pair.way.set(stream, Fault::Silent, is_silent);
                    }
                    std::thread::sleep(Duration::from_millis(lasts_ms));
                }
            }
        });
        let _end = End(&is_over);
        act();
    });
}

fn slots() -> String {
    format!("/v1/periods/2/slots?site=S1&date={}", date(2))
}

fn booking(slot: u32) -> serde_json::Value {
    serde_json::json!({ "period": 2, "slot": slot })
}

#[test]
fn what_a_person_did_at_one_gateway_is_there_at_the_other_at_once() {
    let pair = pair(&[100, 100]);
    while_the_other_is_late(&pair, || {
        for serial in 1..=20 {
            let person = Person::numbered(serial);
            let mut here = pair.here.registered(serial);
            let answer = pair.there.client().post("/v1/identity", &document(&person));
            assert_eq!(
                (answer.status, &answer.json["has_intent"]),
                (201, &true.into()),
                "{serial}"
            );
            let mut there =
                Client::to(pair.there.public).with_token(answer.json["token"].as_str().unwrap());
            let booked = there.waited("POST", "/v1/bookings", "first", &booking(0));
            assert_eq!(booked.status, 201, "{booked:?}");
            let seen = here.get("/v1/bookings/mine?period=2");
            assert_eq!((seen.status, &seen.json["booking"]["slot"]), (200, &0.into()), "{seen:?}");
            let receipt = booked.json["receipt"].as_str().unwrap();
            let found = here.get(&format!("/v1/requests/{receipt}?wait=20"));
            assert_eq!(
                (found.status, &found.json["outcome"]),
                (200, &"confirmed".into()),
                "{found:?}"
            );
            // Any retry of the key, anywhere, meets the first answer.
            let again =
                there.at(pair.here.public).waited("POST", "/v1/bookings", "first", &booking(0));
            assert_eq!((again.status, &again.json), (201, &booked.json));
        }
    });
}

#[test]
fn a_person_of_a_roster_imported_a_moment_ago_is_known_at_the_other_gateway() {
    let pair = pair(&[]);
    for serial in 1_001..=1_010 {
        let person = document(&Person::numbered(serial));
        let refused = pair.there.client().post("/v1/identity", &person);
        assert_eq!((refused.status, slug(&refused)), (401, "identity-not-confirmed"));
        // Its view is behind for longer than any import takes.
        pair.way.set(Stream::Roster, Fault::Silent, true);
        pair.here.import("/v1/roster:import", &roster(serial..=serial));
        let asked = std::thread::scope(|scope| {
            let asked = scope.spawn(|| pair.there.client().post("/v1/identity", &person));
            std::thread::sleep(Duration::from_millis(30));
            pair.way.set(Stream::Roster, Fault::Silent, false);
            asked.join().unwrap()
        });
        assert_eq!(asked.status, 201, "{asked:?}");
    }
}

#[test]
fn while_nobody_tells_how_far_the_roster_reaches_strangers_are_refused_in_time_and_counted() {
    let pair = pair_with(&[], |config| {
        config.request.view_wait_ms_max = 200;
        config.identity.failures_max = 3;
    });
    pair.way.set(Stream::Roster, Fault::HidesEnd, true);
    let stranger = document(&Person::numbered(2_000));
    for expected in [401, 401, 401, 429] {
        let began = Instant::now();
        let refused = pair.there.client().post("/v1/identity", &stranger);
        assert_eq!(refused.status, expected, "{refused:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // Whom it knows it lets in without asking.
    pair.there.logged_in(&Person::numbered(1));
}

#[test]
fn a_gateway_whose_view_is_behind_says_so_instead_of_showing_what_was() {
    let pair = pair_with(&[100], |config| config.request.view_wait_ms_max = 300);
    let mut here = pair.here.logged_in(&Person::numbered(1));
    pair.way.set(Stream::Events, Fault::Silent, true);
    let registered = here.waited("POST", "/v1/intents", "register", &intent());
    assert_eq!(registered.status, 201, "{registered:?}");
    // The token is from before: it does not tell the other gateway what to wait for.
    let mut there = here.at(pair.there.public);
    let behind = there.get("/v1/intents/mine");
    assert_eq!((behind.status, slug(&behind)), (503, "catching-up"), "{behind:?}");
    assert!(behind.header("retry-after").is_some());
    // What is for everyone goes on, and so do writes, by key.
    assert_eq!(there.get(&slots()).status, 200);
    let accepted = there.accepted("POST", "/v1/bookings", "key", &booking(0));
    assert_eq!(accepted.status, 202, "{accepted:?}");
    pair.way.set(Stream::Events, Fault::Silent, false);
    until("the view has come so far", || there.get("/v1/intents/mine").status == 200);
    let seen = there.get("/v1/bookings/mine?period=2");
    assert_eq!(seen.status, 200, "{seen:?}");
}

#[test]
fn while_nobody_tells_how_far_the_commands_reach_own_reads_are_503_and_the_rest_goes_on() {
    let pair = pair_with(&[100], |config| config.request.view_wait_ms_max = 300);
    let mut there = pair.here.registered(1).at(pair.there.public);
    pair.way.set(Stream::Commands, Fault::HidesEnd, true);
    for path in ["/v1/intents/mine", "/v1/bookings/mine?period=2", "/v1/periods/2"] {
        let answer = there.get(path);
        assert_eq!((answer.status, slug(&answer)), (503, "catching-up"), "{path}: {answer:?}");
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
    let mut anyone = pair.there.client();
    for path in ["/v1/home", "/v1/periods/2", &slots()] {
        assert_eq!(anyone.get(path).status, 200, "{path}");
    }
    // Nobody's login is held up for good.
    let answer = anyone.post("/v1/identity", &document(&Person::numbered(2)));
    assert_eq!(answer.status, 201, "{answer:?}");
    pair.way.set(Stream::Commands, Fault::HidesEnd, false);
    until("the end is known again", || there.get("/v1/intents/mine").status == 200);
}

#[test]
fn a_shed_reply_never_contradicts_what_was_decided_through_another_gateway() {
    let pair = pair(&[1, 100]);
    let taken = pair.here.registered(1).waited("POST", "/v1/bookings", "a", &booking(0));
    assert_eq!(taken.status, 201);
    let mut here = pair.here.registered(2);
    let mut there = here.at(pair.there.public);
    until("the other gateway knows that the slot is full", || {
        let slots = there.get(&slots()).json;
        slots["slots"][0]["places_left"] == 0
    });
    let shed = there.accepted("POST", "/v1/bookings", "shed", &booking(0));
    assert_eq!((shed.status, &shed.json["decided"]), (409, &false.into()), "{shed:?}");

    pair.way.set(Stream::Events, Fault::Silent, true);
    let booked = here.waited("POST", "/v1/bookings", "b", &booking(1));
    assert_eq!(booked.status, 201, "{booked:?}");
    // It cannot know of the booking, and so the writer must decide.
    let answer = there.accepted("POST", "/v1/bookings", "c", &booking(0));
    assert_eq!(answer.status, 202, "{answer:?}");
    pair.way.set(Stream::Events, Fault::Silent, false);
    let receipt = answer.json["receipt"].as_str().unwrap();
    let found = there.get(&format!("/v1/requests/{receipt}?wait=20"));
    assert_eq!(found.json["reason"], "already_booked", "{found:?}");
}

#[test]
fn a_gateway_that_starts_in_an_outage_is_ready_when_it_is_over() {
    let mut pair = pair(&[100]);
    pair.there.stop_gateway();
    for stream in Stream::ALL {
        pair.way.set(stream, Fault::RefusesReaders, true);
    }
    pair.there.start_gateway();
    let mut monitor = Client::to(pair.there.operator);
    assert_eq!(monitor.get("/livez").status, 200);
    assert_eq!(monitor.get("/readyz").status, 503);
    for stream in Stream::ALL {
        pair.way.set(stream, Fault::RefusesReaders, false);
    }
    pair.there.wait_until_ready();
    assert_eq!(pair.there.logged_in(&Person::numbered(3)).get("/v1/intents/mine").status, 404);
}

#[test]
fn imports_through_two_gateways_at_once_all_take_effect() {
    let pair = pair(&[]);
    let house = |turn: u32| if turn == 0 { &pair.here } else { &pair.there };
    std::thread::scope(|scope| {
        for turn in 0..2 {
            scope.spawn(move || {
                for round in 0..6 {
                    let first = 1_000 * (turn + 1) + 100 * round;
                    house(turn).import("/v1/roster:import", &roster(first..first + 100));
                    house(turn).import("/v1/sites:import", &sites(turn, round));
                }
            });
        }
    });
    for house in [&pair.here, &pair.there] {
        let overview = || house.operator().get("/v1/overview").json;
        until("every import of the roster is there", || overview()["roster_version"] == 13);
        assert_eq!(overview()["sites"], 1 + 2 * 6 * 50);
    }
    for serial in [1_000, 1_599, 2_000, 2_599] {
        for house in [&pair.here, &pair.there] {
            house.logged_in(&Person::numbered(serial));
        }
    }
}

fn sites(turn: u32, round: u32) -> String {
    let rows = (0..50).map(|site| {
        format!(
            "T{turn}-{round}-{site},某醫院,A Hospital,{},{},某路1號,hospital\n",
            support::COUNTY,
            support::DISTRICT
        )
    });
    "id,name_zh,name_en,county,district,address,kind\n".to_owned() + &rows.collect::<String>()
}

#[test]
fn a_file_that_names_what_the_other_gateway_imported_a_moment_ago_is_taken() {
    let pair = pair(&[]);
    while_the_other_is_late(&pair, || {
        for day in 1..=5 {
            pair.here.import("/v1/sites:import", &sites(9, day));
            let row = format!("T9-{day}-0,{},08:00,09:00,AZ,10\n", date(i64::from(day)));
            let csv = format!("site,date,start,end,vaccine,capacity\n{row}");
            pair.there.import("/v1/slots:import", &csv);
        }
    });
    assert_eq!(pair.there.operator().get("/v1/overview").json["slots"], 5);
}
