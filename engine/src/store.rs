//! The checkpoint: RocksDB, one column family, no write-ahead log, off the writer's path.
//!
//! The journal is the truth; this is a way not to read all of it again. Records of the state are kept
//! in blocks of [`BLOCK_RECORDS`] neighbours: a *base* value and, behind it, one *delta* value per
//! checkpoint that changed the block. Keys order so that one scan gives each block's base and then
//! its deltas as they happened. A checkpoint is one WriteBatch (deltas and its description) followed
//! by a flush; without a log RocksDB keeps a prefix of what was written, so a batch is there whole or
//! not at all. Two checkpoints are kept: only deltas at or below the older one are folded into bases.
//!
//! Deliberately one value per block and checkpoint, never a put per booking: a put costs about 2 µs.

mod checkpointer;
mod fold;
mod keys;
mod load;
mod meta;
mod scatter;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use rocks::OpenError;
use rocksdb::{
    BlockBasedOptions, ChecksumType, DB, DBCompactionStyle, DBCompressionType, FlushOptions,
    LogLevel, Options, UniversalCompactOptions, WriteBatch, WriteOptions,
};

use crate::EngineError;

#[cfg(test)]
pub(crate) use checkpointer::Step;
pub(crate) use checkpointer::{Checkpointer, Cut, PIECE_BYTES, Steps};
pub(crate) use load::Loaded;
pub(crate) use meta::{CheckpointMeta, group_hash};

use scatter::Scatter;

/// Neighbouring records that share a block, as a power of two.
const BLOCK_RECORDS_BITS: u32 = 14;
/// Neighbouring records that share a block.
const BLOCK_RECORDS: usize = 1 << BLOCK_RECORDS_BITS;
/// Checkpoints kept.
const CHECKPOINTS_KEPT: usize = 2;
/// Memory before RocksDB writes a file of its own accord.
const WRITE_BUFFER_BYTES: usize = 64 << 20;
/// Room in a batch for keys and the description.
const BATCH_SLACK_BYTES: usize = 64 << 10;
/// Memory for reading ahead while merging files.
const COMPACTION_READAHEAD_BYTES: usize = 2 << 20;
/// Files are synced in portions of this size, so that the journal's syncs do not queue behind them.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// Flushed files before they are merged.
const LEVEL_ZERO_FILES: i32 = 12;
/// Space for outdated values before everything is merged, in per cent of the newest ones.
const SPACE_AMPLIFICATION_PERCENT: i32 = 100;
/// Open files kept by RocksDB.
const OPEN_FILES_MAX: i32 = 512;
/// Folder below the data directory.
const FOLDER: &str = "checkpoint";

/// Names a block: section number and place.
type BlockName = (u8, u32);

/// What a block occupies.
#[derive(Debug, Default)]
struct BlockUse {
    /// Its base value.
    base_bytes: u64,
    /// Its deltas: checkpoint sequence and bytes, oldest first.
    deltas: VecDeque<(u64, u64)>,
}

/// The open checkpoint store.
pub(crate) struct Store {
    /// RocksDB.
    db: DB,
    /// Its folder.
    path: PathBuf,
    /// What each block occupies, for choosing what to fold.
    blocks: BTreeMap<BlockName, BlockUse>,
    /// Descriptions of the checkpoints kept, oldest first.
    kept: Vec<CheckpointMeta>,
    /// Bytes of all base values.
    base_bytes: u64,
    /// Bytes of all deltas.
    delta_bytes: u64,
}

impl Store {
    /// Opens or creates the store; a damaged one is moved aside and a new one created.
    ///
    /// # Errors
    /// When another process uses it, a newer version wrote it, or the disk fails.
    pub(crate) fn open(data_dir: &Path) -> Result<Store, EngineError> {
        let path = data_dir.join(FOLDER);
        std::fs::create_dir_all(data_dir)
            .map_err(|cause| failed("create folder", data_dir, cause))?;
        match Store::try_open(&path) {
            Ok(store) => Ok(store),
            Err(Opening::Final(error)) => Err(error),
            Err(Opening::Damaged(why)) => {
                tracing::warn!(%why, path = %path.display(), "the checkpoint is damaged; moved aside, rebuilding from the journal");
                Store::create_anew(&path)
            }
        }
    }

    fn try_open(path: &Path) -> Result<Store, Opening> {
        let db = rocks::open(path, |path| DB::open(&options(), path))
            .map_err(|error| opening(path, error))?;
        let kept = read_metas(&db, path)?;
        Ok(Store {
            db,
            path: path.to_owned(),
            blocks: BTreeMap::new(),
            kept,
            base_bytes: 0,
            delta_bytes: 0,
        })
    }

    /// Opens an existing store for reading beside whoever uses it; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn open_to_read(data_dir: &Path) -> Result<Option<Store>, EngineError> {
        let path = data_dir.join(FOLDER);
        if !path.join("CURRENT").exists() {
            return Ok(None);
        }
        let db = rocks::open(&path, |path| DB::open_for_read_only(&options(), path, false))
            .map_err(|error| failed("open for reading", &path, error))?;
        let kept = read_metas(&db, &path).map_err(|opening| match opening {
            Opening::Final(error) => error,
            Opening::Damaged(why) => failed("read", &path, why),
        })?;
        Ok(Some(Store { db, path, blocks: BTreeMap::new(), kept, base_bytes: 0, delta_bytes: 0 }))
    }

    /// Moves this store aside as damaged and creates an empty one in its place.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn set_aside(self) -> Result<Store, EngineError> {
        let path = self.path.clone();
        drop(self);
        Store::create_anew(&path)
    }

    fn create_anew(path: &Path) -> Result<Store, EngineError> {
        rocks::set_aside(path).map_err(|cause| failed("move aside", path, cause))?;
        Store::try_open(path).map_err(|opening| match opening {
            Opening::Final(error) => error,
            Opening::Damaged(why) => failed("create", path, why),
        })
    }

    /// The checkpoints kept, newest first.
    pub(crate) fn checkpoints(&self) -> Vec<CheckpointMeta> {
        self.kept.iter().rev().cloned().collect()
    }

    /// Writes one checkpoint: every changed record and the description, at once and durably.
    ///
    /// # Errors
    /// When RocksDB fails; nothing of the checkpoint counts then.
    fn commit(
        &mut self,
        changes: &Scatter,
        meta: &CheckpointMeta,
        written: impl FnOnce(),
    ) -> Result<(), EngineError> {
        let mut batch = WriteBatch::with_capacity_bytes(changes.bytes() + BATCH_SLACK_BYTES);
        for (name, bytes) in changes.blocks() {
            batch.put(keys::record(name, meta.sequence), bytes);
        }
        batch.put(keys::meta(meta.sequence), meta.encode());
        let dropped = (self.kept.len() + 1).saturating_sub(CHECKPOINTS_KEPT);
        for old in self.kept.iter().take(dropped) {
            batch.delete(keys::meta(old.sequence));
        }
        self.write(batch)?;
        written();
        self.flush()?;
        self.kept.drain(..dropped);
        self.kept.push(meta.clone());
        for (name, bytes) in changes.blocks() {
            let bytes = bytes.len() as u64;
            self.delta_bytes += bytes;
            let block = self.blocks.entry(name).or_default();
            block.deltas.push_back((meta.sequence, bytes));
        }
        Ok(())
    }

    /// Sequence of the older checkpoint: deltas at or below it may be folded.
    fn foldable_through(&self) -> u64 {
        match self.kept.len() {
            CHECKPOINTS_KEPT => self.kept.first().map_or(0, |meta| meta.sequence),
            _ => 0,
        }
    }

    fn write(&self, batch: WriteBatch) -> Result<(), EngineError> {
        let mut without_log = WriteOptions::default();
        without_log.disable_wal(true);
        self.db.write_opt(batch, &without_log).map_err(|cause| failed("write", &self.path, cause))
    }

    fn flush(&self) -> Result<(), EngineError> {
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        self.db.flush_opt(&wait).map_err(|cause| failed("flush", &self.path, cause))
    }
}

/// Why a store did not open.
enum Opening {
    /// Rebuilding cures it.
    Damaged(String),
    /// It does not.
    Final(EngineError),
}

fn opening(path: &Path, error: OpenError) -> Opening {
    match error {
        OpenError::Locked(cause) => {
            Opening::Final(EngineError::StoreLocked { path: path.display().to_string(), cause })
        }
        OpenError::Failed(cause) => Opening::Final(failed("open", path, cause)),
        OpenError::Damaged(what) => Opening::Damaged(what),
    }
}

/// Reads the descriptions, oldest first.
fn read_metas(db: &DB, path: &Path) -> Result<Vec<CheckpointMeta>, Opening> {
    let mut kept = Vec::new();
    let mut entries = db.raw_iterator();
    entries.seek([keys::META]);
    while let Some((key, value)) = entries.item() {
        let Some(sequence) = keys::meta_sequence(key) else {
            break;
        };
        let meta = CheckpointMeta::decode(value).map_err(|error| match error {
            meta::BadMeta::Newer { found, known } => Opening::Final(EngineError::NewerFormat {
                what: format!("the checkpoint in {}", path.display()),
                found: u32::from(found),
                known: u32::from(known),
            }),
            meta::BadMeta::Damaged(why) => {
                Opening::Damaged(format!("description of the checkpoint at {sequence}: {why}"))
            }
        })?;
        kept.push(meta);
        entries.next();
    }
    entries.status().map_err(|cause| Opening::Damaged(cause.to_string()))?;
    Ok(kept)
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    // The bulk of the records are keyed hashes, which do not shrink.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    // Runs of like size are merged, so that many small checkpoints never copy the bulk each time.
    options.set_compaction_style(DBCompactionStyle::Universal);
    let mut universal = UniversalCompactOptions::default();
    universal.set_max_size_amplification_percent(SPACE_AMPLIFICATION_PERCENT);
    options.set_universal_compaction_options(&universal);
    options.set_level_zero_file_num_compaction_trigger(LEVEL_ZERO_FILES);
    options.set_level_zero_slowdown_writes_trigger(LEVEL_ZERO_FILES * 4);
    options.set_level_zero_stop_writes_trigger(LEVEL_ZERO_FILES * 8);
    options.set_compaction_readahead_size(COMPACTION_READAHEAD_BYTES);
    let mut table = BlockBasedOptions::default();
    // Fast on every processor; CRC32c is only where the build targets one that has it.
    table.set_checksum_type(ChecksumType::XXH3);
    // Values are read once, at a start or a fold.
    table.disable_cache();
    options.set_block_based_table_factory(&table);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_keep_log_file_num(2);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options
}

fn failed(call: &'static str, path: &Path, cause: impl std::fmt::Display) -> EngineError {
    EngineError::Store { call, path: path.display().to_string(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests;
