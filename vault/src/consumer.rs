//! Contact data for the outside system that sends the messages: sealed for its public key.
//!
//! The `contact` of a confirmation is base64url (no padding) of
//!
//! ```text
//! format 1 = 1 · consumer key id 1 · enc 32 · wrapped key 48 · nonce 12 · ciphertext n · tag 16
//! ```
//!
//! To open one:
//!
//! 1. `content_key = HPKE.OpenBase(enc, private_key, info = "slotline confirmations 1", aad = "",
//!    wrapped key)`: RFC 9180, mode base, DHKEM(X25519, HKDF-SHA256) `0x0020`, HKDF-SHA256 `0x0001`,
//!    AES-256-GCM `0x0002`. Wrapped keys repeat (one for 65,536 commands): keep the last ones opened.
//! 2. `AES-256-GCM(content_key, nonce, aad = the confirmation's id, ciphertext ‖ tag)`.
//! 3. The plaintext is JSON, padded with spaces: `{"name":…,"phone":…,"id_number":…}`.
//!
//! [`open`] does exactly this; `tests/golden/consumer.txt` is a test vector. `docs/confirmations.md` says
//! the same for outsiders, and `tests/documented_steps.rs` follows that page.
//!
//! Why so: HPKE is a standard with libraries in every language, and two scalar multiplications a
//! message (about 0.1 ms) would be a hundred times the cost of everything else done for it, so
//! they are made once a block and the rest is plain AES-GCM. A confirmation written twice must have
//! the same bytes, so nothing is random: the content key and the ephemeral key come from the identity
//! key, the consumer's key and the block, the nonce from those and id and plaintext. Another
//! plaintext under the same id therefore gets another nonce.
//!
//! What this file deliberately does not do: keep the consumer's private key.

use std::convert::Infallible;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem as _, OpModeR, OpModeS, Serializable};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::keys::{KEY_BYTES, MacKey, Purpose};
use crate::secrets::ConsumerKey;
use crate::{Contact, Vault};

/// Commands whose confirmations share one wrapped content key.
pub const BLOCK_COMMANDS: u64 = 65_536;

const FORMAT: u8 = 1;
const INFO: &[u8] = b"slotline confirmations 1";
const ENC_BYTES: usize = 32;
const WRAPPED_BYTES: usize = KEY_BYTES + TAG_BYTES;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const HEADER_BYTES: usize = 2 + ENC_BYTES + WRAPPED_BYTES;
const PADDED_TO_BYTES: usize = 32;

/// Why contact data for the consumer is not made or does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerError {
    /// The public key of the secrets file cannot be used.
    #[error("consumer.public_key is not a usable X25519 key")]
    BadKey,
    /// Changed, of another id, or for another key.
    #[error("the contact does not open: changed, under another id, or for another key")]
    Refused,
}

/// The JSON of an opened contact, with spaces at its end. Cleared when dropped.
pub type OpenedContact = Zeroizing<Vec<u8>>;

/// What is needed to seal for the consumer.
pub(crate) struct ConsumerSeal {
    consumer: ConsumerKey,
    keys: MacKey,
    nonces: MacKey,
}

/// The content key of one block, and how the consumer gets it.
pub(crate) struct ContentKey {
    block: u64,
    cipher: Aes256Gcm,
    /// Format, consumer key id, enc, wrapped key.
    header: [u8; HEADER_BYTES],
}

#[derive(Serialize)]
struct Plain<'a> {
    name: &'a str,
    phone: &'a str,
    id_number: &'a str,
}

impl Vault {
    /// True when confirmations carry contact data.
    pub fn has_consumer(&self) -> bool {
        self.consumer.is_some()
    }

    /// Contact data of the confirmation `id`, made by the command `sequence`, for the consumer, ready
    /// for the message; `None` without a consumer. The same arguments give the same text.
    ///
    /// # Errors
    /// When the consumer's key cannot be used.
    pub fn reseal_for_consumer(
        &self,
        contact: &Contact,
        sequence: u64,
        id: &str,
    ) -> Result<Option<String>, ConsumerError> {
        let Some(consumer) = &self.consumer else { return Ok(None) };
        let block = sequence / BLOCK_COMMANDS;
        let mut cache =
            self.consumer_cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = match &mut *cache {
            Some(key) if key.block == block => key,
            other => other.insert(consumer.content_key(block)?),
        };
        Ok(Some(consumer.seal(key, contact, id)))
    }
}

impl ConsumerSeal {
    pub(crate) fn derive(identity: &[u8; KEY_BYTES], consumer: ConsumerKey) -> ConsumerSeal {
        ConsumerSeal {
            consumer,
            keys: MacKey::derive(identity, Purpose::ConsumerKey),
            nonces: MacKey::derive(identity, Purpose::ConsumerNonce),
        }
    }

    /// Refuses a public key with which nothing can be sealed.
    pub(crate) fn check(&self) -> Result<(), ConsumerError> {
        self.content_key(0).map(|_| ())
    }

    fn content_key(&self, block: u64) -> Result<ContentKey, ConsumerError> {
        let ConsumerKey { id, public_key } = self.consumer;
        let block_bytes = block.to_be_bytes();
        let derive = |which: u8| {
            let parts: [&[u8]; 4] = [&[which], &[id], &public_key, &block_bytes];
            Zeroizing::new(self.keys.tag::<KEY_BYTES>(&parts))
        };
        let (content, ephemeral) = (derive(0), derive(1));
        let recipient = <X25519HkdfSha256 as hpke::Kem>::PublicKey::from_bytes(&public_key)
            .map_err(|_| ConsumerError::BadKey)?;
        let (enc, wrapped) =
            hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
                &OpModeS::Base,
                &recipient,
                INFO,
                content.as_slice(),
                b"",
                &mut Given(ephemeral),
            )
            .map_err(|_| ConsumerError::BadKey)?;
        let mut header = [0u8; HEADER_BYTES];
        header[..2].copy_from_slice(&[FORMAT, id]);
        header[2..2 + ENC_BYTES].copy_from_slice(&enc.to_bytes());
        header[2 + ENC_BYTES..].copy_from_slice(&wrapped);
        Ok(ContentKey { block, cipher: Aes256Gcm::new((&*content).into()), header })
    }

    fn seal(&self, key: &ContentKey, contact: &Contact, id: &str) -> String {
        let plain =
            Plain { name: &contact.name, phone: &contact.phone, id_number: &contact.id_number };
        let mut sealed = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + 192 + TAG_BYTES);
        sealed.extend_from_slice(&key.header);
        sealed.extend_from_slice(&[0u8; NONCE_BYTES]);
        let start = sealed.len();
        if serde_json::to_writer(&mut sealed, &plain).is_err() {
            unreachable!("three texts always make JSON, and a vector takes every byte");
        }
        let padded = (sealed.len() - start).next_multiple_of(PADDED_TO_BYTES);
        sealed.resize(start + padded, b' ');

        let id_length = (id.len() as u64).to_be_bytes();
        let nonce = self.nonces.tag::<NONCE_BYTES>(&[
            &self.consumer.public_key,
            &id_length,
            id.as_bytes(),
            &sealed[start..],
        ]);
        sealed[start - NONCE_BYTES..start].copy_from_slice(&nonce);
        let body = (&mut sealed[start..]).into();
        match key.cipher.encrypt_inout_detached(&Nonce::from(nonce), id.as_bytes(), body) {
            Ok(tag) => sealed.extend_from_slice(&tag),
            Err(_) => unreachable!("AES-GCM refuses only more than 64 GiB"),
        }
        URL_SAFE_NO_PAD.encode(sealed)
    }
}

/// Opens the contact of the confirmation `id` with the consumer's private key, and gives its JSON.
///
/// # Errors
/// When it was changed, belongs to another confirmation, or was sealed for another key.
pub fn open(
    private_key: &[u8; 32],
    id: &str,
    contact: &str,
) -> Result<OpenedContact, ConsumerError> {
    let sealed = URL_SAFE_NO_PAD.decode(contact).map_err(|_| ConsumerError::Refused)?;
    let take =
        |from: usize, length: usize| sealed.get(from..from + length).ok_or(ConsumerError::Refused);
    if take(0, 1)? != [FORMAT] {
        return Err(ConsumerError::Refused);
    }
    let content =
        open_content_key(private_key, take(2, ENC_BYTES)?, take(2 + ENC_BYTES, WRAPPED_BYTES)?)?;
    let cipher = Aes256Gcm::new_from_slice(&content).map_err(|_| ConsumerError::Refused)?;
    let nonce = Nonce::try_from(take(HEADER_BYTES, NONCE_BYTES)?);
    let nonce = nonce.map_err(|_| ConsumerError::Refused)?;
    let (body, tag) = sealed[HEADER_BYTES + NONCE_BYTES..]
        .split_last_chunk::<TAG_BYTES>()
        .ok_or(ConsumerError::Refused)?;
    let mut plain = Zeroizing::new(body.to_vec());
    cipher
        .decrypt_inout_detached(
            &nonce,
            id.as_bytes(),
            plain.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| ConsumerError::Refused)?;
    Ok(plain)
}

/// The public key that belongs to a private one, for the secrets file.
///
/// # Errors
/// When the bytes are not a usable private key.
pub fn public_key(private_key: &[u8; 32]) -> Result<[u8; 32], ConsumerError> {
    let private = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(private_key)
        .map_err(|_| ConsumerError::BadKey)?;
    Ok(X25519HkdfSha256::sk_to_pk(&private).to_bytes().into())
}

fn open_content_key(
    private_key: &[u8; 32],
    enc: &[u8],
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, ConsumerError> {
    let private = <X25519HkdfSha256 as hpke::Kem>::PrivateKey::from_bytes(private_key)
        .map_err(|_| ConsumerError::BadKey)?;
    let enc = <X25519HkdfSha256 as hpke::Kem>::EncappedKey::from_bytes(enc)
        .map_err(|_| ConsumerError::Refused)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &enc,
        INFO,
        wrapped,
        b"",
    )
    .map(Zeroizing::new)
    .map_err(|_| ConsumerError::Refused)
}

/// Gives HPKE its ephemeral key material instead of random bytes. It asks once, for 32 bytes
/// (DHKEM's key derivation); asked again it would repeat them, which the golden vector would show.
struct Given(Zeroizing<[u8; KEY_BYTES]>);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0u8; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0u8; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for (byte, given) in out.iter_mut().zip(self.0.iter().cycle()) {
            *byte = *given;
        }
        Ok(())
    }
}

impl TryCryptoRng for Given {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::Secrets;

    const PRIVATE: [u8; 32] = *b"a consumer's private key, sample";

    fn vault() -> Vault {
        Vault::new(Secrets::sample().with_consumer(7, public_key(&PRIVATE).unwrap()))
    }

    fn contact() -> Contact {
        Contact {
            name: "王小明".into(),
            phone: "0912345678".into(),
            id_number: "A123456789".into(),
            language: 0,
        }
    }

    #[test]
    fn the_consumer_opens_what_was_sealed_for_it() {
        let sealed = vault().reseal_for_consumer(&contact(), 5, "0-5-0").unwrap().unwrap();
        let plain = open(&PRIVATE, "0-5-0", &sealed).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&plain).unwrap();
        let expected = serde_json::json!({
            "name": "王小明", "phone": "0912345678", "id_number": "A123456789"
        });
        assert_eq!(json, expected);
        assert_eq!(plain.len() % PADDED_TO_BYTES, 0);
        let other = open(b"another private key, not of ours", "0-5-0", &sealed);
        assert_eq!(other, Err(ConsumerError::Refused));
        assert_eq!(open(&PRIVATE, "0-6-0", &sealed), Err(ConsumerError::Refused));
    }

    #[test]
    fn the_same_confirmation_has_the_same_bytes_and_another_has_others() {
        let vault = vault();
        let seal = |sequence, id: &str, contact: &Contact| {
            vault.reseal_for_consumer(contact, sequence, id).unwrap().unwrap()
        };
        let first = seal(5, "0-5-0", &contact());
        let far = seal(5 + 3 * BLOCK_COMMANDS, "0-196613-0", &contact());
        assert_eq!(first, seal(5, "0-5-0", &contact()), "also after the cache moved on");
        assert_eq!(
            first,
            super::tests::vault().reseal_for_consumer(&contact(), 5, "0-5-0").unwrap().unwrap()
        );
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        assert_ne!(decode(&first)[..HEADER_BYTES], decode(&far)[..HEADER_BYTES]);
        // Another plaintext under the same id never meets the same nonce.
        let mut moved = contact();
        moved.phone = "0987654321".into();
        let nonce = HEADER_BYTES..HEADER_BYTES + NONCE_BYTES;
        assert_ne!(decode(&first)[nonce.clone()], decode(&seal(5, "0-5-0", &moved))[nonce.clone()]);
        assert_ne!(decode(&first)[nonce.clone()], decode(&seal(5, "0-5-1", &contact()))[nonce]);
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let sealed = vault().reseal_for_consumer(&contact(), 123_456, "0-123456-0").unwrap();
        let golden = include_str!("../tests/golden/consumer.txt");
        let last = golden.trim_end().lines().last().unwrap();
        assert_eq!(sealed.unwrap(), last);
    }

    #[test]
    fn every_changed_byte_and_every_other_length_is_refused() {
        let sealed = vault().reseal_for_consumer(&contact(), 5, "0-5-0").unwrap().unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            // The key id only tells the consumer which of its keys to try.
            if place != 1 {
                let opened = open(&PRIVATE, "0-5-0", &URL_SAFE_NO_PAD.encode(&changed));
                assert!(opened.is_err(), "byte {place}");
            }
            let shorter = URL_SAFE_NO_PAD.encode(&bytes[..place]);
            assert!(open(&PRIVATE, "0-5-0", &shorter).is_err(), "length {place}");
        }
    }

    #[test]
    fn without_a_consumer_nothing_is_sealed() {
        let vault = Vault::new(Secrets::sample());
        assert!(!vault.has_consumer());
        assert_eq!(vault.reseal_for_consumer(&contact(), 5, "0-5-0"), Ok(None));
    }

    #[test]
    fn a_public_key_of_low_order_is_refused() {
        let mut low = [0u8; 32];
        low[0] = 1;
        let vault = Vault::new(Secrets::sample().with_consumer(1, low));
        let refused = vault.reseal_for_consumer(&contact(), 5, "0-5-0");
        assert_eq!(refused, Err(ConsumerError::BadKey));
    }
}
