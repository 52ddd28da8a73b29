//! A small installation for the tables of the rules: one site, four slots, category 9, period 2.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::changes::ChangeReader;
use crate::codec::import_hash;
use crate::eligibility::Facts;
use crate::state::State;
use crate::{
    Attendance, Attested, BookingNumber, Category, CategoryNumber, Command, CountyNumber, Day,
    DistrictNumber, Event, Fingerprint, ImportKind, ImportRows, Intent, KeyHash, LanguageNumber,
    Millis, OperatorRefusal, Period, PeriodNumber, PersonKey, PersonNumber, PersonRef, Rejection,
    RetryKey, Site, SiteNumber, SlotNumber, SlotRow, VaccineSet,
};

pub(crate) const ADULT: Day = Day(0);
pub(crate) const TOO_YOUNG: Day = Day(1);

pub(crate) const AZ: VaccineSet = VaccineSet(0b01);
pub(crate) const MODERNA: VaccineSet = VaccineSet(0b10);

pub(crate) const CATEGORY: CategoryNumber = CategoryNumber(9);
pub(crate) const CATEGORY_OPENS_AT: Millis = Day(18_800).starts_at();
pub(crate) const CATEGORY_CLOSES_AT: Millis = Day(18_900).starts_at();

pub(crate) const PERIOD: PeriodNumber = PeriodNumber(2);
pub(crate) const WINDOW_OPENS_AT: Millis = Millis(Day(18_821).starts_at().0 + 10 * 3_600_000);
pub(crate) const WINDOW_CLOSES_AT: Millis = Millis(Day(18_830).starts_at().0 + 17 * 3_600_000);
pub(crate) const BEFORE_WINDOW: Millis = Millis(WINDOW_OPENS_AT.0 - 1);
pub(crate) const AFTER_WINDOW: Millis = WINDOW_CLOSES_AT;

pub(crate) const SLOT_DAY: Day = Day(18_825);
pub(crate) const LATE_SLOT_DAY: Day = Day(18_840);
pub(crate) const SLOT: SlotNumber = SlotNumber(0);
pub(crate) const LATE_SLOT: SlotNumber = SlotNumber(1);
pub(crate) const MODERNA_SLOT: SlotNumber = SlotNumber(2);
pub(crate) const UNKNOWN_SLOT: SlotNumber = SlotNumber(3);
pub(crate) const SLOT_CAPACITY: u32 = 3;
pub(crate) const SLOT_STARTS_AT: Millis = Millis(SLOT_DAY.starts_at().0 + 9 * 3_600_000);

/// Someone's key.
pub(crate) fn key(name: u8) -> PersonKey {
    PersonKey([name; 16])
}

/// The key of one of many.
pub(crate) fn numbered_key(number: u64) -> PersonKey {
    PersonKey((u128::from(number) << 64 | 0xFFFF).to_le_bytes())
}

/// A retry key whose body is told by its number.
pub(crate) fn retry(number: u64) -> RetryKey {
    RetryKey { key: KeyHash(number), fingerprint: Fingerprint(!number) }
}

pub(crate) fn intent(vaccines: VaccineSet) -> Intent {
    Intent {
        county: CountyNumber(1),
        district: DistrictNumber(2),
        vaccines,
        language: LanguageNumber(0),
    }
}

pub(crate) fn register(name: u8, born_on: Day, number: u64) -> Command {
    register_attested(name, born_on, 1, number)
}

pub(crate) fn register_attested(
    name: u8,
    born_on: Day,
    roster_version: u32,
    number: u64,
) -> Command {
    Command::Register {
        person: key(name),
        attested: Attested { born_on, roster_version },
        intent: intent(AZ),
        sealed: vec![name; 5],
        retry: retry(number),
    }
}

pub(crate) fn modify_attested(
    person: u32,
    born_on: Day,
    roster_version: u32,
    number: u64,
) -> Command {
    Command::Modify {
        person: PersonRef::Number(PersonNumber(person)),
        attested: Attested { born_on, roster_version },
        intent: intent(AZ),
        sealed: vec![],
        retry: retry(number),
    }
}

pub(crate) fn category(born_on_or_before: Option<Day>, members: bool) -> Category {
    Category {
        number: CATEGORY,
        names: Vec::new(),
        born_on_or_before,
        members,
        opens_at: CATEGORY_OPENS_AT,
        closes_at: Some(CATEGORY_CLOSES_AT),
        vaccines: vec!["AZ".into(), "Moderna".into()],
    }
}

pub(crate) fn period(number: PeriodNumber, vaccine: &str) -> Period {
    Period {
        number,
        names: Vec::new(),
        vaccines: vec![vaccine.into()],
        registered_before: None,
        counties: None,
        categories: None,
        born_on_or_before: None,
        opens_at: WINDOW_OPENS_AT,
        closes_at: WINDOW_CLOSES_AT,
        openings: Vec::new(),
        identity_methods: Vec::new(),
    }
}

pub(crate) fn site(id: &str) -> Site {
    Site {
        id: id.into(),
        name_zh: String::new(),
        name_en: String::new(),
        county: CountyNumber(1),
        district: DistrictNumber(2),
        address: String::new(),
        kind: String::new(),
    }
}

pub(crate) fn slot_row(day: Day, vaccine: u8, capacity: u32) -> SlotRow {
    SlotRow { site: SiteNumber(0), day, start_minute: 540, end_minute: 720, vaccine, capacity }
}

pub(crate) fn site_chunk(import: u64, ids: &[&str]) -> Command {
    let rows = ImportRows::Sites(ids.iter().map(|id| site(id)).collect());
    Command::ImportChunk { import, rows }
}

/// A state with a clock that the test sets.
pub(crate) struct Desk {
    pub(crate) state: State,
    /// When the next command comes.
    pub(crate) at: Millis,
    /// All changes ever taken.
    changes: Vec<u8>,
    /// People made up so far to fill slots.
    extras: u64,
}

impl Desk {
    /// Nothing announced.
    pub(crate) fn empty() -> Desk {
        Desk {
            state: State::new(),
            at: Millis(CATEGORY_OPENS_AT.0 - 86_400_000),
            changes: Vec::new(),
            extras: 1 << 32,
        }
    }

    /// All announced; category and window still closed.
    pub(crate) fn early() -> Desk {
        let mut desk = Desk::empty();
        desk.put_category(Some(ADULT), false);
        desk.apply(Command::PutPeriod(period(PERIOD, "AZ")));
        desk.import(ImportKind::Sites, vec![ImportRows::Sites(vec![site("one")])]);
        let rows = vec![
            slot_row(SLOT_DAY, 0, SLOT_CAPACITY),
            slot_row(LATE_SLOT_DAY, 0, SLOT_CAPACITY),
            slot_row(SLOT_DAY, 1, SLOT_CAPACITY),
        ];
        let vaccines = vec!["AZ".into(), "Moderna".into()];
        desk.import(ImportKind::Slots { vaccines }, vec![ImportRows::Slots(rows)]);
        desk
    }

    /// The window has just opened.
    pub(crate) fn open() -> Desk {
        let mut desk = Desk::early();
        desk.at = WINDOW_OPENS_AT;
        desk
    }

    pub(crate) fn apply(&mut self, command: Command) -> Vec<Event> {
        let mut events = Vec::new();
        self.state.apply(&command, self.at, &mut events);
        events
    }

    /// Why a citizen's command is refused, if it is.
    pub(crate) fn reason(&mut self, command: &Command) -> Option<Rejection> {
        self.apply(command.clone()).into_iter().find_map(|event| match event {
            Event::Rejected { reason, .. } => Some(reason),
            _ => None,
        })
    }

    /// Which rows of an operator's command are refused, and why.
    pub(crate) fn refusals(&mut self, command: Command) -> Vec<(u32, OperatorRefusal)> {
        let refused = |event| match event {
            Event::OperatorRefused { row, reason } => Some((row, reason)),
            _ => None,
        };
        self.apply(command).into_iter().filter_map(refused).collect()
    }

    pub(crate) fn import(&mut self, kind: ImportKind, chunks: Vec<ImportRows>) -> Vec<Event> {
        let import = 1_000;
        let rows = chunks.iter().map(crate::state::staging::count).sum();
        let hash = import_hash(&chunks);
        self.apply(Command::ImportBegin { import, kind });
        for rows in chunks {
            self.apply(Command::ImportChunk { import, rows });
        }
        self.apply(Command::ImportCommit { import, rows, hash })
    }

    pub(crate) fn import_members(&mut self, keys: &[PersonKey]) -> Vec<Event> {
        let kind = ImportKind::Members { category: CATEGORY };
        self.import(kind, vec![ImportRows::Members(keys.to_vec())])
    }

    pub(crate) fn put_category(&mut self, born_on_or_before: Option<Day>, members: bool) {
        self.apply(Command::PutCategory(category(born_on_or_before, members)));
    }

    pub(crate) fn close_category(&mut self) {
        let closed = Category { closes_at: Some(self.at), ..category(Some(ADULT), false) };
        self.apply(Command::PutCategory(closed));
    }

    pub(crate) fn put_period(&mut self, number: PeriodNumber, opens_at: Millis, closes_at: Millis) {
        self.put_period_for(number, AZ, opens_at, closes_at);
    }

    pub(crate) fn put_period_for(
        &mut self,
        number: PeriodNumber,
        vaccines: VaccineSet,
        opens_at: Millis,
        closes_at: Millis,
    ) {
        let vaccine = if vaccines == AZ { "AZ" } else { "Moderna" };
        let put = Period { opens_at, closes_at, ..period(number, vaccine) };
        self.apply(Command::PutPeriod(put));
    }

    pub(crate) fn put_period_from_birth(&mut self, last: Day) {
        let put = Period { born_on_or_before: Some(last), ..period(PERIOD, "AZ") };
        self.apply(Command::PutPeriod(put));
    }

    pub(crate) fn set_capacity(&mut self, slot: SlotNumber, capacity: u32) {
        self.apply(Command::SetCapacity { slot, capacity });
    }

    /// A person with an intent.
    pub(crate) fn register(&mut self, name: u8) -> PersonNumber {
        self.register_key(key(name), 1)
    }

    pub(crate) fn register_for(&mut self, name: u8, vaccines: VaccineSet) -> PersonNumber {
        self.apply(Command::Register {
            person: key(name),
            attested: Attested { born_on: ADULT, roster_version: 1 },
            intent: intent(vaccines),
            sealed: Vec::new(),
            retry: retry(1),
        });
        self.state.people.number_of(&key(name)).unwrap()
    }

    pub(crate) fn register_key(&mut self, person: PersonKey, number: u64) -> PersonNumber {
        let events = self.apply(Command::Register {
            person,
            attested: Attested { born_on: ADULT, roster_version: 1 },
            intent: intent(AZ),
            sealed: Vec::new(),
            retry: retry(number),
        });
        assert!(matches!(events.last(), Some(Event::Registered { .. })), "{events:?}");
        self.state.people.number_of(&person).unwrap()
    }

    /// A person without intent.
    pub(crate) fn mention(&mut self, name: u8) -> PersonNumber {
        self.apply(Command::Withdraw { person: PersonRef::Key(key(name)), retry: retry(u64::MAX) });
        self.state.people.number_of(&key(name)).unwrap()
    }

    pub(crate) fn book(
        &mut self,
        person: PersonNumber,
        slot: SlotNumber,
        number: u64,
    ) -> Vec<Event> {
        self.apply(Command::Book {
            person: PersonRef::Number(person),
            period: PERIOD,
            slot,
            retry: retry(number),
        })
    }

    /// Others take all places that are left.
    pub(crate) fn fill(&mut self, slot: SlotNumber) {
        loop {
            self.extras += 1;
            let person = self.register_key(numbered_key(self.extras), 1);
            let events = self.book(person, slot, 1);
            if !matches!(events[..], [Event::Confirmed { .. }]) {
                return;
            }
        }
    }

    /// Marks a booking on its day.
    pub(crate) fn attend(&mut self, booking: BookingNumber) {
        let rows = vec![Attendance { booking, attended_at: SLOT_STARTS_AT }];
        let events = self.apply(Command::Attend { rows });
        assert!(matches!(events[..], [Event::Attended { .. }]), "{events:?}");
    }

    pub(crate) fn facts(&self, person: PersonNumber) -> Option<Facts> {
        self.state.people.get(person).facts()
    }

    /// A state loaded from all changes must be this state.
    pub(crate) fn check(&mut self) {
        let mut taken = Vec::new();
        self.state.take_changes(&mut taken);
        self.changes.extend_from_slice(&taken);
        let mut loaded = State::new();
        for change in ChangeReader::new(&self.changes) {
            let change = change.unwrap();
            loaded.load(change.section, change.index, change.bytes).unwrap();
        }
        loaded.finish_load().unwrap();
        assert_eq!(loaded.digest(), self.state.digest());
        assert_eq!(self.state.changes_bytes(), 0);
        for slot in (0..self.state.slots_count()).map(SlotNumber) {
            assert_eq!(loaded.slot(slot), self.state.slot(slot));
        }
    }
}
