//! Of several failures, the first is told.

#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::embedded::config::system_clock;
use crate::storage::crash::CrashStorage;

#[test]
fn the_first_failure_is_the_one_told() {
    let shared = Shared::new(
        EmbeddedConfig::default(),
        Arc::new(CrashStorage::new(true)),
        system_clock(),
        JournalId([0; 16]),
        None,
    );
    let error = |what: &str| JournalError::Closed(what.to_owned());
    shared.fail(Stream::Events, &error("first"));
    shared.fail(Stream::Commands, &error("second"));
    shared.closed();
    match shared.health() {
        Health::Failed(text) => assert!(text.contains("events") && text.contains("first")),
        other => panic!("{other:?}"),
    }
}
