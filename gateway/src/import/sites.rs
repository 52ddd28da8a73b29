//! The CSV of sites: `id,name_zh,name_en,county,district,address,kind`.

use std::collections::HashMap;

use domain::Site;

use super::csv::read_rows;
use super::error::{Reason, RowError};
use super::{Reading, RowResult};

/// The columns.
pub const COLUMNS: [&str; 7] =
    ["id", "name_zh", "name_en", "county", "district", "address", "kind"];

/// Characters of a site's id.
pub const ID_CHARS_MAX: usize = 64;
/// Characters of a site's name in one language.
pub const NAME_CHARS_MAX: usize = 100;
/// Characters of an address.
pub const ADDRESS_CHARS_MAX: usize = 200;
/// Characters of a kind of site.
pub const KIND_CHARS_MAX: usize = 32;

/// Reads the file; every good row goes to `each`.
///
/// # Errors
/// All that is wrong with the file, the caller's own errors included.
pub fn read(
    bytes: &[u8],
    reading: &Reading,
    mut each: impl FnMut(u32, Site) -> RowResult,
) -> Result<u32, Vec<RowError>> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    read_rows(bytes, &COLUMNS, &reading.limits, |cells| {
        let id = cells.name(0, ID_CHARS_MAX);
        let name_zh = cells.words(1, NAME_CHARS_MAX);
        let name_en = cells.words(2, NAME_CHARS_MAX);
        let region = cells.region(3, 4);
        let address = cells.words(5, ADDRESS_CHARS_MAX);
        let kind = cells.name(6, KIND_CHARS_MAX);
        let (line, id) = (cells.line, id?);
        if let Some(first_line) = seen.insert(id.to_owned(), line) {
            cells.fault(0, Reason::Duplicate { first_line: u64::from(first_line) });
            return None;
        }
        let (county, district) = region?;
        let site = Site {
            id: id.to_owned(),
            name_zh: name_zh?.to_owned(),
            name_en: name_en?.to_owned(),
            county,
            district,
            address: address?.to_owned(),
            kind: kind?.to_owned(),
        };
        Some(each(line, site))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests_support::codes;
    use super::*;

    const GOOD: &str = "T-01,臺北示範醫院,Taipei Sample Hospital,63000,63000070,示範路1號,hospital";

    fn read_one(row: &str) -> Result<Vec<Site>, Vec<String>> {
        let file = format!("{}\n{row}\n", COLUMNS.join(","));
        let mut sites = Vec::new();
        let result = read(file.as_bytes(), &Reading::for_tests(), |_, site| {
            sites.push(site);
            Ok(())
        });
        codes(result).map(|_| sites)
    }

    #[test]
    fn a_site_is_read_with_its_region() {
        let sites = read_one(GOOD).unwrap();
        assert_eq!(sites[0].id, "T-01");
        assert_eq!(sites[0].address, "示範路1號");
        let district = crate::regions::regions().district(sites[0].district).unwrap();
        assert_eq!(district.name_zh, "萬華區");
        assert_eq!(read_one(&GOOD.replace("63000070", "６３０００070")).unwrap().len(), 1);
    }

    #[test]
    fn every_rule_of_a_site_names_its_column() {
        let long = "長".repeat(101);
        for (from, to, expected) in [
            ("T-01", "", "2:id:required"),
            ("T-01", "T/01", "2:id:characters"),
            ("T-01", ".01", "2:id:characters"),
            ("T-01", "=1", "2:id:formula"),
            ("臺北示範醫院", "", "2:name_zh:required"),
            ("臺北示範醫院", "=HYPERLINK(1)", "2:name_zh:formula"),
            ("臺北示範醫院", &long, "2:name_zh:too_long"),
            ("Taipei Sample Hospital", "", "2:name_en:required"),
            ("Taipei Sample Hospital", "@x", "2:name_en:formula"),
            ("63000,", "99999,", "2:county:unknown_county"),
            ("63000,", "臺北市,", "2:county:unknown_county"),
            ("63000070", "63000999", "2:district:unknown_district"),
            ("63000070", "65000010", "2:district:district_elsewhere"),
            ("示範路1號", "", "2:address:required"),
            ("示範路1號", "-1", "2:address:formula"),
            ("hospital", "", "2:kind:required"),
            ("hospital", "a hospital", "2:kind:characters"),
        ] {
            assert_eq!(read_one(&GOOD.replace(from, to)).unwrap_err(), [expected], "{from} → {to}");
        }
    }

    #[test]
    fn all_faults_of_a_row_are_named_together() {
        let errors = read_one(",,,,,,").unwrap_err();
        assert_eq!(errors.len(), 7, "{errors:?}");
    }

    #[test]
    fn the_same_id_twice_names_the_earlier_line() {
        let file = format!("{GOOD}\n{}\n{GOOD}", GOOD.replace("T-01", "T-02"));
        assert_eq!(read_one(&file).unwrap_err(), ["4:id:duplicate"]);
    }
}
