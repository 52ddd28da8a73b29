//! The bodies of the public calls.
//!
//! Answers for everyone are prepared as text, and a booking's answer is written piece by piece, so
//! these structs do not make them; a test compares every kind of answer, as it comes over a socket, with
//! the schema derived from them. Bodies of operators' calls are their handlers' own structs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// Schemas that no call's own body refers to.
pub(super) fn all() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = Vec::new();
    Problem::schemas(&mut schemas);
    schemas.push((Problem::name().into_owned(), Problem::schema()));
    schemas
}

/// An error, RFC 9457.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// `/problems/` and a stable name.
    #[serde(rename = "type")]
    #[schema(example = "/problems/slot-full")]
    pub(crate) kind: String,
    /// What happened, in the caller's language.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened and what to do, in the caller's language.
    pub(crate) detail: String,
    /// Names the request; with a decided refusal, the decision.
    pub(crate) request_id: String,
    /// Why the rules said no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "slot_full")]
    pub(crate) reason: Option<String>,
    /// True when this is the outcome of the request; false when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decided: Option<bool>,
    /// The receipt of a decided request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<String>,
    /// Fields or rows at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) errors: Vec<ProblemError>,
    /// How many there are, those not named included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) errors_total: Option<u64>,
    /// Rows of an operator's command that were decided against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(crate) refusals: Vec<ProblemRefusal>,
}

/// One field or row at fault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemError {
    /// A stable name of the fault.
    #[schema(example = "required")]
    pub(crate) code: String,
    /// What is wrong, in the caller's language.
    pub(crate) detail: String,
    /// JSON pointer into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pointer: Option<String>,
    /// A query parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parameter: Option<String>,
    /// Line of a CSV file; the header is line 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    /// Column of a CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

/// One row that was decided against.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct ProblemRefusal {
    /// Place of the row in the command, from 0.
    pub(crate) row: u32,
    /// Why.
    #[schema(example = "capacity_below_booked")]
    pub(crate) reason: String,
}

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

/// Proof of identity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdentityBody {
    /// How the caller proves who they are.
    #[schema(example = "document")]
    pub(crate) method: String,
    /// National ID, unified ID or ARC number.
    #[schema(example = "A123456789")]
    pub(crate) id_number: String,
    /// NHI card: twelve digits. Exactly one of the three document numbers is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "000012345678")]
    pub(crate) card_number: Option<String>,
    /// Exit-entry permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entry_permit_number: Option<String>,
    /// Passport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passport_number: Option<String>,
}

/// A token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Session {
    /// Bearer token for the calls of this person.
    pub(crate) token: String,
    /// It holds until then.
    #[schema(format = DateTime)]
    pub(crate) expires_at: String,
    /// Whom it belongs to.
    pub(crate) person: SessionPerson,
    /// Whether the person has registered an intent.
    pub(crate) has_intent: bool,
}

/// A person, masked.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionPerson {
    /// ID number.
    #[schema(example = "A12****789")]
    pub(crate) id_number: String,
}

/// What a person wants (R5).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IntentBody {
    /// Name.
    #[schema(max_length = 64)]
    pub(crate) name: String,
    /// Taiwan mobile number.
    #[schema(example = "0912345678")]
    pub(crate) phone: String,
    /// Code of the wished county.
    pub(crate) county: String,
    /// Code of the wished district.
    pub(crate) district: String,
    /// Vaccines ticked, at least one.
    #[schema(min_items = 1, max_items = 16)]
    pub(crate) vaccines: Vec<String>,
    /// Language for SMS.
    #[schema(example = "zh-TW")]
    pub(crate) language: String,
}

/// An intent as it stands (R6).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IntentInfo {
    /// Registration serial number.
    pub(crate) serial_number: Option<u32>,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub(crate) completed_at: Option<String>,
    /// Masked.
    #[schema(example = "A12****789")]
    pub(crate) id_number: String,
    /// Name.
    pub(crate) name: String,
    /// Mobile number.
    pub(crate) phone: String,
    /// Code of the wished county.
    pub(crate) county: Option<String>,
    /// Code of the wished district.
    pub(crate) district: Option<String>,
    /// Vaccines ticked.
    pub(crate) vaccines: Vec<String>,
    /// Language for SMS.
    pub(crate) language: String,
}

/// The caller's intent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MyIntent {
    /// As it stands.
    pub(crate) intent: IntentInfo,
}

/// An intent was registered or changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct IntentDone {
    /// Always `confirmed`.
    pub(crate) outcome: String,
    /// Names the request.
    pub(crate) receipt: String,
    /// As it stands.
    pub(crate) intent: IntentInfo,
}

/// A request is durable; its outcome will come.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Processing {
    /// Always `processing`.
    pub(crate) outcome: String,
    /// Names the request; only its owner can use it.
    pub(crate) receipt: String,
    /// Where the outcome is told.
    #[schema(example = "/v1/requests/…")]
    pub(crate) status_url: String,
}

/// A request without anything to show was granted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Done {
    /// Always `confirmed`.
    pub(crate) outcome: String,
    /// Names the request.
    pub(crate) receipt: String,
}

/// What is wanted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookingBody {
    /// In which period.
    pub(crate) period: u16,
    /// Which slot.
    pub(crate) slot: u32,
}

/// What is wanted instead.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveBody {
    /// Which slot.
    pub(crate) slot: u32,
}

/// One place of one slot.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BookingInfo {
    /// Booking number; a move keeps it.
    pub(crate) number: u32,
    /// In which period.
    pub(crate) period: u16,
    /// Which slot.
    pub(crate) slot: u32,
    /// Where.
    pub(crate) site: BookingSite,
    /// It begins.
    #[schema(format = DateTime)]
    pub(crate) starts_at: String,
    /// It ends.
    #[schema(format = DateTime)]
    pub(crate) ends_at: String,
    /// What is given.
    pub(crate) vaccine: String,
    /// `booked`, `attended` or `no_show`; with `GET /v1/bookings/mine`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
}

/// Where.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BookingSite {
    /// The operator's id.
    pub(crate) id: String,
    /// Name, in Chinese or English.
    pub(crate) name: String,
    /// Street address.
    pub(crate) address: String,
}

/// A booking was made or moved.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct BookingDone {
    /// Always `confirmed`.
    pub(crate) outcome: String,
    /// Names the request.
    pub(crate) receipt: String,
    /// As it stands.
    pub(crate) booking: BookingInfo,
}

/// The caller's booking.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct MyBooking {
    /// As it stands.
    pub(crate) booking: BookingInfo,
}

/// What became of a request.
// A few of them exist at a time; boxing would only burden the schema.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum RequestState {
    /// It is not decided yet.
    Processing {
        /// Requests before it; null where that is not known.
        ahead: Option<u64>,
    },
    /// It was granted.
    Confirmed {
        /// The booking that was made or moved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        booking: Option<BookingInfo>,
        /// The intent that was registered or changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        intent: Option<IntentInfo>,
    },
    /// It was decided against.
    Rejected {
        /// Why.
        #[schema(example = "slot_full")]
        reason: String,
    },
}
