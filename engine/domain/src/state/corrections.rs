//! What the roster corrected, for everyone who may still show an older attestation: dates of birth, and keys
//! that no number leads to any more.

use std::collections::BTreeMap;

use super::packing::{Fields, Pack, Packer};
use crate::{Attested, Day, PersonKey};

/// Bytes of a correction in a checkpoint.
pub(crate) const CORRECTION_BYTES: usize = 24;
/// In place of a day: the key was superseded. No record of a journal can hold this day.
const SUPERSEDED: i32 = i32::MIN;

/// One person's correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    /// Its place in order of first correction of a person; names it in checkpoints.
    pub(crate) index: u32,
    /// It holds against attestations of lower versions.
    pub(crate) roster_version: u32,
    /// The date that holds; `None` for a key that was superseded.
    pub(crate) born_on: Option<Day>,
}

/// A correction as it stands in a checkpoint.
pub(crate) struct KeyedCorrection<'a>(pub(crate) &'a PersonKey, pub(crate) &'a Correction);

impl Pack<CORRECTION_BYTES> for KeyedCorrection<'_> {
    fn pack(&self, place: &mut [u8; CORRECTION_BYTES]) {
        let KeyedCorrection(key, correction) = self;
        Packer::new(place)
            .bytes(key.0)
            .u32(correction.roster_version)
            .i32(correction.born_on.map_or(SUPERSEDED, |day| day.0))
            .finish();
    }
}

/// All corrections, by key: people not yet registered have no number.
#[derive(Clone, Debug)]
pub(crate) struct Corrections {
    pub(crate) by_key: BTreeMap<PersonKey, Correction>,
}

impl Corrections {
    /// None.
    pub(crate) fn new() -> Corrections {
        Corrections { by_key: BTreeMap::new() }
    }

    /// How many people have one.
    pub(crate) fn len(&self) -> u32 {
        self.by_key.len() as u32
    }

    /// Keeps a correction unless one of the same or a higher version is known; returns what is kept.
    pub(crate) fn keep(
        &mut self,
        key: PersonKey,
        roster_version: u32,
        born_on: Option<Day>,
    ) -> Option<Correction> {
        let known = self.by_key.get(&key);
        if known.is_some_and(|known| known.roster_version >= roster_version) {
            return None;
        }
        let index = known.map_or(self.len(), |known| known.index);
        let correction = Correction { index, roster_version, born_on };
        self.by_key.insert(key, correction);
        Some(correction)
    }

    /// The date of birth that holds, and the version it comes from; `None` for a key that was superseded.
    pub(crate) fn holding(&self, key: &PersonKey, attested: Attested) -> Option<Attested> {
        match self.by_key.get(key) {
            Some(known) if known.roster_version > attested.roster_version => {
                let born_on = known.born_on?;
                Some(Attested { born_on, roster_version: known.roster_version })
            }
            _ => Some(attested),
        }
    }

    /// Puts a record of a checkpoint; `None` when it cannot stand there.
    pub(crate) fn load(&mut self, index: u32, bytes: &[u8]) -> Option<()> {
        let mut fields = Fields::of(bytes);
        let key = PersonKey(fields.bytes()?);
        let roster_version = fields.u32()?;
        let born_on = Some(fields.i32()?).filter(|day| *day != SUPERSEDED).map(Day);
        fields.end(())?;
        let place = self.by_key.get(&key).map_or(self.len(), |known| known.index);
        let correction = Correction { index, roster_version, born_on };
        (place == index).then(|| self.by_key.insert(key, correction))?;
        Some(())
    }
}
