//! What the roster view does when its store fails: it waits where the disk may yet take part, opens the
//! store again where waiting does not help, and fills another where one is damaged.
//!
//! Nobody is asked: the stream holds everything. Meanwhile `/readyz` says why the view is not ready, and
//! look-ups go on as far as they can. What this module deliberately does not do: judge any other failure.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use journal::Position;

use super::RosterError;
use super::store::{Failure, State, Store};
use super::view::{Progress, RosterView};

/// How often a pause looks whether it shall end.
const STEP_MS: u64 = 50;
/// Such steps before the store is tried again.
const STEPS: u32 = 10;
/// Room on the disk without which a store is not closed: it might not open again.
const ROOM_BYTES: usize = 4 << 20;

impl RosterView {
    /// Makes the view able to go on after `why`, or gives it back.
    pub(super) fn recover(&self, why: RosterError, stop: &AtomicBool) -> Result<(), RosterError> {
        let failure = self.store.load().as_ref().map_or(Failure::Failing, |store| store.failure());
        match failure {
            Failure::None => return Err(why),
            Failure::Damaged => {
                let said = format!("{}; the store is filled again from the journal", why.0);
                tracing::error!(reason = %said, "the roster view is damaged");
                *self.trouble.lock() = Some(said);
                self.caught_up.store(false, Ordering::Release);
                if !self.close(stop) {
                    return Ok(());
                }
                rocks::set_aside(&self.directory).map_err(|error| self.error(&error))?;
                std::fs::create_dir_all(&self.directory).map_err(|error| self.error(&error))?;
            }
            Failure::Failing => {
                let said = format!("{}; it is tried again", why.0);
                let before = self.trouble.lock().replace(said);
                if before.is_none() {
                    tracing::error!(reason = %why, "the roster view waits");
                }
                for _ in 0..STEPS {
                    if stop.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    std::thread::sleep(Duration::from_millis(STEP_MS));
                }
                // A store that failed once more, although there is room, may have to be opened again.
                let is_stuck = before.is_some() && has_room(&self.directory).is_ok();
                if is_stuck && !self.close(stop) {
                    return Ok(());
                }
            }
        }
        self.go_on_from_disk()
    }

    /// Takes the store away from those who look things up, and closes it once the last one is through;
    /// false when the gateway ends before.
    fn close(&self, stop: &AtomicBool) -> bool {
        let Some(mut store) = self.store.swap(None) else { return true };
        while !stop.load(Ordering::Acquire) {
            match Arc::try_unwrap(store) {
                Ok(only) => {
                    drop(only);
                    return true;
                }
                Err(shared) => store = shared,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// Opens the store if it is closed, and takes the place to go on from out of it.
    fn go_on_from_disk(&self) -> Result<(), RosterError> {
        if self.store.load().is_none() {
            match Store::open(&self.directory) {
                Ok(store) => self.store.store(Some(Arc::new(store))),
                // Tried again after the next pause.
                Err(error) => {
                    *self.trouble.lock() = Some(error.to_string());
                    return Ok(());
                }
            }
        }
        let store = self.store()?;
        let Ok(mut state) = store.state() else { return Ok(()) };
        if state == State::default() {
            state.journal = self.journal.id().0;
        }
        let (position, version) = (Position(state.position), state.version);
        self.version.store(version, Ordering::Release);
        self.under_way.store(state.staged.map_or(0, |staged| staged.import), Ordering::Release);
        self.progress.send_replace(Progress { position, version, running: true });
        *self.state.lock() = state;
        Ok(())
    }

    fn error(&self, cause: &io::Error) -> RosterError {
        RosterError(format!("{}: {cause}", self.directory.display()))
    }
}

/// Whether a file of some size can be written there.
fn has_room(directory: &Path) -> io::Result<()> {
    let path = directory.with_extension("room");
    let written = File::create(&path).and_then(|mut file| file.write_all(&vec![1; ROOM_BYTES]));
    std::fs::remove_file(&path).and(written)
}
