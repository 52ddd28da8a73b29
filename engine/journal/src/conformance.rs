//! The promises of [`Journal`], each as a function that panics where one is broken.
//!
//! Does: drives any implementation through a [`Harness`] that opens, stops and breaks it. Does not look
//! inside, and never lets time decide: waits end when the condition holds, or fail after
//! [`PATIENCE_S`].
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::seeded::Seeded;
use crate::{
    Appended, Group, Health, Journal, JournalError, Lane, OnSettled, Position, Reader, Refused,
    Settled, Stream, Ticket, Visibility,
};

/// Longest wait for something that must happen.
pub const PATIENCE_S: u64 = 60;

/// Opens, stops and breaks one journal.
///
/// The journal should have small segments and a long `behind_sync_interval_ms` (minutes), so that the
/// suite sees rotation, and unsynced groups stay unsynced until they are synced.
pub trait Harness {
    /// Opens what the last journal left. The last one was closed or handed to [`Harness::crash`].
    fn open(&mut self) -> Arc<dyn Journal>;

    /// Stops a journal without closing it and opens what is durable. Writes work again.
    fn crash(&mut self, journal: Arc<dyn Journal>) -> Arc<dyn Journal>;

    /// From now on every write fails.
    fn break_writes(&mut self);

    /// The journal's clock says this from now on.
    fn set_clock_ms(&mut self, now_ms: i64);

    /// `record_bytes_max`, `group_bytes_max`, `lane_bytes_max`, `behind_bytes_max`.
    fn limits(&self) -> Limits;
}

/// Limits the journal was opened with.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest record of a lane.
    pub record_bytes_max: usize,
    /// Most bytes of one group.
    pub group_bytes_max: usize,
    /// Most bytes waiting in a lane.
    pub lane_bytes_max: usize,
    /// Longest record accepted to be written later.
    pub behind_record_bytes_max: usize,
    /// Most bytes accepted and not yet durable.
    pub behind_bytes_max: usize,
}

/// One promise.
pub type Promise = fn(&mut dyn Harness);

/// All promises by name.
pub const PROMISES: &[(&str, Promise)] = &[
    ("acknowledged_records_survive_a_restart", acknowledged_records_survive_a_restart),
    ("acknowledged_records_survive_a_crash", acknowledged_records_survive_a_crash),
    ("synced_groups_survive_a_crash", synced_groups_survive_a_crash),
    ("all_readers_see_one_order", all_readers_see_one_order),
    ("records_of_one_append_stay_in_one_group", records_of_one_append_stay_in_one_group),
    ("durable_readers_wait_for_the_sync", durable_readers_wait_for_the_sync),
    ("accepted_readers_see_at_once_and_in_order", accepted_readers_see_at_once_and_in_order),
    ("a_settled_record_is_readable", a_settled_record_is_readable),
    ("a_reader_resumes_from_every_position", a_reader_resumes_from_every_position),
    ("positions_never_given_out_are_refused", positions_never_given_out_are_refused),
    ("positions_grow_without_gaps", positions_grow_without_gaps),
    ("time_never_runs_backwards", time_never_runs_backwards),
    ("a_failed_write_ends_all_writing", a_failed_write_ends_all_writing),
    ("limits_refuse_and_do_not_block", limits_refuse_and_do_not_block),
    ("runs_settle_in_order_and_leave_nothing_out", runs_settle_in_order_and_leave_nothing_out),
    ("closing_writes_what_was_accepted", closing_writes_what_was_accepted),
    ("a_waiting_reader_is_woken", a_waiting_reader_is_woken),
    ("streams_do_not_mix", streams_do_not_mix),
    ("every_kind_of_writing_keeps_one_order", every_kind_of_writing_keeps_one_order),
    ("the_name_stays", the_name_stays),
];

fn patience() -> Duration {
    Duration::from_secs(PATIENCE_S)
}

/// A lane and the channel its settlements arrive on.
fn lane_of(journal: &dyn Journal, stream: Stream) -> (Box<dyn Lane>, Receiver<Settled>) {
    let (sender, receiver) = channel();
    let lane = journal.lane(stream, sends_to(sender)).expect("a lane");
    (lane, receiver)
}

fn sends_to(sender: Sender<Settled>) -> OnSettled {
    Arc::new(move |settled| {
        // A test that looked away no longer listens.
        let _ = sender.send(settled);
    })
}

fn push(lane: &dyn Lane, record: &[u8]) -> Ticket {
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
fn settled_well(receiver: &Receiver<Settled>, count: usize) -> Vec<Appended> {
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

fn reader(journal: &dyn Journal, stream: Stream, from: Position) -> Box<dyn Reader> {
    journal.reader(stream, from, Visibility::Durable).expect("a reader")
}

fn records_of(groups: &[Group]) -> Vec<Vec<u8>> {
    let records = groups.iter().flat_map(|group| group.records.iter());
    records.map(<[u8]>::to_vec).collect()
}

/// Everything visible now, from a position on.
fn groups_from(
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

fn all_groups(journal: &dyn Journal, stream: Stream) -> Vec<Group> {
    groups_from(journal, stream, Position::START, Visibility::Durable)
}

fn all_records(journal: &dyn Journal, stream: Stream) -> Vec<Vec<u8>> {
    records_of(&all_groups(journal, stream))
}

/// Records of different lengths, the empty one among them, that name themselves.
fn numbered(number: u64) -> Vec<u8> {
    if number % 97 == 13 {
        return Vec::new();
    }
    let mut record = number.to_le_bytes().to_vec();
    record.resize(8 + (number * 31 % 200) as usize, number as u8);
    record
}

fn append_numbered(journal: &dyn Journal, stream: Stream, numbers: std::ops::Range<u64>) {
    let records: Vec<Vec<u8>> = numbers.map(numbered).collect();
    for group in records.chunks(7) {
        let group: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
        journal.append(stream, &group).expect("an append");
    }
}

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
        let of_lane = first.iter().filter_map(|record| {
            let number = u64::from_le_bytes(record[..8].try_into().expect("eight bytes"));
            (number >> 32 == lane_number).then_some(number & 0xFFFF_FFFF)
        });
        assert!(of_lane.eq(0..EACH), "lane {lane_number} lost its order");
    }
    journal.close();
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

fn assert_chained(groups: &[Group]) {
    let mut expected = Position::START;
    for group in groups {
        assert_eq!(group.position, expected, "a group follows the one before it");
        assert!(group.next > group.position, "positions grow");
        expected = group.next;
    }
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

/// Promise 8. The journal's thread is held in a settlement, so that lanes must fill.
pub fn limits_refuse_and_do_not_block(harness: &mut dyn Harness) {
    let limits = harness.limits();
    let journal = harness.open();
    let is_released = Arc::new(AtomicBool::new(false));
    let (entered, held) = channel();
    let gate = Arc::clone(&is_released);
    let holder = journal
        .lane(
            Stream::Commands,
            Arc::new(move |_| {
                let _ = entered.send(());
                while !gate.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            }),
        )
        .expect("a lane");
    let (lane, settled) = lane_of(&*journal, Stream::Commands);
    push(&*holder, b"hold");
    held.recv_timeout(patience()).expect("the journal's thread is held");
    let record = vec![1; 64];
    let mut taken = 0;
    let refused = loop {
        match lane.push(&record) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken * 68 <= limits.lane_bytes_max, "the lane takes more than its limit");
    };
    assert_eq!(refused, Refused::Full);
    assert_eq!(taken, limits.lane_bytes_max / 68, "the lane refuses before its limit");
    let too_large = vec![0; limits.record_bytes_max + 1];
    assert_eq!(lane.push(&too_large), Err(Refused::TooLarge));
    let too_much = vec![0; limits.group_bytes_max + 1];
    let result = journal.append(Stream::Commands, &[&too_much]);
    assert!(matches!(result, Err(JournalError::TooLarge { .. })));
    let too_much = vec![0; limits.behind_record_bytes_max + 1];
    let result = journal.append_behind(Stream::Events, &too_much);
    assert!(matches!(result, Err(JournalError::TooLarge { .. })));
    is_released.store(true, Ordering::Release);
    settled_well(&settled, taken);
    let largest = vec![7; limits.record_bytes_max];
    push(&*lane, &largest);
    journal.sync(Stream::Commands).expect("a sync");
    let found = all_records(&*journal, Stream::Commands);
    assert_eq!(found.last(), Some(&largest));
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
