//! The synthetic nation of every figure: its rules, places, people and bookings as commands.
//!
//! Eligibility is what a real period asks: a category, a cut-off, an age limit, staggered openings.
//! Everyone may book, so that a figure of bookings is no figure of refusals.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::codec::{encode_command, import_hash};
use domain::{
    Attested, Category, CategoryNumber, Command, CountyNumber, Day, DistrictNumber, Envelope,
    Fingerprint, ImportKind, ImportRows, Intent, KeyHash, LanguageNumber, Millis, Opening, Origin,
    Period, PeriodNumber, PersonKey, PersonNumber, PersonRef, RetryKey, Site, SiteNumber,
    SlotNumber, SlotRow, VaccineSet,
};
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::{Journal, Stream};

use crate::order::mix;

/// The period in which everyone may book.
pub const PERIOD: PeriodNumber = PeriodNumber(2);
/// Sites, the slots spread evenly over them.
const SITES: u32 = 2_500;
/// Days with slots, from tomorrow on.
const DAYS: u32 = 7;
/// Minutes of a slot.
const SLOT_MINUTES: u16 = 30;
/// The last day of birth of anyone.
const BORN_MAX: i32 = 12_000;
/// Rows of one import chunk.
const CHUNK_ROWS: usize = 1_000;
/// Bytes gathered before a group is written.
const GROUP_BYTES: usize = 200 << 10;
/// An hour in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// How large the nation is.
#[derive(Clone, Copy, Debug)]
pub struct Nation {
    /// Registered people, numbered from 0.
    pub people: u32,
    /// Slots, all of one vaccine.
    pub slots: u32,
    /// Places of each slot.
    pub capacity: u32,
}

impl Nation {
    /// A nation with room for everyone wherever chance leads them.
    pub const fn roomy(people: u32, slots: u32) -> Nation {
        Nation { people, slots, capacity: people / slots * 2 + 100 }
    }

    /// What is announced before anyone registers.
    pub fn announce(&self, now: Millis) -> Vec<Command> {
        let mut commands = vec![category()];
        commands.extend(import(1, ImportKind::Sites, self.sites()));
        let kind = ImportKind::Slots { vaccines: vaccines() };
        commands.extend(import(2, kind, self.slot_rows(now)));
        commands.push(period(now));
        commands
    }

    fn sites(&self) -> Vec<ImportRows> {
        let sites: Vec<Site> = (0..SITES).map(site).collect();
        sites.chunks(CHUNK_ROWS).map(|rows| ImportRows::Sites(rows.to_vec())).collect()
    }

    fn slot_rows(&self, now: Millis) -> Vec<ImportRows> {
        let slots_of_a_site = self.slots.div_ceil(SITES);
        let rows: Vec<SlotRow> = (0..self.slots)
            .map(|slot| {
                let place = slot % slots_of_a_site;
                let start_minute = 480 + (place / DAYS) as u16 * SLOT_MINUTES;
                SlotRow {
                    site: SiteNumber(slot / slots_of_a_site),
                    day: Day(now.day().0 + 1 + (place % DAYS) as i32),
                    start_minute,
                    end_minute: start_minute + SLOT_MINUTES,
                    vaccine: 0,
                    capacity: self.capacity,
                }
            })
            .collect();
        rows.chunks(CHUNK_ROWS).map(|rows| ImportRows::Slots(rows.to_vec())).collect()
    }

    /// The slot that the n-th booking asks for.
    pub fn slot(&self, booking: u32) -> SlotNumber {
        SlotNumber((mix(u64::from(booking)) % u64::from(self.slots)) as u32)
    }
}

fn vaccines() -> Vec<String> {
    vec!["AZ".to_owned()]
}

fn category() -> Command {
    Command::PutCategory(Category {
        number: CategoryNumber(9),
        names: vec![("zh-TW".to_owned(), "第九類".to_owned())],
        born_on_or_before: Some(Day(BORN_MAX)),
        members: true,
        opens_at: Millis(0),
        closes_at: None,
        vaccines: vaccines(),
    })
}

fn period(now: Millis) -> Command {
    let opening = |born: i32, hours_ago: i64| Opening {
        born_on_or_before: Some(Day(born)),
        opens_at: Millis(now.0 - hours_ago * HOUR_MS),
    };
    Command::PutPeriod(Period {
        number: PERIOD,
        names: vec![("zh-TW".to_owned(), "第02期".to_owned())],
        vaccines: vaccines(),
        registered_before: Some(Millis(now.0 + 24 * HOUR_MS)),
        counties: None,
        categories: Some(vec![CategoryNumber(9)]),
        born_on_or_before: Some(Day(BORN_MAX)),
        opens_at: Millis(now.0 - HOUR_MS),
        closes_at: Millis(now.0 + 7 * 24 * HOUR_MS),
        openings: vec![
            opening(BORN_MAX / 3, 3),
            opening(BORN_MAX / 3 * 2, 2),
            opening(BORN_MAX, 1),
        ],
        identity_methods: vec!["document".to_owned()],
    })
}

fn site(number: u32) -> Site {
    Site {
        id: format!("site-{number}"),
        name_zh: format!("第{number}示範診所"),
        name_en: format!("Sample Clinic {number}"),
        county: CountyNumber((number % 22) as u8),
        district: DistrictNumber((number % 368) as u16),
        address: format!("示範路{number}號"),
        kind: "clinic".to_owned(),
    }
}

fn import(import: u64, kind: ImportKind, chunks: Vec<ImportRows>) -> Vec<Command> {
    let hash = import_hash(&chunks);
    let rows = chunks
        .iter()
        .map(|chunk| match chunk {
            ImportRows::Sites(rows) => rows.len(),
            ImportRows::Slots(rows) => rows.len(),
            ImportRows::Members(rows) => rows.len(),
        })
        .sum::<usize>() as u32;
    let mut commands = vec![Command::ImportBegin { import, kind }];
    commands.extend(chunks.into_iter().map(|rows| Command::ImportChunk { import, rows }));
    commands.push(Command::ImportCommit { import, rows, hash });
    commands
}

/// The key of a person whom nobody will prove to be: chance, not an ID's hash.
pub fn person_key(number: u32) -> PersonKey {
    let number = u64::from(number);
    let key = u128::from(mix(number)) << 64 | u128::from(mix(!number));
    PersonKey(key.to_le_bytes())
}

/// The registration by which a person gets this number, when made in order.
pub fn registration(number: u32, person: PersonKey, sealed: Vec<u8>) -> Command {
    Command::Register {
        person,
        attested: Attested {
            born_on: Day((mix(u64::from(number)) % BORN_MAX as u64) as i32),
            roster_version: 1,
        },
        intent: Intent {
            county: CountyNumber((number % 22) as u8),
            district: DistrictNumber((number % 368) as u16),
            vaccines: VaccineSet(1),
            language: LanguageNumber(0),
        },
        sealed,
        retry: retry(number, 1),
    }
}

/// A person's only booking.
pub fn booking(person: u32, slot: SlotNumber) -> Command {
    Command::Book {
        person: PersonRef::Number(PersonNumber(person)),
        period: PERIOD,
        slot,
        retry: retry(person, 2),
    }
}

/// The key of a person's n-th request.
pub fn retry(person: u32, nth: u64) -> RetryKey {
    let person = u64::from(person);
    RetryKey { key: KeyHash(mix(person << 8 | nth)), fingerprint: Fingerprint(mix(!person)) }
}

/// A command as it stands in the journal.
pub fn encode(command: Command, out: &mut Vec<u8>) {
    encode_command(&Envelope { origin: Origin::default(), command }, out);
}

/// Writes commands into a journal in large groups: what would take minutes over HTTP.
pub struct Filler<'a> {
    journal: &'a dyn Journal,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Filler<'a> {
    /// A filler of this journal's commands.
    pub fn new(journal: &'a dyn Journal) -> Filler<'a> {
        Filler { journal, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Adds a command; it is durable after the next [`Filler::flush`].
    ///
    /// # Errors
    /// When the journal refuses, in words.
    pub fn put(&mut self, command: Command) -> Result<(), String> {
        encode(command, &mut self.bytes);
        self.ends.push(self.bytes.len());
        if self.bytes.len() >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// When the journal refuses, in words.
    pub fn flush(&mut self) -> Result<(), String> {
        let mut start = 0;
        let mut records = Vec::with_capacity(self.ends.len());
        for end in &self.ends {
            records.push(&self.bytes[start..*end]);
            start = *end;
        }
        if !records.is_empty() {
            self.journal.append(Stream::Commands, &records).map_err(|error| error.to_string())?;
        }
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

/// Opens the journal of a data directory as the product does.
///
/// # Errors
/// When it cannot be opened, in words.
pub fn open_journal(data: &Path) -> Result<EmbeddedJournal, String> {
    EmbeddedJournal::open(&data.join("journal"), EmbeddedConfig::default())
        .map_err(|error| error.to_string())
}

/// This moment.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
