//! A growing array in chunks of fixed size.
//!
//! A `Vec` of a nation's records would be copied, and would need twice its memory, each time it grows.
//! Here the first chunk grows like a `Vec` while it is small, so that a small installation stays
//! small; after that, chunks are set aside whole and never move. Records are never removed.

use std::ops::{Index, IndexMut};

use super::huge_pages;

/// Bytes of one chunk, less what is lost by making its records a power of two.
const CHUNK_BYTES_MAX: usize = 32 << 20;

/// The first chunk grows like a `Vec` up to this part of its room.
const SMALL_PART: usize = 16;

/// The array.
#[derive(Clone, Debug)]
pub(crate) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
    /// Records in all chunks; all but the last chunk are full.
    length: u32,
}

impl<T> Chunked<T> {
    /// Records of one chunk, as a power of two.
    const RECORDS_LOG2: u32 = (CHUNK_BYTES_MAX / size_of::<T>()).ilog2();

    const RECORDS: usize = 1 << Self::RECORDS_LOG2;

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
        if (index as usize).is_multiple_of(Self::RECORDS)
            || index as usize == Self::RECORDS / SMALL_PART
        {
            self.make_room();
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
        let (chunk, place) = Self::split(index);
        self.chunks.get(chunk)?.get(place)
    }

    /// The record at an index, to be changed.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (chunk, place) = Self::split(index);
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

    /// All records in order of index, given away.
    pub(crate) fn into_records(self) -> impl Iterator<Item = T> {
        self.chunks.into_iter().flatten()
    }

    /// Neighbouring records from an index on: as far as they lie together, and at most so many.
    pub(crate) fn portion(&self, from: u32, count_max: usize) -> &[T] {
        let (chunk, place) = Self::split(from);
        let rest = self.chunks.get(chunk).and_then(|chunk| chunk.get(place..)).unwrap_or_default();
        &rest[..rest.len().min(count_max)]
    }

    /// Begins a chunk, or sets the rest of the first one aside.
    #[cold]
    fn make_room(&mut self) {
        if (self.length as usize).is_multiple_of(Self::RECORDS) {
            self.chunks.push(Vec::new());
        }
        if self.length == 0 {
            return;
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.reserve_exact(Self::RECORDS - chunk.len());
            huge_pages::prefer_for(chunk.spare_capacity_mut());
        }
    }

    #[inline(always)]
    const fn split(index: u32) -> (usize, usize) {
        ((index >> Self::RECORDS_LOG2) as usize, index as usize % Self::RECORDS)
    }
}

impl<T> Index<u32> for Chunked<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        let (chunk, place) = Self::split(index);
        &self.chunks[chunk][place]
    }
}

impl<T> IndexMut<u32> for Chunked<T> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut T {
        let (chunk, place) = Self::split(index);
        &mut self.chunks[chunk][place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A large record, so that a few chunks hold few of them.
    type Large = [u32; 256];

    #[test]
    fn records_keep_their_index_over_the_borders_of_chunks() {
        let record = |number: u32| [number; 256];
        let count = 2 * Chunked::<Large>::RECORDS as u32 + 3;
        let mut array = Chunked::new();
        for number in 0..count {
            assert_eq!(array.push(record(number)), number);
        }
        assert_eq!(array.len(), count);
        assert!((0..count).all(|number| array.get(number) == Some(&record(number))));
        assert!(array.iter().copied().eq((0..count).map(record)));
        assert_eq!(array.get(count), None);
        assert_eq!(array.get(u32::MAX), None);
        let mut portions = 0;
        let mut next = 0;
        while next < count {
            let portion = array.portion(next, 10_000);
            assert!(!portion.is_empty() && portion.len() <= 10_000);
            assert!(portion.iter().copied().eq((next..).take(portion.len()).map(record)));
            next += portion.len() as u32;
            portions += 1;
        }
        assert!(next == count && portions > 2);
        assert!(array.portion(count, 1).is_empty() && array.portion(u32::MAX, 1).is_empty());
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
