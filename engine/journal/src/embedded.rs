//! The journal of one machine: own segment files, no server.
//!
//! Does: everything the trait promises, on files below one folder that one process holds:
//!
//! ```text
//! <folder>/lock                                   held while a journal is open
//! <folder>/identity                               the journal's name
//! <folder>/<stream>/<start position>.segment      groups, see `frame` and `segment`
//! ```
//!
//! Does not replicate, does not trim, and knows nothing about what records mean.
//!
//! One thread per stream writes ([`writer`]); segments are made ahead of need by a short-lived thread;
//! readers read on their own threads. The first failed call of a writer ends all writing until the next
//! start, in every stream: they share a disk. A segment that cannot be made because descriptors or room are
//! short is made again until it can be ([`stream`]): a full disk is noticed half a segment before the last
//! byte is used, groups wait once they need the segment, and all goes on by itself.

pub mod config;
pub mod frame;
mod identity;
mod lane;
mod reader;
mod recovery;
mod segment;
mod stream;
mod tail;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use config::{Clock, EmbeddedConfig, WriteMode, system_clock};
pub use stream::StreamFigures;

use crate::storage::real::RealStorage;
use crate::storage::{
    Access, LockGuard, Storage, io_error, read_fully_at, remove_if_there, write_all_at,
};
use crate::system::{AlignedBuffer, survive_file_size_limit};
use crate::{
    Appended, Health, Journal, JournalError, JournalId, Lane, OnSettled, Position, Reader, Stream,
    Visibility,
};
use frame::{Draft, FRAME_BLOCK_BYTES};
use reader::EmbeddedReader;
use recovery::Recovery;
use stream::{Shared, StreamCore};

/// Largest block of a disk that is written directly; segments are laid out in multiples of it.
const DIRECT_BLOCK_BYTES_MAX: u32 = 4_096;

/// File whose lock says that a journal is open.
const LOCK_FILE: &str = "lock";

/// File of the trial write.
const PROBE_FILE: &str = "probe.preparing";

/// What a journal stands on. Tests replace it; the product uses the default.
#[derive(Clone)]
pub struct Ground {
    /// Where files are.
    pub storage: Arc<dyn Storage>,
    /// The clock.
    pub clock: Clock,
}

impl Default for Ground {
    fn default() -> Ground {
        Ground { storage: Arc::new(RealStorage), clock: system_clock() }
    }
}

/// What a full verification read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Groups, sealing ones included.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
}

/// The journal of one machine.
pub struct EmbeddedJournal {
    /// What the streams share.
    shared: Arc<Shared>,
    /// By the number of the stream.
    streams: [Arc<StreamCore>; Stream::ALL.len()],
    /// Keeps other processes out until closed.
    lock: Mutex<Option<LockGuard>>,
}

impl EmbeddedJournal {
    /// Opens the journal in a folder, or makes it, and recovers what the last process left.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while another process holds it, [`JournalError::Damaged`] when durable
    /// bytes changed, [`JournalError::Setting`] for unusable settings, [`JournalError::Io`] otherwise.
    pub fn open(folder: &Path, config: EmbeddedConfig) -> Result<EmbeddedJournal, JournalError> {
        EmbeddedJournal::open_on(folder, config, Ground::default())
    }

    /// The same on another ground.
    ///
    /// # Errors
    /// As [`EmbeddedJournal::open`].
    pub fn open_on(
        folder: &Path,
        config: EmbeddedConfig,
        ground: Ground,
    ) -> Result<EmbeddedJournal, JournalError> {
        config.validate()?;
        survive_file_size_limit();
        let storage = &*ground.storage;
        storage
            .create_dir(folder)
            .map_err(|cause| io_error("creation of the folder", folder, &cause))?;
        let lock = take_lock(storage, folder)?;
        let id = identity::read_or_make(storage, folder)?;
        identity::refuse_lost_streams(storage, folder)?;
        let block_bytes = choose_mode(storage, folder, config.write_mode)?;
        make_folders(storage, folder)?;
        let shared = Arc::new(Shared::new(
            config,
            Arc::clone(&ground.storage),
            ground.clock,
            id,
            block_bytes,
        ));
        let mut streams = Vec::with_capacity(Stream::ALL.len());
        for stream in Stream::ALL {
            streams.push(open_stream(&shared, folder, stream)?);
        }
        let streams = streams.try_into().map_err(|_| shared.refusal())?;
        Ok(EmbeddedJournal { shared, streams, lock: Mutex::new(Some(lock)) })
    }

    /// Whether groups are written past the page cache.
    pub fn is_direct(&self) -> bool {
        self.shared.is_direct
    }

    /// What groups are padded to.
    pub fn block_bytes(&self) -> usize {
        self.shared.block_bytes
    }

    /// What the making of segments is short of, if anything, whether or not groups wait for one already.
    pub fn shortage(&self) -> Option<String> {
        self.shared.shortage(StreamCore::short_of)
    }

    /// From now on a group that waits for room on the disk fails instead. For the end of a process, whose
    /// parts would wait with it.
    pub fn wait_no_longer(&self) {
        self.shared.wait_no_longer();
    }

    /// Figures of a stream since the start.
    pub fn figures(&self, stream: Stream) -> StreamFigures {
        self.core(stream).counters.figures()
    }

    /// Reads everything durable of a stream from the files and checks every byte of it, unused ones
    /// included.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] names the first place that is not as it was written.
    pub fn verify(&self, stream: Stream) -> Result<Verified, JournalError> {
        let core = self.core(stream);
        let mut verified = Verified::default();
        core.check_segment_headers()?;
        let Some(start) = core.first_position() else {
            return Ok(verified);
        };
        let mut reader = EmbeddedReader::over_files(Arc::clone(core), Position(start));
        while let Some(group) = reader.poll(Duration::ZERO)? {
            verified.groups += 1;
            verified.records += group.records.len() as u64;
        }
        Ok(verified)
    }

    fn core(&self, stream: Stream) -> &Arc<StreamCore> {
        &self.streams[stream as usize]
    }
}

fn take_lock(storage: &dyn Storage, folder: &Path) -> Result<LockGuard, JournalError> {
    let path = folder.join(LOCK_FILE);
    storage
        .lock(&path)
        .map_err(|cause| io_error("lock", &path, &cause))?
        .ok_or_else(|| JournalError::Locked(folder.display().to_string()))
}

fn make_folders(storage: &dyn Storage, folder: &Path) -> Result<(), JournalError> {
    for stream in Stream::ALL {
        let path = folder.join(stream.name());
        storage
            .create_dir(&path)
            .map_err(|cause| io_error("creation of the folder", &path, &cause))?;
    }
    // The folder's own name must survive too.
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    for path in [Some(folder), above].into_iter().flatten() {
        storage.sync_dir(path).map_err(|cause| io_error("sync of the folder", path, &cause))?;
    }
    Ok(())
}

fn open_stream(
    shared: &Arc<Shared>,
    root: &Path,
    stream: Stream,
) -> Result<Arc<StreamCore>, JournalError> {
    let folder: PathBuf = root.join(stream.name());
    let recovery = Recovery {
        config: &shared.config,
        storage: &*shared.storage,
        root,
        folder: &folder,
        journal: shared.id,
        stream,
        is_direct: shared.is_direct,
        block_bytes: shared.block_bytes,
    };
    let recovered = recovery.run()?;
    let is_sealed = recovered.end.is_sealed;
    let tail = tail::Tail::new(
        shared.id,
        stream,
        shared.block_bytes,
        shared.config.clone(),
        recovered.end,
    );
    let core = StreamCore::new(Arc::clone(shared), stream, folder, tail, recovered.segments);
    if !is_sealed {
        // The last segment is full to its end: the writer proves it in the next one.
        core.ensure_writer()?;
    }
    Ok(core)
}

/// The block size for direct writes, or `None` for buffered ones.
fn choose_mode(
    storage: &dyn Storage,
    folder: &Path,
    mode: WriteMode,
) -> Result<Option<usize>, JournalError> {
    if mode == WriteMode::Buffered {
        return Ok(None);
    }
    let path = folder.join(PROBE_FILE);
    remove_if_there(storage, &path)?;
    let tried = try_direct(storage, &path);
    remove_if_there(storage, &path)?;
    match tried {
        Ok(block_bytes) => Ok(Some(block_bytes)),
        Err(cause) if mode == WriteMode::Auto => {
            tracing::info!(%cause, "no direct writes on this file system; groups are written and synced");
            Ok(None)
        }
        Err(cause) => Err(JournalError::Setting {
            key: "write_mode",
            why: format!(
                "`direct` does not work in {}: {cause}; choose `auto` or `buffered`",
                folder.display()
            ),
        }),
    }
}

/// Writes a block directly and durably and reads it back.
fn try_direct(storage: &dyn Storage, path: &Path) -> std::io::Result<usize> {
    let unusable = |what: &str| std::io::Error::other(what.to_owned());
    let made = storage.open(path, Access::create(true))?;
    if made.block_bytes() > DIRECT_BLOCK_BYTES_MAX {
        return Err(unusable("its blocks for direct writes are larger than 4096 bytes"));
    }
    let block_bytes = (made.block_bytes() as usize).max(FRAME_BLOCK_BYTES);
    if !(DIRECT_BLOCK_BYTES_MAX as usize).is_multiple_of(block_bytes) {
        return Err(unusable("its blocks for direct writes have an odd size"));
    }
    let mut block = AlignedBuffer::zeroed(DIRECT_BLOCK_BYTES_MAX as usize);
    block.fill(b'x');
    drop(made);
    let file = storage.open(path, Access::write_durably())?;
    write_all_at(&*file, &[&block[..block_bytes]], 0)?;
    let mut read = AlignedBuffer::zeroed(block_bytes);
    let length = read_fully_at(&*file, &mut read, 0)?;
    if length == block_bytes && read[..] == block[..block_bytes] {
        Ok(block_bytes)
    } else {
        Err(unusable("a block written directly did not read back"))
    }
}

/// The packed body of records: pieces, bytes and count.
fn draft_of(records: &[&[u8]], limit: u32, block_bytes: usize) -> Result<Draft, JournalError> {
    let bytes: u64 = records.iter().map(|record| 4 + record.len() as u64).sum();
    if bytes > u64::from(limit) + 4 || records.iter().any(|record| record.len() > limit as usize) {
        let limit = u64::from(limit);
        return Err(JournalError::TooLarge { bytes, limit });
    }
    let lengths: Vec<[u8; 4]> =
        records.iter().map(|record| (record.len() as u32).to_le_bytes()).collect();
    let pieces = lengths.iter().zip(records).flat_map(|(length, record)| [&length[..], record]);
    Ok(Draft::new(pieces, bytes as usize, records.len() as u32, block_bytes))
}

impl Journal for EmbeddedJournal {
    fn id(&self) -> JournalId {
        self.shared.id
    }

    fn lane(&self, stream: Stream, on_settled: OnSettled) -> Result<Box<dyn Lane>, JournalError> {
        let core = self.core(stream);
        let shared = core.add_lane(lane::LaneShared::new(on_settled))?;
        Ok(Box::new(lane::EmbeddedLane { shared, core: Arc::clone(core) }))
    }

    fn append(&self, stream: Stream, records: &[&[u8]]) -> Result<Appended, JournalError> {
        let limit = self.shared.config.group_bytes_max;
        let draft = draft_of(records, limit - 4, self.shared.block_bytes)?;
        self.core(stream).append(draft)
    }

    fn append_behind(&self, stream: Stream, record: &[u8]) -> Result<Position, JournalError> {
        let limit = self.shared.config.behind_record_bytes_max;
        let draft = draft_of(&[record], limit, self.shared.block_bytes)?;
        self.core(stream).append_behind(draft)
    }

    fn sync(&self, stream: Stream) -> Result<(), JournalError> {
        self.core(stream).sync()
    }

    fn reader(
        &self,
        stream: Stream,
        from: Position,
        visibility: Visibility,
    ) -> Result<Box<dyn Reader>, JournalError> {
        let core = Arc::clone(self.core(stream));
        Ok(Box::new(EmbeddedReader::open(core, from, visibility)?))
    }

    fn durable_end(&self, stream: Stream) -> Result<Position, JournalError> {
        Ok(Position(self.core(stream).tail.lock().durable_end()))
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn stored_bytes(&self, stream: Stream) -> u64 {
        self.core(stream).stored_bytes()
    }

    fn close(&self) {
        self.shared.wait_no_longer();
        for core in &self.streams {
            core.begin_close();
        }
        for core in &self.streams {
            core.finish_close();
        }
        self.shared.closed();
        *self.lock.lock() = None;
    }
}

impl Drop for EmbeddedJournal {
    fn drop(&mut self) {
        self.close();
    }
}
