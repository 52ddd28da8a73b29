//! The rules of vaccine booking, as one pure function from (state, command, time) to (state, events).
//!
//! The laws of this crate, which everything else leans on:
//!
//! 1. `State::apply` never fails, never blocks, never reads a clock, a file, the environment or a
//!    random number, and never depends on the order of a hash table. The same commands at the same
//!    times give the same events and the same `State::digest`, in any batch sizes, on any machine.
//! 2. Time enters only with the journal entry and never runs backwards.
//! 3. Every command of a person has exactly one outcome, and a refusal is an outcome too
//!    ([`Rejection`], stable numbers, in order of precedence).
//! 4. No personal data in plain: people are keyed hashes ([`PersonKey`]) and dense numbers; contact
//!    data passes through as sealed bytes that this crate never opens and `State` never keeps.
//!
//! What this crate deliberately does not do: I/O, journaling, HTTP, secrets, languages. Two hints go to
//! the machine, neither of which any result can depend on: cache lines to fetch ahead, and huge pages
//! for the large arrays.

#![deny(clippy::float_arithmetic)]

pub mod changes;
pub mod codec;
pub mod command;
pub mod eligibility;
pub mod event;
pub mod id;
pub mod identity;
pub mod prefetch;
pub mod rejection;
pub mod rules;
pub mod state;
pub mod time;
pub mod view;
pub mod watermark;

pub use command::{
    Attendance, Attested, Category, Command, Envelope, ImportKind, ImportRows, Intent, Names,
    Opening, Period, Site, SlotRow,
};
pub use event::{Event, Slot};
pub use id::*;
pub use rejection::{OperatorRefusal, Rejection};
pub use state::State;
pub use time::{Day, Millis};
pub use view::View;
pub use watermark::{Admission, Anchor, EventId, Sighting, Watermark};
