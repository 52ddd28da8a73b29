//! The secrets of an installation, as they stand in its secrets file.
//!
//! One identity key that is never rotated (person keys, receipts and retry fingerprints hang on it),
//! and two rings of keys that are: `token` for bearer tokens, `seal` for contact data. A ring mints
//! with its current key and still takes what its older keys made. A consumer's public key is optional.
//!
//! What this file deliberately does not do: use a key, or decide where sample secrets are welcome
//! (the start of the process refuses them outside development, by [`Secrets::is_sample`]).

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::consumer::ConsumerSeal;
use crate::keys::KEY_BYTES;

/// The only format of the file known to this build.
const FILE_FORMAT: u32 = 1;
/// A larger file is not a secrets file.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Keys a ring may hold; old ones are removed when nothing they made is in use.
const RING_KEYS_MAX: usize = 16;
/// How every sample key begins; a random key does so once in 2^56.
const SAMPLE_PREFIX: &[u8] = b"SAMPLE-";

/// The secrets of one installation.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Never rotated: the same person must keep the same key for the life of the installation.
    pub(crate) identity: SecretKey,
    /// Bearer tokens of citizens and operators.
    pub(crate) token: KeyRing,
    /// Contact data and birth dates at rest.
    pub(crate) seal: KeyRing,
    /// For whom confirmations carry contact data.
    pub(crate) consumer: Option<ConsumerKey>,
}

/// 32 secret bytes. Cleared when dropped; never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct SecretKey(pub(crate) [u8; KEY_BYTES]);

/// Keys by id.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeyRing {
    /// The id that mints.
    pub(crate) current: u8,
    /// All that verify and open.
    pub(crate) keys: BTreeMap<u8, SecretKey>,
}

/// The public key of the system that receives confirmations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ConsumerKey {
    /// Tells the consumer which of its keys opens the message.
    pub(crate) id: u8,
    /// X25519.
    pub(crate) public_key: [u8; 32],
}

/// What is wrong with a secrets file.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// It could not be read.
    #[error("secrets file {path}: {cause}. Make one with `slotline admin secrets`.")]
    Unreadable {
        /// Which file.
        path: String,
        /// The system's words.
        cause: String,
    },
    /// Everybody on the machine may read it.
    #[error(
        "secrets file {path} can be read by every user of this machine; run `chmod 600 {path}`"
    )]
    Exposed {
        /// Which file.
        path: String,
    },
    /// It is not a usable secrets file. The text names the key, never its value.
    #[error("secrets file: {0}")]
    Invalid(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    identity_key: Zeroizing<String>,
    token: FileRing,
    seal: FileRing,
    #[serde(default)]
    consumer: Option<FileConsumer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRing {
    current: u8,
    keys: BTreeMap<String, Zeroizing<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConsumer {
    id: u8,
    public_key: String,
}

impl Secrets {
    /// New secrets from the system's random source.
    ///
    /// # Panics
    /// When the system has no random numbers to give; nothing can be made safely then.
    pub fn generate() -> Secrets {
        Secrets {
            identity: SecretKey::generate(),
            token: KeyRing::of(1, SecretKey::generate()),
            seal: KeyRing::of(1, SecretKey::generate()),
            consumer: None,
        }
    }

    /// The secrets of `slotline dev`: the same on every machine, so worth nothing.
    pub fn sample() -> Secrets {
        Secrets {
            identity: SecretKey(*b"SAMPLE-identity-not-for-people!!"),
            token: KeyRing::of(1, SecretKey(*b"SAMPLE-token-key-not-for-people!")),
            seal: KeyRing::of(1, SecretKey(*b"SAMPLE-seal-key-not-for-people!!")),
            consumer: None,
        }
    }

    /// True when any of the keys is a sample key.
    pub fn is_sample(&self) -> bool {
        self.all_keys().any(|key| key.0.starts_with(SAMPLE_PREFIX))
    }

    /// Reads and checks a secrets file.
    ///
    /// # Errors
    /// When it cannot be read, is open to every user, or is not usable.
    pub fn load(path: impl AsRef<Path>) -> Result<Secrets, SecretsError> {
        let path = path.as_ref();
        let unreadable = |cause: std::io::Error| SecretsError::Unreadable {
            path: path.display().to_string(),
            cause: cause.to_string(),
        };
        let about = std::fs::metadata(path).map_err(unreadable)?;
        if about.len() > FILE_BYTES_MAX {
            return Err(SecretsError::Invalid(format!(
                "{} is larger than {FILE_BYTES_MAX} bytes",
                path.display()
            )));
        }
        refuse_exposed(path, &about)?;
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
        Secrets::from_toml(&text)
    }

    /// Checks the text of a secrets file.
    ///
    /// # Errors
    /// When it is not usable; the text of the error holds no secret.
    pub fn from_toml(text: &str) -> Result<Secrets, SecretsError> {
        // The parser's own message quotes the line, which may hold a key: only the place is kept.
        let file: File = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            SecretsError::Invalid(format!(
                "line {line} is not as expected; compare with the output of `slotline admin secrets`"
            ))
        })?;
        if file.format != FILE_FORMAT {
            return Err(SecretsError::Invalid(format!(
                "format {} is not known to this version, which reads format {FILE_FORMAT}",
                file.format
            )));
        }
        let secrets = Secrets {
            identity: SecretKey::decode("identity_key", &file.identity_key)?,
            token: KeyRing::decode("token", &file.token)?,
            seal: KeyRing::decode("seal", &file.seal)?,
            consumer: file.consumer.as_ref().map(ConsumerKey::decode).transpose()?,
        };
        secrets.refuse_reuse()?;
        if let Some(consumer) = secrets.consumer {
            ConsumerSeal::derive(&secrets.identity.0, consumer)
                .check()
                .map_err(|error| SecretsError::Invalid(error.to_string()))?;
        }
        Ok(secrets)
    }

    /// The text of the secrets file. Cleared when dropped.
    pub fn to_toml(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(1024));
        text.push_str(
            "# Secrets of one Slotline installation. Keep a copy in a safe place, chmod 600, never in\n\
             # a repository. Losing identity_key means that no person is recognised any more.\n",
        );
        text.push_str(&format!("format = {FILE_FORMAT}\n\n"));
        text.push_str("# Never rotated.\n");
        push_key(&mut text, "identity_key", &self.identity);
        self.token.push(
            &mut text,
            "token",
            "Bearer tokens. To rotate: add a key under a new id, make it current, and remove the old\n\
             # one when its tokens have expired. Operator tokens end with their key.",
        );
        self.seal.push(
            &mut text,
            "seal",
            "Contact data at rest. To rotate: add a key, make it current; keep the old ones, since\n\
             # what they sealed stays in the journal.",
        );
        if let Some(consumer) = &self.consumer {
            text.push_str("\n# The system that receives confirmations.\n[consumer]\n");
            text.push_str(&format!(
                "id = {}\npublic_key = \"{}\"\n",
                consumer.id,
                URL_SAFE_NO_PAD.encode(consumer.public_key)
            ));
        }
        text
    }

    /// The same secrets with contact data sealed for this consumer (X25519 public key).
    #[must_use]
    pub fn with_consumer(mut self, id: u8, public_key: [u8; 32]) -> Secrets {
        self.consumer = Some(ConsumerKey { id, public_key });
        self
    }

    /// The same secrets with a new current token key; the old ones still verify.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn rotate_token(mut self) -> Result<Secrets, SecretsError> {
        self.token.rotate("token")?;
        Ok(self)
    }

    /// The same secrets with a new current seal key; the old ones still open.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn rotate_seal(mut self) -> Result<Secrets, SecretsError> {
        self.seal.rotate("seal")?;
        Ok(self)
    }

    fn all_keys(&self) -> impl Iterator<Item = &SecretKey> {
        std::iter::once(&self.identity)
            .chain(self.token.keys.values())
            .chain(self.seal.keys.values())
    }

    /// One key in two places would undo the separation of purposes.
    fn refuse_reuse(&self) -> Result<(), SecretsError> {
        let keys: Vec<&SecretKey> = self.all_keys().collect();
        for (place, key) in keys.iter().enumerate() {
            if keys[..place].contains(key) {
                return Err(SecretsError::Invalid("the same key stands in two places".into()));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("token", &self.token)
            .field("seal", &self.seal)
            .field("consumer", &self.consumer.map(|consumer| consumer.id))
            .field("sample", &self.is_sample())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(redacted)")
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing(current {}, of {:?})", self.current, self.keys.keys())
    }
}

impl SecretKey {
    fn generate() -> SecretKey {
        let mut key = SecretKey([0u8; KEY_BYTES]);
        if let Err(error) = SysRng.try_fill_bytes(&mut key.0) {
            panic!("the system gives no random numbers: {error}");
        }
        key
    }

    fn decode(name: &str, text: &str) -> Result<SecretKey, SecretsError> {
        let mut key = SecretKey([0u8; KEY_BYTES]);
        decode_32(name, text, &mut key.0)?;
        // A key typed by hand, or a file of zeros.
        if key.0.iter().all(|byte| *byte == key.0[0]) {
            return Err(SecretsError::Invalid(format!("{name} is not random")));
        }
        Ok(key)
    }
}

impl KeyRing {
    fn of(id: u8, key: SecretKey) -> KeyRing {
        KeyRing { current: id, keys: BTreeMap::from([(id, key)]) }
    }

    fn decode(name: &str, file: &FileRing) -> Result<KeyRing, SecretsError> {
        if file.keys.len() > RING_KEYS_MAX {
            return Err(SecretsError::Invalid(format!(
                "{name}.keys holds more than {RING_KEYS_MAX} keys"
            )));
        }
        let mut keys = BTreeMap::new();
        for (id, text) in &file.keys {
            let place = format!("{name}.keys.{id}");
            let number: u8 = id.parse().map_err(|_| {
                SecretsError::Invalid(format!("{place}: a key id is a number from 0 to 255"))
            })?;
            if keys.insert(number, SecretKey::decode(&place, text)?).is_some() {
                return Err(SecretsError::Invalid(format!("{place} stands twice")));
            }
        }
        if !keys.contains_key(&file.current) {
            return Err(SecretsError::Invalid(format!(
                "{name}.current is {}, but {name}.keys has no such key",
                file.current
            )));
        }
        Ok(KeyRing { current: file.current, keys })
    }

    fn rotate(&mut self, name: &str) -> Result<(), SecretsError> {
        let free = (self.current..=u8::MAX).chain(0..self.current);
        let next = free.into_iter().find(|id| !self.keys.contains_key(id));
        match next {
            Some(id) if self.keys.len() < RING_KEYS_MAX => {
                self.keys.insert(id, SecretKey::generate());
                self.current = id;
                Ok(())
            }
            _ => Err(SecretsError::Invalid(format!(
                "{name}.keys holds {RING_KEYS_MAX} keys; remove one that nothing uses any more"
            ))),
        }
    }

    fn push(&self, text: &mut String, name: &str, why: &str) {
        text.push_str(&format!(
            "\n# {why}\n[{name}]\ncurrent = {}\n\n[{name}.keys]\n",
            self.current
        ));
        for (id, key) in &self.keys {
            push_key(text, &id.to_string(), key);
        }
    }
}

impl ConsumerKey {
    fn decode(file: &FileConsumer) -> Result<ConsumerKey, SecretsError> {
        let mut public_key = [0u8; 32];
        decode_32("consumer.public_key", &file.public_key, &mut public_key)?;
        Ok(ConsumerKey { id: file.id, public_key })
    }
}

fn push_key(text: &mut String, name: &str, key: &SecretKey) {
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.0));
    text.push_str(name);
    text.push_str(" = \"");
    text.push_str(&encoded);
    text.push_str("\"\n");
}

fn decode_32(name: &str, text: &str, out: &mut [u8; 32]) -> Result<(), SecretsError> {
    // One byte of slack, so that a longer text is seen as such.
    let mut buffer = Zeroizing::new([0u8; 33]);
    match URL_SAFE_NO_PAD.decode_slice(text.trim_end_matches('='), buffer.as_mut_slice()) {
        Ok(32) => {
            out.copy_from_slice(&buffer[..32]);
            Ok(())
        }
        _ => Err(SecretsError::Invalid(format!("{name} is not 32 bytes in base64url"))),
    }
}

#[cfg(unix)]
fn refuse_exposed(path: &Path, about: &std::fs::Metadata) -> Result<(), SecretsError> {
    use std::os::unix::fs::PermissionsExt as _;
    if about.permissions().mode() & 0o007 != 0 {
        return Err(SecretsError::Exposed { path: path.display().to_string() });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path, _about: &std::fs::Metadata) -> Result<(), SecretsError> {
    Ok(())
}

#[cfg(test)]
mod tests;
