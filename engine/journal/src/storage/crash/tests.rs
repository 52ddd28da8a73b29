//! What a cut of the power leaves, and what it does not.

#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

fn file_with(storage: &CrashStorage, bytes: &[u8]) -> Box<dyn StorageFile> {
    storage.create_dir(Path::new("/disk")).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    let file = storage.open(Path::new("/disk/file"), Access::create(false)).unwrap();
    file.write_at(&[bytes], 0).unwrap();
    file
}

#[test]
fn synced_bytes_under_synced_names_survive_a_cut() {
    let storage = CrashStorage::new(false);
    let file = file_with(&storage, b"kept");
    file.sync_data().unwrap();
    storage.sync_dir(Path::new("/disk")).unwrap();
    file.write_at(&[b"lost"], 512).unwrap();
    storage.cut();
    storage.restart_after_cut(1);
    let bytes = storage.bytes(Path::new("/disk/file")).unwrap();
    assert_eq!(&bytes[..4], b"kept");
}

#[test]
fn unsynced_names_vanish_in_some_cuts() {
    let survived = (0..32).filter(|&seed| {
        let storage = CrashStorage::new(false);
        let file = file_with(&storage, b"kept");
        file.sync_data().unwrap();
        storage.cut();
        storage.restart_after_cut(seed);
        storage.bytes(Path::new("/disk/file")).is_some()
    });
    assert!((1..32).contains(&survived.count()));
}

#[test]
fn a_failed_sync_forgets_its_bytes_even_when_a_later_one_succeeds() {
    let storage = CrashStorage::new(false);
    let file = file_with(&storage, b"none");
    storage.sync_dir(Path::new("/disk")).unwrap();
    storage.fail_next_sync();
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    storage.cut();
    storage.restart_after_cut(1);
    let bytes = storage.bytes(Path::new("/disk/file")).unwrap();
    assert!(bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn files_opened_before_a_restart_are_dead() {
    let storage = CrashStorage::new(false);
    let file = file_with(&storage, b"old");
    storage.restart_process();
    file.write_at(&[b"new"], 0).unwrap_err();
}
