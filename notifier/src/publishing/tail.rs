//! What the end of the topic says about all of it.
//!
//! A batch that failed may be there in part, with holes. Only one batch can be: whoever publishes begins
//! a batch when everything before it is durable, and fills holes before going on, so every id beyond what
//! is complete lies among the next [`BATCH_MESSAGES_MAX`] messages, whoever wrote it and however late it
//! arrived. Leaving out as many of the highest ids as a batch may have leads therefore to an id up to
//! which nothing is missing; and the ids left out are known one by one.
//!
//! What this file deliberately does not do: know which ids there should be.
//!
//! [`BATCH_MESSAGES_MAX`]: super::BATCH_MESSAGES_MAX

use std::collections::BTreeSet;

use domain::watermark::EventId;

use super::topic::{ConfirmationTopic, TopicError};

/// Batches' worth of records asked for at first: a batch at the end, one that a deposed notifier wrote
/// late, and what lies before both.
const BATCHES_READ: usize = 4;

/// The end of the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The topic holds this id and every message before it.
    pub(super) complete: Option<EventId>,
    /// It holds these higher ids too.
    pub(super) known: BTreeSet<EventId>,
}

impl Tail {
    /// Reads as much of the end as is needed.
    pub(super) fn read(
        topic: &dyn ConfirmationTopic,
        batch_messages_max: usize,
    ) -> Result<Tail, TopicError> {
        let mut count = batch_messages_max.saturating_mul(BATCHES_READ);
        loop {
            let ids = topic.last_ids(count)?;
            let is_whole = ids.len() < count;
            let mut known: BTreeSet<EventId> = ids.into_iter().collect();
            let lowest_left_out = known.iter().nth_back(batch_messages_max - 1).copied();
            if let Some(lowest) = lowest_left_out.filter(|lowest| known.first() != Some(lowest)) {
                let left_out = known.split_off(&lowest);
                return Ok(Tail { complete: known.last().copied(), known: left_out });
            }
            if is_whole {
                return Ok(Tail { complete: None, known });
            }
            // So many repeats are rare: a batch that failed again and again.
            count = count.saturating_mul(2);
        }
    }
}

/// How many of the messages owed make the next batch. Holes are filled before anything new is written: were
/// both in one batch that failed again, ids further ahead would be there while the hole still is.
pub(super) fn next_batch(
    known: &BTreeSet<EventId>,
    owed: impl Iterator<Item = EventId>,
    batch_messages_max: usize,
) -> usize {
    let mut owed = owed.take(batch_messages_max).peekable();
    let hole_end = known.last().filter(|last| owed.peek().is_some_and(|first| first < *last));
    match hole_end {
        Some(end) => owed.take_while(|id| id < end).count(),
        None => owed.count(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::publishing::Message;
    use domain::Sequence;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    const BATCH: usize = 4;

    /// A topic that is ids alone.
    #[derive(Default)]
    struct Ids(Vec<EventId>);

    impl ConfirmationTopic for Ids {
        fn last_ids(&self, count: usize) -> Result<Vec<EventId>, TopicError> {
            Ok(self.0[self.0.len().saturating_sub(count)..].to_vec())
        }

        fn publish(&mut self, _: &[Message]) -> Result<(), TopicError> {
            Err(TopicError("not used here".into()))
        }
    }

    fn id(place: u64) -> EventId {
        EventId::new(Sequence(3 * place + 1), 0)
    }

    fn tail(places: impl IntoIterator<Item = u64>) -> Tail {
        Tail::read(&Ids(places.into_iter().map(id).collect()), BATCH).unwrap()
    }

    #[test]
    fn the_highest_ids_are_known_one_by_one_and_nothing_is_missing_before_them() {
        type Case = (Vec<u64>, Option<u64>, Vec<u64>);
        let cases: [Case; 6] = [
            (vec![], None, vec![]),
            (vec![0, 1, 3], None, vec![0, 1, 3]),
            (vec![0, 1, 2, 3], None, vec![0, 1, 2, 3]),
            (vec![0, 1, 2, 3, 5], Some(0), vec![1, 2, 3, 5]),
            // A late batch of a deposed notifier.
            ((0..40).chain(4..8).collect(), Some(35), vec![36, 37, 38, 39]),
            // Repeats fill what is read at first.
            ((0..9).chain([8; 60]).collect(), Some(4), vec![5, 6, 7, 8]),
        ];
        for (places, complete, known) in cases {
            let expected =
                Tail { complete: complete.map(id), known: known.into_iter().map(id).collect() };
            assert_eq!(tail(places.clone()), expected, "{places:?}");
        }
    }

    /// What a consumer takes, by the rule of `docs/confirmations.md`: it remembers as many of the highest
    /// ids as a batch may have, and drops those and everything below them.
    fn taken(topic: &Ids) -> Vec<EventId> {
        let mut remembered = BTreeSet::new();
        let mut taken = Vec::new();
        for id in &topic.0 {
            let is_below = remembered.len() == BATCH && remembered.first() > Some(id);
            if is_below || !remembered.insert(*id) {
                continue;
            }
            taken.push(*id);
            if remembered.len() > BATCH {
                remembered.pop_first();
            }
        }
        taken
    }

    /// What publishers do to a topic, reduced to ids: batches that fail in any way, publishers that stop
    /// anywhere, and batches that arrive when others have gone on. The last publisher has no trouble.
    fn history(seed: u64, check: impl Fn(&Ids, &Tail)) -> Ids {
        const PUBLISHERS: u32 = 12;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: u64| random.next_u64() % bound;
        let mut topic = Ids::default();
        let mut late: Vec<Vec<EventId>> = Vec::new();
        for publisher in 1..=PUBLISHERS {
            let learned = Tail::read(&topic, BATCH).unwrap();
            check(&topic, &learned);
            let mut owed = (0..)
                .map(id)
                .filter(|id| Some(*id) > learned.complete && !learned.known.contains(id));
            for _ in 0..below(5) {
                let length = 1 + below(BATCH as u64) as usize;
                let length = next_batch(&learned.known, owed.clone(), length);
                let batch: Vec<EventId> = owed.by_ref().take(length).collect();
                let fails = below(3) == 0 && publisher < PUBLISHERS;
                if fails && below(3) == 0 {
                    late.push(batch);
                    break;
                }
                topic.0.extend(batch.iter().filter(|_| !fails || below(2) == 0));
                if fails {
                    break;
                }
            }
            if below(4) == 0 && !late.is_empty() {
                let arrives = late.remove(below(late.len() as u64) as usize);
                topic.0.extend(arrives.iter().filter(|_| below(3) > 0));
            }
        }
        topic
    }

    #[test]
    fn no_history_of_failures_makes_the_end_lie_or_a_consumer_miss_a_message() {
        let (mut holes, mut repeats) = (0, 0);
        for seed in 0..20_000 {
            let topic = history(seed, |topic, learned| {
                let held: BTreeSet<EventId> = topic.0.iter().copied().collect();
                assert!(learned.known.is_subset(&held), "seed {seed}");
                let Some(complete) = learned.complete else { return };
                for id in (0..).map(id).take_while(|id| *id <= complete) {
                    assert!(held.contains(&id), "seed {seed}: {id} is missing: {:?}", topic.0);
                }
            });
            let mut taken = taken(&topic);
            holes += usize::from(!taken.is_sorted());
            repeats += topic.0.len() - taken.len();
            taken.sort_unstable();
            let held: BTreeSet<EventId> = topic.0.iter().copied().collect();
            assert_eq!(taken, Vec::from_iter(held), "seed {seed}");
        }
        assert!(holes > 100 && repeats > 1_000, "{holes} {repeats}");
    }
}
