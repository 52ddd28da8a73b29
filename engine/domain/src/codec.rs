//! Versioned bytes: how commands and events stand in the journal.
//!
//! Every record starts with a format version. A record of a newer format is not guessed at
//! ([`DecodeError::NewerFormat`]): its reader halts. A record that cannot be read is
//! [`DecodeError::Malformed`]; for a command that is an outcome like any other.
//!
//! What arrives a million times (bookings and what comes of them) has a fixed layout written by hand:
//! a `Book` with a person's number is 36 bytes. The rest is a stable kind number followed by
//! postcard. All integers of the fixed layouts are little-endian.
//!
//! Decoding never panics, reads to the last byte or refuses, and allocates in proportion to the bytes
//! at hand, whatever lengths they claim. It also refuses instants and days outside the years 1 to
//! 9999 ([`INSTANT_MIN`]..=[`INSTANT_MAX`]), so that nobody who adds to them or shows them has to fear.
//!
//! What this module deliberately does not do: checksums (the journal has them), compression, and any
//! judgement on the contents: whether a list is too long or a number
//! unusable is for the rules to say, as an outcome.

use crate::{Event, ImportRows, Millis, Origin, Sequence};

mod bytes;
mod check;
mod command;
mod event;
mod group;

pub use command::{decode_command, encode_command};
pub(crate) use event::put_event;
pub use group::{Commands, EventGroup, EventGroupWriter};

/// The newest format this build reads, and the one it writes.
pub const FORMAT: u8 = 1;

/// The first instant a record may name: 0001-01-01T00:00:00Z.
pub const INSTANT_MIN: Millis = Millis(-62_135_596_800_000);

/// The last instant a record may name: 9999-12-31T23:59:59.999Z.
pub const INSTANT_MAX: Millis = Millis(253_402_300_799_999);

/// Rows that a writer puts into one `Attend` command; the rules refuse more.
pub const ATTENDANCE_ROWS_MAX: usize = 1_024;

/// Rows that a writer puts into one `CorrectRoster` or `Supersede` command; the rules refuse more.
pub const CORRECTION_ROWS_MAX: usize = 2_048;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes are not what any version wrote; the text names the first thing that is wrong.
    Malformed(&'static str),
    /// A newer version wrote them: the reader must halt, never skip.
    NewerFormat {
        /// What the record says.
        found: u8,
        /// The newest that this build reads.
        known: u8,
    },
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Malformed(what) => write!(f, "malformed record: {what}"),
            DecodeError::NewerFormat { found, known } => write!(
                f,
                "the record has format {found}, this build reads up to {known}: \
                 start the newer version that wrote it"
            ),
        }
    }
}

impl std::error::Error for DecodeError {}

/// What came of one command, read back from an events group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandEvents {
    /// Which command.
    pub sequence: Sequence,
    /// Where its answer is awaited.
    pub origin: Origin,
    /// What came of it, in order; an event's place here is the index of its id.
    pub events: Vec<Event>,
}

/// Hash of an import's rows, taken row by row: how they were cut into chunks makes no difference,
/// their order does.
#[derive(Clone, Debug)]
pub struct ImportHasher {
    hasher: blake3::Hasher,
    /// Packed rows of one chunk, kept to be used again.
    buffer: Vec<u8>,
}

impl ImportHasher {
    /// Nothing hashed yet.
    pub fn new() -> ImportHasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"slotline import rows 1");
        ImportHasher { hasher, buffer: Vec::new() }
    }

    /// Adds the rows of one chunk.
    pub fn update(&mut self, rows: &ImportRows) {
        self.buffer.clear();
        match rows {
            ImportRows::Sites(rows) => rows.iter().for_each(|row| {
                self.buffer.push(0);
                bytes::put_packed(row, &mut self.buffer);
            }),
            ImportRows::Slots(rows) => rows.iter().for_each(|row| {
                self.buffer.push(1);
                bytes::put_packed(row, &mut self.buffer);
            }),
            ImportRows::Members(rows) => rows.iter().for_each(|row| {
                self.buffer.push(2);
                self.buffer.extend_from_slice(&row.0);
            }),
        }
        self.hasher.update(&self.buffer);
    }

    /// The hash of all rows so far.
    pub fn finish(&self) -> [u8; 32] {
        *self.hasher.finalize().as_bytes()
    }
}

impl Default for ImportHasher {
    fn default() -> ImportHasher {
        ImportHasher::new()
    }
}

/// The hash that `ImportCommit` carries, over all chunks of an import in order.
pub fn import_hash<'a>(chunks: impl IntoIterator<Item = &'a ImportRows>) -> [u8; 32] {
    let mut hasher = ImportHasher::new();
    for rows in chunks {
        hasher.update(rows);
    }
    hasher.finish()
}

/// Chains one commands group to all before it: H(previous ‖ first ‖ count ‖ at ‖ records), where
/// `packed_records` is the group's packed body as the journal gave it. The chain starts from 32 zero
/// bytes.
pub fn chain_hash(
    previous: [u8; 32],
    first: Sequence,
    count: u32,
    at: Millis,
    packed_records: &[u8],
) -> [u8; 32] {
    let mut head = [0_u8; 52];
    head[..32].copy_from_slice(&previous);
    head[32..40].copy_from_slice(&first.0.to_le_bytes());
    head[40..44].copy_from_slice(&count.to_le_bytes());
    head[44..].copy_from_slice(&at.0.to_le_bytes());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&head);
    hasher.update(packed_records);
    *hasher.finalize().as_bytes()
}

/// True for an instant that a record may name.
pub(crate) fn is_instant(at: Millis) -> bool {
    (INSTANT_MIN..=INSTANT_MAX).contains(&at)
}

/// Shows the events that bytes hold one after another, checked as those of the journal are.
pub(crate) fn for_each_event(
    bytes: &[u8],
    mut show: impl FnMut(&Event) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut cursor = bytes::Cursor::new(bytes);
    let mut event = Event::Malformed;
    while cursor.end().is_err() {
        event::read_event(&mut cursor, &mut event)?;
        show(&event)?;
    }
    Ok(())
}

/// Reads the format byte.
fn check_format(format: u8) -> Result<(), DecodeError> {
    match format {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(DecodeError::NewerFormat { found, known: FORMAT }),
        _ => Err(DecodeError::Malformed("no such format")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PersonKey;

    #[test]
    fn the_import_hash_does_not_depend_on_how_rows_are_cut_into_chunks() {
        let keys: Vec<PersonKey> = (0..9).map(|n| PersonKey([n; 16])).collect();
        let whole = import_hash([&ImportRows::Members(keys.clone())]);
        let (front, back) = keys.split_at(4);
        let cut = import_hash([
            &ImportRows::Members(front.to_vec()),
            &ImportRows::Members(back.to_vec()),
        ]);
        assert_eq!(whole, cut);
        let turned = import_hash([
            &ImportRows::Members(back.to_vec()),
            &ImportRows::Members(front.to_vec()),
        ]);
        assert_ne!(whole, turned);
    }

    #[test]
    fn the_chain_changes_with_each_of_its_parts() {
        let base = chain_hash([0; 32], Sequence(1), 2, Millis(3), b"abc");
        assert_ne!(base, chain_hash([1; 32], Sequence(1), 2, Millis(3), b"abc"));
        assert_ne!(base, chain_hash([0; 32], Sequence(2), 2, Millis(3), b"abc"));
        assert_ne!(base, chain_hash([0; 32], Sequence(1), 3, Millis(3), b"abc"));
        assert_ne!(base, chain_hash([0; 32], Sequence(1), 2, Millis(4), b"abc"));
        assert_ne!(base, chain_hash([0; 32], Sequence(1), 2, Millis(3), b"abd"));
    }
}
