//! A journal that fails under a running gateway: nobody is told what is not known.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use journal::memory::{MemoryConfig, MemoryFaults};
use journal::{Journal, MemoryJournal};
use serde_json::json;
use support::client::Client;
use support::{House, Person, document, slug, until};

/// A furnished house over a journal that the test can make fail.
fn house() -> (House, MemoryJournal) {
    let memory = MemoryJournal::new(MemoryConfig::default());
    let journal: Arc<dyn Journal> = Arc::new(memory.clone());
    let house = House::over(journal, |config| config.request.view_wait_ms_max = 200);
    (house.furnish(2, &[5]), memory)
}

#[test]
fn a_failed_write_is_answered_with_outcome_unknown_and_then_nothing_is_taken() {
    for lost_acknowledgement in [false, true] {
        let (house, journal) = house();
        let (mut one, mut two) = (house.registered(1), house.registered(2));
        let booked = one.waited("POST", "/v1/bookings", "k", &json!({ "period": 2, "slot": 0 }));
        assert_eq!(booked.status, 201);
        journal.set_faults(MemoryFaults {
            failed_write_once_in: u32::from(!lost_acknowledgement),
            lost_acknowledgement_once_in: u32::from(lost_acknowledgement),
        });
        let wish = json!({ "period": 2, "slot": 0 });
        // The engine's heartbeat may meet the fault first: then nothing is taken to begin with.
        let answer = two.accepted("POST", "/v1/bookings", "k", &wish);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(matches!(slug(&answer), "outcome-unknown" | "not-writable"), "{answer:?}");
        assert!(answer.json.get("receipt").is_none());
        assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
        until("nothing is taken", || {
            slug(&two.accepted("POST", "/v1/bookings", "k2", &wish)) == "not-writable"
        });
        let mut monitor = Client::to(house.operator);
        let ready = monitor.get("/readyz");
        assert_eq!(ready.status, 503);
        assert!(ready.body.contains("journal"), "{ready:?}");
        assert_eq!(monitor.get("/livez").status, 200);
        // Reads and identity checks go on.
        assert_eq!(house.client().get("/v1/home").status, 200);
        assert_eq!(house.client().get("/v1/periods/2/slots?site=S1").status, 200);
        let identity = house.client().post("/v1/identity", &document(&Person::numbered(1)));
        assert_eq!(identity.status, 201);
        let receipt = booked.json["receipt"].as_str().unwrap();
        assert_eq!(one.get(&format!("/v1/requests/{receipt}")).json["outcome"], "confirmed");
    }
}
