//! Rebuilds everything from the journal alone and compares: the body of `slotline replay`.
//!
//! Applies every command from the first on, rehashes the whole chain, and compares with the events
//! stream (bytes) and the stored checkpoint (digest, chain hash, last group). It writes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{Journal, Position, Stream};
use serde::Serialize;

use crate::EngineError;
use crate::decide::Decider;
use crate::output::{Tail, compare};
use crate::recovery::{check_against_journal, hex, start_of_commands};
use crate::store::{CheckpointMeta, Loaded, Store};

/// Groups between two reports of progress.
const PROGRESS_GROUPS: u64 = 256;
/// One wait for a group.
const POLL_MS: u64 = 100;
/// Differences listed in full.
const DIFFERENCES_MAX: usize = 16;

/// What to compare with.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// The engine's data directory, for its checkpoint; without it only the streams are compared.
    pub data_dir: Option<PathBuf>,
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug)]
pub struct ReplayProgress {
    /// Commands applied.
    pub sequence: u64,
    /// Position in `commands`.
    pub position: u64,
    /// Position at which the replay ends.
    pub target: u64,
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// The journal, as hexadecimal digits.
    pub journal: String,
    /// Commands applied.
    pub sequence: u64,
    /// Groups with commands.
    pub groups: u64,
    /// Events that came of them.
    pub events: u64,
    /// Records that were no commands.
    pub malformed: u64,
    /// Digest of the state, as hexadecimal digits.
    pub digest: String,
    /// Chain hash over all groups, as hexadecimal digits.
    pub chain: String,
    /// Highest epoch.
    pub epoch: u64,
    /// Rules in force.
    pub rules_version: u32,
    /// The events stream holds, without a hole, the events through this sequence. Fewer than
    /// `sequence` is no error: the engine writes the rest when it starts.
    pub events_sequence: u64,
    /// Sequence of the stored checkpoint, if there is one.
    pub checkpoint_sequence: Option<u64>,
    /// Its digest, if it could be loaded.
    pub checkpoint_digest: Option<String>,
    /// True when nothing differs.
    pub matches: bool,
    /// What differs, in words.
    pub differences: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The checkpoint that the replay will pass.
struct Stored {
    meta: CheckpointMeta,
    digest: [u8; 32],
}

/// Replays the journal. `progress` returns false to stop early.
///
/// # Errors
/// When the journal or the checkpoint store cannot be read; [`EngineError::Stopped`]. What merely
/// differs is in the result.
pub fn replay(
    journal: &Arc<dyn Journal>,
    options: &ReplayOptions,
    progress: &mut dyn FnMut(ReplayProgress) -> bool,
) -> Result<Replayed, EngineError> {
    let started = Instant::now();
    let mut run = Run::open(journal, options)?;
    run.walk(progress)?;
    run.finish(started)
}

/// One replay under way.
struct Run {
    journal: Arc<dyn Journal>,
    decider: Decider,
    /// Compared with what is computed; given up at the first difference.
    tail: Option<Tail>,
    /// The events end here. Known before the end of the commands is looked at: an engine at work
    /// meanwhile writes no events before it whose commands are not read.
    events_end: Position,
    stored: Option<Stored>,
    checkpoint_sequence: Option<u64>,
    checkpoint_digest: Option<String>,
    differences: Vec<String>,
    groups: u64,
    events: u64,
    malformed: u64,
    events_sequence: u64,
}

impl Run {
    fn open(journal: &Arc<dyn Journal>, options: &ReplayOptions) -> Result<Run, EngineError> {
        let mut run = Run {
            journal: Arc::clone(journal),
            decider: Decider::without_changes(),
            tail: Some(Tail::open(journal.as_ref(), Position::START, 1)?),
            events_end: journal.durable_end(Stream::Events)?,
            stored: None,
            checkpoint_sequence: None,
            checkpoint_digest: None,
            differences: Vec::new(),
            groups: 0,
            events: 0,
            malformed: 0,
            events_sequence: 0,
        };
        if let Some(data_dir) = &options.data_dir
            && let Some(mut store) = Store::open_to_read(data_dir)?
            && let Some(meta) = store.checkpoints().into_iter().next()
        {
            run.load_checkpoint(&mut store, meta);
        }
        Ok(run)
    }

    /// Takes the checkpoint's digest and lets go of its state.
    fn load_checkpoint(&mut self, store: &mut Store, meta: CheckpointMeta) {
        self.checkpoint_sequence = Some(meta.sequence);
        if let Err(error) = check_against_journal(self.journal.as_ref(), &meta) {
            self.differs(error.to_string());
            return;
        }
        match store.load(&meta) {
            Loaded::State(state) => {
                let digest = state.digest();
                self.checkpoint_digest = Some(hex(&digest));
                self.stored = Some(Stored { meta, digest });
            }
            Loaded::Damaged(why) => self
                .differs(format!("the checkpoint at sequence {} is damaged: {why}", meta.sequence)),
        }
    }

    fn walk(
        &mut self,
        progress: &mut dyn FnMut(ReplayProgress) -> bool,
    ) -> Result<(), EngineError> {
        let target = self.journal.durable_end(Stream::Commands)?;
        let mut commands = start_of_commands(self.journal.as_ref())?;
        let mut packed = Vec::new();
        while commands.position() < target {
            if self.groups.is_multiple_of(PROGRESS_GROUPS) {
                let seen = ReplayProgress {
                    sequence: self.decider.sequence(),
                    position: commands.position().0,
                    target: target.0,
                };
                if !progress(seen) {
                    return Err(EngineError::Stopped);
                }
            }
            let Some(group) = commands.poll(Duration::from_millis(POLL_MS))? else {
                continue;
            };
            self.decider.check_place(&group)?;
            if group.records.is_empty() {
                self.decider.skip(&group);
                continue;
            }
            let decided = self.decider.decide(group, &mut packed)?;
            self.groups += 1;
            self.events += decided.events;
            self.malformed += decided.malformed;
            self.compare_events(decided.first, decided.last, &packed)?;
            self.compare_checkpoint();
        }
        Ok(())
    }

    fn compare_events(&mut self, first: u64, last: u64, packed: &[u8]) -> Result<(), EngineError> {
        let Some(tail) = self.tail.as_mut() else {
            return Ok(());
        };
        let found = match tail.peek_before(self.events_end) {
            Ok(found) => found,
            Err(EngineError::Diverged { sequence, what }) => {
                self.tail = None;
                self.differs(format!("events, sequence {sequence}: {what}"));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Some(found) = found else {
            return Ok(());
        };
        match compare(found, first, last, packed) {
            Ok(()) => {
                self.events_sequence = last;
                tail.take();
            }
            Err(error) => {
                self.tail = None;
                self.differs(error.to_string());
            }
        }
        Ok(())
    }

    fn compare_checkpoint(&mut self) {
        let sequence = self.decider.sequence();
        let Some(stored) = self.stored.take_if(|stored| stored.meta.sequence <= sequence) else {
            return;
        };
        if stored.meta.sequence != sequence {
            self.differs(format!(
                "the checkpoint at sequence {} does not end where a group ends",
                stored.meta.sequence
            ));
            return;
        }
        if stored.meta.chain != self.decider.chain() {
            self.differs(format!("the chain hash at sequence {sequence} is not the checkpoint's"));
        }
        if stored.digest != self.decider.state.digest() {
            self.differs(format!("the digest at sequence {sequence} is not the checkpoint's"));
        }
    }

    fn finish(mut self, started: Instant) -> Result<Replayed, EngineError> {
        if let Some(stored) = self.stored.take() {
            self.differs(format!(
                "the checkpoint at sequence {} lies behind the last command, {}",
                stored.meta.sequence,
                self.decider.sequence()
            ));
        }
        let ahead = match self.tail.as_mut() {
            Some(tail) => tail.peek_before(self.events_end)?.map(|found| found.first),
            None => None,
        };
        if let Some(first) = ahead {
            let end = self.decider.sequence();
            self.differs(if first > end {
                format!("the events stream reaches to sequence {first} or further, the commands end at {end}")
            } else {
                format!("the events stream was not read to its end: sequence {first} came late")
            });
        }
        Ok(Replayed {
            journal: hex(&self.journal.id().0),
            sequence: self.decider.sequence(),
            groups: self.groups,
            events: self.events,
            malformed: self.malformed,
            digest: hex(&self.decider.state.digest()),
            chain: hex(&self.decider.chain()),
            epoch: self.decider.state.epoch(),
            rules_version: self.decider.state.rules_version(),
            events_sequence: self.events_sequence,
            checkpoint_sequence: self.checkpoint_sequence,
            checkpoint_digest: self.checkpoint_digest,
            matches: self.differences.is_empty(),
            differences: self.differences,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    fn differs(&mut self, what: String) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(what);
        }
    }
}
