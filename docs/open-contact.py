#!/usr/bin/env python3
"""Opens the contact of confirmation messages, by the steps of docs/confirmations.md.

    open-contact.py KEY_FILE < messages.ndjson     one line of JSON a message; KEY_FILE holds the private key
    open-contact.py --test docs/confirmations.md   opens the page's example

Needs the package `cryptography` and nothing else; HPKE (RFC 9180) is written out below.
"""

import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

INFO = b"slotline confirmations 1"
KEM_SUITE = b"KEM" + (0x0020).to_bytes(2, "big")
HPKE_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0002))
TEST_KEY = b"a consumer's private key, sample"
TEST_CONTACT = {"name": "王小明", "phone": "0912345678", "id_number": "A123456789"}


def labeled_extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.new(salt, b"HPKE-v1" + suite + label + material, hashlib.sha256).digest()


def labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    # One block of HKDF-Expand is enough: nothing here is longer than 32 bytes.
    text = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.new(key, text + b"\x01", hashlib.sha256).digest()[:length]


def hpke_open(private_key: bytes, enc: bytes, sealed: bytes) -> bytes:
    private = X25519PrivateKey.from_private_bytes(private_key)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", shared)
    shared = labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + public, 32)
    context = (
        b"\x00"
        + labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
        + labeled_extract(HPKE_SUITE, b"", b"info_hash", INFO)
    )
    secret = labeled_extract(HPKE_SUITE, shared, b"secret", b"")
    key = labeled_expand(HPKE_SUITE, secret, b"key", context, 32)
    nonce = labeled_expand(HPKE_SUITE, secret, b"base_nonce", context, 12)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def open_contact(private_key: bytes, message: dict, content_keys: dict):
    if message["contact"] is None:
        return None
    sealed = from_base64url(message["contact"])
    if sealed[0] != 1:
        raise ValueError(f"contact format {sealed[0]}, known is 1")
    enc, wrapped, nonce, body = sealed[2:34], sealed[34:82], sealed[82:94], sealed[94:]
    if (enc, wrapped) not in content_keys:
        content_keys.clear()
        content_keys[enc, wrapped] = hpke_open(private_key, enc, wrapped)
    content_key = content_keys[enc, wrapped]
    return json.loads(AESGCM(content_key).decrypt(nonce, body, message["id"].encode("ascii")))


def test(page: str) -> None:
    with open(page, encoding="utf-8") as lines:
        examples = [json.loads(line) for line in lines if line.startswith('{"id":')]
    assert examples, f"{page} shows no message"
    for message in examples:
        assert open_contact(TEST_KEY, message, {}) == TEST_CONTACT, message
    print(f"{len(examples)} message of {page} opens as it says")


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--test":
        return test(sys.argv[2])
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="ascii") as file:
        private_key = from_base64url(file.read().strip())
    content_keys: dict = {}
    for line in sys.stdin:
        message = json.loads(line)
        contact = open_contact(private_key, message, content_keys)
        print(json.dumps({"id": message["id"], "contact": contact}, ensure_ascii=False))


if __name__ == "__main__":
    main()
