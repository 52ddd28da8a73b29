//! Indexes over the requests of the few who asked very often.
//!
//! A person may use 256 keys in each of many periods. Walking such a chain for every further request
//! would let one person slow down everyone. Beyond [`CHAIN_MAX`] requests a person gets an index. It is
//! rebuilt from the chains when a checkpoint is loaded.

use std::collections::BTreeMap;

use super::history::{History, Link, Linked, Stamp, Standing};
use super::people::Person;
use super::slots::Slots;
use crate::{Fingerprint, KeyHash, Millis, PeriodNumber, PersonNumber, Sequence};

/// Requests that are walked one by one.
pub(crate) const CHAIN_MAX: u8 = 64;

/// One person's requests in periods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    /// By period and key: the deciding command, and what the request said.
    keys: BTreeMap<(PeriodNumber, KeyHash), (Sequence, Fingerprint)>,
    /// Keys used by period.
    used: BTreeMap<PeriodNumber, usize>,
    /// Bookings that counted when they were added; those cancelled since are passed over.
    bookings: Vec<u32>,
}

impl Crowd {
    fn add(&mut self, key: KeyHash, fingerprint: Fingerprint, stamp: Stamp) {
        let period = stamp.period();
        self.keys.insert((period, key), (stamp.first(), fingerprint));
        *self.used.entry(period).or_default() += 1;
    }

    /// Answers what a walk over the chain would.
    pub(super) fn standing(
        &self,
        standing: &mut Standing,
        history: &History,
        period: PeriodNumber,
        key: KeyHash,
        at: Millis,
        slots: &Slots,
    ) {
        standing.decided = self.keys.get(&(period, key)).copied();
        standing.keys = self.used.get(&period).copied().unwrap_or(0);
        for number in &self.bookings {
            let booking = &history.bookings[*number];
            if booking.counts() {
                standing.weigh(*number, booking, slots.day(booking.slot), period, at);
            }
        }
    }
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Crowds {
    by_person: BTreeMap<PersonNumber, Crowd>,
}

impl Crowds {
    /// Nobody asked often yet.
    pub(crate) fn new() -> Crowds {
        Crowds { by_person: BTreeMap::new() }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.by_person.clear();
    }

    /// The index of a person who asked often.
    #[inline]
    pub(crate) fn get(&self, number: PersonNumber, person: &Person) -> Option<&Crowd> {
        if person.requests < CHAIN_MAX {
            return None;
        }
        self.by_person.get(&number)
    }
}

impl History {
    /// Follows a record just linked as the person's newest, once the person has asked often.
    #[inline(always)]
    pub(crate) fn note_crowd(&mut self, number: PersonNumber, person: &Person) {
        if person.requests >= CHAIN_MAX {
            self.follow_crowd(number, person);
        }
    }

    #[cold]
    fn follow_crowd(&mut self, number: PersonNumber, person: &Person) {
        let mut crowd = self.crowds.by_person.remove(&number);
        match &mut crowd {
            None => crowd = Some(self.crowd_of(person.latest)),
            Some(crowd) => {
                self.note_link(crowd, person.latest);
            }
        }
        self.crowds.by_person.extend(crowd.map(|crowd| (number, crowd)));
    }

    fn crowd_of(&self, newest: Link) -> Crowd {
        let mut crowd = Crowd::default();
        let mut link = newest;
        while let Some(previous) = self.note_link(&mut crowd, link) {
            link = previous;
        }
        crowd
    }

    /// Adds one record, and says which came before it.
    fn note_link(&self, crowd: &mut Crowd, link: Link) -> Option<Link> {
        match link.follow() {
            Linked::Nothing => None,
            Linked::Request(place) => {
                let request = &self.requests[place];
                crowd.add(request.key, request.fingerprint, request.stamp);
                Some(request.previous)
            }
            Linked::Booking(number) => {
                let booking = &self.bookings[number];
                crowd.add(booking.key, booking.fingerprint, booking.stamp);
                if booking.counts() {
                    crowd.bookings.retain(|earlier| self.bookings[*earlier].counts());
                    crowd.bookings.push(number);
                }
                Some(booking.previous)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use crate::rules::testing::*;
    use crate::{Command, KeyHash, PeriodNumber, PersonRef};

    use super::*;

    #[test]
    fn the_index_of_a_crowd_answers_what_a_walk_over_its_chain_does() {
        let mut desk = Desk::open();
        let opens_at = SLOT_DAY.ends_at();
        for number in [3, 4] {
            desk.put_period(PeriodNumber(number), opens_at, WINDOW_CLOSES_AT);
        }
        let person = desk.register(1);
        // Bookings, cancellations and refusals in three periods, one of them missed.
        for round in 0..120_u64 {
            if round == 50 {
                desk.at = opens_at;
            }
            let period = if round < 50 { PERIOD } else { PeriodNumber(3 + (round % 2) as u16) };
            let who = PersonRef::Number(person);
            let slot = if round < 50 { SLOT } else { LATE_SLOT };
            desk.apply(match round % 5 {
                0 if round != 45 => Command::Cancel { person: who, period, retry: retry(round) },
                4 => Command::Move { person: who, period, slot, retry: retry(round) },
                _ => Command::Book { person: who, period, slot, retry: retry(round) },
            });
            compare(&desk, person);
        }
        let record = desk.state.people.get(person);
        assert!(desk.state.history.crowds.get(person, record).is_some());
        desk.check();
    }

    fn compare(desk: &Desk, person: PersonNumber) {
        let (state, record) = (&desk.state, desk.state.people.get(person));
        for period in [PERIOD, PeriodNumber(3), PeriodNumber(4), PeriodNumber(5)] {
            for key in (0..130).map(KeyHash) {
                let at = desk.at;
                let found = state.history.standing(person, record, period, key, at, &state.slots);
                let mut walked = Standing::default();
                let history = &state.history;
                history.walk(&mut walked, record.latest, period, key, at, &state.slots);
                assert_eq!(found, walked, "{period:?} {key:?}");
            }
        }
    }
}
