//! Events to SMS texts, each exactly once, and the public stream of confirmations.
//!
//! The notifier reads `events` from the beginning (names of sites, slots and vaccines it keeps in
//! memory, sealed contact data in a disk book), and owes one text for each booking confirmed, changed
//! to another slot, or cancelled. What it did stands in the stream `deliveries`, so that neither a
//! restart, nor a lost disk, nor a second instance sends anything twice:
//!
//! ```text
//! events ─▶ drafts ─▶ intents (append, durable, read back) ─▶ provider ─▶ results (append, durable)
//!                                                    after a crash between: look up, then send the rest
//! ```
//!
//! One text may go out twice in two cases only. The provider's answer was lost and it offers no look-up:
//! those are counted and shown ([`NotifierStatus`]). Or a notifier stands still for more than half of
//! `takeover_ms` between making sure of its epoch and handing the texts over, and wakes up after its
//! successor sent them: it hands over that one batch (at most `batch_messages_max`), which nobody can
//! count. A text's reference is the id of its event, so a provider that refuses references it knows will
//! not repeat it even then.
//!
//! [`confirmations`] turns the same events into the public messages for outside systems, and
//! [`publishing`] writes them to a topic where there is one.
//!
//! What this crate deliberately does not do: decide anything, write to `events`, or keep anybody's
//! number in plain on disk (the [`FileOutbox`] does, which is why it must be allowed by name).

mod calendar;
mod config;
pub mod confirmations;
mod deliveries;
mod error;
mod fold;
mod ledger;
mod outbox;
mod provider;
pub mod publishing;
mod reached;
mod remembered;
mod sending;
mod status;
mod text;
mod watch;
mod worker;

pub use config::NotifierConfig;
pub use deliveries::{DeliveryRecord, DeliveryState, Intents, Results, decode_delivery};
pub use error::NotifierError;
pub use outbox::{FileOutbox, OutboxError, OutboxOptions};
pub use provider::{Accepted, LookUp, Phone, SendError, Sms, SmsProvider};
pub use status::{NotifierPhase, NotifierStatus};
pub use text::{Details, LANGUAGE_TAGS, MessageKind, Texts, TextsError};
pub use worker::Notifier;
