//! Every figure the product is judged by, measured beside its ceiling in the same run.
//!
//! Benchmarks measure and tests assert: nothing here fails on a slow machine. `bench` (the binary)
//! runs all of it in at most ten minutes and writes one table and one JSON file.
//!
//! # Where things are
//! - [`part`]: what a part of the run is; [`PARTS`] lists them. `apply`, `http`, `engine`, `journal`,
//!   `recovery`, `kafka`: one part each. [`goals`]: what the figures shall reach. [`figures`]: the table.
//! - [`nation`]: the people, places and rules that every part uses. [`crowd`]: the same people as
//!   citizens over HTTP. [`order`]: numbers without pattern. [`memory`]: pages that the host has backed.
//! - [`server`], [`echo`], [`running`]: what is measured. [`process`]: what it cost.
//!
//! # Another part
//! A module with a `pub const PART: Part`, one line in [`PARTS`], and its goals, if any, in
//! [`goals::GOALS`].

pub mod apply;
pub mod crowd;
pub mod echo;
pub mod engine;
pub mod figures;
pub mod goals;
pub mod http;
pub mod journal;
pub mod kafka;
pub mod memory;
pub mod nation;
pub mod order;
pub mod part;
pub mod process;
pub mod recovery;
pub mod running;
pub mod server;

use part::Part;

/// Every part, in the order of a run.
pub const PARTS: &[Part] =
    &[http::PART, apply::PART, journal::PART, engine::PART, recovery::PART, kafka::PART];
