//! Small values by dense number, in memory only, masked under a key that dies with the process.
//!
//! For what millions of messages need of people's contact data: to look a row up on disk and to open it
//! costs many times as much as everything else about a message. Eight bytes a number. The mask keeps the
//! values out of a memory dump or a swap file that lacks the key; it does not protect from someone who
//! reads the whole process, keys included, and nothing could.
//!
//! What this file deliberately does not do: know what the values mean, write anything.

use std::fmt;

use aes::Aes256Enc;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use zeroize::Zeroizing;

/// Numbers in one piece of memory; pieces are made when the first of their numbers is set.
const CHUNK_NUMBERS: usize = 1 << 16;

/// Values by number. A number that was never set has none, nor has one beyond the limit.
pub struct MaskedTable {
    pad: Aes256Enc,
    /// Masked values; 0 where there is none.
    chunks: Vec<Option<Box<[u64]>>>,
    numbers_max: u32,
}

impl MaskedTable {
    /// An empty table for numbers below `numbers_max`.
    pub fn new(numbers_max: u32) -> MaskedTable {
        let key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        match Aes256Enc::new_from_slice(&*key) {
            Ok(pad) => MaskedTable { pad, chunks: Vec::new(), numbers_max },
            Err(_) => unreachable!("AES-256 takes a key of 32 bytes"),
        }
    }

    /// False for numbers beyond the limit.
    pub fn has_place_for(&self, number: u32) -> bool {
        number < self.numbers_max
    }

    /// Sets a number's value, or takes it away.
    pub fn set(&mut self, number: u32, value: Option<u64>) {
        let masked = value.map_or(0, |value| value ^ self.mask(number));
        let place = number as usize;
        let chunk = place / CHUNK_NUMBERS;
        let exists = self.chunks.get(chunk).is_some_and(Option::is_some);
        if !self.has_place_for(number) || (masked == 0 && !exists) {
            return;
        }
        if self.chunks.len() <= chunk {
            self.chunks.resize_with(chunk + 1, || None);
        }
        let values = self.chunks[chunk].get_or_insert_with(|| vec![0; CHUNK_NUMBERS].into());
        values[place % CHUNK_NUMBERS] = masked;
    }

    /// The values of these numbers, in their order. One value in 2^64 is lost to its mask: then there
    /// is none. Memory is read for all of them first, so that the processor waits for many at a time.
    pub fn get_many(&self, numbers: impl Iterator<Item = u32> + Clone) -> Vec<Option<u64>> {
        let masked: Vec<u64> = numbers.clone().map(|number| self.masked(number)).collect();
        numbers.zip(masked).map(|(number, masked)| self.unmask(number, masked)).collect()
    }

    #[inline]
    fn masked(&self, number: u32) -> u64 {
        let place = number as usize;
        let values = self.chunks.get(place / CHUNK_NUMBERS).and_then(Option::as_ref);
        values.map_or(0, |values| values[place % CHUNK_NUMBERS])
    }

    #[inline]
    fn unmask(&self, number: u32, masked: u64) -> Option<u64> {
        (masked != 0).then(|| masked ^ self.mask(number))
    }

    fn mask(&self, number: u32) -> u64 {
        let mut block = u128::from(number).to_le_bytes().into();
        self.pad.encrypt_block(&mut block);
        let block: [u8; 16] = block.into();
        u128::from_le_bytes(block) as u64
    }
}

impl fmt::Debug for MaskedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskedTable")
            .field("numbers_max", &self.numbers_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(table: &MaskedTable, number: u32) -> Option<u64> {
        table.get_many([number].into_iter())[0]
    }

    #[test]
    fn a_value_is_there_until_it_is_taken_away() {
        let mut table = MaskedTable::new(1_000_000);
        for number in [0, 1, 65_535, 65_536, 999_999] {
            assert_eq!(get(&table, number), None);
            for value in [0, 7, u64::MAX] {
                table.set(number, Some(value));
                assert_eq!(get(&table, number), Some(value), "{number}");
            }
            table.set(number, None);
            assert_eq!(get(&table, number), None);
        }
    }

    #[test]
    fn numbers_beyond_the_limit_have_none_and_cost_nothing() {
        let mut table = MaskedTable::new(10);
        for number in [10, u32::MAX] {
            table.set(number, Some(1));
            assert_eq!(get(&table, number), None);
        }
        assert!(table.chunks.is_empty());
    }

    #[test]
    fn equal_values_look_different_and_never_plain() {
        let mut table = MaskedTable::new(1_000);
        (0..1_000).for_each(|number| table.set(number, Some(912_345_678)));
        let mut stored: Vec<u64> =
            table.chunks.iter().flatten().flat_map(|chunk| chunk[..1_000].to_vec()).collect();
        assert!(!stored.contains(&912_345_678));
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored.len(), 1_000);
    }
}
