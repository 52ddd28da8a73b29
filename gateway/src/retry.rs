//! Requests that may be repeated: keys, fingerprints, receipts, and waiting for what came of them.
//!
//! A citizen's command carries a retry key made from the person, the period and the client's
//! `Idempotency-Key`, and a fingerprint of what was asked. The same key and fingerprint always meet the
//! same outcome; the writer sees to it. What this module does not do: word the outcome.

use std::time::Duration;

use domain::view::Outcome;
use domain::{Command, Fingerprint, KeyHash, Millis, PeriodNumber, RetryKey};
use hyper::header::HeaderName;
use hyper::{HeaderMap, StatusCode};
use vault::Receipt;

use crate::caller::Caller;
use crate::core::Core;
use crate::outcomes::Decision;
use crate::problem::{Problem, Slug};
use crate::reply::{self, Reply};
use crate::submitter::{Answer, Until};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Bytes of a key made here because the client sent none.
const MADE_KEY_BYTES: usize = 16;

/// What a request asks, for its fingerprint. The numbers never change.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Asked {
    /// A booking.
    Book = 1,
    /// Another slot.
    Move = 2,
    /// No booking.
    Cancel = 3,
    /// An intent.
    Register = 4,
    /// Another intent.
    Modify = 5,
    /// No intent.
    Withdraw = 6,
}

/// A citizen's request that may be repeated.
#[derive(Debug)]
pub(crate) struct Request {
    /// Whose.
    pub(crate) caller: Caller,
    /// In which period; 0 for intents.
    pub(crate) period: PeriodNumber,
    /// As it travels with the command.
    pub(crate) retry: RetryKey,
    /// How long the client waits for the outcome.
    wait: Duration,
}

/// What is known of a request when its answer leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing {
    /// It is durable; the outcome will come.
    Accepted,
    /// It is decided.
    Decided(Outcome),
}

/// The client's key, if it sent one: the text, quoted or not.
///
/// # Errors
/// 400 when it is empty, too long, sent twice or has characters that are not visible ASCII.
#[inline]
pub(crate) fn client_key(headers: &HeaderMap, bytes_max: usize) -> Result<Option<&[u8]>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let bytes = value.as_bytes();
    let key = match bytes {
        [b'"', inner @ .., b'"'] => inner,
        bytes => bytes,
    };
    let visible = key.iter().all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'"');
    if values.next().is_some() || key.is_empty() || key.len() > bytes_max || !visible {
        return Err(Slug::IdempotencyKeyMalformed.into());
    }
    Ok(Some(key))
}

/// How many seconds the client waits for the outcome (RFC 7240); what cannot be understood is ignored,
/// more than the limit is taken as the limit.
#[inline]
pub(crate) fn preferred_wait(headers: &HeaderMap, wait_s_max: u32) -> Duration {
    let preferences = headers.get_all(PREFER).iter();
    let texts = preferences.filter_map(|value| value.to_str().ok());
    let seconds = texts
        .flat_map(|text| text.split(','))
        .filter_map(|preference| {
            let (name, value) = preference.split(';').next()?.split_once('=')?;
            let seconds = value.trim().trim_matches('"').parse::<u32>().ok()?;
            name.trim().eq_ignore_ascii_case("wait").then_some(seconds)
        })
        .next();
    Duration::from_secs(u64::from(seconds.unwrap_or(0).min(wait_s_max)))
}

impl Request {
    /// Names a request. `asked` and `content` make the fingerprint.
    ///
    /// # Errors
    /// 400 for a key that cannot be used.
    #[inline]
    pub(crate) fn new(
        core: &Core,
        caller: Caller,
        headers: &HeaderMap,
        period: PeriodNumber,
        asked: Asked,
        content: &[u8],
    ) -> Result<Request, Problem> {
        let config = &core.context.config.request;
        let vault = &core.context.vault;
        let key = client_key(headers, config.idempotency_key_bytes_max)?;
        let hash = match key {
            Some(key) => vault.key_hash(&caller.key.0, period.0, key),
            None => {
                let made: [u8; MADE_KEY_BYTES] = rand::random();
                vault.key_hash(&caller.key.0, period.0, &made)
            }
        };
        core.context.decided.prefetch(KeyHash(hash));
        let mut canonical = [0_u8; 64];
        let fingerprint = if content.len() < canonical.len() {
            canonical[0] = asked as u8;
            canonical[1..=content.len()].copy_from_slice(content);
            vault.fingerprint(&canonical[..=content.len()])
        } else {
            let mut canonical = Vec::with_capacity(content.len() + 1);
            canonical.push(asked as u8);
            canonical.extend_from_slice(content);
            vault.fingerprint(&canonical)
        };
        Ok(Request {
            caller,
            period,
            retry: RetryKey { key: KeyHash(hash), fingerprint: Fingerprint(fingerprint) },
            wait: preferred_wait(headers, config.wait_s_max),
        })
    }

    /// The receipt: the same for every repetition.
    #[inline]
    pub(crate) fn receipt(&self, core: &Core) -> Receipt {
        let vault = &core.context.vault;
        vault.seal_receipt(&self.caller.key.0, self.period.0, self.retry.key.0)
    }

    /// The outcome that the view already knows for this key.
    ///
    /// # Errors
    /// 422 when the key was used for another request.
    #[inline]
    pub(crate) fn known(&self, core: &Core) -> Result<Option<Outcome>, Problem> {
        if !core.context.decided.may_hold(self.retry.key) {
            return Ok(None);
        }
        self.looked_up(core)
    }

    fn looked_up(&self, core: &Core) -> Result<Option<Outcome>, Problem> {
        let outcome = {
            let view = core.context.view.read();
            let number = self.caller.number_in(&view);
            number.and_then(|number| view.outcome(number, self.period, self.retry.key))
        };
        match outcome {
            Some(outcome) if outcome.fingerprint != self.retry.fingerprint => {
                Err(Slug::IdempotencyKeyReused.into())
            }
            known => Ok(known),
        }
    }

    /// Sends the command and waits as long as the client does.
    ///
    /// A client that does not wait is told at once of a key it used before: its command would be
    /// answered before the writer could say so. The others hear it from the writer.
    ///
    /// # Errors
    /// 422 for a key used before, 429, 503.
    #[inline]
    pub(crate) async fn send(&self, core: &Core, command: Command) -> Result<Standing, Problem> {
        let until = if self.wait.is_zero() {
            if self.known(core)?.is_some() {
                return Ok(Standing::Accepted);
            }
            Until::Durable
        } else {
            Until::Outcome(self.wait)
        };
        core.check_person_rate(&self.caller)?;
        match core.submit(command, Some(self.retry.key), until).await? {
            Answer::Decided(Decision::Outcome(outcome))
                if outcome.fingerprint == self.retry.fingerprint =>
            {
                Ok(Standing::Decided(outcome))
            }
            Answer::Decided(_) => Err(Slug::IdempotencyKeyReused.into()),
            _ => Ok(Standing::Accepted),
        }
    }

    /// 202: durable, not decided yet as far as this answer knows.
    #[inline]
    pub(crate) fn accepted(&self, core: &Core) -> Reply {
        let receipt = self.receipt(core);
        let receipt = receipt.as_str();
        let mut body = Vec::with_capacity(160);
        body.extend_from_slice(b"{\"outcome\":\"processing\",\"receipt\":\"");
        body.extend_from_slice(receipt.as_bytes());
        body.extend_from_slice(b"\",\"status_url\":\"/v1/requests/");
        body.extend_from_slice(receipt.as_bytes());
        body.extend_from_slice(b"\"}");
        reply::json(StatusCode::ACCEPTED, body)
    }

    /// The words of a decided refusal.
    pub(crate) fn rejected(
        &self,
        core: &Core,
        outcome: &Outcome,
        reason: domain::Rejection,
    ) -> Problem {
        let receipt = self.receipt(core).as_str().to_owned();
        Problem::decided(reason, receipt, outcome.sequence)
    }
}

impl Core {
    /// Counts a person's command.
    ///
    /// # Errors
    /// 429 when there were too many within a minute.
    #[inline]
    pub(crate) fn check_person_rate(&self, caller: &Caller) -> Result<(), Problem> {
        match self.context.person_rates.take(&caller.key.0) {
            Ok(()) => Ok(()),
            Err(too_many) => Err(Problem::too_many(too_many)),
        }
    }
}

/// Seconds from now to an instant, for `Retry-After`; at least one.
pub(crate) fn seconds_until(now: Millis, at: Millis) -> u32 {
    let seconds = (at.0 - now.0).max(0).div_euclid(1_000) + 1;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        for text in ["abc-1", "\"abc-1\""] {
            let headers = headers("idempotency-key", &[text]);
            assert_eq!(client_key(&headers, 128).unwrap(), Some(&b"abc-1"[..]));
        }
        assert_eq!(client_key(&HeaderMap::new(), 128).unwrap(), None);
    }

    #[test]
    fn keys_that_could_be_misread_are_refused() {
        let long = "a".repeat(129);
        for values in [&[""][..], &["\"\""], &["a b"], &["\"a"], &[long.as_str()], &["a", "a"]] {
            assert!(client_key(&headers("idempotency-key", values), 128).is_err(), "{values:?}");
        }
    }

    #[test]
    fn a_preferred_wait_is_found_and_bounded() {
        for (values, seconds) in [
            (&["wait=10"][..], 10),
            (&["respond-async, wait=3"], 3),
            (&["respond-async", "wait=\"4\""], 4),
            (&["wait=26"], 25),
            (&["wait=x"], 0),
            (&["waiting=5"], 0),
            (&[], 0),
        ] {
            let wait = preferred_wait(&headers("prefer", values), 25);
            assert_eq!(wait, Duration::from_secs(seconds), "{values:?}");
        }
    }
}
