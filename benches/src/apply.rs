//! How fast one core decides full bookings, and how much memory people and bookings take.
//!
//! Registers everyone, then lets everyone book in random order, each once: eligibility, retry key,
//! place, event, change record. Timed are `prefetch`, `apply`, dropping the events and the taking of
//! changes, in processor time of the one thread; making the commands is not. Memory is the growth of
//! the process's resident pages, with the allocator of the product.

use std::time::Duration;

use domain::{Command, Envelope, Event, Millis, Origin, State};

use crate::figures::{Figure, Summary, median};
use crate::memory;
use crate::nation::{Nation, booking, now, person_key, registration};
use crate::order::Shuffled;
use crate::part::{Part, Run};
use crate::process::{own_resident_bytes, thread_cpu};

/// The rules alone.
pub const PART: Part =
    Part { name: "apply", title: "decisions of one core, and memory", measure, roles: &[] };

/// Everyone who lives in Taiwan.
const NATION: Nation = Nation::roomy(23_500_000, 280_000);
/// Changes are taken, as for a checkpoint, whenever so many have gathered.
const TAKE_BYTES: usize = 1 << 20;
/// Commands made at a time, outside the timing.
const GROUP_COMMANDS: usize = 512;
/// Commands prefetched together, as the writer does it.
const WINDOW_COMMANDS: usize = 64;
/// Commands of one timed segment: many page faults long, so that each carries its share of them, and
/// short enough to fall between two disturbances by other programs.
const SEGMENT_COMMANDS: usize = 8_192;
/// Memory that bookings may need: twice what they do.
const BOOKINGS_BYTES: usize = 2 << 30;
/// Of the random order.
const SEED: u64 = 1;

fn measure(run: &Run, summary: &mut Summary) -> Result<(), String> {
    let mut world = World::new(NATION, now());
    let people = f64::from(NATION.people);
    let empty = own_resident_bytes()?;
    world.register_all();
    let registered = own_resident_bytes()?;
    let registrations = world.per_second();
    world.forget_times();
    memory::back(run, BOOKINGS_BYTES)?;
    world.book_all();
    let booked = own_resident_bytes()?;
    if world.confirmed != u64::from(NATION.people) {
        return Err(format!("{} of {} were confirmed", world.confirmed, NATION.people));
    }
    summary.add(Figure::absolute("apply_per_second", world.per_second(), "1/s"));
    let middle = 1e9 / median(&world.segments);
    summary.add(Figure::printed("apply_per_second_middle_segment", middle, "1/s"));
    summary.add(Figure::printed("apply_registrations_per_second", registrations, "1/s"));
    let each = |bytes: u64| bytes as f64 / people;
    summary.add(Figure::absolute("registrant_bytes", each(registered.saturating_sub(empty)), "B"));
    summary.add(Figure::absolute("booking_bytes", each(booked.saturating_sub(registered)), "B"));
    Ok(())
}

/// A state, and what it took to fill it.
pub struct World {
    nation: Nation,
    now: Millis,
    /// The rules at work.
    pub state: State,
    events: Vec<Event>,
    changes: Vec<u8>,
    /// Bookings confirmed so far.
    pub confirmed: u64,
    commands: u64,
    timed: Duration,
    /// Time and commands of the segment under way.
    segment: (Duration, usize),
    /// Nanoseconds per command of each full segment.
    segments: Vec<f64>,
}

impl World {
    /// Everything announced, nobody registered.
    pub fn new(nation: Nation, now: Millis) -> World {
        let segments = nation.people as usize / SEGMENT_COMMANDS + 1;
        let mut world = World {
            nation,
            now,
            state: State::new(),
            events: Vec::new(),
            changes: Vec::new(),
            confirmed: 0,
            commands: 0,
            timed: Duration::ZERO,
            segment: (Duration::ZERO, 0),
            // Written once, so that its pages are not counted as memory of the state.
            segments: vec![1.0; segments],
        };
        for command in nation.announce(now) {
            world.take(&[envelope(command)]);
        }
        world.forget_times();
        world
    }

    /// Registers everyone in order.
    pub fn register_all(&mut self) {
        self.run(|number| registration(number, person_key(number), Vec::new()));
    }

    /// Everyone books once, in random order.
    pub fn book_all(&mut self) {
        let (nation, order) = (self.nation, Shuffled::new(u64::from(self.nation.people), SEED));
        self.run(|number| booking(order.at(u64::from(number)) as u32, nation.slot(number)));
    }

    /// Applies commands that were made before: window by window, as the writer does.
    pub fn take(&mut self, commands: &[Envelope]) {
        let start = thread_cpu();
        for window in commands.chunks(WINDOW_COMMANDS) {
            self.state.prefetch(window);
            for envelope in window {
                self.state.apply(&envelope.command, self.now, &mut self.events);
                let confirmed = matches!(self.events.last(), Some(Event::Confirmed { .. }));
                self.confirmed += u64::from(confirmed);
                self.events.clear();
            }
            if self.state.changes_bytes() > TAKE_BYTES {
                self.changes.clear();
                self.state.take_changes(&mut self.changes);
            }
        }
        self.count(thread_cpu().saturating_sub(start), commands.len());
    }

    fn run(&mut self, make: impl Fn(u32) -> Command) {
        let mut commands = Vec::with_capacity(GROUP_COMMANDS);
        for number in 0..self.nation.people {
            commands.push(envelope(make(number)));
            if commands.len() == GROUP_COMMANDS || number + 1 == self.nation.people {
                self.take(&commands);
                commands.clear();
            }
        }
    }

    fn count(&mut self, took: Duration, commands: usize) {
        self.timed += took;
        self.commands += commands as u64;
        self.segment.0 += took;
        self.segment.1 += commands;
        if self.segment.1 >= SEGMENT_COMMANDS {
            self.segments.push(self.segment.0.as_nanos() as f64 / self.segment.1 as f64);
            self.segment = (Duration::ZERO, 0);
        }
    }

    fn forget_times(&mut self) {
        self.timed = Duration::ZERO;
        self.commands = 0;
        self.segment = (Duration::ZERO, 0);
        self.segments.clear();
    }

    fn per_second(&self) -> f64 {
        self.commands as f64 / self.timed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

fn envelope(command: Command) -> Envelope {
    Envelope { origin: Origin::default(), command }
}
