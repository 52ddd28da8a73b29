//! Requests whose bytes are ambiguous, broken or too many.

use super::super::client::raw;
use super::{Door, assert_refused};

pub fn ambiguous_or_broken_framing_is_refused_and_the_connection_closed(door: &Door) {
    let post = "POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let cases: Vec<(&str, String)> = vec![
        (
            "length and chunks",
            format!("{post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunks and length",
            format!("{post}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
        ),
        ("two lengths", format!("{post}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}")),
        ("two equal lengths", format!("{post}content-length: 2\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a length with a sign", format!("{post}content-length: +2\r\n\r\n{{}}")),
        ("a length of two numbers", format!("{post}content-length: 2, 2\r\n\r\n{{}}")),
        (
            "a bare line feed in the request line",
            "GET /v1/home HTTP/1.1\nhost: a\r\n\r\n".to_owned(),
        ),
        (
            "a bare line feed in a field",
            "GET /v1/home HTTP/1.1\r\nhost: a\nx: y\r\n\r\n".to_owned(),
        ),
        ("a bare line feed at the end", "GET /v1/home HTTP/1.1\r\nhost: a\r\n\n".to_owned()),
        ("a folded field", "GET /v1/home HTTP/1.1\r\nhost: a\r\n b\r\n\r\n".to_owned()),
        ("a blank before the colon", "GET /v1/home HTTP/1.1\r\nhost : a\r\n\r\n".to_owned()),
        ("an unknown version", "GET /v1/home HTTP/3.1\r\nhost: a\r\n\r\n".to_owned()),
        ("no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_owned()),
        ("a NUL in a field", "GET /v1/home HTTP/1.1\r\nhost: a\0b\r\n\r\n".to_owned()),
        (
            "a chunk that is no chunk",
            format!("{post}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n"),
        ),
        (
            "an oversized chunk size",
            format!(
                "{post}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n{{}}\r\n0\r\n\r\n"
            ),
        ),
        (
            "chunks that are not the last coding",
            format!("{post}transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ),
    ];
    for (what, bytes) in cases {
        assert_refused(&raw(door.public, bytes.as_bytes()), 400, "malformed-request", what);
    }
}

pub fn a_smuggled_request_behind_a_good_one_is_refused(door: &Door) {
    let bytes =
        "GET /v1/regions HTTP/1.1\r\nhost: a\r\n\r\nGET /v1/regions HTTP/1.1\nhost: b\r\n\r\n";
    let answers = raw(door.public, bytes.as_bytes());
    assert_eq!(answers[0].status, 200);
    assert_refused(&answers[1..], 400, "malformed-request", "the second request");
}

pub fn pipelined_requests_are_answered_in_order(door: &Door) {
    let bytes = "GET /v1/regions HTTP/1.1\r\nhost: a\r\n\r\nGET /v1/nothing HTTP/1.1\r\nhost: a\r\n\r\nGET /v1/home HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answers = raw(door.public, bytes.as_bytes());
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 404, 200]);
}

pub fn headers_beyond_their_limits_are_refused(door: &Door) {
    let large = format!("GET /v1/home HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(17 * 1024));
    assert_refused(&raw(door.public, large.as_bytes()), 431, "header-too-large", "a large field");
    let fields: String = (0..120).map(|number| format!("x{number}: y\r\n")).collect();
    let many = format!("GET /v1/home HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    assert_refused(&raw(door.public, many.as_bytes()), 431, "header-too-large", "many fields");
    let fine: String = (0..90).map(|number| format!("x{number}: y\r\n")).collect();
    let fine = format!("GET /v1/home HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fine}\r\n");
    assert_eq!(raw(door.public, fine.as_bytes())[0].status, 200);
}

pub fn bodies_beyond_their_limit_are_refused_announced_or_not(door: &Door) {
    let post = "POST /v1/identity HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let announced = format!("{post}content-length: 16385\r\n\r\n");
    assert_refused(&raw(door.public, announced.as_bytes()), 413, "too-large", "announced");
    let chunk = "a".repeat(4_096);
    let chunks: String = (0..5).map(|_| format!("1000\r\n{chunk}\r\n")).collect();
    let unannounced = format!("{post}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    assert_refused(&raw(door.public, unannounced.as_bytes()), 413, "too-large", "unannounced");
}
