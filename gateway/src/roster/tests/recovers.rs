//! A disk that fails for a while, and one that gives back other bytes, cost nobody a login for longer than it
//! takes to read the stream again.

use super::*;

const PEOPLE: i32 = 2_000;

/// A sound ID number.
fn number_of(person: i32) -> String {
    let digits = format!("1{person:07}");
    let weighed = digits.bytes().zip((1..=8).rev());
    // The letter A counts 1.
    let sum = 1 + weighed.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum::<u32>();
    format!("A{digits}{}", (10 - sum % 10) % 10)
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_is_waited_out() {
    let mut desk = Desk::open();
    assert_eq!(desk.import(&[line(CITIZEN, None, CARD, 100)]), Some(1));
    let store = desk.view.store().unwrap();
    store.is_full.store(true, Ordering::Relaxed);
    let record = Record::Begin { import: 9, base_version: 1 };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let end = desk.journal.append(Stream::Roster, &[&bytes]).unwrap().next;
    until("it says why it waits", || {
        desk.view.ready().is_err_and(|why| why.contains("no space left"))
    });
    assert_eq!(desk.born_on(CITIZEN), Some(100), "what it has, it tells");
    store.is_full.store(false, Ordering::Relaxed);
    drop(store);
    until("it goes on", || desk.view.progress().borrow().position == end);
    until("it is ready", || desk.view.ready().is_ok());
    assert_eq!(desk.view.import_under_way(), Some(9));
    assert_eq!(desk.import(&[line(RESIDENT, None, CARD, 200)]), Some(2));
}

#[test]
fn a_damaged_store_is_filled_again_without_a_person() {
    let mut desk = Desk::open();
    let numbers: Vec<String> = (0..PEOPLE).map(number_of).collect();
    let lines: Vec<RosterLine> = numbers.iter().map(|id| line(id, None, CARD, 100)).collect();
    assert_eq!(desk.import(&lines), Some(1));
    desk.stop();
    // Closed, so that nothing is kept in memory.
    desk.view = Desk::view(&desk.journal, &desk.vault, tempfile::tempdir().unwrap().path());
    let files = std::fs::read_dir(desk.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let largest = tables.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    for part in 2..6 {
        let place = bytes.len() * part / 10;
        bytes[place] ^= 0x10;
    }
    std::fs::write(&largest, bytes).unwrap();

    desk.view = Desk::view(&desk.journal, &desk.vault, desk.folder.path());
    let is_hit = |number: &String| desk.view.credentials(&desk.hash(number)).is_err();
    assert!(numbers.iter().any(is_hit), "the damage was met");
    assert!(desk.view.ready().is_err_and(|why| why.contains("damaged")));
    desk.start();
    until("it is filled again", || desk.view.ready().is_ok() && desk.view.version() == 1);
    for number in &numbers {
        assert!(desk.view.credentials(&desk.hash(number)).unwrap().is_some(), "{number}");
    }
    let mut aside = desk.folder.path().as_os_str().to_owned();
    aside.push(".damaged");
    std::fs::remove_dir_all(aside).expect("the damaged store is kept for a look");
}
