//! What the generator itself costs: a bare hyper server, one runtime per core, answers a body of the
//! size of a booking; connections and seconds are arguments (256 and 5 where absent).
//!
//! Server CPU is what the process used beyond the generator's own threads.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use loadtest::{SaturateOptions, saturate};

/// Bytes of an answer, about those of a confirmed booking.
const ANSWER_BYTES: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let connections: usize = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let address = serve()?;
    let requests = |index: u64, out: &mut Vec<u8>| {
        out.extend_from_slice(b"POST /v1/bookings HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nauthorization: Bearer ");
        out.extend_from_slice(&[b'x'; 120]);
        out.extend_from_slice(b"\r\nidempotency-key: ");
        loadtest::wire::write_number(1_000_000_000_000 + index, out);
        out.extend_from_slice(b"\r\ncontent-length: 23\r\n\r\n{\"period\":2,\"slot\":123}");
        true
    };
    let options = SaturateOptions {
        connections,
        duration: Duration::from_secs(seconds),
        warm_up: Duration::from_secs(1),
        ..SaturateOptions::new(address, &requests)
    };
    let before = process_cpu();
    let result = saturate(&options)?;
    let server = process_cpu().saturating_sub(before).saturating_sub(result.generator_cpu);
    let exchanges = result.generator_cpu.as_secs_f64() * 1e6 / result.generator_cpu_us_per_request;
    println!(
        "{connections} connections: {:.0} requests/s, generator {:.2} us CPU, server {:.2} us CPU per request, p50 {:.2} ms, p99 {:.2} ms, failures {:?}",
        result.per_second,
        result.generator_cpu_us_per_request,
        server.as_secs_f64() * 1e6 / exchanges,
        result.service.quantile_ms(0.5),
        result.service.quantile_ms(0.99),
        result.failures
    );
    Ok(())
}

/// One listener and one runtime per core, all on one port.
fn serve() -> Result<SocketAddr, Box<dyn Error>> {
    let first = listen("127.0.0.1:0".parse()?)?;
    let address = first.local_addr()?;
    let cores = std::thread::available_parallelism()?.get();
    let others = (1..cores).map(|_| listen(address)).collect::<Result<Vec<_>, _>>()?;
    for listener in std::iter::once(first).chain(others) {
        std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            else {
                return;
            };
            runtime.block_on(accept(listener));
        });
    }
    Ok(address)
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener, Box<dyn Error>> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

async fn accept(listener: std::net::TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer)),
        );
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; ANSWER_BYTES] = [b'x'; ANSWER_BYTES];
    // The body is read to its end, as any server must before it answers.
    let _ = request.into_body().collect().await;
    Ok(Response::new(Full::new(Bytes::from_static(&BODY))))
}

/// CPU time of the whole process.
fn process_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
