//! `slotline run`, and `slotline gateway`, `engine` and `notifier`: production, in one process or several.
//!
//! They take their own secrets only, never the sample ones.

use std::io::ErrorKind;
use std::path::Path;

use vault::{Secrets, SecretsError, Vault};

use crate::End;
use crate::config::Settings;
use crate::options::RunOptions;
use crate::process::Cast;
use crate::serve::{AsItIs, Service, serve};
use crate::trouble::Trouble;

/// Runs these parts.
pub(crate) fn run(cast: Cast, options: &RunOptions) -> End {
    let prepared = Settings::load(&options.config)
        .map_err(Trouble::Configuration)
        .and_then(|settings| Ok((service(&settings, cast, options.json)?, settings)));
    match prepared {
        Ok((service, settings)) => serve(settings, service, &AsItIs),
        Err(trouble) => trouble.tell("slotline"),
    }
}

fn service(settings: &Settings, cast: Cast, json: bool) -> Result<Service, Trouble> {
    if cast != Cast::All && settings.is_exclusive() {
        return Err(Trouble::Configuration(format!(
            "journal_kind is \"embedded\": one process holds the data directory, so all parts run in it. Use `slotline run`, or journal_kind = \"kafka\" to run `slotline {}` of its own",
            cast.name()
        )));
    }
    let vault = match &settings.secrets_file {
        Some(path) => vault(path, cast)?,
        None if cast.needs_secrets() => {
            return Err(Trouble::Configuration(
                "secrets_file is not set; make one with `slotline admin secrets --output secrets.toml`"
                    .to_owned(),
            ));
        }
        None => None,
    };
    Ok(Service { cast, vault, json })
}

/// The vault of this file. An engine does without where the file is not there.
fn vault(path: &Path, cast: Cast) -> Result<Option<Vault>, Trouble> {
    if !cast.needs_secrets() && is_out_of_reach(path) {
        return Ok(None);
    }
    let unusable = |error: SecretsError| {
        Trouble::Configuration(format!("secrets_file {}: {error}", path.display()))
    };
    let secrets = Secrets::load(path).map_err(unusable)?;
    if secrets.is_sample() {
        return Err(Trouble::Configuration(format!(
            "secrets_file {} holds sample secrets, which everyone knows; make your own with `slotline admin secrets`",
            path.display()
        )));
    }
    Ok(Some(Vault::new(secrets)))
}

fn is_out_of_reach(path: &Path) -> bool {
    let opened = std::fs::File::open(path).map_err(|error| error.kind());
    matches!(opened, Err(ErrorKind::NotFound | ErrorKind::PermissionDenied))
}
