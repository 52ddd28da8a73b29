//! One text for each booking confirmed, changed or cancelled: real rules, real vault, real outbox.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use domain::{Event, Rejection};
use journal::{EmbeddedConfig, EmbeddedJournal, Journal, Stream};
use notifier::{
    DeliveryRecord, DeliveryState, FileOutbox, Notifier, NotifierConfig, NotifierError,
    NotifierPhase,
};
use vault::{Secrets, Vault};
use world::*;

/// Runs until everything is settled, and ends in order.
fn run(world: &World, journal: &Arc<dyn Journal>, folder: &std::path::Path) {
    let outbox = Box::new(FileOutbox::open(folder.join("outbox")).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let config = quick(&folder.join("notifier"));
    let running = Running::start(config, Arc::clone(journal), &world.vault, outbox, stop);
    running.wait_for(world.last());
    running.end().unwrap();
}

#[test]
fn each_event_that_owes_a_text_gives_exactly_one_and_no_other_event_gives_any() {
    let mut world = World::new(1);
    world.register(7, 1);
    assert!(matches!(world.book(7, 0)[..], [Event::Confirmed { .. }]));
    let retry = world.retry();
    assert!(matches!(world.book_again(7, 1, retry)[..], [Event::Rejected { .. }]));
    assert!(matches!(world.book_again(7, 1, retry)[..], [Event::Repeated { .. }]));
    assert!(matches!(
        world.book_again(7, 2, domain::RetryKey { fingerprint: domain::Fingerprint(0), ..retry })[..],
        [Event::KeyReused { .. }]
    ));
    assert!(matches!(world.move_to(7, 0)[..], [Event::Changed { from, to, .. }] if from == to));
    assert!(matches!(world.move_to(7, 3)[..], [Event::Changed { from, to, .. }] if from != to));
    assert!(matches!(world.cancel(7)[..], [Event::Cancelled { .. }]));
    let refused = world.cancel(7);
    assert!(matches!(refused[..], [Event::Rejected { reason: Rejection::NoBooking, .. }]));
    world.cut();

    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(1));
    world.pour(&*journal);
    run(&world, &journal, folder.path());
    let lines = read_outbox(&folder.path().join("outbox"));
    assert_eq!(lines, world.owed(""));
    assert_eq!(lines.len(), 3, "confirmed, changed, cancelled");
    // Booked, moved and cancelled, as the person reads it (language 0: (7 + 1) % 4).
    assert!(lines[0].text.starts_with("【1922】預約成功：AZ疫苗，民國110年7月13日（二） 09:00至12:00，臺北市萬華區第0健康服務中心。"), "{}", lines[0].text);
    assert!(
        lines[1].text.contains("預約已更改：莫德納疫苗，民國110年7月14日（三）"),
        "{}",
        lines[1].text
    );
    assert!(lines[2].text.contains("預約已取消：莫德納疫苗"), "{}", lines[2].text);
    assert!(lines.iter().all(|line| line.to == "0900000701"));
}

#[test]
fn a_restart_goes_on_where_it_was_and_sends_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(2));
    let mut world = World::new(2);
    world.live(20, 300);
    let first_part = world.groups.len();
    world.pour(&*journal);
    run(&world, &journal, folder.path());
    assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));
    // Nothing new: nothing is sent.
    run(&world, &journal, folder.path());
    world.live(20, 300);
    append_groups(&*journal, &world.groups[first_part..]);
    // The disk of the notifier is lost: the book is filled again from events.
    std::fs::remove_dir_all(folder.path().join("notifier")).unwrap();
    run(&world, &journal, folder.path());
    assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));
    let (states, records) = read_deliveries(&*journal);
    assert_eq!(states.len(), world.owed("").len());
    assert!(states.values().all(|state| *state == DeliveryState::Sent));
    let epochs: Vec<u64> = records
        .iter()
        .filter_map(|record| match record {
            DeliveryRecord::Epoch { epoch, .. } => Some(*epoch),
            _ => None,
        })
        .collect();
    assert_eq!(epochs, [1, 2, 3]);
}

#[test]
fn a_text_goes_to_the_number_that_held_when_its_event_happened() {
    let mut world = World::new(3);
    for person in 0..8 {
        world.register(person, 1);
    }
    world.cut();
    for person in 0..8 {
        world.book(person, 0);
        world.cancel(person);
        // After the cancellation the person may change the number, or leave.
        if person % 2 == 0 {
            assert!(matches!(world.modify(person, 2)[..], [Event::Modified { .. }]));
        } else {
            assert!(matches!(world.withdraw(person)[..], [Event::Withdrawn { .. }]));
            world.register(person, 3);
        }
        world.book(person, 1);
    }
    world.cut();
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(3));
    world.pour(&*journal);
    run(&world, &journal, folder.path());
    let lines = read_outbox(&folder.path().join("outbox"));
    assert_eq!(lines, world.owed(""));
    assert_eq!(lines[0].to, "0900000001");
    assert_eq!(lines[2].to, "0900000002");
}

#[test]
fn texts_that_cannot_be_written_are_counted_and_the_others_go_out() {
    let mut world = World::new(4);
    let seal = |world: &World, person: u32, phone: &str| {
        let mut contact = World::contact(person, 0);
        contact.phone = phone.into();
        world.vault.seal_contact(&World::key(person).0, &contact).unwrap()
    };
    let landline = seal(&world, 0, "02-2345678");
    world.register_sealed(0, landline);
    world.register_sealed(1, Vec::new());
    // Sealed for another person: does not open.
    let foreign = seal(&world, 7, "0912345678");
    world.register_sealed(2, foreign);
    world.register(3, 0);
    for person in 0..4 {
        world.book(person, 0);
    }
    world.cut();
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(4));
    world.pour(&*journal);
    let outbox = Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let config = quick(folder.path());
    let running = Running::start(config, Arc::clone(&journal), &world.vault, outbox, stop);
    running.wait_for(world.last());
    let status = Arc::clone(&running.status);
    running.end().unwrap();
    let (states, _) = read_deliveries(&*journal);
    let states: Vec<DeliveryState> = states.into_values().collect();
    use DeliveryState::{NoContact, NoPhone, Sent, UnreadableContact};
    assert_eq!(states, [NoPhone, NoContact, UnreadableContact, Sent]);
    assert_eq!((status.sent(), status.failed(), status.ambiguous()), (1, 3, 0));
    assert_eq!(status.phase(), NotifierPhase::Stopped);
    let lines = read_outbox(&folder.path().join("outbox"));
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_seal_key_that_is_missing_stops_the_notifier_before_anything_is_given_up() {
    let secrets = Secrets::generate();
    let mut world = World::new(5);
    world.vault = Arc::new(Vault::new(secrets.clone().rotate_seal().unwrap()));
    world.register(1, 0);
    world.book(1, 0);
    world.cut();
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(5));
    world.pour(&*journal);
    let without_the_key = Arc::new(Vault::new(secrets));
    let outbox = Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let running =
        Running::start(quick(folder.path()), Arc::clone(&journal), &without_the_key, outbox, stop);
    running.wait_until("it ends", |status| status.failure().is_some());
    let failure = running.status.failure().unwrap();
    assert!(failure.contains("key 2"), "{failure}");
    assert!(matches!(running.end(), Err(NotifierError::Vault(_))));
    assert_eq!(read_outbox(&folder.path().join("outbox")), []);
    // With the key back, the text goes out, once.
    run(&world, &journal, folder.path());
    let folder = folder.path().join("outbox");
    assert_eq!(read_outbox(&folder), world.owed(""));
}

#[test]
fn deliveries_of_another_journal_are_refused() {
    let mut world = World::new(6);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(6));
    world.pour(&*journal);
    // Intents that name an event which owes no text.
    let (id, ..) = world
        .events()
        .into_iter()
        .find(|(_, _, event)| matches!(event, Event::Registered { .. }))
        .unwrap();
    let records =
        [[&[1_u8, 1, 1][..], &[9; 16]].concat(), vec![1, 3, 1, 0, 0, id.sequence.0 as u8, 1, 0, 0]];
    assert!(id.sequence.0 < 128);
    for record in &records {
        notifier::decode_delivery(record).unwrap();
        journal.append(Stream::Deliveries, &[record]).unwrap();
    }
    let outbox = Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let running = Running::start(quick(folder.path()), journal, &world.vault, outbox, stop);
    running.wait_until("it ends", |status| status.failure().is_some());
    assert!(matches!(running.end(), Err(NotifierError::OtherEvents { .. })));
    assert_eq!(read_outbox(&folder.path().join("outbox")), []);
}

#[test]
fn records_of_a_newer_format_stop_the_notifier() {
    let world = World::new(7);
    for stream in [Stream::Deliveries, Stream::Events] {
        let folder = tempfile::tempdir().unwrap();
        let journal: Arc<dyn Journal> = Arc::new(memory_journal(7));
        world.pour(&*journal);
        let newer = [200_u8; 64];
        journal.append(stream, &[&newer]).unwrap();
        let outbox = Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let running = Running::start(quick(folder.path()), journal, &world.vault, outbox, stop);
        running.wait_until("it ends", |status| status.failure().is_some());
        let failure = running.end().unwrap_err().to_string();
        assert!(failure.contains("format 200"), "{failure}");
    }
}

#[test]
fn groups_of_a_deposed_engine_give_no_texts() {
    let mut world = World::new(8);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(8));
    for (place, group) in world.groups.iter().enumerate() {
        // One from further on arrives too early, and each arrives twice.
        if let Some(beyond) = world.groups.get(place + 2) {
            journal.append(Stream::Events, &[beyond]).unwrap();
        }
        journal.append(Stream::Events, &[group]).unwrap();
        journal.append(Stream::Events, &[group]).unwrap();
    }
    run(&world, &journal, folder.path());
    assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));
}

#[test]
fn nothing_of_a_contact_stands_outside_the_outbox() {
    let mut world = World::new(9);
    world.live(30, 400);
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(9));
    world.pour(&*journal);
    run(&world, &journal, folder.path());
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(folder.path().join("notifier/contacts")).unwrap() {
        kept.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    for stream in Stream::ALL {
        let mut reader =
            journal.reader(stream, journal::Position::START, journal::Visibility::Durable).unwrap();
        while let Some(group) = reader.poll(std::time::Duration::ZERO).unwrap() {
            kept.extend_from_slice(group.records.packed());
        }
    }
    assert!(kept.len() > 10_000);
    for line in read_outbox(&folder.path().join("outbox")) {
        let needle = line.to.as_bytes();
        assert!(!kept.windows(needle.len()).any(|window| window == needle));
    }
    for needle in ["王小明".as_bytes(), b"A123456789"] {
        assert!(!kept.windows(needle.len()).any(|window| window == needle));
    }
}

#[test]
fn on_the_embedded_journal_a_restart_goes_on_where_it_was() {
    let mut world = World::new(10);
    let folder = tempfile::tempdir().unwrap();
    let mut poured = 0;
    for _ in 0..3 {
        world.live(20, 200);
        let opened =
            EmbeddedJournal::open(&folder.path().join("journal"), EmbeddedConfig::default());
        let journal: Arc<dyn Journal> = Arc::new(opened.unwrap());
        append_groups(&*journal, &world.groups[poured..]);
        poured = world.groups.len();
        run(&world, &journal, folder.path());
        journal.close();
        assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));
    }
}

#[test]
fn texts_are_the_same_however_many_people_are_kept_in_memory() {
    for (seed, reached_people_max) in [(11, 0), (12, 5), (13, 1 << 25)] {
        println!("seed {seed}, at most {reached_people_max} people in memory");
        let folder = tempfile::tempdir().unwrap();
        let journal: Arc<dyn Journal> = Arc::new(memory_journal(seed));
        let mut world = World::new(seed);
        let mut poured = 0;
        // Each part meets a notifier that was started anew, with the book that was left.
        for _ in 0..6 {
            world.live(20, 120);
            append_groups(&*journal, &world.groups[poured..]);
            poured = world.groups.len();
            let config =
                NotifierConfig { reached_people_max, ..quick(&folder.path().join("notifier")) };
            let outbox = Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
            let stop = Arc::new(AtomicBool::new(false));
            let running = Running::start(config, Arc::clone(&journal), &world.vault, outbox, stop);
            running.wait_for(world.last());
            running.end().unwrap();
        }
        assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));
    }
}

/// A stream that lost what was sent is not taken for one in which nothing was.
#[test]
fn deliveries_that_end_before_what_was_written_are_refused() {
    let mut world = World::new(14);
    world.live(20, 200);
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Arc<dyn Journal> {
        let opened =
            EmbeddedJournal::open(&folder.path().join("journal"), EmbeddedConfig::default());
        Arc::new(opened.unwrap())
    };
    let journal = open();
    world.pour(&*journal);
    run(&world, &journal, folder.path());
    let sent = read_outbox(&folder.path().join("outbox"));
    journal.close();
    drop(journal);
    let deliveries = folder.path().join("journal").join(Stream::Deliveries.name());
    std::fs::remove_dir_all(&deliveries).unwrap();
    std::fs::create_dir(&deliveries).unwrap();

    let journal = open();
    let outbox = || Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
    let config = || quick(&folder.path().join("notifier"));
    let vault = || Arc::clone(&world.vault);
    let refused = Notifier::open(config(), Arc::clone(&journal), vault(), outbox());
    let said = refused.err().unwrap();
    assert!(matches!(said, NotifierError::DeliveriesLost { end: 0, known: 1.., .. }), "{said}");
    let NotifierError::DeliveriesLost { file, .. } = said else { return };
    assert_eq!(read_outbox(&folder.path().join("outbox")), sent);
    // Who accepts it says so.
    std::fs::remove_file(file).unwrap();
    Notifier::open(config(), journal, vault(), outbox()).unwrap();
}
