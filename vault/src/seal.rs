//! Contact data and birth dates at rest: sealed under a key id, bound to their person.
//!
//! ```text
//! contact   key id 1 · nonce 12 (random) · AES-256-GCM-SIV of the packed contact · tag 16
//! packed    language 1 · name · phone · ID number, each a LEB128 length and UTF-8 · zeros up to a multiple of 64
//! birth     key id 1 · AES-256-GCM-SIV of the day (4, big-endian) · tag 16; nonce = first 12 bytes of the row's key
//! ```
//!
//! The associated data is a label and the person's key, so that sealed bytes moved to another person
//! do not open. The zeros hide the length of the name. GCM-SIV stays safe when a nonce repeats, which
//! the random nonces of many gateways may one day do, and which those of birth dates do when a roster
//! is imported twice.
//!
//! What this file deliberately does not do: decide who may open.

use std::fmt;

use aes::Aes256Enc;
use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{AesGcmSiv, KeyInit, Nonce, Tag};
use rand::Rng as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::Vault;
use crate::keys::{KEY_BYTES, Purpose, derive};
use crate::secrets::KeyRing;

/// Bytes of a sealed birth date.
pub const SEALED_BIRTH_BYTES: usize = 1 + DAY_BYTES + TAG_BYTES;
/// Bytes of a name, phone and ID number together; the gateway's own limits are far lower.
pub const CONTACT_BYTES_MAX: usize = 2_048;

const CONTACT_LABEL: &[u8; 18] = b"slotline contact 1";
const BIRTH_LABEL: &[u8; 18] = b"slotline birth   1";
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const DAY_BYTES: usize = 4;
const PADDED_TO_BYTES: usize = 64;
/// Packed contacts up to this length open without a buffer on the heap.
const SHORT_CONTACT_BYTES_MAX: usize = 128;

/// How a person is reached. Cleared when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Contact {
    /// As the person wrote it.
    pub name: String,
    /// Mobile number, `09` and eight digits.
    pub phone: String,
    /// The ID number that the person identified with.
    pub id_number: String,
    /// Number of the language in which to write: 0 zh-TW, 1 en, 2 ja, 3 id.
    pub language: u8,
}

/// Why something cannot be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The gateway's own limits were passed.
    #[error("contact data of {bytes} bytes exceeds the limit of {CONTACT_BYTES_MAX}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
}

/// Why sealed bytes do not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Their key is not in the ring.
    #[error(
        "sealed under key {id}, which the secrets file does not hold; put the key back under seal.keys"
    )]
    UnknownKey {
        /// Which key.
        id: u8,
    },
    /// They were changed, or belong to another person or installation.
    #[error("sealed data does not open: changed, or of another person or installation")]
    Refused,
}

/// The ring of seal keys.
pub(crate) struct SealKeys {
    current: u8,
    /// The current key first.
    ring: Vec<(u8, SealKey)>,
}

/// AES-256-GCM-SIV. It derives a key for every nonce; the `Enc` half of AES spares it the expansion
/// of a decryption key that counter mode never uses.
type Sealer = AesGcmSiv<Aes256Enc>;

struct SealKey {
    contact: Sealer,
    birth: Sealer,
}

impl SealKeys {
    pub(crate) fn derive(ring: &KeyRing) -> SealKeys {
        let cipher = |key: &[u8; KEY_BYTES], purpose| {
            Sealer::new((&*derive::<KEY_BYTES>(key, purpose)).into())
        };
        let derived = ring.keys.iter().map(|(id, key)| {
            let contact = cipher(&key.0, Purpose::Contact);
            let birth = cipher(&key.0, Purpose::Birth);
            (*id, SealKey { contact, birth })
        });
        let mut current_first: Vec<(u8, SealKey)> = derived.collect();
        current_first.sort_by_key(|(id, _)| *id != ring.current);
        SealKeys { current: ring.current, ring: current_first }
    }

    fn get(&self, id: u8) -> Result<&SealKey, OpenError> {
        let found = self.ring.iter().find(|(key_id, _)| *key_id == id);
        found.map(|(_, key)| key).ok_or(OpenError::UnknownKey { id })
    }

    /// Id and key that seal: the first of the ring, by construction never empty.
    fn current(&self) -> (u8, &SealKey) {
        (self.current, &self.ring[0].1)
    }
}

impl Vault {
    /// Seals a person's contact data under the current key.
    ///
    /// # Errors
    /// When it is longer than [`CONTACT_BYTES_MAX`].
    pub fn seal_contact(&self, person: &[u8; 16], contact: &Contact) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0u8; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        self.seal_contact_with(person, contact, nonce)
    }

    fn seal_contact_with(
        &self,
        person: &[u8; 16],
        contact: &Contact,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Vec<u8>, SealError> {
        let bytes = contact.name.len() + contact.phone.len() + contact.id_number.len();
        if bytes > CONTACT_BYTES_MAX {
            return Err(SealError::TooLong { bytes });
        }
        let (key_id, key) = self.seals.current();
        // Sealed in place: the plaintext never stands in a second buffer.
        let mut sealed =
            Vec::with_capacity(1 + NONCE_BYTES + bytes + PADDED_TO_BYTES + TAG_BYTES + 8);
        sealed.push(key_id);
        sealed.extend_from_slice(&nonce);
        contact.pack(&mut sealed);
        let plain = &mut sealed[1 + NONCE_BYTES..];
        let aad = bound(CONTACT_LABEL, person);
        match key.contact.encrypt_inout_detached(&Nonce::from(nonce), &aad, plain.into()) {
            Ok(tag) => sealed.extend_from_slice(&tag),
            Err(_) => unreachable!("AES-GCM-SIV refuses only more than 64 GiB"),
        }
        Ok(sealed)
    }

    /// Opens a person's contact data.
    ///
    /// # Errors
    /// When its key is missing, or the bytes are not what was sealed for this person.
    pub fn open_contact(&self, person: &[u8; 16], sealed: &[u8]) -> Result<Contact, OpenError> {
        let head = 1 + NONCE_BYTES;
        let length = sealed.len().checked_sub(head + TAG_BYTES).ok_or(OpenError::Refused)?;
        let mut plain = Zeroizing::new(sealed[head..head + length].to_vec());
        self.decrypt_contact(person, sealed, &mut plain)?;
        let (name, phone, id_number, language) =
            Contact::fields(&plain).ok_or(OpenError::Refused)?;
        Ok(Contact {
            name: name.to_owned(),
            phone: phone.to_owned(),
            id_number: id_number.to_owned(),
            language,
        })
    }

    /// Opens a person's contact data only to show where and in which language the person is written to:
    /// phone and language, without copies that outlive the call.
    ///
    /// # Errors
    /// When its key is missing, or the bytes are not what was sealed for this person.
    pub fn open_reach<T>(
        &self,
        person: &[u8; 16],
        sealed: &[u8],
        show: impl FnOnce(&str, u8) -> T,
    ) -> Result<T, OpenError> {
        let mut plain = Zeroizing::new([0u8; SHORT_CONTACT_BYTES_MAX]);
        let head = 1 + NONCE_BYTES;
        let length = sealed.len().saturating_sub(head + TAG_BYTES);
        let Some(plain) = plain.get_mut(..length) else {
            let contact = self.open_contact(person, sealed)?;
            return Ok(show(&contact.phone, contact.language));
        };
        plain.copy_from_slice(sealed.get(head..head + length).ok_or(OpenError::Refused)?);
        self.decrypt_contact(person, sealed, plain)?;
        let (_, phone, _, language) = Contact::fields(plain).ok_or(OpenError::Refused)?;
        Ok(show(phone, language))
    }

    /// Decrypts the body of sealed contact data, of which `body` is a copy.
    fn decrypt_contact(
        &self,
        person: &[u8; 16],
        sealed: &[u8],
        body: &mut [u8],
    ) -> Result<(), OpenError> {
        let (key_id, rest) = sealed.split_first().ok_or(OpenError::Refused)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Refused)?;
        let (_, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(OpenError::Refused)?;
        let aad = bound(CONTACT_LABEL, person);
        let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
        let contact = &self.seals.get(*key_id)?.contact;
        contact
            .decrypt_inout_detached(&nonce, &aad, body.into(), &tag)
            .map_err(|_| OpenError::Refused)
    }

    /// Seals a birth date (days since 1970) for the roster row with this key. The same row and day
    /// give the same bytes.
    pub fn seal_birth(&self, row: &[u8; 16], day: i32) -> [u8; SEALED_BIRTH_BYTES] {
        let (key_id, key) = self.seals.current();
        let mut sealed = [0u8; SEALED_BIRTH_BYTES];
        sealed[0] = key_id;
        let (plain, tag) = sealed[1..].split_at_mut(DAY_BYTES);
        plain.copy_from_slice(&day.to_be_bytes());
        let made = key.birth.encrypt_inout_detached(
            &birth_nonce(row),
            &bound(BIRTH_LABEL, row),
            plain.into(),
        );
        match made {
            Ok(made) => tag.copy_from_slice(&made),
            Err(_) => unreachable!("AES-GCM-SIV refuses only more than 64 GiB"),
        }
        sealed
    }

    /// Opens a birth date.
    ///
    /// # Errors
    /// When its key is missing, or the bytes are not what was sealed for this row.
    pub fn open_birth(&self, row: &[u8; 16], sealed: &[u8]) -> Result<i32, OpenError> {
        let sealed: &[u8; SEALED_BIRTH_BYTES] =
            sealed.try_into().map_err(|_| OpenError::Refused)?;
        let key = self.seals.get(sealed[0])?;
        let mut day = [0u8; DAY_BYTES];
        let mut tag = Tag::default();
        day.copy_from_slice(&sealed[1..1 + DAY_BYTES]);
        tag.copy_from_slice(&sealed[1 + DAY_BYTES..]);
        key.birth
            .decrypt_inout_detached(
                &birth_nonce(row),
                &bound(BIRTH_LABEL, row),
                day.as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| OpenError::Refused)?;
        Ok(i32::from_be_bytes(day))
    }
}

impl Contact {
    fn pack(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(self.language);
        for text in [&self.name, &self.phone, &self.id_number] {
            push_length(out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        let padded = (out.len() - start).next_multiple_of(PADDED_TO_BYTES);
        out.resize(start + padded, 0);
    }

    /// Name, phone, ID number and language of a packed contact.
    fn fields(plain: &[u8]) -> Option<(&str, &str, &str, u8)> {
        let (language, mut rest) = plain.split_first()?;
        let mut text = || {
            let length = take_length(&mut rest)?;
            let (text, tail) = rest.split_at_checked(length)?;
            rest = tail;
            std::str::from_utf8(text).ok()
        };
        Some((text()?, text()?, text()?, *language))
    }
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact").field("language", &self.language).finish_non_exhaustive()
    }
}

fn bound(label: &[u8; 18], person: &[u8; 16]) -> [u8; 34] {
    let mut aad = [0u8; 34];
    aad[..18].copy_from_slice(label);
    aad[18..].copy_from_slice(person);
    aad
}

fn birth_nonce(row: &[u8; 16]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce.copy_from_slice(&row[..NONCE_BYTES]);
    nonce
}

fn push_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0usize;
    for shift in [0, 7, 14] {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::Secrets;

    const PERSON: [u8; 16] = *b"sixteen bytes ok";
    const OTHER: [u8; 16] = *b"sixteen bytes no";

    fn named(name: &str) -> Contact {
        Contact {
            name: name.into(),
            phone: "0912345678".into(),
            id_number: "A123456789".into(),
            language: 3,
        }
    }

    fn contact() -> Contact {
        named("王小明")
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_contact_opens_for_its_person_only() {
        let vault = Vault::new(Secrets::sample());
        let mut empty = named("");
        empty.phone.clear();
        empty.id_number.clear();
        for contact in [contact(), named(&"長".repeat(600)), empty] {
            let sealed = vault.seal_contact(&PERSON, &contact).unwrap();
            assert!(vault.open_contact(&PERSON, &sealed).unwrap() == contact);
            let reach = |phone: &str, language| (phone.to_owned(), language);
            let expected = Ok((contact.phone.clone(), contact.language));
            assert_eq!(vault.open_reach(&PERSON, &sealed, reach), expected);
            assert_eq!(vault.open_reach(&OTHER, &sealed, reach), Err(OpenError::Refused));
            assert_eq!(vault.open_contact(&OTHER, &sealed), Err(OpenError::Refused));
            let other = Vault::new(Secrets::generate());
            assert_eq!(other.open_contact(&PERSON, &sealed), Err(OpenError::Refused));
            assert_ne!(sealed, vault.seal_contact(&PERSON, &contact).unwrap());
        }
    }

    #[test]
    fn every_changed_byte_and_every_other_length_is_refused() {
        let vault = Vault::new(Secrets::sample());
        let sealed = vault.seal_contact(&PERSON, &contact()).unwrap();
        let birth = vault.seal_birth(&PERSON, 11_000);
        for bit in 0..8 {
            for place in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[place] ^= 1 << bit;
                assert!(vault.open_contact(&PERSON, &changed).is_err(), "contact {place}.{bit}");
                assert!(vault.open_contact(&PERSON, &sealed[..place]).is_err());
                assert!(vault.open_reach(&PERSON, &changed, |_, _| ()).is_err());
                assert!(vault.open_reach(&PERSON, &sealed[..place], |_, _| ()).is_err());
            }
            for place in 0..birth.len() {
                let mut changed = birth;
                changed[place] ^= 1 << bit;
                assert!(vault.open_birth(&PERSON, &changed).is_err(), "birth {place}.{bit}");
                assert!(vault.open_birth(&PERSON, &birth[..place]).is_err());
            }
        }
    }

    #[test]
    fn the_formats_never_change_by_accident() {
        let vault = Vault::new(Secrets::sample());
        let sealed = vault.seal_contact_with(&PERSON, &contact(), *b"twelve bytes").unwrap();
        assert_eq!(hex(&sealed), include_str!("../tests/golden/contact.txt").trim_end());
        let birth = vault.seal_birth(&PERSON, 11_000);
        assert_eq!(hex(&birth), include_str!("../tests/golden/birth.txt").trim_end());
    }

    #[test]
    fn a_birth_date_opens_for_its_row_only_and_has_one_sealed_form() {
        let vault = Vault::new(Secrets::sample());
        for day in [i32::MIN, -25_567, 0, 11_000, i32::MAX] {
            let sealed = vault.seal_birth(&PERSON, day);
            assert_eq!(sealed, vault.seal_birth(&PERSON, day));
            assert_eq!(vault.open_birth(&PERSON, &sealed), Ok(day));
            assert_eq!(vault.open_birth(&OTHER, &sealed), Err(OpenError::Refused));
        }
    }

    #[test]
    fn old_keys_open_and_a_missing_one_is_named() {
        let before = Secrets::generate();
        let after = before.clone().rotate_seal().unwrap();
        let sealed = Vault::new(before.clone()).seal_contact(&PERSON, &contact()).unwrap();
        let vault = Vault::new(after);
        assert!(vault.open_contact(&PERSON, &sealed).unwrap() == contact());
        let newer = vault.seal_contact(&PERSON, &contact()).unwrap();
        assert_eq!(
            Vault::new(before).open_contact(&PERSON, &newer),
            Err(OpenError::UnknownKey { id: 2 })
        );
    }

    #[test]
    fn the_length_of_a_name_does_not_show() {
        let vault = Vault::new(Secrets::sample());
        let short = vault.seal_contact(&PERSON, &named("李四"));
        let long = vault.seal_contact(&PERSON, &named("歐陽小明明"));
        assert_eq!(short.unwrap().len(), long.unwrap().len());
    }

    #[test]
    fn a_contact_that_is_too_long_is_refused() {
        let vault = Vault::new(Secrets::sample());
        let long = named(&"x".repeat(CONTACT_BYTES_MAX));
        assert_eq!(vault.seal_contact(&PERSON, &long), Err(SealError::TooLong { bytes: 2_068 }));
    }

    #[test]
    fn nothing_of_a_contact_is_printed() {
        let contact = contact();
        let vault = Vault::new(Secrets::sample());
        let sealed = vault.seal_contact(&PERSON, &contact).unwrap();
        let printed = format!("{contact:?} {vault:?} {:?}", vault.open_contact(&PERSON, &sealed));
        for canary in ["王小明", "0912345678", "A123456789"] {
            assert!(!printed.contains(canary), "{printed}");
            let needle = canary.as_bytes();
            assert!(!sealed.windows(needle.len()).any(|window| window == needle));
        }
    }
}
