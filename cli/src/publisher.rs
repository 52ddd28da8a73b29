//! Joins the notifier's confirmation messages with the gateway's view, which knows what they name.

use std::sync::{Arc, OnceLock};

use domain::{PersonNumber, Sequence};
use gateway::{ConfirmationsError, ConfirmationsSource, Reads};
use journal::Journal;
use notifier::confirmations::{Confirmation, Directory, Reader, Resolved};
use vault::Vault;

/// Gives confirmation messages once the gateway runs.
pub(crate) struct Publisher {
    reader: Arc<Reader>,
    /// Set when the gateway has started: it needs the source before it can lend its view.
    reads: Arc<OnceLock<Reads>>,
}

impl Publisher {
    /// A publisher of this journal's events.
    pub(crate) fn new(journal: Arc<dyn Journal>, vault: Arc<Vault>) -> Publisher {
        let reader = Arc::new(Reader::new(journal, vault));
        Publisher { reader, reads: Arc::new(OnceLock::new()) }
    }

    /// Lends the gateway's view.
    pub(crate) fn attach(&self, reads: Reads) {
        // Set once, at the start; a second time would be the same view.
        let _ = self.reads.set(reads);
    }

    /// What the gateway calls for `GET /v1/confirmations`.
    pub(crate) fn source(&self) -> ConfirmationsSource {
        let (reader, reads) = (Arc::clone(&self.reader), Arc::clone(&self.reads));
        Arc::new(move |after, limit| {
            let unavailable = |why: String| ConfirmationsError::Unavailable(why);
            let reads = reads.get().ok_or_else(|| unavailable("starting".to_owned()))?;
            let mut bytes = Vec::new();
            reader
                .read(&ViewDirectory { reads }, after, limit, &mut bytes)
                .map_err(|error| unavailable(error.to_string()))?;
            let text = String::from_utf8(bytes).map_err(|error| unavailable(error.to_string()))?;
            Ok(text.lines().map(str::to_owned).collect())
        })
    }
}

/// The gateway's view as a directory of what events name.
struct ViewDirectory<'a> {
    reads: &'a Reads,
}

impl Directory for ViewDirectory<'_> {
    fn sequence(&self) -> Sequence {
        self.reads.sequence()
    }

    fn resolve(
        &self,
        confirmations: &[Confirmation],
        with_contact: bool,
    ) -> Result<Vec<Resolved>, String> {
        let mut resolved = self.reads.look(|view| {
            confirmations.iter().map(|one| one.resolve(view)).collect::<Result<Vec<_>, _>>()
        })?;
        if with_contact {
            let people: Vec<PersonNumber> = confirmations.iter().map(|one| one.person).collect();
            let sealed = self.reads.contacts(&people)?;
            for (message, sealed) in resolved.iter_mut().zip(sealed) {
                message.sealed = sealed;
            }
        }
        Ok(resolved)
    }
}
