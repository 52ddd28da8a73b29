//! The bytes of the journal: as every released version wrote them, and against damage.
//!
//! `golden/format-1.txt` holds one line a sample: its name and its bytes. A released line never
//! changes; a new kind adds a line.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/any.rs"]
mod any;
#[path = "support/samples.rs"]
mod samples;
mod support;

use domain::codec::{
    DecodeError, EventGroup, EventGroupWriter, FORMAT, INSTANT_MAX, decode_command, encode_command,
};
use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use samples::{commands, events};

const GOLDEN: &str = include_str!("golden/format-1.txt");

/// Records tried in each random test.
const RANDOM_RECORDS: usize = 20_000;

#[test]
fn every_kind_of_command_has_the_bytes_it_always_had() {
    let mut strange = Vec::new();
    for (name, command) in commands() {
        let envelope = Envelope { origin: Origin(0x0102_0304_0506_0708), command };
        let mut bytes = Vec::new();
        encode_command(&envelope, &mut bytes);
        strange.extend(strange_line(&format!("command {name}"), &bytes));
        assert_eq!(decode_command(&bytes), Ok(envelope), "{name}");
    }
    assert_none(&strange);
}

#[test]
fn every_kind_of_event_has_the_bytes_it_always_had() {
    let mut strange = Vec::new();
    for (name, event) in events() {
        let events = [event];
        let bytes = group(&[&events]);
        strange.extend(strange_line(&format!("event {name}"), &bytes));
        let read = EventGroup::decode(&bytes).unwrap();
        assert_eq!((read.first, read.count, read.last()), (Sequence(7), 1, Sequence(7)), "{name}");
        assert_eq!((read.at, read.chain), (Millis(1_626_148_800_000), [0xcc; 32]), "{name}");
        let commands: Vec<_> = read.commands().map(Result::unwrap).collect();
        assert_eq!(commands[0].events, events, "{name}");
        assert_eq!(commands[0].origin, Origin(0xA0), "{name}");
    }
    assert_none(&strange);
}

#[test]
fn every_golden_line_belongs_to_a_sample() {
    let known: Vec<String> = commands()
        .iter()
        .map(|(name, _)| format!("command {name}"))
        .chain(events().iter().map(|(name, _)| format!("event {name}")))
        .collect();
    for line in GOLDEN.lines() {
        let name = line.split(':').next().unwrap();
        assert!(known.iter().any(|sample| sample == name), "no sample makes the line {name:?}");
    }
}

#[test]
fn a_booking_by_number_is_36_bytes() {
    let (_, command) = commands().swap_remove(0);
    let mut bytes = Vec::new();
    encode_command(&Envelope { origin: Origin(1), command }, &mut bytes);
    assert_eq!(bytes.len(), 36);
}

#[test]
fn commands_come_back_as_they_were() {
    let mut rng = support::seeded("commands_come_back_as_they_were");
    let mut bytes = Vec::new();
    for _ in 0..RANDOM_RECORDS {
        let envelope = any::envelope(&mut rng);
        bytes.clear();
        encode_command(&envelope, &mut bytes);
        assert_eq!(decode_command(&bytes).as_ref(), Ok(&envelope));
    }
}

#[test]
fn event_groups_come_back_as_they_were() {
    let mut rng = support::seeded("event_groups_come_back_as_they_were");
    let mut writer = EventGroupWriter::new(Sequence(1), Millis(0));
    for _ in 0..RANDOM_RECORDS / 10 {
        let first = Sequence(rng.random_range(1..u64::MAX / 2));
        let at = Millis(rng.random_range(0..=INSTANT_MAX.0));
        writer.restart(first, at);
        let sizes: Vec<usize> = (0..rng.random_range(0..6)).map(|_| size(&mut rng)).collect();
        let mut written = Vec::new();
        for events in sizes {
            let origin = Origin(rng.random());
            let events: Vec<Event> = (0..events).map(|_| any::event(&mut rng)).collect();
            writer.command(origin, &events);
            written.push((origin, events));
        }
        let mut bytes = Vec::new();
        writer.finish([9; 32], &mut bytes);
        assert_group(&bytes, first, at, &written);
    }
}

#[test]
fn a_record_cut_off_at_any_byte_is_malformed() {
    for (name, command) in commands() {
        let mut bytes = Vec::new();
        encode_command(&Envelope { origin: Origin(5), command }, &mut bytes);
        for length in 0..bytes.len() {
            let read = decode_command(&bytes[..length]);
            assert!(matches!(read, Err(DecodeError::Malformed(_))), "{name} cut at {length}");
        }
        bytes.push(0);
        let read = decode_command(&bytes);
        assert!(matches!(read, Err(DecodeError::Malformed(_))), "{name} with a byte too many");
    }
    for (name, event) in events() {
        let mut bytes = group(&[&[event]]);
        for length in 0..bytes.len() {
            assert!(read_whole(&bytes[..length]).is_err(), "{name} cut at {length}");
        }
        bytes.push(0);
        assert!(read_whole(&bytes).is_err(), "{name} with a byte too many");
    }
}

#[test]
fn damaged_and_random_bytes_never_panic() {
    let mut rng = support::seeded("damaged_and_random_bytes_never_panic");
    let mut refused = 0;
    for _ in 0..RANDOM_RECORDS {
        let mut bytes = Vec::new();
        encode_command(&any::envelope(&mut rng), &mut bytes);
        damage(&mut rng, &mut bytes);
        refused += usize::from(decode_command(&bytes).is_err());
        let events: Vec<Event> = (0..3).map(|_| any::event(&mut rng)).collect();
        let mut bytes = group(&[&events, &events[..1]]);
        damage(&mut rng, &mut bytes);
        refused += usize::from(read_whole(&bytes).is_err());
        let noise: Vec<u8> = (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
        refused += usize::from(decode_command(&noise).is_err());
        refused += usize::from(read_whole(&noise).is_err());
    }
    assert!(refused > RANDOM_RECORDS, "damage was noticed {refused} times only");
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let newer = DecodeError::NewerFormat { found: FORMAT + 1, known: FORMAT };
    let (_, command) = commands().swap_remove(0);
    let mut bytes = Vec::new();
    encode_command(&Envelope { origin: Origin(1), command }, &mut bytes);
    bytes[0] = FORMAT + 1;
    assert_eq!(decode_command(&bytes), Err(newer));
    assert_eq!(decode_command(&[FORMAT + 1]), Err(newer));
    let mut bytes = group(&[&[Event::Malformed]]);
    bytes[0] = FORMAT + 1;
    assert_eq!(read_whole(&bytes), Err(newer));
    bytes[0] = 0;
    assert!(matches!(read_whole(&bytes), Err(DecodeError::Malformed(_))));
    assert!(matches!(decode_command(&[]), Err(DecodeError::Malformed(_))));
}

#[test]
fn a_claimed_length_beyond_the_bytes_is_refused_without_believing_it() {
    // A roster correction that claims 2^32 - 1 rows, a chunk that claims as many members.
    for head in [&[FORMAT, 39][..], &[FORMAT, 35][..]] {
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(&[0; 8]);
        bytes.push(1);
        bytes.push(if head[1] == 35 { 2 } else { 0 });
        bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(decode_command(&bytes), Err(DecodeError::Malformed(_))));
    }
    // A group of one command that claims 2^32 - 1 events, and one of 2^32 - 1 commands.
    let mut bytes = group(&[&[]]);
    let last = bytes.len() - 1;
    bytes[last] = 255;
    bytes.extend_from_slice(&[0xff; 4]);
    assert!(read_whole(&bytes).is_err());
    let mut bytes = group(&[&[]]);
    bytes[9..13].fill(0xff);
    assert!(EventGroup::decode(&bytes).is_err());
}

#[test]
fn instants_outside_the_years_1_to_9999_are_malformed() {
    for attended_at in [Millis(i64::MIN), Millis(i64::MAX), Millis(INSTANT_MAX.0 + 1)] {
        let rows = vec![Attendance { booking: BookingNumber(1), attended_at }];
        let mut bytes = Vec::new();
        let command = Command::Attend { rows };
        encode_command(&Envelope { origin: Origin(0), command }, &mut bytes);
        assert!(matches!(decode_command(&bytes), Err(DecodeError::Malformed(_))));
        let event =
            Event::Attended { person: PersonNumber(1), booking: BookingNumber(1), attended_at };
        assert!(read_whole(&group(&[&[event]])).is_err());
    }
}

/// The line that a sample makes, if it is not among the golden ones.
fn strange_line(name: &str, bytes: &[u8]) -> Option<String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{name}: {hex}");
    (!GOLDEN.lines().any(|known| known == line)).then_some(line)
}

fn assert_none(strange: &[String]) {
    let lines = strange.join("\n");
    assert!(strange.is_empty(), "released bytes never change; a new kind adds a line:\n{lines}");
}

fn assert_group(bytes: &[u8], first: Sequence, at: Millis, written: &[(Origin, Vec<Event>)]) {
    let read = EventGroup::decode(bytes).unwrap();
    assert_eq!((read.first, read.at, read.count as usize), (first, at, written.len()));
    let mut shown = Vec::new();
    read.for_each(|sequence, origin, index, event| {
        shown.push((sequence, origin, index, event.clone()));
    })
    .unwrap();
    let mut expected = Vec::new();
    let mut commands = read.commands();
    for (place, (origin, events)) in written.iter().enumerate() {
        let sequence = Sequence(first.0 + place as u64);
        let command = commands.next().unwrap().unwrap();
        assert_eq!((command.sequence, command.origin), (sequence, *origin));
        assert_eq!(&command.events, events);
        for (index, event) in events.iter().enumerate() {
            expected.push((sequence, *origin, index as u32, event.clone()));
        }
    }
    assert!(commands.next().is_none());
    assert_eq!(shown, expected);
}

/// Mostly few events, sometimes around the border of one byte.
fn size(rng: &mut ChaCha8Rng) -> usize {
    match rng.random_range(0..100) {
        0 => rng.random_range(253..258),
        _ => rng.random_range(0..4),
    }
}

fn damage(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        let place = rng.random_range(0..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes[place] = rng.random(),
            1 => bytes[place] ^= 1 << rng.random_range(0..8),
            2 => bytes.truncate(place.max(1)),
            _ => bytes.insert(place, rng.random()),
        }
    }
}

fn group(commands: &[&[Event]]) -> Vec<u8> {
    let mut writer = EventGroupWriter::new(Sequence(7), Millis(1_626_148_800_000));
    for events in commands {
        writer.command(Origin(0xA0), events);
    }
    let mut bytes = Vec::new();
    writer.finish([0xcc; 32], &mut bytes);
    bytes
}

/// Reads a group to its end both ways, which must agree.
fn read_whole(bytes: &[u8]) -> Result<usize, DecodeError> {
    let group = EventGroup::decode(bytes)?;
    let mut count = 0;
    let shown = group.for_each(|_, _, _, _| count += 1);
    let listed: Result<Vec<_>, _> = group.commands().collect();
    assert_eq!(shown.is_ok(), listed.is_ok());
    let listed = listed?;
    assert_eq!(listed.iter().map(|command| command.events.len()).sum::<usize>(), count);
    Ok(count)
}
