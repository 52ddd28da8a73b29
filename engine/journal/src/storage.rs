//! The few file calls the embedded journal makes, behind a trait.
//!
//! Does: opening, positional reads and writes, preallocation, syncing of files and folders, renaming,
//! listing, the lock. Three implementations: [`real`] (the operating system), [`faulty`] (any other
//! one, with the call number N failing) and [`crash`] (in memory, live and durable bytes apart).
//! Does not interpret bytes, retry anything or decide what a failure means.

pub mod crash;
pub mod faulty;
pub mod real;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;

use crate::JournalError;

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Make a new file; one that exists already is an error.
    pub create: bool,
    /// Writes are allowed.
    pub write: bool,
    /// Past the page cache: offsets, lengths and memory keep [`StorageFile::block_bytes`].
    pub direct: bool,
    /// A write returns when its bytes are durable.
    pub durable_writes: bool,
}

impl Access {
    /// Reading, through the page cache unless `direct`.
    pub const fn read(direct: bool) -> Access {
        Access { create: false, write: false, direct, durable_writes: false }
    }

    /// Reading and writing; durable only after a sync.
    pub const fn write(direct: bool) -> Access {
        Access { create: false, write: true, direct, durable_writes: false }
    }

    /// A new file for writing; durable only after a sync.
    pub const fn create(direct: bool) -> Access {
        Access { create: true, write: true, direct, durable_writes: false }
    }

    /// Direct writing where every write is durable when it returns.
    pub const fn write_durably() -> Access {
        Access { create: false, write: true, direct: true, durable_writes: true }
    }
}

/// A place that keeps files.
pub trait Storage: Send + Sync + Debug {
    /// Makes a folder and those above it; one that exists is fine.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Names of the files and folders in a folder, in no order.
    ///
    /// # Errors
    /// The system's; a folder that does not exist is [`io::ErrorKind::NotFound`].
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>>;

    /// Renames a file; durable after [`Storage::sync_dir`].
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; durable after [`Storage::sync_dir`].
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Takes the exclusive lock named by this file until the guard is dropped; `None` when another
    /// process (or another journal of this one) holds it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>>;
}

/// Holds a lock while it lives.
pub type LockGuard = Box<dyn Any + Send + Sync>;

/// An open file.
pub trait StorageFile: Send + Sync {
    /// Writes the parts one after another at `offset`; may write less than asked.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize>;

    /// Reads at `offset`; may read less than asked, 0 at the end of the file.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reserves space for the first `length` bytes.
    ///
    /// # Errors
    /// The system's.
    fn reserve(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes, and the length needed to read them, durable.
    ///
    /// # Errors
    /// The system's. Never call it again on the same bytes then.
    fn sync_data(&self) -> io::Result<()>;

    /// Bytes in the file.
    ///
    /// # Errors
    /// The system's.
    fn length(&self) -> io::Result<u64>;

    /// What offsets, lengths and memory must be multiples of; 1 for files that are not direct.
    fn block_bytes(&self) -> u32;
}

/// Writes all parts at `offset`. A write that took less is continued, which is no retry: what was
/// not taken was never attempted. A direct write that stopped inside a block is an error.
///
/// # Errors
/// The system's; [`io::ErrorKind::WriteZero`] when nothing more is taken.
pub fn write_all_at(file: &dyn StorageFile, parts: &[&[u8]], offset: u64) -> io::Result<()> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut done = 0;
    while done < total {
        let written = if done == 0 {
            file.write_at(parts, offset)?
        } else {
            file.write_at(&remaining_parts(parts, done), offset + done as u64)?
        };
        if written == 0 || !written.is_multiple_of(file.block_bytes() as usize) {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                format!("only {written} of {} bytes were taken", total - done),
            ));
        }
        done += written;
    }
    Ok(())
}

fn remaining_parts<'a>(parts: &[&'a [u8]], mut done: usize) -> Vec<&'a [u8]> {
    let mut rest = Vec::with_capacity(parts.len());
    for part in parts {
        let skipped = done.min(part.len());
        done -= skipped;
        if skipped < part.len() {
            rest.push(&part[skipped..]);
        }
    }
    rest
}

/// Fills the buffer from `offset`; what lies beyond the end of the file is left as it was. Returns the
/// bytes read.
///
/// # Errors
/// The system's.
pub fn read_fully_at(file: &dyn StorageFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let read = file.read_at(&mut buffer[done..], offset + done as u64)?;
        done += read;
        // A direct read that ends inside a block ended at the end of the file.
        if read == 0 || !read.is_multiple_of(file.block_bytes() as usize) {
            break;
        }
    }
    Ok(done)
}

/// Removes a file that an earlier start may have left.
///
/// # Errors
/// The system's; a file that is not there is fine.
pub fn remove_if_there(storage: &dyn Storage, path: &Path) -> Result<(), JournalError> {
    match storage.remove(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(io_error("removal", path, &cause))
        }
        _ => Ok(()),
    }
}

/// Turns a system error into the journal's, naming call and place.
pub fn io_error(call: &'static str, place: &Path, cause: &io::Error) -> JournalError {
    JournalError::Io { call, place: place.display().to_string(), cause: cause.to_string() }
}
