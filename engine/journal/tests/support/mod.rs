//! What the fault tests share: a small journal on a disk in memory.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use journal::embedded::{EmbeddedConfig, EmbeddedJournal, Ground, WriteMode};
use journal::storage::Storage;
use journal::storage::crash::CrashStorage;
use journal::{Group, Journal, JournalError, Position, Stream, Visibility};

/// Where the journal lies on the disk.
pub(crate) const FOLDER: &str = "/disk/journal";

/// Both ways of writing.
pub(crate) const MODES: [WriteMode; 2] = [WriteMode::Direct, WriteMode::Buffered];

/// Segments of 64 KiB, groups of at most 2 KiB.
pub(crate) fn config(write_mode: WriteMode) -> EmbeddedConfig {
    EmbeddedConfig {
        write_mode,
        segment_bytes_first: 64 << 10,
        segment_bytes: 64 << 10,
        group_bytes_max: 2_048,
        gather_bytes_max: 2_048,
        record_bytes_max: 1_024,
        lane_bytes_max: 16 << 10,
        behind_record_bytes_max: 8 << 10,
        behind_bytes_max: 256 << 10,
        behind_sync_interval_ms: 5,
        write_bytes_max: 16 << 10,
        group_interval_us_max: 0,
        seal_after_idle_ms: 600_000,
        tail_bytes_max: 8 << 10,
        read_bytes: 32 << 10,
        ..EmbeddedConfig::default()
    }
}

/// A disk that takes what the mode needs.
pub(crate) fn disk(mode: WriteMode) -> CrashStorage {
    CrashStorage::new(mode == WriteMode::Direct)
}

pub(crate) fn open(
    storage: impl Storage + 'static,
    config: EmbeddedConfig,
) -> Result<EmbeddedJournal, JournalError> {
    let ground = Ground { storage: Arc::new(storage), ..Ground::default() };
    EmbeddedJournal::open_on(Path::new(FOLDER), config, ground)
}

/// The file of the segment that starts at a position.
pub(crate) fn segment_path(stream: Stream, start: u64) -> PathBuf {
    PathBuf::from(FOLDER).join(format!("{}/{start:020}.segment", stream.name()))
}

pub(crate) fn groups(journal: &dyn Journal, stream: Stream) -> Result<Vec<Group>, JournalError> {
    let mut reader = journal.reader(stream, Position::START, Visibility::Durable)?;
    let mut groups = Vec::new();
    while let Some(group) = reader.poll(Duration::ZERO)? {
        groups.push(group);
    }
    Ok(groups)
}

pub(crate) fn records(journal: &dyn Journal, stream: Stream) -> Result<Vec<Vec<u8>>, JournalError> {
    let groups = groups(journal, stream)?;
    let records = groups.iter().flat_map(|group| group.records.iter());
    Ok(records.map(<[u8]>::to_vec).collect())
}

/// Whether the long counts were asked for.
pub(crate) fn is_full_run() -> bool {
    std::env::var("SLOTLINE_FAULTS").is_ok_and(|value| value == "full")
}

/// A seeded sequence (SplitMix64).
#[derive(Clone)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
