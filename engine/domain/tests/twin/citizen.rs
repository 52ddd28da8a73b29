//! What a person may ask.

use domain::view::OutcomeResult;
use domain::*;

use super::{Booking, Held, Request, Twin};

impl Twin {
    pub(super) fn citizen(&mut self, command: &Command) -> Vec<Event> {
        let (named, period, retry) = match command {
            Command::Book { person, period, retry, .. }
            | Command::Move { person, period, retry, .. }
            | Command::Cancel { person, period, retry } => (*person, *period, *retry),
            Command::Register { person, retry, .. } => {
                (PersonRef::Key(*person), PeriodNumber(0), *retry)
            }
            Command::Modify { person, retry, .. } | Command::Withdraw { person, retry } => {
                (*person, PeriodNumber(0), *retry)
            }
            other => panic!("{other:?} is no citizen's command"),
        };
        let mut events = Vec::new();
        let Some(person) = self.resolve(named, &mut events) else {
            return vec![Event::Malformed];
        };
        let key = retry.key;
        if let Some(first) = self.requests.get(&(person, period, key)) {
            events.push(if first.fingerprint == retry.fingerprint {
                Event::Repeated { person, period, key, first: first.sequence }
            } else {
                Event::KeyReused { person, period, key, first: first.sequence }
            });
            return events;
        }
        if self.keys_used(person, period) >= 256 {
            let reason = Rejection::TooManyKeys;
            let fingerprint = retry.fingerprint;
            events.push(Event::Rejected { person, period, key, fingerprint, reason });
            return events;
        }
        let (event, result) = match self.decide(command, person, period) {
            Ok(decided) => decided,
            Err(reason) => (
                Event::Rejected { person, period, key, fingerprint: retry.fingerprint, reason },
                OutcomeResult::Rejected(reason),
            ),
        };
        events.push(event);
        let (sequence, at) = (Sequence(self.sequence), self.now());
        let request = Request { sequence, at, fingerprint: retry.fingerprint, result };
        self.requests.insert((person, period, key), request);
        events
    }

    pub(crate) fn keys_used(&self, person: PersonNumber, period: PeriodNumber) -> usize {
        let of_period = (person, period, KeyHash(0))..=(person, period, KeyHash(u64::MAX));
        self.requests.range(of_period).count()
    }

    pub(super) fn resolve(
        &mut self,
        named: PersonRef,
        events: &mut Vec<Event>,
    ) -> Option<PersonNumber> {
        match named {
            PersonRef::Number(number) => {
                self.people.values().any(|known| *known == number).then_some(number)
            }
            PersonRef::Key(key) => Some(match self.people.get(&key) {
                Some(known) => *known,
                None => {
                    let person = PersonNumber(self.people.len() as u32);
                    self.people.insert(key, person);
                    events.push(Event::Numbered { person, key });
                    person
                }
            }),
        }
    }

    fn decide(
        &mut self,
        command: &Command,
        person: PersonNumber,
        period: PeriodNumber,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        match command {
            Command::Book { slot, retry, .. } => self.book(person, period, *slot, *retry),
            Command::Move { slot, retry, .. } => self.move_booking(person, period, *slot, *retry),
            Command::Cancel { retry, .. } => self.cancel(person, period, *retry),
            Command::Register { person: key, attested, intent, sealed, retry } => {
                self.register(person, *key, *attested, *intent, sealed.clone(), *retry)
            }
            Command::Modify { attested, intent, sealed, retry, .. } => {
                self.modify(person, *attested, *intent, sealed.clone(), *retry)
            }
            Command::Withdraw { retry, .. } => self.withdraw(person, *retry),
            other => panic!("{other:?} is no citizen's command"),
        }
    }

    fn book(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        slot: SlotNumber,
        RetryKey { key, fingerprint }: RetryKey,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        let now = self.now();
        self.may_book_now(Some(person), period, now)?;
        if self.active_booking(person, now).is_some()
            || self.counting_booking(person, period).is_some()
        {
            return Err(Rejection::AlreadyBooked);
        }
        let wanted = self.slot_for(person, period, slot)?;
        if now >= wanted.starts_at() {
            return Err(Rejection::SlotPast);
        }
        if self.booked(slot) >= wanted.capacity {
            return Err(Rejection::SlotFull);
        }
        let booking = BookingNumber(self.bookings.len() as u32);
        let made = Booking {
            person,
            period,
            slot,
            cancelled: false,
            attended: false,
            announced_no_show: false,
        };
        self.bookings.insert(booking, made);
        Ok((
            Event::Confirmed { person, period, key, fingerprint, booking, slot },
            OutcomeResult::Confirmed { booking, slot },
        ))
    }

    fn move_booking(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        to: SlotNumber,
        RetryKey { key, fingerprint }: RetryKey,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        let now = self.now();
        self.may_book_now(Some(person), period, now)?;
        let booking = self.active_booking_of_period(person, period)?;
        let from = self.bookings[&booking].slot;
        let wanted = self.slot_for(person, period, to)?;
        if now >= wanted.starts_at() || now >= self.slots[&from].starts_at() {
            return Err(Rejection::SlotPast);
        }
        if from != to && self.booked(to) >= wanted.capacity {
            return Err(Rejection::SlotFull);
        }
        self.bookings.get_mut(&booking).unwrap().slot = to;
        Ok((
            Event::Changed { person, period, key, fingerprint, booking, from, to },
            OutcomeResult::Changed { booking, from, to },
        ))
    }

    fn cancel(
        &mut self,
        person: PersonNumber,
        period: PeriodNumber,
        RetryKey { key, fingerprint }: RetryKey,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        if !self.periods.contains_key(&period) {
            return Err(Rejection::UnknownPeriod);
        }
        let booking = self.active_booking_of_period(person, period)?;
        let slot = self.bookings[&booking].slot;
        if self.now() >= self.slots[&slot].starts_at() {
            return Err(Rejection::SlotPast);
        }
        self.bookings.get_mut(&booking).unwrap().cancelled = true;
        Ok((
            Event::Cancelled { person, period, key, fingerprint, booking, slot },
            OutcomeResult::Cancelled { booking, slot },
        ))
    }

    fn register(
        &mut self,
        person: PersonNumber,
        person_key: PersonKey,
        attested: Attested,
        intent: Intent,
        sealed: Vec<u8>,
        RetryKey { key, fingerprint }: RetryKey,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        if self.intents.contains_key(&person) {
            return Ok((
                Event::AlreadyRegistered { person, key, fingerprint },
                OutcomeResult::AlreadyRegistered,
            ));
        }
        let (born_on, roster_version) = self.birth_that_holds(person_key, attested);
        let born_on = born_on.ok_or(Rejection::NotEligible)?;
        self.somebody_takes(person, born_on)?;
        self.somebody_open_takes(person, born_on)?;
        self.serials += 1;
        let serial = self.serials;
        let registered_at = self.now();
        let held = Held { serial, registered_at, born_on, roster_version, intent };
        self.intents.insert(person, held);
        Ok((
            Event::Registered { person, key, fingerprint, serial, born_on, intent, sealed },
            OutcomeResult::Registered { serial },
        ))
    }

    fn modify(
        &mut self,
        person: PersonNumber,
        attested: Attested,
        intent: Intent,
        sealed: Vec<u8>,
        RetryKey { key, fingerprint }: RetryKey,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        if !self.intents.contains_key(&person) {
            return Err(Rejection::NotRegistered);
        }
        let person_key = self.key_of(person);
        let (born_on, roster_version) = match self.birth_that_holds(person_key, attested) {
            (Some(born_on), version) => (born_on, version),
            (None, _) => (attested.born_on, attested.roster_version),
        };
        self.somebody_takes(person, born_on)?;
        if self.active_booking(person, self.now()).is_some() {
            return Err(Rejection::HasBooking);
        }
        self.somebody_open_takes(person, born_on)?;
        let held = self.intents.get_mut(&person).unwrap();
        held.born_on = born_on;
        held.roster_version = roster_version;
        held.intent = intent;
        let (serial, registered_at) = (held.serial, held.registered_at);
        Ok((
            Event::Modified { person, key, fingerprint, born_on, intent, sealed },
            OutcomeResult::Modified { serial, registered_at },
        ))
    }

    fn withdraw(
        &mut self,
        person: PersonNumber,
        RetryKey { key, fingerprint }: RetryKey,
    ) -> Result<(Event, OutcomeResult), Rejection> {
        let Some(held) = self.intents.get(&person) else {
            return Err(Rejection::NotRegistered);
        };
        let (serial, born_on) = (held.serial, held.born_on);
        if self.active_booking(person, self.now()).is_some() {
            return Err(Rejection::HasBooking);
        }
        self.somebody_open_takes(person, born_on)?;
        self.intents.remove(&person);
        Ok((
            Event::Withdrawn { person, key, fingerprint, serial },
            OutcomeResult::Withdrawn { serial },
        ))
    }

    pub(crate) fn key_of(&self, person: PersonNumber) -> PersonKey {
        *self.people.iter().find(|(_, number)| **number == person).unwrap().0
    }

    /// The attested date, unless a correction of a higher version is known; and which version says it.
    /// `None` in place of a date for a key that was superseded.
    fn birth_that_holds(&self, key: PersonKey, attested: Attested) -> (Option<Day>, u32) {
        match self.corrections.get(&key) {
            Some((version, born_on)) if *version > attested.roster_version => (*born_on, *version),
            _ => (Some(attested.born_on), attested.roster_version),
        }
    }

    fn active_booking_of_period(
        &self,
        person: PersonNumber,
        period: PeriodNumber,
    ) -> Result<BookingNumber, Rejection> {
        self.active_booking(person, self.now())
            .filter(|booking| self.bookings[booking].period == period)
            .ok_or(Rejection::NoBooking)
    }

    /// Whether the slot exists and its vaccine is the period's and the person's.
    fn slot_for(
        &self,
        person: PersonNumber,
        period: PeriodNumber,
        slot: SlotNumber,
    ) -> Result<Slot, Rejection> {
        let slot = *self.slots.get(&slot).ok_or(Rejection::UnknownSlot)?;
        let name = &self.vaccines[usize::from(slot.vaccine.0)];
        let ticked = self.intents[&person].intent.vaccines.contains(slot.vaccine);
        if !self.periods[&period].vaccines.contains(name) || !ticked {
            return Err(Rejection::WrongVaccine);
        }
        Ok(slot)
    }

    pub(super) fn somebody_takes(
        &self,
        person: PersonNumber,
        born_on: Day,
    ) -> Result<(), Rejection> {
        let any = self.categories.iter().any(|category| self.belongs(person, born_on, category));
        if any { Ok(()) } else { Err(Rejection::NotEligible) }
    }

    /// Refused when categories take the person and every one of them is closed.
    fn somebody_open_takes(&self, person: PersonNumber, born_on: Day) -> Result<(), Rejection> {
        let now = self.now();
        let taking: Vec<&Category> = self
            .categories
            .iter()
            .filter(|category| self.belongs(person, born_on, category))
            .collect();
        let open = |category: &&Category| {
            category.opens_at <= now && category.closes_at.is_none_or(|closes| now < closes)
        };
        if !taking.is_empty() && !taking.iter().any(open) {
            return Err(Rejection::CategoryClosed);
        }
        Ok(())
    }
}
