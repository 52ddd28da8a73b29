//! A file of the disk that can lose its power.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{BLOCK_BYTES, Disk, power_is_off};
use crate::storage::{Access, StorageFile};

/// An open file on the disk.
pub(super) struct CrashFile {
    /// Where it is.
    pub(super) disk: Arc<Mutex<Disk>>,
    /// Number of its content.
    pub(super) number: usize,
    /// Restarts when it was opened: it is dead after the next.
    pub(super) opened_in: u64,
    /// How it was opened.
    pub(super) access: Access,
}

impl CrashFile {
    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.starts != self.opened_in {
            return Err(power_is_off());
        }
        act(&mut disk)
    }

    fn check_alignment(&self, offset: u64, length: usize) -> io::Result<()> {
        let block = self.block_bytes() as usize;
        let fits = offset.is_multiple_of(block as u64) && length.is_multiple_of(block);
        if fits { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINVAL)) }
    }
}

impl StorageFile for CrashFile {
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
        if !self.access.write {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        for part in parts {
            self.check_alignment(offset, part.len())?;
        }
        self.with(|disk| {
            let goes_off = disk.change()?;
            let is_durable =
                self.access.durable_writes && !disk.ignored.durable_writes && !goes_off;
            let written = disk.contents[self.number].write(parts, offset as usize, is_durable);
            if goes_off { Err(power_is_off()) } else { Ok(written) }
        })
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check_alignment(offset, buffer.len())?;
        self.with(|disk| {
            disk.check_power()?;
            let live = &disk.contents[self.number].live;
            let start = (offset as usize).min(live.len());
            let end = (start + buffer.len()).min(live.len());
            buffer[..end - start].copy_from_slice(&live[start..end]);
            Ok(end - start)
        })
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        self.with(|disk| {
            let goes_off = disk.change()?;
            let live = &mut disk.contents[self.number].live;
            if live.len() < length as usize {
                live.resize(length as usize, 0);
            }
            if goes_off { Err(power_is_off()) } else { Ok(()) }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            if disk.change()? {
                return Err(power_is_off());
            }
            if disk.ignored.file_syncs {
                return Ok(());
            }
            if std::mem::take(&mut disk.fail_next_sync) {
                disk.contents[self.number].dirty.clear();
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            disk.contents[self.number].sync();
            Ok(())
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|disk| {
            disk.check_power()?;
            Ok(disk.contents[self.number].live.len() as u64)
        })
    }

    fn block_bytes(&self) -> u32 {
        if self.access.direct { BLOCK_BYTES as u32 } else { 1 }
    }
}
