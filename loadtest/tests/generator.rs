//! The bare generator against small servers, good and bad.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadtest::arrivals::Spacing;
use loadtest::connection::Failure;
use loadtest::{Pace, SaturateOptions, saturate};

const REQUEST: &[u8] = b"POST /v1/bookings HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}";

fn any(_index: u64, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(REQUEST);
    true
}

fn options<'a>(address: SocketAddr, requests_max: u64) -> SaturateOptions<'a> {
    SaturateOptions {
        connections: 4,
        threads: 2,
        duration: Duration::from_secs(60),
        requests_max,
        request_timeout: Duration::from_secs(20),
        ..SaturateOptions::new(address, &any)
    }
}

/// A server of one behaviour per connection, without HTTP of its own.
fn raw(behaviour: impl Fn(std::net::TcpStream, u64) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let behaviour = Arc::new(behaviour);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let behaviour = Arc::clone(&behaviour);
            std::thread::spawn(move || behaviour(stream.unwrap(), number as u64));
        }
    });
    address
}

/// Reads one request of the fixed length.
fn take_request(stream: &mut std::net::TcpStream) -> bool {
    let mut bytes = [0u8; REQUEST.len()];
    stream.read_exact(&mut bytes).is_ok()
}

#[test]
fn every_request_is_answered_once_and_counted() {
    let address = support::serve(|call| async move { support::answer(201, call.body) });
    let result = saturate(&options(address, 5_000)).unwrap();
    assert_eq!((result.requests, result.statuses[&201]), (5_000, 5_000));
    assert!(result.failures.is_empty());
    assert_eq!((result.response.count(), result.service.count()), (5_000, 5_000));
    assert!(result.per_second > 0.0 && result.generator_cpu_us_per_request > 0.0);
}

#[test]
fn each_index_is_asked_for_once_over_all_threads() {
    let address = support::serve(|call| async move { support::answer(200, call.body) });
    let seen: Vec<AtomicU64> = (0..1_000).map(|_| AtomicU64::new(0)).collect();
    let requests = |index: u64, out: &mut Vec<u8>| {
        let body = index.to_string();
        out.extend_from_slice(
            format!(
                "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        index < 1_000
    };
    let answers = |index: u64, status: u16, body: &[u8]| {
        assert_eq!((status, std::str::from_utf8(body).unwrap()), (200, index.to_string().as_str()));
        seen[index as usize].fetch_add(1, Ordering::Relaxed);
    };
    let options = SaturateOptions {
        requests: &requests,
        answers: Some(&answers),
        ..options(address, u64::MAX)
    };
    saturate(&options).unwrap();
    assert!(seen.iter().all(|count| count.load(Ordering::Relaxed) == 1));
}

#[test]
fn a_connection_that_is_cut_fails_its_request_and_is_opened_anew() {
    let address = raw(|mut stream, number| {
        while take_request(&mut stream) {
            if number.is_multiple_of(2) {
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    let result = saturate(&options(address, 500)).unwrap();
    let lost = result.failures[&Failure::ConnectionLost];
    assert!(lost >= 1);
    assert_eq!(result.requests + lost, 500);
}

#[test]
fn answers_in_small_pieces_are_put_together() {
    let address = raw(|mut stream, _| {
        stream.set_nodelay(true).unwrap();
        while take_request(&mut stream) {
            for byte in b"HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nhello" {
                stream.write_all(&[*byte]).unwrap();
            }
        }
    });
    let hello = |_: u64, status: u16, body: &[u8]| assert_eq!((status, body), (409, &b"hello"[..]));
    let result =
        saturate(&SaturateOptions { answers: Some(&hello), ..options(address, 100) }).unwrap();
    assert_eq!(result.statuses[&409], 100);
}

#[test]
fn long_answers_are_read_whole() {
    let address = support::serve(|_| async move { support::answer(200, vec![b'x'; 300_000]) });
    let whole = |_: u64, _: u16, body: &[u8]| {
        assert!(body.len() == 300_000 && body.iter().all(|byte| *byte == b'x'))
    };
    let result =
        saturate(&SaturateOptions { answers: Some(&whole), ..options(address, 50) }).unwrap();
    assert_eq!(result.requests, 50);
}

#[test]
fn garbage_is_named_and_does_not_stop_the_run() {
    for text in [
        &b"I am not HTTP at all\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let address = raw(
            move |mut stream, _| {
                while take_request(&mut stream) && stream.write_all(text).is_ok() {}
            },
        );
        let result = saturate(&options(address, 40)).unwrap();
        assert_eq!((result.requests, result.failures[&Failure::Garbage]), (0, 40));
    }
}

#[test]
fn a_server_that_says_close_is_obeyed() {
    let connections = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&connections);
    let address = raw(move |mut stream, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        if take_request(&mut stream) {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            // Nothing more may come on this connection.
            assert_eq!(stream.read(&mut [0u8; 1]).unwrap_or(0), 0);
        }
    });
    let result = saturate(&options(address, 60)).unwrap();
    assert_eq!((result.requests, result.failures.len()), (60, 0));
    assert_eq!(connections.load(Ordering::Relaxed), 60);
}

#[test]
fn a_server_that_never_answers_times_out() {
    let address = raw(|mut stream, _| while take_request(&mut stream) {});
    let options =
        SaturateOptions { request_timeout: Duration::from_millis(200), ..options(address, 8) };
    let result = saturate(&options).unwrap();
    assert_eq!((result.requests, result.failures[&Failure::TimedOut]), (0, 8));
}

#[test]
fn a_server_that_is_not_there_is_refused_and_not_stormed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let result = saturate(&SaturateOptions {
        duration: Duration::from_millis(600),
        ..options(address, u64::MAX)
    })
    .unwrap();
    let refused = result.failures[&Failure::Refused];
    // Four places rest after each refusal; without the rest there would be tens of thousands.
    assert!((4..400).contains(&refused), "{refused}");
}

/// The server stalls once for a second. With one connection everybody who comes meanwhile waits: the
/// response time must show it for all of them, the service time cannot for more than a few.
#[test]
fn a_stall_of_the_server_shows_in_the_response_time() {
    let count = Arc::new(AtomicU64::new(0));
    let address = support::serve(move |_| {
        let stalls = count.fetch_add(1, Ordering::Relaxed) == 100;
        async move {
            if stalls {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            support::answer(200, "{}")
        }
    });
    let pace = Pace::Planned {
        stages: "0s:200,2s:200".parse().unwrap(),
        spacing: Spacing::Even,
        seed: 1,
        drop_after: Duration::from_secs(60),
    };
    let result = saturate(&SaturateOptions {
        connections: 1,
        threads: 1,
        pace,
        ..options(address, u64::MAX)
    })
    .unwrap();
    assert_eq!((result.requests, result.dropped), (400, 0));
    let slow =
        |latency: &loadtest::latency::Latency| latency.histogram().count_between(250_000, u64::MAX);
    let (response, service) = (slow(&result.response), slow(&result.service));
    // 200 requests were due during the stall; three quarters of them waited 250 ms or more. Each slow
    // exchange, of whatever cause, keeps at least 50 others waiting, up to the end of the plan.
    assert!(response >= 140, "{response}");
    assert!(service >= 1 && service * 10 <= response, "{service} of {response}");
    assert!(slow(&result.send_lag) >= 140);
}

#[test]
fn requests_that_wait_too_long_for_a_connection_are_dropped() {
    let address = support::serve(|_| async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        support::answer(200, "{}")
    });
    let pace = Pace::Planned {
        stages: "0s:100,1s:100".parse().unwrap(),
        spacing: Spacing::Even,
        seed: 1,
        drop_after: Duration::from_millis(100),
    };
    let result = saturate(&SaturateOptions {
        connections: 1,
        threads: 1,
        pace,
        ..options(address, u64::MAX)
    })
    .unwrap();
    assert_eq!(result.requests + result.dropped, 100);
    assert!(result.dropped >= 50, "{}", result.dropped);
    assert!(result.failures.is_empty());
}
