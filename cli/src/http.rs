//! A small HTTP client for the sample data and the `admin` commands.
//!
//! One connection a call: these are rare calls to a listener on the same machine or network. What it
//! deliberately does not do: TLS, redirects, retries, connection pools. `slotline loadtest` has its
//! own client for speed.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use thiserror::Error;

/// No call of ours may take longer.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Where to call, and as whom.
#[derive(Clone, Debug)]
pub struct Client {
    /// Host and port.
    authority: String,
    /// Bearer token, when the calls need one.
    token: Option<String>,
}

/// Why a call did not succeed.
#[derive(Debug, Error)]
pub enum CallError {
    /// No answer came.
    #[error("{0}: {1}. Is the server running, and is this its address?")]
    Unreachable(String, String),
    /// The answer was an error.
    #[error("{call} answered {status}: {body}")]
    Refused {
        /// Method and path.
        call: String,
        /// Status code.
        status: u16,
        /// Body, shortened.
        body: String,
    },
    /// The address is not `http://host:port`.
    #[error("{0} is not an address of the form http://host:port")]
    Address(String),
}

impl Client {
    /// Speaks to `http://host:port`.
    pub fn new(base: &str, token: Option<&str>) -> Result<Client, CallError> {
        let authority = base
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|rest| rest.contains(':') && !rest.contains('/'))
            .ok_or_else(|| CallError::Address(base.to_owned()))?;
        Ok(Client { authority: authority.to_owned(), token: token.map(str::to_owned) })
    }

    /// Sends one request and returns the body of a 2xx answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Result<Bytes, CallError> {
        let call = format!("{method} {path}");
        let attempt = self.exchange(method, path, content_type, body.into(), headers);
        let (status, body) = match tokio::time::timeout(CALL_TIMEOUT, attempt).await {
            Ok(answer) => answer.map_err(|error| self.unreachable(error.as_ref()))?,
            Err(_) => return Err(self.unreachable(&"no answer within two minutes")),
        };
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body).chars().take(2_000).collect();
        Err(CallError::Refused { call, status, body: text })
    }

    fn unreachable(&self, error: &(impl std::fmt::Display + ?Sized)) -> CallError {
        CallError::Unreachable(self.authority.clone(), error.to_string())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Result<(u16, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = tokio::net::TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(body))?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        driver.abort();
        Ok((status, body))
    }
}
