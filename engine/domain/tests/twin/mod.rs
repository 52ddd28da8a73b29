//! The naive twin of `State`: the same rules once more, in plain maps and obvious code.
//!
//! It is written from the description of the domain, from the words of commands and events, and from
//! the page of rules; not from the code that implements them, and it shares none of it (not even
//! `eligibility`). It is slow, and keeps everything for ever. Where the two differ, one is wrong.

mod citizen;
mod engine;
mod import;
mod operator;
mod questions;

use std::collections::{BTreeMap, BTreeSet};

use domain::view::OutcomeResult;
use domain::*;

pub(crate) use questions::Figures;

/// Everything that was ever said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Twin {
    pub(crate) sequence: u64,
    pub(crate) now: Option<Millis>,
    pub(crate) epoch: u64,
    pub(crate) people: BTreeMap<PersonKey, PersonNumber>,
    pub(crate) intents: BTreeMap<PersonNumber, Held>,
    pub(crate) members: BTreeSet<(CategoryNumber, PersonNumber)>,
    pub(crate) requests: BTreeMap<(PersonNumber, PeriodNumber, KeyHash), Request>,
    pub(crate) bookings: BTreeMap<BookingNumber, Booking>,
    pub(crate) sites: BTreeMap<SiteNumber, Site>,
    pub(crate) slots: BTreeMap<SlotNumber, Slot>,
    pub(crate) vaccines: Vec<String>,
    /// In order of first publication.
    pub(crate) categories: Vec<Category>,
    pub(crate) periods: BTreeMap<PeriodNumber, Period>,
    /// By version: a date of birth, or that the key was superseded.
    pub(crate) corrections: BTreeMap<PersonKey, (u32, Option<Day>)>,
    pub(crate) import: Option<Import>,
    pub(crate) serials: u32,
    /// The last day whose no-shows were all announced.
    pub(crate) swept: Option<Day>,
    /// The day being swept, and the next booking to look at.
    pub(crate) sweep: Option<(Day, u32)>,
    /// Every event so far, counted.
    pub(crate) figures: Figures,
}

/// An intent.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) serial: u32,
    pub(crate) registered_at: Millis,
    pub(crate) born_on: Day,
    /// The roster version that said so.
    pub(crate) roster_version: u32,
    pub(crate) intent: Intent,
}

/// A decided request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) sequence: Sequence,
    pub(crate) at: Millis,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) result: OutcomeResult,
}

/// A booking.
#[derive(Clone, Debug)]
pub(crate) struct Booking {
    pub(crate) person: PersonNumber,
    pub(crate) period: PeriodNumber,
    pub(crate) slot: SlotNumber,
    pub(crate) cancelled: bool,
    pub(crate) attended: bool,
    pub(crate) announced_no_show: bool,
}

/// The import under way.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) import: u64,
    pub(crate) kind: ImportKind,
    pub(crate) chunks: Vec<ImportRows>,
    /// When it was last heard of.
    pub(crate) heard_at: Millis,
}

impl Twin {
    /// Decides one command.
    pub(crate) fn apply(&mut self, command: &Command, at: Millis) -> Vec<Event> {
        self.sequence += 1;
        self.now = Some(self.now.map_or(at, |now| now.max(at)));
        let events = match command {
            Command::Book { .. }
            | Command::Move { .. }
            | Command::Cancel { .. }
            | Command::Register { .. }
            | Command::Modify { .. }
            | Command::Withdraw { .. } => self.citizen(command),
            Command::PutCategory(category) => self.put_category(category),
            Command::PutPeriod(period) => self.put_period(period),
            Command::ImportBegin { import, kind } => self.import_begin(*import, kind),
            Command::ImportChunk { import, rows } => self.import_chunk(*import, rows),
            Command::ImportCommit { import, rows, hash } => {
                self.import_commit(*import, *rows, *hash)
            }
            Command::SetCapacity { slot, capacity } => self.set_capacity(*slot, *capacity),
            Command::Attend { rows } => self.attend(rows),
            Command::CorrectRoster { roster_version, rows } => {
                self.correct_roster(*roster_version, rows)
            }
            Command::Supersede { roster_version, keys } => self.supersede(*roster_version, keys),
            Command::Pulse { epoch } => self.pulse(*epoch),
            Command::Epoch { epoch, .. } => self.begin_epoch(*epoch),
            Command::ActivateRules { version } => self.activate_rules(*version),
        };
        self.figures.count(&events);
        events
    }

    /// Counts a record that is no command.
    pub(crate) fn apply_malformed(&mut self, at: Millis) -> Vec<Event> {
        self.sequence += 1;
        self.now = Some(self.now.map_or(at, |now| now.max(at)));
        self.figures.count(&[Event::Malformed]);
        vec![Event::Malformed]
    }

    pub(crate) fn now(&self) -> Millis {
        self.now.expect("a command was applied")
    }

    /// Names a vaccine that has no number yet, and says so.
    fn name_vaccines(&mut self, names: &[String]) -> Vec<Event> {
        let mut events = Vec::new();
        for name in names {
            if !self.vaccines.contains(name) {
                let vaccine = VaccineNumber(self.vaccines.len() as u8);
                self.vaccines.push(name.clone());
                events.push(Event::VaccineNamed { vaccine, name: name.clone() });
            }
        }
        events
    }

    /// Whether the names and those known before are more than a set holds.
    fn too_many_vaccines(&self, names: &[String]) -> bool {
        let all: BTreeSet<&String> = self.vaccines.iter().chain(names).collect();
        all.len() > 16
    }

    fn vaccine_set(&self, names: &[String]) -> VaccineSet {
        let mut set = VaccineSet(0);
        for (number, known) in self.vaccines.iter().enumerate() {
            if names.contains(known) {
                set.0 |= 1 << number;
            }
        }
        set
    }

    /// Places of a slot that are taken.
    pub(crate) fn booked(&self, slot: SlotNumber) -> u32 {
        let standing = |booking: &&Booking| booking.slot == slot && !booking.cancelled;
        self.bookings.values().filter(standing).count() as u32
    }

    pub(crate) fn booking_is_active(&self, booking: &Booking, at: Millis) -> bool {
        !booking.cancelled && !booking.attended && at.day() <= self.slots[&booking.slot].day
    }

    pub(crate) fn active_booking(&self, person: PersonNumber, at: Millis) -> Option<BookingNumber> {
        self.bookings
            .iter()
            .find(|(_, booking)| booking.person == person && self.booking_is_active(booking, at))
            .map(|(number, _)| *number)
    }

    pub(crate) fn counting_booking(
        &self,
        person: PersonNumber,
        period: PeriodNumber,
    ) -> Option<BookingNumber> {
        self.bookings
            .iter()
            .find(|(_, booking)| {
                booking.person == person && booking.period == period && !booking.cancelled
            })
            .map(|(number, _)| *number)
    }

    /// The latest day on which the person was expected and did not come.
    pub(crate) fn missed_day(&self, person: PersonNumber, at: Millis) -> Option<Day> {
        self.bookings
            .values()
            .filter(|booking| booking.person == person && !booking.cancelled && !booking.attended)
            .map(|booking| self.slots[&booking.slot].day)
            .filter(|day| *day < at.day())
            .max()
    }

    pub(crate) fn belongs(&self, person: PersonNumber, born_on: Day, category: &Category) -> bool {
        let by_birth = category.born_on_or_before.is_some_and(|last| born_on <= last);
        let by_list = category.members && self.members.contains(&(category.number, person));
        by_birth || by_list
    }
}
