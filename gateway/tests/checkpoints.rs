//! A restarted gateway goes on from its own checkpoint of the view, and does without one that it cannot
//! trust.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::SlotNumber;
use domain::view::Figures;
use gateway::GatewayConfig;
use journal::embedded::{Clock, system_clock};
use journal::memory::MemoryConfig;
use journal::{
    EmbeddedConfig, EmbeddedJournal, Group, Journal, MemoryJournal, Position, Stream, Visibility,
};
use serde_json::json;
use support::client::Client;
use support::{House, Person, until};

/// Every command is worth a checkpoint, and there is no waiting for one.
fn often(config: &mut GatewayConfig) {
    config.view.checkpoint_interval_ms = 1;
    config.view.checkpoint_commands_min = 1;
    config.view.checkpoint_growth_percent_min = 0;
}

/// Only the orderly end writes a checkpoint.
fn at_the_end(config: &mut GatewayConfig) {
    often(config);
    config.view.checkpoint_interval_ms = 3_600_000;
}

/// A metric without labels.
fn metric(house: &House, name: &str) -> u64 {
    let body = Client::to(house.operator).get("/metrics").body;
    let line = body.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse().unwrap()
}

fn folder(house: &House) -> PathBuf {
    house.config.data_dir.join("view")
}

/// The names of the checkpoints, the newest last.
fn names(house: &House) -> Vec<String> {
    let entries = fs::read_dir(folder(house)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn newest(house: &House) -> PathBuf {
    folder(house).join(names(house).last().unwrap())
}

/// Stops and starts the gateway, at the same addresses for citizens.
fn restart(house: &mut House) {
    house.stop_gateway();
    house.config.public_address = house.public;
    house.start_gateway();
}

/// What a booked person is told and what is counted, whatever the gateway had to read for it.
fn answers(house: &House, client: &mut Client) -> (Vec<String>, [u32; 2], Figures) {
    let answers = ["/v1/intents/mine", "/v1/bookings/mine?period=2"].map(|path| client.get(path));
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let texts = answers.map(|answer| answer.body).to_vec();
    house.gateway.as_ref().unwrap().reads().look(|view| {
        assert_eq!(view.contradictions(), 0);
        let places = [0, 1].map(|slot| view.places_left(SlotNumber(slot)));
        // An engine's pulses are commands too and come at any time, and it begins with an epoch.
        (texts, places, Figures { commands: 0, epoch: 0, ..view.figures().clone() })
    })
}

/// A house in which person 1 is registered and booked.
fn booked(adjust: impl FnOnce(&mut GatewayConfig)) -> (House, Client) {
    booked_over(Arc::new(MemoryJournal::new(MemoryConfig::default())), adjust)
}

/// The same over a journal.
fn booked_over(
    journal: Arc<dyn Journal>,
    adjust: impl FnOnce(&mut GatewayConfig),
) -> (House, Client) {
    let house = House::over(journal, adjust).furnish(3, &[5, 5]);
    let mut client = house.registered(1);
    let wish = json!({ "period": 2, "slot": 0 });
    assert_eq!(client.waited("POST", "/v1/bookings", "k", &wish).status, 201);
    (house, client)
}

#[test]
fn a_restarted_gateway_reads_only_the_events_since_its_checkpoint() {
    let (mut house, mut client) = booked(at_the_end);
    let known = answers(&house, &mut client);
    let before = metric(&house, "slotline_view_groups_total");
    let decided = metric(&house, "slotline_view_sequence");
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), 0);
    restart(&mut house);
    let loaded = metric(&house, "slotline_view_loaded_sequence");
    let read = metric(&house, "slotline_view_groups_total");
    let since = metric(&house, "slotline_view_sequence") - loaded;
    println!("{before} groups from the start; {read} for {since} commands behind {loaded}");
    // No group has fewer commands than one: none of those before was read.
    assert!(loaded >= decided && before > 0 && read <= since);
    assert_eq!(metric(&house, "slotline_view_checkpoint_sequence"), loaded);
    assert!(metric(&house, "slotline_view_checkpoint_bytes") > 500);
    assert_eq!(answers(&house, &mut client), known);
    // A retry of what the checkpoint knows is answered as at first, and the rest goes on.
    let wish = json!({ "period": 2, "slot": 0 });
    assert_eq!(client.waited("POST", "/v1/bookings", "k", &wish).status, 201);
    let moved = client.waited("PUT", "/v1/bookings/mine?period=2", "m", &json!({ "slot": 1 }));
    assert!(moved.status < 300, "{moved:?}");
    let known = answers(&house, &mut client);
    restart(&mut house);
    assert!(metric(&house, "slotline_view_loaded_sequence") > loaded);
    assert_eq!(answers(&house, &mut client), known);
}

#[test]
fn over_the_embedded_journal_the_place_in_the_events_is_found_again_after_it_was_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let journal = EmbeddedJournal::open(folder.path(), EmbeddedConfig::default());
        Arc::new(journal.unwrap()) as Arc<dyn Journal>
    };
    let (mut house, mut client) = booked_over(open(), at_the_end);
    for round in 0..3 {
        let known = answers(&house, &mut client);
        let decided = metric(&house, "slotline_view_sequence");
        house.stop_gateway();
        house.stop_engine();
        house.journal.close();
        // The directory is free once nobody holds the journal.
        house.journal = Arc::new(MemoryJournal::new(MemoryConfig::default()));
        house.journal = open();
        house.start_engine();
        house.config.public_address = house.public;
        house.start_gateway();
        let loaded = metric(&house, "slotline_view_loaded_sequence");
        let read = metric(&house, "slotline_view_groups_total");
        let since = metric(&house, "slotline_view_sequence") - loaded;
        assert!(loaded >= decided && read <= since, "{loaded} {decided} {read} {since}");
        assert_eq!(answers(&house, &mut client), known);
        let slot = json!({ "slot": (round + 1) % 2 });
        let key = format!("m{round}");
        let moved = client.waited("PUT", "/v1/bookings/mine?period=2", &key, &slot);
        assert!(moved.status < 300, "{moved:?}");
    }
}

#[test]
fn checkpoints_are_written_while_the_gateway_serves_and_half_a_one_does_no_harm() {
    let (mut house, mut client) = booked(often);
    until("two are written", || metric(&house, "slotline_view_checkpoints_total") >= 2);
    assert_eq!(metric(&house, "slotline_view_checkpoint_failures_total"), 0);
    assert!(metric(&house, "slotline_view_checkpoint_age_ms") < 60_000);
    let known = answers(&house, &mut client);
    // Without an engine nothing happens, and soon all that happened is in a checkpoint.
    house.stop_engine();
    let mut last = 0;
    until("all of it is written", || {
        last = metric(&house, "slotline_view_checkpoint_sequence");
        last == metric(&house, "slotline_view_sequence")
    });
    let written = names(&house);
    house.stop_gateway();
    // Nothing was new, so the end wrote nothing.
    assert_eq!(names(&house), written);
    let half = folder(&house).join("checkpoint-99999999999999999999.view.partial");
    fs::write(&half, b"SLOTVIEW").unwrap();
    house.start_engine();
    house.config.public_address = house.public;
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), last);
    assert_eq!(answers(&house, &mut client), known);
    assert!(!half.exists());
}

/// Copies a folder that nobody uses.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_older_one_and_without_any_all_is_read_again() {
    let (mut house, mut client) = booked(at_the_end);
    restart(&mut house);
    let first = metric(&house, "slotline_view_loaded_sequence");
    house.stop_gateway();
    assert_eq!(names(&house).len(), 2);
    let bytes = fs::read(newest(&house)).unwrap();
    fs::write(newest(&house), &bytes[..bytes.len() - 1]).unwrap();
    house.config.public_address = house.public;
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), first);
    let known = answers(&house, &mut client);
    house.stop_gateway();
    for name in names(&house) {
        fs::write(folder(&house).join(name), b"something else").unwrap();
    }
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), 0);
    assert!(names(&house).iter().all(|name| name.ends_with(".unusable")), "{:?}", names(&house));
    assert_eq!(answers(&house, &mut client), known);
    house.stop_gateway();
    assert_eq!(names(&house).len(), 1, "{:?}", names(&house));
}

#[test]
fn without_its_contact_book_a_checkpoint_is_not_used_and_contacts_come_back() {
    let (mut house, mut client) = booked(at_the_end);
    let known = answers(&house, &mut client);
    house.stop_gateway();
    fs::remove_dir_all(house.config.data_dir.join("contacts")).unwrap();
    house.config.public_address = house.public;
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), 0);
    assert_eq!(answers(&house, &mut client), known);
    // And without the checkpoint, a book that is ahead does no harm.
    house.stop_gateway();
    fs::remove_dir_all(folder(&house)).unwrap();
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), 0);
    assert_eq!(answers(&house, &mut client), known);
}

#[test]
fn damaged_stores_are_moved_aside_and_filled_again() {
    let (mut house, mut client) = booked(at_the_end);
    let known = answers(&house, &mut client);
    house.config.public_address = house.public;
    // In the logs of a store: a record of a kind that RocksDB, left alone, would read without end; no
    // record at all; and one whose checksum is wrong.
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| second_record(bytes)[6] = 5,
        |bytes| bytes.clear(),
        |bytes| second_record(bytes)[0] ^= 1,
    ];
    for damage in damages {
        for store in ["contacts", "roster"] {
            house.stop_gateway();
            let folder = house.config.data_dir.join(store);
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_string_lossy().starts_with("MANIFEST-") {
                    let mut bytes = fs::read(&path).unwrap();
                    damage(&mut bytes);
                    fs::write(&path, bytes).unwrap();
                }
            }
            house.start_gateway();
            let aside = folder.with_extension("damaged");
            fs::remove_dir_all(aside).expect("the damaged store is kept for a look");
            assert_eq!(answers(&house, &mut client), known);
            house.logged_in(&Person::numbered(1));
        }
    }
}

/// What begins with the second record of a log of RocksDB.
fn second_record(log: &mut [u8]) -> &mut [u8] {
    let length = usize::from(u16::from_le_bytes([log[4], log[5]]));
    &mut log[7 + length..]
}

#[test]
fn another_journals_checkpoint_is_refused() {
    let (mut other, _) = booked(at_the_end);
    other.stop_gateway();
    let journal: Arc<dyn Journal> =
        Arc::new(MemoryJournal::new(MemoryConfig { seed: 99, ..MemoryConfig::default() }));
    let mut house = House::over(journal, at_the_end).furnish(3, &[5]);
    house.stop_gateway();
    fs::remove_dir_all(folder(&house)).unwrap();
    copy(&folder(&other), &folder(&house));
    assert_eq!(names(&house).len(), 1);
    house.config.public_address = house.public;
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), 0);
    assert!(names(&house)[0].ends_with(".unusable"));
    let mut client = house.registered(1);
    assert_eq!(client.get("/v1/bookings/mine?period=2").status, 404);
}

#[test]
fn another_history_of_the_same_journal_is_noticed_and_everything_is_made_again() {
    // Both journals have one name, as an installation and its restored copy have.
    let (mut other, _) = booked(at_the_end);
    other.stop_gateway();
    let (mut house, mut client) = booked(at_the_end);
    let mut second = house.registered(2);
    let wish = json!({ "period": 2, "slot": 1 });
    assert_eq!(second.waited("POST", "/v1/bookings", "k", &wish).status, 201);
    let known = [answers(&house, &mut client), answers(&house, &mut second)];
    house.stop_gateway();
    let own = house.config.data_dir.clone();
    for part in ["view", "contacts"] {
        fs::remove_dir_all(own.join(part)).unwrap();
        copy(&other.config.data_dir.join(part), &own.join(part));
    }
    house.config.public_address = house.public;
    house.start_gateway();
    assert_eq!(metric(&house, "slotline_view_loaded_sequence"), 0);
    assert_eq!([answers(&house, &mut client), answers(&house, &mut second)], known);
}

/// The same journal, the second half of its events torn off.
fn torn(journal: &dyn Journal) -> MemoryJournal {
    let at_ms = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&at_ms);
    let clock: Clock = Arc::new(move || match told.load(Ordering::Acquire) {
        0 => system_clock()(),
        at_ms => at_ms,
    });
    let torn = MemoryJournal::with_clock(MemoryConfig::default(), clock);
    assert_eq!(torn.id(), journal.id());
    for stream in Stream::ALL {
        let groups = groups(journal, stream);
        let kept = if stream == Stream::Events { groups.len() / 2 } else { groups.len() };
        for group in &groups[..kept] {
            at_ms.store(group.at_ms, Ordering::Release);
            let records: Vec<&[u8]> = group.records.iter().collect();
            assert_eq!(torn.append(stream, &records).unwrap().position, group.position);
        }
    }
    at_ms.store(0, Ordering::Release);
    torn
}

fn groups(journal: &dyn Journal, stream: Stream) -> Vec<Group> {
    let mut reader = journal.reader(stream, Position::START, Visibility::Accepted).unwrap();
    std::iter::from_fn(|| reader.poll(Duration::ZERO).unwrap()).collect()
}

#[test]
fn a_checkpoint_ahead_of_the_events_waits_for_them_to_be_written_again() {
    let (mut house, mut client) = booked(at_the_end);
    let known = answers(&house, &mut client);
    house.stop_gateway();
    house.stop_engine();
    house.journal = Arc::new(torn(&*house.journal));
    house.config.public_address = house.public;
    house.start_gateway();
    until("the checkpoint is loaded", || metric(&house, "slotline_view_loaded_sequence") > 0);
    // How far the events go is told: they are read, and do not lead to the checkpoint.
    let end = house.journal.durable_end(Stream::Events).unwrap().0;
    until("all events there are were read", || {
        let ready = Client::to(house.operator).get("/readyz");
        assert_eq!(ready.status, 503, "{ready:?}");
        let checks = ready.json["checks"].as_array().unwrap();
        let view = checks.iter().find(|check| check["name"] == "view").unwrap();
        view["progress"] == json!({ "done": end, "total": end })
    });
    assert_eq!(metric(&house, "slotline_view_groups_total"), 0);
    house.start_engine();
    house.wait_until_ready();
    assert_eq!(answers(&house, &mut client), known);
    assert!(metric(&house, "slotline_view_loaded_sequence") > 0);
    let moved = client.waited("PUT", "/v1/bookings/mine?period=2", "m", &json!({ "slot": 1 }));
    assert!(moved.status < 300, "{moved:?}");
}

#[test]
fn a_disk_that_takes_no_checkpoint_is_counted_and_the_view_goes_on() {
    let (house, mut client) = booked(often);
    until("one is written", || metric(&house, "slotline_view_checkpoints_total") >= 1);
    fs::rename(folder(&house), house.config.data_dir.join("elsewhere")).unwrap();
    until("one is not", || metric(&house, "slotline_view_checkpoint_failures_total") >= 2);
    let moved = client.waited("PUT", "/v1/bookings/mine?period=2", "m", &json!({ "slot": 1 }));
    assert!(moved.status < 300, "{moved:?}");
    let written = metric(&house, "slotline_view_checkpoints_total");
    fs::rename(house.config.data_dir.join("elsewhere"), folder(&house)).unwrap();
    until("they are again", || metric(&house, "slotline_view_checkpoints_total") > written);
}
