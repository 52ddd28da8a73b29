//! The promises of [`Journal`], each as a function that panics where one is broken.
//!
//! Does: drives any implementation through a [`Harness`] that opens, stops and breaks it. Does not look
//! inside, and never lets time decide: waits end when the condition holds, or fail after
//! [`PATIENCE_S`].
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::Arc;

use crate::Journal;

mod durability;
mod limits;
mod order;
mod reading;
mod tools;

pub use durability::*;
pub use limits::*;
pub use order::*;
pub use reading::*;

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
    ("closed_lanes_leave_the_others_served", closed_lanes_leave_the_others_served),
    ("rest_that_is_announced_changes_no_promise", rest_that_is_announced_changes_no_promise),
    ("closing_writes_what_was_accepted", closing_writes_what_was_accepted),
    ("a_waiting_reader_is_woken", a_waiting_reader_is_woken),
    ("streams_do_not_mix", streams_do_not_mix),
    ("every_kind_of_writing_keeps_one_order", every_kind_of_writing_keeps_one_order),
    ("the_name_stays", the_name_stays),
];
