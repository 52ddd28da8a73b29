//! Operators' bearer tokens: who, with which roles, until when. Minted offline.
//!
//! `slo_` and base64url of
//!
//! ```text
//! format 1 = 1 · key id 1 · roles 2 · expires (s) 5 · name (UTF-8, 1 to 64) · tag 16
//! ```
//!
//! The tag is HMAC-SHA256 under the operator key of the token ring, another key than the citizens'.
//! An operator's token ends with its expiry or with its key: remove the key from the ring to revoke
//! all that it minted.
//!
//! What this file deliberately does not do: know which call needs which role.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Vault;

/// Bytes of an operator's name.
pub const OPERATOR_NAME_BYTES_MAX: usize = 64;

const PREFIX: &str = "slo_";
const FORMAT: u8 = 1;
const FIXED_BYTES: usize = 9;
const TAG_BYTES: usize = 16;
const TOKEN_BYTES_MAX: usize = FIXED_BYTES + OPERATOR_NAME_BYTES_MAX + TAG_BYTES;
const SECONDS_MAX: u64 = (1 << 40) - 1;

/// What an operator may do. A number never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Everything below.
    Admin = 0,
    /// Sees the live figures.
    Viewer = 1,
    /// Publishes categories and periods.
    Planner = 2,
    /// Imports the roster, memberships, sites and slots, and changes capacities.
    Importer = 3,
    /// Marks attendance and exports a site's list of the day.
    Site = 4,
    /// Reads the confirmations.
    Confirmations = 5,
    /// A kiosk operator's network: sends requests of several people.
    Kiosk = 6,
}

/// A set of roles.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u16);

/// What an operator's token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorClaims {
    /// Who, for the audit log.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
    /// First second (since 1970 UTC) at which the token no longer holds.
    pub expires_at_s: u64,
}

/// Why an operator's token is not made or not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorTokenError {
    /// The name is empty, too long, or holds control characters.
    #[error(
        "an operator's name has 1 to {OPERATOR_NAME_BYTES_MAX} bytes and no control characters"
    )]
    BadName,
    /// No role was given.
    #[error("an operator's token needs at least one role")]
    NoRole,
    /// Not an operator's token at all.
    #[error("not an operator's token")]
    Malformed,
    /// It held once.
    #[error(
        "the operator's token has expired; make a new one with `slotline admin operator-token`"
    )]
    Expired,
    /// Its tag does not match, or its key has been removed.
    #[error("the operator's token was not made with this installation's secrets")]
    Forged,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 7] = [
        Role::Admin,
        Role::Viewer,
        Role::Planner,
        Role::Importer,
        Role::Site,
        Role::Confirmations,
        Role::Kiosk,
    ];

    /// Lower-case name, as written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Viewer => "viewer",
            Role::Planner => "planner",
            Role::Importer => "importer",
            Role::Site => "site",
            Role::Confirmations => "confirmations",
            Role::Kiosk => "kiosk",
        }
    }

    /// The role with this name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Role, UnknownRole> {
        Role::from_name(name).ok_or(UnknownRole)
    }
}

/// No role has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such role; there are admin, viewer, planner, importer, site, confirmations and kiosk")]
pub struct UnknownRole;

impl Roles {
    /// These roles.
    pub fn of(roles: &[Role]) -> Roles {
        Roles(roles.iter().fold(0, |set, role| set | 1 << *role as u8))
    }

    /// True when the set holds the role, or `admin`.
    pub const fn allow(self, role: Role) -> bool {
        self.0 & (1 << role as u8 | 1 << Role::Admin as u8) != 0
    }

    /// True for no role at all.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles named in the set.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.0 & 1 << *role as u8 != 0)
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Role::name)).finish()
    }
}

impl Vault {
    /// Makes an operator's token.
    ///
    /// # Errors
    /// When the name is not usable or no role is given.
    pub fn mint_operator_token(
        &self,
        name: &str,
        roles: &[Role],
        expires_at_s: u64,
    ) -> Result<String, OperatorTokenError> {
        let length_fits = (1..=OPERATOR_NAME_BYTES_MAX).contains(&name.len());
        if !length_fits || name.chars().any(char::is_control) {
            return Err(OperatorTokenError::BadName);
        }
        let roles = Roles::of(roles);
        if roles.is_empty() {
            return Err(OperatorTokenError::NoRole);
        }
        let (key_id, key) = self.tokens.current();
        let mut body = Vec::with_capacity(TOKEN_BYTES_MAX);
        body.extend_from_slice(&[FORMAT, key_id]);
        body.extend_from_slice(&roles.0.to_be_bytes());
        body.extend_from_slice(&expires_at_s.min(SECONDS_MAX).to_be_bytes()[3..]);
        body.extend_from_slice(name.as_bytes());
        let tag = key.operator.tag::<TAG_BYTES>(&[&body]);
        body.extend_from_slice(&tag);
        Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(body)))
    }

    /// Checks an operator's token and reads it.
    ///
    /// # Errors
    /// Says whether the text is no token, was not made here, or has expired.
    pub fn open_operator_token(
        &self,
        token: &str,
        now_s: u64,
    ) -> Result<OperatorClaims, OperatorTokenError> {
        let encoded = token.strip_prefix(PREFIX).ok_or(OperatorTokenError::Malformed)?;
        let mut body = [0u8; TOKEN_BYTES_MAX + 2];
        let length = URL_SAFE_NO_PAD
            .decode_slice(encoded, &mut body)
            .map_err(|_| OperatorTokenError::Malformed)?;
        if length <= FIXED_BYTES + TAG_BYTES || length > TOKEN_BYTES_MAX || body[0] != FORMAT {
            return Err(OperatorTokenError::Malformed);
        }
        let (signed, tag) = body[..length].split_at(length - TAG_BYTES);
        let key = self.tokens.get(signed[1]).ok_or(OperatorTokenError::Forged)?;
        if !key.operator.verify(signed, tag) {
            return Err(OperatorTokenError::Forged);
        }
        let expires_at_s =
            signed[4..FIXED_BYTES].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if now_s >= expires_at_s {
            return Err(OperatorTokenError::Expired);
        }
        let name = std::str::from_utf8(&signed[FIXED_BYTES..])
            .map_err(|_| OperatorTokenError::Malformed)?
            .to_owned();
        let roles = Roles(u16::from_be_bytes([signed[2], signed[3]]));
        Ok(OperatorClaims { name, roles, expires_at_s })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::Secrets;

    #[test]
    fn an_operators_token_says_what_was_put_in() {
        let vault = Vault::new(Secrets::sample());
        for name in ["a", "臺北市 衛生局", &"x".repeat(OPERATOR_NAME_BYTES_MAX)] {
            let token =
                vault.mint_operator_token(name, &[Role::Planner, Role::Site], 1_000).unwrap();
            let roles = Roles::of(&[Role::Site, Role::Planner]);
            let claims = vault.open_operator_token(&token, 999).unwrap();
            assert_eq!(claims, OperatorClaims { name: name.into(), roles, expires_at_s: 1_000 });
            let late = vault.open_operator_token(&token, 1_000);
            assert_eq!(late, Err(OperatorTokenError::Expired));
        }
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let vault = Vault::new(Secrets::sample());
        let roles = [Role::Importer, Role::Viewer];
        let token = vault.mint_operator_token("health bureau", &roles, 1_800_000_000).unwrap();
        assert_eq!(token, include_str!("../tests/golden/operator_token.txt").trim_end());
    }

    #[test]
    fn roles_allow_themselves_and_admin_allows_all() {
        for holder in Role::ALL {
            for asked in Role::ALL {
                let allowed = Roles::of(&[holder]).allow(asked);
                assert_eq!(allowed, holder == asked || holder == Role::Admin);
            }
            assert_eq!(holder.name().parse(), Ok(holder));
            assert!(UnknownRole.to_string().contains(holder.name()));
        }
        assert_eq!("root".parse::<Role>(), Err(UnknownRole));
        assert!(!Roles::default().allow(Role::Viewer));
    }

    #[test]
    fn unusable_names_and_roles_are_refused() {
        let vault = Vault::new(Secrets::sample());
        for name in ["", &"x".repeat(65), "two\nlines"] {
            let refused = vault.mint_operator_token(name, &[Role::Viewer], 1);
            assert_eq!(refused, Err(OperatorTokenError::BadName), "{name}");
        }
        let refused = vault.mint_operator_token("a", &[], 1);
        assert_eq!(refused, Err(OperatorTokenError::NoRole));
    }

    #[test]
    fn every_changed_character_and_every_other_length_is_refused() {
        let vault = Vault::new(Secrets::sample());
        let token = vault.mint_operator_token("someone", &[Role::Viewer], 1_000).unwrap();
        assert!(vault.open_operator_token(&token, 0).is_ok());
        for place in 0..token.len() {
            for replacement in b'!'..=b'~' {
                let mut changed = token.clone().into_bytes();
                if changed[place] == replacement {
                    continue;
                }
                changed[place] = replacement;
                let changed = String::from_utf8(changed).unwrap();
                assert!(vault.open_operator_token(&changed, 0).is_err(), "{place}: {changed}");
            }
            assert!(vault.open_operator_token(&token[..place], 0).is_err());
        }
        assert!(vault.open_operator_token(&format!("{token}AAAA"), 0).is_err());
        let long = format!("slo_{}", "A".repeat(10_000));
        assert_eq!(vault.open_operator_token(&long, 0), Err(OperatorTokenError::Malformed));
    }

    #[test]
    fn a_citizens_token_is_no_operators_token_and_rotation_ends_the_old_ones() {
        let before = Secrets::generate();
        let after = before.clone().rotate_token().unwrap();
        let mut later = after.clone();
        later.token.keys.remove(&1);
        let token = Vault::new(before).mint_operator_token("someone", &[Role::Admin], 9).unwrap();
        assert!(Vault::new(after).open_operator_token(&token, 0).is_ok());
        let ended = Vault::new(later).open_operator_token(&token, 0);
        assert_eq!(ended, Err(OperatorTokenError::Forged));
        let vault = Vault::new(Secrets::sample());
        let sealed_id = vault.seal_id(&[0; 16], &crate::IdNumber::new("A123456789").unwrap());
        let citizen = vault.mint_token(&crate::TokenClaims {
            person: [0; 16],
            number: None,
            seen_sequence: 0,
            expires_at_s: 9,
            sealed_id,
        });
        assert!(vault.open_operator_token(&citizen, 0).is_err());
        let disguised = citizen.replacen("slt_", "slo_", 1);
        assert_eq!(vault.open_operator_token(&disguised, 0), Err(OperatorTokenError::Forged));
    }
}
