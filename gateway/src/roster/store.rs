//! The disk under the roster view: people, the ID numbers that lead to them, and rows of an import
//! under way, all as keyed hashes and sealed dates.
//!
//! RocksDB without a write-ahead log: everything here can be read again from the stream. All keys live
//! in one column family, so a crash leaves a prefix of the writes; the place reached in the stream is
//! written in the same batch as what it stands for.
//!
//! Filters make a look-up cheap where nothing is found, which an import needs and a stranger at the door
//! must not see: [`Store::nearest`] does the same work for a number that is there and one that is not.
//!
//! What this module deliberately does not do: read the stream (`view`), know what a row means (`fold`).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use domain::PersonKey;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Direction, ErrorKind, IteratorMode, Options,
    WriteBatch, WriteOptions,
};
use vault::SEALED_BIRTH_BYTES;

use super::record::{BadRecord, Rest};
use super::{LookupHash, RosterError};

/// Blocks kept in memory.
const CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rows gathered in memory before they go to a file.
const WRITE_BUFFER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bits a row in the filters of the files.
const FILTER_BITS: f64 = 10.0;
/// Part of the write buffer that goes to its own filter.
const MEMORY_FILTER_RATIO: f64 = 0.1;
/// Files that may be open at a time.
const OPEN_FILES_MAX: i32 = 256;

/// The only layout known to this build.
const FORMAT: u8 = 1;
const FORMAT_KEY: &[u8] = b"mformat";
const STATE_KEY: &[u8] = b"mstate";
const ID_PREFIX: u8 = b'i';
const PERSON_PREFIX: u8 = b'p';
const STAGED_PREFIX: u8 = b's';
const CORRECTION_PREFIX: u8 = b'c';

/// What is kept of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) card: Option<LookupHash>,
    pub(super) entry_permit: Option<LookupHash>,
    pub(super) passport: Option<LookupHash>,
    pub(super) born_on: [u8; SEALED_BIRTH_BYTES],
    /// Every ID number that leads here.
    pub(super) ids: Vec<LookupHash>,
}

/// How far the stream was read, and what was under way there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Whose stream.
    pub(super) journal: [u8; 16],
    /// Where the next group will be read.
    pub(super) position: u64,
    /// Committed imports.
    pub(super) version: u32,
    /// Up to which version the engine was told of changed birth dates.
    pub(super) corrected: u32,
    /// The import under way.
    pub(super) staged: Option<Staged>,
}

/// An import that has begun and is not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Staged {
    pub(super) import: u64,
    pub(super) base_version: u32,
    pub(super) chunks: u32,
}

/// How a disk has failed since that was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Not at all.
    None,
    /// A call failed: another may not.
    Failing,
    /// What was read is not what was written.
    Damaged,
}

/// The disk.
pub(super) struct Store {
    db: DB,
    path: PathBuf,
    /// A call failed.
    is_failing: AtomicBool,
    /// Something unreadable was met.
    is_damaged: AtomicBool,
    /// Writes fail as on a full disk.
    #[cfg(test)]
    pub(super) is_full: AtomicBool,
    /// Writes until the process is taken to have died; none after that are made.
    #[cfg(test)]
    pub(super) writes_left: std::sync::atomic::AtomicU32,
}

/// Writes that take effect together.
#[derive(Default)]
pub(super) struct Batch(WriteBatch);

impl Store {
    /// Opens the store in this directory, or begins one. A damaged one is moved aside and begun anew.
    pub(super) fn open(directory: &Path) -> Result<Store, RosterError> {
        let db = rocks::open_or_begin_anew(directory, |path| DB::open(&options(), path))
            .map_err(|error| RosterError(format!("{}: {error}", directory.display())))?;
        let store = Store {
            db,
            path: directory.to_path_buf(),
            is_failing: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            #[cfg(test)]
            is_full: AtomicBool::new(false),
            #[cfg(test)]
            writes_left: std::sync::atomic::AtomicU32::new(u32::MAX),
        };
        match store.get(FORMAT_KEY)?.as_deref() {
            Some([FORMAT]) => {}
            Some(_) => return Err(store.error("written by another version; delete this directory, it is read again from the journal")),
            None => {
                let mut batch = Batch::default();
                batch.0.put(FORMAT_KEY, [FORMAT]);
                store.write(batch)?;
            }
        }
        Ok(store)
    }

    /// Forgets everything in this directory.
    pub(super) fn destroy(directory: &Path) -> Result<(), RosterError> {
        DB::destroy(&Options::default(), directory)
            .map_err(|error| RosterError(format!("{}: {error}", directory.display())))
    }

    pub(super) fn state(&self) -> Result<State, RosterError> {
        match self.get(STATE_KEY)? {
            None => Ok(State::default()),
            Some(bytes) => State::unpack(&bytes).map_err(|_| self.error("its state is unreadable")),
        }
    }

    /// The person to whom an ID number leads.
    pub(super) fn person_of(&self, id: &LookupHash) -> Result<Option<PersonKey>, RosterError> {
        let Some(bytes) = self.get(&key(ID_PREFIX, id))? else { return Ok(None) };
        let bytes = bytes.try_into().map_err(|_| self.damaged("an ID row is unreadable"))?;
        Ok(Some(PersonKey(bytes)))
    }

    /// The ID number at or behind this one, around the end, and the person to whom it leads: the same
    /// search whether or not the number is there. `None` while nobody is.
    pub(super) fn nearest(
        &self,
        id: &LookupHash,
    ) -> Result<Option<(LookupHash, PersonKey)>, RosterError> {
        let mut entries = self.db.raw_iterator();
        entries.seek(key(ID_PREFIX, id));
        if entries.key().is_none_or(|found| found.first() != Some(&ID_PREFIX)) {
            entries.status().map_err(|error| self.failed(&error))?;
            entries.seek([ID_PREFIX]);
        }
        entries.status().map_err(|error| self.failed(&error))?;
        let Some((found, person)) = entries.item() else { return Ok(None) };
        match (found.strip_prefix(&[ID_PREFIX]).map(<LookupHash>::try_from), person.try_into()) {
            (None, _) => Ok(None),
            (Some(Ok(found)), Ok(person)) => Ok(Some((found, PersonKey(person)))),
            _ => Err(self.damaged("an ID row is unreadable")),
        }
    }

    pub(super) fn person(&self, key_of: &PersonKey) -> Result<Option<Person>, RosterError> {
        match self.get(&key(PERSON_PREFIX, &key_of.0))? {
            None => Ok(None),
            Some(bytes) => {
                let person = Person::unpack(&bytes);
                person.map(Some).map_err(|_| self.damaged("a person's row is unreadable"))
            }
        }
    }

    /// The packed rows of each staged chunk, in order.
    pub(super) fn staged(&self) -> impl Iterator<Item = Result<Box<[u8]>, RosterError>> + '_ {
        self.with_prefix(STAGED_PREFIX).map(|entry| entry.map(|(_, rows)| rows))
    }

    /// People whose birth date changed and of whom the engine was not told.
    pub(super) fn corrections(&self) -> impl Iterator<Item = Result<PersonKey, RosterError>> + '_ {
        self.with_prefix(CORRECTION_PREFIX).map(|entry| {
            let (key, _) = entry?;
            let person =
                key[1..].try_into().map_err(|_| self.damaged("a correction is unreadable"))?;
            Ok(PersonKey(person))
        })
    }

    fn with_prefix(
        &self,
        prefix: u8,
    ) -> impl Iterator<Item = Result<(Box<[u8]>, Box<[u8]>), RosterError>> + '_ {
        let from = [prefix];
        let entries = self.db.iterator(IteratorMode::From(&from, Direction::Forward));
        entries.map(|entry| entry.map_err(|error| self.failed(&error))).take_while(move |entry| {
            entry.as_ref().map_or(true, |(key, _)| key.first() == Some(&prefix))
        })
    }

    /// Takes a batch: all of it, or after a crash none.
    pub(super) fn write(&self, batch: Batch) -> Result<(), RosterError> {
        #[cfg(test)]
        {
            if self.is_full.load(Ordering::Relaxed) {
                self.is_failing.store(true, Ordering::Release);
                return Err(self.error("no space left"));
            }
            let left = self.writes_left.load(Ordering::Relaxed);
            if left == 0 {
                return Err(self.error("died"));
            }
            self.writes_left.store(left - 1, Ordering::Relaxed);
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch.0, &options).map_err(|error| self.failed(&error))
    }

    /// Brings everything to disk, so that the next start has little to read again.
    pub(super) fn flush(&self) -> Result<(), RosterError> {
        self.db.flush().map_err(|error| self.failed(&error))
    }

    /// Everything that stands here.
    #[cfg(test)]
    pub(super) fn dump(&self) -> Vec<(Box<[u8]>, Box<[u8]>)> {
        self.db.iterator(IteratorMode::Start).filter_map(Result::ok).collect()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RosterError> {
        self.db.get(key).map_err(|error| self.failed(&error))
    }

    /// How it has failed since this was last asked; damage stays.
    pub(super) fn failure(&self) -> Failure {
        let is_failing = self.is_failing.swap(false, Ordering::AcqRel);
        match (self.is_damaged(), is_failing) {
            (true, _) => Failure::Damaged,
            (false, true) => Failure::Failing,
            (false, false) => Failure::None,
        }
    }

    /// Whether something unreadable was met.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Acquire)
    }

    fn failed(&self, error: &rocksdb::Error) -> RosterError {
        if error.kind() == ErrorKind::Corruption {
            // For a process that ends before another store is filled.
            rocks::mark(&self.path, error);
            return self.damaged(error.as_ref());
        }
        self.is_failing.store(true, Ordering::Release);
        self.error(error.as_ref())
    }

    fn damaged(&self, what: &str) -> RosterError {
        self.is_damaged.store(true, Ordering::Release);
        self.error(what)
    }

    fn error(&self, what: &str) -> RosterError {
        RosterError(format!("{}: {what}", self.path.display()))
    }
}

impl Batch {
    pub(super) fn put_state(&mut self, state: &State) {
        self.0.put(STATE_KEY, state.pack());
    }

    pub(super) fn put_person(&mut self, key_of: &PersonKey, person: &Person) {
        self.0.put(key(PERSON_PREFIX, &key_of.0), person.pack());
        for id in &person.ids {
            self.0.put(key(ID_PREFIX, id), key_of.0);
        }
    }

    pub(super) fn remove_person(&mut self, key_of: &PersonKey) {
        self.0.delete(key(PERSON_PREFIX, &key_of.0));
    }

    pub(super) fn put_correction(&mut self, key_of: &PersonKey) {
        self.0.put(key(CORRECTION_PREFIX, &key_of.0), []);
    }

    pub(super) fn put_staged(&mut self, chunk: u32, rows: &[u8]) {
        self.0.put(staged_key(chunk), rows);
    }

    pub(super) fn clear_staged(&mut self, chunks: u32) {
        for chunk in 0..chunks {
            self.0.delete(staged_key(chunk));
        }
    }

    pub(super) fn clear_corrections(&mut self) {
        self.0.delete_range([CORRECTION_PREFIX], [CORRECTION_PREFIX + 1]);
    }

    /// Bytes gathered.
    pub(super) fn bytes(&self) -> usize {
        self.0.size_in_bytes()
    }
}

fn key(prefix: u8, hash: &[u8; 16]) -> [u8; 17] {
    let mut key = [prefix; 17];
    key[1..].copy_from_slice(hash);
    key
}

fn staged_key(chunk: u32) -> [u8; 5] {
    let [a, b, c, d] = chunk.to_be_bytes();
    [STAGED_PREFIX, a, b, c, d]
}

impl State {
    fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(49);
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.corrected.to_le_bytes());
        if let Some(staged) = &self.staged {
            out.extend_from_slice(&staged.import.to_le_bytes());
            out.extend_from_slice(&staged.base_version.to_le_bytes());
            out.extend_from_slice(&staged.chunks.to_le_bytes());
        }
        out
    }

    fn unpack(bytes: &[u8]) -> Result<State, BadRecord> {
        let mut rest = Rest(bytes);
        let mut state = State {
            journal: rest.take()?,
            position: u64::from_le_bytes(rest.take()?),
            version: u32::from_le_bytes(rest.take()?),
            corrected: u32::from_le_bytes(rest.take()?),
            staged: None,
        };
        if !rest.0.is_empty() {
            state.staged = Some(Staged {
                import: u64::from_le_bytes(rest.take()?),
                base_version: u32::from_le_bytes(rest.take()?),
                chunks: u32::from_le_bytes(rest.take()?),
            });
        }
        if rest.0.is_empty() { Ok(state) } else { Err(BadRecord::Malformed) }
    }
}

impl Person {
    fn pack(&self) -> Vec<u8> {
        let documents = [&self.card, &self.entry_permit, &self.passport];
        let mut out = Vec::with_capacity(2 + 16 * (3 + self.ids.len()) + SEALED_BIRTH_BYTES);
        let flag = |(bit, hash): (usize, &&Option<LookupHash>)| u8::from(hash.is_some()) << bit;
        out.push(documents.iter().enumerate().map(flag).fold(0, |flags, bit| flags | bit));
        documents.into_iter().flatten().for_each(|hash| out.extend_from_slice(hash));
        out.extend_from_slice(&self.born_on);
        self.ids.iter().for_each(|id| out.extend_from_slice(id));
        out
    }

    fn unpack(bytes: &[u8]) -> Result<Person, BadRecord> {
        let mut rest = Rest(bytes);
        let flags = rest.byte()?;
        let mut optional = |bit: u8| match flags >> bit & 1 {
            0 => Ok(None),
            _ => rest.take().map(Some),
        };
        let (card, entry_permit, passport) = (optional(0)?, optional(1)?, optional(2)?);
        let born_on = rest.take()?;
        let mut ids = Vec::with_capacity(rest.0.len() / 16);
        while !rest.0.is_empty() {
            ids.push(rest.take()?);
        }
        Ok(Person { card, entry_permit, passport, born_on, ids })
    }
}

fn options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES_MAX));
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    table.set_bloom_filter(FILTER_BITS, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(MEMORY_FILTER_RATIO);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_keep_log_file_num(2);
    options.set_max_background_jobs(2);
    options
}
