//! The bytes of the journal: as every released version wrote them, and against damage.
//!
//! `golden/format-1.txt` holds one line a sample: its name and its bytes. A released line never
//! changes; a new kind adds a line.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/any.rs"]
mod any;
mod support;

use domain::codec::{
    DecodeError, EventGroup, EventGroupWriter, FORMAT, INSTANT_MAX, decode_command, encode_command,
};
use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const GOLDEN: &str = include_str!("golden/format-1.txt");

/// Records tried in each random test.
const RANDOM_RECORDS: usize = 20_000;

#[test]
fn every_kind_of_command_has_the_bytes_it_always_had() {
    let mut strange = Vec::new();
    for (name, command) in commands() {
        let envelope = Envelope { origin: Origin(0x0102_0304_0506_0708), command };
        let mut bytes = Vec::new();
        encode_command(&envelope, &mut bytes);
        strange.extend(strange_line(&format!("command {name}"), &bytes));
        assert_eq!(decode_command(&bytes), Ok(envelope), "{name}");
    }
    assert_none(&strange);
}

#[test]
fn every_kind_of_event_has_the_bytes_it_always_had() {
    let mut strange = Vec::new();
    for (name, event) in events() {
        let events = [event];
        let bytes = group(&[&events]);
        strange.extend(strange_line(&format!("event {name}"), &bytes));
        let read = EventGroup::decode(&bytes).unwrap();
        assert_eq!((read.first, read.count, read.last()), (Sequence(7), 1, Sequence(7)), "{name}");
        assert_eq!((read.at, read.chain), (Millis(1_626_148_800_000), [0xcc; 32]), "{name}");
        let commands: Vec<_> = read.commands().map(Result::unwrap).collect();
        assert_eq!(commands[0].events, events, "{name}");
        assert_eq!(commands[0].origin, Origin(0xA0), "{name}");
    }
    assert_none(&strange);
}

#[test]
fn every_golden_line_belongs_to_a_sample() {
    let known: Vec<String> = commands()
        .iter()
        .map(|(name, _)| format!("command {name}"))
        .chain(events().iter().map(|(name, _)| format!("event {name}")))
        .collect();
    for line in GOLDEN.lines() {
        let name = line.split(':').next().unwrap();
        assert!(known.iter().any(|sample| sample == name), "no sample makes the line {name:?}");
    }
}

#[test]
fn a_booking_by_number_is_36_bytes() {
    let (_, command) = commands().swap_remove(0);
    let mut bytes = Vec::new();
    encode_command(&Envelope { origin: Origin(1), command }, &mut bytes);
    assert_eq!(bytes.len(), 36);
}

#[test]
fn commands_come_back_as_they_were() {
    let mut rng = support::seeded("commands_come_back_as_they_were");
    let mut bytes = Vec::new();
    for _ in 0..RANDOM_RECORDS {
        let envelope = any::envelope(&mut rng);
        bytes.clear();
        encode_command(&envelope, &mut bytes);
        assert_eq!(decode_command(&bytes).as_ref(), Ok(&envelope));
    }
}

#[test]
fn event_groups_come_back_as_they_were() {
    let mut rng = support::seeded("event_groups_come_back_as_they_were");
    let mut writer = EventGroupWriter::new(Sequence(1), Millis(0));
    for _ in 0..RANDOM_RECORDS / 10 {
        let first = Sequence(rng.random_range(1..u64::MAX / 2));
        let at = Millis(rng.random_range(0..=INSTANT_MAX.0));
        writer.restart(first, at);
        let sizes: Vec<usize> = (0..rng.random_range(0..6)).map(|_| size(&mut rng)).collect();
        let mut written = Vec::new();
        for events in sizes {
            let origin = Origin(rng.random());
            let events: Vec<Event> = (0..events).map(|_| any::event(&mut rng)).collect();
            writer.command(origin, &events);
            written.push((origin, events));
        }
        let mut bytes = Vec::new();
        writer.finish([9; 32], &mut bytes);
        assert_group(&bytes, first, at, &written);
    }
}

#[test]
fn a_record_cut_off_at_any_byte_is_malformed() {
    for (name, command) in commands() {
        let mut bytes = Vec::new();
        encode_command(&Envelope { origin: Origin(5), command }, &mut bytes);
        for length in 0..bytes.len() {
            let read = decode_command(&bytes[..length]);
            assert!(matches!(read, Err(DecodeError::Malformed(_))), "{name} cut at {length}");
        }
        bytes.push(0);
        let read = decode_command(&bytes);
        assert!(matches!(read, Err(DecodeError::Malformed(_))), "{name} with a byte too many");
    }
    for (name, event) in events() {
        let mut bytes = group(&[&[event]]);
        for length in 0..bytes.len() {
            assert!(read_whole(&bytes[..length]).is_err(), "{name} cut at {length}");
        }
        bytes.push(0);
        assert!(read_whole(&bytes).is_err(), "{name} with a byte too many");
    }
}

#[test]
fn damaged_and_random_bytes_never_panic() {
    let mut rng = support::seeded("damaged_and_random_bytes_never_panic");
    let mut refused = 0;
    for _ in 0..RANDOM_RECORDS {
        let mut bytes = Vec::new();
        encode_command(&any::envelope(&mut rng), &mut bytes);
        damage(&mut rng, &mut bytes);
        refused += usize::from(decode_command(&bytes).is_err());
        let events: Vec<Event> = (0..3).map(|_| any::event(&mut rng)).collect();
        let mut bytes = group(&[&events, &events[..1]]);
        damage(&mut rng, &mut bytes);
        refused += usize::from(read_whole(&bytes).is_err());
        let noise: Vec<u8> = (0..rng.random_range(0..200)).map(|_| rng.random()).collect();
        refused += usize::from(decode_command(&noise).is_err());
        refused += usize::from(read_whole(&noise).is_err());
    }
    assert!(refused > RANDOM_RECORDS, "damage was noticed {refused} times only");
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let newer = DecodeError::NewerFormat { found: FORMAT + 1, known: FORMAT };
    let (_, command) = commands().swap_remove(0);
    let mut bytes = Vec::new();
    encode_command(&Envelope { origin: Origin(1), command }, &mut bytes);
    bytes[0] = FORMAT + 1;
    assert_eq!(decode_command(&bytes), Err(newer));
    assert_eq!(decode_command(&[FORMAT + 1]), Err(newer));
    let mut bytes = group(&[&[Event::Malformed]]);
    bytes[0] = FORMAT + 1;
    assert_eq!(read_whole(&bytes), Err(newer));
    bytes[0] = 0;
    assert!(matches!(read_whole(&bytes), Err(DecodeError::Malformed(_))));
    assert!(matches!(decode_command(&[]), Err(DecodeError::Malformed(_))));
}

#[test]
fn a_claimed_length_beyond_the_bytes_is_refused_without_believing_it() {
    // A roster correction that claims 2^32 - 1 rows, a chunk that claims as many members.
    for head in [&[FORMAT, 39][..], &[FORMAT, 35][..]] {
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(&[0; 8]);
        bytes.push(1);
        bytes.push(if head[1] == 35 { 2 } else { 0 });
        bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(decode_command(&bytes), Err(DecodeError::Malformed(_))));
    }
    // A group of one command that claims 2^32 - 1 events, and one of 2^32 - 1 commands.
    let mut bytes = group(&[&[]]);
    let last = bytes.len() - 1;
    bytes[last] = 255;
    bytes.extend_from_slice(&[0xff; 4]);
    assert!(read_whole(&bytes).is_err());
    let mut bytes = group(&[&[]]);
    bytes[9..13].fill(0xff);
    assert!(EventGroup::decode(&bytes).is_err());
}

#[test]
fn instants_outside_the_years_1_to_9999_are_malformed() {
    for attended_at in [Millis(i64::MIN), Millis(i64::MAX), Millis(INSTANT_MAX.0 + 1)] {
        let rows = vec![Attendance { booking: BookingNumber(1), attended_at }];
        let mut bytes = Vec::new();
        let command = Command::Attend { rows };
        encode_command(&Envelope { origin: Origin(0), command }, &mut bytes);
        assert!(matches!(decode_command(&bytes), Err(DecodeError::Malformed(_))));
        let event =
            Event::Attended { person: PersonNumber(1), booking: BookingNumber(1), attended_at };
        assert!(read_whole(&group(&[&[event]])).is_err());
    }
}

/// The line that a sample makes, if it is not among the golden ones.
fn strange_line(name: &str, bytes: &[u8]) -> Option<String> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{name}: {hex}");
    (!GOLDEN.lines().any(|known| known == line)).then_some(line)
}

fn assert_none(strange: &[String]) {
    let lines = strange.join("\n");
    assert!(strange.is_empty(), "released bytes never change; a new kind adds a line:\n{lines}");
}

fn assert_group(bytes: &[u8], first: Sequence, at: Millis, written: &[(Origin, Vec<Event>)]) {
    let read = EventGroup::decode(bytes).unwrap();
    assert_eq!((read.first, read.at, read.count as usize), (first, at, written.len()));
    let mut shown = Vec::new();
    read.for_each(|sequence, origin, index, event| {
        shown.push((sequence, origin, index, event.clone()));
    })
    .unwrap();
    let mut expected = Vec::new();
    let mut commands = read.commands();
    for (place, (origin, events)) in written.iter().enumerate() {
        let sequence = Sequence(first.0 + place as u64);
        let command = commands.next().unwrap().unwrap();
        assert_eq!((command.sequence, command.origin), (sequence, *origin));
        assert_eq!(&command.events, events);
        for (index, event) in events.iter().enumerate() {
            expected.push((sequence, *origin, index as u32, event.clone()));
        }
    }
    assert!(commands.next().is_none());
    assert_eq!(shown, expected);
}

/// Mostly few events, sometimes around the border of one byte.
fn size(rng: &mut ChaCha8Rng) -> usize {
    match rng.random_range(0..100) {
        0 => rng.random_range(253..258),
        _ => rng.random_range(0..4),
    }
}

fn damage(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(1..4) {
        let place = rng.random_range(0..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes[place] = rng.random(),
            1 => bytes[place] ^= 1 << rng.random_range(0..8),
            2 => bytes.truncate(place.max(1)),
            _ => bytes.insert(place, rng.random()),
        }
    }
}

fn group(commands: &[&[Event]]) -> Vec<u8> {
    let mut writer = EventGroupWriter::new(Sequence(7), Millis(1_626_148_800_000));
    for events in commands {
        writer.command(Origin(0xA0), events);
    }
    let mut bytes = Vec::new();
    writer.finish([0xcc; 32], &mut bytes);
    bytes
}

/// Reads a group to its end both ways, which must agree.
fn read_whole(bytes: &[u8]) -> Result<usize, DecodeError> {
    let group = EventGroup::decode(bytes)?;
    let mut count = 0;
    let shown = group.for_each(|_, _, _, _| count += 1);
    let listed: Result<Vec<_>, _> = group.commands().collect();
    assert_eq!(shown.is_ok(), listed.is_ok());
    let listed = listed?;
    assert_eq!(listed.iter().map(|command| command.events.len()).sum::<usize>(), count);
    Ok(count)
}

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

fn commands() -> Vec<(&'static str, Command)> {
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
        ("pulse", Command::Pulse { epoch: 3 }),
        ("epoch", Command::Epoch { epoch: 4, engine: [0x77; 16] }),
        ("activate rules", Command::ActivateRules { version: 2 }),
    ]
}

fn events() -> Vec<(&'static str, Event)> {
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
