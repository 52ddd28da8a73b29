//! A connection to the brokers: one producer, its events, and questions about topics.
//!
//! Does: connect within a time limit with an error that names the setting; carry delivery reports to
//! whoever sent the record; say in words what the client library last complained of. Does not know
//! streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedHeaders, Timestamp};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{
    BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig,
};

use super::config::KafkaConfig;
use super::deadline::Deadline;
use crate::JournalError;

/// One look for delivery reports; also how late a stop is noticed. The client library is told whole
/// milliseconds, and its wrapper asks again and again for what is left of the last one: a little more than
/// a whole number leaves nothing.
const POLL: Duration = Duration::from_micros(50_040);
/// One attempt to reach a broker while connecting.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Where a record was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    /// Its offset.
    pub(super) offset: u64,
    /// The broker's time for it, or the producer's where the topic keeps that.
    pub(super) at_ms: i64,
}

/// Called once with the fate of a record, on the connection's own thread. After an error the record may
/// have been written or not.
pub(super) type OnDelivery = Box<dyn FnOnce(Result<Delivered, String>) + Send + Sync>;

/// What the client library tells on its own.
#[derive(Debug, Default)]
pub(super) struct Events {
    last: Mutex<Option<(KafkaError, String)>>,
    /// The last complaint that trying again cannot mend; the next one would cover it.
    refused: Mutex<Option<JournalError>>,
}

impl Events {
    /// The last complaint.
    pub(super) fn last(&self) -> Option<(KafkaError, String)> {
        self.last.lock().clone()
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(facility, "kafka client: {message}");
            }
            // A broker that is away is reported again and again; the state is in /readyz.
            _ => tracing::debug!(facility, "kafka client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client");
        if let Some(refused) = refused_access(&error, reason) {
            *self.refused.lock() = Some(refused);
        }
        *self.last.lock() = Some((error, reason.to_owned()));
    }
}

impl ConsumerContext for Events {}

impl ProducerContext for Events {
    type DeliveryOpaque = Box<OnDelivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, on_delivery: Box<OnDelivery>) {
        let fate = match result {
            Ok(message) => u64::try_from(message.offset())
                .map(|offset| Delivered { offset, at_ms: millis_of(message.timestamp()) })
                .map_err(|_| "the broker acknowledged without an offset".to_owned()),
            Err((error, _)) => Err(error.to_string()),
        };
        on_delivery(fate);
    }
}

/// A message's time, 0 where it has none.
pub(super) fn millis_of(timestamp: Timestamp) -> i64 {
    timestamp.to_millis().unwrap_or(0)
}

/// The producer of one process, and the thread that takes its delivery reports.
pub(super) struct Connection {
    producer: Arc<BaseProducer<Events>>,
    connect_timeout: Duration,
    is_ended: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Connection {
    /// Connects, or says in time why not.
    ///
    /// # Errors
    /// [`JournalError::Setting`] where a setting is to blame, [`JournalError::Unavailable`] where no
    /// broker answers.
    pub(super) fn open(
        config: &KafkaConfig,
        deadline: Deadline,
    ) -> Result<Connection, JournalError> {
        Connection::open_lingering(config, 0, deadline)
    }

    /// As [`Connection::open`]; a record may wait so long for others to share a request.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub(super) fn open_lingering(
        config: &KafkaConfig,
        linger_ms: u32,
        deadline: Deadline,
    ) -> Result<Connection, JournalError> {
        config.validate()?;
        config.check_files()?;
        let producer = config.producer(linger_ms);
        let producer = BaseProducer::from_config_and_context(&producer, Events::default())
            .map_err(|error| refused_property(&error))?;
        let producer = Arc::new(producer);
        let is_ended = Arc::new(AtomicBool::new(false));
        let (polled, flag) = (Arc::clone(&producer), Arc::clone(&is_ended));
        let poll = move || {
            while !flag.load(Ordering::Acquire) {
                polled.poll(POLL);
            }
        };
        let thread = std::thread::Builder::new().name("kafka-reports".to_owned()).spawn(poll);
        let thread = thread.map_err(|error| JournalError::Io {
            call: "thread",
            place: "kafka-reports".to_owned(),
            cause: error.to_string(),
        })?;
        let connection = Connection {
            producer,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms.into()),
            is_ended,
            thread: Mutex::new(Some(thread)),
        };
        connection.reach(config, deadline)?;
        Ok(connection)
    }

    fn reach(&self, config: &KafkaConfig, deadline: Deadline) -> Result<(), JournalError> {
        loop {
            match self.producer.client().fetch_metadata(None, deadline.left(ATTEMPT)) {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let last = self.producer.context().last();
                    if let Some(refused) = self.producer.context().refused.lock().take() {
                        return Err(refused);
                    }
                    if deadline.has_passed() {
                        return Err(unreachable_brokers(config, &error, last.as_ref()));
                    }
                    // A resolver that fails at once must not be asked without a pause.
                    deadline.pause();
                }
            }
        }
    }

    /// What the cluster says of its brokers and topics now.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when no broker answers in time.
    pub(super) fn metadata(&self, longest: Duration) -> Result<Metadata, JournalError> {
        self.producer.client().fetch_metadata(None, longest).map_err(|error| {
            JournalError::Unavailable {
                place: "the cluster's metadata".to_owned(),
                cause: self.in_words(&error),
            }
        })
    }

    /// Sends one record to the only partition of a topic; never waits. Records of one topic are written
    /// in the order of the calls.
    ///
    /// # Errors
    /// When the producer takes no more: it failed for good, or its queue is full.
    pub(super) fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        headers: Option<OwnedHeaders>,
        value: &[u8],
        at_ms: Option<i64>,
        on_delivery: OnDelivery,
    ) -> Result<(), String> {
        let mut record =
            BaseRecord::with_opaque_to(topic, Box::new(on_delivery)).partition(0).payload(value);
        record.key = key;
        record.headers = headers;
        record.timestamp = at_ms;
        self.producer.send(record).map_err(|(error, _)| error.to_string())
    }

    /// First offset kept and the end of a topic.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when no broker answers in time.
    pub(super) fn watermarks(&self, topic: &str) -> Result<(u64, u64), JournalError> {
        self.watermarks_until(topic, Deadline::after(self.connect_timeout))
    }

    /// The same within a limit that is not its own.
    ///
    /// # Errors
    /// As [`Connection::watermarks`].
    pub(super) fn watermarks_until(
        &self,
        topic: &str,
        deadline: Deadline,
    ) -> Result<(u64, u64), JournalError> {
        deadline.ask(|longest| {
            match self.producer.client().fetch_watermarks(topic, 0, longest) {
                Ok((low, high)) => {
                    Ok((u64::try_from(low).unwrap_or(0), u64::try_from(high).unwrap_or(0)))
                }
                Err(cause) => {
                    // Also after the last attempt: whoever asks next is not sent to the same grave.
                    self.look_for_leader(topic);
                    let (place, cause) = (format!("topic {topic}"), self.in_words(&cause));
                    Err(JournalError::Unavailable { place, cause })
                }
            }
        })
    }

    /// Asks who leads a topic. The client library does that by itself for topics that it writes or
    /// reads; of any other it remembers a leader that is gone for minutes, and gives up at once, or waits
    /// for it as long as it may.
    fn look_for_leader(&self, topic: &str) {
        if let Err(error) = self.producer.client().fetch_metadata(Some(topic), ATTEMPT) {
            tracing::debug!(%error, topic, "kafka client");
        }
    }

    /// What went wrong, with the client library's last complaint where that says more.
    pub(super) fn in_words(&self, error: &KafkaError) -> String {
        match self.producer.context().last() {
            Some((_, reason)) => format!("{error} ({reason})"),
            None => error.to_string(),
        }
    }

    /// Forgets everything on its way; the fates arrive as errors.
    pub(super) fn purge(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }

    /// The producer's client, for calls that the wrapper lacks.
    pub(super) fn producer(&self) -> &BaseProducer<Events> {
        &self.producer
    }

    /// Ends the thread. Fates that have not arrived by then arrive while the producer is dropped.
    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        let Some(thread) = self.thread.lock().take() else { return };
        // Called from the thread itself when a callback holds the last reference.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

/// A question that was not answered as hoped: [`JournalError::Unavailable`] where asking again later may
/// help.
pub(super) fn unanswered(
    call: &'static str,
    place: &str,
    code: Option<RDKafkaErrorCode>,
    cause: &dyn std::fmt::Display,
) -> JournalError {
    let place = place.to_owned();
    if code.is_some_and(passes_by_itself) {
        JournalError::Unavailable { place, cause: format!("{call}: {cause}") }
    } else {
        JournalError::Io { call, place, cause: cause.to_string() }
    }
}

/// What a cluster answers, or does not, while brokers come and go.
const fn passes_by_itself(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::NotController
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::ThrottlingQuotaExceeded
            // A broker hears of a topic a moment after the others.
            | Code::UnknownTopicOrPartition
    )
}

/// The client library refuses a property.
pub(super) fn refused_property(error: &KafkaError) -> JournalError {
    JournalError::Setting { key: "kafka.client", why: error.to_string() }
}

/// A complaint that trying again cannot mend.
fn refused_access(error: &KafkaError, reason: &str) -> Option<JournalError> {
    use RDKafkaErrorCode as Code;
    let setting =
        |key, what: &str| Some(JournalError::Setting { key, why: format!("{what}: {reason}") });
    match error.rdkafka_error_code()? {
        Code::Authentication | Code::SaslAuthenticationFailed => setting(
            "kafka.client.sasl_username and kafka.client.sasl_password",
            "the broker refuses these credentials",
        ),
        Code::SSL => setting(
            "kafka.client.security_protocol and kafka.client.ssl_ca_location",
            "no TLS connection comes about",
        ),
        Code::UnsupportedSASLMechanism => {
            setting("kafka.client.sasl_mechanism", "the broker does not offer this mechanism")
        }
        _ => None,
    }
}

fn unreachable_brokers(
    config: &KafkaConfig,
    error: &KafkaError,
    last: Option<&(KafkaError, String)>,
) -> JournalError {
    let reason = last.map_or_else(|| error.to_string(), |(_, reason)| reason.clone());
    JournalError::Unavailable {
        place: format!("kafka.bootstrap_servers = {}", config.bootstrap_servers),
        cause: format!(
            "no broker answered within {} ms: {reason}. Is it running, is the address right, and does kafka.client.security_protocol fit its listener?",
            config.connect_timeout_ms
        ),
    }
}
