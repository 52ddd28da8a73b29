//! One order for everybody, whatever way a record came in.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Barrier};

use super::Harness;
use super::tools::{
    all_groups, all_records, assert_chained, lane_of, numbered, patience, push, reader, records_of,
    settled_next, settled_well,
};
use crate::seeded::Seeded;
use crate::{Group, Journal, JournalError, Lane, Position, Settled, Stream};

/// Promise 2, with several lanes, `append` calls and readers at once.
pub fn all_readers_see_one_order(harness: &mut dyn Harness) {
    const LANES: u64 = 4;
    const EACH: u64 = 3_000;
    let journal = harness.open();
    let total = (LANES * EACH + 200) as usize;
    let barrier = Arc::new(Barrier::new(LANES as usize + 5));
    let read_all = |journal: Arc<dyn Journal>| {
        let mut reader = reader(&*journal, Stream::Commands, Position::START);
        let mut groups = Vec::new();
        let mut count = 0;
        while count < total {
            let group = reader.poll(patience()).expect("a sound journal").expect("a group");
            count += group.records.len();
            groups.push(group);
        }
        groups
    };
    let seen: Vec<Vec<Group>> = std::thread::scope(|scope| {
        for lane_number in 0..LANES {
            let (journal, barrier) = (Arc::clone(&journal), Arc::clone(&barrier));
            scope.spawn(move || {
                let (lane, settled) = lane_of(&*journal, Stream::Commands);
                barrier.wait();
                for number in 0..EACH {
                    push(&*lane, &(lane_number << 32 | number).to_le_bytes());
                }
                settled_well(&settled, EACH as usize);
            });
        }
        let (appending, begins) = (Arc::clone(&journal), Arc::clone(&barrier));
        scope.spawn(move || {
            begins.wait();
            for number in 0..100_u64 {
                let record = (99 << 32 | number).to_le_bytes();
                let pair: [&[u8]; 2] = [&record, &record];
                appending.append(Stream::Commands, &pair).expect("an append");
            }
        });
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (journal, barrier) = (Arc::clone(&journal), Arc::clone(&barrier));
                scope.spawn(move || {
                    barrier.wait();
                    read_all(journal)
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect()
    });
    let first = records_of(&seen[0]);
    for other in &seen[1..] {
        assert!(records_of(other) == first, "two readers saw different orders");
    }
    assert!(all_records(&*journal, Stream::Commands) == first, "a later reader sees another order");
    for lane_number in 0..LANES {
        let of_lane = numbers_of(&first, lane_number);
        assert!(of_lane.eq(0..EACH), "lane {lane_number} lost its order");
    }
    journal.close();
}

/// The numbers of one lane's records, where the upper half of each names its lane.
fn numbers_of(records: &[Vec<u8>], lane_number: u64) -> impl Iterator<Item = u64> + '_ {
    records.iter().filter_map(move |record| {
        let number = u64::from_le_bytes(record[..8].try_into().expect("eight bytes"));
        (number >> 32 == lane_number).then_some(number & 0xFFFF_FFFF)
    })
}

/// Promise 2: an `append` is one group.
pub fn records_of_one_append_stay_in_one_group(harness: &mut dyn Harness) {
    let journal = harness.open();
    let mut seeded = Seeded::new(5);
    let mut expected = Vec::new();
    for number in 0..50 {
        let count = 1 + seeded.below(6);
        let records: Vec<Vec<u8>> = (0..count).map(|index| numbered(number * 10 + index)).collect();
        let borrowed: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let appended = journal.append(Stream::Roster, &borrowed).expect("an append");
        expected.push((appended, records));
    }
    let groups = all_groups(&*journal, Stream::Roster);
    for (appended, records) in expected {
        let group = groups.iter().find(|group| group.position == appended.position);
        let group = group.expect("the group of the append");
        assert_eq!((group.next, group.at_ms), (appended.next, appended.at_ms));
        assert_eq!(records_of(std::slice::from_ref(group)), records);
    }
    journal.close();
}

/// Promises 1 and 2 for tickets, with bursts of many sizes.
pub fn runs_settle_in_order_and_leave_nothing_out(harness: &mut dyn Harness) {
    let journal = harness.open();
    let mut seeded = Seeded::new(11);
    let (lane, settled) = lane_of(&*journal, Stream::Commands);
    let mut pushed = 0;
    for _ in 0..60 {
        for _ in 0..=seeded.below(200) {
            assert_eq!(push(&*lane, &numbered(pushed)).0, pushed);
            pushed += 1;
        }
        if seeded.once_in(3) {
            std::thread::yield_now();
        }
    }
    let places = settled_well(&settled, pushed as usize);
    assert_eq!(lane.unsettled(), 0);
    let mut number = 0;
    for group in all_groups(&*journal, Stream::Commands) {
        for record in group.records.iter() {
            assert_eq!(record, numbered(number));
            let place = places[number as usize];
            assert_eq!((place.position, place.next), (group.position, group.next));
            assert_eq!(place.at_ms, group.at_ms);
            number += 1;
        }
    }
    assert_eq!(number, pushed);
    journal.close();
}

/// What producers say of their own rest changes no promise: neither one that never rests nor one that
/// pushes while it says it does keeps a record from its group, or out of its order.
pub fn rest_that_is_announced_changes_no_promise(harness: &mut dyn Harness) {
    const EACH: u64 = 400;
    let journal = harness.open();
    let says: [&[bool]; 4] = [&[false], &[true], &[false, true], &[]];
    std::thread::scope(|scope| {
        for (number, says) in (0_u64..).zip(says) {
            let journal = &journal;
            scope.spawn(move || {
                let (lane, settled) = lane_of(&**journal, Stream::Commands);
                let mut seeded = Seeded::new(number);
                let mut told = 0;
                for record in 0..EACH {
                    if !says.is_empty() && seeded.once_in(4) {
                        lane.set_resting(says[told % says.len()]);
                        told += 1;
                    }
                    push(&*lane, &(number << 32 | record).to_le_bytes());
                    if seeded.once_in(8) {
                        std::thread::yield_now();
                    }
                }
                settled_well(&settled, EACH as usize);
            });
        }
    });
    let records = all_records(&*journal, Stream::Commands);
    for number in 0..says.len() as u64 {
        let of_lane = numbers_of(&records, number);
        assert!(of_lane.eq(0..EACH), "lane {number} lost its order");
    }
    journal.close();
}

/// A producer that leaves takes no turn of the others, wherever the turn stands.
pub fn closed_lanes_leave_the_others_served(harness: &mut dyn Harness) {
    const LANES: usize = 4;
    let journal = harness.open();
    let mut expected = Vec::new();
    for turns in 0..2 * LANES {
        let mut lanes: Vec<_> = (0..LANES).map(|_| lane_of(&*journal, Stream::Commands)).collect();
        let mut record_by = |(lane, settled): &(Box<dyn Lane>, Receiver<Settled>)| {
            let record = numbered(expected.len() as u64);
            let ticket = push(&**lane, &record);
            expected.push(record);
            settled_next(settled, ticket);
        };
        for turn in 0..turns {
            record_by(&lanes[turn % LANES]);
        }
        lanes.truncate(1);
        lanes.push(lane_of(&*journal, Stream::Commands));
        lanes.iter().for_each(record_by);
    }
    assert!(all_records(&*journal, Stream::Commands) == expected, "the order changed");
    journal.close();
}

/// Each stream has its own order and positions.
pub fn streams_do_not_mix(harness: &mut dyn Harness) {
    let mut journal = harness.open();
    for number in 0..40 {
        for stream in Stream::ALL {
            let record = [stream as u8, number];
            journal.append(stream, &[&record]).expect("an append");
        }
    }
    for _ in 0..2 {
        for stream in Stream::ALL {
            let expected: Vec<_> = (0..40).map(|number| vec![stream as u8, number]).collect();
            assert_eq!(all_records(&*journal, stream), expected);
            assert_chained(&all_groups(&*journal, stream));
            assert!(journal.stored_bytes(stream) > 0);
        }
        journal.close();
        journal = harness.open();
    }
    journal.close();
}

/// Lanes, appends and accepted records in one stream still have one order, large ones included.
pub fn every_kind_of_writing_keeps_one_order(harness: &mut dyn Harness) {
    let limits = harness.limits();
    let mut journal = harness.open();
    let mut seeded = Seeded::new(23);
    let mut expected = Vec::new();
    for round in 0..3 {
        let (lane, _settled) = lane_of(&*journal, Stream::Events);
        for number in round * 200..(round + 1) * 200 {
            let mut record = numbered(number * 97 + 1);
            match seeded.below(4) {
                0 => {
                    push(&*lane, &record);
                    journal.sync(Stream::Events).expect("a sync");
                }
                1 => {
                    journal.append(Stream::Events, &[&record]).expect("an append");
                }
                2 => {
                    journal.append_behind(Stream::Events, &record).expect("an acceptance");
                }
                _ => {
                    let length = seeded.below(limits.behind_record_bytes_max as u64) as usize;
                    record.resize(length.max(9), 3);
                    while journal.append_behind(Stream::Events, &record).is_err() {
                        journal.sync(Stream::Events).expect("a sync");
                    }
                }
            }
            expected.push(record);
        }
        journal.sync(Stream::Events).expect("a sync");
        let groups = all_groups(&*journal, Stream::Events);
        assert_chained(&groups);
        assert!(records_of(&groups) == expected, "the order changed");
        drop(lane);
        journal.close();
        journal = harness.open();
        assert!(all_records(&*journal, Stream::Events) == expected, "the order changed");
    }
    let record = vec![9; limits.behind_record_bytes_max];
    let mut accepted = 0;
    let refused = loop {
        match journal.append_behind(Stream::Deliveries, &record) {
            Ok(_) => accepted += record.len(),
            Err(refused) => break refused,
        }
        assert!(accepted <= 64 * limits.behind_bytes_max, "accepted records are not bounded");
        if accepted > limits.behind_bytes_max {
            // The journal kept up and wrote some of them: that is as good as refusing.
            break JournalError::Full { what: "", limit: 0 };
        }
    };
    assert!(matches!(refused, JournalError::Full { .. }), "{refused}");
    journal.close();
}

/// Promise 6, when the clock is set back, in one run and between two.
pub fn time_never_runs_backwards(harness: &mut dyn Harness) {
    let mut last = i64::MIN;
    for round in 0..3_i64 {
        harness.set_clock_ms(1_000_000 - round * 50_000);
        let journal = harness.open();
        for step in [0, 500, -3_000, 100, -90_000] {
            harness.set_clock_ms(1_000_000 - round * 50_000 + step);
            journal.append(Stream::Commands, &[b"tick"]).expect("an append");
        }
        for group in all_groups(&*journal, Stream::Commands) {
            assert!(group.at_ms >= 0);
        }
        let times: Vec<i64> =
            all_groups(&*journal, Stream::Commands).iter().map(|group| group.at_ms).collect();
        assert!(times.is_sorted(), "time ran backwards: {times:?}");
        assert!(times.last().is_some_and(|&time| time >= last));
        last = times.last().copied().unwrap_or(last);
        journal.close();
    }
    assert_eq!(last, 1_000_500, "the clock's highest time is kept");
}
