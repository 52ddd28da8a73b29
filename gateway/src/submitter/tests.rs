//! Requests of one core over a journal in memory: who is completed by what, and who is not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use domain::view::{Outcome, OutcomeResult};
use domain::{
    Fingerprint, Millis, PeriodNumber, PersonNumber, PersonRef, RetryKey, Sequence, SlotNumber,
};
use journal::memory::{MemoryConfig, MemoryFaults};
use journal::{Journal, MemoryJournal, Stream};

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

struct Desk {
    journal: MemoryJournal,
    submitter: Submitter,
    inbox: Arc<Inbox>,
    in_flight: Arc<InFlight>,
    watchers: Arc<Watchers>,
}

fn desk_with(durable_wait: Duration, in_flight_max: usize) -> Desk {
    let journal = MemoryJournal::new(MemoryConfig::default());
    let inbox = Arc::new(Inbox::default());
    let settled = Arc::clone(&inbox);
    let lane = journal.lane(Stream::Commands, Arc::new(move |run| settled.settle(&run))).unwrap();
    let in_flight = Arc::new(InFlight::new(1));
    let watchers = Arc::new(Watchers::default());
    let submitter = Submitter::new(
        (1, 0),
        lane,
        Arc::clone(&inbox),
        Arc::clone(&in_flight),
        Arc::clone(&watchers),
        durable_wait,
        in_flight_max,
    );
    Desk { journal, submitter, inbox, in_flight, watchers }
}

fn desk() -> Desk {
    desk_with(LONG, 100)
}

fn book(key: u64) -> Command {
    Command::Book {
        person: PersonRef::Number(PersonNumber(1)),
        period: PeriodNumber(2),
        slot: SlotNumber(3),
        retry: RetryKey { key: KeyHash(key), fingerprint: Fingerprint(0) },
    }
}

fn outcome() -> Decision {
    Decision::Outcome(Outcome {
        sequence: Sequence(7),
        at: Millis(0),
        fingerprint: Fingerprint(0),
        result: OutcomeResult::AlreadyRegistered,
    })
}

fn applied() -> Decision {
    Decision::Applied { sequence: Sequence(7), events: Vec::new() }
}

impl Desk {
    fn submit(&self, key: u64, until: Until) -> Waiting<'_> {
        self.submitter.submit(book(key), Some(KeyHash(key)), until).unwrap()
    }

    fn deliver(&self, index: u32, key: Option<u64>, decision: Decision) {
        let mut list = vec![Completion { index, key: key.map(KeyHash), decision }];
        self.inbox.deliver(&mut list, 1);
        self.submitter.drain();
    }

    /// Waits until everything pushed has settled, well or not.
    fn settle(&self) {
        let start = Instant::now();
        while self.inbox.settled_end() < self.inbox.pushed() {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing settles");
            std::thread::yield_now();
        }
        self.submitter.drain();
    }
}

fn poll(waiting: &mut Waiting<'_>) -> Option<Answer> {
    match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[test]
fn a_request_that_waits_for_durability_leaves_when_its_record_settles() {
    let desk = desk();
    let mut waiting = desk.submit(1, Until::Durable);
    desk.settle();
    assert!(matches!(poll(&mut waiting), Some(Answer::Durable)));
    assert_eq!(desk.submitter.waiting_count(), 0);
    assert!(desk.in_flight.may_hold(KeyHash(1)), "its outcome has not been seen");
}

#[test]
fn a_request_that_waits_for_its_outcome_does_not_leave_before() {
    let desk = desk();
    let mut waiting = desk.submit(1, Until::Outcome(LONG));
    desk.settle();
    assert_eq!(desk.inbox.wakes(), 0, "news of durability are not for it");
    assert!(poll(&mut waiting).is_none());
    desk.deliver(0, Some(1), outcome());
    assert!(matches!(poll(&mut waiting), Some(Answer::Decided(Decision::Outcome(_)))));
    assert_eq!(desk.inbox.wakes(), 1);
}

#[test]
fn an_outcome_of_another_key_completes_nothing() {
    let desk = desk();
    let mut waiting = desk.submit(1, Until::Outcome(LONG));
    desk.deliver(0, Some(2), outcome());
    desk.deliver(0, None, applied());
    desk.deliver(9_999, Some(1), outcome());
    assert!(poll(&mut waiting).is_none());
}

#[test]
fn an_outcome_that_takes_too_long_leaves_with_durability_alone() {
    let desk = desk();
    let mut waiting = desk.submit(1, Until::Outcome(Duration::ZERO));
    desk.settle();
    desk.submitter.tick();
    assert!(matches!(poll(&mut waiting), Some(Answer::Durable)));
    // The late outcome finds nobody, also not the next one in its place.
    let mut next = desk.submit(2, Until::Outcome(LONG));
    desk.deliver(0, Some(1), outcome());
    assert!(poll(&mut next).is_none());
}

#[test]
fn events_of_a_command_without_a_key_complete_that_command_alone() {
    let desk = desk();
    let submit = || desk.submitter.submit(book(0), None, Until::Outcome(LONG)).unwrap();
    drop(submit());
    assert_eq!(desk.submitter.waiting_count(), 0);
    let mut second = submit();
    let mut third = submit();
    desk.deliver(0, None, applied());
    assert!(poll(&mut second).is_none(), "the events were of the one that went away");
    desk.deliver(1, None, applied());
    assert!(matches!(poll(&mut second), Some(Answer::Decided(Decision::Applied { .. }))));
    // The journal held the second one twice; its place has gone to the fourth.
    let mut fourth = submit();
    desk.deliver(1, None, applied());
    assert!(poll(&mut third).is_none() && poll(&mut fourth).is_none());
    desk.deliver(3, None, applied());
    assert!(poll(&mut fourth).is_some() && poll(&mut third).is_none());
    desk.deliver(2, None, applied());
    assert!(poll(&mut third).is_some());
    assert_eq!(desk.submitter.waiting_count(), 0);
}

#[test]
fn a_serial_number_and_a_place_in_the_slab_are_never_taken_for_each_other() {
    let desk = desk();
    drop(desk.submitter.submit(book(0), None, Until::Outcome(LONG)).unwrap());
    let mut keyed = desk.submit(5, Until::Outcome(LONG));
    let mut plain = desk.submitter.submit(book(0), None, Until::Outcome(LONG)).unwrap();
    // The command with a key has place 0, the one without has place 1 and number 1.
    desk.deliver(1, Some(5), outcome());
    desk.deliver(0, None, applied());
    assert!(poll(&mut keyed).is_none() && poll(&mut plain).is_none());
    desk.deliver(0, Some(5), outcome());
    desk.deliver(1, None, applied());
    assert!(poll(&mut keyed).is_some() && poll(&mut plain).is_some());
}

#[test]
fn a_record_whose_fate_is_unknown_says_so_whatever_its_request_waits_for() {
    for until in [Until::Durable, Until::Outcome(LONG)] {
        let desk = desk();
        let faults = MemoryFaults { failed_write_once_in: 1, ..MemoryFaults::default() };
        desk.journal.set_faults(faults);
        let mut waiting = desk.submit(1, until);
        desk.settle();
        assert!(matches!(poll(&mut waiting), Some(Answer::Unknown)));
        assert_eq!(desk.inbox.seen(), desk.inbox.pushed(), "no read waits for it for ever");
        let refused = desk.submitter.submit(book(3), Some(KeyHash(3)), Until::Durable);
        assert_eq!(refused.err(), Some(Refused::Closed));
        assert!(!desk.in_flight.may_hold(KeyHash(3)), "nothing of it was written");
    }
}

#[test]
fn a_record_that_never_settles_is_given_up_in_time() {
    let desk = desk_with(Duration::ZERO, 100);
    let mut waiting = desk.submit(1, Until::Durable);
    desk.submitter.tick();
    assert!(matches!(poll(&mut waiting), Some(Answer::Unknown)));
}

#[test]
fn beyond_the_bound_requests_are_refused_and_room_is_reused() {
    let desk = desk_with(LONG, 2);
    let one = desk.submit(1, Until::Outcome(LONG));
    let _two = desk.submit(2, Until::Outcome(LONG));
    let third = desk.submitter.submit(book(3), Some(KeyHash(3)), Until::Durable);
    assert_eq!(third.err(), Some(Refused::Full));
    drop(one);
    let _third = desk.submit(3, Until::Outcome(LONG));
}

#[test]
fn a_watcher_is_told_once_and_forgotten_when_it_goes_away() {
    let desk = desk();
    let mut watching = desk.submitter.watch(KeyHash(5), LONG).unwrap();
    assert_eq!(desk.watchers.take(KeyHash(5)), vec![(0, 0)]);
    desk.deliver(0, Some(5), outcome());
    assert!(matches!(poll(&mut watching), Some(Answer::Decided(_))));
    drop(desk.submitter.watch(KeyHash(5), LONG).unwrap());
    assert!(desk.watchers.is_empty());
    let mut late = desk.submitter.watch(KeyHash(6), Duration::ZERO).unwrap();
    desk.submitter.tick();
    assert!(matches!(poll(&mut late), Some(Answer::NotYet)));
    assert!(desk.watchers.is_empty(), "a watcher whose time is over is forgotten");
}

#[test]
fn a_lost_record_is_never_told_durable_by_a_tick() {
    let desk = desk_with(LONG, 100);
    desk.journal.set_faults(MemoryFaults { failed_write_once_in: 1, ..MemoryFaults::default() });
    let mut waiting = desk.submit(1, Until::Outcome(Duration::ZERO));
    while desk.inbox.settled_end() < desk.inbox.pushed() {
        std::thread::yield_now();
    }
    // Its time is over, and the core has not drained its inbox since the failure.
    desk.submitter.tick();
    let answer = poll(&mut waiting);
    assert!(matches!(answer, Some(Answer::Unknown)), "{answer:?}");
}

/// A lane that only counts.
#[derive(Default)]
struct CountingLane(AtomicU64);

impl Lane for CountingLane {
    fn push(&self, _: &[u8]) -> Result<journal::Ticket, Refused> {
        Ok(journal::Ticket(self.0.fetch_add(1, Ordering::Relaxed)))
    }

    fn unsettled(&self) -> u64 {
        0
    }
}

#[test]
fn a_record_lost_while_the_core_drains_is_never_told_durable() {
    const ROUNDS: u64 = 300_000;
    let inbox = Arc::new(Inbox::default());
    let submitter = Submitter::new(
        (1, 0),
        Box::new(CountingLane::default()),
        Arc::clone(&inbox),
        Arc::new(InFlight::new(1)),
        Arc::new(Watchers::default()),
        LONG,
        100,
    );
    let turn = AtomicU64::new(0);
    let lose_when_told = || {
        for round in 0..ROUNDS {
            while turn.load(Ordering::Acquire) <= round {
                std::hint::spin_loop();
            }
            // At another moment of the drain each time.
            (0..round % 64).for_each(|_| std::hint::spin_loop());
            inbox.settle(&journal::Settled {
                first: journal::Ticket(round),
                count: 1,
                result: Err(journal::JournalError::Closed("disk".to_owned())),
            });
        }
    };
    let mut told_durable = 0;
    std::thread::scope(|scope| {
        scope.spawn(lose_when_told);
        for round in 0..ROUNDS {
            let mut waiting = submitter.submit(book(1), Some(KeyHash(1)), Until::Durable).unwrap();
            turn.store(round + 1, Ordering::Release);
            let answer = loop {
                submitter.drain();
                if let Some(answer) = poll(&mut waiting) {
                    break answer;
                }
            };
            told_durable += u64::from(matches!(answer, Answer::Durable));
        }
    });
    assert_eq!(told_durable, 0, "of {ROUNDS} lost records");
}
