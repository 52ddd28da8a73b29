//! The outcomes view: the one reader of `events` in this gateway.
//!
//! A thread folds every group into [`domain::view::View`] under one hold of the write lock, gives the
//! sealed contact data to the disk book, and then tells each core at most once what came of its
//! requests. It starts from the first event at every start: the journal is the truth, and the view is
//! only memory.
//!
//! What this module does not do: decide anything, or skip what it cannot read. An event of a newer
//! format, or damage, stops the thread; reads that need fresh news answer 503 from then on, and
//! `/readyz` says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use domain::codec::{CommandEvents, EventGroup};
use domain::view::{Outcome, OutcomeResult, PlacesLeft, View};
use domain::{
    Admission, Command, Event, KeyHash, Millis, Origin, PeriodNumber, PersonNumber, Sequence,
    Watermark,
};
use journal::{Group, Position, Reader, Stream, Visibility, once_there};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use vault::contacts::ContactBook;

use crate::context::{Context, Readiness};
use crate::origin::{NOWHERE, Place};
use crate::outcomes::{Completion, Decision};

/// How long the thread waits for a group before it looks whether it shall stop.
const POLL_MS: u64 = 100;

/// Contacts given to the disk book at once while catching up.
const CONTACTS_MAX: usize = 1_024;

/// What the events say, and how far they were read.
pub(crate) struct ViewHandle {
    view: RwLock<View>,
    /// Live counters, readable without the lock.
    places: Arc<PlacesLeft>,
    /// Sealed contact data by person number.
    contacts: RwLock<ContactBook>,
    /// The last command absorbed.
    sequence: AtomicU64,
    /// Its time.
    at: AtomicI64,
    /// Groups dropped because they did not continue what was read: a deposed engine's.
    dropped: AtomicU64,
    /// Why the thread stopped, if it did.
    halted: Mutex<Option<String>>,
    /// True once the marker was seen: the view knows all that was admitted before this start.
    marked: AtomicBool,
    /// True once what the view knew then is announced, too.
    caught_up: AtomicBool,
}

impl ViewHandle {
    /// An empty view over a disk book.
    pub(crate) fn new(contacts: ContactBook) -> ViewHandle {
        let view = View::new();
        ViewHandle {
            places: Arc::clone(view.places()),
            view: RwLock::new(view),
            contacts: RwLock::new(contacts),
            sequence: AtomicU64::new(0),
            at: AtomicI64::new(0),
            dropped: AtomicU64::new(0),
            halted: Mutex::new(None),
            marked: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
        }
    }

    /// The view. Hold it briefly: the reader of events waits meanwhile.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read()
    }

    /// Places left by slot, without a lock.
    pub(crate) fn places(&self) -> &PlacesLeft {
        &self.places
    }

    /// A person's sealed contact data.
    ///
    /// # Errors
    /// When the disk book cannot be read.
    pub(crate) fn contact(&self, person: PersonNumber) -> Result<Option<Vec<u8>>, String> {
        let book = self.contacts.read();
        book.get(person.0).map_err(|error| error.to_string())
    }

    /// Many people's sealed contact data, in the order asked.
    ///
    /// # Errors
    /// When the disk book cannot be read.
    pub(crate) fn contacts(&self, people: &[PersonNumber]) -> Result<Vec<Option<Vec<u8>>>, String> {
        let numbers: Vec<u32> = people.iter().map(|person| person.0).collect();
        let book = self.contacts.read();
        book.get_many(&numbers).map_err(|error| error.to_string())
    }

    /// The last command absorbed.
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::Acquire))
    }

    /// The time of the last command absorbed.
    pub(crate) fn at(&self) -> Millis {
        Millis(self.at.load(Ordering::Acquire))
    }

    /// Groups dropped because they did not continue what was read.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// True once the view knew all that was admitted before this start, and it is announced; before,
    /// the gateway might say "nothing" of what there is.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// True once the view knew all that was admitted before this start.
    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Acquire)
    }

    /// For the publishing thread: what was known at the mark is announced.
    pub(crate) fn announced(&self) {
        if !self.caught_up.swap(true, Ordering::AcqRel) {
            tracing::info!(sequence = self.sequence().0, "the outcomes view has caught up");
        }
    }

    /// For `/readyz`.
    pub(crate) fn readiness(&self) -> Readiness {
        if let Some(why) = &*self.halted.lock() {
            return Readiness::because(why.clone());
        }
        if !self.is_caught_up() {
            let mut readiness = Readiness::because("reading the events written before this start");
            readiness.progress = Some((self.sequence().0, 0));
            return readiness;
        }
        Readiness::ready()
    }

    /// The view goes no further.
    pub(crate) fn halt(&self, why: String) {
        tracing::error!(reason = %why, "the outcomes view stopped");
        *self.halted.lock() = Some(why);
    }
}

impl std::fmt::Debug for ViewHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewHandle").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// The command by which a gateway learns that its view has reached the end of `commands` as it was at
/// the start: a heartbeat of no epoch, which changes nothing but the time.
pub(crate) fn marker(context: &Context) -> domain::Envelope {
    let place = Place { instance: context.instance, core: context.operator_core(), index: NOWHERE };
    domain::Envelope { origin: place.pack(), command: Command::Pulse { epoch: 0 } }
}

/// Reads events until told to stop. Runs on a thread of its own.
pub(crate) fn run(context: &Context, stop: &AtomicBool) {
    let stopped = || stop.load(Ordering::Acquire);
    let open = || context.journal.reader(Stream::Events, Position::START, Visibility::Accepted);
    let reader = match once_there(&stopped, open) {
        Ok(Some(reader)) => reader,
        Ok(None) => return,
        Err(error) => return context.view.halt(error.to_string()),
    };
    let mut thread = ViewThread::new(context);
    if let Err(why) = thread.run(reader, stop) {
        context.view.halt(why);
    }
}

/// The state of the reading thread.
struct ViewThread<'a> {
    context: &'a Context,
    watermark: Watermark,
    /// What each core is told after the group.
    decisions: Vec<Vec<Completion>>,
    /// How many of each core's commands the group held.
    seen: Vec<u64>,
    /// Sealed contact data on its way to the disk book.
    contacts: Vec<(u32, Vec<u8>)>,
    /// The disk book has everything up to here.
    contacts_watermark: u64,
}

impl<'a> ViewThread<'a> {
    fn new(context: &'a Context) -> ViewThread<'a> {
        let cores = context.inboxes.len();
        let contacts_watermark = context.view.contacts.read().watermark();
        ViewThread {
            context,
            watermark: Watermark::START,
            decisions: (0..cores).map(|_| Vec::new()).collect(),
            seen: vec![0; cores],
            contacts: Vec::new(),
            contacts_watermark,
        }
    }

    fn run(&mut self, mut reader: Box<dyn Reader>, stop: &AtomicBool) -> Result<(), String> {
        while !stop.load(Ordering::Acquire) {
            let polled = reader.poll(Duration::from_millis(POLL_MS));
            match polled.map_err(|error| error.to_string())? {
                Some(group) => self.group(&group)?,
                None => self.store_contacts()?,
            }
        }
        self.store_contacts()
    }

    fn group(&mut self, group: &Group) -> Result<(), String> {
        for record in group.records.iter() {
            let events = EventGroup::decode(record).map_err(|error| {
                format!("events after command {}: {error}", self.watermark.last().0)
            })?;
            self.events(&events)?;
        }
        Ok(())
    }

    /// One group of events: all of it, or nothing when it does not continue what was read.
    fn events(&mut self, group: &EventGroup<'_>) -> Result<(), String> {
        match self.watermark.admit(group.first, group.last()) {
            Admission::Next => {}
            Admission::Behind => return Ok(()),
            Admission::Beyond => {
                self.context.view.dropped.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
        let mut catalogue_changed = false;
        let context = self.context;
        let mut view = context.view.view.write();
        for command in group.commands() {
            let command = command
                .map_err(|error| format!("events group of command {}: {error}", group.first.0))?;
            for event in &command.events {
                view.absorb(command.sequence, group.at, event);
                catalogue_changed |= changes_catalogue(event);
            }
            self.gather(command, group.at, &view);
        }
        view.advance(group.last(), group.at);
        drop(view);
        self.publish(group.last(), group.at, catalogue_changed)
    }

    /// Notes what a command means for contacts, cores and watchers.
    fn gather(&mut self, mut command: CommandEvents, at: Millis, view: &View) {
        let context = self.context;
        let contacts_are_new = command.sequence.0 > self.contacts_watermark;
        for event in command.events.iter_mut().filter(|_| contacts_are_new) {
            if let Event::Registered { person, sealed, .. }
            | Event::Modified { person, sealed, .. } = event
            {
                self.contacts.push((person.0, std::mem::take(sealed)));
            }
        }
        let place = self.own(command.origin);
        let answer = command.events.iter().find_map(answer);
        if let Some(answer) = &answer {
            // Before it is no longer in flight: a key is never in neither.
            context.decided.add(answer.key);
            if let Some(place) = &place {
                context.in_flight.see(place.core, answer.key);
            }
            if !context.watchers.is_empty() {
                self.tell_watchers(answer, command.sequence, at, view);
            }
        }
        let Some(place) = place else { return };
        self.seen[place.core as usize] += 1;
        if place.index == NOWHERE {
            return;
        }
        let completion = match answer {
            Some(answer) => Completion {
                index: place.index,
                key: Some(answer.key),
                decision: match answer.decide(command.sequence, at, view) {
                    Some(decision) => decision,
                    None => return,
                },
            },
            None => Completion {
                index: place.index,
                key: None,
                decision: Decision::Applied { sequence: command.sequence, events: command.events },
            },
        };
        self.decisions[place.core as usize].push(completion);
    }

    /// The origin, if it is one of this gateway's.
    fn own(&self, origin: Origin) -> Option<Place> {
        let place = Place::unpack(origin);
        let own = place.instance == self.context.instance
            && usize::from(place.core) < self.decisions.len();
        own.then_some(place)
    }

    fn tell_watchers(
        &mut self,
        answer: &KeyedAnswer<'_>,
        sequence: Sequence,
        at: Millis,
        view: &View,
    ) {
        for (core, index) in self.context.watchers.take(answer.key) {
            // A key used for another body still has its first outcome: that is what a receipt names.
            let first = view.outcome(answer.person, answer.period, answer.key);
            let decision = match first {
                Some(outcome) => Some(Decision::Outcome(outcome)),
                None => answer.decide(sequence, at, view),
            };
            if let Some(decision) = decision {
                self.decisions[core as usize].push(Completion {
                    index,
                    key: Some(answer.key),
                    decision,
                });
            }
        }
    }

    /// Makes the group's news known: contacts first, so that who reads them finds them.
    fn publish(
        &mut self,
        last: Sequence,
        at: Millis,
        catalogue_changed: bool,
    ) -> Result<(), String> {
        let any = self.seen.iter().any(|seen| *seen > 0);
        // While catching up nobody is answered, and contacts gather to larger batches.
        let due = any || self.context.view.is_marked() || self.contacts.len() >= CONTACTS_MAX;
        if due && !self.contacts.is_empty() {
            self.store_contacts()?;
        }
        let context = self.context;
        context.view.at.store(at.0, Ordering::Release);
        context.view.sequence.store(last.0, Ordering::Release);
        // The marker is the first command of the operator's core.
        let marked = self.seen[usize::from(context.operator_core())] > 0;
        let marker_seen = marked && !context.view.marked.swap(true, Ordering::AcqRel);
        context.horizon.take_in(marker_seen);
        if catalogue_changed || marker_seen {
            context.availability.catalogue_changed(last);
        }
        for (core, inbox) in context.inboxes.iter().enumerate() {
            inbox.deliver(&mut self.decisions[core], std::mem::take(&mut self.seen[core]));
        }

        Ok(())
    }

    /// Gives the gathered contacts to the disk book.
    fn store_contacts(&mut self) -> Result<(), String> {
        let last = self.watermark.last().0;
        if self.contacts.is_empty() || last <= self.contacts_watermark {
            return Ok(());
        }
        let rows: Vec<(u32, &[u8])> =
            self.contacts.iter().map(|(person, sealed)| (*person, sealed.as_slice())).collect();
        let book = self.context.view.contacts.write();
        book.put_batch(last, &rows).map_err(|error| error.to_string())?;
        drop(book);
        self.contacts.clear();
        self.contacts_watermark = last;
        Ok(())
    }
}

/// An event that answers a citizen's command.
struct KeyedAnswer<'a> {
    person: PersonNumber,
    period: PeriodNumber,
    key: KeyHash,
    event: &'a Event,
}

/// The event's answer, if it is one.
fn answer(event: &Event) -> Option<KeyedAnswer<'_>> {
    let (person, period, key) = match *event {
        Event::Confirmed { person, period, key, .. }
        | Event::Changed { person, period, key, .. }
        | Event::Cancelled { person, period, key, .. }
        | Event::Rejected { person, period, key, .. }
        | Event::Repeated { person, period, key, .. }
        | Event::KeyReused { person, period, key, .. } => (person, period, key),
        Event::Registered { person, key, .. }
        | Event::AlreadyRegistered { person, key, .. }
        | Event::Modified { person, key, .. }
        | Event::Withdrawn { person, key, .. } => (person, PeriodNumber::INTENTS, key),
        _ => return None,
    };
    Some(KeyedAnswer { person, period, key, event })
}

impl KeyedAnswer<'_> {
    /// What the waiting request is told. `None` when a repeated key's outcome is not known, which no
    /// journal of this product says.
    fn decide(&self, sequence: Sequence, at: Millis, view: &View) -> Option<Decision> {
        use OutcomeResult as R;
        let (fingerprint, result) = match *self.event {
            Event::Confirmed { fingerprint, booking, slot, .. } => {
                (fingerprint, R::Confirmed { booking, slot })
            }
            Event::Changed { fingerprint, booking, from, to, .. } => {
                (fingerprint, R::Changed { booking, from, to })
            }
            Event::Cancelled { fingerprint, booking, slot, .. } => {
                (fingerprint, R::Cancelled { booking, slot })
            }
            Event::Rejected { fingerprint, reason, .. } => (fingerprint, R::Rejected(reason)),
            Event::Registered { fingerprint, serial, .. } => {
                (fingerprint, R::Registered { serial })
            }
            Event::AlreadyRegistered { fingerprint, .. } => (fingerprint, R::AlreadyRegistered),
            Event::Modified { fingerprint, .. } => (fingerprint, R::Modified),
            Event::Withdrawn { fingerprint, serial, .. } => (fingerprint, R::Withdrawn { serial }),
            Event::KeyReused { .. } => return Some(Decision::KeyReused),
            _ => {
                let first = view.outcome(self.person, self.period, self.key);
                return first.map(Decision::Outcome);
            }
        };
        Some(Decision::Outcome(Outcome { sequence, at, fingerprint, result }))
    }
}

/// True for events that change what is prepared for everyone.
const fn changes_catalogue(event: &Event) -> bool {
    matches!(
        event,
        Event::CategoryPut { .. }
            | Event::PeriodPut { .. }
            | Event::SitesPut { .. }
            | Event::SlotsPut { .. }
            | Event::CapacitySet { .. }
    )
}
