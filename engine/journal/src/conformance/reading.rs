//! What readers see, when, and from where.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::mpsc::channel;
use std::time::Duration;

use super::Harness;
use super::tools::{
    all_groups, append_numbered, assert_chained, groups_from, lane_of, numbered, patience, push,
    reader, records_of,
};
use crate::{JournalError, Position, Stream, Visibility};

/// Promise 3: a durable reader never sees what a crash could take back.
pub fn durable_readers_wait_for_the_sync(harness: &mut dyn Harness) {
    let journal = harness.open();
    let mut durable = reader(&*journal, Stream::Events, Position::START);
    for round in 0..20 {
        for number in 0..5 {
            let record = numbered(round * 5 + number);
            journal.append_behind(Stream::Events, &record).expect("an acceptance");
        }
        let before = durable.poll(Duration::ZERO).expect("a sound journal");
        assert!(before.is_none(), "an unsynced group was shown");
        journal.sync(Stream::Events).expect("a sync");
        let mut found = Vec::new();
        while found.len() < 5 {
            let group = durable.poll(patience()).expect("sound").expect("a group");
            assert!(group.next <= journal.durable_end(Stream::Events).expect("an end"));
            found.extend(records_of(&[group]));
        }
        let expected: Vec<_> = (0..5).map(|number| numbered(round * 5 + number)).collect();
        assert_eq!(found, expected);
    }
    journal.close();
}

/// Promise 3: an accepted group is shown at once to those who ask for it.
pub fn accepted_readers_see_at_once_and_in_order(harness: &mut dyn Harness) {
    let journal = harness.open();
    let mut accepted =
        journal.reader(Stream::Events, Position::START, Visibility::Accepted).expect("a reader");
    let mut seen = Vec::new();
    for number in 0..300 {
        let record = numbered(number);
        let position = journal.append_behind(Stream::Events, &record).expect("an acceptance");
        loop {
            let group = accepted.poll(Duration::ZERO).expect("sound").expect("visible at once");
            let is_it = group.position == position;
            seen.push(group);
            if is_it {
                break;
            }
        }
        if number % 64 == 63 {
            journal.sync(Stream::Events).expect("a sync");
        }
    }
    journal.sync(Stream::Events).expect("a sync");
    let durable = all_groups(&*journal, Stream::Events);
    assert_eq!(records_of(&seen), records_of(&durable), "acceptance and durability agree");
    assert!(seen.iter().zip(&durable).all(|(one, other)| one.at_ms == other.at_ms));
    journal.close();
}

/// Promises 1 and 3: when a record settles, readers see it.
pub fn a_settled_record_is_readable(harness: &mut dyn Harness) {
    let journal = harness.open();
    let (lane, settled) = lane_of(&*journal, Stream::Commands);
    let mut durable = reader(&*journal, Stream::Commands, Position::START);
    let mut seen = 0;
    for number in 0..200 {
        push(&*lane, &numbered(number));
        let told = settled.recv_timeout(patience()).expect("a settlement");
        assert_eq!(told.first.0, number);
        while seen <= number {
            let group = durable.poll(Duration::ZERO).expect("sound").expect("the settled group");
            seen += group.records.len() as u64;
        }
    }
    assert_eq!(lane.unsettled(), 0);
    journal.close();
}

/// Promise 4, in this process and in a later one.
pub fn a_reader_resumes_from_every_position(harness: &mut dyn Harness) {
    let mut journal = harness.open();
    append_numbered(&*journal, Stream::Commands, 0..700);
    for _ in 0..2 {
        let groups = all_groups(&*journal, Stream::Commands);
        for (index, group) in groups.iter().enumerate() {
            for (from, skip) in [(group.position, index), (group.next, index + 1)] {
                let mut resumed = reader(&*journal, Stream::Commands, from);
                assert_eq!(resumed.position(), from);
                let next = resumed.poll(Duration::ZERO).expect("a sound journal");
                let expected = groups.get(skip).map(|group| group.position);
                assert_eq!(next.map(|group| group.position), expected);
            }
        }
        let middle = groups[groups.len() / 2].position;
        let rest = groups_from(&*journal, Stream::Commands, middle, Visibility::Durable);
        assert_eq!(records_of(&rest), records_of(&groups[groups.len() / 2..]));
        journal.close();
        journal = harness.open();
    }
    journal.close();
}

/// Promise 4: other positions are told apart.
pub fn positions_never_given_out_are_refused(harness: &mut dyn Harness) {
    let mut journal = harness.open();
    append_numbered(&*journal, Stream::Commands, 0..100);
    for _ in 0..2 {
        let given: Vec<u64> = all_groups(&*journal, Stream::Commands)
            .iter()
            .flat_map(|group| [group.position.0, group.next.0])
            .collect();
        let last = given.iter().copied().max().expect("groups");
        let candidates = given.iter().map(|position| position + 1);
        for position in candidates.chain([last + 512, last + (1 << 40), u64::MAX]) {
            if given.contains(&position) {
                continue;
            }
            let result = journal.reader(Stream::Commands, Position(position), Visibility::Durable);
            match result {
                Err(JournalError::NoSuchPosition { position: told, .. }) => {
                    assert_eq!(told, position);
                }
                Err(other) => panic!("position {position}: {other}"),
                Ok(_) => panic!("position {position} was accepted"),
            }
        }
        journal.close();
        journal = harness.open();
    }
    journal.close();
}

/// Promise 5, also across restarts and segments.
pub fn positions_grow_without_gaps(harness: &mut dyn Harness) {
    for round in 0..4 {
        let journal = harness.open();
        append_numbered(&*journal, Stream::Commands, round * 500..(round + 1) * 500);
        let groups = all_groups(&*journal, Stream::Commands);
        assert_chained(&groups);
        let end = journal.durable_end(Stream::Commands).expect("an end");
        assert_eq!(groups.last().map(|group| group.next), Some(end));
        journal.close();
    }
}

/// A reader that waits gets the next group without asking again.
pub fn a_waiting_reader_is_woken(harness: &mut dyn Harness) {
    let journal = harness.open();
    for (stream, visibility) in
        [(Stream::Commands, Visibility::Durable), (Stream::Events, Visibility::Accepted)]
    {
        let end = journal.durable_end(stream).expect("an end");
        let mut waiting = journal.reader(stream, end, visibility).expect("a reader");
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..100 {
                    let group = waiting.poll(patience()).expect("sound").expect("a group");
                    sender.send(records_of(&[group])).expect("the test listens");
                }
            });
            for number in 1..=100 {
                let record = numbered(number * 97);
                match visibility {
                    Visibility::Durable => {
                        journal.append(stream, &[&record]).expect("an append");
                    }
                    Visibility::Accepted => {
                        journal.append_behind(stream, &record).expect("an acceptance");
                    }
                }
                let seen = receiver.recv_timeout(patience()).expect("the reader was woken");
                assert_eq!(seen, [record]);
            }
        });
    }
    journal.close();
}
