//! Writes one long journal by seed: thousands of people over some weeks, without looking at what came of
//! anything, as the authors of real commands do.

use domain::codec::import_hash;
use domain::time::DAY_MS;
use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// When, and what; `None` stands for a record that is no command.
pub(crate) type Entry = (Millis, Option<Envelope>);

/// What must come of a long journal.
pub(crate) const EXPECTED: &[&str] = &[
    "Numbered",
    "Confirmed",
    "Changed",
    "Cancelled",
    "Registered",
    "AlreadyRegistered",
    "Modified",
    "Withdrawn",
    "Repeated",
    "KeyReused",
    "Attended",
    "NoShow",
    "CategoryPut",
    "PeriodPut",
    "VaccineNamed",
    "ImportStaged",
    "SitesPut",
    "SlotsPut",
    "MembersPut",
    "ImportCommitted",
    "ImportVoided",
    "CapacitySet",
    "BirthCorrected",
    "OperatorRefused",
    "EpochBegan",
    "Malformed",
    "Rejected too_many_keys",
    "Rejected unknown_period",
    "Rejected not_registered",
    "Rejected not_eligible",
    "Rejected window_not_open",
    "Rejected window_closed",
    "Rejected barred_until_next_period",
    "Rejected has_booking",
    "Rejected category_closed",
    "Rejected no_booking",
    "Rejected already_booked",
    "Rejected unknown_slot",
    "Rejected wrong_vaccine",
    "Rejected slot_past",
    "Rejected slot_full",
];

const FIRST_DAY: Day = Day(18_818);
const HOUR_MS: i64 = 3_600_000;
const DAYS: i32 = 28;
const SITES: u32 = 12;
const PERIODS: u16 = 8;
const PEOPLE: u64 = 4_000;
const VACCINES: [&str; 3] = ["AZ", "Moderna", "BNT"];

/// Writes so many commands.
pub(crate) fn write(rng: &mut ChaCha8Rng, commands: usize) -> Vec<Entry> {
    let mut author = Author {
        rng,
        entries: Vec::with_capacity(commands + 64),
        now: FIRST_DAY.starts_at(),
        step_ms: i64::from(DAYS) * DAY_MS / commands as i64,
        keys: 1,
        imports: 0,
        epoch: 0,
        roster_version: 1,
        slots: 0,
        asked: Vec::new(),
    };
    author.open();
    while author.entries.len() < commands {
        author.next();
    }
    author.entries.truncate(commands);
    author.entries
}

/// What the authors of commands know together.
struct Author<'a> {
    rng: &'a mut ChaCha8Rng,
    entries: Vec<Entry>,
    now: Millis,
    /// How far the time goes with each command, about half of it.
    step_ms: i64,
    /// Retry keys used so far.
    keys: u64,
    imports: u64,
    epoch: u64,
    roster_version: u32,
    /// Slots imported so far, if all went well.
    slots: u32,
    /// Who asked for a booking, and in which period.
    asked: Vec<(PersonRef, PeriodNumber)>,
}

impl Author<'_> {
    fn put(&mut self, command: Command) {
        let origin = Origin(self.rng.random());
        self.entries.push((self.now, Some(Envelope { origin, command })));
    }

    /// A world in which something can be booked.
    fn open(&mut self) {
        self.epoch += 1;
        self.put(Command::Epoch { epoch: 1, engine: [1; 16] });
        for number in 1..=3 {
            let category = self.category(number);
            self.put(Command::PutCategory(category));
        }
        for number in 1..=PERIODS {
            let period = self.period(number);
            self.put(Command::PutPeriod(period));
        }
        let sites = (0..SITES).map(site).collect();
        self.import(ImportKind::Sites, vec![ImportRows::Sites(sites)]);
        for _ in 0..20 {
            self.import_slots();
        }
        for person in 0..PEOPLE * 3 / 4 {
            self.tell_intent_of(key_of(person));
        }
    }

    fn next(&mut self) {
        self.now.0 += self.rng.random_range(0..=2 * self.step_ms);
        match self.rng.random_range(0..1_000) {
            0..2 => self.entries.push((self.now, None)),
            2..4 => self.late(),
            4..24 => self.put_pulse(),
            24..60 => self.operate(),
            60..160 => self.tell_intent(),
            200..230 => self.repeat(),
            230..232 => self.ask_often(),
            232..350 => self.change(),
            _ => self.ask(),
        }
    }

    /// A clock that was set back must not matter.
    fn late(&mut self) {
        let at = Millis(self.now.0 - HOUR_MS);
        let command = Command::Pulse { epoch: self.epoch };
        self.entries.push((at, Some(Envelope { origin: Origin(0), command })));
    }

    fn put_pulse(&mut self) {
        if self.rng.random_ratio(1, 40) {
            let epoch = self.epoch + u64::from(self.rng.random_ratio(1, 2));
            self.epoch = epoch;
            self.put(Command::Epoch { epoch, engine: [epoch as u8; 16] });
        }
        let epoch = self.epoch - u64::from(self.rng.random_ratio(1, 20));
        self.put(Command::Pulse { epoch });
    }

    fn operate(&mut self) {
        match self.rng.random_range(0..100) {
            0..3 => {
                let number = self.rng.random_range(0..=4);
                let category = self.category(number);
                self.put(Command::PutCategory(category));
            }
            3..8 => {
                let number = self.rng.random_range(0..=PERIODS);
                let period = self.period(number);
                self.put(Command::PutPeriod(period));
            }
            8..10 => self.import_slots(),
            10..14 => self.import_members(),
            14..18 => self.import_carelessly(),
            18..40 => {
                let slot = SlotNumber(self.rng.random_range(0..=self.slots));
                let capacity = self.rng.random_range(0..12);
                self.put(Command::SetCapacity { slot, capacity });
            }
            40..48 => self.correct(),
            48..50 => self.supersede(),
            50..51 => self.put(Command::ActivateRules { version: 1 }),
            _ => self.attend(),
        }
    }

    fn tell_intent(&mut self) {
        let person = self.person_key();
        self.tell_intent_of(person);
    }

    fn tell_intent_of(&mut self, person: PersonKey) {
        let intent = Intent {
            county: CountyNumber(self.rng.random_range(0..4)),
            district: DistrictNumber(self.rng.random_range(0..300)),
            vaccines: VaccineSet(self.rng.random_range(1..8) | self.rng.random_range(1..8)),
            language: LanguageNumber(self.rng.random_range(0..4)),
        };
        let attested = Attested {
            born_on: Day(self.rng.random_range(-100..100)),
            roster_version: self.roster_version - u32::from(self.rng.random_ratio(1, 3)),
        };
        let sealed = vec![self.rng.random(); self.rng.random_range(0..40)];
        let (who, retry) = (self.person(), self.retry());
        let command = match self.rng.random_range(0..10) {
            0..6 => Command::Register { person, attested, intent, sealed, retry },
            6..8 => Command::Modify { person: who, attested, intent, sealed, retry },
            _ => Command::Withdraw { person: who, retry },
        };
        self.put(command);
    }

    fn ask(&mut self) {
        let person = self.person();
        self.ask_for(person);
    }

    fn ask_for(&mut self, person: PersonRef) {
        let period = match self.rng.random_range(0..50) {
            0 => PeriodNumber(0),
            1 => PeriodNumber(PERIODS + 1),
            _ => PeriodNumber(self.rng.random_range(1..=PERIODS)),
        };
        let slot = SlotNumber(self.rng.random_range(0..=self.slots));
        let retry = self.retry();
        let command = match self.rng.random_range(0..10) {
            0..8 => {
                self.asked.push((person, period));
                Command::Book { person, period, slot, retry }
            }
            8..9 => Command::Move { person, period, slot, retry },
            _ => Command::Cancel { person, period, retry },
        };
        self.put(command);
    }

    /// Someone who asked for a booking lately wants another slot, or none.
    fn change(&mut self) {
        let lately = self.asked.len().min(300);
        if lately == 0 {
            return;
        }
        let place = self.asked.len() - 1 - self.rng.random_range(0..lately);
        let (person, period) = self.asked[place];
        let slot = SlotNumber(self.rng.random_range(0..self.slots));
        let retry = self.retry();
        let command = match self.rng.random_range(0..3) {
            0 => Command::Cancel { person, period, retry },
            _ => Command::Move { person, period, slot, retry },
        };
        self.put(command);
    }

    /// One of a few people who ask again and again.
    fn ask_often(&mut self) {
        let person = PersonRef::Key(key_of(self.rng.random_range(0..2)));
        for _ in 0..30 {
            self.ask_for(person);
        }
    }

    /// A client sends again what it sent a while ago, now and then with another body.
    fn repeat(&mut self) {
        let place = self.entries.len() - 1 - self.rng.random_range(0..self.entries.len().min(500));
        let Some(mut envelope) = self.entries[place].1.clone() else {
            return;
        };
        if self.rng.random_ratio(1, 4) {
            match &mut envelope.command {
                Command::Book { retry, .. }
                | Command::Move { retry, .. }
                | Command::Cancel { retry, .. }
                | Command::Register { retry, .. }
                | Command::Modify { retry, .. }
                | Command::Withdraw { retry, .. } => retry.fingerprint.0 ^= 1,
                _ => {}
            }
        }
        self.put(envelope.command);
    }

    fn attend(&mut self) {
        let count = self.rng.random_range(1..20);
        let rows = (0..count)
            .map(|_| Attendance {
                booking: BookingNumber(self.rng.random_range(0..self.asked.len() as u32 / 16 + 10)),
                attended_at: Millis(self.now.0 - self.rng.random_range(0..3) * DAY_MS),
            })
            .collect();
        self.put(Command::Attend { rows });
    }

    fn correct(&mut self) {
        self.roster_version += 1;
        let count = self.rng.random_range(1..10);
        let rows = (0..count)
            .map(|_| (self.person_key(), Day(self.rng.random_range(-100..100))))
            .collect();
        let roster_version = self.roster_version - u32::from(self.rng.random_ratio(1, 4));
        self.put(Command::CorrectRoster { roster_version, rows });
    }

    fn supersede(&mut self) {
        self.roster_version += 1;
        let count = self.rng.random_range(1..4);
        let keys = (0..count).map(|_| self.person_key()).collect();
        let roster_version = self.roster_version - u32::from(self.rng.random_ratio(1, 4));
        self.put(Command::Supersede { roster_version, keys });
    }

    fn import(&mut self, kind: ImportKind, chunks: Vec<ImportRows>) {
        self.imports += 1;
        let import = self.imports;
        let rows = chunks.iter().map(count).sum();
        let hash = import_hash(&chunks);
        self.put(Command::ImportBegin { import, kind });
        for rows in chunks {
            self.put(Command::ImportChunk { import, rows });
        }
        self.put(Command::ImportCommit { import, rows, hash });
    }

    fn import_slots(&mut self) {
        let rows: Vec<SlotRow> = (0..60)
            .map(|_| {
                let start_minute = self.rng.random_range(480..1_000) / 30 * 30;
                SlotRow {
                    site: SiteNumber(self.rng.random_range(0..SITES)),
                    day: Day(FIRST_DAY.0 + self.rng.random_range(0..DAYS + 5)),
                    start_minute,
                    end_minute: start_minute + 30,
                    vaccine: self.rng.random_range(0..VACCINES.len()) as u8,
                    capacity: self.rng.random_range(1..10),
                }
            })
            .collect();
        self.slots += rows.len() as u32;
        let vaccines = VACCINES.map(String::from).to_vec();
        let chunks = rows.chunks(25).map(|rows| ImportRows::Slots(rows.to_vec())).collect();
        self.import(ImportKind::Slots { vaccines }, chunks);
    }

    fn import_members(&mut self) {
        let keys = (0..50).map(|_| self.person_key()).collect();
        let category = CategoryNumber(self.rng.random_range(1..=3));
        self.import(ImportKind::Members { category }, vec![ImportRows::Members(keys)]);
    }

    /// An import that is left behind, or ends in a wrong hash.
    fn import_carelessly(&mut self) {
        self.imports += 1;
        let import = self.imports;
        let rows = ImportRows::Sites((0..SITES + 3).map(site).collect());
        self.put(Command::ImportBegin { import, kind: ImportKind::Sites });
        self.put(Command::ImportChunk { import, rows });
        if self.rng.random_ratio(1, 2) {
            self.put(Command::ImportCommit { import, rows: SITES + 3, hash: [7; 32] });
        }
    }

    fn category(&mut self, number: u16) -> Category {
        let opens_at = Millis(self.now.0 - 2 * DAY_MS + self.rng.random_range(0..3 * DAY_MS));
        Category {
            number: CategoryNumber(number),
            names: vec![("en".into(), format!("category {number}"))],
            born_on_or_before: self
                .rng
                .random_ratio(2, 3)
                .then(|| Day(self.rng.random_range(0..100))),
            members: self.rng.random_ratio(1, 2),
            opens_at,
            closes_at: self.rng.random_ratio(1, 3).then(|| Millis(opens_at.0 + 9 * DAY_MS)),
            vaccines: VACCINES[..self.rng.random_range(1..=3)]
                .iter()
                .map(|name| name.to_string())
                .collect(),
        }
    }

    fn period(&mut self, number: u16) -> Period {
        let day = self.rng.random_range(0..DAYS * 2 / 3);
        let opens_at = Millis(Day(FIRST_DAY.0 + day).starts_at().0 + 10 * HOUR_MS);
        let opening = |rng: &mut ChaCha8Rng| Opening {
            born_on_or_before: rng.random_ratio(1, 2).then(|| Day(rng.random_range(0..100))),
            opens_at: Millis(opens_at.0 + rng.random_range(0..DAY_MS)),
        };
        let openings =
            (0..self.rng.random_range(0..4) / 2 * 2).map(|_| opening(self.rng)).collect();
        let rarely = |rng: &mut ChaCha8Rng| rng.random_ratio(1, 8);
        Period {
            number: PeriodNumber(number),
            names: Vec::new(),
            vaccines: VACCINES[usize::from(number) % 2..]
                .iter()
                .map(|name| name.to_string())
                .collect(),
            registered_before: rarely(self.rng).then_some(opens_at),
            counties: rarely(self.rng).then(|| vec![CountyNumber(0), CountyNumber(1)]),
            categories: rarely(self.rng)
                .then(|| vec![CategoryNumber(self.rng.random_range(1..=3))]),
            born_on_or_before: rarely(self.rng).then_some(Day(80)),
            opens_at,
            closes_at: Millis(opens_at.0 + self.rng.random_range(5..25) * DAY_MS),
            openings,
            identity_methods: Vec::new(),
        }
    }

    fn person_key(&mut self) -> PersonKey {
        key_of(self.rng.random_range(0..PEOPLE))
    }

    /// By number, as a gateway that follows the events would, or by key.
    fn person(&mut self) -> PersonRef {
        if self.rng.random_ratio(1, 2) {
            PersonRef::Key(self.person_key())
        } else {
            PersonRef::Number(PersonNumber(self.rng.random_range(0..PEOPLE as u32)))
        }
    }

    fn retry(&mut self) -> RetryKey {
        self.keys += 1;
        RetryKey { key: KeyHash(self.keys), fingerprint: Fingerprint(self.rng.random()) }
    }
}

fn key_of(person: u64) -> PersonKey {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(&person.to_le_bytes()).as_bytes()[..16]);
    PersonKey(key)
}

fn site(number: u32) -> Site {
    Site {
        id: format!("site-{number}"),
        name_zh: "站".into(),
        name_en: format!("Site {number}"),
        county: CountyNumber((number % 22) as u8),
        district: DistrictNumber(number as u16),
        address: String::new(),
        kind: "clinic".into(),
    }
}

fn count(rows: &ImportRows) -> u32 {
    match rows {
        ImportRows::Sites(rows) => rows.len() as u32,
        ImportRows::Slots(rows) => rows.len() as u32,
        ImportRows::Members(rows) => rows.len() as u32,
    }
}
