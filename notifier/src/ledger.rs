//! What the `deliveries` stream says: who notifies, how far texts are settled, what is under way.
//!
//! A pure fold, so that every instance that reads the stream comes to the same words. Records of a
//! deposed notifier are void and counted.
//!
//! What this file deliberately does not do: read or write the stream, look at events.

use domain::watermark::EventId;

use crate::deliveries::{DeliveryRecord, DeliveryState, Intents, Results};

/// The stream, folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The highest epoch that began; 0 before the first.
    epoch: u64,
    /// Who began it.
    owner: Option<[u8; 16]>,
    /// The last event whose text is settled.
    settled: Option<EventId>,
    /// Texts that may have been sent, and whose results are still to come.
    pending: Option<Intents>,
    /// Texts by state.
    counts: [u64; DeliveryState::ALL.len()],
    /// Records that did not count.
    void: u64,
}

impl Ledger {
    /// Takes in the next record of the stream. False when it does not count.
    pub(crate) fn absorb(&mut self, record: DeliveryRecord) -> bool {
        let counts = match record {
            DeliveryRecord::Epoch { epoch, notifier } if epoch == self.epoch + 1 => {
                self.epoch = epoch;
                self.owner = Some(notifier);
                true
            }
            DeliveryRecord::Epoch { .. } => false,
            DeliveryRecord::Beat { epoch } => epoch == self.epoch,
            DeliveryRecord::Intents(intents) => self.begin(intents),
            DeliveryRecord::Results(results) => self.settle(&results),
        };
        self.void += u64::from(!counts);
        counts
    }

    fn begin(&mut self, intents: Intents) -> bool {
        let fits = intents.epoch == self.epoch
            && self.pending.is_none()
            && intents.events.first().is_some_and(|first| self.is_owed(*first));
        if fits {
            self.pending = Some(intents);
        }
        fits
    }

    fn settle(&mut self, results: &Results) -> bool {
        let fits = results.epoch == self.epoch
            && self.pending.as_ref().is_some_and(|pending| {
                pending.events.last() == Some(&results.through)
                    && pending.events.len() == results.states.len()
            });
        if fits {
            self.pending = None;
            self.settled = Some(results.through);
            for state in &results.states {
                self.counts[*state as usize] += 1;
            }
        }
        fits
    }

    /// True when the text of this event is not settled yet.
    pub(crate) fn is_owed(&self, id: EventId) -> bool {
        self.settled.is_none_or(|settled| id > settled)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// True when this notifier began the epoch that holds.
    pub(crate) fn is_owned_by(&self, notifier: &[u8; 16]) -> bool {
        self.owner.as_ref() == Some(notifier)
    }

    pub(crate) fn pending(&self) -> Option<&Intents> {
        self.pending.as_ref()
    }

    pub(crate) fn settled(&self) -> Option<EventId> {
        self.settled
    }

    /// Texts by state, in the order of [`DeliveryState::ALL`].
    pub(crate) fn counts(&self) -> &[u64; DeliveryState::ALL.len()] {
        &self.counts
    }

    pub(crate) fn void(&self) -> u64 {
        self.void
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Sequence;

    const A: [u8; 16] = [1; 16];
    const B: [u8; 16] = [2; 16];

    fn id(sequence: u64) -> EventId {
        EventId::new(Sequence(sequence), 0)
    }

    fn epoch(epoch: u64, notifier: [u8; 16]) -> DeliveryRecord {
        DeliveryRecord::Epoch { epoch, notifier }
    }

    fn intents(epoch: u64, sequences: &[u64]) -> DeliveryRecord {
        let events = sequences.iter().map(|sequence| id(*sequence)).collect();
        DeliveryRecord::Intents(Intents { epoch, mark: 0, events })
    }

    fn results(epoch: u64, through: u64, count: usize) -> DeliveryRecord {
        let states = vec![DeliveryState::Sent; count];
        DeliveryRecord::Results(Results { epoch, through: id(through), states })
    }

    #[test]
    fn intents_are_pending_until_their_results() {
        let mut ledger = Ledger::default();
        assert!(ledger.absorb(epoch(1, A)) && ledger.is_owned_by(&A));
        assert!(ledger.absorb(intents(1, &[3, 7])));
        assert_eq!(ledger.pending().map(|pending| pending.events.len()), Some(2));
        assert!(ledger.is_owed(id(3)));
        assert!(ledger.absorb(results(1, 7, 2)));
        assert_eq!((ledger.pending(), ledger.settled()), (None, Some(id(7))));
        assert!(!ledger.is_owed(id(7)) && ledger.is_owed(id(8)));
        assert_eq!(ledger.counts()[DeliveryState::Sent as usize], 2);
        assert_eq!(ledger.void(), 0);
    }

    #[test]
    fn the_first_record_of_an_epoch_wins_and_the_deposed_notifier_is_not_heard() {
        let mut ledger = Ledger::default();
        for record in [epoch(1, A), intents(1, &[3])] {
            assert!(ledger.absorb(record));
        }
        assert!(ledger.absorb(epoch(2, B)));
        assert!(!ledger.absorb(epoch(2, A)), "the second record of an epoch");
        assert!(!ledger.absorb(epoch(4, A)), "an epoch that leaves one out");
        assert!(ledger.is_owned_by(&B));
        assert!(!ledger.absorb(results(1, 3, 1)), "results of the deposed one");
        assert!(!ledger.absorb(intents(1, &[9])), "intents of the deposed one");
        assert!(!ledger.absorb(DeliveryRecord::Beat { epoch: 1 }));
        // The successor settles what the deposed one began.
        assert_eq!(ledger.pending().map(|pending| pending.epoch), Some(1));
        assert!(ledger.absorb(results(2, 3, 1)));
        assert_eq!(ledger.void(), 5);
    }

    #[test]
    fn records_that_do_not_fit_are_void() {
        let mut ledger = Ledger::default();
        assert!(!ledger.absorb(intents(1, &[3])), "before any epoch");
        assert!(ledger.absorb(epoch(1, A)));
        assert!(!ledger.absorb(results(1, 3, 1)), "results of nothing");
        assert!(ledger.absorb(intents(1, &[3, 7])));
        assert!(!ledger.absorb(intents(1, &[8])), "intents before the results");
        assert!(!ledger.absorb(results(1, 3, 2)), "another last event");
        assert!(!ledger.absorb(results(1, 7, 1)), "another count");
        assert!(ledger.absorb(results(1, 7, 2)));
        assert!(!ledger.absorb(intents(1, &[7])), "a text that is settled");
    }
}
