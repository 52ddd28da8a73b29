//! Crashes between every two steps of publishing: whatever is cut where, the topic holds each message, in
//! order, with the bytes it would have had without the crash.
//!
//! A step is a batch before it is written, the place between two of
//! its messages, a batch written and not acknowledged, or a record of deliveries before or after it is
//! written. The simulation runs a history to its end once, counts the steps, and then again and again
//! with a crash at each of them, a second crash on the way back in some, a lost disk in some, the book of
//! an earlier life in some. `SLOTLINE_CRASH_SEED` and `SLOTLINE_CRASH_HISTORIES` choose another run.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use std::path::Path;
use std::sync::Arc;

use domain::EventId;
use journal::memory::MemoryJournal;
use notifier::publishing::{
    ConfirmationTopic, MemoryTopic, Message, TopicError, TopicFault, TopicRecord,
};
use notifier::{Notifier, NotifierConfig};
use world::cut::{CutJournal, Fuse, number_from_environment};
use world::topic::{received, received_by_id};
use world::*;

/// The topic, cut off at the fuse. A batch is several steps: one between any two messages of it.
struct CutTopic {
    inner: MemoryTopic,
    fuse: Arc<Fuse>,
    /// What lies behind the place of the crash arrives in part.
    leaves_holes: bool,
}

fn dead() -> TopicError {
    TopicError("the process is dead".into())
}

impl ConfirmationTopic for CutTopic {
    fn last_ids(&self, count: usize) -> Result<Vec<EventId>, TopicError> {
        // Not a step: a standby looks as often as time allows. A process that died looks no more.
        if self.fuse.is_dead() { Err(dead()) } else { self.inner.last_ids(count) }
    }

    fn publish(&mut self, messages: &[Message]) -> Result<(), TopicError> {
        for (place, message) in messages.iter().enumerate() {
            if self.fuse.burns() {
                let behind = messages.get(place + 1..).unwrap_or_default();
                if self.leaves_holes && !behind.is_empty() {
                    self.inner.publish(&behind[place % behind.len()..])?;
                }
                return Err(dead());
            }
            self.inner.publish(std::slice::from_ref(message))?;
        }
        if self.fuse.burns() { Err(dead()) } else { Ok(()) }
    }
}

struct Scene<'a> {
    world: &'a World,
    journal: MemoryJournal,
    topic: MemoryTopic,
    folder: &'a Path,
    config: NotifierConfig,
    /// Whether the records of deliveries are steps too.
    cuts_journal: bool,
    /// Whether a batch that is cut may arrive without its beginning.
    leaves_holes: bool,
}

impl Scene<'_> {
    /// One life of the process. Gives the steps it took, if it reached the end.
    fn live(&self, steps: i64) -> Option<i64> {
        let fuse = Fuse::new(steps);
        let (inner, leaves_holes) = (self.topic.clone(), self.leaves_holes);
        let topic = CutTopic { inner, fuse: Arc::clone(&fuse), leaves_holes };
        let journal: Arc<dyn journal::Journal> = if self.cuts_journal {
            Arc::new(CutJournal::new(self.journal.clone(), &fuse))
        } else {
            Arc::new(self.journal.clone())
        };
        let vault = Arc::clone(&self.world.vault);
        let notifier =
            Notifier::open(self.config.clone(), journal, vault, Box::new(Nobody)).unwrap();
        let running = Running::of(notifier.publish_to(Box::new(topic)), fuse.stop());
        running.wait_until("the end or a crash", |status| {
            let through = status.publishing().through().min(status.sequence());
            fuse.is_dead() || (through >= self.world.last() && status.waiting() == 0)
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
        let book = self.folder.join("notifier/confirmations");
        let earlier = self.folder.join("earlier");
        if chance.is_multiple_of(4) {
            std::fs::remove_dir_all(self.folder.join("notifier")).unwrap();
        } else if chance.is_multiple_of(3) && earlier.exists() {
            // What had not been flushed is lost: the book stands where it stood before.
            std::fs::remove_dir_all(&book).unwrap();
            std::fs::rename(&earlier, &book).unwrap();
        } else if book.exists() {
            copy_folder(&book, &earlier);
        }
        if chance.is_multiple_of(5) {
            // The answer to the first batch of the next life is lost.
            let fault = [TopicFault::AfterTheWrite, TopicFault::Late][chance as usize / 5 % 2];
            self.topic.fail(fault);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// What a topic holds when nothing goes wrong, and the steps it takes.
fn undisturbed(
    world: &World,
    seed: u64,
    batch: usize,
    cuts_journal: bool,
) -> (Vec<TopicRecord>, i64) {
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(world, seed, batch, cuts_journal, folder.path());
    let steps = scene.live(i64::MAX).unwrap();
    (scene.topic.records(), steps)
}

fn scene<'a>(
    world: &'a World,
    seed: u64,
    batch: usize,
    cuts_journal: bool,
    folder: &'a Path,
) -> Scene<'a> {
    let journal = memory_journal(seed);
    world.pour(&journal);
    let config = NotifierConfig {
        batch_messages_max: 16,
        confirmation_batch_messages_max: batch,
        contact_rows_max: 3,
        ..quick(&folder.join("notifier"))
    };
    let (topic, leaves_holes) = (MemoryTopic::new(), seed.is_multiple_of(3));
    Scene { world, journal, topic, folder, config, cuts_journal, leaves_holes }
}

/// Lives until the end, with a crash at this step of the first life. Gives the number of crashes.
fn crash_at(scene: &Scene<'_>, cut: i64, chance: u32) -> u64 {
    let mut crashes = 0;
    let mut cuts = [cut, i64::from(chance % 7)].into_iter();
    // Half of them crash again on the way back.
    let limit = 1 + usize::from(chance.is_multiple_of(2));
    for cut in cuts.by_ref().take(limit) {
        if scene.live(cut).is_some() {
            return crashes;
        }
        crashes += 1;
        scene.damage(chance / crashes as u32);
    }
    assert!(scene.live(i64::MAX).is_some());
    crashes
}

#[test]
fn a_crash_between_any_two_steps_leaves_no_hole_and_no_second_content() {
    let first_seed = number_from_environment("SLOTLINE_CRASH_SEED", 1);
    let histories = number_from_environment("SLOTLINE_CRASH_HISTORIES", 4);
    println!("crash simulation of publishing: seeds {first_seed}..{}", first_seed + histories);
    let (mut crashes, mut repeats, mut late, mut messages) = (0_u64, 0_u64, 0_u64, 0_u64);
    for seed in first_seed..first_seed + histories {
        let mut world = World::with_consumer(seed);
        world.live(12, 120);
        let batch = 1 + world.below(9) as usize;
        // In every second history the records of deliveries are steps too; in every third a batch that
        // is cut leaves a hole.
        let cuts_journal = seed % 2 == 0;
        let (records, steps) = undisturbed(&world, seed, batch, cuts_journal);
        let told: Vec<String> = world.told().iter().map(|told| told.id.to_string()).collect();
        assert_eq!(ids(&records), told, "seed {seed}");
        assert!(steps > told.len() as i64, "a message is a step at least");
        for cut in 0..steps {
            let chance = cut as u32 * 31 + seed as u32;
            let folder = tempfile::tempdir().unwrap();
            let scene = scene(&world, seed, batch, cuts_journal, folder.path());
            let crashed = crash_at(&scene, cut, chance);
            let place = format!("seed {seed}, batches of {batch}, cut at {cut}, chance {chance}");
            assert!(crashed > 0, "no crash: {place} of {steps}");
            let written = scene.topic.records();
            repeats += (written.len() - records.len()) as u64;
            if scene.leaves_holes {
                late += u64::from(received(written.clone()) != records);
                assert_eq!(received_by_id(written), records, "{place}");
            } else {
                assert_eq!(received(written), records, "{place}");
            }
            crashes += crashed;
        }
        messages += told.len() as u64;
    }
    println!(
        "{crashes} crashes over {messages} messages; {repeats} messages were repeated, {late} times one came late"
    );
    assert!(histories < 4 || (crashes >= 200 && repeats > 0 && late > 0));
}

fn ids(records: &[TopicRecord]) -> Vec<String> {
    let id = |record: &TopicRecord| notifier::confirmations::message_id(&record.value).unwrap();
    records.iter().map(|record| id(record).to_string()).collect()
}
