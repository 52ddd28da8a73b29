//! Sorts packed changes into the blocks to which they belong, keeping their order within a block.

use domain::changes::{ChangeReader, Section, put_change};

use super::{BLOCK_RECORDS_BITS, BlockName};
use crate::EngineError;

/// Changed records by block.
#[derive(Default)]
pub(super) struct Scatter {
    /// By section number, then by block.
    sections: Vec<Vec<Vec<u8>>>,
    /// Bytes of all blocks.
    bytes: u64,
}

impl Scatter {
    /// Nothing changed.
    pub(super) fn new() -> Scatter {
        Scatter { sections: Section::ALL.iter().map(|_| Vec::new()).collect(), bytes: 0 }
    }

    /// Adds changes behind those added before.
    ///
    /// # Errors
    /// When the bytes are no packed changes: a defect.
    pub(super) fn add(&mut self, packed: &[u8]) -> Result<(), EngineError> {
        for change in ChangeReader::new(packed) {
            let change = change.map_err(|why| EngineError::Internal {
                what: format!("the state's own changes cannot be read: {why}"),
            })?;
            let block = (change.index >> BLOCK_RECORDS_BITS) as usize;
            let Some(blocks) = self.sections.get_mut(change.section as usize) else {
                continue;
            };
            if blocks.len() <= block {
                blocks.resize_with(block + 1, Vec::new);
            }
            if let Some(bytes) = blocks.get_mut(block) {
                put_change(bytes, change.section, change.index, change.bytes);
            }
        }
        self.bytes += packed.len() as u64;
        Ok(())
    }

    /// Bytes added.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Every block that changed, with its changes in order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (BlockName, &[u8])> {
        self.sections.iter().enumerate().flat_map(|(section, blocks)| {
            blocks
                .iter()
                .enumerate()
                .filter(|(_, bytes)| !bytes.is_empty())
                .map(move |(block, bytes)| ((section as u8, block as u32), bytes.as_slice()))
        })
    }
}
