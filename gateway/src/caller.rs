//! Who calls: the bearer token of a citizen.
//!
//! One MAC per request, no look-up. What this module does not do: the operator's tokens (`operator`).

use domain::{Millis, PersonKey, PersonNumber, PersonRef};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use vault::{SealedId, TokenError};

use crate::context::now;
use crate::core::Core;
use crate::problem::{Problem, Slug};

/// A citizen who proved who they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// The person.
    pub(crate) key: PersonKey,
    /// The person's number, if the gateway that minted the token knew it.
    pub(crate) number: Option<PersonNumber>,
    /// What that gateway had seen; this one must have seen as much before it shows the person's data.
    pub(crate) seen_sequence: u64,
    /// When the token was checked: the time of the request, read once.
    pub(crate) at: Millis,
    /// The ID number typed at the identity check.
    pub(crate) sealed_id: SealedId,
}

impl Caller {
    /// How commands name the person.
    #[inline]
    pub(crate) fn reference(&self) -> PersonRef {
        match self.number {
            Some(number) => PersonRef::Number(number),
            None => PersonRef::Key(self.key),
        }
    }

    /// The person's number as far as token or view know it.
    pub(crate) fn number_in(&self, view: &domain::view::View) -> Option<PersonNumber> {
        self.number.or_else(|| view.person_number(&self.key))
    }
}

/// The text of a bearer token.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl Core {
    /// The citizen whose token this is.
    ///
    /// # Errors
    /// 401.
    #[inline]
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let token = bearer(headers).ok_or(Slug::NotAuthenticated)?;
        let at = now();
        let now_s = u64::try_from(at.0 / 1_000).unwrap_or(0);
        match self.context.vault.open_token(token, now_s) {
            Ok(claims) => Ok(Caller {
                key: PersonKey(claims.person),
                number: claims.number.map(PersonNumber),
                seen_sequence: claims.seen_sequence,
                at,
                sealed_id: claims.sealed_id,
            }),
            Err(TokenError::Expired) => Err(Slug::TokenExpired.into()),
            Err(TokenError::Malformed | TokenError::Forged) => Err(Slug::NotAuthenticated.into()),
        }
    }
}
