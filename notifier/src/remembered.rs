//! How far the deliveries reached, remembered beside the book: a stream that ends before that has lost what
//! was sent, and every text it told of would go out again.
//!
//! A small file, written in place after each record of our own was read back, without a sync: a power cut
//! may leave an older place, which only notices less. What it does not hold, or holds of another journal,
//! proves nothing.
//!
//! Layout: magic `SLDR`, CRC-32 of the rest, the 16 bytes of the journal's name, the position (8 bytes).
//!
//! What this file deliberately does not do: look into the stream.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use journal::{Journal, JournalId, Position, Stream};

use crate::error::NotifierError;

/// The file, in the notifier's folder.
const FILE: &str = "deliveries-reached";
/// First bytes of the file.
const MAGIC: [u8; 4] = *b"SLDR";
/// Bytes of the file.
const BYTES: usize = 32;

/// The place that is remembered.
#[derive(Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    file: File,
    journal: JournalId,
    /// What was found at the start.
    found: Option<Position>,
    /// It could not be written: told once.
    is_failing: AtomicBool,
}

impl Remembered {
    /// Opens or makes the file in this folder.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn open(folder: &Path, journal: JournalId) -> io::Result<Remembered> {
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path)?;
        let mut bytes = [0; BYTES];
        let found = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => unpack(&bytes, journal),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok(Remembered { path, file, journal, found, is_failing: AtomicBool::new(false) })
    }

    /// Refuses a journal whose deliveries end before what is remembered.
    ///
    /// # Errors
    /// [`NotifierError::DeliveriesLost`]; the journal's.
    pub(crate) fn check(&self, journal: &dyn Journal) -> Result<(), NotifierError> {
        let Some(Position(known)) = self.found else { return Ok(()) };
        let Position(end) = journal.durable_end(Stream::Deliveries)?;
        if end >= known {
            return Ok(());
        }
        Err(NotifierError::DeliveriesLost { end, known, file: self.path.display().to_string() })
    }

    /// Notes that the deliveries are durable up to here.
    pub(crate) fn note(&self, reached: Position) {
        let written = self.file.write_all_at(&pack(reached, self.journal), 0);
        if let Err(error) = written {
            if !self.is_failing.swap(true, Ordering::Relaxed) {
                let path = self.path.display();
                tracing::warn!(%path, %error, "notifier: how far deliveries reached cannot be noted");
            }
        } else {
            self.is_failing.store(false, Ordering::Relaxed);
        }
    }
}

fn pack(reached: Position, journal: JournalId) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[8..24].copy_from_slice(&journal.0);
    bytes[24..].copy_from_slice(&reached.0.to_le_bytes());
    let crc = crc32fast::hash(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn unpack(bytes: &[u8; BYTES], journal: JournalId) -> Option<Position> {
    let mut reached = [0; 8];
    reached.copy_from_slice(&bytes[24..]);
    let reached = Position(u64::from_le_bytes(reached));
    (*bytes == pack(reached, journal)).then_some(reached)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_place_is_remembered_for_its_journal_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = |id| Remembered::open(folder.path(), JournalId([id; 16])).unwrap();
        assert_eq!(open(1).found, None);
        let remembered = open(1);
        remembered.note(Position(7));
        remembered.note(Position(4_096));
        assert_eq!(open(1).found, Some(Position(4_096)));
        assert_eq!(open(2).found, None);
    }

    #[test]
    fn a_torn_file_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Remembered::open(folder.path(), JournalId([1; 16])).unwrap();
        open().note(Position(4_096));
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..BYTES {
            let mut torn = whole.clone();
            torn[place] ^= 0x10;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(open().found, None, "byte {place}");
            std::fs::write(&path, &whole[..place]).unwrap();
            assert_eq!(open().found, None, "{place} bytes");
        }
    }
}
