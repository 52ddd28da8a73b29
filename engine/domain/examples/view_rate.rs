//! How fast the view folds events, and what a checkpoint of it costs beside folding them again.
//!
//! `cargo run --release -p domain --example view_rate -- [people] [bookings] [file]`
//!
//! Folds registrations and bookings (people in random order, each once) as the gateway does: group by
//! group, decoded, prefetched, absorbed. Then takes a checkpoint while a group of moves is folded after
//! every portion, writes it to the file in synced pieces, reads it again and loads it. Timed are
//! decoding and folding; making the events is not. A hold is the time for which a portion keeps the
//! view from whoever folds.

// A measurement needs a clock, arguments, a file and a place to print; the fold it measures does not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
#![allow(clippy::disallowed_macros, clippy::float_arithmetic)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod measure;

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use domain::codec::{EventGroup, EventGroupWriter};
use domain::view::checkpoint::{FRAME_HEADER_BYTES, Loader, PREAMBLE_BYTES, frame_bytes};
use domain::*;
use measure::{mix, resident_bytes};

/// Commands of one group.
const GROUP_COMMANDS: u64 = 512;

/// Bytes written between two syncs.
const SYNC_BYTES: usize = 8 << 20;

const SITES: u32 = 2_500;
const SLOTS: u32 = 280_000;
const NOW: Millis = Millis(1_626_148_800_000);
const PERIOD: PeriodNumber = PeriodNumber(2);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| arguments.next().map_or(otherwise, |text| text.parse().unwrap());
    let people: u64 = number(10_000_000);
    let bookings: u64 = number(people).min(people);
    let path = arguments.next().unwrap_or_else(|| "view.checkpoint".to_owned());

    let mut run = Run { view: View::new(), next: Sequence(1), timed: Duration::ZERO, people };
    run.announce(bookings);
    let before = resident_bytes();
    let registering = run.fold(people, registered);
    let booking = run.fold(bookings, |run, number| vec![run.confirmed(number)]);
    println!("people {people}, bookings {bookings}");
    println!("fold: registration          {:.1} ns", per(registering, people));
    println!("fold: booking               {:.1} ns", per(booking, bookings));
    println!("fold: all                   {:.2} s", (registering + booking).as_secs_f64());
    println!("memory of the view          {:.0} MB", (resident_bytes() - before) as f64 / 1e6);
    let moves = run.fold(bookings.min(1 << 20), |run, number| vec![run.moved(number)]);
    println!("fold: move                  {:.1} ns", per(moves, bookings.min(1 << 20)));
    let bytes = write(&mut run, &path, bookings);
    // A start has the memory to itself.
    drop(run);
    load(&path, bytes, people);
    std::fs::remove_file(&path).expect("the file just read");
}

struct Run {
    view: View,
    next: Sequence,
    timed: Duration,
    people: u64,
}

impl Run {
    fn announce(&mut self, bookings: u64) {
        let site = |number: u32| Site {
            id: format!("site-{number}"),
            name_zh: "測試醫院".into(),
            name_en: "Test Hospital".into(),
            county: CountyNumber((number % 22) as u8),
            district: DistrictNumber((number % 368) as u16),
            address: "1 Test Road".into(),
            kind: "hospital".into(),
        };
        let sites = (0..SITES).map(|number| (SiteNumber(number), site(number))).collect();
        let capacity = (bookings / u64::from(SLOTS) * 2 + 100) as u32;
        let slot = |number: u32| Slot {
            site: SiteNumber(number % SITES),
            day: Day(NOW.day().0 + 1 + (number / SITES / 16) as i32),
            start_minute: 540 + (number / SITES % 16) as u16 * 30,
            end_minute: 570 + (number / SITES % 16) as u16 * 30,
            vaccine: VaccineNumber(0),
            capacity,
        };
        let slots = (0..SLOTS).map(|number| (SlotNumber(number), slot(number))).collect();
        let vaccine = Event::VaccineNamed { vaccine: VaccineNumber(0), name: "AZ".into() };
        self.group(&[vec![vaccine, Event::SitesPut { sites }, Event::SlotsPut { slots }]]);
    }

    /// Folds so many commands, each with the events that `events` makes; gives the time of folding.
    fn fold(&mut self, count: u64, events: impl Fn(&Run, u64) -> Vec<Event>) -> Duration {
        self.timed = Duration::ZERO;
        for first in (0..count).step_by(GROUP_COMMANDS as usize) {
            let numbers = first..(first + GROUP_COMMANDS).min(count);
            let commands: Vec<_> = numbers.map(|number| events(self, number)).collect();
            self.group(&commands);
        }
        assert_eq!(self.view.contradictions(), 0);
        self.timed
    }

    fn group(&mut self, commands: &[Vec<Event>]) {
        let mut writer = EventGroupWriter::new(self.next, NOW);
        commands.iter().for_each(|events| writer.command(Origin(0), events));
        let mut bytes = Vec::new();
        writer.finish([0; 32], &mut bytes);
        let began = Instant::now();
        let group = EventGroup::decode(&bytes).expect("a group just written");
        self.view.prefetch(&group);
        let view = &mut self.view;
        group.for_each(|sequence, _, _, event| view.absorb(sequence, NOW, event)).unwrap();
        view.advance(group.last(), NOW);
        self.next = Sequence(group.last().0 + 1);
        self.timed += began.elapsed();
    }

    /// A person in no order that means anything: an odd factor visits each number below a power of two
    /// once; those beyond the last person stay where they are.
    fn person(&self, number: u64) -> PersonNumber {
        let power = 1 << self.people.ilog2();
        let mixed =
            if number < power { number.wrapping_mul(0x9E37_79B9) & (power - 1) } else { number };
        PersonNumber(mixed as u32)
    }

    fn confirmed(&self, number: u64) -> Event {
        let (person, fingerprint) = (self.person(number), Fingerprint(mix(!number)));
        let slot = SlotNumber((mix(number) % u64::from(SLOTS)) as u32);
        let (key, booking) = (KeyHash(mix(number << 8 | 2)), BookingNumber(number as u32));
        Event::Confirmed { person, period: PERIOD, key, fingerprint, booking, slot }
    }

    fn moved(&self, number: u64) -> Event {
        let booking = BookingNumber(number as u32);
        let held = self.view.booking(booking).expect("a booking");
        let to = SlotNumber((held.slot.0 + 1) % SLOTS);
        let (person, key) = (held.person, KeyHash(mix(self.next.0 << 20 | number)));
        let fingerprint = Fingerprint(mix(!number));
        Event::Changed { person, period: PERIOD, key, fingerprint, booking, from: held.slot, to }
    }
}

/// A person is mentioned for the first time, and registers.
fn registered(_: &Run, number: u64) -> Vec<Event> {
    let key = u128::from(mix(number)) << 64 | u128::from(mix(!number));
    let person = PersonNumber(number as u32);
    vec![
        Event::Numbered { person, key: PersonKey(key.to_le_bytes()) },
        Event::Registered {
            person,
            key: KeyHash(mix(number << 8 | 1)),
            fingerprint: Fingerprint(mix(!number)),
            serial: number as u32 + 1,
            born_on: Day((mix(number) % 12_000) as i32),
            intent: Intent {
                county: CountyNumber((number % 22) as u8),
                district: DistrictNumber((number % 368) as u16),
                vaccines: VaccineSet(1),
                language: LanguageNumber(0),
            },
            sealed: vec![7; 100],
        },
    ]
}

/// Takes a checkpoint into a file while moves are folded; gives its length.
fn write(run: &mut Run, path: &str, bookings: u64) -> u64 {
    let mut file = File::create(path).expect("a file to write");
    let (mut bytes, mut unsynced, mut moves) = (0, 0, 0);
    let mut times: [Times; 4] = Default::default();
    let [copying, settling, packing, writing] = &mut times;
    run.timed = Duration::ZERO;
    let began = Instant::now();
    let mut capture = run.view.begin_capture(b"", 256 << 20);
    println!(
        "checkpoint: hold, beginning             {:.0} us",
        began.elapsed().as_secs_f64() * 1e6
    );
    let mut out = Vec::new();
    loop {
        copying.time(|| capture.copy(&run.view));
        if capture.needs_settling() {
            settling.time(|| capture.settle(&mut run.view)).expect("room enough");
        }
        let more = packing.time(|| capture.pack(&mut out));
        bytes += out.len() as u64;
        unsynced += out.len();
        writing.time(|| {
            file.write_all(&out).expect("room on the disk");
            if unsynced > SYNC_BYTES || !more {
                file.sync_data().expect("a disk that works");
                unsynced = 0;
            }
        });
        out.clear();
        if !more {
            break;
        }
        let first = moves % bookings;
        let events: Vec<_> = (first..(first + GROUP_COMMANDS).min(bookings))
            .map(|number| vec![run.moved(number)])
            .collect();
        moves += events.len() as u64;
        run.group(&events);
    }
    println!("checkpoint: holds, copying              {}", copying.holds());
    println!("checkpoint: holds, settling             {}", settling.holds());
    println!(
        "checkpoint: all holds                   {:.3} s",
        copying.seconds() + settling.seconds()
    );
    println!("checkpoint: packing                     {:.2} s", packing.seconds());
    println!("checkpoint: writing and syncing         {:.2} s", writing.seconds());
    println!("checkpoint: bytes                       {bytes} ({:.0} MB)", bytes as f64 / 1e6);
    println!("fold: move, during the checkpoint       {:.1} ns ({moves})", per(run.timed, moves));
    bytes
}

fn load(path: &str, bytes: u64, people: u64) {
    let began = Instant::now();
    let mut file = std::io::BufReader::with_capacity(1 << 20, File::open(path).expect("the file"));
    let mut preamble = [0; PREAMBLE_BYTES];
    file.read_exact(&mut preamble).expect("a preamble");
    let mut loader = Loader::open(&preamble, Default::default()).expect("a checkpoint");
    let mut read = PREAMBLE_BYTES as u64;
    let mut frame = Vec::new();
    while read < bytes {
        let mut header = [0; FRAME_HEADER_BYTES];
        file.read_exact(&mut header).expect("a header");
        frame.clear();
        frame.extend_from_slice(&header);
        frame.resize(frame_bytes(&header).expect("a length"), 0);
        file.read_exact(&mut frame[FRAME_HEADER_BYTES..]).expect("a frame");
        loader.take(&frame).expect("a sound frame");
        read += frame.len() as u64;
    }
    let rows = began.elapsed();
    let loaded = loader.finish().expect("a sound checkpoint");
    println!("load: reading and checking              {:.2} s", rows.as_secs_f64());
    println!(
        "load: index, lists, sums                {:.2} s",
        (began.elapsed() - rows).as_secs_f64()
    );
    println!("load: all                               {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(loaded.figures().people, people);
}

/// Many times of one kind of work.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn time<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = work();
        self.0.push(began.elapsed());
        result
    }

    fn seconds(&self) -> f64 {
        self.0.iter().sum::<Duration>().as_secs_f64()
    }

    /// The median, all but one in a hundred, all but one in a thousand, and the longest, which may
    /// have been interrupted: in microseconds.
    fn holds(&mut self) -> String {
        self.0.sort_unstable();
        let at = |part: usize| self.0[(self.0.len() - 1) * part / 1_000].as_secs_f64() * 1e6;
        format!("{:.0} {:.0} {:.0} {:.0} us", at(500), at(990), at(999), at(1_000))
    }
}

fn per(took: Duration, count: u64) -> f64 {
    took.as_nanos() as f64 / count as f64
}
