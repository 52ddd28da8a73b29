//! The bad-input matrix for the calls that exist: each row one request that is wrong in one way. It is put
//! to whatever serves the contract.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod fields;
pub mod framing;
pub mod operators;
pub mod people;

use std::net::SocketAddr;

use super::campaign::{self, Person};
use super::client::{Answer, Client, slug};

/// People of the roster who are needed; each row that needs one has its own.
pub const PEOPLE: u32 = 20;
/// Capacities of the slots that are needed.
pub const CAPACITIES: [u32; 3] = [20, 20, 1];

const JSON: (&str, &str) = ("content-type", "application/json");
const KEY: (&str, &str) = ("idempotency-key", "k");

/// A way to put a row to a gateway.
type Row = fn(&Door);

/// All of the matrix, by name.
pub const ROWS: [(&str, Row); 22] = [
    (
        "any_call_with_a_broken_body_or_type_is_refused",
        fields::any_call_with_a_broken_body_or_type_is_refused,
    ),
    ("retry_keys_are_required_and_checked", fields::retry_keys_are_required_and_checked),
    (
        "methods_and_paths_that_are_not_there_say_so",
        fields::methods_and_paths_that_are_not_there_say_so,
    ),
    (
        "tokens_that_do_not_hold_are_refused_everywhere",
        fields::tokens_that_do_not_hold_are_refused_everywhere,
    ),
    (
        "a_registration_names_every_field_at_fault",
        fields::a_registration_names_every_field_at_fault,
    ),
    (
        "an_identity_check_names_every_field_at_fault_and_repeats_no_number",
        fields::an_identity_check_names_every_field_at_fault_and_repeats_no_number,
    ),
    ("queries_are_checked", fields::queries_are_checked),
    ("problems_speak_the_callers_language", fields::problems_speak_the_callers_language),
    (
        "a_refusal_that_was_decided_is_a_409_with_its_reason",
        fields::a_refusal_that_was_decided_is_a_409_with_its_reason,
    ),
    (
        "ambiguous_or_broken_framing_is_refused_and_the_connection_closed",
        framing::ambiguous_or_broken_framing_is_refused_and_the_connection_closed,
    ),
    (
        "a_smuggled_request_behind_a_good_one_is_refused",
        framing::a_smuggled_request_behind_a_good_one_is_refused,
    ),
    ("pipelined_requests_are_answered_in_order", framing::pipelined_requests_are_answered_in_order),
    ("headers_beyond_their_limits_are_refused", framing::headers_beyond_their_limits_are_refused),
    (
        "bodies_beyond_their_limit_are_refused_announced_or_not",
        framing::bodies_beyond_their_limit_are_refused_announced_or_not,
    ),
    ("a_key_used_for_something_else_is_refused", people::a_key_used_for_something_else_is_refused),
    (
        "a_second_booking_and_a_full_slot_are_refused",
        people::a_second_booking_and_a_full_slot_are_refused,
    ),
    ("a_receipt_is_read_by_its_owner_alone", people::a_receipt_is_read_by_its_owner_alone),
    ("cancelling_twice_gives_one_answer", people::cancelling_twice_gives_one_answer),
    (
        "strangers_and_wrong_documents_get_the_same_answer",
        people::strangers_and_wrong_documents_get_the_same_answer,
    ),
    (
        "without_an_operators_token_nothing_opens",
        operators::without_an_operators_token_nothing_opens,
    ),
    (
        "a_file_with_a_wrong_row_is_refused_whole",
        operators::a_file_with_a_wrong_row_is_refused_whole,
    ),
    ("a_rule_that_cannot_stand_is_refused", operators::a_rule_that_cannot_stand_is_refused),
];

/// Where a gateway answers whose campaign was furnished with what the matrix needs.
pub struct Door {
    pub public: SocketAddr,
    pub operator: SocketAddr,
    /// An operator's, with every role.
    pub operator_token: String,
    /// A person's whose time is up.
    pub expired_token: String,
}

impl Door {
    pub fn client(&self) -> Client {
        Client::to(self.public)
    }

    fn operator(&self) -> Client {
        Client::to(self.operator).with_token(&self.operator_token)
    }

    fn logged_in(&self, serial: u32) -> Client {
        campaign::logged_in(self.public, &Person::numbered(serial))
    }

    fn registered(&self, serial: u32) -> Client {
        campaign::registered(self.public, serial)
    }
}

/// Every answer that is not what was asked for has these, and repeats nothing of the request.
pub fn assert_problem(what: &str, answer: &Answer, status: u16, expected: &str) {
    assert_eq!((answer.status, slug(answer)), (status, expected), "{what}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(answer.json["status"], status, "{what}");
    for member in ["type", "title", "detail", "request_id"] {
        assert!(
            answer.json[member].as_str().is_some_and(|text| !text.is_empty()),
            "{what}: {member}"
        );
    }
    for personal in ["A123456780", "0912345679", "王小明", "CANARY"] {
        assert!(!answer.body.contains(personal), "{what} repeats {personal}");
    }
}

pub fn pointers(answer: &Answer) -> Vec<String> {
    let errors = answer.json["errors"].as_array().cloned().unwrap_or_default();
    let mut list: Vec<String> = errors
        .iter()
        .map(|error| {
            format!(
                "{} {}",
                error["pointer"].as_str().unwrap_or("?"),
                error["code"].as_str().unwrap()
            )
        })
        .collect();
    list.sort();
    list
}

/// An answer to bytes that are no request: with the connection, nothing is kept.
pub fn assert_refused(answers: &[Answer], status: u16, expected: &str, what: &str) {
    let last = answers.last().unwrap_or_else(|| panic!("no answer to {what}"));
    assert_eq!((last.status, slug(last)), (status, expected), "{what}: {last:?}");
    assert_eq!(last.header("content-type"), Some("application/problem+json"), "{what}");
    assert_eq!(last.header("connection"), Some("close"), "{what}");
    assert!(last.json["request_id"].is_string(), "{what}");
}
