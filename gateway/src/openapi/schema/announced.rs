//! What everyone may see: categories, periods, regions, sites and slots.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is announced.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Home {
    /// Categories in which people may register now.
    pub(crate) categories: Vec<CategoryInfo>,
    /// Periods that are open or coming.
    pub(crate) periods: Vec<PeriodInfo>,
}

/// A target category.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CategoryInfo {
    /// As announced.
    pub(crate) number: u16,
    /// What it is called, by language tag.
    pub(crate) names: BTreeMap<String, String>,
    /// People born on or before this day belong to it.
    #[schema(format = Date)]
    pub(crate) born_on_or_before: Option<String>,
    /// People on a list belong to it.
    pub(crate) members: bool,
    /// Registration opens.
    #[schema(format = DateTime)]
    pub(crate) opens_at: String,
    /// Registration closes; never, when null.
    #[schema(format = DateTime)]
    pub(crate) closes_at: Option<String>,
    /// Vaccines offered for ticking.
    pub(crate) vaccines: Vec<String>,
    /// Ways to prove who one is.
    pub(crate) identity_methods: Vec<String>,
}

/// A period.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct PeriodInfo {
    /// As announced.
    pub(crate) number: u16,
    /// What it is called, by language tag.
    pub(crate) names: BTreeMap<String, String>,
    /// Vaccines offered.
    pub(crate) vaccines: Vec<String>,
    /// Intents completed before this instant are eligible; any, when null.
    #[schema(format = DateTime)]
    pub(crate) registered_before: Option<String>,
    /// Codes of the counties whose wished region is eligible; all, when null.
    pub(crate) counties: Option<Vec<String>>,
    /// Categories of which the person must belong to one; any, when null.
    pub(crate) categories: Option<Vec<u16>>,
    /// People born on or before this day are eligible; all, when null.
    #[schema(format = Date)]
    pub(crate) born_on_or_before: Option<String>,
    /// The window opens.
    #[schema(format = DateTime)]
    pub(crate) opens_at: String,
    /// The window closes.
    #[schema(format = DateTime)]
    pub(crate) closes_at: String,
    /// Staggered openings; where there are any, these alone decide when whom.
    pub(crate) openings: Vec<OpeningInfo>,
    /// `coming`, `open` or `closed`.
    pub(crate) state: String,
    /// Ways to prove who one is.
    pub(crate) identity_methods: Vec<String>,
    /// With a token: whether the period's conditions take the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) eligible: Option<bool>,
    /// With a token: what stands in the way of booking at this moment, or null.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "nullable")]
    #[schema(value_type = Option<String>, required = false)]
    pub(crate) reason: Option<Option<String>>,
    /// With a token: from when the caller may book, or null.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "nullable")]
    #[schema(value_type = Option<String>, required = false, format = DateTime)]
    pub(crate) may_book_from: Option<Option<String>>,
}

/// A field that is absent, null or a text.
mod nullable {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Option<String>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.clone().flatten().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<String>>, D::Error> {
        Option::<String>::deserialize(deserializer).map(Some)
    }
}

/// A staggered opening.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct OpeningInfo {
    /// For people born on or before this day; for everyone, when null.
    #[schema(format = Date)]
    pub(crate) born_on_or_before: Option<String>,
    /// From this instant.
    #[schema(format = DateTime)]
    pub(crate) opens_at: String,
}

/// All periods.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Periods {
    /// By number.
    pub(crate) periods: Vec<PeriodInfo>,
}

/// All regions.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct RegionList {
    /// 22 of them.
    pub(crate) counties: Vec<CountyInfo>,
}

/// A county.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CountyInfo {
    /// Official code.
    #[schema(example = "63000")]
    pub(crate) code: String,
    /// Names by language tag.
    pub(crate) names: BTreeMap<String, String>,
    /// Its districts.
    pub(crate) districts: Vec<DistrictInfo>,
}

/// A district.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct DistrictInfo {
    /// Official code.
    #[schema(example = "63000070")]
    pub(crate) code: String,
    /// Names by language tag.
    pub(crate) names: BTreeMap<String, String>,
}

/// Sites of a period.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteList {
    /// Those with slots for the period's vaccines.
    pub(crate) sites: Vec<SiteInfo>,
}

/// A site with places left.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SiteInfo {
    /// The operator's id.
    pub(crate) id: String,
    /// Name, in Chinese or English.
    pub(crate) name: String,
    /// Code of its county.
    pub(crate) county: String,
    /// Code of its district.
    pub(crate) district: String,
    /// Street address.
    pub(crate) address: String,
    /// Places left, at most one second old.
    pub(crate) places_left: u64,
}

/// Slots of a site.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SlotList {
    /// Those that have not begun.
    pub(crate) slots: Vec<SlotInfo>,
}

/// A slot with places left.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SlotInfo {
    /// What to send in a booking.
    pub(crate) number: u32,
    /// The site's id.
    pub(crate) site: String,
    /// The day in Taiwan.
    #[schema(format = Date)]
    pub(crate) date: String,
    /// It begins.
    #[schema(format = DateTime)]
    pub(crate) starts_at: String,
    /// It ends.
    #[schema(format = DateTime)]
    pub(crate) ends_at: String,
    /// What is given.
    pub(crate) vaccine: String,
    /// Places in all.
    pub(crate) capacity: u32,
    /// Places left, at most one second old.
    pub(crate) places_left: u32,
}
