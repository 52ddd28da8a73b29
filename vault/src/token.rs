//! The citizen's bearer token: who passed the identity check, until when.
//!
//! 69 bytes in base64url behind the prefix `slt_`, 96 characters in all:
//!
//! ```text
//! format 1 = 1 · key id 1 · person key 16 · person number 4 · seen sequence 6 · expires (s) 5
//!   · nonce 8 · masked ID number 12 · tag 16
//! ```
//!
//! All integers are big-endian; number `ffffffff` means not known. The tag is HMAC-SHA256 over the
//! 53 bytes before it: they fit one block, so that a check costs two compressions. The ID number is
//! masked (not readable by the bearer's browser or a log that caught the token) with 12 bytes of a
//! second HMAC over person key and nonce, under the tag.
//!
//! A token is minted by the current key and taken under every key of the ring. What this file
//! deliberately does not do: read a clock, keep sessions, revoke.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Vault;
use crate::keys::{MacKey, Purpose};
use crate::secrets::KeyRing;

/// Characters of a token.
pub const TOKEN_CHARS: usize = PREFIX.len() + BODY_BYTES * 4 / 3;
/// Characters of an ID number that a token can carry; every kind in use has ten.
pub const ID_NUMBER_CHARS_MAX: usize = 12;

/// Lets a scanner of leaked secrets recognise one.
const PREFIX: &str = "slt_";
const FORMAT: u8 = 1;
const SIGNED_BYTES: usize = 53;
const TAG_BYTES: usize = 16;
const BODY_BYTES: usize = SIGNED_BYTES + TAG_BYTES;
const SEQUENCE_MAX: u64 = (1 << 48) - 1;
const SECONDS_MAX: u64 = (1 << 40) - 1;
const NO_NUMBER: u32 = u32::MAX;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// The person's key.
    pub person: [u8; 16],
    /// The person's number, if the gateway that minted the token knew it.
    pub number: Option<u32>,
    /// The last command that the minting gateway had seen.
    pub seen_sequence: u64,
    /// First second (since 1970 UTC) at which the token no longer holds.
    pub expires_at_s: u64,
    /// The ID number that the person typed; [`Vault::open_id`] reads it.
    pub sealed_id: SealedId,
}

/// An ID number masked for the inside of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedId {
    key_id: u8,
    nonce: [u8; 8],
    masked: [u8; ID_NUMBER_CHARS_MAX],
}

/// An ID number in plain. Cleared when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct IdNumber {
    bytes: [u8; ID_NUMBER_CHARS_MAX],
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all.
    #[error("not a token")]
    Malformed,
    /// It held once.
    #[error("the token has expired; pass the identity check again")]
    Expired,
    /// Its tag does not match, or its key has been removed.
    #[error("the token was not made here")]
    Forged,
}

/// The ring of token keys, indexed by id.
pub(crate) struct TokenKeys {
    current: u8,
    /// By id; most are absent.
    ring: Vec<(u8, TokenKey)>,
}

pub(crate) struct TokenKey {
    pub(crate) citizen: MacKey,
    pub(crate) operator: MacKey,
    id_mask: MacKey,
}

impl TokenKeys {
    pub(crate) fn derive(ring: &KeyRing) -> TokenKeys {
        let derived = ring.keys.iter().map(|(id, key)| {
            let key = TokenKey {
                citizen: MacKey::derive(&key.0, Purpose::CitizenToken),
                operator: MacKey::derive(&key.0, Purpose::OperatorToken),
                id_mask: MacKey::derive(&key.0, Purpose::CitizenTokenId),
            };
            (*id, key)
        });
        // The current key first: nearly every token was made by it.
        let mut ring_first: Vec<(u8, TokenKey)> = derived.collect();
        ring_first.sort_by_key(|(id, _)| *id != ring.current);
        TokenKeys { current: ring.current, ring: ring_first }
    }

    #[inline]
    pub(crate) fn get(&self, id: u8) -> Option<&TokenKey> {
        self.ring.iter().find(|(key_id, _)| *key_id == id).map(|(_, key)| key)
    }

    /// Id and key that mint: the first of the ring, by construction never empty.
    pub(crate) fn current(&self) -> (u8, &TokenKey) {
        (self.current, &self.ring[0].1)
    }
}

impl Vault {
    /// Masks an ID number for a token, under the current key.
    pub fn seal_id(&self, person: &[u8; 16], id_number: &IdNumber) -> SealedId {
        let mut nonce = [0u8; 8];
        rand::rng().fill_bytes(&mut nonce);
        self.seal_id_with(person, id_number, nonce)
    }

    fn seal_id_with(&self, person: &[u8; 16], id_number: &IdNumber, nonce: [u8; 8]) -> SealedId {
        let (key_id, key) = self.tokens.current();
        let mut masked = id_number.bytes;
        mask(key, person, &nonce, &mut masked);
        SealedId { key_id, nonce, masked }
    }

    /// Reads the ID number inside a token that [`Vault::open_token`] gave; `None` when its key has
    /// been removed from the ring since.
    pub fn open_id(&self, person: &[u8; 16], sealed: &SealedId) -> Option<IdNumber> {
        let key = self.tokens.get(sealed.key_id)?;
        let mut id_number = IdNumber { bytes: sealed.masked };
        mask(key, person, &sealed.nonce, &mut id_number.bytes);
        Some(id_number)
    }

    /// Makes a token under the current key. An ID number masked under an older key is masked anew.
    pub fn mint_token(&self, claims: &TokenClaims) -> String {
        let (key_id, key) = self.tokens.current();
        let sealed_id = if claims.sealed_id.key_id == key_id {
            claims.sealed_id
        } else {
            let plain = self.open_id(&claims.person, &claims.sealed_id);
            self.seal_id(&claims.person, &plain.unwrap_or(IdNumber { bytes: [0; 12] }))
        };
        let mut body = [0u8; BODY_BYTES];
        body[0] = FORMAT;
        body[1] = key_id;
        body[2..18].copy_from_slice(&claims.person);
        body[18..22].copy_from_slice(&claims.number.unwrap_or(NO_NUMBER).to_be_bytes());
        let seen = claims.seen_sequence.min(SEQUENCE_MAX).to_be_bytes();
        body[22..28].copy_from_slice(&seen[2..]);
        let expires = claims.expires_at_s.min(SECONDS_MAX).to_be_bytes();
        body[28..33].copy_from_slice(&expires[3..]);
        body[33..41].copy_from_slice(&sealed_id.nonce);
        body[41..53].copy_from_slice(&sealed_id.masked);
        let tag = key.citizen.tag::<TAG_BYTES>(&[&body[..SIGNED_BYTES]]);
        body[SIGNED_BYTES..].copy_from_slice(&tag);

        let mut token = String::with_capacity(TOKEN_CHARS);
        token.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(body, &mut token);
        token
    }

    /// Checks a token and reads it. The tag is compared in constant time, and before the expiry, so
    /// that nothing is learnt from a token made elsewhere. Allocates nothing.
    ///
    /// # Errors
    /// Says whether the text is no token, was not made here, or has expired.
    #[inline]
    pub fn open_token(&self, token: &str, now_s: u64) -> Result<TokenClaims, TokenError> {
        let encoded = token
            .as_bytes()
            .strip_prefix(PREFIX.as_bytes())
            .filter(|encoded| encoded.len() == TOKEN_CHARS - PREFIX.len())
            .ok_or(TokenError::Malformed)?;
        let mut body = [0u8; BODY_BYTES];
        match URL_SAFE_NO_PAD.decode_slice_unchecked(encoded, &mut body) {
            Ok(BODY_BYTES) if body[0] == FORMAT => {}
            _ => return Err(TokenError::Malformed),
        }
        let key = self.tokens.get(body[1]).ok_or(TokenError::Forged)?;
        if !key.citizen.verify(&body[..SIGNED_BYTES], &body[SIGNED_BYTES..]) {
            return Err(TokenError::Forged);
        }
        let claims = read(&body);
        if now_s >= claims.expires_at_s {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }
}

impl IdNumber {
    /// Takes a normalised ID number; `None` when it is longer than any in use, empty, or holds a NUL.
    pub fn new(text: &str) -> Option<IdNumber> {
        if text.is_empty() || text.len() > ID_NUMBER_CHARS_MAX || text.contains('\0') {
            return None;
        }
        let mut bytes = [0u8; ID_NUMBER_CHARS_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(IdNumber { bytes })
    }

    /// The number in plain. Not for logs.
    pub fn expose(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0).unwrap_or(self.bytes.len());
        std::str::from_utf8(&self.bytes[..end]).unwrap_or("")
    }
}

impl fmt::Debug for IdNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdNumber(redacted)")
    }
}

#[inline]
fn read(body: &[u8; BODY_BYTES]) -> TokenClaims {
    let mut claims = TokenClaims {
        person: [0; 16],
        number: None,
        seen_sequence: 0,
        expires_at_s: 0,
        sealed_id: SealedId { key_id: body[1], nonce: [0; 8], masked: [0; 12] },
    };
    claims.person.copy_from_slice(&body[2..18]);
    let number = big_endian(&body[18..22]) as u32;
    claims.number = (number != NO_NUMBER).then_some(number);
    claims.seen_sequence = big_endian(&body[22..28]);
    claims.expires_at_s = big_endian(&body[28..33]);
    claims.sealed_id.nonce.copy_from_slice(&body[33..41]);
    claims.sealed_id.masked.copy_from_slice(&body[41..53]);
    claims
}

#[inline]
fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Its own inverse. A mask is used once: the nonce is random, and the person is part of its input.
fn mask(key: &TokenKey, person: &[u8; 16], nonce: &[u8; 8], bytes: &mut [u8; ID_NUMBER_CHARS_MAX]) {
    let stream = key.id_mask.tag::<ID_NUMBER_CHARS_MAX>(&[person, nonce]);
    for (byte, mask) in bytes.iter_mut().zip(stream) {
        *byte ^= mask;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::Secrets;

    const PERSON: [u8; 16] = *b"sixteen bytes ok";

    fn vault() -> Vault {
        Vault::new(Secrets::sample())
    }

    fn claims(vault: &Vault) -> TokenClaims {
        let id_number = IdNumber::new("A123456789").unwrap();
        TokenClaims {
            person: PERSON,
            number: Some(23_500_000),
            seen_sequence: 123_456_789_012,
            expires_at_s: 1_800_000_000,
            sealed_id: vault.seal_id_with(&PERSON, &id_number, *b"nonce..8"),
        }
    }

    #[test]
    fn a_token_says_what_was_put_in() {
        let vault = vault();
        for (number, seen, expires) in [
            (Some(0), 0, 1),
            (None, 1, 1_800_000_000),
            (Some(u32::MAX - 1), SEQUENCE_MAX, SECONDS_MAX),
        ] {
            let claims = TokenClaims {
                number,
                seen_sequence: seen,
                expires_at_s: expires,
                ..claims(&vault)
            };
            let token = vault.mint_token(&claims);
            assert_eq!(token.len(), TOKEN_CHARS);
            assert_eq!(vault.open_token(&token, expires - 1), Ok(claims));
            assert_eq!(vault.open_token(&token, expires), Err(TokenError::Expired));
            let id_number = vault.open_id(&PERSON, &claims.sealed_id).unwrap();
            assert_eq!(id_number.expose(), "A123456789");
        }
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let vault = vault();
        assert_eq!(
            vault.mint_token(&claims(&vault)),
            include_str!("../tests/golden/token.txt").trim_end()
        );
    }

    #[test]
    fn every_changed_character_is_refused() {
        let vault = vault();
        let token = vault.mint_token(&claims(&vault));
        assert!(vault.open_token(&token, 0).is_ok());
        for place in 0..token.len() {
            for replacement in b'!'..=b'~' {
                let mut changed = token.clone().into_bytes();
                if changed[place] == replacement {
                    continue;
                }
                changed[place] = replacement;
                let changed = String::from_utf8(changed).unwrap();
                assert!(vault.open_token(&changed, 0).is_err(), "{place}: {changed}");
            }
        }
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let vault = vault();
        let token = vault.mint_token(&claims(&vault));
        let other_format = {
            let mut body = URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
            body[0] = 2;
            format!("slt_{}", URL_SAFE_NO_PAD.encode(body))
        };
        for text in
            ["", "slt_", &token[1..], &token[..95], &format!("{token}A"), "slt_é", &other_format]
        {
            assert_eq!(vault.open_token(text, 0), Err(TokenError::Malformed), "{text}");
        }
        let long = "A".repeat(100_000);
        assert_eq!(vault.open_token(&long, 0), Err(TokenError::Malformed));
    }

    #[test]
    fn old_keys_verify_and_the_current_one_mints() {
        let before = Secrets::generate();
        let after = before.clone().rotate_token().unwrap();
        let mut later = after.clone();
        later.token.keys.remove(&1);

        let old = Vault::new(before);
        let new = Vault::new(after);
        let claims_old = claims(&old);
        let token_old = old.mint_token(&claims_old);
        let opened = new.open_token(&token_old, 0).unwrap();
        assert_eq!(opened, claims_old);

        // Minted again after the rotation, the ID number moves to the new key.
        let token_new = new.mint_token(&opened);
        let opened = new.open_token(&token_new, 0).unwrap();
        assert_eq!(new.open_id(&PERSON, &opened.sealed_id).unwrap().expose(), "A123456789");
        assert_eq!(old.open_token(&token_new, 0), Err(TokenError::Forged));

        let newest = Vault::new(later);
        assert_eq!(newest.open_token(&token_old, 0), Err(TokenError::Forged));
        assert!(newest.open_token(&token_new, 0).is_ok());
    }

    #[test]
    fn another_installation_takes_no_token_of_ours() {
        let vault = vault();
        let token = vault.mint_token(&claims(&vault));
        let other = Vault::new(Secrets::generate());
        assert_eq!(other.open_token(&token, 0), Err(TokenError::Forged));
    }

    #[test]
    fn the_id_number_is_not_readable_in_the_token_nor_in_debug_output() {
        let vault = vault();
        let id_number = IdNumber::new("A123456789").unwrap();
        let claims =
            TokenClaims { sealed_id: vault.seal_id(&PERSON, &id_number), ..claims(&vault) };
        let token = vault.mint_token(&claims);
        let body = URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
        assert!(!body.windows(4).any(|window| window == b"4567"));
        let printed = format!("{claims:?} {id_number:?}");
        assert!(!printed.contains("A123456789"), "{printed}");
        let again = vault.seal_id(&PERSON, &id_number);
        assert_ne!(again, claims.sealed_id, "two tokens do not share a mask");
    }

    #[test]
    fn id_numbers_that_do_not_fit_are_refused() {
        for text in ["", "A1234567890123", "A12\u{0}", "身分證號碼"] {
            assert!(IdNumber::new(text).is_none(), "{text}");
        }
        assert!(IdNumber::new("AB12345678").is_some());
    }
}
