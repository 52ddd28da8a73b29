//! The real process when the disk takes no more: only what is durable is acknowledged, `/readyz` says
//! why, reads go on, and after a start with room nothing acknowledged is missing.
//!
//! A file size limit stands in for the full disk: the call that makes the next segment fails, exactly
//! where a full disk is noticed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::crowd::{Crowd, CrowdSize};
use support::{Folder, Home, Server, next, seed, wait_until};

/// Enough that the streams outgrow the limit.
const SIZE: CrowdSize = CrowdSize { people: 6_000, rate: 300 };
/// Segments double from a megabyte; the third is too long.
const FILE_BYTES_MAX: u64 = 3 << 20;

/// A server without room, and the people who try.
struct Scene {
    home: Home,
    server: Server,
    crowd: Crowd,
    folder: Folder,
}

/// People book until the disk takes no more and the server says so; it lives and is read from.
fn until_full(name: &str) -> Scene {
    let mut random = seed();
    let folder = Folder::new(name);
    let mut home = Home::new(&folder);
    home.settings =
        ["journal.segment_bytes_first=1048576", "journal.write_bytes_max=65536", "log.level=warn"]
            .map(str::to_owned)
            .to_vec();
    home.file_bytes_max = Some(FILE_BYTES_MAX);
    let server = home.start();
    let mut crowd = Crowd::start(&home, &folder.0, &server, SIZE, next(&mut random) >> 1);
    crowd.wait_for_bookings();

    let mut said = String::new();
    wait_until("the disk is full", || {
        let (status, body) = readiness(&server);
        said = body;
        status == 503 && said.contains("File too large")
    });
    assert!(said.contains("commands") || said.contains("events"), "which stream? {said}");
    let (status, home_page) = server.call("GET", &format!("{}/v1/home", server.public), "", &[]);
    assert_eq!(status, 200, "reads go on: {home_page}");
    let (status, _) = server.call("GET", &format!("{}/livez", server.operator), "", &[]);
    assert_eq!(status, 200, "it lives");
    Scene { home, server, crowd, folder }
}

fn readiness(server: &Server) -> (u16, String) {
    server.call("GET", &format!("{}/readyz", server.operator), "", &[])
}

/// An operator's command.
fn put_category(server: &Server) -> (u16, String) {
    let bearer = format!("authorization: Bearer {}", server.token);
    let category = r#"{"names":{"zh-TW":"x","en":"x"},"members":true,"vaccines":["AZ"],"opens_at":"2021-07-01T00:00:00+08:00","closes_at":"2099-01-01T00:00:00+08:00"}"#;
    let url = format!("{}/v1/categories/31", server.operator);
    server.call("PUT", &url, category, &[&bearer, "content-type: application/json"])
}

#[test]
fn a_disk_that_takes_no_more_is_told_and_costs_nothing_acknowledged() {
    let Scene { mut home, server, crowd, folder: _folder } = until_full("full-disk");
    // While only the events wait for room, a command may still be durable.
    let (acknowledged, body) = put_category(&server);
    assert!(matches!(acknowledged, 201 | 503), "{acknowledged} {body}");

    server.kill();
    home.file_bytes_max = None;
    let server = home.start();
    crowd.assert_audit_passes();
    let (status, body) = put_category(&server);
    assert!(status == 200 || acknowledged == 503, "{status} {body}");
    assert!(server.stop().success(), "an orderly end exits 0");
}

#[test]
fn with_room_again_it_goes_on_without_a_new_start() {
    let Scene { server, crowd, folder: _folder, .. } = until_full("room-again");
    server.lift_file_limit();
    wait_until("it is ready again", || readiness(&server).0 == 200);
    crowd.assert_audit_passes();
    let (status, body) = put_category(&server);
    assert!(matches!(status, 200 | 201), "{status} {body}");
    assert!(server.stop().success(), "an orderly end exits 0");
}
