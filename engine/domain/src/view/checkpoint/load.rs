//! From the bytes of a checkpoint back to a view.

use std::sync::Arc;

use super::super::View;
use super::super::bookings::{BOOKING_BYTES, BookingRow};
use super::super::outcomes::{MOVE_BYTES, Move, OUTCOME_BYTES, OutcomeRow};
use super::super::people::{PERSON_BYTES, PersonRow};
use super::super::places::PlacesLeft;
use super::frame::{Frame, PREAMBLE_BYTES, Sealer, Section};
use super::head::{Counted, Head, Lengths};
use super::{BadCheckpoint, NOTE_BYTES_MAX};
use crate::codec::{DecodeError, for_each_event};
use crate::eligibility::{CATEGORIES_MAX, VACCINES_MAX};
use crate::state::packing::unpack_whole;
use crate::{Event, PeriodNumber, PersonKey, Sequence, SlotNumber};

/// A view on its way from bytes. Takes frame by frame; asks for no memory that the bytes do not fill.
#[derive(Debug)]
pub struct Loader {
    sealer: Sealer,
    /// The section of the last frame; `None` before the first.
    section: Option<Section>,
    head: Option<Head>,
    view: View,
    counted: Counted,
    /// The counters that the view will share.
    places: Arc<PlacesLeft>,
}

impl Loader {
    /// Begins with the first bytes. The view will use these counters, whose values it replaces at the
    /// end, if there is one.
    ///
    /// # Errors
    /// When the bytes are no checkpoint, or one of another format.
    pub fn open(
        preamble: &[u8; PREAMBLE_BYTES],
        places: Arc<PlacesLeft>,
    ) -> Result<Loader, BadCheckpoint> {
        Ok(Loader {
            sealer: Sealer::open(preamble)?,
            section: None,
            head: None,
            view: View::new(),
            counted: Counted::default(),
            places,
        })
    }

    /// Takes the next frame, header and check included.
    ///
    /// # Errors
    /// When it is not what was written, or contradicts what came before. The loader is of no use then.
    pub fn take(&mut self, frame: &[u8]) -> Result<(), BadCheckpoint> {
        let frame = self.sealer.check(frame)?;
        let follows = match self.section {
            None => frame.section == Section::Head,
            Some(Section::Head) => frame.section == Section::Catalogue,
            Some(Section::Catalogue) => frame.section > Section::Catalogue,
            Some(before) => frame.section >= before && before != Section::End,
        };
        if !follows {
            return Err(BadCheckpoint::Damaged("a section out of turn"));
        }
        self.section = Some(frame.section);
        self.put(&frame).ok_or(BadCheckpoint::Damaged("rows that no view has"))
    }

    /// The last command that the view will know, once the first frame is taken.
    pub fn sequence(&self) -> Option<Sequence> {
        self.head.as_ref().map(|head| head.sequence)
    }

    /// The note of whoever took the checkpoint, once the first frame is taken.
    pub fn note(&self) -> Option<&[u8]> {
        self.head.as_ref().map(|head| head.note.as_slice())
    }

    /// The view, when all of it came.
    ///
    /// # Errors
    /// When something is missing, or parts contradict each other. The counters are untouched then.
    pub fn finish(mut self) -> Result<View, BadCheckpoint> {
        let (Some(Section::End), Some(head)) = (self.section, self.head) else {
            return Err(BadCheckpoint::Damaged("it ends too early"));
        };
        if Lengths::of(&self.view) != head.lengths || !self.view.people.finish_load() {
            return Err(BadCheckpoint::Damaged("people, sites or bookings are missing"));
        }
        self.view.figures = head.figures;
        let left = places_left(&self.view)
            .filter(|left| {
                let sum: u64 = left.iter().copied().map(u64::from).sum();
                sum == self.view.figures.places_left
            })
            .ok_or(BadCheckpoint::Damaged("places and bookings contradict each other"))?;
        if !self.counted.agrees_with(&self.view) {
            return Err(BadCheckpoint::Damaged("figures and rows contradict each other"));
        }
        self.places.clear();
        for (number, left) in (0..).zip(left) {
            self.places.set(SlotNumber(number), left);
        }
        self.view.places = self.places;
        self.view.sequence = head.sequence;
        self.view.now = head.now;
        Ok(self.view)
    }

    /// `None` when the frame contradicts what came before.
    fn put(&mut self, frame: &Frame<'_>) -> Option<()> {
        if frame.section == Section::Head {
            let head: Head = unpack_whole(frame.body)?;
            let can_be = head.can_be() && head.note.len() <= NOTE_BYTES_MAX;
            self.head = can_be.then_some(head);
            return self.head.is_some().then_some(());
        }
        let lengths = self.head.as_ref()?.lengths;
        let (view, counted) = (&mut self.view, &mut self.counted);
        match frame.section {
            Section::Head => None,
            Section::Catalogue => put_catalogue(view, frame),
            Section::Sites => put_sites(view, frame),
            Section::Slots => put_slots(view, frame),
            Section::People => {
                rows::<PERSON_BYTES>(frame, view.people.rows.len())?.try_for_each(|bytes| {
                    let row = PersonRow::unpack(bytes)?;
                    row.fits(lengths.bookings, lengths.outcomes).then_some(())?;
                    if row.intent().is_some() {
                        counted.intent();
                    }
                    view.people.rows.push(row);
                    Some(())
                })
            }
            Section::Bookings => rows::<BOOKING_BYTES>(frame, view.bookings.rows.len())?
                .try_for_each(|bytes| {
                    let row = BookingRow::unpack(bytes)?;
                    let shown = row.view();
                    let fits = shown.person.0 < lengths.people
                        && shown.slot.0 < lengths.slots
                        && shown.period != PeriodNumber::INTENTS;
                    fits.then_some(())?;
                    counted.booking(&shown);
                    view.bookings.load(row)
                }),
            Section::Keys => rows::<16>(frame, view.people.keys.len())?.try_for_each(|bytes| {
                view.people.keys.push(PersonKey(*bytes));
                Some(())
            }),
            Section::Moves => {
                rows::<MOVE_BYTES>(frame, view.outcomes.moves.len())?.try_for_each(|bytes| {
                    let step = Move::unpack(bytes)?;
                    step.fits(lengths.bookings, lengths.slots).then_some(())?;
                    view.outcomes.moves.push(step);
                    Some(())
                })
            }
            Section::Outcomes => rows::<OUTCOME_BYTES>(frame, view.outcomes.rows.len())?
                .try_for_each(|bytes| {
                    let row = OutcomeRow::unpack(bytes)?;
                    let number = view.outcomes.rows.len();
                    row.fits(number, lengths.bookings, lengths.moves).then_some(())?;
                    row.moved_in().into_iter().for_each(|period| counted.moved(period));
                    if row.is_registration() {
                        counted.registration();
                    }
                    view.outcomes.rows.push(row);
                    Some(())
                }),
            Section::End => (frame.count == 0 && frame.body.is_empty()).then_some(()),
        }
    }
}

/// The rows of a frame that continues an array of this length.
fn rows<'a, const N: usize>(
    frame: &Frame<'a>,
    length: u32,
) -> Option<impl Iterator<Item = &'a [u8; N]> + use<'a, N>> {
    let (rows, rest) = frame.body.as_chunks::<N>();
    let fits = frame.first == length
        && rest.is_empty()
        && frame.count as usize == rows.len()
        && length.checked_add(frame.count).is_some();
    fits.then_some(rows.iter())
}

/// Shows the events of a frame; `None` when one is not understood or not welcome.
fn events(frame: &Frame<'_>, mut put: impl FnMut(&Event) -> bool) -> Option<()> {
    let refused = DecodeError::Malformed("not an event of this section");
    for_each_event(frame.body, |event| put(event).then_some(()).ok_or(refused)).ok()
}

fn put_catalogue(view: &mut View, frame: &Frame<'_>) -> Option<()> {
    events(frame, |event| match event {
        Event::VaccineNamed { .. } | Event::CategoryPut { .. } | Event::PeriodPut { .. } => {
            view.catalogue.absorb(event)
        }
        _ => false,
    })?;
    let fits = view.catalogue.categories().len() <= CATEGORIES_MAX
        && view.catalogue.vaccines().len() <= VACCINES_MAX;
    fits.then_some(())
}

fn put_sites(view: &mut View, frame: &Frame<'_>) -> Option<()> {
    (frame.first == view.catalogue.sites_count()).then_some(())?;
    events(frame, |event| matches!(event, Event::SitesPut { .. }) && view.catalogue.absorb(event))?;
    (frame.first.checked_add(frame.count)? == view.catalogue.sites_count()).then_some(())
}

fn put_slots(view: &mut View, frame: &Frame<'_>) -> Option<()> {
    (frame.first == view.catalogue.slots_count()).then_some(())?;
    events(frame, |event| matches!(event, Event::SlotsPut { .. }) && view.catalogue.absorb(event))?;
    let end = view.catalogue.slots_count();
    (frame.first.checked_add(frame.count)? == end).then_some(())?;
    (frame.first..end).for_each(|number| view.bookings.open_slot(SlotNumber(number)));
    Some(())
}

/// Places left in each slot: those that no booking holds. `None` when more are held than there are.
fn places_left(view: &View) -> Option<Vec<u32>> {
    let slots = (0..).map(SlotNumber).zip(view.catalogue.slots.iter());
    slots.map(|(number, slot)| slot.capacity.checked_sub(view.bookings.count_on(number))).collect()
}
