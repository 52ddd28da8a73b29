//! `slotline replay`: rebuilds the state from the journal and compares it with the checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::ReplayOptions as Compare;
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::{Journal, KafkaJournal};

use crate::End;
use crate::options::ReplayOptions;
use crate::topics::kafka_settings;
use crate::trouble::Trouble;

/// Replays and prints what was found.
pub(crate) fn replay(options: &ReplayOptions) -> End {
    let folder = options.data.join("journal");
    let opened = match &options.config {
        Some(config) => on_kafka(config),
        None if !folder.is_dir() => {
            eprintln!("slotline replay: {} holds no journal", options.data.display());
            return End::Usage;
        }
        None => on_this_machine(&folder, &options.data),
    };
    let (journal, data_dir) = match opened {
        Ok(opened) => opened,
        Err(trouble) => return trouble.tell("slotline replay"),
    };
    let compare = Compare { data_dir: Some(data_dir) };
    let found = engine::replay(&journal, &compare, &mut |_| true);
    journal.close();
    let found = match found {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    if options.json {
        match serde_json::to_string(&found) {
            Ok(line) => println!("{line}"),
            Err(error) => return failed(&error),
        }
    } else {
        println!("sequence    {}", found.sequence);
        println!("digest      {}", found.digest);
        println!("chain       {}", found.chain);
        println!("events      {} (through sequence {})", found.events, found.events_sequence);
        match found.checkpoint_sequence {
            Some(sequence) => println!("checkpoint  at sequence {sequence}"),
            None => println!("checkpoint  none"),
        }
        println!("took        {:.2} s", found.seconds);
        println!("{}", if found.matches { "everything matches" } else { "DIFFERENCES:" });
        for difference in &found.differences {
            println!("  {difference}");
        }
    }
    if found.matches { End::Done } else { End::Failed }
}

/// A journal, and where the checkpoint to compare with lies, if there is one.
type Opened = (Arc<dyn Journal>, PathBuf);

fn on_this_machine(folder: &Path, data: &Path) -> Result<Opened, Trouble> {
    let journal = EmbeddedJournal::open(folder, EmbeddedConfig::default())?;
    Ok((Arc::new(journal), data.join("engine")))
}

/// A running engine's checkpoint is read beside it.
fn on_kafka(config: &Path) -> Result<Opened, Trouble> {
    let settings = kafka_settings(config)?;
    Ok((Arc::new(KafkaJournal::open(settings.kafka)?), settings.data_dir.join("engine")))
}

fn failed(error: &dyn std::fmt::Display) -> End {
    eprintln!("slotline replay: {error}");
    End::Failed
}
