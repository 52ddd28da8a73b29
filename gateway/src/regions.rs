//! The counties and districts of Taiwan: 22 and 368, with official codes and names.
//!
//! The table is compiled in from `config/regions.csv`. Stored data refers to a region by its place in
//! that file, so rows are only ever added at its end. What this module does not do: geography.

use std::sync::LazyLock;

use domain::{CountyNumber, DistrictNumber};

/// The table as published.
const REGIONS_CSV: &str = include_str!("../../config/regions.csv");

/// All regions, in the order of the file.
#[derive(Debug)]
pub struct Regions {
    /// By [`CountyNumber`].
    pub counties: Vec<County>,
    /// By [`DistrictNumber`].
    pub districts: Vec<District>,
}

/// A county or a city of that rank.
#[derive(Debug, PartialEq, Eq)]
pub struct County {
    /// Official code, for example `63000`.
    pub code: &'static str,
    /// Name in Chinese.
    pub name_zh: &'static str,
    /// Name in English.
    pub name_en: &'static str,
}

/// A township, town, city or district within a county.
#[derive(Debug, PartialEq, Eq)]
pub struct District {
    /// Official code, for example `63000070`.
    pub code: &'static str,
    /// Its county.
    pub county: CountyNumber,
    /// Name in Chinese.
    pub name_zh: &'static str,
    /// Name in English.
    pub name_en: &'static str,
}

/// The table, read once.
pub fn regions() -> &'static Regions {
    static REGIONS: LazyLock<Regions> = LazyLock::new(|| parse(REGIONS_CSV));
    &REGIONS
}

impl Regions {
    /// The county with this official code.
    pub fn county_by_code(&self, code: &str) -> Option<CountyNumber> {
        let place = self.counties.iter().position(|county| county.code == code)?;
        u8::try_from(place).ok().map(CountyNumber)
    }

    /// The district with this official code.
    pub fn district_by_code(&self, code: &str) -> Option<DistrictNumber> {
        let place = self.districts.iter().position(|district| district.code == code)?;
        u16::try_from(place).ok().map(DistrictNumber)
    }

    /// The county, when the number is one of ours.
    pub fn county(&self, number: CountyNumber) -> Option<&County> {
        self.counties.get(number.index())
    }

    /// The district, when the number is one of ours.
    pub fn district(&self, number: DistrictNumber) -> Option<&District> {
        self.districts.get(number.index())
    }

    /// The districts of a county, with their numbers.
    pub fn districts_of(
        &self,
        county: CountyNumber,
    ) -> impl Iterator<Item = (DistrictNumber, &District)> {
        (0u16..)
            .map(DistrictNumber)
            .zip(&self.districts)
            .filter(move |(_, district)| district.county == county)
    }
}

/// Reads the compiled-in file; its shape is checked by the tests below, so odd lines are left out here.
fn parse(csv: &'static str) -> Regions {
    let mut regions = Regions { counties: Vec::new(), districts: Vec::new() };
    let rows = csv.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    for line in rows {
        let fields: Vec<&'static str> = line.split(',').collect();
        let [county_code, county_zh, county_en, code, name_zh, name_en] = fields[..] else {
            continue;
        };
        let known = regions.counties.iter().position(|county| county.code == county_code);
        let place = known.unwrap_or_else(|| {
            regions.counties.push(County {
                code: county_code,
                name_zh: county_zh,
                name_en: county_en,
            });
            regions.counties.len() - 1
        });
        let county = CountyNumber(u8::try_from(place).unwrap_or(u8::MAX));
        regions.districts.push(District { code, county, name_zh, name_en });
    }
    regions
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_22_counties_and_368_districts() {
        assert_eq!(regions().counties.len(), 22);
        assert_eq!(regions().districts.len(), 368);
    }

    #[test]
    fn every_code_and_every_full_name_is_unique_and_not_empty() {
        let all = regions();
        let full = |pick: fn(&District) -> &str, county: fn(&County) -> &str| -> BTreeSet<String> {
            all.districts
                .iter()
                .map(|district| {
                    let of = all.county(district.county).unwrap();
                    assert!(!pick(district).is_empty() && !county(of).is_empty());
                    format!("{} {}", county(of), pick(district))
                })
                .collect()
        };
        assert_eq!(full(|d| d.name_zh, |c| c.name_zh).len(), 368);
        assert_eq!(full(|d| d.name_en, |c| c.name_en).len(), 368);
        assert_eq!(all.districts.iter().map(|d| d.code).collect::<BTreeSet<_>>().len(), 368);
        for pick in [|c: &County| c.code, |c: &County| c.name_zh, |c: &County| c.name_en] {
            assert_eq!(all.counties.iter().map(pick).collect::<BTreeSet<_>>().len(), 22);
        }
    }

    #[test]
    fn names_are_of_their_script_and_codes_nest() {
        for district in &regions().districts {
            let county = regions().county(district.county).unwrap();
            assert!(district.code.starts_with(county.code) && district.code.len() == 8);
            assert!(district.name_en.is_ascii() && county.name_en.is_ascii());
            assert!(district.name_zh.ends_with(['區', '鄉', '鎮', '市']), "{}", district.name_zh);
            assert!(county.name_zh.ends_with(['縣', '市']), "{}", county.name_zh);
        }
    }

    #[test]
    fn the_manuals_example_is_found_by_code() {
        let wanhua = regions().district_by_code("63000070").unwrap();
        assert_eq!(regions().district(wanhua).unwrap().name_zh, "萬華區");
        let taipei = regions().county_by_code("63000").unwrap();
        assert_eq!(regions().county(taipei).unwrap().name_zh, "臺北市");
        assert_eq!(regions().districts_of(taipei).count(), 12);
    }
}
