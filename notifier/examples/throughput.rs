//! What a text costs, and how many go out a second: real rules, vault, contact book and outbox, the
//! journal in memory. `cargo run --release -p notifier --example throughput [people]`
//!
//! Prints CPU of the notifier's own thread and of the whole process, for people in random order.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use journal::{Journal, Stream};
use notifier::{FileOutbox, Notifier, NotifierConfig, OutboxOptions};
use world::{SLOTS, World, memory_journal};

const COMMANDS_PER_GROUP: u32 = 160;

fn main() {
    let people: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let mut world = World::new(1);
    for person in 0..people {
        world.register(person, 0);
        if person % COMMANDS_PER_GROUP == 0 {
            world.cut();
        }
    }
    world.cut();
    let (registered, registered_groups) = (world.last(), world.groups.len());
    // A stride that has no factor in common with the number of people visits each once.
    let stride =
        (0..).map(|step| people / 2 + 1 + step).find(|step| gcd(*step, people) == 1).unwrap();
    let mut person = 0;
    for place in 0..people {
        world.book(person, place % SLOTS);
        person = (person + stride) % people;
        if place % COMMANDS_PER_GROUP == 0 {
            world.cut();
        }
    }
    world.cut();

    let folder = tempfile::tempdir().unwrap();
    let journal: Arc<dyn Journal> = Arc::new(memory_journal(1));
    let outbox = FileOutbox::open_with(folder.path().join("outbox"), OutboxOptions::default());
    let config = NotifierConfig::new(folder.path().join("notifier"));
    let provider = Box::new(outbox.unwrap());
    let notifier =
        Notifier::open(config, Arc::clone(&journal), Arc::clone(&world.vault), provider).unwrap();
    let status = notifier.status();
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let thread =
        std::thread::Builder::new().name("notifier".into()).spawn(move || notifier.run(&flag));

    for (what, groups, through) in [
        ("registrations", 0..registered_groups, registered),
        ("confirmations", registered_groups..world.groups.len(), world.last()),
    ] {
        let commands = through - status.sequence();
        for group in &world.groups[groups] {
            journal.append(Stream::Events, &[group]).unwrap();
        }
        let (begin, own, all) = (Instant::now(), thread_cpu_us(), process_cpu_us());
        while status.sequence() < through || status.waiting() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert_eq!(status.failure(), None);
        }
        let elapsed_us = begin.elapsed().as_micros() as f64;
        let each = |us: f64| us / commands as f64;
        println!(
            "{commands} {what}: {:.0} a second, CPU of the notifier's thread {:.2} us each, of the process {:.2} us",
            1e6 / each(elapsed_us),
            each(thread_cpu_us() - own),
            each(process_cpu_us() - all),
        );
    }
    println!("{} texts sent, {} failed", status.sent(), status.failed());
    stop.store(true, Ordering::Release);
    thread.unwrap().join().unwrap().unwrap();
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// CPU time of the thread called `notifier`.
fn thread_cpu_us() -> f64 {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if std::fs::read_to_string(task.join("comm")).unwrap().trim() == "notifier" {
            let text = std::fs::read_to_string(task.join("schedstat")).unwrap();
            let ns: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
            return ns / 1_000.0;
        }
    }
    0.0
}

/// CPU time of all threads.
fn process_cpu_us() -> f64 {
    let mut sum = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        sum += text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1_000.0;
    }
    sum
}
