//! Rows that change, and that can be copied as they were at one moment while they go on changing.
//!
//! While rows are **watched**, the value of a row before each change is kept. What a row was when the
//! watch began is then the first value kept of it, or, where none was kept, what stands there now:
//! whoever copies rows portion by portion gets them all as of one moment, and never needs the array for
//! longer than a portion takes. Rows that are copied need no watching any more.
//!
//! Unwatched, a change costs one comparison more than in the plain array. What this file deliberately
//! does not do: copy. It knows no bytes.

use crate::state::chunked::Chunked;

/// Values of rows before they were changed, in the order of the changes.
pub(super) type Kept<T> = Chunked<(u32, T)>;

/// The array.
#[derive(Clone, Debug)]
pub(super) struct Rows<T> {
    rows: Chunked<T>,
    /// The first row watched.
    watched_from: u32,
    /// How many rows are watched; 0 when nobody copies.
    watched_count: u32,
    /// What was kept since it was last taken.
    kept: Kept<T>,
    /// How much may be kept.
    kept_max: u32,
    /// More changed than could be kept.
    overflowed: bool,
}

impl<T: Clone> Rows<T> {
    pub(super) const fn new() -> Rows<T> {
        Rows {
            rows: Chunked::new(),
            watched_from: 0,
            watched_count: 0,
            kept: Chunked::new(),
            kept_max: 0,
            overflowed: false,
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> u32 {
        self.rows.len()
    }

    /// Adds a row and returns its index.
    #[inline(always)]
    pub(super) fn push(&mut self, row: T) -> u32 {
        self.rows.push(row)
    }

    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.rows.get(index)
    }

    /// The row, to be changed.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        if index.wrapping_sub(self.watched_from) < self.watched_count {
            self.keep(index);
        }
        self.rows.get_mut(index)
    }

    /// The row, for a change of a part that nobody who copies rows looks at: nothing is kept.
    #[inline(always)]
    pub(super) fn get_mut_unwatched(&mut self, index: u32) -> Option<&mut T> {
        self.rows.get_mut(index)
    }

    /// All rows in order of index.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.iter()
    }

    /// Neighbouring rows as they stand: as far as they lie together, and at most so many.
    pub(super) fn portion(&self, from: u32, count_max: usize) -> &[T] {
        self.rows.portion(from, count_max)
    }

    /// From now on keeps what rows were, those there are now.
    pub(super) fn watch(&mut self, kept_max: u32) {
        self.watched_from = 0;
        self.watched_count = self.rows.len();
        self.kept = Chunked::new();
        self.kept_max = kept_max;
        self.overflowed = false;
    }

    /// Takes what was kept, and watches only rows from `from` on. `None` when more changed than could
    /// be kept: what was copied is no longer of one moment.
    pub(super) fn take_kept(&mut self, from: u32, kept_max: u32) -> Option<Kept<T>> {
        if self.overflowed {
            return None;
        }
        let passed = from.saturating_sub(self.watched_from).min(self.watched_count);
        self.watched_from += passed;
        self.watched_count -= passed;
        self.kept_max = kept_max;
        Some(std::mem::replace(&mut self.kept, Chunked::new()))
    }

    /// Keeps no more.
    pub(super) fn unwatch(&mut self) {
        self.watched_count = 0;
        self.kept = Chunked::new();
        self.overflowed = false;
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, index: u32) {
        if self.kept.len() >= self.kept_max {
            self.unwatch();
            self.overflowed = true;
            return;
        }
        if let Some(row) = self.rows.get(index) {
            self.kept.push((index, row.clone()));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn of(values: &[u8]) -> Rows<u8> {
        let mut rows = Rows::new();
        values.iter().for_each(|value| {
            rows.push(*value);
        });
        rows
    }

    fn set(rows: &mut Rows<u8>, index: u32, value: u8) {
        *rows.get_mut(index).unwrap() = value;
    }

    fn kept(rows: &mut Rows<u8>, from: u32) -> Vec<(u32, u8)> {
        rows.take_kept(from, 9).unwrap().iter().copied().collect()
    }

    #[test]
    fn only_changes_of_watched_rows_are_kept_in_order_and_once() {
        let mut rows = of(&[10, 11, 12]);
        set(&mut rows, 0, 20);
        rows.watch(9);
        rows.push(13);
        set(&mut rows, 0, 30);
        set(&mut rows, 2, 32);
        set(&mut rows, 0, 40);
        set(&mut rows, 3, 33);
        assert!(rows.get_mut(4).is_none());
        assert_eq!(kept(&mut rows, 1), [(0, 20), (2, 12), (0, 30)]);
        set(&mut rows, 0, 50);
        set(&mut rows, 1, 51);
        assert_eq!(kept(&mut rows, 3), [(1, 11)]);
        set(&mut rows, 2, 52);
        assert_eq!(kept(&mut rows, 3), []);
        assert!(rows.iter().eq(&[50, 51, 52, 33]));
    }

    #[test]
    fn more_than_may_be_kept_ends_the_watch_and_is_told() {
        let mut rows = of(&[10, 11]);
        rows.watch(1);
        set(&mut rows, 0, 20);
        set(&mut rows, 1, 21);
        assert!(rows.take_kept(0, 9).is_none());
        set(&mut rows, 1, 22);
        assert!(rows.take_kept(0, 9).is_none());
        rows.watch(1);
        set(&mut rows, 1, 23);
        assert_eq!(kept(&mut rows, 0), [(1, 22)]);
        rows.unwatch();
        set(&mut rows, 1, 24);
        assert_eq!(kept(&mut rows, 0), []);
    }
}
