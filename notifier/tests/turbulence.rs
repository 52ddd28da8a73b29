//! Notifiers over streams that behave as Kafka does in the large: records written twice, lost with or
//! without their answer, late; events of a deposed engine; a notifier that was paused and wakes up
//! deposed. Nobody is left without a text, nobody gets one twice.
//!
//! One seed is one campaign, told to the notifiers while they are paused, killed and replaced. A
//! successor takes over only after its predecessor stands still, so that the verdict does not hang on
//! how fast the machine is.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::fmt;
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use domain::codec::EventGroup;
use domain::{Admission, Watermark};
use journal::turbulent::{
    Fault, Struck, Turbulence, TurbulentConfig, TurbulentJournal, lives, seeds,
};
use journal::{Health, Journal, Position, Stream, Visibility};
use notifier::{DeliveryState, NotifierConfig, NotifierError, NotifierPhase};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use world::carrier::{Carrier, Manners};
use world::*;

/// Seeds of a usual run, and of `SLOTLINE_FAULTS=full`.
const SEEDS: (u64, u64) = (24, 1_000);
/// Seeds run at a time: most of a run is waiting.
const AT_A_TIME: usize = 8;
/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Incidents in one campaign.
const ACTS: u32 = 4;
/// How long silence is: so long that a busy machine writes and reads a record well within half of it,
/// or nobody would be sure of an epoch for long.
const TAKEOVER_MS: u64 = 200;

const AT_SEA: Turbulence = Turbulence {
    repeat_once_in: 5,
    late_repeat_once_in: 6,
    stray_repeat_once_in: 6,
    hold_once_in: 4,
    lost_answer_once_in: 50,
    lost_group_once_in: 50,
    late_write_once_in: 50,
    lag_once_in: 5,
    overtaking_groups_max: 4,
    hold_ms_max: 3,
    lag_ms_max: 3,
};

/// Loses answers before and after taking a text, and is away at times; but it can be asked.
const MANNERS: Manners = Manners {
    away: 5,
    lost_before: 5,
    lost_after: 8,
    away_for_lookups: 10,
    has_lookup: true,
    refused: 0,
    away_at_first: 0,
};

/// What happened, so that a run can show that something did.
#[derive(Clone, Copy, Debug, Default)]
struct Lived {
    texts: u64,
    found: u64,
    void: u64,
    takeovers: u64,
    restarts: u64,
}

impl AddAssign for Lived {
    fn add_assign(&mut self, other: Lived) {
        self.texts += other.texts;
        self.found += other.found;
        self.void += other.void;
        self.takeovers += other.takeovers;
        self.restarts += other.restarts;
    }
}

impl fmt::Display for Lived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lived { texts, found, void, takeovers, restarts } = self;
        write!(f, "texts {texts}  found sent {found}  void records {void}  ")?;
        write!(f, "takeovers {takeovers}  restarts {restarts}")
    }
}

/// A process with a notifier in it.
struct Process {
    journal: TurbulentJournal,
    running: Running,
}

/// The notifiers of a campaign: one that shall be active, and what became of those before it.
struct Office<'a> {
    world: &'a World,
    folder: &'a Path,
    carrier: &'a Carrier,
    current: Option<Process>,
    hired: u64,
    restarts: u64,
    struck: Struck,
}

impl Office<'_> {
    /// Somebody new, with a disk of its own; gives the one before.
    fn hire(&mut self, journal: TurbulentJournal) -> Option<Process> {
        self.hired += 1;
        let process = self.start(journal);
        self.current.replace(process)
    }

    fn start(&self, journal: TurbulentJournal) -> Process {
        let config = NotifierConfig {
            exclusive: false,
            takeover_ms: TAKEOVER_MS,
            batch_messages_max: 4,
            give_up_after_ms: u64::MAX / 4,
            ..quick(&self.folder.join(self.hired.to_string()))
        };
        let (provider, stop) = (Box::new(self.carrier.clone()), Arc::new(AtomicBool::new(false)));
        let shared: Arc<dyn Journal> = Arc::new(journal.clone());
        let running = Running::start(config, shared, &self.world.vault, provider, stop);
        Process { journal, running }
    }

    fn current(&self) -> &Process {
        self.current.as_ref().expect("somebody is there")
    }

    /// kill -9 and a new start, on the same disk.
    fn restart(&mut self) {
        self.restarts += 1;
        let Process { journal, running } = self.current.take().expect("somebody is there");
        let next = journal.reopen();
        end(running);
        self.current = Some(self.start(next));
    }

    /// The end of somebody who is not needed any more.
    fn dismiss(&mut self, process: Process) {
        self.struck += process.journal.struck();
        end(process.running);
    }

    /// Waits; whoever ended because its journal failed is started again.
    fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&Process) -> bool) {
        let began = Instant::now();
        loop {
            let Process { journal, running } = self.current();
            if running.status.phase() == NotifierPhase::Failed {
                let why = running.status.failure();
                assert!(matches!(journal.health(), Health::Failed(_)), "{why:?}");
                self.restart();
            }
            if is_so(self.current()) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "never happened: {what}");
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    fn wait_until_active(&mut self) {
        self.wait_until("one is active", |current| current.running.status.is_active());
    }

    /// The active one stands still, somebody else takes over, and then it wakes up.
    fn depose(&mut self, successor: TurbulentJournal, goes_on_for: Duration) {
        self.wait_until("it stands still", |current| {
            // Also one that was started again meanwhile.
            current.journal.pause();
            current.journal.stands_still()
        });
        let deposed = self.hire(successor).expect("somebody was there");
        self.wait_until_active();
        std::thread::sleep(goes_on_for);
        deposed.journal.resume();
        deposed.running.wait_until("it knows", |status| status.phase() == NotifierPhase::Standby);
        self.dismiss(deposed);
    }
}

/// Ends a notifier; that its journal failed is no surprise here.
fn end(running: Running) {
    match running.end() {
        Ok(()) | Err(NotifierError::Journal(_)) => {}
        Err(other) => panic!("a notifier ended: {other}"),
    }
}

/// Writes events as an engine whose process fails now and then: it goes on behind what stands without
/// a hole.
struct Engine {
    journal: TurbulentJournal,
}

impl Engine {
    fn write(&mut self, groups: &[Vec<u8>]) {
        loop {
            let mut next = self.contiguous() as usize;
            while next < groups.len()
                && self.journal.append(Stream::Events, &[&groups[next]]).is_ok()
            {
                next += 1;
            }
            if next == groups.len() {
                return;
            }
            self.journal = self.journal.reopen();
        }
    }

    /// Groups that stand without a hole.
    fn contiguous(&self) -> u64 {
        let end = self.journal.durable_end(Stream::Events).unwrap();
        let mut reader =
            self.journal.reader(Stream::Events, Position::START, Visibility::Durable).unwrap();
        let (mut watermark, mut count) = (Watermark::START, 0);
        while reader.position() < end {
            let polled = reader.poll(Duration::from_millis(10)).unwrap();
            for record in polled.iter().flat_map(|group| group.records.iter()) {
                let group = EventGroup::decode(record).unwrap();
                count += u64::from(watermark.admit(group.first, group.last()) == Admission::Next);
            }
        }
        count
    }
}

/// One campaign, from its first event to the last text.
fn live(seed: u64) -> (Lived, Struck) {
    let mut world = World::new(seed);
    world.live(12, 160);
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let carrier = Carrier::new(seed, MANNERS);
    let streams: Arc<dyn Journal> = Arc::new(memory_journal(seed));
    let calm = TurbulentJournal::new(streams, TurbulentConfig::new(seed, Turbulence::CALM));
    let process = |number: u64| {
        calm.another(TurbulentConfig::new(seed.wrapping_mul(64).wrapping_add(number), AT_SEA))
    };
    let mut engine = Engine { journal: process(40) };
    let mut office = Office {
        world: &world,
        folder: folder.path(),
        carrier: &carrier,
        current: None,
        hired: 0,
        restarts: 0,
        struck: Struck::default(),
    };
    office.hire(process(0));
    let mut takeovers = 0;
    let groups = &world.groups;
    for act in 1..=ACTS {
        engine.write(&groups[..groups.len() * act as usize / (ACTS as usize + 1)]);
        office.wait_until_active();
        match dice.next_u32() % 3 {
            0 => {
                let goes_on_for = Duration::from_millis(u64::from(dice.next_u32() % 20));
                office.depose(process(u64::from(act)), goes_on_for);
                takeovers += 1;
            }
            1 => office.restart(),
            _ => {}
        }
    }
    engine.write(groups);
    office.current().journal.set_faults(Turbulence::CALM);
    calm.land();
    let (owed, last) = (world.owed(""), world.last());
    office.wait_until("all texts are settled", |current| {
        let status = &current.running.status;
        status.is_active() && status.sequence() >= last && status.waiting() == 0
    });
    let current = office.current.take().expect("somebody is there");
    office.dismiss(current);
    let (mut struck, restarts) = (office.struck, office.restarts);
    struck += engine.journal.struck();
    every_text_once(carrier.letters(), owed.clone());
    nothing_is_left_to_send(&calm, &world, folder.path(), &carrier, owed.len() as u64, restarts)
        .map(|(found, void)| {
            let texts = owed.len() as u64;
            (Lived { texts, found, void, takeovers, restarts }, struck)
        })
        .expect("a notifier that begins anew")
}

/// To the right person, in the right words; the order does not matter.
fn every_text_once(mut letters: Vec<Owed>, mut owed: Vec<Owed>) {
    letters.sort_by(|one, other| one.reference.cmp(&other.reference));
    owed.sort_by(|one, other| one.reference.cmp(&other.reference));
    let references = |texts: &[Owed]| -> Vec<String> {
        texts.iter().map(|text| text.reference.clone()).collect()
    };
    assert_eq!(references(&letters), references(&owed));
    assert!(letters == owed, "other words, or to somebody else");
}

/// A notifier that lost its disk reads that everything is settled, and sends nothing.
fn nothing_is_left_to_send(
    calm: &TurbulentJournal,
    world: &World,
    folder: &Path,
    carrier: &Carrier,
    texts: u64,
    restarts: u64,
) -> Result<(u64, u64), NotifierError> {
    let config = quick(&folder.join(format!("anew after {restarts}")));
    let journal: Arc<dyn Journal> = Arc::new(calm.clone());
    let (provider, stop) = (Box::new(carrier.clone()), Arc::new(AtomicBool::new(false)));
    let anew = Running::start(config, journal, &world.vault, provider, stop);
    anew.wait_for(world.last());
    let status = Arc::clone(&anew.status);
    anew.end()?;
    assert_eq!(carrier.letters().len() as u64, texts, "a text went out again");
    assert_eq!((status.sent(), status.ambiguous(), status.failed()), (texts, 0, 0));
    Ok((status.count(DeliveryState::FoundSent), status.void()))
}

#[test]
fn every_text_goes_out_once_whatever_a_large_kafka_does() {
    let seeds = seeds(SEEDS);
    let (mut lived, mut struck) = (Lived::default(), Struck::default());
    for (one, faults) in lives(&seeds, AT_A_TIME, live) {
        lived += one;
        struck += faults;
    }
    println!("{lived}\n{struck}");
    if seeds.len() > 1 {
        // A test through which nothing went wrong proves nothing.
        assert_eq!(struck.missing(&Fault::ALL), []);
        let Lived { texts, found, void, takeovers, restarts } = lived;
        let counts = [texts, found, void, takeovers, restarts];
        assert!(counts.iter().all(|count| *count > 0), "{lived}");
    }
}
