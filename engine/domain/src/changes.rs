//! Packed changes: the bytes by which a checkpoint follows the state.
//!
//! Every record that a command changes is appended here, right after the command and while it is in
//! cache: section, index, length, bytes. Loading all changes ever taken, in order, or the last bytes
//! of each (section, index) in order of index, gives the same state. A record of no bytes is gone.
//!
//! What this file deliberately does not do: it does not know what a record means, and it keeps nothing
//! on disk. Sums over the bytes are the store's business.

use std::fmt;

use crate::state::layout::{
    BOOKING_BYTES, CORRECTION_BYTES, GLOBALS_BYTES, PERSON_BYTES, REGISTRATION_BYTES,
    REQUEST_BYTES, SLOT_BYTES,
};

/// Bytes before a record: section, index and at least one byte of length.
pub const CHANGE_HEADER_BYTES_MIN: usize = 6;

/// Bytes of the longest record. Import chunks are the largest by far.
pub const CHANGE_BYTES_MAX: usize = 1 << 26;

/// The arrays of the state. The numbers stand in checkpoints and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Section {
    /// Sequence, time, epoch, rules version, cursors: one record, index 0, last of every take.
    Globals = 0,
    /// People: key, intent and memberships; index = person number.
    Persons = 1,
    /// Decided requests that neither made a booking nor stand for a valid registration.
    Requests = 2,
    /// Bookings with the request that made them; index = booking number.
    Bookings = 3,
    /// Slot definitions and capacities; index = slot number. Places taken are counted from bookings.
    Slots = 4,
    /// Site ids; index = site number.
    Sites = 5,
    /// Category rules; index = membership bit.
    Categories = 6,
    /// Period rules; index = period number.
    Periods = 7,
    /// The import under way: index 0 is its head, 1… its chunks.
    Imports = 8,
    /// Vaccine names; index = vaccine number.
    Vaccines = 9,
    /// Requests that made a registration; index = serial number − 1.
    Registrations = 10,
    /// Corrected dates of birth, in order of first correction of a person.
    Corrections = 11,
}

impl Section {
    /// All of them, in the order in which a base checkpoint is loaded.
    pub const ALL: [Section; 12] = [
        Section::Globals,
        Section::Persons,
        Section::Requests,
        Section::Bookings,
        Section::Slots,
        Section::Sites,
        Section::Categories,
        Section::Periods,
        Section::Imports,
        Section::Vaccines,
        Section::Registrations,
        Section::Corrections,
    ];

    /// The section with this stable number.
    pub const fn from_number(number: u8) -> Option<Section> {
        if number as usize >= Section::ALL.len() {
            return None;
        }
        Some(Section::ALL[number as usize])
    }

    /// Bytes of every record of the section, or `None` where they vary.
    pub const fn record_bytes(self) -> Option<usize> {
        match self {
            Section::Globals => Some(GLOBALS_BYTES),
            Section::Persons => Some(PERSON_BYTES),
            Section::Requests => Some(REQUEST_BYTES),
            Section::Bookings => Some(BOOKING_BYTES),
            Section::Slots => Some(SLOT_BYTES),
            Section::Registrations => Some(REGISTRATION_BYTES),
            Section::Corrections => Some(CORRECTION_BYTES),
            Section::Sites
            | Section::Categories
            | Section::Periods
            | Section::Imports
            | Section::Vaccines => None,
        }
    }
}

/// One changed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which array.
    pub section: Section,
    /// Which place in it.
    pub index: u32,
    /// What stands there now; empty when it is gone.
    pub bytes: &'a [u8],
}

/// Bytes of a checkpoint that no state ever wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorruptRecord {
    /// Which array, where it is known.
    pub section: Option<Section>,
    /// Which place in it, or which byte of the packed changes when no section is known.
    pub index: u32,
    /// What is wrong.
    pub what: &'static str,
}

impl CorruptRecord {
    /// A record that cannot stand in its place.
    pub fn new(section: Section, index: u32, what: &'static str) -> CorruptRecord {
        CorruptRecord { section: Some(section), index, what }
    }
}

impl fmt::Display for CorruptRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section {
            Some(section) => {
                write!(formatter, "checkpoint record {section:?}[{}]: {}", self.index, self.what)
            }
            None => write!(formatter, "checkpoint changes, byte {}: {}", self.index, self.what),
        }?;
        formatter.write_str("; remove this checkpoint to rebuild the state from the journal")
    }
}

impl std::error::Error for CorruptRecord {}

/// Appends one change.
#[inline]
pub fn put_change(out: &mut Vec<u8>, section: Section, index: u32, bytes: &[u8]) {
    debug_assert!(bytes.len() <= CHANGE_BYTES_MAX);
    if bytes.len() < 0x80 {
        let [a, b, c, d] = index.to_le_bytes();
        out.extend_from_slice(&[section as u8, a, b, c, d, bytes.len() as u8]);
    } else {
        out.push(section as u8);
        out.extend_from_slice(&index.to_le_bytes());
        put_length(out, bytes.len());
    }
    out.extend_from_slice(bytes);
}

/// Reads packed changes in order. After an error it ends.
#[derive(Clone, Debug)]
pub struct ChangeReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> ChangeReader<'a> {
    /// Reads what [`put_change`] wrote.
    pub fn new(bytes: &'a [u8]) -> ChangeReader<'a> {
        ChangeReader { bytes, position: 0 }
    }

    fn read(&mut self) -> Result<Change<'a>, &'static str> {
        let rest = &self.bytes[self.position..];
        let (head, rest) = rest.split_first_chunk::<5>().ok_or("cut off in a header")?;
        let [number, index @ ..] = *head;
        let section = Section::from_number(number).ok_or("unknown section")?;
        let (length, rest) = take_length(rest)?;
        let bytes = rest.get(..length).ok_or("cut off in a record")?;
        self.position = self.bytes.len() - rest.len() + length;
        Ok(Change { section, index: u32::from_le_bytes(index), bytes })
    }
}

impl<'a> Iterator for ChangeReader<'a> {
    type Item = Result<Change<'a>, CorruptRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() {
            return None;
        }
        let start = self.position;
        Some(self.read().map_err(|what| {
            self.position = self.bytes.len();
            CorruptRecord { section: None, index: u32::try_from(start).unwrap_or(u32::MAX), what }
        }))
    }
}

/// Seven bits a byte, lowest first; the high bit says that more follow.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn take_length(bytes: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    let mut length = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((length, &bytes[place + 1..]));
        }
    }
    Err("bad length")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_read_back_in_order() {
        let lengths = [0usize, 1, 127, 128, 16_383, 16_384, 2_097_152];
        let mut packed = Vec::new();
        for (index, length) in lengths.iter().enumerate() {
            let section = Section::ALL[index % Section::ALL.len()];
            put_change(&mut packed, section, index as u32 * 7, &vec![index as u8; *length]);
        }
        let read: Vec<_> = ChangeReader::new(&packed).map(|change| change.unwrap()).collect();
        assert_eq!(read.len(), lengths.len());
        for (index, change) in read.iter().enumerate() {
            assert_eq!(change.section, Section::ALL[index % Section::ALL.len()]);
            assert_eq!(change.index, index as u32 * 7);
            assert_eq!(change.bytes, vec![index as u8; lengths[index]]);
        }
    }

    #[test]
    fn changes_cut_off_at_any_byte_give_an_error_or_fewer_changes_and_never_others() {
        let mut packed = Vec::new();
        put_change(&mut packed, Section::Slots, 3, &[1, 2, 3]);
        let first = packed.len();
        put_change(&mut packed, Section::Sites, 4, &[9; 200]);
        for cut in 0..packed.len() {
            let read: Vec<_> = ChangeReader::new(&packed[..cut]).collect();
            let whole = read.iter().filter(|change| change.is_ok()).count();
            assert_eq!(whole, usize::from(cut >= first), "cut at {cut}");
            let clean = cut == 0 || cut == first;
            assert_eq!(read.iter().any(Result::is_err), !clean, "cut at {cut}");
        }
    }

    #[test]
    fn an_unknown_section_or_an_endless_length_is_an_error_and_the_end() {
        for bytes in [[200, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 255, 255, 255, 255, 255]] {
            let read: Vec<_> = ChangeReader::new(&bytes).collect();
            assert_eq!(read.len(), 1);
            assert!(read[0].is_err());
        }
    }

    #[test]
    fn section_numbers_are_their_places() {
        for (number, section) in Section::ALL.iter().enumerate() {
            assert_eq!(*section as usize, number);
            assert_eq!(Section::from_number(number as u8), Some(*section));
        }
        assert_eq!(Section::from_number(Section::ALL.len() as u8), None);
    }
}
