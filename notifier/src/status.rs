//! What the notifier shows of itself, to readiness checks and to Prometheus.
//!
//! What this file deliberately does not do: decide what is healthy.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use parking_lot::Mutex;

use crate::deliveries::DeliveryState;
use crate::fold::Fold;
use crate::ledger::Ledger;
use crate::publishing::PublishingStatus;

/// What the notifier is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum NotifierPhase {
    /// Not started.
    Starting = 0,
    /// Reads what was sent before.
    Reading = 1,
    /// Another notifier is active; this one waits.
    Standby = 2,
    /// Sends.
    Active = 3,
    /// Ended in order.
    Stopped = 4,
    /// Ended with an error.
    Failed = 5,
}

/// Live figures of one notifier.
#[derive(Debug, Default)]
pub struct NotifierStatus {
    phase: AtomicU8,
    sequence: AtomicU64,
    waiting: AtomicU64,
    void: AtomicU64,
    counts: [AtomicU64; DeliveryState::ALL.len()],
    failure: Mutex<Option<String>>,
    trouble: Mutex<Option<String>>,
    book_trouble: Mutex<Option<String>>,
    publishing: PublishingStatus,
}

impl NotifierStatus {
    /// What it is doing.
    pub fn phase(&self) -> NotifierPhase {
        match self.phase.load(Ordering::Acquire) {
            0 => NotifierPhase::Starting,
            1 => NotifierPhase::Reading,
            2 => NotifierPhase::Standby,
            3 => NotifierPhase::Active,
            4 => NotifierPhase::Stopped,
            _ => NotifierPhase::Failed,
        }
    }

    /// True while it sends.
    pub fn is_active(&self) -> bool {
        self.phase() == NotifierPhase::Active
    }

    /// Why it ended, if it ended with an error.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Why texts wait, while the provider does not answer.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Why contact data waits, while its book takes none.
    pub fn book_trouble(&self) -> Option<String> {
        self.book_trouble.lock().clone()
    }

    /// The last command whose events it has read.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Texts owed and not settled, as far as it has read.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// The same of the public topic.
    pub fn publishing(&self) -> &PublishingStatus {
        &self.publishing
    }

    /// Texts that ended in this state, since the beginning of the journal.
    pub fn count(&self, state: DeliveryState) -> u64 {
        self.counts[state as usize].load(Ordering::Acquire)
    }

    /// Texts that certainly went out.
    pub fn sent(&self) -> u64 {
        self.sum(DeliveryState::is_sent)
    }

    /// Texts that may have gone out twice, or of which nobody knows whether they did.
    pub fn ambiguous(&self) -> u64 {
        self.count(DeliveryState::PerhapsTwice) + self.count(DeliveryState::Unconfirmed)
    }

    /// Texts that did not go out.
    pub fn failed(&self) -> u64 {
        self.sum(|state| !state.is_sent() && state != DeliveryState::Unconfirmed)
    }

    /// Records of deposed notifiers in the stream.
    pub fn void(&self) -> u64 {
        self.void.load(Ordering::Acquire)
    }

    /// Says what each figure means, to whoever collects them.
    pub(crate) fn describe() {
        describe_counter!(
            "slotline_notifier_texts_total",
            "Texts by what became of them, since the beginning of the journal."
        );
        describe_gauge!("slotline_notifier_active", "1 while this notifier sends.");
        describe_gauge!("slotline_notifier_sequence", "The last command whose events were read.");
        describe_gauge!("slotline_notifier_texts_waiting", "Texts owed and not settled yet.");
        describe_gauge!(
            "slotline_notifier_provider_available",
            "0 while texts wait for the provider."
        );
        describe_gauge!("slotline_notifier_void_records", "Records of deposed notifiers.");
        describe_gauge!("slotline_notifier_dropped_groups", "Events groups of deposed engines.");
        describe_histogram!(
            "slotline_notifier_delay_seconds",
            "From the oldest event of a batch to its results."
        );
    }

    fn sum(&self, takes: impl Fn(DeliveryState) -> bool) -> u64 {
        DeliveryState::ALL
            .into_iter()
            .filter(|state| takes(*state))
            .map(|state| self.count(state))
            .sum()
    }

    pub(crate) fn enter(&self, phase: NotifierPhase) {
        self.phase.store(phase as u8, Ordering::Release);
        gauge!("slotline_notifier_active").set(f64::from(u8::from(phase == NotifierPhase::Active)));
    }

    pub(crate) fn fail(&self, why: String) {
        *self.failure.lock() = Some(why);
        self.enter(NotifierPhase::Failed);
    }

    pub(crate) fn set_trouble(&self, why: Option<String>) {
        gauge!("slotline_notifier_provider_available").set(if why.is_some() { 0.0 } else { 1.0 });
        let mut trouble = self.trouble.lock();
        if let (Some(why), None) = (&why, &*trouble) {
            tracing::warn!("notifier: texts wait: {why}");
        }
        *trouble = why;
    }

    pub(crate) fn set_book_trouble(&self, why: Option<String>) {
        let mut trouble = self.book_trouble.lock();
        match (&why, &*trouble) {
            (Some(why), None) => tracing::warn!("notifier: contact data waits: {why}"),
            (None, Some(_)) => tracing::info!("notifier: the book takes contact data again"),
            _ => {}
        }
        *trouble = why;
    }

    pub(crate) fn read_through(&self, fold: &Fold) {
        let (sequence, waiting) = (fold.sequence().0, fold.drafts.len() as u64);
        self.waiting.store(waiting, Ordering::Release);
        self.sequence.store(sequence, Ordering::Release);
        gauge!("slotline_notifier_sequence").set(sequence as f64);
        gauge!("slotline_notifier_texts_waiting").set(waiting as f64);
        gauge!("slotline_notifier_dropped_groups").set(fold.dropped() as f64);
    }

    /// Takes over the totals of the stream.
    pub(crate) fn show(&self, ledger: &Ledger) {
        self.void.store(ledger.void(), Ordering::Release);
        gauge!("slotline_notifier_void_records").set(ledger.void() as f64);
        for (state, total) in DeliveryState::ALL.into_iter().zip(ledger.counts()) {
            self.counts[state as usize].store(*total, Ordering::Release);
            counter!("slotline_notifier_texts_total", "state" => state.name()).absolute(*total);
        }
    }

    /// From the oldest event of a batch to its results.
    pub(crate) fn record_delay(&self, delay_ms: i64) {
        histogram!("slotline_notifier_delay_seconds").record(delay_ms.max(0) as f64 / 1_000.0);
    }
}
