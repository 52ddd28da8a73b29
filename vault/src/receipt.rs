//! The receipt of an accepted request: which person, which period, which key.
//!
//! Deterministic AES-256-SIV (RFC 5297), one header `slotline receipt 1`, plaintext of 26 bytes
//! (person key 16, period 2, key hash 8, big-endian): 42 bytes, 56 characters of base64url. Every
//! gateway makes the same receipt for the same request and opens every other's; nobody else can make
//! or read one. It hangs on the identity key, so a receipt stays good for the life of the
//! installation.
//!
//! The `aes-siv` crate expands both keys on every call (0.7 µs a receipt, most of what a booking may
//! cost); here they are expanded once, and what SIV computes from the header alone is kept. A test
//! holds the two together.
//!
//! What this file deliberately does not do: check the owner. The caller compares the person.

use std::fmt;

use aes::Aes256Enc;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::Vault;
use crate::keys::{KEY_BYTES, Purpose, derive};

/// Characters of a receipt.
pub const RECEIPT_CHARS: usize = (TAG_BYTES + PLAIN_BYTES) * 4 / 3;

const HEADER: &[u8] = b"slotline receipt 1";
const TAG_BYTES: usize = 16;
const PLAIN_BYTES: usize = 26;

/// A receipt as the citizen holds it: text that is safe in a URL.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt([u8; RECEIPT_CHARS]);

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptClaims {
    /// Whose request.
    pub person: [u8; 16],
    /// In which period; 0 for intents.
    pub period: u16,
    /// The hash of the request's idempotency key.
    pub key: u64,
}

/// AES-256-SIV for one header and plaintexts of 26 bytes, with its keys expanded.
pub(crate) struct ReceiptKey {
    /// CMAC, S2V's inner function, under the first half of the key.
    mac: Aes256Enc,
    /// What CMAC adds to a last block that it had to fill up.
    filled: [u8; TAG_BYTES],
    /// Counter mode, under the second half.
    stream: Aes256Enc,
    /// S2V's state once the header is in: `dbl(CMAC(0)) ^ CMAC(header)`.
    after_header: [u8; TAG_BYTES],
}

impl ReceiptKey {
    pub(crate) fn derive(identity: &[u8; KEY_BYTES]) -> ReceiptKey {
        ReceiptKey::new(&derive(identity, Purpose::Receipt))
    }

    fn new(key: &[u8; 2 * KEY_BYTES]) -> ReceiptKey {
        let (mac_key, stream_key) = key.split_at(KEY_BYTES);
        match (Aes256Enc::new_from_slice(mac_key), Aes256Enc::new_from_slice(stream_key)) {
            (Ok(mac), Ok(stream)) => {
                let whole = doubled(encrypted(&mac, [0; TAG_BYTES]));
                let filled = doubled(whole);
                // dbl(CMAC(a block of zeros)) ^ CMAC(header), a whole block and a filled one.
                let mut after_header = doubled(encrypted(&mac, whole));
                xor(&mut after_header, &cmac(&mac, &filled, HEADER));
                ReceiptKey { mac, filled, stream, after_header }
            }
            _ => unreachable!("both halves have the 32 bytes of an AES-256 key"),
        }
    }

    /// S2V of the header and the plaintext, which is longer than a block.
    fn tag(&self, plain: &[u8; PLAIN_BYTES]) -> [u8; TAG_BYTES] {
        let mut ended = *plain;
        xor(&mut ended[PLAIN_BYTES - TAG_BYTES..], &self.after_header);
        cmac(&self.mac, &self.filled, &ended)
    }

    /// Counter mode from the tag, with two of its bits cleared (RFC 5297, 2.5). Its own inverse.
    fn mask(&self, tag: &[u8; TAG_BYTES], text: &mut [u8; PLAIN_BYTES]) {
        let mut counter = *tag;
        counter[8] &= 0x7f;
        counter[12] &= 0x7f;
        let first = u128::from_be_bytes(counter);
        let mut blocks = [first, first.wrapping_add(1)].map(|count| count.to_be_bytes().into());
        self.stream.encrypt_blocks(&mut blocks);
        for (chunk, block) in text.chunks_mut(TAG_BYTES).zip(&blocks) {
            xor(chunk, block);
        }
    }
}

impl Vault {
    /// Makes the receipt of a request.
    pub fn seal_receipt(&self, person: &[u8; 16], period: u16, key: u64) -> Receipt {
        let mut plain = [0u8; PLAIN_BYTES];
        plain[..16].copy_from_slice(person);
        plain[16..18].copy_from_slice(&period.to_be_bytes());
        plain[18..].copy_from_slice(&key.to_be_bytes());
        let tag = self.receipts.tag(&plain);
        self.receipts.mask(&tag, &mut plain);
        let mut bytes = [0u8; TAG_BYTES + PLAIN_BYTES];
        bytes[..TAG_BYTES].copy_from_slice(&tag);
        bytes[TAG_BYTES..].copy_from_slice(&plain);
        let mut text = [0u8; RECEIPT_CHARS];
        match URL_SAFE_NO_PAD.encode_slice(bytes, &mut text) {
            Ok(RECEIPT_CHARS) => Receipt(text),
            _ => unreachable!("42 bytes are 56 characters"),
        }
    }

    /// Reads a receipt; `None` when it was not made here.
    pub fn open_receipt(&self, receipt: &str) -> Option<ReceiptClaims> {
        if receipt.len() != RECEIPT_CHARS {
            return None;
        }
        let mut bytes = [0u8; TAG_BYTES + PLAIN_BYTES];
        let written = URL_SAFE_NO_PAD.decode_slice_unchecked(receipt, &mut bytes).ok()?;
        if written != bytes.len() {
            return None;
        }
        let (tag, text) = bytes.split_first_chunk::<TAG_BYTES>()?;
        let mut plain: [u8; PLAIN_BYTES] = text.try_into().ok()?;
        self.receipts.mask(tag, &mut plain);
        if !bool::from(self.receipts.tag(&plain).ct_eq(tag)) {
            return None;
        }
        Some(ReceiptClaims {
            person: plain[..16].try_into().ok()?,
            period: u16::from_be_bytes(plain[16..18].try_into().ok()?),
            key: u64::from_be_bytes(plain[18..].try_into().ok()?),
        })
    }
}

impl Receipt {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII by construction.
        std::str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// CMAC (RFC 4493) of a message that does not end with a whole block.
fn cmac(mac: &Aes256Enc, filled: &[u8; TAG_BYTES], message: &[u8]) -> [u8; TAG_BYTES] {
    let (whole, rest) = message.as_chunks::<TAG_BYTES>();
    let mut state = [0u8; TAG_BYTES];
    for block in whole {
        xor(&mut state, block);
        state = encrypted(mac, state);
    }
    xor(&mut state, rest);
    state[rest.len()] ^= 0x80;
    xor(&mut state, filled);
    encrypted(mac, state)
}

fn encrypted(cipher: &Aes256Enc, block: [u8; TAG_BYTES]) -> [u8; TAG_BYTES] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

/// Multiplies by x in the field of CMAC, in constant time.
fn doubled(block: [u8; TAG_BYTES]) -> [u8; TAG_BYTES] {
    let value = u128::from_be_bytes(block);
    (value << 1 ^ (value >> 127).wrapping_mul(0x87)).to_be_bytes()
}

fn xor(text: &mut [u8], mask: &[u8]) {
    for (byte, mask) in text.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::Secrets;

    const PERSON: [u8; 16] = *b"sixteen bytes ok";

    #[test]
    fn a_receipt_says_what_was_put_in_and_is_always_the_same() {
        let vault = Vault::new(Secrets::sample());
        for (period, key) in [(0, 0), (2, 0x0123_4567_89ab_cdef), (u16::MAX, u64::MAX)] {
            let receipt = vault.seal_receipt(&PERSON, period, key);
            assert_eq!(receipt, Vault::new(Secrets::sample()).seal_receipt(&PERSON, period, key));
            let claims = vault.open_receipt(receipt.as_str()).unwrap();
            assert_eq!(claims, ReceiptClaims { person: PERSON, period, key });
        }
    }

    #[test]
    fn it_is_aes_siv_as_the_library_has_it() {
        use aes_siv::siv::Aes256Siv;
        let vault = Vault::new(Secrets::sample());
        let key = derive::<64>(&Secrets::sample().identity.0, Purpose::Receipt);
        let mut person = PERSON;
        for round in 0..2_000u64 {
            // Any bytes will do: those of the receipt before.
            let key_hash = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let receipt = vault.seal_receipt(&person, round as u16, key_hash);
            let mut plain = person.to_vec();
            plain.extend_from_slice(&(round as u16).to_be_bytes());
            plain.extend_from_slice(&key_hash.to_be_bytes());
            let sealed = Aes256Siv::new((&*key).into()).encrypt([HEADER], &plain).unwrap();
            assert_eq!(receipt.as_str(), URL_SAFE_NO_PAD.encode(&sealed), "round {round}");
            person.copy_from_slice(&sealed[..16]);
        }
    }

    #[test]
    fn the_format_never_changes_by_accident() {
        let receipt = Vault::new(Secrets::sample()).seal_receipt(&PERSON, 2, 0x0123_4567_89ab_cdef);
        assert_eq!(receipt.as_str(), include_str!("../tests/golden/receipt.txt").trim_end());
    }

    #[test]
    fn it_survives_the_rotation_of_every_other_key() {
        let secrets = Secrets::generate();
        let receipt = Vault::new(secrets.clone()).seal_receipt(&PERSON, 2, 3);
        let rotated = secrets.rotate_token().unwrap().rotate_seal().unwrap();
        assert!(Vault::new(rotated).open_receipt(receipt.as_str()).is_some());
    }

    #[test]
    fn every_changed_character_and_every_other_length_is_refused() {
        let vault = Vault::new(Secrets::sample());
        let receipt = vault.seal_receipt(&PERSON, 2, 3).to_string();
        for place in 0..receipt.len() {
            for replacement in b'!'..=b'~' {
                let mut changed = receipt.clone().into_bytes();
                if changed[place] == replacement {
                    continue;
                }
                changed[place] = replacement;
                assert_eq!(vault.open_receipt(&String::from_utf8(changed).unwrap()), None);
            }
            assert_eq!(vault.open_receipt(&receipt[..place]), None);
        }
        assert_eq!(vault.open_receipt(&format!("{receipt}A")), None);
        assert_eq!(Vault::new(Secrets::generate()).open_receipt(&receipt), None);
    }
}
