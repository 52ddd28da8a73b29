//! Another journal with the same history, changed on the way: what a restored, replaced or torn
//! journal looks like to an engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{Group, Journal, Position, Stream, Visibility};

use super::wrapped::Wrapped;
use super::{PATIENCE, TestClock, memory};

/// Reads all durable groups of a stream.
pub fn groups(journal: &dyn Journal, stream: Stream) -> Vec<Group> {
    let end = journal.durable_end(stream).unwrap();
    let mut reader = journal.reader(stream, Position::START, Visibility::Durable).unwrap();
    let mut groups = Vec::new();
    let began = Instant::now();
    while reader.position() < end {
        assert!(began.elapsed() < PATIENCE, "the stream never ends");
        groups.extend(reader.poll(Duration::from_millis(100)).unwrap());
    }
    groups.retain(|group| !group.records.is_empty());
    groups
}

/// Writes groups of commands and events into a new journal, with their times, under the original's
/// name. The clock is left where it was.
pub fn rewritten(
    original: &dyn Journal,
    clock: &TestClock,
    commands: &[Group],
    events: &[Group],
) -> Arc<dyn Journal> {
    let copy = memory(clock);
    let now = clock.now();
    for (stream, groups) in [(Stream::Commands, commands), (Stream::Events, events)] {
        for group in groups {
            clock.set(group.at_ms);
            let records: Vec<&[u8]> = group.records.iter().collect();
            copy.append(stream, &records).unwrap();
        }
    }
    clock.set(now);
    let mut named = Wrapped::new(&copy);
    named.id = Some(original.id());
    Arc::new(named)
}

/// The group with one bit of its first record flipped.
pub fn flipped(group: &Group, place: usize) -> Group {
    let mut body = group.records.packed().to_vec();
    body[4 + place] ^= 1;
    Group {
        records: journal::Records::from_packed(body.into(), group.records.len() as u32),
        ..group.clone()
    }
}
