//! How this product opens a RocksDB store: what every place that keeps one has in common.
//!
//! None of the stores is the truth: the journal is, and each of them can be filled again from it. So a
//! store that is damaged is moved aside, for a look at it later, and another is begun in its place; a
//! store that somebody else uses, or that the system does not let us open, is left alone.
//!
//! Before RocksDB sees a store, its logs are looked over for damage that would keep RocksDB from ever
//! coming back ([`logs`]).
//!
//! What this crate deliberately does not do: choose options, or read what is stored.

pub mod faults;
pub mod logs;

use std::path::{Path, PathBuf};

use rocksdb::{DB, ErrorKind, Options};

/// File in a store's folder that says that something in it was found damaged.
const MARK: &str = "damaged";

/// What a system says when a store is sound, for all that is known, and cannot be opened all the same.
const SYSTEM_WORDS: [&str; 5] = [
    "No space left",
    "Permission denied",
    "Too many open files",
    "Read-only file system",
    "Cannot allocate memory",
];

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another user of the store, in this process or another.
    #[error("in use by another process ({0})")]
    Locked(String),
    /// The system does not let us open it; a new start may.
    #[error("{0}")]
    Failed(String),
    /// What stands there is not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
}

/// Opens a store with `open`, which is given its folder, once its logs were looked over.
///
/// # Errors
/// Each of [`OpenError`].
pub fn open(
    folder: &Path,
    open: impl FnOnce(&Path) -> Result<DB, rocksdb::Error>,
) -> Result<DB, OpenError> {
    if let Err(damage) = logs::look_over(folder) {
        return Err(match damage {
            logs::Fault::Unreadable(cause) => OpenError::Failed(cause),
            // Its user may be writing it just now: only what nobody uses is judged.
            logs::Fault::Damaged(what) => match user_of(folder) {
                Some(user) => OpenError::Locked(user),
                None => OpenError::Damaged(what),
            },
        });
    }
    open(folder).map_err(sorted)
}

/// Opens a store that can be filled again; a damaged one is moved aside and an empty one opened.
///
/// # Errors
/// [`OpenError::Locked`] and [`OpenError::Failed`].
pub fn open_or_begin_anew(
    folder: &Path,
    open_it: impl Fn(&Path) -> Result<DB, rocksdb::Error>,
) -> Result<DB, OpenError> {
    let opened = match is_marked(folder) {
        true => Err(match user_of(folder) {
            Some(user) => OpenError::Locked(user),
            None => OpenError::Damaged("that was found while it was read".to_owned()),
        }),
        false => open(folder, &open_it),
    };
    match opened {
        Err(OpenError::Damaged(why)) => {
            tracing::warn!(%why, path = %folder.display(), "a store is damaged; it is moved aside and filled again from the journal");
            set_aside(folder).map_err(|cause| OpenError::Failed(cause.to_string()))?;
            open(folder, open_it)
        }
        other => other,
    }
}

/// Notes that something in a store was found damaged, so that the next start begins another; `error` is what
/// RocksDB said, and anything but damage is let pass.
pub fn mark(folder: &Path, error: &rocksdb::Error) {
    if error.kind() == ErrorKind::Corruption
        && let Err(cause) = std::fs::write(folder.join(MARK), error.to_string())
    {
        tracing::error!(%error, %cause, path = %folder.display(), "a store is damaged, and that cannot be noted");
    }
}

/// Whether damage was noted.
pub fn is_marked(folder: &Path) -> bool {
    folder.join(MARK).exists()
}

/// Moves a damaged store to `<folder>.damaged`, over what was moved there before.
///
/// # Errors
/// When the disk does not take part.
pub fn set_aside(folder: &Path) -> std::io::Result<()> {
    let mut aside = folder.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    std::fs::rename(folder, &aside)
}

/// Whether RocksDB's words tell of damage, of another user, or of the system.
fn sorted(cause: rocksdb::Error) -> OpenError {
    let is_io = cause.kind() == ErrorKind::IOError;
    let text = cause.into_string();
    if is_io && text.contains("/LOCK") {
        OpenError::Locked(text)
    } else if is_io && SYSTEM_WORDS.iter().any(|words| text.contains(words)) {
        OpenError::Failed(text)
    } else {
        OpenError::Damaged(text)
    }
}

/// RocksDB's words about another user of a store, if it has one.
///
/// RocksDB takes the lock before it reads anything else, and so finds out; a lock of our own would, by
/// the rules of POSIX, end another one of the same process.
fn user_of(folder: &Path) -> Option<String> {
    let mut options = Options::default();
    options.set_error_if_exists(true);
    options.set_keep_log_file_num(1);
    match DB::open(&options, folder).map_err(sorted) {
        Err(OpenError::Locked(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
