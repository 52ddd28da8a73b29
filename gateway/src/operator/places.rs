//! L2: sites, slots and their capacities.

use std::sync::Arc;

use domain::view::{SlotIdentity, View};
use domain::{Command, ImportKind, OperatorRefusal, SlotNumber, SlotRow};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::write::{self, Chunks};
use super::{desk, rules};
use crate::context::Context;
use crate::core::Core;
use crate::import::slots::{CAPACITY_MAX, SlotLine};
use crate::import::{self, Kind, Reason, RowError, json};
use crate::problem::{Problem, Slug};
use crate::reply::{self, Reply};

/// The body of `PATCH /v1/slots/{number}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct CapacityBody {
    /// Places in all, not below the number booked.
    #[schema(maximum = 100_000)]
    pub(crate) capacity: u32,
}

/// A slot's capacity holds from now on.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct CapacitySet {
    /// The slot.
    pub(crate) number: u32,
    /// Places in all.
    pub(crate) capacity: u32,
    /// Places left at this moment.
    pub(crate) places_left: u32,
}

/// `POST /v1/sites:import`
pub(super) async fn import_sites(
    core: &Core,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    desk::expect_csv(&head.headers)?;
    let file = desk::file(core, Kind::Sites, body).await?;
    let _turn = core.context.desk.turn(core).await?;
    let context = Arc::clone(&core.context);
    let chunks = desk::aside(move || {
        let mut chunks = Chunks::of_sites();
        let reading = desk::reading(&context, Kind::Sites);
        let read = import::sites::read(&file.bytes, &reading, |_, site| {
            chunks.push(site);
            Ok(())
        });
        read.map_err(Problem::rows)?;
        Ok(chunks.finish())
    })
    .await?;
    let imported = write::import(core, ImportKind::Sites, chunks).await?;
    core.context.availability.all_published().await;
    Ok(rules::rows_imported(imported))
}

/// `POST /v1/slots:import`
pub(super) async fn import_slots(
    core: &Core,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    desk::expect_csv(&head.headers)?;
    let file = desk::file(core, Kind::Slots, body).await?;
    let _turn = core.context.desk.turn(core).await?;
    core.view_reached(0).await?;
    let context = Arc::clone(&core.context);
    let (vaccines, chunks) = desk::aside(move || {
        let mut vaccines: Vec<String> = Vec::new();
        let mut chunks = Chunks::of_slots();
        let reading = desk::reading(&context, Kind::Slots);
        let read = import::slots::read(&file.bytes, &reading, |line, slot| {
            chunks.push(slot_row(&context, &mut vaccines, line, &slot)?);
            Ok(())
        });
        read.map_err(Problem::rows)?;
        Ok((vaccines, chunks.finish()))
    })
    .await?;
    let imported = write::import(core, ImportKind::Slots { vaccines }, chunks).await?;
    core.context.availability.all_published().await;
    Ok(rules::rows_imported(imported))
}

/// A line as a row of the import: its site must stand, and no slot may fall below what is booked.
fn slot_row(
    context: &Context,
    vaccines: &mut Vec<String>,
    line: u32,
    slot: &SlotLine<'_>,
) -> Result<SlotRow, RowError> {
    let view = context.view.read();
    let site = view.catalogue.site_number(slot.site);
    let site = site.ok_or(RowError { line, field: "site", reason: Reason::UnknownSite })?;
    let booked = booked_so_far(&view, site, slot);
    drop(view);
    if slot.capacity < booked {
        let reason = Reason::CapacityBelowBooked { booked: u64::from(booked) };
        return Err(RowError { line, field: "capacity", reason });
    }
    let known = vaccines.iter().position(|name| name == slot.vaccine);
    let place = known.unwrap_or_else(|| {
        vaccines.push(slot.vaccine.to_owned());
        vaccines.len() - 1
    });
    Ok(SlotRow {
        site,
        day: slot.day,
        start_minute: slot.start_minute,
        end_minute: slot.end_minute,
        vaccine: u8::try_from(place).unwrap_or(u8::MAX),
        capacity: slot.capacity,
    })
}

fn booked_so_far(view: &View, site: domain::SiteNumber, slot: &SlotLine<'_>) -> u32 {
    let Some(vaccine) = view.catalogue.vaccine_named(slot.vaccine) else { return 0 };
    let identity = SlotIdentity {
        site,
        day: slot.day,
        start_minute: slot.start_minute,
        end_minute: slot.end_minute,
        vaccine,
    };
    let Some(number) = view.catalogue.slot_by_identity(&identity) else { return 0 };
    let capacity = view.catalogue.slot(number).map_or(0, |known| known.capacity);
    capacity.saturating_sub(view.places_left(number))
}

/// `PATCH /v1/slots/{number}`
pub(super) async fn set_capacity(
    core: &Core,
    number: &str,
    head: &Parts,
    body: Incoming,
) -> Result<Reply, Problem> {
    let plain = number.len() <= 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = plain.then(|| number.parse().ok()).flatten().ok_or(Slug::NotFound)?;
    let body = desk::json(core, head, body).await?;
    let capacity = json::read(&body, |node, errors| {
        let mut fields = json::Fields::of(node, "", errors)?;
        let capacity = fields.number("capacity", 0, CAPACITY_MAX, errors);
        fields.finish(errors);
        capacity
    })
    .map_err(Problem::body)?;
    let slot = SlotNumber(number);
    let command = Command::SetCapacity { slot, capacity };
    let applied = core.apply(command).await?;
    match write::refusals(&applied.events)[..] {
        [] => {}
        [(_, OperatorRefusal::UnknownSlot), ..] => return Err(Slug::NotFound.into()),
        ref refusals => return Err(Problem::refused(refusals.to_vec())),
    }
    core.context.availability.all_published().await;
    let places_left = core.context.view.places().get(slot);
    Ok(reply::private_value(StatusCode::OK, &CapacitySet { number, capacity, places_left }))
}
