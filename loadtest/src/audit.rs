//! The auditor: given what was asked, what was told and what the server shows, was any promise broken?
//!
//! A pure function over evidence; collecting the evidence is `collect`'s business. It judges from the
//! outside only, like the citizens together would: it knows nothing of the server's inside. People
//! are named by their index, never by a number of theirs.

mod people;
mod requests;
mod slots;
mod streams;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::History;

pub use streams::{Confirmation, ConfirmationKind, TextMessage};

/// Findings described one by one; all are counted.
const FINDINGS_SHOWN_MAX: usize = 100;

/// What can be found. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// More bookings in a slot than it has places.
    OversoldSlot,
    /// The places left do not agree with the bookings made.
    WrongPlacesLeft,
    /// An acknowledged request is unknown to the server.
    LostRequest,
    /// An acknowledged request has no outcome after the time allowed.
    NoOutcome,
    /// A request was told two different outcomes.
    OutcomeChanged,
    /// A repeated request was answered otherwise than the first time.
    RetryDiffers,
    /// A request has two receipts, or two requests share one.
    ReceiptNotUnique,
    /// A person got a second booking while holding one.
    TwoBookings,
    /// A booking number was given to two people, or changed by a move.
    WrongBookingNumber,
    /// A booking is in another slot than asked for.
    WrongSlot,
    /// A move or a cancellation was confirmed to somebody without a booking.
    NothingToChange,
    /// A confirmed booking is not shown to its owner.
    BookingNotShown,
    /// A booking is shown that was never confirmed, or was cancelled.
    BookingUnasked,
    /// A decision has no confirmation in the stream.
    ConfirmationMissing,
    /// A decision has more than one confirmation.
    ConfirmationDoubled,
    /// A confirmation without a decision.
    ConfirmationUnasked,
    /// A confirmation without a text message.
    MessageMissing,
    /// A confirmation with more than one text message.
    MessageDoubled,
}

impl Check {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Check::OversoldSlot => "oversold_slot",
            Check::WrongPlacesLeft => "wrong_places_left",
            Check::LostRequest => "lost_request",
            Check::NoOutcome => "no_outcome",
            Check::OutcomeChanged => "outcome_changed",
            Check::RetryDiffers => "retry_differs",
            Check::ReceiptNotUnique => "receipt_not_unique",
            Check::TwoBookings => "two_bookings",
            Check::WrongBookingNumber => "wrong_booking_number",
            Check::WrongSlot => "wrong_slot",
            Check::NothingToChange => "nothing_to_change",
            Check::BookingNotShown => "booking_not_shown",
            Check::BookingUnasked => "booking_unasked",
            Check::ConfirmationMissing => "confirmation_missing",
            Check::ConfirmationDoubled => "confirmation_doubled",
            Check::ConfirmationUnasked => "confirmation_unasked",
            Check::MessageMissing => "message_missing",
            Check::MessageDoubled => "message_doubled",
        }
    }
}

/// A slot before and after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotFacts {
    /// Slot number.
    pub number: u32,
    /// Its places.
    pub capacity: u32,
    /// Places left before the run.
    pub left_before: u32,
    /// Places left now, where it could be read.
    #[serde(default)]
    pub left_after: Option<u32>,
}

/// What the server shows a person now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Index of the person.
    pub person: u64,
    /// Booking number and slot; `None`: no booking.
    pub booking: Option<(u64, u32)>,
}

/// What one receipt says in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiptState {
    /// The server does not know it.
    Unknown,
    /// No answer could be got.
    Unanswered,
}

/// All evidence.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What was asked and told.
    pub history: History,
    /// Requests whose receipt gave no outcome, and how.
    pub receipts: Vec<(u32, ReceiptState)>,
    /// What people are shown; who could not be asked is not in it.
    pub shown: Vec<Shown>,
    /// The slots of the run.
    pub slots: Vec<SlotFacts>,
    /// Nobody else booked these slots in the meantime.
    pub alone: bool,
    /// The confirmations of the period, in order, where read.
    pub confirmations: Option<Vec<Confirmation>>,
    /// The text messages, where read.
    pub messages: Option<Vec<TextMessage>>,
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Which promise.
    pub check: Check,
    /// Who or what, and how.
    pub detail: String,
}

/// The auditor's report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditReport {
    /// True when nothing was found.
    pub passed: bool,
    /// Requests looked at.
    pub requests: u64,
    /// Of them, acknowledged (a receipt or an outcome was told).
    pub acknowledged: u64,
    /// Of them, decided.
    pub decided: u64,
    /// Of those never acknowledged, without a known end; allowed, but shown.
    pub never_acknowledged: u64,
    /// People whose booking was compared.
    pub people: u64,
    /// Slots compared.
    pub slots: u64,
    /// Confirmations compared; absent when they were not read.
    pub confirmations: Option<u64>,
    /// Confirmations whose text messages were counted; absent when the messages were not read.
    pub messages: Option<u64>,
    /// Findings in all.
    pub findings_total: u64,
    /// Findings by kind.
    pub findings_by_check: BTreeMap<String, u64>,
    /// The first findings.
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// Notes a broken promise.
    pub(crate) fn find(&mut self, check: Check, detail: impl FnOnce() -> String) {
        self.findings_total += 1;
        *self.findings_by_check.entry(check.name().to_owned()).or_default() += 1;
        if self.findings.len() < FINDINGS_SHOWN_MAX {
            self.findings.push(Finding { check, detail: detail() });
        }
    }
}

/// Judges the evidence.
pub fn audit(evidence: &Evidence) -> AuditReport {
    let mut report =
        AuditReport { requests: evidence.history.asked.len() as u64, ..AuditReport::default() };
    let decisions = requests::judge(evidence, &mut report);
    let holdings = people::judge(evidence, &decisions, &mut report);
    slots::judge(evidence, &holdings, &mut report);
    streams::judge(evidence, &decisions, &mut report);
    report.passed = report.findings_total == 0;
    report
}

#[cfg(test)]
mod tests;
