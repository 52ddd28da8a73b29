//! Crashes between every two steps: whatever is cut where, each text stands in the outbox once, as it
//! would have without the crash.
//!
//! A step is a record before it is written, a record written and not acknowledged, some texts of a batch
//! taken and the rest not, a batch taken and not answered, or a look-up. The simulation runs a history
//! of bookings to its end once, counts the steps, and then again and again with a crash at each of them,
//! a second crash on the way back in some, a torn line in the outbox in some, a lost disk in some.
//! `SLOTLINE_CRASH_SEED` and `SLOTLINE_CRASH_HISTORIES` choose another run.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::path::Path;
use std::sync::Arc;

use journal::memory::MemoryJournal;
use notifier::{
    Accepted, DeliveryState, FileOutbox, LookUp, NotifierConfig, OutboxOptions, SendError, Sms,
    SmsProvider,
};
use world::cut::{CutJournal, Fuse, number_from_environment};
use world::*;

/// The outbox, cut off at the fuse. A batch is several steps: one between any two texts of it.
struct CutOutbox {
    inner: FileOutbox,
    fuse: Arc<Fuse>,
}

impl SmsProvider for CutOutbox {
    fn name(&self) -> &'static str {
        "cut outbox"
    }

    fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        let lost = || SendError::Unknown("the process is dead".into());
        if self.fuse.burns() {
            return Err(lost());
        }
        let answer = self.inner.send(sms);
        if self.fuse.burns() { Err(lost()) } else { answer }
    }

    fn mark(&self) -> u64 {
        self.inner.mark()
    }

    fn lookup(&self, reference: &str, since: u64) -> Result<LookUp, SendError> {
        if self.fuse.burns() {
            return Err(SendError::Unavailable("the process is dead".into()));
        }
        self.inner.lookup(reference, since)
    }
}

struct Scene<'a> {
    world: &'a World,
    journal: MemoryJournal,
    folder: &'a Path,
    config: NotifierConfig,
}

impl Scene<'_> {
    /// One life of the process. Gives the steps it took, if it reached the end.
    fn live(&self, steps: i64) -> Option<i64> {
        let fuse = Fuse::new(steps);
        let options = OutboxOptions { sync: false, ..OutboxOptions::default() };
        let inner = FileOutbox::open_with(self.folder.join("outbox"), options).unwrap();
        let outbox = Box::new(CutOutbox { inner, fuse: Arc::clone(&fuse) });
        let journal = CutJournal::new(self.journal.clone(), &fuse);
        let running = Running::start(
            self.config.clone(),
            Arc::new(journal),
            &self.world.vault,
            outbox,
            fuse.stop(),
        );
        running.wait_until("the end or a crash", |status| {
            fuse.is_dead() || (status.sequence() >= self.world.last() && status.waiting() == 0)
        });
        let ended = running.end();
        if fuse.is_dead() {
            return None;
        }
        ended.unwrap();
        Some(steps - fuse.left())
    }

    /// What a crash may leave behind besides.
    fn damage(&self, chance: u32) {
        if chance.is_multiple_of(3) {
            let outbox = self.folder.join("outbox");
            let last = std::fs::read_dir(&outbox).unwrap().map(|entry| entry.unwrap().path()).max();
            let mut file = std::fs::OpenOptions::new().append(true).open(last.unwrap()).unwrap();
            let torn = br#"{"reference":"0-99-0","at":"2021-07-12T10:00:00+08:00","to":"09"#;
            let length = 1 + chance as usize % (torn.len() - 1);
            std::io::Write::write_all(&mut file, &torn[..length]).unwrap();
        }
        if chance.is_multiple_of(4) {
            std::fs::remove_dir_all(self.folder.join("notifier")).unwrap();
        }
    }
}

#[test]
fn a_crash_between_any_two_steps_loses_and_doubles_nothing() {
    let first_seed = number_from_environment("SLOTLINE_CRASH_SEED", 1);
    let histories = number_from_environment("SLOTLINE_CRASH_HISTORIES", 8);
    println!("crash simulation: seeds {first_seed}..{}", first_seed + histories);
    let (mut cuts, mut found, mut texts) = (0_u64, 0_u64, 0_u64);
    for seed in first_seed..first_seed + histories {
        let mut world = World::new(seed);
        world.live(12, 160);
        let owed = world.owed("t-");
        let batch = 1 + world.below(9) as usize;
        let scene = |folder: &Path| {
            let journal = memory_journal(seed);
            world.pour(&journal);
            let config = NotifierConfig {
                batch_messages_max: batch,
                reference_prefix: "t-".into(),
                ..quick(&folder.join("notifier"))
            };
            (journal, config)
        };
        let run = |cut: i64, chance: u32| {
            let folder = tempfile::tempdir().unwrap();
            let (journal, config) = scene(folder.path());
            let scene = Scene { world: &world, journal, folder: folder.path(), config };
            let mut steps = scene.live(cut);
            let mut crashes = 0;
            if steps.is_none() && chance.is_multiple_of(2) {
                scene.damage(chance);
                // Again on the way back.
                steps = scene.live(i64::from(chance % 7));
                crashes += 1;
            }
            if steps.is_none() {
                scene.damage(chance / 5);
                crashes += 1;
                steps = scene.live(i64::MAX);
            }
            let lines = read_outbox(&folder.path().join("outbox"));
            assert_eq!(
                lines, owed,
                "seed {seed}, batches of {batch}, cut at {cut}, chance {chance}"
            );
            let (states, _) = read_deliveries(&scene.journal);
            assert_eq!(states.len(), owed.len());
            let found = states.values().filter(|state| **state == DeliveryState::FoundSent).count();
            assert!(
                states
                    .values()
                    .all(|state| matches!(state, DeliveryState::Sent | DeliveryState::FoundSent)),
                "seed {seed}, cut at {cut}: {states:?}"
            );
            (steps.unwrap(), crashes, found as u64)
        };
        let (steps, crashes, _) = run(i64::MAX, 1);
        assert_eq!(crashes, 0);
        assert!(steps > owed.len() as i64, "a text is a step at least");
        for cut in 0..steps {
            let (_, crashed, looked_up) = run(cut, cut as u32 * 31 + seed as u32);
            assert!(crashed > 0, "seed {seed}: no crash at {cut} of {steps}");
            cuts += crashed;
            found += looked_up;
        }
        texts += owed.len() as u64;
    }
    println!("{cuts} crashes over {texts} texts; {found} texts were found sent after a crash");
    assert!(cuts >= 1_000 || histories < 8, "{cuts}");
    assert!(found > 0);
}
