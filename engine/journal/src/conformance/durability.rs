//! What survives: restarts, crashes, failed writes, an orderly end.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::Arc;
use std::time::Instant;

use super::Harness;
use super::tools::{
    all_groups, all_records, append_numbered, lane_of, numbered, patience, push, records_of,
    settled_well,
};
use crate::{Health, Refused, Stream};

/// Promise 1, after an orderly stop; also across many segments.
pub fn acknowledged_records_survive_a_restart(harness: &mut dyn Harness) {
    let mut expected = Vec::new();
    for round in 0..3 {
        let journal = harness.open();
        assert_eq!(all_records(&*journal, Stream::Commands), expected);
        let (lane, settled) = lane_of(&*journal, Stream::Commands);
        for number in round * 2_000..(round + 1) * 2_000 {
            push(&*lane, &numbered(number));
            expected.push(numbered(number));
        }
        settled_well(&settled, 2_000);
        journal.close();
    }
    let journal = harness.open();
    assert_eq!(all_records(&*journal, Stream::Commands), expected);
    journal.close();
}

/// Promise 1, after a stop without closing.
pub fn acknowledged_records_survive_a_crash(harness: &mut dyn Harness) {
    let mut journal = harness.open();
    let mut expected = Vec::new();
    for round in 0..6 {
        let (lane, settled) = lane_of(&*journal, Stream::Commands);
        for number in 0..100 {
            push(&*lane, &numbered(round * 1_000 + number));
            expected.push(numbered(round * 1_000 + number));
        }
        settled_well(&settled, 100);
        append_numbered(&*journal, Stream::Commands, round * 1_000 + 500..round * 1_000 + 510);
        expected.extend((500..510).map(|number| numbered(round * 1_000 + number)));
        drop(lane);
        journal = harness.crash(journal);
        assert_eq!(all_records(&*journal, Stream::Commands), expected);
    }
    journal.close();
}

/// Promise 1 for accepted groups: after `sync` they survive, and what survives is a beginning.
pub fn synced_groups_survive_a_crash(harness: &mut dyn Harness) {
    let mut journal = harness.open();
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for round in 0..4 {
        for number in 0..50 {
            let record = numbered(round * 100 + number);
            journal.append_behind(Stream::Events, &record).expect("an acceptance");
            expected.push(record);
        }
        journal.sync(Stream::Events).expect("a sync");
        for number in 50..60 {
            let record = numbered(round * 100 + number);
            journal.append_behind(Stream::Events, &record).expect("an acceptance");
            expected.push(record);
        }
        journal = harness.crash(journal);
        let found = all_records(&*journal, Stream::Events);
        assert!(found.len() >= expected.len() - 10, "synced groups are missing");
        assert_eq!(found[..], expected[..found.len()]);
        expected = found;
    }
    journal.close();
}

/// Promise 7.
pub fn a_failed_write_ends_all_writing(harness: &mut dyn Harness) {
    let journal = harness.open();
    let (lane, settled) = lane_of(&*journal, Stream::Commands);
    for number in 0..500 {
        push(&*lane, &numbered(number));
    }
    settled_well(&settled, 500);
    assert_eq!(journal.health(), Health::Writable);
    let readable = all_groups(&*journal, Stream::Commands);
    harness.break_writes();
    push(&*lane, b"unknown");
    let told = settled.recv_timeout(patience()).expect("a settlement");
    assert_eq!((told.first.0, told.count), (500, 1));
    assert!(told.result.is_err(), "acknowledged after a failed write");
    let began = Instant::now();
    while lane.push(b"refused") != Err(Refused::Closed) {
        assert!(began.elapsed() < patience(), "pushes are still taken");
    }
    assert!(settled.try_iter().all(|told| told.result.is_err()));
    assert!(matches!(journal.health(), Health::Failed(why) if why.contains("commands")));
    journal.append(Stream::Commands, &[b"x"]).expect_err("no append");
    journal.append_behind(Stream::Commands, b"x").expect_err("no acceptance");
    assert!(journal.lane(Stream::Commands, Arc::new(|_| ())).is_err());
    let still = all_groups(&*journal, Stream::Commands);
    assert_eq!(records_of(&still)[..500], records_of(&readable)[..500], "reads go on");
    drop(lane);
    let journal = harness.crash(journal);
    assert_eq!(journal.health(), Health::Writable);
    let found = all_records(&*journal, Stream::Commands);
    assert_eq!(found[..500], records_of(&readable)[..500]);
    assert!(found[500..].iter().all(|record| record == b"unknown" || record == b"refused"));
    journal.append(Stream::Commands, &[b"again"]).expect("writes are taken again");
    journal.close();
}

/// `close` makes durable what was accepted and pushed, and takes no more.
pub fn closing_writes_what_was_accepted(harness: &mut dyn Harness) {
    let journal = harness.open();
    let (lane, settled) = lane_of(&*journal, Stream::Commands);
    for number in 0..1_000 {
        push(&*lane, &numbered(number));
        let record = numbered(number);
        journal.append_behind(Stream::Events, &record).expect("an acceptance");
    }
    journal.close();
    settled_well(&settled, 1_000);
    assert_eq!(journal.health(), Health::Closed);
    assert_eq!(lane.push(b"late"), Err(Refused::Closed));
    journal.append(Stream::Commands, &[b"late"]).expect_err("no append");
    journal.append_behind(Stream::Events, b"late").expect_err("no acceptance");
    journal.close();
    drop(lane);
    drop(journal);
    let journal = harness.open();
    let expected: Vec<_> = (0..1_000).map(numbered).collect();
    assert_eq!(all_records(&*journal, Stream::Commands), expected);
    assert_eq!(all_records(&*journal, Stream::Events), expected);
    journal.close();
}

/// A checkpoint relies on it.
pub fn the_name_stays(harness: &mut dyn Harness) {
    let journal = harness.open();
    let id = journal.id();
    journal.append(Stream::Commands, &[b"x"]).expect("an append");
    journal.close();
    drop(journal);
    let journal = harness.open();
    assert_eq!(journal.id(), id);
    let journal = harness.crash(journal);
    assert_eq!(journal.id(), id);
    journal.close();
}
