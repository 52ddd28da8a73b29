//! The read model: what the events say, in a form that answers questions quickly.
//!
//! A [`View`] is a pure fold of events in order: the gateway keeps a whole one, the notifier only its
//! [`Catalogue`]. It repeats no rule: who may book when is asked of [`crate::eligibility`], the same
//! functions that decide. What the view foretells may be out of date by the time a command is decided;
//! the writer's word is the outcome.
//!
//! Rows are dense arrays by number: 48 bytes a person (and less than 7 for finding the number of a key),
//! 40 an outcome, 24 a booking (its entry in the slot's list included). Places left are counters that other threads read without a lock
//! ([`View::places`]).
//!
//! An event that contradicts what came before (a number out of turn, a slot never imported) is not
//! absorbed and is counted in [`View::contradictions`]: 0 for every journal of this product, anything
//! else means damage.
//!
//! A view can be packed into a [`checkpoint`] while it goes on absorbing, and made again of one.
//!
//! What this module deliberately does not do: contact data (sealed bytes pass by), texts, waiting
//! requests, watermarks ([`crate::watermark`]).

mod absorb;
mod availability;
mod bookings;
mod catalogue;
pub mod checkpoint;
mod dry_run;
mod figures;
mod instant;
mod outcomes;
mod people;
mod places;
mod rows;

use std::sync::Arc;

use crate::codec::EventGroup;
use crate::eligibility::{self, Facts};
use crate::{
    BookingNumber, Day, KeyHash, Millis, PeriodNumber, PersonKey, PersonNumber, Rejection,
    Sequence, SiteNumber, SlotNumber,
};

use bookings::Bookings;
use outcomes::Outcomes;
use people::People;

pub use availability::{SitePlaces, SlotPlaces};
pub use bookings::{BookingStatus, BookingView};
pub use catalogue::{Catalogue, CategoryEntry, PeriodEntry, PeriodState, SlotIdentity};
pub use dry_run::{DryRun, DryRunFigures};
pub use figures::{Figures, PeriodFigures};
pub use outcomes::{Outcome, OutcomeResult};
pub use people::IntentView;
pub use places::PlacesLeft;

/// Everything that the events say.
#[derive(Debug)]
pub struct View {
    /// Sites, slots, periods, categories, vaccines.
    pub catalogue: Catalogue,
    /// Keys, intents and memberships by person number.
    people: People,
    /// What became of each retry key.
    outcomes: Outcomes,
    /// Bookings by number, linked by person and by slot.
    bookings: Bookings,
    /// Live counters, shared with threads that only read them.
    places: Arc<PlacesLeft>,
    /// Counts for the overview.
    figures: Figures,
    /// The last command absorbed.
    sequence: Sequence,
    /// The time of it; never runs backwards.
    now: Millis,
    /// Events that could not be absorbed.
    contradictions: u64,
    /// Captures begun and given up so far.
    captures: u64,
}

impl View {
    /// Before the first event.
    pub fn new() -> View {
        View {
            catalogue: Catalogue::new(),
            people: People::new(),
            outcomes: Outcomes::new(),
            bookings: Bookings::new(),
            places: Arc::new(PlacesLeft::default()),
            figures: Figures::default(),
            sequence: Sequence(0),
            now: Millis(i64::MIN),
            contradictions: 0,
            captures: 0,
        }
    }

    /// Before the first event, with counters that others hold already.
    pub fn over(places: Arc<PlacesLeft>) -> View {
        places.clear();
        View { places, ..View::new() }
    }

    /// Notes that every command up to `sequence` has been absorbed, also those without events.
    pub fn advance(&mut self, sequence: Sequence, at: Millis) {
        self.sequence = self.sequence.max(sequence);
        self.now = self.now.max(at);
        self.figures.commands = self.sequence.0;
    }

    /// Asks for the memory that a group of events will need, so that absorbing it does not wait for
    /// each line in turn. Changes nothing; worth its cost for the group absorbed next.
    pub fn prefetch(&self, group: &EventGroup<'_>) {
        group.glimpses(|seen| {
            self.people.prefetch(seen.person, seen.key.as_ref());
            if let Some(slot) = seen.slot {
                self.catalogue.prefetch_slot(slot);
                self.bookings.prefetch(slot);
            }
        });
        // By now the first lists have come, and tell where they end.
        group.glimpses(|seen| {
            seen.slot.into_iter().for_each(|slot| self.bookings.prefetch_end(slot))
        });
    }

    /// The last command absorbed.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// The time of the last command absorbed.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// Events that did not fit what came before and were left out.
    pub fn contradictions(&self) -> u64 {
        self.contradictions
    }

    /// The person of this key.
    pub fn person_number(&self, key: &PersonKey) -> Option<PersonNumber> {
        self.people.number(key)
    }

    /// The key of this person.
    pub fn person_key(&self, person: PersonNumber) -> Option<PersonKey> {
        self.people.key(person)
    }

    /// The intent that the person holds.
    pub fn intent(&self, person: PersonNumber) -> Option<IntentView> {
        self.people.intent(person)
    }

    /// The categories whose list names the person, as a mask of their places; 0 for a stranger.
    pub fn memberships(&self, person: PersonNumber) -> u32 {
        self.people.memberships(person)
    }

    /// What became of a retry key. `None` while its command is not decided, and for a key refused as
    /// one too many, which leaves no trace ([`View::has_used_all_keys`]).
    pub fn outcome(
        &self,
        person: PersonNumber,
        period: PeriodNumber,
        key: KeyHash,
    ) -> Option<Outcome> {
        self.outcomes.find(self.people.requests(person), period, key, &self.bookings)
    }

    /// The retry keys that have an outcome.
    pub fn recorded_keys(&self) -> impl Iterator<Item = KeyHash> + '_ {
        self.outcomes.rows.iter().map(outcomes::OutcomeRow::key)
    }

    /// True when any request of the person in the period was recorded.
    pub fn recorded_request(&self, person: PersonNumber, period: PeriodNumber) -> bool {
        self.outcomes.of_period(self.people.requests(person), period).next().is_some()
    }

    /// True when the person can use no more keys in the period: whatever key has no outcome by now
    /// was or will be refused with [`Rejection::TooManyKeys`].
    pub fn has_used_all_keys(&self, person: PersonNumber, period: PeriodNumber) -> bool {
        let used = self.outcomes.of_period(self.people.requests(person), period);
        used.take(crate::rules::REQUEST_KEYS_MAX).count() == crate::rules::REQUEST_KEYS_MAX
    }

    /// A booking as last announced. Once its day has passed, [`View::booking_status`] knows of a missed
    /// one sooner than the announcement.
    pub fn booking(&self, booking: BookingNumber) -> Option<BookingView> {
        self.bookings.view(booking)
    }

    /// A booking's status at an instant: a no-show from the end of its day on.
    pub fn booking_status(&self, booking: BookingNumber, at: Millis) -> Option<BookingStatus> {
        let view = self.bookings.view(booking)?;
        let slot = self.catalogue.slot(view.slot)?;
        Some(match view.status {
            BookingStatus::Booked if !eligibility::is_active(slot.day, at) => BookingStatus::NoShow,
            status => status,
        })
    }

    /// The person's booking in the period that counts: the one that was not cancelled.
    pub fn booking_of(&self, person: PersonNumber, period: PeriodNumber) -> Option<BookingNumber> {
        self.bookings
            .of_person(self.people.latest_booking(person))
            .find(|(_, view)| view.period == period && view.status != BookingStatus::Cancelled)
            .map(|(number, _)| number)
    }

    /// The person's booking that is neither cancelled nor attended and whose day has not passed.
    pub fn active_booking(&self, person: PersonNumber, at: Millis) -> Option<BookingNumber> {
        self.bookings
            .of_person(self.people.latest_booking(person))
            .find(|(_, view)| {
                view.status.is_open()
                    && self
                        .catalogue
                        .slot(view.slot)
                        .is_some_and(|slot| eligibility::is_active(slot.day, at))
            })
            .map(|(number, _)| number)
    }

    /// All bookings of a person, the newest first.
    pub fn bookings_of(
        &self,
        person: PersonNumber,
    ) -> impl Iterator<Item = (BookingNumber, BookingView)> + '_ {
        self.bookings.of_person(self.people.latest_booking(person))
    }

    /// The bookings of a site's day that were not cancelled, by time and number.
    pub fn bookings_on(
        &self,
        site: SiteNumber,
        day: Day,
    ) -> impl Iterator<Item = (BookingNumber, BookingView)> + '_ {
        let slots = self.catalogue.slots_on(site, day);
        slots.iter().flat_map(|slot| {
            let mut list: Vec<_> = self.bookings.on_slot(*slot).collect();
            list.sort_unstable_by_key(|(number, _)| *number);
            list
        })
    }

    /// Whether a booking would be allowed in the period now, the slot aside: from when the person may
    /// book, or the first refusal among those that come before the question of other bookings.
    ///
    /// # Errors
    /// The refusal that the writer would give, if nothing changes until then.
    pub fn eligibility(
        &self,
        person: Option<PersonNumber>,
        period: PeriodNumber,
        at: Millis,
    ) -> Result<Millis, Rejection> {
        let facts = person.and_then(|person| self.facts(person));
        eligibility::booking_allowed(
            self.catalogue.period(period).map(|entry| &entry.rule),
            self.catalogue.category_rules(),
            facts.as_ref(),
            person.and_then(|person| self.missed_day(person, at)),
            at,
        )
    }

    /// From when the person may book in the period, whatever the time is now.
    ///
    /// # Errors
    /// [`Rejection::UnknownPeriod`], [`Rejection::NotRegistered`] or [`Rejection::NotEligible`].
    pub fn may_book_from(
        &self,
        person: Option<PersonNumber>,
        period: PeriodNumber,
    ) -> Result<Millis, Rejection> {
        let entry = self.catalogue.period(period).ok_or(Rejection::UnknownPeriod)?;
        let facts = person.and_then(|person| self.facts(person)).ok_or(Rejection::NotRegistered)?;
        eligibility::may_book_from(&entry.rule, self.catalogue.category_rules(), &facts)
    }

    /// Whether a person born on this day, on these lists, may register now.
    ///
    /// # Errors
    /// [`Rejection::NotEligible`] or [`Rejection::CategoryClosed`].
    pub fn registration_allowed(
        &self,
        born_on: Day,
        memberships: u32,
        at: Millis,
    ) -> Result<(), Rejection> {
        eligibility::registration_allowed(self.catalogue.category_rules(), born_on, memberships, at)
    }

    /// The latest day on which the person was booked and did not come, as far as it has passed.
    pub fn missed_day(&self, person: PersonNumber, at: Millis) -> Option<Day> {
        self.bookings
            .of_person(self.people.latest_booking(person))
            .filter(|(_, view)| view.status.is_open())
            .filter_map(|(_, view)| {
                eligibility::no_show_day(self.catalogue.slot(view.slot)?.day, at)
            })
            .max()
    }

    /// Places left in a slot; 0 for one never imported.
    pub fn places_left(&self, slot: SlotNumber) -> u32 {
        self.places.get(slot)
    }

    /// The live counters, for threads that read them while this view goes on absorbing.
    pub fn places(&self) -> &Arc<PlacesLeft> {
        &self.places
    }

    /// Counts for the overview.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What the eligibility rules ask of the person; `None` without an intent.
    fn facts(&self, person: PersonNumber) -> Option<Facts> {
        self.people.intent(person).map(|held| held.facts())
    }
}

impl Default for View {
    fn default() -> View {
        View::new()
    }
}
