//! What this gateway writes into a checkpoint beside the view: which journal, which group was the last,
//! and where groups were seen.

use domain::{Anchor, Sequence};
use journal::{JournalId, Position};

/// The layout of a note.
const FORMAT: u8 = 1;

/// Hints carried along: those of this checkpoint and of the ones before it.
const HINTS_MAX: usize = 8;

/// Where a group of events was seen. Only a place to begin looking: cursors are sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    /// The group's last command.
    pub(super) sequence: Sequence,
    /// Where it stood.
    pub(super) position: Position,
}

/// The note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// Which journal.
    pub(super) journal: JournalId,
    /// The last group that the view holds.
    pub(super) anchor: Anchor,
    /// Where to begin reading, the best first.
    pub(super) hints: Vec<Hint>,
}

impl Note {
    /// Packs it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.journal.0);
        out.extend_from_slice(&self.anchor.last.0.to_le_bytes());
        out.extend_from_slice(&self.anchor.chain);
        for hint in &self.hints {
            out.extend_from_slice(&hint.sequence.0.to_le_bytes());
            out.extend_from_slice(&hint.position.0.to_le_bytes());
        }
        out
    }

    /// Reads it; `None` when this build did not write it.
    pub(super) fn decode(bytes: &[u8]) -> Option<Note> {
        let (&[FORMAT], rest) = bytes.split_first_chunk()? else { return None };
        let (journal, rest) = rest.split_first_chunk::<16>()?;
        let (last, rest) = rest.split_first_chunk::<8>()?;
        let (chain, rest) = rest.split_first_chunk::<32>()?;
        let (pairs, rest) = rest.as_chunks::<16>();
        let hint = |pair: &[u8; 16]| {
            let (sequence, position) = pair.split_first_chunk::<8>()?;
            Some(Hint {
                sequence: Sequence(u64::from_le_bytes(*sequence)),
                position: Position(u64::from_le_bytes(*position.first_chunk()?)),
            })
        };
        let hints = pairs.iter().map(hint).collect::<Option<Vec<Hint>>>()?;
        (rest.is_empty() && hints.len() <= HINTS_MAX).then_some(Note {
            journal: JournalId(*journal),
            anchor: Anchor { last: Sequence(u64::from_le_bytes(*last)), chain: *chain },
            hints,
        })
    }
}

/// Puts the newest hint before the others and lets go of the oldest.
pub(super) fn remember(hints: &mut Vec<Hint>, newest: Hint) {
    hints.retain(|hint| hint.sequence < newest.sequence);
    hints.insert(0, newest);
    hints.truncate(HINTS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(number: u64) -> Hint {
        Hint { sequence: Sequence(number), position: Position(number * 10) }
    }

    #[test]
    fn a_note_survives_its_encoding_and_other_bytes_are_none() {
        let note = Note {
            journal: JournalId([3; 16]),
            anchor: Anchor { last: Sequence(9), chain: [5; 32] },
            hints: vec![hint(9), hint(4)],
        };
        let bytes = note.encode();
        assert_eq!(Note::decode(&bytes), Some(note));
        for length in (0..bytes.len()).filter(|length| !(bytes.len() - length).is_multiple_of(16)) {
            assert_eq!(Note::decode(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Note::decode(&[&[FORMAT + 1], &bytes[1..]].concat()), None);
        assert_eq!(Note::decode(&[bytes.as_slice(), &[0; 16 * HINTS_MAX]].concat()), None);
    }

    #[test]
    fn the_newest_hints_are_kept_and_those_of_torn_off_events_are_not() {
        let mut hints = Vec::new();
        (1..=20).for_each(|number| remember(&mut hints, hint(number)));
        assert_eq!((hints.len(), hints[0], hints[7]), (HINTS_MAX, hint(20), hint(13)));
        remember(&mut hints, hint(15));
        assert_eq!(hints, [hint(15), hint(14), hint(13)]);
    }
}
