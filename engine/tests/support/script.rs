//! A seeded script of commands: a small country in which everything happens that can happen.

use domain::codec::{encode_command, import_hash};
use domain::{
    Attendance, Attested, BookingNumber, Category, CategoryNumber, Command, CountyNumber, Day,
    DistrictNumber, Envelope, Fingerprint, ImportKind, ImportRows, Intent, KeyHash, LanguageNumber,
    Millis, Origin, Period, PeriodNumber, PersonKey, PersonRef, RetryKey, Site, SiteNumber,
    SlotNumber, SlotRow, VaccineSet,
};
use journal::{Journal, Stream};

use super::BASE_MS;

/// People in the country.
pub const PEOPLE: u64 = 200;
/// Slots on offer.
pub const SLOTS: u32 = 60;
/// A day in milliseconds.
pub const DAY_MS: i64 = 86_400_000;

/// A small seeded sequence of numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// One of these, as a group or batch size.
    pub fn size(&mut self, largest: u64) -> usize {
        1 + self.below(largest) as usize
    }
}

pub fn person(number: u64) -> PersonKey {
    PersonKey((u128::from(number + 1) * 0x9E37_79B9_7F4A_7C15_0F1E_2D3C_4B5A_6978).to_le_bytes())
}

fn record(command: Command) -> Vec<u8> {
    record_from(0, command)
}

fn record_from(origin: u64, command: Command) -> Vec<u8> {
    let mut out = Vec::new();
    encode_command(&Envelope { origin: Origin(origin), command }, &mut out);
    out
}

pub fn pulse(epoch: u64) -> Vec<u8> {
    record(Command::Pulse { epoch })
}

pub fn epoch(epoch: u64, engine: [u8; 16]) -> Vec<u8> {
    record(Command::Epoch { epoch, engine })
}

fn names(text: &str) -> Vec<(String, String)> {
    vec![("zh-TW".to_owned(), text.to_owned())]
}

fn today() -> Day {
    Millis(BASE_MS).day()
}

/// Category, sites, slots and two periods.
pub fn opening() -> Vec<Vec<u8>> {
    let vaccines = vec!["AZ".to_owned(), "Moderna".to_owned()];
    let mut script = vec![record(Command::PutCategory(Category {
        number: CategoryNumber(9),
        names: names("第9類"),
        born_on_or_before: Some(Day(12_000)),
        members: true,
        opens_at: Millis(BASE_MS - DAY_MS),
        closes_at: None,
        vaccines: vaccines.clone(),
    }))];
    let sites = ImportRows::Sites(
        (0..4)
            .map(|number| Site {
                id: format!("S{number}"),
                name_zh: format!("院所{number}"),
                name_en: format!("Site {number}"),
                county: CountyNumber(number % 2),
                district: DistrictNumber(u16::from(number)),
                address: "某路一號".to_owned(),
                kind: "hospital".to_owned(),
            })
            .collect(),
    );
    script.extend(import(1, ImportKind::Sites, sites));
    let slots = ImportRows::Slots(
        (0..SLOTS)
            .map(|number| SlotRow {
                site: SiteNumber(number % 4),
                day: Day(today().0 + 1 + (number as i32 / 4) % 3),
                start_minute: 540 + (number as u16) * 5,
                end_minute: 600 + (number as u16) * 5,
                vaccine: (number % 2) as u8,
                capacity: 1 + number % 5,
            })
            .collect(),
    );
    script.extend(import(2, ImportKind::Slots { vaccines: vaccines.clone() }, slots));
    let members = ImportRows::Members((PEOPLE / 2..PEOPLE).map(person).collect());
    script.extend(import(3, ImportKind::Members { category: CategoryNumber(9) }, members));
    for number in 1..=2 {
        script.push(record(Command::PutPeriod(Period {
            number: PeriodNumber(number),
            names: names("期"),
            vaccines: vaccines.clone(),
            registered_before: None,
            counties: None,
            categories: None,
            born_on_or_before: None,
            opens_at: Millis(BASE_MS - DAY_MS),
            closes_at: Millis(BASE_MS + 30 * DAY_MS),
            openings: Vec::new(),
            identity_methods: Vec::new(),
        })));
    }
    script
}

fn import(import: u64, kind: ImportKind, rows: ImportRows) -> Vec<Vec<u8>> {
    let count = match &rows {
        ImportRows::Sites(rows) => rows.len(),
        ImportRows::Slots(rows) => rows.len(),
        ImportRows::Members(rows) => rows.len(),
    };
    let hash = import_hash([&rows]);
    vec![
        record(Command::ImportBegin { import, kind }),
        record(Command::ImportChunk { import, rows }),
        record(Command::ImportCommit { import, rows: count as u32, hash }),
    ]
}

/// Everybody registers.
pub fn registrations() -> Vec<Vec<u8>> {
    (0..PEOPLE).map(|number| register(number, 1_000_000 + number)).collect()
}

pub fn register(number: u64, key: u64) -> Vec<u8> {
    record_from(
        number,
        Command::Register {
            person: person(number),
            attested: Attested { born_on: Day(10_000 - number as i32), roster_version: 1 },
            intent: intent(number),
            sealed: vec![number as u8; 40],
            retry: retry(key),
        },
    )
}

pub fn intent(number: u64) -> Intent {
    Intent {
        county: CountyNumber((number % 3) as u8),
        district: DistrictNumber((number % 7) as u16),
        vaccines: VaccineSet(3),
        language: LanguageNumber((number % 4) as u8),
    }
}

fn retry(key: u64) -> RetryKey {
    RetryKey { key: KeyHash(key), fingerprint: Fingerprint(key.wrapping_mul(3)) }
}

pub fn book(number: u64, slot: u32, key: u64) -> Vec<u8> {
    record_from(
        key,
        Command::Book {
            person: PersonRef::Key(person(number)),
            period: PeriodNumber(1),
            slot: SlotNumber(slot),
            retry: retry(key),
        },
    )
}

/// One command of a busy day. A few are no commands at all.
pub fn any(dice: &mut Dice) -> Vec<u8> {
    let number = dice.below(PEOPLE + 20);
    let person = PersonRef::Key(person(number));
    let period = PeriodNumber(1 + dice.below(2) as u16);
    let slot = SlotNumber(dice.below(u64::from(SLOTS) + 2) as u32);
    // A small space of keys, so that retries and reused keys happen.
    let key = number * 64 + dice.below(40);
    let retry = retry(key);
    let command = match dice.below(100) {
        0..=54 => Command::Book { person, period, slot, retry },
        55..=66 => Command::Cancel { person, period, retry },
        67..=78 => Command::Move { person, period, slot, retry },
        79..=81 => Command::Withdraw { person, retry },
        82..=86 => return register(number, key),
        87..=88 => Command::Modify {
            person,
            attested: Attested { born_on: Day(9_000), roster_version: 2 },
            intent: intent(number + 1),
            sealed: vec![7; 33],
            retry,
        },
        89..=90 => Command::SetCapacity { slot, capacity: dice.below(9) as u32 },
        91..=92 => Command::Attend {
            rows: vec![Attendance {
                booking: BookingNumber(dice.below(80) as u32),
                attended_at: Millis(BASE_MS + DAY_MS),
            }],
        },
        93..=95 => Command::Pulse { epoch: dice.below(3) },
        96 => Command::CorrectRoster {
            roster_version: 3,
            rows: vec![(super::script::person(number), Day(8_000))],
        },
        _ => {
            let length = dice.below(30) as usize;
            // Format byte 0 was never written by any version.
            return std::iter::once(0).chain((0..length).map(|_| dice.next() as u8)).collect();
        }
    };
    record_from(key, command)
}

/// Opening, registrations and `count` busy commands.
pub fn whole(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let mut script = opening();
    script.extend(registrations());
    script.extend((0..count).map(|_| any(&mut dice)));
    script
}

/// Appends records in groups of at most `largest`, each size by the dice.
pub fn append_in_groups(journal: &dyn Journal, records: &[Vec<u8>], dice: &mut Dice, largest: u64) {
    let mut rest = records;
    while !rest.is_empty() {
        let size = dice.size(largest).min(rest.len());
        append_one_group(journal, &rest[..size]);
        rest = &rest[size..];
    }
}

pub fn append_one_group(journal: &dyn Journal, records: &[Vec<u8>]) {
    let borrowed: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    journal.append(Stream::Commands, &borrowed).unwrap();
}
