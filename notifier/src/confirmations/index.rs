//! Where groups of events stand, for a few of them.
//!
//! What this file deliberately does not do: survive a restart. It fills as events are read.

use domain::Sequence;
use journal::Position;

/// Places remembered; beyond, every second one is forgotten.
const PLACES_MAX: usize = 16_384;
/// Commands between two places, at first.
const SPACING_COMMANDS: u64 = 1_024;

/// Some places, evenly spaced.
#[derive(Debug)]
pub(super) struct SparseIndex {
    /// First sequence of a group, and where it stands; growing.
    places: Vec<(Sequence, Position)>,
    /// Commands between two places; doubles when the list is full.
    spacing: u64,
}

impl Default for SparseIndex {
    fn default() -> SparseIndex {
        SparseIndex { places: Vec::new(), spacing: SPACING_COMMANDS }
    }
}

impl SparseIndex {
    /// Remembers a group, if it lies far enough behind the last one remembered.
    pub(super) fn note(&mut self, first: Sequence, position: Position) {
        let due = self.places.last().map_or(1, |(last, _)| last.0.saturating_add(self.spacing));
        if first.0 < due {
            return;
        }
        if self.places.len() >= PLACES_MAX {
            let mut place = 0;
            self.places.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.spacing *= 2;
        }
        self.places.push((first, position));
    }

    /// The last group remembered that begins at or before this command; the beginning of the stream
    /// when there is none.
    pub(super) fn before(&self, sequence: Sequence) -> (Sequence, Position) {
        let behind = self.places.partition_point(|(first, _)| *first <= sequence);
        match behind.checked_sub(1) {
            Some(place) => self.places[place],
            None => (Sequence(1), Position::START),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_found_is_never_behind_the_one_sought_and_never_far_before_it() {
        let mut index = SparseIndex::default();
        // Groups of 100 commands, many more than the list holds.
        for group in 0..400_000_u64 {
            index.note(Sequence(1 + group * 100), Position(group));
        }
        assert!(index.places.len() <= PLACES_MAX);
        let far = 2 * (index.spacing + 100);
        for sought in (1..40_000_000).step_by(9_973) {
            let (first, position) = index.before(Sequence(sought));
            assert!(first.0 <= sought && sought - first.0 <= far, "{sought}: {first:?}");
            assert_eq!(first.0, 1 + position.0 * 100);
        }
    }

    #[test]
    fn an_empty_index_begins_at_the_beginning() {
        let mut index = SparseIndex::default();
        assert_eq!(index.before(Sequence(9_999)), (Sequence(1), Position::START));
        index.note(Sequence(500), Position(7));
        assert_eq!(index.before(Sequence(499)), (Sequence(1), Position::START));
        assert_eq!(index.before(Sequence(500)), (Sequence(500), Position(7)));
        // Notes out of turn change nothing.
        index.note(Sequence(3), Position(1));
        assert_eq!(index.before(Sequence(499)), (Sequence(1), Position::START));
    }
}
