//! The roster as a disk view of the `roster` stream, kept by a thread of its own.
//!
//! The view belongs to one journal and can be deleted at any time: it is then read again. It looks
//! things up by keyed hash only. What this module deliberately does not do: write to any stream.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use domain::{Attested, Day, PersonKey};
use journal::{Journal, Position, Stream, Visibility, once_there};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use vault::Vault;

use super::fold::{Fold, PORTION_BYTES_MAX};
use super::store::{State, Store};
use super::{Credentials, LookupHash, Roster, RosterError};

/// How long the thread waits for a group before it looks whether it shall stop.
const POLL_MS: u64 = 100;

/// Imports whose outcome is remembered for those who wait for it.
const LATEST_MAX: usize = 64;

/// The people the authority knows, as far as the stream was read.
pub struct RosterView {
    /// Nothing only while it is opened again.
    pub(super) store: ArcSwapOption<Store>,
    pub(super) directory: PathBuf,
    pub(super) vault: Arc<Vault>,
    pub(super) journal: Arc<dyn Journal>,
    /// Owned by the reading thread while it runs.
    pub(super) state: Mutex<State>,
    /// Committed imports. Moved only after all rows of an import are in the store: a look-up that
    /// reads the version first can give a newer date with an older version (a correction follows),
    /// never an older date with a newer version (nothing would).
    pub(super) version: AtomicU32,
    /// The latest imports taken, with the version that each one made.
    latest: Mutex<VecDeque<(u64, u32)>>,
    /// Imports that were not taken.
    refused: AtomicU64,
    /// The import under way; 0 for none.
    pub(super) under_way: AtomicU64,
    pub(super) caught_up: AtomicBool,
    pub(super) halted: Mutex<Option<String>>,
    /// What keeps the view from going on for now.
    pub(super) trouble: Mutex<Option<String>>,
    pub(super) progress: watch::Sender<Progress>,
}

/// How far the stream was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where the next group will be read.
    pub position: Position,
    /// Committed imports.
    pub version: u32,
    /// False once the thread has stopped.
    pub running: bool,
}

impl RosterView {
    /// Opens the view in this directory. One that belongs to another journal is begun anew.
    ///
    /// # Errors
    /// When directory or journal cannot be read, and when the journal's stream ends before what the view
    /// has read of it: only durable groups are read, so some were lost, and the view may be the only copy.
    pub fn open(
        directory: &Path,
        journal: Arc<dyn Journal>,
        vault: Arc<Vault>,
    ) -> Result<RosterView, RosterError> {
        std::fs::create_dir_all(directory)
            .map_err(|error| RosterError(format!("{}: {error}", directory.display())))?;
        let end =
            journal.durable_end(Stream::Roster).map_err(|error| RosterError(error.to_string()))?;
        let own = journal.id().0;
        let mut store = Store::open(directory)?;
        let mut state = store.state()?;
        let fresh = state == State::default();
        if !fresh && state.journal != own {
            tracing::warn!("the roster view does not belong to this journal and is begun anew");
            drop(store);
            Store::destroy(directory)?;
            store = Store::open(directory)?;
            state = State::default();
        }
        if state.position > end.0 {
            return Err(RosterError(format!(
                "the stream roster ends at position {}, but {} has read it up to position {}: people are lost from the journal. Restore the journal's stream roster from a copy; delete this folder to accept the loss",
                end.0,
                directory.display(),
                state.position
            )));
        }
        state.journal = own;
        let progress =
            Progress { position: Position(state.position), version: state.version, running: true };
        Ok(RosterView {
            store: ArcSwapOption::from_pointee(store),
            directory: directory.to_path_buf(),
            vault,
            journal,
            version: AtomicU32::new(state.version),
            under_way: AtomicU64::new(state.staged.map_or(0, |staged| staged.import)),
            state: Mutex::new(state),
            latest: Mutex::default(),
            refused: AtomicU64::new(0),
            caught_up: AtomicBool::new(progress.position >= end),
            halted: Mutex::new(None),
            trouble: Mutex::new(None),
            progress: watch::Sender::new(progress),
        })
    }

    /// Reads the stream until told to stop. Runs on a thread of its own.
    pub fn run(&self, stop: &AtomicBool) {
        while let Err(why) = self.follow(stop) {
            if stop.load(Ordering::Acquire) {
                break;
            }
            if let Err(why) = self.recover(why, stop) {
                tracing::error!(reason = %why, "the roster view stopped");
                *self.halted.lock() = Some(why.to_string());
                break;
            }
        }
        if let Err(error) = self.store().and_then(|store| store.flush()) {
            tracing::warn!(reason = %error, "the roster view could not be flushed");
        }
        self.progress.send_modify(|progress| progress.running = false);
    }

    fn follow(&self, stop: &AtomicBool) -> Result<(), RosterError> {
        let failed = |error: journal::JournalError| RosterError(error.to_string());
        let stopped = || stop.load(Ordering::Acquire);
        let ask = || self.journal.durable_end(Stream::Roster);
        let Some(goal) = once_there(&stopped, ask).map_err(failed)? else { return Ok(()) };
        let store = self.store()?;
        if self.trouble.lock().is_some() {
            // What could not be written can be now, or this says why not.
            store.flush()?;
            tracing::info!("the roster view goes on");
            *self.trouble.lock() = None;
        }
        let mut state = self.state.lock();
        let from = Position(state.position);
        let open = || self.journal.reader(Stream::Roster, from, Visibility::Durable);
        let Some(mut reader) = once_there(&stopped, open).map_err(failed)? else { return Ok(()) };
        let fold = Fold { store: &store, vault: &self.vault, portion_bytes_max: PORTION_BYTES_MAX };
        while !stop.load(Ordering::Acquire) {
            if store.is_damaged() {
                return Err(RosterError("a row cannot be read".to_owned()));
            }
            if reader.position() >= goal && !self.caught_up.swap(true, Ordering::AcqRel) {
                tracing::info!(version = state.version, "the roster view has caught up");
            }
            let polled = reader.poll(Duration::from_millis(POLL_MS)).map_err(failed)?;
            let Some(group) = polled else { continue };
            let happened = fold.group(&mut state, group.records.iter(), group.next.0)?;
            self.refused.fetch_add(u64::from(happened.refused), Ordering::Relaxed);
            if !happened.committed.is_empty() {
                let mut latest = self.latest.lock();
                latest.extend(&happened.committed);
                while latest.len() > LATEST_MAX {
                    latest.pop_front();
                }
            }
            self.version.store(state.version, Ordering::Release);
            self.under_way.store(state.staged.map_or(0, |staged| staged.import), Ordering::Release);
            let (position, version) = (group.next, state.version);
            self.progress.send_replace(Progress { position, version, running: true });
            if !happened.committed.is_empty() {
                store.flush()?;
            }
        }
        Ok(())
    }

    /// The store.
    pub(super) fn store(&self) -> Result<Arc<Store>, RosterError> {
        let store = self.store.load_full();
        store.ok_or_else(|| RosterError("it is being opened again".to_owned()))
    }

    /// The import that has begun and neither was committed nor voided, here or at another gateway.
    pub fn import_under_way(&self) -> Option<u64> {
        Some(self.under_way.load(Ordering::Acquire)).filter(|import| *import != 0)
    }

    /// Committed imports.
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// The version that this import made; `None` when it was not taken (or long ago).
    pub fn committed(&self, import: u64) -> Option<u32> {
        let latest = self.latest.lock();
        latest.iter().find(|(own, _)| *own == import).map(|(_, version)| *version)
    }

    /// Imports that were not taken, for the metrics.
    pub fn refused_imports(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Tells whenever more of the stream was read.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The person to whom an ID number leads.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn person_of(&self, id_number: &LookupHash) -> Result<Option<PersonKey>, RosterError> {
        self.store()?.person_of(id_number)
    }

    /// People whose birth date changed by a committed import and of whom the engine was not told yet,
    /// with the date that holds.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn corrections(&self) -> impl Iterator<Item = Result<(PersonKey, Day), RosterError>> + '_ {
        let people = self.store().map(|store| store.corrections().collect::<Vec<_>>());
        people.unwrap_or_else(|error| vec![Err(error)]).into_iter().filter_map(|person| {
            let person = match person {
                Ok(person) => person,
                Err(error) => return Some(Err(error)),
            };
            // A person who was since re-keyed has no row of this key any more.
            match self.born_on(&person) {
                Ok(Some(day)) => Some(Ok((person, day))),
                Ok(None) => None,
                Err(error) => Some(Err(error)),
            }
        })
    }

    fn born_on(&self, person: &PersonKey) -> Result<Option<Day>, RosterError> {
        let Some(row) = self.store()?.person(person)? else { return Ok(None) };
        let days = self.vault.open_birth(&person.0, &row.born_on);
        days.map(|days| Some(Day(days))).map_err(|error| RosterError(error.to_string()))
    }
}

impl Roster for RosterView {
    fn credentials(&self, id_number: &LookupHash) -> Result<Option<Credentials>, RosterError> {
        // For an unknown number its neighbour is read instead: the same work, whoever asks.
        let store = self.store()?;
        let Some((found, person)) = store.nearest(id_number)? else { return Ok(None) };
        let row = store.person(&person)?;
        let is_it = bool::from(found.ct_eq(id_number));
        Ok(row.filter(|_| is_it).map(|row| Credentials {
            person,
            card: row.card,
            entry_permit: row.entry_permit,
            passport: row.passport,
        }))
    }

    fn attested(&self, person: &PersonKey) -> Result<Option<Attested>, RosterError> {
        let roster_version = self.version();
        Ok(self.born_on(person)?.map(|born_on| Attested { born_on, roster_version }))
    }

    fn ready(&self) -> Result<(), String> {
        if let Some(why) = &*self.halted.lock() {
            return Err(why.clone());
        }
        if let Some(why) = &*self.trouble.lock() {
            return Err(why.clone());
        }
        if self.store.load().as_ref().is_some_and(|store| store.is_damaged()) {
            return Err("its store is damaged; it is filled again from the journal".to_owned());
        }
        match self.caught_up.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err("reading the roster written before this start".to_owned()),
        }
    }
}

impl std::fmt::Debug for RosterView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RosterView").field("version", &self.version).finish_non_exhaustive()
    }
}
