//! Errors as RFC 9457 `application/problem+json`, in the caller's language.
//!
//! A problem never repeats what the caller sent: it names fields by pointer, rows by line. What this
//! module does not do: decide; it only says.

use bytes::Bytes;
use domain::{OperatorRefusal, Rejection, Sequence};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::i18n::Language;
use crate::import::{BodyError, Reason, RowError};
use crate::limiter::TooMany;
use crate::reply::{self, Reply};

/// Field errors told in one answer; more would help nobody.
pub(crate) const FIELD_ERRORS_MAX: usize = 100;

/// Declares the slugs that are not refusals of the rules.
macro_rules! slugs {
    ($($(#[$doc:meta])* $name:ident = $status:ident $text:literal,)*) => {
        /// The kinds of problems. Closed: each has words in every language.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Slug {
            $($(#[$doc])* $name,)*
            /// The rules said no (or would, when it was not decided).
            Rejected(Rejection),
        }

        impl Slug {
            const PLAIN: &'static [Slug] = &[$(Slug::$name,)*];

            /// The last part of the problem's `type`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Slug::$name => $text,)*
                    Slug::Rejected(reason) => rejection_slug(reason),
                }
            }

            /// The status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self {
                    $(Slug::$name => StatusCode::$status,)*
                    Slug::Rejected(_) => StatusCode::CONFLICT,
                }
            }
        }
    };
}

slugs! {
    /// Not HTTP, or ambiguous HTTP.
    MalformedRequest = BAD_REQUEST "malformed-request",
    /// The body is not JSON, or not UTF-8.
    MalformedJson = BAD_REQUEST "malformed-json",
    /// `POST /v1/bookings` needs an `Idempotency-Key`.
    IdempotencyKeyMissing = BAD_REQUEST "idempotency-key-missing",
    /// The `Idempotency-Key` is empty, too long, sent twice or has odd characters.
    IdempotencyKeyMalformed = BAD_REQUEST "idempotency-key-malformed",
    /// No token, or not one of ours.
    NotAuthenticated = UNAUTHORIZED "not-authenticated",
    /// The token's time is over.
    TokenExpired = UNAUTHORIZED "token-expired",
    /// Unknown person, or the documents do not match: the same answer in the same time.
    IdentityNotConfirmed = UNAUTHORIZED "identity-not-confirmed",
    /// The operator's role does not include this call.
    NotPermitted = FORBIDDEN "not-permitted",
    /// No such thing, or not yours.
    NotFound = NOT_FOUND "not-found",
    /// The path knows other methods.
    MethodNotAllowed = METHOD_NOT_ALLOWED "method-not-allowed",
    /// The body did not arrive in time.
    SlowRequest = REQUEST_TIMEOUT "slow-request",
    /// The body is larger than this call takes.
    TooLarge = PAYLOAD_TOO_LARGE "too-large",
    /// The address is longer than any of ours.
    UriTooLong = URI_TOO_LONG "uri-too-long",
    /// Another content type or encoding is expected.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type",
    /// Fields are missing, wrong or unknown; `errors` names them.
    InvalidFields = UNPROCESSABLE_ENTITY "invalid-fields",
    /// The key was used for another request.
    IdempotencyKeyReused = UNPROCESSABLE_ENTITY "idempotency-key-reused",
    /// This way of proving identity is not offered here.
    IdentityMethodUnsupported = UNPROCESSABLE_ENTITY "identity-method-unsupported",
    /// Rows of an import are wrong; nothing was taken.
    InvalidRows = UNPROCESSABLE_ENTITY "invalid-rows",
    /// The window of no period is open yet; not decided.
    WindowNotOpenYet = TOO_EARLY "window-not-open-yet",
    /// An operator's command was decided against.
    Refused = CONFLICT "refused",
    /// Too many failed proofs for this ID.
    TooManyFailures = TOO_MANY_REQUESTS "too-many-failures",
    /// Too many requests of this person or address.
    TooManyRequests = TOO_MANY_REQUESTS "too-many-requests",
    /// The header is larger than any of ours.
    HeaderTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "header-too-large",
    /// More work than can be taken on.
    Overloaded = SERVICE_UNAVAILABLE "overloaded",
    /// Nobody knows what became of the write: ask again with the same key.
    OutcomeUnknown = SERVICE_UNAVAILABLE "outcome-unknown",
    /// The journal takes no writes until it is started again.
    NotWritable = SERVICE_UNAVAILABLE "not-writable",
    /// The view does not know yet all that was admitted.
    CatchingUp = SERVICE_UNAVAILABLE "catching-up",
    /// Something that should not happen.
    Internal = INTERNAL_SERVER_ERROR "internal",
}

impl Slug {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Slug> {
        let rejected = Rejection::ALL.into_iter().map(Slug::Rejected);
        Slug::PLAIN.iter().copied().chain(rejected)
    }
}

/// A refusal's slug: its reason with `-` for `_`.
const fn rejection_slug(reason: Rejection) -> &'static str {
    match reason {
        Rejection::TooManyKeys => "too-many-keys",
        Rejection::UnknownPeriod => "unknown-period",
        Rejection::NotRegistered => "not-registered",
        Rejection::NotEligible => "not-eligible",
        Rejection::WindowNotOpen => "window-not-open",
        Rejection::WindowClosed => "window-closed",
        Rejection::BarredUntilNextPeriod => "barred-until-next-period",
        Rejection::HasBooking => "has-booking",
        Rejection::CategoryClosed => "category-closed",
        Rejection::NoBooking => "no-booking",
        Rejection::AlreadyBooked => "already-booked",
        Rejection::UnknownSlot => "unknown-slot",
        Rejection::WrongVaccine => "wrong-vaccine",
        Rejection::SlotPast => "slot-past",
        Rejection::SlotFull => "slot-full",
    }
}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

/// One thing that is wrong, and where.
#[derive(Debug)]
enum Fault {
    Body(BodyError),
    Parameter(&'static str, Reason),
    Row(RowError),
}

/// What a problem may say; small problems say little.
#[derive(Debug)]
struct Parts {
    slug: Slug,
    errors: Vec<Fault>,
    decided: Option<bool>,
    receipt: Option<String>,
    decision: Option<Sequence>,
    refusals: Vec<(u32, OperatorRefusal)>,
    retry_after_s: Option<u32>,
    rate: Option<TooMany>,
    allow: Option<&'static str>,
    close: bool,
}

impl From<Slug> for Problem {
    fn from(slug: Slug) -> Problem {
        Problem(Box::new(Parts {
            slug,
            errors: Vec::new(),
            decided: None,
            receipt: None,
            decision: None,
            refusals: Vec::new(),
            retry_after_s: None,
            rate: None,
            allow: None,
            close: false,
        }))
    }
}

impl Problem {
    /// Names the fields of a body at fault; 400 when the body could not even be read.
    pub(crate) fn body(errors: Vec<BodyError>) -> Problem {
        let unreadable = |error: &BodyError| {
            matches!(
                error.reason,
                Reason::NotJson { .. } | Reason::NotUtf8 | Reason::TooDeep { .. }
            )
        };
        let slug = match errors.iter().any(unreadable) {
            true => Slug::MalformedJson,
            false => Slug::InvalidFields,
        };
        Problem::with_errors(slug, errors.into_iter().map(Fault::Body).collect())
    }

    /// Names a query parameter at fault.
    pub(crate) fn parameter(name: &'static str, reason: Reason) -> Problem {
        Problem::with_errors(Slug::InvalidFields, vec![Fault::Parameter(name, reason)])
    }

    /// Names the rows of an import at fault; nothing was taken.
    pub(crate) fn rows(errors: Vec<RowError>) -> Problem {
        Problem::with_errors(Slug::InvalidRows, errors.into_iter().map(Fault::Row).collect())
    }

    fn with_errors(slug: Slug, errors: Vec<Fault>) -> Problem {
        let mut problem = Problem::from(slug);
        problem.0.errors = errors;
        problem
    }

    /// The rules said no: final, with the receipt. The decision's place in the journal stands in for
    /// the request id, so that a retry of the key gets the same bytes.
    pub(crate) fn decided(reason: Rejection, receipt: String, decision: Sequence) -> Problem {
        let mut problem = Problem::from(Slug::Rejected(reason));
        problem.0.decided = Some(true);
        problem.0.receipt = Some(receipt);
        problem.0.decision = Some(decision);
        problem
    }

    /// The rules would say no; nothing was written.
    pub(crate) fn shed(slug: Slug) -> Problem {
        let mut problem = Problem::from(slug);
        problem.0.decided = Some(false);
        problem
    }

    /// An operator's command was decided against, row by row.
    pub(crate) fn refused(refusals: Vec<(u32, OperatorRefusal)>) -> Problem {
        let mut problem = Problem::from(Slug::Refused);
        problem.0.refusals = refusals;
        problem
    }

    /// A rate was passed.
    pub(crate) fn too_many(rate: TooMany) -> Problem {
        let mut problem = Problem::shed(Slug::TooManyRequests).retry_after_s(rate.retry_after_s);
        problem.0.rate = Some(rate);
        problem
    }

    /// When to come back.
    #[must_use]
    pub(crate) fn retry_after_s(mut self, seconds: u32) -> Problem {
        self.0.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Which methods the path knows.
    #[must_use]
    pub(crate) fn allow(mut self, methods: &'static str) -> Problem {
        self.0.allow = Some(methods);
        self
    }

    /// The connection cannot be used further.
    #[must_use]
    pub(crate) fn close(mut self) -> Problem {
        self.0.close = true;
        self
    }

    /// What kind it is.
    pub(crate) fn slug(&self) -> Slug {
        self.0.slug
    }

    /// The answer in the caller's language.
    pub(crate) fn into_reply(self, language: Language, request_id: &str) -> Reply {
        let parts = *self.0;
        let status = parts.slug.status();
        let body = parts.to_json(language, request_id);
        let mut reply = reply::with_type(status, reply::PROBLEM_JSON, Bytes::from(body));
        let headers = reply.headers_mut();
        headers.insert("cache-control", HeaderValue::from_static("no-store"));
        headers.insert("content-language", HeaderValue::from_static(language.tag()));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
        if let Some(seconds) = parts.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(rate) = parts.rate {
            let policy = format!("\"default\";q={};w={}", rate.limit, rate.window_s);
            let left = format!("\"default\";r=0;t={}", rate.retry_after_s);
            for (name, text) in [("ratelimit-policy", policy), ("ratelimit", left)] {
                if let Ok(value) = HeaderValue::from_str(&text) {
                    headers.insert(name, value);
                }
            }
        }
        if let Some(methods) = parts.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if parts.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl Parts {
    /// The body. Every text is ours, a number, or written through the JSON escaper.
    fn to_json(&self, language: Language, request_id: &str) -> String {
        let messages = language.messages();
        let text = messages.problem(self.slug.name());
        let mut body = serde_json::Map::new();
        let mut put = |name: &str, value: serde_json::Value| body.insert(name.to_owned(), value);
        put("type", format!("/problems/{}", self.slug.name()).into());
        put("title", text.title.as_str().into());
        put("status", self.slug.status().as_u16().into());
        put("detail", text.detail.as_str().into());
        match self.decision {
            Some(Sequence(sequence)) => put("request_id", format!("0-{sequence}-0").into()),
            None => put("request_id", request_id.into()),
        };
        if let Slug::Rejected(reason) = self.slug {
            put("reason", reason.reason().into());
        }
        if self.slug == Slug::WindowNotOpenYet {
            put("reason", Rejection::WindowNotOpen.reason().into());
        }
        if let Some(decided) = self.decided {
            put("decided", decided.into());
        }
        if let Some(receipt) = &self.receipt {
            put("receipt", receipt.as_str().into());
        }
        if !self.refusals.is_empty() {
            let rows = self.refusals.iter().take(FIELD_ERRORS_MAX);
            put("refusals", rows.map(|(row, why)| refusal(*row, *why)).collect());
        }
        if !self.errors.is_empty() {
            let told = self.errors.iter().take(FIELD_ERRORS_MAX);
            let told = told.map(|fault| field_error(fault, language)).collect();
            put("errors", told);
            put("errors_total", self.errors.len().into());
        }
        serde_json::Value::Object(body).to_string()
    }
}

/// One entry of `errors`.
fn field_error(fault: &Fault, language: Language) -> serde_json::Value {
    let reason = match fault {
        Fault::Body(error) => error.reason,
        Fault::Parameter(_, reason) => *reason,
        Fault::Row(error) => error.reason,
    };
    let mut entry = serde_json::json!({ "code": reason.code(), "detail": reason.text(language) });
    match fault {
        Fault::Body(error) => entry["pointer"] = error.pointer.as_str().into(),
        Fault::Parameter(name, _) => entry["parameter"] = (*name).into(),
        Fault::Row(error) => {
            entry["line"] = error.line.into();
            if !error.field.is_empty() {
                entry["field"] = error.field.into();
            }
        }
    }
    entry
}

/// One entry of `refusals`.
fn refusal(row: u32, why: OperatorRefusal) -> serde_json::Value {
    let reason = match why {
        OperatorRefusal::UnknownSlot => "unknown_slot",
        OperatorRefusal::CapacityBelowBooked => "capacity_below_booked",
        OperatorRefusal::UnknownBooking => "unknown_booking",
        OperatorRefusal::BookingCancelled => "booking_cancelled",
        OperatorRefusal::AttendedOnAnotherDay => "attended_on_another_day",
        OperatorRefusal::UnknownCategory => "unknown_category",
        OperatorRefusal::TooManyVaccines => "too_many_vaccines",
        OperatorRefusal::TooManyCategories => "too_many_categories",
        OperatorRefusal::UnknownImport => "unknown_import",
        OperatorRefusal::ImportMismatch => "import_mismatch",
        OperatorRefusal::UnknownSite => "unknown_site",
        OperatorRefusal::UnknownRules => "unknown_rules",
        OperatorRefusal::BadNumber => "bad_number",
        OperatorRefusal::TooManyRows => "too_many_rows",
        OperatorRefusal::PersonKnown => "person_known",
    };
    serde_json::json!({ "row": row, "reason": reason })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn json(problem: Problem) -> serde_json::Value {
        serde_json::from_str(&problem.0.to_json(Language::EN, "r-1")).unwrap()
    }

    #[test]
    fn every_slug_is_named_once() {
        let names: std::collections::BTreeSet<_> = Slug::all().map(Slug::name).collect();
        assert_eq!(names.len(), Slug::all().count());
        for reason in Rejection::ALL {
            assert_eq!(rejection_slug(reason), reason.reason().replace('_', "-"));
        }
    }

    #[test]
    fn a_decided_refusal_says_so_and_carries_its_receipt_and_its_decision() {
        let body = json(Problem::decided(Rejection::SlotFull, "abc".to_owned(), Sequence(7)));
        assert_eq!(body["type"], "/problems/slot-full");
        assert_eq!(body["reason"], "slot_full");
        assert_eq!(body["decided"], true);
        assert_eq!(body["receipt"], "abc");
        assert_eq!(body["request_id"], "0-7-0");
        assert_eq!(body["status"], 409);
    }

    #[test]
    fn a_shed_request_is_undecided_and_has_no_receipt() {
        let body = json(Problem::shed(Slug::Rejected(Rejection::SlotFull)));
        assert_eq!(body["decided"], false);
        assert!(body.get("receipt").is_none());
        assert_eq!(body["request_id"], "r-1");
    }

    #[test]
    fn at_most_a_hundred_field_errors_are_told_and_all_are_counted() {
        let errors = (0..150)
            .map(|place| BodyError { pointer: format!("/{place}"), reason: Reason::Required });
        let body = json(Problem::body(errors.collect()));
        assert_eq!(body["errors"].as_array().unwrap().len(), 100);
        assert_eq!(body["errors_total"], 150);
        assert_eq!(body["errors"][0]["pointer"], "/0");
    }
}
