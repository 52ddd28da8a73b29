//! From a person's key to the person's number.
//!
//! Keys are keyed hashes already, so their own bytes say where to look. The keys themselves stay in
//! the people's array; this index holds, for each person, the number and eight bits of the key:
//! twelve of them in a bucket of one cache line, so that a look-up reads one line here and one key.
//!
//! Growth never stops the writer for long: the index is a thousand segments, each grows by itself, by
//! an eighth, in pages that never move, taken from an array that all of them share. Nothing is ever removed, and no order of this table can be
//! seen from outside.

use super::chunked::Chunked;
use crate::PersonKey;
use crate::prefetch;

/// Segments, as a power of two.
const SEGMENTS_LOG2: u32 = 10;

/// People whom one bucket holds.
const BUCKET_ENTRIES: usize = 12;

/// Buckets that a segment gains at a time.
const PAGE_BUCKETS: usize = 64;

/// A segment grows when this many of 16 places are taken.
const FILL_SIXTEENTHS_MAX: usize = 14;

/// How far ahead of an insertion its memory is asked for.
const LOOK_AHEAD: usize = 16;

const EMPTY_TAG: u8 = 0;

/// One cache line of entries, filled from the front.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket {
    /// Eight bits of each entry's key, never [`EMPTY_TAG`]; the last four are always empty.
    tags: [u8; 16],
    numbers: [u32; BUCKET_ENTRIES],
}

impl Bucket {
    const EMPTY: Bucket = Bucket { tags: [EMPTY_TAG; 16], numbers: [0; BUCKET_ENTRIES] };

    /// Bit n is set where entry n has this tag.
    #[inline]
    fn matches(&self, tag: u8) -> u32 {
        let mut mask = 0;
        for (place, found) in self.tags.iter().enumerate() {
            mask |= u32::from(*found == tag) << place;
        }
        mask
    }

    #[inline]
    fn is_full(&self) -> bool {
        self.tags[BUCKET_ENTRIES - 1] != EMPTY_TAG
    }

    /// Takes an entry, unless full.
    fn add(&mut self, tag: u8, number: u32) -> bool {
        let place = self.tags[..BUCKET_ENTRIES].iter().position(|found| *found == EMPTY_TAG);
        let Some(place) = place else {
            return false;
        };
        self.tags[place] = tag;
        self.numbers[place] = number;
        true
    }
}

type Page = [Bucket; PAGE_BUCKETS];

/// One part of the table: linear probing over its own pages.
#[derive(Clone, Debug, Default)]
struct Segment {
    /// Numbers of its pages in the shared array, in order.
    pages: Vec<u32>,
    entries: usize,
}

type Pages = Chunked<Page>;

impl Segment {
    fn buckets(&self) -> usize {
        self.pages.len() * PAGE_BUCKETS
    }

    #[inline]
    fn bucket<'a>(&self, place: usize, pages: &'a Pages) -> &'a Bucket {
        &pages[self.pages[place / PAGE_BUCKETS]][place % PAGE_BUCKETS]
    }

    /// The bucket where the search for a key starts.
    #[inline]
    fn home(&self, trace: Trace) -> usize {
        ((u64::from(trace.place) * self.buckets() as u64) >> 32) as usize
    }

    fn next(&self, place: usize) -> usize {
        if place + 1 == self.buckets() { 0 } else { place + 1 }
    }

    fn insert(&mut self, trace: Trace, number: u32, pages: &mut Pages) {
        let mut place = self.home(trace);
        loop {
            let page = &mut pages[self.pages[place / PAGE_BUCKETS]];
            if page[place % PAGE_BUCKETS].add(trace.tag, number) {
                break;
            }
            place = self.next(place);
        }
        self.entries += 1;
    }

    fn is_due_to_grow(&self) -> bool {
        self.entries * 16 >= self.buckets() * BUCKET_ENTRIES * FILL_SIXTEENTHS_MAX
    }

    /// Adds an eighth of pages and lays the entries out anew.
    fn grow(&mut self, pages: &mut Pages, keys: &Chunked<PersonKey>) {
        let numbers = self.take_numbers(pages);
        self.add_pages(self.pages.len() / 8 + 1, pages);
        for (place, number) in numbers.iter().enumerate() {
            if let Some(ahead) = numbers.get(place + LOOK_AHEAD) {
                prefetch::read(keys.get(*ahead));
            }
            self.insert(Trace::of(&keys[*number]), *number, pages);
        }
    }

    fn add_pages(&mut self, count: usize, pages: &mut Pages) {
        for _ in 0..count {
            self.pages.push(pages.push([Bucket::EMPTY; PAGE_BUCKETS]));
        }
    }

    fn take_numbers(&mut self, pages: &mut Pages) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(self.entries);
        for page in &self.pages {
            for bucket in &mut pages[*page] {
                let filled = bucket.tags.iter().take_while(|tag| **tag != EMPTY_TAG);
                numbers.extend_from_slice(&bucket.numbers[..filled.count()]);
                *bucket = Bucket::EMPTY;
            }
        }
        self.entries = 0;
        numbers
    }
}

/// What of a key tells where it stands.
#[derive(Clone, Copy)]
struct Trace {
    segment: usize,
    place: u32,
    tag: u8,
}

impl Trace {
    /// Spreads the key over all bits, so that keys that are no good hashes (as in tests) do no harm.
    #[inline]
    fn of(key: &PersonKey) -> Trace {
        let whole = u128::from_le_bytes(key.0);
        let folded = (whole as u64) ^ ((whole >> 64) as u64).rotate_left(32);
        let product = u128::from(folded).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let mixed = (product >> 64) as u64 ^ product as u64;
        Trace {
            segment: (mixed >> (64 - SEGMENTS_LOG2)) as usize,
            place: (mixed >> 16) as u32,
            tag: (mixed as u8).max(EMPTY_TAG + 1),
        }
    }
}

/// The index.
#[derive(Clone, Debug)]
pub(crate) struct KeyIndex {
    segments: Vec<Segment>,
    pages: Pages,
}

impl KeyIndex {
    /// Nobody is known.
    pub(crate) fn new() -> KeyIndex {
        KeyIndex { segments: vec![Segment::default(); 1 << SEGMENTS_LOG2], pages: Chunked::new() }
    }

    /// The number under which a key stands.
    pub(crate) fn find(&self, key: &PersonKey, keys: &Chunked<PersonKey>) -> Option<u32> {
        let trace = Trace::of(key);
        let segment = &self.segments[trace.segment];
        if segment.pages.is_empty() {
            return None;
        }
        let mut place = segment.home(trace);
        loop {
            let bucket = segment.bucket(place, &self.pages);
            let mut matches = bucket.matches(trace.tag);
            while matches != 0 {
                let number = bucket.numbers[matches.trailing_zeros() as usize];
                if keys[number] == *key {
                    return Some(number);
                }
                matches &= matches - 1;
            }
            if !bucket.is_full() {
                return None;
            }
            place = segment.next(place);
        }
    }

    /// Takes in the key that stands at `number` in `keys` and that [`KeyIndex::find`] does not find.
    pub(crate) fn insert(&mut self, number: u32, keys: &Chunked<PersonKey>) {
        let trace = Trace::of(&keys[number]);
        let segment = &mut self.segments[trace.segment];
        if segment.is_due_to_grow() {
            segment.grow(&mut self.pages, keys);
        }
        segment.insert(trace, number, &mut self.pages);
    }

    /// Indexes all keys anew; false when a key stands twice.
    pub(crate) fn rebuild(&mut self, keys: &Chunked<PersonKey>) -> bool {
        *self = KeyIndex::new();
        self.reserve(keys.len() as usize);
        for number in 0..keys.len() {
            if let Some(ahead) = keys.get(number.saturating_add(LOOK_AHEAD as u32)) {
                self.prefetch_bucket(ahead);
            }
            if self.find(&keys[number], keys).is_some() {
                return false;
            }
            self.insert(number, keys);
        }
        true
    }

    /// First step of warming a look-up: asks for the bucket.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, key: &PersonKey) {
        let trace = Trace::of(key);
        let segment = &self.segments[trace.segment];
        if !segment.pages.is_empty() {
            prefetch::read(Some(segment.bucket(segment.home(trace), &self.pages)));
        }
    }

    /// Second step, once the bucket has come: the number that most likely is the key's.
    #[inline]
    pub(crate) fn likely(&self, key: &PersonKey) -> Option<u32> {
        let trace = Trace::of(key);
        let segment = &self.segments[trace.segment];
        if segment.pages.is_empty() {
            return None;
        }
        let bucket = segment.bucket(segment.home(trace), &self.pages);
        let matches = bucket.matches(trace.tag);
        (matches != 0).then(|| bucket.numbers[matches.trailing_zeros() as usize])
    }

    /// Sets pages aside for so many people, so that taking them in moves nobody.
    fn reserve(&mut self, people: usize) {
        // Segments differ by chance: four standard deviations above the mean is room for nearly all.
        let mean = people >> SEGMENTS_LOG2;
        if mean == 0 {
            return;
        }
        let entries = mean + 4 * mean.isqrt() + 1;
        let buckets = (entries * 16).div_ceil(BUCKET_ENTRIES * FILL_SIXTEENTHS_MAX);
        for segment in &mut self.segments {
            segment.add_pages(buckets.div_ceil(PAGE_BUCKETS), &mut self.pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(count: u32, key: impl Fn(u32) -> PersonKey) -> (KeyIndex, Chunked<PersonKey>) {
        let mut index = KeyIndex::new();
        let mut keys = Chunked::new();
        for number in 0..count {
            assert_eq!(index.find(&key(number), &keys), None, "number {number}");
            keys.push(key(number));
            index.insert(number, &keys);
        }
        (index, keys)
    }

    fn hashed(number: u32) -> PersonKey {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(&number.to_le_bytes()).as_bytes()[..16]);
        PersonKey(key)
    }

    fn counted(number: u32) -> PersonKey {
        PersonKey(u128::from(number).to_be_bytes())
    }

    #[test]
    fn every_key_is_found_after_segments_grew_and_no_other() {
        let keyed: [fn(u32) -> PersonKey; 2] = [hashed, counted];
        for key in keyed {
            let count = 1_500_000;
            let (index, keys) = fill(count, key);
            assert!((0..count).all(|number| index.find(&key(number), &keys) == Some(number)));
            assert!(
                (count..count + 10_000).all(|number| index.find(&key(number), &keys).is_none())
            );
            assert!(index.segments.iter().all(|segment| segment.pages.len() > 1));
        }
    }

    #[test]
    fn a_rebuilt_index_finds_the_same_and_refuses_a_key_that_stands_twice() {
        let (_, mut keys) = fill(50_000, hashed);
        let mut index = KeyIndex::new();
        assert!(index.rebuild(&keys));
        assert!((0..50_000).all(|number| index.find(&hashed(number), &keys) == Some(number)));
        keys.push(hashed(77));
        assert!(!index.rebuild(&keys));
    }

    #[test]
    fn an_entry_takes_less_than_seven_bytes_at_the_size_of_a_nation() {
        let entries = 23_500_000_usize >> SEGMENTS_LOG2;
        let mut segment = Segment::default();
        let mut pages = Chunked::new();
        while segment.buckets() * BUCKET_ENTRIES * FILL_SIXTEENTHS_MAX <= entries * 16 {
            segment.add_pages(segment.pages.len() / 8 + 1, &mut pages);
        }
        let bytes = segment.pages.len() * size_of::<Page>();
        assert!(bytes < entries * 7, "{bytes} bytes for {entries}");
    }
}
