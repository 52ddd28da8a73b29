//! Requests that no honest client sends: ambiguous, cut off, too large, too slow. Plain bytes over real
//! sockets; patience is configured short, and no verdict hangs on how fast a test runs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::client::{connect, raw, read_answer};
use support::matrix::assert_refused;
use support::{House, Person, document, slug, until};

fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end, too.
    stream.read_to_end(&mut rest).is_err() || rest.is_empty()
}

#[test]
fn a_chunked_body_is_taken_and_is_the_last_of_its_connection() {
    let house = House::furnished(1, &[]);
    let body = document(&Person::numbered(1)).to_string();
    let (front, back) = body.split_at(7);
    let bytes = format!(
        "POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{front}\r\n{:x}\r\n{back}\r\n0\r\n\r\n",
        front.len(),
        back.len()
    );
    let answers = raw(house.public, bytes.as_bytes());
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].status, answers[0].header("connection")), (201, Some("close")));
}

#[test]
fn a_header_that_does_not_come_to_an_end_closes_the_connection() {
    let house = House::empty(|config| {
        config.limits.header_wait_ms_max = 300;
        config.limits.idle_wait_ms_max = 3_600_000;
    });
    for begun in ["", "GET /v1/ho", "GET /v1/home HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = connect(house.public);
        stream.write_all(begun.as_bytes()).unwrap();
        assert!(is_closed(&mut stream), "{begun:?}");
    }
    // Also behind a good request.
    let mut stream = connect(house.public);
    stream.write_all(b"GET /v1/home HTTP/1.1\r\nhost: a\r\n\r\nGET /v1/").unwrap();
    assert_eq!(read_answer(&mut stream, false).unwrap().status, 200);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_header_that_drips_in_is_not_given_more_time() {
    let house = House::empty(|config| config.limits.header_wait_ms_max = 300);
    let mut stream = connect(house.public);
    let mut sent = 0;
    until("the server gives up", || {
        sent += 1;
        stream.write_all(b"x").is_err() || sent > 1_000_000
    });
    assert!(sent < 1_000_000);
}

#[test]
fn an_idle_connection_is_closed_and_an_active_one_is_not() {
    let house = House::empty(|config| config.limits.idle_wait_ms_max = 400);
    let mut stream = connect(house.public);
    stream.write_all(b"GET /v1/home HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, false).unwrap().status, 200);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_slow_body_is_answered_with_408_and_closed() {
    let house = House::empty(|config| config.limits.body_wait_ms_max = 300);
    let bytes = "POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    assert_refused(&raw(house.public, bytes.as_bytes()), 408, "slow-request", "half a body");
}

#[test]
fn a_body_that_is_cut_off_harms_nobody() {
    let house = House::empty(|_| {});
    let mut stream = connect(house.public);
    stream
        .write_all(b"POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{")
        .unwrap();
    drop(stream);
    assert_eq!(house.client().get("/v1/home").status, 200);
}

#[test]
fn connections_beyond_the_cap_are_turned_away_with_words_and_room_is_reused() {
    let house = House::empty(|config| config.limits.connections_max = 4);
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(house.public);
            stream.write_all(b"GET /v1/home HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            assert_eq!(read_answer(&mut stream, false).unwrap().status, 200);
            stream
        })
        .collect();
    let mut fifth = connect(house.public);
    let answer = read_answer(&mut fifth, false).unwrap();
    assert_eq!((answer.status, slug(&answer)), (503, "overloaded"));
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    drop(held);
    until("there is room again", || {
        let mut stream = connect(house.public);
        stream.write_all(b"GET /v1/home HTTP/1.1\r\nhost: a\r\n\r\n").is_ok()
            && read_answer(&mut stream, false).is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn expect_continue_is_honoured() {
    let house = House::furnished(1, &[]);
    let body = document(&Person::numbered(1)).to_string();
    let mut stream = connect(house.public);
    let head = format!(
        "POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream, false).unwrap().status, 201);
}

#[test]
fn the_operators_listener_keeps_the_same_guard() {
    let house = House::empty(|_| {});
    let bytes = "GET /livez HTTP/1.1\nhost: a\r\n\r\n";
    assert_refused(
        &raw(house.operator, bytes.as_bytes()),
        400,
        "malformed-request",
        "bare line feed",
    );
}

#[test]
fn a_client_that_does_not_take_its_answers_is_closed() {
    let house = House::empty(|config| {
        config.limits.idle_wait_ms_max = 200;
        config.limits.header_wait_ms_max = 200;
    });
    let mut stream = connect(house.public);
    stream.set_nonblocking(true).unwrap();
    let request = b"GET /v1/regions HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut place = 0;
    // Sends on and on and reads nothing, until the server has had enough.
    until("the server closes", || match stream.write(&request[place..]) {
        Ok(sent) => {
            place = (place + sent) % request.len();
            false
        }
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    });
    assert_eq!(house.client().get("/v1/home").status, 200);
}

#[test]
fn an_answer_before_the_body_says_that_the_connection_ends() {
    let house = House::empty(|_| {});
    let body = r#"{"period":2,"slot":1}"#;
    for (path, status) in [("/v1/bookings", 401), ("/v1/nothing", 404), ("/v1/home", 405)] {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut stream = connect(house.public);
        stream.write_all(head.as_bytes()).unwrap();
        let answer = read_answer(&mut stream, false).unwrap();
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{path}");
        assert!(is_closed(&mut stream), "{path}");
        // With its body there, the connection goes on.
        let mut stream = connect(house.public);
        for _ in 0..2 {
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            let answer = read_answer(&mut stream, false).unwrap();
            assert_eq!((answer.status, answer.header("connection")), (status, None), "{path}");
        }
    }
}
