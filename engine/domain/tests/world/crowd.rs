//! A world of one slot, in which everyone does the same.

use domain::codec::import_hash;
use domain::*;

use super::{FIRST_DAY, HOUR_MS, person_key};

/// One category, one site, one slot on the first day, one period that is open.
pub(crate) fn one_slot(capacity: u32, at: Millis) -> Vec<Command> {
    let site = Site {
        id: "S".into(),
        name_zh: "院所".into(),
        name_en: "Site".into(),
        county: CountyNumber(0),
        district: DistrictNumber(0),
        address: "1 Road".into(),
        kind: "clinic".into(),
    };
    let row = SlotRow {
        site: SiteNumber(0),
        day: FIRST_DAY,
        start_minute: 600,
        end_minute: 660,
        vaccine: 0,
        capacity,
    };
    let vaccines = vec!["AZ".to_owned()];
    let category = Category {
        number: CategoryNumber(1),
        names: Vec::new(),
        born_on_or_before: Some(FIRST_DAY),
        members: false,
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
    for (import, kind, rows) in [
        (1, ImportKind::Sites, ImportRows::Sites(vec![site])),
        (2, ImportKind::Slots { vaccines }, ImportRows::Slots(vec![row])),
    ] {
        let hash = import_hash([&rows]);
        commands.push(Command::ImportBegin { import, kind });
        commands.push(Command::ImportChunk { import, rows });
        commands.push(Command::ImportCommit { import, rows: 1, hash });
    }
    commands.push(Command::PutPeriod(period));
    commands
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
