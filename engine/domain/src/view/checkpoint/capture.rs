//! Copying a view as it was at one moment, portion by portion.

use std::collections::BTreeMap;
use std::fmt;

use super::super::View;
use super::super::bookings::BookingRow;
use super::super::outcomes::{Move, OutcomeRow};
use super::super::people::PersonRow;
use super::super::rows::{Kept, Rows};
use super::NOTE_BYTES_MAX;
use super::frame::{Sealer, Section};
use super::head::{Head, Lengths};
use crate::codec::put_event;
use crate::state::packing::{Pack, pack_whole};
use crate::{Event, PersonKey, Sequence, Site, SiteNumber, Slot, SlotNumber, VaccineNumber};

/// Bytes of rows copied at a time: some tens of microseconds.
const PORTION_BYTES: usize = 256 << 10;

/// Sites copied at a time: their texts are copied one by one.
const PORTION_SITES: usize = 512;

/// What an entry of the ordered map costs beyond itself, about.
const MAP_ENTRY_BYTES: usize = 16;

/// A view being copied as it was when the capture began. See the module above for the order of calls.
#[derive(Debug)]
pub struct Capture {
    /// Which capture of the view this is.
    number: u64,
    head: Head,
    /// Vaccines, categories and periods, packed when the capture began.
    catalogue: Vec<u8>,
    sealer: Option<Sealer>,
    /// What is copied and packed next.
    section: Section,
    memory_bytes_max: usize,
    sites: Scan<Site>,
    slots: Scan<Slot>,
    people: Scan<PersonRow>,
    bookings: Scan<BookingRow>,
    keys: Scan<PersonKey>,
    moves: Scan<Move>,
    outcomes: Scan<OutcomeRow>,
}

/// A capture that no longer tells one moment. It is of no use any more; the view is as good as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureLost {
    /// More changed while it was under way than may be kept in memory.
    TooManyChanges,
    /// Another capture began.
    Superseded,
}

impl fmt::Display for CaptureLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CaptureLost::TooManyChanges => {
                "more changed while it was being written than may be kept in memory"
            }
            CaptureLost::Superseded => "another one began meanwhile",
        })
    }
}

impl std::error::Error for CaptureLost {}

impl View {
    /// Begins to copy the view as it stands now. `note` (at most [`NOTE_BYTES_MAX`], the rest is cut
    /// off) comes back with the loaded view. Rows that change before they are copied are kept in about
    /// `memory_bytes_max` at most. One capture at a time: a second one ends the first.
    pub fn begin_capture(&mut self, note: &[u8], memory_bytes_max: usize) -> Capture {
        self.captures += 1;
        let lengths = Lengths::of(self);
        let mut catalogue = Vec::new();
        put_catalogue(self, &mut catalogue);
        let mut capture = Capture {
            number: self.captures,
            head: Head {
                sequence: self.sequence,
                now: self.now,
                lengths,
                figures: self.figures.clone(),
                note: note[..note.len().min(NOTE_BYTES_MAX)].to_vec(),
            },
            catalogue,
            sealer: None,
            section: Section::Head,
            memory_bytes_max,
            sites: Scan::to(lengths.sites),
            slots: Scan::to(lengths.slots),
            people: Scan::to(lengths.people),
            bookings: Scan::to(lengths.bookings),
            keys: Scan::to(lengths.people),
            moves: Scan::to(lengths.moves),
            outcomes: Scan::to(lengths.outcomes),
        };
        capture.set_portion_bytes(PORTION_BYTES);
        self.catalogue.sites.watch(capture.room(&capture.sites));
        self.catalogue.slots.watch(capture.room(&capture.slots));
        self.people.rows.watch(capture.room(&capture.people));
        self.bookings.rows.watch(capture.room(&capture.bookings));
        capture
    }

    /// Ends a capture that is given up: nothing is kept for it any more.
    pub fn end_capture(&mut self) {
        self.captures += 1;
        self.catalogue.sites.unwatch();
        self.catalogue.slots.unwatch();
        self.people.rows.unwatch();
        self.bookings.rows.unwatch();
    }
}

impl Capture {
    /// The last command that it holds.
    pub fn sequence(&self) -> Sequence {
        self.head.sequence
    }

    /// How much is copied at a time, at least a row: less of it holds the view for less time, and
    /// takes more calls.
    pub fn set_portion_bytes(&mut self, bytes: usize) {
        self.sites.set_portion(bytes.min(PORTION_SITES * size_of::<Site>()));
        self.slots.set_portion(bytes);
        self.people.set_portion(bytes);
        self.bookings.set_portion(bytes);
        self.keys.set_portion(bytes);
        self.moves.set_portion(bytes);
        self.outcomes.set_portion(bytes);
    }

    /// Copies the next portion. The view may be shared with readers meanwhile.
    pub fn copy(&mut self, view: &View) {
        match self.section {
            Section::Sites => self.sites.copy(|from, max| view.catalogue.sites.portion(from, max)),
            Section::Slots => self.slots.copy(|from, max| view.catalogue.slots.portion(from, max)),
            Section::People => self.people.copy(|from, max| view.people.rows.portion(from, max)),
            Section::Bookings => {
                self.bookings.copy(|from, max| view.bookings.rows.portion(from, max));
            }
            Section::Keys => self.keys.copy(|from, max| view.people.keys.portion(from, max)),
            Section::Moves => self.moves.copy(|from, max| view.outcomes.moves.portion(from, max)),
            Section::Outcomes => {
                self.outcomes.copy(|from, max| view.outcomes.rows.portion(from, max));
            }
            Section::Head | Section::Catalogue | Section::End => {}
        }
    }

    /// True when the portion just copied needs [`Capture::settle`] before [`Capture::pack`]: not any
    /// more once only rows that never change are left.
    pub fn needs_settling(&self) -> bool {
        (Section::Sites..=Section::Bookings).contains(&self.section)
    }

    /// Takes what the rows copied were before they changed. Short, however much that is.
    ///
    /// # Errors
    /// When the capture is lost.
    pub fn settle(&mut self, view: &mut View) -> Result<(), CaptureLost> {
        if view.captures != self.number {
            return Err(CaptureLost::Superseded);
        }
        let room = self.room(&self.sites);
        self.sites.take(&mut view.catalogue.sites, room)?;
        let room = self.room(&self.slots);
        self.slots.take(&mut view.catalogue.slots, room)?;
        let room = self.room(&self.people);
        self.people.take(&mut view.people.rows, room)?;
        let room = self.room(&self.bookings);
        self.bookings.take(&mut view.bookings.rows, room)
    }

    /// Appends the bytes of the portion, and says whether more follows.
    pub fn pack(&mut self, out: &mut Vec<u8>) -> bool {
        let sealer = self.sealer.get_or_insert_with(|| Sealer::begin(out));
        let is_through = match self.section {
            Section::Head => {
                let head = pack_whole(&self.head);
                sealer.frame((Section::Head, 0, 1), out, |out| out.extend_from_slice(&head));
                true
            }
            Section::Catalogue => {
                let events = std::mem::take(&mut self.catalogue);
                sealer.frame((Section::Catalogue, 0, 0), out, |out| {
                    out.extend_from_slice(&events);
                });
                true
            }
            Section::Sites => self.sites.pack_sites(sealer, out),
            Section::Slots => self.slots.pack_slots(sealer, out),
            Section::People => self.people.pack_rows(Section::People, sealer, out),
            Section::Bookings => self.bookings.pack_rows(Section::Bookings, sealer, out),
            Section::Keys => self.keys.pack_rows(Section::Keys, sealer, out),
            Section::Moves => self.moves.pack_rows(Section::Moves, sealer, out),
            Section::Outcomes => self.outcomes.pack_rows(Section::Outcomes, sealer, out),
            Section::End => {
                sealer.frame((Section::End, 0, 0), out, |_| {});
                return false;
            }
        };
        if is_through {
            self.section = self.section.next();
        }
        true
    }

    /// How many more rows of an array may be kept, of all memory that is left.
    fn room<T>(&self, _of: &Scan<T>) -> u32 {
        let used = self.sites.bytes() + self.slots.bytes() + self.people.bytes();
        let left = self.memory_bytes_max.saturating_sub(used + self.bookings.bytes());
        // Each stands in the list where it was kept before it stands in the map.
        u32::try_from(left / (2 * Scan::<T>::ENTRY_BYTES)).unwrap_or(u32::MAX)
    }
}

/// Rows of one array on their way.
#[derive(Debug)]
struct Scan<T> {
    /// The first row not packed yet.
    next: u32,
    /// Rows when the capture began.
    end: u32,
    /// Rows of a portion, at most.
    portion_rows: usize,
    /// The portion from `next` on.
    copied: Vec<T>,
    /// What rows were, taken and not yet in order.
    taken: Vec<Kept<T>>,
    /// What rows from `next` on were.
    kept: BTreeMap<u32, T>,
}

impl<T: Clone> Scan<T> {
    fn take(&mut self, rows: &mut Rows<T>, kept_max: u32) -> Result<(), CaptureLost> {
        if self.next == self.end {
            return Ok(());
        }
        let from = self.next + self.copied.len() as u32;
        let kept = rows.take_kept(from, kept_max).ok_or(CaptureLost::TooManyChanges)?;
        if kept.len() > 0 {
            self.taken.push(kept);
        }
        Ok(())
    }

    fn copy<'a>(&mut self, portion: impl FnOnce(u32, usize) -> &'a [T])
    where
        T: 'a,
    {
        let left = (self.end - self.next) as usize;
        self.copied.clear();
        self.copied.extend_from_slice(portion(self.next, self.portion_rows.min(left)));
    }

    /// Makes of the copied rows what they were when the capture began: the first value kept of each.
    fn restore(&mut self) {
        let (from, to) = (self.next, self.next + self.copied.len() as u32);
        for (index, row) in self.taken.drain(..).flat_map(Kept::into_records) {
            if index >= from {
                self.kept.entry(index).or_insert(row);
            }
        }
        let later = self.kept.split_off(&to);
        for (index, row) in std::mem::replace(&mut self.kept, later) {
            self.copied[(index - from) as usize] = row;
        }
    }

    fn is_through(&mut self) -> bool {
        self.next += self.copied.len() as u32;
        self.copied.clear();
        self.next == self.end
    }

    /// Packs the portion as rows of fixed size.
    fn pack_rows<const N: usize>(
        &mut self,
        section: Section,
        sealer: &mut Sealer,
        out: &mut Vec<u8>,
    ) -> bool
    where
        T: Pack<N>,
    {
        self.restore();
        if !self.copied.is_empty() {
            let what = (section, self.next, self.copied.len() as u32);
            sealer.frame(what, out, |out| {
                let start = out.len();
                out.resize(start + N * self.copied.len(), 0);
                let (places, _) = out[start..].as_chunks_mut::<N>();
                places.iter_mut().zip(&self.copied).for_each(|(place, row)| row.pack(place));
            });
        }
        self.is_through()
    }
}

impl<T> Scan<T> {
    /// What a kept row takes.
    const ENTRY_BYTES: usize = size_of::<(u32, T)>() + MAP_ENTRY_BYTES;

    fn to(end: u32) -> Scan<T> {
        Scan {
            next: 0,
            end,
            portion_rows: 1,
            copied: Vec::new(),
            taken: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    fn set_portion(&mut self, bytes: usize) {
        self.portion_rows = (bytes / size_of::<T>()).max(1);
    }

    /// Memory of what is kept.
    fn bytes(&self) -> usize {
        let taken: usize = self.taken.iter().map(|kept| kept.len() as usize).sum();
        (self.kept.len() + taken) * Scan::<T>::ENTRY_BYTES
    }
}

impl Scan<Site> {
    /// Packs the portion as events, so many sites a frame that it stays small.
    fn pack_sites(&mut self, sealer: &mut Sealer, out: &mut Vec<u8>) -> bool {
        self.restore();
        let (mut events, mut first, mut count) = (Vec::new(), self.next, 0);
        for site in &self.copied {
            let number = SiteNumber(first + count);
            put_event(&Event::SitesPut { sites: vec![(number, site.clone())] }, &mut events);
            count += 1;
            if events.len() >= PORTION_BYTES {
                sealer.frame((Section::Sites, first, count), out, |out| out.append(&mut events));
                (first, count) = (first + count, 0);
            }
        }
        if count > 0 {
            sealer.frame((Section::Sites, first, count), out, |out| out.append(&mut events));
        }
        self.is_through()
    }
}

impl Scan<Slot> {
    /// Packs the portion as one event.
    fn pack_slots(&mut self, sealer: &mut Sealer, out: &mut Vec<u8>) -> bool {
        self.restore();
        if !self.copied.is_empty() {
            let numbers = (self.next..).map(SlotNumber);
            let slots = numbers.zip(self.copied.iter().copied()).collect();
            let what = (Section::Slots, self.next, self.copied.len() as u32);
            sealer.frame(what, out, |out| put_event(&Event::SlotsPut { slots }, out));
        }
        self.is_through()
    }
}

impl Pack<16> for PersonKey {
    fn pack(&self, place: &mut [u8; 16]) {
        *place = self.0;
    }
}

/// Packs what is announced, in an order in which each part needs only those before it.
fn put_catalogue(view: &View, out: &mut Vec<u8>) {
    let catalogue = &view.catalogue;
    for (number, name) in catalogue.vaccines().iter().enumerate() {
        let vaccine = VaccineNumber(number as u8);
        put_event(&Event::VaccineNamed { vaccine, name: name.clone() }, out);
    }
    for entry in catalogue.categories() {
        let (category, vaccines) = (entry.category.clone(), entry.vaccines);
        put_event(&Event::CategoryPut { category, vaccines }, out);
    }
    for entry in catalogue.periods() {
        let (period, vaccines) = (entry.period.clone(), entry.rule.vaccines);
        put_event(&Event::PeriodPut { period, vaccines }, out);
    }
}
