//! A sealed journal with bytes changed anywhere: opening and reading it gives the records written, or
//! a prefix of them where its end was cut, or names the damage. It never panics and never invents.
#![no_main]
#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use journal::embedded::{EmbeddedConfig, EmbeddedJournal, Ground};
use journal::storage::crash::CrashStorage;
use journal::{Journal, Position, Stream, Visibility};
use libfuzzer_sys::fuzz_target;

/// Small segments, so that an input reaches their ends.
fn config() -> EmbeddedConfig {
    EmbeddedConfig {
        segment_bytes_first: 64 << 10,
        segment_bytes: 64 << 10,
        group_bytes_max: 4 << 10,
        gather_bytes_max: 4 << 10,
        record_bytes_max: 2 << 10,
        behind_record_bytes_max: 4 << 10,
        ..EmbeddedConfig::default()
    }
}

fn open(storage: &CrashStorage) -> Result<EmbeddedJournal, journal::JournalError> {
    let ground = Ground { storage: Arc::new(storage.clone()), ..Ground::default() };
    EmbeddedJournal::open_on(Path::new("journal"), config(), ground)
}

/// The records, the storage that holds them, and the segment of the commands.
static WRITTEN: LazyLock<(Vec<Vec<u8>>, CrashStorage, PathBuf)> = LazyLock::new(|| {
    let storage = CrashStorage::new(false);
    let journal = open(&storage).expect("a new journal opens");
    let records: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; usize::from(n) + 1]).collect();
    for group in records.chunks(4) {
        let group: Vec<&[u8]> = group.iter().map(Vec::as_slice).collect();
        journal.append(Stream::Commands, &group).expect("an append");
    }
    journal.close();
    drop(journal);
    let is_segment =
        |path: &PathBuf| path.to_string_lossy().contains("commands") && path.extension().is_some();
    let segment = storage.paths().into_iter().find(is_segment).expect("a segment");
    (records, storage, segment)
});

fuzz_target!(|changes: Vec<(u16, u8)>| {
    let (records, storage, segment) = &*WRITTEN;
    let storage = storage.copy();
    let mut bytes = storage.bytes(segment).expect("the segment");
    for (place, byte) in &changes {
        let length = bytes.len();
        bytes[usize::from(*place) % length] = *byte;
    }
    storage.set_bytes(segment, &bytes);
    let Ok(journal) = open(&storage) else { return };
    let reader = journal.reader(Stream::Commands, Position::START, Visibility::Durable);
    let mut found = Vec::new();
    if let Ok(mut reader) = reader {
        while let Ok(Some(group)) = reader.poll(Duration::ZERO) {
            found.extend(group.records.iter().map(<[u8]>::to_vec));
        }
    }
    assert!(found.len() <= records.len() && found[..] == records[..found.len()]);
});
