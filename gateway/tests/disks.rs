//! A disk that takes nothing for a while, and one that gives back other bytes: the gateway goes on by itself,
//! or says that a new start will help, which it does.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::client::Client;
use support::{House, until};

/// What `/readyz` says.
fn readiness(house: &House) -> (u16, String) {
    let answer = Client::to(house.operator).get("/readyz");
    (answer.status, answer.body)
}

/// The names that a store's next tables would get, each leading to a device that is always full.
fn tables_on_a_full_disk(folder: &Path) -> Vec<PathBuf> {
    let paths = (1..2_000).map(|number| folder.join(format!("{number:06}.sst")));
    let free = paths.filter(|path| !path.exists());
    free.inspect(|path| std::os::unix::fs::symlink("/dev/full", path).unwrap()).collect()
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
    let full = tables_on_a_full_disk(&house.config.data_dir.join("contacts"));
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
    for path in full {
        let _ = fs::remove_file(path);
    }
    until("it goes on", || readiness(&house).0 == 200);
    let mut last = house.registered(55);
    for client in [&mut first, &mut last] {
        let mine = client.get("/v1/intents/mine");
        assert!(mine.json["intent"]["name"].is_string(), "{mine:?}");
    }
}
