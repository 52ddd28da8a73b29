//! Small hyper servers for the tests of the generator.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod desk;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// One whole request.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        let prefix = format!("{name}=");
        self.query.split('&').find_map(|part| part.strip_prefix(&prefix)).map(str::to_owned)
    }
}

pub type Answer = Response<Full<Bytes>>;

pub fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// A server on a thread of its own, which ends with the test's process.
pub fn serve<F, T>(handler: F) -> SocketAddr
where
    F: Fn(Call) -> T + Send + Sync + 'static,
    T: Future<Output = Answer> + Send + 'static,
{
    let handler = Arc::new(handler);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let handler = Arc::clone(&handler);
                let service = service_fn(move |request| respond(Arc::clone(&handler), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    address
}

async fn respond<F, T>(handler: Arc<F>, request: Request<Incoming>) -> Result<Answer, Infallible>
where
    F: Fn(Call) -> T + Send + Sync + 'static,
    T: Future<Output = Answer> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or("").to_owned(),
        headers: parts.headers,
        body,
    };
    Ok(handler(call).await)
}
