//! What the roster promises, on a real store and a real stream.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::identity::IdNumber;
use domain::{Day, PersonKey};
use journal::memory::{MemoryConfig, MemoryJournal};
use journal::{Journal, Position, Stream, Visibility};
use vault::{Lookup, Secrets, Vault};

use super::fold::Fold;
use super::plan::{Plan, Planner};
use super::record::Record;
use super::store::{State, Store};
use super::*;
use crate::import::roster::RosterLine;
use crate::import::{Reason, RowError};

mod interleaved;
mod lost;
mod recovers;

/// Longest wait for a thread to get on; far beyond what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

const CITIZEN: &str = "A123456789";
const RESIDENT: &str = "P813427101";
const RESIDENT_BEFORE: &str = "ZD31324773";
const RESIDENT_EARLIEST: &str = "OB24967748";
const CARD: &str = "000012345678";

fn id(text: &str) -> IdNumber {
    IdNumber::parse(text).unwrap()
}

fn line(number: &str, former: Option<&str>, card: &str, born_on: i32) -> RosterLine {
    RosterLine {
        id: id(number),
        former: former.map(id),
        card: Some(card.to_owned()),
        entry_permit: None,
        passport: None,
        born_on: Day(born_on),
    }
}

/// A journal, a vault, and a view that is read by a thread.
struct Desk {
    journal: Arc<MemoryJournal>,
    vault: Arc<Vault>,
    folder: tempfile::TempDir,
    view: Arc<RosterView>,
    thread: Option<(Arc<AtomicBool>, std::thread::JoinHandle<()>)>,
    imports: u64,
    known: HashSet<PersonKey>,
}

impl Desk {
    fn open() -> Desk {
        let journal = Arc::new(MemoryJournal::new(MemoryConfig::default()));
        let vault = Arc::new(Vault::new(Secrets::sample()));
        let folder = tempfile::tempdir().unwrap();
        let view = Desk::view(&journal, &vault, folder.path());
        let mut desk =
            Desk { journal, vault, folder, view, thread: None, imports: 0, known: HashSet::new() };
        desk.start();
        desk
    }

    fn view(journal: &Arc<MemoryJournal>, vault: &Arc<Vault>, folder: &Path) -> Arc<RosterView> {
        let journal: Arc<dyn Journal> = Arc::clone(journal) as Arc<dyn Journal>;
        Arc::new(RosterView::open(folder, journal, Arc::clone(vault)).unwrap())
    }

    fn start(&mut self) {
        let stop = Arc::new(AtomicBool::new(false));
        let (view, flag) = (Arc::clone(&self.view), Arc::clone(&stop));
        self.thread = Some((stop, std::thread::spawn(move || view.run(&flag))));
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            stop.store(true, Ordering::Release);
            thread.join().unwrap();
        }
    }

    /// Ends the view and opens it again, as another process would.
    fn restart(&mut self) {
        self.stop();
        let other = tempfile::tempdir().unwrap();
        self.view = Desk::view(&self.journal, &self.vault, other.path());
        self.view = Desk::view(&self.journal, &self.vault, self.folder.path());
        self.start();
    }

    fn plan(&self, lines: &[RosterLine]) -> Result<Plan, Vec<RowError>> {
        let is_known = |key: &PersonKey| self.known.contains(key);
        let mut planner = Planner::new(&self.view, &self.vault, &is_known);
        let mut errors = Vec::new();
        for (place, person) in lines.iter().enumerate() {
            let number = u32::try_from(place).unwrap() + 2;
            errors.extend(planner.add(number, person).unwrap().err());
        }
        if errors.is_empty() { Ok(planner.finish()) } else { Err(errors) }
    }

    fn append(&self, record: &Record<'_>) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let end = self.journal.append(Stream::Roster, &[&bytes]).unwrap().next;
        let since = Instant::now();
        while self.view.progress().borrow().position < end {
            assert!(since.elapsed() < PATIENCE, "the view stands still");
            std::thread::yield_now();
        }
    }

    fn begin(&mut self, plan: &Plan) -> u64 {
        self.imports += 1;
        let import = self.imports;
        self.append(&Record::Begin { import, base_version: plan.base_version });
        for rows in &plan.chunks {
            self.append(&Record::Chunk { import, rows });
        }
        import
    }

    fn commit(&self, import: u64, plan: &Plan) {
        self.append(&Record::Commit { import, rows: plan.rows, hash: plan.hash });
    }

    /// Imports lines; the version, when they were taken.
    fn import(&mut self, lines: &[RosterLine]) -> Option<u32> {
        let plan = self.plan(lines).unwrap();
        let import = self.begin(&plan);
        self.commit(import, &plan);
        self.view.committed(import)
    }

    fn hash(&self, number: &str) -> LookupHash {
        self.vault.lookup_hash(Lookup::Id, id(number).as_str())
    }

    fn key(&self, number: &str) -> PersonKey {
        PersonKey(self.vault.person_key(number))
    }

    fn person(&self, number: &str) -> Option<PersonKey> {
        self.view.credentials(&self.hash(number)).unwrap().map(|found| found.person)
    }

    fn born_on(&self, number: &str) -> Option<i32> {
        let person = self.person(number)?;
        self.view.attested(&person).unwrap().map(|attested| attested.born_on.0)
    }

    fn corrections(&self) -> Vec<(PersonKey, Day)> {
        self.view.corrections().map(Result::unwrap).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop();
    }
}

#[test]
fn nothing_holds_before_the_commit_and_everything_after_it() {
    let mut desk = Desk::open();
    let lines = [line(CITIZEN, None, CARD, 100), line(RESIDENT, None, "000012345679", 200)];
    let plan = desk.plan(&lines).unwrap();
    let import = desk.begin(&plan);
    assert_eq!((desk.person(CITIZEN), desk.view.version()), (None, 0));
    desk.commit(import, &plan);
    assert_eq!((desk.view.committed(import), desk.view.version()), (Some(1), 1));
    let found = desk.view.credentials(&desk.hash(CITIZEN)).unwrap().unwrap();
    assert_eq!(found.person, desk.key(CITIZEN));
    assert_eq!(found.card, Some(desk.vault.lookup_hash(Lookup::Card, CARD)));
    assert_eq!((found.entry_permit, found.passport), (None, None));
    let attested = desk.view.attested(&found.person).unwrap().unwrap();
    assert_eq!((attested.born_on, attested.roster_version), (Day(100), 1));
    assert_eq!(desk.born_on(RESIDENT), Some(200));
}

#[test]
fn an_unknown_number_finds_nobody() {
    let mut desk = Desk::open();
    assert_eq!(desk.person(CITIZEN), None);
    desk.import(&[line(CITIZEN, None, CARD, 100)]);
    assert_eq!(desk.person(RESIDENT), None);
    assert_eq!(desk.view.attested(&desk.key(RESIDENT)).unwrap(), None);
}

#[test]
fn a_wrong_commit_takes_nothing_and_leaves_the_stream_usable() {
    let mut desk = Desk::open();
    let plan = desk.plan(&[line(CITIZEN, None, CARD, 100)]).unwrap();
    for (rows, hash) in [(2, plan.hash), (0, plan.hash), (1, [0; 32])] {
        let import = desk.begin(&plan);
        desk.append(&Record::Commit { import, rows, hash });
        assert_eq!(desk.view.committed(import), None);
    }
    let import = desk.begin(&plan);
    desk.commit(import + 1, &plan);
    assert_eq!((desk.view.version(), desk.view.refused_imports()), (0, 4));
    assert_eq!(desk.import(&[line(CITIZEN, None, CARD, 100)]), Some(1));
}

#[test]
fn the_next_import_ends_the_one_under_way() {
    let mut desk = Desk::open();
    let first = desk.plan(&[line(CITIZEN, None, CARD, 100)]).unwrap();
    let second = desk.plan(&[line(RESIDENT, None, CARD, 200)]).unwrap();
    let import = desk.begin(&first);
    let other = desk.begin(&second);
    desk.commit(import, &first);
    assert_eq!(desk.view.committed(import), None);
    // The late commit of the one that was ended leaves the other alone.
    assert_eq!(desk.view.import_under_way(), Some(other));
    desk.commit(other, &second);
    assert_eq!(desk.view.committed(other), Some(1));
    assert_eq!(desk.view.import_under_way(), None);
    assert_eq!((desk.person(CITIZEN), desk.born_on(RESIDENT)), (None, Some(200)));
}

#[test]
fn of_two_imports_planned_on_one_version_the_second_is_refused() {
    let mut desk = Desk::open();
    let first = desk.plan(&[line(CITIZEN, None, CARD, 100)]).unwrap();
    let second = desk.plan(&[line(RESIDENT, None, CARD, 200)]).unwrap();
    let import = desk.begin(&first);
    desk.commit(import, &first);
    let import = desk.begin(&second);
    desk.commit(import, &second);
    assert_eq!(desk.view.committed(import), None);
    assert_eq!(desk.person(RESIDENT), None);
}

#[test]
fn a_former_number_leads_to_the_same_person_whose_key_is_of_the_former_one() {
    let mut desk = Desk::open();
    desk.import(&[line(RESIDENT, Some(RESIDENT_BEFORE), CARD, 100)]);
    let key = desk.key(RESIDENT_BEFORE);
    assert_eq!(desk.person(RESIDENT), Some(key));
    assert_eq!(desk.person(RESIDENT_BEFORE), Some(key));
    // Later files need not repeat the former number.
    desk.import(&[line(RESIDENT, None, CARD, 101)]);
    assert_eq!(desk.person(RESIDENT), Some(key));
    assert_eq!(desk.born_on(RESIDENT_BEFORE), Some(101));
}

#[test]
fn a_chain_of_former_numbers_keeps_the_earliest_key() {
    let mut desk = Desk::open();
    desk.import(&[line(RESIDENT_BEFORE, Some(RESIDENT_EARLIEST), CARD, 100)]);
    desk.import(&[line(RESIDENT, Some(RESIDENT_BEFORE), CARD, 100)]);
    let key = desk.key(RESIDENT_EARLIEST);
    for number in [RESIDENT, RESIDENT_BEFORE, RESIDENT_EARLIEST] {
        assert_eq!(desk.person(number), Some(key), "{number}");
    }
}

#[test]
fn people_who_do_not_take_part_yet_are_joined_when_a_former_number_becomes_known() {
    let mut desk = Desk::open();
    desk.import(&[
        line(RESIDENT, None, CARD, 100),
        line(RESIDENT_BEFORE, None, "000012345679", 200),
    ]);
    assert_ne!(desk.person(RESIDENT), desk.person(RESIDENT_BEFORE));
    let displaced = desk.key(RESIDENT);
    desk.import(&[line(RESIDENT, Some(RESIDENT_BEFORE), CARD, 100)]);
    assert_eq!(desk.person(RESIDENT), Some(desk.key(RESIDENT_BEFORE)));
    assert_eq!(desk.view.attested(&displaced).unwrap(), None);
}

#[test]
fn a_line_that_would_rekey_or_merge_people_who_take_part_is_refused() {
    let refused =
        |line| vec![RowError { line, field: "former_id_number", reason: Reason::PersonKnown }];
    let joining = line(RESIDENT, Some(RESIDENT_BEFORE), CARD, 100);

    // Known under the new number, whether or not the roster ever had it.
    let mut desk = Desk::open();
    desk.known.insert(desk.key(RESIDENT));
    let plan = desk.plan(&[line(CITIZEN, None, CARD, 1), joining.clone()]);
    assert_eq!(plan.unwrap_err(), refused(3));
    desk.import(&[line(RESIDENT, None, CARD, 100)]);
    assert_eq!(desk.plan(std::slice::from_ref(&joining)).unwrap_err(), refused(2));

    // Known under both.
    desk.import(&[line(RESIDENT_BEFORE, None, "000012345679", 100)]);
    desk.known.insert(desk.key(RESIDENT_BEFORE));
    assert_eq!(desk.plan(std::slice::from_ref(&joining)).unwrap_err(), refused(2));

    // Known under the former number alone: the key stays, so the line stands.
    desk.known.remove(&desk.key(RESIDENT));
    assert!(desk.plan(&[joining]).is_ok());
}

#[test]
fn the_plan_names_whom_it_displaces_so_that_they_are_looked_at_again() {
    let mut desk = Desk::open();
    desk.import(&[line(RESIDENT, None, CARD, 100)]);
    let plan = desk.plan(&[line(RESIDENT, Some(RESIDENT_BEFORE), CARD, 100)]).unwrap();
    assert_eq!(plan.displaced, [(2, desk.key(RESIDENT))]);
    let plan = desk.plan(&[line(RESIDENT, None, CARD, 100)]).unwrap();
    assert!(plan.displaced.is_empty());
}

#[test]
fn two_lines_about_one_person_are_refused_even_under_different_numbers() {
    let mut desk = Desk::open();
    desk.import(&[line(RESIDENT, Some(RESIDENT_BEFORE), CARD, 100)]);
    let errors = desk
        .plan(&[line(RESIDENT, None, CARD, 100), line(RESIDENT_BEFORE, None, "000012345679", 200)])
        .unwrap_err();
    let reason = Reason::Duplicate { first_line: 2 };
    assert_eq!(errors, [RowError { line: 3, field: "id_number", reason }]);
}

#[test]
fn changed_birth_dates_are_owed_to_the_engine_until_it_was_told() {
    let mut desk = Desk::open();
    desk.import(&[line(CITIZEN, None, CARD, 100), line(RESIDENT, None, "000012345679", 200)]);
    assert_eq!(desk.corrections(), [], "nobody was known before");
    desk.import(&[line(CITIZEN, None, CARD, 100)]);
    assert_eq!(desk.corrections(), [], "nothing changed");
    desk.import(&[line(CITIZEN, None, CARD, 101)]);
    assert_eq!(desk.corrections(), [(desk.key(CITIZEN), Day(101))]);
    desk.restart();
    assert_eq!(desk.corrections(), [(desk.key(CITIZEN), Day(101))]);
    desk.append(&Record::Corrected { version: 2 });
    assert_eq!(desk.corrections().len(), 1, "an older note does not settle a newer debt");
    desk.append(&Record::Corrected { version: 3 });
    assert_eq!(desk.corrections(), []);
}

#[test]
fn a_view_goes_on_where_it_stopped_and_one_of_another_journal_is_begun_anew() {
    let mut desk = Desk::open();
    desk.import(&[line(CITIZEN, None, CARD, 100)]);
    desk.restart();
    assert_eq!((desk.born_on(CITIZEN), desk.view.version()), (Some(100), 1));
    desk.stop();
    let other = MemoryConfig { seed: 7, ..MemoryConfig::default() };
    desk.journal = Arc::new(MemoryJournal::new(other));
    let parting = tempfile::tempdir().unwrap();
    desk.view = Desk::view(&desk.journal, &desk.vault, parting.path());
    desk.view = Desk::view(&desk.journal, &desk.vault, desk.folder.path());
    assert_eq!((desk.person(CITIZEN), desk.view.version()), (None, 0));
}

#[test]
fn a_record_of_a_newer_format_stops_the_view_and_says_so() {
    let mut desk = Desk::open();
    let since = Instant::now();
    while desk.view.ready().is_err() {
        assert!(since.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    desk.journal.append(Stream::Roster, &[&[2, 1, 1]]).unwrap();
    desk.thread.take().unwrap().1.join().unwrap();
    assert!(desk.view.ready().unwrap_err().contains("format 2"));
    assert!(!desk.view.progress().borrow().running);
}

/// The groups of a stream with every kind of record: three imports, one of them void, one that joins
/// people, corrections told and owed.
fn history(vault: &Vault) -> Vec<Vec<Vec<u8>>> {
    let mut desk = Desk::open();
    let people: Vec<RosterLine> = (0..40)
        .map(|number| line(&valid_number(number), None, &format!("{number:012}"), number))
        .collect();
    desk.import(&people);
    let plan = desk.plan(&people[..3]).unwrap();
    desk.begin(&plan);
    let younger: Vec<RosterLine> = people
        .iter()
        .map(|person| RosterLine { born_on: Day(person.born_on.0 + 1_000), ..person.clone() })
        .collect();
    desk.import(&younger);
    desk.append(&Record::Corrected { version: 2 });
    desk.import(&[
        line(&valid_number(50), Some(&valid_number(3)), CARD, 3),
        line(&valid_number(4), Some(&valid_number(51)), "000012345679", 4),
        line(&valid_number(6), Some(&valid_number(7)), "000012345680", 4),
    ]);
    let reader = desk.journal.reader(Stream::Roster, Position::START, Visibility::Durable);
    let mut reader = reader.unwrap();
    let mut groups = Vec::new();
    while let Some(group) = reader.poll(Duration::ZERO).unwrap() {
        groups.push(group.records.iter().map(<[u8]>::to_vec).collect());
    }
    // Also as groups of several records, so that a crash can come between them.
    let records: Vec<Vec<u8>> = groups.concat();
    let fold_whole = |groups: &[Vec<Vec<u8>>]| folded(vault, groups, u32::MAX);
    assert_eq!(fold_whole(&groups), fold_whole(&regrouped(&records)));
    regrouped(&records)
}

fn regrouped(records: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
    // The position stands for the number of records, so that groupings can be compared.
    records.chunks(3).map(<[Vec<u8>]>::to_vec).collect()
}

/// A valid national ID number.
fn valid_number(number: i32) -> String {
    (0..10)
        .map(|check| format!("A1{number:07}{check}"))
        .find(|text| IdNumber::parse(text).is_ok())
        .unwrap()
}

type Dump = Vec<(Box<[u8]>, Box<[u8]>)>;

/// Folds all groups, dying after `writes` writes and starting again from what is there; what stands at
/// the end, positions aside.
fn folded(vault: &Vault, groups: &[Vec<Vec<u8>>], writes: u32) -> Dump {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.writes_left.store(writes, Ordering::Relaxed);
    let mut state = store.state().unwrap();
    let mut place = usize::try_from(state.position).unwrap();
    while let Some(group) = groups.get(place) {
        // Portions of a few rows, so that a commit takes many writes.
        let fold = Fold { store: &store, vault, portion_bytes_max: 300 };
        let records = group.iter().map(Vec::as_slice);
        match fold.group(&mut state, records, place as u64 + 1) {
            Ok(_) => place += 1,
            Err(_) => {
                store.writes_left.store(u32::MAX, Ordering::Relaxed);
                state = store.state().unwrap();
                place = usize::try_from(state.position).unwrap();
            }
        }
    }
    let state = store.state().unwrap();
    assert_eq!(state, State { position: groups.len() as u64, ..state });
    let mut dump = store.dump();
    dump.retain(|(key, _)| !key.starts_with(b"m"));
    dump.push((Box::from(&b"version"[..]), Box::from(state.version.to_le_bytes())));
    dump
}

#[test]
fn a_crash_after_any_write_ends_in_the_same_roster() {
    let vault = Vault::new(Secrets::sample());
    let groups = history(&vault);
    let whole = folded(&vault, &groups, u32::MAX);
    assert!(whole.len() > 80, "{}", whole.len());
    let mut crashes = 0;
    // More deaths than writes: the last ones never come.
    for writes in 0..200 {
        assert_eq!(folded(&vault, &groups, writes), whole, "died after {writes} writes");
        crashes += 1;
    }
    assert_eq!(crashes, 200);
}
