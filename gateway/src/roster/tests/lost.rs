//! A `roster` stream that ends before what the view has read of it has lost people.

use journal::{EmbeddedConfig, EmbeddedJournal};

use super::*;

fn journal(folder: &Path) -> Arc<dyn Journal> {
    Arc::new(EmbeddedJournal::open(folder, EmbeddedConfig::default()).unwrap())
}

fn open(folder: &Path, journal: Arc<dyn Journal>) -> Result<RosterView, RosterError> {
    RosterView::open(folder, journal, Arc::new(Vault::new(Secrets::sample())))
}

/// Reads to the end, and ends in order.
fn read(view: RosterView, end: Position) {
    let (view, stop) = (Arc::new(view), Arc::new(AtomicBool::new(false)));
    let (reading, flag) = (Arc::clone(&view), Arc::clone(&stop));
    let thread = std::thread::spawn(move || reading.run(&flag));
    let since = Instant::now();
    while view.progress().borrow().position < end {
        assert!(since.elapsed() < PATIENCE, "the view stands still");
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Release);
    thread.join().unwrap();
}

#[test]
fn a_stream_that_lost_people_is_refused_and_the_view_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (streams, view) = (folder.path().join("journal"), folder.path().join("roster"));
    let own = journal(&streams);
    let mut bytes = Vec::new();
    Record::Begin { import: 7, base_version: 0 }.encode(&mut bytes);
    let end = own.append(Stream::Roster, &[&bytes]).unwrap().next;
    own.append(Stream::Commands, &[b"command"]).unwrap();
    read(open(&view, Arc::clone(&own)).unwrap(), end);
    own.close();
    drop(own);

    let lost = streams.join(Stream::Roster.name());
    let copy = folder.path().join("copy");
    std::fs::rename(&lost, &copy).unwrap();
    std::fs::create_dir(&lost).unwrap();
    let own = journal(&streams);
    let said = open(&view, Arc::clone(&own)).unwrap_err().to_string();
    let known = format!("position {}", end.0);
    assert!(said.contains("stream roster") && said.contains("position 0"), "{said}");
    assert!(said.contains(&known) && said.contains("Restore"), "{said}");
    own.close();
    drop(own);

    // With the stream back, the view is as it was.
    std::fs::remove_dir_all(&lost).unwrap();
    std::fs::rename(&copy, &lost).unwrap();
    let view = open(&view, journal(&streams)).unwrap();
    assert_eq!(view.import_under_way(), Some(7));
    assert_eq!(view.progress().borrow().position, end);
}

#[test]
fn the_view_of_another_journal_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let view = folder.path().join("roster");
    let one = journal(&folder.path().join("one"));
    let mut bytes = Vec::new();
    Record::Begin { import: 7, base_version: 0 }.encode(&mut bytes);
    let end = one.append(Stream::Roster, &[&bytes]).unwrap().next;
    read(open(&view, one).unwrap(), end);
    let other = open(&view, journal(&folder.path().join("other"))).unwrap();
    assert_eq!((other.import_under_way(), other.progress().borrow().position), (None, Position(0)));
}
