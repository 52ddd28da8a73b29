//! A provider that misbehaves by seed, and keeps every text it took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use notifier::{Accepted, LookUp, SendError, Sms, SmsProvider};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Owed;

/// How a provider misbehaves, in shares of 100 sends.
#[derive(Clone, Copy, Default)]
pub struct Manners {
    pub away: u32,
    pub lost_before: u32,
    pub lost_after: u32,
    pub refused: u32,
    pub away_for_lookups: u32,
    pub has_lookup: bool,
    /// The first attempts at anything fail.
    pub away_at_first: u32,
}

/// A provider with an office of its own that survives the process.
#[derive(Clone)]
pub struct Carrier {
    manners: Manners,
    office: Arc<Mutex<Office>>,
}

struct Office {
    random: ChaCha8Rng,
    /// Every text taken, in order.
    letters: Vec<Owed>,
    refused: BTreeSet<String>,
    attempts: u32,
}

impl Carrier {
    pub fn new(seed: u64, manners: Manners) -> Carrier {
        let office = Office {
            random: ChaCha8Rng::seed_from_u64(seed),
            letters: Vec::new(),
            refused: BTreeSet::new(),
            attempts: 0,
        };
        Carrier { manners, office: Arc::new(Mutex::new(office)) }
    }

    /// Every text taken, in order.
    pub fn letters(&self) -> Vec<Owed> {
        self.office.lock().unwrap().letters.clone()
    }

    /// How often each reference was taken.
    pub fn taken(&self) -> BTreeMap<String, u32> {
        let mut taken = BTreeMap::new();
        for letter in self.letters() {
            *taken.entry(letter.reference).or_default() += 1;
        }
        taken
    }
}

impl SmsProvider for Carrier {
    fn name(&self) -> &'static str {
        "carrier"
    }

    fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        let mut office = self.office.lock().unwrap();
        office.attempts += 1;
        if office.attempts <= self.manners.away_at_first {
            return Err(SendError::Unavailable("closed".into()));
        }
        if office.refused.contains(sms.reference) {
            return Err(SendError::Refused("no such number".into()));
        }
        let Manners { away, lost_before, lost_after, refused, .. } = self.manners;
        let dice = office.random.next_u32() % 100;
        if dice < away {
            return Err(SendError::Unavailable("away".into()));
        }
        if dice < away + lost_before {
            return Err(SendError::Unknown("lost on the way".into()));
        }
        if dice < away + lost_before + refused {
            office.refused.insert(sms.reference.to_owned());
            return Err(SendError::Refused("no such number".into()));
        }
        office.letters.push(Owed {
            reference: sms.reference.to_owned(),
            to: sms.to.expose().to_owned(),
            text: sms.text.to_owned(),
        });
        if dice < away + lost_before + refused + lost_after {
            return Err(SendError::Unknown("answer lost".into()));
        }
        Ok(Accepted)
    }

    fn lookup(&self, reference: &str, _: u64) -> Result<LookUp, SendError> {
        if !self.manners.has_lookup {
            return Ok(LookUp::Unsupported);
        }
        let mut office = self.office.lock().unwrap();
        if office.random.next_u32() % 100 < self.manners.away_for_lookups {
            return Err(SendError::Unavailable("away".into()));
        }
        let known = office.letters.iter().any(|letter| letter.reference == reference);
        Ok(if known { LookUp::Accepted } else { LookUp::NeverArrived })
    }
}
