//! `slotline admin migrate`: carries a stopped installation of one machine into an empty one on Kafka.
//!
//! Every group keeps its time, its bounds and its order, so that the commands keep their sequences, a
//! replay gives the same state, and everything written under a sequence (receipts, confirmations, SMS
//! references) stays right. What came over is proven by rebuilding the state from both journals.
//!
//! What does not come over: checkpoints and disk views. They belong to a journal by its name, and are
//! made anew.

use std::sync::Arc;
use std::time::Duration;

use engine::{ReplayOptions, Replayed};
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::kafka::KafkaImport;
use journal::{Journal, JournalError, KafkaJournal, Position, Stream, Visibility};

use crate::options::MigrateOptions;
use crate::topics::kafka_settings;
use crate::trouble::Trouble;

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
    let mut lines = Vec::new();
    for stream in Stream::ALL {
        let groups = carry(source.as_ref(), &import, stream)?;
        lines.push(format!("{}: {groups} groups", settings.kafka.topic(stream)));
    }
    import.finish()?;
    source.close();
    let target: Arc<dyn Journal> = Arc::new(KafkaJournal::open(settings.kafka)?);
    let after = rebuilt(&target)?;
    target.close();
    lines.extend(compared(&before, &after)?);
    Ok(lines.join("\n"))
}

fn rebuilt(journal: &Arc<dyn Journal>) -> Result<Replayed, Trouble> {
    Ok(engine::replay(journal, &ReplayOptions::default(), &mut |_| true)?)
}

/// Carries one stream over; how many groups.
fn carry(source: &dyn Journal, import: &KafkaImport, stream: Stream) -> Result<u64, JournalError> {
    let mut reader = source.reader(stream, Position::START, Visibility::Durable)?;
    let mut groups = 0;
    while let Some(group) = reader.poll(Duration::ZERO)? {
        // An empty group only proved that the one before it was durable.
        if !group.records.is_empty() {
            import.write(stream, &group)?;
            groups += 1;
        }
    }
    Ok(groups)
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
