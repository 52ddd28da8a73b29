//! One keep-alive connection as a small state machine over non-blocking reads and writes.
//!
//! It knows bytes and answers; what to send and what an answer means is the traffic's business.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use serde::{Deserialize, Serialize};

use crate::wire::{AnswerHead, HeadParse, parse_head};

/// Bytes read at once; an ordinary answer fits.
const READ_BYTES: usize = 8 * 1024;
/// A longer answer is refused as garbage.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection could be made.
    Refused,
    /// The connection ended before the answer was whole.
    ConnectionLost,
    /// No whole answer in the time allowed.
    TimedOut,
    /// What came was not an answer.
    Garbage,
}

impl Failure {
    /// The stable name used in results.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Refused => "connection_refused",
            Failure::ConnectionLost => "connection_lost",
            Failure::TimedOut => "timed_out",
            Failure::Garbage => "garbage",
        }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Closed,
    Connecting,
    Idle,
    Writing,
    Reading,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for the next readiness.
    Wait,
    /// A whole answer stands in the buffer.
    Answered(AnswerHead),
    /// The exchange is over without an answer.
    Failed(Failure),
    /// The server ended an idle connection; nothing was lost.
    ClosedIdle,
}

/// One connection and the exchange under way on it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Option<TcpStream>,
    pub(crate) phase: Phase,
    /// The request; the traffic writes it here.
    pub(crate) out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    filled: usize,
    head: Option<AnswerHead>,
    /// The traffic's name of the exchange under way.
    pub(crate) ticket: u64,
    /// When the exchange under way was begun.
    pub(crate) sent_at: Instant,
}

impl Connection {
    /// A connection not yet opened.
    pub(crate) fn closed(now: Instant) -> Connection {
        Connection {
            stream: None,
            phase: Phase::Closed,
            out: Vec::with_capacity(1_024),
            written: 0,
            input: vec![0; READ_BYTES],
            filled: 0,
            head: None,
            ticket: 0,
            sent_at: now,
        }
    }

    /// Begins the exchange whose bytes stand in `out`, opening the connection where needed.
    pub(crate) fn begin(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> Step {
        self.written = 0;
        self.filled = 0;
        self.head = None;
        if self.phase == Phase::Idle {
            self.phase = Phase::Writing;
            return self.write();
        }
        match open(address, registry, token) {
            Ok(stream) => {
                self.stream = Some(stream);
                self.phase = Phase::Connecting;
                Step::Wait
            }
            Err(_) => Step::Failed(Failure::Refused),
        }
    }

    /// Goes on after the poll said that something may have happened.
    pub(crate) fn advance(&mut self) -> Step {
        match self.phase {
            Phase::Closed => Step::Wait,
            Phase::Connecting => match self.connected() {
                Ok(true) => {
                    self.phase = Phase::Writing;
                    self.write()
                }
                Ok(false) => Step::Wait,
                Err(_) => Step::Failed(Failure::Refused),
            },
            Phase::Writing => self.write(),
            Phase::Reading => self.read(),
            Phase::Idle => self.drain_idle(),
        }
    }

    /// The body of the answer just completed.
    pub(crate) fn body(&self, head: &AnswerHead) -> &[u8] {
        &self.input[head.head_bytes..head.head_bytes + head.body_bytes]
    }

    /// Makes the connection ready for the next exchange, or closes it if the server said so.
    pub(crate) fn finish(&mut self, head: &AnswerHead, registry: &Registry) {
        self.phase = Phase::Idle;
        if head.closes {
            self.close(registry);
        }
        if self.input.len() > READ_BYTES {
            self.input.truncate(READ_BYTES);
            self.input.shrink_to_fit();
        }
    }

    /// Closes the connection.
    pub(crate) fn close(&mut self, registry: &Registry) {
        if let Some(mut stream) = self.stream.take() {
            // Closing the descriptor deregisters it too; an error here changes nothing.
            let _ = registry.deregister(&mut stream);
        }
        self.phase = Phase::Closed;
    }

    fn connected(&self) -> io::Result<bool> {
        let Some(stream) = &self.stream else { return Err(ErrorKind::NotConnected.into()) };
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&mut self) -> Step {
        let Some(stream) = self.stream.as_mut() else {
            return Step::Failed(Failure::ConnectionLost);
        };
        while self.written < self.out.len() {
            match stream.write(&self.out[self.written..]) {
                Ok(0) => return Step::Failed(Failure::ConnectionLost),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Step::Failed(Failure::ConnectionLost),
            }
        }
        self.phase = Phase::Reading;
        // The answer's arrival is a new edge, so there is nothing to read yet.
        Step::Wait
    }

    fn read(&mut self) -> Step {
        loop {
            let Some(stream) = self.stream.as_mut() else {
                return Step::Failed(Failure::ConnectionLost);
            };
            if self.filled == self.input.len() {
                if self.filled >= ANSWER_BYTES_MAX {
                    return Step::Failed(Failure::Garbage);
                }
                self.input.resize(self.filled * 2, 0);
            }
            let room = self.input.len() - self.filled;
            match stream.read(&mut self.input[self.filled..]) {
                Ok(0) => return Step::Failed(Failure::ConnectionLost),
                Ok(bytes) => {
                    self.filled += bytes;
                    match self.look() {
                        Step::Wait if bytes == room => {}
                        // A short read emptied the socket; what follows is a new edge.
                        step => return step,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Step::Failed(Failure::ConnectionLost),
            }
        }
    }

    /// Looks whether the bytes so far are a whole answer.
    fn look(&mut self) -> Step {
        let head = match self.head {
            Some(head) => head,
            None => match parse_head(&self.input[..self.filled]) {
                HeadParse::Incomplete => return Step::Wait,
                HeadParse::Garbage(_) => return Step::Failed(Failure::Garbage),
                HeadParse::Complete(head) if head.body_bytes > ANSWER_BYTES_MAX => {
                    return Step::Failed(Failure::Garbage);
                }
                HeadParse::Complete(head) => *self.head.insert(head),
            },
        };
        match self.filled.cmp(&(head.head_bytes + head.body_bytes)) {
            std::cmp::Ordering::Less => Step::Wait,
            std::cmp::Ordering::Equal => Step::Answered(head),
            // One request is under way at a time: more than one answer is nobody's.
            std::cmp::Ordering::Greater => Step::Failed(Failure::Garbage),
        }
    }

    fn drain_idle(&mut self) -> Step {
        let Some(stream) = self.stream.as_mut() else { return Step::ClosedIdle };
        let mut byte = [0u8; 1];
        match stream.read(&mut byte) {
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                Step::Wait
            }
            // Either the end, an error, or bytes that answer nothing: not to be used again.
            _ => Step::ClosedIdle,
        }
    }
}

fn open(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}
