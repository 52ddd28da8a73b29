//! What gateways need to know of a journal in memory that they share.

use std::sync::Arc;
use std::time::Duration;

use gateway::GroupsBefore;
use journal::{Journal, Position, Stream, Visibility};
use parking_lot::Mutex;

/// Counts the groups of commands before a position by reading them.
pub fn groups_before(journal: &Arc<dyn Journal>) -> GroupsBefore {
    let reader = journal.reader(Stream::Commands, Position::START, Visibility::Durable).unwrap();
    // Where each group ends, in order.
    let read = Mutex::new((reader, Vec::new()));
    Arc::new(move |position| {
        let (reader, ends) = &mut *read.lock();
        while reader.position() < position {
            let group = reader.poll(Duration::from_secs(1)).unwrap().expect("it is durable");
            if !group.records.is_empty() {
                ends.push(group.next);
            }
        }
        ends.partition_point(|end| *end <= position) as u64
    })
}
