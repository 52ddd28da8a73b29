//! What operators do in a random world, mistakes included.

use domain::codec::import_hash;
use domain::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{FIRST_DAY, HOUR_MS, World, born_on, person_key};
use crate::twin::Twin;

/// An import as its operator sees it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    import: u64,
    kind: ImportKind,
    chunks: Vec<ImportRows>,
}

impl World {
    /// Makes a world in which people can register and book.
    pub(super) fn opening_script(&mut self, rng: &mut ChaCha8Rng) -> Vec<Command> {
        let mut script = vec![Command::Epoch { epoch: 1, engine: [7; 16] }];
        // As many as there are, or as many as there may be.
        for number in 1..=self.categories.min(32) {
            let mut category = self.category(rng);
            category.number = CategoryNumber(number);
            category.opens_at = self.now;
            script.push(Command::PutCategory(category));
        }
        let sites = (0..self.sites).map(|number| self.site(number, rng)).collect();
        script.extend(self.whole_import(ImportKind::Sites, ImportRows::Sites(sites)));
        let vaccines = self.vaccine_names(rng);
        let rows = (0..40).map(|_| self.slot_row(rng, vaccines.len(), self.sites)).collect();
        script.extend(self.whole_import(ImportKind::Slots { vaccines }, ImportRows::Slots(rows)));
        for number in 1..=self.periods {
            let mut period = self.sound_period(rng);
            period.number = PeriodNumber(number);
            script.push(Command::PutPeriod(period));
        }
        script
    }

    fn whole_import(&mut self, kind: ImportKind, rows: ImportRows) -> [Command; 3] {
        self.imports += 1;
        let import = self.imports;
        let hash = import_hash([&rows]);
        [
            Command::ImportBegin { import, kind },
            Command::ImportChunk { import, rows: rows.clone() },
            Command::ImportCommit { import, rows: rows_of(&rows), hash },
        ]
    }

    pub(super) fn operator(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) -> Command {
        match rng.random_range(0..100) {
            0..8 => Command::PutCategory(self.category(rng)),
            8..20 => Command::PutPeriod(self.period_to_put(rng)),
            20..28 => {
                let slot = match rng.random_range(0..10) {
                    0 => SlotNumber(twin.slots.len() as u32),
                    _ => self.slot(rng, twin),
                };
                let booked = if twin.slots.contains_key(&slot) { twin.booked(slot) } else { 0 };
                let near = booked.saturating_sub(1)..=booked + 2;
                Command::SetCapacity { slot, capacity: rng.random_range(near) }
            }
            28..46 => self.attend(rng, twin),
            46..55 => self.correct(rng),
            55..58 => self.supersede(rng),
            _ => self.import(rng, twin),
        }
    }

    fn attend(&self, rng: &mut ChaCha8Rng, twin: &Twin) -> Command {
        let length = if rng.random_ratio(1, 60) { 1_025 } else { rng.random_range(0..4) };
        let bookings = twin.bookings.len() as u32;
        let rows = (0..length).map(|_| {
            let recent = bookings.saturating_sub(2 * self.people)..bookings + 1;
            let booking = BookingNumber(rng.random_range(recent));
            let day = match twin.bookings.get(&booking) {
                Some(known) if rng.random_ratio(9, 10) => twin.slots[&known.slot].day,
                _ => self.now.day(),
            };
            let minute = rng.random_range(0..24 * 60);
            Attendance { booking, attended_at: Millis(day.starts_at().0 + minute * 60_000) }
        });
        Command::Attend { rows: rows.collect() }
    }

    fn correct(&mut self, rng: &mut ChaCha8Rng) -> Command {
        self.roster_version += u32::from(rng.random_ratio(1, 2));
        let length = if rng.random_ratio(1, 60) { 2_049 } else { rng.random_range(0..4) };
        // A few more people than the world has: some are corrected who never come.
        let key = |rng: &mut ChaCha8Rng| person_key(rng.random_range(0..self.people + 2));
        let rows = (0..length).map(|_| (key(rng), born_on(rng))).collect();
        let behind = rng.random_range(0..3);
        Command::CorrectRoster { roster_version: self.roster_version.saturating_sub(behind), rows }
    }

    fn supersede(&mut self, rng: &mut ChaCha8Rng) -> Command {
        self.roster_version += 1;
        let length = if rng.random_ratio(1, 60) { 2_049 } else { rng.random_range(0..3) };
        // Half of them never came, so that not all is refused.
        let key = |rng: &mut ChaCha8Rng| person_key(rng.random_range(0..self.people * 2));
        let keys = (0..length).map(|_| key(rng)).collect();
        let behind = rng.random_range(0..3);
        Command::Supersede { roster_version: self.roster_version.saturating_sub(behind), keys }
    }

    fn vaccine_names(&self, rng: &mut ChaCha8Rng) -> Vec<String> {
        let names = match rng.random_range(0..80) {
            0 => 17,
            _ => rng.random_range(1..=3.min(self.vaccines)),
        };
        let first = if names == 17 { 100 } else { rng.random_range(0..self.vaccines) };
        (first..first + names).map(|number| format!("v{}", self.wrapped(number))).collect()
    }

    fn wrapped(&self, number: usize) -> usize {
        if number < 100 { number % self.vaccines } else { number }
    }

    pub(crate) fn category(&self, rng: &mut ChaCha8Rng) -> Category {
        let number = match rng.random_range(0..40) {
            0 => 0,
            _ => rng.random_range(1..=self.categories),
        };
        let opens_at = Millis(self.now.0 + rng.random_range(-48..6) * HOUR_MS);
        let closes_at = Millis(self.now.0 + rng.random_range(-2..96) * HOUR_MS);
        Category {
            number: CategoryNumber(number),
            names: vec![("en".into(), format!("Category {number}"))],
            born_on_or_before: match rng.random_range(0..6) {
                0 => None,
                1..3 => Some(born_on(rng)),
                _ => Some(FIRST_DAY),
            },
            members: rng.random(),
            opens_at,
            closes_at: rng.random_ratio(1, 4).then_some(closes_at),
            vaccines: self.vaccine_names(rng),
        }
    }

    /// A period, now and then with a mistake in it.
    pub(crate) fn period_to_put(&self, rng: &mut ChaCha8Rng) -> Period {
        let mut period = self.sound_period(rng);
        match rng.random_range(0..24) {
            0 => period.number = PeriodNumber(0),
            1 => period.counties = Some(vec![CountyNumber(64)]),
            2 => period.categories = Some(vec![CategoryNumber(self.categories + 1)]),
            3 => {
                let opening = Opening { born_on_or_before: None, opens_at: period.opens_at };
                period.openings = vec![opening; 129];
            }
            _ => {}
        }
        period
    }

    fn sound_period(&self, rng: &mut ChaCha8Rng) -> Period {
        let number = PeriodNumber(rng.random_range(1..=self.periods));
        let hours =
            |rng: &mut ChaCha8Rng, range| Millis(self.now.0 + rng.random_range(range) * HOUR_MS);
        let opens_at = hours(rng, -24..12);
        let openings = if rng.random_ratio(1, 4) { rng.random_range(1..4) } else { 0 };
        let mut openings: Vec<Opening> = (0..openings)
            .map(|_| Opening {
                born_on_or_before: rng.random_ratio(3, 4).then(|| born_on(rng)),
                opens_at: hours(rng, -24..24),
            })
            .collect();
        openings.sort_by_key(|opening| std::cmp::Reverse(opening.opens_at));
        let mostly = |rng: &mut ChaCha8Rng| !rng.random_ratio(1, 8);
        Period {
            number,
            names: vec![("en".into(), format!("Period {}", number.0))],
            vaccines: self.vaccine_names(rng),
            registered_before: match rng.random_range(0..16) {
                0 => Some(hours(rng, -48..24)),
                1..3 => Some(Millis(self.registered_at.0 + rng.random_range(0..2))),
                _ => None,
            },
            counties: (!mostly(rng)).then(|| vec![CountyNumber(rng.random_range(0..3))]),
            categories: (!mostly(rng)).then(|| {
                let known = self.categories.min(2);
                (0..rng.random_range(0..3))
                    .map(|_| CategoryNumber(rng.random_range(1..=known)))
                    .collect()
            }),
            born_on_or_before: (!mostly(rng)).then(|| born_on(rng)),
            opens_at,
            closes_at: hours(rng, 6..150),
            openings,
            identity_methods: vec!["document".into()],
        }
    }

    pub(super) fn import(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) -> Command {
        let Some(draft) = self.import.clone() else {
            return self.begin(rng);
        };
        let mut import = draft.import;
        if rng.random_ratio(1, 30) {
            import += 1;
        }
        match rng.random_range(0..20) {
            0 => self.begin(rng),
            1..17 => {
                let rows = self.rows(rng, twin, &draft.kind);
                if import == draft.import {
                    // The operator trusts that the chunk was taken; a refused one shows at the commit.
                    self.import.as_mut().unwrap().chunks.push(rows.clone());
                }
                Command::ImportChunk { import, rows }
            }
            _ => {
                self.import = None;
                let kept = self.kept(&draft, twin);
                let rows =
                    kept.iter().map(rows_of).sum::<u32>() + u32::from(rng.random_ratio(1, 16));
                let mut hash = import_hash(&kept);
                if rng.random_ratio(1, 16) {
                    hash[0] ^= 1;
                }
                Command::ImportCommit { import, rows, hash }
            }
        }
    }

    /// The chunks that were taken, where that can be known.
    fn kept(&self, draft: &Draft, twin: &Twin) -> Vec<ImportRows> {
        match &twin.import {
            Some(known) if known.import == draft.import => known.chunks.clone(),
            _ => draft.chunks.clone(),
        }
    }

    /// Most operators notice when the import they are at was refused or void.
    pub(super) fn forget_a_lost_import(&mut self, rng: &mut ChaCha8Rng, twin: &Twin) {
        let under_way = twin.import.as_ref().map(|known| known.import);
        let believed = self.import.as_ref().map(|draft| draft.import);
        if under_way != believed && rng.random_ratio(1, 3) {
            self.import = None;
        }
    }

    fn begin(&mut self, rng: &mut ChaCha8Rng) -> Command {
        self.imports += u64::from(!rng.random_ratio(1, 20));
        let import = self.imports;
        let kind = match rng.random_range(0..9) {
            0..2 => ImportKind::Sites,
            2..6 => ImportKind::Slots { vaccines: self.vaccine_names(rng) },
            _ => ImportKind::Members {
                category: CategoryNumber(rng.random_range(1..=self.categories + 1)),
            },
        };
        self.import = Some(Draft { import, kind: kind.clone(), chunks: Vec::new() });
        Command::ImportBegin { import, kind }
    }

    fn rows(&self, rng: &mut ChaCha8Rng, twin: &Twin, kind: &ImportKind) -> ImportRows {
        let kind = match rng.random_range(0..30) {
            0 => &ImportKind::Sites,
            _ => kind,
        };
        let length = rng.random_range(0..9);
        match kind {
            ImportKind::Sites => ImportRows::Sites(
                (0..length)
                    .map(|_| {
                        let number = rng.random_range(0..self.sites + 1);
                        self.site(number, rng)
                    })
                    .collect(),
            ),
            ImportKind::Slots { vaccines } => {
                let sites = twin.sites.len() as u32 + u32::from(rng.random_ratio(1, 20));
                let row = |rng: &mut ChaCha8Rng| {
                    let mut row = self.slot_row(rng, vaccines.len(), sites.max(1));
                    match rng.random_range(0..100) {
                        0 => row.end_minute = row.start_minute,
                        1 => row.end_minute = 1_441,
                        2 => row.vaccine = vaccines.len() as u8,
                        3 => row.day = Day(-1),
                        _ => {}
                    }
                    row
                };
                ImportRows::Slots((0..length).map(|_| row(rng)).collect())
            }
            ImportKind::Members { .. } => {
                let length = if rng.random_ratio(1, 60) { 8_193 } else { length };
                // Some of them are mentioned for the first time here.
                let key = |rng: &mut ChaCha8Rng| person_key(rng.random_range(0..self.people + 3));
                ImportRows::Members((0..length).map(|_| key(rng)).collect())
            }
        }
    }

    fn site(&self, number: u32, rng: &mut ChaCha8Rng) -> Site {
        let (id, county) = match rng.random_range(0..80) {
            0 => (String::new(), 0),
            1 => (format!("S{number}"), 64),
            _ => (format!("S{number}"), rng.random_range(0..3)),
        };
        Site {
            id,
            name_zh: format!("院所{number}"),
            name_en: format!("Site {number}"),
            county: CountyNumber(county),
            district: DistrictNumber(rng.random_range(0..3)),
            address: format!("{} Road", rng.random_range(1..9)),
            kind: "clinic".into(),
        }
    }

    fn slot_row(&self, rng: &mut ChaCha8Rng, vaccines: usize, sites: u32) -> SlotRow {
        let today = self.now.day().0.max(FIRST_DAY.0);
        let start_minute = [0, 540, 600, 1_439][rng.random_range(0..4)];
        SlotRow {
            site: SiteNumber(rng.random_range(0..sites)),
            day: Day(today + rng.random_range(0..self.days)),
            start_minute,
            end_minute: (start_minute + 30).min(1_440),
            vaccine: rng.random_range(0..vaccines.max(1)) as u8,
            capacity: rng.random_range(0..=self.capacity),
        }
    }
}

fn rows_of(rows: &ImportRows) -> u32 {
    match rows {
        ImportRows::Sites(rows) => rows.len() as u32,
        ImportRows::Slots(rows) => rows.len() as u32,
        ImportRows::Members(rows) => rows.len() as u32,
    }
}
