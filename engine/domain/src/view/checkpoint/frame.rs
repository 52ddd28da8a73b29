//! Frames: pieces of a checkpoint, each with a check that depends on all pieces before.

use super::{BadCheckpoint, FORMAT};

/// Bytes before the first frame: a name and the format.
pub const PREAMBLE_BYTES: usize = 12;

/// Bytes before a frame's body.
pub const FRAME_HEADER_BYTES: usize = 13;

/// Bytes of a whole frame, at most: far above what a portion makes.
pub const FRAME_BYTES_MAX: usize = 1 << 26;

/// Bytes of check behind a frame's body.
const CHECK_BYTES: usize = 16;

/// What the first bytes say.
const NAME: [u8; 8] = *b"SLOTVIEW";

/// The parts of a checkpoint, in order. The numbers stand in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Section {
    /// How far, figures, lengths, the caller's note.
    Head = 1,
    /// Vaccines, categories, periods, as events.
    Catalogue = 2,
    /// Sites, as events.
    Sites = 3,
    /// Slots, as events.
    Slots = 4,
    /// Rows of people.
    People = 5,
    /// Bookings.
    Bookings = 6,
    /// Keys of people.
    Keys = 7,
    /// Particulars of moves.
    Moves = 8,
    /// Outcomes of requests.
    Outcomes = 9,
    /// Nothing follows.
    End = 10,
}

impl Section {
    const ALL: [Section; 10] = [
        Section::Head,
        Section::Catalogue,
        Section::Sites,
        Section::Slots,
        Section::People,
        Section::Bookings,
        Section::Keys,
        Section::Moves,
        Section::Outcomes,
        Section::End,
    ];

    fn from_number(number: u8) -> Option<Section> {
        Section::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }

    /// The one behind it; the last stays.
    pub(super) fn next(self) -> Section {
        Section::ALL.get(self as usize).copied().unwrap_or(Section::End)
    }
}

/// One frame, its check not looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) section: Section,
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) body: &'a [u8],
}

/// How many bytes a frame has, by its header.
///
/// # Errors
/// When no frame has so many.
pub fn frame_bytes(header: &[u8; FRAME_HEADER_BYTES]) -> Result<usize, BadCheckpoint> {
    let [a, b, c, d, ..] = *header;
    let bytes =
        u64::from(u32::from_le_bytes([a, b, c, d])) + (FRAME_HEADER_BYTES + CHECK_BYTES) as u64;
    match usize::try_from(bytes) {
        Ok(bytes) if bytes <= FRAME_BYTES_MAX => Ok(bytes),
        _ => Err(BadCheckpoint::Damaged("a frame of impossible length")),
    }
}

/// Carries the check from frame to frame, for writers and readers alike.
#[derive(Clone, Debug)]
pub(super) struct Sealer {
    check: [u8; CHECK_BYTES],
}

impl Sealer {
    /// Begins a checkpoint.
    pub(super) fn begin(out: &mut Vec<u8>) -> Sealer {
        let start = out.len();
        out.extend_from_slice(&NAME);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        Sealer { check: short_hash(&[&out[start..]]) }
    }

    /// Begins to read one.
    ///
    /// # Errors
    /// When it is none, or of another format.
    pub(super) fn open(preamble: &[u8; PREAMBLE_BYTES]) -> Result<Sealer, BadCheckpoint> {
        let Some((NAME, format)) = preamble.split_first_chunk().map(|(name, rest)| (*name, rest))
        else {
            return Err(BadCheckpoint::Foreign);
        };
        let found = format.first_chunk().map_or(0, |format| u32::from_le_bytes(*format));
        if found != FORMAT {
            return Err(BadCheckpoint::OtherFormat { found, known: FORMAT });
        }
        Ok(Sealer { check: short_hash(&[preamble]) })
    }

    /// Appends a frame whose body `fill` appends.
    pub(super) fn frame(
        &mut self,
        (section, first, count): (Section, u32, u32),
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(section as u8);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        fill(out);
        let length = (out.len() - start - FRAME_HEADER_BYTES) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.check = short_hash(&[&self.check, &out[start..]]);
        out.extend_from_slice(&self.check);
    }

    /// Checks a frame and takes it apart.
    ///
    /// # Errors
    /// When it is not the frame that was written here.
    pub(super) fn check<'a>(&mut self, frame: &'a [u8]) -> Result<Frame<'a>, BadCheckpoint> {
        let cut = BadCheckpoint::Damaged("a frame ends too early");
        let (sealed, check) = frame.split_last_chunk::<CHECK_BYTES>().ok_or(cut)?;
        let (header, body) = sealed.split_first_chunk::<FRAME_HEADER_BYTES>().ok_or(cut)?;
        if frame_bytes(header)? != frame.len() {
            return Err(cut);
        }
        let expected = short_hash(&[&self.check, sealed]);
        if expected != *check {
            return Err(BadCheckpoint::Damaged("a checksum does not match"));
        }
        self.check = expected;
        let [_, _, _, _, number, a, b, c, d, e, f, g, h] = *header;
        let section =
            Section::from_number(number).ok_or(BadCheckpoint::Damaged("an unknown section"))?;
        let (first, count) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        Ok(Frame { section, first, count, body })
    }
}

/// The same bytes with checks that match: for tests and fuzzers that look at what stands behind the
/// checks. Stops where no frame can be.
pub fn seal_again(bytes: &mut [u8]) {
    let Some((preamble, mut rest)) = bytes.split_at_mut_checked(PREAMBLE_BYTES) else {
        return;
    };
    let mut check = short_hash(&[preamble]);
    while let Some(Ok(length)) = rest.first_chunk().map(frame_bytes) {
        let Some((frame, behind)) = std::mem::take(&mut rest).split_at_mut_checked(length) else {
            return;
        };
        let (sealed, place) = frame.split_at_mut(length - CHECK_BYTES);
        check = short_hash(&[&check, sealed]);
        place.copy_from_slice(&check);
        rest = behind;
    }
}

fn short_hash(parts: &[&[u8]]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut short = [0; CHECK_BYTES];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    short
}
