//! `slotline admin topics`: makes the topics of an installation, or looks whether they may be run on.

use journal::kafka::{check_topics, create_topics, topic_names};

use crate::config::{JournalKind, Settings};
use crate::options::TopicsVerb;
use crate::trouble::Trouble;

/// Makes or checks the topics; what was done, a line a topic.
pub(crate) fn topics(verb: &TopicsVerb) -> Result<String, Trouble> {
    let (TopicsVerb::Create(options) | TopicsVerb::Check(options)) = verb;
    let settings = kafka_settings(&options.config)?;
    let lines: Vec<String> = match verb {
        TopicsVerb::Create(_) => create_topics(&settings.kafka)?
            .into_iter()
            .map(|made| {
                let done = if made.is_new { "created" } else { "was there, and is as it must be" };
                format!("{}: {done}", made.name)
            })
            .collect(),
        TopicsVerb::Check(_) => {
            check_topics(&settings.kafka)?;
            let names = topic_names(&settings.kafka);
            names.iter().map(|name| format!("{name}: is as it must be")).collect()
        }
    };
    Ok(lines.join("\n"))
}

/// The settings of an installation on Kafka.
///
/// # Errors
/// When the file cannot be used, or names another kind of journal.
pub(crate) fn kafka_settings(config: &std::path::Path) -> Result<Settings, Trouble> {
    let settings = Settings::load(config).map_err(Trouble::Configuration)?;
    settings.check().map_err(Trouble::Configuration)?;
    if settings.journal_kind != JournalKind::Kafka {
        return Err(Trouble::Configuration(format!(
            "{}: journal_kind is \"embedded\"; this is for journal_kind = \"kafka\"",
            config.display()
        )));
    }
    Ok(settings)
}
