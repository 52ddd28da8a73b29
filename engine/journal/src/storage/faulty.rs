//! A storage that fails on demand.
//!
//! Does: wraps another storage, counts its calls and makes chosen ones fail or take less than asked.
//! Does not lose bytes by itself: for power cuts wrap [`super::crash`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Access, LockGuard, Storage, StorageFile};

/// What the chosen call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`: the medium failed.
    Medium,
    /// `ENOSPC`: no space is left.
    NoSpace,
    /// `EMFILE`: no file descriptor is left.
    NoDescriptors,
    /// A write takes one block only (any other call fails with `EIO`).
    ShortWrite,
}

/// Which calls count and can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Storage::create_dir`].
    CreateDir,
    /// [`Storage::list`].
    List,
    /// [`Storage::open`].
    Open,
    /// [`Storage::rename`].
    Rename,
    /// [`Storage::remove`].
    Remove,
    /// [`Storage::sync_dir`].
    SyncDir,
    /// [`StorageFile::write_at`].
    Write,
    /// [`StorageFile::read_at`].
    Read,
    /// [`StorageFile::reserve`].
    Reserve,
    /// [`StorageFile::sync_data`].
    SyncData,
}

/// Decides about each call; shared by a storage and its files.
#[derive(Debug, Default)]
struct Plan {
    /// Calls made so far.
    made: u64,
    /// Number of the call to fail, the first being 1, and how.
    fail: Option<(u64, Fault)>,
    /// Whether calls after that one fail as well, as on a disk that is gone.
    from_then_on: bool,
    /// The call that failed first, and whether it was on a file being made.
    failed: Option<(Call, bool)>,
    /// What such a call on a file being made does, whatever its number.
    making: Option<(Call, Fault)>,
    /// Whether reads count and can fail.
    reads_too: bool,
}

/// Another storage, with faults.
#[derive(Clone, Debug)]
pub struct FaultyStorage {
    /// The storage that does the work.
    inner: Arc<dyn Storage>,
    /// What fails.
    plan: Arc<Mutex<Plan>>,
}

impl FaultyStorage {
    /// Wraps a storage; nothing fails yet. Reads neither count nor fail, unless asked for.
    pub fn new(inner: Arc<dyn Storage>) -> FaultyStorage {
        FaultyStorage { inner, plan: Arc::default() }
    }

    /// Makes call number `number` from now fail, 1 being the next.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        let mut plan = self.plan.lock();
        plan.fail = Some((plan.made + number, fault));
        plan.failed = None;
    }

    /// Makes that call and every later one fail.
    pub fn fail_from_call(&self, number: u64, fault: Fault) {
        self.fail_call(number, fault);
        self.plan.lock().from_then_on = true;
    }

    /// Makes every such call on a file that is still being made fail.
    pub fn fail_making(&self, call: Call, fault: Fault) {
        self.plan.lock().making = Some((call, fault));
    }

    /// Counts reads as well and lets them fail.
    pub fn count_reads(&self) {
        self.plan.lock().reads_too = true;
    }

    /// The disk works again.
    pub fn heal(&self) {
        let mut plan = self.plan.lock();
        plan.fail = None;
        plan.from_then_on = false;
        plan.making = None;
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        self.plan.lock().made
    }

    /// The call that failed, if one did since the last [`FaultyStorage::fail_call`].
    pub fn failed(&self) -> Option<Call> {
        self.plan.lock().failed.map(|(call, _)| call)
    }

    /// What fails by number, if anything is to.
    pub fn fault(&self) -> Option<Fault> {
        self.plan.lock().fail.map(|(_, fault)| fault)
    }

    /// Whether that call was on a file being made, which holds nothing yet.
    pub fn failed_while_making(&self) -> bool {
        self.plan.lock().failed.is_some_and(|(_, while_making)| while_making)
    }
}

/// Whether a file is still being made, by its name.
fn is_being_made(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "preparing")
}

/// What a call is to do.
fn decide(plan: &Mutex<Plan>, call: Call, while_making: bool) -> Option<Fault> {
    let mut plan = plan.lock();
    if let Some((chosen, fault)) = plan.making
        && while_making
        && chosen == call
    {
        return Some(fault);
    }
    if call == Call::Read && !plan.reads_too {
        return None;
    }
    plan.made += 1;
    let (number, fault) = plan.fail?;
    let hit = plan.made == number || (plan.from_then_on && plan.made > number);
    if !hit {
        return None;
    }
    plan.failed.get_or_insert((call, while_making));
    Some(fault)
}

fn error_of(fault: Fault) -> io::Error {
    io::Error::from_raw_os_error(match fault {
        Fault::Medium | Fault::ShortWrite => libc::EIO,
        Fault::NoSpace => libc::ENOSPC,
        Fault::NoDescriptors => libc::EMFILE,
    })
}

fn check(plan: &Mutex<Plan>, call: Call, while_making: bool) -> io::Result<()> {
    match decide(plan, call, while_making) {
        Some(fault) => Err(error_of(fault)),
        None => Ok(()),
    }
}

impl Storage for FaultyStorage {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        check(&self.plan, Call::CreateDir, false)?;
        self.inner.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        check(&self.plan, Call::List, false)?;
        self.inner.list(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn StorageFile>> {
        // A reader's open is part of reading.
        let call = if access.write { Call::Open } else { Call::Read };
        check(&self.plan, call, is_being_made(path))?;
        Ok(Box::new(FaultyFile {
            inner: self.inner.open(path, access)?,
            plan: Arc::clone(&self.plan),
            is_being_made: is_being_made(path),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        check(&self.plan, Call::Rename, is_being_made(from))?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        check(&self.plan, Call::Remove, is_being_made(path))?;
        self.inner.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        check(&self.plan, Call::SyncDir, false)?;
        self.inner.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<LockGuard>> {
        self.inner.lock(path)
    }
}

/// An open file, with faults.
struct FaultyFile {
    /// The file that does the work.
    inner: Box<dyn StorageFile>,
    /// What fails.
    plan: Arc<Mutex<Plan>>,
    /// It had not got its name yet when it was opened.
    is_being_made: bool,
}

impl StorageFile for FaultyFile {
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
        match decide(&self.plan, Call::Write, self.is_being_made) {
            None => self.inner.write_at(parts, offset),
            Some(Fault::ShortWrite) => {
                let first = parts.iter().find(|part| !part.is_empty());
                let taken = first.map_or(&[][..], |part| &part[..part.len().min(512)]);
                self.inner.write_at(&[taken], offset)
            }
            Some(fault) => Err(error_of(fault)),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        check(&self.plan, Call::Read, self.is_being_made)?;
        self.inner.read_at(buffer, offset)
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        check(&self.plan, Call::Reserve, self.is_being_made)?;
        self.inner.reserve(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        check(&self.plan, Call::SyncData, self.is_being_made)?;
        self.inner.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn block_bytes(&self) -> u32 {
        self.inner.block_bytes()
    }
}
