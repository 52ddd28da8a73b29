//! What must be true of a country when all is over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::codec::{EventGroup, decode_command};
use domain::{
    Admission, BookingNumber, Event, KeyHash, Millis, PeriodNumber, PersonNumber, Rejection,
    Sequence, SlotNumber, Watermark,
};
use journal::turbulent::TurbulentJournal;
use journal::{Journal, Position, Stream, Visibility};

use crate::crowd::Crowd;
use crate::engines::Home;
use crate::support::copies::groups;
use crate::support::running::replayed;
use crate::support::{PATIENCE, ReadEvents, read_events};
use crate::twin::Twin;

/// What was compared, so that a run can show that there was something to compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct Audited {
    commands: u64,
    acknowledged: u64,
    confirmed: u64,
    changed: u64,
    cancelled: u64,
    slots_full: u64,
    already_booked: u64,
    repeated: u64,
    keys_reused: u64,
    /// Events groups dropped as read before, and as lying beyond a hole.
    behind: u64,
    beyond: u64,
    pub takeovers: u64,
    pub restarts: u64,
}

impl Audited {
    fn counts(&self) -> [(&'static str, u64); 13] {
        [
            ("commands", self.commands),
            ("acknowledged", self.acknowledged),
            ("confirmed", self.confirmed),
            ("changed", self.changed),
            ("cancelled", self.cancelled),
            ("slots full", self.slots_full),
            ("already booked", self.already_booked),
            ("repeated", self.repeated),
            ("keys reused", self.keys_reused),
            ("groups behind", self.behind),
            ("groups beyond", self.beyond),
            ("takeovers", self.takeovers),
            ("restarts", self.restarts),
        ]
    }

    /// What never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        self.counts().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Audited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().into_iter().try_for_each(|(name, count)| write!(f, "{name} {count}  "))
    }
}

impl AddAssign for Audited {
    fn add_assign(&mut self, other: Audited) {
        self.commands += other.commands;
        self.acknowledged += other.acknowledged;
        self.confirmed += other.confirmed;
        self.changed += other.changed;
        self.cancelled += other.cancelled;
        self.slots_full += other.slots_full;
        self.already_booked += other.already_booked;
        self.repeated += other.repeated;
        self.keys_reused += other.keys_reused;
        self.behind += other.behind;
        self.beyond += other.beyond;
        self.takeovers += other.takeovers;
        self.restarts += other.restarts;
    }
}

/// Reads events while they come, in a process that falls behind.
pub struct Watcher {
    pub journal: TurbulentJournal,
    through: Arc<AtomicU64>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Watcher {
    pub fn start(journal: TurbulentJournal) -> Watcher {
        // How far to read; known at the end.
        let through = Arc::new(AtomicU64::new(u64::MAX));
        let mut reader =
            journal.reader(Stream::Events, Position::START, Visibility::Accepted).unwrap();
        let goal = Arc::clone(&through);
        let thread = std::thread::spawn(move || {
            let (mut watermark, mut admitted) = (Watermark::START, Vec::new());
            let mut asked_at = None;
            while watermark.last().0 < goal.load(Ordering::Acquire) {
                if goal.load(Ordering::Acquire) < u64::MAX {
                    let asked_at = asked_at.get_or_insert_with(Instant::now);
                    assert!(asked_at.elapsed() < PATIENCE, "a reader is stuck at {watermark:?}");
                }
                let polled = reader.poll(Duration::from_millis(5)).unwrap();
                for record in polled.iter().flat_map(|group| group.records.iter()) {
                    let group = EventGroup::decode(record).unwrap();
                    if watermark.admit(group.first, group.last()) == Admission::Next {
                        admitted.push(record.to_vec());
                    }
                }
            }
            admitted
        });
        Watcher { journal, through, thread }
    }

    /// The groups that it applied, through a command and perhaps beyond.
    pub fn finish(self, through: u64) -> Vec<Vec<u8>> {
        self.through.store(through, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// Compares everything with everything. `through` is the last command that the crowd may have sent.
pub fn audit(
    streams: &Arc<dyn Journal>,
    lagging: &TurbulentJournal,
    crowd: &Crowd,
    homes: &[Home],
    watched: &[Vec<Vec<u8>>],
    through: u64,
) -> Audited {
    let read = read_events(streams.as_ref());
    assert!(read.commands.len() as u64 >= through, "commands without events");
    every_reader_saw_the_same(streams, &read, watched);
    let mut audited = as_the_twin_decides(streams, &read);
    no_place_is_given_twice(&read);
    every_retry_has_the_first_answer(crowd, &read);
    nothing_acknowledged_is_missing(crowd, &read);
    let lagging: Arc<dyn Journal> = Arc::new(lagging.clone());
    let mut digests = 0;
    for journal in [streams, &lagging] {
        for (folder, _) in homes {
            let found = replayed(journal, Some(folder.path()));
            assert!(found.matches, "{:?}", found.differences);
            assert!(found.events_sequence >= through);
            digests += u32::from(found.checkpoint_digest.is_some());
        }
    }
    assert!(digests > 0, "an active engine that is stopped in order takes a checkpoint");
    audited.acknowledged = crowd.acknowledged.len() as u64;
    audited.behind = read.behind;
    audited.beyond = read.beyond;
    audited
}

/// Equal ids have equal bytes, whoever wrote them; and who reads while they come, or falls behind,
/// applies the same groups as who reads at the end.
fn every_reader_saw_the_same(
    streams: &Arc<dyn Journal>,
    read: &ReadEvents,
    watched: &[Vec<Vec<u8>>],
) {
    let applied: BTreeMap<Sequence, &Vec<u8>> =
        read.groups.iter().map(|bytes| (EventGroup::decode(bytes).unwrap().first, bytes)).collect();
    for group in groups(streams.as_ref(), Stream::Events) {
        for record in group.records.iter() {
            let first = EventGroup::decode(record).unwrap().first;
            // A group beyond what is applied yet is one that no engine has gone on to.
            if let Some(bytes) = applied.get(&first) {
                assert!(record == bytes.as_slice(), "two groups from sequence {} on", first.0);
            }
        }
    }
    for seen in watched {
        let common = seen.len().min(read.groups.len());
        assert!(seen[..common] == read.groups[..common], "a reader saw something else");
    }
}

/// The naive twin decides the same commands in the same order, event by event.
fn as_the_twin_decides(streams: &Arc<dyn Journal>, read: &ReadEvents) -> Audited {
    let mut twin = Twin::default();
    let mut decided = read.commands.iter();
    for group in groups(streams.as_ref(), Stream::Commands) {
        let at = twin.now.map_or(Millis(group.at_ms), |now| now.max(Millis(group.at_ms)));
        for record in group.records.iter() {
            let Some((sequence, origin, events)) = decided.next() else { break };
            let envelope = decode_command(record).unwrap();
            let expected = twin.apply(&envelope.command, at);
            assert_eq!((*sequence, *origin), (twin.sequence, envelope.origin));
            assert_eq!(*events, expected, "sequence {sequence}: {:?}", envelope.command);
        }
    }
    assert!(decided.next().is_none(), "events without commands");
    let sum = |counts: &BTreeMap<PeriodNumber, u64>| counts.values().sum();
    let rejected = |reason| twin.figures.rejected.get(&reason).copied().unwrap_or(0);
    Audited {
        commands: twin.sequence,
        confirmed: sum(&twin.figures.confirmed),
        changed: sum(&twin.figures.changed),
        cancelled: sum(&twin.figures.cancelled),
        slots_full: rejected(Rejection::SlotFull),
        already_booked: rejected(Rejection::AlreadyBooked),
        repeated: twin.figures.repeated,
        keys_reused: twin.figures.keys_reused,
        ..Audited::default()
    }
}

/// Plain counters: no slot holds more than it has, no person holds two bookings.
fn no_place_is_given_twice(read: &ReadEvents) {
    let mut places: HashMap<SlotNumber, (u32, u32)> = HashMap::new();
    let mut held: HashMap<PersonNumber, BookingNumber> = HashMap::new();
    for (sequence, _, events) in &read.commands {
        for event in events {
            match event {
                Event::SlotsPut { slots } => {
                    for (number, slot) in slots {
                        places.entry(*number).or_default().0 = slot.capacity;
                    }
                }
                Event::CapacitySet { slot, capacity } => {
                    places.get_mut(slot).unwrap().0 = *capacity;
                }
                Event::Confirmed { person, booking, slot, .. } => {
                    places.get_mut(slot).unwrap().1 += 1;
                    let before = held.insert(*person, *booking);
                    assert_eq!(before, None, "sequence {sequence}: two bookings of {person:?}");
                }
                Event::Changed { person, booking, from, to, .. } => {
                    places.get_mut(from).unwrap().1 -= 1;
                    places.get_mut(to).unwrap().1 += 1;
                    assert_eq!(held.get(person), Some(booking));
                }
                Event::Cancelled { person, booking, slot, .. } => {
                    places.get_mut(slot).unwrap().1 -= 1;
                    assert_eq!(held.remove(person), Some(*booking));
                }
                _ => {}
            }
        }
        for (slot, (capacity, taken)) in &places {
            assert!(taken <= capacity, "sequence {sequence}: {slot:?} is oversold");
        }
    }
}

/// The first command under a key decides; every later one, through whichever gateway and however
/// often it was written, is answered by pointing at it.
fn every_retry_has_the_first_answer(crowd: &Crowd, read: &ReadEvents) {
    let mut first_of: HashMap<(PersonNumber, PeriodNumber, KeyHash), (Sequence, usize)> =
        HashMap::new();
    for (sequence, origin, events) in &read.commands {
        let Some(place) = (origin.0 as usize).checked_sub(1) else { continue };
        let sent = crowd.sent[place];
        let request = &crowd.requests[sent];
        let answer = events.iter().find(|event| !matches!(event, Event::Numbered { .. }));
        let (person, period, key, first) = keyed(answer.expect("every command has an outcome"));
        assert_eq!((period, key), (request.period, request.retry.key));
        match first_of.get(&(person, period, key)) {
            None => {
                assert_eq!(first, None, "sequence {sequence} repeats nothing: {answer:?}");
                first_of.insert((person, period, key), (Sequence(*sequence), sent));
            }
            Some((decided, by)) => {
                assert_eq!(first, Some(*decided), "sequence {sequence}: a second answer");
                let is_same = crowd.requests[*by].retry.fingerprint == request.retry.fingerprint;
                assert_eq!(is_same, matches!(answer, Some(Event::Repeated { .. })));
            }
        }
    }
}

/// Whose answer an event is, and which command it points at if it is a repetition.
fn keyed(event: &Event) -> (PersonNumber, PeriodNumber, KeyHash, Option<Sequence>) {
    match *event {
        Event::Confirmed { person, period, key, .. }
        | Event::Changed { person, period, key, .. }
        | Event::Cancelled { person, period, key, .. }
        | Event::Rejected { person, period, key, .. } => (person, period, key, None),
        Event::Registered { person, key, .. }
        | Event::AlreadyRegistered { person, key, .. }
        | Event::Withdrawn { person, key, .. } => (person, PeriodNumber::INTENTS, key, None),
        Event::Repeated { person, period, key, first }
        | Event::KeyReused { person, period, key, first } => (person, period, key, Some(first)),
        ref other => panic!("no answer: {other:?}"),
    }
}

/// Acknowledged is decided.
fn nothing_acknowledged_is_missing(crowd: &Crowd, read: &ReadEvents) {
    let decided: BTreeSet<u64> = read.commands.iter().map(|(_, origin, _)| origin.0).collect();
    for origin in &crowd.acknowledged {
        assert!(decided.contains(origin), "acknowledged and never decided: origin {origin}");
    }
    let answered: BTreeSet<usize> =
        crowd.acknowledged.iter().map(|origin| crowd.sent[*origin as usize - 1]).collect();
    assert_eq!(answered.len(), crowd.requests.len(), "everybody had an answer in the end");
}
