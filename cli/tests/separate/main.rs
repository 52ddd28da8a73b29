//! The product as separate processes on a real Kafka broker: the whole path, every way in which a start
//! fails, outages, takeovers.
//!
//! One broker serves all tests that do not stop it, each under a topic prefix of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod moving;
mod outages;
mod path;
mod secured;
mod starts;
mod takeovers;
