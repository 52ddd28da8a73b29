//! The record file: every acknowledgement this client got, for an audit after the server was killed.
//!
//! One JSON object a line. The first line says what is needed to find the people again; each further
//! line is one request made or one answer got. Lines are written once per turn of the generator, so
//! an answer counts only after it stands in the file; the file survives the server, not a power cut
//! of the machine. ID numbers and names never stand in it: people are indexes into the population.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::answer::Outcome;
use crate::campaign::SlotOffer;
use crate::history::{Action, Asked, History, Source, Told};
use crate::people::PopulationOptions;

/// Version of the format.
const RECORD_VERSION: u32 = 1;
/// A longer line is damage.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Why a record cannot be used.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error("the record {path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// A line is not what it should be.
    #[error("the record {path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// What an audit needs besides the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordHeader {
    /// Version of the format.
    pub version: u32,
    /// Part of every retry key.
    pub run: u64,
    /// Who takes part.
    pub population: PopulationOptions,
    /// The period booked.
    pub period: u16,
    /// Its slots before the run.
    pub slots: Vec<SlotOffer>,
    /// Nobody else books these slots.
    pub alone: bool,
}

impl RecordHeader {
    /// A header of the current version.
    pub fn new(
        run: u64,
        population: PopulationOptions,
        period: u16,
        slots: Vec<SlotOffer>,
        alone: bool,
    ) -> RecordHeader {
        RecordHeader { version: RECORD_VERSION, run, population, period, slots, alone }
    }
}

/// One line after the first.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    person: u64,
    ordinal: u16,
    action: Action,
    /// Absent in the line that only says that the request was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<LineAnswer>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineAnswer {
    source: Source,
    status: u16,
    outcome: Outcome,
    receipt: Option<Box<str>>,
    booking: Option<u64>,
    slot: Option<u32>,
    digest: u64,
}

/// The file, shared by the threads of the generator.
#[derive(Clone, Debug)]
pub struct RecordFile {
    file: Arc<Mutex<File>>,
}

impl RecordFile {
    /// Makes the file and writes its header; an existing file is not overwritten.
    pub fn create(path: &Path, header: &RecordHeader) -> Result<RecordFile, RecordError> {
        let failed = |reason| RecordError::File { path: path.display().to_string(), reason };
        let mut file = File::create_new(path).map_err(failed)?;
        let mut line = serde_json::to_vec(header).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        file.write_all(&line).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(RecordFile { file: Arc::new(Mutex::new(file)) })
    }

    /// A writer for one thread.
    pub(crate) fn writer(&self) -> RecordWriter {
        RecordWriter { record: self.clone(), lines: Vec::with_capacity(64 * 1024), failure: None }
    }
}

/// Collects the lines of one turn of one thread.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    record: RecordFile,
    lines: Vec<u8>,
    /// The first failure; nothing is written after it, and the run fails.
    pub(crate) failure: Option<String>,
}

impl RecordWriter {
    /// Notes that a request was made.
    pub(crate) fn asked(&mut self, asked: &Asked) {
        self.line(&Line {
            person: asked.person,
            ordinal: asked.ordinal,
            action: asked.action,
            answer: None,
        });
    }

    /// Notes an answer.
    pub(crate) fn told(&mut self, asked: &Asked, told: &Told) {
        let answer = LineAnswer {
            source: told.source,
            status: told.status,
            outcome: told.outcome,
            receipt: told.receipt.clone(),
            booking: told.booking,
            slot: told.slot,
            digest: told.digest,
        };
        self.line(&Line {
            person: asked.person,
            ordinal: asked.ordinal,
            action: asked.action,
            answer: Some(answer),
        });
    }

    fn line(&mut self, line: &Line) {
        match serde_json::to_writer(&mut self.lines, line) {
            Ok(()) => self.lines.push(b'\n'),
            Err(error) => self.failure = Some(error.to_string()),
        }
    }

    /// Writes what was collected.
    pub(crate) fn flush(&mut self) {
        if self.lines.is_empty() || self.failure.is_some() {
            return;
        }
        let written = match self.record.file.lock() {
            Ok(mut file) => file.write_all(&self.lines).map_err(|error| error.to_string()),
            Err(_) => Err("another thread failed while writing it".to_owned()),
        };
        self.failure = written.err();
        self.lines.clear();
    }
}

/// Reads a record. A last line that was cut off is left out: its answer did not count yet.
pub fn read_record(path: &Path) -> Result<(RecordHeader, History), RecordError> {
    let shown = path.display().to_string();
    let failed = |reason| RecordError::File { path: shown.clone(), reason };
    let damaged =
        |line: usize, reason: String| RecordError::Line { path: shown.clone(), line, reason };
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let mut bytes = Vec::new();
    let mut header: Option<RecordHeader> = None;
    let mut history = History::default();
    let mut places = std::collections::HashMap::new();
    for number in 1.. {
        bytes.clear();
        reader.read_until(b'\n', &mut bytes).map_err(failed)?;
        if bytes.is_empty() || bytes.last() != Some(&b'\n') {
            break;
        }
        if bytes.len() > LINE_BYTES_MAX {
            return Err(damaged(number, "the line is too long".to_owned()));
        }
        let unreadable = |error: serde_json::Error| damaged(number, error.to_string());
        if header.is_none() {
            let found: RecordHeader = serde_json::from_slice(&bytes).map_err(unreadable)?;
            if found.version != RECORD_VERSION {
                return Err(damaged(
                    number,
                    format!("format {}; this program reads format {RECORD_VERSION}", found.version),
                ));
            }
            header = Some(found);
            continue;
        }
        let line: Line = serde_json::from_slice(&bytes).map_err(unreadable)?;
        let asked = Asked { person: line.person, ordinal: line.ordinal, action: line.action };
        let place = *places.entry((asked.person, asked.ordinal)).or_insert_with(|| {
            history.asked.push(asked);
            history.asked.len() as u32 - 1
        });
        if history.asked[place as usize] != asked {
            return Err(damaged(number, "one request with two contents".to_owned()));
        }
        if let Some(answer) = line.answer {
            history.told.push(Told {
                request: place,
                source: answer.source,
                status: answer.status,
                outcome: answer.outcome,
                receipt: answer.receipt,
                booking: answer.booking,
                slot: answer.slot,
                digest: answer.digest,
            });
        }
    }
    let header = header.ok_or_else(|| damaged(1, "the file has no header".to_owned()))?;
    Ok((header, history))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::answer::Reason;
    use crate::audit::SlotFacts;

    fn header() -> RecordHeader {
        let facts = SlotFacts { number: 3, capacity: 5, left_before: 4, left_after: None };
        let slots = vec![SlotOffer { facts, site: "S".to_owned(), date: "2030-01-01".to_owned() }];
        RecordHeader::new(9, PopulationOptions { seed: 1, born_on_or_before: None }, 2, slots, true)
    }

    fn told(request: u32, outcome: Outcome) -> Told {
        Told {
            request,
            source: Source::Send,
            status: 201,
            outcome,
            receipt: Some("r".into()),
            booking: Some(4),
            slot: Some(3),
            digest: u64::MAX,
        }
    }

    fn written(path: &Path) -> History {
        let record = RecordFile::create(path, &header()).unwrap();
        let mut writer = record.writer();
        let asked = [
            Asked { person: 8, ordinal: 0, action: Action::Book(3) },
            Asked { person: 8, ordinal: 1, action: Action::Cancel },
        ];
        let told = vec![
            told(0, Outcome::Confirmed),
            told(1, Outcome::Rejected(Reason::named("no_booking"))),
        ];
        writer.asked(&asked[0]);
        writer.told(&asked[0], &told[0]);
        writer.asked(&asked[1]);
        writer.told(&asked[1], &told[1]);
        writer.flush();
        assert_eq!(writer.failure, None);
        History { asked: asked.to_vec(), told }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.ndjson");
        let history = written(&path);
        assert_eq!(read_record(&path).unwrap(), (header(), history));
    }

    #[test]
    fn a_cut_last_line_is_left_out_and_a_damaged_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.ndjson");
        written(&path);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        assert_eq!(read_record(&path).unwrap().1.told.len(), 1);
        let damaged = String::from_utf8(bytes).unwrap().replace("\"ordinal\":1", "\"ordinal\":x");
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(read_record(&path), Err(RecordError::Line { line: 4, .. })));
    }

    #[test]
    fn an_existing_record_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.ndjson");
        written(&path);
        assert!(RecordFile::create(&path, &header()).is_err());
    }
}
