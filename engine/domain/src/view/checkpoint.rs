//! Checkpoints of a view: its bytes as of one sequence, taken while it goes on absorbing, so that a
//! reader of events need not begin with the first one again.
//!
//! A [`Capture`] copies the view portion by portion. Whoever shares the view with others holds it for
//! one portion at a time: shared while [`Capture::copy`] copies a portion, alone for the moment of
//! [`Capture::settle`], not at all while [`Capture::pack`] makes bytes of it. What changes meanwhile is
//! kept as it was (`rows`), in bounded memory; everything is as of the capture's beginning. A
//! [`Loader`] makes a view of the bytes again.
//!
//! # Bytes
//! A preamble ([`PREAMBLE_BYTES`]: a name and the format), then frames. A frame is a header
//! ([`FRAME_HEADER_BYTES`]: length of the body, section, first index, count), the body, and 16 bytes of
//! check: a BLAKE3 hash over the check before, header and body. So no frame can be changed, left out,
//! doubled or moved, and each is known to be sound before anything of it is believed. Sections stand in
//! order of their numbers; the last frame is empty and says that this is all.
//!
//! Only what cannot be worked out is stored: lists of slots, places left, the index of keys and the
//! catalogue's orders are made anew, and sums that can be counted are compared with what was counted.
//! The catalogue travels as events, through the codec that checks those of the journal.
//!
//! [`FORMAT`] rises with every change of these bytes **and of what the fold makes of events**. Another
//! format is not read: the events are there to make the view again. What this module deliberately does
//! not do: files, places in the stream (the note carries what its reader wants to know), or trusting.

mod capture;
mod frame;
mod head;
mod load;

use std::fmt;

use super::View;

pub use capture::{Capture, CaptureLost};
pub use frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, PREAMBLE_BYTES, frame_bytes, seal_again};
pub use load::Loader;

/// The format that this build writes and reads.
pub const FORMAT: u32 = 2;

/// Bytes of a caller's note, at most.
pub const NOTE_BYTES_MAX: usize = 4_096;

/// Why bytes are no checkpoint that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCheckpoint {
    /// They are something else.
    Foreign,
    /// Another version wrote them.
    OtherFormat {
        /// What they say.
        found: u32,
        /// What this build reads.
        known: u32,
    },
    /// They are not what was written; the text names the first thing that is wrong.
    Damaged(&'static str),
}

impl fmt::Display for BadCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCheckpoint::Foreign => f.write_str("it is not a checkpoint of a view"),
            BadCheckpoint::OtherFormat { found, known } => {
                write!(f, "it has format {found}, this build reads format {known}")
            }
            BadCheckpoint::Damaged(what) => write!(f, "it is damaged: {what}"),
        }
    }
}

impl std::error::Error for BadCheckpoint {}

/// A whole checkpoint at once, for views that nobody else waits for.
pub fn pack(view: &mut View, note: &[u8]) -> Vec<u8> {
    let mut capture = view.begin_capture(note, usize::MAX);
    let mut out = Vec::new();
    loop {
        capture.copy(view);
        // Nothing changes meanwhile, so nothing can be lost.
        let settled = capture.settle(view);
        debug_assert!(settled.is_ok(), "a capture that nobody disturbed");
        if !capture.pack(&mut out) {
            return out;
        }
    }
}

/// The view and the note of a whole checkpoint.
///
/// # Errors
/// [`BadCheckpoint`].
pub fn unpack(bytes: &[u8]) -> Result<(View, Vec<u8>), BadCheckpoint> {
    let cut = BadCheckpoint::Damaged("it ends too early");
    let (preamble, mut rest) = bytes.split_first_chunk().ok_or(cut)?;
    let mut loader = Loader::open(preamble, Default::default())?;
    while !rest.is_empty() {
        let header = rest.first_chunk().ok_or(cut)?;
        let (frame, behind) = rest.split_at_checked(frame_bytes(header)?).ok_or(cut)?;
        loader.take(frame)?;
        rest = behind;
    }
    let note = loader.note().unwrap_or_default().to_vec();
    Ok((loader.finish()?, note))
}
