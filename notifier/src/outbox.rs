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
//! One process alone may have an outbox open, or several share it ([`FileOutbox::open_shared`]): then the
//! notifier of the highest epoch writes, and looks up what any of them has written.
//!
//! The texts stand here in plain: outside the data directory, readable by the owner alone, and only
//! where `sms.plaintext_outbox = true`. What this file deliberately does not do: delete anything.

mod tenure;

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use domain::Millis;
use parking_lot::Mutex;
use serde::Serialize;

use crate::calendar::Calendar;
use crate::provider::{Accepted, LookUp, SendError, Sms, SmsProvider};
use tenure::Held;

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
    /// The folder, whose lock is held as long as the outbox is open, or for each write of a shared one.
    lock: File,
    /// Other processes may have it open too.
    is_shared: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    /// The epoch for which a shared outbox was taken over; 0 before.
    epoch: u64,
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
        let folder = folder.as_ref();
        create_private_folder(folder)?;
        let lock = File::open(folder).map_err(|cause| failure("open", folder, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(OutboxError::Locked(folder.display().to_string()));
            }
            Err(std::fs::TryLockError::Error(cause)) => {
                return Err(failure("lock", folder, cause));
            }
        }
        let outbox = FileOutbox::begin(folder, options, lock, false)?;
        outbox.catch_up(&mut outbox.state.lock())?;
        Ok(outbox)
    }

    /// Opens an outbox that the notifiers of one installation share, or begins one. Nothing can be sent
    /// or looked up before [`SmsProvider::take_over`].
    ///
    /// # Errors
    /// When a file call fails.
    pub fn open_shared(folder: impl AsRef<Path>) -> Result<FileOutbox, OutboxError> {
        let folder = folder.as_ref();
        create_private_folder(folder)?;
        let lock = File::open(folder).map_err(|cause| failure("open", folder, cause))?;
        FileOutbox::begin(folder, OutboxOptions::default(), lock, true)
    }

    fn begin(
        folder: &Path,
        options: OutboxOptions,
        lock: File,
        is_shared: bool,
    ) -> Result<FileOutbox, OutboxError> {
        let start = starts(folder)?.last().copied().unwrap_or(0);
        let state = State {
            file: open_file(&file_path(folder, start))?,
            epoch: 0,
            start,
            length: 0,
            buffer: Vec::new(),
            calendar: Calendar::new(),
            at: (Millis(i64::MIN), String::new()),
            failed: None,
            index: None,
        };
        let folder = folder.to_path_buf();
        Ok(FileOutbox { folder, options, lock, is_shared, state: Mutex::new(state) })
    }

    /// Stands at the end of what was written by anyone. To be called under the lock.
    fn catch_up(&self, state: &mut State) -> Result<(), OutboxError> {
        let start = starts(&self.folder)?.last().copied().unwrap_or(0);
        let path = file_path(&self.folder, start);
        let mut file = open_file(&path)?;
        let length = cut_torn_line(&mut file, &path)?;
        if self.options.sync {
            file.sync_all().map_err(|cause| failure("sync", &path, cause))?;
            self.lock.sync_all().map_err(|cause| failure("sync", &self.folder, cause))?;
        }
        (state.file, state.start, state.length) = (file, start, length);
        state.index = None;
        Ok(())
    }

    /// The right to write for one batch: nothing where this process has the outbox alone.
    fn hold(&self, state: &State) -> Result<Option<Held<'_>>, SendError> {
        if !self.is_shared {
            return Ok(None);
        }
        let held = tenure::hold(&self.lock)?;
        let found = tenure::epoch(&self.folder, &held)?;
        if state.epoch == 0 || found != state.epoch {
            return Err(tenure::unavailable(format!("epoch {found} writes here now")));
        }
        Ok(Some(held))
    }

    /// Writes the buffered lines as one piece.
    fn write(&self, state: &mut State) -> Result<(), SendError> {
        if let Some(why) = &state.failed {
            return Err(SendError::Unavailable(why.clone()));
        }
        let _held = self.hold(state)?;
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

    fn take_over(&self, epoch: u64) -> Result<(), SendError> {
        let mut state = self.state.lock();
        if !self.is_shared || state.epoch == epoch {
            return Ok(());
        }
        let held = tenure::hold(&self.lock)?;
        tenure::begin(&self.folder, &self.lock, &held, epoch)?;
        self.catch_up(&mut state).map_err(|error| tenure::unavailable(error.to_string()))?;
        state.epoch = epoch;
        Ok(())
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
mod tests;
