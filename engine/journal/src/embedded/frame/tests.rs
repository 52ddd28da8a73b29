//! Frames written and read back, whole and damaged.

#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn place(position: u64) -> Place {
    Place { journal: JournalId([7; 16]), stream: Stream::Commands, position, segment_end: 1 << 20 }
}

fn sample(position: u64) -> Frame {
    let body = [3, 0, 0, 0, b'a', b'b', b'c', 1, 0, 0, 0, b'd'];
    let draft = Draft::new([&body[..5], &body[5..]].into_iter(), body.len(), 2, 512);
    let link = Link { previous_crc: 99, proven: position };
    draft.finish(&place(position), position + 512, 1_234, &link)
}

#[test]
fn a_frame_reads_back_as_it_was_made() {
    let frame = sample(1_024);
    let header = read_header(&frame.bytes, &place(1_024)).unwrap();
    check_body(&frame.bytes, &header).unwrap();
    let group = group_of(&header, &frame.bytes);
    assert_eq!(group.at_ms, 1_234);
    assert_eq!(group.next, Position(1_536));
    let records: Vec<_> = group.records.iter().collect();
    assert_eq!(records, [&b"abc"[..], b"d"]);
    assert_eq!(header.previous_crc, 99);
    assert_eq!(header.crc, frame.crc);
}

#[test]
fn packed_records_become_the_same_group_as_copied_ones() {
    let records: Vec<Vec<u8>> = (0..300_u16).map(|n| vec![n as u8; n as usize]).collect();
    let mut packing = Packing::new();
    let mut body = Vec::new();
    for record in &records {
        packing.push(record, 1 << 20);
        body.extend_from_slice(&(record.len() as u32).to_le_bytes());
        body.extend_from_slice(record);
    }
    assert_eq!(packing.body(), body);
    let link = Link::default();
    let count = packing.count();
    let packed = packing.into_draft(4_096).finish(&place(0), 1 << 20, 5, &link);
    let draft = Draft::new(std::iter::once(&body[..]), body.len(), count, 4_096);
    let copied = draft.finish(&place(0), 1 << 20, 5, &link);
    assert_eq!(packed.bytes, copied.bytes);
}

#[test]
fn every_changed_bit_is_noticed() {
    let frame = sample(0);
    for bit in 0..frame.bytes.len() * 8 {
        let mut bytes = frame.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let result = read_header(&bytes, &place(0)).and_then(|header| check_body(&bytes, &header));
        assert!(result.is_err(), "bit {bit}");
    }
}

#[test]
fn an_intact_frame_of_another_place_is_refused() {
    let frame = sample(512);
    let mut other = place(512);
    other.stream = Stream::Events;
    assert_eq!(read_header(&frame.bytes, &other), Err(BadFrame::Elsewhere));
    let mut other = place(512);
    other.journal = JournalId([8; 16]);
    assert_eq!(read_header(&frame.bytes, &other), Err(BadFrame::Elsewhere));
    assert_eq!(read_header(&frame.bytes, &place(1_024)), Err(BadFrame::Elsewhere));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = sample(0).bytes.to_vec();
    bytes[8] = 2;
    assert_eq!(read_header(&bytes, &place(0)), Err(BadFrame::Checksum));
    let crc = crc32fast::hash(&bytes[8..HEADER_BYTES]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(read_header(&bytes, &place(0)), Err(BadFrame::Newer(2)));
}

#[test]
fn bodies_that_do_not_hold_their_records_are_refused() {
    assert!(holds_records(&[1, 0, 0, 0, 9], 1));
    assert!(!holds_records(&[1, 0, 0, 0, 9], 2));
    assert!(!holds_records(&[2, 0, 0, 0, 9], 1));
    assert!(!holds_records(&[1, 0, 0, 0, 9, 9], 1));
    assert!(!holds_records(&[255, 255, 255, 255], 1));
}
