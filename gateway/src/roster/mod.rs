//! The people the authority knows, as this gateway sees them.
//!
//! Handlers ask through [`Roster`]; what stands behind it (a disk view of the `roster` stream) is this
//! module's own affair. What it deliberately does not do: hold anything in plain, or decide who may
//! register (the rules do).

mod fold;
pub(crate) mod owner;
pub mod plan;
pub mod record;
mod recovery;
mod store;
#[cfg(test)]
mod tests;
mod view;

use domain::{Attested, PersonKey};

pub use view::{Progress, RosterView};

/// Keyed hash of a document's number, as `vault` makes it.
pub type LookupHash = [u8; 16];

/// What proves that a person is who they say: keyed hashes only. A hash that a person lacks is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The person, by earliest known ID number.
    pub person: PersonKey,
    /// NHI card.
    pub card: Option<LookupHash>,
    /// Exit-entry permit.
    pub entry_permit: Option<LookupHash>,
    /// Passport.
    pub passport: Option<LookupHash>,
}

/// Answers what handlers ask of the roster. Look-ups are quick enough for a core's thread.
pub trait Roster: Send + Sync {
    /// The person with this ID number, current or former.
    ///
    /// # Errors
    /// When the view cannot be read.
    fn credentials(&self, id_number: &LookupHash) -> Result<Option<Credentials>, RosterError>;

    /// What the roster says of a person now.
    ///
    /// # Errors
    /// When the view cannot be read.
    fn attested(&self, person: &PersonKey) -> Result<Option<Attested>, RosterError>;

    /// Whether the view has caught up with the stream, and if not, why.
    fn ready(&self) -> Result<(), String>;
}

/// The roster view cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("roster view: {0}")]
pub struct RosterError(pub String);
