//! A journal whose end was torn loses nothing that was acknowledged before the tear, and goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use journal::embedded::WriteMode;
use journal::storage::crash::CrashStorage;
use journal::{Group, Journal, JournalError, Stream};
use support::{MODES, Seeded, config, disk, groups, open, records, segment_path};

const STREAM: Stream = Stream::Commands;

/// Bytes of a file before its first group.
const HEADER_BYTES: usize = 4_096;

/// Record sizes of the last three groups: one block, several blocks, several records.
const LAST_GROUPS: [&[usize]; 3] = [&[10], &[900, 600], &[1, 0, 300, 700]];

/// A disk as it stands while the journal runs, and the groups on it.
fn written(mode: WriteMode) -> (CrashStorage, Vec<Group>) {
    let disk = disk(mode);
    let journal = open(disk.clone(), config(mode)).unwrap();
    for number in 0..20_u8 {
        journal.append(STREAM, &[&vec![number; 37 * number as usize]]).unwrap();
    }
    for sizes in LAST_GROUPS {
        let group: Vec<Vec<u8>> = sizes.iter().map(|&size| vec![0xA5; size]).collect();
        let group: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
        journal.append(STREAM, &group).unwrap();
    }
    let groups = groups(&journal, STREAM).unwrap();
    (disk.copy(), groups)
}

fn all_records(groups: &[Group]) -> Vec<Vec<u8>> {
    let records = groups.iter().flat_map(|group| group.records.iter());
    records.map(<[u8]>::to_vec).collect()
}

/// What stands behind the cut.
#[derive(Clone, Copy, Debug)]
enum Behind {
    /// Nothing: the file ends there.
    End,
    /// Zeros, as in a file prepared ahead.
    Zeros,
    /// Other bytes, up to the end of the last group.
    Garbage,
}

fn tear(bytes: &[u8], at: usize, end: usize, behind: Behind, seeded: &mut Seeded) -> Vec<u8> {
    let mut torn = bytes.to_vec();
    match behind {
        Behind::End => torn.truncate(at),
        Behind::Zeros => torn[at..].fill(0),
        Behind::Garbage => torn[at..end].iter_mut().for_each(|byte| *byte = seeded.next() as u8),
    }
    torn
}

fn recovers_from_every_cut(mode: WriteMode, behind: Behind) {
    let seed = 20_261_122;
    println!("seed {seed}");
    let mut seeded = Seeded(seed);
    let (disk, groups) = written(mode);
    let path = segment_path(STREAM, 0);
    let bytes = disk.bytes(&path).unwrap();
    let first = HEADER_BYTES + groups[groups.len() - 3].position.0 as usize;
    let end = HEADER_BYTES + groups[groups.len() - 1].next.0 as usize;
    for at in first..end {
        let torn = disk.copy();
        torn.set_bytes(&path, &tear(&bytes, at, end, behind, &mut seeded));
        // A group whose cut bytes are padding is whole where zeros stand for them.
        let is_whole = |group: &&Group| {
            let end = HEADER_BYTES + group.next.0 as usize;
            let is_padding = end > at && bytes[at..end].iter().all(|&byte| byte == 0);
            end <= at || (is_padding && matches!(behind, Behind::Zeros))
        };
        let whole: Vec<Group> = groups.iter().filter(is_whole).cloned().collect();
        let mut expected = all_records(&whole);

        let journal = open(torn.clone(), config(mode)).unwrap();
        assert!(records(&journal, STREAM).unwrap() == expected, "cut at {at}");
        journal.append(STREAM, &[b"after the cut"]).unwrap();
        expected.push(b"after the cut".to_vec());
        journal.verify(STREAM).unwrap();
        journal.close();
        drop(journal);

        let again = open(torn, config(mode)).unwrap();
        assert!(records(&again, STREAM).unwrap() == expected, "cut at {at}, second start");
    }
}

#[test]
fn a_file_that_ends_anywhere_in_the_last_groups_is_recovered() {
    MODES.into_iter().for_each(|mode| recovers_from_every_cut(mode, Behind::End));
}

#[test]
fn zeros_from_anywhere_in_the_last_groups_are_recovered() {
    MODES.into_iter().for_each(|mode| recovers_from_every_cut(mode, Behind::Zeros));
}

#[test]
fn garbage_from_anywhere_in_the_last_groups_is_recovered() {
    MODES.into_iter().for_each(|mode| recovers_from_every_cut(mode, Behind::Garbage));
}

#[test]
fn a_hole_in_front_of_an_acknowledged_group_is_damage_and_is_not_cut() {
    for mode in MODES {
        let (disk, groups) = written(mode);
        let path = segment_path(STREAM, 0);
        let group = &groups[groups.len() - 3];
        let (from, until) = (group.position.0 as usize, group.next.0 as usize);
        for block in (from..until).step_by(512) {
            let holed = disk.copy();
            let mut bytes = holed.bytes(&path).unwrap();
            bytes[HEADER_BYTES + block..HEADER_BYTES + block + 512].fill(0);
            holed.set_bytes(&path, &bytes);
            match open(holed.clone(), config(mode)) {
                Err(JournalError::Damaged { stream, place, .. }) => {
                    assert_eq!(stream, "commands");
                    let expected = format!("{}, byte {}", path.display(), HEADER_BYTES + from);
                    assert!(place.contains(&expected), "{place}");
                }
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("a hole was taken for a torn tail"),
            }
            assert_eq!(holed.bytes(&path).unwrap(), bytes, "damage must be left as it is");
        }
    }
}

/// Several accepted groups go to the disk in one write. If it is torn in front of an intact group,
/// that group must not come back later as the successor of a new one.
#[test]
fn an_intact_group_behind_a_torn_one_never_comes_back() {
    for mode in MODES {
        let disk = disk(mode);
        let mut settings = config(mode);
        settings.behind_sync_interval_ms = 600_000;
        let journal = open(disk.clone(), settings).unwrap();
        journal.append(STREAM, &[b"kept"]).unwrap();
        for name in [b"torn", b"left"] {
            journal.append_behind(STREAM, name).unwrap();
        }
        journal.sync(STREAM).unwrap();
        let groups = groups(&journal, STREAM).unwrap();
        let torn = disk.copy();
        drop(journal);
        let path = segment_path(STREAM, 0);
        let mut bytes = torn.bytes(&path).unwrap();
        let at = HEADER_BYTES + groups[1].position.0 as usize;
        bytes[at + 100] ^= 0xFF;
        torn.set_bytes(&path, &bytes);

        // Both accepted groups were written when nothing beyond the first was known to be durable.
        let journal = open(torn.clone(), config(mode)).unwrap();
        assert_eq!(records(&journal, STREAM).unwrap(), [b"kept"]);
        // A group of the torn one's size ends exactly where the leftover one began.
        journal.append(STREAM, &[b"newer"]).unwrap();
        drop(journal);
        let journal = open(torn, config(mode)).unwrap();
        assert_eq!(records(&journal, STREAM).unwrap(), [&b"kept"[..], b"newer"]);
    }
}

#[test]
fn a_missing_file_between_two_others_is_damage() {
    for mode in MODES {
        let disk = disk(mode);
        let journal = open(disk.clone(), config(mode)).unwrap();
        for _ in 0..250 {
            journal.append(STREAM, &[&[1; 1_000]]).unwrap();
        }
        journal.close();
        let mut paths: Vec<_> = disk.paths();
        paths.retain(|path| path.to_string_lossy().contains("commands/"));
        assert!(paths.len() >= 4);
        for missing in &paths[1..paths.len() - 1] {
            let holed = disk.copy();
            journal::storage::Storage::remove(&holed, missing).unwrap();
            let result = open(holed, config(mode)).err();
            assert!(matches!(result, Some(JournalError::Damaged { .. })), "{result:?}");
        }
    }
}
