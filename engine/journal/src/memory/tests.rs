//! The journal in memory, its faults and its restart.

#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

#[test]
fn a_lost_acknowledgement_leaves_the_record_in_the_journal() {
    let journal = MemoryJournal::new(MemoryConfig::default());
    journal.set_faults(MemoryFaults { lost_acknowledgement_once_in: 1, ..MemoryFaults::default() });
    journal.append(Stream::Commands, &[b"kept"]).unwrap_err();
    let again = journal.reopen();
    assert!(again.stored_bytes(Stream::Commands) > 0);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let journal = MemoryJournal::new(MemoryConfig::default());
    journal.set_faults(MemoryFaults { failed_write_once_in: 1, ..MemoryFaults::default() });
    journal.append(Stream::Commands, &[b"lost"]).unwrap_err();
    assert!(matches!(journal.health(), Health::Failed(_)));
    assert_eq!(journal.reopen().stored_bytes(Stream::Commands), 0);
}

#[test]
fn the_same_seed_fails_at_the_same_write() {
    let run = |seed| {
        let journal = MemoryJournal::new(MemoryConfig {
            seed,
            faults: MemoryFaults { failed_write_once_in: 10, lost_acknowledgement_once_in: 10 },
            ..MemoryConfig::default()
        });
        let written = |_: &u32| journal.append(Stream::Events, &[b"x"]).is_ok();
        (0..1_000).take_while(written).count()
    };
    assert_eq!(run(7), run(7));
    assert!((0..20).any(|seed| run(seed) != run(seed + 1)));
}

#[test]
fn unsynced_groups_are_gone_after_a_restart() {
    let journal = MemoryJournal::new(MemoryConfig {
        behind_sync_interval_ms: 1_000_000,
        ..MemoryConfig::default()
    });
    journal.append_behind(Stream::Events, b"one").unwrap();
    journal.sync(Stream::Events).unwrap();
    journal.append_behind(Stream::Events, b"two").unwrap();
    let again = journal.reopen();
    let mut reader = again.reader(Stream::Events, Position::START, Visibility::Accepted).unwrap();
    assert!(reader.poll(Duration::ZERO).unwrap().is_some());
    assert!(reader.poll(Duration::ZERO).unwrap().is_none());
}
