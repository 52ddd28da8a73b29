//! Of several failures the first is told, and the rest of all producers ends a pause.

#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::collections::VecDeque;

use super::*;
use crate::Lane;
use crate::embedded::config::system_clock;
use crate::embedded::lane::EmbeddedLane;
use crate::embedded::tail::End;
use crate::storage::crash::CrashStorage;

fn shared() -> Shared {
    Shared::new(
        EmbeddedConfig::default(),
        Arc::new(CrashStorage::new(true)),
        system_clock(),
        JournalId([0; 16]),
        None,
    )
}

/// A stream that nobody writes, and its lanes.
fn stream_with_lanes(count: usize) -> (Arc<StreamCore>, Vec<EmbeddedLane>) {
    let shared = Arc::new(shared());
    let end = End {
        position: 0,
        previous_crc: 0,
        at_ms: 0,
        is_sealed: true,
        segment: (0, 16 << 10),
        beyond: VecDeque::new(),
    };
    let config = shared.config.clone();
    let tail = Tail::new(shared.id, Stream::Commands, shared.block_bytes, config, end);
    let core = StreamCore::new(shared.clone(), Stream::Commands, "".into(), tail, BTreeMap::new());
    let lanes = (0..count).map(|_| {
        let shared = Arc::new(LaneShared::new(Arc::new(|_| {})));
        core.lanes.lock().push(Arc::clone(&shared));
        EmbeddedLane { shared, core: Arc::clone(&core) }
    });
    let lanes = lanes.collect();
    (core, lanes)
}

#[test]
fn the_last_producer_that_rests_ends_a_pause_in_which_something_waits() {
    let (core, lanes) = stream_with_lanes(2);
    lanes.iter().for_each(|lane| lane.set_resting(false));
    core.bell.listen();
    lanes.iter().for_each(|lane| lane.set_resting(true));
    assert!(core.bell.is_listening(), "nothing waits");
    lanes.iter().for_each(|lane| lane.set_resting(false));
    lanes[0].push(b"one").unwrap();
    lanes[0].set_resting(true);
    assert!(core.bell.is_listening(), "the other may add to it");
    lanes[1].set_resting(true);
    assert!(!core.bell.is_pausing(), "nobody will add to it");
}

#[test]
fn a_producer_that_leaves_ends_it_too() {
    let (core, mut lanes) = stream_with_lanes(2);
    lanes[0].push(b"one").unwrap();
    lanes[0].set_resting(true);
    lanes[1].set_resting(false);
    core.bell.listen();
    drop(lanes.pop());
    assert!(!core.bell.is_pausing(), "nobody will add to it");
}

#[test]
fn a_pause_that_only_urgent_work_ends_is_not_ended_by_rest() {
    let (core, lanes) = stream_with_lanes(1);
    lanes[0].push(b"one").unwrap();
    core.bell.pause();
    lanes[0].set_resting(true);
    assert!(core.bell.is_pausing());
}

#[test]
fn the_first_failure_is_the_one_told() {
    let shared = shared();
    let error = |what: &str| JournalError::Closed(what.to_owned());
    shared.fail(Stream::Events, &error("first"));
    shared.fail(Stream::Commands, &error("second"));
    shared.closed();
    match shared.health() {
        Health::Failed(text) => assert!(text.contains("events") && text.contains("first")),
        other => panic!("{other:?}"),
    }
}
