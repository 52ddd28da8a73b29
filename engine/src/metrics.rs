//! Every figure the engine exports: name, help and handle in one place.
//!
//! The handles are taken once, when the engine opens (after the recorder is installed); the loop
//! only adds to them, once a group, never once a command.

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// Handles of all engine metrics.
pub(crate) struct EngineMetrics {
    /// Commands decided.
    pub(crate) commands: Counter,
    /// Commands groups decided.
    pub(crate) groups: Counter,
    /// Events that came of them.
    pub(crate) events: Counter,
    /// Bytes of events groups.
    pub(crate) events_bytes: Counter,
    /// Records that could not be read as a command.
    pub(crate) malformed: Counter,
    /// Seconds to decide one group, from poll to events appended.
    pub(crate) group_seconds: Histogram,
    /// Commands in one group.
    pub(crate) group_commands: Histogram,
    /// Last sequence applied.
    pub(crate) sequence: Gauge,
    /// Highest epoch read.
    pub(crate) epoch: Gauge,
    /// 0 replaying, 1 standby, 2 active, 3 halted.
    pub(crate) phase: Gauge,
    /// How far the journal's time is ahead of this machine's clock.
    pub(crate) clock_ahead: Gauge,
    /// Events groups of deposed engines that were dropped.
    pub(crate) events_beyond: Gauge,
    /// Bytes of events computed and not yet seen in the stream.
    pub(crate) events_pending_bytes: Gauge,
    /// Pulses written.
    pub(crate) pulses: Counter,
    /// Pulses that the journal did not take.
    pub(crate) pulses_refused: Counter,
    /// Writer's pause for one cut.
    pub(crate) cut_seconds: Histogram,
}

/// Handles of the checkpoint thread.
pub(crate) struct StoreMetrics {
    /// Checkpoints committed.
    pub(crate) checkpoints: Counter,
    /// Checkpoints that failed.
    pub(crate) failures: Counter,
    /// Bytes of changes written.
    pub(crate) changes_bytes: Counter,
    /// Sequence of the newest checkpoint.
    pub(crate) sequence: Gauge,
    /// Seconds from the cut to the commit.
    pub(crate) commit_seconds: Histogram,
    /// Blocks folded.
    pub(crate) folds: Counter,
    /// Bytes of base blocks.
    pub(crate) base_bytes: Gauge,
    /// Bytes of deltas not yet folded.
    pub(crate) delta_bytes: Gauge,
}

macro_rules! described {
    (counter $name:literal, $unit:expr, $help:literal) => {{
        describe_counter!($name, $unit, $help);
        counter!($name)
    }};
    (gauge $name:literal, $unit:expr, $help:literal) => {{
        describe_gauge!($name, $unit, $help);
        gauge!($name)
    }};
    (histogram $name:literal, $unit:expr, $help:literal) => {{
        describe_histogram!($name, $unit, $help);
        histogram!($name)
    }};
}

impl EngineMetrics {
    /// Describes and takes the handles.
    pub(crate) fn new() -> EngineMetrics {
        EngineMetrics {
            commands: described!(counter "slotline_engine_commands_total", Unit::Count, "Commands decided since the start of the process, replayed ones included."),
            groups: described!(counter "slotline_engine_groups_total", Unit::Count, "Commands groups decided."),
            events: described!(counter "slotline_engine_events_total", Unit::Count, "Events that came of the commands."),
            events_bytes: described!(counter "slotline_engine_events_bytes_total", Unit::Bytes, "Bytes of events groups computed."),
            malformed: described!(counter "slotline_engine_malformed_total", Unit::Count, "Records of the commands stream that could not be read as a command."),
            group_seconds: described!(histogram "slotline_engine_group_seconds", Unit::Seconds, "Time to decide one group, from reading it to having its events appended."),
            group_commands: described!(histogram "slotline_engine_group_commands", Unit::Count, "Commands in one group."),
            sequence: described!(gauge "slotline_engine_sequence", Unit::Count, "Sequence of the last command applied."),
            epoch: described!(gauge "slotline_engine_epoch", Unit::Count, "Highest epoch read."),
            phase: described!(gauge "slotline_engine_phase", Unit::Count, "0 replaying, 1 standby, 2 active, 3 halted."),
            clock_ahead: described!(gauge "slotline_engine_clock_ahead_seconds", Unit::Seconds, "How far the journal's time of the last live group was ahead of this machine's clock; negative when behind."),
            events_beyond: described!(gauge "slotline_engine_events_beyond", Unit::Count, "Events groups of deposed engines that were dropped while reading the events stream."),
            events_pending_bytes: described!(gauge "slotline_engine_events_pending_bytes", Unit::Bytes, "Events computed and not yet seen in the events stream."),
            pulses: described!(counter "slotline_engine_pulses_total", Unit::Count, "Pulses written by this engine."),
            pulses_refused: described!(counter "slotline_engine_pulses_refused_total", Unit::Count, "Pulses that the journal did not take; they are skipped."),
            cut_seconds: described!(histogram "slotline_engine_cut_seconds", Unit::Seconds, "Pause of the writer for one checkpoint cut."),
        }
    }
}

impl StoreMetrics {
    /// Describes and takes the handles.
    pub(crate) fn new() -> StoreMetrics {
        StoreMetrics {
            checkpoints: described!(counter "slotline_engine_checkpoints_total", Unit::Count, "Checkpoints committed."),
            failures: described!(counter "slotline_engine_checkpoint_failures_total", Unit::Count, "Checkpoints that failed; after one no more are taken until the restart."),
            changes_bytes: described!(counter "slotline_engine_checkpoint_changes_bytes_total", Unit::Bytes, "Bytes of changed records written to checkpoints."),
            sequence: described!(gauge "slotline_engine_checkpoint_sequence", Unit::Count, "Sequence of the newest committed checkpoint."),
            commit_seconds: described!(histogram "slotline_engine_checkpoint_seconds", Unit::Seconds, "Time from the cut to the committed checkpoint."),
            folds: described!(counter "slotline_engine_folds_total", Unit::Count, "Blocks of the checkpoint into which deltas were folded."),
            base_bytes: described!(gauge "slotline_engine_checkpoint_base_bytes", Unit::Bytes, "Bytes of base blocks in the checkpoint store."),
            delta_bytes: described!(gauge "slotline_engine_checkpoint_delta_bytes", Unit::Bytes, "Bytes of deltas not yet folded into base blocks."),
        }
    }
}
