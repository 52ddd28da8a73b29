//! The calls of the operator listener.

use utoipa::openapi::path::HttpMethod;

use super::call::{
    Call, Who, path_number, path_text, query_day, query_flag, query_number, query_text,
};
use super::operator_server;
use crate::import::Kind;
use crate::import::attendance::AttendanceBody;
use crate::import::category::CategoryBody;
use crate::import::period::PeriodBody;
use crate::operator::{
    Accepted, AttendanceReported, CapacityBody, CapacitySet, DAY_LIST_COLUMNS, DryRunAnswer,
    LINES_MAX, OperatorRoute, Overview, Published, Ready, RosterImported, RowsImported,
};
use crate::problem::Slug;

/// What the document groups them under.
pub(super) const TAG: &str = "operator";

/// Problems of every write.
const WRITE: [Slug; 4] = [Slug::Refused, Slug::Overloaded, Slug::OutcomeUnknown, Slug::NotWritable];

/// What every import says.
const ALL_OR_NOTHING: &str = "All or nothing: one bad row and nothing is taken; the answer names the \
lines at fault. UTF-8, with or without a byte order mark. Rows add and change, and delete nothing.";

/// All of them.
pub(super) fn calls() -> Vec<Call> {
    let mut calls = rules();
    calls.extend(imports());
    calls.extend(sites());
    calls.extend(console());
    calls.extend(monitoring());
    calls
}

/// A call under its route, with the role that the route asks for.
fn call(
    method: HttpMethod,
    route: OperatorRoute<'static>,
    summary: &'static str,
    text: &str,
) -> Call {
    let path =
        OperatorRoute::ALL.iter().find(|(own, _)| *own == route).map_or("", |(_, path)| path);
    let call = Call::new(TAG, method, path, route.name(), summary).server(operator_server());
    match route.role() {
        None => call.says(text),
        Some(role) => call
            .who(Who::Operator)
            .says(format!("Role: `{}`. {text}", role.name()).trim().to_owned()),
    }
}

fn rules() -> Vec<Call> {
    let number = "{number}";
    vec![
        call(
            HttpMethod::Put,
            OperatorRoute::Category(number),
            "Publish a category",
            "Creates or replaces it.",
        )
        .parameter(path_number("number", "As announced; not 0."))
        .parameter(query_flag("dry_run", "Publish nothing; count whom it would take."))
        .json_body::<CategoryBody>()
        .answer::<PublishedOrDryRun>(200, "Replaced; or, with `dry_run`, the count.")
        .answer::<Published>(201, "Created.")
        .problems(&[Slug::NotFound, Slug::CatchingUp])
        .problems(&WRITE),
        call(
            HttpMethod::Put,
            OperatorRoute::Period(number),
            "Publish a period",
            "Creates or replaces it. A past `opens_at`, and `registered_before` after `opens_at`, are allowed.",
        )
        .parameter(path_number("number", "As announced; not 0."))
        .parameter(query_flag("dry_run", "Publish nothing; count whom it would make eligible."))
        .json_body::<PeriodBody>()
        .answer::<PublishedOrDryRun>(200, "Replaced; or, with `dry_run`, the count.")
        .answer::<Published>(201, "Created.")
        .problems(&[Slug::NotFound, Slug::CatchingUp])
        .problems(&WRITE),
    ]
}

fn imports() -> Vec<Call> {
    let import = |route, summary, text: &str, kind: Kind| {
        let text = format!("{text} {} {ALL_OR_NOTHING}", longest(kind));
        call(HttpMethod::Post, route, summary, text.trim())
            .csv_body(kind.columns())
            .problems(&WRITE)
            .problems(&[Slug::CatchingUp])
    };
    vec![
        import(
            OperatorRoute::ImportRoster,
            "Import the people the authority knows",
            "A row replaces what was known of the person. A row that would give a person who takes part another key, or make one person of two, is refused.",
            Kind::Roster,
        )
        .answer::<RosterImported>(200, "Imported; changed birth dates hold for registered people."),
        import(
            OperatorRoute::ImportMembers("{number}"),
            "Import members of a category",
            "",
            Kind::Members,
        )
        .parameter(path_number("number", "The category's number."))
        .answer::<RowsImported>(200, "Imported.")
        .problems(&[Slug::NotFound]),
        import(OperatorRoute::ImportSites, "Import sites", "", Kind::Sites)
            .answer::<RowsImported>(200, "Imported."),
        import(
            OperatorRoute::ImportSlots,
            "Import slots",
            "A slot is identified by site, date, start, end and vaccine; its capacity does not fall below the number booked.",
            Kind::Slots,
        )
        .answer::<RowsImported>(200, "Imported."),
    ]
}

/// How long a file of this kind may be.
fn longest(kind: Kind) -> String {
    format!("A file has at most {} MiB.", kind.limits().bytes_max >> 20)
}

fn sites() -> Vec<Call> {
    vec![
        call(
            HttpMethod::Patch,
            OperatorRoute::Slot("{number}"),
            "Change a slot's capacity",
            "Below the number booked is refused.",
        )
        .parameter(path_number("number", "The slot's number."))
        .json_body::<CapacityBody>()
        .answer::<CapacitySet>(200, "Changed; new places are bookable at once.")
        .problems(&[Slug::NotFound])
        .problems(&WRITE),
        call(
            HttpMethod::Post,
            OperatorRoute::Attendance,
            "Report who came",
            &format!(
                "May come days later, and again. A report with a wrong row brings nothing. {}",
                longest(Kind::Attendance)
            ),
        )
        .csv_body(Kind::Attendance.columns())
        .json_body::<AttendanceBody>()
        .answer::<AttendanceReported>(200, "Marked as attended.")
        .problems(&WRITE)
        .problems(&[Slug::CatchingUp]),
        call(
            HttpMethod::Get,
            OperatorRoute::DayList("{id}"),
            "A site's list for the day",
            &format!(
                "Opens names and phones; every call is written to the audit log. CSV with a byte order mark and the columns `{}`.",
                DAY_LIST_COLUMNS.join(",")
            ),
        )
        .parameter(path_text("id", "The site's id."))
        .parameter(query_day("date", true, "The day in Taiwan."))
        .text_answer("text/csv", "The list, by time.")
        .problems(&[Slug::NotFound, Slug::InvalidFields, Slug::CatchingUp]),
    ]
}

fn console() -> Vec<Call> {
    vec![
        call(HttpMethod::Get, OperatorRoute::Overview, "Live figures", "")
            .answer::<Overview>(200, "As far as this gateway has read the events.")
            .problems(&[Slug::CatchingUp]),
        call(
            HttpMethod::Get,
            OperatorRoute::Confirmations,
            "Confirmations, changes and cancellations",
            "One JSON message a line, in order, with deterministic ids. Contact data is sealed for the configured consumer key.",
        )
        .parameter(query_text("after", false, "The id of the last message that the caller has."))
        .parameter(query_number("limit", false, 1, LINES_MAX as u64, "Lines at most."))
        .text_answer("application/x-ndjson", "The messages behind that id, as far as there are any.")
        .problems(&[Slug::NotFound, Slug::InvalidFields, Slug::CatchingUp]),
        call(
            HttpMethod::Post,
            OperatorRoute::AcceptTime,
            "Accept a jump of the clock",
            "An engine that halted before a group from the future goes on.",
        )
        .answer::<Accepted>(200, "Whether an engine waited for this.")
        .problems(&[Slug::NotFound]),
    ]
}

fn monitoring() -> Vec<Call> {
    vec![
        call(HttpMethod::Get, OperatorRoute::Livez, "Liveness", "Never waits for anything.")
            .text_answer("text/plain", "The process answers."),
        call(HttpMethod::Get, OperatorRoute::Readyz, "Readiness", "")
            .answer::<Ready>(200, "Every part is ready.")
            .answer::<Ready>(503, "Some part is not, and why."),
        call(HttpMethod::Get, OperatorRoute::Metrics, "Metrics", "")
            .text_answer("text/plain", "Prometheus text format."),
    ]
}

/// What a `PUT` answers with 200.
#[derive(serde::Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[allow(dead_code)]
pub(super) enum PublishedOrDryRun {
    /// It replaced an earlier version.
    Published(Published),
    /// Nothing was published.
    DryRun(DryRunAnswer),
}
