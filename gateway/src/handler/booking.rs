//! B3, B5: a place for one person, and another one instead.
//!
//! `POST /v1/bookings` is the hot path: token, key, small body, one command, one answer.

use domain::view::{Outcome, OutcomeResult};
use domain::{Command, PeriodNumber, SlotNumber};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::places::period_number;
use super::words;
use crate::body::{self, Allowance};
use crate::core::Core;
use crate::i18n::Language;
use crate::import::json::{self, Fields};
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::reply::{self, Reply};
use crate::retry::{Asked, Request, Standing, client_key};
use crate::shed;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    period: PeriodNumber,
    slot: SlotNumber,
}

/// `POST /v1/bookings`
pub(crate) async fn post(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    let key_bytes_max = core.context.config.request.idempotency_key_bytes_max;
    if client_key(&head.headers, key_bytes_max)?.is_none() {
        return Err(Slug::IdempotencyKeyMissing.into());
    }
    body::expect_type(&head.headers, "application/json")?;
    shed::before_body(core, &caller).await?;
    let bytes = body::read(body, core.allowance()).await?;
    let wish = Wish::read(&bytes)?;
    let content = wish.content();
    let request = Request::new(core, caller, &head.headers, wish.period, Asked::Book, &content)?;
    shed::booking(core, &request, wish.slot).await?;
    let command = Command::Book {
        person: caller.reference(),
        period: wish.period,
        slot: wish.slot,
        retry: request.retry,
    };
    match request.send(core, command).await? {
        Standing::Accepted => Ok(request.accepted(core)),
        Standing::Decided(outcome) => decided(core, head, &request, &outcome),
    }
}

/// `PUT /v1/bookings/mine?period=`
pub(crate) async fn put(core: &Core, head: &Parts, body: Incoming) -> Result<Reply, Problem> {
    let caller = core.caller(&head.headers)?;
    let query = Query::of(head.uri.query());
    let period = period_number(query.required("period")?)?;
    body::expect_type(&head.headers, "application/json")?;
    let bytes = body::read(body, core.allowance()).await?;
    let slot = json::read(&bytes, |node, errors| {
        let mut fields = Fields::of(node, "", errors)?;
        let slot = fields.number("slot", 0, u32::MAX, errors);
        fields.finish(errors);
        slot
    });
    let slot = SlotNumber(slot.map_err(Problem::body)?);
    let content = Wish { period, slot }.content();
    let request = Request::new(core, caller, &head.headers, period, Asked::Move, &content)?;
    let command = Command::Move { person: caller.reference(), period, slot, retry: request.retry };
    match request.send(core, command).await? {
        Standing::Accepted => Ok(request.accepted(core)),
        Standing::Decided(outcome) => decided(core, head, &request, &outcome),
    }
}

/// The answer to a decided booking or move.
fn decided(
    core: &Core,
    head: &Parts,
    request: &Request,
    outcome: &Outcome,
) -> Result<Reply, Problem> {
    let (status, booking, slot) = match outcome.result {
        OutcomeResult::Confirmed { booking, slot } => (StatusCode::CREATED, booking, slot),
        OutcomeResult::Changed { booking, to, .. } => (StatusCode::OK, booking, to),
        OutcomeResult::Rejected(reason) => return Err(request.rejected(core, outcome, reason)),
        _ => return Err(Slug::Internal.into()),
    };
    let language = Language::of(&head.headers);
    let words = words::booking(core, language, booking, request.period, slot);
    let receipt = request.receipt(core);
    let body = words::confirmed(receipt.as_str(), Some(("booking", &words)));
    Ok(reply::json(status, body))
}

impl Wish {
    /// Reads `{"period":2,"slot":123}`: at a glance when it is just that, else with all the care that
    /// a wrong body needs to be told what is wrong.
    fn read(bytes: &[u8]) -> Result<Wish, Problem> {
        match Wish::glance(bytes) {
            Some(wish) => Ok(wish),
            None => Wish::read_with_care(bytes),
        }
    }

    /// The whole JSON grammar.
    pub(crate) fn read_with_care(bytes: &[u8]) -> Result<Wish, Problem> {
        let wish = json::read(bytes, |node, errors| {
            let mut fields = Fields::of(node, "", errors)?;
            let period = fields.number("period", 1, u32::from(u16::MAX), errors);
            let slot = fields.number("slot", 0, u32::MAX, errors);
            fields.finish(errors);
            Some(Wish {
                period: PeriodNumber(u16::try_from(period?).ok()?),
                slot: SlotNumber(slot?),
            })
        });
        wish.map_err(Problem::body)
    }

    /// The same in plain digits, in either order, or `None` when anything is unusual.
    pub(crate) fn glance(bytes: &[u8]) -> Option<Wish> {
        let mut rest = skip(bytes.trim_ascii(), b"{")?;
        let (mut period, mut slot) = (None, None);
        loop {
            rest = rest.trim_ascii_start();
            let (place, after) = if let Some(after) = skip(rest, b"\"period\"") {
                (&mut period, after)
            } else {
                (&mut slot, skip(rest, b"\"slot\"")?)
            };
            let after = skip(after.trim_ascii_start(), b":")?.trim_ascii_start();
            let (number, after) = digits(after)?;
            if place.replace(number).is_some() {
                return None;
            }
            rest = after.trim_ascii_start();
            match rest {
                [b',', after @ ..] => rest = after,
                b"}" => break,
                _ => return None,
            }
        }
        let period = u16::try_from(period?).ok().filter(|number| *number > 0)?;
        Some(Wish { period: PeriodNumber(period), slot: SlotNumber(u32::try_from(slot?).ok()?) })
    }

    /// What the fingerprint is made of.
    fn content(self) -> [u8; 6] {
        let mut content = [0; 6];
        content[..2].copy_from_slice(&self.period.0.to_le_bytes());
        content[2..].copy_from_slice(&self.slot.0.to_le_bytes());
        content
    }
}

fn skip<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    bytes.strip_prefix(prefix)
}

/// A JSON number without sign, fraction, exponent or leading zero, of at most ten digits.
fn digits(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (text, rest) = bytes.split_at(length);
    let odd = length == 0 || length > 10 || (length > 1 && text[0] == b'0');
    let odd = odd || matches!(rest.first(), Some(b'.' | b'e' | b'E'));
    let number = text.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (!odd).then_some((number, rest))
}

impl Core {
    /// What a body of a public call may be.
    pub(crate) fn allowance(&self) -> Allowance {
        let limits = &self.context.config.limits;
        Allowance {
            bytes_max: limits.body_bytes_max,
            wait: std::time::Duration::from_millis(limits.body_wait_ms_max),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn wish(period: u16, slot: u32) -> Option<Wish> {
        Some(Wish { period: PeriodNumber(period), slot: SlotNumber(slot) })
    }

    #[test]
    fn plain_wishes_are_read_at_a_glance() {
        for text in [
            r#"{"period":2,"slot":123}"#,
            r#" { "slot" : 123 , "period" : 2 } "#,
            "{\"period\":2,\n\"slot\":123}\r\n",
        ] {
            assert_eq!(Wish::glance(text.as_bytes()), wish(2, 123), "{text}");
        }
        let most = r#"{"period":65535,"slot":4294967295}"#;
        assert_eq!(Wish::glance(most.as_bytes()), wish(65_535, u32::MAX));
    }

    #[test]
    fn unusual_wishes_are_left_to_the_careful_reader() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"period":2}"#,
            r#"{"period":2,"slot":123,}"#,
            r#"{"period":2,"slot":123}x"#,
            r#"{"period":2,"period":2,"slot":1}"#,
            r#"{"period":2,"slot":1,"extra":1}"#,
            r#"{"period":"2","slot":1}"#,
            r#"{"period":2,"slot":-1}"#,
            r#"{"period":2,"slot":1.0}"#,
            r#"{"period":2,"slot":1e3}"#,
            r#"{"period":2,"slot":01}"#,
            r#"{"period":0,"slot":1}"#,
            r#"{"period":65536,"slot":1}"#,
            r#"{"period":2,"slot":4294967296}"#,
            r#"{"period":2,"slot":99999999999999999999}"#,
        ] {
            assert_eq!(Wish::glance(text.as_bytes()), None, "{text}");
            assert!(Wish::read(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_glance_and_the_careful_reader_agree() {
        for text in [r#"{"period":2,"slot":0}"#, r#"{"slot":7,"period":1}"#] {
            let careful = text.replace("slot", "sl\\u006ft");
            assert_eq!(Wish::glance(careful.as_bytes()), None);
            assert_eq!(
                Wish::read(careful.as_bytes()).unwrap(),
                Wish::glance(text.as_bytes()).unwrap()
            );
        }
    }
}
