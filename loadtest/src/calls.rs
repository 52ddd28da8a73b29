//! Single calls, one after another: the operator's side, and what a citizen reads before booking.
//!
//! Not for load: each call opens a connection. A call that meets a busy or starting server is
//! repeated for a bounded time; every other answer is the caller's to judge.

use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::address::Target;

/// Bytes of one answer at most.
const REPLY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Pause before a call is repeated, where the server names none.
const REPEAT_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause that is obeyed between repeats.
const REPEAT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Characters of an unexpected answer that are shown.
const SHOWN_CHARACTERS: usize = 300;

/// Why a call did not succeed.
#[derive(Debug, Error)]
pub enum CallError {
    /// No answer in the time allowed.
    #[error("{method} {url}{path}: no answer: {reason}")]
    NoAnswer {
        /// Method of the call.
        method: Method,
        /// Where it went.
        url: String,
        /// Path of the call.
        path: String,
        /// What was met last.
        reason: String,
    },
    /// An answer that does not allow to go on.
    #[error("{method} {path} was answered with {status}: {body}")]
    Refused {
        /// Method of the call.
        method: Method,
        /// Path of the call.
        path: String,
        /// Status of the answer.
        status: u16,
        /// Beginning of its body.
        body: String,
    },
    /// The answer's body is not what the contract says.
    #[error("{path}: the answer cannot be read: {reason}")]
    Unreadable {
        /// Path of the call.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The machine gave no runtime.
    #[error("cannot start the client: {0}")]
    Client(#[from] std::io::Error),
}

/// An answer of any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status of the answer.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
    /// Pause asked for, in seconds.
    retry_after_s: Option<u64>,
}

impl Reply {
    /// The beginning of the body, for messages.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(SHOWN_CHARACTERS).collect()
    }
}

/// Makes single calls to one listener.
#[derive(Debug)]
pub struct Caller {
    target: Target,
    /// Sent as a bearer token, where given.
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
    /// A call and its repeats may take this long.
    time_max: Duration,
}

impl Caller {
    /// A caller of `target`.
    pub fn new(
        target: Target,
        token: Option<String>,
        time_max: Duration,
    ) -> Result<Caller, CallError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Caller { target, token, runtime, time_max })
    }

    /// Makes the call; repeats it while no connection can be made or the answer is 429 or 503.
    pub fn call(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Reply, CallError> {
        let deadline = Instant::now() + self.time_max;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let once = self.runtime.block_on(async {
                tokio::time::timeout(left, self.once(method, path, content_type, body)).await
            });
            let (pause, reason) = match once {
                Ok(Ok(reply)) if !matches!(reply.status, 429 | 503) => return Ok(reply),
                Ok(Ok(reply)) => {
                    let asked = reply.retry_after_s.map_or(REPEAT_PAUSE, Duration::from_secs);
                    (
                        asked.min(REPEAT_PAUSE_MAX),
                        format!("status {}: {}", reply.status, reply.shown()),
                    )
                }
                Ok(Err(error)) => (REPEAT_PAUSE, error.to_string()),
                Err(_) => (REPEAT_PAUSE, format!("nothing within {} s", self.time_max.as_secs())),
            };
            if Instant::now() + pause >= deadline {
                let url = self.target.url();
                return Err(CallError::NoAnswer {
                    method: method.clone(),
                    url,
                    path: path.to_owned(),
                    reason,
                });
            }
            std::thread::sleep(pause);
        }
    }

    /// A call that must succeed; its body as JSON.
    pub fn json<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T, CallError> {
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        let reply = self.expect_success(method, path, "application/json", bytes.as_bytes())?;
        serde_json::from_slice(&reply.body).map_err(|error| CallError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// A call that must succeed.
    pub fn expect_success(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Reply, CallError> {
        let reply = self.call(method, path, content_type, body)?;
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        Err(CallError::Refused {
            method: method.clone(),
            path: path.to_owned(),
            status: reply.status,
            body: reply.shown(),
        })
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.target.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", &self.target.host);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header("content-type", content_type);
        }
        let response =
            sender.send_request(request.body(Full::new(Bytes::copy_from_slice(body)))?).await?;
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after_s = retry_after.and_then(|text| text.parse().ok());
        let body = Limited::new(response.into_body(), REPLY_BYTES_MAX).collect().await?.to_bytes();
        driver.abort();
        Ok(Reply { status, body, retry_after_s })
    }
}
