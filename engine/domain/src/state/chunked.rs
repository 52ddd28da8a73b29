//! A growing array in chunks of fixed size.
//!
//! A `Vec` of a nation's records would be copied, and would need twice its memory, each time it grows.
//! Here the first chunk grows like a `Vec`, so that a small installation stays small; each later chunk
//! is set aside at once and never moves. Records are never removed.

use std::ops::{Index, IndexMut};

/// Records of one chunk, as a power of two.
const CHUNK_RECORDS_LOG2: u32 = 18;

const CHUNK_RECORDS: usize = 1 << CHUNK_RECORDS_LOG2;

/// The array.
#[derive(Clone, Debug)]
pub(crate) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
    /// Records in all chunks; all but the last chunk are full.
    length: u32,
}

impl<T> Chunked<T> {
    /// No records.
    pub(crate) const fn new() -> Chunked<T> {
        Chunked { chunks: Vec::new(), length: 0 }
    }

    /// How many records there are, which is the index of the next one.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.length
    }

    /// Adds a record and returns its index. The caller keeps below `u32::MAX` records.
    #[inline(always)]
    pub(crate) fn push(&mut self, record: T) -> u32 {
        let index = self.length;
        if index as usize % CHUNK_RECORDS == 0 {
            self.add_chunk();
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(record);
        }
        self.length += 1;
        index
    }

    /// The record at an index.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, place) = split(index);
        self.chunks.get(chunk)?.get(place)
    }

    /// The record at an index, to be changed.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (chunk, place) = split(index);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    /// Overwrites a record or adds the next one; false when the index lies beyond the next.
    pub(crate) fn put(&mut self, index: u32, record: T) -> bool {
        if index == self.length {
            self.push(record);
            return true;
        }
        match self.get_mut(index) {
            Some(place) => {
                *place = record;
                true
            }
            None => false,
        }
    }

    /// All records in order of index.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    #[cold]
    fn add_chunk(&mut self) {
        self.chunks.push(match self.chunks.len() {
            0 => Vec::new(),
            _ => Vec::with_capacity(CHUNK_RECORDS),
        });
    }
}

impl<T> Index<u32> for Chunked<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        let (chunk, place) = split(index);
        &self.chunks[chunk][place]
    }
}

impl<T> IndexMut<u32> for Chunked<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut T {
        let (chunk, place) = split(index);
        &mut self.chunks[chunk][place]
    }
}

#[inline(always)]
const fn split(index: u32) -> (usize, usize) {
    ((index >> CHUNK_RECORDS_LOG2) as usize, index as usize % CHUNK_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_index_over_the_borders_of_chunks() {
        let count = 2 * CHUNK_RECORDS as u32 + 3;
        let mut array = Chunked::new();
        for number in 0..count {
            assert_eq!(array.push(number * 2), number);
        }
        assert_eq!(array.len(), count);
        assert!((0..count).all(|number| array.get(number) == Some(&(number * 2))));
        assert!(array.iter().copied().eq((0..count).map(|number| number * 2)));
        assert_eq!(array.get(count), None);
        assert_eq!(array.get(u32::MAX), None);
    }

    #[test]
    fn a_record_can_be_put_over_another_or_next_to_the_last_but_not_further() {
        let mut array = Chunked::new();
        assert!(!array.put(1, 'b'));
        assert!(array.put(0, 'a'));
        assert!(array.put(1, 'b'));
        assert!(array.put(0, 'c'));
        assert!(array.iter().eq(['c', 'b'].iter()));
    }
}
