//! How fast one core decides full bookings, and how much memory people and bookings take.
//!
//! `cargo run --release -p domain --example apply_rate -- [people] [bookings] [seed] [window]`
//!
//! Registers people, then lets them book in random order, each once: eligibility with category,
//! cut-off and staggered openings, retry key, place, event, change record. Timed are `prefetch`,
//! `apply`, dropping the events and the taking of changes; making the commands is not. Memory is the
//! growth of the resident pages of this process, retry keys and events in flight included.

// A measurement needs a clock, arguments and a place to print; the rules it measures do not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![allow(clippy::disallowed_macros, clippy::float_arithmetic)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod measure;

use std::time::{Duration, Instant};

use domain::codec::import_hash;
use domain::*;
use measure::{mix, resident_bytes};

/// Changes are taken, as for a checkpoint, whenever so many have gathered.
const TAKE_BYTES: usize = 1 << 20;

/// Commands made at a time, outside the timing.
const GROUP_COMMANDS: usize = 512;

/// Commands of one timed segment: many page faults long, so that each carries its share of them, and
/// short enough to fall between two disturbances by other programs.
const SEGMENT_COMMANDS: usize = 8_192;

const SITES: u32 = 2_500;
const DAYS: i32 = 7;
const SLOTS_PER_DAY: u16 = 16;
const NOW: Millis = Millis(1_626_148_800_000);
const PERIOD: PeriodNumber = PeriodNumber(2);

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let people: u64 = arguments.next().unwrap_or(23_500_000);
    let bookings: u64 = arguments.next().unwrap_or(people).min(people);
    let seed: u64 = arguments.next().unwrap_or(1);
    let window = arguments.next().unwrap_or(64) as usize;

    let mut run = Run {
        state: State::new(),
        events: Vec::new(),
        changes: Vec::new(),
        window,
        confirmed: 0,
        timed: Duration::ZERO,
        segment: (Duration::ZERO, 0),
        segments: Vec::with_capacity(people as usize / SEGMENT_COMMANDS * 2 + 10),
    };
    announce(&mut run, bookings);
    let before = resident_bytes();
    register_all(&mut run, people, seed);
    let registering = std::mem::take(&mut run.timed);
    let registered = resident_bytes();
    run.segments.clear();
    run.segment = (Duration::ZERO, 0);
    book_all(&mut run, people, bookings, seed);
    let booked = resident_bytes();

    let mean = run.timed.as_nanos() as f64 / bookings as f64;
    run.segments.sort_by(f64::total_cmp);
    let of_segments = |part: usize| run.segments.get(run.segments.len() * part / 100).copied();
    let median = of_segments(50).unwrap_or(mean);
    let quiet = of_segments(5).unwrap_or(mean);
    println!("people                      {people}");
    println!("registration                {:.1} ns", registering.as_nanos() as f64 / people as f64);
    println!(
        "bookings                    {bookings} ({} confirmed), seed {seed}, windows of {window}",
        run.confirmed
    );
    println!("booking, mean               {mean:.1} ns");
    println!("booking, median segment     {median:.1} ns");
    println!("booking, quietest twentieth {quiet:.1} ns");
    println!(
        "bookings per second         {:.2} M (mean), {:.2} M (median segment)",
        1e3 / mean,
        1e3 / median
    );
    println!("bytes per registrant        {:.1}", (registered - before) as f64 / people as f64);
    println!("bytes per booking           {:.1}", (booked - registered) as f64 / bookings as f64);
}

struct Run {
    state: State,
    events: Vec<Event>,
    changes: Vec<u8>,
    /// Commands prefetched together.
    window: usize,
    confirmed: u64,
    timed: Duration,
    /// Time and commands of the segment under way.
    segment: (Duration, usize),
    /// Nanoseconds per command of each full segment.
    segments: Vec<f64>,
}

impl Run {
    /// Some commands as the writer takes them: window by window, events taken away one command after
    /// the other.
    fn take(&mut self, commands: &[Envelope]) {
        for window in commands.chunks(self.window) {
            let start = Instant::now();
            self.state.prefetch(window);
            for envelope in window {
                self.state.apply(&envelope.command, NOW, &mut self.events);
                self.confirmed +=
                    u64::from(matches!(self.events.last(), Some(Event::Confirmed { .. })));
                self.events.clear();
            }
            if self.state.changes_bytes() > TAKE_BYTES {
                self.changes.clear();
                self.state.take_changes(&mut self.changes);
            }
            self.count(start.elapsed(), window.len());
        }
    }

    fn count(&mut self, took: Duration, commands: usize) {
        self.timed += took;
        self.segment.0 += took;
        self.segment.1 += commands;
        if self.segment.1 >= SEGMENT_COMMANDS {
            self.segments.push(self.segment.0.as_nanos() as f64 / self.segment.1 as f64);
            self.segment = (Duration::ZERO, 0);
        }
    }

    fn one(&mut self, command: Command) {
        self.take(&[Envelope { origin: Origin(0), command }]);
    }
}

fn announce(run: &mut Run, bookings: u64) {
    run.one(Command::PutCategory(Category {
        number: CategoryNumber(9),
        names: Vec::new(),
        born_on_or_before: Some(Day(12_000)),
        members: true,
        opens_at: Millis(0),
        closes_at: None,
        vaccines: vec!["AZ".into(), "Moderna".into()],
    }));
    let opening = |born: i32| Opening {
        born_on_or_before: Some(Day(born)),
        opens_at: Millis(NOW.0 - i64::from(born)),
    };
    run.one(Command::PutPeriod(Period {
        number: PERIOD,
        names: Vec::new(),
        vaccines: vec!["AZ".into()],
        registered_before: Some(Millis(NOW.0 + 1)),
        counties: None,
        categories: Some(vec![CategoryNumber(9)]),
        born_on_or_before: Some(Day(12_000)),
        opens_at: NOW,
        closes_at: Millis(NOW.0 + 1_000_000),
        openings: vec![opening(4_000), opening(8_000), opening(12_000)],
        identity_methods: Vec::new(),
    }));
    let sites = (0..SITES).map(|number| Site {
        id: format!("site-{number}"),
        name_zh: String::new(),
        name_en: String::new(),
        county: CountyNumber((number % 22) as u8),
        district: DistrictNumber((number % 368) as u16),
        address: String::new(),
        kind: String::new(),
    });
    import(run, ImportKind::Sites, vec![ImportRows::Sites(sites.collect())]);
    let places = u64::from(SITES) * DAYS as u64 * u64::from(SLOTS_PER_DAY);
    // Room for a crowd of chance at each slot, so that nearly every request is a full booking.
    let capacity = (bookings / places * 2 + 50) as u32;
    let mut rows = Vec::new();
    for site in 0..SITES {
        for day in 1..=DAYS {
            for slot in 0..SLOTS_PER_DAY {
                rows.push(SlotRow {
                    site: SiteNumber(site),
                    day: Day(NOW.day().0 + day),
                    start_minute: 540 + slot * 30,
                    end_minute: 570 + slot * 30,
                    vaccine: 0,
                    capacity,
                });
            }
        }
    }
    let chunks = rows.chunks(8_192).map(|rows| ImportRows::Slots(rows.to_vec()));
    import(run, ImportKind::Slots { vaccines: vec!["AZ".into()] }, chunks.collect());
}

fn import(run: &mut Run, kind: ImportKind, chunks: Vec<ImportRows>) {
    let hash = import_hash(&chunks);
    run.one(Command::ImportBegin { import: 1, kind });
    let mut count = 0;
    for rows in chunks {
        count += match &rows {
            ImportRows::Sites(rows) => rows.len() as u32,
            ImportRows::Slots(rows) => rows.len() as u32,
            ImportRows::Members(rows) => rows.len() as u32,
        };
        run.one(Command::ImportChunk { import: 1, rows });
    }
    run.one(Command::ImportCommit { import: 1, rows: count, hash });
}

fn register_all(run: &mut Run, people: u64, seed: u64) {
    let mut commands = Vec::with_capacity(GROUP_COMMANDS);
    for number in 0..people {
        let key = u128::from(mix(seed ^ number)) << 64 | u128::from(mix(!seed ^ number));
        commands.push(Envelope {
            origin: Origin(0),
            command: Command::Register {
                person: PersonKey(key.to_le_bytes()),
                attested: Attested {
                    born_on: Day((mix(number) % 12_000) as i32),
                    roster_version: 1,
                },
                intent: Intent {
                    county: CountyNumber((number % 22) as u8),
                    district: DistrictNumber((number % 368) as u16),
                    vaccines: VaccineSet(0b11),
                    language: LanguageNumber(0),
                },
                sealed: Vec::new(),
                retry: retry(number, 1),
            },
        });
        if commands.len() == GROUP_COMMANDS || number + 1 == people {
            run.take(&commands);
            commands.clear();
        }
    }
}

fn book_all(run: &mut Run, people: u64, bookings: u64, seed: u64) {
    let slots = u64::from(run.state.slots_count());
    let mut order = Shuffled::new(people, seed);
    let mut commands = Vec::with_capacity(GROUP_COMMANDS);
    for number in 0..bookings {
        let person = order.next();
        commands.push(Envelope {
            origin: Origin(number),
            command: Command::Book {
                person: PersonRef::Number(PersonNumber(person as u32)),
                period: PERIOD,
                slot: SlotNumber((mix(number ^ seed) % slots) as u32),
                retry: retry(person, 2),
            },
        });
        if commands.len() == GROUP_COMMANDS || number + 1 == bookings {
            run.take(&commands);
            commands.clear();
        }
    }
}

fn retry(person: u64, use_: u64) -> RetryKey {
    RetryKey { key: KeyHash(mix(person << 8 | use_)), fingerprint: Fingerprint(mix(!person)) }
}

/// Every number below a bound once, in an order without pattern: a full-period generator over the next
/// power of two, whose numbers beyond the bound are passed over.
struct Shuffled {
    bound: u64,
    mask: u64,
    counter: u64,
    seed: u64,
}

impl Shuffled {
    fn new(bound: u64, seed: u64) -> Shuffled {
        Shuffled { bound, mask: bound.next_power_of_two() - 1, counter: 0, seed }
    }

    fn next(&mut self) -> u64 {
        loop {
            let mut number = self.counter;
            self.counter += 1;
            // Each step can be undone within the mask, so no number comes twice.
            for round in 0..3 {
                number = number.wrapping_mul(0x9E37_79B9_7F4A_7C15 | 1) & self.mask;
                number ^= number >> (self.mask.count_ones() / 2 + 1);
                number = number.wrapping_add(mix(self.seed ^ round)) & self.mask;
            }
            if number < self.bound {
                return number;
            }
        }
    }
}
