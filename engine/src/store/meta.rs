//! What a checkpoint says of itself: which journal, how far, and how to recognise the place.

use journal::Group;

/// The format of descriptions and of the values beside them.
const FORMAT: u8 = 1;
/// Encoded size.
const META_BYTES: usize = 1 + 16 + 8 * 3 + 32 * 2 + 8 + 4 + 8 + 8 + CHECK_BYTES;
/// A short hash at the end tells damage from data.
const CHECK_BYTES: usize = 8;

/// A checkpoint's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointMeta {
    /// Which journal.
    pub(crate) journal: [u8; 16],
    /// Commands applied.
    pub(crate) sequence: u64,
    /// Where the last group with commands stands.
    pub(crate) position: u64,
    /// Where reading continues.
    pub(crate) next: u64,
    /// Hash of that last group.
    pub(crate) group_hash: [u8; 32],
    /// Chain hash through that group.
    pub(crate) chain: [u8; 32],
    /// Highest epoch read.
    pub(crate) epoch: u64,
    /// Rules in force.
    pub(crate) rules_version: u32,
    /// Where the events group that ends at `sequence` stands (a hint).
    pub(crate) events_position: u64,
    /// Time of the last group.
    pub(crate) at_ms: i64,
}

/// Why a description cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadMeta {
    /// A newer version wrote it.
    Newer { found: u8, known: u8 },
    /// It is not what was written.
    Damaged(&'static str),
}

impl CheckpointMeta {
    /// Packs it, with its check at the end.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(META_BYTES);
        out.push(FORMAT);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.next.to_le_bytes());
        out.extend_from_slice(&self.group_hash);
        out.extend_from_slice(&self.chain);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.rules_version.to_le_bytes());
        out.extend_from_slice(&self.events_position.to_le_bytes());
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        let check = check(&out);
        out.extend_from_slice(&check);
        out
    }

    /// Reads what [`CheckpointMeta::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<CheckpointMeta, BadMeta> {
        match bytes.first() {
            None => return Err(BadMeta::Damaged("empty")),
            Some(&found) if found > FORMAT => {
                return Err(BadMeta::Newer { found, known: FORMAT });
            }
            Some(_) => {}
        }
        let Some((body, stored)) = bytes.split_last_chunk::<CHECK_BYTES>() else {
            return Err(BadMeta::Damaged("too short"));
        };
        if check(body) != *stored {
            return Err(BadMeta::Damaged("checksum does not match"));
        }
        let mut fields = Fields(body);
        let [_format] = fields.take::<1>()?;
        let meta = CheckpointMeta {
            journal: fields.take()?,
            sequence: u64::from_le_bytes(fields.take()?),
            position: u64::from_le_bytes(fields.take()?),
            next: u64::from_le_bytes(fields.take()?),
            group_hash: fields.take()?,
            chain: fields.take()?,
            epoch: u64::from_le_bytes(fields.take()?),
            rules_version: u32::from_le_bytes(fields.take()?),
            events_position: u64::from_le_bytes(fields.take()?),
            at_ms: i64::from_le_bytes(fields.take()?),
        };
        if !fields.0.is_empty() {
            return Err(BadMeta::Damaged("too long"));
        }
        Ok(meta)
    }
}

/// Recognises a commands group by its records. Its time stays out: a journal whose clock ran backwards
/// raises a group's time to its predecessor's, which a reader that begins with this group has not seen.
pub(crate) fn group_hash(group: &Group) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(group.records.len() as u64).to_le_bytes());
    hasher.update(group.records.packed());
    *hasher.finalize().as_bytes()
}

fn check(body: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = blake3::hash(body);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hash.as_bytes()[..CHECK_BYTES]);
    check
}

/// Takes fixed fields off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadMeta> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or(BadMeta::Damaged("too short"))?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn sample() -> CheckpointMeta {
        CheckpointMeta {
            journal: [1; 16],
            sequence: 2,
            position: 3,
            next: 4,
            group_hash: [5; 32],
            chain: [6; 32],
            epoch: 7,
            rules_version: 8,
            events_position: 9,
            at_ms: -10,
        }
    }

    #[test]
    fn a_description_survives_its_encoding() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), META_BYTES);
        assert_eq!(CheckpointMeta::decode(&bytes).unwrap(), sample());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample().encode();
        for place in 0..bytes.len() {
            assert!(CheckpointMeta::decode(&bytes[..place]).is_err());
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                assert!(CheckpointMeta::decode(&flipped).is_err(), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn a_newer_format_is_named() {
        let mut bytes = sample().encode();
        bytes[0] = FORMAT + 1;
        assert_eq!(
            CheckpointMeta::decode(&bytes),
            Err(BadMeta::Newer { found: FORMAT + 1, known: FORMAT })
        );
    }
}
