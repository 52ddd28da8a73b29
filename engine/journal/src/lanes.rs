//! Lanes as plain lists: what waits, and who is told what became of it. For the journals that tests
//! use.
//!
//! Does: numbers tickets, keeps the limit of a lane, takes what waits in the order of the lanes, and
//! settles runs so that none is left out. Does not lock, write or wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Appended, JournalError, OnSettled, Refused, Settled, Stream, Ticket};

/// Settlements to tell once no lock is held.
pub(crate) type Told = Vec<(OnSettled, Settled)>;

/// Tells them.
pub(crate) fn tell(told: Told) {
    for (on_settled, settled) in told {
        on_settled(settled);
    }
}

/// All lanes of one journal, by number.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<u64, Waiting>,
    /// Number of the next lane.
    next: u64,
}

/// One lane.
struct Waiting {
    /// Its stream.
    stream: Stream,
    /// Records waiting.
    records: Vec<Vec<u8>>,
    /// Their bytes with lengths.
    bytes: usize,
    /// Records pushed.
    pushed: u64,
    /// Records whose fate was told.
    settled: u64,
    /// Whom to tell.
    on_settled: OnSettled,
}

/// The records of one group, and whose they are.
#[derive(Default)]
pub(crate) struct Gathered {
    /// Lane and count of its records, in the order of the records.
    runs: Vec<(u64, u64)>,
    /// The records.
    records: Vec<Vec<u8>>,
}

impl Gathered {
    /// The records as an append takes them.
    pub(crate) fn records(&self) -> Vec<&[u8]> {
        self.records.iter().map(Vec::as_slice).collect()
    }

    /// True when nothing waited.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

impl Lanes {
    /// One more lane; gives its number.
    pub(crate) fn open(&mut self, stream: Stream, on_settled: OnSettled) -> u64 {
        let number = self.next;
        self.next += 1;
        let lane =
            Waiting { stream, records: Vec::new(), bytes: 0, pushed: 0, settled: 0, on_settled };
        self.lanes.insert(number, lane);
        number
    }

    /// Adds a record to a lane that holds at most `lane_bytes_max`.
    pub(crate) fn push(
        &mut self,
        number: u64,
        record: &[u8],
        lane_bytes_max: u32,
    ) -> Result<Ticket, Refused> {
        let Some(lane) = self.lanes.get_mut(&number) else {
            return Err(Refused::Closed);
        };
        let bytes = lane.bytes + 4 + record.len();
        if bytes > lane_bytes_max as usize {
            return Err(Refused::Full);
        }
        lane.bytes = bytes;
        lane.records.push(record.to_vec());
        lane.pushed += 1;
        Ok(Ticket(lane.pushed - 1))
    }

    /// Records of a lane pushed and not yet settled.
    pub(crate) fn unsettled(&self, number: u64) -> u64 {
        self.lanes.get(&number).map_or(0, |lane| lane.pushed - lane.settled)
    }

    /// True when anything waits.
    pub(crate) fn has_waiting(&self) -> bool {
        self.lanes.values().any(|lane| !lane.records.is_empty())
    }

    /// Takes one group of what waits in a stream's lanes.
    pub(crate) fn gather(&mut self, stream: Stream, group_bytes_max: u32) -> Gathered {
        let mut room = group_bytes_max as usize;
        let mut gathered = Gathered::default();
        for (number, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.stream == stream) {
            let mut count = 0;
            for record in &lane.records {
                if record.len() + 4 > room {
                    break;
                }
                room -= record.len() + 4;
                lane.bytes -= record.len() + 4;
                count += 1;
            }
            if count > 0 {
                gathered.records.extend(lane.records.drain(..count));
                gathered.runs.push((*number, count as u64));
            }
        }
        gathered
    }

    /// The fate of a group that was gathered.
    pub(crate) fn settle(
        &mut self,
        gathered: &Gathered,
        result: &Result<Appended, JournalError>,
    ) -> Told {
        let mut told = Vec::new();
        for (number, count) in &gathered.runs {
            if let Some(lane) = self.lanes.get_mut(number) {
                told.push(lane.settle(*count, result.clone()));
            }
        }
        told
    }

    /// Everything unsettled ends with this error.
    pub(crate) fn settle_all(&mut self, error: &JournalError) -> Told {
        let mut told = Vec::new();
        for lane in self.lanes.values_mut() {
            lane.records.clear();
            lane.bytes = 0;
            if lane.pushed > lane.settled {
                told.push(lane.settle(lane.pushed - lane.settled, Err(error.clone())));
            }
        }
        told
    }

    /// How much was pushed into each lane of a stream.
    pub(crate) fn pushed(&self, stream: Stream) -> Vec<(u64, u64)> {
        let lanes = self.lanes.iter().filter(|(_, lane)| lane.stream == stream);
        lanes.map(|(number, lane)| (*number, lane.pushed)).collect()
    }

    /// True when all of it has settled.
    pub(crate) fn have_settled(&self, pushed: &[(u64, u64)]) -> bool {
        pushed
            .iter()
            .all(|(number, count)| self.lanes.get(number).is_none_or(|lane| lane.settled >= *count))
    }
}

impl Waiting {
    /// The next so many records have this fate.
    fn settle(
        &mut self,
        count: u64,
        result: Result<Appended, JournalError>,
    ) -> (OnSettled, Settled) {
        let first = Ticket(self.settled);
        self.settled += count;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (Arc::clone(&self.on_settled), Settled { first, count, result })
    }
}
