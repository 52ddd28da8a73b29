//! Random commands of every kind in a small world, weighted so that the rare things happen: few people
//! and few places, hot keys, retries with the same and with another body, time that jumps over windows
//! and days, imports between everything else, corrections, attestations out of date.

mod crowd;
mod operators;

use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::twin::Twin;

pub(crate) use crowd::{booking, large_imports, one_slot, registration};

/// The day on which every world begins: 2021-07-10.
pub(crate) const FIRST_DAY: Day = Day(18_818);

/// How long an import may be silent.
const SILENCE_MS: i64 = 600_000;

/// One hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// What is common in this world and what is rare.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// People who may be mentioned.
    people: u32,
    /// Periods from 1 on.
    pub(crate) periods: u16,
    /// Categories from 1 on.
    categories: u16,
    /// Vaccine names in use.
    vaccines: usize,
    /// Sites that imports bring.
    sites: u32,
    /// Days on which there are slots.
    days: i32,
    /// The largest capacity of a slot.
    capacity: u32,
    /// Commands a day, about.
    daily: i64,
    /// In hundredths: how often a retry key is one of a few.
    hot_keys: u32,
    /// In thousandths: commands of operators.
    bureaucracy: u32,
    /// Retry keys given so far.
    keys: u64,
    /// Citizens' commands to be sent again.
    sent: Vec<Command>,
    /// Commands still to come before all else: a world that can be booked in.
    script: Vec<Command>,
    /// The import that the operator believes to be under way.
    import: Option<operators::Draft>,
    /// Imports begun so far.
    imports: u64,
    /// The roster's version.
    roster_version: u32,
    /// Commands still to come before time passes again.
    lingering: u32,
    /// When somebody registered: cut-offs fall there.
    registered_at: Millis,
    now: Millis,
}

impl World {
    /// A world with its own habits.
    pub(crate) fn new(rng: &mut ChaCha8Rng) -> World {
        let mut world = World {
            people: [2, 8, 8, 20, 20, 60][rng.random_range(0..6)],
            periods: [1, 3, 8, 20][rng.random_range(0..4)],
            categories: [1, 2, 4, 64][rng.random_range(0..4)],
            vaccines: [2, 3, 3, 20][rng.random_range(0..4)],
            sites: rng.random_range(1..=4),
            days: rng.random_range(2..=6),
            capacity: [1, 2, 4, 30][rng.random_range(0..4)],
            daily: [300, 1_000, 3_000][rng.random_range(0..3)],
            hot_keys: [0, 5, 30][rng.random_range(0..3)],
            bureaucracy: [80, 150, 300][rng.random_range(0..3)],
            keys: 0,
            sent: Vec::new(),
            script: Vec::new(),
            import: None,
            imports: 0,
            roster_version: 1,
            lingering: 0,
            registered_at: FIRST_DAY.starts_at(),
            now: FIRST_DAY.starts_at(),
        };
        world.script = world.opening_script(rng);
        world.script.reverse();
        world
    }

    /// The next instant and command. `None` stands for a record that is no command.
    pub(crate) fn next(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) -> (Millis, Option<Command>) {
        if let Some(command) = self.script.pop() {
            return (self.now, Some(command));
        }
        self.forget_a_lost_import(rng, twin);
        if let Some(held) = twin.intents.values().nth(rng.random_range(0..10)) {
            self.registered_at = held.registered_at;
        }
        self.pass_time(rng, twin);
        let at = if rng.random_ratio(1, 50) {
            // A clock that was set back.
            Millis(self.now.0 - rng.random_range(0..HOUR_MS))
        } else {
            self.now
        };
        let command = match rng.random_range(0..1_000) {
            0..3 => None,
            3..60 => Some(Command::Pulse { epoch: self.epoch(rng, twin) }),
            60..64 => Some(Command::Epoch {
                epoch: twin.epoch + u64::from(rng.random_ratio(2, 3)),
                engine: [rng.random(); 16],
            }),
            64..66 => Some(Command::ActivateRules { version: rng.random_range(0..2) }),
            66..250 if self.import.is_some() => Some(self.import(rng, twin)),
            number if number < 66 + self.bureaucracy => Some(self.operator(rng, twin)),
            _ => Some(self.citizen(rng, twin)),
        };
        (at, command)
    }

    fn epoch(&self, rng: &mut ChaCha8Rng, twin: &Twin) -> u64 {
        if rng.random_ratio(1, 20) { twin.epoch.wrapping_sub(1) } else { twin.epoch }
    }

    /// Mostly a moment, sometimes hours, sometimes to the border of something.
    fn pass_time(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) {
        let day_ms = 24 * HOUR_MS;
        if let Some(known) = &twin.import
            && rng.random_ratio(1, 40)
        {
            // To the end of its patience, or just beyond.
            let end = known.heard_at.0 + SILENCE_MS + rng.random_range(0..2);
            self.now = self.now.max(Millis(end));
            self.script.push(Command::Pulse { epoch: twin.epoch });
            return;
        }
        if self.import.is_some() && !rng.random_ratio(1, 10) {
            // Whoever imports is quick about it, mostly.
            self.now.0 += rng.random_range(0..1_000);
            return;
        }
        if self.lingering > 0 {
            self.lingering -= 1;
            return;
        }
        let step = day_ms / self.daily;
        self.now.0 += match rng.random_range(0..400) {
            0..100 => 0,
            100..350 => rng.random_range(0..step),
            350..390 => rng.random_range(0..step * 8),
            390..399 => return self.jump_to_a_border(rng, twin),
            _ => rng.random_range(0..day_ms),
        };
    }

    /// To just before, at, or just after the next instant at which something begins or ends.
    fn jump_to_a_border(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) {
        let mut borders = vec![self.now.day().ends_at()];
        for period in twin.periods.values() {
            borders.extend([period.opens_at, period.closes_at]);
            borders.extend(period.openings.iter().map(|opening| opening.opens_at));
            borders.extend(period.registered_before);
        }
        for category in &twin.categories {
            borders.push(category.opens_at);
            borders.extend(category.closes_at);
        }
        borders.extend(twin.slots.values().map(Slot::starts_at));
        let next = borders.into_iter().filter(|border| border.0 > self.now.0 + 1).min();
        if let Some(next) = next {
            self.now = Millis(next.0 + rng.random_range(-1..=1));
            self.lingering = rng.random_range(0..12);
        }
    }

    fn citizen(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) -> Command {
        if !self.sent.is_empty() && rng.random_ratio(1, 12) {
            return self.again(rng);
        }
        let person = self.person_ref(rng, twin);
        let period = self.period(rng);
        let retry = self.retry(rng);
        let command = match rng.random_range(0..100) {
            0..20 => Command::Book { person, period, slot: self.slot(rng, twin), retry },
            20..55 => self.hopeful_booking(rng, twin, retry),
            55..70 => self.about_a_booking(rng, twin, retry, true),
            70..81 => self.about_a_booking(rng, twin, retry, false),
            81..92 => Command::Register {
                person: self.newcomer(rng, twin),
                attested: self.attested(rng),
                intent: self.intent(rng),
                sealed: vec![rng.random(); rng.random_range(0..4)],
                retry,
            },
            92..98 => Command::Modify {
                person,
                attested: self.attested(rng),
                intent: self.intent(rng),
                sealed: vec![rng.random(); rng.random_range(0..4)],
                retry,
            },
            _ => Command::Withdraw { person, retry },
        };
        if self.sent.len() < 200 {
            self.sent.push(command.clone());
        } else {
            let place = rng.random_range(0..200);
            self.sent[place] = command.clone();
        }
        command
    }

    /// A booking that will most likely be confirmed, or find its slot full.
    fn hopeful_booking(&self, rng: &mut ChaCha8Rng, twin: &Twin, retry: RetryKey) -> Command {
        let (mut person, mut period) = (self.person_ref(rng, twin), self.period(rng));
        let mut slot = self.slot(rng, twin);
        for _ in 0..8 {
            let who = PersonNumber(rng.random_range(0..twin.people.len().max(1) as u32));
            let round = PeriodNumber(rng.random_range(1..=self.periods));
            let held = twin.active_booking(who, self.now).is_some();
            if held
                || twin.counting_booking(who, round).is_some()
                || twin.may_book_now(Some(who), round, self.now).is_err()
            {
                continue;
            }
            (person, period) = (PersonRef::Number(who), round);
            slot = self.offered_slot(rng, twin, round).unwrap_or(slot);
            break;
        }
        Command::Book { person, period, slot, retry }
    }

    /// One of the slots that a period offers.
    fn offered_slot(
        &self,
        rng: &mut ChaCha8Rng,
        twin: &Twin,
        period: PeriodNumber,
    ) -> Option<SlotNumber> {
        if rng.random_ratio(1, 4) {
            // Offered or not.
            return Some(self.slot(rng, twin));
        }
        let offered = twin.offered(twin.periods.get(&period)?, self.now);
        (!offered.is_empty()).then(|| offered[rng.random_range(0..offered.len())])
    }

    /// A move or cancellation, more often than not of a booking that is there.
    fn about_a_booking(
        &self,
        rng: &mut ChaCha8Rng,
        twin: &Twin,
        retry: RetryKey,
        moves: bool,
    ) -> Command {
        let (mut person, mut period) = (self.person_ref(rng, twin), self.period(rng));
        if !twin.bookings.is_empty() && rng.random_ratio(4, 5) {
            let newest = twin.bookings.len() as u32;
            let number = rng.random_range(newest.saturating_sub(self.people)..newest);
            let booking = &twin.bookings[&BookingNumber(number)];
            person = PersonRef::Number(booking.person);
            period = booking.period;
        }
        if moves {
            let near = rng.random_ratio(2, 3).then(|| self.offered_slot(rng, twin, period));
            let slot = near.flatten().unwrap_or_else(|| self.slot(rng, twin));
            Command::Move { person, period, slot, retry }
        } else {
            Command::Cancel { person, period, retry }
        }
    }

    /// A command once more, with the same or with another body.
    fn again(&self, rng: &mut ChaCha8Rng) -> Command {
        let mut command = self.sent[rng.random_range(0..self.sent.len())].clone();
        if rng.random_ratio(1, 3) {
            let (Command::Book { retry, .. }
            | Command::Move { retry, .. }
            | Command::Cancel { retry, .. }
            | Command::Register { retry, .. }
            | Command::Modify { retry, .. }
            | Command::Withdraw { retry, .. }) = &mut command
            else {
                panic!("only citizens' commands are sent again");
            };
            retry.fingerprint.0 ^= 1;
        }
        command
    }

    fn retry(&mut self, rng: &mut ChaCha8Rng) -> RetryKey {
        self.keys += 1;
        let hot = rng.random_range(0..100) < self.hot_keys;
        let key = if hot { rng.random_range(0..4) } else { self.keys.wrapping_mul(0x9E37_79B9) };
        RetryKey { key: KeyHash(key), fingerprint: Fingerprint(self.keys) }
    }

    fn person_key(&self, rng: &mut ChaCha8Rng) -> PersonKey {
        person_key(rng.random_range(0..self.people))
    }

    /// More often than not somebody without intent.
    fn newcomer(&self, rng: &mut ChaCha8Rng, twin: &Twin) -> PersonKey {
        let mut key = self.person_key(rng);
        for _ in 0..3 {
            let known = twin.people.get(&key);
            if known.is_none_or(|person| !twin.intents.contains_key(person)) {
                break;
            }
            key = self.person_key(rng);
        }
        key
    }

    fn person_ref(&self, rng: &mut ChaCha8Rng, twin: &Twin) -> PersonRef {
        match rng.random_range(0..100) {
            0 => PersonRef::Number(PersonNumber(twin.people.len() as u32)),
            1..50 if !twin.people.is_empty() => {
                PersonRef::Number(PersonNumber(rng.random_range(0..twin.people.len() as u32)))
            }
            _ => PersonRef::Key(self.person_key(rng)),
        }
    }

    fn period(&self, rng: &mut ChaCha8Rng) -> PeriodNumber {
        match rng.random_range(0..60) {
            0 => PeriodNumber(0),
            1 => PeriodNumber(self.periods + 1),
            _ => PeriodNumber(rng.random_range(1..=self.periods)),
        }
    }

    fn slot(&self, rng: &mut ChaCha8Rng, twin: &Twin) -> SlotNumber {
        let slots = twin.slots.len() as u32;
        if slots == 0 || rng.random_ratio(1, 60) {
            return SlotNumber(slots + rng.random_range(0..2));
        }
        // Many wishes are for a slot that begins about now, or is yet to come.
        if rng.random_ratio(1, 3) {
            let near = |slot: &Slot| (slot.starts_at().0 - self.now.0).abs() <= 1;
            let beginning = twin.slots.iter().find(|(_, slot)| near(slot));
            if let Some((number, _)) = beginning {
                return *number;
            }
        }
        if rng.random() {
            let coming: Vec<SlotNumber> = twin
                .slots
                .iter()
                .filter(|(_, slot)| slot.starts_at() > self.now)
                .map(|(number, _)| *number)
                .take(6)
                .collect();
            if !coming.is_empty() {
                return coming[rng.random_range(0..coming.len())];
            }
        }
        SlotNumber(rng.random_range(0..slots))
    }

    fn attested(&self, rng: &mut ChaCha8Rng) -> Attested {
        let behind = rng.random_range(0..3);
        Attested {
            born_on: born_on(rng),
            roster_version: self.roster_version.saturating_sub(behind),
        }
    }

    fn intent(&self, rng: &mut ChaCha8Rng) -> Intent {
        let vaccines = match rng.random_range(0..20) {
            0 => 0,
            1..12 => u16::MAX,
            _ => rng.random(),
        };
        Intent {
            county: CountyNumber(rng.random_range(0..3)),
            district: DistrictNumber(rng.random_range(0..5)),
            vaccines: VaccineSet(vaccines),
            language: LanguageNumber(rng.random_range(0..4)),
        }
    }
}

/// A person's key.
pub(crate) fn person_key(number: u32) -> PersonKey {
    PersonKey(
        u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes(),
    )
}

/// A date of birth: few, so that limits of age meet them exactly.
pub(crate) fn born_on(rng: &mut ChaCha8Rng) -> Day {
    Day(rng.random_range(0..6) * 1_000)
}
