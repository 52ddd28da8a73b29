//! Ways of proving who one is, behind one interface.
//!
//! A [`Method`] reads its fields from the body; the [`Claim`] that comes of it is then checked. Another
//! way (a card with a password, an app, a kiosk) is another file here and a line in [`METHODS`]. What
//! this module does not do: tokens, counting failures (`handler::identity`).

mod document;

use domain::PersonKey;
use vault::{IdNumber, Vault};

use crate::import::json::{BodyErrors, Fields};
use crate::roster::Roster;

/// The methods that this build offers, as the contract names them.
pub(crate) const METHODS: [&str; 1] = [document::NAME];

/// A way of proving who one is.
pub(crate) trait Method: Sync {
    /// Reads its fields from the body and notes what is wrong with them.
    fn read(&self, fields: &mut Fields<'_>, errors: &mut BodyErrors) -> Option<Box<dyn Claim>>;
}

/// Somebody says who they are.
pub(crate) trait Claim {
    /// Under what failed attempts are counted; the same for everyone who tries this person.
    fn attempt_key(&self, vault: &Vault) -> [u8; 16];

    /// Checks the claim. The work does not depend on whether the person is known.
    ///
    /// # Errors
    /// When it does not hold, or cannot be checked now.
    fn prove(&self, vault: &Vault, roster: &dyn Roster) -> Result<Proven, Failure>;
}

/// A claim that held.
pub(crate) struct Proven {
    /// Who it is.
    pub(crate) person: PersonKey,
    /// The ID number as typed, normalised.
    pub(crate) id_number: IdNumber,
}

/// A claim that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Unknown person or wrong document: nobody is told which.
    NotConfirmed,
    /// It cannot be checked now.
    Unavailable(String),
}

/// The method of this name.
pub(crate) fn method(name: &str) -> Option<&'static dyn Method> {
    (name == document::NAME).then_some(&document::Document as &dyn Method)
}
