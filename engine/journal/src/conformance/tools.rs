//! What the promises are tried with: lanes, readers, records that name themselves.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::PATIENCE_S;
use crate::{
    Appended, Group, Journal, Lane, OnSettled, Position, Reader, Refused, Settled, Stream, Ticket,
    Visibility,
};

pub(super) fn patience() -> Duration {
    Duration::from_secs(PATIENCE_S)
}

/// A lane and the channel its settlements arrive on.
pub(super) fn lane_of(journal: &dyn Journal, stream: Stream) -> (Box<dyn Lane>, Receiver<Settled>) {
    let (sender, receiver) = channel();
    let lane = journal.lane(stream, sends_to(sender)).expect("a lane");
    (lane, receiver)
}

pub(super) fn sends_to(sender: Sender<Settled>) -> OnSettled {
    Arc::new(move |settled| {
        // A test that looked away no longer listens.
        let _ = sender.send(settled);
    })
}

pub(super) fn push(lane: &dyn Lane, record: &[u8]) -> Ticket {
    let began = Instant::now();
    loop {
        match lane.push(record) {
            Ok(ticket) => return ticket,
            Err(Refused::Full) => {
                assert!(began.elapsed() < patience(), "the lane stays full");
                std::thread::yield_now();
            }
            Err(refused) => panic!("push: {refused}"),
        }
    }
}

/// Waits until `count` records settled well; gives where each stands.
pub(super) fn settled_well(receiver: &Receiver<Settled>, count: usize) -> Vec<Appended> {
    let mut places = Vec::new();
    while places.len() < count {
        let settled = receiver.recv_timeout(patience()).expect("a settlement");
        assert_eq!(settled.first.0, places.len() as u64, "runs leave nothing out");
        let appended = settled.result.expect("a durable group");
        places.extend(std::iter::repeat_n(appended, settled.count as usize));
    }
    assert_eq!(places.len(), count, "more records settled than were pushed");
    places
}

/// Waits until the one record in flight settled well.
pub(super) fn settled_next(receiver: &Receiver<Settled>, ticket: Ticket) {
    let settled = receiver.recv_timeout(patience()).expect("a settlement");
    assert_eq!((settled.first, settled.count), (ticket, 1), "a run that was not pushed");
    settled.result.expect("a durable group");
}

pub(super) fn reader(journal: &dyn Journal, stream: Stream, from: Position) -> Box<dyn Reader> {
    journal.reader(stream, from, Visibility::Durable).expect("a reader")
}

pub(super) fn records_of(groups: &[Group]) -> Vec<Vec<u8>> {
    let records = groups.iter().flat_map(|group| group.records.iter());
    records.map(<[u8]>::to_vec).collect()
}

/// Everything visible now, from a position on.
pub(super) fn groups_from(
    journal: &dyn Journal,
    stream: Stream,
    from: Position,
    visibility: Visibility,
) -> Vec<Group> {
    let mut reader = journal.reader(stream, from, visibility).expect("a reader");
    let mut groups = Vec::new();
    while let Some(group) = reader.poll(Duration::ZERO).expect("a sound journal") {
        assert_eq!(reader.position(), group.next);
        groups.push(group);
    }
    groups
}

pub(super) fn all_groups(journal: &dyn Journal, stream: Stream) -> Vec<Group> {
    groups_from(journal, stream, Position::START, Visibility::Durable)
}

pub(super) fn all_records(journal: &dyn Journal, stream: Stream) -> Vec<Vec<u8>> {
    records_of(&all_groups(journal, stream))
}

/// Records of different lengths, the empty one among them, that name themselves.
pub(super) fn numbered(number: u64) -> Vec<u8> {
    if number % 97 == 13 {
        return Vec::new();
    }
    let mut record = number.to_le_bytes().to_vec();
    record.resize(8 + (number * 31 % 200) as usize, number as u8);
    record
}

pub(super) fn append_numbered(
    journal: &dyn Journal,
    stream: Stream,
    numbers: std::ops::Range<u64>,
) {
    let records: Vec<Vec<u8>> = numbers.map(numbered).collect();
    for group in records.chunks(7) {
        let group: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
        journal.append(stream, &group).expect("an append");
    }
}

pub(super) fn assert_chained(groups: &[Group]) {
    let mut expected = Position::START;
    for group in groups {
        assert_eq!(group.position, expected, "a group follows the one before it");
        assert!(group.next > group.position, "positions grow");
        expected = group.next;
    }
}
