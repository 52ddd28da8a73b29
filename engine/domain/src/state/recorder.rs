//! Gathers changed records for the next checkpoint.

use super::packing::Pack;
use crate::changes::{CHANGE_HEADER_BYTES_MIN, Section, put_change};

/// Bytes by which the buffer is made ready for records at a time.
const STEP_BYTES: usize = 1 << 16;

/// The buffer of changes, or nothing at all where no checkpoint is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// False in a state that lives in memory only.
    on: bool,
    /// Gathered changes, and zeros ready for the next ones.
    bytes: Vec<u8>,
    /// Where the zeros begin.
    filled: usize,
}

impl Recorder {
    /// Gathers when `on`.
    pub(crate) fn new(on: bool) -> Recorder {
        Recorder { on, bytes: Vec::new(), filled: 0 }
    }

    /// Whether changes are wanted.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Adds a changed record of fixed length, written straight to its place.
    #[inline(always)]
    pub(crate) fn put_fixed<const N: usize>(
        &mut self,
        section: Section,
        index: u32,
        record: &impl Pack<N>,
    ) {
        const { assert!(N < 0x80, "its length takes one byte") }
        if !self.on {
            return;
        }
        let end = self.filled + CHANGE_HEADER_BYTES_MIN + N;
        if end > self.bytes.len() {
            self.make_ready();
        }
        let place = &mut self.bytes[self.filled..end];
        let [a, b, c, d] = index.to_le_bytes();
        if let Some((head, rest)) = place.split_first_chunk_mut() {
            let head: &mut [u8; CHANGE_HEADER_BYTES_MIN] = head;
            *head = [section as u8, a, b, c, d, N as u8];
            if let Some(body) = rest.first_chunk_mut() {
                record.pack(body);
            }
        }
        self.filled = end;
    }

    #[cold]
    fn make_ready(&mut self) {
        self.bytes.resize(self.filled + STEP_BYTES, 0);
    }

    /// Adds a changed record of any length; one of no bytes is gone.
    pub(crate) fn put(&mut self, section: Section, index: u32, record: &[u8]) {
        if self.on {
            self.bytes.truncate(self.filled);
            put_change(&mut self.bytes, section, index, record);
            self.filled = self.bytes.len();
        }
    }

    /// Moves all changes out, in order.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        self.bytes.truncate(self.filled);
        self.filled = 0;
        if out.is_empty() {
            std::mem::swap(out, &mut self.bytes);
        } else {
            out.append(&mut self.bytes);
        }
    }

    /// Bytes gathered.
    pub(crate) fn bytes(&self) -> usize {
        self.filled
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::changes::ChangeReader;

    struct Number(u32);

    impl Pack<4> for Number {
        fn pack(&self, place: &mut [u8; 4]) {
            *place = self.0.to_le_bytes();
        }
    }

    #[test]
    fn records_of_both_kinds_come_out_in_order_over_many_takes() {
        let mut recorder = Recorder::new(true);
        let mut taken = Vec::new();
        let mut expected = Vec::new();
        for number in 0..40_000_u32 {
            let whole = vec![number as u8; number as usize % 300];
            recorder.put_fixed(Section::Requests, number, &Number(number));
            put_change(&mut expected, Section::Requests, number, &number.to_le_bytes());
            if number % 7 == 0 {
                recorder.put(Section::Sites, number, &whole);
                put_change(&mut expected, Section::Sites, number, &whole);
            }
            if number % 9_999 == 0 {
                let bytes = recorder.bytes();
                let mut out = Vec::new();
                recorder.take(&mut out);
                assert_eq!(out.len(), bytes);
                taken.extend(out);
            }
        }
        recorder.take(&mut taken);
        assert!(taken == expected);
        assert!(ChangeReader::new(&taken).all(|change| change.is_ok()));
        assert_eq!(recorder.bytes(), 0);
    }

    #[test]
    fn a_recorder_that_is_off_gathers_nothing() {
        let mut recorder = Recorder::new(false);
        recorder.put_fixed(Section::Requests, 1, &Number(1));
        recorder.put(Section::Sites, 1, &[1]);
        assert_eq!(recorder.bytes(), 0);
    }
}
