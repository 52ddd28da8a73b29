//! Questions to the journal, put together: one look answers all who asked before it began, and looks keep
//! a distance, however many ask.
//!
//! What this module does not do: know what is asked, or keep the answer (`horizon`, `roster_end`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use journal::JournalError;
use parking_lot::{Condvar, Mutex};

/// How long the looking thread waits for a question before it looks whether it shall stop.
const POLL_MS: u64 = 100;
/// Pause after the journal could not be asked.
const RETRY_MS: u64 = 50;

/// The looking thread's orders.
pub(crate) struct Looks {
    /// Least time between the beginnings of two looks.
    interval: Duration,
    orders: Mutex<Orders>,
    asked: Condvar,
}

/// A look is known by its number, from 1 on.
#[derive(Default)]
struct Orders {
    begun: u64,
    wanted: u64,
}

impl Looks {
    /// Nobody has asked.
    pub(crate) fn new(interval: Duration) -> Looks {
        Looks { interval, orders: Mutex::default(), asked: Condvar::new() }
    }

    /// Asks for a look that begins after this call: its number.
    pub(crate) fn ask(&self) -> u64 {
        let mut orders = self.orders.lock();
        // A look that has begun may have missed what was written since.
        let number = orders.begun + 1;
        if orders.wanted < number {
            orders.wanted = number;
            self.asked.notify_one();
        }
        number
    }

    /// Looks whenever somebody asks, until told to stop. `look` is given the look's number; one that
    /// fails is made again.
    pub(crate) fn run(
        &self,
        stop: &AtomicBool,
        mut look: impl FnMut(u64) -> Result<(), JournalError>,
    ) {
        let mut last: Option<Instant> = None;
        while !stop.load(Ordering::Acquire) {
            if !self.await_question() {
                continue;
            }
            if let Some(last) = last {
                std::thread::sleep(self.interval.saturating_sub(last.elapsed()));
            }
            last = Some(Instant::now());
            if let Err(error) = look(self.begin()) {
                tracing::debug!(%error, "the end of a stream is not known");
                self.ask();
                std::thread::sleep(Duration::from_millis(RETRY_MS));
            }
        }
    }

    /// Waits a while for a question. False when none came.
    fn await_question(&self) -> bool {
        let mut orders = self.orders.lock();
        if orders.wanted <= orders.begun {
            self.asked.wait_for(&mut orders, Duration::from_millis(POLL_MS));
        }
        orders.wanted > orders.begun
    }

    /// Begins the look that answers all who asked so far.
    fn begin(&self) -> u64 {
        let mut orders = self.orders.lock();
        orders.begun += 1;
        orders.begun
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn one_look_answers_all_who_asked_before_it_and_none_who_asked_after() {
        let looks = Looks::new(Duration::ZERO);
        let (first, second) = (looks.ask(), looks.ask());
        assert_eq!(first, second);
        assert_eq!(looks.begin(), first);
        let late = looks.ask();
        assert!(late > first);
        assert!(looks.await_question());
        assert_eq!(looks.begin(), late);
        assert!(!looks.await_question(), "nobody asks");
    }

    #[test]
    fn a_look_that_failed_is_made_again() {
        let (looks, stop) = (Looks::new(Duration::ZERO), AtomicBool::new(false));
        let asked = looks.ask();
        let mut made = Vec::new();
        looks.run(&stop, |number| {
            made.push(number);
            if made.len() == 1 {
                return Err(JournalError::Closed("away".to_owned()));
            }
            stop.store(true, Ordering::Release);
            Ok(())
        });
        assert_eq!(made, [asked, asked + 1]);
    }

    #[test]
    fn however_many_ask_looks_keep_their_distance() {
        let (interval, crowd_ms) = (Duration::from_millis(40), 400);
        let (looks, stop) = (Looks::new(interval), AtomicBool::new(false));
        let (made, begin) = (AtomicU64::new(0), Instant::now());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                looks.run(&stop, |_| {
                    made.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                });
            });
            while begin.elapsed() < Duration::from_millis(crowd_ms) {
                looks.ask();
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Release);
        });
        let most = begin.elapsed().as_millis() / interval.as_millis() + 1;
        assert!(u128::from(made.into_inner()) <= most);
    }
}
