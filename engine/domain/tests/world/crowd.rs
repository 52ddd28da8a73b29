//! A world of one slot, in which everyone does the same.

use domain::codec::import_hash;
use domain::*;

use super::{FIRST_DAY, HOUR_MS, person_key};

/// One category, one site, one slot on the first day, one period that is open.
pub(crate) fn one_slot(capacity: u32, at: Millis) -> Vec<Command> {
    let vaccines = vec!["AZ".to_owned()];
    let category = Category {
        number: CategoryNumber(1),
        names: Vec::new(),
        born_on_or_before: Some(FIRST_DAY),
        members: true,
        opens_at: at,
        closes_at: None,
        vaccines: vaccines.clone(),
    };
    let period = Period {
        number: PeriodNumber(1),
        names: Vec::new(),
        vaccines: vaccines.clone(),
        registered_before: None,
        counties: None,
        categories: None,
        born_on_or_before: None,
        opens_at: at,
        closes_at: Millis(at.0 + 24 * HOUR_MS),
        openings: Vec::new(),
        identity_methods: Vec::new(),
    };
    let mut commands = vec![Command::Epoch { epoch: 1, engine: [1; 16] }];
    commands.push(Command::PutCategory(category));
    let sites = ImportRows::Sites(vec![site(0)]);
    commands.extend(whole_import(1, ImportKind::Sites, vec![sites], 1));
    let slots = ImportRows::Slots(vec![slot(0, capacity)]);
    commands.extend(whole_import(2, ImportKind::Slots { vaccines }, vec![slots], 1));
    commands.push(Command::PutPeriod(period));
    commands
}

/// Imports that take effect in several events each, after [`one_slot`]: sites, slots, members.
pub(crate) fn large_imports() -> Vec<Command> {
    const SITES: u32 = 1_100;
    const SLOTS: u32 = 4_500;
    const MEMBERS: u32 = 9_000;
    let sites = vec![ImportRows::Sites((0..SITES).map(site).collect())];
    let slots = vec![ImportRows::Slots((0..SLOTS).map(|number| slot(number, 3)).collect())];
    let vaccines = vec!["AZ".to_owned()];
    let members: Vec<PersonKey> = (0..MEMBERS).map(person_key).collect();
    let members = members.chunks(5_000).map(|keys| ImportRows::Members(keys.to_vec())).collect();
    let category = CategoryNumber(1);
    let mut commands = whole_import(3, ImportKind::Sites, sites, SITES);
    commands.extend(whole_import(4, ImportKind::Slots { vaccines }, slots, SLOTS));
    commands.extend(whole_import(5, ImportKind::Members { category }, members, MEMBERS));
    commands
}

fn whole_import(import: u64, kind: ImportKind, chunks: Vec<ImportRows>, rows: u32) -> Vec<Command> {
    let hash = import_hash(&chunks);
    let mut commands = vec![Command::ImportBegin { import, kind }];
    commands.extend(chunks.into_iter().map(|rows| Command::ImportChunk { import, rows }));
    commands.push(Command::ImportCommit { import, rows, hash });
    commands
}

fn site(number: u32) -> Site {
    Site {
        id: format!("S{number}"),
        name_zh: "院所".into(),
        name_en: "Site".into(),
        county: CountyNumber(0),
        district: DistrictNumber(0),
        address: "1 Road".into(),
        kind: "clinic".into(),
    }
}

/// Slots of one site and day, a minute apart; number 1,000 is of the next day.
fn slot(number: u32, capacity: u32) -> SlotRow {
    let start_minute = 1 + (number % 1_000) as u16;
    SlotRow {
        site: SiteNumber(0),
        day: Day(FIRST_DAY.0 + (number / 1_000) as i32),
        start_minute,
        end_minute: start_minute + 400,
        vaccine: 0,
        capacity,
    }
}

/// The registration of one of the crowd.
pub(crate) fn registration(number: u32) -> Command {
    Command::Register {
        person: person_key(number),
        attested: Attested { born_on: Day(0), roster_version: 1 },
        intent: Intent {
            county: CountyNumber(0),
            district: DistrictNumber(0),
            vaccines: VaccineSet(1),
            language: LanguageNumber(0),
        },
        sealed: Vec::new(),
        retry: RetryKey { key: KeyHash(1), fingerprint: Fingerprint(1) },
    }
}

/// The booking of one of the crowd.
pub(crate) fn booking(number: u32) -> Command {
    Command::Book {
        person: PersonRef::Key(person_key(number)),
        period: PeriodNumber(1),
        slot: SlotNumber(0),
        retry: RetryKey { key: KeyHash(1), fingerprint: Fingerprint(1) },
    }
}
