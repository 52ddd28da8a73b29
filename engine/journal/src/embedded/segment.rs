//! Segment files: their names, headers and making.
//!
//! Does: makes a segment so that it appears under its name only when it is complete (space reserved,
//! zeros written, header in place, all of it synced), reads and checks headers, reads ranges. Does not
//! know groups.
//!
//! A segment is `<stream>/<start position, 20 digits>.segment`: one block of 4 KiB for the header, then
//! the bytes of positions `start..start + capacity`. Zeros are written, not only reserved: space that
//! was reserved but never written costs a journal commit of the file system in every synced write
//! (measured here on ext4: 190 µs against 125 µs, and 75 µs of CPU against 45 µs).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::frame::FORMAT_VERSION;
use crate::storage::{Access, Storage, StorageFile, io_error, read_fully_at, write_all_at};
use crate::system::AlignedBuffer;
use crate::{JournalError, JournalId, Stream};

/// Bytes of the file before the first group.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 4_096;

/// Ends the name of a complete segment.
const SEGMENT_SUFFIX: &str = ".segment";

/// Ends the name of a segment being made.
pub(super) const PREPARING_SUFFIX: &str = ".preparing";

/// First bytes of every segment.
const SEGMENT_MAGIC: [u8; 4] = *b"SLJS";

/// Zeros written at once while a segment is prepared. Small, so that a group's write never queues
/// behind much of it.
const ZEROS_BYTES: usize = 256 << 10;

/// Zeros that may wait in the page cache: a later sync of a group would have to wait for them.
const UNSYNCED_ZEROS_BYTES: u64 = 4 << 20;

/// Longest rest between two such writes.
const REST_MS_MAX: u64 = 5;

/// One segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position of its first group.
    pub(super) start: u64,
    /// Bytes for groups.
    pub(super) capacity: u64,
    /// Its file.
    pub(super) path: PathBuf,
}

impl Segment {
    /// Position after its last byte: where the next segment starts.
    pub(super) fn end(&self) -> u64 {
        self.start + self.capacity
    }

    /// Where a position lies in the file.
    pub(super) fn offset_of(&self, position: u64) -> u64 {
        SEGMENT_HEADER_BYTES + (position - self.start)
    }

    /// Names file and byte of a position, for messages.
    pub(super) fn place_of(&self, position: u64) -> String {
        format!("file {}, byte {}", self.path.display(), self.offset_of(position))
    }

    /// Bytes of the file.
    pub(super) fn file_bytes(&self) -> u64 {
        SEGMENT_HEADER_BYTES + self.capacity
    }
}

/// The file of the segment that starts at a position.
pub(super) fn path_of(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{SEGMENT_SUFFIX}"))
}

/// The start position a file name tells, if it is a segment's.
pub(super) fn start_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Whose segment is made, and how.
pub(super) struct Maker<'a> {
    /// Where files are.
    pub(super) storage: &'a dyn Storage,
    /// The stream's folder.
    pub(super) folder: &'a Path,
    /// The journal.
    pub(super) journal: JournalId,
    /// The stream.
    pub(super) stream: Stream,
    /// Write the zeros past the page cache.
    pub(super) is_direct: bool,
    /// Somebody waits for the segment: do not rest between writes.
    pub(super) is_urgent: &'a AtomicBool,
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The system has too little of something now. Nothing is left behind that counts; another attempt may
    /// be made.
    Short(JournalError),
    /// Another attempt proves nothing.
    Final(JournalError),
}

/// What the system says when it has no more descriptors, room or memory, or its owner allows no more.
const SHORTAGES: [i32; 6] =
    [libc::EMFILE, libc::ENFILE, libc::ENOSPC, libc::EDQUOT, libc::EFBIG, libc::ENOMEM];

/// Sorts a failed call on a file that holds no group.
pub(super) fn trouble(call: &'static str, path: &Path, cause: &io::Error) -> Trouble {
    let error = io_error(call, path, cause);
    match cause.raw_os_error() {
        Some(code) if SHORTAGES.contains(&code) => Trouble::Short(error),
        _ => Trouble::Final(error),
    }
}

impl Maker<'_> {
    /// Makes the segment that starts at `start`, under its name; [`Maker::make_name_durable`] comes next.
    /// What an earlier attempt left is removed, and so is what this one leaves: a file whose write or sync
    /// failed is never used.
    pub(super) fn make(&self, start: u64, file_bytes: u64) -> Result<Segment, Trouble> {
        let path = path_of(self.folder, start);
        let unfinished = path.with_extension(PREPARING_SUFFIX.trim_start_matches('.'));
        let segment = Segment { start, capacity: file_bytes - SEGMENT_HEADER_BYTES, path };
        self.remove(&unfinished)?;
        let made = self.fill(&unfinished, &segment).and_then(|()| {
            let renamed = self.storage.rename(&unfinished, &segment.path);
            renamed.map_err(|cause| trouble("rename", &unfinished, &cause))
        });
        if let Err(Trouble::Short(_)) = &made {
            // Others need the room; what stays is removed before the next attempt.
            let _ = self.storage.remove(&unfinished);
        }
        made.map(|()| segment)
    }

    /// Makes the names in the folder durable. Without a descriptor the folder was not even opened; any other
    /// failure may have lost the name for good.
    pub(super) fn make_name_durable(&self) -> Result<(), Trouble> {
        let synced = self.storage.sync_dir(self.folder);
        synced.map_err(|cause| {
            let error = io_error("sync of the folder", self.folder, &cause);
            match cause.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => Trouble::Short(error),
                _ => Trouble::Final(error),
            }
        })
    }

    fn remove(&self, path: &Path) -> Result<(), Trouble> {
        match self.storage.remove(path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(trouble("removal", path, &cause))
            }
            _ => Ok(()),
        }
    }

    fn fill(&self, path: &Path, segment: &Segment) -> Result<(), Trouble> {
        let file = self
            .storage
            .open(path, Access::create(self.is_direct))
            .map_err(|cause| trouble("creation", path, &cause))?;
        file.reserve(segment.file_bytes())
            .map_err(|cause| trouble("reservation of space", path, &cause))?;
        self.write_zeros(&*file, segment.file_bytes())
            .and_then(|()| {
                let header = header_bytes(segment, self.journal, self.stream);
                write_all_at(&*file, &[&header], 0)
            })
            .map_err(|cause| trouble("write", path, &cause))?;
        file.sync_data().map_err(|cause| trouble("sync", path, &cause))
    }

    fn write_zeros(&self, file: &dyn StorageFile, file_bytes: u64) -> io::Result<()> {
        let zeros = AlignedBuffer::zeroed(ZEROS_BYTES);
        // The header's place is zeroed as well, so that the writes stay aligned to their own size.
        let mut offset = 0;
        while offset < file_bytes {
            let began = Instant::now();
            let length = (file_bytes - offset).min(ZEROS_BYTES as u64);
            write_all_at(file, &[&zeros[..length as usize]], offset)?;
            offset += length;
            if !self.is_direct && offset.is_multiple_of(UNSYNCED_ZEROS_BYTES) {
                file.sync_data()?;
            }
            if !self.is_urgent.load(Ordering::Acquire) {
                // Half the disk's time is left to the groups.
                std::thread::sleep(began.elapsed().min(Duration::from_millis(REST_MS_MAX)));
            }
        }
        Ok(())
    }
}

/// The header block of a segment. Magic, checksum and version stand where a frame has them.
fn header_bytes(segment: &Segment, journal: JournalId, stream: Stream) -> AlignedBuffer {
    let mut header = AlignedBuffer::zeroed(SEGMENT_HEADER_BYTES as usize);
    header[0..4].copy_from_slice(&SEGMENT_MAGIC);
    header[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[10] = stream as u8;
    header[16..24].copy_from_slice(&segment.start.to_le_bytes());
    header[24..32].copy_from_slice(&segment.capacity.to_le_bytes());
    header[32..48].copy_from_slice(&journal.0);
    let crc = crc32fast::hash(&header[8..]);
    header[4..8].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads and checks the header of the segment file at `path`, which by its name starts at `start`.
pub(super) fn read_segment(
    file: &dyn StorageFile,
    path: &Path,
    start: u64,
    journal: JournalId,
    stream: Stream,
) -> Result<Segment, JournalError> {
    let damaged = |what: &str| JournalError::Damaged {
        stream: stream.name(),
        place: format!("file {}, byte 0", path.display()),
        what: what.to_owned(),
    };
    let mut header = AlignedBuffer::zeroed(SEGMENT_HEADER_BYTES as usize);
    let read =
        read_fully_at(file, &mut header, 0).map_err(|cause| io_error("read", path, &cause))?;
    if read < header.len() {
        return Err(damaged("the file is shorter than its header"));
    }
    if header[0..4] != SEGMENT_MAGIC {
        return Err(damaged("the file does not begin like a segment"));
    }
    if crc32fast::hash(&header[8..]).to_le_bytes() != header[4..8] {
        return Err(damaged("the header's checksum does not fit"));
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version != FORMAT_VERSION {
        return Err(JournalError::UnknownFormat {
            place: format!("file {}", path.display()),
            found: version.into(),
            known: FORMAT_VERSION.into(),
        });
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let is_ours = header[10] == stream as u8 && header[32..48] == journal.0;
    if !is_ours || number(16) != start {
        return Err(damaged("the file belongs to another journal, stream or place"));
    }
    Ok(Segment { start, capacity: number(24), path: path.to_path_buf() })
}

/// A range of a segment file in memory, read in large pieces.
pub(super) struct Window {
    /// The open file.
    file: Box<dyn StorageFile>,
    /// Its path, for messages.
    path: PathBuf,
    /// Bytes read at once.
    read_bytes: u64,
    /// File offset of `bytes`.
    offset: u64,
    /// What was read last.
    bytes: Bytes,
}

impl Window {
    /// Opens a segment file for reading.
    pub(super) fn open(
        storage: &dyn Storage,
        path: &Path,
        is_direct: bool,
        read_bytes: u64,
    ) -> Result<Window, JournalError> {
        let file = storage
            .open(path, Access::read(is_direct))
            .map_err(|cause| io_error("open", path, &cause))?;
        Ok(Window { file, path: path.to_path_buf(), read_bytes, offset: 0, bytes: Bytes::new() })
    }

    /// The file itself.
    pub(super) fn file(&self) -> &dyn StorageFile {
        &*self.file
    }

    /// `length` bytes from `offset` on, fewer where the file or `limit` ends first. Nothing beyond
    /// `limit` is kept: it may still change.
    pub(super) fn read(
        &mut self,
        offset: u64,
        length: u64,
        limit: u64,
    ) -> Result<Bytes, JournalError> {
        let held_until = self.offset + self.bytes.len() as u64;
        let wanted_until = (offset + length).min(limit);
        if offset < self.offset || wanted_until > held_until || offset >= held_until {
            self.fill(offset, length, limit)?;
        }
        let skip = (offset - self.offset).min(self.bytes.len() as u64) as usize;
        let end = (skip + length as usize).min(self.bytes.len());
        Ok(self.bytes.slice(skip..end))
    }

    fn fill(&mut self, offset: u64, length: u64, limit: u64) -> Result<(), JournalError> {
        let block = SEGMENT_HEADER_BYTES;
        let start = offset - offset % block;
        let end = (offset + length.max(self.read_bytes)).min(limit.max(offset));
        let mut buffer = AlignedBuffer::zeroed((end.next_multiple_of(block) - start) as usize);
        let read = read_fully_at(&*self.file, &mut buffer, start)
            .map_err(|cause| io_error("read", &self.path, &cause))?;
        let kept = read.min((end - start) as usize);
        self.offset = start;
        self.bytes = Bytes::from_owner(buffer).slice(..kept);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::storage::crash::CrashStorage;

    const FOLDER: &str = "/journal/commands";

    fn make(storage: &CrashStorage, start: u64) -> Segment {
        storage.create_dir(Path::new(FOLDER)).unwrap();
        let maker = Maker {
            storage,
            folder: Path::new(FOLDER),
            journal: JournalId([1; 16]),
            stream: Stream::Commands,
            is_direct: true,
            is_urgent: &AtomicBool::new(true),
        };
        maker.make(start, 64 << 10).unwrap_or_else(|trouble| panic!("{trouble:?}"))
    }

    #[test]
    fn names_tell_the_start_position() {
        let path = path_of(Path::new(FOLDER), 4_096);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(start_of(name), Some(4_096));
        assert_eq!(start_of("4096.segment"), None);
        assert_eq!(start_of("00000000000000004096.preparing"), None);
    }

    #[test]
    fn a_made_segment_reads_back() {
        let storage = CrashStorage::new(true);
        let made = make(&storage, 8_192);
        let file = storage.open(&made.path, Access::read(true)).unwrap();
        let read =
            |id| read_segment(&*file, &made.path, 8_192, JournalId([id; 16]), Stream::Commands);
        assert_eq!(read(1).unwrap(), made);
        assert!(matches!(read(2), Err(JournalError::Damaged { .. })));
    }

    #[test]
    fn a_window_gives_the_same_bytes_as_the_file() {
        let storage = CrashStorage::new(true);
        let made = make(&storage, 0);
        let bytes: Vec<u8> = (0..64 << 10).map(|index| (index % 251) as u8).collect();
        storage.set_bytes(&made.path, &bytes);
        let mut window = Window::open(&storage, &made.path, true, 8_192).unwrap();
        for (offset, length) in [(0, 80), (4_096, 512), (5_120, 9_000), (65_024, 4_096)] {
            let read = window.read(offset, length, 64 << 10).unwrap();
            let end = (offset + length).min(64 << 10) as usize;
            assert_eq!(&read[..], &bytes[offset as usize..end]);
        }
        assert_eq!(window.read(512, 4_096, 1_024).unwrap().len(), 512);
    }
}
