//! The configuration: a TOML file, and the environment over it.
//!
//! Every key can be set as `SLOTLINE__SECTION__KEY`; the environment wins over the file, the file over
//! the defaults. An unknown key is an error: a misspelt limit would silently not hold.

mod fitting;
mod sections;

use std::path::{Path, PathBuf};

use config::builder::DefaultState;
use config::{ConfigBuilder, Environment, File, FileFormat};
use journal::KafkaConfig;
use journal::embedded::EmbeddedConfig;
use serde::Deserialize;

use sections::{EngineSettings, GatewaySettings, ListenSettings, NotifierSettings, SmsSettings};
pub(crate) use sections::{JournalKind, LogSettings};

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where journal, checkpoint and disk views live.
    pub(crate) data_dir: PathBuf,
    /// The file that `slotline admin secrets` wrote.
    pub(crate) secrets_file: Option<PathBuf>,
    /// Where the streams are kept.
    pub(crate) journal_kind: JournalKind,
    /// Addresses.
    pub(crate) listen: ListenSettings,
    /// The embedded journal.
    pub(crate) journal: EmbeddedConfig,
    /// The journal on Kafka.
    pub(crate) kafka: KafkaConfig,
    /// The writer.
    pub(crate) engine: EngineSettings,
    /// The HTTP edge.
    pub(crate) gateway: GatewaySettings,
    /// What follows from events.
    pub(crate) notifier: NotifierSettings,
    /// SMS.
    pub(crate) sms: SmsSettings,
    /// Text logs.
    pub(crate) log: LogSettings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data_dir: PathBuf::from("data"),
            secrets_file: None,
            journal_kind: JournalKind::default(),
            listen: ListenSettings::default(),
            journal: EmbeddedConfig::default(),
            kafka: KafkaConfig::default(),
            engine: EngineSettings::default(),
            gateway: GatewaySettings::default(),
            notifier: NotifierSettings::default(),
            sms: SmsSettings::default(),
            log: LogSettings::default(),
        }
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
        check_text(&text).map_err(|why| format!("{}: {why}", path.display()))?;
        Settings::merge(&text, environment())
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn merge(text: &str, environment: Environment) -> Result<Settings, String> {
        let file = File::from_str(text, FileFormat::Toml);
        finish(config::Config::builder().add_source(file).add_source(environment))
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

    /// True when the streams belong to one process alone.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.journal_kind == JournalKind::Embedded
    }

    /// The gateway's part, with addresses and folder.
    pub(crate) fn gateway_config(&self) -> gateway::GatewayConfig {
        let data_dir = self.data_dir.join("gateway");
        self.gateway.config(&self.listen, data_dir, self.engine.clock_skew_ms_max)
    }

    /// The engine's part.
    pub(crate) fn engine_config(&self, engine_id: [u8; 16]) -> engine::EngineConfig {
        let mut config = self.engine.config(self.data_dir.join("engine"), engine_id);
        config.exclusive = self.is_exclusive();
        config
    }

    /// The notifier's part.
    pub(crate) fn notifier_config(&self) -> notifier::NotifierConfig {
        self.notifier.config(&self.data_dir.join("notifier"), self.is_exclusive())
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.journal.validate().map_err(|error| error.to_string())?;
        self.kafka.validate().map_err(|error| error.to_string())?;
        self.engine_config([1; 16]).validate().map_err(|error| error.to_string())?;
        self.gateway_config().check().map_err(|error| error.to_string())?;
        self.notifier_config().check()?;
        fitting::check(self)
    }
}

fn environment() -> Environment {
    // With a single underscore as separator, keys that contain one could not be named. Values stay
    // text until a key says what it is: a password of digits must not become a number.
    Environment::with_prefix("SLOTLINE").prefix_separator("__").separator("__")
}

fn finish(builder: ConfigBuilder<DefaultState>) -> Result<Settings, String> {
    let read = builder.build().and_then(config::Config::try_deserialize::<Settings>);
    read.map_err(|error| error.to_string())
}

/// Reads the text twice: as settings, and as a table of what the merging reader takes, whose own words about
/// an integer beyond 64 bits with a sign name no place.
fn check_text(text: &str) -> Result<(), String> {
    toml::from_str::<Settings>(text).map_err(|error| place_of(text, &error))?;
    toml::from_str::<toml::Table>(text).map_err(|error| place_of(text, &error))?;
    Ok(())
}

/// The reader's message with line, column and, where a value is at fault, its key in front.
fn place_of(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let key = before[start..].split_once('=').map(|(key, _)| format!("{}: ", key.trim()));
    format!("line {line}, column {column}: {}{}", key.unwrap_or_default(), error.message())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Names the settings that differ.
    fn assert_says(read: &Settings, expected: &Settings) {
        let (read, expected) = (format!("{read:#?}"), format!("{expected:#?}"));
        let differing: Vec<_> =
            read.lines().zip(expected.lines()).filter(|(one, other)| one != other).collect();
        assert!(differing.is_empty(), "the file says, and should: {differing:#?}");
        assert_eq!(read.len(), expected.len());
    }

    #[test]
    fn the_shipped_file_says_exactly_the_defaults() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/slotline.toml");
        let text = std::fs::read_to_string(shipped).unwrap();
        let mut read: Settings = toml::from_str(&text).unwrap();
        read.secrets_file = None;
        assert_says(&read, &Settings::default());
        Settings::default().check().unwrap();
    }

    /// What the file for separate processes changes; all else in it must say the defaults.
    fn for_kafka() -> Settings {
        let mut settings = Settings {
            journal_kind: JournalKind::Kafka,
            data_dir: "/var/lib/slotline".into(),
            secrets_file: Some("/etc/slotline/secrets.toml".into()),
            ..Settings::default()
        };
        settings.kafka.bootstrap_servers = "kafka-1:9092,kafka-2:9092,kafka-3:9092".to_owned();
        settings.sms.plaintext_outbox = true;
        settings.sms.outbox_dir = "/var/spool/slotline/outbox".into();
        settings
    }

    #[test]
    fn the_shipped_file_for_separate_processes_says_what_it_changes() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/kafka.toml");
        let text = std::fs::read_to_string(shipped).unwrap();
        let read: Settings = toml::from_str(&text).unwrap();
        assert_says(&read, &for_kafka());
        read.check().unwrap();
    }

    /// The settings of a Kafka file under these variables.
    fn under(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variables = variables.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let environment = environment().source(Some(variables.collect()));
        Settings::merge("journal_kind = \"kafka\"\n[kafka]\ntopic_prefix = \"a.\"\n", environment)
    }

    #[test]
    fn the_environment_wins_over_the_file_and_leaves_texts_as_they_are() {
        let read = under(&[
            ("SLOTLINE__KAFKA__BOOTSTRAP_SERVERS", "one:9092,two:9092"),
            ("SLOTLINE__KAFKA__TOPIC_PREFIX", "2021."),
            ("SLOTLINE__KAFKA__DURABILITY", "single_broker"),
            ("SLOTLINE__KAFKA__DELIVERY_TIMEOUT_MS", "5000"),
            ("SLOTLINE__KAFKA__CLIENT__SASL_PASSWORD", "007"),
            ("SLOTLINE__KAFKA__CLIENT__SASL_USERNAME", "1e5"),
            ("SLOTLINE__KAFKA__CLIENT__SECURITY_PROTOCOL", "SASL_SSL"),
            ("SLOTLINE__LISTEN__OPERATOR", "127.0.0.1:2000"),
            ("SLOTLINE__SMS__PLAINTEXT_OUTBOX", "true"),
            ("SLOTLINE__GATEWAY__IDENTITY__TOKEN_LIFETIME_S", "60"),
        ])
        .unwrap();
        assert_eq!(read.journal_kind, JournalKind::Kafka);
        assert_eq!(read.kafka.bootstrap_servers, "one:9092,two:9092");
        assert_eq!(read.kafka.topic_prefix, "2021.");
        assert_eq!(read.kafka.durability.name(), "single_broker");
        assert_eq!(read.kafka.delivery_timeout_ms, 5_000);
        let client = |key: &str| read.kafka.client.get(key).map(String::as_str);
        assert_eq!(client("sasl_password"), Some("007"));
        assert_eq!(client("sasl_username"), Some("1e5"));
        assert_eq!(client("security_protocol"), Some("SASL_SSL"));
        assert_eq!(read.listen.operator.port(), 2_000);
        assert!(read.sms.plaintext_outbox);
        assert_eq!(read.gateway_config().identity.token_lifetime_s, 60);
        read.check().unwrap();
    }

    #[test]
    fn a_variable_that_cannot_be_is_refused_by_its_key() {
        let refused: [(&str, &str, &str); 4] = [
            ("SLOTLINE__JOURNAL_KIND", "paper", "journal_kind"),
            ("SLOTLINE__KAFKA__GROUPS_IN_FLIGHT_MAX", "many", "groups_in_flight_max"),
            ("SLOTLINE__KAFKA__NOTHING", "1", "nothing"),
            ("SLOTLINE__NOTIFIER__TAKEOVER_MS", "-1", "takeover_ms"),
        ];
        for (variable, value, key) in refused {
            let said = under(&[(variable, value)]).unwrap_err();
            assert!(said.contains(key), "{variable}={value}: {said}");
        }
        let refused: [(&str, &str, &str); 3] = [
            ("SLOTLINE__KAFKA__CLIENT__ACKS", "0", "kafka.client"),
            ("SLOTLINE__KAFKA__GROUPS_IN_FLIGHT_MAX", "0", "kafka.groups_in_flight_max"),
            ("SLOTLINE__NOTIFIER__TAKEOVER_MS", "0", "notifier.takeover_ms"),
        ];
        for (variable, value, key) in refused {
            let said = under(&[(variable, value)]).unwrap().check().unwrap_err();
            assert!(said.contains(key), "{variable}={value}: {said}");
        }
    }

    #[test]
    fn only_an_embedded_journal_belongs_to_one_process() {
        let embedded = Settings::default();
        let kafka = for_kafka();
        for (settings, exclusive) in [(embedded, true), (kafka, false)] {
            assert_eq!(settings.engine_config([1; 16]).exclusive, exclusive);
            assert_eq!(settings.notifier_config().exclusive, exclusive);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let text = "[engine]\npulse_interval = 5\n";
        let error = toml::from_str::<Settings>(text).unwrap_err();
        let said = place_of(text, &error);
        assert!(said.starts_with("line 2, column 1:") && said.contains("pulse_interval"), "{said}");
    }

    #[test]
    fn an_integer_that_is_too_large_is_refused_with_its_place_and_key() {
        for value in ["9223372036854775808", "18446744073709551615", "18446744073709551616"] {
            let said = check_text(&format!("[engine]\npulse_interval_ms = {value}\n")).unwrap_err();
            assert!(said.starts_with("line 2, column 21: pulse_interval_ms: "), "{said}");
        }
        let said = check_text("[journal]\nlanes_max = 4294967296\n").unwrap_err();
        assert!(said.starts_with("line 2, column 13: lanes_max: "), "{said}");
    }

    #[test]
    fn pairs_override_defaults_and_name_what_is_wrong() {
        let pairs = vec!["gateway.cores=3".to_owned(), "engine.pulse_interval_ms=250".to_owned()];
        let read = Settings::from_pairs(&pairs).unwrap();
        assert_eq!((read.gateway.cores, read.engine.pulse_interval_ms), (3, 250));
        assert!(Settings::from_pairs(&["engine.nothing=1".to_owned()]).is_err());
        assert!(Settings::from_pairs(&["nonsense".to_owned()]).is_err());
    }
}
