//! One time limit for all that is asked of the brokers in a row.
//!
//! Does: ask again while nobody can answer, each time with more patience, so that neither a broker that
//! has only just woken nor a slow one ends a start that could go well. Does not hide any other error.

use std::time::{Duration, Instant};

use super::config::KafkaConfig;
use crate::JournalError;

/// Longest first attempt; each later one may take twice as long as the one before.
const FIRST_ATTEMPT: Duration = Duration::from_millis(500);
/// Who answers at once that nobody can answer must not be asked without a pause.
const PAUSE: Duration = Duration::from_millis(50);

/// When there must be an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
}

impl Deadline {
    /// This long from now.
    pub(super) fn after(limit: Duration) -> Deadline {
        Deadline { at: Instant::now() + limit }
    }

    /// `connect_timeout_ms` from now.
    pub(super) fn to_connect(config: &KafkaConfig) -> Deadline {
        Deadline::after(Duration::from_millis(config.connect_timeout_ms.into()))
    }

    /// The time that is left, but no more than this.
    pub(super) fn left(&self, most: Duration) -> Duration {
        self.at.saturating_duration_since(Instant::now()).min(most)
    }

    /// Whether none is.
    pub(super) fn has_passed(&self) -> bool {
        self.left(Duration::MAX).is_zero()
    }

    /// Asks until somebody answers; each attempt is given the time that it may take.
    ///
    /// # Errors
    /// Any error but [`JournalError::Unavailable`] at once, and that one when the time is over.
    pub(super) fn ask<T>(
        &self,
        mut attempt: impl FnMut(Duration) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut longest = FIRST_ATTEMPT;
        loop {
            match attempt(self.left(longest)) {
                Err(error @ JournalError::Unavailable { .. }) if !self.has_passed() => {
                    tracing::debug!(%error, "asking again");
                }
                answer => return answer,
            }
            self.pause();
            longest *= 2;
        }
    }

    /// A pause before asking again, no longer than what is left.
    pub(super) fn pause(&self) {
        std::thread::sleep(self.left(PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> JournalError {
        JournalError::Unavailable { place: "broker".to_owned(), cause: "asleep".to_owned() }
    }

    #[test]
    fn who_wakes_in_time_is_heard_and_each_attempt_is_given_more_time() {
        let mut given = Vec::new();
        let asked = Deadline::after(Duration::from_secs(3_600)).ask(|longest| {
            given.push(longest.as_millis());
            if given.len() < 4 { Err(away()) } else { Ok(given.len()) }
        });
        assert!(matches!(asked, Ok(4)), "{asked:?}");
        assert_eq!(given, [500, 1_000, 2_000, 4_000]);
    }

    #[test]
    fn an_outage_is_told_when_the_time_is_over_and_any_other_error_at_once() {
        let began = Instant::now();
        let limit = Duration::from_millis(120);
        let asked = Deadline::after(limit).ask::<()>(|longest| {
            assert!(longest <= limit);
            Err(away())
        });
        assert!(matches!(asked, Err(JournalError::Unavailable { .. })), "{asked:?}");
        assert!(began.elapsed() >= limit, "it asked no longer");

        let mut attempts = 0;
        let asked = Deadline::after(Duration::from_secs(3_600)).ask::<()>(|_| {
            attempts += 1;
            Err(JournalError::Setting { key: "kafka.client", why: "refused".to_owned() })
        });
        assert!(matches!(asked, Err(JournalError::Setting { .. })), "{asked:?}");
        assert_eq!(attempts, 1);
    }
}
