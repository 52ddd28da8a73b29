//! Folds a block's deltas into its base, so that neither disk use nor loading grows for ever.
//!
//! Records are whole, so the last bytes of each record win and folding twice changes nothing. A fold
//! writes the new base and drops the deltas in one batch.

use std::collections::VecDeque;

use domain::changes::{ChangeReader, Section, put_change};
use rocksdb::WriteBatch;

use super::{BLOCK_RECORDS, BlockName, BlockUse, Store, failed, keys};
use crate::EngineError;

/// Fewer deltas than this are left alone.
const FOLD_DELTAS_MIN: usize = 8;
/// As many deltas as this are folded however small they are.
const FOLD_DELTAS_MAX: usize = 128;

impl Store {
    /// Blocks worth folding: their deltas are many, and together at least as large as the base.
    pub(super) fn blocks_to_fold(&self, limit: usize) -> Vec<BlockName> {
        let through = self.foldable_through();
        self.blocks
            .iter()
            .filter(|(_, block)| is_worth_folding(block, through))
            .map(|(name, _)| *name)
            .take(limit)
            .collect()
    }

    /// Folds what may be folded of one block. Durable with the next flush.
    ///
    /// # Errors
    /// When RocksDB fails or a value is damaged.
    pub(super) fn fold(&mut self, name: BlockName) -> Result<(), EngineError> {
        let through = self.foldable_through();
        let Some(block) = self.blocks.get(&name) else {
            return Ok(());
        };
        let folded: Vec<u64> =
            foldable(&block.deltas, through).map(|(sequence, _)| sequence).collect();
        let mut values = Vec::with_capacity(folded.len() + 1);
        for sequence in std::iter::once(keys::BASE).chain(folded.iter().copied()) {
            let value = self
                .db
                .get(keys::record(name, sequence))
                .map_err(|cause| failed("read", &self.path, cause))?;
            match value {
                Some(value) => values.push(value),
                None if sequence == keys::BASE => {}
                None => {
                    return Err(failed(
                        "read",
                        &self.path,
                        format!("delta {sequence} of block {name:?} is missing"),
                    ));
                }
            }
        }
        let base = merge(name, &values).map_err(|why| failed("fold", &self.path, why))?;
        let mut batch = WriteBatch::default();
        batch.put(keys::record(name, keys::BASE), &base);
        for &sequence in &folded {
            batch.delete(keys::record(name, sequence));
        }
        self.write(batch)?;
        self.note_folded(name, folded.len(), base.len() as u64);
        Ok(())
    }

    fn note_folded(&mut self, name: BlockName, deltas: usize, base_bytes: u64) {
        let Some(block) = self.blocks.get_mut(&name) else {
            return;
        };
        let gone: u64 = block.deltas.drain(..deltas).map(|(_, bytes)| bytes).sum();
        self.delta_bytes -= gone;
        self.base_bytes = self.base_bytes - block.base_bytes + base_bytes;
        block.base_bytes = base_bytes;
    }
}

fn is_worth_folding(block: &BlockUse, through: u64) -> bool {
    if block.deltas.len() < FOLD_DELTAS_MIN {
        return false;
    }
    let (count, bytes) = foldable(&block.deltas, through)
        .fold((0, 0), |(count, sum), (_, bytes)| (count + 1, sum + bytes));
    count >= FOLD_DELTAS_MAX || (count >= FOLD_DELTAS_MIN && bytes >= block.base_bytes)
}

/// The deltas at or below the older checkpoint.
fn foldable(deltas: &VecDeque<(u64, u64)>, through: u64) -> impl Iterator<Item = (u64, u64)> {
    deltas.iter().copied().take_while(move |(sequence, _)| *sequence <= through)
}

/// The last bytes of every record, in order of index; records that are gone are left out.
fn merge((section, block): BlockName, values: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    let known = Section::from_number(section).ok_or("unknown section")?;
    let first = (block as usize) * BLOCK_RECORDS;
    let mut latest: Vec<&[u8]> = vec![&[]; BLOCK_RECORDS];
    for value in values {
        for change in ChangeReader::new(value) {
            let change = change.map_err(|why| why.to_string())?;
            let place = (change.index as usize).checked_sub(first);
            match place.and_then(|place| latest.get_mut(place)) {
                Some(record) if change.section == known => *record = change.bytes,
                _ => {
                    return Err(format!(
                        "a record of {:?} {} stands in another's block",
                        change.section, change.index
                    ));
                }
            }
        }
    }
    let mut base = Vec::with_capacity(values.iter().map(Vec::len).max().unwrap_or(0));
    for (place, bytes) in latest.iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
        put_change(&mut base, known, (first + place) as u32, bytes);
    }
    Ok(base)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn packed(changes: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, bytes) in changes {
            put_change(&mut out, Section::Sites, *index, bytes);
        }
        out
    }

    #[test]
    fn the_last_bytes_of_each_record_win_and_what_is_gone_stays_out() {
        let values = [
            packed(&[(1, b"one"), (2, b"two"), (3, b"three")]),
            packed(&[(2, b""), (3, b"drei"), (0, b"zero"), (3, b"trois")]),
        ];
        let name = (Section::Sites as u8, 0);
        let base = merge(name, &values).unwrap();
        assert_eq!(base, packed(&[(0, b"zero"), (1, b"one"), (3, b"trois")]));
        assert_eq!(merge(name, &[base.clone(), values[1].clone()]).unwrap(), base);
    }

    #[test]
    fn a_record_of_another_block_is_refused() {
        let values = [packed(&[(BLOCK_RECORDS as u32, b"x")])];
        assert!(merge((Section::Sites as u8, 0), &values).is_err());
        assert!(merge((Section::Slots as u8, 1), &values).is_err());
        assert!(merge((Section::Sites as u8, 1), &values).is_ok());
    }
}
