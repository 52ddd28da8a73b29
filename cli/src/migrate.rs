//! `slotline admin migrate`: carries a stopped installation of one machine into an empty one on Kafka.
//!
//! Every group keeps its time, its bounds and its order, so that the commands keep their sequences, a
//! replay gives the same state, and everything written under a sequence (receipts, confirmations, SMS
//! references) stays right. What came over is read again and compared, and the state rebuilt from both
//! journals.
//!
//! What does not come over: checkpoints and disk views. They belong to a journal by its name, and are
//! made anew.

use std::sync::Arc;
use std::time::Duration;

use engine::{ReplayOptions, Replayed};
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::kafka::KafkaImport;
use journal::{Group, Journal, JournalError, KafkaJournal, Position, Reader, Stream, Visibility};

use crate::config::Settings;
use crate::options::MigrateOptions;
use crate::topics::kafka_settings;
use crate::trouble::Trouble;

/// One wait for a group that is there.
const POLL: Duration = Duration::from_millis(200);

/// Carries everything over; what was done, in words.
pub(crate) fn migrate(options: &MigrateOptions) -> Result<String, Trouble> {
    let settings = kafka_settings(&options.config)?;
    let folder = options.data.join("journal");
    if !folder.is_dir() {
        return Err(Trouble::Configuration(format!(
            "{} holds no journal; --data names the data directory of the stopped installation",
            options.data.display()
        )));
    }
    // The lock on the folder refuses a running installation.
    let source = Arc::new(EmbeddedJournal::open(&folder, EmbeddedConfig::default())?);
    let before = rebuilt(&(Arc::clone(&source) as Arc<dyn Journal>))?;
    if !before.matches {
        return Err(Trouble::Failed(format!(
            "{} does not replay to what it says; nothing was carried over: {}",
            options.data.display(),
            before.differences.join("; ")
        )));
    }
    let import = KafkaImport::begin(settings.kafka.clone())?;
    let mut lines = carry_all(source.as_ref(), import, &settings).map_err(halfway)?;
    let target: Arc<dyn Journal> = Arc::new(KafkaJournal::open(settings.kafka)?);
    for stream in Stream::ALL {
        compare_groups(source.as_ref(), target.as_ref(), stream)?;
    }
    let after = rebuilt(&target)?;
    target.close();
    source.close();
    lines.extend(compared(&before, &after)?);
    Ok(lines.join("\n"))
}

fn carry_all(
    source: &dyn Journal,
    import: KafkaImport,
    settings: &Settings,
) -> Result<Vec<String>, JournalError> {
    let mut lines = Vec::new();
    for stream in Stream::ALL {
        let groups = carry(source, &import, stream)?;
        lines.push(format!("{}: {groups} groups", settings.kafka.topic(stream)));
    }
    import.finish()?;
    Ok(lines)
}

/// What to do after an error that left a part of the topics filled.
fn halfway(error: JournalError) -> Trouble {
    Trouble::Failed(format!(
        "{error}. The topics hold a part of the installation now and cannot be used: delete them, make them anew, and begin again. The old installation is as it was"
    ))
}

fn rebuilt(journal: &Arc<dyn Journal>) -> Result<Replayed, Trouble> {
    Ok(engine::replay(journal, &ReplayOptions::default(), &mut |_| true)?)
}

/// The groups of a stream that is at rest, from its beginning to its end.
struct Groups {
    reader: Box<dyn Reader>,
    end: Position,
}

impl Groups {
    fn of(journal: &dyn Journal, stream: Stream) -> Result<Groups, JournalError> {
        let end = journal.durable_end(stream)?;
        Ok(Groups { reader: journal.reader(stream, Position::START, Visibility::Durable)?, end })
    }

    /// The next one. Empty ones are left out: they only proved that the one before was durable.
    fn next(&mut self) -> Result<Option<Group>, JournalError> {
        while self.reader.position() < self.end {
            let group = self.reader.poll(POLL)?;
            if let Some(group) = group.filter(|group| !group.records.is_empty()) {
                return Ok(Some(group));
            }
        }
        Ok(None)
    }
}

/// Carries one stream over; how many groups.
fn carry(source: &dyn Journal, import: &KafkaImport, stream: Stream) -> Result<u64, JournalError> {
    let mut groups = Groups::of(source, stream)?;
    let mut count = 0;
    while let Some(group) = groups.next()? {
        import.write(stream, &group)?;
        count += 1;
    }
    Ok(count)
}

/// Demands the same groups with the same times.
fn compare_groups(
    source: &dyn Journal,
    target: &dyn Journal,
    stream: Stream,
) -> Result<(), Trouble> {
    let (mut here, mut there) = (Groups::of(source, stream)?, Groups::of(target, stream)?);
    let mut count = 0_u64;
    loop {
        let same = match (here.next()?, there.next()?) {
            (None, None) => return Ok(()),
            (Some(here), Some(there)) => {
                here.at_ms == there.at_ms && here.records.packed() == there.records.packed()
            }
            _ => false,
        };
        if !same {
            return Err(Trouble::Failed(format!(
                "stream {}: group {count} did not come over as it was. Make new topics and try again; the old installation is as it was",
                stream.name()
            )));
        }
        count += 1;
    }
}

fn compared(before: &Replayed, after: &Replayed) -> Result<Vec<String>, Trouble> {
    let same = before.sequence == after.sequence
        && before.digest == after.digest
        && before.chain == after.chain
        && before.events_sequence == after.events_sequence
        && after.matches;
    let shown = |what: &Replayed| format!("sequence {}, digest {}", what.sequence, what.digest);
    if !same {
        return Err(Trouble::Failed(format!(
            "what came over differs: here {}, there {}. Make new topics and try again; the old installation is as it was",
            shown(before),
            shown(after)
        )));
    }
    Ok(vec![
        format!("before: {}", shown(before)),
        format!("after:  {}", shown(after)),
        "everything came over. Next: start `slotline engine`, `gateway` and `notifier` with this configuration and the same secrets file, with new data directories; the old data directory must not be started again".to_owned(),
    ])
}
