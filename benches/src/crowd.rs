//! The nation's people as citizens over HTTP: their IDs, sealed contact data, tokens and requests.
//!
//! Uses the secrets of `slotline dev`, so that requests can be made before the clock starts.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::PersonKey;
use journal::Journal;
use vault::{Contact, IdNumber, Secrets, TokenClaims, Vault};

use crate::nation::{self, Filler, Nation, PERIOD, now, open_journal, registration};
use crate::order::Shuffled;

/// Of the random order.
const SEED: u64 = 4;
/// Tokens are good for a day.
const TOKEN_LIFETIME_S: u64 = 86_400;

/// People who have not booked yet.
pub struct Crowd {
    vault: Vault,
    nation: Nation,
    /// Who comes when: a crowd does not come in the order in which it registered.
    order: Shuffled,
    next: AtomicU32,
}

/// Requests of one round, made before the clock starts.
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// Appends the request with this index; false when there is none.
    pub fn append(&self, index: u64, out: &mut Vec<u8>) -> bool {
        let Ok(index) = usize::try_from(index) else { return false };
        let Some(end) = self.ends.get(index) else { return false };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        out.extend_from_slice(&self.bytes[start..*end]);
        true
    }
}

impl Crowd {
    /// Everyone of this nation, by the secrets of `slotline dev`.
    pub fn new(nation: Nation) -> Crowd {
        Crowd::with_secrets(nation, Secrets::sample())
    }

    /// Everyone of this nation, by these secrets.
    pub fn with_secrets(nation: Nation, secrets: Secrets) -> Crowd {
        let order = Shuffled::new(u64::from(nation.people), SEED);
        Crowd { vault: Vault::new(secrets), nation, order, next: AtomicU32::new(0) }
    }

    /// Writes the journal of the nation under `data`: everything announced, everyone registered.
    ///
    /// # Errors
    /// When the journal refuses, in words.
    pub fn write(&self, data: &Path) -> Result<(), String> {
        let journal = open_journal(data)?;
        self.fill(&journal)?;
        journal.close();
        Ok(())
    }

    /// Writes the same into a journal that is open.
    ///
    /// # Errors
    /// When the journal refuses, in words.
    pub fn fill(&self, journal: &dyn Journal) -> Result<(), String> {
        let mut filler = Filler::new(journal);
        for command in self.nation.announce(now()) {
            filler.put(command)?;
        }
        for number in 0..self.nation.people {
            let (person, sealed) = self.identity(number)?;
            filler.put(registration(number, person, sealed))?;
        }
        filler.flush()
    }

    /// A person's key and sealed contact data.
    fn identity(&self, number: u32) -> Result<(PersonKey, Vec<u8>), String> {
        let id = id_number(number);
        let person = self.vault.person_key(&id);
        let contact = Contact {
            name: format!("示範民眾{number}"),
            phone: "0912345678".to_owned(),
            id_number: id,
            language: 0,
        };
        let sealed =
            self.vault.seal_contact(&person, &contact).map_err(|error| error.to_string())?;
        Ok((PersonKey(person), sealed))
    }

    /// The bookings of the next so many people, in random order, or of those who are left.
    pub fn prepare(&self, people: u32) -> Requests {
        let first = self.next.fetch_add(people, Ordering::Relaxed);
        let last = first.saturating_add(people).min(self.nation.people);
        let mut requests = Requests { bytes: Vec::new(), ends: Vec::new() };
        for place in first..last {
            self.request(self.order.at(u64::from(place)) as u32, &mut requests.bytes);
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    /// Appends a person's booking as an HTTP request.
    pub fn request(&self, person: u32, out: &mut Vec<u8>) {
        let id = id_number(person);
        let key = self.vault.person_key(&id);
        let Some(id) = IdNumber::new(&id) else { return };
        let token = self.vault.mint_token(&TokenClaims {
            person: key,
            number: Some(person),
            seen_sequence: 0,
            expires_at_s: nation::now().0 as u64 / 1_000 + TOKEN_LIFETIME_S,
            sealed_id: self.vault.seal_id(&key, &id),
        });
        let (period, slot) = (PERIOD.0, self.nation.slot(person).0);
        let body = format!("{{\"period\":{period},\"slot\":{slot}}}");
        let head = format!(
            "POST /v1/bookings HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\nidempotency-key: booking-{person}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }
}

/// The n-th synthetic ID number: an index in the shape of an ID, valid for hashing only.
fn id_number(person: u32) -> String {
    format!("A1{person:08}")
}
