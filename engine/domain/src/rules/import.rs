//! Sites, slots and members come in chunks and take effect together, at the commit, or not at all.
//!
//! One import is under way at a time. It ends with its commit, with the next `ImportBegin`, or when a
//! pulse finds it silent for too long. Chunks are checked when they arrive, as far as later commands
//! cannot change the verdict; the rest is checked at the commit, before anything changes.

use crate::codec::import_hash;
use crate::state::State;
use crate::state::staging::{self, Import};
use crate::{Event, ImportKind, ImportRows, OperatorRefusal, SlotRow};

use super::{
    IMPORT_CHUNK_ROWS_MAX, IMPORT_EVENT_BYTES_MAX, IMPORT_ROWS_MAX, SLOT_DAY_MAX, SLOT_DAY_MIN,
    refuse_operator,
};

mod commit;

/// Minutes of a day; the last one at which a slot may end.
const DAY_MINUTES: u16 = 1_440;

/// Which row is refused, and why.
type Refusal = (u32, OperatorRefusal);

/// Decides an `ImportBegin`.
pub(crate) fn begin(state: &mut State, import: u64, kind: &ImportKind, events: &mut Vec<Event>) {
    if let Err(reason) = check_kind(state, kind) {
        return refuse_operator(0, reason, events);
    }
    void(state, events);
    state.staging.import = Some(Import::begin(import, kind.clone(), state.globals.now));
    state.staging.record(&mut state.recorder);
    events.push(Event::ImportStaged { import, rows: 0 });
}

/// Decides an `ImportChunk`.
pub(crate) fn chunk(state: &mut State, import: u64, rows: &ImportRows, events: &mut Vec<Event>) {
    if let Err((row, reason)) = check_chunk(state, import, rows) {
        return refuse_operator(row, reason, events);
    }
    let now = state.globals.now;
    let Some(under_way) = state.staging.under_way(import) else {
        return;
    };
    under_way.stage(rows.clone(), staging::count(rows), now);
    let rows = under_way.head.rows;
    state.staging.record(&mut state.recorder);
    events.push(Event::ImportStaged { import, rows });
}

/// Decides an `ImportCommit`.
pub(crate) fn commit(
    state: &mut State,
    import: u64,
    rows: u32,
    hash: &[u8; 32],
    events: &mut Vec<Event>,
) {
    let Some(under_way) = state.staging.under_way(import) else {
        return refuse_operator(0, OperatorRefusal::UnknownImport, events);
    };
    if under_way.head.rows != rows || import_hash(&under_way.chunks) != *hash {
        return refuse_operator(0, OperatorRefusal::ImportMismatch, events);
    }
    commit::apply(state, import, rows, events);
}

/// Ends the import under way without effect.
pub(super) fn void(state: &mut State, events: &mut Vec<Event>) {
    if let Some(ended) = state.staging.end(&mut state.recorder) {
        events.push(Event::ImportVoided { import: ended.head.import });
    }
}

fn check_kind(state: &State, kind: &ImportKind) -> Result<(), OperatorRefusal> {
    match kind {
        ImportKind::Sites => Ok(()),
        ImportKind::Slots { vaccines } => match state.catalogue.new_vaccines(vaccines) {
            Ok(_) => Ok(()),
            Err(_) => Err(OperatorRefusal::TooManyVaccines),
        },
        ImportKind::Members { category } => {
            let bit = state.catalogue.category_bit(*category);
            match bit.map(|bit| state.catalogue.categories[bit]) {
                Some(rule) if rule.members => Ok(()),
                _ => Err(OperatorRefusal::UnknownCategory),
            }
        }
    }
}

/// The lowest refusal, at the first row to which it applies.
fn check_chunk(state: &State, import: u64, rows: &ImportRows) -> Result<(), Refusal> {
    let under_way = state.staging.import.as_ref();
    let Some(under_way) = under_way.filter(|under_way| under_way.head.import == import) else {
        return Err((0, OperatorRefusal::UnknownImport));
    };
    check_rows(state, &under_way.head.kind, rows)?;
    let count = staging::count(rows) as usize;
    if count > IMPORT_CHUNK_ROWS_MAX {
        return Err((IMPORT_CHUNK_ROWS_MAX as u32, OperatorRefusal::TooManyRows));
    }
    let kept = under_way.head.rows as usize;
    if kept + count > IMPORT_ROWS_MAX {
        return Err(((IMPORT_ROWS_MAX - kept) as u32, OperatorRefusal::TooManyRows));
    }
    let mut bytes = under_way.bytes;
    let beyond = staging::row_bytes(rows).position(|row| {
        bytes += row;
        bytes > IMPORT_EVENT_BYTES_MAX
    });
    beyond.map_or(Ok(()), |row| Err((row as u32, OperatorRefusal::TooManyRows)))
}

fn check_rows(state: &State, kind: &ImportKind, rows: &ImportRows) -> Result<(), Refusal> {
    let bad = |row| (row as u32, OperatorRefusal::BadNumber);
    match (kind, rows) {
        (ImportKind::Sites, ImportRows::Sites(sites)) => {
            let highest = crate::eligibility::COUNTY_NUMBER_MAX;
            let wrong = sites.iter().position(|site| site.id.is_empty() || site.county.0 > highest);
            wrong.map_or(Ok(()), |row| Err(bad(row)))
        }
        (ImportKind::Slots { vaccines }, ImportRows::Slots(slots)) => {
            let known = state.catalogue.sites.len();
            if let Some(row) = slots.iter().position(|slot| slot.site.index() >= known) {
                return Err((row as u32, OperatorRefusal::UnknownSite));
            }
            let wrong = slots.iter().position(|slot| !can_be(slot, vaccines.len()));
            wrong.map_or(Ok(()), |row| Err(bad(row)))
        }
        (ImportKind::Members { .. }, ImportRows::Members(_)) => Ok(()),
        _ => Err(bad(0)),
    }
}

fn can_be(slot: &SlotRow, vaccines: usize) -> bool {
    (SLOT_DAY_MIN..=SLOT_DAY_MAX).contains(&slot.day.0)
        && slot.start_minute < slot.end_minute
        && slot.end_minute <= DAY_MINUTES
        && usize::from(slot.vaccine) < vaccines
}

#[cfg(test)]
mod tests;
