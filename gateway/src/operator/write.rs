//! How an operator's commands are written: applied one by one, an import in chunks.
//!
//! What this module does not do: check rows; what it is given has been checked against the views, and
//! the writer checks again.

use domain::codec::ImportHasher;
use domain::rules::IMPORT_CHUNK_ROWS_MAX;
use domain::{Command, Event, ImportKind, ImportRows, OperatorRefusal, PersonKey, Site, SlotRow};

use super::desk;
use crate::core::{Applied, Core};
use crate::problem::{Problem, Slug};

/// Encoded rows of one chunk; with its head the command stays below 64 KiB.
const CHUNK_BYTES_MAX: usize = 60 * 1024;

/// The most that a row of each kind takes, texts aside.
const SITE_BYTES: usize = 24;
const SLOT_BYTES: usize = 24;
const MEMBER_BYTES: usize = 16;

/// What an import did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Imported {
    /// Rows in all.
    pub(super) rows: u32,
    /// Of them, those that were not there before.
    pub(super) added: u32,
}

/// Writes a command and waits until it is applied.
///
/// # Errors
/// 409 when it was decided against, 503 when it was not taken or its fate is unknown.
pub(super) async fn apply(core: &Core, command: Command) -> Result<Applied, Problem> {
    let applied = core.apply(command).await?;
    match refusals(&applied.events) {
        none if none.is_empty() => Ok(applied),
        refusals => Err(Problem::refused(refusals)),
    }
}

/// The rows that were decided against.
pub(super) fn refusals(events: &[Event]) -> Vec<(u32, OperatorRefusal)> {
    let refused = events.iter().filter_map(|event| match event {
        Event::OperatorRefused { row, reason } => Some((*row, *reason)),
        _ => None,
    });
    refused.collect()
}

/// Writes an import: all of its rows hold when this returns, or none.
///
/// # Errors
/// As [`apply`]. An import that stopped half way has no effect and ends with the next one.
pub(super) async fn import(
    core: &Core,
    kind: ImportKind,
    chunks: Vec<ImportRows>,
) -> Result<Imported, Problem> {
    let under_way = || core.context.view.read().figures().import;
    let patience = desk::Patience::new(core);
    loop {
        desk::let_others_finish(core, under_way).await?;
        if let Some(imported) = attempt(core, kind.clone(), &chunks).await? {
            return Ok(imported);
        }
        patience.rest(core).await?;
    }
}

/// Writes it once; `None` when another gateway's import ended it.
async fn attempt(
    core: &Core,
    kind: ImportKind,
    chunks: &[ImportRows],
) -> Result<Option<Imported>, Problem> {
    let import = rand::random();
    let mut hasher = ImportHasher::new();
    let mut rows = 0_u32;
    apply(core, Command::ImportBegin { import, kind }).await?;
    for chunk in chunks {
        hasher.update(chunk);
        rows += count(chunk);
        let command = Command::ImportChunk { import, rows: chunk.clone() };
        if unless_ended(core.apply(command).await?)?.is_none() {
            return Ok(None);
        }
    }
    let commit = Command::ImportCommit { import, rows, hash: hasher.finish() };
    let Some(applied) = unless_ended(core.apply(commit).await?)? else { return Ok(None) };
    let added = applied.events.iter().find_map(|event| match event {
        Event::ImportCommitted { import: done, added, .. } if *done == import => Some(*added),
        _ => None,
    });
    match added {
        Some(added) => Ok(Some(Imported { rows, added })),
        None => Err(Slug::Internal.into()),
    }
}

/// What an import's command did; `None` when the import is no longer under way.
fn unless_ended(applied: Applied) -> Result<Option<Applied>, Problem> {
    match refusals(&applied.events).as_slice() {
        [] => Ok(Some(applied)),
        [(_, OperatorRefusal::UnknownImport)] => Ok(None),
        refused => Err(Problem::refused(refused.to_vec())),
    }
}

fn count(rows: &ImportRows) -> u32 {
    let count = match rows {
        ImportRows::Sites(rows) => rows.len(),
        ImportRows::Slots(rows) => rows.len(),
        ImportRows::Members(rows) => rows.len(),
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Gathers rows into chunks that each fit one command.
#[derive(Debug)]
pub(super) struct Chunks<T> {
    wrap: fn(Vec<T>) -> ImportRows,
    size: fn(&T) -> usize,
    done: Vec<ImportRows>,
    rows: Vec<T>,
    bytes: usize,
}

impl Chunks<Site> {
    pub(super) fn of_sites() -> Chunks<Site> {
        Chunks::new(ImportRows::Sites, |site| {
            let texts = [&site.id, &site.name_zh, &site.name_en, &site.address, &site.kind];
            SITE_BYTES + texts.iter().map(|text| text.len()).sum::<usize>()
        })
    }
}

impl Chunks<SlotRow> {
    pub(super) fn of_slots() -> Chunks<SlotRow> {
        Chunks::new(ImportRows::Slots, |_| SLOT_BYTES)
    }
}

impl Chunks<PersonKey> {
    pub(super) fn of_members() -> Chunks<PersonKey> {
        Chunks::new(ImportRows::Members, |_| MEMBER_BYTES)
    }
}

impl<T> Chunks<T> {
    fn new(wrap: fn(Vec<T>) -> ImportRows, size: fn(&T) -> usize) -> Chunks<T> {
        Chunks { wrap, size, done: Vec::new(), rows: Vec::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, row: T) {
        let bytes = (self.size)(&row);
        let full = self.bytes + bytes > CHUNK_BYTES_MAX || self.rows.len() == IMPORT_CHUNK_ROWS_MAX;
        if full {
            self.close();
        }
        self.bytes += bytes;
        self.rows.push(row);
    }

    fn close(&mut self) {
        if !self.rows.is_empty() {
            self.done.push((self.wrap)(std::mem::take(&mut self.rows)));
        }
        self.bytes = 0;
    }

    pub(super) fn finish(mut self) -> Vec<ImportRows> {
        self.close();
        self.done
    }
}

#[cfg(test)]
mod tests {
    use domain::codec::encode_command;
    use domain::{CountyNumber, Day, DistrictNumber, Envelope, Origin, SiteNumber};

    use super::*;

    fn assert_fits(chunks: Vec<ImportRows>, rows: usize) {
        assert_eq!(chunks.iter().map(|chunk| count(chunk) as usize).sum::<usize>(), rows);
        for rows in chunks {
            assert!(count(&rows) as usize <= IMPORT_CHUNK_ROWS_MAX);
            let command = Command::ImportChunk { import: u64::MAX, rows };
            let mut encoded = Vec::new();
            encode_command(&Envelope { origin: Origin(u64::MAX), command }, &mut encoded);
            assert!(encoded.len() < 64 * 1024, "{}", encoded.len());
        }
    }

    #[test]
    fn a_chunk_of_the_largest_rows_fits_one_command() {
        let long = |chars: usize| "院".repeat(chars);
        let mut sites = Chunks::of_sites();
        let mut slots = Chunks::of_slots();
        let mut members = Chunks::of_members();
        for number in 0..10_000_u32 {
            sites.push(Site {
                id: long(64),
                name_zh: long(100),
                name_en: long(100),
                county: CountyNumber(63),
                district: DistrictNumber(u16::MAX),
                address: long(200),
                kind: long(32),
            });
            slots.push(SlotRow {
                site: SiteNumber(u32::MAX),
                day: Day(i32::MAX),
                start_minute: 1_439,
                end_minute: 1_440,
                vaccine: 15,
                capacity: u32::MAX,
            });
            members.push(PersonKey([number.to_le_bytes()[0]; 16]));
        }
        assert_fits(sites.finish(), 10_000);
        assert_fits(slots.finish(), 10_000);
        assert_fits(members.finish(), 10_000);
    }

    #[test]
    fn no_rows_give_no_chunk() {
        assert!(Chunks::of_slots().finish().is_empty());
    }
}
