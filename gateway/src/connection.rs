//! One client's connection: the watched byte stream under hyper, and the patience we have with it.
//!
//! The stream shows hyper the bytes the [`HeadGuard`] let pass, and replaces hyper's own bare error
//! replies (they come before any handler runs) by problems in JSON. How long a client may take is
//! measured here without a timer per request: the connection notes when what began, and the core looks
//! through its connections a few times a second.
//!
//! What this module does not do: handle requests.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::head::HeadGuard;
use crate::i18n::Language;
use crate::problem::Slug;
use crate::reply::ReplyBody;

/// What hyper is given to read once a request was found malformed: no parser takes it for a header.
const POISON: &[u8] = b"\0\r\n\r\n";

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waiting for a request to begin, or for its answer to be taken.
    Idle,
    /// A header has begun to come, or the connection is new.
    Head,
    /// A handler is at work.
    Busy,
}

/// How a connection shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Not yet.
    None,
    /// After the answer under way.
    Graceful,
    /// Now.
    Abrupt,
}

/// What stream, handler and core share about a connection.
#[derive(Debug)]
pub(crate) struct Vital {
    phase: Cell<Phase>,
    /// When the phase began or bytes last went out, in the core's milliseconds.
    since_ms: Cell<u64>,
    /// The core's clock.
    now_ms: Rc<Cell<u64>>,
    ending: Cell<Ending>,
    /// True while a handler is at work.
    answering: Cell<bool>,
    /// True when all that hyper wanted to write has been written since the last handler ended.
    flushed: Cell<bool>,
    /// True once the client sent what is not HTTP.
    malformed: Cell<bool>,
    /// True when a header is partly there while an answer is under way.
    head_begun: Cell<bool>,
    /// True when part of the newest request's body has not come.
    body_awaited: Cell<bool>,
    /// True when nothing may follow the request under way.
    last_request: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Vital {
    /// A new connection: its first header is due.
    pub(crate) fn new(now_ms: Rc<Cell<u64>>) -> Vital {
        Vital {
            phase: Cell::new(Phase::Head),
            since_ms: Cell::new(now_ms.get()),
            now_ms,
            ending: Cell::new(Ending::None),
            answering: Cell::new(false),
            flushed: Cell::new(true),
            malformed: Cell::new(false),
            head_begun: Cell::new(false),
            body_awaited: Cell::new(false),
            last_request: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since_ms.set(self.now_ms.get());
    }

    /// A handler starts.
    pub(crate) fn begin_answer(&self) {
        self.answering.set(true);
        self.enter(Phase::Busy);
    }

    /// Tells whether the connection must close after the answer: nothing may follow the request, or the
    /// answer is there before the request's body, if it has one, is. What is still to come would be taken for another request, so
    /// that nothing more is read then.
    pub(crate) fn is_last_answer(&self, has_body: bool) -> bool {
        self.last_request.get() || (has_body && self.body_awaited.get())
    }

    /// The handler's answer is there.
    pub(crate) fn end_answer(&self) {
        self.answering.set(false);
        self.flushed.set(false);
        let next = if self.head_begun.get() { Phase::Head } else { Phase::Idle };
        self.enter(next);
    }

    /// What the connection is doing and for how long.
    pub(crate) fn phase(&self) -> (Phase, u64) {
        let spent_ms = self.now_ms.get().saturating_sub(self.since_ms.get());
        (self.phase.get(), spent_ms)
    }

    /// Asks the connection to end; a stronger wish replaces a weaker one. True when this one did.
    pub(crate) fn end(&self, ending: Ending) -> bool {
        let stronger = ending > self.ending.get();
        if stronger {
            self.ending.set(ending);
            if let Some(waker) = &*self.waker.borrow() {
                waker.wake_by_ref();
            }
        }
        stronger
    }

    /// True once the client sent what is not HTTP.
    pub(crate) fn was_malformed(&self) -> bool {
        self.malformed.get()
    }
}

/// The socket, watched.
pub(crate) struct WatchedStream {
    io: TcpStream,
    vital: Rc<Vital>,
    guard: HeadGuard,
    poison: Poison,
    /// Our words instead of hyper's, as far as they are still to be written.
    instead: Option<Bytes>,
}

/// What is left to be read of a connection that sent nonsense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    Unneeded,
    Due,
    Taken,
}

impl WatchedStream {
    /// Watches a socket.
    pub(crate) fn new(socket: TcpStream, vital: Rc<Vital>) -> WatchedStream {
        WatchedStream {
            io: socket,
            vital,
            guard: HeadGuard::default(),
            poison: Poison::Unneeded,
            instead: None,
        }
    }

    /// Looks at the bytes just read. A malformed request loses the line feed at which it was found
    /// out, which no HTTP parser forgives.
    fn inspect(&mut self, bytes: &mut [u8]) {
        let vital = &self.vital;
        match self.guard.watch(bytes) {
            Ok(()) => {
                let within = self.guard.is_within_head();
                vital.head_begun.set(within);
                vital.body_awaited.set(self.guard.is_within_body());
                if within && vital.phase.get() == Phase::Idle {
                    vital.enter(Phase::Head);
                }
                if self.guard.is_unwatched() {
                    vital.last_request.set(true);
                }
            }
            Err(malformed) => {
                bytes[malformed.0] = 0;
                vital.malformed.set(true);
                self.poison = Poison::Due;
            }
        }
    }

    /// True when these bytes are hyper's own reply to what it could not read: no handler is at work
    /// and the last handler's answer has gone out.
    fn is_automatic(&self, bytes: &[u8]) -> bool {
        !self.vital.answering.get() && self.vital.flushed.get() && bytes.starts_with(b"HTTP/1.1 4")
    }

    fn write_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = &mut self.instead {
            let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            bytes.advance(written);
            if bytes.is_empty() {
                self.instead = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = result {
            self.vital.since_ms.set(self.vital.now_ms.get());
        }
        result
    }
}

#[allow(unsafe_code)]
impl Read for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.poison {
            Poison::Unneeded => {}
            Poison::Due if into.remaining() >= POISON.len() => {
                self.poison = Poison::Taken;
                into.put_slice(POISON);
                return Poll::Ready(Ok(()));
            }
            Poison::Due | Poison::Taken => return Poll::Ready(Ok(())),
        }
        // SAFETY: `as_mut` asks that no byte already initialised is made uninitialised again; a
        // `ReadBuf` only ever writes.
        let mut piece = tokio::io::ReadBuf::uninit(unsafe { into.as_mut() });
        ready!(Pin::new(&mut self.io).poll_read(context, &mut piece))?;
        self.inspect(piece.filled_mut());
        let filled = piece.filled().len();
        // SAFETY: the socket filled, and so initialised, exactly these bytes from the cursor on.
        unsafe { into.advance(filled) };
        Poll::Ready(Ok(()))
    }
}

impl Write for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() && self.is_automatic(bytes) {
            self.instead = Some(automatic_reply(bytes));
        }
        if self.instead.is_some() {
            ready!(self.write_instead(context))?;
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(result)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.vital.flushed.set(true);
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.first().map_or(&[][..], |slice| &slice[..]);
        if self.instead.is_none() && self.is_automatic(first) {
            self.instead = Some(automatic_reply(first));
        }
        if self.instead.is_some() {
            ready!(self.write_instead(context))?;
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let result = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.wrote(result)
    }
}

/// Our words for what hyper could not read. The client's language is not known here.
fn automatic_reply(hypers: &[u8]) -> Bytes {
    let slug = match hypers.get(9..12) {
        Some(b"431") => Slug::HeaderTooLarge,
        Some(b"414") => Slug::UriTooLong,
        _ => Slug::MalformedRequest,
    };
    canned(slug, None)
}

/// A whole problem reply in bytes, in the default language, closing the connection.
pub(crate) fn canned(slug: Slug, retry_after_s: Option<u32>) -> Bytes {
    let language = Language::default();
    let text = language.messages().problem(slug.name());
    let status = slug.status();
    let body = serde_json::json!({
        "type": format!("/problems/{}", slug.name()),
        "title": text.title,
        "status": status.as_u16(),
        "detail": text.detail,
        "request_id": "unread",
    })
    .to_string();
    let retry = retry_after_s.map_or(String::new(), |s| format!("retry-after: {s}\r\n"));
    Bytes::from(format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-language: {}\r\n{retry}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        language.tag(),
        body.len(),
    ))
}

/// A connection until its end.
pub(crate) struct Serving<S: HttpService<Incoming>> {
    connection: Pin<Box<http1::Connection<WatchedStream, S>>>,
    vital: Rc<Vital>,
    told_to_end: bool,
}

impl<S> Serving<S>
where
    S: HttpService<Incoming, ResBody = ReplyBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Serves a connection.
    pub(crate) fn new(
        connection: http1::Connection<WatchedStream, S>,
        vital: Rc<Vital>,
    ) -> Serving<S> {
        Serving { connection: Box::pin(connection), vital, told_to_end: false }
    }
}

impl<S> Future for Serving<S>
where
    S: HttpService<Incoming, ResBody = ReplyBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match this.vital.ending.get() {
            Ending::None => {}
            Ending::Graceful if this.told_to_end => {}
            Ending::Graceful => {
                this.told_to_end = true;
                this.connection.as_mut().graceful_shutdown();
            }
            Ending::Abrupt => return Poll::Ready(()),
        }
        if this.vital.waker.borrow().is_none() {
            *this.vital.waker.borrow_mut() = Some(context.waker().clone());
        }
        // How a connection failed is the client's affair; what matters to us is counted elsewhere.
        this.connection.as_mut().poll(context).map(|_| ())
    }
}
