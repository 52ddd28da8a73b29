//! One group as bytes.
//!
//! Does: writes and checks the header, body and padding of a group. Does not read files or know what
//! follows what: [`super::recovery`] and [`super::reader`] do.
//!
//! # Layout (little-endian)
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | magic `SLJF` |
//! | 4 | 4 | CRC-32 of bytes 8..80, the root of all checks |
//! | 8 | 2 | format version |
//! | 10 | 1 | stream |
//! | 11 | 1 | kind: 0 records, 1 sealing (no records) |
//! | 12 | 4 | number of records |
//! | 16 | 8 | own position |
//! | 24 | 8 | position of the next group |
//! | 32 | 8 | durable end already proven when this group was made |
//! | 40 | 8 | time, milliseconds since 1970 UTC |
//! | 48 | 4 | bytes of the body |
//! | 52 | 4 | CRC-32 of the body and the padding |
//! | 56 | 4 | header CRC of the previous group (0 for the first) |
//! | 60 | 4 | bytes of the whole frame |
//! | 64 | 16 | journal id |
//! | 80 | … | body: records, each a `u32` length and its bytes |
//! | … | … | zeros up to a whole number of blocks |
//!
//! Magic, version and the CRC's place and reach stay the same in every later version, so that a newer
//! frame is told from a damaged one.
//!
//! # Why so
//!
//! *Padding, not rewriting.* A group starts on a block of its own and is padded to whole blocks (512
//! bytes, or what direct writes on this disk need). Rewriting the last, partly filled block would save
//! up to 511 bytes a group and put acknowledged bytes at risk in every power cut; padding never writes
//! a block twice. At 160 records a group the padding is about 3 %; an idle system's two groups a
//! second cost 90 MB a day and stream instead of 700 MB with blocks of 4 KiB.
//!
//! *Stale and misdirected bytes.* A frame is accepted only at its own position in its own stream of its
//! own journal, and only if it names the checksum of the frame before it. Bytes of an earlier life of
//! the file, or of a write that went astray, fail one of these even when they are intact in themselves.
//!
//! *The checksum covers the padding*, so that any changed byte of a sealed part is noticed. A CRC-32
//! notices every change within 32 neighbouring bits at any length.

use bytes::Bytes;

use crate::system::AlignedBuffer;
use crate::{Appended, Group, JournalId, Position, Records, Stream};

/// Every frame starts and ends at a multiple of this.
pub const FRAME_BLOCK_BYTES: usize = 512;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 80;

/// The format this build writes, and the newest it reads.
pub const FORMAT_VERSION: u16 = 1;

/// First bytes of every frame.
pub const FRAME_MAGIC: [u8; 4] = *b"SLJF";

/// Where a frame is expected, and whose.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its journal.
    pub journal: JournalId,
    /// Its stream.
    pub stream: Stream,
    /// Its position.
    pub position: u64,
    /// Where its segment ends.
    pub segment_end: u64,
}

/// The header's fields that readers need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Own checksum: the next frame's link.
    pub crc: u32,
    /// Number of records.
    pub count: u32,
    /// Own position.
    pub position: u64,
    /// Position of the next group.
    pub next: u64,
    /// Durable end proven when it was made.
    pub proven: u64,
    /// Time of the group.
    pub at_ms: i64,
    /// Bytes of the body.
    pub body_bytes: u32,
    /// Checksum of body and padding.
    pub body_crc: u32,
    /// Checksum of the frame before.
    pub previous_crc: u32,
    /// Bytes of the whole frame.
    pub frame_bytes: u32,
}

impl Header {
    /// Whether it proves everything before it durable.
    pub fn is_seal(&self) -> bool {
        self.count == 0 && self.proven == self.position
    }
}

/// Why bytes are not the frame expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadFrame {
    /// Too few bytes: the file ends inside it.
    Short,
    /// No frame was ever written here, or its first bytes changed.
    NoMagic,
    /// A checksum does not fit.
    Checksum,
    /// Intact, but of another place, stream or journal.
    Elsewhere,
    /// Intact, but not the successor of the frame before it.
    Unlinked,
    /// Intact, but its fields contradict each other.
    Nonsense,
    /// Intact, of a newer format.
    Newer(u16),
}

impl BadFrame {
    /// For messages.
    pub fn what(self) -> &'static str {
        match self {
            BadFrame::Short => "the file ends inside a group",
            BadFrame::NoMagic => "no group begins where one must",
            BadFrame::Checksum => "a group's checksum does not fit its bytes",
            BadFrame::Elsewhere => "a group of another place or journal stands here",
            BadFrame::Unlinked => "a group does not follow the one before it",
            BadFrame::Nonsense => "a group's fields contradict each other",
            BadFrame::Newer(_) => "a group has a newer format",
        }
    }
}

/// Records gathering in a group's form, with room for the header in front: when enough are together
/// they become a group without being copied.
#[derive(Debug)]
pub struct Packing {
    /// Header space, then each record's length and bytes.
    buffer: AlignedBuffer,
    /// Number of records.
    count: u32,
}

/// Room a [`Packing`] begins with; it doubles as needed, so that quiet lanes stay small.
const PACKING_BYTES_FIRST: usize = 4_096;

impl Packing {
    /// Without records.
    pub fn new() -> Packing {
        let mut buffer = AlignedBuffer::with_capacity(PACKING_BYTES_FIRST);
        buffer.pad_to(HEADER_BYTES);
        Packing { buffer, count: 0 }
    }

    /// Adds a record. The frame may become `frame_bytes_max` long at most, which the caller checks.
    pub fn push(&mut self, record: &[u8], frame_bytes_max: usize) {
        let needed = self.buffer.len() + 4 + record.len();
        if needed > self.buffer.capacity() {
            let doubled = (self.buffer.capacity() * 2).min(frame_bytes_max);
            self.buffer.reserve_total(doubled.max(needed));
        }
        self.buffer.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(record);
        self.count += 1;
    }

    /// The records so far.
    pub fn body(&self) -> &[u8] {
        &self.buffer[HEADER_BYTES..]
    }

    /// Number of records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Forgets the records and keeps the room.
    pub fn clear(&mut self) {
        self.buffer.truncate(HEADER_BYTES);
        self.count = 0;
    }

    /// The group of these records.
    pub fn into_draft(mut self, block_bytes: usize) -> Draft {
        let body_bytes = self.body().len();
        let frame_bytes = frame_bytes_of(body_bytes, block_bytes);
        self.buffer.reserve_total(frame_bytes);
        self.buffer.pad_to(frame_bytes);
        let body_crc = crc32fast::hash(self.body());
        Draft { buffer: self.buffer, count: self.count, body_bytes: body_bytes as u32, body_crc }
    }
}

impl Default for Packing {
    fn default() -> Packing {
        Packing::new()
    }
}

/// A group being made: the body is in place, the header still to come.
#[derive(Debug)]
pub struct Draft {
    /// Header space, body, padding.
    buffer: AlignedBuffer,
    /// Number of records.
    count: u32,
    /// Bytes of the body.
    body_bytes: u32,
    /// Checksum of body and padding, computed outside any lock.
    body_crc: u32,
}

impl Draft {
    /// Takes the body's pieces, together `body_bytes` long with `count` records. `block_bytes` is what
    /// frames are padded to.
    pub fn new<'a>(
        pieces: impl Iterator<Item = &'a [u8]>,
        body_bytes: usize,
        count: u32,
        block_bytes: usize,
    ) -> Draft {
        let frame_bytes = frame_bytes_of(body_bytes, block_bytes);
        let mut buffer = AlignedBuffer::with_capacity(frame_bytes);
        buffer.pad_to(HEADER_BYTES);
        for piece in pieces {
            buffer.extend_from_slice(piece);
        }
        buffer.pad_to(frame_bytes);
        let body_crc = crc32fast::hash(&buffer[HEADER_BYTES..]);
        Draft { buffer, count, body_bytes: body_bytes as u32, body_crc }
    }

    /// A group without records, padded to whole blocks.
    pub fn empty(block_bytes: usize) -> Draft {
        Draft::new(std::iter::empty(), 0, 0, block_bytes)
    }

    /// Number of records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of the records with their lengths.
    pub fn body_bytes(&self) -> usize {
        self.body_bytes as usize
    }

    /// Bytes of the frame it becomes.
    pub fn frame_bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Writes the header; the frame is ready for the disk.
    pub fn finish(mut self, place: &Place, next: u64, at_ms: i64, link: &Link) -> Frame {
        let header = &mut self.buffer[..HEADER_BYTES];
        header[0..4].copy_from_slice(&FRAME_MAGIC);
        header[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        header[10] = place.stream as u8;
        header[11] = u8::from(self.count == 0);
        header[12..16].copy_from_slice(&self.count.to_le_bytes());
        header[16..24].copy_from_slice(&place.position.to_le_bytes());
        header[24..32].copy_from_slice(&next.to_le_bytes());
        header[32..40].copy_from_slice(&link.proven.to_le_bytes());
        header[40..48].copy_from_slice(&at_ms.to_le_bytes());
        header[48..52].copy_from_slice(&self.body_bytes.to_le_bytes());
        header[52..56].copy_from_slice(&self.body_crc.to_le_bytes());
        header[56..60].copy_from_slice(&link.previous_crc.to_le_bytes());
        let frame_bytes = self.buffer.len() as u32;
        let header = &mut self.buffer[..HEADER_BYTES];
        header[60..64].copy_from_slice(&frame_bytes.to_le_bytes());
        header[64..80].copy_from_slice(&place.journal.0);
        let crc = crc32fast::hash(&header[8..]);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        Frame {
            position: place.position,
            next,
            at_ms,
            count: self.count,
            crc,
            body_bytes: self.body_bytes as usize,
            bytes: Bytes::from_owner(self.buffer),
        }
    }
}

/// What ties a frame to what came before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Header checksum of the frame before; 0 before the first.
    pub previous_crc: u32,
    /// Durable end known at this moment.
    pub proven: u64,
}

/// A finished group: its bytes are shared by the writer and the readers.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Own position.
    pub position: u64,
    /// Position of the next group.
    pub next: u64,
    /// Time of the group.
    pub at_ms: i64,
    /// Number of records.
    pub count: u32,
    /// Header checksum.
    pub crc: u32,
    /// Bytes of the body.
    body_bytes: usize,
    /// The whole frame.
    pub bytes: Bytes,
}

impl Frame {
    /// As readers see it.
    pub fn group(&self) -> Group {
        let body = self.bytes.slice(HEADER_BYTES..HEADER_BYTES + self.body_bytes);
        Group {
            position: Position(self.position),
            next: Position(self.next),
            at_ms: self.at_ms,
            records: Records::from_packed(body, self.count),
        }
    }

    /// As producers see it.
    pub fn appended(&self) -> Appended {
        Appended { position: Position(self.position), next: Position(self.next), at_ms: self.at_ms }
    }
}

/// Bytes of a frame with a body of `body_bytes`.
pub fn frame_bytes_of(body_bytes: usize, block_bytes: usize) -> usize {
    (HEADER_BYTES + body_bytes).next_multiple_of(block_bytes.max(FRAME_BLOCK_BYTES))
}

/// Reads and checks a header: everything but the body's checksum and the link.
///
/// # Errors
/// Why these bytes are no frame of this place.
pub fn read_header(bytes: &[u8], place: &Place) -> Result<Header, BadFrame> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(BadFrame::Short);
    };
    if header[0..4] != FRAME_MAGIC {
        return Err(BadFrame::NoMagic);
    }
    let crc = u32_at(header, 4);
    if crc32fast::hash(&header[8..]) != crc {
        return Err(BadFrame::Checksum);
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version > FORMAT_VERSION {
        return Err(BadFrame::Newer(version));
    }
    if version < FORMAT_VERSION {
        return Err(BadFrame::Nonsense);
    }
    let found = Header {
        crc,
        count: u32_at(header, 12),
        position: u64_at(header, 16),
        next: u64_at(header, 24),
        proven: u64_at(header, 32),
        at_ms: u64_at(header, 40) as i64,
        body_bytes: u32_at(header, 48),
        body_crc: u32_at(header, 52),
        previous_crc: u32_at(header, 56),
        frame_bytes: u32_at(header, 60),
    };
    let is_here = header[10] == place.stream as u8
        && found.position == place.position
        && header[64..80] == place.journal.0;
    if !is_here {
        return Err(BadFrame::Elsewhere);
    }
    if makes_sense(&found, header[11], place) { Ok(found) } else { Err(BadFrame::Nonsense) }
}

fn makes_sense(header: &Header, kind: u8, place: &Place) -> bool {
    let frame_bytes = u64::from(header.frame_bytes);
    let Some(end) = header.position.checked_add(frame_bytes) else {
        return false;
    };
    kind == u8::from(header.count == 0)
        && frame_bytes >= HEADER_BYTES as u64 + u64::from(header.body_bytes)
        && frame_bytes.is_multiple_of(FRAME_BLOCK_BYTES as u64)
        && end <= place.segment_end
        && (header.next == end || header.next == place.segment_end)
        && header.proven <= header.position
        && (header.count == 0) == (header.body_bytes == 0)
}

/// Checks body and padding against a header that was read from the same bytes.
///
/// # Errors
/// [`BadFrame::Short`], [`BadFrame::Checksum`], or [`BadFrame::Nonsense`] when the body does not hold
/// the records it says.
pub fn check_body(bytes: &[u8], header: &Header) -> Result<(), BadFrame> {
    let Some(rest) = bytes.get(HEADER_BYTES..header.frame_bytes as usize) else {
        return Err(BadFrame::Short);
    };
    if crc32fast::hash(rest) != header.body_crc {
        return Err(BadFrame::Checksum);
    }
    if holds_records(&rest[..header.body_bytes as usize], header.count) {
        Ok(())
    } else {
        Err(BadFrame::Nonsense)
    }
}

/// Whether a body is exactly `count` records.
fn holds_records(mut body: &[u8], count: u32) -> bool {
    for _ in 0..count {
        let Some((length, rest)) = body.split_first_chunk::<4>() else {
            return false;
        };
        let Some(rest) = rest.get(u32::from_le_bytes(*length) as usize..) else {
            return false;
        };
        body = rest;
    }
    body.is_empty()
}

/// The group in bytes that were checked.
pub fn group_of(header: &Header, frame: &Bytes) -> Group {
    let body = frame.slice(HEADER_BYTES..HEADER_BYTES + header.body_bytes as usize);
    Group {
        position: Position(header.position),
        next: Position(header.next),
        at_ms: header.at_ms,
        records: Records::from_packed(body, header.count),
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
