//! What the operator does before a run, and what a citizen reads before booking.
//!
//! `--prepare` makes a category, a period that is open now, sites and slots of the run's own, so
//! that the audit can know every place; without it the slots on offer are used as they are.

use std::fmt::Write as _;
use std::time::Duration;

use hyper::Method;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::address::Target;
use crate::audit::SlotFacts;
use crate::calls::{CallError, Caller};
use crate::campaign::{SlotOffer, escaped, slots_path};
use crate::people::Population;
use crate::people::wishes::Regions;
use crate::progress::Progress;
use crate::roster::write_roster;
use crate::scenario::{PeriodSettings, PrepareSettings};
use crate::sweep::{Call, SweepOptions, Verdict, failures, sweep};
use crate::wire::RequestLine;

/// Taiwan keeps no daylight saving time.
const TAIWAN: Offset = Offset::constant(8);
/// The window of a prepared period opened this long ago, so that no clock makes it closed.
const OPENED_BEFORE: SignedDuration = SignedDuration::from_mins(10);
/// And stays open this long.
const OPEN_FOR: SignedDuration = SignedDuration::from_hours(24 * 90);
/// First slot of a day, in minutes after midnight.
const DAY_BEGINS_MINUTE: u32 = 8 * 60;
/// Length of a slot; 48 of them end at 20:00.
const SLOT_MINUTES: u32 = 15;
/// Slots made for one run at most.
const SLOTS_MAX: usize = 1_000_000;

/// Imports the people into the roster.
pub(crate) fn import_roster(
    operator: &Caller,
    people: &Population,
    first: u64,
    count: u64,
    rows_per_file: u64,
    progress: &Progress,
) -> Result<(), CallError> {
    let done = std::sync::atomic::AtomicU64::new(0);
    let imported = || done.load(std::sync::atomic::Ordering::Relaxed);
    progress.watch("roster rows imported", count, &imported, &String::new, || {
        let mut from = first;
        while from < first + count {
            let rows = rows_per_file.min(first + count - from);
            let mut csv = Vec::new();
            write_roster(people, from, rows, &mut csv)?;
            operator.expect_success(&Method::POST, "/v1/roster:import", "text/csv", &csv)?;
            from += rows;
            done.fetch_add(rows, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    })
}

/// The site and date at which slots are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteDay {
    pub(crate) site: String,
    pub(crate) date: String,
}

/// Makes category, period, sites and slots; says where the slots are.
pub(crate) fn make_world(
    operator: &Caller,
    period: u16,
    settings: &PrepareSettings,
    born_on_or_before: Date,
    people: u64,
    run: u64,
    regions: &Regions,
) -> Result<Vec<SiteDay>, CallError> {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let opens_at = now.saturating_sub(OPENED_BEFORE).unwrap_or(now).to_string();
    let closes_at = now.saturating_add(OPEN_FOR).unwrap_or(now).to_string();
    let category = settings.category;
    let names =
        json!({ "zh-TW": format!("壓力測試 {category}"), "en": format!("Load test {category}") });
    let body = json!({
        "names": names, "born_on_or_before": born_on_or_before.to_string(), "members": false,
        "opens_at": opens_at, "closes_at": closes_at, "vaccines": [settings.vaccine],
    });
    put(operator, &format!("/v1/categories/{category}"), &body)?;
    let sites = sites_csv(settings, run, regions);
    operator.expect_success(&Method::POST, "/v1/sites:import", "text/csv", sites.as_bytes())?;
    let (slots, places) = slots_csv(settings, run, people, tomorrow());
    operator.expect_success(&Method::POST, "/v1/slots:import", "text/csv", slots.as_bytes())?;
    let body = json!({
        "names": { "zh-TW": format!("壓力測試 第{period}期"), "en": format!("Load test period {period}") },
        "vaccines": [settings.vaccine], "registered_before": null, "counties": null, "categories": null,
        "born_on_or_before": null, "opens_at": opens_at, "closes_at": closes_at, "openings": [],
        "identity_methods": ["document"],
    });
    put(operator, &format!("/v1/periods/{period}"), &body)?;
    Ok(places)
}

fn put(operator: &Caller, path: &str, body: &serde_json::Value) -> Result<(), CallError> {
    operator
        .expect_success(&Method::PUT, path, "application/json", body.to_string().as_bytes())
        .map(|_| ())
}

/// Tomorrow in Taiwan: its slots cannot begin during the run.
fn tomorrow() -> Date {
    let today = Timestamp::now().to_zoned(TimeZone::fixed(TAIWAN)).date();
    today.saturating_add(Span::new().days(1))
}

fn site_id(run: u64, number: usize) -> String {
    format!("LT-{run:016x}-{number:05}")
}

fn sites_csv(settings: &PrepareSettings, run: u64, regions: &Regions) -> String {
    let mut csv = String::from("id,name_zh,name_en,county,district,address,kind\n");
    for number in 0..settings.sites {
        // Sites stand far apart in the list of districts, so that they fall into all counties.
        let district = regions.at(number * (regions.len() / settings.sites.max(1)).max(1));
        let id = site_id(run, number);
        let _ = writeln!(
            csv,
            "{id},壓力測試站{number},Load test site {number},{},{},測試路{number}號,clinic",
            district.county, district.district
        );
    }
    csv
}

fn slots_csv(
    settings: &PrepareSettings,
    run: u64,
    people: u64,
    first_day: Date,
) -> (String, Vec<SiteDay>) {
    let slots = (settings.sites * settings.days as usize * settings.slots_per_day as usize)
        .clamp(1, SLOTS_MAX);
    let capacity = ((people as f64 * settings.places_per_person / slots as f64).ceil() as u64)
        .clamp(1, 100_000);
    let mut csv = String::from("site,date,start,end,vaccine,capacity\n");
    let mut places = Vec::new();
    let mut made = 0;
    for day in 0..settings.days {
        let date = first_day.saturating_add(Span::new().days(i64::from(day))).to_string();
        for number in 0..settings.sites {
            let site = site_id(run, number);
            for slot in 0..settings.slots_per_day {
                if made == SLOTS_MAX {
                    break;
                }
                let begin = DAY_BEGINS_MINUTE + slot * SLOT_MINUTES;
                let _ = writeln!(
                    csv,
                    "{site},{date},{},{},{},{capacity}",
                    clock(begin),
                    clock(begin + SLOT_MINUTES),
                    settings.vaccine
                );
                made += 1;
            }
            places.push(SiteDay { site, date: date.clone() });
        }
    }
    (csv, places)
}

fn clock(minute: u32) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[derive(Deserialize)]
struct SitesAnswer {
    sites: Vec<SiteAnswer>,
}

#[derive(Deserialize)]
struct SiteAnswer {
    id: String,
}

/// Sites on offer, with the dates to look at.
pub(crate) fn discover_sites(
    citizen: &Caller,
    settings: &PeriodSettings,
) -> Result<Vec<SiteDay>, CallError> {
    let mut query = Vec::new();
    for (name, value) in [("county", &settings.county), ("district", &settings.district)] {
        if let Some(value) = value {
            query.push(format!("{name}={}", escaped(value)));
        }
    }
    let path = format!("/v1/periods/{}/sites?{}", settings.number, query.join("&"));
    let answer: SitesAnswer = citizen.json(&Method::GET, path.trim_end_matches('?'), None)?;
    let first_day = tomorrow();
    let mut places = Vec::new();
    for day in 0..settings.days {
        let date = first_day.saturating_add(Span::new().days(i64::from(day))).to_string();
        let sites = answer.sites.iter().take(settings.sites_max);
        places.extend(sites.map(|site| SiteDay { site: site.id.clone(), date: date.clone() }));
    }
    Ok(places)
}

/// What `GET /v1/periods/{n}` must say before people register.
#[derive(Deserialize)]
pub(crate) struct PeriodAnswer {
    pub(crate) state: String,
    pub(crate) vaccines: Vec<String>,
}

/// The period as a citizen sees it.
pub(crate) fn period(citizen: &Caller, number: u16) -> Result<PeriodAnswer, CallError> {
    citizen.json(&Method::GET, &format!("/v1/periods/{number}"), None)
}

/// The districts as a citizen sees them.
pub(crate) fn regions(citizen: &Caller) -> Result<Regions, CallError> {
    let reply = citizen.expect_success(&Method::GET, "/v1/regions", "", b"")?;
    Regions::from_answer(&reply.body)
        .map_err(|reason| CallError::Unreadable { path: "/v1/regions".to_owned(), reason })
}

#[derive(Deserialize)]
struct SlotsAnswer {
    slots: Vec<SlotAnswer>,
}

#[derive(Deserialize)]
struct SlotAnswer {
    number: u32,
    capacity: u32,
    places_left: u32,
}

/// Reads the slots of one site and day after another.
struct SlotsCall<'a> {
    lines: Vec<RequestLine>,
    places: &'a [SiteDay],
    /// Slots were made there, so an empty answer is too early.
    must_have_slots: bool,
}

impl Call for SlotsCall<'_> {
    type Output = Vec<SlotOffer>;

    fn write(&self, index: usize, out: &mut Vec<u8>) {
        self.lines[index].write(&[], b"", out);
    }

    fn read(&self, index: usize, status: u16, body: &[u8]) -> Verdict<Vec<SlotOffer>> {
        if status != 200 {
            return Verdict::Failed(format!(
                "status {status}: {}",
                String::from_utf8_lossy(&body[..body.len().min(200)])
            ));
        }
        let place = &self.places[index];
        match serde_json::from_slice::<SlotsAnswer>(body) {
            Ok(answer) if answer.slots.is_empty() && self.must_have_slots => {
                Verdict::Again(format!("no slots at {} on {}", place.site, place.date))
            }
            Ok(answer) => Verdict::Done(
                answer
                    .slots
                    .iter()
                    .map(|slot| SlotOffer {
                        facts: SlotFacts {
                            number: slot.number,
                            capacity: slot.capacity,
                            left_before: slot.places_left,
                            left_after: None,
                        },
                        site: place.site.clone(),
                        date: place.date.clone(),
                    })
                    .collect(),
            ),
            Err(error) => Verdict::Failed(format!("the slots cannot be read: {error}")),
        }
    }
}

/// Reads the slots at the places given, in such an order that neighbours are of different sites.
pub(crate) fn read_slots(
    target: &Target,
    period: u16,
    places: &[SiteDay],
    must_have_slots: bool,
    options: &SweepOptions,
) -> Result<Vec<SlotOffer>, String> {
    let lines = places
        .iter()
        .map(|place| {
            RequestLine::new(
                "GET",
                &slots_path(period, &place.site, &place.date),
                &target.host,
                &[],
            )
        })
        .collect();
    let call = SlotsCall { lines, places, must_have_slots };
    let done = std::sync::atomic::AtomicU64::new(0);
    let read =
        sweep(target, options, places.len(), &call, &done).map_err(|error| error.to_string())?;
    if let Some(message) = failures("reading slots", &read) {
        return Err(message);
    }
    let mut offers: Vec<(usize, SlotOffer)> = Vec::new();
    for slots in read.into_iter().flatten() {
        offers.extend(slots.into_iter().enumerate());
    }
    offers.sort_by_key(|(place_in_day, _)| *place_in_day);
    Ok(offers.into_iter().map(|(_, offer)| offer).collect())
}

/// The time a single call and its repeats may take.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(120);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn regions() -> Regions {
        Regions::from_answer(r#"{"counties":[{"code":"63000","names":{"zh-TW":"臺北市"},"districts":[{"code":"a"},{"code":"b"}]}]}"#.as_bytes()).unwrap()
    }

    #[test]
    fn prepared_slots_hold_the_places_asked_for() {
        let settings = PrepareSettings {
            sites: 3,
            days: 2,
            slots_per_day: 4,
            places_per_person: 1.5,
            ..PrepareSettings::default()
        };
        let (csv, places) = slots_csv(&settings, 7, 1_000, jiff::civil::date(2030, 12, 31));
        assert_eq!(places.len(), 6);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 24);
        let total: u64 = rows.iter().map(|row| row[5].parse::<u64>().unwrap()).sum();
        assert!((1_500..1_600).contains(&total), "{total}");
        assert_eq!((&rows[0][1], &rows[0][2], &rows[0][3]), ("2030-12-31", "08:00", "08:15"));
        assert!(rows.iter().any(|row| &row[1] == "2031-01-01"));
    }

    #[test]
    fn two_runs_make_different_sites() {
        let settings = PrepareSettings { sites: 2, ..PrepareSettings::default() };
        let first = sites_csv(&settings, 1, &regions());
        let second = sites_csv(&settings, 2, &regions());
        assert_eq!(first.lines().count(), 3);
        assert!(first.lines().skip(1).all(|line| !second.contains(line)));
    }
}
