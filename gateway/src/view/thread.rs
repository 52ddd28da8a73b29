//! The one reader of `events`: folds them into the view, tells the cores, and begins checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::codec::{CommandEvents, EventGroup};
use domain::view::View;
use domain::{Anchor, Event, KeyHash, Millis, Origin, Sequence};
use journal::{Group, Position, Stream, once_there};
use vault::contacts::BookError;

use super::answer::{KeyedAnswer, answer};
use super::checkpoint::{Schedule, Writer};
use super::events::{Events, Verdict};
use super::files::Files;
use super::note::{Hint, Note, remember};
use super::start::{self, Expected};
use crate::context::Context;
use crate::origin::{NOWHERE, Place};
use crate::outcomes::{Completion, Decision};

/// How long the thread waits for a group before it looks whether it shall stop.
const POLL_MS: u64 = 100;

/// Contacts given to the disk book at once while catching up.
const CONTACTS_MAX: usize = 1_024;

/// Contacts that wait in memory for a disk book that fails; with more, the view waits as well.
const CONTACTS_WAITING_MAX: usize = 65_536;

/// Pause before a disk book that failed is tried again.
const BOOK_PAUSE_MS: u64 = 500;

/// The state of the reading thread.
pub(super) struct ViewThread<'a> {
    context: &'a Context,
    /// Set when the gateway ends.
    stop: &'a AtomicBool,
    files: Option<&'a Files>,
    writer: Writer<'a>,
    schedule: Schedule,
    events: Events<'a>,
    /// The last group taken in; what a checkpoint ends with.
    last: Option<(Position, Anchor)>,
    /// Where groups at the ends of checkpoints were seen.
    hints: Vec<Hint>,
    /// What each core is told after the group.
    decisions: Vec<Vec<Completion>>,
    /// How many of each core's commands the group held.
    seen: Vec<u64>,
    /// Keys that the group answered, with the core of this gateway that waits, if one does.
    answered: Vec<(KeyHash, Option<u8>)>,
    /// Sealed contact data on its way to the disk book.
    contacts: Vec<(u32, Vec<u8>)>,
    /// The disk book has everything up to here.
    contacts_watermark: u64,
    /// The disk book failed, and is tried again then.
    pause: Option<Instant>,
}

impl<'a> ViewThread<'a> {
    pub(super) fn new(
        context: &'a Context,
        files: Option<&'a Files>,
        writer: Writer<'a>,
        stop: &'a AtomicBool,
    ) -> Result<ViewThread<'a>, String> {
        let cores = context.inboxes.len();
        let contacts_watermark = context.view.contacts.read().watermark();
        Ok(ViewThread {
            context,
            files,
            writer,
            schedule: Schedule::new(&context.config.view),
            events: Events::from_start(&*context.journal, stop)
                .map_err(|error| error.to_string())?,
            stop,
            last: None,
            hints: Vec::new(),
            decisions: (0..cores).map(|_| Vec::new()).collect(),
            seen: vec![0; cores],
            answered: Vec::new(),
            contacts: Vec::new(),
            contacts_watermark,
            pause: None,
        })
    }

    pub(super) fn run(mut self, stop: &AtomicBool) -> Result<(), String> {
        self.load_checkpoint(stop)?;
        let stopped = || stop.load(Ordering::Acquire);
        let end = once_there(&stopped, || self.context.journal.durable_end(Stream::Events));
        let Some(end) = end.map_err(|error| error.to_string())? else { return Ok(()) };
        while !stop.load(Ordering::Acquire) {
            let polled = self.events.poll(Duration::from_millis(POLL_MS));
            match polled.map_err(|error| error.to_string())? {
                Some(group) => self.group(&group)?,
                None => {
                    self.store_contacts(self.events.watermark().last(), false)?;
                }
            }
            if !self.context.view.is_marked() {
                self.context.view.set_progress(self.events.position().0, end.0);
            }
            if self.is_checkpoint_due() && self.schedule.is_time() && self.writer.is_idle() {
                self.checkpoint()?;
            }
        }
        self.store_contacts(self.events.watermark().last(), false)?;
        if self.is_checkpoint_due() && self.writer.wait_until_idle() && self.is_checkpoint_due() {
            self.checkpoint()?;
        }
        self.writer.finish();
        Ok(())
    }

    /// Begins with the newest checkpoint, if there is one that can be used.
    fn load_checkpoint(&mut self, stop: &AtomicBool) -> Result<(), String> {
        let (Some(files), handle) = (self.files, &self.context.view) else { return Ok(()) };
        let expected = Expected {
            journal: self.context.journal.id(),
            contacts_watermark: self.contacts_watermark,
            places: &handle.places,
            progress: &|done, all| handle.set_progress(done, all),
            stop,
        };
        handle.is_loading.store(true, Ordering::Release);
        let loaded = start::newest(files, &expected);
        handle.is_loading.store(false, Ordering::Release);
        handle.set_progress(0, 0);
        let Some(loaded) = loaded else { return Ok(()) };
        loaded.view.recorded_keys().for_each(|key| self.context.decided.add(key));
        let Note { anchor, hints, .. } = loaded.note;
        handle.install(loaded.view);
        handle.checkpoints.set(anchor.last.0, loaded.bytes, loaded.written_at_ms);
        handle.loaded.store(anchor.last.0, Ordering::Relaxed);
        self.hints.clone_from(&hints);
        let events = Events::behind(&*self.context.journal, self.stop, anchor, hints);
        self.events = events.map_err(|error| error.to_string())?;
        Ok(())
    }

    /// The events are not those that the checkpoint was made of: everything is made again.
    fn start_over(&mut self) -> Result<(), String> {
        let context = self.context;
        tracing::warn!(
            checkpoint = self.events.watermark().last().0,
            "the journal holds another history than the one that the view's checkpoint was made of (was it restored from a copy?); view and contact book are made again of all events"
        );
        let checkpoints = self.files.and_then(|files| Some((files, files.newest_first().ok()?)));
        if let Some((files, all)) = checkpoints {
            all.iter().for_each(|found| files.set_aside(found));
        }
        context.view.contacts.write().begin_anew().map_err(|error| error.to_string())?;
        context.view.install(View::over(Arc::clone(&context.view.places)));
        context.view.checkpoints.set(0, 0, 0);
        context.view.loaded.store(0, Ordering::Relaxed);
        (self.last, self.contacts_watermark) = (None, 0);
        self.hints.clear();
        self.events =
            Events::from_start(&*context.journal, self.stop).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn group(&mut self, group: &Group) -> Result<(), String> {
        for record in group.records.iter() {
            let events = EventGroup::decode(record).map_err(|error| {
                format!("events after command {}: {error}", self.events.watermark().last().0)
            })?;
            match self.events.judge(&events).map_err(|error| error.to_string())? {
                Verdict::TakeIn => {
                    self.take_in(&events)?;
                    let anchor = Anchor { last: events.last(), chain: events.chain };
                    self.last = Some((group.position, anchor));
                }
                Verdict::Drop => {}
                Verdict::DropAndCount => {
                    self.context.view.dropped.fetch_add(1, Ordering::Relaxed);
                }
                Verdict::BeganAgain => break,
                Verdict::OtherHistory => return self.start_over(),
            }
        }
        Ok(())
    }

    /// One group of events that continues what was read.
    fn take_in(&mut self, group: &EventGroup<'_>) -> Result<(), String> {
        let mut catalogue_changed = false;
        let context = self.context;
        let mut view = context.view.view.write();
        view.prefetch(group);
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
        self.note_answered();
        drop(view);
        context.view.groups.fetch_add(1, Ordering::Relaxed);
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
            context.decided.prefetch(answer.key);
            self.answered.push((answer.key, place.as_ref().map(|place| place.core)));
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

    /// The keys of the group are decided, and no longer in flight: in this order, so that a key is never
    /// in neither.
    fn note_answered(&mut self) {
        for (key, core) in self.answered.drain(..) {
            self.context.decided.add(key);
            if let Some(core) = core {
                self.context.in_flight.see(core, key);
            }
        }
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
            self.store_contacts(last, false)?;
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

    /// Gives the gathered contacts to the disk book, which then has everything through `last`; without
    /// any, only where the book must say so. True when the book has them: one that fails is tried again
    /// after a pause, and contacts gather meanwhile.
    fn store_contacts(&mut self, last: Sequence, also_none: bool) -> Result<bool, String> {
        let is_news = !self.contacts.is_empty() || also_none;
        if !is_news || last.0 <= self.contacts_watermark {
            return Ok(true);
        }
        while self.pause.is_some_and(|until| until > Instant::now()) {
            if self.contacts.len() < CONTACTS_WAITING_MAX || self.stop.load(Ordering::Acquire) {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(POLL_MS));
        }
        let rows: Vec<(u32, &[u8])> =
            self.contacts.iter().map(|(person, sealed)| (*person, sealed.as_slice())).collect();
        // This thread alone writes the book; others may read it meanwhile.
        let view = &self.context.view;
        let written = view.contacts.read().put_batch(last.0, &rows);
        match written {
            Ok(()) => {}
            Err(error @ BookError::Store { .. }) => {
                view.wait_for(Some(format!("{error}; it is tried again")));
                self.pause = Some(Instant::now() + Duration::from_millis(BOOK_PAUSE_MS));
                return Ok(false);
            }
            Err(error) => return Err(error.to_string()),
        }
        view.wait_for(None);
        self.pause = None;
        self.contacts.clear();
        self.contacts_watermark = last.0;
        Ok(true)
    }

    /// True when enough is new, and sound, to be worth a checkpoint.
    fn is_checkpoint_due(&self) -> bool {
        let last = self.context.view.checkpoints.sequence.load(Ordering::Relaxed);
        self.last.is_some()
            && self.schedule.is_enough_new(self.events.watermark().last(), last)
            && self.context.view.read().contradictions() == 0
    }

    /// Begins a checkpoint of what was taken in. Contacts go before it: a start must find all those
    /// that the view knows of.
    fn checkpoint(&mut self) -> Result<(), String> {
        let Some((position, anchor)) = self.last else { return Ok(()) };
        if !self.store_contacts(anchor.last, true)? {
            return Ok(());
        }
        remember(&mut self.hints, Hint { sequence: anchor.last, position });
        let journal = self.context.journal.id();
        let note = Note { journal, anchor, hints: self.hints.clone() }.encode();
        let memory_max = self.context.config.view.checkpoint_memory_bytes_max;
        let memory_max = usize::try_from(memory_max).unwrap_or(usize::MAX);
        let capture = self.context.view.view.write().begin_capture(&note, memory_max);
        self.schedule.began();
        if !self.writer.submit(capture) {
            self.context.view.view.write().end_capture();
        }
        Ok(())
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
