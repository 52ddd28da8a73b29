//! What a journal on Kafka may be told, each limit with its name and default, and what the client
//! library is told of it.
//!
//! Does: defaults, a check that the settings fit together, and the properties of producers and
//! consumers. Does not read files: it only looks whether those that the client library is told of can be
//! read.

use std::collections::BTreeMap;
use std::fs::File;

use rdkafka::ClientConfig;
use serde::Deserialize;

use super::frame::HEADER_BYTES;
use crate::{JournalError, Stream};

/// What an acknowledged group survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The loss of any one broker: at least three replicas, at least two of them in sync.
    #[default]
    Replicated,
    /// A crash of the one broker's process or machine, by a sync per group: for development.
    SingleBroker,
}

impl Durability {
    /// As written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Replicated => "replicated",
            Durability::SingleBroker => "single_broker",
        }
    }
}

/// Settings of a journal on Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to ask first, as `host:port`, separated by commas.
    pub bootstrap_servers: String,
    /// In front of every topic's name, for installations that share a cluster.
    pub topic_prefix: String,
    /// What an acknowledged group survives; the topics must be set accordingly.
    pub durability: Durability,
    /// TLS, SASL and socket properties of the client library, with `_` for `.`:
    /// `security_protocol`, `sasl_username`, `ssl_ca_location` …
    pub client: BTreeMap<String, String>,
    /// Longest time in which a start asks brokers, all questions together, and longest wait for an answer
    /// about topics later.
    pub connect_timeout_ms: u32,
    /// How long a group may be on its way, its retries included. Beyond, its fate is unknown and the
    /// process must be started again.
    pub delivery_timeout_ms: u32,
    /// Shortest retention a topic may have: the whole campaign, so that the truth is never trimmed.
    pub retention_ms_min: i64,
    /// Most bytes of one group given to `append`.
    pub group_bytes_max: u32,
    /// Most bytes of one group gathered from lanes.
    pub gather_bytes_max: u32,
    /// Longest record a lane takes.
    pub record_bytes_max: u32,
    /// Most bytes of one lane whose fate is unknown, on their way included.
    pub lane_bytes_max: u32,
    /// Most lanes open at once in one stream.
    pub lanes_max: u32,
    /// Full groups of one stream on their way at once. The client library puts those that wait for a
    /// broker into one request, so that a slow disk syncs many at once.
    pub groups_in_flight_max: u32,
    /// Most time between two groups while requests keep coming; 0 never pauses. Each group costs the
    /// broker CPU, whatever it holds.
    pub group_interval_us_max: u32,
    /// Groups of at most this many records are followed at once by the next.
    pub tiny_group_records: u32,
    /// Longest record `append_behind` takes.
    pub behind_record_bytes_max: u32,
    /// Most bytes accepted by `append_behind` and not yet durable.
    pub behind_bytes_max: u64,
    /// Least time between two sendings of what `append_behind` accepted: at low load it leaves at once,
    /// else many groups share a request, and wake every reader once. 0 = always at once.
    pub behind_sync_interval_ms: u32,
    /// Most bytes a reader fetches ahead.
    pub read_ahead_bytes: u32,
    /// How long a broker holds a reader's question while nothing new comes. New groups are answered at
    /// once; a reader that is sent elsewhere waits for the old answer first.
    pub fetch_wait_ms_max: u32,
}

impl Default for KafkaConfig {
    fn default() -> KafkaConfig {
        KafkaConfig {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            topic_prefix: "slotline.".to_owned(),
            durability: Durability::Replicated,
            client: BTreeMap::new(),
            connect_timeout_ms: 8_000,
            delivery_timeout_ms: 60_000,
            retention_ms_min: 400 * 86_400_000,
            group_bytes_max: 256 << 10,
            gather_bytes_max: 64 << 10,
            record_bytes_max: 63 << 10,
            lane_bytes_max: 1 << 20,
            lanes_max: 1_024,
            groups_in_flight_max: 32,
            group_interval_us_max: 8_000,
            tiny_group_records: 16,
            behind_record_bytes_max: 32 << 20,
            behind_bytes_max: 128 << 20,
            behind_sync_interval_ms: 20,
            read_ahead_bytes: 16 << 20,
            fetch_wait_ms_max: 100,
        }
    }
}

/// Largest size any limit may have: keeps every sum of them far from overflow.
const BYTES_LIMIT: u64 = 1 << 30;
/// What the producer may hold in all: never the limit that strikes first.
const PRODUCER_QUEUE_KBYTES: u32 = 2_097_151;
/// A broker that does not answer within this time is asked elsewhere.
const BROKER_ANSWER_MS_MAX: u32 = 5_000;

/// Properties that the promises rest on; `[journal.kafka.client]` may set only others.
const PASSED_THROUGH: [&str; 10] = [
    "security.",
    "sasl.",
    "ssl.",
    "enable.ssl.certificate.verification",
    "https.ca.",
    "socket.",
    "broker.address.",
    "client.",
    "metadata.",
    "debug",
];

/// Properties that name a file, and the settings that they come from.
const FILES: [(&str, &str); 4] = [
    ("ssl.ca.location", "kafka.client.ssl_ca_location"),
    ("ssl.certificate.location", "kafka.client.ssl_certificate_location"),
    ("ssl.crl.location", "kafka.client.ssl_crl_location"),
    ("ssl.key.location", "kafka.client.ssl_key_location"),
];
/// For the client library no file, but: look where systems usually keep their authorities.
const PROBE: &str = "probe";

impl KafkaConfig {
    /// Checks that the settings are usable together.
    ///
    /// # Errors
    /// [`JournalError::Setting`] naming the first key that is not, and what it must be.
    pub fn validate(&self) -> Result<(), JournalError> {
        self.check_names()?;
        let (group, gather) = (u64::from(self.group_bytes_max), u64::from(self.gather_bytes_max));
        let record = u64::from(self.record_bytes_max);
        let behind_record = u64::from(self.behind_record_bytes_max);
        let rules: [(&'static str, u64, u64, u64, &'static str); 12] = [
            ("kafka.fetch_wait_ms_max", self.fetch_wait_ms_max.into(), 1, 5_000, "5000"),
            ("kafka.record_bytes_max", record, 1, gather.saturating_sub(4), "gather_bytes_max - 4"),
            ("kafka.gather_bytes_max", gather, 512, group, "group_bytes_max"),
            ("kafka.group_bytes_max", group, 512, BYTES_LIMIT / 2, "512 MiB"),
            ("kafka.lane_bytes_max", self.lane_bytes_max.into(), record + 4, BYTES_LIMIT, "1 GiB"),
            ("kafka.lanes_max", self.lanes_max.into(), 1, 65_536, "65536"),
            ("kafka.groups_in_flight_max", self.groups_in_flight_max.into(), 1, 1_024, "1024"),
            ("kafka.behind_record_bytes_max", behind_record, 1, BYTES_LIMIT / 2, "512 MiB"),
            ("kafka.behind_bytes_max", self.behind_bytes_max, behind_record, BYTES_LIMIT, "1 GiB"),
            ("kafka.connect_timeout_ms", self.connect_timeout_ms.into(), 100, 600_000, "600000"),
            ("kafka.delivery_timeout_ms", self.delivery_timeout_ms.into(), 1_000, 3_600_000, "1 h"),
            ("kafka.read_ahead_bytes", self.read_ahead_bytes.into(), 65_536, BYTES_LIMIT, "1 GiB"),
        ];
        for (key, value, least, most, most_name) in rules {
            if value < least || value > most {
                let why = format!("{value} is not between {least} and {most} ({most_name})");
                return Err(JournalError::Setting { key, why });
            }
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), JournalError> {
        let refused = |key, why: String| Err(JournalError::Setting { key, why });
        if self.bootstrap_servers.trim().is_empty() {
            return refused("kafka.bootstrap_servers", "it names no broker".to_owned());
        }
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.topic_prefix.len() > 200 || !self.topic_prefix.chars().all(name) {
            let why = "at most 200 letters, digits, `.`, `-` and `_`".to_owned();
            return refused("kafka.topic_prefix", why);
        }
        for key in self.client.keys() {
            let property = property_of(key);
            if !PASSED_THROUGH.iter().any(|passed| property.starts_with(passed)) {
                let why = format!(
                    "`{key}` may not be set here; TLS, SASL and socket properties may ({})",
                    PASSED_THROUGH.join(" ")
                );
                return refused("kafka.client", why);
            }
        }
        Ok(())
    }

    /// Checks that the files which the settings name can be read: the client library tells neither the
    /// file nor what is wrong with it.
    pub(super) fn check_files(&self) -> Result<(), JournalError> {
        for (key, path) in &self.client {
            let property = property_of(key);
            let named = FILES.iter().find(|(own, _)| *own == property && path != PROBE);
            if let (Some((_, key)), Err(cause)) = (named, File::open(path)) {
                let why = format!("{path} cannot be read: {cause}");
                return Err(JournalError::Setting { key, why });
            }
        }
        Ok(())
    }

    /// The topic of a stream.
    pub fn topic(&self, stream: Stream) -> String {
        self.topic_named(stream.name())
    }

    /// The topic of this name: the prefix, then the name.
    pub fn topic_named(&self, name: &str) -> String {
        format!("{}{name}", self.topic_prefix)
    }

    /// The longest record value that this configuration can write, Kafka's own framing included.
    pub fn message_bytes_max(&self) -> u32 {
        /// More than a batch header, a record header and varints take.
        const FRAMING_BYTES: u32 = 4_096;
        self.behind_record_bytes_max.max(self.group_bytes_max)
            + HEADER_BYTES as u32
            + 4
            + FRAMING_BYTES
    }

    /// Properties every client has.
    pub(super) fn common(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("client.id", "slotline")
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("socket.timeout.ms", BROKER_ANSWER_MS_MAX.to_string())
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("socket.nagle.disable", "true")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.fast.interval.ms", "50")
            .set("log.connection.close", "false");
        for (key, value) in &self.client {
            client.set(property_of(key), value);
        }
        client
    }

    /// Properties of the producer. `acks=all` and idempotence are what makes an acknowledgement mean
    /// durable, once and in order; the rest only sets the pace.
    pub(super) fn producer(&self, linger_ms: u32) -> ClientConfig {
        let mut client = self.common();
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Idempotence keeps the order of so many.
            .set("max.in.flight.requests.per.connection", "5")
            .set("message.timeout.ms", self.delivery_timeout_ms.to_string())
            .set(
                "request.timeout.ms",
                BROKER_ANSWER_MS_MAX.min(self.delivery_timeout_ms).to_string(),
            )
            .set("message.max.bytes", self.message_bytes_max().to_string())
            .set("linger.ms", linger_ms.to_string())
            .set("retry.backoff.ms", "20")
            .set("retry.backoff.max.ms", "500")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", PRODUCER_QUEUE_KBYTES.to_string());
        client
    }

    /// Properties of a reader. It never commits and never jumps: where it reads is told by `assign`.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut client = self.common();
        let queued_kbytes = (self.read_ahead_bytes / 1_024).max(1);
        client
            // `assign` demands a group; it is never joined and nothing is committed to it.
            .set("group.id", format!("{}reader", self.topic_prefix))
            .set("allow.auto.create.topics", "false")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", self.fetch_wait_ms_max.to_string())
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.message.max.bytes", self.read_ahead_bytes.min(4 << 20).to_string())
            .set("receive.message.max.bytes", (self.message_bytes_max() + (64 << 20)).to_string())
            .set("queued.max.messages.kbytes", queued_kbytes.to_string());
        client
    }
}

/// The client library's name of a key.
fn property_of(key: &str) -> String {
    key.replace('_', ".")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work_and_the_client_library_takes_them() {
        let config = KafkaConfig::default();
        config.validate().unwrap();
        config.producer(0).create_native_config().unwrap();
        config.consumer().create_native_config().unwrap();
    }

    #[test]
    fn impossible_values_are_named() {
        type Change = fn(&mut KafkaConfig);
        let broken: [(&str, Change); 6] = [
            ("bootstrap_servers", |config| config.bootstrap_servers = " ".into()),
            ("topic_prefix", |config| config.topic_prefix = "a/b".into()),
            ("client", |config| {
                config.client.insert("acks".into(), "0".into());
            }),
            ("groups_in_flight_max", |config| config.groups_in_flight_max = 0),
            ("record_bytes_max", |config| config.record_bytes_max = config.gather_bytes_max),
            ("behind_bytes_max", |config| config.behind_bytes_max = 1),
        ];
        for (key, change) in broken {
            let mut config = KafkaConfig::default();
            change(&mut config);
            let refused = config.validate().err().map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|text| text.contains(key)), "{key}: {refused:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_setting() {
        let mut config = KafkaConfig::default();
        config.client.insert("sasl_username".to_owned(), "no-file".to_owned());
        config.client.insert("ssl_ca_location".to_owned(), PROBE.to_owned());
        config.check_files().unwrap();
        config.client.insert("ssl_key_location".to_owned(), "no-such-folder/key.pem".to_owned());
        let refused = config.check_files().unwrap_err().to_string();
        assert!(refused.contains("kafka.client.ssl_key_location"), "{refused}");
        assert!(refused.contains("no-such-folder/key.pem"), "{refused}");
    }

    #[test]
    fn tls_and_sasl_properties_pass_through() {
        let mut config = KafkaConfig::default();
        let given = [("security_protocol", "sasl_plaintext"), ("sasl_mechanism", "PLAIN")];
        for (key, value) in given {
            config.client.insert(key.to_owned(), value.to_owned());
        }
        config.validate().unwrap();
        let client = config.producer(0);
        assert_eq!(client.get("security.protocol"), Some("sasl_plaintext"));
        assert_eq!(client.get("sasl.mechanism"), Some("PLAIN"));
    }
}
