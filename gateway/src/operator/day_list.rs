//! L2: a site's list for the day, with names and phones.
//!
//! The one call that opens contact data for someone else than its owner; it is audited. The list is
//! CSV for a spreadsheet: it begins with a byte order mark, and a value that would run as a formula
//! there is disarmed with an apostrophe. ID numbers are masked: enough to tell two people of one name
//! apart.

use std::sync::Arc;

use domain::view::BookingStatus;
use domain::{BookingNumber, Day, PersonKey, PersonNumber, SiteNumber, Slot};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue};
use hyper::http::request::Parts;

use super::desk;
use crate::context::{Context, now};
use crate::core::Core;
use crate::import::{Reason, when};
use crate::problem::{Problem, Slug};
use crate::query::Query;
use crate::reply::{self, Reply};
use crate::text;

/// The columns.
pub(crate) const COLUMNS: [&str; 8] =
    ["booking_number", "starts_at", "ends_at", "vaccine", "status", "id_number", "name", "phone"];

/// What tells spreadsheets that this is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Characters by which a spreadsheet takes a cell for a formula.
const FORMULA_STARTS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// One line, before its contact data is opened.
struct Line {
    booking: BookingNumber,
    slot: Slot,
    vaccine: String,
    status: BookingStatus,
    person: PersonNumber,
    key: PersonKey,
}

/// `GET /v1/sites/{id}/roster?date=`
pub(super) async fn export(core: &Core, site: &str, head: &Parts) -> Result<Reply, Problem> {
    let query = Query::of(head.uri.query());
    query.required("date")?;
    let day = query.parsed("date", Reason::Date, when::day)?.ok_or(Slug::NotFound)?;
    core.view_reached(0).await?;
    let number = core.context.view.read().catalogue.site_number(site).ok_or(Slug::NotFound)?;
    let context = Arc::clone(&core.context);
    let csv = desk::aside(move || list(&context, number, day)).await?;
    let mut reply = reply::with_type(StatusCode::OK, reply::CSV, csv.into());
    let headers = reply.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(reply)
}

fn list(context: &Context, site: SiteNumber, day: Day) -> Result<String, Problem> {
    let mut lines = lines(context, site, day);
    lines.sort_by_key(|line| (line.slot.start_minute, line.slot.end_minute, line.booking));
    let people: Vec<PersonNumber> = lines.iter().map(|line| line.person).collect();
    let sealed = context.view.contacts(&people).map_err(|error| {
        tracing::error!(reason = %error, "contact data cannot be read");
        Problem::from(Slug::Internal)
    })?;
    let mut csv = BYTE_ORDER_MARK.to_owned();
    csv.push_str(&COLUMNS.join(","));
    csv.push_str("\r\n");
    for (line, sealed) in lines.iter().zip(sealed) {
        push_line(context, line, sealed.as_deref(), &mut csv);
    }
    Ok(csv)
}

fn lines(context: &Context, site: SiteNumber, day: Day) -> Vec<Line> {
    let at = now();
    let view = context.view.read();
    let lines = view.bookings_on(site, day).filter_map(|(booking, held)| {
        let slot = *view.catalogue.slot(held.slot)?;
        Some(Line {
            booking,
            slot,
            vaccine: view.catalogue.vaccine_name(slot.vaccine).unwrap_or_default().to_owned(),
            status: view.booking_status(booking, at)?,
            person: held.person,
            key: view.person_key(held.person)?,
        })
    });
    lines.collect()
}

/// A person whose contact data cannot be opened keeps their line: the place is theirs all the same.
fn push_line(context: &Context, line: &Line, sealed: Option<&[u8]>, csv: &mut String) {
    let contact = sealed.and_then(|sealed| context.vault.open_contact(&line.key.0, sealed).ok());
    let (id_number, name, phone) = match &contact {
        Some(contact) => (
            domain::identity::masked(&contact.id_number),
            contact.name.as_str(),
            contact.phone.as_str(),
        ),
        None => (String::new(), "", ""),
    };
    let status = match line.status {
        BookingStatus::Booked => "booked",
        BookingStatus::Cancelled => "cancelled",
        BookingStatus::Attended => "attended",
        BookingStatus::NoShow => "no_show",
    };
    let cells = [
        &line.booking.0.to_string(),
        &text::instant(line.slot.starts_at()),
        &text::instant(line.slot.ends_at()),
        &line.vaccine,
        status,
        &id_number,
        name,
        phone,
    ];
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            csv.push(',');
        }
        push_cell(cell, csv);
    }
    csv.push_str("\r\n");
}

fn push_cell(text: &str, csv: &mut String) {
    let disarm = text.starts_with(FORMULA_STARTS);
    if !disarm && !text.contains([',', '"', '\r', '\n']) {
        csv.push_str(text);
        return;
    }
    csv.push('"');
    if disarm {
        csv.push('\'');
    }
    csv.push_str(&text.replace('"', "\"\""));
    csv.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_neither_runs_nor_breaks_out() {
        for (text, expected) in [
            ("王小明", "王小明"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=cmd|'/c calc'!A1", "\"'=cmd|'/c calc'!A1\""),
            ("+886", "\"'+886\""),
            ("-1", "\"'-1\""),
            ("@x", "\"'@x\""),
            ("＝1", "\"'＝1\""),
            ("two\nlines", "\"two\nlines\""),
        ] {
            let mut csv = String::new();
            push_cell(text, &mut csv);
            assert_eq!(csv, expected);
        }
    }
}
