//! The engine without HTTP: journal → decide → events → checkpoint, on real files.
//!
//! Everyone registers; then everyone books once, in random order, pushed through lanes as fast as the
//! journal takes them. Timed is from the first push until the last command is durable and its events
//! stand, checkpoints included. Making and pushing the commands runs on the same cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::Command;
use journal::{Journal, Lane, Refused, Settled, Stream};

use crate::figures::{Figure, Summary};
use crate::memory;
use crate::nation::{Filler, Nation, booking, encode, now, open_journal, person_key, registration};
use crate::order::Shuffled;
use crate::part::{Part, Run};
use crate::process::{own_cpu, own_resident_bytes};
use crate::running::{Running, config};

/// The engine on its journal.
pub const PART: Part =
    Part { name: "engine", title: "durable bookings without HTTP", measure, roles: &[] };

/// Everyone who takes part.
const NATION: Nation = Nation::roomy(10_000_000, 20_000);
/// Producers, each with a lane of its own.
const PRODUCERS: u32 = 2;
/// A producer whose lane is full rests this long.
const REST: Duration = Duration::from_micros(200);
/// Bytes of sealed contact data.
const SEALED_BYTES: usize = 96;
/// Memory that bookings may need, the page cache included.
const BOOKINGS_BYTES: usize = 2 << 30;
/// Of the random order.
const SEED: u64 = 2;

fn measure(run: &Run, summary: &mut Summary) -> Result<(), String> {
    let data = run.scratch.join("data");
    let journal: Arc<dyn Journal> = Arc::new(open_journal(&data)?);
    let engine = Running::start(config(&data), Arc::clone(&journal))?;
    engine.wait_active()?;
    let mut filler = Filler::new(&*journal);
    for command in NATION.announce(now()) {
        filler.put(command)?;
    }
    filler.flush()?;
    engine.wait_decided(&*journal)?;

    let register = |number| registration(number, person_key(number), vec![7; SEALED_BYTES]);
    let registrations = through(&journal, &engine, &register)?;
    memory::back(run, BOOKINGS_BYTES)?;
    let order = Shuffled::new(u64::from(NATION.people), SEED);
    let book = |number: u32| booking(order.at(u64::from(number)) as u32, NATION.slot(number));
    let bookings = through(&journal, &engine, &book)?;

    summary.add(Figure::absolute("engine_durable_per_second", bookings.per_second, "1/s"));
    summary.add(Figure::printed("engine_cpu_per_booking", bookings.cpu_us, "us"));
    let registrations = registrations.per_second;
    summary.add(Figure::printed("engine_registrations_per_second", registrations, "1/s"));
    let pause_us = engine.status.cut_pause_us_max() as f64;
    summary.add(Figure::printed("engine_checkpoint_pause_longest", pause_us, "us"));
    let resident = own_resident_bytes()? as f64;
    summary.add(Figure::printed("engine_resident_bytes", resident, "B"));
    if let Some(why) = engine.status.checkpoint_failure() {
        return Err(why);
    }
    engine.stop()?;
    journal.close();
    Ok(())
}

/// What came of one command a person.
struct Passage {
    per_second: f64,
    /// Of the whole process, producers included.
    cpu_us: f64,
}

fn through(
    journal: &Arc<dyn Journal>,
    engine: &Running,
    make: &(impl Fn(u32) -> Command + Sync),
) -> Result<Passage, String> {
    let (cpu_before, began) = (own_cpu(), Instant::now());
    std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| scope.spawn(move || produce(&**journal, producer, make)))
            .collect();
        producers
            .into_iter()
            .try_for_each(|producer| producer.join().map_err(|_| "a producer panicked")?)
    })?;
    engine.wait_decided(&**journal)?;
    let (elapsed, cpu) = (began.elapsed(), own_cpu().saturating_sub(cpu_before));
    let count = f64::from(NATION.people);
    Ok(Passage {
        per_second: count / elapsed.as_secs_f64(),
        cpu_us: cpu.as_secs_f64() * 1e6 / count,
    })
}

/// One producer: every command of its lane, until all are durable.
fn produce(
    journal: &dyn Journal,
    producer: u32,
    make: &(impl Fn(u32) -> Command + Sync),
) -> Result<(), String> {
    let lost = Arc::new(AtomicU64::new(0));
    let losing = Arc::clone(&lost);
    let on_settled = move |settled: Settled| {
        if settled.result.is_err() {
            losing.fetch_add(u64::from(settled.count), Ordering::Relaxed);
        }
    };
    let lane =
        journal.lane(Stream::Commands, Arc::new(on_settled)).map_err(|error| error.to_string())?;
    let mut record = Vec::new();
    for number in (producer..NATION.people).step_by(PRODUCERS as usize) {
        record.clear();
        encode(make(number), &mut record);
        push(&*lane, &record)?;
    }
    while lane.unsettled() > 0 {
        std::thread::sleep(REST);
    }
    match lost.load(Ordering::Relaxed) {
        0 => Ok(()),
        lost => Err(format!("the journal lost {lost} commands")),
    }
}

fn push(lane: &dyn Lane, record: &[u8]) -> Result<(), String> {
    loop {
        match lane.push(record) {
            Ok(_) => return Ok(()),
            Err(Refused::Full) => std::thread::sleep(REST),
            Err(refused) => return Err(refused.to_string()),
        }
    }
}
