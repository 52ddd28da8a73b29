//! The records of the `deliveries` stream: who notifies, what is about to be sent, what became of it.
//!
//! A record is a format byte, a kind byte, and its fields in postcard. Ids of events stand as
//! differences, states as runs, so that a text costs about three bytes in all.
//!
//! What this file deliberately does not do: judge which records count ([`crate::ledger`]).

use domain::{Sequence, watermark::EventId};
use serde::{Deserialize, Serialize};

/// The newest format this build reads, and the one it writes.
const FORMAT: u8 = 1;

mod kind {
    pub(super) const EPOCH: u8 = 1;
    pub(super) const BEAT: u8 = 2;
    pub(super) const INTENTS: u8 = 3;
    pub(super) const RESULTS: u8 = 4;
}

/// Texts that one record of intents can name.
pub(crate) const INTENTS_MAX: usize = 4_096;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryRecord {
    /// A notifier takes over. The first record of an epoch wins.
    Epoch {
        /// One more than the highest epoch before.
        epoch: u64,
        /// Which notifier.
        notifier: [u8; 16],
    },
    /// The active notifier is there and has nothing to do.
    Beat {
        /// Its epoch.
        epoch: u64,
    },
    /// These texts are about to be sent; until their results follow, each may have been.
    Intents(Intents),
    /// What became of the texts named last.
    Results(Results),
}

/// Texts about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intents {
    /// The epoch of the notifier that sends them.
    pub epoch: u64,
    /// The provider's mark before the first of them.
    pub mark: u64,
    /// The events they tell of, in order. The reference of a text is the id of its event.
    pub events: Vec<EventId>,
}

/// What became of the texts of the last intents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Results {
    /// The epoch of the notifier that writes this.
    pub epoch: u64,
    /// The last event of the intents: everything up to it is settled.
    pub through: EventId,
    /// One state each, in the order of the intents.
    pub states: Vec<DeliveryState>,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum DeliveryState {
    /// The provider took it.
    Sent,
    /// A look-up after a lost answer or a crash showed that the provider had taken it.
    FoundSent,
    /// The provider took it, and may have taken it once before: its first answer was lost and it offers
    /// no look-up.
    PerhapsTwice,
    /// Its answers were lost and it offers no look-up: nobody here knows.
    Unconfirmed,
    /// The provider will not take it.
    Refused,
    /// The provider could not be reached for too long.
    GivenUp,
    /// The person has no contact data.
    NoContact,
    /// The contact data does not open: changed, or of another person.
    UnreadableContact,
    /// The contact data holds no mobile number.
    NoPhone,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [DeliveryState; 9] = [
        DeliveryState::Sent,
        DeliveryState::FoundSent,
        DeliveryState::PerhapsTwice,
        DeliveryState::Unconfirmed,
        DeliveryState::Refused,
        DeliveryState::GivenUp,
        DeliveryState::NoContact,
        DeliveryState::UnreadableContact,
        DeliveryState::NoPhone,
    ];

    /// For logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            DeliveryState::Sent => "sent",
            DeliveryState::FoundSent => "found_sent",
            DeliveryState::PerhapsTwice => "perhaps_twice",
            DeliveryState::Unconfirmed => "unconfirmed",
            DeliveryState::Refused => "refused",
            DeliveryState::GivenUp => "given_up",
            DeliveryState::NoContact => "no_contact",
            DeliveryState::UnreadableContact => "unreadable_contact",
            DeliveryState::NoPhone => "no_phone",
        }
    }

    /// True when the person certainly has the text, at least once.
    pub const fn is_sent(self) -> bool {
        matches!(self, DeliveryState::Sent | DeliveryState::FoundSent | DeliveryState::PerhapsTwice)
    }
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryDecodeError {
    /// No version wrote these bytes.
    #[error("deliveries: a record cannot be read")]
    Malformed,
    /// A newer version wrote them: the reader must halt.
    #[error(
        "deliveries: a record has format {found}, this build reads up to {FORMAT}; start the newer version that wrote it"
    )]
    NewerFormat {
        /// What the record says.
        found: u8,
    },
}

#[derive(Serialize, Deserialize)]
struct PackedIntents {
    epoch: u64,
    mark: u64,
    shard: u16,
    first: u64,
    /// Difference to the sequence before, and index.
    events: Vec<(u64, u16)>,
}

#[derive(Serialize, Deserialize)]
struct PackedResults {
    epoch: u64,
    shard: u16,
    sequence: u64,
    index: u16,
    runs: Vec<(u32, DeliveryState)>,
}

/// Gives one record's bytes.
pub(crate) fn encode_delivery(record: &DeliveryRecord) -> Vec<u8> {
    match record {
        DeliveryRecord::Epoch { epoch, notifier } => packed(kind::EPOCH, &(epoch, notifier)),
        DeliveryRecord::Beat { epoch } => packed(kind::BEAT, epoch),
        DeliveryRecord::Intents(intents) => packed(kind::INTENTS, &pack_intents(intents)),
        DeliveryRecord::Results(results) => packed(kind::RESULTS, &pack_results(results)),
    }
}

/// Reads one record.
///
/// # Errors
/// When no version wrote these bytes, or a newer one did.
pub fn decode_delivery(bytes: &[u8]) -> Result<DeliveryRecord, DeliveryDecodeError> {
    let malformed = |_| DeliveryDecodeError::Malformed;
    match bytes {
        [found, ..] if *found > FORMAT => Err(DeliveryDecodeError::NewerFormat { found: *found }),
        [FORMAT, kind::EPOCH, body @ ..] => {
            let (epoch, notifier) = postcard::from_bytes(body).map_err(malformed)?;
            Ok(DeliveryRecord::Epoch { epoch, notifier })
        }
        [FORMAT, kind::BEAT, body @ ..] => {
            Ok(DeliveryRecord::Beat { epoch: postcard::from_bytes(body).map_err(malformed)? })
        }
        [FORMAT, kind::INTENTS, body @ ..] => {
            let packed: PackedIntents = postcard::from_bytes(body).map_err(malformed)?;
            unpack_intents(packed).map(DeliveryRecord::Intents)
        }
        [FORMAT, kind::RESULTS, body @ ..] => {
            let packed: PackedResults = postcard::from_bytes(body).map_err(malformed)?;
            unpack_results(packed).map(DeliveryRecord::Results)
        }
        _ => Err(DeliveryDecodeError::Malformed),
    }
}

fn packed<T: Serialize>(kind: u8, fields: &T) -> Vec<u8> {
    match postcard::to_extend(fields, vec![FORMAT, kind]) {
        Ok(bytes) => bytes,
        Err(_) => unreachable!("postcard packs every record into a vector"),
    }
}

fn pack_intents(intents: &Intents) -> PackedIntents {
    let first = intents.events.first().copied().unwrap_or(EventId::new(Sequence(0), 0));
    let mut before = first.sequence.0;
    let events = intents.events.iter().map(|id| {
        let difference = id.sequence.0 - before;
        before = id.sequence.0;
        (difference, id.index)
    });
    PackedIntents {
        epoch: intents.epoch,
        mark: intents.mark,
        shard: first.shard,
        first: first.sequence.0,
        events: events.collect(),
    }
}

fn unpack_intents(packed: PackedIntents) -> Result<Intents, DeliveryDecodeError> {
    if packed.events.is_empty() || packed.events.len() > INTENTS_MAX {
        return Err(DeliveryDecodeError::Malformed);
    }
    let mut sequence = packed.first;
    let mut events = Vec::with_capacity(packed.events.len());
    for (difference, index) in packed.events {
        sequence = sequence.checked_add(difference).ok_or(DeliveryDecodeError::Malformed)?;
        let id = EventId { shard: packed.shard, sequence: Sequence(sequence), index };
        if events.last().is_some_and(|before| id <= *before) {
            return Err(DeliveryDecodeError::Malformed);
        }
        events.push(id);
    }
    Ok(Intents { epoch: packed.epoch, mark: packed.mark, events })
}

fn pack_results(results: &Results) -> PackedResults {
    let mut runs: Vec<(u32, DeliveryState)> = Vec::new();
    for state in &results.states {
        match runs.last_mut() {
            Some((count, of)) if of == state => *count += 1,
            _ => runs.push((1, *state)),
        }
    }
    let EventId { shard, sequence, index } = results.through;
    PackedResults { epoch: results.epoch, shard, sequence: sequence.0, index, runs }
}

fn unpack_results(packed: PackedResults) -> Result<Results, DeliveryDecodeError> {
    let total: u64 = packed.runs.iter().map(|(count, _)| u64::from(*count)).sum();
    if total == 0 || total > INTENTS_MAX as u64 {
        return Err(DeliveryDecodeError::Malformed);
    }
    let states =
        packed.runs.iter().flat_map(|(count, state)| std::iter::repeat_n(*state, *count as usize));
    let through =
        EventId { shard: packed.shard, sequence: Sequence(packed.sequence), index: packed.index };
    Ok(Results { epoch: packed.epoch, through, states: states.collect() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn id(sequence: u64, index: u16) -> EventId {
        EventId::new(Sequence(sequence), index)
    }

    fn records() -> Vec<DeliveryRecord> {
        vec![
            DeliveryRecord::Epoch { epoch: 1, notifier: *b"sixteen bytes ok" },
            DeliveryRecord::Beat { epoch: u64::MAX },
            DeliveryRecord::Intents(Intents {
                epoch: 1,
                mark: 700,
                events: vec![id(5, 0), id(5, 3), id(9, 0), id(123_456, 1)],
            }),
            DeliveryRecord::Results(Results {
                epoch: 1,
                through: id(123_456, 1),
                states: vec![
                    DeliveryState::Sent,
                    DeliveryState::Sent,
                    DeliveryState::NoPhone,
                    DeliveryState::FoundSent,
                ],
            }),
        ]
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        for record in records() {
            assert_eq!(decode_delivery(&encode_delivery(&record)), Ok(record));
        }
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let hex: Vec<String> = records()
            .iter()
            .map(|record| {
                encode_delivery(record).iter().map(|byte| format!("{byte:02x}")).collect()
            })
            .collect();
        assert_eq!(
            hex,
            [
                "0101017369787465656e206279746573206f6b",
                "0102ffffffffffffffffff01",
                "010301bc05000504000000030400b7c40701",
                "01040100c0c4070103020001080101"
            ]
        );
    }

    #[test]
    fn what_no_version_wrote_is_refused_and_a_newer_format_is_named() {
        for record in records() {
            let bytes = encode_delivery(&record);
            for length in 0..bytes.len() {
                assert!(decode_delivery(&bytes[..length]).is_err(), "{record:?} {length}");
            }
            let newer = [&[2], &bytes[1..]].concat();
            let refused = decode_delivery(&newer);
            assert_eq!(refused, Err(DeliveryDecodeError::NewerFormat { found: 2 }));
        }
        let backwards =
            PackedIntents { epoch: 1, mark: 0, shard: 0, first: 5, events: vec![(0, 1), (0, 1)] };
        let huge = PackedResults {
            epoch: 1,
            shard: 0,
            sequence: 1,
            index: 0,
            runs: vec![(u32::MAX, DeliveryState::Sent); 8],
        };
        for bytes in [packed(kind::INTENTS, &backwards), packed(kind::RESULTS, &huge), vec![1, 9]] {
            assert_eq!(decode_delivery(&bytes), Err(DeliveryDecodeError::Malformed));
        }
    }

    #[test]
    fn a_text_costs_about_three_bytes() {
        let events: Vec<EventId> = (0..1_000).map(|place| id(1_000_000 + 2 * place, 0)).collect();
        let intents = Intents { epoch: 3, mark: 1 << 40, events };
        let results = Results {
            epoch: 3,
            through: id(1_001_998, 0),
            states: vec![DeliveryState::Sent; 1_000],
        };
        let bytes = encode_delivery(&DeliveryRecord::Intents(intents)).len()
            + encode_delivery(&DeliveryRecord::Results(results)).len();
        assert!(bytes < 3_000, "{bytes}");
    }
}
