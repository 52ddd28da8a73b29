//! The configuration: a TOML file, and the environment over it.
//!
//! Every key can be set as `SLOTLINE__SECTION__KEY`; the environment wins over the file, the file over
//! the defaults. An unknown key is an error: a misspelt limit would silently not hold.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{ConfigBuilder, Environment, File, FileFormat};
use gateway::{AvailabilityConfig, IdentityConfig, LimitConfig, RequestConfig, ViewConfig};
use journal::embedded::EmbeddedConfig;
use serde::Deserialize;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where journal, checkpoint and disk views live.
    pub(crate) data_dir: PathBuf,
    /// The file that `slotline admin secrets` wrote.
    pub(crate) secrets_file: Option<PathBuf>,
    /// Addresses.
    pub(crate) listen: ListenSettings,
    /// The embedded journal.
    pub(crate) journal: EmbeddedConfig,
    /// The writer.
    pub(crate) engine: EngineSettings,
    /// The HTTP edge.
    pub(crate) gateway: GatewaySettings,
    /// SMS.
    pub(crate) sms: SmsSettings,
    /// Text logs.
    pub(crate) log: LogSettings,
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
    clock_skew_ms_max: u64,
    pulse_interval_ms: u64,
    takeover_ms: u64,
    events_pending_bytes_max: u64,
}

/// `[gateway]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GatewaySettings {
    /// Threads of the public listener; 0 = one a CPU.
    cores: usize,
    limits: LimitConfig,
    request: RequestConfig,
    identity: IdentityConfig,
    availability: AvailabilityConfig,
    view: ViewConfig,
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

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: PathBuf::from("data"),
            secrets_file: None,
            listen: ListenSettings::default(),
            journal: EmbeddedConfig::default(),
            engine: EngineSettings::default(),
            gateway: GatewaySettings::default(),
            sms: SmsSettings::default(),
            log: LogSettings::default(),
        }
    }
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

impl Settings {
    /// Reads a file and the environment.
    ///
    /// # Errors
    /// A sentence that names file, place and reason.
    pub(crate) fn load(path: &Path) -> Result<Settings, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        // The TOML reader alone names line and column, so it looks first.
        toml::from_str::<Settings>(&text)
            .map_err(|error| format!("{}: {}", path.display(), place_of(&text, &error)))?;
        let builder = config::Config::builder()
            .add_source(File::from_str(&text, FileFormat::Toml))
            .add_source(environment());
        finish(builder).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The defaults, the environment, and settings of the form `section.key=value`.
    ///
    /// # Errors
    /// A sentence that names the setting.
    pub(crate) fn from_pairs(pairs: &[String]) -> Result<Settings, String> {
        let mut builder = config::Config::builder().add_source(environment());
        for pair in pairs {
            let (key, value) =
                pair.split_once('=').ok_or_else(|| format!("{pair:?} is not KEY=VALUE"))?;
            builder = builder
                .set_override(key, value)
                .map_err(|error| format!("setting {key}: {error}"))?;
        }
        finish(builder)
    }

    /// The gateway's part, with addresses and folder.
    pub(crate) fn gateway_config(&self) -> gateway::GatewayConfig {
        let mut request = self.gateway.request.clone();
        // One figure decides for both: the gateway sheds only where the writer would not differ.
        request.clock_skew_ms_max =
            i64::try_from(self.engine.clock_skew_ms_max).unwrap_or(i64::MAX);
        gateway::GatewayConfig {
            public_address: self.listen.public,
            operator_address: self.listen.operator,
            data_dir: self.data_dir.join("gateway"),
            cores: self.gateway.cores,
            limits: self.gateway.limits.clone(),
            request,
            identity: self.gateway.identity.clone(),
            availability: self.gateway.availability.clone(),
            view: self.gateway.view.clone(),
        }
    }

    /// The engine's part.
    pub(crate) fn engine_config(&self, engine_id: [u8; 16]) -> engine::EngineConfig {
        let mut limits = engine::EngineConfig::new(self.data_dir.join("engine"), engine_id);
        limits.checkpoint_interval_ms = self.engine.checkpoint_interval_ms;
        limits.checkpoint_changes_bytes_max = self.engine.checkpoint_changes_bytes_max;
        limits.clock_skew_ms_max = self.engine.clock_skew_ms_max;
        limits.pulse_interval_ms = self.engine.pulse_interval_ms;
        limits.takeover_ms = self.engine.takeover_ms;
        limits.events_pending_bytes_max = self.engine.events_pending_bytes_max;
        limits
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.journal.validate().map_err(|error| error.to_string())?;
        self.engine_config([1; 16]).validate().map_err(|error| error.to_string())?;
        self.gateway_config().check().map_err(|error| error.to_string())?;
        if self.sms.outbox_dir.starts_with(&self.data_dir) {
            return Err(format!(
                "sms.outbox_dir: {} lies inside data_dir; plain texts must not be kept with the data",
                self.sms.outbox_dir.display()
            ));
        }
        Ok(())
    }
}

fn environment() -> Environment {
    // With a single underscore as separator, keys that contain one could not be named.
    Environment::with_prefix("SLOTLINE").prefix_separator("__").separator("__").try_parsing(true)
}

fn finish(builder: ConfigBuilder<DefaultState>) -> Result<Settings, String> {
    let read = builder.build().and_then(config::Config::try_deserialize::<Settings>);
    read.map_err(|error| error.to_string())
}

/// The reader's message with line and column in front.
fn place_of(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_says_exactly_the_defaults() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/slotline.toml");
        let text = std::fs::read_to_string(shipped).unwrap();
        let mut read: Settings = toml::from_str(&text).unwrap();
        read.secrets_file = None;
        assert_eq!(format!("{read:#?}"), format!("{:#?}", Settings::default()));
        Settings::default().check().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let text = "[engine]\npulse_interval = 5\n";
        let error = toml::from_str::<Settings>(text).unwrap_err();
        let said = place_of(text, &error);
        assert!(said.starts_with("line 2, column 1:") && said.contains("pulse_interval"), "{said}");
    }

    #[test]
    fn pairs_override_defaults_and_name_what_is_wrong() {
        let pairs = vec!["gateway.cores=3".to_owned(), "engine.pulse_interval_ms=250".to_owned()];
        let read = Settings::from_pairs(&pairs).unwrap();
        assert_eq!((read.gateway.cores, read.engine.pulse_interval_ms), (3, 250));
        assert!(Settings::from_pairs(&["engine.nothing=1".to_owned()]).is_err());
        assert!(Settings::from_pairs(&["nonsense".to_owned()]).is_err());
    }

    #[test]
    fn an_outbox_inside_the_data_directory_is_refused() {
        let mut settings = Settings::default();
        settings.sms.outbox_dir = PathBuf::from("data/outbox");
        assert!(settings.check().unwrap_err().contains("sms.outbox_dir"));
    }
}
