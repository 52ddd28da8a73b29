//! Waking a sleeping thread at the cost of one load when it is awake.
//!
//! Does: park and unpark of one thread with a state that says whether ringing is needed. Does not
//! carry work: whoever rings has put the work where the thread looks for it, under a lock that the
//! thread takes between [`Bell::lie_down`] and [`Bell::sleep`]. That lock orders the two sides: either
//! the thread sees the work, or the one who rings sees the thread asleep. Where no lock does, as for the
//! rest of producers, all stores and loads of both sides are sequentially consistent.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// At work.
const AWAKE: u8 = 0;
/// Waiting for more work, with some at hand: only urgent work wakes it.
const PAUSING: u8 = 1;
/// The same, but also the rest of all producers ends it.
const LISTENING: u8 = 2;
/// Nothing to do.
const ASLEEP: u8 = 3;

/// Wakes one thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// What the thread does.
    state: AtomicU8,
    /// The thread, once it runs.
    sleeper: OnceLock<Thread>,
}

impl Bell {
    /// The calling thread is the one to wake.
    pub(crate) fn adopt(&self) {
        let _ = self.sleeper.set(std::thread::current());
    }

    /// Announces sleep. Look for work once more after this, then [`Bell::sleep`] or [`Bell::rise`].
    pub(crate) fn lie_down(&self) {
        self.state.store(ASLEEP, Ordering::SeqCst);
    }

    /// Announces a pause that only [`Bell::ring`] ends early.
    pub(crate) fn pause(&self) {
        self.state.store(PAUSING, Ordering::SeqCst);
    }

    /// Announces a pause that the rest of all producers ends too. Look at them once more after this.
    pub(crate) fn listen(&self) {
        self.state.store(LISTENING, Ordering::SeqCst);
    }

    /// Sleeps until rung or until the time is over; may wake for nothing.
    pub(crate) fn sleep(&self, longest: Option<Duration>) {
        match longest {
            Some(time) => std::thread::park_timeout(time),
            None => std::thread::park(),
        }
    }

    /// Back to work.
    pub(crate) fn rise(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    /// Whether the thread is in a pause of either kind and nobody rang yet.
    pub(crate) fn is_pausing(&self) -> bool {
        matches!(self.state.load(Ordering::SeqCst), PAUSING | LISTENING)
    }

    /// Whether it is in one that the rest of all producers ends.
    pub(crate) fn is_listening(&self) -> bool {
        self.state.load(Ordering::SeqCst) == LISTENING
    }

    /// Wakes the thread if it sleeps for want of work. One load otherwise.
    pub(crate) fn nudge(&self) {
        if self.state.load(Ordering::SeqCst) == ASLEEP {
            self.ring();
        }
    }

    /// Wakes the thread, out of a pause too.
    pub(crate) fn ring(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
        if let Some(thread) = self.sleeper.get() {
            thread.unpark();
        }
    }
}
