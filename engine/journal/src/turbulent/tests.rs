//! Each fault does what it says, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::*;
use crate::memory::{MemoryConfig, MemoryJournal};

const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough that only what a test waits for can end it.
const LONG_MS: u32 = 60_000;

fn streams() -> Arc<dyn Journal> {
    Arc::new(MemoryJournal::new(MemoryConfig::default()))
}

fn always(fault: impl FnOnce(&mut Turbulence)) -> Turbulence {
    let mut faults = Turbulence {
        overtaking_groups_max: 1,
        hold_ms_max: LONG_MS,
        lag_ms_max: 2,
        ..Turbulence::CALM
    };
    fault(&mut faults);
    faults
}

/// Two processes: the first one is struck, the second one is calm.
fn two(faults: Turbulence) -> (TurbulentJournal, TurbulentJournal) {
    let struck = TurbulentJournal::new(streams(), TurbulentConfig::new(1, faults));
    let calm = struck.another(TurbulentConfig::new(2, Turbulence::CALM));
    (struck, calm)
}

fn append(journal: &TurbulentJournal, text: &str) -> Result<Appended, JournalError> {
    journal.append(Stream::Commands, &[text.as_bytes()])
}

/// All durable records of a stream, in order.
fn records(journal: &TurbulentJournal, stream: Stream) -> Vec<String> {
    let end = journal.durable_end(stream).unwrap();
    let mut reader = journal.reader(stream, Position::START, Visibility::Durable).unwrap();
    let mut records = Vec::new();
    while reader.position() < end {
        let group = reader.poll(PATIENCE).unwrap().unwrap();
        records.extend(group.records.iter().map(|one| String::from_utf8(one.to_vec()).unwrap()));
    }
    records
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_repeated_group_stands_right_behind_itself() {
    let (struck, calm) = two(always(|faults| faults.repeat_once_in = 1));
    let told = append(&struck, "a").unwrap();
    append(&calm, "b").unwrap();
    assert_eq!(records(&calm, Stream::Commands), ["a", "a", "b"]);
    assert_eq!(told.position, Position::START, "the first one is told");
    assert_eq!(struck.struck().count(Fault::Repeat), 1);
}

#[test]
fn a_late_repetition_stands_behind_groups_of_others_and_before_the_own_next_one() {
    let (struck, calm) = two(always(|faults| faults.late_repeat_once_in = 1));
    append(&struck, "a").unwrap();
    append(&calm, "x").unwrap();
    append(&struck, "b").unwrap();
    append(&struck, "c").unwrap();
    struck.land();
    assert_eq!(records(&calm, Stream::Commands), ["a", "x", "a", "b", "b", "c", "c"]);
}

#[test]
fn a_repetition_astray_stands_behind_whatever_was_written() {
    let (struck, calm) = two(always(|faults| faults.stray_repeat_once_in = 1));
    append(&struck, "a").unwrap();
    struck.set_faults(Turbulence::CALM);
    append(&struck, "b").unwrap();
    assert_eq!(records(&calm, Stream::Commands), ["a", "b", "a"]);
    assert_eq!(struck.struck().count(Fault::StrayRepeat), 1);
}

#[test]
fn a_group_held_back_is_overtaken_by_others_and_never_by_its_own_process() {
    let (struck, calm) = two(always(|faults| faults.hold_once_in = 1));
    let (sender, settled) = channel();
    let on_settled: OnSettled = Arc::new(move |told: crate::Settled| {
        let _ = sender.send(told.result.is_ok());
    });
    let lane = struck.lane(Stream::Commands, on_settled).unwrap();
    lane.push(b"a").unwrap();
    wait_until("it is held back", || struck.struck().count(Fault::Hold) == 1);
    lane.push(b"b").unwrap();
    append(&calm, "x").unwrap();
    assert!(settled.recv_timeout(PATIENCE).unwrap());
    wait_until("the next one is held back", || struck.struck().count(Fault::Hold) == 2);
    append(&calm, "y").unwrap();
    assert!(settled.recv_timeout(PATIENCE).unwrap());
    assert_eq!(records(&calm, Stream::Commands), ["x", "a", "y", "b"]);
    assert_eq!(struck.struck().count(Fault::Overtaking), 2);
}

#[test]
fn nothing_is_held_back_for_ever() {
    let (struck, _) = two(always(|faults| {
        faults.hold_once_in = 1;
        faults.hold_ms_max = 1;
    }));
    append(&struck, "a").unwrap();
    assert_eq!(
        (struck.struck().count(Fault::Hold), struck.struck().count(Fault::Overtaking)),
        (1, 0)
    );
}

#[test]
fn after_a_lost_answer_the_process_writes_nothing_until_it_is_reopened() {
    for (name, written, fault) in [
        ("answer", true, always(|faults| faults.lost_answer_once_in = 1)),
        ("group", false, always(|faults| faults.lost_group_once_in = 1)),
    ] {
        let (struck, calm) = two(fault);
        append(&struck, "a").unwrap_err();
        assert_eq!(records(&calm, Stream::Commands), if written { &["a"][..] } else { &[] });
        struck.set_faults(Turbulence::CALM);
        assert!(matches!(struck.health(), Health::Failed(why) if why.contains(name)));
        append(&struck, "b").unwrap_err();
        struck.append_behind(Stream::Events, b"b").unwrap_err();
        assert!(struck.lane(Stream::Commands, Arc::new(|_| ())).is_err());
        append(&calm, "c").unwrap();
        let again = struck.reopen();
        append(&again, "d").unwrap();
        assert_eq!(again.health(), Health::Writable);
        append(&struck, "e").unwrap_err();
        let all = records(&again, Stream::Commands);
        assert_eq!(all, if written { &["a", "c", "d"][..] } else { &["c", "d"] });
    }
}

#[test]
fn records_in_flight_when_an_answer_is_lost_all_settle_with_an_error() {
    let (struck, _) = two(always(|faults| faults.hold_once_in = 1));
    let (sender, settled) = channel();
    let on_settled: OnSettled = Arc::new(move |told: crate::Settled| {
        let _ = sender.send((told.first.0, told.count, told.result.is_ok()));
    });
    let lane = struck.lane(Stream::Commands, on_settled).unwrap();
    lane.push(b"a").unwrap();
    wait_until("it is held back", || struck.struck().count(Fault::Hold) == 1);
    for _ in 0..5 {
        lane.push(b"b").unwrap();
    }
    let again = struck.reopen();
    let mut next = 0;
    while next < 6 {
        let (first, count, is_well) = settled.recv_timeout(PATIENCE).unwrap();
        assert_eq!((first, is_well), (next, false));
        next += u64::from(count);
    }
    assert_eq!(lane.unsettled(), 0);
    assert_eq!(lane.push(b"c"), Err(Refused::Closed));
    assert!(records(&again, Stream::Commands).is_empty());
}

#[test]
fn a_late_write_lands_in_the_next_life() {
    let (struck, calm) = two(always(|faults| faults.late_write_once_in = 1));
    append(&struck, "a").unwrap_err();
    let again = struck.reopen();
    again.set_faults(Turbulence::CALM);
    append(&again, "b").unwrap();
    append(&calm, "c").unwrap();
    assert_eq!(records(&calm, Stream::Commands), ["b", "a", "c"]);
    assert_eq!(again.struck().count(Fault::LateWrite), 1, "counts go on");
}

#[test]
fn accepted_groups_that_are_held_back_are_handed_on_in_order_at_the_next_sync() {
    let (struck, calm) = two(always(|faults| {
        faults.hold_once_in = 2;
        faults.hold_ms_max = 1;
    }));
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    for (number, text) in expected.iter().enumerate() {
        struck.append_behind(Stream::Events, text.as_bytes()).unwrap();
        if number % 7 == 0 {
            struck.sync(Stream::Events).unwrap();
            assert_eq!(records(&calm, Stream::Events), expected[..=number]);
        }
    }
    struck.close();
    assert_eq!(records(&calm, Stream::Events), expected);
    assert!(struck.struck().count(Fault::Hold) > 0);
}

#[test]
fn of_accepted_groups_a_beginning_survives_the_end_of_a_process() {
    let mut survivors = [0; 4];
    for seed in 0..40 {
        let faults = always(|faults| faults.hold_once_in = 1);
        let struck = TurbulentJournal::new(streams(), TurbulentConfig::new(seed, faults));
        for text in ["a", "b", "c"] {
            struck.append_behind(Stream::Events, text.as_bytes()).unwrap();
        }
        let again = struck.reopen();
        again.land();
        let left = records(&again, Stream::Events);
        assert_eq!(left, ["a", "b", "c"][..left.len()]);
        survivors[left.len()] += 1;
    }
    assert!(survivors.iter().all(|count| *count > 0), "{survivors:?}");
}

#[test]
fn what_was_accepted_and_is_lost_shows_at_the_next_sync() {
    let (struck, calm) = two(always(|faults| faults.lost_group_once_in = 1));
    struck.append_behind(Stream::Events, b"a").unwrap();
    struck.sync(Stream::Events).unwrap_err();
    assert!(matches!(struck.health(), Health::Failed(_)));
    assert!(records(&calm, Stream::Events).is_empty());
}

#[test]
fn accepted_groups_behind_a_lost_one_are_written_until_the_process_hears_of_it() {
    let mut holes = 0;
    for seed in 0..40 {
        let faults = always(|faults| {
            faults.lost_group_once_in = 4;
            faults.overtaking_groups_max = 4;
        });
        let struck = TurbulentJournal::new(streams(), TurbulentConfig::new(seed, faults));
        let mut accepted = 0;
        while struck.append_behind(Stream::Events, accepted.to_string().as_bytes()).is_ok() {
            accepted += 1;
        }
        struck.sync(Stream::Events).unwrap_err();
        let again = struck.reopen();
        again.sync(Stream::Events).unwrap();
        let left = records(&again, Stream::Events);
        assert!(left.len() < accepted);
        assert!(left.is_sorted_by_key(|text| text.parse::<u64>().unwrap()));
        holes += u32::from(left.iter().enumerate().any(|(place, text)| *text != place.to_string()));
    }
    assert!(holes > 0);
}

#[test]
fn a_lagging_reader_sees_everything_late_and_in_order() {
    let (struck, calm) = two(always(|faults| faults.lag_once_in = 2));
    for number in 0..200 {
        append(&calm, &number.to_string()).unwrap();
    }
    let mut reader = struck.reader(Stream::Commands, Position::START, Visibility::Durable).unwrap();
    let (mut seen, mut empty) = (Vec::new(), 0);
    while seen.len() < 200 {
        let before = reader.position();
        match reader.poll(Duration::ZERO).unwrap() {
            Some(group) => {
                assert_eq!((before, reader.position()), (group.position, group.next));
                seen.extend(group.records.iter().map(<[u8]>::to_vec));
            }
            None => {
                assert_eq!(reader.position(), before, "what is late is still to come");
                empty += 1;
            }
        }
    }
    assert!(empty > 0 && struck.struck().count(Fault::Lag) > 50);
    assert!(
        seen.iter().enumerate().all(|(number, record)| *record == number.to_string().as_bytes())
    );
}

#[test]
fn a_paused_process_stands_still_in_every_call_until_it_is_resumed() {
    let (paused, calm) = two(Turbulence::CALM);
    let lane = paused.lane(Stream::Commands, Arc::new(|_| ())).unwrap();
    let mut reader = paused.reader(Stream::Commands, Position::START, Visibility::Durable).unwrap();
    paused.pause();
    std::thread::scope(|scope| {
        let (sender, done) = channel();
        let calls: [Box<dyn FnOnce() + Send>; 5] = [
            Box::new(|| append(&paused, "a").map(|_| ()).unwrap()),
            Box::new(|| paused.append_behind(Stream::Events, b"a").map(|_| ()).unwrap()),
            Box::new(|| paused.sync(Stream::Events).unwrap()),
            Box::new(|| lane.push(b"b").map(|_| ()).unwrap()),
            Box::new(|| drop(reader.poll(PATIENCE).unwrap().unwrap())),
        ];
        for call in calls {
            let sender = sender.clone();
            scope.spawn(move || {
                call();
                sender.send(()).unwrap();
            });
        }
        // Its own writing thread stands still, too.
        wait_until("all stand still", || {
            paused.struck().count(Fault::Pause) == 6 && paused.stands_still()
        });
        append(&calm, "c").unwrap();
        assert!(done.try_recv().is_err());
        assert_eq!(records(&calm, Stream::Commands), ["c"]);
        paused.resume();
        for _ in 0..5 {
            done.recv_timeout(PATIENCE).unwrap();
        }
    });
    wait_until("all is written", || records(&calm, Stream::Commands).len() == 3);
    assert!(!paused.stands_still());
}

#[test]
fn the_same_seed_strikes_the_same_groups() {
    let faults = Turbulence {
        repeat_once_in: 5,
        stray_repeat_once_in: 7,
        lost_answer_once_in: 40,
        lost_group_once_in: 40,
        late_write_once_in: 40,
        ..Turbulence::CALM
    };
    let run = |seed| {
        let mut journal = TurbulentJournal::new(streams(), TurbulentConfig::new(seed, faults));
        for number in 0..100 {
            if append(&journal, &number.to_string()).is_err() {
                journal = journal.reopen();
            }
        }
        (records(&journal, Stream::Commands), journal.struck())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
