//! How long a start takes after a crash: ten million bookings, the checkpoint half way.
//!
//! A process of its own registers and books, takes a checkpoint after half of the bookings and dies
//! without an orderly end after the other half. The start is timed in another fresh process: open the
//! journal, load the checkpoint, replay the rest, then send a booking of before once more and read its
//! answer from the events. The answer must name the very command that was decided before the crash.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::codec::EventGroup;
use domain::{Event, SlotNumber};
use journal::{Journal, Position, Reader, Stream, Visibility};

use crate::figures::{Figure, Summary};
use crate::nation::{Filler, Nation, booking, encode, now, open_journal, person_key, registration};
use crate::order::Shuffled;
use crate::part::{Part, Role, Run};
use crate::process::own_resident_bytes;
use crate::running::{Running, config, config_without_checkpoints};

/// The start after a crash.
pub const PART: Part = Part {
    name: "recovery",
    title: "a start after a crash, with ten million bookings",
    measure,
    roles: &[Role { name: "live-and-die", work: live_and_die }],
};

/// Everyone books once.
const NATION: Nation = Nation::roomy(10_000_000, 20_000);
/// Bytes of sealed contact data.
const SEALED_BYTES: usize = 96;
/// Of the random order.
const SEED: u64 = 3;
/// One wait for an events group.
const POLL: Duration = Duration::from_millis(100);
/// Longest wait for the answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

fn measure(run: &Run, summary: &mut Summary) -> Result<(), String> {
    let data = run.scratch.join("data");
    // It dies by design: what it printed before tells whether it had come to that.
    let printed = run.finish_role("live-and-die", &[&data.to_string_lossy()])?;
    let first = printed
        .trim()
        .parse::<u64>()
        .map_err(|_| "the process that was to crash failed before".to_owned())?;

    let began = Instant::now();
    let journal: Arc<dyn Journal> = Arc::new(open_journal(&data)?);
    let opened = began.elapsed();
    let engine = Running::start(config(&data), Arc::clone(&journal))?;
    let loaded = began.elapsed();
    let checkpoint = engine.status.checkpoint_sequence();
    engine.wait_active()?;
    let active = began.elapsed();
    let from = journal.durable_end(Stream::Events).map_err(|error| error.to_string())?;
    let events = journal
        .reader(Stream::Events, from, Visibility::Accepted)
        .map_err(|error| error.to_string())?;
    let answer = ask_again(&*journal, events)?;
    let answered = began.elapsed();

    if answer != first {
        return Err(format!("the booking of command {first} was answered with command {answer}"));
    }
    summary.add(Figure::absolute("recovery_10m_seconds", answered.as_secs_f64(), "s"));
    for (name, time) in [("journal", opened), ("checkpoint", loaded), ("active", active)] {
        let name = format!("recovery_10m_{name}_after");
        summary.add(Figure::printed(&name, time.as_secs_f64(), "s"));
    }
    let replayed = engine.status.sequence().saturating_sub(checkpoint) as f64;
    summary.add(Figure::printed("recovery_10m_replayed", replayed, "1"));
    let resident = own_resident_bytes()? as f64;
    summary.add(Figure::printed("recovery_10m_resident_bytes", resident, "B"));
    Ok(())
}

/// The last booking before the crash.
fn last_booking() -> (u32, SlotNumber) {
    book(NATION.people - 1)
}

/// Who books in the n-th place, and where.
fn book(number: u32) -> (u32, SlotNumber) {
    let order = Shuffled::new(u64::from(NATION.people), SEED);
    (order.at(u64::from(number)) as u32, NATION.slot(number))
}

/// Sends the last booking again and reads which command answers it.
fn ask_again(journal: &dyn Journal, mut events: Box<dyn Reader>) -> Result<u64, String> {
    let (asking, slot) = last_booking();
    let mut record = Vec::new();
    encode(booking(asking, slot), &mut record);
    journal.append(Stream::Commands, &[&record]).map_err(|error| error.to_string())?;
    let began = Instant::now();
    while began.elapsed() < ANSWER_MAX {
        let Some(group) = events.poll(POLL).map_err(|error| error.to_string())? else { continue };
        for record in group.records.iter() {
            let group = EventGroup::decode(record).map_err(|error| error.to_string())?;
            for command in group.commands() {
                let command = command.map_err(|error| error.to_string())?;
                for event in command.events {
                    match event {
                        Event::Repeated { person, first, .. } if person.0 == asking => {
                            return Ok(first.0);
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    Err("the booking was not answered within a minute".to_owned())
}

/// Registers everyone, books, takes a checkpoint half way, books, prints the last command's sequence
/// and ends as a crash does.
fn live_and_die(words: &[String]) -> Result<(), String> {
    let data = Path::new(words.first().ok_or("a data directory")?);
    let journal: Arc<dyn Journal> = Arc::new(open_journal(data)?);
    let mut filler = Filler::new(&*journal);
    for command in NATION.announce(now()) {
        filler.put(command)?;
    }
    for number in 0..NATION.people {
        filler.put(registration(number, person_key(number), vec![7; SEALED_BYTES]))?;
    }
    let half = NATION.people / 2;
    fill(&mut filler, 0..half)?;
    let engine = Running::start(config(data), Arc::clone(&journal))?;
    engine.wait_active()?;
    engine.wait_decided(&*journal)?;
    engine.stop()?;

    fill(&mut filler, half..NATION.people)?;
    let engine = Running::start(config_without_checkpoints(data), Arc::clone(&journal))?;
    engine.wait_active()?;
    engine.wait_decided(&*journal)?;
    journal.sync(Stream::Events).map_err(|error| error.to_string())?;
    println!("{}", last_sequence(&*journal)?);
    std::process::abort();
}

fn fill(filler: &mut Filler<'_>, numbers: std::ops::Range<u32>) -> Result<(), String> {
    for number in numbers {
        let (person, slot) = book(number);
        filler.put(booking(person, slot))?;
    }
    filler.flush()
}

/// The command whose outcome the last booking has.
fn last_sequence(journal: &dyn Journal) -> Result<u64, String> {
    let (asking, _) = last_booking();
    let mut events = journal
        .reader(Stream::Events, Position::START, Visibility::Durable)
        .map_err(|error| error.to_string())?;
    let mut found = None;
    while let Some(group) = events.poll(Duration::ZERO).map_err(|error| error.to_string())? {
        for record in group.records.iter() {
            let group = EventGroup::decode(record).map_err(|error| error.to_string())?;
            for command in group.commands() {
                let command = command.map_err(|error| error.to_string())?;
                let is_it = command.events.iter().any(
                    |event| matches!(event, Event::Confirmed { person, .. } if person.0 == asking),
                );
                found = if is_it { Some(command.sequence.0) } else { found };
            }
        }
    }
    found.ok_or_else(|| "the last booking was not confirmed".to_owned())
}
