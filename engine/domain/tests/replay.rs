//! The same commands give the same events and the same digest, in any batch sizes and from any
//! checkpoint.
//!
//! `SLOTLINE_REPLAY_COMMANDS` sets how many commands, `SLOTLINE_SEED` repeats a run.

// A seed is read from the environment and printed: tests alone may.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod journal;
mod support;

use std::collections::BTreeMap;

use domain::changes::{ChangeReader, Section};
use domain::codec::EventGroupWriter;
use domain::{Event, Sequence, State};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use journal::{Entry, write};

/// Commands of an ordinary run.
const COMMANDS: usize = 100_000;

/// Commands between two looks of the store, at most.
const TAKE_INTERVAL_COMMANDS_MAX: usize = 5_000;

/// Damaged checkpoints that are loaded.
const DAMAGED_CHECKPOINTS: usize = 1_000;

#[test]
fn batches_of_any_size_and_a_checkpoint_at_any_point_give_one_digest_and_the_same_event_bytes() {
    let mut rng = support::seeded("replay");
    let entries = write(&mut rng, commands());
    let mut first = Replay::new(State::new());
    first.batches(&entries, entries.len());
    first.assert_much_happened();
    let expected = first.result();
    for batch in [1, 7, 1_000] {
        let cut = rng.random_range(0..entries.len());
        println!("batches of {batch}, checkpoint behind {cut} commands");
        let mut replay = Replay::new(State::new());
        replay.with_takes(&entries[..cut], batch, &mut rng);
        let before = replay.state.digest();
        replay.state = match batch {
            7 => folded(&replay.taken),
            _ => in_order(&replay.taken),
        };
        assert_eq!(replay.state.digest(), before, "a loaded state is another one");
        replay.with_takes(&entries[cut..], batch, &mut rng);
        assert_eq!(replay.result(), expected, "batches of {batch}, checkpoint behind {cut}");
        // What was taken before and after the checkpoint is still one history.
        assert_eq!(in_order(&replay.taken).digest(), expected.0);
    }
    let mut alone = Replay::new(State::without_changes());
    alone.batches(&entries, 64);
    assert_eq!(alone.result(), expected);
    assert_eq!(alone.state.changes_bytes(), 0);
}

#[test]
fn the_digest_tells_states_apart_that_differ_in_one_command() {
    let mut rng = support::seeded("digest");
    let entries = write(&mut rng, 3_000);
    let mut replay = Replay::new(State::new());
    let mut seen = BTreeMap::new();
    for (place, entry) in entries.iter().enumerate() {
        replay.apply(entry);
        let before = seen.insert(replay.state.digest(), place);
        assert_eq!(before, None, "after command {place}");
    }
}

#[test]
fn a_damaged_checkpoint_is_refused_or_gives_another_digest_and_never_a_panic() {
    let mut rng = support::seeded("damage");
    let entries = write(&mut rng, 4_000);
    let mut replay = Replay::new(State::new());
    replay.batches(&entries[..3_000], 100);
    replay.take();
    let digest = replay.state.digest();
    let mut refused = 0;
    for _ in 0..DAMAGED_CHECKPOINTS {
        let mut records = records(&replay.taken);
        if !damage(&mut records, &mut rng) {
            continue;
        }
        let Some(state) = load(&records) else {
            refused += 1;
            continue;
        };
        assert_ne!(state.digest(), digest, "damage that nobody can see");
        // It was taken for a state, so it must work like one.
        let mut damaged = Replay::new(state);
        damaged.batches(&entries[3_000..], 100);
    }
    println!("{refused} of {DAMAGED_CHECKPOINTS} refused");
    assert!(refused > DAMAGED_CHECKPOINTS / 10);
}

/// A state under way, and what came of it.
struct Replay {
    state: State,
    /// Hash of the bytes of all events, command by command.
    bytes: blake3::Hasher,
    /// All changes taken so far.
    taken: Vec<u8>,
    /// How often each kind of event was seen.
    kinds: BTreeMap<String, u64>,
}

impl Replay {
    fn new(state: State) -> Replay {
        let (bytes, taken, kinds) = (blake3::Hasher::new(), Vec::new(), BTreeMap::new());
        Replay { state, bytes, taken, kinds }
    }

    fn batches(&mut self, entries: &[Entry], batch: usize) {
        for entries in entries.chunks(batch) {
            let envelopes: Vec<_> = entries.iter().filter_map(|(_, entry)| entry.clone()).collect();
            self.state.prefetch(&envelopes);
            entries.iter().for_each(|entry| self.apply(entry));
        }
    }

    /// The same, and now and then the changes are taken; at the end as well.
    fn with_takes(&mut self, entries: &[Entry], batch: usize, rng: &mut ChaCha8Rng) {
        let mut rest = entries;
        while !rest.is_empty() {
            let length = rng.random_range(1..=TAKE_INTERVAL_COMMANDS_MAX).min(rest.len());
            let (now, later) = rest.split_at(length);
            self.batches(now, batch);
            self.take();
            rest = later;
        }
        self.take();
    }

    fn take(&mut self) {
        self.state.take_changes(&mut self.taken);
        assert_eq!(self.state.changes_bytes(), 0);
    }

    fn apply(&mut self, (at, entry): &Entry) {
        let mut events = Vec::new();
        let before = self.state.sequence();
        let origin = match entry {
            Some(envelope) => {
                self.state.apply(&envelope.command, *at, &mut events);
                envelope.origin
            }
            None => {
                self.state.apply_malformed(*at, &mut events);
                domain::Origin(0)
            }
        };
        assert_eq!(self.state.sequence(), Sequence(before.0 + 1));
        assert!(self.state.now() >= *at);
        let mut writer = EventGroupWriter::new(self.state.sequence(), self.state.now());
        writer.command(origin, &events);
        let mut bytes = Vec::new();
        writer.finish([0; 32], &mut bytes);
        self.bytes.update(&bytes);
        for event in &events {
            *self.kinds.entry(kind(event)).or_default() += 1;
        }
    }

    fn result(&self) -> ([u8; 32], blake3::Hash) {
        (self.state.digest(), self.bytes.finalize())
    }

    /// A journal in which little happens proves little.
    fn assert_much_happened(&self) {
        println!("{:?}", self.kinds);
        for kind in journal::EXPECTED {
            let seen = self.kinds.get(*kind).copied().unwrap_or(0);
            assert!(seen > 0, "no {kind} in {:?}", self.kinds);
        }
    }
}

/// The name of an event, with its reason.
fn kind(event: &Event) -> String {
    match event {
        Event::Rejected { reason, .. } => format!("Rejected {}", reason.reason()),
        other => {
            let text = format!("{other:?}");
            let end = text.find([' ', '{']).unwrap_or(text.len());
            text[..end].to_owned()
        }
    }
}

type Records = BTreeMap<(Section, u32), Vec<u8>>;

/// The last bytes of each record, as a store folds them.
fn records(taken: &[u8]) -> Records {
    let mut records = Records::new();
    for change in ChangeReader::new(taken) {
        let change = change.unwrap();
        records.insert((change.section, change.index), change.bytes.to_vec());
    }
    records.retain(|_, bytes| !bytes.is_empty());
    records
}

fn load(records: &Records) -> Option<State> {
    let mut state = State::new();
    for ((section, index), bytes) in records {
        state.load(*section, *index, bytes).ok()?;
    }
    state.finish_load().ok()?;
    Some(state)
}

fn folded(taken: &[u8]) -> State {
    load(&records(taken)).expect("an intact checkpoint")
}

fn in_order(taken: &[u8]) -> State {
    let mut state = State::new();
    for change in ChangeReader::new(taken) {
        let change = change.unwrap();
        state.load(change.section, change.index, change.bytes).expect("an intact record");
    }
    state.finish_load().expect("an intact checkpoint");
    state
}

/// Flips a bit of a record, cuts it, lengthens it, loses it or moves it; false when nothing changed.
fn damage(records: &mut Records, rng: &mut ChaCha8Rng) -> bool {
    let place = rng.random_range(0..records.len());
    let (key, bytes) = records.iter().nth(place).unwrap();
    let (key, mut bytes) = (*key, bytes.clone());
    match rng.random_range(0..10) {
        0 => {
            records.remove(&key);
            return true;
        }
        1 => {
            bytes.truncate(rng.random_range(0..bytes.len()));
        }
        2 => bytes.push(rng.random()),
        3 => {
            let other = records.values().nth(rng.random_range(0..records.len())).unwrap().clone();
            if other == bytes {
                return false;
            }
            bytes = other;
        }
        _ => {
            let bit = rng.random_range(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    records.insert(key, bytes);
    true
}

fn commands() -> usize {
    match std::env::var("SLOTLINE_REPLAY_COMMANDS") {
        Ok(text) => text.parse().expect("SLOTLINE_REPLAY_COMMANDS is a number"),
        Err(_) => COMMANDS,
    }
}

#[test]
fn the_written_journal_depends_on_its_seed_alone() {
    let write = |seed| write(&mut ChaCha8Rng::seed_from_u64(seed), 500);
    assert!(write(1) == write(1));
    assert!(write(1) != write(2));
}
