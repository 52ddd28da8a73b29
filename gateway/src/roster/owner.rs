//! Whose secrets fill the journal.
//!
//! Every person's key, and every hash by which somebody is found, comes from a secret that is never
//! exchanged. With another one everybody would become somebody else: unknown at first, and after the next
//! import a second person with bookings of their own. So the first record of the roster stream names the
//! secret, by a fingerprint, and a gateway with another one does not start.
//!
//! A stream that begins with anything else was begun by tools that fill a journal directly; it is taken as
//! it is.

use std::time::{Duration, Instant};

use journal::{Journal, JournalError, Position, Stream, Visibility};
use vault::Vault;

use super::record::{Record, decode};

/// Longest wait for the first record of a stream that has one.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of these waits it is made.
const POLL: Duration = Duration::from_millis(100);

/// Why these secrets are not taken.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The journal was filled under others.
    #[error(
        "secrets_file: this journal was filled under another identity secret; with this one everybody would become somebody else. Start with the installation's own secrets file, or with another journal"
    )]
    OtherSecrets,
    /// The journal refuses.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Names these secrets in an empty journal, or compares them with the ones named there.
pub(crate) fn claim(journal: &dyn Journal, vault: &Vault) -> Result<(), OwnerError> {
    let fingerprint = vault.identity_fingerprint();
    if journal.durable_end(Stream::Roster)? == Position::START {
        let mut bytes = Vec::new();
        Record::Owner { fingerprint }.encode(&mut bytes);
        journal.append(Stream::Roster, &[&bytes])?;
    }
    // Another gateway may have done so at the same moment: the first record counts for both.
    match named(journal)? {
        Some(owner) if owner != fingerprint => Err(OwnerError::OtherSecrets),
        _ => Ok(()),
    }
}

/// The fingerprint that the stream begins with.
fn named(journal: &dyn Journal) -> Result<Option<[u8; 16]>, JournalError> {
    let mut reader = journal.reader(Stream::Roster, Position::START, Visibility::Durable)?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let Some(group) = reader.poll(POLL)? else { continue };
        let first = group.records.iter().next().map(decode);
        return Ok(match first {
            Some(Ok(Record::Owner { fingerprint })) => Some(fingerprint),
            _ => None,
        });
    }
    Err(JournalError::Unavailable {
        place: "the roster stream".to_owned(),
        cause: "its first record does not come".to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use journal::MemoryJournal;
    use journal::memory::MemoryConfig;
    use vault::Secrets;

    use super::*;

    #[test]
    fn the_first_secrets_stay_and_others_are_refused() {
        let journal = MemoryJournal::new(MemoryConfig::default());
        let (own, other) = (Vault::new(Secrets::sample()), Vault::new(Secrets::generate()));
        claim(&journal, &own).unwrap();
        let end = journal.durable_end(Stream::Roster).unwrap();
        claim(&journal, &own).unwrap();
        assert!(matches!(claim(&journal, &other), Err(OwnerError::OtherSecrets)));
        assert_eq!(journal.durable_end(Stream::Roster).unwrap(), end, "named once");
    }

    #[test]
    fn a_stream_that_was_filled_directly_is_taken_as_it_is() {
        let journal = MemoryJournal::new(MemoryConfig::default());
        let mut bytes = Vec::new();
        Record::Begin { import: 1, base_version: 0 }.encode(&mut bytes);
        journal.append(Stream::Roster, &[&bytes]).unwrap();
        claim(&journal, &Vault::new(Secrets::sample())).unwrap();
        claim(&journal, &Vault::new(Secrets::generate())).unwrap();
    }
}
