//! Watches the raw bytes of requests for what hyper lets pass and a proxy in front may read otherwise.
//!
//! A header that names its body's length twice, or once by length and once by chunks, or whose lines
//! end without a carriage return, can mean two things to two readers: that is how requests are
//! smuggled. hyper takes the first two kinds by a rule of its own and the third silently, so this
//! guard sees the bytes before hyper does. It follows the framing exactly, so that pipelined requests
//! are watched too; after a chunked body it stops watching, and the connection ends there.
//!
//! What this module does not do: everything hyper already refuses.

/// Bytes kept of a line that came in pieces; a length or coding that needs more is refused.
const LINE_BYTES_MAX: usize = 96;

/// Digits of a content length; more could not be meant.
const LENGTH_DIGITS_MAX: usize = 18;

/// Where in the stream of requests the next byte stands.
#[derive(Debug)]
pub(crate) struct HeadGuard {
    place: Place,
    /// The current line so far, if it came in pieces.
    line: [u8; LINE_BYTES_MAX],
    line_length: usize,
    last: u8,
    seen_request_line: bool,
    content_length: Option<u64>,
    chunked: bool,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    /// A chunked body: not followed any further.
    Unwatched,
}

/// The request is ambiguous or badly framed, at this byte of the piece just read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) usize);

impl Default for HeadGuard {
    fn default() -> Self {
        HeadGuard {
            place: Place::Head,
            line: [0; LINE_BYTES_MAX],
            line_length: 0,
            last: 0,
            seen_request_line: false,
            content_length: None,
            chunked: false,
        }
    }
}

impl HeadGuard {
    /// Looks at the bytes just read.
    ///
    /// # Errors
    /// The place of the line's end at which the request turned out to be malformed.
    #[inline]
    pub(crate) fn watch(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut start = 0;
        while start < bytes.len() {
            match self.place {
                Place::Unwatched => return Ok(()),
                Place::Body(left) => {
                    let here = (bytes.len() - start) as u64;
                    let taken = left.min(here);
                    self.place = match left - taken {
                        0 => Place::Head,
                        left => Place::Body(left),
                    };
                    start += taken as usize;
                }
                Place::Head => {
                    let Some(length) = memchr::memchr(b'\n', &bytes[start..]) else {
                        self.keep(&bytes[start..]);
                        return Ok(());
                    };
                    let end = start + length;
                    self.end_line(&bytes[start..end]).map_err(|()| Malformed(end))?;
                    start = end + 1;
                }
            }
        }
        Ok(())
    }

    /// True while part of a header has come and part has not.
    pub(crate) fn is_within_head(&self) -> bool {
        self.place == Place::Head && (self.seen_request_line || self.line_length > 0)
    }

    /// True while part of a body of known length has not come.
    pub(crate) fn is_within_body(&self) -> bool {
        matches!(self.place, Place::Body(1..))
    }

    /// True once a chunked body was announced: nothing after it is watched.
    pub(crate) fn is_unwatched(&self) -> bool {
        self.place == Place::Unwatched
    }

    /// Keeps the beginning of a line whose end has not come yet.
    fn keep(&mut self, part: &[u8]) {
        if let Some(last) = part.last() {
            self.last = *last;
        }
        let room = LINE_BYTES_MAX - self.line_length.min(LINE_BYTES_MAX);
        let taken = part.len().min(room);
        let from = self.line_length.min(LINE_BYTES_MAX);
        self.line[from..from + taken].copy_from_slice(&part[..taken]);
        self.line_length = self.line_length.saturating_add(part.len());
    }

    /// A line ended; `part` is what came of it in this piece, without the line feed.
    #[inline]
    fn end_line(&mut self, part: &[u8]) -> Result<(), ()> {
        if self.line_length == 0 {
            return match part.split_last() {
                Some((b'\r', line)) => self.line(line),
                _ => Err(()),
            };
        }
        self.keep(part);
        let length = self.line_length;
        self.line_length = 0;
        if self.last != b'\r' {
            return Err(());
        }
        let kept = self.line;
        if length > LINE_BYTES_MAX {
            let start = &kept[..];
            let matters =
                is_field(start, b"content-length") || is_field(start, b"transfer-encoding");
            return if matters { Err(()) } else { self.other_line() };
        }
        self.line(&kept[..length - 1])
    }

    /// A whole line without its end.
    #[inline]
    fn line(&mut self, line: &[u8]) -> Result<(), ()> {
        let Some(first) = line.first() else {
            return self.end_head();
        };
        if self.seen_request_line {
            match first | 0x20 {
                b'c' if is_field(line, b"content-length") => {
                    let length = content_length(line).ok_or(())?;
                    if self.content_length.replace(length).is_some() {
                        return Err(());
                    }
                }
                b't' if is_field(line, b"transfer-encoding") => self.chunked = true,
                _ => {}
            }
        }
        self.other_line()
    }

    fn other_line(&mut self) -> Result<(), ()> {
        self.seen_request_line = true;
        Ok(())
    }

    /// An empty line: the header's end, or padding before a request.
    fn end_head(&mut self) -> Result<(), ()> {
        if !self.seen_request_line {
            return Ok(());
        }
        self.seen_request_line = false;
        let length = self.content_length.take();
        self.place = match (std::mem::take(&mut self.chunked), length) {
            (true, Some(_)) => return Err(()),
            (true, None) => Place::Unwatched,
            (false, None | Some(0)) => Place::Head,
            (false, Some(length)) => Place::Body(length),
        };
        Ok(())
    }
}

/// True when the line is the field of this lower-case name.
fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len()
        && line[..name.len()].eq_ignore_ascii_case(name)
        && matches!(line[name.len()], b':' | b' ' | b'\t')
}

/// The digits behind the colon; nothing but digits.
fn content_length(line: &[u8]) -> Option<u64> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].trim_ascii();
    if value.is_empty() || value.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    value.iter().try_fold(0_u64, |length, digit| {
        digit.is_ascii_digit().then(|| length * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes whole, then cut in two at every place: the verdict must be the same.
    fn verdict(bytes: &[u8]) -> bool {
        let whole = HeadGuard::default().watch(bytes).is_ok();
        for cut in 0..=bytes.len() {
            let mut guard = HeadGuard::default();
            let first = guard.watch(&bytes[..cut]);
            let parts = first.and_then(|()| guard.watch(&bytes[cut..])).is_ok();
            assert_eq!(parts, whole, "cut at {cut}: {:?}", String::from_utf8_lossy(bytes));
        }
        whole
    }

    #[test]
    fn plain_requests_pass_also_one_after_the_other() {
        assert!(verdict(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(verdict(
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\nb\ncGET / HTTP/1.1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        ));
        assert!(verdict(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n"
        ));
    }

    #[test]
    fn two_lengths_are_refused_even_when_they_agree() {
        assert!(!verdict(b"POST / HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n"));
        assert!(!verdict(b"POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n"));
    }

    #[test]
    fn a_length_beside_chunks_is_refused_in_either_order() {
        assert!(!verdict(
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        assert!(!verdict(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        ));
    }

    #[test]
    fn odd_lengths_are_refused() {
        for length in ["+5", "-1", "5x", "", "0x5", "9999999999999999999"] {
            let request = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
            assert!(!verdict(request.as_bytes()), "{length}");
        }
    }

    #[test]
    fn a_bare_line_feed_is_refused_in_a_head_and_not_in_a_body() {
        assert!(!verdict(b"GET / HTTP/1.1\nHost: a\r\n\r\n"));
        assert!(!verdict(b"GET / HTTP/1.1\r\nHost: a\n\r\n"));
        assert!(!verdict(b"GET / HTTP/1.1\r\nHost: a\r\n\n"));
        assert!(!verdict(
            b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1\nHost: b\r\n\r\n"
        ));
    }

    #[test]
    fn a_head_is_under_way_from_its_first_byte_to_its_last() {
        let mut guard = HeadGuard::default();
        assert!(!guard.is_within_head());
        assert!(guard.watch(b"G").is_ok() && guard.is_within_head());
        assert!(guard.watch(b"ET / HTTP/1.1\r\n\r").is_ok() && guard.is_within_head());
        assert!(guard.watch(b"\n").is_ok() && !guard.is_within_head());
    }
}
