//! What a start begins with: the newest checkpoint that can be trusted, or nothing.
//!
//! A checkpoint of another journal or another format, a damaged one, and one that knows of contacts
//! that the contact book does not have, is set aside with the reason, and the next older one is tried.
//! What this module does not do: compare the checkpoint with the events (`events`).

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, UNIX_EPOCH};

use domain::view::checkpoint::{
    BadCheckpoint, FRAME_HEADER_BYTES, Loader, PREAMBLE_BYTES, frame_bytes,
};
use domain::view::{PlacesLeft, View};
use journal::JournalId;

use super::files::{Files, Found};
use super::note::Note;

/// Bytes read from the file at once.
const READ_BYTES: usize = 1 << 20;

/// What a checkpoint must fit to.
pub(super) struct Expected<'a> {
    /// The journal.
    pub(super) journal: JournalId,
    /// Through which command the contact book has everything.
    pub(super) contacts_watermark: u64,
    /// The counters that the view will share.
    pub(super) places: &'a Arc<PlacesLeft>,
    /// Bytes read so far and in all, for `/readyz`.
    pub(super) progress: &'a dyn Fn(u64, u64),
    /// Ends the loading.
    pub(super) stop: &'a AtomicBool,
}

/// A view made again.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The view.
    pub(super) view: View,
    /// What stood beside it.
    pub(super) note: Note,
    /// Length of the checkpoint.
    pub(super) bytes: u64,
    /// When it was written, milliseconds since 1970, by the file's time.
    pub(super) written_at_ms: i64,
}

/// Why a checkpoint is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    Bad(#[from] BadCheckpoint),
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it ends too early")]
    Short,
    #[error("bytes follow its end")]
    Long,
    #[error("it belongs to another journal, or to another version")]
    OtherJournal,
    #[error(
        "it knows of contacts up to command {checkpoint}, the contact book only up to {book}; was it removed?"
    )]
    ContactsMissing { checkpoint: u64, book: u64 },
    #[error("the gateway ends")]
    Stopped,
}

/// Loads the newest checkpoint that can be used; `None` when there is none.
pub(super) fn newest(files: &Files, expected: &Expected<'_>) -> Option<Loaded> {
    let all = match files.newest_first() {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(%error, "the checkpoints of the view cannot be listed; it is made again of all events");
            return None;
        }
    };
    let any = !all.is_empty();
    for found in all {
        let began = Instant::now();
        match load(&found, expected) {
            Ok(loaded) => {
                tracing::info!(
                    sequence = found.sequence,
                    seconds = began.elapsed().as_secs_f64(),
                    "checkpoint of the view loaded"
                );
                return Some(loaded);
            }
            Err(Unusable::Stopped) => return None,
            Err(why) => {
                tracing::warn!(path = %found.path.display(), %why, "a checkpoint of the view cannot be used and is set aside");
                files.set_aside(&found);
            }
        }
    }
    if any {
        tracing::warn!("no checkpoint of the view can be used; it is made again of all events");
    }
    None
}

fn load(found: &Found, expected: &Expected<'_>) -> Result<Loaded, Unusable> {
    let (mut file, bytes, written_at_ms) = open(&found.path)?;
    let mut preamble = [0; PREAMBLE_BYTES];
    read(&mut file, &mut preamble)?;
    let mut loader = Loader::open(&preamble, Arc::clone(expected.places))?;
    let mut done = PREAMBLE_BYTES as u64;
    let mut frame = Vec::new();
    while done < bytes {
        if expected.stop.load(Ordering::Acquire) {
            return Err(Unusable::Stopped);
        }
        read_frame(&mut file, bytes - done, &mut frame)?;
        let is_first = loader.note().is_none();
        loader.take(&frame)?;
        if is_first {
            check(&loader, expected)?;
        }
        done += frame.len() as u64;
        (expected.progress)(done, bytes);
    }
    // The file may have grown since its length was asked.
    if file.read(&mut [0])? > 0 {
        return Err(Unusable::Long);
    }
    let note = check(&loader, expected)?;
    Ok(Loaded { view: loader.finish()?, note, bytes, written_at_ms })
}

fn open(path: &Path) -> io::Result<(BufReader<File>, u64, i64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let written = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let written_at_ms = i64::try_from(written.as_millis()).unwrap_or(i64::MAX);
    Ok((BufReader::with_capacity(READ_BYTES, file), metadata.len(), written_at_ms))
}

/// Reads one frame, of which no more than `left` bytes can be there.
fn read_frame(file: &mut impl Read, left: u64, frame: &mut Vec<u8>) -> Result<(), Unusable> {
    let mut header = [0; FRAME_HEADER_BYTES];
    read(file, &mut header)?;
    let length = frame_bytes(&header)?;
    if length as u64 > left {
        return Err(Unusable::Short);
    }
    frame.clear();
    frame.extend_from_slice(&header);
    frame.resize(length, 0);
    read(file, &mut frame[FRAME_HEADER_BYTES..])
}

fn read(file: &mut impl Read, into: &mut [u8]) -> Result<(), Unusable> {
    file.read_exact(into).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Unusable::Short,
        _ => error.into(),
    })
}

/// Looks at what a checkpoint says of itself, before all of it is read.
fn check(loader: &Loader, expected: &Expected<'_>) -> Result<Note, Unusable> {
    let note = loader.note().and_then(Note::decode).ok_or(Unusable::OtherJournal)?;
    if note.journal != expected.journal || Some(note.anchor.last) != loader.sequence() {
        return Err(Unusable::OtherJournal);
    }
    if note.anchor.last.0 > expected.contacts_watermark {
        return Err(Unusable::ContactsMissing {
            checkpoint: note.anchor.last.0,
            book: expected.contacts_watermark,
        });
    }
    Ok(note)
}
