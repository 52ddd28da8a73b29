//! The outcomes view: the one reader of `events` in this gateway.
//!
//! A thread folds every group into [`domain::view::View`] under one hold of the write lock, gives the
//! sealed contact data to the disk book, and then tells each core at most once what came of its
//! requests (`thread`, `answer`). The journal is the truth, and the view is only memory; so that a start
//! need not read everything again, the view is written to disk now and then (`checkpoint`, `files`), and
//! a start begins with the newest of these that can be trusted (`start`), behind which it finds its
//! place in the events again (`events`, `note`).
//!
//! What this module does not do: decide anything, or skip what it cannot read. An event of a newer
//! format, or damage, stops the thread; reads that need fresh news answer 503 from then on, and
//! `/readyz` says why.

mod answer;
mod checkpoint;
mod events;
mod files;
mod note;
mod start;
mod thread;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use domain::view::{PlacesLeft, View};
use domain::{Command, Millis, PersonNumber, Sequence};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use vault::contacts::ContactBook;

use crate::context::{Context, Readiness};
use crate::origin::{NOWHERE, Place};

use checkpoint::Writer;
use files::Files;
use thread::ViewThread;

pub(crate) use checkpoint::CheckpointFigures;

/// What the events say, and how far they were read.
pub(crate) struct ViewHandle {
    view: RwLock<View>,
    /// Live counters, readable without the lock.
    places: Arc<PlacesLeft>,
    /// Sealed contact data by person number.
    contacts: RwLock<ContactBook>,
    /// The last command absorbed.
    sequence: AtomicU64,
    /// Its time.
    at: AtomicI64,
    /// Groups taken in since the start.
    groups: AtomicU64,
    /// Groups dropped because they did not continue what was read: a deposed engine's.
    dropped: AtomicU64,
    /// The last command of the checkpoint that this start began with; 0 without one.
    loaded: AtomicU64,
    /// What is told about checkpoints.
    pub(crate) checkpoints: CheckpointFigures,
    /// True while a checkpoint is read.
    is_loading: AtomicBool,
    /// How far loading or catching up has come, and how far it goes.
    progress: (AtomicU64, AtomicU64),
    /// Why the thread stopped, if it did.
    halted: Mutex<Option<String>>,
    /// What the thread waits for, if anything: a disk that fails for a while.
    trouble: Mutex<Option<String>>,
    /// True once the marker was seen: the view knows all that was admitted before this start.
    marked: AtomicBool,
    /// True once what the view knew then is announced, too.
    caught_up: AtomicBool,
}

impl ViewHandle {
    /// An empty view over a disk book.
    pub(crate) fn new(contacts: ContactBook) -> ViewHandle {
        let view = View::new();
        ViewHandle {
            places: Arc::clone(view.places()),
            view: RwLock::new(view),
            contacts: RwLock::new(contacts),
            sequence: AtomicU64::new(0),
            at: AtomicI64::new(0),
            groups: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            loaded: AtomicU64::new(0),
            checkpoints: CheckpointFigures::default(),
            is_loading: AtomicBool::new(false),
            progress: (AtomicU64::new(0), AtomicU64::new(0)),
            halted: Mutex::new(None),
            trouble: Mutex::new(None),
            marked: AtomicBool::new(false),
            caught_up: AtomicBool::new(false),
        }
    }

    /// The view. Hold it briefly: the reader of events waits meanwhile.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read()
    }

    /// Places left by slot, without a lock.
    pub(crate) fn places(&self) -> &PlacesLeft {
        &self.places
    }

    /// A person's sealed contact data.
    ///
    /// # Errors
    /// When the disk book cannot be read.
    pub(crate) fn contact(&self, person: PersonNumber) -> Result<Option<Vec<u8>>, String> {
        let book = self.contacts.read();
        book.get(person.0).map_err(|error| error.to_string())
    }

    /// Many people's sealed contact data, in the order asked.
    ///
    /// # Errors
    /// When the disk book cannot be read.
    pub(crate) fn contacts(&self, people: &[PersonNumber]) -> Result<Vec<Option<Vec<u8>>>, String> {
        let numbers: Vec<u32> = people.iter().map(|person| person.0).collect();
        let book = self.contacts.read();
        book.get_many(&numbers).map_err(|error| error.to_string())
    }

    /// The last command absorbed.
    pub(crate) fn sequence(&self) -> Sequence {
        Sequence(self.sequence.load(Ordering::Acquire))
    }

    /// The time of the last command absorbed.
    pub(crate) fn at(&self) -> Millis {
        Millis(self.at.load(Ordering::Acquire))
    }

    /// Groups taken in since the start.
    pub(crate) fn groups(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// The last command of the checkpoint that this start began with; 0 without one.
    pub(crate) fn loaded(&self) -> u64 {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Groups dropped because they did not continue what was read.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// True once the view knew all that was admitted before this start, and it is announced; before,
    /// the gateway might say "nothing" of what there is.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    /// True once the view knew all that was admitted before this start.
    pub(crate) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Acquire)
    }

    /// For the publishing thread: what was known at the mark is announced.
    pub(crate) fn announced(&self) {
        if !self.caught_up.swap(true, Ordering::AcqRel) {
            tracing::info!(sequence = self.sequence().0, "the outcomes view has caught up");
        }
    }

    /// For `/readyz`.
    pub(crate) fn readiness(&self) -> Readiness {
        if let Some(why) = &*self.halted.lock() {
            return Readiness::because(why.clone());
        }
        if self.contacts.read().is_damaged() {
            return Readiness::because("the contact book is damaged; a new start fills another");
        }
        if let Some(why) = &*self.trouble.lock() {
            return Readiness::because(why.clone());
        }
        if !self.is_caught_up() {
            let mut readiness = Readiness::because(match self.is_loading.load(Ordering::Acquire) {
                true => "reading the checkpoint of the view",
                false => "reading the events written before this start",
            });
            let (done, all) = &self.progress;
            let all = all.load(Ordering::Relaxed);
            readiness.progress = Some((done.load(Ordering::Relaxed).min(all), all));
            return readiness;
        }
        Readiness::ready()
    }

    /// Puts another view in the place of this one. Both use the same counters of places.
    fn install(&self, view: View) {
        self.at.store(view.now().0.max(0), Ordering::Release);
        self.sequence.store(view.sequence().0, Ordering::Release);
        let before = std::mem::replace(&mut *self.view.write(), view);
        // Freeing it takes its time, and nobody need wait for that.
        drop(before);
    }

    /// How far loading or catching up has come: bytes of the checkpoint, or places in the stream.
    fn set_progress(&self, done: u64, all: u64) {
        self.progress.0.store(done, Ordering::Relaxed);
        self.progress.1.store(all, Ordering::Relaxed);
    }

    /// The view waits for a disk, or no longer does.
    fn wait_for(&self, what: Option<String>) {
        let mut trouble = self.trouble.lock();
        match (&*trouble, &what) {
            (None, Some(why)) => tracing::error!(reason = %why, "the contacts of the view wait"),
            (Some(_), None) => tracing::info!("the contacts of the view could be written"),
            _ => {}
        }
        *trouble = what;
    }

    /// The view goes no further.
    pub(crate) fn halt(&self, why: String) {
        tracing::error!(reason = %why, "the outcomes view stopped");
        *self.halted.lock() = Some(why);
    }
}

impl std::fmt::Debug for ViewHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewHandle").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// The command by which a gateway learns that its view has reached the end of `commands` as it was at
/// the start: a heartbeat of no epoch, which changes nothing but the time.
pub(crate) fn marker(context: &Context) -> domain::Envelope {
    let place = Place { instance: context.instance, core: context.operator_core(), index: NOWHERE };
    domain::Envelope { origin: place.pack(), command: Command::Pulse { epoch: 0 } }
}

/// Reads events until told to stop. Runs on a thread of its own.
pub(crate) fn run(context: &Context, stop: &AtomicBool) {
    let folder = context.config.data_dir.join("view");
    let files = Files::open(&folder).inspect_err(|error| {
        tracing::error!(folder = %folder.display(), %error, "the view has no folder: it is made again of all events, and no checkpoints are written");
    });
    let files = files.as_ref().ok();
    let busy = AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let writer = match files {
            Some(files) => Writer::start(scope, context, files, &busy, stop),
            None => Writer::none(&busy),
        };
        ViewThread::new(context, files, writer, stop)?.run(stop)
    });
    if let Err(why) = read {
        context.view.halt(why);
    }
}
