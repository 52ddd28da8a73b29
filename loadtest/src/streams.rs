//! Reads confirmations from the operator's listener and text messages from an outbox directory.
//!
//! Both are written after the decision, so they are awaited, within bounds.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use hyper::Method;
use serde::Deserialize;

use crate::answer::number_or_text;
use crate::audit::{Confirmation, ConfirmationKind, TextMessage};
use crate::calls::{CallError, Caller};
use crate::campaign::escaped;

/// Confirmations asked for at once.
const PAGE_LINES: usize = 10_000;
/// Pause between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Deserialize)]
struct ConfirmationLine {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    period: u16,
    #[serde(deserialize_with = "number_or_text")]
    booking: u64,
    slot: u32,
}

/// The kind of a `type`, which may carry a prefix such as `booking.`.
fn kind(name: &str) -> Option<ConfirmationKind> {
    let last = name.rsplit(['.', '_', '-']).next().unwrap_or(name);
    match last {
        "confirmed" | "confirmation" | "booked" => Some(ConfirmationKind::Confirmed),
        "changed" | "change" | "moved" => Some(ConfirmationKind::Changed),
        "cancelled" | "cancellation" => Some(ConfirmationKind::Cancelled),
        _ => None,
    }
}

/// Reads the confirmations of a period until at least `wanted` of them satisfy `ours`, or the time is
/// over; those that satisfy it are returned in order.
pub(crate) fn confirmations(
    operator: &Caller,
    period: u16,
    wanted: usize,
    time_max: Duration,
    ours: impl Fn(&Confirmation) -> bool,
) -> Result<Vec<Confirmation>, CallError> {
    let deadline = Instant::now() + time_max;
    let mut found = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let cursor =
            after.as_deref().map(|id| format!("after={}&", escaped(id))).unwrap_or_default();
        let path = format!("/v1/confirmations?{cursor}limit={PAGE_LINES}");
        let reply = operator.expect_success(&Method::GET, &path, "", b"")?;
        let mut lines = 0;
        for line in reply.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            lines += 1;
            let unreadable = |reason: String| CallError::Unreadable {
                path: "/v1/confirmations".to_owned(),
                reason,
            };
            let line: ConfirmationLine =
                serde_json::from_slice(line).map_err(|error| unreadable(error.to_string()))?;
            after = Some(line.id.clone());
            let kind = kind(&line.kind)
                .ok_or_else(|| unreadable(format!("the type \"{}\" is not known", line.kind)))?;
            let confirmation =
                Confirmation { id: line.id, kind, booking: line.booking, slot: line.slot };
            if line.period == period && ours(&confirmation) {
                found.push(confirmation);
            }
        }
        if lines == 0 && (found.len() >= wanted || Instant::now() >= deadline) {
            return Ok(found);
        }
        if lines == 0 {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
}

#[derive(Deserialize)]
struct OutboxLine {
    reference: String,
}

/// Reads the text messages in the files of `outbox` until each of `wanted` was sent, or the time is over.
pub(crate) fn messages(
    outbox: &Path,
    wanted: &HashSet<&str>,
    time_max: Duration,
) -> Result<Vec<TextMessage>, String> {
    let deadline = Instant::now() + time_max;
    loop {
        let found = read_outbox(outbox)?;
        let sent: HashSet<&str> = found.iter().map(|message| message.reference.as_str()).collect();
        if wanted.is_subset(&sent) || Instant::now() >= deadline {
            return Ok(found);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn read_outbox(outbox: &Path) -> Result<Vec<TextMessage>, String> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        format!("the outbox {}: {error}", path.display())
    };
    let entries = std::fs::read_dir(outbox).map_err(|error| failed(outbox, &error))?;
    let mut messages = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(outbox, &error))?.path();
        let is_lines = path.extension().is_some_and(|name| name == "jsonl" || name == "ndjson");
        if !is_lines || !path.is_file() {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        // A last line without its end is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines().filter(|line| !line.trim().is_empty()) {
            let line: OutboxLine =
                serde_json::from_str(line).map_err(|error| failed(&path, &error))?;
            messages.push(TextMessage { reference: line.reference });
        }
    }
    Ok(messages)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_with_and_without_a_prefix() {
        assert_eq!(kind("confirmed"), Some(ConfirmationKind::Confirmed));
        assert_eq!(kind("booking.changed"), Some(ConfirmationKind::Changed));
        assert_eq!(kind("booking_cancelled"), Some(ConfirmationKind::Cancelled));
        assert_eq!(kind("reminder"), None);
    }

    #[test]
    fn an_outbox_is_read_without_the_line_being_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sms.ndjson");
        std::fs::write(
            &path,
            "{\"reference\":\"0-1-0\",\"text\":\"a\"}\n{\"reference\":\"0-2-0\"}\n{\"refer",
        )
        .unwrap();
        let wanted = HashSet::from(["0-1-0", "0-2-0"]);
        let found = messages(directory.path(), &wanted, Duration::ZERO).unwrap();
        assert_eq!(found.len(), 2);
        std::fs::write(&path, "not json\n").unwrap();
        assert!(messages(directory.path(), &wanted, Duration::ZERO).is_err());
    }
}
