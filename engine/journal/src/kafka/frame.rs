//! One group as the value of one Kafka record.
//!
//! ```text
//! version 1 · flags 1 · reserved 2 · record count 4 · own time 8 · packed records
//! ```
//!
//! All little-endian. The packed records are those of [`Records`]. The own time counts only where flag
//! 1 is set (a group accepted by `append_behind`, whose readers saw it before the broker dated it);
//! elsewhere the broker's time does. Kafka keeps a checksum over each batch, and the consumer verifies
//! it (`check.crcs`), so none stands here.
//!
//! Does: pack and check. Does not talk to a broker.

use bytes::Bytes;

use crate::Records;

/// The version written.
const VERSION: u8 = 1;
/// Flag: the group carries its own time.
const OWN_TIME: u8 = 1;
/// Bytes before the records.
pub(super) const HEADER_BYTES: usize = 16;

/// What a record's value says.
#[derive(Debug)]
pub(super) struct Frame {
    /// The records.
    pub(super) records: Records,
    /// The time the writer gave it, where it gave one.
    pub(super) own_at_ms: Option<i64>,
}

/// Why a value is no group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadFrame {
    /// A newer version wrote it.
    Newer(u8),
    /// No version wrote it.
    Malformed(&'static str),
}

/// An empty frame to push records into.
pub(super) fn begin(capacity: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + capacity);
    frame.resize(HEADER_BYTES, 0);
    frame
}

/// Adds one record.
pub(super) fn push(frame: &mut Vec<u8>, record: &[u8]) {
    // Limits keep every record far below 4 GiB.
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(record);
}

/// Writes the header over the place that [`begin`] left for it.
pub(super) fn finish(frame: &mut [u8], count: u32, own_at_ms: Option<i64>) {
    let Some(header) = frame.first_chunk_mut::<HEADER_BYTES>() else { return };
    header[0] = VERSION;
    header[1] = if own_at_ms.is_some() { OWN_TIME } else { 0 };
    header[4..8].copy_from_slice(&count.to_le_bytes());
    header[8..16].copy_from_slice(&own_at_ms.unwrap_or(0).to_le_bytes());
}

/// Reads a value.
///
/// # Errors
/// When it is no group of this version.
pub(super) fn read(value: &[u8]) -> Result<Frame, BadFrame> {
    let Some((header, body)) = value.split_first_chunk::<HEADER_BYTES>() else {
        return Err(BadFrame::Malformed("it is shorter than a header"));
    };
    match header[0] {
        VERSION => {}
        0 => return Err(BadFrame::Malformed("it has version 0")),
        newer => return Err(BadFrame::Newer(newer)),
    }
    let [_, _, _, _, c0, c1, c2, c3, time @ ..] = *header;
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    if count_records(body) != Some(count) {
        return Err(BadFrame::Malformed("its records do not add up"));
    }
    let own_at_ms = (header[1] & OWN_TIME != 0).then(|| i64::from_le_bytes(time));
    Ok(Frame { records: Records::from_packed(Bytes::copy_from_slice(body), count), own_at_ms })
}

/// How many records a packed body holds; `None` when it does not end with one.
pub(super) fn count_records(mut body: &[u8]) -> Option<u32> {
    let mut count = 0_u32;
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<4>()?;
        body = rest.get(u32::from_le_bytes(*length) as usize..)?;
        count = count.checked_add(1)?;
    }
    Some(count)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn frame_of(records: &[&[u8]], own_at_ms: Option<i64>) -> Vec<u8> {
        let mut frame = begin(64);
        for record in records {
            push(&mut frame, record);
        }
        finish(&mut frame, records.len() as u32, own_at_ms);
        frame
    }

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        for (records, own) in [
            (&[&b"one"[..], b"", b"three"][..], None),
            (&[&b"x"[..]][..], Some(-5)),
            (&[][..], Some(i64::MAX)),
        ] {
            let read = read(&frame_of(records, own)).unwrap();
            assert_eq!(read.own_at_ms, own);
            assert_eq!(read.records.len(), records.len());
            assert!(read.records.iter().eq(records.iter().copied()));
        }
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let bytes = frame_of(&[b"ab", b""], Some(0x0102));
        assert_eq!(
            bytes,
            [1, 1, 0, 0, 2, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 0, 0, 0, 0]
        );
    }

    #[test]
    fn every_cut_and_every_newer_version_is_told_apart() {
        let bytes = frame_of(&[b"one", b"two"], None);
        for length in 0..bytes.len() {
            assert!(matches!(read(&bytes[..length]), Err(BadFrame::Malformed(_))), "{length}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(read(&longer), Err(BadFrame::Malformed(_))));
        let newer = [&[2], &bytes[1..]].concat();
        assert_eq!(read(&newer).unwrap_err(), BadFrame::Newer(2));
    }
}
