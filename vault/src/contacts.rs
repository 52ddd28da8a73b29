//! A disk view of sealed contact data: by person number, with a watermark.
//!
//! The gateway and the notifier each keep one, in a directory of its own, filled from events. Rows and
//! watermark of a batch are written together, without a write-ahead log: after a crash the book stands
//! at some earlier batch as a whole, and its reader continues from that watermark. It is a view: its
//! directory may be deleted at any time and is then filled again from the beginning of the events.
//!
//! What this file deliberately does not do: open what is sealed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DEFAULT_COLUMN_FAMILY_NAME, DataBlockIndexType, Options, ReadOptions, WriteBatch, WriteOptions,
};

/// Blocks kept in memory.
pub const CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Rows gathered in memory before they go to a file.
pub const WRITE_BUFFER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Files that may be open at a time.
pub const OPEN_FILES_MAX: i32 = 256;
/// Bytes read from disk at once by a scan.
pub const SCAN_READ_BYTES: usize = 256 * 1024;
/// Bytes of one row.
pub const ROW_BYTES_MAX: usize = 4_096;

/// The only layout known to this build.
const FORMAT: u8 = 1;
// Keys of rows have four bytes; these have other lengths.
const FORMAT_KEY: &[u8] = b"format";
const WATERMARK_KEY: &[u8] = b"watermark";
const JOURNAL_KEY: &[u8] = b"journal";

/// Sealed contact data by person number.
pub struct ContactBook {
    db: DB,
    path: PathBuf,
    /// Also in the store. One thread writes the book; others may read it meanwhile.
    watermark: AtomicU64,
}

/// What can go wrong with the book. It is a view: deleting its directory loses nothing.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The store failed.
    #[error(
        "contact book {path}: {cause}. It is rebuilt from events when its directory is deleted."
    )]
    Store {
        /// Which book.
        path: String,
        /// The store's words.
        cause: String,
    },
    /// The book was filled from another installation's events.
    #[error(
        "contact book {path} belongs to another journal; delete this directory, it is rebuilt from events"
    )]
    ForeignJournal {
        /// Which book.
        path: String,
    },
    /// The book was written by a newer version.
    #[error(
        "contact book {path} has format {found}, this build reads format {FORMAT}; delete this directory, it is rebuilt from events"
    )]
    UnknownFormat {
        /// Which book.
        path: String,
        /// What stands there.
        found: u8,
    },
    /// The batch lies before what the book holds.
    #[error(
        "contact book: batch up to {given} offered, but the book already stands at {watermark}"
    )]
    Behind {
        /// The batch's watermark.
        given: u64,
        /// The book's.
        watermark: u64,
    },
    /// No row has this size.
    #[error("contact book: a row of {bytes} bytes exceeds the limit of {ROW_BYTES_MAX}")]
    TooLong {
        /// The row's size.
        bytes: usize,
    },
}

impl ContactBook {
    /// Opens the book in this directory, or begins one. A damaged one is moved aside and begun anew.
    ///
    /// # Errors
    /// When another process uses the store, the disk fails, or a newer version wrote it.
    pub fn open(directory: impl AsRef<Path>) -> Result<ContactBook, BookError> {
        let path = directory.as_ref().to_path_buf();
        let options = store_options();
        // Named, so that it has a handle: reading several rows at once asks for one.
        let family = || ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let open = |path: &Path| DB::open_cf_descriptors(&options, path, [family()]);
        let db = rocks::open_or_begin_anew(&path, open).map_err(|error| BookError::Store {
            path: path.display().to_string(),
            cause: error.to_string(),
        })?;
        let book = ContactBook { db, path, watermark: AtomicU64::new(0) };
        match book.read(FORMAT_KEY)? {
            Some(format) if format == [FORMAT] => {}
            Some(format) => {
                let found = format.first().copied().unwrap_or(0);
                return Err(BookError::UnknownFormat { path: book.name(), found });
            }
            None => {
                let mut batch = WriteBatch::default();
                batch.put(FORMAT_KEY, [FORMAT]);
                book.write(batch)?;
            }
        }
        if let Some(bytes) = book.read(WATERMARK_KEY)? {
            let bytes = bytes.try_into().map_err(|_| BookError::Store {
                path: book.name(),
                cause: "the watermark is not eight bytes".into(),
            })?;
            book.watermark.store(u64::from_be_bytes(bytes), Ordering::Release);
        }
        Ok(book)
    }

    /// Ties the book to a journal, the first time, and refuses another journal's book after that.
    ///
    /// # Errors
    /// [`BookError::ForeignJournal`], or the store's.
    pub fn claim(&self, journal: [u8; 16]) -> Result<(), BookError> {
        match self.read(JOURNAL_KEY)? {
            Some(owner) if owner == journal => Ok(()),
            None if self.watermark() == 0 => {
                let mut batch = WriteBatch::default();
                batch.put(JOURNAL_KEY, journal);
                self.write(batch)
            }
            _ => Err(BookError::ForeignJournal { path: self.name() }),
        }
    }

    /// Forgets all rows and begins again at watermark 0, of the same journal: for a reader whose events
    /// turned out to be others than those that filled the book.
    ///
    /// # Errors
    /// When the store fails.
    pub fn begin_anew(&mut self) -> Result<(), BookError> {
        let owner = self.read(JOURNAL_KEY)?;
        let mut batch = WriteBatch::default();
        // Longer than any key, so behind all of them.
        batch.delete_range([].as_slice(), [0xff; 16].as_slice());
        batch.put(FORMAT_KEY, [FORMAT]);
        if let Some(owner) = owner {
            batch.put(JOURNAL_KEY, owner);
        }
        self.write(batch)?;
        self.watermark.store(0, Ordering::Release);
        self.flush()
    }

    /// Whether something unreadable was met: a new start fills another book.
    pub fn is_damaged(&self) -> bool {
        is_damaged(&self.path)
    }

    /// The highest sequence whose rows are in the book; 0 when empty.
    pub fn watermark(&self) -> u64 {
        self.watermark.load(Ordering::Acquire)
    }

    /// Takes a batch of rows that brings the book up to `watermark`: all of it, or after a crash none.
    /// Of several rows with one number the last counts; an empty row forgets the number.
    ///
    /// # Errors
    /// When the batch lies behind the book, a row is too long, or the store fails.
    ///
    /// One thread writes; calls from several would mix up the watermark.
    pub fn put_batch(&self, watermark: u64, rows: &[(u32, &[u8])]) -> Result<(), BookError> {
        if watermark < self.watermark() {
            return Err(BookError::Behind { given: watermark, watermark: self.watermark() });
        }
        let mut batch = WriteBatch::default();
        for (number, row) in rows {
            if row.len() > ROW_BYTES_MAX {
                return Err(BookError::TooLong { bytes: row.len() });
            }
            if row.is_empty() {
                batch.delete(number.to_be_bytes());
            } else {
                batch.put(number.to_be_bytes(), row);
            }
        }
        batch.put(WATERMARK_KEY, watermark.to_be_bytes());
        self.write(batch)?;
        self.watermark.store(watermark, Ordering::Release);
        Ok(())
    }

    /// The sealed contact data of a person.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get(&self, number: u32) -> Result<Option<Vec<u8>>, BookError> {
        self.read(&number.to_be_bytes())
    }

    /// The sealed contact data of several people, in their order. Cheapest with sorted numbers.
    ///
    /// # Errors
    /// When the store fails.
    pub fn get_many(&self, numbers: &[u32]) -> Result<Vec<Option<Vec<u8>>>, BookError> {
        let keys = numbers.iter().map(|number| number.to_be_bytes());
        let rows = self.db.multi_get(keys);
        rows.into_iter().map(|row| row.map_err(|error| store_error(&self.path, &error))).collect()
    }

    /// Shows the sealed contact data of several people, in their order, without copying it. Cheapest
    /// with sorted numbers.
    ///
    /// # Errors
    /// When the store fails; rows before the failure have been shown.
    pub fn visit_many(
        &self,
        numbers: &[u32],
        mut show: impl FnMut(usize, Option<&[u8]>),
    ) -> Result<(), BookError> {
        let keys: Vec<[u8; 4]> = numbers.iter().map(|number| number.to_be_bytes()).collect();
        let sorted = numbers.is_sorted();
        let Some(family) = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME) else {
            unreachable!("every store has the default column family");
        };
        let rows = self.db.batched_multi_get_cf(family, &keys, sorted);
        for (place, row) in rows.into_iter().enumerate() {
            let row = row.map_err(|error| store_error(&self.path, &error))?;
            show(place, row.as_deref());
        }
        Ok(())
    }

    /// Shows rows in the order of their numbers, from `from` on, at most `rows_max` of them. Gives the
    /// number from which on there may be more; `None` at the end.
    ///
    /// # Errors
    /// When the store fails; rows before the failure have been shown.
    pub fn scan(
        &self,
        from: u32,
        rows_max: usize,
        mut show: impl FnMut(u32, &[u8]),
    ) -> Result<Option<u32>, BookError> {
        let mut read = ReadOptions::default();
        // Read once: what look-ups need stays in memory.
        read.fill_cache(false);
        read.set_readahead_size(SCAN_READ_BYTES);
        let mut rows = self.db.raw_iterator_opt(read);
        rows.seek(from.to_be_bytes());
        let mut shown = 0;
        while let Some((key, row)) = rows.item() {
            // Only rows have keys of this length.
            if let Ok(number) = <[u8; 4]>::try_from(key) {
                let number = u32::from_be_bytes(number);
                if shown == rows_max {
                    return Ok(Some(number));
                }
                show(number, row);
                shown += 1;
            }
            rows.next();
        }
        rows.status().map_err(|error| store_error(&self.path, &error))?;
        Ok(None)
    }

    /// Brings everything to disk, so that the next start has nothing to read again.
    ///
    /// # Errors
    /// When the store fails.
    pub fn flush(&self) -> Result<(), BookError> {
        self.db.flush().map_err(|error| store_error(&self.path, &error))
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BookError> {
        self.db.get(key).map_err(|error| store_error(&self.path, &error))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), BookError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(|error| store_error(&self.path, &error))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

impl std::fmt::Debug for ContactBook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContactBook")
            .field("path", &self.path)
            .field("watermark", &self.watermark())
            .finish_non_exhaustive()
    }
}

/// Whether something unreadable was met in the book in this folder, by whoever has it open: a new start fills
/// another one.
pub fn is_damaged(folder: &Path) -> bool {
    rocks::is_marked(folder)
}

/// Point look-ups of small incompressible rows.
fn store_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES_MAX));
    table.set_block_size(4 * 1024);
    table.set_index_type(BlockBasedIndexType::BinarySearch);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES_MAX);
    options.set_max_write_buffer_number(3);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_memtable_whole_key_filtering(true);
    options.set_memtable_prefix_bloom_ratio(0.1);
    options.set_keep_log_file_num(2);
    options
}

fn store_error(path: &Path, error: &rocksdb::Error) -> BookError {
    rocks::mark(path, error);
    BookError::Store { path: path.display().to_string(), cause: error.to_string() }
}

#[cfg(test)]
mod tests;
