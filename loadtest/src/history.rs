//! What was asked and what was told: the client's own memory of a run.
//!
//! Flat lists that only grow, so that the hot part appends and nothing more; the auditor sorts.

use serde::{Deserialize, Serialize};

use crate::answer::{Outcome, Reading};

/// Length of a retry key: run, person and request in hexadecimal, with hyphens between.
pub const RETRY_KEY_BYTES: usize = 16 + 1 + 8 + 1 + 4;

/// What a person asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A place in this slot.
    Book(u32),
    /// This slot instead.
    Move(u32),
    /// To give up the booking.
    Cancel,
}

/// One request: one retry key of one person, however often it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Index of the person in the population.
    pub person: u64,
    /// Which of the person's requests, in the order in which they were first sent.
    pub ordinal: u16,
    /// What was asked for.
    pub action: Action,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The request itself, first sent or sent again.
    Send,
    /// A question about its receipt.
    Receipt,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Place of the request among the asked.
    pub request: u32,
    /// Where the answer came from.
    pub source: Source,
    /// Its status.
    pub status: u16,
    /// What it says.
    pub outcome: Outcome,
    /// Its receipt.
    pub receipt: Option<Box<str>>,
    /// Its booking number.
    pub booking: Option<u64>,
    /// The slot of its booking.
    pub slot: Option<u32>,
    /// Hash of what must be the same in a repeated answer.
    pub digest: u64,
}

impl Told {
    /// The answer `reading` to `request`.
    pub fn new(request: u32, source: Source, status: u16, reading: &Reading<'_>) -> Told {
        Told {
            request,
            source,
            status,
            outcome: reading.outcome,
            receipt: reading.receipt.as_deref().map(Box::from),
            booking: reading.booking,
            slot: reading.slot,
            digest: reading.digest,
        }
    }
}

/// Everything asked and told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The requests.
    pub asked: Vec<Asked>,
    /// The answers, in no particular order.
    pub told: Vec<Told>,
}

impl History {
    /// Adds the history of another thread; its requests get new places.
    pub fn append(&mut self, other: History) {
        let offset = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        self.asked.extend(other.asked);
        self.told.extend(
            other.told.into_iter().map(|told| Told { request: told.request + offset, ..told }),
        );
    }
}

/// The retry key of a request: unique to run, person and request, and the same whenever it is made.
pub fn retry_key(run: u64, person: u64, ordinal: u16) -> [u8; RETRY_KEY_BYTES] {
    let mut key = [b'-'; RETRY_KEY_BYTES];
    write_hexadecimal(run, &mut key[..16]);
    write_hexadecimal(person, &mut key[17..25]);
    write_hexadecimal(ordinal.into(), &mut key[26..]);
    key
}

/// Fills `out` with the last digits of a number; people are fewer than eight digits can count.
fn write_hexadecimal(number: u64, out: &mut [u8]) {
    let mut rest = number;
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 0xF) as usize];
        rest >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appended_answers_follow_their_requests() {
        let asked = |person| Asked { person, ordinal: 0, action: Action::Cancel };
        let told = |request| Told {
            request,
            source: Source::Send,
            status: 200,
            outcome: Outcome::Confirmed,
            receipt: None,
            booking: None,
            slot: None,
            digest: 0,
        };
        let mut all = History { asked: vec![asked(1), asked(2)], told: vec![told(1)] };
        all.append(History { asked: vec![asked(3)], told: vec![told(0)] });
        assert_eq!(all.asked[all.told[1].request as usize].person, 3);
    }

    #[test]
    fn a_retry_key_reads_as_its_parts() {
        let key = retry_key(0xABC, 49_999_999, 0x1F);
        assert_eq!(std::str::from_utf8(&key), Ok("0000000000000abc-02faf07f-001f"));
    }

    #[test]
    fn retry_keys_differ_by_run_person_and_request() {
        let keys = [retry_key(1, 2, 3), retry_key(2, 2, 3), retry_key(1, 3, 3), retry_key(1, 2, 4)];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key));
        }
    }
}
