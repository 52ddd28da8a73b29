//! A disk that takes no contact data for a while: no text is lost or doubled, and the notifier goes on
//! by itself once there is room.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use journal::Journal;
use notifier::{FileOutbox, NotifierConfig};
use rocks::faults::FullDisk;
use world::*;

/// Rows that may wait in memory.
const ROWS_MAX: usize = 64;
/// Bytes of a large person's contact data.
const LARGE_BYTES: usize = 4_000;
/// So many large people are more than a book gathers in memory before it writes a table.
const LARGE_PEOPLE: u32 = (vault::contacts::WRITE_BUFFER_BYTES_MAX / LARGE_BYTES) as u32 * 5 / 4;

/// Groups of the world that are not in the journal yet.
fn pour_rest(world: &World, journal: &dyn Journal, poured: &mut usize) {
    append_groups(journal, &world.groups[*poured..]);
    *poured = world.groups.len();
}

#[test]
fn contact_data_waits_out_a_full_disk_and_no_text_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(1));
    let (mut world, mut poured) = (World::new(1), 0);
    let start = |world: &World| {
        let outbox = Box::new(FileOutbox::open(folder.path().join("outbox")).unwrap());
        let base = quick(&folder.path().join("notifier"));
        let config = NotifierConfig { contact_rows_max: ROWS_MAX, ..base };
        let stop = Arc::new(AtomicBool::new(false));
        Running::start(config, Arc::clone(&journal), &world.vault, outbox, stop)
    };
    let running = start(&world);
    let full = FullDisk::under(&folder.path().join("notifier/contacts")).unwrap();

    for person in 0..LARGE_PEOPLE {
        world.register_sealed(1_000 + person, vec![7; LARGE_BYTES]);
        world.cut();
    }
    pour_rest(&world, &*journal, &mut poured);
    running.wait_until("it says that contact data waits", |status| {
        status.book_trouble().is_some_and(|why| why.contains("No space left"))
    });
    for person in 1..=5 {
        world.register(person, 0);
        world.book(person, person % SLOTS);
        world.modify(person, 1);
        world.move_to(person, (person + 1) % SLOTS);
    }
    world.cut();
    pour_rest(&world, &*journal, &mut poured);

    drop(full);
    running.wait_for(world.last());
    running
        .wait_until("the book takes contact data again", |status| status.book_trouble().is_none());
    running.end().unwrap();
    assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));

    // What waited is in the book: who registered meanwhile is reached from it after a start.
    let running = start(&world);
    (1..=5).for_each(|person| drop(world.cancel(person)));
    world.cut();
    pour_rest(&world, &*journal, &mut poured);
    running.wait_for(world.last());
    running.end().unwrap();
    assert_eq!(read_outbox(&folder.path().join("outbox")), world.owed(""));
}
