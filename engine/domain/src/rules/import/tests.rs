//! Imports by table: what takes effect when, and what does not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::super::testing::*;
use super::*;
use crate::codec::import_hash;
use crate::{
    CategoryNumber, Command, CountyNumber, Day, PersonKey, PersonNumber, Site, SiteNumber,
    SlotNumber, VaccineNumber,
};

fn begin(import: u64, kind: ImportKind) -> Command {
    Command::ImportBegin { import, kind }
}

fn slots_kind(vaccines: &[&str]) -> ImportKind {
    ImportKind::Slots { vaccines: vaccines.iter().map(|name| name.to_string()).collect() }
}

fn commit_of(import: u64, chunks: &[ImportRows]) -> Command {
    Command::ImportCommit {
        import,
        rows: chunks.iter().map(staging::count).sum(),
        hash: import_hash(chunks),
    }
}

fn chunk_of(import: u64, rows: ImportRows) -> Command {
    Command::ImportChunk { import, rows }
}

const MEMBERS: ImportKind = ImportKind::Members { category: CATEGORY };

#[test]
fn nothing_holds_before_the_commit_and_everything_after_it() {
    let mut desk = Desk::early();
    let rows = ImportRows::Slots(vec![slot_row(Day(18_850), 0, 7), slot_row(Day(18_851), 0, 7)]);
    assert_eq!(
        desk.apply(begin(5, slots_kind(&["AZ"]))),
        [Event::ImportStaged { import: 5, rows: 0 }]
    );
    let staged = desk.apply(chunk_of(5, rows.clone()));
    assert_eq!(staged, [Event::ImportStaged { import: 5, rows: 2 }]);
    assert_eq!(desk.state.slots_count(), 3);
    desk.check();
    let events = desk.apply(commit_of(5, &[rows]));
    let Event::SlotsPut { slots } = &events[0] else {
        panic!("{events:?}");
    };
    let numbers: Vec<_> = slots.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [SlotNumber(3), SlotNumber(4)]);
    assert_eq!(events[1..], [Event::ImportCommitted { import: 5, rows: 2, added: 2 }]);
    assert_eq!(desk.state.slot(SlotNumber(4)).unwrap().0, slots[1].1);
    desk.check();
}

#[test]
fn an_import_ends_by_the_next_one_even_of_the_same_name() {
    let mut desk = Desk::early();
    desk.apply(begin(5, ImportKind::Sites));
    desk.apply(site_chunk(5, &["a", "b"]));
    desk.check();
    let events = desk.apply(begin(5, ImportKind::Sites));
    assert_eq!(
        events,
        [Event::ImportVoided { import: 5 }, Event::ImportStaged { import: 5, rows: 0 }]
    );
    desk.check();
    desk.apply(begin(6, ImportKind::Sites));
    let late = desk.refusals(site_chunk(5, &["a"]));
    assert_eq!(late, [(0, OperatorRefusal::UnknownImport)]);
    let late = desk.refusals(commit_of(5, &[]));
    assert_eq!(late, [(0, OperatorRefusal::UnknownImport)]);
    desk.check();
}

#[test]
fn a_commit_with_another_count_or_hash_takes_nothing_and_the_right_one_still_can() {
    let mut desk = Desk::early();
    desk.apply(begin(5, ImportKind::Sites));
    desk.apply(site_chunk(5, &["a", "b"]));
    let rows = [ImportRows::Sites(vec![site("a"), site("b")])];
    let hash = import_hash(&rows);
    for (rows, hash) in [(1, hash), (3, hash), (2, [0; 32])] {
        let found = desk.refusals(Command::ImportCommit { import: 5, rows, hash });
        assert_eq!(found, [(0, OperatorRefusal::ImportMismatch)]);
    }
    assert_eq!(desk.state.catalogue.sites.len(), 1);
    let events = desk.apply(commit_of(5, &rows));
    assert!(matches!(events.last(), Some(Event::ImportCommitted { added: 2, .. })));
    let again = desk.refusals(commit_of(5, &rows));
    assert_eq!(again, [(0, OperatorRefusal::UnknownImport)]);
    desk.check();
}

#[test]
fn begin_refuses_members_of_no_list_and_too_many_vaccines_and_leaves_the_import_under_way() {
    let mut desk = Desk::early();
    desk.apply(begin(5, ImportKind::Sites));
    let many: Vec<String> = (0..15).map(|number| number.to_string()).collect();
    let unknown = ImportKind::Members { category: CategoryNumber(1) };
    let cases = [
        (MEMBERS, OperatorRefusal::UnknownCategory),
        (unknown, OperatorRefusal::UnknownCategory),
        (ImportKind::Slots { vaccines: many }, OperatorRefusal::TooManyVaccines),
    ];
    for (kind, expected) in cases {
        assert_eq!(desk.refusals(begin(6, kind)), [(0, expected)]);
    }
    assert_eq!(desk.refusals(site_chunk(5, &["a"])), []);
}

#[test]
fn a_chunk_with_a_row_that_cannot_be_is_not_kept() {
    let good = slot_row(Day(18_850), 0, 7);
    let cases: &[(ImportKind, ImportRows, u32, OperatorRefusal)] = &[
        (ImportKind::Sites, ImportRows::Members(vec![key(1)]), 0, OperatorRefusal::BadNumber),
        (
            ImportKind::Sites,
            ImportRows::Sites(vec![site("a"), site("")]),
            1,
            OperatorRefusal::BadNumber,
        ),
        (
            ImportKind::Sites,
            ImportRows::Sites(vec![Site { county: CountyNumber(64), ..site("a") }]),
            0,
            OperatorRefusal::BadNumber,
        ),
        (
            slots_kind(&["AZ"]),
            ImportRows::Slots(vec![
                SlotRow { day: Day(-1), ..good },
                SlotRow { site: SiteNumber(1), ..good },
            ]),
            1,
            OperatorRefusal::UnknownSite,
        ),
        (
            slots_kind(&["AZ"]),
            ImportRows::Slots(vec![good, SlotRow { day: Day(SLOT_DAY_MAX + 1), ..good }]),
            1,
            OperatorRefusal::BadNumber,
        ),
        (
            slots_kind(&["AZ"]),
            ImportRows::Slots(vec![SlotRow { end_minute: good.start_minute, ..good }]),
            0,
            OperatorRefusal::BadNumber,
        ),
        (
            slots_kind(&["AZ"]),
            ImportRows::Slots(vec![SlotRow { end_minute: 1_441, ..good }]),
            0,
            OperatorRefusal::BadNumber,
        ),
        (
            slots_kind(&["AZ"]),
            ImportRows::Slots(vec![good, good, SlotRow { vaccine: 1, ..good }]),
            2,
            OperatorRefusal::BadNumber,
        ),
        (
            slots_kind(&["AZ"]),
            ImportRows::Slots(vec![good; IMPORT_CHUNK_ROWS_MAX + 1]),
            IMPORT_CHUNK_ROWS_MAX as u32,
            OperatorRefusal::TooManyRows,
        ),
    ];
    for (kind, rows, row, reason) in cases {
        let mut desk = Desk::early();
        desk.apply(begin(5, kind.clone()));
        assert_eq!(desk.refusals(chunk_of(5, rows.clone())), [(*row, *reason)]);
        assert_eq!(desk.state.staging.import.as_ref().unwrap().head.rows, 0);
        desk.check();
    }
}

#[test]
fn an_import_holds_as_many_rows_as_its_limit_and_not_one_more() {
    let mut desk = Desk::early();
    desk.put_category(Some(ADULT), true);
    desk.apply(begin(5, MEMBERS));
    let rows = |count| ImportRows::Members(vec![key(1); count]);
    for _ in 0..IMPORT_ROWS_MAX / IMPORT_CHUNK_ROWS_MAX - 1 {
        assert_eq!(desk.refusals(chunk_of(5, rows(IMPORT_CHUNK_ROWS_MAX))), []);
    }
    assert_eq!(desk.refusals(chunk_of(5, rows(IMPORT_CHUNK_ROWS_MAX - 1))), []);
    assert_eq!(desk.refusals(chunk_of(5, rows(2))), [(1, OperatorRefusal::TooManyRows)]);
    assert_eq!(desk.refusals(chunk_of(5, rows(1))), []);
}

#[test]
fn a_known_slot_changes_its_capacity_unless_it_falls_below_the_places_booked() {
    let mut desk = Desk::open();
    for name in [1, 2] {
        let person = desk.register(name);
        desk.book(person, SLOT, 1);
    }
    let rows = |capacity| {
        ImportRows::Slots(vec![slot_row(LATE_SLOT_DAY, 0, 9), slot_row(SLOT_DAY, 0, capacity)])
    };
    desk.apply(begin(5, slots_kind(&["AZ", "Novavax"])));
    desk.apply(chunk_of(5, rows(1)));
    let found = desk.refusals(commit_of(5, &[rows(1)]));
    assert_eq!(found, [(1, OperatorRefusal::CapacityBelowBooked)]);
    assert_eq!(desk.state.slot(LATE_SLOT).unwrap().0.capacity, SLOT_CAPACITY);
    assert_eq!(desk.state.catalogue.vaccines.len(), 2);
    desk.check();

    let events = desk.import(slots_kind(&["AZ", "Novavax"]), vec![rows(2)]);
    assert!(matches!(
        &events[..],
        [
            Event::VaccineNamed { vaccine: VaccineNumber(2), .. },
            Event::SlotsPut { .. },
            Event::ImportCommitted { rows: 2, added: 0, .. }
        ]
    ));
    assert_eq!(desk.state.slot(SLOT).unwrap().0.capacity, 2);
    desk.check();
}

#[test]
fn the_last_of_equal_rows_holds_and_counts_once() {
    let mut desk = Desk::early();
    let day = Day(18_850);
    let rows = vec![slot_row(day, 0, 5), slot_row(day, 0, 6)];
    let events = desk.import(slots_kind(&["Pfizer"]), vec![ImportRows::Slots(rows)]);
    assert!(matches!(events.last(), Some(Event::ImportCommitted { rows: 2, added: 1, .. })));
    assert_eq!(desk.state.slot(SlotNumber(3)).unwrap().0.capacity, 6);
    let sites = vec![ImportRows::Sites(vec![site("two"), site("two"), site("one")])];
    let events = desk.import(ImportKind::Sites, sites);
    let Event::SitesPut { sites } = &events[0] else {
        panic!("{events:?}");
    };
    let numbers: Vec<_> = sites.iter().map(|(number, _)| number.0).collect();
    assert_eq!(numbers, [1, 1, 0]);
    assert!(matches!(events[1], Event::ImportCommitted { rows: 3, added: 1, .. }));
    desk.check();
}

#[test]
fn vaccines_named_in_the_meantime_can_still_make_a_commit_too_much() {
    let mut desk = Desk::early();
    desk.apply(begin(5, slots_kind(&["one more"])));
    let rows = ImportRows::Slots(vec![slot_row(Day(18_850), 0, 5)]);
    desk.apply(chunk_of(5, rows.clone()));
    let mut full = category(Some(ADULT), false);
    full.vaccines = (0..14).map(|number| number.to_string()).collect();
    desk.apply(Command::PutCategory(full));
    let found = desk.refusals(commit_of(5, &[rows]));
    assert_eq!(found, [(0, OperatorRefusal::TooManyVaccines)]);
    assert_eq!(desk.state.slots_count(), 3);
}

#[test]
fn members_are_numbered_before_their_batch_and_added_once() {
    let mut desk = Desk::early();
    desk.put_category(None, true);
    let known = desk.mention(1);
    let keys = [key(1), key(2), key(2), key(3)];
    let events = desk.import_members(&keys);
    let numbered = |number, name| Event::Numbered { person: PersonNumber(number), key: key(name) };
    let people = vec![known, PersonNumber(1), PersonNumber(1), PersonNumber(2)];
    let expected = [
        numbered(1, 2),
        numbered(2, 3),
        Event::MembersPut { category: CATEGORY, people },
        Event::ImportCommitted { import: 1_000, rows: 4, added: 3 },
    ];
    assert_eq!(events, expected);
    let again = desk.import_members(&keys[..2]);
    assert!(matches!(again.last(), Some(Event::ImportCommitted { rows: 2, added: 0, .. })));
    desk.check();
}

#[test]
fn large_imports_come_in_events_of_bounded_size() {
    let mut desk = Desk::early();
    desk.put_category(None, true);
    let keys: Vec<PersonKey> = (0..9_000).map(numbered_key).collect();
    let chunks = keys.chunks(IMPORT_CHUNK_ROWS_MAX).map(|keys| ImportRows::Members(keys.to_vec()));
    let events = desk.import(MEMBERS, chunks.collect());
    let batches: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::MembersPut { people, .. } => Some(people.len()),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [4_096, 4_096, 808]);
    let ids: Vec<String> = (0..1_000).map(|number| format!("site {number}")).collect();
    let sites = ids.iter().map(|id| site(id)).collect();
    let events = desk.import(ImportKind::Sites, vec![ImportRows::Sites(sites)]);
    let batches: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::SitesPut { sites } => Some(sites.len()),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [512, 488]);
    desk.check();
}

/// Bytes of the events in a group of their own.
fn bytes_of(events: &[Event]) -> usize {
    let mut group = crate::codec::EventGroupWriter::new(crate::Sequence(1), crate::Millis(0));
    group.command(crate::Origin(u64::MAX), events);
    let mut bytes = Vec::new();
    group.finish([0; 32], &mut bytes);
    bytes.len()
}

fn long_site(number: usize) -> Site {
    Site { address: "x".repeat(7_000), ..site(&format!("{number:07}")) }
}

#[test]
fn an_import_takes_no_more_bytes_than_its_events_may() {
    let mut desk = Desk::early();
    desk.apply(begin(5, ImportKind::Sites));
    let row = 7_000 + 7 + 32;
    let fit = IMPORT_EVENT_BYTES_MAX / row;
    let mut chunks = Vec::new();
    for first in (0..fit).step_by(8) {
        let rows = (first..fit.min(first + 8)).map(long_site).collect();
        chunks.push(ImportRows::Sites(rows));
        assert_eq!(desk.refusals(chunk_of(5, chunks[chunks.len() - 1].clone())), []);
    }
    // The first row that fits no more is named, and nothing of its chunk is kept.
    let rows = ImportRows::Sites(vec![site("small"), long_site(fit), site("other")]);
    assert_eq!(desk.refusals(chunk_of(5, rows)), [(1, OperatorRefusal::TooManyRows)]);
    desk.check();
    let rest = ImportRows::Sites(vec![site("small")]);
    assert_eq!(desk.refusals(chunk_of(5, rest.clone())), []);
    chunks.push(rest);
    let events = desk.apply(commit_of(5, &chunks));
    assert!(matches!(events.last(), Some(Event::ImportCommitted { .. })));
    assert!(bytes_of(&events) <= IMPORT_EVENT_BYTES_MAX);
}

#[test]
fn the_bytes_of_an_import_under_way_are_known_after_a_load() {
    let mut desk = Desk::empty();
    desk.apply(begin(5, ImportKind::Sites));
    for first in [0, 8] {
        let rows = (first..first + 8).map(long_site).collect();
        desk.apply(chunk_of(5, ImportRows::Sites(rows)));
    }
    let mut changes = Vec::new();
    desk.state.take_changes(&mut changes);
    let mut loaded = State::new();
    for change in crate::changes::ChangeReader::new(&changes) {
        let change = change.unwrap();
        loaded.load(change.section, change.index, change.bytes).unwrap();
    }
    loaded.finish_load().unwrap();
    assert_eq!(loaded.staging.import.unwrap().bytes, 16 * (7_000 + 7 + 32));
}

#[test]
fn no_row_takes_more_as_an_event_than_it_counts() {
    let largest = SlotRow {
        site: SiteNumber(0),
        day: Day(SLOT_DAY_MAX),
        start_minute: 1_439,
        end_minute: 1_440,
        vaccine: 0,
        capacity: u32::MAX,
    };
    let sites = (0..1_024).map(long_site).collect();
    let members = (0..8_192).map(numbered_key).collect();
    let empty = bytes_of(&[Event::ImportCommitted { import: 1_000, rows: 8_192, added: 8_192 }]);
    for (kind, rows) in [
        (ImportKind::Sites, ImportRows::Sites(sites)),
        (slots_kind(&["AZ"]), ImportRows::Slots(vec![largest; 8_192])),
        (MEMBERS, ImportRows::Members(members)),
    ] {
        let mut desk = Desk::early();
        desk.put_category(Some(ADULT), true);
        let counted: usize = staging::row_bytes(&rows).sum();
        let events = desk.import(kind, vec![rows]);
        assert!(matches!(events.last(), Some(Event::ImportCommitted { .. })), "{events:?}");
        let taken = bytes_of(&events) - empty;
        assert!(taken <= counted, "{taken} > {counted}");
    }
}
