//! The journal's name, given once.
//!
//! Does: makes the identity file so that it exists whole or not at all, and checks it. Does not make a
//! new one where a journal's files already are: their name would be wrong.
//!
//! Layout: magic `SLJI`, CRC-32 of the rest, format version (2 bytes), 6 zeros, the 16 bytes of the name.

use std::io;
use std::path::Path;

use super::frame::FORMAT_VERSION;
use super::segment::start_of;
use crate::storage::{Access, Storage, io_error, read_fully_at, remove_if_there, write_all_at};
use crate::{JournalError, JournalId, Stream, system};

/// The file.
const IDENTITY_FILE: &str = "identity";

/// The file while it is made.
const UNFINISHED_FILE: &str = "identity.preparing";

/// First bytes of the file.
const IDENTITY_MAGIC: [u8; 4] = *b"SLJI";

/// Bytes of the file.
const IDENTITY_BYTES: usize = 32;

/// The name in the folder, made if the folder is new.
pub(super) fn read_or_make(
    storage: &dyn Storage,
    folder: &Path,
) -> Result<JournalId, JournalError> {
    let path = folder.join(IDENTITY_FILE);
    match storage.open(&path, Access::read(false)) {
        Ok(file) => {
            let mut bytes = [0; IDENTITY_BYTES];
            let read = read_fully_at(&*file, &mut bytes, 0);
            let read = read.map_err(|cause| io_error("read", &path, &cause))?;
            parse(&bytes[..read], &path)
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            refuse_orphans(storage, folder, &path)?;
            make(storage, folder, &path)
        }
        Err(cause) => Err(io_error("open", &path, &cause)),
    }
}

fn damaged(path: &Path, what: &str) -> JournalError {
    JournalError::Damaged {
        stream: "all",
        place: format!("file {}", path.display()),
        what: what.to_owned(),
    }
}

fn parse(bytes: &[u8], path: &Path) -> Result<JournalId, JournalError> {
    let Some(bytes) = bytes.first_chunk::<IDENTITY_BYTES>() else {
        return Err(damaged(path, "the file is too short"));
    };
    if bytes[0..4] != IDENTITY_MAGIC || crc32fast::hash(&bytes[8..]).to_le_bytes() != bytes[4..8] {
        return Err(damaged(path, "the file does not hold a journal's name"));
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    if version != FORMAT_VERSION {
        return Err(JournalError::UnknownFormat {
            place: format!("file {}", path.display()),
            found: version.into(),
            known: FORMAT_VERSION.into(),
        });
    }
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[16..]);
    Ok(JournalId(id))
}

/// A folder with segments but without a name lost it.
fn refuse_orphans(storage: &dyn Storage, folder: &Path, path: &Path) -> Result<(), JournalError> {
    for stream in Stream::ALL {
        if holds_groups(storage, folder, stream)? == Some(true) {
            return Err(damaged(path, "the file is missing, but the journal's groups are here"));
        }
    }
    Ok(())
}

/// Refuses a journal of which one stream's folder is missing while another one holds groups: the folders are
/// made durable, all of them, before the first group is written.
pub(super) fn refuse_lost_streams(
    storage: &dyn Storage,
    folder: &Path,
) -> Result<(), JournalError> {
    let (mut lost, mut any_groups) = (None, false);
    for stream in Stream::ALL {
        match holds_groups(storage, folder, stream)? {
            Some(holds) => any_groups |= holds,
            None => lost = lost.or(Some(stream)),
        }
    }
    match lost {
        Some(stream) if any_groups => Err(JournalError::Damaged {
            stream: stream.name(),
            place: format!("folder {}", folder.join(stream.name()).display()),
            what: "the folder is missing, but groups of other streams are here; an empty folder in its place says that all of it is given up".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Whether a stream's folder holds segments; `None` when there is no such folder.
fn holds_groups(
    storage: &dyn Storage,
    folder: &Path,
    stream: Stream,
) -> Result<Option<bool>, JournalError> {
    let below = folder.join(stream.name());
    match storage.list(&below) {
        Ok(names) => Ok(Some(names.iter().any(|name| start_of(name).is_some()))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(io_error("list", &below, &cause)),
    }
}

fn make(storage: &dyn Storage, folder: &Path, path: &Path) -> Result<JournalId, JournalError> {
    let unfinished = folder.join(UNFINISHED_FILE);
    // One left by a start that did not get further.
    remove_if_there(storage, &unfinished)?;
    let id = system::random_name().map_err(|cause| io_error("random number", folder, &cause))?;
    let mut bytes = [0; IDENTITY_BYTES];
    bytes[0..4].copy_from_slice(&IDENTITY_MAGIC);
    bytes[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..].copy_from_slice(&id);
    let crc = crc32fast::hash(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    let file = storage
        .open(&unfinished, Access::create(false))
        .map_err(|cause| io_error("creation", &unfinished, &cause))?;
    write_all_at(&*file, &[&bytes], 0).map_err(|cause| io_error("write", &unfinished, &cause))?;
    file.sync_data().map_err(|cause| io_error("sync", &unfinished, &cause))?;
    storage.rename(&unfinished, path).map_err(|cause| io_error("rename", &unfinished, &cause))?;
    storage.sync_dir(folder).map_err(|cause| io_error("sync of the folder", folder, &cause))?;
    Ok(JournalId(id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::storage::crash::CrashStorage;

    fn storage() -> CrashStorage {
        let storage = CrashStorage::new(false);
        storage.create_dir(Path::new("/journal")).unwrap();
        storage
    }

    #[test]
    fn the_name_stays_the_same() {
        let storage = storage();
        let first = read_or_make(&storage, Path::new("/journal")).unwrap();
        let again = read_or_make(&storage, Path::new("/journal")).unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn every_changed_byte_of_the_name_is_noticed() {
        let storage = storage();
        read_or_make(&storage, Path::new("/journal")).unwrap();
        let path = Path::new("/journal/identity");
        for offset in 0..IDENTITY_BYTES {
            storage.flip(path, offset, 0x40);
            read_or_make(&storage, Path::new("/journal")).unwrap_err();
            storage.flip(path, offset, 0x40);
        }
    }

    #[test]
    fn a_stream_lost_beside_others_is_not_made_anew() {
        let storage = storage();
        let folder = Path::new("/journal");
        storage.create_dir(Path::new("/journal/commands")).unwrap();
        // A first start that did not get further.
        refuse_lost_streams(&storage, folder).unwrap();
        let segment = Path::new("/journal/commands/00000000000000000000.segment");
        storage.open(segment, Access::create(false)).unwrap();
        for stream in [Stream::Events, Stream::Roster, Stream::Deliveries] {
            let said = refuse_lost_streams(&storage, folder).unwrap_err().to_string();
            assert!(said.contains(stream.name()) && said.contains("Restore"), "{said}");
            storage.create_dir(&folder.join(stream.name())).unwrap();
        }
        refuse_lost_streams(&storage, folder).unwrap();
    }

    #[test]
    fn a_lost_name_is_not_replaced_where_groups_are() {
        let storage = storage();
        let segment = Path::new("/journal/commands/00000000000000000000.segment");
        storage.create_dir(Path::new("/journal/commands")).unwrap();
        storage.open(segment, Access::create(false)).unwrap();
        let result = read_or_make(&storage, Path::new("/journal"));
        assert!(matches!(result, Err(JournalError::Damaged { .. })));
    }
}
