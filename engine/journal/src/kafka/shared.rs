//! What the streams of one journal share: the connection, the clocks, and whether writes are taken.
//!
//! Does: turn from writable to closed or failed once, and say why. Does not send.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::client::Connection;
use super::config::KafkaConfig;
use crate::embedded::{Clock, system_clock};
use crate::{Health, JournalError};

/// What all streams of a journal share.
pub(super) struct Shared {
    /// Limits.
    pub(super) config: KafkaConfig,
    /// The producer.
    pub(super) connection: Connection,
    /// Dates the groups in place of the broker, for migration and tests.
    pub(super) own_clock: Option<Clock>,
    /// Dates groups accepted behind, which are read before the broker has dated them.
    pub(super) clock: Clock,
    health: Mutex<Health>,
    /// `health` is no longer `Writable`, or will soon not be; read without the lock.
    is_shut: AtomicBool,
    /// Stop at once; nothing that waits is written.
    is_aborted: AtomicBool,
}

impl Shared {
    /// Of a journal that takes writes.
    pub(super) fn new(
        config: KafkaConfig,
        connection: Connection,
        own_clock: Option<Clock>,
    ) -> Shared {
        let clock = own_clock.clone().unwrap_or_else(system_clock);
        Shared {
            config,
            connection,
            own_clock,
            clock,
            health: Mutex::new(Health::Writable),
            is_shut: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
        }
    }

    /// Whether writes are taken.
    pub(super) fn health(&self) -> Health {
        self.health.lock().clone()
    }

    /// Takes no more writes from now on; what waits is still written. False if that was so before.
    pub(super) fn shut(&self) -> bool {
        !self.is_shut.swap(true, Ordering::SeqCst)
    }

    /// Everything is written.
    pub(super) fn closed(&self) {
        let mut health = self.health.lock();
        if *health == Health::Writable {
            *health = Health::Closed;
        }
    }

    /// Stops at once, as a crash would.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::SeqCst);
        self.fail("it was stopped without writing what waited".to_owned());
    }

    /// The first failure ends all writing.
    pub(super) fn fail(&self, why: String) {
        self.shut();
        let mut health = self.health.lock();
        if *health == Health::Writable {
            tracing::error!(%why, "the journal takes no more writes");
            *health = Health::Failed(why);
        }
    }

    /// Whether writing ended with a failure.
    pub(super) fn is_failed(&self) -> bool {
        self.is_shut.load(Ordering::SeqCst) && matches!(*self.health.lock(), Health::Failed(_))
    }

    /// Whether it was stopped without writing what waited.
    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::SeqCst)
    }

    /// Whether no more writes are taken.
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::SeqCst)
    }

    /// Why no more writes are taken.
    pub(super) fn refusal(&self) -> JournalError {
        JournalError::Closed(match self.health() {
            Health::Failed(text) => text,
            Health::Closed | Health::Writable | Health::Waiting(_) => "it was closed".to_owned(),
        })
    }
}
