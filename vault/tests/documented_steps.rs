//! The contact of a confirmation opens by the steps that `docs/confirmations.md` gives to outsiders, with
//! standard parts alone: nothing of `vault::consumer` is called.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem, OpModeR};
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/confirmations.md");
const GOLDEN: &str = include_str!("golden/consumer.txt");

/// The lines of the page that are JSON.
fn json_lines(page: &str) -> Vec<Value> {
    page.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(Value::is_object)
        .collect()
}

/// Steps 1 to 4; an error names the step.
fn open(private_key: &[u8], message: &Value) -> Result<Vec<u8>, u8> {
    // 1. Decode and cut.
    let sealed = URL_SAFE_NO_PAD.decode(message["contact"].as_str().unwrap()).map_err(|_| 1_u8)?;
    let (format, enc) = (sealed[0], &sealed[2..34]);
    let (wrapped, nonce, body) = (&sealed[34..82], &sealed[82..94], &sealed[94..]);
    if format != 1 {
        return Err(1);
    }
    // 2. The content key.
    let private_key = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private_key).unwrap();
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(enc).unwrap();
    let info = b"slotline confirmations 1";
    let mode = OpModeR::Base;
    let mut context = hpke::setup_receiver::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &mode,
        &private_key,
        &enc,
        info,
    )
    .map_err(|_| 2_u8)?;
    let content_key = context.open(wrapped, b"").map_err(|_| 2_u8)?;
    assert_eq!(content_key.len(), 32);
    // 3. The contact.
    let id = message["id"].as_str().unwrap();
    let cipher = Aes256Gcm::new_from_slice(&content_key).unwrap();
    let payload = Payload { msg: body, aad: id.as_bytes() };
    cipher.decrypt(&Nonce::try_from(nonce).unwrap(), payload).map_err(|_| 3)
}

fn private_key() -> Vec<u8> {
    let written = PAGE.split("(base64url `").nth(1).unwrap().split('`').next().unwrap();
    let key = URL_SAFE_NO_PAD.decode(written).unwrap();
    assert!(PAGE.contains(&format!("`{}`", std::str::from_utf8(&key).unwrap())));
    key
}

#[test]
fn the_example_of_the_page_opens_by_the_steps_of_the_page() {
    let lines = json_lines(PAGE);
    let [message, plain] = &lines[..] else { panic!("an example and its contact: {lines:?}") };
    let opened = open(&private_key(), message).unwrap();
    // 4. JSON, and spaces up to a multiple of 32.
    assert_eq!(opened.len() % 32, 0);
    assert_eq!(serde_json::from_slice::<Value>(&opened).unwrap(), *plain);
    let golden = GOLDEN.trim_end().lines().last().unwrap();
    assert_eq!(message["contact"], golden, "the example is the test vector");
}

#[test]
fn a_contact_under_another_id_or_for_another_key_does_not_open() {
    let example = json_lines(PAGE).remove(0);
    let mut moved = example.clone();
    moved["id"] = "0-123457-0".into();
    assert_eq!(open(&private_key(), &moved), Err(3));
    assert_eq!(open(b"another private key, not of ours", &example), Err(2));
}
