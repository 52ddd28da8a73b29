//! `slotline replay`: rebuilds the state from the journal and compares it with the checkpoint.

use std::sync::Arc;

use engine::ReplayOptions as Compare;
use journal::Journal;
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};

use crate::End;
use crate::options::ReplayOptions;

/// Replays and prints what was found.
pub(crate) fn replay(options: &ReplayOptions) -> End {
    let path = options.data.join("journal");
    if !path.is_dir() {
        eprintln!("slotline replay: {} holds no journal", options.data.display());
        return End::Usage;
    }
    let journal = match EmbeddedJournal::open(&path, EmbeddedConfig::default()) {
        Ok(journal) => Arc::new(journal),
        Err(error) => return failed(&error),
    };
    let shared: Arc<dyn Journal> = Arc::clone(&journal) as Arc<dyn Journal>;
    let compare = Compare { data_dir: Some(options.data.join("engine")) };
    let found = engine::replay(&shared, &compare, &mut |_| true);
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

fn failed(error: &dyn std::fmt::Display) -> End {
    eprintln!("slotline replay: {error}");
    End::Failed
}
