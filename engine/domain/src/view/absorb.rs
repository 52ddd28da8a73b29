//! The fold: one event into the view.

use crate::{
    BookingNumber, CategoryNumber, Event, Fingerprint, KeyHash, Millis, PeriodNumber, PersonNumber,
    Rejection, Sequence, SlotNumber,
};

use super::View;
use super::bookings::BookingStatus;
use super::catalogue::Catalogue;
use super::outcomes::{Decided, OutcomeResult};
use super::people::{IntentView, NONE};

/// Whose request, and which, an event answers.
#[derive(Clone, Copy)]
struct Request {
    person: PersonNumber,
    period: PeriodNumber,
    key: KeyHash,
    fingerprint: Fingerprint,
}

impl View {
    /// Takes in the next event. `sequence` and `at` are those of its command's group.
    #[inline]
    pub fn absorb(&mut self, sequence: Sequence, at: Millis, event: &Event) {
        self.advance(sequence, at);
        if self.fold(event).is_none() {
            self.contradictions += 1;
        }
    }

    /// `None` when the event contradicts what came before.
    fn fold(&mut self, event: &Event) -> Option<()> {
        match *event {
            Event::Confirmed { person, period, key, fingerprint, booking, slot } => {
                let request = Request { person, period, key, fingerprint };
                self.confirmed(request, booking, slot)
            }
            Event::Rejected { person, period, key, fingerprint, reason } => {
                self.rejected(Request { person, period, key, fingerprint }, reason)
            }
            Event::Changed { person, period, key, fingerprint, booking, from, to } => {
                let request = Request { person, period, key, fingerprint };
                self.changed(request, booking, from, to)
            }
            Event::Cancelled { person, period, key, fingerprint, booking, slot } => {
                let request = Request { person, period, key, fingerprint };
                self.cancelled(request, booking, slot)
            }
            Event::Numbered { person, key } => {
                self.figures.people += 1;
                self.people.add(person, key).then_some(())
            }
            Event::Repeated { .. } => {
                self.figures.repeated += 1;
                Some(())
            }
            Event::KeyReused { .. } => {
                self.figures.keys_reused += 1;
                Some(())
            }
            Event::Attended { person, booking, .. } => self.attended(person, booking),
            Event::NoShow { person, booking } => self.no_show(person, booking),
            _ => self.fold_intent(event),
        }
    }

    /// The events of registrations.
    fn fold_intent(&mut self, event: &Event) -> Option<()> {
        let intents = |person, key, fingerprint| Request {
            person,
            period: PeriodNumber::INTENTS,
            key,
            fingerprint,
        };
        match *event {
            Event::Registered { person, key, fingerprint, serial, born_on, ref intent, .. } => {
                let at = self.now;
                let row = self.people.row_mut(person).filter(|row| row.intent().is_none())?;
                row.register(serial, at, born_on, intent);
                self.figures.registrations += 1;
                self.figures.intents += 1;
                let request = intents(person, key, fingerprint);
                self.record(request, OutcomeResult::Registered { serial })
            }
            Event::AlreadyRegistered { person, key, fingerprint } => {
                self.record(intents(person, key, fingerprint), OutcomeResult::AlreadyRegistered)
            }
            Event::Modified { person, key, fingerprint, born_on, ref intent, .. } => {
                let row = self.people.row_mut(person)?;
                let IntentView { serial, registered_at, .. } = row.intent()?;
                row.modify(born_on, intent);
                let result = OutcomeResult::Modified { serial, registered_at };
                self.record(intents(person, key, fingerprint), result)
            }
            Event::Withdrawn { person, key, fingerprint, serial } => {
                let row = self.people.row_mut(person)?;
                row.intent().filter(|intent| intent.serial == serial)?;
                row.withdraw();
                self.figures.intents -= 1;
                self.record(intents(person, key, fingerprint), OutcomeResult::Withdrawn { serial })
            }
            Event::BirthCorrected { person, born_on } => {
                self.people.row_mut(person)?.correct_birth(born_on);
                Some(())
            }
            Event::MembersPut { category, ref people } => self.members(category, people),
            _ => self.fold_operator(event),
        }
    }

    /// The events of operators, imports and the engine itself.
    fn fold_operator(&mut self, event: &Event) -> Option<()> {
        match *event {
            Event::SitesPut { .. } => {
                let fits = self.catalogue.absorb(event);
                self.figures.sites = u64::from(self.catalogue.sites_count());
                fits.then_some(())
            }
            Event::SlotsPut { ref slots } => slots.iter().try_for_each(|(number, slot)| {
                let put = |catalogue: &mut Catalogue| catalogue.put_slot(*number, slot);
                self.capacity(*number, slot.capacity, put)
            }),
            Event::CapacitySet { slot, capacity } => {
                let set = |catalogue: &mut Catalogue| catalogue.set_capacity(slot, capacity);
                self.capacity(slot, capacity, set)
            }
            Event::ImportStaged { import, rows } => {
                self.figures.import = Some((import, rows));
                Some(())
            }
            Event::ImportCommitted { .. } | Event::ImportVoided { .. } => {
                self.figures.import = None;
                Some(())
            }
            Event::OperatorRefused { .. } => {
                self.figures.operator_refused += 1;
                Some(())
            }
            Event::EpochBegan { epoch } => {
                self.figures.epoch = epoch;
                Some(())
            }
            Event::RulesActivated { version } => {
                self.figures.rules_version = version;
                Some(())
            }
            Event::Malformed => {
                self.figures.malformed += 1;
                Some(())
            }
            _ => self.catalogue.absorb(event).then_some(()),
        }
    }

    fn confirmed(
        &mut self,
        request: Request,
        booking: BookingNumber,
        slot: SlotNumber,
    ) -> Option<()> {
        self.catalogue.slot(slot)?;
        let earlier = self.people.row(request.person)?.latest_booking;
        if booking.0 != self.bookings.len() || booking.0 == NONE || !self.places.take(slot) {
            return None;
        }
        self.figures.places_left -= 1;
        self.bookings.add(request.person, request.period, slot, earlier);
        self.figures.count(request.period, |figures| figures.confirmed += 1);
        self.people.row_mut(request.person)?.latest_booking = booking.0;
        self.record(request, OutcomeResult::Confirmed { booking, slot })
    }

    fn changed(
        &mut self,
        request: Request,
        booking: BookingNumber,
        from: SlotNumber,
        to: SlotNumber,
    ) -> Option<()> {
        self.held(request, booking, from)?;
        self.catalogue.slot(to)?;
        if from != to {
            if !self.places.take(to) {
                return None;
            }
            self.places.give_back(from);
            self.bookings.relocate(booking, to);
        }
        self.figures.count(request.period, |figures| figures.changed += 1);
        self.record(request, OutcomeResult::Changed { booking, from, to })
    }

    fn cancelled(
        &mut self,
        request: Request,
        booking: BookingNumber,
        slot: SlotNumber,
    ) -> Option<()> {
        self.held(request, booking, slot)?;
        self.places.give_back(slot);
        self.figures.places_left += 1;
        self.bookings.cancel(booking);
        self.figures.count(request.period, |figures| figures.cancelled += 1);
        self.record(request, OutcomeResult::Cancelled { booking, slot })
    }

    /// Checks that the booking is the person's, stands, and is in that slot.
    fn held(&self, request: Request, booking: BookingNumber, slot: SlotNumber) -> Option<()> {
        let view = self.bookings.view(booking)?;
        let fits = view.person == request.person
            && view.period == request.period
            && view.slot == slot
            && view.status == BookingStatus::Booked;
        fits.then_some(())
    }

    fn rejected(&mut self, request: Request, reason: Rejection) -> Option<()> {
        self.figures.rejected[reason as usize - 1] += 1;
        if request.period != PeriodNumber::INTENTS {
            self.figures.count(request.period, |figures| figures.rejected += 1);
        }
        self.people.row(request.person)?;
        if reason == Rejection::TooManyKeys {
            // The key was not kept: asked again, it is refused again.
            return Some(());
        }
        self.record(request, OutcomeResult::Rejected(reason))
    }

    fn attended(&mut self, person: PersonNumber, booking: BookingNumber) -> Option<()> {
        let view = self.bookings.view(booking).filter(|view| view.person == person)?;
        match view.status {
            BookingStatus::Cancelled => return None,
            BookingStatus::Attended => return Some(()),
            BookingStatus::NoShow => {
                self.figures.count(view.period, |figures| figures.no_shows -= 1);
            }
            BookingStatus::Booked => {}
        }
        self.figures.count(view.period, |figures| figures.attended += 1);
        self.bookings.mark(booking, BookingStatus::Attended);
        Some(())
    }

    fn no_show(&mut self, person: PersonNumber, booking: BookingNumber) -> Option<()> {
        let view = self.bookings.view(booking)?;
        if view.person != person || view.status != BookingStatus::Booked {
            return None;
        }
        self.figures.count(view.period, |figures| figures.no_shows += 1);
        self.bookings.mark(booking, BookingStatus::NoShow);
        Some(())
    }

    fn members(&mut self, category: CategoryNumber, people: &[PersonNumber]) -> Option<()> {
        let bit = self.catalogue.category(category)?.bit;
        people.iter().try_for_each(|person| {
            self.people.row_mut(*person)?.memberships |= 1 << bit;
            Some(())
        })
    }

    /// Gives a slot its capacity in the catalogue, and keeps what is booked off the places left.
    fn capacity(
        &mut self,
        slot: SlotNumber,
        capacity: u32,
        put: impl FnOnce(&mut Catalogue) -> bool,
    ) -> Option<()> {
        let before = self.catalogue.slot(slot).map_or(0, |known| known.capacity);
        let left_before = self.places.get(slot);
        let left = capacity.checked_sub(before.saturating_sub(left_before))?;
        if !put(&mut self.catalogue) {
            return None;
        }
        self.places.set(slot, left);
        self.bookings.open_slot(slot);
        self.figures.slots = u64::from(self.catalogue.slots_count());
        self.figures.places = self.figures.places - u64::from(before) + u64::from(capacity);
        self.figures.places_left =
            self.figures.places_left - u64::from(left_before) + u64::from(left);
        Some(())
    }

    /// Records what came of a request as the person's newest.
    fn record(&mut self, request: Request, result: OutcomeResult) -> Option<()> {
        let decided = Decided {
            period: request.period,
            key: request.key,
            fingerprint: request.fingerprint,
            sequence: self.sequence,
            at: self.now,
        };
        let row = self.people.row_mut(request.person)?;
        row.latest_request = self.outcomes.record(decided, result, row.latest_request)?;
        Some(())
    }
}
