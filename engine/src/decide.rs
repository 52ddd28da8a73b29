//! One commands group in, one events group out: the only caller of `State::apply`.
//!
//! Deliberately without I/O and without a clock, so that the live loop, the recovery and
//! `slotline replay` run exactly the same code.

use std::sync::Arc;

use domain::codec::{DecodeError, EventGroupWriter, INSTANT_MAX, chain_hash, decode_command};
use domain::{Command, Envelope, Event, Millis, Origin, Sequence, State};
use journal::{Group, Position};

use crate::EngineError;
use crate::store::CheckpointMeta;

/// How many commands ahead the state is asked to warm the cache.
const PREFETCH_COMMANDS: usize = 32;

/// What became of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    /// Its first command.
    pub(crate) first: u64,
    /// Its last command.
    pub(crate) last: u64,
    /// Events made.
    pub(crate) events: u64,
    /// Records that were no commands.
    pub(crate) malformed: u64,
    /// Highest epoch of a pulse in it.
    pub(crate) pulse: Option<u64>,
}

/// The state, and where in `commands` it stands.
pub(crate) struct Decider {
    /// Everything decided so far.
    pub(crate) state: State,
    /// Chain hash over the groups decided so far.
    chain: [u8; 32],
    /// Where the next group must stand.
    next: Position,
    /// The last group with commands, for the checkpoint's check against the journal.
    last_group: Option<Arc<Group>>,
    /// Scratch: the group's commands, those that could be read.
    envelopes: Vec<Envelope>,
    /// Scratch: places in the group of the records that could not.
    malformed: Vec<usize>,
    /// Scratch: one command's events.
    events: Vec<Event>,
    /// Scratch: the events group being packed.
    writer: EventGroupWriter,
}

impl Decider {
    /// Before the first command.
    pub(crate) fn new() -> Decider {
        Decider::at(State::new(), [0; 32], Position::START)
    }

    /// Before the first command, where no checkpoint will be taken.
    pub(crate) fn without_changes() -> Decider {
        Decider::at(State::without_changes(), [0; 32], Position::START)
    }

    /// A state that continues at a place.
    pub(crate) fn at(state: State, chain: [u8; 32], next: Position) -> Decider {
        Decider {
            state,
            chain,
            next,
            last_group: None,
            envelopes: Vec::new(),
            malformed: Vec::new(),
            events: Vec::new(),
            writer: EventGroupWriter::new(Sequence(0), Millis(0)),
        }
    }

    /// Commands applied so far.
    pub(crate) fn sequence(&self) -> u64 {
        self.state.sequence().0
    }

    /// Where the next group will be read.
    pub(crate) fn next(&self) -> Position {
        self.next
    }

    /// The chain hash over everything so far.
    pub(crate) fn chain(&self) -> [u8; 32] {
        self.chain
    }

    /// The last group with commands.
    pub(crate) fn last_group(&self) -> Option<Arc<Group>> {
        self.last_group.clone()
    }

    /// Checks that a group is the next one, before anything of it counts.
    ///
    /// # Errors
    /// [`EngineError::Gap`].
    pub(crate) fn check_place(&self, group: &Group) -> Result<(), EngineError> {
        // The first group may stand behind a file's header; every later one is known exactly.
        if group.position == self.next || (self.next == Position::START && self.sequence() == 0) {
            return Ok(());
        }
        Err(EngineError::Gap { expected: self.next.0, found: group.position.0 })
    }

    /// Passes over a sealing group.
    pub(crate) fn skip(&mut self, group: &Group) {
        self.next = group.next;
    }

    /// Applies every command of a group and packs the events into `out` (cleared first).
    ///
    /// # Errors
    /// [`EngineError::NewerFormat`], before anything was applied.
    pub(crate) fn decide(
        &mut self,
        group: Group,
        out: &mut Vec<u8>,
    ) -> Result<Decided, EngineError> {
        let pulse = self.decode(&group)?;
        let first = self.sequence() + 1;
        // As the state itself takes it: never backwards, never past the end of the calendar.
        let at = self.state.now().max(Millis(group.at_ms).min(INSTANT_MAX));
        let count = group.records.len();
        self.writer.restart(Sequence(first), at);
        let events = self.apply(count, at);
        let last = self.sequence();
        if last + 1 - first != count as u64 {
            return Err(EngineError::Internal {
                what: format!(
                    "the state counted {} commands in a group of {count} from sequence {first} on",
                    last + 1 - first
                ),
            });
        }
        self.chain =
            chain_hash(self.chain, Sequence(first), count as u32, at, group.records.packed());
        out.clear();
        self.writer.finish(self.chain, out);
        self.next = group.next;
        self.last_group = Some(Arc::new(group));
        Ok(Decided { first, last, events, malformed: self.malformed.len() as u64, pulse })
    }

    /// Reads all records; returns the highest epoch of a pulse among them.
    fn decode(&mut self, group: &Group) -> Result<Option<u64>, EngineError> {
        self.envelopes.clear();
        self.malformed.clear();
        let mut pulse = None;
        for (place, record) in group.records.iter().enumerate() {
            match decode_command(record) {
                Ok(envelope) => {
                    if let Command::Pulse { epoch } = envelope.command {
                        pulse = pulse.max(Some(epoch));
                    }
                    self.envelopes.push(envelope);
                }
                Err(DecodeError::Malformed(_)) => self.malformed.push(place),
                Err(DecodeError::NewerFormat { found, known }) => {
                    return Err(EngineError::NewerFormat {
                        what: format!(
                            "record {place} of the commands group at position {} (sequence {})",
                            group.position.0,
                            self.sequence() + 1 + place as u64
                        ),
                        found: u32::from(found),
                        known: u32::from(known),
                    });
                }
            }
        }
        Ok(pulse)
    }

    fn apply(&mut self, count: usize, at: Millis) -> u64 {
        let (mut read, mut bad, mut events) = (0, 0, 0);
        self.prefetch(0);
        for place in 0..count {
            self.events.clear();
            if self.malformed.get(bad) == Some(&place) {
                bad += 1;
                self.state.apply_malformed(at, &mut self.events);
                self.writer.command(Origin::default(), &self.events);
            } else if let Some(envelope) = self.envelopes.get(read) {
                self.state.apply(&envelope.command, at, &mut self.events);
                self.writer.command(envelope.origin, &self.events);
                read += 1;
                if read % PREFETCH_COMMANDS == 0 {
                    self.prefetch(read);
                }
            }
            events += self.events.len() as u64;
        }
        events
    }

    /// Warms the cache for the commands from `from` on.
    fn prefetch(&self, from: usize) {
        let until = self.envelopes.len().min(from + PREFETCH_COMMANDS);
        if let Some(commands) = self.envelopes.get(from..until) {
            self.state.prefetch(commands);
        }
    }

    /// Describes this place for a checkpoint; `None` before the first command.
    pub(crate) fn describe(
        &self,
        journal: [u8; 16],
        events_position: Position,
    ) -> Option<CheckpointMeta> {
        let group = self.last_group.as_ref()?;
        Some(CheckpointMeta {
            journal,
            sequence: self.sequence(),
            position: group.position.0,
            next: group.next.0,
            // Hashed by the checkpoint thread, which has the time.
            group_hash: [0; 32],
            chain: self.chain,
            epoch: self.state.epoch(),
            rules_version: self.state.rules_version(),
            events_position: events_position.0,
            at_ms: group.at_ms,
        })
    }
}
