//! `slotline admin`: the operator's calls from a shell, and the making of secrets.

use std::path::{Path, PathBuf};

use hyper::Method;
use vault::Secrets;

use crate::End;
use crate::http::Client;
use crate::migrate;
use crate::options::{AdminOptions, AdminVerb, OperatorOptions};
use crate::topics;
use crate::trouble::Trouble;

/// Runs one admin command.
pub(crate) fn admin(options: AdminOptions) -> End {
    match perform(options.verb) {
        Ok(text) => {
            println!("{text}");
            End::Done
        }
        Err(trouble) => trouble.tell("slotline admin"),
    }
}

fn perform(verb: AdminVerb) -> Result<String, Trouble> {
    let done = match verb {
        AdminVerb::Topics(verb) => return topics::topics(&verb),
        AdminVerb::Migrate(options) => return migrate::migrate(&options),
        AdminVerb::Secrets { output } => make_secrets(&output),
        AdminVerb::OperatorToken { secrets, name, roles, days } => {
            make_operator_token(&secrets, &name, &roles, days)
        }
        AdminVerb::Import { operator, category, file } => import(&operator, category, &file),
        AdminVerb::PutCategory { operator, number, file, dry_run } => {
            put(&operator, &format!("/v1/categories/{number}"), &file, dry_run)
        }
        AdminVerb::PutPeriod { operator, number, file, dry_run } => {
            put(&operator, &format!("/v1/periods/{number}"), &file, dry_run)
        }
        AdminVerb::Capacity { operator, slot, capacity } => call(
            &operator,
            Method::PATCH,
            &format!("/v1/slots/{slot}"),
            "application/json",
            format!("{{\"capacity\":{capacity}}}").into_bytes(),
        ),
        AdminVerb::Overview { operator } => {
            call(&operator, Method::GET, "/v1/overview", "application/json", Vec::new())
        }
        AdminVerb::AcceptTime { operator } => call(
            &operator,
            Method::POST,
            "/v1/engine:accept-time",
            "application/json",
            b"{}".to_vec(),
        ),
    };
    Ok(done?)
}

/// Writes fresh secrets to a file that only its owner may read.
fn make_secrets(output: &Path) -> Result<String, String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error: std::io::Error| format!("{}: {error}", output.display());
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(output)
        .map_err(failed)?;
    let text = Secrets::generate().to_toml();
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(format!("wrote {}; keep a copy of it apart from the data directory", output.display()))
}

fn make_operator_token(
    secrets: &PathBuf,
    name: &str,
    roles: &[String],
    days: u32,
) -> Result<String, String> {
    let secrets = Secrets::load(secrets).map_err(|error| error.to_string())?;
    let roles = roles
        .iter()
        .map(|role| role.parse::<vault::Role>().map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, _>>()?;
    let expires_at_s = now_s() + u64::from(days) * 86_400;
    vault::Vault::new(secrets)
        .mint_operator_token(name, &roles, expires_at_s)
        .map_err(|error| error.to_string())
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map(|since| since.as_secs()).unwrap_or(0)
}

fn import(
    operator: &OperatorOptions,
    category: Option<u16>,
    file: &Path,
) -> Result<String, String> {
    let bytes = read(file)?;
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    let header = String::from_utf8_lossy(header);
    let kind = gateway::import::detect_kind(&header)
        .ok_or_else(|| format!("{}: the header is none of ours", file.display()))?;
    let path = match (kind, category) {
        (gateway::import::Kind::Sites, _) => "/v1/sites:import".to_owned(),
        (gateway::import::Kind::Slots, _) => "/v1/slots:import".to_owned(),
        (gateway::import::Kind::Roster, _) => "/v1/roster:import".to_owned(),
        (gateway::import::Kind::Attendance, _) => "/v1/attendance".to_owned(),
        (gateway::import::Kind::Members, Some(category)) => {
            format!("/v1/categories/{category}/members:import")
        }
        (gateway::import::Kind::Members, None) => {
            return Err("a members file needs --category NUMBER".to_owned());
        }
    };
    call(operator, Method::POST, &path, "text/csv", bytes)
}

fn put(
    operator: &OperatorOptions,
    path: &str,
    file: &Path,
    dry_run: bool,
) -> Result<String, String> {
    let query = if dry_run { "?dry_run=true" } else { "" };
    call(operator, Method::PUT, &format!("{path}{query}"), "application/json", read(file)?)
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn call(
    operator: &OperatorOptions,
    method: Method,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
) -> Result<String, String> {
    let client =
        Client::new(&operator.url, Some(&operator.token)).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let answer = runtime
        .block_on(client.call(method, path, content_type, body, &[]))
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
