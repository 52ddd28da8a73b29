//! Ordered durable bytes.
//!
//! A journal holds a few [`Stream`]s. The unit of writing is a **group**: whatever records gathered
//! since the previous group, under one header, one checksum and one sync. This crate knows no domain:
//! a record is bytes.
//!
//! # What every implementation promises
//!
//! Each line is one function in `conformance`, run on every implementation.
//!
//! 1. **Acknowledged is durable.** A record whose [`Settled`] said `Ok`, or whose `append` returned
//!    `Ok`, is read back after any crash, once, in its place.
//! 2. **Order is total.** All readers of a stream see the same records in the same order; records of
//!    one lane keep the order in which they were pushed; records of one `append` stay in one group.
//! 3. **Readers see durable groups only** ([`Visibility::Durable`]). In the process that writes, a
//!    reader may ask for [`Visibility::Accepted`] and then also sees groups accepted by
//!    [`Journal::append_behind`] whose sync is still to come.
//! 4. **A reader resumes** from any position it was given, in this process or a later one.
//! 5. **Positions grow**, and a group's `next` is the following group's `position`.
//! 6. **Time never runs backwards**: a group's `at_ms` is set by the journal and is never below its
//!    predecessor's in the same stream.
//! 7. **A failed write is never retried.** After a failed write or sync of a stream every unsettled
//!    and later record settles with an error, [`Journal::health`] says why, and reads go on. What
//!    became of the records in flight is unknown until the next start.
//! 8. **Limits refuse, they do not block**: a full lane refuses with [`Refused::Full`].
//!
//! An implementation that needs room before it writes (the embedded one) may hold groups back while there is
//! none: [`Health::Waiting`] says so, lanes refuse with [`Refused::Full`], calls that wait for durability
//! wait, and all goes on by itself.

pub mod away;
pub mod conformance;
pub mod embedded;
pub mod kafka;
pub mod memory;
pub mod storage;
pub mod turbulent;

mod bell;
mod lanes;
mod outage;
mod pacing;
mod rest;
mod seeded;
mod system;

use std::sync::Arc;
use std::time::Duration;

pub use embedded::{EmbeddedConfig, EmbeddedJournal, WriteMode};
pub use kafka::{KafkaConfig, KafkaJournal};
pub use memory::MemoryJournal;
pub use outage::{once_there, unless_away};
pub use system::raise_descriptor_limit;
pub use turbulent::TurbulentJournal;

/// The four streams of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stream {
    /// What was admitted, in order.
    Commands = 0,
    /// What came of it.
    Events = 1,
    /// The people the authority knows.
    Roster = 2,
    /// What the notifier sent.
    Deliveries = 3,
}

impl Stream {
    /// All of them.
    pub const ALL: [Stream; 4] =
        [Stream::Commands, Stream::Events, Stream::Roster, Stream::Deliveries];

    /// Lower-case name, used for folders and topics.
    pub const fn name(self) -> &'static str {
        match self {
            Stream::Commands => "commands",
            Stream::Events => "events",
            Stream::Roster => "roster",
            Stream::Deliveries => "deliveries",
        }
    }
}

/// A place in a stream: a hint for seeking that only the journal can interpret. It grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Before the first group.
    pub const START: Position = Position(0);
}

/// Names one installation's journal, so that a checkpoint is never laid over another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalId(pub [u8; 16]);

/// One durable (or, where asked for, accepted) group of records.
#[derive(Clone, Debug)]
pub struct Group {
    /// Where it stands.
    pub position: Position,
    /// Where the following group will stand.
    pub next: Position,
    /// When the journal took it, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The records.
    pub records: Records,
}

/// The records of one group, in order: `count` times a little-endian `u32` length and that many bytes.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Records {
    bytes: bytes::Bytes,
    count: u32,
}

impl Records {
    /// Takes a packed body. The caller has checked that it holds exactly `count` records.
    pub fn from_packed(bytes: bytes::Bytes, count: u32) -> Records {
        Records { bytes, count }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True for a sealing group.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The packed body as written, for hashing.
    pub fn packed(&self) -> &bytes::Bytes {
        &self.bytes
    }

    /// Each record in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (record, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = tail;
            Some(record)
        })
    }
}

/// Dense count of the records pushed into one lane; the first is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The fate of a run of records of one lane. Runs arrive in order and leave nothing out.
#[derive(Clone, Debug)]
pub struct Settled {
    /// First ticket of the run.
    pub first: Ticket,
    /// How many.
    pub count: u32,
    /// Where they stand, or why nobody knows.
    pub result: Result<Appended, JournalError>,
}

/// Where a group was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The group's place.
    pub position: Position,
    /// The following group's place.
    pub next: Position,
    /// The group's time.
    pub at_ms: i64,
}

/// Called by the journal's own thread when records of a lane settle. Must be quick and must not block.
pub type OnSettled = Arc<dyn Fn(Settled) + Send + Sync>;

/// One producer's way into a stream: records gather here until the journal takes them into a group.
/// One lane a gateway core: pushing costs an uncontended lock and a copy.
pub trait Lane: Send + Sync {
    /// Adds one record to the group being gathered, and wakes the journal if it sleeps.
    ///
    /// # Errors
    /// [`Refused::Full`] when `lane_bytes_max` are waiting, [`Refused::TooLarge`] when the record
    /// alone exceeds `record_bytes_max`, [`Refused::Closed`] after a failed write or shutdown.
    fn push(&self, record: &[u8]) -> Result<Ticket, Refused>;

    /// Records pushed and not yet settled.
    fn unsettled(&self) -> u64;

    /// The producer says that it has nothing left at hand and goes to look for more, or that it is at work
    /// again. A journal that keeps groups apart need not wait for more once all producers rest; of a
    /// producer that never says it, it can only see that nothing comes. A hint: it changes no promise.
    fn set_resting(&self, is_resting: bool) {
        let _ = is_resting;
    }
}

/// Why a record was not taken. Nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The lane holds as many bytes as it may; shed and say when to come back.
    #[error("the journal's lane is full")]
    Full,
    /// No group can hold this record.
    #[error("the record is larger than a group may be")]
    TooLarge,
    /// The journal takes no more writes until it is started again.
    #[error("the journal takes no more writes")]
    Closed,
}

/// Which groups a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Those that survive any crash.
    Durable,
    /// In the writing process, also those whose sync is still to come.
    Accepted,
}

/// Reads one stream forward.
pub trait Reader: Send {
    /// The next group, waiting up to `wait` for one; `None` when none came.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] names the place; other errors are of the medium. An error repeats.
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError>;

    /// Where the next group will be read.
    fn position(&self) -> Position;
}

/// An installation's streams.
pub trait Journal: Send + Sync {
    /// Names this journal; the same at every start.
    fn id(&self) -> JournalId;

    /// Opens a lane into a stream.
    ///
    /// # Errors
    /// When the journal takes no more writes.
    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError>;

    /// Writes one group and returns when it is durable. For rare writes: operators, imports, tests.
    ///
    /// # Errors
    /// The fate of the group is unknown after any error but [`JournalError::TooLarge`].
    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError>;

    /// Accepts one record as one group of its own: visible at once to [`Visibility::Accepted`]
    /// readers of this process, durable after at most `behind_sync_interval_ms` or the next
    /// [`Journal::sync`]. For the events writer, whose groups can be made again from `commands`.
    ///
    /// # Errors
    /// When the journal takes no more writes, or too much waits to be written.
    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError>;

    /// Makes durable all that was accepted before the call.
    ///
    /// # Errors
    /// When that could not be done; the stream takes no more writes then.
    fn sync(&self, stream: Stream) -> Result<(), JournalError>;

    /// Reads a stream from a position on.
    ///
    /// # Errors
    /// When the position was never given out, or lies before the first group kept.
    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError>;

    /// Where the next durable group will stand.
    ///
    /// # Errors
    /// Errors of the medium.
    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError>;

    /// Whether writes are taken, and if not, why.
    fn health(&self) -> Health;

    /// Bytes on disk (or memory) per stream, for metrics.
    fn stored_bytes(&self, stream: Stream) -> u64;

    /// Writes and syncs what was accepted, and takes no more.
    fn close(&self);
}

/// Whether writes are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// They are.
    Writable,
    /// Those under way wait for room that the system does not give now, lanes refuse, and all goes on by
    /// itself once it does. The text names stream, call and cause.
    Waiting(String),
    /// They are not until the next start; reads go on. The text names stream, call and cause.
    Failed(String),
    /// The journal was closed in order.
    Closed,
}

/// What can go wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Bytes that were durable are not what was written. Nothing is cut; an operator decides.
    #[error(
        "journal damaged: stream {stream}, {place}: {what}. Restore the file from a copy, or rebuild from another one; do not delete it."
    )]
    Damaged {
        /// Which stream.
        stream: &'static str,
        /// File and byte, or topic and offset.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// A file call failed.
    #[error("journal: {call} on {place} failed: {cause}")]
    Io {
        /// Which call.
        call: &'static str,
        /// Which file or topic.
        place: String,
        /// The system's words.
        cause: String,
    },
    /// A part that the journal needs does not answer now; nothing is known to be lost. Try again later.
    #[error("journal: {place} cannot be reached: {cause}")]
    Unavailable {
        /// Which part.
        place: String,
        /// What was tried, and what came back.
        cause: String,
    },
    /// The journal takes no more writes; the text says why.
    #[error("the journal takes no more writes: {0}")]
    Closed(String),
    /// The group is larger than a group may be.
    #[error("a group of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// As much waits to be written as may, or as many lanes are open as may be.
    #[error(
        "the journal holds as much as {what} = {limit} allows; try again when some of it is written"
    )]
    Full {
        /// The setting.
        what: &'static str,
        /// Its value.
        limit: u64,
    },
    /// Written by a newer version, or by another program.
    #[error("journal: {place} has format {found}, this build reads up to {known}")]
    UnknownFormat {
        /// Which file.
        place: String,
        /// What stands there.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// The position was never given out or is no longer kept.
    #[error("journal: stream {stream} has no group at position {position}")]
    NoSuchPosition {
        /// Which stream.
        stream: &'static str,
        /// What was asked for.
        position: u64,
    },
    /// Another process holds the data directory.
    #[error("the data directory {0} is in use by another process")]
    Locked(String),
    /// A setting is not usable.
    #[error("journal setting {key}: {why}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}
