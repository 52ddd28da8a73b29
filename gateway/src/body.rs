//! Reading a body: of the right type, not too large, not too slow.
//!
//! A body that came in one piece, as a booking's does, is taken without a timer and without a copy.
//! What this module does not do: understand the body (`json`, the operator's CSV).

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::problem::{Problem, Slug};

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Beyond: 413.
    pub(crate) bytes_max: usize,
    /// Beyond: 408.
    pub(crate) wait: Duration,
}

/// Refuses all content types but one.
///
/// # Errors
/// 415.
pub(crate) fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (kind, parameters) = match given {
        Some(text) => text.split_once(';').unwrap_or((text, "")),
        None => return Err(Slug::UnsupportedMediaType.into()),
    };
    let charset = parameters.trim();
    let is_utf8 = charset.is_empty()
        || charset.eq_ignore_ascii_case("charset=utf-8")
        || charset.eq_ignore_ascii_case("charset=\"utf-8\"");
    let is_plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if kind.trim().eq_ignore_ascii_case(expected) && is_utf8 && is_plain {
        Ok(())
    } else {
        Err(Slug::UnsupportedMediaType.into())
    }
}

/// Reads the whole body.
///
/// # Errors
/// 413, 408, or 400 when it is cut off or badly framed; the connection is closed after each.
pub(crate) async fn read(body: Incoming, allowance: Allowance) -> Result<Bytes, Problem> {
    if body.size_hint().lower() > allowance.bytes_max as u64 {
        return Err(Problem::from(Slug::TooLarge).close());
    }
    let mut reading = pin!(collect(body, allowance.bytes_max));
    // Most bodies are there with their header: only the others pay for a timer.
    if let Poll::Ready(whole) = poll_fn(|context| Poll::Ready(reading.as_mut().poll(context))).await
    {
        return whole;
    }
    // Boxed, so that the future of a quick request stays small.
    match Box::pin(tokio::time::timeout(allowance.wait, reading)).await {
        Ok(whole) => whole,
        Err(_) => Err(Problem::from(Slug::SlowRequest).close()),
    }
}

/// Reads the whole of a file, piece by piece: each must come within `pause` of the one before.
///
/// # Errors
/// As [`read`].
pub(crate) async fn read_file(
    mut body: Incoming,
    allowance: Allowance,
    pause: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::from(Slug::TooLarge).close();
    let slow = |_| Problem::from(Slug::SlowRequest).close();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > allowance.bytes_max {
        return Err(too_large());
    }
    let whole = async {
        // At once, so that it never grows by copies; the system gives the memory as it is filled.
        let mut whole = BytesMut::with_capacity(announced);
        while let Some(data) =
            tokio::time::timeout(pause, next_data(&mut body)).await.map_err(slow)??
        {
            if whole.len() + data.len() > allowance.bytes_max {
                return Err(too_large());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(allowance.wait, whole).await.map_err(slow)?
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    while let Some(data) = next_data(&mut body).await? {
        let length = first.as_ref().map_or(0, Bytes::len) + whole.len() + data.len();
        if length > bytes_max {
            return Err(Problem::from(Slug::TooLarge).close());
        }
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            start => {
                whole.extend_from_slice(start.as_deref().unwrap_or_default());
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// The next piece of a body, for calls that take it bit by bit.
///
/// # Errors
/// 400 when it is cut off or badly framed.
pub(crate) async fn next_data(body: &mut Incoming) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Problem::from(Slug::MalformedRequest).close()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn only_plain_json_in_utf8_is_json() {
        for (given, taken) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=big5", false),
            ("text/plain", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(given));
            let result = expect_type(&headers, "application/json");
            assert_eq!(result.is_ok(), taken, "{given}");
        }
        assert!(expect_type(&HeaderMap::new(), "application/json").is_err());
    }

    #[test]
    fn a_packed_body_is_not_taken() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(expect_type(&headers, "application/json").is_err());
    }
}
