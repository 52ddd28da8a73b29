//! Versioned bytes of the `roster` stream.
//!
//! An import is `Begin`, any number of `Chunk`s and a `Commit` that carries the number of rows and a
//! hash over them: without it nothing takes effect. Every row is keyed hashes and a sealed birth date;
//! nothing in it is legible. All integers are little-endian; decoding reads to the last byte or refuses.
//!
//! What this module deliberately does not do: make hashes (`vault`), or judge rows (`plan`).

use domain::PersonKey;
use vault::SEALED_BIRTH_BYTES;

use super::LookupHash;

/// The newest format this build reads, and the one it writes.
pub const FORMAT: u8 = 1;

/// Bytes of the rows of one chunk; a record stays below 64 KiB with its head.
pub const CHUNK_BYTES_MAX: usize = 60 * 1024;

/// Bytes of the largest row.
pub const ROW_BYTES_MAX: usize = 1 + 6 * HASH_BYTES + SEALED_BIRTH_BYTES;

const HASH_BYTES: usize = 16;

const BEGIN: u8 = 1;
const CHUNK: u8 = 2;
const COMMIT: u8 = 3;
const CORRECTED: u8 = 4;
const OWNER: u8 = 5;

const HAS_FORMER: u8 = 1;
const HAS_CARD: u8 = 2;
const HAS_ENTRY_PERMIT: u8 = 4;
const HAS_PASSPORT: u8 = 8;
const KNOWN_FLAGS: u8 = HAS_FORMER | HAS_CARD | HAS_ENTRY_PERMIT | HAS_PASSPORT;

/// One record of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'r> {
    /// An import begins; one that was under way is void.
    Begin {
        /// Names the import.
        import: u64,
        /// The roster version against which its rows were planned.
        base_version: u32,
    },
    /// Some of its rows.
    Chunk {
        /// Which import.
        import: u64,
        /// Packed rows ([`rows`]).
        rows: &'r [u8],
    },
    /// All of its rows hold from now on, if count, hash and base version are right.
    Commit {
        /// Which import.
        import: u64,
        /// How many rows.
        rows: u32,
        /// BLAKE3 over the packed rows of all chunks.
        hash: [u8; 32],
    },
    /// The engine was told of the birth dates that changed up to this roster version.
    Corrected {
        /// The version.
        version: u32,
    },
    /// Whose secrets make the hashes of this stream. The first of them counts.
    Owner {
        /// Of the identity secret.
        fingerprint: [u8; 16],
    },
}

/// What the authority says of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The person, by earliest known ID number.
    pub person: PersonKey,
    /// Hash of the ID number.
    pub id: LookupHash,
    /// Hash of the former ID number.
    pub former: Option<LookupHash>,
    /// Hash of the NHI card number.
    pub card: Option<LookupHash>,
    /// Hash of the exit-entry permit number.
    pub entry_permit: Option<LookupHash>,
    /// Hash of the passport number.
    pub passport: Option<LookupHash>,
    /// Birth date, sealed for the person's key.
    pub born_on: [u8; SEALED_BIRTH_BYTES],
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// A newer version wrote them: the reader must halt.
    #[error(
        "roster record of format {0}, this build reads up to {FORMAT}: start the newer version"
    )]
    NewerFormat(u8),
    /// Not what any version wrote.
    #[error("malformed roster record")]
    Malformed,
}

impl Record<'_> {
    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        match self {
            Record::Begin { import, base_version } => {
                out.push(BEGIN);
                out.extend_from_slice(&import.to_le_bytes());
                out.extend_from_slice(&base_version.to_le_bytes());
            }
            Record::Chunk { import, rows } => {
                out.push(CHUNK);
                out.extend_from_slice(&import.to_le_bytes());
                out.extend_from_slice(rows);
            }
            Record::Commit { import, rows, hash } => {
                out.push(COMMIT);
                out.extend_from_slice(&import.to_le_bytes());
                out.extend_from_slice(&rows.to_le_bytes());
                out.extend_from_slice(hash);
            }
            Record::Corrected { version } => {
                out.push(CORRECTED);
                out.extend_from_slice(&version.to_le_bytes());
            }
            Record::Owner { fingerprint } => {
                out.push(OWNER);
                out.extend_from_slice(fingerprint);
            }
        }
    }
}

/// Reads a record.
///
/// # Errors
/// When the bytes are of a newer format, or no record.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, BadRecord> {
    let mut rest = Rest(bytes);
    match rest.byte()? {
        FORMAT => {}
        newer if newer > FORMAT => return Err(BadRecord::NewerFormat(newer)),
        _ => return Err(BadRecord::Malformed),
    }
    let record = match rest.byte()? {
        BEGIN => Record::Begin {
            import: u64::from_le_bytes(rest.take()?),
            base_version: u32::from_le_bytes(rest.take()?),
        },
        CHUNK => {
            let import = u64::from_le_bytes(rest.take()?);
            return Ok(Record::Chunk { import, rows: rest.0 });
        }
        COMMIT => Record::Commit {
            import: u64::from_le_bytes(rest.take()?),
            rows: u32::from_le_bytes(rest.take()?),
            hash: rest.take()?,
        },
        CORRECTED => Record::Corrected { version: u32::from_le_bytes(rest.take()?) },
        OWNER => Record::Owner { fingerprint: rest.take()? },
        _ => return Err(BadRecord::Malformed),
    };
    if rest.0.is_empty() { Ok(record) } else { Err(BadRecord::Malformed) }
}

/// Reads the packed rows of a chunk; stops behind the first that is no row.
pub fn rows(packed: &[u8]) -> impl Iterator<Item = Result<Row, BadRecord>> + '_ {
    let mut rest = Rest(packed);
    std::iter::from_fn(move || {
        if rest.0.is_empty() {
            return None;
        }
        let row = Row::decode(&mut rest);
        if row.is_err() {
            rest.0 = &[];
        }
        Some(row)
    })
}

impl Row {
    /// Appends the row's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let optional = [&self.former, &self.card, &self.entry_permit, &self.passport];
        let flag = |(bit, hash): (usize, &&Option<LookupHash>)| u8::from(hash.is_some()) << bit;
        out.push(optional.iter().enumerate().map(flag).fold(0, |flags, bit| flags | bit));
        out.extend_from_slice(&self.person.0);
        out.extend_from_slice(&self.id);
        optional.into_iter().flatten().for_each(|hash| out.extend_from_slice(hash));
        out.extend_from_slice(&self.born_on);
    }

    fn decode(rest: &mut Rest<'_>) -> Result<Row, BadRecord> {
        let flags = rest.byte()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(BadRecord::Malformed);
        }
        let person = PersonKey(rest.take()?);
        let id = rest.take()?;
        let mut optional = |flag: u8| match flags & flag {
            0 => Ok(None),
            _ => rest.take().map(Some),
        };
        Ok(Row {
            person,
            id,
            former: optional(HAS_FORMER)?,
            card: optional(HAS_CARD)?,
            entry_permit: optional(HAS_ENTRY_PERMIT)?,
            passport: optional(HAS_PASSPORT)?,
            born_on: rest.take()?,
        })
    }
}

/// Bytes still to be read.
pub(super) struct Rest<'r>(pub(super) &'r [u8]);

impl Rest<'_> {
    pub(super) fn byte(&mut self) -> Result<u8, BadRecord> {
        self.take::<1>().map(|[byte]| byte)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], BadRecord> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BadRecord::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;

    pub(in crate::roster) fn row(number: u8) -> Row {
        Row {
            person: PersonKey([number; 16]),
            id: [number ^ 0x80; 16],
            former: (number % 2 == 1).then_some([number ^ 0x40; 16]),
            card: (number.is_multiple_of(3)).then_some([1; 16]),
            entry_permit: (number % 3 == 1).then_some([2; 16]),
            passport: (number % 3 == 2).then_some([3; 16]),
            born_on: [number; SEALED_BIRTH_BYTES],
        }
    }

    fn records(rows: &[u8]) -> [Record<'_>; 5] {
        [
            Record::Begin { import: 7, base_version: 3 },
            Record::Chunk { import: 7, rows },
            Record::Commit { import: 7, rows: 6, hash: [9; 32] },
            Record::Corrected { version: 4 },
            Record::Owner { fingerprint: [9; 16] },
        ]
    }

    #[test]
    fn records_and_rows_are_read_as_they_were_written() {
        let all: Vec<Row> = (0..6).map(row).collect();
        let mut packed = Vec::new();
        all.iter().for_each(|row| row.encode(&mut packed));
        assert_eq!(rows(&packed).map(Result::unwrap).collect::<Vec<_>>(), all);
        for record in records(&packed) {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(decode(&bytes), Ok(record));
        }
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let mut bytes = Vec::new();
        Record::Begin { import: 7, base_version: 3 }.encode(&mut bytes);
        assert_eq!(bytes, [1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        bytes.clear();
        Record::Corrected { version: 4 }.encode(&mut bytes);
        assert_eq!(bytes, [1, 4, 4, 0, 0, 0]);
        bytes.clear();
        let everything = Row {
            former: Some([4; 16]),
            card: Some([1; 16]),
            entry_permit: Some([2; 16]),
            passport: Some([3; 16]),
            ..row(0)
        };
        everything.encode(&mut bytes);
        assert_eq!(bytes.len(), ROW_BYTES_MAX);
        assert_eq!(bytes[0], 0b1111);
        assert_eq!(bytes[33..50], [[4_u8; 16].as_slice(), &[1]].concat());
    }

    #[test]
    fn every_cut_and_every_excess_byte_of_a_fixed_record_is_refused() {
        for record in
            records(&[]).into_iter().filter(|record| !matches!(record, Record::Chunk { .. }))
        {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), Err(BadRecord::Malformed));
            }
            bytes.push(0);
            assert_eq!(decode(&bytes), Err(BadRecord::Malformed));
        }
    }

    #[test]
    fn a_cut_row_is_refused_and_ends_the_chunk() {
        let mut packed = Vec::new();
        row(0).encode(&mut packed);
        let whole = packed.len();
        row(1).encode(&mut packed);
        for end in whole + 1..packed.len() {
            let read: Vec<_> = rows(&packed[..end]).collect();
            assert_eq!(read, [Ok(row(0)), Err(BadRecord::Malformed)]);
        }
        packed[whole] = 0x10;
        assert_eq!(rows(&packed).nth(1), Some(Err(BadRecord::Malformed)));
    }

    #[test]
    fn a_newer_format_is_told_from_a_malformed_record() {
        assert_eq!(decode(&[2, 9, 9]), Err(BadRecord::NewerFormat(2)));
        for bytes in [&[][..], &[0, 1], &[1], &[1, 0], &[1, 9]] {
            assert_eq!(decode(bytes), Err(BadRecord::Malformed));
        }
    }
}
