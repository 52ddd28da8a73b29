//! Imports: begun, filled in chunks, and taken at once or not at all.

use domain::codec::import_hash;
use domain::*;

use super::operator::refused;
use super::{Import, Twin};

impl Twin {
    pub(super) fn import_begin(&mut self, import: u64, kind: &ImportKind) -> Vec<Event> {
        match kind {
            ImportKind::Members { category } => {
                let listed =
                    self.categories.iter().any(|known| known.number == *category && known.members);
                if !listed {
                    return refused(0, OperatorRefusal::UnknownCategory);
                }
            }
            ImportKind::Slots { vaccines } if self.too_many_vaccines(vaccines) => {
                return refused(0, OperatorRefusal::TooManyVaccines);
            }
            _ => {}
        }
        let mut events = self.void_import();
        let heard_at = self.now();
        self.import = Some(Import { import, kind: kind.clone(), chunks: Vec::new(), heard_at });
        events.push(Event::ImportStaged { import, rows: 0 });
        events
    }

    pub(super) fn void_import(&mut self) -> Vec<Event> {
        self.import
            .take()
            .map(|voided| Event::ImportVoided { import: voided.import })
            .into_iter()
            .collect()
    }

    pub(super) fn import_chunk(&mut self, import: u64, rows: &ImportRows) -> Vec<Event> {
        let now = self.now();
        let Some(under_way) = self.import.as_ref().filter(|known| known.import == import) else {
            return refused(0, OperatorRefusal::UnknownImport);
        };
        if let Some((row, reason)) = self.wrong_row(&under_way.kind, rows) {
            return refused(row, reason);
        }
        if length(rows) > 8_192 {
            return refused(8_192, OperatorRefusal::TooManyRows);
        }
        let kept: usize = under_way.chunks.iter().map(|chunk| weight(chunk, length(chunk))).sum();
        let beyond = |row: &usize| kept + weight(rows, row + 1) > 28 * 1_024 * 1_024;
        // Weighed anew row by row only where the whole chunk is too heavy: the twin is naive, not endless.
        if length(rows) > 0
            && beyond(&(length(rows) - 1))
            && let Some(row) = (0..length(rows)).find(beyond)
        {
            return refused(row, OperatorRefusal::TooManyRows);
        }
        let under_way = self.import.as_mut().unwrap();
        under_way.chunks.push(rows.clone());
        under_way.heard_at = now;
        let rows = under_way.chunks.iter().map(length).sum::<usize>() as u32;
        vec![Event::ImportStaged { import, rows }]
    }

    /// The refusal with the lowest number among those for rows, and the first row it applies to.
    fn wrong_row(&self, kind: &ImportKind, rows: &ImportRows) -> Option<(usize, OperatorRefusal)> {
        match (kind, rows) {
            (ImportKind::Sites, ImportRows::Sites(rows)) => {
                let bad = |site: &Site| site.county.0 > 63 || site.id.is_empty();
                Some((rows.iter().position(bad)?, OperatorRefusal::BadNumber))
            }
            (ImportKind::Slots { vaccines }, ImportRows::Slots(rows)) => {
                let stray = |row: &SlotRow| !self.sites.contains_key(&row.site);
                if let Some(row) = rows.iter().position(stray) {
                    return Some((row, OperatorRefusal::UnknownSite));
                }
                let bad = |row: &SlotRow| {
                    !(0..=1_000_000).contains(&row.day.0)
                        || row.start_minute >= row.end_minute
                        || row.end_minute > 1_440
                        || usize::from(row.vaccine) >= vaccines.len()
                };
                Some((rows.iter().position(bad)?, OperatorRefusal::BadNumber))
            }
            (ImportKind::Members { .. }, ImportRows::Members(_)) => None,
            _ => Some((0, OperatorRefusal::BadNumber)),
        }
    }

    pub(super) fn import_commit(&mut self, import: u64, rows: u32, hash: [u8; 32]) -> Vec<Event> {
        let Some(under_way) = self.import.clone().filter(|known| known.import == import) else {
            return refused(0, OperatorRefusal::UnknownImport);
        };
        let count = under_way.chunks.iter().map(length).sum::<usize>();
        if count as u32 != rows || import_hash(&under_way.chunks) != hash {
            return refused(0, OperatorRefusal::ImportMismatch);
        }
        let taken = match &under_way.kind {
            ImportKind::Sites => Ok(self.take_sites(&under_way.chunks)),
            ImportKind::Slots { vaccines } => self.take_slots(vaccines, &under_way.chunks),
            ImportKind::Members { category } => Ok(self.take_members(*category, &under_way.chunks)),
        };
        match taken {
            Err(refusal) => refusal,
            Ok((mut events, added)) => {
                self.import = None;
                events.push(Event::ImportCommitted { import, rows, added });
                events
            }
        }
    }

    fn take_sites(&mut self, chunks: &[ImportRows]) -> (Vec<Event>, u32) {
        let mut added = 0;
        let mut put = Vec::new();
        for chunk in chunks {
            let ImportRows::Sites(rows) = chunk else { continue };
            for site in rows {
                let known = self.sites.iter().find(|(_, known)| known.id == site.id);
                let number = known.map(|(number, _)| *number).unwrap_or_else(|| {
                    added += 1;
                    SiteNumber(self.sites.len() as u32)
                });
                self.sites.insert(number, site.clone());
                put.push((number, site.clone()));
            }
        }
        let events = put.chunks(512).map(|sites| Event::SitesPut { sites: sites.to_vec() });
        (events.collect(), added)
    }

    fn take_slots(
        &mut self,
        vaccines: &[String],
        chunks: &[ImportRows],
    ) -> Result<(Vec<Event>, u32), Vec<Event>> {
        let rows: Vec<SlotRow> = chunks
            .iter()
            .flat_map(|chunk| match chunk {
                ImportRows::Slots(rows) => rows.clone(),
                _ => Vec::new(),
            })
            .collect();
        for (row, wanted) in rows.iter().enumerate() {
            let known = self.slot_like(wanted, &vaccines[usize::from(wanted.vaccine)]);
            if known.is_some_and(|slot| wanted.capacity < self.booked(slot)) {
                return Err(refused(row, OperatorRefusal::CapacityBelowBooked));
            }
        }
        if self.too_many_vaccines(vaccines) {
            return Err(refused(0, OperatorRefusal::TooManyVaccines));
        }
        let mut events = self.name_vaccines(vaccines);
        let mut added = 0;
        let mut put = Vec::new();
        for row in &rows {
            let name = &vaccines[usize::from(row.vaccine)];
            let number = self.slot_like(row, name).unwrap_or_else(|| {
                added += 1;
                SlotNumber(self.slots.len() as u32)
            });
            let vaccine = self.vaccines.iter().position(|known| known == name).unwrap();
            let slot = Slot {
                site: row.site,
                day: row.day,
                start_minute: row.start_minute,
                end_minute: row.end_minute,
                vaccine: VaccineNumber(vaccine as u8),
                capacity: row.capacity,
            };
            self.slots.insert(number, slot);
            put.push((number, slot));
        }
        events.extend(put.chunks(2_048).map(|slots| Event::SlotsPut { slots: slots.to_vec() }));
        Ok((events, added))
    }

    /// The slot of the same site, day, time and vaccine.
    fn slot_like(&self, row: &SlotRow, vaccine: &String) -> Option<SlotNumber> {
        self.slots
            .iter()
            .find(|(_, slot)| {
                slot.site == row.site
                    && slot.day == row.day
                    && slot.start_minute == row.start_minute
                    && slot.end_minute == row.end_minute
                    && self.vaccines[usize::from(slot.vaccine.0)] == *vaccine
            })
            .map(|(number, _)| *number)
    }

    fn take_members(
        &mut self,
        category: CategoryNumber,
        chunks: &[ImportRows],
    ) -> (Vec<Event>, u32) {
        let keys: Vec<PersonKey> = chunks
            .iter()
            .flat_map(|chunk| match chunk {
                ImportRows::Members(keys) => keys.clone(),
                _ => Vec::new(),
            })
            .collect();
        let mut events = Vec::new();
        let mut added = 0;
        for batch in keys.chunks(4_096) {
            let mut people = Vec::new();
            for key in batch {
                people.extend(self.resolve(PersonRef::Key(*key), &mut events));
            }
            for person in &people {
                added += u32::from(self.members.insert((category, *person)));
            }
            events.push(Event::MembersPut { category, people });
        }
        (events, added)
    }
}

fn length(rows: &ImportRows) -> usize {
    match rows {
        ImportRows::Sites(rows) => rows.len(),
        ImportRows::Slots(rows) => rows.len(),
        ImportRows::Members(rows) => rows.len(),
    }
}

/// What the first rows of a chunk count against the bound on an import's events.
fn weight(rows: &ImportRows, first: usize) -> usize {
    match rows {
        ImportRows::Sites(rows) => rows[..first]
            .iter()
            .map(|site| {
                32 + site.id.len()
                    + site.name_zh.len()
                    + site.name_en.len()
                    + site.address.len()
                    + site.kind.len()
            })
            .sum(),
        ImportRows::Slots(_) => 24 * first,
        ImportRows::Members(_) => 27 * first,
    }
}
