//! Commands and events with any contents that a record may have.

use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How many kinds of commands there are.
pub(crate) const COMMAND_KINDS: u32 = 19;

/// How many kinds of events there are.
pub(crate) const EVENT_KINDS: u32 = 28;

fn bytes<const N: usize>(rng: &mut ChaCha8Rng) -> [u8; N] {
    std::array::from_fn(|_| rng.random())
}

/// Small numbers, the borders and everything between are all likely.
fn word(rng: &mut ChaCha8Rng) -> u64 {
    match rng.random_range(0..4) {
        0 => rng.random_range(0..4),
        1 => u64::MAX - rng.random_range(0..4),
        _ => rng.random::<u64>() >> rng.random_range(0..64),
    }
}

fn text(rng: &mut ChaCha8Rng) -> String {
    const LETTERS: [char; 8] = ['a', 'Z', '0', '臺', '北', '\u{0}', '🩹', 'ñ'];
    let length = rng.random_range(0..12);
    (0..length).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]).collect()
}

fn list<T>(rng: &mut ChaCha8Rng, mut item: impl FnMut(&mut ChaCha8Rng) -> T) -> Vec<T> {
    let length = rng.random_range(0..5);
    (0..length).map(|_| item(rng)).collect()
}

fn maybe<T>(rng: &mut ChaCha8Rng, item: impl FnOnce(&mut ChaCha8Rng) -> T) -> Option<T> {
    if rng.random() { Some(item(rng)) } else { None }
}

fn instant(rng: &mut ChaCha8Rng) -> Millis {
    let (first, last) = (codec::INSTANT_MIN.0, codec::INSTANT_MAX.0);
    Millis(match rng.random_range(0..4) {
        0 => first,
        1 => last,
        _ => rng.random_range(first..=last),
    })
}

fn day(rng: &mut ChaCha8Rng) -> Day {
    Day(rng.random_range(-700_000..2_900_000))
}

fn person(rng: &mut ChaCha8Rng) -> PersonRef {
    if rng.random() {
        PersonRef::Number(PersonNumber(word(rng) as u32))
    } else {
        PersonRef::Key(PersonKey(bytes(rng)))
    }
}

fn retry(rng: &mut ChaCha8Rng) -> RetryKey {
    RetryKey { key: KeyHash(word(rng)), fingerprint: Fingerprint(word(rng)) }
}

fn attested(rng: &mut ChaCha8Rng) -> Attested {
    Attested { born_on: day(rng), roster_version: word(rng) as u32 }
}

fn intent(rng: &mut ChaCha8Rng) -> Intent {
    Intent {
        county: CountyNumber(word(rng) as u8),
        district: DistrictNumber(word(rng) as u16),
        vaccines: VaccineSet(word(rng) as u16),
        language: LanguageNumber(word(rng) as u8),
    }
}

fn sealed(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let length = rng.random_range(0..300);
    (0..length).map(|_| rng.random()).collect()
}

fn names(rng: &mut ChaCha8Rng) -> Names {
    list(rng, |rng| (text(rng), text(rng)))
}

fn category(rng: &mut ChaCha8Rng) -> Category {
    Category {
        number: CategoryNumber(word(rng) as u16),
        names: names(rng),
        born_on_or_before: maybe(rng, day),
        members: rng.random(),
        opens_at: instant(rng),
        closes_at: maybe(rng, instant),
        vaccines: list(rng, text),
    }
}

fn period(rng: &mut ChaCha8Rng) -> Period {
    Period {
        number: PeriodNumber(word(rng) as u16),
        names: names(rng),
        vaccines: list(rng, text),
        registered_before: maybe(rng, instant),
        counties: maybe(rng, |rng| list(rng, |rng| CountyNumber(rng.random()))),
        categories: maybe(rng, |rng| list(rng, |rng| CategoryNumber(rng.random()))),
        born_on_or_before: maybe(rng, day),
        opens_at: instant(rng),
        closes_at: instant(rng),
        openings: list(rng, |rng| Opening {
            born_on_or_before: maybe(rng, day),
            opens_at: instant(rng),
        }),
        identity_methods: list(rng, text),
    }
}

fn site(rng: &mut ChaCha8Rng) -> Site {
    Site {
        id: text(rng),
        name_zh: text(rng),
        name_en: text(rng),
        county: CountyNumber(rng.random()),
        district: DistrictNumber(rng.random()),
        address: text(rng),
        kind: text(rng),
    }
}

fn slot_row(rng: &mut ChaCha8Rng) -> SlotRow {
    SlotRow {
        site: SiteNumber(word(rng) as u32),
        day: Day(rng.random()),
        start_minute: rng.random(),
        end_minute: rng.random(),
        vaccine: rng.random(),
        capacity: word(rng) as u32,
    }
}

fn slot(rng: &mut ChaCha8Rng) -> Slot {
    Slot {
        site: SiteNumber(word(rng) as u32),
        day: day(rng),
        start_minute: rng.random(),
        end_minute: rng.random(),
        vaccine: VaccineNumber(rng.random_range(0..16)),
        capacity: word(rng) as u32,
    }
}

/// Rows of an import.
pub(crate) fn rows(rng: &mut ChaCha8Rng) -> ImportRows {
    match rng.random_range(0..3) {
        0 => ImportRows::Sites(list(rng, site)),
        1 => ImportRows::Slots(list(rng, slot_row)),
        _ => ImportRows::Members(list(rng, |rng| PersonKey(bytes(rng)))),
    }
}

/// A record of any kind.
pub(crate) fn envelope(rng: &mut ChaCha8Rng) -> Envelope {
    let kind = rng.random_range(0..COMMAND_KINDS);
    Envelope { origin: Origin(word(rng)), command: command(rng, kind) }
}

/// A command of the kind.
pub(crate) fn command(rng: &mut ChaCha8Rng, kind: u32) -> Command {
    match kind {
        0 => Command::Book {
            person: person(rng),
            period: PeriodNumber(word(rng) as u16),
            slot: SlotNumber(word(rng) as u32),
            retry: retry(rng),
        },
        1 => Command::Move {
            person: person(rng),
            period: PeriodNumber(word(rng) as u16),
            slot: SlotNumber(word(rng) as u32),
            retry: retry(rng),
        },
        2 => Command::Cancel {
            person: person(rng),
            period: PeriodNumber(word(rng) as u16),
            retry: retry(rng),
        },
        3 => Command::Register {
            person: PersonKey(bytes(rng)),
            attested: attested(rng),
            intent: intent(rng),
            sealed: sealed(rng),
            retry: retry(rng),
        },
        4 => Command::Modify {
            person: person(rng),
            attested: attested(rng),
            intent: intent(rng),
            sealed: sealed(rng),
            retry: retry(rng),
        },
        5 => Command::Withdraw { person: person(rng), retry: retry(rng) },
        6 => Command::PutCategory(category(rng)),
        7 => Command::PutPeriod(period(rng)),
        8 => Command::ImportBegin { import: word(rng), kind: ImportKind::Sites },
        9 => Command::ImportBegin {
            import: word(rng),
            kind: ImportKind::Slots { vaccines: list(rng, text) },
        },
        10 => Command::ImportBegin {
            import: word(rng),
            kind: ImportKind::Members { category: CategoryNumber(word(rng) as u16) },
        },
        11 => Command::ImportChunk { import: word(rng), rows: rows(rng) },
        12 => Command::ImportCommit { import: word(rng), rows: word(rng) as u32, hash: bytes(rng) },
        13 => {
            Command::SetCapacity { slot: SlotNumber(word(rng) as u32), capacity: word(rng) as u32 }
        }
        14 => Command::Attend {
            rows: list(rng, |rng| Attendance {
                booking: BookingNumber(word(rng) as u32),
                attended_at: instant(rng),
            }),
        },
        15 => Command::CorrectRoster {
            roster_version: word(rng) as u32,
            rows: list(rng, |rng| (PersonKey(bytes(rng)), day(rng))),
        },
        16 => Command::Supersede {
            roster_version: word(rng) as u32,
            keys: list(rng, |rng| PersonKey(bytes(rng))),
        },
        17 => Command::Pulse { epoch: word(rng) },
        _ if rng.random() => Command::Epoch { epoch: word(rng), engine: bytes(rng) },
        _ => Command::ActivateRules { version: word(rng) as u32 },
    }
}

/// An event of any kind.
pub(crate) fn event(rng: &mut ChaCha8Rng) -> Event {
    let kind = rng.random_range(0..EVENT_KINDS);
    if kind < 9 { hot_event(rng, kind) } else { cold_event(rng, kind) }
}

fn hot_event(rng: &mut ChaCha8Rng, kind: u32) -> Event {
    let person = PersonNumber(word(rng) as u32);
    let period = PeriodNumber(word(rng) as u16);
    let key = KeyHash(word(rng));
    let fingerprint = Fingerprint(word(rng));
    let booking = BookingNumber(word(rng) as u32);
    let slot = SlotNumber(word(rng) as u32);
    let first = Sequence(word(rng));
    match kind {
        0 => Event::Numbered { person, key: PersonKey(bytes(rng)) },
        1 => Event::Confirmed { person, period, key, fingerprint, booking, slot },
        2 => Event::Changed {
            person,
            period,
            key,
            fingerprint,
            booking,
            from: slot,
            to: SlotNumber(word(rng) as u32),
        },
        3 => Event::Cancelled { person, period, key, fingerprint, booking, slot },
        4 => Event::Rejected {
            person,
            period,
            key,
            fingerprint,
            reason: Rejection::ALL[rng.random_range(0..Rejection::ALL.len())],
        },
        5 => Event::Repeated { person, period, key, first },
        6 => Event::KeyReused { person, period, key, first },
        7 => Event::Attended { person, booking, attended_at: instant(rng) },
        _ => Event::NoShow { person, booking },
    }
}

fn cold_event(rng: &mut ChaCha8Rng, kind: u32) -> Event {
    let person = PersonNumber(word(rng) as u32);
    let key = KeyHash(word(rng));
    let fingerprint = Fingerprint(word(rng));
    let import = word(rng);
    match kind {
        9 => Event::Registered {
            person,
            key,
            fingerprint,
            serial: word(rng) as u32,
            born_on: day(rng),
            intent: intent(rng),
            sealed: sealed(rng),
        },
        10 => Event::AlreadyRegistered { person, key, fingerprint },
        11 => Event::Modified {
            person,
            key,
            fingerprint,
            born_on: day(rng),
            intent: intent(rng),
            sealed: sealed(rng),
        },
        12 => Event::Withdrawn { person, key, fingerprint, serial: word(rng) as u32 },
        13 => {
            Event::CategoryPut { category: category(rng), vaccines: VaccineSet(word(rng) as u16) }
        }
        14 => Event::PeriodPut { period: period(rng), vaccines: VaccineSet(word(rng) as u16) },
        15 => {
            Event::VaccineNamed { vaccine: VaccineNumber(rng.random_range(0..16)), name: text(rng) }
        }
        16 => Event::ImportStaged { import, rows: word(rng) as u32 },
        17 => Event::SitesPut { sites: list(rng, |rng| (SiteNumber(rng.random()), site(rng))) },
        18 => Event::SlotsPut { slots: list(rng, |rng| (SlotNumber(rng.random()), slot(rng))) },
        19 => Event::MembersPut {
            category: CategoryNumber(rng.random()),
            people: list(rng, |rng| PersonNumber(rng.random())),
        },
        20 => Event::ImportCommitted { import, rows: word(rng) as u32, added: word(rng) as u32 },
        21 => Event::ImportVoided { import },
        22 => Event::CapacitySet { slot: SlotNumber(word(rng) as u32), capacity: word(rng) as u32 },
        23 => Event::BirthCorrected { person, born_on: day(rng) },
        24 => Event::OperatorRefused {
            row: word(rng) as u32,
            reason: OperatorRefusal::ALL[rng.random_range(0..OperatorRefusal::ALL.len())],
        },
        25 => Event::EpochBegan { epoch: word(rng) },
        26 => Event::RulesActivated { version: word(rng) as u32 },
        _ => Event::Malformed,
    }
}
