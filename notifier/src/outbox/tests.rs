//! The outbox on real files: what is found after any cut, and who may write.

#![allow(clippy::unwrap_used, clippy::expect_used)]

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

#[test]
fn of_several_that_share_an_outbox_the_highest_epoch_writes() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileOutbox::open_shared(folder.path()).unwrap();
    let second = FileOutbox::open_shared(folder.path()).unwrap();
    let to = phone();
    assert!(matches!(first.send(&sms("0-0-0", &to)), Err(SendError::Unavailable(_))));
    first.take_over(1).unwrap();
    let mark = first.mark();
    first.send(&sms("0-1-0", &to)).unwrap();

    // A write that a kill cut short: its line is torn, and was never sent.
    let whole = std::fs::read(file_path(folder.path(), 0)).unwrap();
    std::fs::write(file_path(folder.path(), 0), [&whole[..], &whole[..9]].concat()).unwrap();
    second.take_over(2).unwrap();
    assert_eq!(second.lookup("0-1-0", mark), Ok(LookUp::Accepted));
    assert_eq!(second.lookup("0-2-0", mark), Ok(LookUp::NeverArrived));
    second.send(&sms("0-2-0", &to)).unwrap();

    // The first was paused and wakes: nothing of it counts, before and after it asks.
    assert!(matches!(first.send(&sms("0-2-0", &to)), Err(SendError::Unavailable(_))));
    assert_eq!(first.take_over(1), Ok(()), "it believes that it still has the outbox");
    assert!(matches!(first.send(&sms("0-3-0", &to)), Err(SendError::Unavailable(_))));
    assert_eq!(lines(folder.path()).len(), 2);

    first.take_over(3).unwrap();
    assert_eq!(first.lookup("0-2-0", mark), Ok(LookUp::Accepted));
    assert!(matches!(second.take_over(1), Err(SendError::Unavailable(_))), "an epoch of the past");
    first.send(&sms("0-3-0", &to)).unwrap();
    second.take_over(4).unwrap();
    assert_eq!(second.lookup("0-3-0", mark), Ok(LookUp::Accepted));
    assert_eq!(lines(folder.path()).len(), 3);
}

#[test]
fn nobody_takes_over_from_one_that_is_in_the_middle_of_writing() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileOutbox::open_shared(folder.path()).unwrap();
    let second = FileOutbox::open_shared(folder.path()).unwrap();
    first.take_over(1).unwrap();
    let held = first.hold(&first.state.lock()).unwrap();
    assert!(matches!(second.take_over(2), Err(SendError::Unavailable(_))));
    drop(held);
    second.take_over(2).unwrap();
    assert!(matches!(first.send(&sms("0-1-0", &phone())), Err(SendError::Unavailable(_))));
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
