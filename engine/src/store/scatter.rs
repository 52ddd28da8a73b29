//! Sorts packed changes into the blocks to which they belong, keeping their order within a block.
//!
//! Two passes over the changes, one to measure and one to copy, into one buffer that is used again
//! for the next checkpoint.

use domain::changes::{ChangeReader, Section};

use super::{BLOCK_RECORDS_BITS, BlockName};
use crate::EngineError;

/// A block's place in the buffer.
#[derive(Clone, Copy, Default)]
struct Span {
    /// Where its next change goes; after the copy, where it ends.
    at: usize,
    /// Its bytes.
    length: usize,
}

/// Changed records by block.
pub(super) struct Scatter {
    /// By section number, then by block.
    sections: Vec<Vec<Span>>,
    /// The changes, block by block.
    buffer: Vec<u8>,
}

impl Scatter {
    /// Nothing changed.
    pub(super) fn new() -> Scatter {
        Scatter { sections: Section::ALL.iter().map(|_| Vec::new()).collect(), buffer: Vec::new() }
    }

    /// Takes the changes of one checkpoint, in order, in place of those before.
    ///
    /// # Errors
    /// When the bytes are no packed changes: a defect.
    pub(super) fn fill(&mut self, pieces: &[Vec<u8>]) -> Result<(), EngineError> {
        self.sections.iter_mut().for_each(Vec::clear);
        for piece in pieces {
            each_change(piece, |section, block, change| {
                let Some(spans) = self.sections.get_mut(section) else { return };
                if spans.len() <= block {
                    spans.resize(block + 1, Span::default());
                }
                if let Some(span) = spans.get_mut(block) {
                    span.length += change.len();
                }
            })?;
        }
        let mut end = 0;
        for span in self.sections.iter_mut().flatten() {
            span.at = end;
            end += span.length;
        }
        self.buffer.resize(end, 0);
        for piece in pieces {
            each_change(piece, |section, block, change| {
                let span = self.sections.get_mut(section).and_then(|spans| spans.get_mut(block));
                let Some(span) = span else { return };
                let until = span.at + change.len();
                if let Some(place) = self.buffer.get_mut(span.at..until) {
                    place.copy_from_slice(change);
                }
                span.at = until;
            })?;
        }
        Ok(())
    }

    /// Bytes of all changes.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Every block that changed, with its changes in order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (BlockName, &[u8])> {
        self.sections.iter().enumerate().flat_map(move |(section, spans)| {
            spans.iter().enumerate().filter(|(_, span)| span.length > 0).filter_map(
                move |(block, span)| {
                    let bytes = self.buffer.get(span.at - span.length..span.at)?;
                    Some(((section as u8, block as u32), bytes))
                },
            )
        })
    }
}

/// Shows each change as it is packed, with the place where it belongs.
fn each_change(
    packed: &[u8],
    mut show: impl FnMut(usize, usize, &[u8]),
) -> Result<(), EngineError> {
    let mut start = 0;
    for change in ChangeReader::new(packed) {
        let change = change.map_err(|why| EngineError::Internal {
            what: format!("the state's own changes cannot be read: {why}"),
        })?;
        // The record ends a change, and a change begins where the one before ended.
        let record_at = change.bytes.as_ptr() as usize - packed.as_ptr() as usize;
        let end = record_at + change.bytes.len();
        let block = (change.index >> BLOCK_RECORDS_BITS) as usize;
        if let Some(whole) = packed.get(start..end) {
            show(change.section as usize, block, whole);
        }
        start = end;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::support::script::Dice;
    use domain::changes::put_change;

    #[test]
    fn every_change_stands_in_its_block_in_the_order_in_which_it_was_made() {
        let seed = crate::support::seed(71);
        let mut dice = Dice::new(seed);
        let mut scatter = Scatter::new();
        for _ in 0..3 {
            let mut expected: BTreeMap<BlockName, Vec<u8>> = BTreeMap::new();
            let mut pieces = Vec::new();
            for _ in 0..dice.below(4) {
                let mut piece = Vec::new();
                for _ in 0..500 {
                    let section = Section::ALL[dice.below(12) as usize];
                    let index = dice.below(5 << BLOCK_RECORDS_BITS) as u32;
                    let record = vec![dice.next() as u8; dice.below(300) as usize];
                    put_change(&mut piece, section, index, &record);
                    let name = (section as u8, index >> BLOCK_RECORDS_BITS);
                    put_change(expected.entry(name).or_default(), section, index, &record);
                }
                pieces.push(piece);
            }
            scatter.fill(&pieces).unwrap();
            let found: BTreeMap<_, _> =
                scatter.blocks().map(|(name, bytes)| (name, bytes.to_vec())).collect();
            assert_eq!(found, expected);
            assert_eq!(scatter.bytes(), pieces.iter().map(Vec::len).sum::<usize>());
        }
    }

    #[test]
    fn bytes_that_are_no_changes_are_refused() {
        assert!(Scatter::new().fill(&[vec![255; 40]]).is_err());
    }
}
