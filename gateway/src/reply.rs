//! Answers and their few header fields.
//!
//! A reply's body is whole and its length known before its first byte leaves. What this module does not do: compress; a proxy in front does that better.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, VARY};
use hyper::{Response, StatusCode};

/// `application/json`.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// `application/problem+json`.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// `text/csv`.
pub(crate) const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8");
/// `application/x-ndjson`.
pub(crate) const NDJSON: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// `text/plain`.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// `text/html`.
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// What every handler gives back.
pub(crate) type Reply = Response<ReplyBody>;

/// A body: all of it, until it is sent.
#[derive(Debug)]
pub(crate) struct ReplyBody(Option<Bytes>);

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> ReplyBody {
        ReplyBody((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().0.take().map(|all| Ok(Frame::data(all))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// An answer with a body of the given type.
pub(crate) fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::from(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// A JSON answer to a command: no cache keeps those.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    with_type(status, JSON, body.into())
}

/// A JSON answer to one person: nobody else may keep it.
pub(crate) fn private_json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = with_type(status, JSON, body.into());
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A JSON answer from a serialisable value, to one person.
///
/// A value that cannot be written as JSON (a map with odd keys) is a fault of ours and becomes `null`.
pub(crate) fn private_value<T: serde::Serialize>(status: StatusCode, value: &T) -> Reply {
    private_json(status, serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec()))
}

/// Bytes ready to be sent to anyone, with their name.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The body.
    pub(crate) body: Bytes,
    /// A strong name of exactly these bytes, in quotes.
    pub(crate) etag: HeaderValue,
}

impl Prepared {
    /// Names the bytes by their hash.
    pub(crate) fn new(body: impl Into<Bytes>) -> Prepared {
        let body = body.into();
        let hash = blake3::hash(&body);
        let mut name = String::with_capacity(34);
        name.push('"');
        for byte in &hash.as_bytes()[..16] {
            use std::fmt::Write;
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name.push('"');
        let etag = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("\"\""));
        Prepared { body, etag }
    }

    /// 200, or 304 when the caller has these bytes. `max_age_s` says how long a cache may keep them.
    pub(crate) fn reply(
        &self,
        headers: &hyper::HeaderMap,
        content_type: HeaderValue,
        max_age_s: u32,
        by_language: bool,
    ) -> Reply {
        let known =
            headers.get(hyper::header::IF_NONE_MATCH).is_some_and(|names| self.is_named_in(names));
        let mut reply = if known {
            let mut reply = Response::new(ReplyBody(None));
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
            reply
        } else {
            with_type(StatusCode::OK, content_type, self.body.clone())
        };
        let fields = reply.headers_mut();
        fields.insert(ETAG, self.etag.clone());
        let cache = match max_age_s {
            0 => HeaderValue::from_static("no-cache"),
            1 => HeaderValue::from_static("public, max-age=1"),
            seconds => HeaderValue::from_str(&format!("public, max-age={seconds}"))
                .unwrap_or(HeaderValue::from_static("no-cache")),
        };
        fields.insert(CACHE_CONTROL, cache);
        if by_language {
            fields.insert(VARY, HeaderValue::from_static("accept-language"));
        }
        reply
    }

    fn is_named_in(&self, names: &HeaderValue) -> bool {
        let Ok(names) = names.to_str() else {
            return false;
        };
        names.split(',').any(|name| {
            let name = name.trim();
            name == "*"
                || name.strip_prefix("W/").unwrap_or(name).as_bytes() == self.etag.as_bytes()
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::HeaderMap;
    use hyper::header::IF_NONE_MATCH;

    #[test]
    fn a_known_name_is_answered_with_304_and_no_body() {
        let prepared = Prepared::new("{}");
        let mut headers = HeaderMap::new();
        assert_eq!(prepared.reply(&headers, JSON, 1, false).status(), StatusCode::OK);
        let weak = format!("\"x\", W/{}", prepared.etag.to_str().unwrap());
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(&weak).unwrap());
        let reply = prepared.reply(&headers, JSON, 1, false);
        assert_eq!(reply.status(), StatusCode::NOT_MODIFIED);
        assert!(reply.body().is_end_stream());
        assert_eq!(reply.headers()[ETAG], prepared.etag);
    }

    #[test]
    fn other_bytes_have_another_name() {
        assert_ne!(Prepared::new("{}").etag, Prepared::new("[]").etag);
    }
}
