//! `slotline validate`: looks at configuration and data files without starting anything. Nothing is asked
//! of any server, unless `--environment` wants just that.

use std::path::Path;

use crate::End;
use crate::config::{JournalKind, Settings};
use crate::options::ValidateOptions;

/// Checks each file and prints what is wrong: file, line, reason. Exit 78 when anything is.
pub(crate) fn validate(options: &ValidateOptions) -> End {
    let mut sound = true;
    for file in &options.files {
        match check(file, options.environment) {
            Ok(what) => println!("{}: {what}", file.display()),
            Err(faults) => {
                sound = false;
                for fault in faults {
                    eprintln!("{fault}");
                }
            }
        }
    }
    if sound { End::Done } else { End::Configuration }
}

fn check(file: &Path, environment: bool) -> Result<String, Vec<String>> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or("");
    match ending {
        "toml" => check_settings(file, environment).map_err(|fault| vec![fault]),
        "csv" => check_rows(file),
        _ => Err(vec![format!("{}: neither .toml nor .csv", file.display())]),
    }
}

fn check_settings(file: &Path, environment: bool) -> Result<String, String> {
    let settings = Settings::load(file)?;
    settings.check().map_err(|fault| format!("{}: {fault}", file.display()))?;
    if let Some(path) = &settings.secrets_file {
        vault::Secrets::load(path).map_err(|error| {
            format!("{}: secrets_file {}: {error}", file.display(), path.display())
        })?;
    }
    if environment && settings.journal_kind == JournalKind::Kafka {
        journal::kafka::check_topics(&settings.kafka)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok("configuration is usable, and the topics are as they must be".to_owned());
    }
    Ok("configuration is usable".to_owned())
}

fn check_rows(file: &Path) -> Result<String, Vec<String>> {
    let bytes =
        std::fs::read(file).map_err(|error| vec![format!("{}: {error}", file.display())])?;
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let header = String::from_utf8_lossy(header);
    let Some(kind) = gateway::import::detect_kind(header.trim_end()) else {
        return Err(vec![format!("{}: line 1: the header is none of ours", file.display())]);
    };
    match gateway::import::validate(kind, &bytes) {
        Ok(rows) => Ok(format!("{rows} rows of {kind:?}")),
        Err(errors) => {
            Err(errors.iter().map(|error| format!("{}: {error}", file.display())).collect())
        }
    }
}
