//! HTTP/1.1 as the hot part needs it: request bytes out, answers in.
//!
//! Deliberately little: no chunked answers (the calls made under load all name their length), no
//! continuation, no pipelining. Whatever is outside of that is reported as garbage, never guessed at.

use std::fmt::Write as _;

/// Header fields of one answer at most.
const HEADERS_MAX: usize = 64;

/// A method and its target, as they stand in the request line.
#[derive(Clone, Debug)]
pub struct RequestLine {
    /// Everything of the request that is the same for all: request line, host and fixed headers,
    /// up to where the varying headers begin.
    head: Vec<u8>,
}

impl RequestLine {
    /// A request of `method` and `path` to `host`, with `headers` that never vary.
    pub fn new(method: &str, path: &str, host: &str, headers: &[(&str, &str)]) -> RequestLine {
        let mut head = String::with_capacity(256);
        let _ = write!(head, "{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        RequestLine { head: head.into_bytes() }
    }

    /// Appends the whole request: fixed part, varying `headers`, length and `body`.
    pub fn write(&self, headers: &[(&str, &[u8])], body: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        for (name, value) in headers {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"content-length: ");
        write_number(body.len() as u64, out);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }
}

/// Appends a number in decimal without allocating.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    pub(crate) status: u16,
    pub(crate) head_bytes: usize,
    pub(crate) body_bytes: usize,
    /// The server will close the connection after this answer.
    pub(crate) closes: bool,
    /// Seconds of `Retry-After`, where given.
    pub(crate) retry_after_s: Option<u32>,
}

/// Result of looking for an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadParse {
    /// More bytes are needed.
    Incomplete,
    /// The head is there.
    Complete(AnswerHead),
    /// Not an answer this client accepts.
    Garbage(&'static str),
}

/// Looks for the head of an answer at the start of `bytes`.
pub(crate) fn parse_head(bytes: &[u8]) -> HeadParse {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return HeadParse::Incomplete,
        Err(_) => return HeadParse::Garbage("not an HTTP/1.1 answer"),
    };
    let Some(status) = response.code.filter(|code| *code >= 200) else {
        return HeadParse::Garbage("an interim answer, which was not asked for");
    };
    let mut head = AnswerHead {
        status,
        head_bytes,
        body_bytes: 0,
        closes: response.version == Some(0),
        retry_after_s: None,
    };
    let mut length = None;
    for field in response.headers.iter() {
        match field.name.len() {
            14 if field.name.eq_ignore_ascii_case("content-length") => match number_of(field.value)
            {
                Some(bytes) if length.is_none_or(|earlier| earlier == bytes) => {
                    length = Some(bytes)
                }
                _ => return HeadParse::Garbage("a length that cannot be read"),
            },
            11 if field.name.eq_ignore_ascii_case("retry-after") => {
                head.retry_after_s =
                    number_of(field.value).and_then(|seconds| u32::try_from(seconds).ok());
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                head.closes |= field.value.eq_ignore_ascii_case(b"close");
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                return HeadParse::Garbage(
                    "an answer in chunks, which the calls made under load do not use",
                );
            }
            _ => {}
        }
    }
    match length {
        Some(bytes) => head.body_bytes = bytes,
        None if matches!(status, 204 | 304) => {}
        None => return HeadParse::Garbage("an answer without a length"),
    }
    HeadParse::Complete(head)
}

fn number_of(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?.trim();
    // `+5` parses as a number but is not one in HTTP.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_with_its_length() {
        let line = RequestLine::new("POST", "/v1/bookings", "localhost:1", &[("prefer", "wait=5")]);
        let mut out = Vec::new();
        line.write(&[("idempotency-key", b"k1")], b"{}", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /v1/bookings HTTP/1.1\r\nhost: localhost:1\r\nprefer: wait=5\r\nidempotency-key: k1\r\ncontent-length: 2\r\n\r\n{}"
        );
    }

    #[test]
    fn an_answer_is_found_only_once_its_head_is_whole() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nRetry-After: 3\r\nConnection: close\r\n\r\nno";
        let head_bytes = text.len() - 2;
        for cut in 0..head_bytes {
            assert_eq!(parse_head(&text[..cut]), HeadParse::Incomplete, "cut at {cut}");
        }
        let head = AnswerHead {
            status: 503,
            head_bytes,
            body_bytes: 2,
            closes: true,
            retry_after_s: Some(3),
        };
        assert_eq!(parse_head(text), HeadParse::Complete(head));
    }

    #[test]
    fn answers_outside_the_contract_are_garbage() {
        let table: [&[u8]; 7] = [
            b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"\x00\x01\x02\x03garbage",
        ];
        for text in table {
            assert!(
                matches!(parse_head(text), HeadParse::Garbage(_)),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn an_answer_without_content_needs_no_length() {
        assert!(matches!(parse_head(b"HTTP/1.1 204 No Content\r\n\r\n"), HeadParse::Complete(_)));
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 1_922, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
