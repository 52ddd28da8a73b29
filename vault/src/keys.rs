//! Derived keys, ready to use: every purpose has a key of its own, made from a master secret and a label.
//!
//! A [`MacKey`] holds both states of HMAC-SHA256 after the key block, so that a tag over a short message
//! costs two compressions instead of four and nothing besides: every booking needs three of them, and a
//! hasher's bookkeeping costs as much as its rounds. A test holds it to the `hmac` crate. Nothing outside this crate sees a key, and no key is used twice: the
//! labels below are the only ones.
//!
//! What this file deliberately does not do: read secrets, know formats.

use hkdf::Hkdf;
use sha2::Sha256;
use sha2::block_api::compress256;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a master secret and of a derived MAC key.
pub(crate) const KEY_BYTES: usize = 32;

/// What a derived key is for. A label never changes its meaning: a new format takes a new label.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
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

/// A MAC key with its first block already absorbed. The states are cleared when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct MacKey {
    /// The inner hash after the key block.
    inner: State,
    /// The outer one.
    outer: State,
}

/// The state of SHA-256 between two blocks.
type State = [u32; 8];

/// SHA-256's state before the first block (FIPS 180-4, 5.3.3).
const BEGIN: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Bytes that SHA-256 takes at once.
const BLOCK_BYTES: usize = 64;
/// Bytes of the length at the end of the last block.
const LENGTH_BYTES: usize = 8;
/// Bytes of a whole tag.
const DIGEST_BYTES: usize = 32;

impl MacKey {
    /// Derives a key and prepares it.
    pub(crate) fn derive(master: &[u8; KEY_BYTES], purpose: Purpose) -> MacKey {
        MacKey::new(&derive::<KEY_BYTES>(master, purpose)[..])
    }

    /// Prepares a key of at most a block.
    fn new(key: &[u8]) -> MacKey {
        const { assert!(KEY_BYTES <= BLOCK_BYTES) };
        let after = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK_BYTES]);
            for (byte, key) in block.iter_mut().zip(key) {
                *byte ^= key;
            }
            let mut state = BEGIN;
            compress256(&mut state, &[*block]);
            state
        };
        MacKey { inner: after(0x36), outer: after(0x5c) }
    }

    /// The first `LENGTH` bytes (at most 32) of the HMAC of the parts, one after another. The caller
    /// sees to it that the parts can be told apart: all but the last have a fixed length.
    #[inline]
    pub(crate) fn tag<const LENGTH: usize>(&self, parts: &[&[u8]]) -> [u8; LENGTH] {
        const { assert!(LENGTH <= DIGEST_BYTES) };
        let inner = digest(self.inner, parts);
        let full = digest(self.outer, &[&inner]);
        let mut out = [0u8; LENGTH];
        out.copy_from_slice(&full[..LENGTH]);
        out
    }

    /// Compares in constant time; `tag` may be a truncation.
    #[inline]
    pub(crate) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        let full: [u8; DIGEST_BYTES] = self.tag(&[message]);
        let expected = full.get(..tag.len()).unwrap_or_default();
        !tag.is_empty() && bool::from(expected.ct_eq(tag))
    }
}

/// Ends a hash that has taken one block: the parts, one bit, zeros and the length in bits.
#[inline]
fn digest(mut state: State, parts: &[&[u8]]) -> [u8; DIGEST_BYTES] {
    let mut block = [0u8; BLOCK_BYTES];
    let (mut filled, mut total) = (0, BLOCK_BYTES);
    for part in parts {
        total += part.len();
        let mut part = *part;
        while filled + part.len() >= BLOCK_BYTES {
            let (now, later) = part.split_at(BLOCK_BYTES - filled);
            block[filled..].copy_from_slice(now);
            compress256(&mut state, &[block]);
            (part, filled) = (later, 0);
        }
        block[filled..filled + part.len()].copy_from_slice(part);
        filled += part.len();
    }
    block[filled] = 0x80;
    block[filled + 1..].fill(0);
    if filled + 1 + LENGTH_BYTES > BLOCK_BYTES {
        compress256(&mut state, &[block]);
        block = [0; BLOCK_BYTES];
    }
    block[BLOCK_BYTES - LENGTH_BYTES..].copy_from_slice(&(8 * total as u64).to_be_bytes());
    compress256(&mut state, &[block]);
    let mut out = [0u8; DIGEST_BYTES];
    for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    use hmac::{Hmac, KeyInit as _, Mac as _};

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
        // RFC 4231, test case 2.
        let state = MacKey::new(b"Jefe");
        let tag = state.tag::<8>(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag, [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
        assert!(state.verify(b"what do ya want for nothing?", &tag));
        assert!(!state.verify(b"what do ya want for nothing!", &tag));
        assert!(!state.verify(b"what do ya want for nothing?", &[]));
        assert!(!state.verify(b"what do ya want for nothing?", &[0; 33]));
    }

    #[test]
    fn every_length_and_every_cut_gives_the_tag_that_the_library_gives() {
        let key: [u8; KEY_BYTES] = std::array::from_fn(|place| place as u8 ^ 0xa5);
        let state = MacKey::new(&key);
        let message: Vec<u8> = (0..200u32).map(|place| (place * 131 % 251) as u8).collect();
        for length in 0..message.len() {
            let message = &message[..length];
            let mut library = Hmac::<Sha256>::new_from_slice(&key).unwrap_or_else(|_| panic!());
            library.update(message);
            let expected: [u8; DIGEST_BYTES] = library.finalize().into_bytes().into();
            assert_eq!(state.tag::<DIGEST_BYTES>(&[message]), expected, "{length} bytes");
            for cut in [0, 1, 55, 56, 63, 64, 65, 128].into_iter().filter(|cut| *cut <= length) {
                let (first, second) = message.split_at(cut);
                let tag = state.tag::<DIGEST_BYTES>(&[first, second]);
                assert_eq!(tag, expected, "{length} bytes cut at {cut}");
            }
        }
    }

    #[test]
    fn a_derived_key_is_hkdf_expand() {
        // HKDF-Expand's first block is HMAC(key, info ‖ 0x01): checked against the other primitive.
        let master = [9u8; KEY_BYTES];
        assert_eq!(
            MacKey::new(&master).tag::<32>(&[b"slotline/1/retry-key", &[1]]),
            *derive::<32>(&master, Purpose::RetryKey)
        );
    }
}
