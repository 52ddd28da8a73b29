//! Stores that are sound, damaged, in use, or out of reach.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::{DB, FlushOptions, Options, WriteOptions};
use tempfile::TempDir;

use super::{OpenError, logs, open, open_or_begin_anew};

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    options
}

fn opened(folder: &Path) -> Result<DB, OpenError> {
    open(folder, |path| DB::open(&options(), path))
}

/// A store that was flushed several times, and one put more of which only the write-ahead log knows.
fn store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(folder.path()).unwrap();
    for round in 0..4u32 {
        db.put(round.to_be_bytes(), [7; 100]).unwrap();
        db.flush_opt(&FlushOptions::default()).unwrap();
    }
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    db.put_opt(b"last", [8; 50], &synced).unwrap();
    db.put_opt(b"very last", [9; 50], &synced).unwrap();
    folder
}

fn logs_of(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| logs::is_log(path)).collect()
}

#[test]
fn every_store_with_one_bit_flipped_in_a_log_opens_or_is_refused() {
    let folder = store();
    let mut refused_types = 0;
    let logs = logs_of(folder.path());
    assert_eq!(logs.len(), 2, "{logs:?}");
    for log in logs {
        let sound = fs::read(&log).unwrap();
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&log, &flipped).unwrap();
            // RocksDB itself would not come back from some of these. Opened for reading, so that the
            // store stays as it is.
            let read = open(folder.path(), |path| DB::open_for_read_only(&options(), path, false));
            refused_types += u32::from(
                matches!(&read, Err(OpenError::Damaged(what)) if what.contains("record of type")),
            );
        }
        fs::write(&log, sound).unwrap();
    }
    // Of the types 1 to 4 that RocksDB writes here, one bit leads from 1 to 5 and from 9 to 11 or 8.
    assert!(refused_types >= 8, "{refused_types}");
    let db = opened(folder.path()).unwrap();
    assert_eq!(db.get(b"very last").unwrap(), Some(vec![9; 50]));
}

#[test]
fn sound_logs_of_many_blocks_are_never_suspected() {
    let folder = tempfile::tempdir().unwrap();
    let db = opened(folder.path()).unwrap();
    // Records of every length around a block's end, and bodies that look like headers.
    for length in (0..2_000).chain(32_000..33_500).step_by(7) {
        let body: Vec<u8> = (0..length).map(|place| [5, 6, 7, 8, 11, 131][place % 6]).collect();
        db.put(length.to_string(), body).unwrap();
        logs::look_over(folder.path()).unwrap();
    }
    drop(db);
    logs::look_over(folder.path()).unwrap();
    logs::look_over(&folder.path().join("nowhere")).unwrap();
}

#[test]
fn a_damaged_store_is_moved_aside_unless_somebody_uses_it() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("store");
    let begin = || open_or_begin_anew(&folder, |path| DB::open(&options(), path));
    let user = begin().unwrap();
    user.put(b"key", b"value").unwrap();
    user.flush().unwrap();
    let manifest = logs_of(&folder).into_iter().find(|path| path.extension().is_none()).unwrap();
    let mut bytes = fs::read(&manifest).unwrap();
    bytes[6] = 5;
    fs::write(&manifest, bytes).unwrap();

    let error = begin().unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)), "{error}");
    assert_eq!(user.get(b"key").unwrap(), Some(b"value".to_vec()));
    drop(user);

    assert!(matches!(opened(&folder), Err(OpenError::Damaged(_))));
    let anew = begin().unwrap();
    assert_eq!(anew.get(b"key").unwrap(), None);
    assert!(outer.path().join("store.damaged").join("CURRENT").exists());
    drop(anew);

    // Another time, over what was moved aside before.
    fs::write(folder.join("CURRENT"), "nonsense").unwrap();
    drop(begin().unwrap());
}

#[test]
fn what_the_system_refuses_is_no_damage() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("file");
    fs::write(&folder, "in the way").unwrap();
    let error = opened(&folder).unwrap_err();
    assert!(matches!(error, OpenError::Failed(_)), "{error}");
}
