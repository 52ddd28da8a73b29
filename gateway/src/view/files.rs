//! Checkpoints as files: `checkpoint-<sequence>.view` in a folder of their own.
//!
//! A file is written under another name, synced, renamed, and the folder synced: under its name it is
//! whole, or its checksums say that the disk lost it. The newest two are kept. A file that could not be
//! used is renamed, so that somebody may look at it, and goes when the next one is written.
//!
//! What this module does not do: know what stands in a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Checkpoints kept.
const KEPT: usize = 2;

/// Bytes written between two syncs, so that the journal's syncs do not queue behind a large one.
const SYNC_BYTES: u64 = 8 << 20;

const PREFIX: &str = "checkpoint-";
const SUFFIX: &str = ".view";
const PARTIAL: &str = ".partial";
const UNUSABLE: &str = ".unusable";

/// The folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

/// A checkpoint found there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its file.
    pub(super) path: PathBuf,
    /// The last command that it holds, by its name.
    pub(super) sequence: u64,
}

/// A checkpoint being written; removed when it is dropped before it is committed.
#[derive(Debug)]
pub(super) struct Partial {
    folder: PathBuf,
    path: PathBuf,
    sequence: u64,
    file: File,
    bytes: u64,
    synced: u64,
    committed: bool,
}

/// A point between the steps of writing at which a crash may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The contacts are on disk.
    ContactsDurable,
    /// The file is there and empty.
    Begun,
    /// More of it is written, and perhaps only in memory.
    Portion,
    /// All of it is on disk under another name.
    Synced,
    /// It has its name, perhaps only in memory.
    Renamed,
    /// It counts.
    Committed,
    /// Older ones are gone.
    Pruned,
}

impl Files {
    /// Opens or creates the folder, and removes what a crash left half written.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn open(folder: &Path) -> io::Result<Files> {
        fs::create_dir_all(folder)?;
        let files = Files { folder: folder.to_owned() };
        for name in files.names()?.iter().filter(|name| name.ends_with(PARTIAL)) {
            fs::remove_file(folder.join(name))?;
        }
        Ok(files)
    }

    /// The checkpoints, the newest first.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn newest_first(&self) -> io::Result<Vec<Found>> {
        let found = |name: &String| {
            let sequence = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
            Some(Found { path: self.folder.join(name), sequence })
        };
        let mut all: Vec<Found> = self.names()?.iter().filter_map(found).collect();
        all.sort_unstable_by_key(|found| std::cmp::Reverse(found.sequence));
        Ok(all)
    }

    /// Renames a checkpoint that cannot be used.
    pub(super) fn set_aside(&self, found: &Found) {
        let mut aside = found.path.clone().into_os_string();
        aside.push(UNUSABLE);
        if let Err(error) = fs::rename(&found.path, &aside) {
            tracing::warn!(path = %found.path.display(), %error, "an unusable checkpoint could not be renamed");
        }
    }

    /// Begins a file.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn begin(&self, sequence: u64) -> io::Result<Partial> {
        let path = self.folder.join(format!("{PREFIX}{sequence:020}{SUFFIX}{PARTIAL}"));
        let file = File::create(&path)?;
        Ok(Partial {
            folder: self.folder.clone(),
            path,
            sequence,
            file,
            bytes: 0,
            synced: 0,
            committed: false,
        })
    }

    /// Removes all files but the newest checkpoints.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn prune(&self) -> io::Result<()> {
        let kept: Vec<PathBuf> =
            self.newest_first()?.into_iter().take(KEPT).map(|found| found.path).collect();
        let ours = |name: &&String| name.starts_with(PREFIX);
        for name in self.names()?.iter().filter(ours) {
            let path = self.folder.join(name);
            if !kept.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl Partial {
    /// Writes on.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.bytes;
        }
        Ok(())
    }

    /// Makes it count; gives its length.
    ///
    /// # Errors
    /// Those of the disk. It does not count then.
    pub(super) fn commit(mut self, mut step: impl FnMut(Step)) -> io::Result<u64> {
        self.file.sync_all()?;
        step(Step::Synced);
        let name = format!("{PREFIX}{:020}{SUFFIX}", self.sequence);
        fs::rename(&self.path, self.folder.join(name))?;
        self.committed = true;
        step(Step::Renamed);
        File::open(&self.folder)?.sync_all()?;
        step(Step::Committed);
        Ok(self.bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.committed {
            // The next start removes it too.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn put(files: &Files, sequence: u64) {
        let mut partial = files.begin(sequence).unwrap();
        partial.write(&[1; 10]).unwrap();
        assert_eq!(partial.commit(|_| {}).unwrap(), 10);
    }

    fn sequences(files: &Files) -> Vec<u64> {
        files.newest_first().unwrap().iter().map(|found| found.sequence).collect()
    }

    #[test]
    fn the_newest_two_are_kept_and_unusable_ones_go_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        for sequence in [7, 1_000, 30, 200] {
            put(&files, sequence);
        }
        assert_eq!(sequences(&files), [1_000, 200, 30, 7]);
        files.set_aside(&files.newest_first().unwrap()[0]);
        assert_eq!(sequences(&files), [200, 30, 7]);
        fs::write(folder.path().join("other"), b"not ours").unwrap();
        files.prune().unwrap();
        assert_eq!((sequences(&files), files.names().unwrap().len()), (vec![200, 30], 3));
    }

    #[test]
    fn what_is_not_committed_is_gone_now_or_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let mut given_up = files.begin(5).unwrap();
        given_up.write(b"half").unwrap();
        drop(given_up);
        assert_eq!(files.names().unwrap().len(), 0);
        std::mem::forget(files.begin(6).unwrap());
        assert_eq!((files.names().unwrap().len(), sequences(&files).len()), (1, 0));
        let files = Files::open(folder.path()).unwrap();
        assert_eq!(files.names().unwrap().len(), 0);
    }
}
