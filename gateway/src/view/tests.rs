//! Checkpoints against a crash at any point, and finding one's place in the events again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use domain::codec::EventGroupWriter;
use domain::view::View;
use domain::{Anchor, Event, Millis, Origin, PersonKey, PersonNumber, Sequence};
use journal::memory::MemoryConfig;
use journal::{Journal, JournalId, MemoryJournal, Position, Stream};
use parking_lot::RwLock;
use tempfile::TempDir;
use vault::contacts::ContactBook;

use super::checkpoint::Job;
use super::events::{Events, Verdict};
use super::files::{Files, Step};
use super::note::{Hint, Note};
use super::start::{self, Expected, Loaded};

/// The gateway of these tests does not end while it opens streams.
static NEVER: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

const JOURNAL: JournalId = JournalId([7; 16]);

/// One person more than those known.
fn grow(view: &mut View, people: u64) {
    for _ in 0..people {
        let number = view.figures().people;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        let person = PersonNumber(number as u32);
        let sequence = Sequence(view.sequence().0 + 1);
        view.absorb(sequence, Millis(5), &Event::Numbered { person, key: PersonKey(key) });
    }
}

fn note_of(view: &View) -> Note {
    let anchor = Anchor { last: view.sequence(), chain: [1; 32] };
    Note { journal: JOURNAL, anchor, hints: Vec::new() }
}

/// Writes a checkpoint of the view as it stands, contacts first.
fn write(
    view: &RwLock<View>,
    contacts: &RwLock<ContactBook>,
    files: &Files,
    step: impl FnMut(Step),
) -> Result<u64, String> {
    let note = note_of(&view.read());
    let last = note.anchor.last.0;
    contacts.read().put_batch(last, &[(last as u32, b"sealed")]).unwrap();
    let mut capture = view.write().begin_capture(&note.encode(), 1 << 20);
    capture.set_portion_bytes(1_000);
    let hurry = AtomicBool::new(false);
    let job = Job { view, contacts, files, bytes_per_second_max: 0, hurry: &hurry };
    job.write(capture, step).map(|written| written.bytes)
}

fn load(files: &Files, journal: JournalId, contacts_watermark: u64) -> Option<Loaded> {
    let (places, stop) = (Arc::default(), AtomicBool::new(false));
    let progress = |done, all| assert!(done <= all);
    start::newest(
        files,
        &Expected {
            journal,
            contacts_watermark,
            places: &places,
            progress: &progress,
            stop: &stop,
        },
    )
}

/// What a crash leaves of a folder: its files as they are now.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A view with one checkpoint, and its contacts.
struct Ground {
    folder: TempDir,
    view: RwLock<View>,
    contacts: RwLock<ContactBook>,
    files: Files,
}

impl Ground {
    fn new() -> Ground {
        let folder = tempfile::tempdir().unwrap();
        let contacts = RwLock::new(ContactBook::open(folder.path().join("contacts")).unwrap());
        let files = Files::open(&folder.path().join("view")).unwrap();
        let view = RwLock::new(View::new());
        grow(&mut view.write(), 1_000);
        write(&view, &contacts, &files, |_| {}).unwrap();
        Ground { folder, view, contacts, files }
    }

    fn newest(&self) -> std::path::PathBuf {
        self.files.newest_first().unwrap()[0].path.clone()
    }
}

#[test]
fn a_crash_between_any_two_steps_leaves_the_older_checkpoint_or_the_new_one_and_its_contacts() {
    let ground = Ground::new();
    let crashes = tempfile::tempdir().unwrap();
    grow(&mut ground.view.write(), 500);
    let mut steps = Vec::new();
    let bytes = write(&ground.view, &ground.contacts, &ground.files, |step| {
        let crash = crashes.path().join(steps.len().to_string());
        copy(&ground.folder.path().join("view"), &crash.join("view"));
        copy(&ground.folder.path().join("contacts"), &crash.join("contacts"));
        // The view goes on meanwhile.
        grow(&mut ground.view.write(), 1);
        steps.push(step);
    });
    assert!(bytes.unwrap() > 50_000 && steps.len() > 50, "{steps:?}");
    assert!(steps.is_sorted() && steps.first() == Some(&Step::ContactsDurable));
    assert_eq!(steps.last(), Some(&Step::Pruned));
    for (place, step) in steps.iter().enumerate() {
        let crash = crashes.path().join(place.to_string());
        let book = ContactBook::open(crash.join("contacts")).unwrap();
        let files = Files::open(&crash.join("view")).unwrap();
        let loaded = load(&files, JOURNAL, book.watermark()).expect("one of the two");
        let expected = if *step < Step::Renamed { 1_000 } else { 1_500 };
        assert_eq!(loaded.view.sequence(), Sequence(expected), "{step:?}");
        assert_eq!((loaded.view.figures().people, loaded.note), (expected, note_of(&loaded.view)));
        assert!(book.get(expected as u32).unwrap().is_some());
    }
}

#[test]
fn a_damaged_or_cut_or_lengthened_checkpoint_falls_back_to_the_older_one_and_is_set_aside() {
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(5),
        |bytes| bytes.clear(),
        |bytes| bytes.push(0),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
        // A newer format.
        |bytes| bytes[8] += 1,
    ];
    for damage in damages {
        let ground = Ground::new();
        grow(&mut ground.view.write(), 500);
        write(&ground.view, &ground.contacts, &ground.files, |_| {}).unwrap();
        let newest = ground.newest();
        let mut bytes = fs::read(&newest).unwrap();
        damage(&mut bytes);
        fs::write(&newest, &bytes).unwrap();
        let loaded = load(&ground.files, JOURNAL, 1_500).expect("the older one");
        assert_eq!(loaded.view.sequence(), Sequence(1_000));
        assert!(!newest.exists());
        assert!(load(&ground.files, JOURNAL, 1_500).is_some());
        // With the next checkpoint it goes.
        write(&ground.view, &ground.contacts, &ground.files, |_| {}).unwrap();
        assert_eq!(fs::read_dir(ground.folder.path().join("view")).unwrap().count(), 2);
    }
}

#[test]
fn another_journals_checkpoint_and_one_that_the_contact_book_is_behind_are_not_used() {
    let ground = Ground::new();
    assert!(load(&ground.files, JournalId([8; 16]), 1_000).is_none());
    assert_eq!(ground.files.newest_first().unwrap().len(), 0);
    let ground = Ground::new();
    assert!(load(&ground.files, JOURNAL, 999).is_none());
    let ground = Ground::new();
    assert!(load(&ground.files, JOURNAL, 1_000).is_some());
    assert!(load(&ground.files, JOURNAL, u64::MAX).is_some());
}

#[test]
fn a_disk_that_fails_loses_the_checkpoint_and_nothing_else() {
    let ground = Ground::new();
    let folder = ground.folder.path().join("view");
    let elsewhere = ground.folder.path().join("elsewhere");
    fs::rename(&folder, &elsewhere).unwrap();
    let why = write(&ground.view, &ground.contacts, &ground.files, |_| {}).unwrap_err();
    assert!(why.contains("the disk"), "{why}");
    ground.view.write().end_capture();
    fs::rename(&elsewhere, &folder).unwrap();
    // Lost half way: the folder is gone when the file gets its name.
    let why = write(&ground.view, &ground.contacts, &ground.files, |step| {
        if step == Step::Synced {
            fs::rename(&folder, &elsewhere).unwrap();
        }
    });
    assert!(why.is_err());
    ground.view.write().end_capture();
    fs::rename(&elsewhere, &folder).unwrap();
    grow(&mut ground.view.write(), 1);
    let files = Files::open(&folder).unwrap();
    assert_eq!(load(&files, JOURNAL, 1_000).unwrap().view.sequence(), Sequence(1_000));
    write(&ground.view, &ground.contacts, &files, |_| {}).unwrap();
    assert_eq!(load(&files, JOURNAL, 1_001).unwrap().view.sequence(), Sequence(1_001));
}

#[test]
fn more_changes_than_memory_allows_give_the_checkpoint_up() {
    let ground = Ground::new();
    let correct =
        |person| Event::BirthCorrected { person: PersonNumber(person), born_on: domain::Day(3) };
    let mut capture = ground.view.write().begin_capture(b"", 500);
    capture.set_portion_bytes(100);
    let hurry = AtomicBool::new(false);
    let job = Job {
        view: &ground.view,
        contacts: &ground.contacts,
        files: &ground.files,
        bytes_per_second_max: 0,
        hurry: &hurry,
    };
    let why = job.write(capture, |_| {
        let mut view = ground.view.write();
        let sequence = Sequence(view.sequence().0 + 1);
        (900..910).for_each(|person| view.absorb(sequence, Millis(5), &correct(person)));
    });
    assert!(why.unwrap_err().contains("memory"));
    assert_eq!(fs::read_dir(ground.folder.path().join("view")).unwrap().count(), 1);
}

#[test]
fn a_checkpoint_is_written_no_faster_than_allowed_unless_in_a_hurry() {
    let ground = Ground::new();
    for (hurried, slow) in [(false, true), (true, false)] {
        let note = note_of(&ground.view.read()).encode();
        let mut capture = ground.view.write().begin_capture(&note, 1 << 20);
        capture.set_portion_bytes(1_000);
        let hurry = AtomicBool::new(hurried);
        let job = Job {
            view: &ground.view,
            contacts: &ground.contacts,
            files: &ground.files,
            // A hundredth of a second for what is there at least: 48 bytes a person.
            bytes_per_second_max: 48 * 1_000 * 100,
            hurry: &hurry,
        };
        let began = std::time::Instant::now();
        job.write(capture, |_| {}).unwrap();
        // Only what cannot depend on how busy the machine is.
        assert!(!slow || began.elapsed() >= Duration::from_millis(9));
    }
}

/// A stream of events in which a group names its last command and its chain hash.
struct Stand {
    journal: MemoryJournal,
    positions: Vec<Position>,
}

impl Stand {
    fn new(groups: &[(u64, u64, u8)]) -> Stand {
        let config = MemoryConfig { behind_sync_interval_ms: 3_600_000, ..MemoryConfig::default() };
        let mut stand = Stand { journal: MemoryJournal::new(config), positions: Vec::new() };
        stand.positions = groups.iter().map(|group| stand.put(*group)).collect();
        stand
    }

    fn put(&self, (first, last, chain): (u64, u64, u8)) -> Position {
        let mut writer = EventGroupWriter::new(Sequence(first), Millis(5));
        (first..=last).for_each(|_| writer.command(Origin(0), &[]));
        let mut bytes = Vec::new();
        writer.finish([chain; 32], &mut bytes);
        self.journal.append_behind(Stream::Events, &bytes).unwrap()
    }

    /// A reader behind command 20, whose group has chain hash 2, with hints at these groups.
    fn behind(&self, hints: &[usize]) -> Events<'_> {
        let anchor = Anchor { last: Sequence(20), chain: [2; 32] };
        let hints = hints.iter().map(|place| self.positions[*place]);
        let hints = hints.map(|position| Hint { sequence: Sequence(1), position }).collect();
        Events::behind(&self.journal, &NEVER, anchor, hints).unwrap()
    }
}

/// Everything there is to read: the last command of each group taken in, how many groups were read, and
/// the last verdict.
fn read(events: &mut Events<'_>) -> (Vec<u64>, usize, Option<Verdict>) {
    let (mut taken, mut count, mut last) = (Vec::new(), 0, None);
    let mut idle = 0;
    while idle < 3 && last != Some(Verdict::OtherHistory) {
        let Some(group) = events.poll(Duration::ZERO).unwrap() else {
            idle += 1;
            continue;
        };
        for record in group.records.iter() {
            let group = domain::codec::EventGroup::decode(record).unwrap();
            let verdict = events.judge(&group).unwrap();
            if verdict == Verdict::TakeIn {
                taken.push(group.last().0);
            }
            (count, last) = (count + 1, Some(verdict));
        }
    }
    (taken, count, last)
}

/// Groups in order: 1..=10, 11..=20 (the checkpoint's last), 21..=30, 31..=31.
const ORDERLY: [(u64, u64, u8); 4] = [(1, 10, 1), (11, 20, 2), (21, 30, 3), (31, 31, 4)];

#[test]
fn reading_goes_on_behind_the_checkpoint_whatever_the_hints_are_worth() {
    let stand = Stand::new(&ORDERLY);
    let cases: [(&[usize], usize); 7] = [
        // The place itself: it, and the two behind it, are read.
        (&[1], 3),
        // Before it.
        (&[0], 4),
        // None.
        (&[], 4),
        // Behind it: one is read in vain, then from the next hint, then from the start.
        (&[2, 1], 4),
        (&[3, 2, 1], 5),
        (&[3, 2], 6),
        (&[2], 5),
    ];
    for (hints, count) in cases {
        let found = read(&mut stand.behind(hints));
        assert_eq!(found, (vec![30, 31], count, Some(Verdict::TakeIn)), "{hints:?}");
    }
    let anchor = Anchor { last: Sequence(20), chain: [2; 32] };
    for position in [1, stand.positions[1].0 + 1, u64::MAX] {
        let hints = vec![Hint { sequence: Sequence(1), position: Position(position) }];
        let mut events = Events::behind(&stand.journal, &NEVER, anchor, hints).unwrap();
        assert_eq!(read(&mut events), (vec![30, 31], 4, Some(Verdict::TakeIn)), "{position}");
    }
}

#[test]
fn a_checkpoint_ahead_of_the_events_waits_until_they_are_written_again() {
    let stand = Stand::new(&ORDERLY[..1]);
    let mut events = stand.behind(&[]);
    assert_eq!(read(&mut events), (vec![], 1, Some(Verdict::Drop)));
    for (group, taken) in ORDERLY[1..].iter().zip([vec![], vec![30], vec![31]]) {
        stand.put(*group);
        assert_eq!(read(&mut events).0, taken);
    }
    stand.put((31, 31, 4));
    assert_eq!(read(&mut events), (vec![], 1, Some(Verdict::Drop)));
}

#[test]
fn a_deposed_engines_groups_are_dropped_before_and_behind_the_checkpoint() {
    // 21..=30 stands before 11..=20, twice: it is taken in where it follows.
    let stand = Stand::new(&[(1, 10, 1), (21, 30, 3), (11, 20, 2), (11, 20, 2), (21, 30, 3)]);
    for hints in [&[][..], &[0], &[2], &[1, 0], &[1]] {
        let (taken, _, last) = read(&mut stand.behind(hints));
        assert_eq!((taken, last), (vec![30], Some(Verdict::TakeIn)), "{hints:?}");
    }
    let stand = Stand::new(&[(1, 10, 1), (11, 20, 2), (31, 31, 4), (11, 20, 2), (21, 30, 3)]);
    for hints in [&[][..], &[1], &[2], &[3]] {
        let (taken, _, last) = read(&mut stand.behind(hints));
        assert_eq!((taken, last), (vec![30], Some(Verdict::TakeIn)), "{hints:?}");
    }
}

#[test]
fn another_history_is_noticed_by_its_chain_or_by_its_borders() {
    for groups in [&[(1, 10, 1), (11, 20, 9)][..], &[(1, 10, 1), (11, 25, 2)], &[(1, 30, 3)]] {
        let stand = Stand::new(groups);
        for hints in [&[][..], &[0]] {
            let (taken, _, last) = read(&mut stand.behind(hints));
            assert_eq!((taken, last), (vec![], Some(Verdict::OtherHistory)), "{groups:?}");
        }
    }
}
