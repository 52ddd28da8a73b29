//! The state, and the one function that changes it.
//!
//! People, slots and bookings are dense arrays indexed by small integers; everything that a booking
//! touches lies in three or four cache lines, which [`State::prefetch`] can ask for beforehand. The
//! rules themselves live under `rules/`, one file each.
//!
//! What this module deliberately does not do: it keeps no names, no contact data and no answers; the
//! readers of events do. It does not know the journal or the store: changes leave as packed bytes.

use crate::changes::Section;
use crate::codec::INSTANT_MAX;
use crate::prefetch;
use crate::rules;
use crate::{
    BookingNumber, Command, Envelope, Event, Millis, PersonNumber, PersonRef, Sequence, Slot,
    SlotNumber,
};

mod catalogue;
pub(crate) mod chunked;
mod corrections;
mod crowds;
mod digest;
pub(crate) mod globals;
pub(crate) mod history;
mod huge_pages;
pub(crate) mod key_index;
pub(crate) mod layout;
mod load;
pub(crate) mod packing;
pub(crate) mod people;
mod record;
mod recorder;
mod requests;
pub(crate) mod slots;
pub(crate) mod staging;

pub(crate) use catalogue::{SITES_MAX, TooManyVaccines};
pub(crate) use globals::Sweep;
pub(crate) use slots::SLOTS_MAX;

use catalogue::Catalogue;
use corrections::Corrections;
use globals::{CountedGlobals, Globals};
use history::History;
use people::People;
use recorder::Recorder;
use slots::Slots;
use staging::Staging;

/// Everything that can influence a later event.
#[derive(Clone, Debug)]
pub struct State {
    /// Sequence, time, epoch, rules version, sweep.
    pub(crate) globals: Globals,
    /// Who is known, and their intents.
    pub(crate) people: People,
    /// What they asked for, and what they hold.
    pub(crate) history: History,
    /// What can be held.
    pub(crate) slots: Slots,
    /// Under which rules.
    pub(crate) catalogue: Catalogue,
    /// Corrected dates of birth.
    pub(crate) corrections: Corrections,
    /// The import under way.
    pub(crate) staging: Staging,
    /// Changed records for the next checkpoint.
    pub(crate) recorder: Recorder,
    /// Lengths that a checkpoint told of, until the load is finished.
    loaded_counts: Option<[u32; globals::COUNTS]>,
}

impl Default for State {
    fn default() -> State {
        State::new()
    }
}

impl State {
    /// Before the first command.
    pub fn new() -> State {
        State::with_recorder(Recorder::new(true))
    }

    /// Before the first command, for uses without checkpoints: no changes are gathered.
    pub fn without_changes() -> State {
        State::with_recorder(Recorder::new(false))
    }

    fn with_recorder(recorder: Recorder) -> State {
        State {
            globals: Globals::new(),
            people: People::new(),
            history: History::new(),
            slots: Slots::new(),
            catalogue: Catalogue::new(),
            corrections: Corrections::new(),
            staging: Staging::new(),
            recorder,
            loaded_counts: None,
        }
    }

    /// Asks for the memory that these commands will need. Changes nothing. Best called for the next
    /// 64 to 1,024 commands: what comes first must not be gone from the cache when it is needed.
    ///
    /// Tight loops, one a table, beat one request between two decisions: a processor overlaps look-ups
    /// of addresses only as far as its window of instructions reaches.
    pub fn prefetch(&self, commands: &[Envelope]) {
        for envelope in commands {
            self.prefetch_person(&envelope.command);
        }
        for envelope in commands {
            if let Command::Book { slot, .. } | Command::Move { slot, .. } = &envelope.command {
                self.slots.prefetch(*slot);
            }
        }
        for envelope in commands {
            self.prefetch_second(&envelope.command);
        }
    }

    /// Decides one command and appends what came of it. Time moves to `at`, never backwards.
    pub fn apply(&mut self, command: &Command, at: Millis, events: &mut Vec<Event>) {
        self.advance(at);
        match command {
            Command::Book { person, period, slot, retry } => {
                rules::book::apply(self, *person, *period, *slot, *retry, events);
            }
            Command::Move { person, period, slot, retry } => {
                rules::move_booking::apply(self, *person, *period, *slot, *retry, events);
            }
            Command::Cancel { person, period, retry } => {
                rules::cancel::apply(self, *person, *period, *retry, events);
            }
            Command::Register { person, attested, intent, sealed, retry } => {
                rules::register::apply(self, *person, *attested, intent, sealed, *retry, events);
            }
            Command::Modify { person, attested, intent, sealed, retry } => {
                rules::modify::apply(self, *person, *attested, intent, sealed, *retry, events);
            }
            Command::Withdraw { person, retry } => {
                rules::withdraw::apply(self, *person, *retry, events);
            }
            _ => self.apply_rare(command, events),
        }
    }

    /// Counts a record that could not be read as a command.
    pub fn apply_malformed(&mut self, at: Millis, events: &mut Vec<Event>) {
        self.advance(at);
        events.push(Event::Malformed);
    }

    /// Commands of operators and engines.
    fn apply_rare(&mut self, command: &Command, events: &mut Vec<Event>) {
        match command {
            Command::PutCategory(category) => rules::category::apply(self, category, events),
            Command::PutPeriod(period) => rules::period::apply(self, period, events),
            Command::ImportBegin { import, kind } => {
                rules::import::begin(self, *import, kind, events);
            }
            Command::ImportChunk { import, rows } => {
                rules::import::chunk(self, *import, rows, events);
            }
            Command::ImportCommit { import, rows, hash } => {
                rules::import::commit(self, *import, *rows, hash, events);
            }
            Command::SetCapacity { slot, capacity } => {
                rules::capacity::apply(self, *slot, *capacity, events);
            }
            Command::Attend { rows } => rules::attendance::apply(self, rows, events),
            Command::CorrectRoster { roster_version, rows } => {
                rules::roster_correction::apply(self, *roster_version, rows, events);
            }
            Command::Supersede { roster_version, keys } => {
                rules::superseding::apply(self, *roster_version, keys, events);
            }
            Command::Pulse { epoch } => rules::pulse::apply(self, *epoch, events),
            Command::Epoch { epoch, engine } => rules::epoch::apply(self, *epoch, *engine, events),
            Command::ActivateRules { version } => {
                rules::activate_rules::apply(self, *version, events);
            }
            Command::Book { .. }
            | Command::Move { .. }
            | Command::Cancel { .. }
            | Command::Register { .. }
            | Command::Modify { .. }
            | Command::Withdraw { .. } => {}
        }
    }

    /// Commands applied so far.
    pub fn sequence(&self) -> Sequence {
        self.globals.sequence
    }

    /// The latest time seen.
    pub fn now(&self) -> Millis {
        self.globals.now
    }

    /// The highest epoch begun; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.globals.epoch
    }

    /// The engine of the present epoch.
    pub fn engine(&self) -> Option<[u8; 16]> {
        self.globals.engine
    }

    /// The rules in force.
    pub fn rules_version(&self) -> u32 {
        self.globals.rules_version
    }

    /// People who have a number.
    pub fn people_count(&self) -> u32 {
        self.people.len()
    }

    /// Bookings made so far, cancelled ones included.
    pub fn bookings_count(&self) -> u32 {
        self.history.bookings.len()
    }

    /// Other decided requests kept for their retry keys.
    pub fn requests_count(&self) -> u32 {
        self.history.requests.len()
    }

    /// Slots imported so far.
    pub fn slots_count(&self) -> u32 {
        self.slots.len()
    }

    /// A slot as it stands, and how many of its places are taken.
    pub fn slot(&self, slot: SlotNumber) -> Option<(Slot, u32)> {
        let booked = self.slots.places(slot)?.booked;
        Some((self.slots.get(slot)?, booked))
    }

    /// Bytes of changes gathered since the last take.
    pub fn changes_bytes(&self) -> usize {
        self.recorder.bytes()
    }

    /// Moves the changes since the last take to the end of `out`, in order of change, the globals last.
    pub fn take_changes(&mut self, out: &mut Vec<u8>) {
        let globals = CountedGlobals(&self.globals, self.counts());
        self.recorder.put_fixed(Section::Globals, 0, &globals);
        self.recorder.take(out);
    }

    fn advance(&mut self, at: Millis) {
        self.globals.sequence.0 += 1;
        // The calendar ends somewhere; no rule may meet an instant whose day cannot be told.
        self.globals.now = self.globals.now.max(at.min(INSTANT_MAX));
    }

    /// First, the person whom the command itself names.
    #[inline(always)]
    fn prefetch_person(&self, command: &Command) {
        match command {
            Command::Book { person, .. }
            | Command::Move { person, .. }
            | Command::Cancel { person, .. }
            | Command::Modify { person, .. }
            | Command::Withdraw { person, .. } => match person {
                PersonRef::Number(number) => prefetch::read(self.people.records.get(number.0)),
                PersonRef::Key(key) => self.people.prefetch_key(key),
            },
            Command::Register { person, .. } => self.people.prefetch_key(person),
            _ => {}
        }
    }

    /// Then, whatever the records now at hand name.
    #[inline]
    fn prefetch_second(&self, command: &Command) {
        match command {
            Command::Book { person, .. }
            | Command::Move { person, .. }
            | Command::Cancel { person, .. }
            | Command::Modify { person, .. }
            | Command::Withdraw { person, .. } => match person {
                PersonRef::Number(number) => self.prefetch_latest(*number),
                PersonRef::Key(key) => self.people.prefetch_likely(key),
            },
            Command::Register { person, .. } => self.people.prefetch_likely(person),
            _ => {}
        }
    }

    #[inline]
    fn prefetch_latest(&self, person: PersonNumber) {
        if let Some(person) = self.people.records.get(person.0) {
            self.history.prefetch(person.latest);
        }
    }

    /// The booking's slot, for those who check what the events said.
    pub fn booked_slot(&self, booking: BookingNumber) -> Option<SlotNumber> {
        let booking = self.history.bookings.get(booking.0)?;
        booking.counts().then_some(booking.slot)
    }
}
