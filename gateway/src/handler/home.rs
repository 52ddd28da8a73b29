//! P4: what is announced, and the list of regions.

use std::sync::LazyLock;

use hyper::http::request::Parts;
use serde_json::json;

use super::expect_caught_up;
use crate::core::Core;
use crate::problem::Problem;
use crate::regions::regions as all_regions;
use crate::reply::{JSON, Prepared, Reply};

/// Regions change with a release, not in between.
const REGIONS_AGE_S: u32 = 3_600;

/// `GET /v1/home`
pub(crate) fn home(core: &Core, head: &Parts) -> Result<Reply, Problem> {
    expect_caught_up(core)?;
    let published = core.context.availability.published();
    Ok(published.notices.home.reply(&head.headers, JSON, 1, false))
}

/// `GET /v1/regions`
pub(crate) fn regions(head: &Parts) -> Reply {
    static REGIONS: LazyLock<Prepared> = LazyLock::new(prepare);
    REGIONS.reply(&head.headers, JSON, REGIONS_AGE_S, false)
}

fn prepare() -> Prepared {
    let all = all_regions();
    let counties = (0_u8..).map(domain::CountyNumber).zip(&all.counties);
    let counties = counties.map(|(number, county)| {
        let districts = all.districts_of(number).map(|(_, district)| {
            json!({
                "code": district.code,
                "names": { "zh-TW": district.name_zh, "en": district.name_en },
            })
        });
        json!({
            "code": county.code,
            "names": { "zh-TW": county.name_zh, "en": county.name_en },
            "districts": districts.collect::<Vec<_>>(),
        })
    });
    Prepared::new(json!({ "counties": counties.collect::<Vec<_>>() }).to_string())
}
