//! `slotline dev`: everything in one process, with sample data.
//!
//! It keeps to loopback, uses the sample secrets and loads sample data.

use std::fmt::Write;

use serde_json::Value;
use vault::{Role, Secrets, Vault};

use crate::End;
use crate::admin::now_s;
use crate::config::Settings;
use crate::http::Client;
use crate::options::DevOptions;
use crate::process::{Cast, Process};
use crate::sample;
use crate::serve::{Prepare, Service, serve};
use crate::trouble::Trouble;

/// How long the operator token that `dev` prints is good for.
const DEV_TOKEN_LIFETIME_S: u64 = 365 * 86_400;

/// Runs the product with sample data.
pub(crate) fn dev(options: &DevOptions) -> End {
    match prepared(options) {
        Ok((settings, service, prepare)) => serve(settings, service, &prepare),
        Err(trouble) => trouble.tell("slotline"),
    }
}

fn prepared(options: &DevOptions) -> Result<(Settings, Service, Sample), Trouble> {
    let mut settings = Settings::from_pairs(&options.settings).map_err(Trouble::Configuration)?;
    settings.data_dir.clone_from(&options.data);
    settings.listen.public = options.public;
    settings.listen.operator = options.operator;
    settings.sms.plaintext_outbox = true;
    settings.sms.outbox_dir = outbox_beside(&options.data);
    if !options.public.ip().is_loopback() || !options.operator.ip().is_loopback() {
        return Err(Trouble::Configuration(
            "`slotline dev` uses sample secrets and listens on loopback addresses only; use `slotline run` for others"
                .to_owned(),
        ));
    }
    let vault = Vault::new(Secrets::sample());
    let token = vault
        .mint_operator_token("dev", &Role::ALL, now_s() + DEV_TOKEN_LIFETIME_S)
        .map_err(|error| Trouble::Failed(error.to_string()))?;
    let service = Service { cast: Cast::All, vault: Some(vault), json: options.json };
    Ok((settings, service, Sample { token: token.to_string(), empty: options.empty }))
}

/// `data` → `outbox`, `elsewhere/data` → `elsewhere/data-outbox`: outside the data directory.
fn outbox_beside(data: &std::path::Path) -> std::path::PathBuf {
    if data == std::path::Path::new("data") {
        return "outbox".into();
    }
    let name =
        data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    data.with_file_name(format!("{name}-outbox"))
}

/// The sample data, and who may change it.
struct Sample {
    token: String,
    empty: bool,
}

impl Prepare for Sample {
    async fn prepare(
        &self,
        process: &Process,
        settings: &Settings,
    ) -> Result<(Vec<(&'static str, Value)>, String), Trouble> {
        let mut text = format!("operator token  {}\n", self.token);
        if let (false, Some(public), Some(operator)) =
            (self.empty, process.public(), process.operator())
        {
            let public = format!("http://{public}");
            let slot = load(&public, &format!("http://{operator}"), &self.token).await?;
            text += &lines(&public, slot, settings);
        }
        let members = vec![
            ("operator_token", self.token.as_str().into()),
            ("outbox", settings.sms.outbox_dir.to_string_lossy().into()),
        ];
        Ok((members, text))
    }
}

/// Loads the sample data; a slot with places left.
async fn load(public: &str, operator: &str, token: &str) -> Result<u64, Trouble> {
    let failed = |error: &dyn std::fmt::Display| Trouble::Failed(error.to_string());
    let citizens = Client::new(public, None).map_err(|error| failed(&error))?;
    let operators = Client::new(operator, Some(token)).map_err(|error| failed(&error))?;
    sample::load(&operators, &citizens).await.map_err(|error| failed(&error))?;
    let slot = sample::sample_slot(&citizens).await.map_err(|error| failed(&error))?;
    Ok(slot.unwrap_or(0))
}

/// The three lines to paste.
fn lines(public: &str, slot: u64, settings: &Settings) -> String {
    // Writing to a string cannot fail.
    let mut out = String::new();
    let (id, card) = (sample::SAMPLE_ID_NUMBER, sample::SAMPLE_CARD_NUMBER);
    let period = sample::SAMPLE_PERIOD;
    let json = "-H 'content-type: application/json'";
    let _ = writeln!(out, "\nLog in as a sample person, book a place, see the SMS:\n");
    let _ = writeln!(
        out,
        "  TOKEN=$(curl -s {public}/v1/identity {json} -d '{{\"method\":\"document\",\"id_number\":\"{id}\",\"card_number\":\"{card}\"}}' | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')"
    );
    let _ = writeln!(
        out,
        "  curl -s {public}/v1/bookings {json} -H \"authorization: Bearer $TOKEN\" -H 'idempotency-key: my-first-booking' -H 'prefer: wait=10' -d '{{\"period\":{period},\"slot\":{slot}}}'; echo"
    );
    let _ = writeln!(out, "  sleep 1; tail -n 1 {}/*", settings.sms.outbox_dir.display());
    let _ = writeln!(out, "\nCtrl-C ends it; the next start resumes.");
    out
}
