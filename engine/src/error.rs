//! Why the engine does not start, or stops. Each text says what happened and what to do.

use journal::JournalError;

/// Why the engine halted. Nothing is applied or written after any of these.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A setting is not usable.
    #[error("engine setting {key}: {why}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The journal failed, or is damaged.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another process uses the checkpoint.
    #[error(
        "the checkpoint in {path} is in use by another process ({cause}). Stop the other engine, or give this one a data directory of its own."
    )]
    StoreLocked {
        /// Where.
        path: String,
        /// The store's words.
        cause: String,
    },
    /// The checkpoint store failed in a way that rebuilding does not cure.
    #[error(
        "checkpoint store: {call} on {path} failed: {cause}. The journal holds everything; repair the disk or give the engine another data directory, it rebuilds itself."
    )]
    Store {
        /// Which call.
        call: &'static str,
        /// Where.
        path: String,
        /// The store's or system's words.
        cause: String,
    },
    /// Something was written by a newer version.
    #[error(
        "{what} has format {found}, this build reads up to {known}. Run the version that wrote it, or a newer one."
    )]
    NewerFormat {
        /// What.
        what: String,
        /// What stands there.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// The checkpoint was taken of another journal.
    #[error(
        "the checkpoint belongs to journal {checkpoint}, but this is journal {journal}. Point the engine at its own journal, or move the checkpoint directory away to rebuild from this one."
    )]
    OtherJournal {
        /// The checkpoint's journal.
        checkpoint: String,
        /// The one given.
        journal: String,
    },
    /// The journal ends before the checkpoint: it lost commands.
    #[error(
        "the journal lost commands: the checkpoint was taken at sequence {sequence}, position {position}, but the commands stream ends at position {end}. Restore the journal from a copy that reaches further; do not delete the checkpoint."
    )]
    CheckpointAhead {
        /// The checkpoint's sequence.
        sequence: u64,
        /// Where the checkpoint continues.
        position: u64,
        /// Where the stream ends.
        end: u64,
    },
    /// The first commands are not there, and no checkpoint stands in for them.
    #[error(
        "the start of the commands stream is missing ({cause}) and no usable checkpoint covers it. Restore the journal's first segments or a checkpoint."
    )]
    MissingStart {
        /// The journal's words.
        cause: String,
    },
    /// A group is missing between two others.
    #[error(
        "gap in the commands stream: expected a group at position {expected}, found one at {found}. Restore the journal from a copy."
    )]
    Gap {
        /// Where the next group should have stood.
        expected: u64,
        /// Where one stood.
        found: u64,
    },
    /// The group on which the checkpoint ends is not the one that it was taken after.
    #[error(
        "log diverged: the checkpoint at sequence {sequence} was taken after another group than the one at position {position}. The journal was replaced or changed; restore the right one."
    )]
    OtherHistory {
        /// The checkpoint's sequence.
        sequence: u64,
        /// Of its last group.
        position: u64,
    },
    /// The events stream holds something else than the commands give.
    #[error(
        "log diverged at sequence {sequence}: {what}. Do not go on with this journal: compare it with a copy, and run `slotline replay`."
    )]
    Diverged {
        /// First sequence concerned.
        sequence: u64,
        /// How.
        what: String,
    },
    /// More events wait to be seen in the stream than may be kept.
    #[error(
        "{bytes} bytes of events were computed that are not in the events stream, more than events_pending_bytes_max = {limit}. No active engine is writing: raise the limit, or start one engine in exclusive mode to write them."
    )]
    TooFarBehind {
        /// How many wait.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// What came of one commands group does not fit into one record of the events stream.
    #[error(
        "the events of sequences {first} to {last} take {bytes} bytes, more than the journal's behind_record_bytes_max = {limit}. Raise that limit and start again; nothing is lost. Smaller imports avoid it."
    )]
    EventsTooLarge {
        /// First sequence of the group.
        first: u64,
        /// Last sequence of the group.
        last: u64,
        /// How much it takes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Two engines write although the mode says that there is one.
    #[error(
        "another engine began epoch {epoch} although this one runs in exclusive mode. Two engines share this journal: stop one, or run both in shared mode."
    )]
    Contended {
        /// The other's epoch.
        epoch: u64,
    },
    /// An event cannot be what it must be; a defect in the program.
    #[error("internal error: {what}. Nothing more is written; please report this.")]
    Internal {
        /// What was found.
        what: String,
    },
    /// Asked to stop before the work was done.
    #[error("stopped before the end was reached")]
    Stopped,
}
