//! Continuing from a checkpoint: first find again the group at which it ends.
//!
//! A checkpoint names its last group by its last sequence and its chain hash, which stands for all
//! commands before. Until a group that ends there has been seen, nothing is applied: with it the reader
//! knows that the stream tells the history that the checkpoint was made of, and that it reads from a
//! place where nothing was missed. The position at which it was last seen is only a hint.

use crate::Sequence;

/// The last group that a checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its last command.
    pub last: Sequence,
    /// The chain hash through it.
    pub chain: [u8; 32],
}

/// What a group tells about an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// It comes before: go on.
    Before,
    /// This is it: what follows continues the checkpoint.
    Found,
    /// It comes after. At a hint: the hint is no good, begin further back. From the start of the
    /// stream: a deposed engine's, drop it.
    After,
    /// The same sequences came of other commands: the checkpoint belongs to another history.
    OtherHistory,
}

impl Anchor {
    /// Judges the group of the commands `first..=last` (`last` is one below `first` for an empty
    /// group) with the chain hash through its last command.
    pub fn judge(&self, first: Sequence, last: Sequence, chain: &[u8; 32]) -> Sighting {
        if last < first || last < self.last {
            return Sighting::Before;
        }
        if first > self.last {
            return Sighting::After;
        }
        // Groups of events have the borders of their groups of commands, whoever writes them.
        match last == self.last && *chain == self.chain {
            true => Sighting::Found,
            false => Sighting::OtherHistory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_group_that_ends_there_with_the_same_chain_is_the_anchor() {
        let anchor = Anchor { last: Sequence(20), chain: [7; 32] };
        let cases = [
            (11, 20, 7, Sighting::Found),
            (20, 20, 7, Sighting::Found),
            (1, 20, 7, Sighting::Found),
            (11, 20, 8, Sighting::OtherHistory),
            (11, 19, 7, Sighting::Before),
            (1, 1, 8, Sighting::Before),
            (21, 30, 7, Sighting::After),
            (22, 22, 7, Sighting::After),
            (15, 25, 7, Sighting::OtherHistory),
            (20, 21, 8, Sighting::OtherHistory),
            // Empty groups tell nothing.
            (21, 20, 7, Sighting::Before),
            (25, 24, 7, Sighting::Before),
            (5, 4, 7, Sighting::Before),
        ];
        for (first, last, chain, expected) in cases {
            let seen = anchor.judge(Sequence(first), Sequence(last), &[chain; 32]);
            assert_eq!(seen, expected, "{first}..={last}");
        }
    }
}
