//! What a text costs, and how many go out a second: real rules, vault, contact book and outbox, the
//! journal in memory. `cargo run --release -p notifier --example throughput [people] [topic]`
//!
//! Prints CPU of the notifier's own thread and of the whole process, for people in random order. With
//! `topic` the confirmations are published meanwhile, to a topic in memory, and its thread is shown too.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/world/mod.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use journal::{Journal, Stream};
use notifier::publishing::MemoryTopic;
use notifier::{FileOutbox, Notifier, NotifierConfig, OutboxOptions};
use world::{SLOTS, World, memory_journal};

const COMMANDS_PER_GROUP: u32 = 160;

fn main() {
    let people: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200_000);
    let mut world = World::with_consumer(1);
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
    let publishes = std::env::args().nth(2).is_some_and(|text| text == "topic");
    let notifier =
        if publishes { notifier.publish_to(Box::new(MemoryTopic::new())) } else { notifier };
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
        let begin = Instant::now();
        let own = [thread_cpu_us("notifier"), thread_cpu_us("confirmations")];
        let all = process_cpu_us();
        let mut published = None;
        let mut elapsed = None;
        while elapsed.is_none() || (publishes && published.is_none()) {
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert_eq!(status.failure(), None);
            if elapsed.is_none() && status.sequence() >= through && status.waiting() == 0 {
                elapsed = Some(begin.elapsed());
            }
            if published.is_none() && status.publishing().through() >= through {
                published = Some(begin.elapsed());
            }
        }
        let elapsed_us = elapsed.unwrap().as_micros() as f64;
        let each = |us: f64| us / commands as f64;
        println!(
            "{commands} {what}: {:.0} a second, CPU of the notifier's thread {:.2} us each, of the process {:.2} us",
            1e6 / each(elapsed_us),
            each(thread_cpu_us("notifier") - own[0]),
            each(process_cpu_us() - all),
        );
        if let Some(published) = published {
            println!(
                "  published: {:.0} a second, CPU of its thread {:.2} us each",
                1e6 / each(published.as_micros() as f64),
                each(thread_cpu_us("confirmations") - own[1]),
            );
        }
    }
    println!("{} texts sent, {} failed", status.sent(), status.failed());
    stop.store(true, Ordering::Release);
    thread.unwrap().join().unwrap().unwrap();
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// CPU time of the thread with this name.
fn thread_cpu_us(name: &str) -> f64 {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        if std::fs::read_to_string(task.join("comm")).unwrap().trim() == name {
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
