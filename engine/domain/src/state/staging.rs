//! The import under way: rows kept aside until the commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::packing::{pack_whole, unpack_whole};
use super::recorder::Recorder;
use crate::changes::Section;
use crate::{ImportKind, ImportRows, Millis};

/// What is known of an import beside its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Names the import.
    pub(crate) import: u64,
    /// What it brings.
    pub(crate) kind: ImportKind,
    /// Rows kept so far.
    pub(crate) rows: u32,
    /// When it was last heard of.
    pub(crate) heard_at: Millis,
    /// Chunks kept so far.
    chunks: u32,
}

/// One import.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) head: Head,
    /// In order of arrival.
    pub(crate) chunks: Vec<ImportRows>,
}

impl Import {
    /// Nothing staged yet.
    pub(crate) fn begin(import: u64, kind: ImportKind, at: Millis) -> Import {
        Import { head: Head { import, kind, rows: 0, heard_at: at, chunks: 0 }, chunks: Vec::new() }
    }

    /// Keeps a chunk of `rows` rows.
    pub(crate) fn stage(&mut self, chunk: ImportRows, rows: u32, at: Millis) {
        self.head.rows += rows;
        self.head.heard_at = at;
        self.head.chunks += 1;
        self.chunks.push(chunk);
    }
}

/// The place of the one import that may be under way.
#[derive(Clone, Debug)]
pub(crate) struct Staging {
    pub(crate) import: Option<Import>,
    /// Chunks of a checkpoint that wait for [`Staging::finish_load`].
    loaded: BTreeMap<u32, Vec<u8>>,
    /// Head of a checkpoint.
    loaded_head: Option<Head>,
}

impl Staging {
    /// No import is under way.
    pub(crate) fn new() -> Staging {
        Staging { import: None, loaded: BTreeMap::new(), loaded_head: None }
    }

    /// The import of this name, if it is the one under way.
    pub(crate) fn under_way(&mut self, import: u64) -> Option<&mut Import> {
        self.import.as_mut().filter(|under_way| under_way.head.import == import)
    }

    /// Ends the import under way, and says what it was.
    pub(crate) fn end(&mut self, recorder: &mut Recorder) -> Option<Import> {
        let ended = self.import.take()?;
        for index in 0..=ended.head.chunks {
            recorder.put(Section::Imports, index, &[]);
        }
        Some(ended)
    }

    /// Records the head, and the newest chunk if there is one.
    pub(crate) fn record(&self, recorder: &mut Recorder) {
        let Some(import) = self.import.as_ref().filter(|_| recorder.is_on()) else {
            return;
        };
        recorder.put(Section::Imports, 0, &pack_whole(&import.head));
        if let Some(chunk) = import.chunks.last() {
            recorder.put(Section::Imports, import.head.chunks, &pack_whole(chunk));
        }
    }

    /// Adds everything to a digest.
    pub(crate) fn digest(&self, hasher: &mut blake3::Hasher) {
        let Some(import) = &self.import else {
            return;
        };
        hasher.update(&pack_whole(&import.head));
        for chunk in &import.chunks {
            hasher.update(&pack_whole(chunk));
        }
    }

    /// Keeps a record of a checkpoint until all are there; `None` when it cannot be read.
    pub(crate) fn load(&mut self, index: u32, bytes: &[u8]) -> Option<()> {
        match (index, bytes) {
            (0, []) => self.loaded_head = None,
            (0, head) => self.loaded_head = Some(unpack_whole(head)?),
            (_, []) => {
                self.loaded.remove(&index);
            }
            (_, chunk) => {
                self.loaded.insert(index, chunk.to_vec());
            }
        }
        Some(())
    }

    /// Puts the import together; `None` when chunks are missing or are not those the head tells of.
    pub(crate) fn finish_load(&mut self) -> Option<()> {
        let loaded = std::mem::take(&mut self.loaded);
        let Some(head) = self.loaded_head.take() else {
            return Some(());
        };
        let mut chunks = Vec::new();
        let mut rows = 0_u32;
        for index in 1..=head.chunks {
            let chunk: ImportRows = unpack_whole(loaded.get(&index)?)?;
            rows = rows.checked_add(count(&chunk))?;
            chunks.push(chunk);
        }
        (rows == head.rows).then(|| self.import = Some(Import { head, chunks }))
    }
}

/// Rows of a chunk.
pub(crate) fn count(rows: &ImportRows) -> u32 {
    let count = match rows {
        ImportRows::Sites(rows) => rows.len(),
        ImportRows::Slots(rows) => rows.len(),
        ImportRows::Members(rows) => rows.len(),
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}
