//! The operating system's files.
//!
//! Does: the calls of [`Storage`] on a real file system, direct and write-through where asked. Does
//! not fall back on its own: a file system that refuses direct files returns its error.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Access, LockGuard, Storage, StorageFile};
use crate::system;

/// Alignment assumed for direct files where the file system does not tell.
const DIRECT_ALIGNMENT_DEFAULT_BYTES: u32 = 4_096;

/// Files are readable by their owner's group at most: they hold sealed personal data.
const FILE_MODE: u32 = 0o640;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealStorage;

impl Storage for RealStorage {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut flags = 0;
        if access.direct {
            flags |= libc::O_DIRECT;
        }
        if access.durable_writes {
            flags |= libc::O_DSYNC;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(access.write)
            .create_new(access.create)
            .mode(FILE_MODE)
            .custom_flags(flags)
            .open(path)?;
        let block_bytes = if access.direct {
            system::direct_alignment_bytes(&file).unwrap_or(DIRECT_ALIGNMENT_DEFAULT_BYTES)
        } else {
            1
        };
        Ok(Box::new(RealFile { file, block_bytes }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// An open file of this machine.
struct RealFile {
    /// The descriptor.
    file: File,
    /// Alignment to keep; 1 when the page cache is used.
    block_bytes: u32,
}

impl StorageFile for RealFile {
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
        system::write_parts_at(&self.file, parts, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        system::reserve(&self.file, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn block_bytes(&self) -> u32 {
        self.block_bytes
    }
}
