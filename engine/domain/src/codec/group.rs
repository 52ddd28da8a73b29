//! Events groups: what came of one commands group, as one record of the `events` stream.
//!
//! Header: format 1, first sequence 8, count of commands 4, `at` 8, chain hash 32. Then for each
//! command in order: origin 8, number of events (one byte; 255 means that four more follow), events.

use super::bytes::Cursor;
use super::event::{Glimpse, glimpse, put_event, read_event};
use super::{CommandEvents, DecodeError, FORMAT, check, check_format};
use crate::{Event, Millis, Origin, Sequence};

/// Length of the header.
const HEADER_BYTES: usize = 53;

/// Where the chain hash stands in it.
const CHAIN_AT: usize = 21;

/// A command's least share of a group: origin and number of events.
const COMMAND_BYTES_MIN: usize = 9;

/// In place of a number of events: the number follows in four bytes.
const MANY: u8 = 255;

/// Packs one events group.
#[derive(Debug)]
pub struct EventGroupWriter {
    /// Header with gaps, then what was added so far.
    bytes: Vec<u8>,
    /// Commands added so far.
    count: u32,
}

impl EventGroupWriter {
    /// Starts a group whose first command has this sequence.
    pub fn new(first: Sequence, at: Millis) -> EventGroupWriter {
        let mut writer = EventGroupWriter { bytes: Vec::new(), count: 0 };
        writer.restart(first, at);
        writer
    }

    /// Starts another group in the same memory.
    pub fn restart(&mut self, first: Sequence, at: Millis) {
        self.count = 0;
        self.bytes.clear();
        self.bytes.push(FORMAT);
        self.bytes.extend_from_slice(&first.0.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&at.0.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 32]);
    }

    /// Adds what came of the next command.
    pub fn command(&mut self, origin: Origin, events: &[Event]) {
        self.count += 1;
        self.bytes.extend_from_slice(&origin.0.to_le_bytes());
        if events.len() < MANY as usize {
            self.bytes.push(events.len() as u8);
        } else {
            self.bytes.push(MANY);
            self.bytes.extend_from_slice(&(events.len() as u32).to_le_bytes());
        }
        for event in events {
            put_event(event, &mut self.bytes);
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when no command was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends the group, sealed with the chain hash through its last command.
    pub fn finish(&mut self, chain: [u8; 32], out: &mut Vec<u8>) {
        self.bytes[9..13].copy_from_slice(&self.count.to_le_bytes());
        self.bytes[CHAIN_AT..HEADER_BYTES].copy_from_slice(&chain);
        out.extend_from_slice(&self.bytes);
    }
}

/// One events group, its header read and its body still packed.
#[derive(Clone, Copy, Debug)]
pub struct EventGroup<'a> {
    /// Sequence of the first command.
    pub first: Sequence,
    /// How many commands.
    pub count: u32,
    /// When the journal took the commands.
    pub at: Millis,
    /// The chain hash through the last command.
    pub chain: [u8; 32],
    body: &'a [u8],
}

impl<'a> EventGroup<'a> {
    /// Reads the header. The body is checked as it is read.
    ///
    /// # Errors
    /// When the bytes cannot be an events group, or a newer version wrote them.
    pub fn decode(bytes: &'a [u8]) -> Result<EventGroup<'a>, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        check_format(cursor.u8()?)?;
        let first = Sequence(cursor.u64()?);
        let count = cursor.u32()?;
        let at = Millis(cursor.i64()?);
        let chain = cursor.array()?;
        let body = cursor.rest();
        check::instant(at)?;
        if first.0 == 0 || first.0.checked_add(u64::from(count)).is_none() {
            return Err(DecodeError::Malformed("no such range of sequences"));
        }
        if body.len() / COMMAND_BYTES_MIN < count as usize {
            return Err(DecodeError::Malformed("ends too early"));
        }
        Ok(EventGroup { first, count, at, chain, body })
    }

    /// Sequence of the last command; one below `first` when there is none.
    pub fn last(&self) -> Sequence {
        Sequence(self.first.0 + u64::from(self.count) - 1)
    }

    /// Each command with its events, in order. After an error nothing more comes.
    pub fn commands(&self) -> Commands<'a> {
        Commands {
            cursor: Cursor::new(self.body),
            next: self.first,
            left: self.count,
            failed: false,
        }
    }

    /// Shows every event in order without keeping any: for readers of a whole group, at no
    /// allocation for what bookings give rise to.
    ///
    /// # Errors
    /// At the first byte that is not an event. Those before it have been shown.
    pub fn for_each(
        &self,
        mut show: impl FnMut(Sequence, Origin, u32, &Event),
    ) -> Result<(), DecodeError> {
        let mut cursor = Cursor::new(self.body);
        let mut event = Event::Malformed;
        for place in 0..u64::from(self.count) {
            let (origin, events) = command_header(&mut cursor)?;
            for index in 0..events {
                read_event(&mut cursor, &mut event)?;
                show(Sequence(self.first.0 + place), origin, index, &event);
            }
        }
        cursor.end()
    }

    /// Shows what the hot events will touch, up to the first byte that cannot be right.
    pub(crate) fn glimpses(&self, mut show: impl FnMut(Glimpse)) {
        let mut cursor = Cursor::new(self.body);
        for _ in 0..self.count {
            let Ok((_, events)) = command_header(&mut cursor) else {
                return;
            };
            for _ in 0..events {
                match glimpse(&mut cursor) {
                    Ok(seen) => seen.into_iter().for_each(&mut show),
                    Err(_) => return,
                }
            }
        }
    }
}

/// The commands of a group, one by one.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    cursor: Cursor<'a>,
    next: Sequence,
    left: u32,
    failed: bool,
}

impl Iterator for Commands<'_> {
    type Item = Result<CommandEvents, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = if self.left == 0 {
            match self.cursor.end() {
                Ok(()) => return None,
                Err(error) => Err(error),
            }
        } else {
            self.command()
        };
        self.failed = item.is_err();
        Some(item)
    }
}

impl Commands<'_> {
    fn command(&mut self) -> Result<CommandEvents, DecodeError> {
        let (origin, count) = command_header(&mut self.cursor)?;
        // A claimed number is believed only as far as the bytes left can hold: the least event has five.
        let mut events = Vec::with_capacity((count as usize).min(self.cursor.rest().len() / 5));
        for _ in 0..count {
            events.push(Event::Malformed);
            if let Some(event) = events.last_mut() {
                read_event(&mut self.cursor, event)?;
            }
        }
        let sequence = self.next;
        self.next = Sequence(sequence.0 + 1);
        self.left -= 1;
        Ok(CommandEvents { sequence, origin, events })
    }
}

fn command_header(cursor: &mut Cursor<'_>) -> Result<(Origin, u32), DecodeError> {
    let origin = Origin(cursor.u64()?);
    let count = match cursor.u8()? {
        MANY => cursor.u32()?,
        few => u32::from(few),
    };
    Ok((origin, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BookingNumber, Fingerprint, KeyHash, PeriodNumber, PersonKey, PersonNumber, SlotNumber,
    };

    #[test]
    fn glimpses_step_over_every_kind_and_tell_what_bookings_touch() {
        let person = PersonNumber(7);
        let (period, key, fingerprint) = (PeriodNumber(2), KeyHash(3), Fingerprint(4));
        let (booking, slot) = (BookingNumber(5), SlotNumber(6));
        let key_of = PersonKey([9; 16]);
        let events = [
            Event::Numbered { person, key: key_of },
            Event::Malformed,
            Event::Confirmed { person, period, key, fingerprint, booking, slot },
            Event::Changed { person, period, key, fingerprint, booking, from: slot, to: slot },
            Event::Cancelled { person, period, key, fingerprint, booking, slot },
            Event::Rejected {
                person,
                period,
                key,
                fingerprint,
                reason: crate::Rejection::SlotFull,
            },
            Event::Repeated { person, period, key, first: Sequence(1) },
            Event::KeyReused { person, period, key, first: Sequence(1) },
            Event::Attended { person, booking, attended_at: Millis(8) },
            Event::EpochBegan { epoch: 3 },
            Event::NoShow { person: PersonNumber(8), booking },
        ];
        let mut writer = EventGroupWriter::new(Sequence(1), Millis(0));
        writer.command(Origin(0), &events);
        writer.command(Origin(0), &events[2..3]);
        let mut bytes = Vec::new();
        writer.finish([0; 32], &mut bytes);
        let Ok(group) = EventGroup::decode(&bytes) else {
            panic!("a group just written");
        };
        let mut seen = Vec::new();
        group.glimpses(|glimpse| seen.push(glimpse));
        let plain = Glimpse { person, key: None, slot: None };
        let mut expected = vec![plain; 8];
        expected[0].key = Some(key_of);
        expected[1].slot = Some(slot);
        expected.push(Glimpse { person: PersonNumber(8), ..plain });
        expected.push(Glimpse { slot: Some(slot), ..plain });
        assert_eq!(seen, expected);
        for length in 0..bytes.len() {
            if let Ok(group) = EventGroup::decode(&bytes[..length]) {
                group.glimpses(|_| {});
            }
        }
    }
}
