//! The streams of a process, whichever journal keeps them.
//!
//! This is the one place that knows which one runs: what stands above gets the trait.

use std::fmt::Write;
use std::sync::Arc;

use gateway::metrics::{heading, line, write_stored_bytes};
use gateway::{GroupsBefore, MetricsSource, Readiness};
use journal::kafka::Durability;
use journal::{EmbeddedJournal, Health, Journal, KafkaJournal, Stream};

use crate::config::{JournalKind, Settings};
use crate::trouble::Trouble;

/// An open journal.
#[derive(Clone)]
pub(crate) enum Streams {
    /// Files of this process.
    Embedded(Arc<EmbeddedJournal>),
    /// Topics shared with others.
    Kafka(Arc<KafkaJournal>),
}

impl Streams {
    /// Opens the journal that the settings name.
    ///
    /// # Errors
    /// In words that name the setting, or what cannot be reached.
    pub(crate) fn open(settings: &Settings) -> Result<Streams, Trouble> {
        Ok(match settings.journal_kind {
            JournalKind::Embedded => {
                let folder = settings.data_dir.join("journal");
                let journal = EmbeddedJournal::open(&folder, settings.journal.clone())?;
                Streams::Embedded(Arc::new(journal))
            }
            JournalKind::Kafka => {
                Streams::Kafka(Arc::new(KafkaJournal::open(settings.kafka.clone())?))
            }
        })
    }

    /// For the parts.
    pub(crate) fn shared(&self) -> Arc<dyn Journal> {
        match self {
            Streams::Embedded(journal) => Arc::clone(journal) as Arc<dyn Journal>,
            Streams::Kafka(journal) => Arc::clone(journal) as Arc<dyn Journal>,
        }
    }

    /// How positions count groups, where other processes write the same streams. A position on Kafka is
    /// an offset, and each record of our topics is a group.
    pub(super) fn groups_before(&self) -> Option<GroupsBefore> {
        match self {
            Streams::Embedded(_) => None,
            Streams::Kafka(_) => Some(Arc::new(|position| position.0)),
        }
    }

    /// What waits for room on the disk fails from now on: the parts end, and none may wait for ever.
    pub(crate) fn wait_no_longer(&self) {
        if let Streams::Embedded(journal) = self {
            journal.wait_no_longer();
        }
    }

    /// Writes what was accepted, and takes no more.
    pub(crate) fn close(&self) {
        self.shared().close();
    }

    /// Whether writes are taken, and what an acknowledged one survives.
    pub(super) fn readiness(&self) -> Readiness {
        match self.shared().health() {
            Health::Failed(why) | Health::Waiting(why) => Readiness::because(why),
            Health::Closed => Readiness::because("closed"),
            Health::Writable => Readiness { reason: self.remark(), ..Readiness::ready() },
        }
    }

    fn remark(&self) -> String {
        match self {
            Streams::Embedded(journal) => journal.shortage().unwrap_or_default(),
            Streams::Kafka(journal) => match journal.durability() {
                Durability::Replicated => "durability: replicated".to_owned(),
                Durability::SingleBroker => {
                    "durability: single_broker; all is lost with that broker's disk".to_owned()
                }
            },
        }
    }

    /// Why this process must be started again, when that would help: the journal on Kafka failed, and a
    /// broker answers. Asks the broker, so it may block.
    pub(super) fn restart_reason(&self) -> Option<String> {
        let Streams::Kafka(journal) = self else { return None };
        let Health::Failed(why) = journal.health() else { return None };
        journal.would_open().then(|| {
            format!(
                "the journal takes no more writes ({why}). A broker answers again, so this process ends to be started anew"
            )
        })
    }

    /// True when the journal failed and only a new start helps.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.shared().health(), Health::Failed(_))
    }

    /// Figures of the journal itself. `with_sizes` where no gateway writes the sizes.
    pub(super) fn metrics(&self, with_sizes: bool) -> MetricsSource {
        let streams = self.clone();
        Arc::new(move |out| {
            if with_sizes {
                write_stored_bytes(&*streams.shared(), out);
            }
            if let Streams::Kafka(journal) = &streams {
                write_kafka_figures(journal, out);
            }
        })
    }
}

fn write_kafka_figures(journal: &KafkaJournal, out: &mut String) {
    let figures = Stream::ALL.map(|stream| (stream.name(), journal.figures(stream)));
    let name = "slotline_journal_groups_total";
    heading(out, name, "counter", "Groups that the brokers acknowledged to this process.");
    for (stream, figures) in &figures {
        line(out, name, &[("stream", stream)], figures.groups);
    }
    let name = "slotline_journal_bytes_total";
    heading(out, name, "counter", "Bytes of those groups.");
    for (stream, figures) in &figures {
        line(out, name, &[("stream", stream)], figures.bytes);
    }
    let name = "slotline_journal_delivery_seconds";
    heading(out, name, "summary", "From sending a group to its acknowledgement.");
    for (stream, figures) in &figures {
        let seconds = figures.delivery_time_us as f64 / 1e6;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{name}_sum{{stream=\"{stream}\"}} {seconds}");
        let _ = writeln!(out, "{name}_count{{stream=\"{stream}\"}} {}", figures.groups);
    }
    let name = "slotline_journal_groups_in_flight";
    heading(out, name, "gauge", "Groups sent and not acknowledged yet.");
    for (stream, figures) in &figures {
        line(out, name, &[("stream", stream)], figures.groups_in_flight);
    }
    let name = "slotline_journal_durability";
    heading(out, name, "gauge", "1 for the class that this installation runs in.");
    line(out, name, &[("class", journal.durability().name())], 1);
}
