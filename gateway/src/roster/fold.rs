//! What the records of the `roster` stream do to the store: a pure fold, the same in every gateway.
//!
//! Everything here may happen twice: after a crash the records since the last write come again. Rows
//! of an import are kept aside until its commit; a commit is taken in portions, each of which may be
//! repeated, and the version that says it holds is written last.
//!
//! What this module deliberately does not do: read the stream (`view`), judge rows (`plan`).

use domain::PersonKey;
use vault::Vault;

use super::record::{self, Record, Row};
use super::store::{Batch, Person, Staged, State, Store};
use super::{LookupHash, RosterError};

/// Bytes of one portion of a commit.
pub(super) const PORTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a group of records did besides changing rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Happened {
    /// Imports that hold from now on, with the version that each one made.
    pub(super) committed: Vec<(u64, u32)>,
    /// Commits that were not taken: no such import under way, or not its rows.
    pub(super) refused: u32,
}

/// Folds records into the store.
pub(super) struct Fold<'s> {
    pub(super) store: &'s Store,
    pub(super) vault: &'s Vault,
    /// Bytes of one portion of a commit.
    pub(super) portion_bytes_max: usize,
}

impl Fold<'_> {
    /// Takes one group whole, and notes that the stream was read up to `next`.
    pub(super) fn group<'r>(
        &self,
        state: &mut State,
        records: impl Iterator<Item = &'r [u8]>,
        next: u64,
    ) -> Result<Happened, RosterError> {
        let mut happened = Happened::default();
        let mut batch = Batch::default();
        for bytes in records {
            let record = match record::decode(bytes) {
                Ok(record) => record,
                Err(record::BadRecord::Malformed) => {
                    tracing::warn!("a malformed record of the roster stream was left out");
                    continue;
                }
                Err(newer) => return Err(RosterError(newer.to_string())),
            };
            match record {
                Record::Begin { import, base_version } => {
                    end_staged(state, &mut batch);
                    state.staged = Some(Staged { import, base_version, chunks: 0 });
                }
                Record::Chunk { import, rows } => stage(state, &mut batch, import, rows),
                Record::Commit { import, rows, hash } => {
                    // The rows must be there to be read. The state is not written with them: read
                    // again, the same chunks take the same places.
                    self.store.write(std::mem::take(&mut batch))?;
                    match self.is_whole(state, import, rows, hash)? {
                        true => {
                            self.take_staged(state)?;
                            state.version += 1;
                            happened.committed.push((import, state.version));
                        }
                        false => happened.refused += 1,
                    }
                    // The late commit of an import that another one ended must not end that one, too.
                    if state.staged.is_some_and(|staged| staged.import == import) {
                        end_staged(state, &mut batch);
                    }
                }
                Record::Corrected { version } if version == state.version => {
                    state.corrected = version;
                    batch.clear_corrections();
                }
                // `owner` looks at it, before anything is folded.
                Record::Corrected { .. } | Record::Owner { .. } => {}
            }
        }
        state.position = next;
        batch.put_state(state);
        self.store.write(batch)?;
        Ok(happened)
    }

    /// True when the import under way is this one, was planned on what stands now, and has these rows.
    fn is_whole(
        &self,
        state: &State,
        import: u64,
        rows: u32,
        hash: [u8; 32],
    ) -> Result<bool, RosterError> {
        let Some(staged) = state.staged else { return Ok(false) };
        if staged.import != import || staged.base_version != state.version {
            return Ok(false);
        }
        let mut hasher = blake3::Hasher::new();
        let mut count = 0_u32;
        for chunk in self.store.staged().take(staged.chunks as usize) {
            let chunk = chunk?;
            hasher.update(&chunk);
            for row in record::rows(&chunk) {
                if row.is_err() {
                    return Ok(false);
                }
                count = count.saturating_add(1);
            }
        }
        Ok(count == rows && *hasher.finalize().as_bytes() == hash)
    }

    /// Puts every staged row in force.
    fn take_staged(&self, state: &State) -> Result<(), RosterError> {
        let chunks = state.staged.map_or(0, |staged| staged.chunks);
        let mut batch = Batch::default();
        for chunk in self.store.staged().take(chunks as usize) {
            for row in record::rows(&chunk?).flatten() {
                self.take_row(&row, &mut batch)?;
            }
            if batch.bytes() >= self.portion_bytes_max {
                self.store.write(std::mem::take(&mut batch))?;
            }
        }
        self.store.write(batch)
    }

    /// Puts one row in force. No two rows of an import touch one person (`plan` sees to it), so what
    /// the store says is what stood before the import, or the same row taken before a crash.
    fn take_row(&self, row: &Row, batch: &mut Batch) -> Result<(), RosterError> {
        let mut ids = Vec::new();
        let known = self.store.person(&row.person)?;
        if let Some(known) = &known {
            known.ids.iter().for_each(|id| add(&mut ids, *id));
            if self.born_differs(&row.person, &known.born_on, &row.born_on) {
                batch.put_correction(&row.person);
            }
        }
        for id in std::iter::once(row.id).chain(row.former) {
            add(&mut ids, id);
            let Some(other) = self.store.person_of(&id)?.filter(|other| *other != row.person)
            else {
                continue;
            };
            if let Some(displaced) = self.store.person(&other)? {
                displaced.ids.iter().for_each(|id| add(&mut ids, *id));
                batch.remove_person(&other);
            }
        }
        let person = Person {
            card: row.card,
            entry_permit: row.entry_permit,
            passport: row.passport,
            born_on: row.born_on,
            ids,
        };
        batch.put_person(&row.person, &person);
        Ok(())
    }

    /// True when the two sealed dates differ, or one of them cannot be read any more.
    fn born_differs(&self, person: &PersonKey, before: &[u8], after: &[u8]) -> bool {
        if before == after {
            return false;
        }
        let before = self.vault.open_birth(&person.0, before);
        let after = self.vault.open_birth(&person.0, after);
        !matches!((before, after), (Ok(before), Ok(after)) if before == after)
    }
}

fn stage(state: &mut State, batch: &mut Batch, import: u64, rows: &[u8]) {
    if let Some(staged) = state.staged.as_mut().filter(|staged| staged.import == import) {
        batch.put_staged(staged.chunks, rows);
        staged.chunks += 1;
    }
}

fn end_staged(state: &mut State, batch: &mut Batch) {
    if let Some(staged) = state.staged.take() {
        batch.clear_staged(staged.chunks);
    }
}

fn add(ids: &mut Vec<LookupHash>, id: LookupHash) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}
