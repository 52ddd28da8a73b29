//! The import under way: rows kept aside until the commit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::packing::{pack_whole, unpack_whole};
use super::recorder::Recorder;
use crate::changes::Section;
use crate::rules::{IMPORT_EVENT_BYTES_MAX, IMPORT_ROWS_MAX};
use crate::{ImportKind, ImportRows, Millis, Site};

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
    /// The most that the rows kept so far take as events; follows from them, so it is in no record.
    pub(crate) bytes: usize,
}

impl Import {
    /// Nothing staged yet.
    pub(crate) fn begin(import: u64, kind: ImportKind, at: Millis) -> Import {
        let head = Head { import, kind, rows: 0, heard_at: at, chunks: 0 };
        Import { head, chunks: Vec::new(), bytes: 0 }
    }

    /// Keeps a chunk of `rows` rows.
    pub(crate) fn stage(&mut self, chunk: ImportRows, rows: u32, at: Millis) {
        self.head.rows += rows;
        self.head.heard_at = at;
        self.head.chunks += 1;
        self.bytes += row_bytes(&chunk).sum::<usize>();
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
        let bytes = chunks.iter().flat_map(row_bytes).sum();
        (rows == head.rows).then(|| self.import = Some(Import { head, chunks, bytes }))
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

/// The most that a row of each kind takes as an event, its share of the event's frame included and texts
/// aside. A member may be a new person, who is announced too.
const SITE_BYTES: usize = 32;
const SLOT_BYTES: usize = 24;
const MEMBER_BYTES: usize = 27;

/// The most that each row of a chunk takes as an event.
pub(crate) fn row_bytes(rows: &ImportRows) -> impl Iterator<Item = usize> {
    let (sites, count, bytes) = match rows {
        ImportRows::Sites(rows) => (rows.as_slice(), 0, 0),
        ImportRows::Slots(rows) => (&[][..], rows.len(), SLOT_BYTES),
        ImportRows::Members(rows) => (&[][..], rows.len(), MEMBER_BYTES),
    };
    let texts = |site: &Site| {
        let texts = [&site.id, &site.name_zh, &site.name_en, &site.address, &site.kind];
        SITE_BYTES + texts.iter().map(|text| text.len()).sum::<usize>()
    };
    sites.iter().map(texts).chain(std::iter::repeat_n(bytes, count))
}

// No import of slots or members is refused for its bytes: the bound on rows strikes first.
const _: () = assert!(IMPORT_ROWS_MAX * MEMBER_BYTES <= IMPORT_EVENT_BYTES_MAX);
const _: () = assert!(IMPORT_ROWS_MAX * SLOT_BYTES <= IMPORT_EVENT_BYTES_MAX);
