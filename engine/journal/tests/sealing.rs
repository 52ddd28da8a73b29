//! The last group does not stay ambiguous: an empty one proves it when nothing follows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use journal::{Journal, JournalError, Position, Stream, Visibility};
use support::{MODES, config, disk, groups, open, segment_path};

const STREAM: Stream = Stream::Commands;

/// Longest wait for the sealing group.
const PATIENCE_S: u64 = 60;

#[test]
fn an_idle_journal_proves_its_last_group() {
    for mode in MODES {
        let disk = disk(mode);
        let mut settings = config(mode);
        settings.seal_after_idle_ms = 1;
        let journal = open(disk.clone(), settings).unwrap();
        journal.append(STREAM, &[b"last"]).unwrap();
        let mut reader = journal.reader(STREAM, Position::START, Visibility::Durable).unwrap();
        let mut next = || reader.poll(Duration::from_secs(PATIENCE_S)).unwrap().unwrap();
        assert_eq!(next().records.len(), 1);
        assert!(next().records.is_empty(), "the sealing group holds no records");
        // Without another process's help, a changed byte of the last group is damage now.
        let copy = disk.copy();
        copy.flip(&segment_path(STREAM, 0), 4_096 + 84, 1);
        let result = open(copy, config(mode)).err();
        assert!(matches!(result, Some(JournalError::Damaged { .. })), "{result:?}");
    }
}

#[test]
fn one_sealing_group_is_enough() {
    for mode in MODES {
        let disk = disk(mode);
        for _ in 0..5 {
            let journal = open(disk.clone(), config(mode)).unwrap();
            journal.close();
        }
        let journal = open(disk.clone(), config(mode)).unwrap();
        journal.append(STREAM, &[b"only"]).unwrap();
        journal.close();
        for _ in 0..5 {
            let journal = open(disk.clone(), config(mode)).unwrap();
            assert_eq!(groups(&journal, STREAM).unwrap().len(), 2);
        }
    }
}

#[test]
fn a_start_after_a_kill_proves_what_it_kept() {
    for mode in MODES {
        let disk = disk(mode);
        let journal = open(disk.clone(), config(mode)).unwrap();
        journal.append(STREAM, &[b"kept"]).unwrap();
        let killed = disk.copy();
        drop(journal);
        let journal = open(killed.clone(), config(mode)).unwrap();
        let found = groups(&journal, STREAM).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found[1].records.is_empty());
        let copy = killed.copy();
        copy.flip(&segment_path(STREAM, 0), 4_096 + 84, 1);
        let result = open(copy, config(mode)).err();
        assert!(matches!(result, Some(JournalError::Damaged { .. })), "{result:?}");
    }
}
