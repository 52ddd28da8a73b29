//! The topics of an installation: how they are made, and what is refused to run on.
//!
//! Does: make them with the settings on which the promises rest, and check those settings at every
//! start, naming topic and setting. A broker can be set up so that it acknowledges and forgets; this
//! product does not run on such a topic. Never makes a topic by itself, and never changes one, except
//! where an operator asks for it.

use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};

use super::client::{Connection, refused_property, unanswered};
use super::config::{Durability, KafkaConfig};
use super::deadline::Deadline;
use crate::{JournalError, Stream};

/// The public topic's name behind the prefix.
pub const CONFIRMATIONS: &str = "confirmations";
/// Says who dates the records of a topic.
const TIMESTAMP_TYPE: &str = "message.timestamp.type";
/// Replicas that `replicated` asks for.
const REPLICAS_MIN: usize = 3;
/// Replicas that must have a group before it is acknowledged.
const IN_SYNC_MIN: i64 = 2;

/// What became of one topic when topics were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeTopic {
    /// Its name.
    pub name: String,
    /// False when it was there before.
    pub is_new: bool,
}

/// All topics of an installation: the streams', and the public one.
pub fn topic_names(config: &KafkaConfig) -> Vec<String> {
    let mut names = stream_names(config);
    names.push(config.topic_named(CONFIRMATIONS));
    names
}

/// The streams' topics.
pub(super) fn stream_names(config: &KafkaConfig) -> Vec<String> {
    Stream::ALL.iter().map(|stream| config.topic(*stream)).collect()
}

/// Makes the topics that are missing, with the settings on which the promises rest. Those that are
/// there are left as they are, and checked.
///
/// # Errors
/// When no broker answers, the cluster refuses, or a topic's settings break a promise.
pub fn create_topics(config: &KafkaConfig) -> Result<Vec<MadeTopic>, JournalError> {
    // Each step has the time that a start has for all of them: an operator waits, and is told.
    let deadline = || Deadline::to_connect(config);
    let connection = Connection::open(config, deadline())?;
    let before = once_complete(config, &connection)?;
    let brokers = before.brokers().len();
    let replicas = match config.durability {
        Durability::Replicated if brokers < REPLICAS_MIN => {
            return Err(JournalError::Setting {
                key: "kafka.durability",
                why: format!(
                    "\"replicated\" needs at least {REPLICAS_MIN} brokers; the cluster has {brokers}. \"single_broker\" is for development"
                ),
            });
        }
        Durability::Replicated => REPLICAS_MIN as i32,
        Durability::SingleBroker => 1,
    };
    let names = topic_names(config);
    let settings: Vec<_> = names.iter().map(|name| wanted_settings(config, name)).collect();
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .zip(&settings)
        .map(|(name, settings)| {
            let mut topic = NewTopic::new(name, 1, TopicReplication::Fixed(replicas));
            topic.config = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
            topic
        })
        .collect();
    deadline().ask(|longest| {
        let results = block_on(admin(config)?.create_topics(&topics, &options(longest)))
            .map_err(|error| failed("create topics", &config.topic_prefix, &error))?;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            // There are brokers enough; the controller does not count on all of them yet.
            Err((name, code @ RDKafkaErrorCode::InvalidReplicationFactor)) => {
                Err(JournalError::Unavailable {
                    place: format!("topic {name}"),
                    cause: format!("{code}; the cluster does not count on all of its brokers yet"),
                })
            }
            Err((name, code)) => Err(unanswered("create topic", &name, Some(code), &code)),
        })
    })?;
    deadline().ask(|longest| are_led(&connection.metadata(longest)?, &names))?;
    let is_new = |name: &String| topic_of(&before, name).is_none();
    let is_any_new = names.iter().any(is_new);
    let limit = deadline();
    loop {
        match check(config, &connection, &Timestamps::Broker, &names, deadline()) {
            // A broker that hears of a new topic late says that there is none.
            Err(JournalError::Setting { .. }) if is_any_new && !limit.has_passed() => {
                limit.pause();
            }
            checked => break checked,
        }
    }?;
    Ok(names.into_iter().map(|name| MadeTopic { is_new: is_new(&name), name }).collect())
}

/// What the cluster says of itself once it has brokers enough, or when the time is over. Those of a
/// cluster that has only just started come one after another.
fn once_complete(config: &KafkaConfig, connection: &Connection) -> Result<Metadata, JournalError> {
    let limit = Deadline::to_connect(config);
    let is_complete = |metadata: &Metadata| {
        config.durability != Durability::Replicated || metadata.brokers().len() >= REPLICAS_MIN
    };
    loop {
        // The last look has its own time as well: what it says is told.
        let look = Deadline::to_connect(config);
        let metadata = look.ask(|longest| connection.metadata(longest))?;
        if is_complete(&metadata) || limit.has_passed() {
            return Ok(metadata);
        }
        limit.pause();
    }
}

/// A cluster tells its brokers of a new topic a moment later.
fn are_led(metadata: &Metadata, names: &[String]) -> Result<(), JournalError> {
    let is_led =
        |topic: &MetadataTopic| topic.partitions().iter().all(|partition| partition.leader() >= 0);
    match names.iter().find(|name| !topic_of(metadata, name).is_some_and(is_led)) {
        None => Ok(()),
        Some(name) => Err(JournalError::Unavailable {
            place: format!("topic {name}"),
            cause: "it was made, and no broker leads it yet; try again".to_owned(),
        }),
    }
}

/// Checks every topic's settings.
///
/// # Errors
/// [`JournalError::Setting`] naming the first topic and setting that breaks a promise.
pub fn check_topics(config: &KafkaConfig) -> Result<(), JournalError> {
    let deadline = Deadline::to_connect(config);
    let connection = Connection::open(config, deadline)?;
    check(config, &connection, &Timestamps::Broker, &topic_names(config), deadline)
}

/// Who dates a stream's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timestamps {
    /// The broker: `LogAppendTime`.
    Broker,
    /// The producer: `CreateTime`, while a journal is carried over, and in tests.
    Own,
}

impl Timestamps {
    const fn value(self) -> &'static str {
        match self {
            Timestamps::Broker => "LogAppendTime",
            Timestamps::Own => "CreateTime",
        }
    }
}

/// Checks these topics, and asks again where brokers that come and go do not answer yet.
pub(super) fn check(
    config: &KafkaConfig,
    connection: &Connection,
    timestamps: &Timestamps,
    names: &[String],
    deadline: Deadline,
) -> Result<(), JournalError> {
    deadline.ask(|longest| {
        check_shapes(config, &connection.metadata(longest)?, names)?;
        let resources = describe(config, names, longest)?;
        names
            .iter()
            .zip(&resources)
            .try_for_each(|(name, resource)| check_settings(config, name, timestamps, resource))
    })
}

fn describe(
    config: &KafkaConfig,
    names: &[String],
    longest: Duration,
) -> Result<Vec<ConfigResource>, JournalError> {
    let specifiers: Vec<_> =
        names.iter().map(|name| ResourceSpecifier::Topic(name.as_str())).collect();
    let described = block_on(admin(config)?.describe_configs(&specifiers, &options(longest)))
        .map_err(|error| failed("describe configs", &config.topic_prefix, &error))?;
    names
        .iter()
        .zip(described)
        .map(|(name, resource)| {
            resource.map_err(|code| unanswered("describe configs", name, Some(code), &code))
        })
        .collect()
}

fn topic_of<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a MetadataTopic> {
    metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none())
}

/// Refuses topics of the streams that do not exist, or could never be used.
///
/// # Errors
/// As [`check_topics`].
pub(super) fn find_streams(config: &KafkaConfig) -> Result<(), JournalError> {
    let deadline = Deadline::to_connect(config);
    let connection = Connection::open(config, deadline)?;
    deadline
        .ask(|longest| check_shapes(config, &connection.metadata(longest)?, &stream_names(config)))
}

fn check_shapes(
    config: &KafkaConfig,
    metadata: &Metadata,
    names: &[String],
) -> Result<(), JournalError> {
    names.iter().try_for_each(|name| check_shape(config, metadata, name))
}

fn check_shape(config: &KafkaConfig, metadata: &Metadata, name: &str) -> Result<(), JournalError> {
    let found = metadata.topics().iter().find(|topic| topic.name() == name);
    if let Some(code) = found.and_then(MetadataTopic::error).map(RDKafkaErrorCode::from) {
        use RDKafkaErrorCode as Code;
        // Any other says nothing about the topic.
        if !matches!(code, Code::UnknownTopicOrPartition | Code::TopicAuthorizationFailed) {
            return Err(unanswered("metadata", name, Some(code), &code));
        }
    }
    let Some(topic) = topic_of(metadata, name) else {
        return Err(JournalError::Setting {
            key: "kafka.topic_prefix",
            why: format!(
                "topic {name} does not exist (or may not be seen with these credentials). `slotline admin topics create` makes it"
            ),
        });
    };
    let partitions = topic.partitions();
    if partitions.len() != 1 {
        let found = partitions.len().to_string();
        return Err(broken(name, "partitions", &found, "1: one order for all"));
    }
    let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
    if config.durability == Durability::Replicated && replicas < Some(REPLICAS_MIN) {
        let found = replicas.unwrap_or(0).to_string();
        return Err(broken(name, "replication factor", &found, "at least 3"));
    }
    Ok(())
}

fn check_settings(
    config: &KafkaConfig,
    name: &str,
    timestamps: &Timestamps,
    resource: &ConfigResource,
) -> Result<(), JournalError> {
    let value = |key: &str| value_of(resource, key);
    let number = |key: &str| value(key).parse::<i64>().unwrap_or(0);
    let at_least = |key: &str, least: i64, wanted: &str| {
        let found = number(key);
        if found >= least { Ok(()) } else { Err(broken(name, key, &found.to_string(), wanted)) }
    };
    let exactly = |key: &str, wanted: &str, why: &str| {
        let found = value(key);
        let says = format!("{wanted}: {why}");
        if found == wanted { Ok(()) } else { Err(broken(name, key, &found, &says)) }
    };
    exactly("cleanup.policy", "delete", "a compacted journal has holes")?;
    let retention_ms = number("retention.ms");
    if retention_ms != -1 && retention_ms < config.retention_ms_min {
        let wanted =
            format!("-1, or at least kafka.retention_ms_min = {}", config.retention_ms_min);
        return Err(broken(name, "retention.ms", &retention_ms.to_string(), &wanted));
    }
    exactly("retention.bytes", "-1", "the truth is not trimmed by size")?;
    exactly("unclean.leader.election.enable", "false", "it forgets what was acknowledged")?;
    let is_stream = name != config.topic_named(CONFIRMATIONS);
    if is_stream {
        exactly(TIMESTAMP_TYPE, timestamps.value(), "it dates every command")?;
    }
    let most = config.message_bytes_max().into();
    at_least("max.message.bytes", most, &format!("at least {most}, for the largest group"))?;
    match config.durability {
        Durability::Replicated => at_least(
            "min.insync.replicas",
            IN_SYNC_MIN,
            "at least 2: one copy alone is not durable",
        ),
        Durability::SingleBroker if is_irreplaceable(config, name) => {
            exactly("flush.messages", "1", "one broker must sync each group")
        }
        Durability::SingleBroker => Ok(()),
    }
}

fn value_of(resource: &ConfigResource, key: &str) -> String {
    let entry = resource.entries.iter().find(|entry| entry.name == key);
    entry.and_then(|entry| entry.value.clone()).unwrap_or_default()
}

/// True for topics that nothing can be made again from. Events follow from commands and confirmations
/// from events: what a crash of the machine takes of their ends is written again, with the same bytes.
fn is_irreplaceable(config: &KafkaConfig, name: &str) -> bool {
    name != config.topic(Stream::Events) && name != config.topic_named(CONFIRMATIONS)
}

/// The settings a topic is made with.
fn wanted_settings(config: &KafkaConfig, name: &str) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", "-1".to_owned()),
        ("retention.bytes", "-1".to_owned()),
        ("unclean.leader.election.enable", "false".to_owned()),
        (TIMESTAMP_TYPE, Timestamps::Broker.value().to_owned()),
        ("max.message.bytes", config.message_bytes_max().to_string()),
        ("compression.type", "producer".to_owned()),
    ];
    match config.durability {
        Durability::Replicated => settings.push(("min.insync.replicas", IN_SYNC_MIN.to_string())),
        Durability::SingleBroker => {
            settings.push(("min.insync.replicas", "1".to_owned()));
            if is_irreplaceable(config, name) {
                settings.push(("flush.messages", "1".to_owned()));
            }
        }
    }
    settings
}

/// Lets the producer date the streams' groups, or the broker again. For an empty installation that
/// another journal is carried into. Returns when a broker that is asked knows of it.
///
/// # Errors
/// When the cluster refuses.
pub(super) fn set_timestamps(
    config: &KafkaConfig,
    timestamps: Timestamps,
) -> Result<(), JournalError> {
    let names = stream_names(config);
    alter(config, &names, timestamps)?;
    let is_known =
        |resource: &ConfigResource| value_of(resource, TIMESTAMP_TYPE) == timestamps.value();
    Deadline::to_connect(config).ask(|longest| {
        if describe(config, &names, longest)?.iter().all(is_known) {
            return Ok(());
        }
        Err(JournalError::Unavailable {
            place: format!("topics {}*", config.topic_prefix),
            cause: "their settings were changed, and brokers do not know it yet; try again"
                .to_owned(),
        })
    })
}

/// Sets the settings of these topics as they are made, but for who dates their groups.
fn alter(
    config: &KafkaConfig,
    names: &[String],
    timestamps: Timestamps,
) -> Result<(), JournalError> {
    let settings: Vec<_> = names
        .iter()
        .map(|name| {
            let mut settings = wanted_settings(config, name);
            settings.retain(|(key, _)| *key != TIMESTAMP_TYPE);
            settings.push((TIMESTAMP_TYPE, timestamps.value().to_owned()));
            settings
        })
        .collect();
    let changes: Vec<AlterConfig<'_>> = names
        .iter()
        .zip(&settings)
        .map(|(name, settings)| {
            settings
                .iter()
                .fold(AlterConfig::new(ResourceSpecifier::Topic(name)), |change, (key, value)| {
                    change.set(key, value)
                })
        })
        .collect();
    Deadline::to_connect(config).ask(|longest| {
        let results = block_on(admin(config)?.alter_configs(&changes, &options(longest)))
            .map_err(|error| failed("alter configs", &config.topic_prefix, &error))?;
        results.into_iter().try_for_each(|result| match result {
            Ok(_) => Ok(()),
            Err((_, code)) => {
                Err(unanswered("alter configs", &config.topic_prefix, Some(code), &code))
            }
        })
    })
}

/// A new client for each attempt: one that found no controller at first asks for none for minutes.
fn admin(config: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, JournalError> {
    AdminClient::from_config(&config.common()).map_err(|error| refused_property(&error))
}

fn options(longest: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(longest)).operation_timeout(Some(longest))
}

fn failed(call: &'static str, place: &str, error: &KafkaError) -> JournalError {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        error => error.rdkafka_error_code(),
    };
    unanswered(call, place, code, error)
}

fn broken(topic: &str, setting: &str, found: &str, wanted: &str) -> JournalError {
    JournalError::Setting {
        key: "kafka.durability",
        why: format!(
            "topic {topic} has {setting} = {found}, which breaks a promise; it must be {wanted}"
        ),
    }
}
