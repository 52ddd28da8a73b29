//! Every limit of the notifier, by name, with its default.
//!
//! What this file deliberately does not do: read files or the environment; the command line does that.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::publishing::BATCH_MESSAGES_MAX;

/// All settings of one notifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifierConfig {
    /// Where the book of sealed contact data lives; a folder of its own.
    pub data_dir: PathBuf,
    /// Nobody else can write this journal (embedded: the lock on its directory decides), so the epoch
    /// is taken at once, and no heartbeat is needed.
    pub exclusive: bool,
    /// How long the loop waits for events before it looks whether it shall stop.
    pub poll_ms: u64,
    /// Texts given to the provider between one record of intents and its results.
    pub batch_messages_max: usize,
    /// How long texts gather before they are sent: fewer, larger writes.
    pub batch_interval_ms: u64,
    /// Contact rows held in memory before they go to the book.
    pub contact_rows_max: usize,
    /// People whose phone and language are kept in memory, masked, eight bytes each; the others' are
    /// looked up on disk for every text.
    pub reached_people_max: u32,
    /// First wait after the provider could not be reached; it doubles.
    pub retry_ms_min: u64,
    /// Longest wait between two attempts.
    pub retry_ms_max: u64,
    /// A text that could not be sent so long after its event is given up, and counted.
    pub give_up_after_ms: u64,
    /// How often a text whose fate is unknown may be sent again to a provider without look-up.
    pub uncertain_resends_max: u32,
    /// How long the active notifier must be silent before another takes over (not when exclusive).
    pub takeover_ms: u64,
    /// Public messages written to the topic at a time.
    pub confirmation_batch_messages_max: usize,
    /// Public messages that a standby holds until it learns that the topic has them.
    pub confirmation_backlog_messages_max: usize,
    /// How often a standby that holds messages looks whether the topic has them.
    pub topic_look_interval_ms: u64,
    /// In front of every reference, for installations that share an account with the provider.
    pub reference_prefix: String,
}

impl NotifierConfig {
    /// The defaults, with the book in this folder.
    pub fn new(data_dir: impl Into<PathBuf>) -> NotifierConfig {
        NotifierConfig { data_dir: data_dir.into(), ..NotifierConfig::default() }
    }

    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// Names the key and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let at_least_one: [(&str, u64); 8] = [
            ("poll_ms", self.poll_ms),
            ("batch_messages_max", self.batch_messages_max as u64),
            ("contact_rows_max", self.contact_rows_max as u64),
            ("retry_ms_min", self.retry_ms_min),
            ("give_up_after_ms", self.give_up_after_ms),
            ("takeover_ms", self.takeover_ms),
            ("confirmation_batch_messages_max", self.confirmation_batch_messages_max as u64),
            ("confirmation_backlog_messages_max", self.confirmation_backlog_messages_max as u64),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(format!("notifier.{key}: 0 cannot work; at least 1"));
            }
        }
        if self.batch_messages_max > 4_096 {
            return Err(
                "notifier.batch_messages_max: at most 4096, one record of the journal".into()
            );
        }
        if self.confirmation_batch_messages_max > BATCH_MESSAGES_MAX {
            return Err(format!(
                "notifier.confirmation_batch_messages_max: at most {BATCH_MESSAGES_MAX}, which consumers rely on"
            ));
        }
        if self.retry_ms_max < self.retry_ms_min {
            return Err("notifier.retry_ms_max: below retry_ms_min".into());
        }
        if self.reference_prefix.len() > 64
            || !self
                .reference_prefix
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err("notifier.reference_prefix: at most 64 letters, digits and hyphens".into());
        }
        Ok(())
    }
}

impl Default for NotifierConfig {
    fn default() -> NotifierConfig {
        NotifierConfig {
            data_dir: PathBuf::from("notifier"),
            exclusive: true,
            poll_ms: 200,
            batch_messages_max: 4_096,
            batch_interval_ms: 40,
            contact_rows_max: 8_192,
            reached_people_max: 1 << 25,
            retry_ms_min: 200,
            retry_ms_max: 30_000,
            give_up_after_ms: 24 * 3_600_000,
            uncertain_resends_max: 1,
            takeover_ms: 10_000,
            confirmation_batch_messages_max: BATCH_MESSAGES_MAX,
            confirmation_backlog_messages_max: 16_384,
            topic_look_interval_ms: 5_000,
            reference_prefix: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_impossible_values_are_named() {
        assert_eq!(NotifierConfig::default().check(), Ok(()));
        type Change = fn(&mut NotifierConfig);
        let broken: [(&str, Change); 8] = [
            ("batch_messages_max", |config| config.batch_messages_max = 0),
            ("batch_messages_max", |config| config.batch_messages_max = 5_000),
            ("retry_ms_max", |config| config.retry_ms_max = 1),
            ("takeover_ms", |config| config.takeover_ms = 0),
            ("confirmation_batch", |config| config.confirmation_batch_messages_max = 0),
            ("confirmation_batch", |config| config.confirmation_batch_messages_max = 1_025),
            ("confirmation_backlog", |config| config.confirmation_backlog_messages_max = 0),
            ("reference_prefix", |config| config.reference_prefix = "a b".into()),
        ];
        for (key, change) in broken {
            let mut config = NotifierConfig::default();
            change(&mut config);
            let refused = config.check().err().unwrap_or_default();
            assert!(refused.contains(key), "{key}: {refused}");
        }
    }
}
