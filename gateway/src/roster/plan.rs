//! From a line of the authority's file to a row of the stream: whose it is, and whether it may stand.
//!
//! A person's key is that of the earliest known ID number and never changes once the person takes
//! part: a line that would give a known person another key, or make one person of two, is refused.
//! Until then the roster may learn of a former number later and move its own rows.
//!
//! What this module deliberately does not do: read files (`import::roster`), write to the stream.

use std::collections::HashMap;

use domain::PersonKey;
use domain::identity::IdNumber;
use vault::{Lookup, Vault};

use super::record::{CHUNK_BYTES_MAX, ROW_BYTES_MAX, Row};
use super::{LookupHash, RosterError, RosterView};
use crate::import::roster::RosterLine;
use crate::import::{Reason, RowError};

/// Turns the lines of one file into the packed chunks of one import.
pub struct Planner<'p> {
    roster: &'p RosterView,
    vault: &'p Vault,
    /// True for people who take part: registered, on a list, or ever refused.
    is_known: &'p dyn Fn(&PersonKey) -> bool,
    /// Keys that a line of this file is about, with that line.
    touched: HashMap<PersonKey, u32>,
    plan: Plan,
    hasher: blake3::Hasher,
}

/// An import ready to be written.
#[derive(Debug, Default)]
pub struct Plan {
    /// The roster version on which it was made.
    pub base_version: u32,
    /// Packed rows, each chunk at most [`CHUNK_BYTES_MAX`].
    pub chunks: Vec<Vec<u8>>,
    /// Rows in all.
    pub rows: u32,
    /// Hash over the chunks.
    pub hash: [u8; 32],
    /// Keys that no number leads to afterwards. They were not known when the plan was made; the engine
    /// closes them before the import is written, unless somebody came first.
    pub displaced: Vec<(u32, PersonKey)>,
}

impl<'p> Planner<'p> {
    /// Begins a plan on what the roster says now.
    pub fn new(
        roster: &'p RosterView,
        vault: &'p Vault,
        is_known: &'p dyn Fn(&PersonKey) -> bool,
    ) -> Planner<'p> {
        let plan = Plan { base_version: roster.version(), ..Plan::default() };
        Planner {
            roster,
            vault,
            is_known,
            touched: HashMap::new(),
            plan,
            hasher: blake3::Hasher::new(),
        }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The outer one when the roster cannot be read, the inner one when the line may not stand.
    pub fn add(
        &mut self,
        line: u32,
        person: &RosterLine,
    ) -> Result<Result<(), RowError>, RosterError> {
        let id = self.id_hash(&person.id);
        let own = match self.roster.person_of(&id)? {
            Some(key) => key,
            None => self.key(&person.id),
        };
        let former = person.former.as_ref().map(|former| (self.id_hash(former), former));
        let target = match former {
            None => own,
            Some((hash, former)) => match self.roster.person_of(&hash)? {
                Some(key) => key,
                None => self.key(former),
            },
        };
        if own != target {
            if (self.is_known)(&own) {
                let (field, reason) = ("former_id_number", Reason::PersonKnown);
                return Ok(Err(RowError { line, field, reason }));
            }
            self.plan.displaced.push((line, own));
        }
        if let Some(first_line) = self.touch(line, own, target) {
            let reason = Reason::Duplicate { first_line: u64::from(first_line) };
            return Ok(Err(RowError { line, field: "id_number", reason }));
        }
        let hash = |kind, number: &Option<String>| {
            number.as_ref().map(|number| self.vault.lookup_hash(kind, number))
        };
        let row = Row {
            person: target,
            id,
            former: former.map(|(hash, _)| hash),
            card: hash(Lookup::Card, &person.card),
            entry_permit: hash(Lookup::Permit, &person.entry_permit),
            passport: hash(Lookup::Passport, &person.passport),
            born_on: self.vault.seal_birth(&target.0, person.born_on.0),
        };
        self.pack(&row);
        Ok(Ok(()))
    }

    /// The finished plan.
    pub fn finish(mut self) -> Plan {
        self.seal_chunk();
        self.plan.hash = *self.hasher.finalize().as_bytes();
        self.plan
    }

    /// Notes whom the line is about; the earlier line if there is one.
    fn touch(&mut self, line: u32, own: PersonKey, target: PersonKey) -> Option<u32> {
        let earlier = self.touched.insert(target, line);
        if own == target {
            return earlier;
        }
        let displaced = self.touched.insert(own, line);
        earlier.or(displaced)
    }

    fn pack(&mut self, row: &Row) {
        let full = self
            .plan
            .chunks
            .last()
            .is_none_or(|chunk| chunk.len() + ROW_BYTES_MAX > CHUNK_BYTES_MAX);
        if full {
            self.seal_chunk();
            self.plan.chunks.push(Vec::with_capacity(CHUNK_BYTES_MAX));
        }
        if let Some(chunk) = self.plan.chunks.last_mut() {
            row.encode(chunk);
        }
        self.plan.rows += 1;
    }

    /// The last chunk is complete.
    fn seal_chunk(&mut self) {
        if let Some(chunk) = self.plan.chunks.last() {
            self.hasher.update(chunk);
        }
    }

    fn key(&self, id: &IdNumber) -> PersonKey {
        PersonKey(self.vault.person_key(id.as_str()))
    }

    fn id_hash(&self, id: &IdNumber) -> LookupHash {
        self.vault.lookup_hash(Lookup::Id, id.as_str())
    }
}
