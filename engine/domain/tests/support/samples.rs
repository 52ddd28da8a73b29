//! The samples behind the golden bytes. A sample never changes once its line was released.

use domain::*;

const RETRY: RetryKey = RetryKey {
    key: KeyHash(0x1111_2222_3333_4444),
    fingerprint: Fingerprint(0x5555_6666_7777_8888),
};
const BY_NUMBER: PersonRef = PersonRef::Number(PersonNumber(0x0a0b_0c0d));
const BY_KEY: PersonRef = PersonRef::Key(PersonKey([0xee; 16]));
const PERIOD: PeriodNumber = PeriodNumber(2);
const SLOT: SlotNumber = SlotNumber(123);
const INTENT: Intent = Intent {
    county: CountyNumber(3),
    district: DistrictNumber(301),
    vaccines: VaccineSet(0b101),
    language: LanguageNumber(2),
};

fn sample_category() -> Category {
    Category {
        number: CategoryNumber(9),
        names: vec![("zh-TW".into(), "第9類".into()), ("en".into(), "Category 9".into())],
        born_on_or_before: Some(Day(12_417)),
        members: true,
        opens_at: Millis(1_625_500_000_000),
        closes_at: None,
        vaccines: vec!["AZ".into(), "Moderna".into()],
    }
}

fn sample_period() -> Period {
    Period {
        number: PERIOD,
        names: vec![("en".into(), "Period 2".into())],
        vaccines: vec!["AZ".into()],
        registered_before: Some(Millis(1_626_080_400_000)),
        counties: Some(vec![CountyNumber(1), CountyNumber(22)]),
        categories: Some(vec![CategoryNumber(9)]),
        born_on_or_before: None,
        opens_at: Millis(1_626_141_600_000),
        closes_at: Millis(1_626_339_600_000),
        openings: vec![Opening {
            born_on_or_before: Some(Day(-5_000)),
            opens_at: Millis(1_626_141_600_000),
        }],
        identity_methods: vec!["document".into()],
    }
}

fn sample_site() -> Site {
    Site {
        id: "A001".into(),
        name_zh: "臺大醫院".into(),
        name_en: "NTU Hospital".into(),
        county: CountyNumber(1),
        district: DistrictNumber(100),
        address: "中山南路7號".into(),
        kind: "hospital".into(),
    }
}

/// One sample of every kind of command, and of every way to name its person.
pub(crate) fn commands() -> Vec<(&'static str, Command)> {
    let (person, period, slot, retry) = (BY_NUMBER, PERIOD, SLOT, RETRY);
    let attested = Attested { born_on: Day(-3_653), roster_version: 4 };
    let sealed = vec![1, 2, 3, 250];
    let row = SlotRow {
        site: SiteNumber(1),
        day: Day(18_821),
        start_minute: 540,
        end_minute: 570,
        vaccine: 0,
        capacity: 50,
    };
    vec![
        ("book by number", Command::Book { person, period, slot, retry }),
        ("book by key", Command::Book { person: BY_KEY, period, slot, retry }),
        ("move by number", Command::Move { person, period, slot, retry }),
        ("move by key", Command::Move { person: BY_KEY, period, slot, retry }),
        ("cancel by number", Command::Cancel { person, period, retry }),
        ("cancel by key", Command::Cancel { person: BY_KEY, period, retry }),
        (
            "register",
            Command::Register {
                person: PersonKey([0xee; 16]),
                attested,
                intent: INTENT,
                sealed: sealed.clone(),
                retry,
            },
        ),
        ("modify", Command::Modify { person, attested, intent: INTENT, sealed, retry }),
        ("withdraw", Command::Withdraw { person: BY_KEY, retry }),
        ("put category", Command::PutCategory(sample_category())),
        ("put period", Command::PutPeriod(sample_period())),
        ("import begin sites", Command::ImportBegin { import: 77, kind: ImportKind::Sites }),
        (
            "import begin slots",
            Command::ImportBegin {
                import: 77,
                kind: ImportKind::Slots { vaccines: vec!["AZ".into()] },
            },
        ),
        (
            "import begin members",
            Command::ImportBegin {
                import: 77,
                kind: ImportKind::Members { category: CategoryNumber(9) },
            },
        ),
        (
            "import chunk sites",
            Command::ImportChunk { import: 77, rows: ImportRows::Sites(vec![sample_site()]) },
        ),
        (
            "import chunk slots",
            Command::ImportChunk { import: 77, rows: ImportRows::Slots(vec![row]) },
        ),
        (
            "import chunk members",
            Command::ImportChunk {
                import: 77,
                rows: ImportRows::Members(vec![PersonKey([0xdd; 16])]),
            },
        ),
        ("import commit", Command::ImportCommit { import: 77, rows: 1, hash: [0xab; 32] }),
        ("set capacity", Command::SetCapacity { slot, capacity: 300 }),
        (
            "attend",
            Command::Attend {
                rows: vec![Attendance {
                    booking: BookingNumber(5),
                    attended_at: Millis(1_626_148_800_000),
                }],
            },
        ),
        (
            "correct roster",
            Command::CorrectRoster {
                roster_version: 5,
                rows: vec![(PersonKey([0xee; 16]), Day(-3_652))],
            },
        ),
        ("supersede", Command::Supersede { roster_version: 6, keys: vec![PersonKey([0xdd; 16])] }),
        ("pulse", Command::Pulse { epoch: 3 }),
        ("epoch", Command::Epoch { epoch: 4, engine: [0x77; 16] }),
        ("activate rules", Command::ActivateRules { version: 2 }),
    ]
}

/// One sample of every kind of event.
pub(crate) fn events() -> Vec<(&'static str, Event)> {
    let person = PersonNumber(0x0a0b_0c0d);
    let (period, slot) = (PERIOD, SLOT);
    let (key, fingerprint) = (RETRY.key, RETRY.fingerprint);
    let booking = BookingNumber(5);
    let first = Sequence(6);
    let intent = INTENT;
    let sealed = vec![1, 2, 3, 250];
    let vaccines = VaccineSet(0b1);
    let put = Slot {
        site: SiteNumber(1),
        day: Day(18_821),
        start_minute: 540,
        end_minute: 570,
        vaccine: VaccineNumber(0),
        capacity: 50,
    };
    vec![
        ("numbered", Event::Numbered { person, key: PersonKey([0xee; 16]) }),
        ("confirmed", Event::Confirmed { person, period, key, fingerprint, booking, slot }),
        (
            "changed",
            Event::Changed {
                person,
                period,
                key,
                fingerprint,
                booking,
                from: slot,
                to: SlotNumber(124),
            },
        ),
        ("cancelled", Event::Cancelled { person, period, key, fingerprint, booking, slot }),
        (
            "rejected",
            Event::Rejected { person, period, key, fingerprint, reason: Rejection::SlotFull },
        ),
        ("repeated", Event::Repeated { person, period, key, first }),
        ("key reused", Event::KeyReused { person, period, key, first }),
        ("attended", Event::Attended { person, booking, attended_at: Millis(1_626_148_800_000) }),
        ("no-show", Event::NoShow { person, booking }),
        (
            "registered",
            Event::Registered {
                person,
                key,
                fingerprint,
                serial: 1,
                born_on: Day(-3_653),
                intent,
                sealed: sealed.clone(),
            },
        ),
        ("already registered", Event::AlreadyRegistered { person, key, fingerprint }),
        (
            "modified",
            Event::Modified { person, key, fingerprint, born_on: Day(-3_653), intent, sealed },
        ),
        ("withdrawn", Event::Withdrawn { person, key, fingerprint, serial: 1 }),
        ("category put", Event::CategoryPut { category: sample_category(), vaccines }),
        ("period put", Event::PeriodPut { period: sample_period(), vaccines }),
        ("vaccine named", Event::VaccineNamed { vaccine: VaccineNumber(1), name: "AZ".into() }),
        ("import staged", Event::ImportStaged { import: 77, rows: 3 }),
        ("sites put", Event::SitesPut { sites: vec![(SiteNumber(1), sample_site())] }),
        ("slots put", Event::SlotsPut { slots: vec![(slot, put)] }),
        ("members put", Event::MembersPut { category: CategoryNumber(9), people: vec![person] }),
        ("import committed", Event::ImportCommitted { import: 77, rows: 3, added: 2 }),
        ("import voided", Event::ImportVoided { import: 77 }),
        ("capacity set", Event::CapacitySet { slot, capacity: 300 }),
        ("birth corrected", Event::BirthCorrected { person, born_on: Day(-3_652) }),
        (
            "operator refused",
            Event::OperatorRefused { row: 2, reason: OperatorRefusal::UnknownSite },
        ),
        ("epoch began", Event::EpochBegan { epoch: 4 }),
        ("rules activated", Event::RulesActivated { version: 2 }),
        ("malformed", Event::Malformed),
    ]
}
