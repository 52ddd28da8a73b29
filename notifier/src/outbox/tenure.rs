//! Which notifier may write an outbox that several share: the one of the highest epoch.
//!
//! A notifier that was paused may wake in the middle of a batch, after another has taken over and looked
//! up what was sent; it finds out from the `deliveries` only afterwards. So the outbox itself keeps the
//! highest epoch, in the file `epoch`, and each write holds the folder's lock and has that epoch or
//! writes nothing. What this file deliberately does not do: decide who is active (the epochs of the
//! `deliveries` do).

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::provider::SendError;

/// The file that holds the highest epoch.
const EPOCH_FILE: &str = "epoch";
/// A write takes milliseconds; a lock held for longer is that of a paused process.
const LOCK_WAIT_MS_MAX: u64 = 500;
/// Distance between two attempts.
const LOCK_POLL_MS: u64 = 5;

/// The lock on the folder, until dropped.
pub(super) struct Held<'a>(&'a File);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Closing the file releases it too; there is nothing else to do about an error.
        let _ = self.0.unlock();
    }
}

/// Takes the lock.
///
/// # Errors
/// [`SendError::Unavailable`] while another process holds it.
pub(super) fn hold(lock: &File) -> Result<Held<'_>, SendError> {
    let until = Instant::now() + Duration::from_millis(LOCK_WAIT_MS_MAX);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Held(lock)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(LOCK_POLL_MS));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(unavailable("another process is in the middle of writing"));
            }
            Err(TryLockError::Error(cause)) => return Err(unavailable(format!("lock: {cause}"))),
        }
    }
}

/// The highest epoch that has written here; 0 when none has.
///
/// # Errors
/// [`SendError::Unavailable`] when the file cannot be read.
pub(super) fn epoch(folder: &Path, _: &Held<'_>) -> Result<u64, SendError> {
    let text = match fs::read_to_string(folder.join(EPOCH_FILE)) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(0),
        Err(cause) => return Err(unavailable(format!("the file {EPOCH_FILE}: {cause}"))),
    };
    text.trim().parse().map_err(|_| {
        unavailable(format!("the file {EPOCH_FILE} holds no number; nobody knows who may write"))
    })
}

/// Writes down that this epoch writes from now on.
///
/// # Errors
/// [`SendError::Unavailable`] when a higher one has written, or the file cannot be written.
pub(super) fn begin(
    folder: &Path,
    directory: &File,
    held: &Held<'_>,
    own: u64,
) -> Result<(), SendError> {
    let found = epoch(folder, held)?;
    if found > own {
        return Err(unavailable(format!(
            "epoch {found} has written here, and this notifier has epoch {own}: another took over, or the folder is another installation's"
        )));
    }
    if found == own {
        return Ok(());
    }
    write_epoch(folder, own)
        .and_then(|()| directory.sync_all())
        .map_err(|cause| unavailable(format!("the file {EPOCH_FILE}: {cause}")))
}

fn write_epoch(folder: &Path, epoch: u64) -> std::io::Result<()> {
    let new = folder.join("epoch.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{epoch}")?;
    file.sync_all()?;
    fs::rename(&new, folder.join(EPOCH_FILE))
}

/// The error for "certainly not taken, try again later".
pub(super) fn unavailable(why: impl Into<String>) -> SendError {
    SendError::Unavailable(why.into())
}
