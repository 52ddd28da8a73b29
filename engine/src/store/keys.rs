//! Keys of the checkpoint store: descriptions first, then each block's base and deltas in order.

use super::BlockName;

/// First byte of a description's key.
pub(super) const META: u8 = 0;
/// First byte of a block value's key.
pub(super) const RECORD: u8 = 1;
/// The place of a base among a block's values: before every delta, whose sequences begin at 1.
pub(super) const BASE: u64 = 0;

/// Key of a description.
pub(super) fn meta(sequence: u64) -> [u8; 9] {
    let mut key = [META; 9];
    key[1..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The sequence in a description's key.
pub(super) fn meta_sequence(key: &[u8]) -> Option<u64> {
    let (&[prefix], sequence) = key.split_first_chunk::<1>()?;
    if prefix != META {
        return None;
    }
    Some(u64::from_be_bytes(sequence.try_into().ok()?))
}

/// Key of a block's base (`sequence` = [`BASE`]) or delta.
pub(super) fn record((section, block): BlockName, sequence: u64) -> [u8; 14] {
    let mut key = [0; 14];
    key[0] = RECORD;
    key[1] = section;
    key[2..6].copy_from_slice(&block.to_be_bytes());
    key[6..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// What a block value's key says.
pub(super) fn parse_record(key: &[u8]) -> Option<(BlockName, u64)> {
    let key: &[u8; 14] = key.try_into().ok()?;
    if key[0] != RECORD {
        return None;
    }
    let block = u32::from_be_bytes([key[2], key[3], key[4], key[5]]);
    let (_, sequence) = key.split_last_chunk::<8>()?;
    Some(((key[1], block), u64::from_be_bytes(*sequence)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_section_block_and_sequence_with_the_base_first() {
        let mut keys = [
            record((1, 300), BASE),
            record((1, 2), 70_000),
            record((1, 2), BASE),
            record((2, 0), 5),
            record((1, 2), 255),
            record((0, 0), 9),
        ];
        keys.sort_unstable();
        let order: Vec<_> = keys.iter().filter_map(|key| parse_record(key)).collect();
        assert_eq!(
            order,
            [
                ((0, 0), 9),
                ((1, 2), BASE),
                ((1, 2), 255),
                ((1, 2), 70_000),
                ((1, 300), BASE),
                ((2, 0), 5)
            ]
        );
        assert!(meta(u64::MAX).as_slice() < record((0, 0), 0).as_slice());
    }

    #[test]
    fn each_kind_of_key_is_told_from_the_other() {
        assert_eq!(meta_sequence(&meta(77)), Some(77));
        assert_eq!(meta_sequence(&record((1, 1), 1)), None);
        assert_eq!(parse_record(&meta(77)), None);
    }
}
