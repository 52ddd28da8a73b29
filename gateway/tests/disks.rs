//! A disk that takes nothing for a while, and one that gives back other bytes: the gateway goes on by itself,
//! or says that a new start will help, which it does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use rocks::faults::FullDisk;
use support::client::Client;
use support::{House, until};

/// What `/readyz` says.
fn readiness(house: &House) -> (u16, String) {
    let answer = Client::to(house.operator).get("/readyz");
    (answer.status, answer.body)
}

#[test]
fn contacts_wait_out_a_full_disk() {
    let house = House::empty(|config| {
        config.view.checkpoint_interval_ms = 1;
        config.view.checkpoint_commands_min = 1;
        config.view.checkpoint_growth_percent_min = 0;
    });
    let house = house.furnish(60, &[5]);
    let mut first = house.registered(1);
    let full = FullDisk::under(&house.config.data_dir.join("contacts")).unwrap();
    let mut serial = 2;
    until("it says that contacts wait", || {
        if serial < 50 {
            house.registered(serial);
            serial += 1;
        }
        let (status, said) = readiness(&house);
        status == 503 && said.contains("contact book") && said.contains("No space left")
    });
    assert_eq!(first.get("/v1/intents/mine").status, 200, "reads go on");
    drop(full);
    until("it goes on", || readiness(&house).0 == 200);
    let mut last = house.registered(55);
    for client in [&mut first, &mut last] {
        let mine = client.get("/v1/intents/mine");
        assert!(mine.json["intent"]["name"].is_string(), "{mine:?}");
    }
}
