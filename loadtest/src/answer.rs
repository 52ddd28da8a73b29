//! What an answer to a command on bookings means.
//!
//! Parsing borrows from the body: this runs once per request of the hot part.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The reasons of the contract; anything else is [`Reason::OTHER`].
const REASONS: [&str; 19] = [
    "other",
    "not_registered",
    "not_eligible",
    "window_not_open",
    "window_closed",
    "already_booked",
    "barred_until_next_period",
    "unknown_slot",
    "wrong_vaccine",
    "slot_full",
    "slot_past",
    "unknown_period",
    "no_booking",
    "has_booking",
    "category_closed",
    "too_many_keys",
    "outcome_unknown",
    "overloaded",
    "unavailable",
];

/// Why the server decided against a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(u8);

impl Reason {
    /// A reason outside the contract, or none given.
    pub const OTHER: Reason = Reason(0);

    /// The reason of a stable name.
    pub fn named(name: &str) -> Reason {
        let place = REASONS.iter().position(|known| *known == name);
        Reason(place.and_then(|place| u8::try_from(place).ok()).unwrap_or(0))
    }

    /// The stable name.
    pub fn name(self) -> &'static str {
        REASONS[usize::from(self.0)]
    }

    /// True when another slot may still have a place.
    pub fn is_slot_full(self) -> bool {
        self.name() == "slot_full"
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
        Ok(Reason::named(&Cow::<str>::deserialize(deserializer)?))
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Decided for.
    Confirmed,
    /// Decided against.
    Rejected(Reason),
    /// Durable, not decided yet.
    Processing,
    /// Turned away before it was accepted: nothing happened, a new attempt may follow.
    TurnedAway(Reason),
    /// Not an answer of the contract to this request; the status says more.
    Error,
}

impl Outcome {
    /// True when the outcome can never change again.
    pub fn is_decided(self) -> bool {
        matches!(self, Outcome::Confirmed | Outcome::Rejected(_))
    }
}

/// One answer, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// What it says.
    pub outcome: Outcome,
    /// Its receipt, where given.
    pub receipt: Option<Cow<'a, str>>,
    /// Booking number, where given.
    pub booking: Option<u64>,
    /// Slot of the booking, where given.
    pub slot: Option<u32>,
    /// Hash of everything in it that must be the same in a repeated answer.
    pub digest: u64,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    receipt: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    decided: Option<bool>,
    #[serde(borrow, default)]
    booking: Option<&'a RawValue>,
}

/// A booking inside an answer, as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct BookingShown {
    /// Booking number.
    #[serde(deserialize_with = "number_or_text")]
    pub number: u64,
    /// Its slot.
    pub slot: u32,
}

/// Reads the answer to a command, or to a question about its receipt.
pub fn read(status: u16, body: &[u8]) -> Reading<'_> {
    let parsed: Option<Body<'_>> = serde_json::from_slice(body).ok();
    let Some(body) = parsed else {
        return Reading {
            outcome: unreadable(status),
            receipt: None,
            booking: None,
            slot: None,
            digest: 0,
        };
    };
    let reason = || body.reason.as_deref().map_or(Reason::OTHER, Reason::named);
    let outcome = match (status, body.outcome.as_deref()) {
        (200 | 201, Some("confirmed")) => Outcome::Confirmed,
        (200, Some("rejected")) => Outcome::Rejected(reason()),
        (200 | 202, Some("processing")) => Outcome::Processing,
        (409, _) if body.decided == Some(true) => Outcome::Rejected(reason()),
        (409 | 425, _) => Outcome::TurnedAway(reason()),
        _ => unreadable(status),
    };
    let booking: Option<BookingShown> =
        body.booking.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let mut digest = Digest::new();
    digest.add(&status.to_le_bytes());
    for part in [
        body.outcome.as_deref(),
        body.receipt.as_deref(),
        body.reason.as_deref(),
        body.booking.map(RawValue::get),
    ] {
        digest.add(part.unwrap_or("\0").as_bytes());
        digest.add(&[0xFF]);
    }
    Reading {
        outcome,
        receipt: body.receipt,
        booking: booking.map(|booking| booking.number),
        slot: booking.map(|booking| booking.slot),
        digest: digest.0,
    }
}

fn unreadable(status: u16) -> Outcome {
    match status {
        429 => Outcome::TurnedAway(Reason::named("overloaded")),
        503 => Outcome::TurnedAway(Reason::named("unavailable")),
        _ => Outcome::Error,
    }
}

/// Reads a number given as such or as text; a text that is no number is named by its hash.
pub(crate) fn number_or_text<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    struct NumberOrText;
    impl serde::de::Visitor<'_> for NumberOrText {
        type Value = u64;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a number, or a text that names one")
        }
        fn visit_u64<E>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }
        fn visit_str<E>(self, text: &str) -> Result<u64, E> {
            Ok(text.parse().unwrap_or_else(|_| {
                let mut digest = Digest::new();
                digest.add(text.as_bytes());
                digest.0
            }))
        }
    }
    deserializer.deserialize_any(NumberOrText)
}

/// FNV-1a: the same in every version of this program, since digests are kept in record files.
struct Digest(u64);

impl Digest {
    fn new() -> Digest {
        Digest(0xCBF2_9CE4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_the_contract_is_understood() {
        let confirmed = br#"{"outcome":"confirmed","receipt":"r1","booking":{"number":7,"period":2,"slot":123,"vaccine":"AZ"}}"#;
        let reading = read(201, confirmed);
        assert_eq!(
            (reading.outcome, reading.receipt.as_deref(), reading.booking, reading.slot),
            (Outcome::Confirmed, Some("r1"), Some(7), Some(123))
        );
        let full = Reason::named("slot_full");
        let table: [(u16, &str, Outcome); 11] = [
            (
                202,
                r#"{"outcome":"processing","receipt":"r","status_url":"/v1/requests/r"}"#,
                Outcome::Processing,
            ),
            (200, r#"{"outcome":"processing","ahead":12}"#, Outcome::Processing),
            (200, r#"{"outcome":"confirmed","receipt":"r"}"#, Outcome::Confirmed),
            (200, r#"{"outcome":"rejected","reason":"slot_full"}"#, Outcome::Rejected(full)),
            (
                409,
                r#"{"type":"/problems/slot-full","reason":"slot_full","decided":true,"receipt":"r"}"#,
                Outcome::Rejected(full),
            ),
            (
                409,
                r#"{"type":"/problems/slot-full","reason":"slot_full","decided":false}"#,
                Outcome::TurnedAway(full),
            ),
            (
                425,
                r#"{"reason":"window_not_open","decided":false}"#,
                Outcome::TurnedAway(Reason::named("window_not_open")),
            ),
            (
                503,
                r#"{"type":"/problems/outcome-unknown"}"#,
                Outcome::TurnedAway(Reason::named("unavailable")),
            ),
            (503, "not json", Outcome::TurnedAway(Reason::named("unavailable"))),
            (500, r#"{"outcome":"confirmed"}"#, Outcome::Error),
            (201, "not json", Outcome::Error),
        ];
        for (status, body, outcome) in table {
            assert_eq!(read(status, body.as_bytes()).outcome, outcome, "{status} {body}");
        }
    }

    #[test]
    fn the_digest_ignores_the_request_id_and_sees_everything_else() {
        let base = r#"{"reason":"slot_full","decided":true,"receipt":"r","request_id":"1"}"#;
        let digest = |status: u16, text: &str| read(status, text.as_bytes()).digest;
        assert_eq!(digest(409, base), digest(409, &base.replace("\"1\"", "\"2\"")));
        assert_ne!(digest(409, base), digest(409, &base.replace("slot_full", "slot_past")));
        assert_ne!(digest(409, base), digest(409, &base.replace("\"r\"", "\"s\"")));
        assert_ne!(digest(409, base), digest(410, base));
        let booked = r#"{"outcome":"confirmed","booking":{"number":7,"slot":1,"starts_at":"a"}}"#;
        assert_ne!(digest(201, booked), digest(201, &booked.replace("\"a\"", "\"b\"")));
    }

    #[test]
    fn booking_numbers_may_be_text() {
        let number = |text: &str| {
            read(
                200,
                format!(r#"{{"outcome":"confirmed","booking":{{"number":{text},"slot":1}}}}"#)
                    .as_bytes(),
            )
            .booking
        };
        assert_eq!(number("\"12\""), Some(12));
        assert_eq!(number("12"), Some(12));
        assert_ne!(number("\"V-12\""), number("\"V-13\""));
    }
}
