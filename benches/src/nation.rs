//! A journal in which so many people are registered and a window is open, written directly: what a
//! load test would need minutes to set up over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::codec::{ImportHasher, encode_command};
use domain::{
    Attested, Category, CategoryNumber, Command, CountyNumber, Day, DistrictNumber, Envelope,
    Fingerprint, ImportKind, ImportRows, Intent, KeyHash, LanguageNumber, Millis, Origin, Period,
    PeriodNumber, PersonKey, RetryKey, Site, SiteNumber, SlotRow, VaccineSet,
};
use journal::embedded::{EmbeddedConfig, EmbeddedJournal};
use journal::{Journal, Stream};
use vault::{Contact, Secrets, Vault};

/// The period in which everyone may book.
pub const PERIOD: u16 = 2;
/// Bytes gathered before a group is written.
const GROUP_BYTES: usize = 200 << 10;
/// Rows of one import chunk.
const CHUNK_ROWS: usize = 1_000;

/// How large the nation is.
#[derive(Clone, Copy, Debug)]
pub struct Nation {
    /// Registered people; person number n has the n-th ID.
    pub people: u32,
    /// Slots, all of one vaccine and all tomorrow or later.
    pub slots: u32,
    /// Places of each slot.
    pub capacity: u32,
}

/// The secrets of `slotline dev`, so that the benchmark can make the tokens itself.
pub fn vault() -> Vault {
    Vault::new(Secrets::sample())
}

/// The n-th synthetic ID number: an index in the shape of an ID, valid for hashing only.
pub fn id_number(person: u32) -> String {
    format!("A1{person:08}")
}

/// Writes the journal under `data/journal`.
///
/// # Errors
/// When the journal refuses, in words.
pub fn write(data: &Path, nation: Nation) -> Result<(), String> {
    let journal = EmbeddedJournal::open(&data.join("journal"), EmbeddedConfig::default())
        .map_err(|error| error.to_string())?;
    let mut writer = Writer { journal: Arc::new(journal), bytes: Vec::new(), ends: Vec::new() };
    let now = now_ms();
    rules(&mut writer, now)?;
    slots(&mut writer, nation, now)?;
    people(&mut writer, nation)?;
    writer.flush()?;
    writer.journal.close();
    Ok(())
}

/// Gathers commands into groups.
struct Writer {
    journal: Arc<EmbeddedJournal>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Writer {
    fn put(&mut self, command: Command) -> Result<(), String> {
        let envelope = Envelope { origin: Origin::default(), command };
        encode_command(&envelope, &mut self.bytes);
        self.ends.push(self.bytes.len());
        if self.bytes.len() >= GROUP_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), String> {
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

fn rules(writer: &mut Writer, now: i64) -> Result<(), String> {
    let names = vec![("zh-TW".to_owned(), "第02期".to_owned())];
    writer.put(Command::PutCategory(Category {
        number: CategoryNumber(9),
        names: names.clone(),
        born_on_or_before: Some(Day(20_000)),
        members: false,
        opens_at: Millis(0),
        closes_at: None,
        vaccines: vec!["AZ".to_owned()],
    }))?;
    writer.put(Command::PutPeriod(Period {
        number: PeriodNumber(PERIOD),
        names,
        vaccines: vec!["AZ".to_owned()],
        registered_before: None,
        counties: None,
        categories: None,
        born_on_or_before: None,
        opens_at: Millis(now - 3_600_000),
        closes_at: Millis(now + 7 * 86_400_000),
        openings: Vec::new(),
        identity_methods: vec!["document".to_owned()],
    }))
}

fn slots(writer: &mut Writer, nation: Nation, now: i64) -> Result<(), String> {
    const SLOTS_PER_SITE: u32 = 14;
    let sites: Vec<Site> = (0..nation.slots.div_ceil(SLOTS_PER_SITE)).map(site).collect();
    let tomorrow = Millis(now).day().0 + 1;
    let rows: Vec<SlotRow> = (0..nation.slots)
        .map(|slot| SlotRow {
            site: SiteNumber(slot / SLOTS_PER_SITE),
            day: Day(tomorrow + (slot % SLOTS_PER_SITE / 2) as i32),
            start_minute: if slot % 2 == 0 { 540 } else { 840 },
            end_minute: if slot % 2 == 0 { 720 } else { 1_020 },
            vaccine: 0,
            capacity: nation.capacity,
        })
        .collect();
    let chunks = sites.chunks(CHUNK_ROWS).map(|rows| ImportRows::Sites(rows.to_vec())).collect();
    import(writer, 1, ImportKind::Sites, chunks, sites.len())?;
    let chunks = rows.chunks(CHUNK_ROWS).map(|rows| ImportRows::Slots(rows.to_vec())).collect();
    import(writer, 2, ImportKind::Slots { vaccines: vec!["AZ".to_owned()] }, chunks, rows.len())
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

fn import(
    writer: &mut Writer,
    import: u64,
    kind: ImportKind,
    chunks: Vec<ImportRows>,
    rows: usize,
) -> Result<(), String> {
    let mut hasher = ImportHasher::new();
    writer.put(Command::ImportBegin { import, kind })?;
    for rows in chunks {
        hasher.update(&rows);
        writer.put(Command::ImportChunk { import, rows })?;
    }
    let rows = u32::try_from(rows).map_err(|error| error.to_string())?;
    writer.put(Command::ImportCommit { import, rows, hash: hasher.finish() })
}

fn people(writer: &mut Writer, nation: Nation) -> Result<(), String> {
    let vault = vault();
    for number in 0..nation.people {
        let id = id_number(number);
        let person = vault.person_key(&id);
        let contact = Contact {
            name: format!("示範民眾{number}"),
            phone: "0912345678".to_owned(),
            id_number: id,
            language: 0,
        };
        let sealed = vault.seal_contact(&person, &contact).map_err(|error| error.to_string())?;
        writer.put(Command::Register {
            person: PersonKey(person),
            attested: Attested { born_on: Day(0), roster_version: 0 },
            intent: Intent {
                county: CountyNumber((number % 22) as u8),
                district: DistrictNumber((number % 368) as u16),
                vaccines: VaccineSet(1),
                language: LanguageNumber(0),
            },
            sealed,
            retry: RetryKey { key: KeyHash(1), fingerprint: Fingerprint(1) },
        })?;
    }
    Ok(())
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
