//! A disk in memory that can lose its power.
//!
//! Does: keeps what a running process sees (live) apart from what a power cut leaves (durable), for
//! file contents in blocks of 512 bytes and for the names in folders. At a cut every block written but
//! not synced becomes, by seed, its old bytes, its new bytes or a mixture of both; names not synced
//! become the old ones. It can also be told to ignore syncs, to prove that a test would notice.
//! Does not model reordering inside a synced block, nor a medium that damages bytes at rest.

mod file;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use file::CrashFile;

use super::{Access, LockGuard, Storage, StorageFile};
use crate::seeded::Seeded;

/// What the disk keeps or loses as a whole.
const BLOCK_BYTES: usize = 512;

/// Syncs the disk can be told to leave out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Writes through [`Access::write_durably`] are not durable when they return.
    pub durable_writes: bool,
    /// [`StorageFile::sync_data`] does nothing.
    pub file_syncs: bool,
    /// [`Storage::sync_dir`] does nothing.
    pub dir_syncs: bool,
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
struct Content {
    /// What a running process reads.
    live: Vec<u8>,
    /// What is certain to survive.
    durable: Vec<u8>,
    /// Blocks whose live bytes are still to be synced. A block can differ without being listed: a
    /// failed sync forgets its blocks, as operating systems do.
    dirty: BTreeSet<usize>,
}

/// Names, by full path.
#[derive(Clone, Debug, Default)]
struct Names {
    /// Files and the number of their content.
    files: BTreeMap<PathBuf, usize>,
    /// Folders.
    folders: BTreeSet<PathBuf>,
}

/// The whole disk.
#[derive(Debug, Default)]
struct Disk {
    /// File contents by number; never shrinks.
    contents: Vec<Content>,
    /// Names as a running process sees them.
    live: Names,
    /// Names certain to survive.
    durable: Names,
    /// Changing calls made so far.
    calls: u64,
    /// The call during which the power goes.
    cut_at: Option<u64>,
    /// No call succeeds any more.
    is_off: bool,
    /// Counts restarts, so that files opened before one stay dead.
    starts: u64,
    /// Syncs left out.
    ignored: Ignored,
    /// The next sync fails and forgets what it should have written.
    fail_next_sync: bool,
    /// Files with `direct` can be opened.
    has_direct: bool,
    /// Locks held, by path.
    locks: BTreeSet<PathBuf>,
}

/// A disk in memory; clones share it.
#[derive(Clone, Debug)]
pub struct CrashStorage {
    /// Shared by clones and open files.
    disk: Arc<Mutex<Disk>>,
}

impl CrashStorage {
    /// An empty disk; `has_direct` says whether direct files exist on it.
    pub fn new(has_direct: bool) -> CrashStorage {
        let storage = CrashStorage { disk: Arc::default() };
        storage.disk.lock().has_direct = has_direct;
        storage
    }

    /// A disk of its own with the same bytes, as if it had been cleanly stopped.
    pub fn copy(&self) -> CrashStorage {
        let disk = self.disk.lock();
        CrashStorage {
            disk: Arc::new(Mutex::new(Disk {
                contents: disk.contents.clone(),
                live: disk.live.clone(),
                durable: disk.durable.clone(),
                has_direct: disk.has_direct,
                ..Disk::default()
            })),
        }
    }

    /// Leaves syncs out from now on.
    pub fn ignore(&self, ignored: Ignored) {
        self.disk.lock().ignored = ignored;
    }

    /// Cuts the power during changing call number `number` from now, 1 being the next.
    pub fn cut_at_call(&self, number: u64) {
        let mut disk = self.disk.lock();
        disk.cut_at = Some(disk.calls + number);
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.disk.lock().is_off = true;
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.disk.lock().is_off
    }

    /// Changing calls made so far.
    pub fn calls(&self) -> u64 {
        self.disk.lock().calls
    }

    /// The next sync of a file fails, and its bytes are never written unless they are written anew.
    pub fn fail_next_sync(&self) {
        self.disk.lock().fail_next_sync = true;
    }

    /// Power on again: only what was durable is left, and by seed parts of what was not.
    pub fn restart_after_cut(&self, seed: u64) {
        let mut disk = self.disk.lock();
        let mut seeded = Seeded::new(seed);
        // Names that were not synced may have reached the disk all the same.
        if seeded.once_in(2) {
            disk.durable = disk.live.clone();
        }
        disk.live = disk.durable.clone();
        for content in &mut disk.contents {
            content.survive(&mut seeded);
        }
        disk.begin_again();
    }

    /// A new process on a disk that kept its power: live bytes stay.
    pub fn restart_process(&self) {
        self.disk.lock().begin_again();
    }

    /// All file paths.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.disk.lock().live.files.keys().cloned().collect()
    }

    /// A file's live bytes.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk.lock();
        let number = disk.live.files.get(path)?;
        Some(disk.contents[*number].live.clone())
    }

    /// Replaces a file's bytes, live and durable: damage at rest, or a cut tail.
    pub fn set_bytes(&self, path: &Path, bytes: &[u8]) {
        let mut disk = self.disk.lock();
        if let Some(number) = disk.live.files.get(path).copied() {
            disk.contents[number] =
                Content { live: bytes.to_vec(), durable: bytes.to_vec(), dirty: BTreeSet::new() };
        }
    }

    /// Flips bits of one byte, live and durable.
    pub fn flip(&self, path: &Path, offset: usize, mask: u8) {
        let mut disk = self.disk.lock();
        if let Some(number) = disk.live.files.get(path).copied() {
            let content = &mut disk.contents[number];
            for bytes in [&mut content.live, &mut content.durable] {
                if let Some(byte) = bytes.get_mut(offset) {
                    *byte ^= mask;
                }
            }
        }
    }
}

impl Content {
    fn write(&mut self, parts: &[&[u8]], offset: usize, is_durable: bool) -> usize {
        let mut at = offset;
        for part in parts {
            let end = at + part.len();
            if self.live.len() < end {
                self.live.resize(end, 0);
            }
            self.live[at..end].copy_from_slice(part);
            if is_durable {
                if self.durable.len() < end {
                    self.durable.resize(end, 0);
                }
                self.durable[at..end].copy_from_slice(part);
            } else if end > at {
                self.dirty.extend(at / BLOCK_BYTES..=(end - 1) / BLOCK_BYTES);
            }
            at = end;
        }
        at - offset
    }

    fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for block in std::mem::take(&mut self.dirty) {
            let start = block * BLOCK_BYTES;
            let end = (start + BLOCK_BYTES).min(self.live.len());
            self.durable[start..end].copy_from_slice(&self.live[start..end]);
        }
    }

    fn survive(&mut self, seeded: &mut Seeded) {
        if self.live.len() > self.durable.len() && seeded.once_in(2) {
            self.durable.resize(self.live.len(), 0);
        }
        for block in std::mem::take(&mut self.dirty) {
            let start = block * BLOCK_BYTES;
            let end = (start + BLOCK_BYTES).min(self.live.len()).min(self.durable.len());
            if start >= end {
                continue;
            }
            let middle = start + seeded.below((end - start) as u64) as usize;
            let kept = match seeded.below(4) {
                0 => start..start,
                1 => start..end,
                2 => start..middle,
                _ => middle..end,
            };
            self.durable[kept.clone()].copy_from_slice(&self.live[kept]);
        }
        self.live.clone_from(&self.durable);
    }
}

impl Disk {
    /// Counts a changing call. `Ok(true)` when the power goes during it.
    fn change(&mut self) -> io::Result<bool> {
        self.check_power()?;
        self.calls += 1;
        if self.cut_at == Some(self.calls) {
            self.is_off = true;
        }
        Ok(self.is_off)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(power_is_off()) } else { Ok(()) }
    }

    fn begin_again(&mut self) {
        self.is_off = false;
        self.cut_at = None;
        self.fail_next_sync = false;
        self.locks.clear();
        self.starts += 1;
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl Storage for CrashStorage {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let goes_off = disk.change()?;
        disk.live.folders.extend(path.ancestors().map(Path::to_path_buf));
        // What lies above the journal's own folders is not this disk's business.
        if disk.durable.folders.is_empty() {
            let above: Vec<_> = path.ancestors().skip(1).map(Path::to_path_buf).collect();
            disk.durable.folders.extend(above);
        }
        if goes_off { Err(power_is_off()) } else { Ok(()) }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk.lock();
        disk.check_power()?;
        if !disk.live.folders.contains(path) {
            return Err(not_found(path));
        }
        let files = disk.live.files.keys();
        Ok(files
            .chain(&disk.live.folders)
            .filter(|entry| entry.parent() == Some(path))
            .filter_map(|entry| Some(entry.file_name()?.to_string_lossy().into_owned()))
            .collect())
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let mut disk = self.disk.lock();
        disk.check_power()?;
        if access.direct && !disk.has_direct {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if access.create {
            if disk.live.files.contains_key(path) {
                return Err(io::Error::from(io::ErrorKind::AlreadyExists));
            }
            if !path.parent().is_some_and(|folder| disk.live.folders.contains(folder)) {
                return Err(not_found(path));
            }
            let goes_off = disk.change()?;
            let number = disk.contents.len();
            disk.contents.push(Content::default());
            disk.live.files.insert(path.to_path_buf(), number);
            if goes_off {
                return Err(power_is_off());
            }
        }
        let number = *disk.live.files.get(path).ok_or_else(|| not_found(path))?;
        Ok(Box::new(CrashFile {
            disk: Arc::clone(&self.disk),
            number,
            opened_in: disk.starts,
            access,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let goes_off = disk.change()?;
        let number = disk.live.files.remove(from).ok_or_else(|| not_found(from))?;
        disk.live.files.insert(to.to_path_buf(), number);
        if goes_off { Err(power_is_off()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let goes_off = disk.change()?;
        disk.live.files.remove(path).ok_or_else(|| not_found(path))?;
        if goes_off { Err(power_is_off()) } else { Ok(()) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        if disk.change()? {
            return Err(power_is_off());
        }
        if disk.ignored.dir_syncs {
            return Ok(());
        }
        let Disk { live, durable, .. } = &mut *disk;
        let inside = |entry: &Path| entry.parent() == Some(path);
        durable.files.retain(|entry, _| !inside(entry));
        durable.folders.retain(|entry| !inside(entry));
        let files = live.files.iter().filter(|(entry, _)| inside(entry));
        durable.files.extend(files.map(|(entry, number)| (entry.clone(), *number)));
        let folders = live.folders.iter().filter(|entry| inside(entry));
        durable.folders.extend(folders.cloned());
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        let mut disk = self.disk.lock();
        disk.check_power()?;
        if !disk.locks.insert(path.to_path_buf()) {
            return Ok(None);
        }
        Ok(Some(Box::new(CrashLock {
            disk: Arc::clone(&self.disk),
            path: path.to_path_buf(),
            taken_in: disk.starts,
        }) as Box<dyn Any + Send + Sync>))
    }
}

/// A lock held on the disk.
struct CrashLock {
    /// Where it is held.
    disk: Arc<Mutex<Disk>>,
    /// Its file.
    path: PathBuf,
    /// Restarts when it was taken: a restart frees it.
    taken_in: u64,
}

impl Drop for CrashLock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.starts == self.taken_in {
            disk.locks.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
