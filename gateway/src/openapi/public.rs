//! The calls of the public listener.

use domain::Rejection;
use utoipa::openapi::path::{HttpMethod, Parameter};

use super::call::{Call, Who, header, path_number, path_text, query_day, query_number, query_text};
use super::schema::{
    BookingBody, BookingDone, Done, Home, IdentityBody, IntentBody, IntentDone, MoveBody,
    MyBooking, MyIntent, PeriodInfo, Periods, Processing, RegionList, RequestState, Session,
    SiteList, SlotList,
};
use crate::config::RequestConfig;
use crate::problem::Slug;

/// What the document groups them under.
pub(super) const TAG: &str = "public";

/// All of them.
pub(super) fn calls() -> Vec<Call> {
    let mut calls = announcements();
    calls.extend(availability());
    calls.extend(intents());
    calls.extend(bookings());
    calls.extend(documentation());
    calls
}

fn call(method: HttpMethod, path: &'static str, id: &'static str, summary: &'static str) -> Call {
    Call::new(TAG, method, path, id, summary)
}

fn period() -> Parameter {
    path_number("number", "The period's number.")
}

fn key(required: bool) -> Parameter {
    header(
        "Idempotency-Key",
        required,
        "Makes the request safe to send again: 1 to 128 visible ASCII characters, quoted or not, new for each new request. Made by the server where it is not required and missing.",
    )
}

fn prefer() -> Parameter {
    let wait_s_max = RequestConfig::default().wait_s_max;
    let text = format!(
        "`wait=N`: answer with the decided outcome if it comes within N seconds (at most {wait_s_max})."
    );
    header("Prefer", false, &text)
}

/// Refusals that the rules may give.
fn rejected(reasons: &[Rejection]) -> Vec<Slug> {
    reasons.iter().copied().map(Slug::Rejected).collect()
}

/// Problems of every command.
const COMMAND: [Slug; 6] = [
    Slug::IdempotencyKeyMalformed,
    Slug::IdempotencyKeyReused,
    Slug::TooManyRequests,
    Slug::Overloaded,
    Slug::OutcomeUnknown,
    Slug::NotWritable,
];

fn announcements() -> Vec<Call> {
    vec![
        call(HttpMethod::Get, "/v1/home", "home", "What is open and coming")
            .cached::<Home>("Open categories, open and coming periods.")
            .problems(&[Slug::CatchingUp]),
        call(HttpMethod::Get, "/v1/regions", "regions", "Counties and districts")
            .cached::<RegionList>("22 counties, 368 districts, with official codes."),
        call(HttpMethod::Get, "/v1/periods", "list_periods", "All periods")
            .who(Who::EveryoneOrCitizen)
            .cached::<Periods>("All periods; with a token, as they concern the caller.")
            .problems(&[Slug::CatchingUp]),
        call(HttpMethod::Get, "/v1/periods/{number}", "get_period", "One period")
            .who(Who::EveryoneOrCitizen)
            .parameter(period())
            .cached::<PeriodInfo>("The period; with a token, as it concerns the caller.")
            .problems(&[Slug::NotFound, Slug::CatchingUp]),
    ]
}

fn availability() -> Vec<Call> {
    vec![
        call(HttpMethod::Get, "/v1/periods/{number}/sites", "list_sites", "Sites with places left")
            .parameter(period())
            .parameter(query_text("county", false, "Code of a county."))
            .parameter(query_text("district", false, "Code of a district."))
            .cached::<SiteList>("Sites of the period, at most one second old.")
            .problems(&[Slug::NotFound, Slug::InvalidFields, Slug::CatchingUp]),
        call(HttpMethod::Get, "/v1/periods/{number}/slots", "list_slots", "Slots with places left")
            .parameter(period())
            .parameter(query_text("site", true, "The site's id."))
            .parameter(query_day(
                "date",
                false,
                "The day in Taiwan; all days to come, when absent.",
            ))
            .cached::<SlotList>("Slots of the site, at most one second old.")
            .problems(&[Slug::NotFound, Slug::InvalidFields, Slug::CatchingUp]),
    ]
}

fn intents() -> Vec<Call> {
    let refused = rejected(&[Rejection::NotEligible, Rejection::CategoryClosed]);
    let changed = rejected(&[
        Rejection::NotRegistered,
        Rejection::NotEligible,
        Rejection::HasBooking,
        Rejection::CategoryClosed,
        Rejection::TooManyKeys,
    ]);
    vec![
        call(HttpMethod::Post, "/v1/identity", "prove_identity", "Log in")
            .says("An unknown person and a document that does not match get the same answer in the same time.")
            .json_body::<IdentityBody>()
            .answer::<Session>(201, "A bearer token.")
            .problems(&[
                Slug::IdentityNotConfirmed,
                Slug::IdentityMethodUnsupported,
                Slug::TooManyFailures,
                Slug::CatchingUp,
            ]),
        call(HttpMethod::Post, "/v1/intents", "register_intent", "Register an intent")
            .who(Who::Citizen)
            .parameter(key(false))
            .parameter(prefer())
            .json_body::<IntentBody>()
            .answer::<IntentDone>(200, "The person had registered before: the intent as it stands.")
            .answer::<IntentDone>(201, "Registered.")
            .answer::<Processing>(202, "Durable, not decided yet.")
            .problems(&COMMAND)
            .problems(&[Slug::IdentityNotConfirmed, Slug::CatchingUp])
            .problems(&refused),
        call(HttpMethod::Get, "/v1/intents/mine", "get_intent", "The caller's intent")
            .who(Who::Citizen)
            .answer::<MyIntent>(200, "The intent.")
            .problems(&[Slug::NotFound, Slug::CatchingUp]),
        call(HttpMethod::Put, "/v1/intents/mine", "change_intent", "Change the intent")
            .who(Who::Citizen)
            .parameter(key(false))
            .parameter(prefer())
            .json_body::<IntentBody>()
            .answer::<IntentDone>(200, "Changed.")
            .answer::<Processing>(202, "Durable, not decided yet.")
            .problems(&COMMAND)
            .problems(&[Slug::IdentityNotConfirmed, Slug::CatchingUp])
            .problems(&changed),
        call(HttpMethod::Delete, "/v1/intents/mine", "withdraw_intent", "Withdraw the intent")
            .who(Who::Citizen)
            .parameter(key(false))
            .parameter(prefer())
            .answer::<Done>(200, "Withdrawn.")
            .answer::<Processing>(202, "Durable, not decided yet.")
            .problems(&COMMAND)
            .problems(&changed),
    ]
}

fn bookings() -> Vec<Call> {
    let wait_s_max = u64::from(RequestConfig::default().wait_s_max);
    let refused = rejected(&Rejection::ALL);
    let mine = || query_number("period", true, 1, u64::from(u16::MAX), "The period's number.");
    vec![
        call(HttpMethod::Post, "/v1/bookings", "book", "Book a place")
            .who(Who::Citizen)
            .says("Requests are decided in the order in which they were durably accepted. The same key and body meet the same answer; the same key with another body is refused with 422.")
            .parameter(key(true))
            .parameter(prefer())
            .json_body::<BookingBody>()
            .answer::<BookingDone>(201, "Booked.")
            .answer::<Processing>(202, "Durable, not decided yet.")
            .problems(&[Slug::IdempotencyKeyMissing, Slug::WindowNotOpenYet])
            .problems(&COMMAND)
            .problems(&refused),
        call(HttpMethod::Get, "/v1/bookings/mine", "get_booking", "The caller's booking")
            .who(Who::Citizen)
            .parameter(mine())
            .answer::<MyBooking>(200, "The booking.")
            .problems(&[Slug::NotFound, Slug::InvalidFields, Slug::CatchingUp]),
        call(HttpMethod::Put, "/v1/bookings/mine", "move_booking", "Move the booking")
            .who(Who::Citizen)
            .says("Atomic: the old place is kept unless the new one is got.")
            .parameter(mine())
            .parameter(key(false))
            .parameter(prefer())
            .json_body::<MoveBody>()
            .answer::<BookingDone>(200, "Moved.")
            .answer::<Processing>(202, "Durable, not decided yet.")
            .problems(&COMMAND)
            .problems(&refused),
        call(HttpMethod::Delete, "/v1/bookings/mine", "cancel_booking", "Cancel the booking")
            .who(Who::Citizen)
            .parameter(mine())
            .parameter(key(false))
            .parameter(prefer())
            .answer::<Done>(200, "Cancelled; the place is free at once.")
            .answer::<Processing>(202, "Durable, not decided yet.")
            .problems(&[Slug::InvalidFields])
            .problems(&COMMAND)
            .problems(&rejected(&[
                Rejection::UnknownPeriod,
                Rejection::NoBooking,
                Rejection::SlotPast,
                Rejection::TooManyKeys,
            ])),
        call(HttpMethod::Get, "/v1/requests/{receipt}", "get_request", "What became of a request")
            .who(Who::Citizen)
            .parameter(path_text("receipt", "As it came with the answer."))
            .parameter(query_number("wait", false, 0, wait_s_max, "Seconds to wait for the outcome."))
            .answer::<RequestState>(200, "The outcome, or that there is none yet.")
            .problems(&[Slug::NotFound, Slug::InvalidFields, Slug::Overloaded]),
    ]
}

fn documentation() -> Vec<Call> {
    vec![
        call(HttpMethod::Get, "/openapi.json", "openapi", "This document")
            .says("Served by both listeners.")
            .text_answer("application/json", "OpenAPI 3.1."),
        call(HttpMethod::Get, "/docs", "docs", "This document as a page")
            .says("Served by both listeners.")
            .text_answer("text/html", "A page that loads nothing else."),
    ]
}
