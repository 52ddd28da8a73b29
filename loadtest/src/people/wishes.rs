//! Vaccine wishes and districts, once the server has said what there is to choose from.
//!
//! The shares of wishes are the published ones of July 2021; the earlier table is used while only
//! AZ and Moderna are on offer, the later one when MVC is too.

use serde::Deserialize;

/// Published on 2021-07-19: hundredths of a per cent of registrants by the set ticked.
const WISHES_TWO: [(&[&str], u64); 3] =
    [(&["AZ"], 463), (&["AZ", "Moderna"], 5_122), (&["Moderna"], 4_415)];
/// Published on 2021-07-28, with MVC on offer.
const WISHES_THREE: [(&[&str], u64); 7] = [
    (&["AZ"], 498),
    (&["Moderna"], 3_900),
    (&["MVC"], 101),
    (&["AZ", "Moderna"], 5_002),
    (&["AZ", "MVC"], 18),
    (&["Moderna", "MVC"], 75),
    (&["AZ", "Moderna", "MVC"], 406),
];
/// Residents out of 10,000 by county, by the name the regions answer gives; others weigh `OTHER_WEIGHT`.
const COUNTY_WEIGHTS: [(&str, u64); 22] = [
    ("新北市", 1_720),
    ("臺中市", 1_200),
    ("高雄市", 1_172),
    ("臺北市", 1_080),
    ("桃園市", 970),
    ("臺南市", 796),
    ("彰化縣", 538),
    ("屏東縣", 343),
    ("雲林縣", 286),
    ("新竹縣", 246),
    ("苗栗縣", 230),
    ("嘉義縣", 211),
    ("南投縣", 207),
    ("宜蘭縣", 192),
    ("新竹市", 193),
    ("基隆市", 156),
    ("花蓮縣", 137),
    ("嘉義市", 113),
    ("臺東縣", 91),
    ("金門縣", 60),
    ("澎湖縣", 46),
    ("連江縣", 6),
];
/// Weight of a county whose name is not in the table.
const OTHER_WEIGHT: u64 = 100;

/// One district as the regions answer names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct District {
    /// County code.
    pub county: String,
    /// District code.
    pub district: String,
}

/// The districts on offer, weighted by county.
#[derive(Clone, Debug)]
pub struct Regions {
    districts: Vec<(District, u64)>,
}

#[derive(Deserialize)]
struct RegionsAnswer {
    counties: Vec<CountyAnswer>,
}

#[derive(Deserialize)]
struct CountyAnswer {
    code: String,
    names: NamesAnswer,
    districts: Vec<DistrictAnswer>,
}

#[derive(Deserialize)]
struct NamesAnswer {
    #[serde(rename = "zh-TW", default)]
    zh_tw: String,
}

#[derive(Deserialize)]
struct DistrictAnswer {
    code: String,
}

impl Regions {
    /// Reads the answer of `GET /v1/regions`.
    pub fn from_answer(body: &[u8]) -> Result<Regions, String> {
        let answer: RegionsAnswer = serde_json::from_slice(body)
            .map_err(|error| format!("the regions answer cannot be read: {error}"))?;
        let mut districts = Vec::new();
        let mut total = 0;
        for county in answer.counties {
            let known = COUNTY_WEIGHTS.iter().find(|(name, _)| *name == county.names.zh_tw);
            let weight = known.map_or(OTHER_WEIGHT, |(_, weight)| *weight) * 1_000;
            let count = county.districts.len().max(1) as u64;
            for district in county.districts {
                total += (weight / count).max(1);
                districts.push((
                    District { county: county.code.clone(), district: district.code },
                    total,
                ));
            }
        }
        if districts.is_empty() {
            return Err("the regions answer names no district".to_owned());
        }
        Ok(Regions { districts })
    }

    /// The district of a random word.
    pub fn district(&self, draw: u64) -> &District {
        let total = self.districts.last().map_or(1, |(_, through)| *through);
        let place = self.districts.partition_point(|(_, through)| *through <= draw % total);
        &self.districts[place.min(self.districts.len() - 1)].0
    }

    /// How many districts there are.
    pub fn len(&self) -> usize {
        self.districts.len()
    }

    /// Always false: a `Regions` without districts is not made.
    pub fn is_empty(&self) -> bool {
        self.districts.is_empty()
    }

    /// The district at `place`, counted round.
    pub fn at(&self, place: usize) -> &District {
        &self.districts[place % self.districts.len()].0
    }
}

/// How people choose among the vaccines on offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WishModel {
    /// By the published shares: some people want none of what is offered and will not be eligible.
    Shares,
    /// Everybody ticks everything, as the form does by default.
    All,
}

/// The vaccines ticked by the citizen of a random word, among those `offered`.
pub fn wishes(model: WishModel, offered: &[String], draw: u64) -> Vec<&str> {
    let all = || offered.iter().map(String::as_str).collect::<Vec<_>>();
    if model == WishModel::All {
        return all();
    }
    let table: &[(&[&str], u64)] =
        if offered.iter().any(|name| name == "MVC") { &WISHES_THREE } else { &WISHES_TWO };
    let total: u64 = table.iter().map(|(_, share)| share).sum();
    let mut wanted = draw % total;
    for (set, share) in table {
        if wanted < *share {
            let chosen: Vec<&str> = all().into_iter().filter(|name| set.contains(name)).collect();
            // At least one must stay ticked: who finds none of theirs leaves the form as it is.
            return if chosen.is_empty() { all() } else { chosen };
        }
        wanted -= share;
    }
    all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn wishes_follow_the_published_shares() {
        let offered = ["AZ".to_owned(), "Moderna".to_owned()];
        let mut both = 0;
        for draw in 0..10_000 {
            both += u32::from(wishes(WishModel::Shares, &offered, draw).len() == 2);
        }
        assert_eq!(both, 5_122);
    }

    #[test]
    fn nobody_leaves_the_form_without_a_vaccine() {
        for offered in
            [vec!["BNT".to_owned()], vec!["AZ".to_owned()], vec!["AZ".to_owned(), "MVC".to_owned()]]
        {
            for draw in 0..10_000 {
                assert!(!wishes(WishModel::Shares, &offered, draw).is_empty());
            }
        }
    }

    #[test]
    fn large_counties_hold_more_people_than_small_ones() {
        let body = r#"{"counties":[
            {"code":"TPE","names":{"zh-TW":"臺北市"},"districts":[{"code":"a"},{"code":"b"}]},
            {"code":"LIE","names":{"zh-TW":"連江縣"},"districts":[{"code":"c"}]}]}"#;
        let regions = Regions::from_answer(body.as_bytes()).unwrap();
        assert_eq!(regions.len(), 3);
        let small = (0..1_086_000u64)
            .step_by(100)
            .filter(|draw| regions.district(*draw).county == "LIE")
            .count();
        assert_eq!(small, 60);
        assert!(Regions::from_answer(b"{}").is_err());
    }
}
