//! How fast the engine is without HTTP: journal → decide → events → checkpoint, on real files.
//!
//! ```text
//! engine_rate [--people N] [--bookings N] [--lanes N] [--folder PATH] [--no-recovery]
//! ```
//!
//! 1. N people register, an engine decides them; a checkpoint is taken.
//! 2. Half of the bookings are pushed through the lanes as fast as the journal takes them. Figure:
//!    commands per second from the first push until the last command is durable and its event stands.
//!    CPU per command by thread, so that the store's share can be read off.
//! 3. The other half with checkpoints off; then the process ends without a stop.
//! 4. Another process opens everything. Figure: seconds until the engine is active again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::codec::{encode_command, import_hash};
use domain::{
    Attested, Command, CountyNumber, Day, DistrictNumber, Envelope, Fingerprint, ImportKind,
    ImportRows, Intent, KeyHash, LanguageNumber, Millis, Origin, Period, PeriodNumber, PersonKey,
    PersonNumber, PersonRef, RetryKey, Site, SiteNumber, SlotNumber, SlotRow, VaccineSet,
};
use engine::{Engine, EngineConfig, EngineStatus, Phase};
use journal::{EmbeddedConfig, EmbeddedJournal, Journal, Lane, Refused, Settled, Stream};

/// Slots on offer; each has room for its share of all bookings and as much again.
const SLOTS: u32 = 20_000;
/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;

#[derive(Clone)]
struct Options {
    people: u32,
    bookings: u32,
    lanes: usize,
    folder: PathBuf,
    recovery: bool,
    /// Set in the processes that this one starts.
    role: Option<String>,
}

impl Options {
    fn parse() -> Options {
        let mut options = Options {
            people: 10_000_000,
            bookings: 10_000_000,
            lanes: 2,
            folder: std::env::temp_dir().join("slotline-engine-rate"),
            recovery: true,
            role: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("a value");
            match argument.as_str() {
                "--people" => options.people = value().parse().expect("a number"),
                "--bookings" => options.bookings = value().parse().expect("a number"),
                "--lanes" => options.lanes = value().parse().expect("a number"),
                "--folder" => options.folder = value().into(),
                "--no-recovery" => options.recovery = false,
                "--role" => options.role = Some(value()),
                other => panic!("unknown option {other}"),
            }
        }
        assert!(options.bookings <= options.people, "one booking a person");
        options
    }

    fn run_self(&self, role: &str) {
        let status = std::process::Command::new(std::env::current_exe().expect("own path"))
            .args(["--people", &self.people.to_string()])
            .args(["--bookings", &self.bookings.to_string()])
            .args(["--lanes", &self.lanes.to_string()])
            .args(["--folder", &self.folder.display().to_string()])
            .args(["--role", role])
            .status()
            .expect("own program");
        assert!(status.success() || role == "second", "{role}: {status}");
    }
}

fn main() {
    let options = Options::parse();
    match options.role.as_deref() {
        None => {
            if options.folder.exists() {
                std::fs::remove_dir_all(&options.folder).expect("an old folder goes");
            }
            options.run_self("first");
            if options.recovery {
                options.run_self("second");
                options.run_self("recovery");
            }
            std::fs::remove_dir_all(&options.folder).expect("the folder goes");
        }
        Some("first") => first(&options),
        Some("second") => second(&options),
        Some("recovery") => recovery(&options),
        Some(other) => panic!("unknown role {other}"),
    }
}

fn open_journal(folder: &Path) -> Arc<dyn Journal> {
    let journal = EmbeddedJournal::open(&folder.join("journal"), EmbeddedConfig::default())
        .expect("the journal opens");
    Arc::new(journal)
}

fn engine_config(folder: &Path) -> EngineConfig {
    EngineConfig::new(folder.join("engine"), [std::process::id() as u8 | 1; 16])
}

/// An engine on a thread.
struct Running {
    status: Arc<EngineStatus>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(config: EngineConfig, journal: &Arc<dyn Journal>) -> Running {
        let engine = Engine::open(config, Arc::clone(journal)).expect("the engine opens");
        let status = engine.status();
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("slotline-engine".to_owned())
            .spawn(move || engine.run(stopping).expect("the engine runs"))
            .expect("a thread");
        Running { status, stop, thread }
    }

    fn wait_active(&self) {
        while self.status.phase() != Phase::Active {
            assert_ne!(self.status.phase(), Phase::Halted, "{:?}", self.status.halted_reason());
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn wait_events(&self, sequence: u64) {
        while self.status.events_sequence() < sequence {
            assert_ne!(self.status.phase(), Phase::Halted, "{:?}", self.status.halted_reason());
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the engine stops");
    }
}

/// Registers everybody, then the first half of the bookings.
fn first(options: &Options) {
    let journal = open_journal(&options.folder);
    let engine = Running::start(engine_config(&options.folder), &journal);
    engine.wait_active();
    let sequence = announce(journal.as_ref(), options);
    engine.wait_events(sequence);
    measure("registrations", options, &journal, &engine, options.people, |number, out| {
        register(number, out);
    });
    let half = options.bookings / 2;
    measure("bookings, checkpoints on", options, &journal, &engine, half, |number, out| {
        book(shuffled(number, options.people), number, options.bookings, out);
    });
    println!("longest pause of the writer for a cut: {} µs", engine.status.cut_pause_us_max());
    println!(
        "checkpoint: {:?}",
        engine.status.checkpoint_failure().map_or("fine".to_owned(), |why| why)
    );
    engine.stop();
    println!(
        "store: {} MB; resident: {} MB",
        folder_mb(&options.folder.join("engine")),
        resident_mb()
    );
    println!(
        "journal: {} MB commands, {} MB events",
        journal.stored_bytes(Stream::Commands) >> 20,
        journal.stored_bytes(Stream::Events) >> 20
    );
    journal.close();
}

/// The second half of the bookings without a checkpoint, and no orderly end.
fn second(options: &Options) {
    let journal = open_journal(&options.folder);
    let mut config = engine_config(&options.folder);
    config.checkpoint_interval_ms = 3_600_000;
    config.checkpoint_changes_bytes_max = 1 << 30;
    let engine = Running::start(config, &journal);
    engine.wait_active();
    let half = options.bookings / 2;
    measure(
        "bookings, checkpoints off",
        options,
        &journal,
        &engine,
        options.bookings - half,
        |number, out| {
            book(shuffled(half + number, options.people), half + number, options.bookings, out);
        },
    );
    journal.sync(Stream::Events).expect("the events are durable");
    std::process::abort();
}

fn recovery(options: &Options) {
    let began = Instant::now();
    let journal = open_journal(&options.folder);
    let journal_seconds = began.elapsed().as_secs_f64();
    let engine = Running::start(engine_config(&options.folder), &journal);
    let open_seconds = began.elapsed().as_secs_f64();
    let from = engine.status.checkpoint_sequence();
    engine.wait_active();
    let active_seconds = began.elapsed().as_secs_f64();
    println!(
        "recovery of {} people and {} bookings: journal {journal_seconds:.2} s, checkpoint at {from} loaded after {open_seconds:.2} s, active after {active_seconds:.2} s ({} commands replayed)",
        options.people,
        options.bookings,
        engine.status.sequence() - from,
    );
    println!("resident: {} MB; CPU by thread: {:?} ms", resident_mb(), thread_cpu_ms());
    // No orderly end, so that the same folder can be recovered again.
    std::process::exit(0);
}

/// Pushes `count` commands through the lanes and prints what came of it.
fn measure(
    name: &str,
    options: &Options,
    journal: &Arc<dyn Journal>,
    engine: &Running,
    count: u32,
    make: impl Fn(u32, &mut Vec<u8>) + Sync,
) {
    let before = engine.status.sequence();
    let cpu_before = thread_cpu_ms();
    let began = Instant::now();
    let durable = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for lane in 0..options.lanes {
            let (make, durable) = (&make, Arc::clone(&durable));
            std::thread::Builder::new()
                .name(format!("producer-{lane}"))
                .spawn_scoped(scope, move || {
                    produce(
                        journal.as_ref(),
                        lane as u32,
                        options.lanes as u32,
                        count,
                        make,
                        durable,
                    );
                })
                .expect("a thread");
        }
    });
    let durable_seconds = began.elapsed().as_secs_f64();
    assert_eq!(durable.load(Ordering::SeqCst), u64::from(count));
    engine.wait_events(before + u64::from(count));
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{name}: {count} in {seconds:.2} s = {:.0}/s decided (durable after {durable_seconds:.2} s)",
        f64::from(count) / seconds
    );
    let cpu = thread_cpu_ms();
    let mut total = 0;
    for (thread, ms) in &cpu {
        let used = ms - cpu_before.get(thread).copied().unwrap_or(0);
        total += used;
        if used >= 20 {
            println!(
                "    {thread:<18} {:.3} µs a command",
                used as f64 * 1_000.0 / f64::from(count)
            );
        }
    }
    println!(
        "    {:<18} {:.3} µs a command",
        "living threads",
        total as f64 * 1_000.0 / f64::from(count)
    );
}

/// One producer: every command of its lane, in bursts, waiting when the lane is full.
fn produce(
    journal: &dyn Journal,
    lane: u32,
    lanes: u32,
    count: u32,
    make: &(impl Fn(u32, &mut Vec<u8>) + Sync),
    durable: Arc<AtomicU64>,
) {
    let settled = Arc::clone(&durable);
    let way = journal
        .lane(
            Stream::Commands,
            Arc::new(move |run: Settled| {
                run.result.expect("the journal writes");
                settled.fetch_add(u64::from(run.count), Ordering::SeqCst);
            }),
        )
        .expect("a lane");
    let mut record = Vec::new();
    let mut number = lane;
    while number < count {
        record.clear();
        make(number, &mut record);
        push(way.as_ref(), &record);
        number += lanes;
    }
    while way.unsettled() > 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn push(lane: &dyn Lane, record: &[u8]) {
    loop {
        match lane.push(record) {
            Ok(_) => return,
            Err(Refused::Full) => std::thread::sleep(Duration::from_micros(200)),
            Err(refused) => panic!("{refused}"),
        }
    }
}

fn put(command: Command, out: &mut Vec<u8>) {
    encode_command(&Envelope { origin: Origin(1), command }, out);
}

/// Sites, slots and a period. Returns the sequence that they reach at least.
fn announce(journal: &dyn Journal, options: &Options) -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_millis() as i64;
    let today = Millis(now).day();
    let vaccines = vec!["AZ".to_owned()];
    let category = domain::Category {
        number: domain::CategoryNumber(1),
        names: Vec::new(),
        born_on_or_before: Some(Day(30_000)),
        members: false,
        opens_at: Millis(now - DAY_MS),
        closes_at: None,
        vaccines: vaccines.clone(),
    };
    let sites = ImportRows::Sites(vec![Site {
        id: "S".to_owned(),
        name_zh: "院所".to_owned(),
        name_en: "Site".to_owned(),
        county: CountyNumber(0),
        district: DistrictNumber(0),
        address: "某路一號".to_owned(),
        kind: "hospital".to_owned(),
    }]);
    let capacity = options.bookings / SLOTS * 2 + 2;
    let slots: Vec<ImportRows> = (0..SLOTS)
        .map(|slot| SlotRow {
            site: SiteNumber(0),
            day: Day(today.0 + 2 + (slot / 1_000) as i32),
            start_minute: (slot % 1_000) as u16,
            end_minute: (slot % 1_000) as u16 + 10,
            vaccine: 0,
            capacity,
        })
        .collect::<Vec<_>>()
        .chunks(1_000)
        .map(|rows| ImportRows::Slots(rows.to_vec()))
        .collect();
    let mut commands = vec![Command::PutCategory(category)];
    commands.extend(import(1, ImportKind::Sites, vec![sites]));
    commands.extend(import(2, ImportKind::Slots { vaccines: vaccines.clone() }, slots));
    commands.push(Command::PutPeriod(Period {
        number: PeriodNumber(1),
        names: Vec::new(),
        vaccines,
        registered_before: None,
        counties: None,
        categories: None,
        born_on_or_before: None,
        opens_at: Millis(now - DAY_MS),
        closes_at: Millis(now + DAY_MS),
        openings: Vec::new(),
        identity_methods: Vec::new(),
    }));
    let count = commands.len() as u64;
    for command in commands {
        let mut record = Vec::new();
        put(command, &mut record);
        journal.append(Stream::Commands, &[&record]).expect("durable");
    }
    count
}

fn import(import: u64, kind: ImportKind, chunks: Vec<ImportRows>) -> Vec<Command> {
    let hash = import_hash(&chunks);
    let rows = chunks
        .iter()
        .map(|chunk| match chunk {
            ImportRows::Sites(rows) => rows.len(),
            ImportRows::Slots(rows) => rows.len(),
            ImportRows::Members(rows) => rows.len(),
        })
        .sum::<usize>() as u32;
    let mut commands = vec![Command::ImportBegin { import, kind }];
    commands.extend(chunks.into_iter().map(|rows| Command::ImportChunk { import, rows }));
    commands.push(Command::ImportCommit { import, rows, hash });
    commands
}

fn register(number: u32, out: &mut Vec<u8>) {
    let key = u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let command = Command::Register {
        person: PersonKey(key.to_le_bytes()),
        attested: Attested { born_on: Day(1_000), roster_version: 1 },
        intent: Intent {
            county: CountyNumber((number % 22) as u8),
            district: DistrictNumber((number % 368) as u16),
            vaccines: VaccineSet(1),
            language: LanguageNumber(0),
        },
        sealed: vec![7; 96],
        retry: retry(number),
    };
    put(command, out);
}

fn book(person: u32, number: u32, bookings: u32, out: &mut Vec<u8>) {
    let slot =
        (u64::from(shuffled(number, bookings)) * u64::from(SLOTS) / u64::from(bookings)) as u32;
    let command = Command::Book {
        person: PersonRef::Number(PersonNumber(person)),
        period: PeriodNumber(1),
        slot: SlotNumber(slot),
        retry: retry(number),
    };
    put(command, out);
}

fn retry(number: u32) -> RetryKey {
    let mixed = u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    RetryKey { key: KeyHash(mixed), fingerprint: Fingerprint(!mixed) }
}

/// A place in a random-looking order of `0..count`, each once.
fn shuffled(number: u32, count: u32) -> u32 {
    // A large prime that divides no sensible count.
    ((u64::from(number) * 2_654_435_761) % u64::from(count)) as u32
}

/// CPU milliseconds by thread name, from the system's own books.
fn thread_cpu_ms() -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let schedstat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ns: u64 = schedstat.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        *sums.entry(name.trim().to_owned()).or_default() += ns / 1_000_000;
    }
    sums
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.and_then(|line| line.split_whitespace().nth(1))
        .and_then(|text| text.parse::<u64>().ok())
        .unwrap_or(0)
        / 1_024
}

fn folder_mb(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_mb(&entry.path()) << 20,
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        };
    }
    bytes >> 20
}
