//! Faults of a disk under a store, for the tests of whoever keeps one.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Names of tables that are taken: more than a store makes while a test runs.
const TABLES: u32 = 2_000;

/// A disk that is full for a store's next tables: each of their names leads to a device that takes no
/// byte. Room comes back when this is dropped.
#[derive(Debug)]
pub struct FullDisk {
    taken: Vec<PathBuf>,
}

impl FullDisk {
    /// Fills it for the store in `folder`.
    ///
    /// # Errors
    /// Those of the disk: the folder is not there, or takes no files.
    pub fn under(folder: &Path) -> io::Result<FullDisk> {
        let names = (1..TABLES).map(|number| folder.join(format!("{number:06}.sst")));
        let mut disk = FullDisk { taken: Vec::new() };
        for path in names.filter(|path| !path.exists()) {
            symlink("/dev/full", &path)?;
            disk.taken.push(path);
        }
        Ok(disk)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        // A name that the store removed and took anew is its own.
        for path in self.taken.iter().filter(|path| path.is_symlink()) {
            let _ = fs::remove_file(path);
        }
    }
}
