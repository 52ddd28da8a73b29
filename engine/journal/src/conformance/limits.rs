//! Limits refuse at once.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a broken promise is told by a panic

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use super::Harness;
use super::tools::{all_records, lane_of, patience, push, settled_well};
use crate::{JournalError, Refused, Stream};

/// Promise 8. The journal's thread is held in a settlement, so that lanes must fill.
pub fn limits_refuse_and_do_not_block(harness: &mut dyn Harness) {
    let limits = harness.limits();
    let journal = harness.open();
    let is_released = Arc::new(AtomicBool::new(false));
    let (entered, held) = channel();
    let gate = Arc::clone(&is_released);
    let holder = journal
        .lane(
            Stream::Commands,
            Arc::new(move |_| {
                let _ = entered.send(());
                while !gate.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            }),
        )
        .expect("a lane");
    let (lane, settled) = lane_of(&*journal, Stream::Commands);
    push(&*holder, b"hold");
    held.recv_timeout(patience()).expect("the journal's thread is held");
    let record = vec![1; 64];
    let mut taken = 0;
    let refused = loop {
        match lane.push(&record) {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken * 68 <= limits.lane_bytes_max, "the lane takes more than its limit");
    };
    assert_eq!(refused, Refused::Full);
    assert_eq!(taken, limits.lane_bytes_max / 68, "the lane refuses before its limit");
    let too_large = vec![0; limits.record_bytes_max + 1];
    assert_eq!(lane.push(&too_large), Err(Refused::TooLarge));
    let too_much = vec![0; limits.group_bytes_max + 1];
    let result = journal.append(Stream::Commands, &[&too_much]);
    assert!(matches!(result, Err(JournalError::TooLarge { .. })));
    let too_much = vec![0; limits.behind_record_bytes_max + 1];
    let result = journal.append_behind(Stream::Events, &too_much);
    assert!(matches!(result, Err(JournalError::TooLarge { .. })));
    is_released.store(true, Ordering::Release);
    settled_well(&settled, taken);
    let largest = vec![7; limits.record_bytes_max];
    push(&*lane, &largest);
    journal.sync(Stream::Commands).expect("a sync");
    let found = all_records(&*journal, Stream::Commands);
    assert_eq!(found.last(), Some(&largest));
    journal.close();
}
