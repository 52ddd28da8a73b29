//! What a book promises, on a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn rows_and_watermark_survive_a_restart_together() {
    let folder = tempfile::tempdir().unwrap();
    let book = ContactBook::open(folder.path()).unwrap();
    assert_eq!((book.watermark(), book.get(1).unwrap()), (0, None));
    book.put_batch(5, &[(1, b"one"), (2, b"two"), (1, b"uno")]).unwrap();
    book.put_batch(9, &[(2, b""), (u32::MAX, b"last")]).unwrap();
    book.flush().unwrap();
    drop(book);
    let book = ContactBook::open(folder.path()).unwrap();
    assert_eq!(book.watermark(), 9);
    let rows = book.get_many(&[1, 2, 3, u32::MAX]).unwrap();
    let expected = [Some(b"uno".to_vec()), None, None, Some(b"last".to_vec())];
    assert_eq!(rows, expected);
    let mut visited = Vec::new();
    book.visit_many(&[1, 2, 3, u32::MAX], |place, row| {
        visited.push((place, row.map(<[u8]>::to_vec)));
    })
    .unwrap();
    assert_eq!(visited, expected.into_iter().enumerate().collect::<Vec<_>>());
}

#[test]
fn a_scan_shows_every_row_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let book = ContactBook::open(folder.path()).unwrap();
    book.claim([1; 16]).unwrap();
    let numbers: Vec<u32> = (0..50).map(|place| place * 7).chain([u32::MAX]).collect();
    for (batch, number) in numbers.iter().enumerate() {
        book.put_batch(batch as u64 + 1, &[(*number, &number.to_le_bytes())]).unwrap();
    }
    // A row that was forgotten, and one in memory above one on disk.
    book.flush().unwrap();
    book.put_batch(60, &[(7, b""), (14, &14u32.to_le_bytes())]).unwrap();
    for rows_max in [1, 2, 49, 50, 51, 1_000] {
        let (mut shown, mut from) = (Vec::new(), Some(0));
        while let Some(number) = from {
            let before = shown.len();
            from = book
                .scan(number, rows_max, |number, row| {
                    assert_eq!(row, number.to_le_bytes());
                    shown.push(number);
                })
                .unwrap();
            assert!(shown.len() - before <= rows_max);
        }
        let expected: Vec<u32> = numbers.iter().copied().filter(|n| *n != 7).collect();
        assert_eq!(shown, expected, "{rows_max} at a time");
    }
}

#[test]
fn a_book_in_which_damage_was_met_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contacts");
    let book = ContactBook::open(&path).unwrap();
    let rows: Vec<[u8; 64]> = (0..4_000u32).map(|number| [number as u8; 64]).collect();
    let rows: Vec<(u32, &[u8])> = (0..).zip(rows.iter().map(|row| &row[..])).collect();
    book.put_batch(7, &rows).unwrap();
    book.flush().unwrap();
    drop(book);
    let tables = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let table = tables.filter(|path| path.extension().is_some_and(|one| one == "sst")).max();
    let table = table.unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&table, bytes).unwrap();

    let book = ContactBook::open(&path).unwrap();
    assert!(!book.is_damaged());
    assert!((0..4_000).any(|number| book.get(number).is_err()), "the damage was met");
    assert!(book.is_damaged() && is_damaged(&path));
    drop(book);
    let book = ContactBook::open(&path).unwrap();
    assert_eq!((book.watermark(), book.get(1).unwrap(), book.is_damaged()), (0, None, false));
    assert!(path.with_extension("damaged").exists(), "it is kept for a look");
}

#[test]
fn an_unflushed_end_is_lost_as_a_whole() {
    // A copy of the directory taken while the book is open is what a crash leaves behind.
    let folder = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let book = ContactBook::open(folder.path()).unwrap();
    for batch in 1..=20u32 {
        let row = batch.to_be_bytes();
        book.put_batch(u64::from(batch), &[(batch, &row), (batch + 100, &row)]).unwrap();
        if batch == 7 {
            book.flush().unwrap();
        }
    }
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "LOCK" {
            std::fs::copy(entry.path(), crashed.path().join(entry.file_name())).unwrap();
        }
    }
    let book = ContactBook::open(crashed.path()).unwrap();
    let watermark = book.watermark();
    assert!(watermark >= 7, "what was flushed is kept");
    for batch in 1..=20u32 {
        let kept = u64::from(batch) <= watermark;
        assert_eq!(book.get(batch).unwrap().is_some(), kept, "row {batch} at {watermark}");
        assert_eq!(book.get(batch + 100).unwrap().is_some(), kept);
    }
}

#[test]
fn a_batch_behind_the_book_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let book = ContactBook::open(folder.path()).unwrap();
    book.put_batch(5, &[(1, b"one")]).unwrap();
    book.put_batch(5, &[]).unwrap();
    let refused = book.put_batch(4, &[(1, b"old")]);
    assert!(matches!(refused, Err(BookError::Behind { given: 4, watermark: 5 })));
    let long = vec![0u8; ROW_BYTES_MAX + 1];
    assert!(matches!(book.put_batch(6, &[(1, &long)]), Err(BookError::TooLong { .. })));
    assert_eq!(book.watermark(), 5);
    assert_eq!(book.get(1).unwrap().unwrap(), b"one");
}

#[test]
fn the_book_of_another_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let book = ContactBook::open(folder.path()).unwrap();
    book.claim([1; 16]).unwrap();
    book.claim([1; 16]).unwrap();
    book.put_batch(5, &[]).unwrap();
    book.flush().unwrap();
    drop(book);
    let book = ContactBook::open(folder.path()).unwrap();
    book.claim([1; 16]).unwrap();
    let refused = book.claim([2; 16]).unwrap_err().to_string();
    assert!(refused.contains("another journal"), "{refused}");
}

#[test]
fn a_book_begun_anew_is_empty_and_still_of_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = ContactBook::open(folder.path()).unwrap();
    book.claim([1; 16]).unwrap();
    book.put_batch(5, &[(0, b"zero"), (7, b"seven"), (u32::MAX, b"last")]).unwrap();
    book.flush().unwrap();
    book.begin_anew().unwrap();
    assert_eq!((book.watermark(), book.get_many(&[0, 7, u32::MAX]).unwrap()), (0, vec![None; 3]));
    book.put_batch(2, &[(7, b"new")]).unwrap();
    book.flush().unwrap();
    drop(book);
    let book = ContactBook::open(folder.path()).unwrap();
    assert_eq!((book.watermark(), book.get(0).unwrap()), (2, None));
    assert_eq!(book.get(7).unwrap().unwrap(), b"new");
    assert!(book.claim([1; 16]).is_ok() && book.claim([2; 16]).is_err());
}

#[test]
fn the_book_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let book = ContactBook::open(folder.path()).unwrap();
    let mut batch = WriteBatch::default();
    batch.put(FORMAT_KEY, [FORMAT + 1]);
    book.write(batch).unwrap();
    book.flush().unwrap();
    drop(book);
    let refused = ContactBook::open(folder.path());
    assert!(matches!(refused, Err(BookError::UnknownFormat { found: 2, .. })));
}
