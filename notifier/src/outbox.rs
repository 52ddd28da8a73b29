//! The first provider: texts appended to files in a folder, one line of JSON each.
//!
//! ```text
//! outbox/sms-000000000000.jsonl   {"reference":"0-123-0","at":"…+08:00","to":"09…","text":"…"}
//! ```
//!
//! The number in a file's name is the count of bytes in all files before it. A batch is one write and
//! one sync; it was taken when both succeeded. A crash can leave whole lines that nobody was told of,
//! which a look-up finds, and at most one torn line at the end, which is cut at the next opening. So a
//! look-up answers exactly, also after a crash.
//!
//! The texts stand here in plain: outside the data directory, readable by the owner alone, and only
//! where `sms.plaintext_outbox = true`. What this file deliberately does not do: delete anything.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use domain::Millis;
use parking_lot::Mutex;
use serde::Serialize;

use crate::calendar::Calendar;
use crate::provider::{Accepted, LookUp, SendError, Sms, SmsProvider};

/// How the outbox is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxOptions {
    /// Sync each batch, so that a text taken survives a power cut.
    pub sync: bool,
    /// A file that has reached this size is followed by another.
    pub file_bytes_max: u64,
}

/// Why the outbox cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// A file call failed.
    #[error("outbox: {call} on {place} failed: {cause}")]
    Io {
        /// Which call.
        call: &'static str,
        /// On what.
        place: String,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Another process writes here.
    #[error("the outbox {0} is in use by another process")]
    Locked(String),
}

/// A folder of texts.
#[derive(Debug)]
pub struct FileOutbox {
    folder: PathBuf,
    options: OutboxOptions,
    /// The lock on the folder, held as long as the outbox is open.
    lock: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// Bytes in all files before this one.
    start: u64,
    /// Bytes in this file.
    length: u64,
    /// Lines of the batch under way.
    buffer: Vec<u8>,
    calendar: Calendar,
    /// The last instant written, and its text: texts of one group share it.
    at: (Millis, String),
    /// Why nothing more is taken until the outbox is opened anew: after a failed sync nobody knows what
    /// is on the disk, and trying again would hide it.
    failed: Option<String>,
    /// References from the mark of the last look-up to an end; look-ups after a crash come in runs.
    index: Option<Index>,
}

#[derive(Debug)]
struct Index {
    since: u64,
    end: u64,
    references: HashSet<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    reference: &'a str,
    at: &'a str,
    to: &'a str,
    text: &'a str,
}

impl Default for OutboxOptions {
    fn default() -> OutboxOptions {
        OutboxOptions { sync: true, file_bytes_max: 256 * 1024 * 1024 }
    }
}

impl FileOutbox {
    /// Opens the outbox in this folder with the usual options, or begins one.
    ///
    /// # Errors
    /// When a file call fails, or another process has it open.
    pub fn open(folder: impl AsRef<Path>) -> Result<FileOutbox, OutboxError> {
        FileOutbox::open_with(folder, OutboxOptions::default())
    }

    /// Opens the outbox in this folder, or begins one. A torn last line is cut.
    ///
    /// # Errors
    /// When a file call fails, or another process has it open.
    pub fn open_with(
        folder: impl AsRef<Path>,
        options: OutboxOptions,
    ) -> Result<FileOutbox, OutboxError> {
        let folder = folder.as_ref().to_path_buf();
        create_private_folder(&folder)?;
        let lock = File::open(&folder).map_err(|cause| failure("open", &folder, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(OutboxError::Locked(folder.display().to_string()));
            }
            Err(std::fs::TryLockError::Error(cause)) => {
                return Err(failure("lock", &folder, cause));
            }
        }
        let start = starts(&folder)?.last().copied().unwrap_or(0);
        let path = file_path(&folder, start);
        let mut file = open_file(&path)?;
        let length = cut_torn_line(&mut file, &path)?;
        if options.sync {
            file.sync_all().map_err(|cause| failure("sync", &path, cause))?;
            lock.sync_all().map_err(|cause| failure("sync", &folder, cause))?;
        }
        let state = State {
            file,
            start,
            length,
            buffer: Vec::new(),
            calendar: Calendar::new(),
            at: (Millis(i64::MIN), String::new()),
            failed: None,
            index: None,
        };
        Ok(FileOutbox { folder, options, lock, state: Mutex::new(state) })
    }

    /// Writes the buffered lines as one piece.
    fn write(&self, state: &mut State) -> Result<(), SendError> {
        if let Some(why) = &state.failed {
            return Err(SendError::Unavailable(why.clone()));
        }
        if state.length >= self.options.file_bytes_max
            && let Err(error) = self.begin_next_file(state)
        {
            return Err(SendError::Unavailable(error.to_string()));
        }
        let State { file, buffer, .. } = state;
        if let Err(cause) = file.write_all(buffer) {
            // A full disk, most likely. Whatever part was written is taken back.
            let taken_back = file
                .set_len(state.length)
                .and_then(|()| file.seek(SeekFrom::Start(state.length)).map(|_| ()));
            return match taken_back {
                Ok(()) => Err(SendError::Unavailable(format!("write: {cause}"))),
                Err(_) => Err(state.fail(format!("write: {cause}, and could not be undone"))),
            };
        }
        if self.options.sync
            && let Err(cause) = state.file.sync_data()
        {
            return Err(state.fail(format!("sync: {cause}")));
        }
        state.length += state.buffer.len() as u64;
        Ok(())
    }

    fn begin_next_file(&self, state: &mut State) -> Result<(), OutboxError> {
        let start = state.start + state.length;
        let path = file_path(&self.folder, start);
        let file = open_file(&path)?;
        if self.options.sync {
            self.lock.sync_all().map_err(|cause| failure("sync", &self.folder, cause))?;
        }
        (state.file, state.start, state.length) = (file, start, 0);
        Ok(())
    }

    /// All references from a mark on.
    fn read_index(&self, since: u64, end: u64) -> Result<Index, OutboxError> {
        let mut references = HashSet::new();
        let starts = starts(&self.folder)?;
        let first = starts.partition_point(|start| *start <= since).saturating_sub(1);
        for start in &starts[first..] {
            let path = file_path(&self.folder, *start);
            let mut file = File::open(&path).map_err(|cause| failure("open", &path, cause))?;
            file.seek(SeekFrom::Start(since.saturating_sub(*start)))
                .map_err(|cause| failure("seek", &path, cause))?;
            let mut lines = BufReader::with_capacity(256 * 1024, file);
            let mut line = Vec::new();
            loop {
                line.clear();
                let length = lines
                    .read_until(b'\n', &mut line)
                    .map_err(|cause| failure("read", &path, cause))?;
                if length == 0 {
                    break;
                }
                if let Some(reference) = reference_of(&line) {
                    references.insert(reference.to_owned());
                }
            }
        }
        Ok(Index { since, end, references })
    }
}

impl State {
    /// Takes nothing more until opened anew. What was just handed over may or may not be there.
    fn fail(&mut self, why: String) -> SendError {
        self.failed = Some(format!("the outbox must be opened again after a failed {why}"));
        SendError::Unknown(why)
    }

    fn push_line(&mut self, sms: &Sms<'_>) {
        let (known, at) = &mut self.at;
        if *known != sms.at {
            *known = sms.at;
            at.clear();
            self.calendar.push_rfc3339(sms.at, at);
        }
        let line = Line { reference: sms.reference, at, to: sms.to.expose(), text: sms.text };
        if serde_json::to_writer(&mut self.buffer, &line).is_err() {
            unreachable!("four texts always make JSON, and a vector takes every byte");
        }
        self.buffer.push(b'\n');
    }
}

impl SmsProvider for FileOutbox {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        let mut state = self.state.lock();
        state.buffer.clear();
        state.push_line(sms);
        self.write(&mut state).map(|()| Accepted)
    }

    fn send_many(&self, batch: &[Sms<'_>], answers: &mut Vec<Result<Accepted, SendError>>) {
        let mut state = self.state.lock();
        state.buffer.clear();
        for sms in batch {
            state.push_line(sms);
        }
        let answer = self.write(&mut state).map(|()| Accepted);
        answers.extend(batch.iter().map(|_| answer.clone()));
    }

    fn mark(&self) -> u64 {
        let state = self.state.lock();
        state.start + state.length
    }

    fn lookup(&self, reference: &str, since: u64) -> Result<LookUp, SendError> {
        let mut state = self.state.lock();
        if let Some(why) = &state.failed {
            return Err(SendError::Unavailable(why.clone()));
        }
        let end = state.start + state.length;
        let index = match state.index.take() {
            Some(index) if index.since == since && index.end == end => index,
            _ => self
                .read_index(since, end)
                .map_err(|error| SendError::Unavailable(error.to_string()))?,
        };
        let found = index.references.contains(reference);
        state.index = Some(index);
        Ok(if found { LookUp::Accepted } else { LookUp::NeverArrived })
    }
}

fn failure(call: &'static str, place: &Path, cause: std::io::Error) -> OutboxError {
    OutboxError::Io { call, place: place.display().to_string(), cause }
}

fn file_path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("sms-{start:012}.jsonl"))
}

/// The starts of the files, in order.
fn starts(folder: &Path) -> Result<Vec<u64>, OutboxError> {
    let mut starts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|cause| failure("list", folder, cause))? {
        let entry = entry.map_err(|cause| failure("list", folder, cause))?;
        let name = entry.file_name();
        let start = name
            .to_str()
            .and_then(|name| name.strip_prefix("sms-")?.strip_suffix(".jsonl"))
            .and_then(|start| start.parse::<u64>().ok());
        starts.extend(start);
    }
    starts.sort_unstable();
    Ok(starts)
}

/// Only the owner may read.
fn create_private_folder(folder: &Path) -> Result<(), OutboxError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|cause| failure("create", folder, cause))
}

fn open_file(path: &Path) -> Result<File, OutboxError> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|cause| failure("open", path, cause))
}

/// Cuts what follows the last line break, and gives the length that remains.
fn cut_torn_line(file: &mut File, path: &Path) -> Result<u64, OutboxError> {
    let read = |cause| failure("read", path, cause);
    let length = file.metadata().map_err(read)?.len();
    let mut end = length;
    let mut block = vec![0u8; 64 * 1024];
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - from) as usize];
        file.seek(SeekFrom::Start(from)).map_err(read)?;
        file.read_exact(part).map_err(read)?;
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            end = from + place as u64 + 1;
            break;
        }
        end = from;
    }
    if end < length {
        tracing::warn!(bytes = length - end, "outbox: a torn last line was cut");
        file.set_len(end).map_err(|cause| failure("cut", path, cause))?;
    }
    file.seek(SeekFrom::Start(end)).map_err(read)?;
    Ok(end)
}

/// The reference of a whole line; it stands first and needs no escapes.
fn reference_of(line: &[u8]) -> Option<&str> {
    let rest = line.strip_suffix(b"\n")?.strip_prefix(br#"{"reference":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::provider::Phone;

    fn sms<'a>(reference: &'a str, to: &'a Phone) -> Sms<'a> {
        Sms { reference, to, at: Millis(1_795_392_000_000), text: "預約成功 \"9\"\n" }
    }

    fn phone() -> Phone {
        Phone::new("0912345678").unwrap()
    }

    fn lines(folder: &Path) -> Vec<String> {
        let texts = starts(folder)
            .unwrap()
            .into_iter()
            .map(|start| std::fs::read_to_string(file_path(folder, start)).unwrap());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn a_text_stands_in_the_outbox_as_it_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = FileOutbox::open(folder.path().join("outbox")).unwrap();
        outbox.send(&sms("0-1-0", &phone())).unwrap();
        let lines = lines(&folder.path().join("outbox"));
        let read: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        let expected = serde_json::json!({
            "reference": "0-1-0", "at": "2026-11-23T08:00:00+08:00", "to": "0912345678",
            "text": "預約成功 \"9\"\n"
        });
        assert_eq!((lines.len(), read), (1, expected));
    }

    #[test]
    fn lookups_are_exact_from_their_mark_on_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        // Small files, so that the lines lie in several.
        let options = OutboxOptions { sync: false, file_bytes_max: 300 };
        let mut marks = Vec::new();
        for round in 0..5 {
            let outbox = FileOutbox::open_with(folder.path(), options).unwrap();
            marks.push(outbox.mark());
            let references: Vec<String> = (0..4).map(|text| format!("0-{round}-{text}")).collect();
            let to = phone();
            let batch: Vec<Sms<'_>> = references.iter().map(|name| sms(name, &to)).collect();
            let mut answers = Vec::new();
            outbox.send_many(&batch, &mut answers);
            assert_eq!(answers, vec![Ok(Accepted); 4]);
            for (since, mark) in marks.iter().enumerate() {
                for asked in 0..=round {
                    let known = outbox.lookup(&format!("0-{asked}-3"), *mark).unwrap();
                    let expected = asked >= since;
                    assert_eq!(known == LookUp::Accepted, expected, "{asked} since {since}");
                }
            }
            assert_eq!(outbox.lookup("0-9-9", 0), Ok(LookUp::NeverArrived));
        }
        assert!(starts(folder.path()).unwrap().len() > 2);
        assert_eq!(lines(folder.path()).len(), 20);
    }

    #[test]
    fn a_line_torn_at_any_byte_is_cut_and_was_never_sent() {
        let whole = {
            let folder = tempfile::tempdir().unwrap();
            let outbox = FileOutbox::open(folder.path()).unwrap();
            outbox.send(&sms("0-1-0", &phone())).unwrap();
            outbox.send(&sms("0-2-0", &phone())).unwrap();
            std::fs::read(file_path(folder.path(), 0)).unwrap()
        };
        let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let options = OutboxOptions { sync: false, ..OutboxOptions::default() };
        for length in 0..=whole.len() {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(file_path(folder.path(), 0), &whole[..length]).unwrap();
            let outbox = FileOutbox::open_with(folder.path(), options).unwrap();
            let first = outbox.lookup("0-1-0", 0).unwrap() == LookUp::Accepted;
            let second = outbox.lookup("0-2-0", 0).unwrap() == LookUp::Accepted;
            assert_eq!((first, second), (length >= first_line, length == whole.len()), "{length}");
            outbox.send(&sms("0-3-0", &phone())).unwrap();
            let expected = 1 + usize::from(first) + usize::from(second);
            let lines = lines(folder.path());
            assert_eq!(lines.len(), expected, "{length}");
            for line in lines {
                assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn two_processes_cannot_write_one_outbox() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = FileOutbox::open(folder.path()).unwrap();
        assert!(matches!(FileOutbox::open(folder.path()), Err(OutboxError::Locked(_))));
        drop(outbox);
        assert!(FileOutbox::open(folder.path()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_texts() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outbox");
        let outbox = FileOutbox::open(&path).unwrap();
        outbox.send(&sms("0-1-0", &phone())).unwrap();
        for path in [path.clone(), file_path(&path, 0)] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{path:?}");
        }
    }

    #[test]
    fn a_write_that_fails_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = FileOutbox::open(folder.path()).unwrap();
        outbox.send(&sms("0-1-0", &phone())).unwrap();
        // A file opened for reading takes no write, like a full disk.
        let readable = File::open(file_path(folder.path(), 0)).unwrap();
        let writable = std::mem::replace(&mut outbox.state.lock().file, readable);
        let refused = outbox.send(&sms("0-2-0", &phone()));
        // Taking back also fails on that file: then the fate is unknown and nothing more is taken.
        assert!(matches!(refused, Err(SendError::Unknown(_))), "{refused:?}");
        outbox.state.lock().file = writable;
        let refused = outbox.send(&sms("0-3-0", &phone()));
        assert!(matches!(refused, Err(SendError::Unavailable(_))), "{refused:?}");
        assert!(outbox.lookup("0-2-0", 0).is_err());
        drop(outbox);
        let outbox = FileOutbox::open(folder.path()).unwrap();
        assert_eq!(outbox.lookup("0-1-0", 0), Ok(LookUp::Accepted));
        assert_eq!(outbox.lookup("0-2-0", 0), Ok(LookUp::NeverArrived));
    }
}
