//! Finding the end of a stream after any stop.
//!
//! Does: checks the segments, finds the last intact group, tells damage from a torn tail, cuts the
//! latter, makes what is kept durable and proves it with an empty group. Does not read what is certainly
//! sound: older segments are checked when they are read.
//!
//! # Torn or damaged?
//!
//! Every frame names the durable end that was proven when it was made. The scan stops at the first
//! position P without an intact, linked frame. If a later frame header of this stream is intact and
//! says that more than P was durable, then P *was* durable: that is damage, named and never cut. If
//! none does, everything from P on belongs to writes that nobody was told of: a torn tail.
//!
//! # What stands behind a torn group
//!
//! A write of several groups can be torn so that a later one is intact on disk. Left there, it could
//! later become the seeming successor of a group written in the gap. Therefore everything behind the
//! cut that is not zero is overwritten with zeros and synced before anything new is written. As a
//! second guard a frame names its predecessor's checksum: a leftover frame never fits a new one.
//!
//! # What is kept
//!
//! Groups above the proven end may exist in the page cache alone: the process died before its sync, or
//! a sync failed and the system dropped the pages from its list while still showing them. Read past
//! the cache they are on the disk, and a sync makes them durable; otherwise they are written again,
//! byte for byte, and then synced. Files and folders are synced before a group is served.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::config::EmbeddedConfig;
use super::frame::{
    self, BadFrame, Draft, FRAME_BLOCK_BYTES, FRAME_MAGIC, HEADER_BYTES, Header, Link, Place,
};
use super::reader::{bad_frame, read_frame};
use super::segment::{PREPARING_SUFFIX, SEGMENT_HEADER_BYTES, Segment, Window};
use super::segment::{read_segment, start_of};
use super::tail::End;
use crate::storage::{Access, Storage, io_error, write_all_at};
use crate::system::AlignedBuffer;
use crate::{JournalError, JournalId, Stream};

/// Bytes looked at or overwritten at once.
const PIECE_BYTES: u64 = 1 << 20;

/// What to recover.
pub(super) struct Recovery<'a> {
    /// Limits.
    pub(super) config: &'a EmbeddedConfig,
    /// Where files are.
    pub(super) storage: &'a dyn Storage,
    /// The journal's folder.
    pub(super) root: &'a Path,
    /// The stream's folder.
    pub(super) folder: &'a Path,
    /// The journal.
    pub(super) journal: JournalId,
    /// The stream.
    pub(super) stream: Stream,
    /// Files can be read past the page cache.
    pub(super) is_direct: bool,
    /// What frames are padded to.
    pub(super) block_bytes: usize,
}

/// What was found.
pub(super) struct Recovered {
    /// Segments on disk by start position.
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// Where to go on.
    pub(super) end: End,
}

/// A range of bytes of a segment's file.
type Leftover = (Arc<Segment>, Range<u64>);

/// The result of the scan.
struct Scan {
    /// Position after the last intact group.
    end: u64,
    /// Highest durable end any group proves.
    proven: u64,
    /// The last group, if there is one.
    last: Option<Header>,
    /// Why the scan stopped there.
    stopped: BadFrame,
}

impl Recovery<'_> {
    /// Recovers the stream.
    pub(super) fn run(&self) -> Result<Recovered, JournalError> {
        let segments = self.load_segments()?;
        let Some(scan) = self.scan(&segments)? else {
            return Ok(self.recovered(segments, None));
        };
        let leftovers = self.leftovers(&segments, &scan)?;
        self.cut(&segments, &scan, leftovers)?;
        self.keep(&segments, &scan)?;
        self.sync_folders()?;
        let sealed = self.seal(&segments, &scan)?;
        Ok(self.recovered(segments, Some(sealed.unwrap_or(scan))))
    }

    /// All segments with checked headers; unfinished ones are removed.
    fn load_segments(&self) -> Result<BTreeMap<u64, Arc<Segment>>, JournalError> {
        let listed = self.storage.list(self.folder);
        let names = listed.map_err(|cause| io_error("list", self.folder, &cause))?;
        let mut segments = BTreeMap::new();
        for name in names {
            let path = self.folder.join(&name);
            if name.ends_with(PREPARING_SUFFIX) {
                let removed = self.storage.remove(&path);
                removed.map_err(|cause| io_error("removal", &path, &cause))?;
            } else if let Some(start) = start_of(&name) {
                let window = self.window(&path)?;
                let segment = read_segment(window.file(), &path, start, self.journal, self.stream)?;
                segments.insert(start, Arc::new(segment));
            } else {
                tracing::warn!(file = %path.display(), "not a file of the journal; left alone");
            }
        }
        self.check_gaps(&segments)?;
        Ok(segments)
    }

    fn check_gaps(&self, segments: &BTreeMap<u64, Arc<Segment>>) -> Result<(), JournalError> {
        for (one, next) in segments.values().zip(segments.values().skip(1)) {
            if one.end() != next.start {
                return Err(JournalError::Damaged {
                    stream: self.stream.name(),
                    place: format!("file {}", next.path.display()),
                    what: format!(
                        "the file before it ({}) ends at position {}; one or more files between them are missing",
                        one.path.display(),
                        one.end()
                    ),
                });
            }
        }
        Ok(())
    }

    fn window(&self, path: &Path) -> Result<Window, JournalError> {
        Window::open(self.storage, path, self.is_direct, PIECE_BYTES)
    }

    fn place(&self, segment: &Segment, position: u64) -> Place {
        Place { journal: self.journal, stream: self.stream, position, segment_end: segment.end() }
    }

    /// Follows the groups to the first place without one; `None` without any segment.
    fn scan(&self, segments: &BTreeMap<u64, Arc<Segment>>) -> Result<Option<Scan>, JournalError> {
        let Some(start) = self.scan_start(segments)? else {
            return Ok(None);
        };
        let mut scan = Scan { end: start, proven: start, last: None, stopped: BadFrame::Short };
        for segment in segments.range(start..).map(|(_, segment)| segment) {
            let mut window = self.window(&segment.path)?;
            let limit = segment.file_bytes();
            while scan.end < segment.end() {
                let place = self.place(segment, scan.end);
                scan.stopped = match read_frame(&mut window, segment, &place, limit)? {
                    Ok((header, _)) if scan.is_followed_by(&header) => {
                        scan.end = header.next;
                        scan.proven = scan.proven.max(header.proven);
                        scan.last = Some(header);
                        continue;
                    }
                    Ok(_) => BadFrame::Unlinked,
                    Err(bad) => bad,
                };
                return Ok(Some(scan));
            }
        }
        Ok(Some(scan))
    }

    /// The segment to scan from: the newest that begins with an intact group, or the one that holds
    /// the durable end which that group proves.
    fn scan_start(
        &self,
        segments: &BTreeMap<u64, Arc<Segment>>,
    ) -> Result<Option<u64>, JournalError> {
        for segment in segments.values().rev() {
            let mut window = self.window(&segment.path)?;
            let place = self.place(segment, segment.start);
            let found = read_frame(&mut window, segment, &place, segment.file_bytes())?;
            if let Ok((header, _)) = found {
                let before = segments.range(..=header.proven).next_back();
                return Ok(Some(before.map_or(segment.start, |(start, _)| *start)));
            }
        }
        Ok(segments.keys().next().copied())
    }

    /// Byte ranges behind the end that are not zero, by segment.
    ///
    /// Fails when a group there proves that the end was durable beyond where the scan stopped.
    fn leftovers(
        &self,
        segments: &BTreeMap<u64, Arc<Segment>>,
        scan: &Scan,
    ) -> Result<Vec<Leftover>, JournalError> {
        let mut leftovers = Vec::new();
        if let BadFrame::Newer(_) = scan.stopped {
            return Err(self.damaged(segments, scan));
        }
        for segment in segments.values().filter(|segment| segment.end() > scan.end) {
            let mut window = self.window(&segment.path)?;
            let mut at = scan.end.max(segment.start);
            while at < segment.end() {
                let length = (segment.end() - at).min(PIECE_BYTES);
                let piece = window.read(segment.offset_of(at), length, segment.file_bytes())?;
                for (index, block) in piece.chunks(FRAME_BLOCK_BYTES).enumerate() {
                    let position = at + (index * FRAME_BLOCK_BYTES) as u64;
                    if self.proves_more(block, segment, position, scan.end) {
                        return Err(self.damaged(segments, scan));
                    }
                    if block.iter().any(|&byte| byte != 0) {
                        add_range(&mut leftovers, segment, position, block.len() as u64);
                    }
                }
                at += length;
            }
        }
        Ok(leftovers)
    }

    fn proves_more(&self, block: &[u8], segment: &Segment, position: u64, end: u64) -> bool {
        block.starts_with(&FRAME_MAGIC)
            && match frame::read_header(block, &self.place(segment, position)) {
                Ok(header) => header.proven > end,
                Err(BadFrame::Newer(_)) => true,
                Err(_) => false,
            }
    }

    fn damaged(&self, segments: &BTreeMap<u64, Arc<Segment>>, scan: &Scan) -> JournalError {
        let segment = segments.range(..=scan.end).next_back();
        let place = segment.map_or_else(String::new, |(_, segment)| segment.place_of(scan.end));
        bad_frame(self.stream.name(), place, scan.stopped)
    }

    /// Overwrites what is left behind the end, and completes files that were cut short.
    fn cut(
        &self,
        segments: &BTreeMap<u64, Arc<Segment>>,
        scan: &Scan,
        leftovers: Vec<Leftover>,
    ) -> Result<(), JournalError> {
        let cut_bytes: u64 = leftovers.iter().map(|(_, range)| range.end - range.start).sum();
        if let Some((segment, _)) = leftovers.first() {
            tracing::warn!(
                stream = self.stream.name(),
                place = %segment.place_of(scan.end.max(segment.start)),
                cut_bytes,
                why = scan.stopped.what(),
                "cut the torn end of the journal; nothing in it was acknowledged"
            );
        }
        for (segment, range) in leftovers {
            self.zero(&segment, range)?;
        }
        for segment in segments.values().filter(|segment| segment.end() > scan.end) {
            let window = self.window(&segment.path)?;
            let length = window.file().length();
            let length = length.map_err(|cause| io_error("length", &segment.path, &cause))?;
            if length < segment.file_bytes() {
                let from = length.max(segment.offset_of(scan.end.max(segment.start)));
                self.zero(segment, from..segment.file_bytes())?;
            }
        }
        Ok(())
    }

    /// Writes zeros over a range of the file and syncs it.
    fn zero(&self, segment: &Segment, range: Range<u64>) -> Result<(), JournalError> {
        let opened = self.storage.open(&segment.path, Access::write(false));
        let file = opened.map_err(|cause| io_error("open", &segment.path, &cause))?;
        let zeros = AlignedBuffer::zeroed(PIECE_BYTES as usize);
        let mut at = range.start;
        while at < range.end {
            let length = (range.end - at).min(PIECE_BYTES);
            write_all_at(&*file, &[&zeros[..length as usize]], at)
                .map_err(|cause| io_error("write", &segment.path, &cause))?;
            at += length;
        }
        file.sync_data().map_err(|cause| io_error("sync", &segment.path, &cause))
    }

    /// Makes the groups between the proven end and the end durable.
    fn keep(
        &self,
        segments: &BTreeMap<u64, Arc<Segment>>,
        scan: &Scan,
    ) -> Result<(), JournalError> {
        for segment in segments.values() {
            let from = scan.proven.max(segment.start);
            let until = scan.end.min(segment.end());
            if from >= until {
                continue;
            }
            let mut window = self.window(&segment.path)?;
            let opened = self.storage.open(&segment.path, Access::write(false));
            let file = opened.map_err(|cause| io_error("open", &segment.path, &cause))?;
            let mut at = from;
            while !self.is_direct && at < until {
                let length = (until - at).min(PIECE_BYTES);
                let offset = segment.offset_of(at);
                let bytes = window.read(offset, length, segment.file_bytes())?;
                write_all_at(&*file, &[&bytes], offset)
                    .map_err(|cause| io_error("write", &segment.path, &cause))?;
                at += length;
            }
            file.sync_data().map_err(|cause| io_error("sync", &segment.path, &cause))?;
        }
        Ok(())
    }

    fn sync_folders(&self) -> Result<(), JournalError> {
        for folder in [self.folder, self.root] {
            self.storage
                .sync_dir(folder)
                .map_err(|cause| io_error("sync of the folder", folder, &cause))?;
        }
        Ok(())
    }

    /// Writes the empty group that proves the end, unless the last group is one and the end fits the
    /// disk's blocks. Gives the scan as it stands then.
    fn seal(
        &self,
        segments: &BTreeMap<u64, Arc<Segment>>,
        scan: &Scan,
    ) -> Result<Option<Scan>, JournalError> {
        let Some((last, segment)) = scan.last.zip(segment_of(segments, scan.end)) else {
            return Ok(None);
        };
        let inside = scan.end - segment.start;
        let is_aligned = inside.is_multiple_of(self.block_bytes as u64);
        if last.is_seal() && is_aligned {
            return Ok(None);
        }
        let frame_bytes =
            (inside + FRAME_BLOCK_BYTES as u64).next_multiple_of(self.block_bytes as u64) - inside;
        let end = scan.end + frame_bytes;
        let is_full = segment.end() - end < self.config.segment_slack_bytes();
        let next = if is_full { segment.end() } else { end };
        let link = Link { previous_crc: last.crc, proven: scan.end };
        let draft = Draft::empty(frame_bytes as usize);
        let frame = draft.finish(&self.place(segment, scan.end), next, last.at_ms, &link);
        let opened = self.storage.open(&segment.path, Access::write(false));
        let file = opened.map_err(|cause| io_error("open", &segment.path, &cause))?;
        write_all_at(&*file, &[&frame.bytes], segment.offset_of(scan.end))
            .map_err(|cause| io_error("write", &segment.path, &cause))?;
        file.sync_data().map_err(|cause| io_error("sync", &segment.path, &cause))?;
        let header = frame::read_header(&frame.bytes, &self.place(segment, scan.end));
        Ok(Some(Scan { end: next, proven: scan.end, last: header.ok(), stopped: scan.stopped }))
    }

    fn recovered(&self, segments: BTreeMap<u64, Arc<Segment>>, scan: Option<Scan>) -> Recovered {
        let position = scan.as_ref().map_or(0, |scan| scan.end);
        let last = scan.and_then(|scan| scan.last);
        let mut ahead: VecDeque<(u64, u64)> = segments
            .values()
            .filter(|segment| segment.end() > position)
            .map(|segment| (segment.start, segment.file_bytes()))
            .collect();
        let segment = ahead.pop_front().unwrap_or_else(|| {
            let before = segments.values().next_back();
            let bytes = before.map(|segment| segment.file_bytes());
            (position, self.config.next_segment_bytes(bytes))
        });
        Recovered {
            end: End {
                position,
                previous_crc: last.map_or(0, |header| header.crc),
                at_ms: last.map_or(0, |header| header.at_ms),
                is_sealed: last.is_none_or(|header| header.is_seal()),
                segment,
                beyond: ahead,
            },
            segments,
        }
    }
}

impl Scan {
    /// Whether a frame links to the last one. Before the first of the stream the link is 0; before the
    /// first of the scan it is not known.
    fn is_followed_by(&self, header: &Header) -> bool {
        match self.last {
            Some(last) => header.previous_crc == last.crc,
            None => header.position > 0 || header.previous_crc == 0,
        }
    }
}

fn segment_of(segments: &BTreeMap<u64, Arc<Segment>>, position: u64) -> Option<&Arc<Segment>> {
    let (_, segment) = segments.range(..=position).next_back()?;
    (position < segment.end()).then_some(segment)
}

fn add_range(ranges: &mut Vec<Leftover>, segment: &Arc<Segment>, position: u64, length: u64) {
    let start = segment.offset_of(position);
    match ranges.last_mut() {
        Some((last, range)) if last.start == segment.start && range.end == start => {
            range.end = start + length;
        }
        _ => ranges.push((Arc::clone(segment), start..start + length)),
    }
}

/// Smallest room a sealing group needs; a segment never ends closer than this to its last group.
const _: () =
    assert!(HEADER_BYTES <= FRAME_BLOCK_BYTES && SEGMENT_HEADER_BYTES.is_multiple_of(512));
