//! When and how often a request is sent again under the same key.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of sending again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Sends of one request at most, the first included.
    pub attempts_max: u32,
    /// Pause before the second send; doubled for each further one.
    pub backoff_first: Duration,
    /// The pause grows no longer than this; a longer `Retry-After` is cut to it as well.
    pub backoff_max: Duration,
    /// No answer in this time counts as none.
    pub request_timeout: Duration,
}

impl RetryPolicy {
    /// The pause before the send after number `attempt` (1 = the first). A `Retry-After` is the least
    /// pause, so that the server's word is kept; on top comes up to half of it at random from
    /// `draw`, so that those turned away together do not come back together.
    pub fn pause(&self, attempt: u32, asked: Option<Duration>, draw: u64) -> Duration {
        let doubled = self.backoff_first.saturating_mul(1 << attempt.saturating_sub(1).min(20));
        let least = asked.unwrap_or(doubled).min(self.backoff_max);
        let spread = mixed(draw) % 1_024;
        least + least.mul_f64(spread as f64 / 2_048.0)
    }
}

/// Settings of the retry policy as they stand in scenarios.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySettings {
    /// Sends of one request at most, the first included.
    pub attempts_max: u32,
    /// Pause before the second send.
    pub backoff_first_ms: u64,
    /// Longest pause.
    pub backoff_max_ms: u64,
    /// No answer in this time counts as none.
    pub request_timeout_ms: u64,
}

impl Default for RetrySettings {
    fn default() -> RetrySettings {
        RetrySettings {
            attempts_max: 8,
            backoff_first_ms: 100,
            backoff_max_ms: 5_000,
            request_timeout_ms: 30_000,
        }
    }
}

impl RetrySettings {
    /// The policy of these settings.
    pub fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            attempts_max: self.attempts_max.max(1),
            backoff_first: Duration::from_millis(self.backoff_first_ms),
            backoff_max: Duration::from_millis(self.backoff_max_ms),
            request_timeout: Duration::from_millis(self.request_timeout_ms.max(1)),
        }
    }
}

/// Spreads a counter over all words; good enough for jitter and choices, not for secrets.
pub(crate) fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit_and_keeps_the_servers_word() {
        let policy = RetrySettings {
            backoff_first_ms: 100,
            backoff_max_ms: 1_000,
            ..RetrySettings::default()
        }
        .policy();
        for draw in 0..1_000 {
            let within = |attempt, asked, least: u64| {
                let pause = policy.pause(attempt, asked, draw);
                let least = Duration::from_millis(least);
                assert!(pause >= least && pause <= least.mul_f64(1.5), "draw {draw}: {pause:?}");
            };
            within(1, None, 100);
            within(3, None, 400);
            within(30, None, 1_000);
            within(1, Some(Duration::from_millis(700)), 700);
            within(1, Some(Duration::from_secs(60)), 1_000);
        }
    }
}
