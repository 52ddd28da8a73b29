//! The only place that knows a secret.
//!
//! A [`Vault`] turns identity documents into keys that mean nothing to anyone else, makes and opens
//! bearer tokens and receipts, and seals contact data. Everything that leaves it in the direction of
//! the journal, the stores and the logs is a keyed hash or sealed bytes.
//!
//! | what | how | under |
//! |---|---|---|
//! | person key, look-up hashes, retry keys, fingerprints | HMAC-SHA256, cut to 16 or 8 bytes | identity key |
//! | receipt | AES-256-SIV, deterministic | identity key |
//! | citizen's and operator's tokens | HMAC-SHA256, cut to 16 bytes | token key, by id |
//! | contact data, birth dates | AES-256-GCM-SIV, bound to the person | seal key, by id |
//! | contact data for the consumer | HPKE (RFC 9180) and AES-256-GCM | the consumer's public key |
//!
//! Each use has a derived key of its own. The identity key is never rotated, because a person, a
//! receipt and a retry must be recognised for the life of the installation; the others are, and their
//! ids travel with what they made.
//!
//! What this crate deliberately does not do: read a clock (time is an argument), check ID numbers
//! (it takes them normalised), or know the rules of booking. It does not depend on `domain`.

pub mod consumer;
pub mod contacts;
mod keys;
pub mod masked;
mod operator;
mod receipt;
mod seal;
mod secrets;
mod token;

use std::fmt;
use std::sync::Mutex;

use keys::{MacKey, Purpose};

pub use operator::{
    OPERATOR_NAME_BYTES_MAX, OperatorClaims, OperatorTokenError, Role, Roles, UnknownRole,
};
pub use receipt::{RECEIPT_CHARS, Receipt, ReceiptClaims};
pub use seal::{CONTACT_BYTES_MAX, Contact, OpenError, SEALED_BIRTH_BYTES, SealError};
pub use secrets::{Secrets, SecretsError};
pub use token::{ID_NUMBER_CHARS_MAX, IdNumber, SealedId, TOKEN_CHARS, TokenClaims, TokenError};

/// Which document number a look-up hash stands for. The same digits give another hash in each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// National ID, unified ID or ARC number.
    Id,
    /// NHI card number.
    Card,
    /// Exit-entry permit number.
    Permit,
    /// Passport number.
    Passport,
}

/// Derived keys, ready to use. Made once at the start and shared by all threads.
pub struct Vault {
    identity_fingerprint: [u8; 16],
    person: MacKey,
    lookup_id: MacKey,
    lookup_card: MacKey,
    lookup_permit: MacKey,
    lookup_passport: MacKey,
    retry: MacKey,
    fingerprint: MacKey,
    receipts: receipt::ReceiptKey,
    tokens: token::TokenKeys,
    seals: seal::SealKeys,
    consumer: Option<consumer::ConsumerSeal>,
    /// The consumer's content key last used: making one costs two scalar multiplications.
    consumer_cache: Mutex<Option<consumer::ContentKey>>,
    sample: bool,
}

impl Vault {
    /// Derives every key. The secrets are cleared from memory on the way out.
    pub fn new(secrets: Secrets) -> Vault {
        let identity = &secrets.identity.0;
        Vault {
            identity_fingerprint: MacKey::derive(identity, Purpose::Identity).tag(&[]),
            person: MacKey::derive(identity, Purpose::PersonKey),
            lookup_id: MacKey::derive(identity, Purpose::LookupId),
            lookup_card: MacKey::derive(identity, Purpose::LookupCard),
            lookup_permit: MacKey::derive(identity, Purpose::LookupPermit),
            lookup_passport: MacKey::derive(identity, Purpose::LookupPassport),
            retry: MacKey::derive(identity, Purpose::RetryKey),
            fingerprint: MacKey::derive(identity, Purpose::Fingerprint),
            receipts: receipt::ReceiptKey::derive(identity),
            tokens: token::TokenKeys::derive(&secrets.token),
            seals: seal::SealKeys::derive(&secrets.seal),
            consumer: secrets
                .consumer
                .map(|consumer| consumer::ConsumerSeal::derive(identity, consumer)),
            consumer_cache: Mutex::new(None),
            sample: secrets.is_sample(),
        }
    }

    /// True when any key is a sample key: such a vault must not guard real people.
    pub fn is_sample(&self) -> bool {
        self.sample
    }

    /// Names the identity secret, under which everybody has their key: two vaults with one name give
    /// everybody the same.
    pub fn identity_fingerprint(&self) -> [u8; 16] {
        self.identity_fingerprint
    }

    /// The person's key, from their normalised earliest known ID number.
    pub fn person_key(&self, normalised_id: &str) -> [u8; 16] {
        self.person.tag(&[normalised_id.as_bytes()])
    }

    /// The hash under which a roster row is found by one of its document numbers (normalised).
    pub fn lookup_hash(&self, kind: Lookup, text: &str) -> [u8; 16] {
        let key = match kind {
            Lookup::Id => &self.lookup_id,
            Lookup::Card => &self.lookup_card,
            Lookup::Permit => &self.lookup_permit,
            Lookup::Passport => &self.lookup_passport,
        };
        key.tag(&[text.as_bytes()])
    }

    /// The hash of a client's idempotency key, within one person and period (0 for intents).
    pub fn key_hash(&self, person: &[u8; 16], period: u16, key: &[u8]) -> u64 {
        u64::from_be_bytes(self.retry.tag(&[person, &period.to_be_bytes(), key]))
    }

    /// The hash of the canonical plaintext of a request, which tells a retry from another body.
    pub fn fingerprint(&self, canonical: &[u8]) -> u64 {
        u64::from_be_bytes(self.fingerprint.tag(&[canonical]))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("sample", &self.sample).finish_non_exhaustive()
    }
}
