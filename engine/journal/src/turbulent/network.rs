//! Between the producers and the streams: what was written by whom, and what is still under way.
//!
//! Does: puts each group into the inner journal, counts groups, and lets those under way land when
//! their time has come. Time is counted in groups, so that a seed repeats. Does not decide who is
//! struck.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::{Appended, Journal, JournalError, Position, Stream};

/// How often a group that is held back looks whether its producer was stopped.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// What all producers share.
pub(super) struct Network {
    /// The streams as they really are.
    pub(super) inner: Arc<dyn Journal>,
    traffic: Mutex<Traffic>,
    /// Something was written.
    moved: Condvar,
}

/// Groups of each stream, by the stream's number.
type Counts = [u64; Stream::ALL.len()];

#[derive(Default)]
struct Traffic {
    /// Written so far.
    total: Counts,
    /// … by each life of each producer.
    own: Vec<Counts>,
    /// Not written yet.
    under_way: Vec<UnderWay>,
}

/// A group that lands later.
pub(super) struct UnderWay {
    /// Where.
    pub(super) stream: Stream,
    /// Its records.
    pub(super) records: Vec<Vec<u8>>,
    /// After so many further groups of the stream.
    pub(super) after: u64,
    /// This producer's next group of the stream does not overtake it.
    pub(super) before_next_of: Option<usize>,
}

/// A group that is held back.
#[derive(Clone, Copy)]
pub(super) struct Hold {
    /// So many groups of others go first …
    groups: u64,
    /// … counted from here …
    begin: u64,
    /// … or it has waited long enough.
    until: Instant,
}

impl Network {
    pub(super) fn new(inner: Arc<dyn Journal>) -> Network {
        Network { inner, traffic: Mutex::default(), moved: Condvar::new() }
    }

    /// One more producer, or one more life of one; gives its number.
    pub(super) fn join(&self) -> usize {
        let mut traffic = self.traffic.lock();
        traffic.own.push(Counts::default());
        traffic.own.len() - 1
    }

    /// Writes a group and waits until it is durable.
    pub(super) fn write(
        &self,
        producer: usize,
        stream: Stream,
        records: &[&[u8]],
    ) -> Result<Appended, JournalError> {
        self.in_turn(producer, stream, || self.inner.append(stream, records))
    }

    /// Hands on a group that is made durable later.
    pub(super) fn write_behind(
        &self,
        producer: usize,
        stream: Stream,
        record: &[u8],
    ) -> Result<Position, JournalError> {
        self.in_turn(producer, stream, || self.inner.append_behind(stream, record))
    }

    fn in_turn<T>(
        &self,
        producer: usize,
        stream: Stream,
        write: impl FnOnce() -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut traffic = self.traffic.lock();
        self.land(&mut traffic, |group, _| {
            group.stream == stream && group.before_next_of == Some(producer)
        });
        let written = write()?;
        traffic.total[stream as usize] += 1;
        traffic.own[producer][stream as usize] += 1;
        self.land(&mut traffic, |group, total| group.after <= total[group.stream as usize]);
        drop(traffic);
        self.moved.notify_all();
        Ok(written)
    }

    /// A group that lands later.
    pub(super) fn send_later(&self, mut group: UnderWay) {
        let mut traffic = self.traffic.lock();
        group.after += traffic.total[group.stream as usize];
        traffic.under_way.push(group);
    }

    /// Everything under way lands now.
    pub(super) fn land_all(&self) {
        self.land(&mut self.traffic.lock(), |_, _| true);
        self.moved.notify_all();
    }

    /// The groups under way for which it is time, one after the other: each may be the one that
    /// another waited for.
    fn land(&self, traffic: &mut Traffic, is_time: impl Fn(&UnderWay, &Counts) -> bool) {
        while let Some(place) =
            traffic.under_way.iter().position(|group| is_time(group, &traffic.total))
        {
            let group = traffic.under_way.remove(place);
            let records: Vec<&[u8]> = group.records.iter().map(Vec::as_slice).collect();
            // Nobody waits for this one; a journal that takes nothing more has said so to others.
            if self.inner.append(group.stream, &records).is_ok() {
                traffic.total[group.stream as usize] += 1;
            }
        }
    }

    /// Begins to hold a group back, until others have written `groups` groups of the stream or the
    /// time is over.
    pub(super) fn hold(
        &self,
        producer: usize,
        stream: Stream,
        groups: u64,
        longest: Duration,
    ) -> Hold {
        let begin = self.traffic.lock().by_others(producer, stream);
        Hold { groups, begin, until: Instant::now() + longest }
    }

    /// True when a group need not be held back any longer.
    pub(super) fn is_released(&self, producer: usize, stream: Stream, hold: Hold) -> bool {
        self.traffic.lock().by_others(producer, stream) - hold.begin >= hold.groups
            || Instant::now() >= hold.until
    }

    /// Waits for that, or until `is_over` says so; true when at least one group went first.
    pub(super) fn wait(
        &self,
        producer: usize,
        stream: Stream,
        hold: Hold,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let mut traffic = self.traffic.lock();
        loop {
            let overtaken = traffic.by_others(producer, stream) - hold.begin;
            if overtaken >= hold.groups || Instant::now() >= hold.until || is_over() {
                return overtaken > 0;
            }
            let look = hold.until.min(Instant::now() + LOOK_INTERVAL);
            self.moved.wait_until(&mut traffic, look);
        }
    }
}

impl Traffic {
    fn by_others(&self, producer: usize, stream: Stream) -> u64 {
        self.total[stream as usize] - self.own[producer][stream as usize]
    }
}
