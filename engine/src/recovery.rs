//! From what is on disk to a state that continues: choose a checkpoint, check it against the journal.
//!
//! - Another journal's checkpoint, one that lies ahead of the journal, another group where the
//!   checkpoint ended, a missing start: halt, with words that name what to do.
//! - Events that end before the checkpoint (torn off in a crash): an older checkpoint, or everything
//!   again, so that the missing events are made and written once more.
//! - A damaged checkpoint: the older one, or everything again.
//!
//! Deliberately does not replay: the loop does, with the code that runs live.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{Group, Journal, JournalError, Position, Reader, Stream, Visibility};

use crate::decide::Decider;
use crate::output::{KNOWN_GROUP_POLL_MS, KNOWN_GROUP_POLLS_MAX, Output, Tail, stalled};
use crate::store::{CheckpointMeta, Loaded, Store, group_hash};
use crate::{EngineConfig, EngineError};

/// Everything the loop needs to go on.
pub(crate) struct Recovered {
    /// The state and its place.
    pub(crate) decider: Decider,
    /// Reads `commands` from there on.
    pub(crate) commands: Box<dyn Reader>,
    /// Continues `events` from there on.
    pub(crate) output: Output,
    /// Takes further checkpoints.
    pub(crate) store: Store,
    /// Sequence of the checkpoint used, 0 when none was.
    pub(crate) checkpoint: u64,
}

/// Chooses, checks and loads.
///
/// # Errors
/// Whatever needs a person; see the module.
pub(crate) fn recover(
    config: &EngineConfig,
    journal: &Arc<dyn Journal>,
) -> Result<Recovered, EngineError> {
    let mut store = Store::open(&config.data_dir)?;
    let mut damaged = false;
    for meta in store.checkpoints() {
        let commands = check_against_journal(journal.as_ref(), &meta)?;
        let Some((tail, events_position)) = events_behind(journal.as_ref(), &meta)? else {
            tracing::warn!(
                sequence = meta.sequence,
                "the events end before the checkpoint; using an older one, the missing events are written again"
            );
            continue;
        };
        let began = Instant::now();
        match store.load(&meta) {
            Loaded::State(state) => {
                tracing::info!(
                    sequence = meta.sequence,
                    seconds = began.elapsed().as_secs_f64(),
                    "checkpoint loaded"
                );
                store.forget_after(meta.sequence)?;
                let decider = Decider::at(*state, meta.chain, Position(meta.next));
                let output =
                    Output::new(Arc::clone(journal), tail, meta.sequence, events_position, config);
                return Ok(Recovered {
                    decider,
                    commands,
                    output,
                    store,
                    checkpoint: meta.sequence,
                });
            }
            Loaded::Damaged(why) => {
                damaged = true;
                tracing::warn!(sequence = meta.sequence, %why, "the checkpoint is damaged; using an older one, or rebuilding from the journal");
            }
        }
    }
    from_the_start(config, journal, store, damaged)
}

fn from_the_start(
    config: &EngineConfig,
    journal: &Arc<dyn Journal>,
    mut store: Store,
    damaged: bool,
) -> Result<Recovered, EngineError> {
    let commands = start_of_commands(journal.as_ref())?;
    if damaged {
        store = store.set_aside()?;
    } else {
        store.forget_after(0)?;
    }
    let tail = Tail::open(journal.as_ref(), Position::START, 1)?;
    let output = Output::new(Arc::clone(journal), tail, 0, Position::START, config);
    Ok(Recovered { decider: Decider::new(), commands, output, store, checkpoint: 0 })
}

/// Opens `commands` at the very first group.
///
/// # Errors
/// [`EngineError::MissingStart`] when that is not kept.
pub(crate) fn start_of_commands(journal: &dyn Journal) -> Result<Box<dyn Reader>, EngineError> {
    journal.reader(Stream::Commands, Position::START, Visibility::Durable).map_err(|error| {
        match error {
            JournalError::NoSuchPosition { .. } => {
                EngineError::MissingStart { cause: error.to_string() }
            }
            other => other.into(),
        }
    })
}

/// Checks that the checkpoint was taken of this journal, at a group that is still there; gives a
/// reader that stands behind it.
///
/// # Errors
/// Halting ones.
pub(crate) fn check_against_journal(
    journal: &dyn Journal,
    meta: &CheckpointMeta,
) -> Result<Box<dyn Reader>, EngineError> {
    if journal.id().0 != meta.journal {
        return Err(EngineError::OtherJournal {
            checkpoint: hex(&meta.journal),
            journal: hex(&journal.id().0),
        });
    }
    let end = journal.durable_end(Stream::Commands)?;
    if end.0 < meta.next {
        return Err(EngineError::CheckpointAhead {
            sequence: meta.sequence,
            position: meta.next,
            end: end.0,
        });
    }
    let other = || EngineError::OtherHistory { sequence: meta.sequence, position: meta.position };
    let mut reader =
        match journal.reader(Stream::Commands, Position(meta.position), Visibility::Durable) {
            Ok(reader) => reader,
            Err(JournalError::NoSuchPosition { .. }) => return Err(other()),
            Err(error) => return Err(error.into()),
        };
    let group = known_group(reader.as_mut())?;
    let same = group.position.0 == meta.position
        && group.next.0 == meta.next
        && group_hash(&group) == meta.group_hash;
    if same { Ok(reader) } else { Err(other()) }
}

/// Finds the place in `events` behind the checkpoint's last group; `None` when the events end before.
///
/// # Errors
/// When the stream holds another group for that sequence, or cannot be read.
fn events_behind(
    journal: &dyn Journal,
    meta: &CheckpointMeta,
) -> Result<Option<(Tail, Position)>, EngineError> {
    let hint = Position(meta.events_position);
    if hint < journal.durable_end(Stream::Events)? {
        let wait = Duration::from_millis(KNOWN_GROUP_POLL_MS);
        // A stale hint may point into the middle of something; the walk from the start tells damage.
        let at_hint = Tail::open_at_group(journal, hint, wait)?;
        if let Some(tail) = at_hint
            && let Some(found) = walk_to(journal, tail, meta)?
        {
            return Ok(Some(found));
        }
    }
    // The hint is no good: the stream was written again, or by another engine.
    walk_to(journal, Tail::open(journal, Position::START, 1)?, meta)
}

/// Reads forward to the group that ends where the checkpoint does; gives the tail behind it and the
/// group's place.
fn walk_to(
    journal: &dyn Journal,
    mut tail: Tail,
    meta: &CheckpointMeta,
) -> Result<Option<(Tail, Position)>, EngineError> {
    let end = journal.durable_end(Stream::Events)?;
    while tail.peek_before(end)?.is_some() {
        let Some(group) = tail.take() else { break };
        if group.last == meta.sequence {
            check_chain(meta, group.chain)?;
            return Ok(Some((tail, group.position)));
        }
        if group.first > meta.sequence {
            return Ok(None);
        }
        if group.last > meta.sequence {
            return Err(EngineError::Diverged {
                sequence: meta.sequence,
                what: format!(
                    "the events group {}..={} has no end where the checkpoint does",
                    group.first, group.last
                ),
            });
        }
    }
    Ok(None)
}

fn check_chain(meta: &CheckpointMeta, found: [u8; 32]) -> Result<(), EngineError> {
    if found == meta.chain {
        return Ok(());
    }
    Err(EngineError::Diverged {
        sequence: meta.sequence,
        what: format!(
            "the events group there carries chain hash {}, the checkpoint {}",
            hex(&found),
            hex(&meta.chain)
        ),
    })
}

/// Reads a group that is known to be durable.
fn known_group(reader: &mut dyn Reader) -> Result<Group, EngineError> {
    for _ in 0..KNOWN_GROUP_POLLS_MAX {
        if let Some(group) = reader.poll(Duration::from_millis(KNOWN_GROUP_POLL_MS))? {
            return Ok(group);
        }
    }
    Err(stalled("commands"))
}

/// Bytes as people compare them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
