//! Reading a stream forward.
//!
//! Does: gives groups from memory near the end and from the files behind it, waits for the next one,
//! checks every group read from a file: place, checksums, link to the group before. Does not cut or
//! repair: below the durable end anything unexpected is damage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frame::{self, BadFrame, HEADER_BYTES, Header, Place};
use super::segment::{Segment, Window};
use super::stream::StreamCore;
use super::tail::Found;
use crate::{Group, JournalError, Position, Reader, Visibility};

/// Longest single wait: a duration too long for the clock is cut to this and repeated by the caller.
const WAIT_S_MAX: u64 = 86_400;

/// A reader of one stream.
pub(super) struct EmbeddedReader {
    /// The stream.
    core: Arc<StreamCore>,
    /// What is seen.
    visibility: Visibility,
    /// Where the next group is.
    position: u64,
    /// Header checksum of the group before, once one was read.
    previous_crc: Option<u32>,
    /// The file being read, while behind.
    window: Option<(Arc<Segment>, Window)>,
    /// The stream is known to be durable up to here: no lock is needed below.
    durable_end: u64,
    /// Groups come from the files even when memory has them.
    is_files_only: bool,
    /// What went wrong; it repeats.
    failed: Option<JournalError>,
}

impl EmbeddedReader {
    /// A reader from a position on.
    pub(super) fn open(
        core: Arc<StreamCore>,
        from: Position,
        visibility: Visibility,
    ) -> Result<EmbeddedReader, JournalError> {
        let mut reader = EmbeddedReader {
            core,
            visibility,
            position: from.0,
            previous_crc: None,
            window: None,
            durable_end: 0,
            is_files_only: false,
            failed: None,
        };
        if reader.is_place_of_a_group()? {
            Ok(reader)
        } else {
            Err(JournalError::NoSuchPosition {
                stream: reader.core.stream.name(),
                position: from.0,
            })
        }
    }

    /// Reads everything from the files, for verification.
    pub(super) fn over_files(core: Arc<StreamCore>, from: Position) -> EmbeddedReader {
        EmbeddedReader {
            core,
            visibility: Visibility::Durable,
            position: from.0,
            previous_crc: None,
            window: None,
            durable_end: 0,
            is_files_only: true,
            failed: None,
        }
    }

    fn is_place_of_a_group(&mut self) -> Result<bool, JournalError> {
        {
            let tail = self.core.tail.lock();
            self.durable_end = tail.durable_end();
            if self.position >= tail.accepted_end() || self.position == self.durable_end {
                return Ok(self.position <= tail.accepted_end());
            }
            match tail.group_at(self.position) {
                Found::Group(_) => return Ok(true),
                Found::Nothing => return Ok(false),
                Found::Older => {}
            }
        }
        match self.frame_in_file(self.position)? {
            Ok(_) => Ok(true),
            Err(_) => self.walk_reaches(self.position),
        }
    }

    /// No intact group stands there: whether one should, seen from the start of the segment.
    fn walk_reaches(&mut self, position: u64) -> Result<bool, JournalError> {
        let Some(segment) = self.core.segment_at(position) else {
            return Ok(false);
        };
        let mut at = segment.start;
        while at < position {
            match self.frame_in_file(at)? {
                Ok((header, _)) => at = header.next,
                // Damage before it: reading from there tells more than refusing here.
                Err(_) => return Ok(true),
            }
        }
        Ok(at == position)
    }

    fn frame_in_file(
        &mut self,
        position: u64,
    ) -> Result<Result<(Header, bytes::Bytes), BadFrame>, JournalError> {
        let Some(segment) = self.enter_segment(position)? else {
            return Ok(Err(BadFrame::Short));
        };
        let place = Place {
            journal: self.core.shared.id,
            stream: self.core.stream,
            position,
            segment_end: segment.end(),
        };
        let limit = segment.offset_of(self.durable_end.min(segment.end()));
        match &mut self.window {
            Some((segment, window)) => read_frame(window, segment, &place, limit),
            None => Ok(Err(BadFrame::Short)),
        }
    }

    fn enter_segment(&mut self, position: u64) -> Result<Option<Arc<Segment>>, JournalError> {
        if let Some((segment, _)) = &self.window
            && (segment.start..segment.end()).contains(&position)
        {
            return Ok(Some(Arc::clone(segment)));
        }
        let Some(segment) = self.core.segment_at(position) else {
            return Ok(None);
        };
        let shared = &self.core.shared;
        let read_bytes = u64::from(shared.config.read_bytes);
        let window = Window::open(&*shared.storage, &segment.path, shared.is_direct, read_bytes)?;
        self.window = Some((Arc::clone(&segment), window));
        Ok(Some(segment))
    }

    /// The next group, which is known to be durable, from its file.
    fn next_from_file(&mut self) -> Result<Group, JournalError> {
        let position = self.position;
        let (header, bytes) = match self.frame_in_file(position)? {
            Ok(found) => found,
            Err(bad) => return Err(self.damaged(position, bad)),
        };
        if self.previous_crc.is_some_and(|crc| crc != header.previous_crc) {
            return Err(self.damaged(position, BadFrame::Unlinked));
        }
        self.previous_crc = Some(header.crc);
        self.position = header.next;
        if self.is_files_only {
            self.check_gap(position + u64::from(header.frame_bytes), header.next)?;
        }
        Ok(frame::group_of(&header, &bytes))
    }

    /// Between a segment's last group and its end there are only zeros.
    fn check_gap(&mut self, from: u64, until: u64) -> Result<(), JournalError> {
        let Some((segment, window)) = &mut self.window else {
            return Ok(());
        };
        let bytes = window.read(segment.offset_of(from), until - from, segment.file_bytes())?;
        let changed = bytes.iter().position(|&byte| byte != 0);
        let missing = (bytes.len() as u64) < until - from;
        match changed.or(missing.then_some(bytes.len())) {
            None => Ok(()),
            Some(index) => Err(JournalError::Damaged {
                stream: self.core.stream.name(),
                place: segment.place_of(from + index as u64),
                what: "bytes that were never used are not zero".to_owned(),
            }),
        }
    }

    fn damaged(&self, position: u64, bad: BadFrame) -> JournalError {
        let place = self.core.segment_at(position).map_or_else(
            || {
                format!(
                    "folder {}: the segment of position {position} is missing",
                    self.core.folder.display()
                )
            },
            |segment| segment.place_of(position),
        );
        bad_frame(self.core.stream.name(), place, bad)
    }

    /// The next group from memory; `Ok(None)` when the files have it.
    fn next_from_tail(&mut self, deadline: Option<Instant>) -> Result<Option<Next>, JournalError> {
        let core = Arc::clone(&self.core);
        let mut tail = core.tail.lock();
        loop {
            self.durable_end = tail.durable_end();
            if self.position < tail.visible_end(self.visibility) {
                if self.is_files_only {
                    return Ok(None);
                }
                return match tail.group_at(self.position) {
                    Found::Group(frame) => {
                        let group = frame.group();
                        self.position = frame.next;
                        self.previous_crc = Some(frame.crc);
                        self.window = None;
                        Ok(Some(Next::Group(group)))
                    }
                    Found::Older => Ok(None),
                    Found::Nothing => Err(JournalError::NoSuchPosition {
                        stream: core.stream.name(),
                        position: self.position,
                    }),
                };
            }
            let Some(deadline) = deadline else {
                return Ok(Some(Next::Nothing));
            };
            if core.grown.wait_until(&mut tail, deadline).timed_out()
                && self.position >= tail.visible_end(self.visibility)
            {
                return Ok(Some(Next::Nothing));
            }
        }
    }

    fn next(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        if self.position < self.durable_end && self.window.is_some() {
            return self.next_from_file().map(Some);
        }
        let longest = Duration::from_secs(WAIT_S_MAX);
        let deadline = (!wait.is_zero()).then(|| Instant::now() + wait.min(longest));
        match self.next_from_tail(deadline)? {
            Some(Next::Group(group)) => Ok(Some(group)),
            Some(Next::Nothing) => Ok(None),
            None => self.next_from_file().map(Some),
        }
    }
}

/// What memory gave.
enum Next {
    /// The next group.
    Group(Group),
    /// None came in time.
    Nothing,
}

impl Reader for EmbeddedReader {
    fn poll(&mut self, wait: Duration) -> Result<Option<Group>, JournalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.next(wait);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        result
    }

    fn position(&self) -> Position {
        Position(self.position)
    }
}

/// Reads and checks the frame at a place: the outer error is the medium's, the inner one the bytes'.
/// Nothing from file offset `limit` on is looked at.
pub(super) fn read_frame(
    window: &mut Window,
    segment: &Segment,
    place: &Place,
    limit: u64,
) -> Result<Result<(Header, bytes::Bytes), BadFrame>, JournalError> {
    let offset = segment.offset_of(place.position);
    let bytes = window.read(offset, HEADER_BYTES as u64, limit)?;
    let header = match frame::read_header(&bytes, place) {
        Ok(header) => header,
        Err(bad) => return Ok(Err(bad)),
    };
    let bytes = window.read(offset, header.frame_bytes.into(), limit)?;
    Ok(frame::check_body(&bytes, &header).map(|()| (header, bytes)))
}

/// The error for a frame that is not what was written.
pub(super) fn bad_frame(stream: &'static str, place: String, bad: BadFrame) -> JournalError {
    match bad {
        BadFrame::Newer(found) => JournalError::UnknownFormat {
            place,
            found: found.into(),
            known: frame::FORMAT_VERSION.into(),
        },
        bad => JournalError::Damaged { stream, place, what: bad.what().to_owned() },
    }
}
