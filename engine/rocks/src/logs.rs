//! A look at the logs of a store, `MANIFEST-…` and `….log`, before RocksDB reads them.
//!
//! Their format: blocks of 32 KiB, in each of them records of a header (CRC 4 bytes, length 2, type 1,
//! little-endian) and a body. Types 5 to 8, 11 and 131 say that the file was used before and carry four
//! more bytes. RocksDB 11.8.1 that meets such a record behind a first one of another kind reports it and
//! does not step over it (`ReadPhysicalRecord` in `log_reader.cc`), and so meets it again without end:
//! one bit that is flipped in a record's type keeps a start from ever ending. We never use a log file
//! twice, so any such record is damage.
//!
//! RocksDB checks all the rest itself. This walk goes wherever RocksDB's own could go: behind a record
//! whose checksum is wrong RocksDB skips the block's rest, which is looked over here all the same.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes of a block.
const BLOCK_BYTES: usize = 32 * 1024;
/// Bytes of a record's header.
const HEADER_BYTES: usize = 7;

/// What is wrong with a store's logs.
#[derive(Debug)]
pub enum Fault {
    /// The system does not let us read them.
    Unreadable(String),
    /// A record that nobody wrote; with file and place.
    Damaged(String),
}

/// Looks over all logs of a store. A folder that is not there is fine.
///
/// # Errors
/// The first [`Fault`].
pub fn look_over(folder: &Path) -> Result<(), Fault> {
    let unreadable =
        |path: &Path, cause: &io::Error| Fault::Unreadable(format!("{}: {cause}", path.display()));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(unreadable(folder, &cause)),
    };
    for entry in entries {
        let path = entry.map_err(|cause| unreadable(folder, &cause))?.path();
        if !is_log(&path) {
            continue;
        }
        let walked = File::open(&path).and_then(walk);
        // Its user may have removed it meanwhile.
        if let Err(cause) = &walked
            && cause.kind() != io::ErrorKind::NotFound
        {
            return Err(unreadable(&path, cause));
        }
        if let Ok(Some((place, kind))) = walked {
            let path = path.display();
            return Err(Fault::Damaged(format!("{path}: record of type {kind} at byte {place}")));
        }
    }
    Ok(())
}

pub(crate) fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("MANIFEST-") || name.ends_with(".log")
}

/// Place and type of the first record that says its file was used before.
fn walk(mut log: impl Read) -> io::Result<Option<(u64, u8)>> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut begin = 0;
    loop {
        block.clear();
        log.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(None);
        }
        if let Some((place, kind)) = walk_block(&block) {
            return Ok(Some((begin + place as u64, kind)));
        }
        begin += block.len() as u64;
    }
}

fn walk_block(block: &[u8]) -> Option<(usize, u8)> {
    let mut place = 0;
    while let Some([_, _, _, _, low, high, kind]) = block.get(place..place + HEADER_BYTES) {
        if matches!(kind, 5..=8 | 11 | 131) {
            return Some((place, *kind));
        }
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        if (*kind, length) == (0, 0) {
            // Room that was set aside: nothing else stands in this block.
            return None;
        }
        place += HEADER_BYTES + length;
    }
    None
}
