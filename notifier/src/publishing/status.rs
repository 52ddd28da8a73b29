//! What the publishing of confirmations shows of itself.
//!
//! What this file deliberately does not do: decide what is healthy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::watermark::EventId;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use parking_lot::Mutex;

/// Live figures of the publishing side of one notifier. All zero where no topic is configured.
#[derive(Debug, Default)]
pub struct PublishingStatus {
    is_configured: AtomicBool,
    is_active: AtomicBool,
    through: AtomicU64,
    waiting: AtomicU64,
    lag_ms: AtomicU64,
    published: AtomicU64,
    failures: AtomicU64,
    rebuilds: AtomicU64,
    last_id: Mutex<Option<EventId>>,
    trouble: Mutex<Option<String>>,
}

/// How far it has come.
pub(crate) struct Progress {
    pub(crate) is_active: bool,
    pub(crate) last_id: Option<EventId>,
    pub(crate) through: u64,
    pub(crate) waiting: u64,
    pub(crate) lag_ms: u64,
}

impl PublishingStatus {
    /// True when there is a topic to publish to.
    pub fn is_configured(&self) -> bool {
        self.is_configured.load(Ordering::Acquire)
    }

    /// True while this notifier publishes; a standby only looks how far the topic has come.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// The last id known to be in the topic.
    pub fn last_id(&self) -> Option<EventId> {
        *self.last_id.lock()
    }

    /// The last command whose messages, and those of all before it, are known to be in the topic.
    pub fn through(&self) -> u64 {
        self.through.load(Ordering::Acquire)
    }

    /// Messages read and not known to be in the topic; never more than the backlog may hold.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Acquire)
    }

    /// How long ago the oldest waiting message's event happened, milliseconds; 0 when none waits.
    pub fn lag_ms(&self) -> u64 {
        self.lag_ms.load(Ordering::Acquire)
    }

    /// Messages that this process published.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Attempts of this process that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// How often the book of contact data was begun anew, because the topic had lost its end.
    pub fn rebuilds(&self) -> u64 {
        self.rebuilds.load(Ordering::Acquire)
    }

    /// Why messages wait, while an attempt has failed and the next has not succeeded.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Says what each figure means, to whoever collects them.
    pub(crate) fn describe() {
        describe_gauge!(
            "slotline_notifier_confirmations_active",
            "1 while this notifier publishes confirmations."
        );
        describe_gauge!(
            "slotline_notifier_confirmations_sequence",
            "The last command whose messages are all in the topic."
        );
        describe_gauge!(
            "slotline_notifier_confirmations_waiting",
            "Messages read and not known to be in the topic."
        );
        describe_gauge!(
            "slotline_notifier_confirmations_lag_seconds",
            "Age of the oldest message that waits; 0 when none does."
        );
        describe_gauge!(
            "slotline_notifier_confirmations_topic_available",
            "0 while messages wait for the topic."
        );
        describe_counter!(
            "slotline_notifier_confirmations_published_total",
            "Messages published by this process."
        );
        describe_counter!(
            "slotline_notifier_confirmations_failures_total",
            "Attempts to read or write the topic, or what goes into it, that failed."
        );
        describe_histogram!(
            "slotline_notifier_confirmations_delay_seconds",
            "From the oldest event of a batch to its messages in the topic."
        );
    }

    pub(crate) fn configure(&self) {
        self.is_configured.store(true, Ordering::Release);
    }

    pub(crate) fn show(&self, progress: &Progress) {
        *self.last_id.lock() = progress.last_id;
        self.lag_ms.store(progress.lag_ms, Ordering::Release);
        self.waiting.store(progress.waiting, Ordering::Release);
        self.through.store(progress.through, Ordering::Release);
        self.is_active.store(progress.is_active, Ordering::Release);
        gauge!("slotline_notifier_confirmations_active")
            .set(f64::from(u8::from(progress.is_active)));
        gauge!("slotline_notifier_confirmations_sequence").set(progress.through as f64);
        gauge!("slotline_notifier_confirmations_waiting").set(progress.waiting as f64);
        gauge!("slotline_notifier_confirmations_lag_seconds").set(progress.lag_ms as f64 / 1_000.0);
    }

    /// A batch is in the topic.
    pub(crate) fn record_batch(&self, messages: u64, delay_ms: i64) {
        self.published.fetch_add(messages, Ordering::AcqRel);
        counter!("slotline_notifier_confirmations_published_total").increment(messages);
        histogram!("slotline_notifier_confirmations_delay_seconds")
            .record(delay_ms.max(0) as f64 / 1_000.0);
    }

    /// An attempt failed.
    pub(crate) fn fail(&self, why: String) {
        self.failures.fetch_add(1, Ordering::AcqRel);
        counter!("slotline_notifier_confirmations_failures_total").increment(1);
        self.set_trouble(Some(why));
    }

    pub(crate) fn set_trouble(&self, why: Option<String>) {
        gauge!("slotline_notifier_confirmations_topic_available").set(if why.is_some() {
            0.0
        } else {
            1.0
        });
        let mut trouble = self.trouble.lock();
        match (&why, &*trouble) {
            (Some(why), None) => tracing::warn!("notifier: confirmations wait: {why}"),
            (None, Some(_)) => tracing::info!("notifier: confirmations are published again"),
            _ => {}
        }
        *trouble = why;
    }

    pub(crate) fn record_rebuild(&self) {
        self.rebuilds.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn stop(&self) {
        self.is_active.store(false, Ordering::Release);
        gauge!("slotline_notifier_confirmations_active").set(0.0);
    }
}
