//! Derived keys, ready to use: every purpose has a key of its own, made from a master secret and a label.
//!
//! A [`MacKey`] holds the HMAC state after the key block, so that a tag over a short message costs two
//! compressions instead of four. Nothing outside this crate sees a key, and no key is used twice: the
//! labels below are the only ones.
//!
//! What this file deliberately does not do: read secrets, know formats.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a master secret and of a derived MAC key.
pub(crate) const KEY_BYTES: usize = 32;

/// What a derived key is for. A label never changes its meaning: a new format takes a new label.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// HMAC of nothing: names the identity secret, and tells nothing of it.
    Identity,
    /// HMAC of the normalised earliest known ID: the person key.
    PersonKey,
    /// HMAC of an ID number, for finding a roster row.
    LookupId,
    /// HMAC of an NHI card number.
    LookupCard,
    /// HMAC of an exit-entry permit number.
    LookupPermit,
    /// HMAC of a passport number.
    LookupPassport,
    /// HMAC of a client's idempotency key within a person and a period.
    RetryKey,
    /// HMAC of the canonical plaintext of a request.
    Fingerprint,
    /// AES-SIV of receipts.
    Receipt,
    /// Input of the consumer's content keys.
    ConsumerKey,
    /// Nonces of the contacts sealed for the consumer.
    ConsumerNonce,
    /// HMAC of a citizen's token.
    CitizenToken,
    /// Mask of the ID number inside a citizen's token.
    CitizenTokenId,
    /// HMAC of an operator's token.
    OperatorToken,
    /// AES-GCM-SIV of contact data.
    Contact,
    /// AES-GCM-SIV of birth dates in the roster.
    Birth,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Purpose::Identity => b"slotline/1/identity",
            Purpose::PersonKey => b"slotline/1/person-key",
            Purpose::LookupId => b"slotline/1/lookup/id",
            Purpose::LookupCard => b"slotline/1/lookup/card",
            Purpose::LookupPermit => b"slotline/1/lookup/permit",
            Purpose::LookupPassport => b"slotline/1/lookup/passport",
            Purpose::RetryKey => b"slotline/1/retry-key",
            Purpose::Fingerprint => b"slotline/1/fingerprint",
            Purpose::Receipt => b"slotline/1/receipt",
            Purpose::ConsumerKey => b"slotline/1/consumer/key",
            Purpose::ConsumerNonce => b"slotline/1/consumer/nonce",
            Purpose::CitizenToken => b"slotline/1/token/citizen",
            Purpose::CitizenTokenId => b"slotline/1/token/citizen/id",
            Purpose::OperatorToken => b"slotline/1/token/operator",
            Purpose::Contact => b"slotline/1/seal/contact",
            Purpose::Birth => b"slotline/1/seal/birth",
        }
    }
}

/// HKDF-Expand (RFC 5869) of the master secret under the purpose's label. The extract step is left
/// out: a master secret is 32 bytes from the system's random source, already a uniform key.
pub(crate) fn derive<const LENGTH: usize>(
    master: &[u8; KEY_BYTES],
    purpose: Purpose,
) -> Zeroizing<[u8; LENGTH]> {
    let mut derived = Zeroizing::new([0u8; LENGTH]);
    let expanded = Hkdf::<Sha256>::from_prk(master)
        .map(|kdf| kdf.expand(purpose.label(), derived.as_mut_slice()));
    match expanded {
        Ok(Ok(())) => derived,
        // Both limits are constants of HKDF-SHA256: a key of at least 32 bytes, at most 8,160 out.
        _ => unreachable!("HKDF takes a 32-byte key and gives up to 8,160 bytes"),
    }
}

/// A MAC key with its first block already absorbed. The state is cleared when dropped.
#[derive(Clone)]
pub(crate) struct MacKey(Hmac<Sha256>);

impl MacKey {
    pub(crate) fn derive(master: &[u8; KEY_BYTES], purpose: Purpose) -> MacKey {
        let key = derive::<KEY_BYTES>(master, purpose);
        match Hmac::<Sha256>::new_from_slice(key.as_slice()) {
            Ok(state) => MacKey(state),
            Err(_) => unreachable!("HMAC takes a key of any length"),
        }
    }

    /// The first `LENGTH` bytes (at most 32) of the HMAC of the parts, one after another. The caller
    /// sees to it that the parts can be told apart: all but the last have a fixed length.
    #[inline]
    pub(crate) fn tag<const LENGTH: usize>(&self, parts: &[&[u8]]) -> [u8; LENGTH] {
        const { assert!(LENGTH <= 32) };
        let mut state = self.0.clone();
        for part in parts {
            state.update(part);
        }
        let full = state.finalize().into_bytes();
        let mut out = [0u8; LENGTH];
        out.copy_from_slice(&full[..LENGTH]);
        out
    }

    /// Compares in constant time; `tag` may be a truncation.
    #[inline]
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        let mut state = self.0.clone();
        state.update(message);
        state.verify_truncated_left(tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Purpose; 15] = [
        Purpose::PersonKey,
        Purpose::LookupId,
        Purpose::LookupCard,
        Purpose::LookupPermit,
        Purpose::LookupPassport,
        Purpose::RetryKey,
        Purpose::Fingerprint,
        Purpose::Receipt,
        Purpose::ConsumerKey,
        Purpose::ConsumerNonce,
        Purpose::CitizenToken,
        Purpose::CitizenTokenId,
        Purpose::OperatorToken,
        Purpose::Contact,
        Purpose::Birth,
    ];

    #[test]
    fn every_purpose_has_a_key_of_its_own() {
        let master = [7u8; KEY_BYTES];
        let mut seen = std::collections::HashSet::new();
        for purpose in ALL {
            assert!(seen.insert(*derive::<32>(&master, purpose)), "{purpose:?} shares a key");
        }
        assert_ne!(
            *derive::<32>(&master, Purpose::Contact),
            *derive::<32>(&[8u8; KEY_BYTES], Purpose::Contact)
        );
    }

    #[test]
    fn a_tag_is_hmac_sha256() {
        // RFC 4231, test case 2, through the cached state.
        let state = MacKey(Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap_or_else(|_| panic!()));
        let tag = state.tag::<8>(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag, [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert!(state.verify(b"what do ya want for nothing?", &tag));
        assert!(!state.verify(b"what do ya want for nothing!", &tag));
    }

    #[test]
    fn a_derived_key_is_hkdf_expand() {
        // HKDF-Expand's first block is HMAC(key, info ‖ 0x01): checked against the other primitive.
        let master = [9u8; KEY_BYTES];
        let state = MacKey(Hmac::<Sha256>::new_from_slice(&master).unwrap_or_else(|_| panic!()));
        assert_eq!(
            state.tag::<32>(&[b"slotline/1/retry-key", &[1]]),
            *derive::<32>(&master, Purpose::RetryKey)
        );
    }
}
