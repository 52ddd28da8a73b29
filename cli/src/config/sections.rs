//! The sections of the configuration file, with their defaults.
//!
//! Limits of a part are defaults of that part's own configuration: what stands here only gives them a
//! place in the file. What this module does not do: read, or check what fits together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::EngineConfig;
use gateway::{AvailabilityConfig, IdentityConfig, LimitConfig, RequestConfig, ViewConfig};
use notifier::NotifierConfig;
use serde::Deserialize;

/// `journal_kind`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JournalKind {
    /// Files of one machine, held by one process.
    #[default]
    Embedded,
    /// Topics of a Kafka cluster, shared by any number of processes.
    Kafka,
}

/// `[listen]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ListenSettings {
    /// Where citizens call.
    pub(crate) public: SocketAddr,
    /// Where operators and monitoring call.
    pub(crate) operator: SocketAddr,
}

/// `[engine]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EngineSettings {
    checkpoint_interval_ms: u64,
    checkpoint_changes_bytes_max: u64,
    pub(super) clock_skew_ms_max: u64,
    pub(super) pulse_interval_ms: u64,
    takeover_ms: u64,
    events_pending_bytes_max: u64,
}

/// `[gateway]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GatewaySettings {
    /// Threads of the public listener; 0 = one a CPU.
    pub(super) cores: usize,
    pub(super) limits: LimitConfig,
    pub(super) request: RequestConfig,
    identity: IdentityConfig,
    availability: AvailabilityConfig,
    view: ViewConfig,
}

/// `[notifier]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NotifierSettings {
    poll_ms: u64,
    batch_messages_max: usize,
    batch_interval_ms: u64,
    contact_rows_max: usize,
    reached_people_max: u32,
    retry_ms_min: u64,
    retry_ms_max: u64,
    give_up_after_ms: u64,
    uncertain_resends_max: u32,
    takeover_ms: u64,
    confirmation_batch_messages_max: usize,
    confirmation_backlog_messages_max: usize,
    topic_look_interval_ms: u64,
    reference_prefix: String,
}

/// `[sms]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SmsSettings {
    /// Whether texts may be written in plain to a folder, instead of being sent.
    pub(crate) plaintext_outbox: bool,
    /// That folder; outside the data directory.
    pub(crate) outbox_dir: PathBuf,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// `error`, `warn`, `info`, `debug`, or a filter as `warn,engine=debug`.
    pub(crate) level: String,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

impl Default for ListenSettings {
    fn default() -> ListenSettings {
        ListenSettings {
            public: SocketAddr::from(([127, 0, 0, 1], 1922)),
            operator: SocketAddr::from(([127, 0, 0, 1], 1923)),
        }
    }
}

impl Default for EngineSettings {
    fn default() -> EngineSettings {
        let limits = engine::EngineConfig::new("", [0; 16]);
        EngineSettings {
            checkpoint_interval_ms: limits.checkpoint_interval_ms,
            checkpoint_changes_bytes_max: limits.checkpoint_changes_bytes_max,
            clock_skew_ms_max: limits.clock_skew_ms_max,
            pulse_interval_ms: limits.pulse_interval_ms,
            takeover_ms: limits.takeover_ms,
            events_pending_bytes_max: limits.events_pending_bytes_max,
        }
    }
}

impl EngineSettings {
    /// The engine's own configuration.
    pub(super) fn config(&self, data_dir: PathBuf, engine_id: [u8; 16]) -> EngineConfig {
        let mut config = EngineConfig::new(data_dir, engine_id);
        config.checkpoint_interval_ms = self.checkpoint_interval_ms;
        config.checkpoint_changes_bytes_max = self.checkpoint_changes_bytes_max;
        config.clock_skew_ms_max = self.clock_skew_ms_max;
        config.pulse_interval_ms = self.pulse_interval_ms;
        config.takeover_ms = self.takeover_ms;
        config.events_pending_bytes_max = self.events_pending_bytes_max;
        config
    }
}

impl GatewaySettings {
    /// The gateway's own configuration.
    pub(super) fn config(
        &self,
        listen: &ListenSettings,
        data_dir: PathBuf,
        clock_skew_ms_max: u64,
    ) -> gateway::GatewayConfig {
        let mut request = self.request.clone();
        // One figure decides for both: the gateway sheds only where the writer would not differ.
        request.clock_skew_ms_max = i64::try_from(clock_skew_ms_max).unwrap_or(i64::MAX);
        gateway::GatewayConfig {
            public_address: listen.public,
            operator_address: listen.operator,
            data_dir,
            cores: self.cores,
            limits: self.limits.clone(),
            request,
            identity: self.identity.clone(),
            availability: self.availability.clone(),
            view: self.view.clone(),
        }
    }
}

impl Default for NotifierSettings {
    fn default() -> NotifierSettings {
        let limits = NotifierConfig::default();
        NotifierSettings {
            poll_ms: limits.poll_ms,
            batch_messages_max: limits.batch_messages_max,
            batch_interval_ms: limits.batch_interval_ms,
            contact_rows_max: limits.contact_rows_max,
            reached_people_max: limits.reached_people_max,
            retry_ms_min: limits.retry_ms_min,
            retry_ms_max: limits.retry_ms_max,
            give_up_after_ms: limits.give_up_after_ms,
            uncertain_resends_max: limits.uncertain_resends_max,
            takeover_ms: limits.takeover_ms,
            confirmation_batch_messages_max: limits.confirmation_batch_messages_max,
            confirmation_backlog_messages_max: limits.confirmation_backlog_messages_max,
            topic_look_interval_ms: limits.topic_look_interval_ms,
            reference_prefix: limits.reference_prefix,
        }
    }
}

impl NotifierSettings {
    /// The notifier's own configuration.
    pub(super) fn config(&self, data_dir: &Path, exclusive: bool) -> NotifierConfig {
        NotifierConfig {
            exclusive,
            poll_ms: self.poll_ms,
            batch_messages_max: self.batch_messages_max,
            batch_interval_ms: self.batch_interval_ms,
            contact_rows_max: self.contact_rows_max,
            reached_people_max: self.reached_people_max,
            retry_ms_min: self.retry_ms_min,
            retry_ms_max: self.retry_ms_max,
            give_up_after_ms: self.give_up_after_ms,
            uncertain_resends_max: self.uncertain_resends_max,
            takeover_ms: self.takeover_ms,
            confirmation_batch_messages_max: self.confirmation_batch_messages_max,
            confirmation_backlog_messages_max: self.confirmation_backlog_messages_max,
            topic_look_interval_ms: self.topic_look_interval_ms,
            reference_prefix: self.reference_prefix.clone(),
            ..NotifierConfig::new(data_dir)
        }
    }
}

impl Default for SmsSettings {
    fn default() -> SmsSettings {
        SmsSettings { plaintext_outbox: false, outbox_dir: PathBuf::from("outbox") }
    }
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { level: "info".to_owned(), json: false }
    }
}
