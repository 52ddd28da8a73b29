//! Uploads that do not come to an end hold up nobody else.

use std::io::Write;
use std::net::TcpStream;

use serde_json::json;
use vault::Role;

use crate::support::client::{connect, read_answer};
use crate::support::{House, date, slug};
use crate::{SLOTS_HEADER, csv};

/// The beginning of a report of attendance by someone who may do nothing else.
fn stalled(house: &House) -> TcpStream {
    let token =
        house.vault.mint_operator_token("site", &[Role::Site], u64::from(u32::MAX)).unwrap();
    let mut stream = connect(house.operator);
    let head = format!(
        "POST /v1/attendance HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: text/csv\r\ncontent-length: 1000\r\nexpect: 100-continue\r\n\r\nbooking_number,attended_at\n",
        token.as_str()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn an_upload_that_stands_still_keeps_no_import_waiting() {
    let house = House::furnished_with(0, &[1], |config| {
        config.request.applied_wait_ms_max = 3_600_000;
        config.limits.body_wait_ms_max = 3_600_000;
        config.limits.import_body_wait_ms_max = 3_600_000;
    });
    // More of them than are read at once.
    let _stalled: Vec<TcpStream> = (0..20).map(|_| stalled(&house)).collect();
    let mut operator = house.operator();
    let slots = format!("{SLOTS_HEADER}\nS1,{},08:00,09:00,AZ,5\n", date(3));
    let answer = csv(&mut operator, "/v1/slots:import", &slots);
    assert_eq!((answer.status, &answer.json), (200, &json!({ "rows": 1, "added": 1 })));
}

#[test]
fn an_upload_that_stands_still_is_given_up() {
    let house = House::furnished_with(0, &[1], |config| {
        config.limits.body_wait_ms_max = 100;
        config.limits.import_body_wait_ms_max = 3_600_000;
    });
    let mut stream = stalled(&house);
    let answer = read_answer(&mut stream, false).unwrap();
    assert_eq!((answer.status, slug(&answer)), (408, "slow-request"), "{answer:?}");
    assert_eq!(answer.header("connection"), Some("close"));
}
