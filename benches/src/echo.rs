//! The ceiling of every HTTP figure: bare hyper that reads a request and answers bytes of a given size.
//!
//! Same listeners (one `current_thread` runtime a core, `SO_REUSEPORT`), same hyper, same connection
//! settings as the gateway; no token, no parsing of the body, no journal. What it answers is as long as
//! what the product answers, headers included.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections waiting to be accepted on each listener.
const ACCEPT_BACKLOG: i32 = 1_024;

/// The echo as a process: `body_bytes`. Says where it listens, as the product does with `--json`, and
/// serves until it is killed.
///
/// # Errors
/// When it cannot listen, in words.
pub fn work(words: &[String]) -> Result<(), String> {
    let body_bytes = words.first().and_then(|word| word.parse().ok()).ok_or("bytes of a body")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    serve(cores, body_bytes).map_err(|error| format!("echo: {error}"))
}

fn serve(cores: usize, body_bytes: usize) -> std::io::Result<()> {
    let body = Bytes::from(vec![b'x'; body_bytes]);
    let first = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = first.local_addr()?;
    let others = (1..cores).map(|_| listen(address)).collect::<std::io::Result<Vec<_>>>()?;
    println!("{{\"public\":\"http://{address}\"}}");
    let mut threads = Vec::new();
    for (core, listener) in std::iter::once(first).chain(others).enumerate() {
        let body = body.clone();
        let name = format!("echo-{core}");
        threads.push(std::thread::Builder::new().name(name).spawn(move || run(listener, body))?);
    }
    for thread in threads {
        let _ = thread.join();
    }
    Ok(())
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    Ok(socket.into())
}

fn run(listener: std::net::TcpListener, body: Bytes) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let body = body.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| answer(request, body.clone()));
                let mut server = hyper::server::conn::http1::Builder::new();
                server.timer(TokioTimer::new());
                // A connection that breaks is the generator's to report.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // The whole body is read, as the product does; its content does not matter.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
