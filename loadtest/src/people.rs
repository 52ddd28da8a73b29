//! Synthetic people: a seed and an index give one citizen, always the same one.
//!
//! No table is kept: ten million people cost nothing until they are asked for, and a later audit
//! finds the same people again from the seed alone. Numbers are unique by construction (an index is
//! mapped one to one into each number range) and carry the official check digit. Shares of age
//! groups, counties and wishes follow published figures roughly; they shape load, they are not
//! statistics. Deliberately no real number is excluded: such people may only be used on servers
//! that hold no real data, which is why the load test refuses other hosts than loopback by default.

pub mod ages;
pub mod names;
pub mod numbers;
pub mod wishes;

use jiff::civil::Date;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use ages::AgePyramid;
use numbers::{
    Scatter, card_number, national_id, old_residence_number, passport_number, permit_number,
    phone_number, unified_id,
};

/// Most people one population may hold: below the smallest number range, so that numbers stay unique.
pub const PEOPLE_MAX: u64 = 50_000_000;
/// What the shares of [`KINDS`] are parts of.
const SHARES_TOTAL: u64 = 10_000;
/// Kinds of people other than holders of a national ID, who are the rest, in parts of 10,000.
const KINDS: [(Kind, u64); 5] = [
    (Kind::Unified, 150),
    (Kind::Renumbered, 70),
    (Kind::OldResidence, 30),
    (Kind::Passport, 60),
    (Kind::Permit, 50),
];
/// Sets the random stream of people apart from other uses of the same seed.
const STREAM_LABEL: [u8; 8] = *b"citizens";

/// Which numbers a person holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// National ID and NHI card.
    National,
    /// Unified ID of the new form and NHI card.
    Unified,
    /// The same, and an older residence number, with which half of them still log in.
    Renumbered,
    /// An old residence number alone, and NHI card.
    OldResidence,
    /// Unified ID and passport, no NHI card.
    Passport,
    /// Unified ID and exit-entry permit, no NHI card.
    Permit,
}

/// The document shown beside the ID number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// NHI card, twelve digits.
    Card(String),
    /// Exit-entry permit.
    Permit(String),
    /// Passport.
    Passport(String),
}

/// One synthetic citizen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citizen {
    /// The citizen's place in the population.
    pub index: u64,
    /// Current ID number.
    pub id_number: String,
    /// Older residence number of the same person.
    pub former_id_number: Option<String>,
    /// Logs in with the older number, as people do who have not exchanged their card.
    pub uses_former_id: bool,
    /// What is shown beside the ID number.
    pub document: Document,
    /// Name as it would be typed into the form.
    pub name: String,
    /// Taiwan mobile number, `09` and eight digits.
    pub phone: String,
    /// Date of birth.
    pub birth_date: Date,
    /// Language of the text messages wanted.
    pub language: &'static str,
    /// Decides the district, once the regions are known.
    pub district_draw: u64,
    /// Decides the vaccines ticked, once those on offer are known.
    pub wish_draw: u64,
}

impl Citizen {
    /// The number this citizen types at the identity check.
    pub fn login_id(&self) -> &str {
        match (&self.former_id_number, self.uses_former_id) {
            (Some(former), true) => former,
            _ => &self.id_number,
        }
    }

    /// The body of `POST /v1/identity`.
    pub fn identity_body(&self) -> String {
        let (field, number) = match &self.document {
            Document::Card(number) => ("card_number", number),
            Document::Permit(number) => ("entry_permit_number", number),
            Document::Passport(number) => ("passport_number", number),
        };
        format!(r#"{{"method":"document","id_number":"{}","{field}":"{number}"}}"#, self.login_id())
    }
}

/// Everything that decides who the people are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PopulationOptions {
    /// Same seed, same people.
    pub seed: u64,
    /// Nobody is born later; `None` lets children in.
    pub born_on_or_before: Option<Date>,
}

/// People by index.
#[derive(Clone, Debug)]
pub struct Population {
    options: PopulationOptions,
    ages: AgePyramid,
    /// One mapping per number range, so that consecutive people do not hold consecutive numbers.
    national: Scatter,
    unified: Scatter,
    residence: Scatter,
    cards: Scatter,
    permits: Scatter,
    passports: Scatter,
    phones: Scatter,
}

impl Population {
    /// The population of these options.
    pub fn new(options: PopulationOptions) -> Population {
        let mut draws = stream(options.seed, u64::MAX);
        let mut scatter = |size: u64| Scatter::new(size, draws.next_u64(), draws.next_u64());
        Population {
            ages: AgePyramid::new(options.born_on_or_before),
            national: scatter(numbers::NATIONAL_IDS),
            unified: scatter(numbers::UNIFIED_IDS),
            residence: scatter(numbers::OLD_RESIDENCE_NUMBERS),
            cards: scatter(numbers::CARDS),
            permits: scatter(numbers::PERMITS),
            passports: scatter(numbers::PASSPORTS),
            phones: scatter(numbers::PHONES),
            options,
        }
    }

    /// What made this population.
    pub fn options(&self) -> &PopulationOptions {
        &self.options
    }

    /// The citizen at `index`; indexes from [`PEOPLE_MAX`] on repeat people.
    pub fn citizen(&self, index: u64) -> Citizen {
        let mut draws = stream(self.options.seed, index);
        let kind = kind(draws.next_u64());
        let place = index % PEOPLE_MAX;
        let id_number = match kind {
            Kind::National => national_id(self.national.place(place)),
            Kind::OldResidence => old_residence_number(self.residence.place(place)),
            _ => unified_id(self.unified.place(place)),
        };
        let former =
            (kind == Kind::Renumbered).then(|| old_residence_number(self.residence.place(place)));
        let document = match kind {
            Kind::Passport => Document::Passport(passport_number(self.passports.place(place))),
            Kind::Permit => Document::Permit(permit_number(self.permits.place(place))),
            _ => Document::Card(card_number(self.cards.place(place))),
        };
        let foreign = !matches!(kind, Kind::National | Kind::Permit);
        Citizen {
            index,
            uses_former_id: former.is_some() && draws.next_u64().is_multiple_of(2),
            id_number,
            former_id_number: former,
            document,
            name: names::name(foreign, draws.next_u64()),
            phone: phone_number(self.phones.place(place)),
            birth_date: self.ages.birth_date(draws.next_u64(), draws.next_u64()),
            language: names::language(foreign, draws.next_u64()),
            district_draw: draws.next_u64(),
            wish_draw: draws.next_u64(),
        }
    }
}

/// The kind of a random word.
fn kind(draw: u64) -> Kind {
    let mut wanted = draw % SHARES_TOTAL;
    for (kind, share) in KINDS {
        if wanted < share {
            return kind;
        }
        wanted -= share;
    }
    Kind::National
}

/// The random stream of one index under one seed.
fn stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&STREAM_LABEL);
    let mut draws = ChaCha8Rng::from_seed(key);
    draws.set_stream(index);
    draws
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SEED: u64 = 1922;
    const SAMPLE: u64 = 1_000_000;

    fn population() -> Population {
        Population::new(PopulationOptions {
            seed: SEED,
            born_on_or_before: Some(jiff::civil::date(2003, 12, 31)),
        })
    }

    /// The check as the household registration rule is usually written, from the letter order and
    /// by subtraction from ten: another road than the generator's.
    fn check_digit_holds(number: &str) -> bool {
        const ORDER: &str = "ABCDEFGHJKLMNPQRSTUVXYWZIO";
        let bytes = number.as_bytes();
        if bytes.len() != 10 {
            return false;
        }
        let code = |letter: u8| ORDER.find(letter as char).map(|place| place as u32 + 10);
        let Some(first) = code(bytes[0]) else { return false };
        let second = match bytes[1] {
            digit @ b'0'..=b'9' => u32::from(digit - b'0'),
            letter => match code(letter) {
                Some(code) => code % 10,
                None => return false,
            },
        };
        let mut sum = first / 10 + (first % 10) * 9 + second * 8;
        for (place, digit) in bytes[2..9].iter().enumerate() {
            sum += u32::from(digit - b'0') * (7 - place as u32);
        }
        (10 - sum % 10) % 10 == u32::from(bytes[9] - b'0')
    }

    fn shape_holds(number: &str) -> bool {
        let bytes = number.as_bytes();
        bytes[0].is_ascii_uppercase()
            && matches!(bytes[1], b'1' | b'2' | b'8' | b'9' | b'A'..=b'D')
            && bytes[2..].iter().all(u8::is_ascii_digit)
    }

    #[test]
    fn published_sample_numbers_pass_the_independent_check() {
        assert!(check_digit_holds("A123456789"));
        assert!(!check_digit_holds("A123456788"));
        assert!(check_digit_holds("A800000014"));
    }

    #[test]
    fn a_million_people_hold_valid_and_unique_numbers() {
        let people = population();
        let mut ids = HashSet::with_capacity(SAMPLE as usize);
        let mut documents = HashSet::with_capacity(SAMPLE as usize);
        let mut phones = HashSet::with_capacity(SAMPLE as usize);
        for index in 0..SAMPLE {
            let citizen = people.citizen(index);
            for id in
                [Some(&citizen.id_number), citizen.former_id_number.as_ref()].into_iter().flatten()
            {
                assert!(
                    shape_holds(id) && check_digit_holds(id),
                    "seed {SEED}, index {index}: {id}"
                );
                assert!(ids.insert(id.clone()), "seed {SEED}, index {index}: {id} twice");
            }
            let document = match &citizen.document {
                Document::Card(number) => {
                    assert!(number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit()));
                    format!("c{number}")
                }
                Document::Permit(number) => format!("e{number}"),
                Document::Passport(number) => format!("p{number}"),
            };
            assert!(documents.insert(document), "seed {SEED}, index {index}: document twice");
            assert!(citizen.phone.len() == 10 && citizen.phone.starts_with("09"));
            assert!(
                phones.insert(citizen.phone.clone()),
                "seed {SEED}, index {index}: phone twice"
            );
            assert!(!citizen.name.is_empty());
        }
    }

    #[test]
    fn every_kind_of_person_appears_in_its_share() {
        let people = population();
        let (mut national, mut former, mut old, mut permit, mut passport) =
            (0u32, 0u32, 0u32, 0u32, 0u32);
        for index in 0..100_000 {
            let citizen = people.citizen(index);
            let second = citizen.id_number.as_bytes()[1];
            national += u32::from(matches!(second, b'1' | b'2'));
            old += u32::from(second.is_ascii_uppercase());
            former += u32::from(citizen.former_id_number.is_some());
            permit += u32::from(matches!(citizen.document, Document::Permit(_)));
            passport += u32::from(matches!(citizen.document, Document::Passport(_)));
        }
        assert!((96_000..96_900).contains(&national), "{national}");
        assert!((550..850).contains(&former), "{former}");
        assert!((200..420).contains(&old), "{old}");
        assert!((380..640).contains(&permit), "{permit}");
        assert!((450..760).contains(&passport), "{passport}");
    }

    #[test]
    fn the_same_seed_gives_the_same_person_and_another_seed_another() {
        let other = Population::new(PopulationOptions { seed: SEED + 1, born_on_or_before: None });
        assert_eq!(population().citizen(77), population().citizen(77));
        assert_ne!(population().citizen(77).id_number, other.citizen(77).id_number);
    }
}
