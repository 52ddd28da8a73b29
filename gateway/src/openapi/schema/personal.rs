//! What one person sends and sees: identity, intent, bookings, what became of a request.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
