//! Where everyone is reached, in memory: phone and language, all that a text needs of contact data, and
//! more than a public message without sealed contact needs.
//!
//! The disk book, and a mirror of it, row by row: what is put into the book is opened once and kept here,
//! and what the book holds from before is taken in bit by bit after a start. Who is not here yet, or does
//! not fit, is looked up in the book. Kept masked; see [`vault::masked`].
//!
//! What this file deliberately does not do: say why somebody cannot be reached; the row does.

use std::path::Path;
use std::sync::Arc;

use journal::JournalId;
use vault::contacts::{BookError, ContactBook};
use vault::masked::MaskedTable;
use vault::{OpenError, Vault};

use crate::error::NotifierError;
use crate::fold::{Draft, contact_of, visit_rows};
use crate::provider::Phone;

/// Rows of the book taken in at once while there is nothing else to do: some milliseconds.
const IDLE_ROWS: usize = 4_096;
/// The same while texts wait: a small part of a turn.
const BUSY_ROWS: usize = 256;

/// Contact data by person number.
#[derive(Debug)]
pub(crate) struct Reached {
    book: ContactBook,
    vault: Arc<Vault>,
    table: MaskedTable,
    /// The number from which on the book was not taken in; `None` when all of it was.
    next: Option<u32>,
    people_max: u32,
}

/// What is known of a draft's person as of its event.
pub(crate) enum Found<'a> {
    /// Kept in memory: phone and language.
    Kept(Phone, u8),
    /// Their row, if they have one.
    Row(Option<&'a [u8]>),
}

impl Reached {
    /// Opens or makes the book of a journal in this folder; at most so many people are kept in memory.
    ///
    /// # Errors
    /// When the folder cannot be made, or the book is another journal's or cannot be opened.
    pub(crate) fn open(
        folder: &Path,
        journal: JournalId,
        vault: Arc<Vault>,
        people_max: u32,
    ) -> Result<Reached, NotifierError> {
        std::fs::create_dir_all(folder).map_err(|cause| {
            NotifierError::Setting(format!("notifier.data_dir: {}: {cause}", folder.display()))
        })?;
        let book = ContactBook::open(folder)?;
        book.claim(journal.0)?;
        Ok(Reached::over(book, vault, people_max))
    }

    fn over(book: ContactBook, vault: Arc<Vault>, people_max: u32) -> Reached {
        let next = (people_max > 0).then_some(0);
        Reached { book, vault, table: MaskedTable::new(people_max), next, people_max }
    }

    /// The book.
    pub(crate) fn book(&self) -> &ContactBook {
        &self.book
    }

    /// Shows what is known of each draft's person, in no certain order. `Fold::keep_rows` was not called
    /// since the first of them was made.
    ///
    /// # Errors
    /// The book's.
    pub(crate) fn visit(
        &self,
        drafts: &[&Draft],
        mut show: impl FnMut(usize, Found<'_>),
    ) -> Result<(), BookError> {
        let people = drafts.iter().map(|draft| draft.what.person.0);
        let (mut others, mut places) = (Vec::new(), Vec::new());
        for (place, (draft, kept)) in drafts.iter().zip(self.kept(people)).enumerate() {
            match kept.filter(|_| draft.is_in_book()) {
                Some((phone, language)) => show(place, Found::Kept(phone, language)),
                None => {
                    others.push(*draft);
                    places.push(place);
                }
            }
        }
        visit_rows(&others, &self.book, |place, row| show(places[place], Found::Row(row)))
    }

    /// Phone and language of these people, as the book has them; `None` where only the book can tell.
    fn kept(
        &self,
        people: impl Iterator<Item = u32> + Clone,
    ) -> impl Iterator<Item = Option<(Phone, u8)>> {
        self.table.get_many(people).into_iter().map(|value| {
            let value = value?;
            Some((Phone::from_number(value as u32)?, (value >> 32) as u8))
        })
    }

    /// Puts rows into the book, as [`ContactBook::put_batch`].
    ///
    /// # Errors
    /// The book's.
    pub(crate) fn put_batch(
        &mut self,
        watermark: u64,
        rows: &[(u32, &[u8])],
    ) -> Result<(), BookError> {
        self.book.put_batch(watermark, rows)?;
        for (person, row) in rows {
            keep(&mut self.table, &self.vault, *person, row);
        }
        Ok(())
    }

    /// True when everything of the book was taken in.
    pub(crate) fn is_complete(&self) -> bool {
        self.next.is_none()
    }

    /// Takes in some more of the book: little while there is other work.
    ///
    /// # Errors
    /// The book's.
    pub(crate) fn take_in(&mut self, is_idle: bool) -> Result<(), BookError> {
        if let Some(from) = self.next {
            let rows = if is_idle { IDLE_ROWS } else { BUSY_ROWS };
            let Reached { book, vault, table, .. } = self;
            let next = book.scan(from, rows, |person, row| keep(table, vault, person, row))?;
            self.next = next.filter(|next| *next < self.people_max);
        }
        Ok(())
    }

    /// Brings the book to disk, so that the next start has little to read again.
    ///
    /// # Errors
    /// The book's.
    pub(crate) fn flush(&self) -> Result<(), BookError> {
        self.book.flush()
    }
}

/// Keeps what a row of the book says; the table leaves out who does not fit.
fn keep(table: &mut MaskedTable, vault: &Vault, person: u32, row: &[u8]) {
    if !table.has_place_for(person) {
        return;
    }
    let value = open(row, vault).ok().flatten();
    let value =
        value.map(|(phone, language)| u64::from(phone.number()) | u64::from(language) << 32);
    table.set(person, value);
}

/// Phone and language of a row; nothing when it has no contact data, or no number that can be sent to.
///
/// # Errors
/// When the row cannot be opened.
fn open(row: &[u8], vault: &Vault) -> Result<Option<(Phone, u8)>, OpenError> {
    let Some((key, sealed)) = contact_of(Some(row)) else { return Ok(None) };
    vault
        .open_reach(key, sealed, |phone, language| Phone::new(phone).map(|phone| (phone, language)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeMap;

    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};
    use vault::{Contact, Secrets};

    use super::*;

    const KEY: [u8; 16] = [3; 16];
    const PEOPLE: u32 = 40;

    /// What ought to be in a book.
    struct Scene {
        _folder: tempfile::TempDir,
        vault: Arc<Vault>,
        /// What the book has of whom.
        twin: BTreeMap<u32, Option<(String, u8)>>,
        watermark: u64,
        random: ChaCha8Rng,
    }

    impl Scene {
        fn new(seed: u64, people_max: u32) -> (Scene, Reached) {
            let folder = tempfile::tempdir().unwrap();
            let vault = Arc::new(Vault::new(Secrets::sample()));
            let journal = JournalId([1; 16]);
            let reached = Reached::open(folder.path(), journal, Arc::clone(&vault), people_max);
            let random = ChaCha8Rng::seed_from_u64(seed);
            let twin = BTreeMap::new();
            (Scene { _folder: folder, vault, twin, watermark: 0, random }, reached.unwrap())
        }

        fn below(&mut self, bound: u32) -> u32 {
            self.random.next_u32() % bound
        }

        /// A person gets other contact data, or none, or such as cannot be opened or sent to.
        fn change(&mut self, reached: &mut Reached) {
            let person = self.below(PEOPLE);
            let (kind, version) = (self.below(8), self.below(100_000_000));
            let (mut row, mut plain) = (KEY.to_vec(), None);
            if kind > 0 {
                let (phone, language) = (format!("09{version:08}"), (version % 4) as u8);
                let phone = if kind == 1 { "02-2345".to_owned() } else { phone };
                plain = Phone::new(&phone).map(|phone| (phone.expose().to_owned(), language));
                let (name, id_number) = ("王".to_owned(), "A123456789".to_owned());
                let contact = Contact { name, phone, id_number, language };
                row.extend(self.vault.seal_contact(&KEY, &contact).unwrap());
            }
            if kind == 2 {
                *row.last_mut().unwrap() ^= 1;
                plain = None;
            }
            self.watermark += 1;
            reached.put_batch(self.watermark, &[(person, &row)]).unwrap();
            self.twin.insert(person, plain);
        }

        /// Everyone who is found is found as the book has them; once it is complete, all below the
        /// limit are found who can be reached.
        fn judge(&self, reached: &Reached, people_max: u32) {
            for (person, found) in (0..PEOPLE).zip(reached.kept(0..PEOPLE)) {
                let held = self.twin.get(&person).cloned().flatten();
                let found = found.map(|(phone, language)| (phone.expose().to_owned(), language));
                let may_be_absent = !reached.is_complete() || person >= people_max;
                assert!(found == held || (found.is_none() && may_be_absent), "person {person}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_what_the_book_has() {
        println!("seed 1");
        let (mut scene, mut reached) = Scene::new(1, 0);
        for _ in 0..50 {
            (0..20).for_each(|_| scene.change(&mut reached));
            let people_max = [PEOPLE / 2, PEOPLE, 1 << 25][scene.below(3) as usize];
            reached = Reached::over(reached.book, Arc::clone(&scene.vault), people_max);
            scene.judge(&reached, people_max);
            let taken_in_at = scene.below(60);
            for change in 0..60 {
                scene.change(&mut reached);
                if change == taken_in_at {
                    reached.take_in(change % 2 == 0).unwrap();
                    assert!(reached.is_complete());
                }
                scene.judge(&reached, people_max);
            }
        }
    }

    #[test]
    fn a_large_book_is_taken_in_bit_by_bit() {
        let (scene, reached) = Scene::new(1, 0);
        let contact = Contact {
            name: "王".into(),
            phone: "0912345678".into(),
            id_number: "A123456789".into(),
            language: 1,
        };
        let mut row = KEY.to_vec();
        row.extend(scene.vault.seal_contact(&KEY, &contact).unwrap());
        let rows: Vec<(u32, &[u8])> = (0..1_000).map(|person| (person, row.as_slice())).collect();
        reached.book.put_batch(1, &rows).unwrap();
        let mut reached = Reached::over(reached.book, scene.vault, 900);
        let mut turns = 0;
        while !reached.is_complete() {
            reached.take_in(false).unwrap();
            turns += 1;
        }
        assert_eq!(turns, 900_usize.div_ceil(BUSY_ROWS));
        let found: Vec<bool> = reached.kept(0..1_000).map(|found| found.is_some()).collect();
        assert_eq!(found, (0..1_000).map(|person| person < 900).collect::<Vec<_>>());
    }
}
