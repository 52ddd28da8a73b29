//! The moment at which all rows of an import hold.

use crate::state::staging::Import;
use crate::state::{SITES_MAX, SLOTS_MAX, State, TooManyVaccines};
use crate::{
    CategoryNumber, Event, ImportKind, ImportRows, OperatorRefusal, PersonKey, Site, Slot, SlotRow,
    VaccineNumber,
};

use super::{Refusal, refuse_operator};

/// Rows of one event: larger ones would not fit the groups in which events travel.
const SITES_PER_EVENT_MAX: usize = 512;
const SLOTS_PER_EVENT_MAX: usize = 2_048;
const MEMBERS_PER_EVENT_MAX: usize = 4_096;

/// Takes all rows of an import whose rows and hash match, or refuses and changes nothing.
pub(super) fn apply(state: &mut State, import: u64, rows: u32, events: &mut Vec<Event>) {
    let Some(under_way) = state.staging.import.take() else {
        return;
    };
    let checked = check(state, &under_way);
    // Put back at once: ending it is one step, with its record in the changes.
    state.staging.import = Some(under_way);
    if let Err((row, reason)) = checked {
        return refuse_operator(row, reason, events);
    }
    let Some(ended) = state.staging.end(&mut state.recorder) else {
        return;
    };
    let added = match &ended.head.kind {
        ImportKind::Sites => put_sites(state, &ended, events),
        ImportKind::Slots { vaccines } => put_slots(state, vaccines, &ended, events),
        ImportKind::Members { category } => put_members(state, *category, &ended, events),
    };
    events.push(Event::ImportCommitted { import, rows, added });
}

/// The lowest refusal, at the first row to which it applies.
fn check(state: &State, import: &Import) -> Result<(), Refusal> {
    match &import.head.kind {
        ImportKind::Sites => {
            let added = site_rows(import)
                .filter(|site| !state.catalogue.sites.contains_key(&site.id))
                .count();
            let fits = state.catalogue.sites.len() + added <= SITES_MAX;
            if fits { Ok(()) } else { Err((0, OperatorRefusal::TooManyRows)) }
        }
        ImportKind::Slots { vaccines } => check_slots(state, vaccines, import),
        ImportKind::Members { .. } => Ok(()),
    }
}

fn check_slots(state: &State, vaccines: &[String], import: &Import) -> Result<(), Refusal> {
    let mut added = 0;
    for (place, row) in slot_rows(import).enumerate() {
        let known = slot_of(state, vaccines, row).and_then(|slot| state.slots.find(&slot));
        let places = known.and_then(|number| state.slots.places(number));
        if places.is_some_and(|places| row.capacity < places.booked) {
            return Err((place as u32, OperatorRefusal::CapacityBelowBooked));
        }
        added += u32::from(known.is_none());
    }
    if let Err(TooManyVaccines) = state.catalogue.new_vaccines(vaccines) {
        return Err((0, OperatorRefusal::TooManyVaccines));
    }
    if state.slots.len() + added > SLOTS_MAX {
        return Err((0, OperatorRefusal::TooManyRows));
    }
    Ok(())
}

fn put_sites(state: &mut State, import: &Import, events: &mut Vec<Event>) -> u32 {
    let mut added = 0;
    let rows: Vec<&Site> = site_rows(import).collect();
    for batch in rows.chunks(SITES_PER_EVENT_MAX) {
        let mut sites = Vec::with_capacity(batch.len());
        for site in batch {
            let (number, is_new) = state.put_site(&site.id);
            added += u32::from(is_new);
            sites.push((number, (*site).clone()));
        }
        events.push(Event::SitesPut { sites });
    }
    added
}

fn put_slots(
    state: &mut State,
    vaccines: &[String],
    import: &Import,
    events: &mut Vec<Event>,
) -> u32 {
    let mut added = 0;
    if let Ok(names) = state.catalogue.new_vaccines(vaccines) {
        state.name_vaccines(names, events);
    }
    let rows: Vec<&SlotRow> = slot_rows(import).collect();
    for batch in rows.chunks(SLOTS_PER_EVENT_MAX) {
        let mut slots = Vec::with_capacity(batch.len());
        for slot in batch.iter().filter_map(|row| slot_of(state, vaccines, row)).collect::<Vec<_>>()
        {
            let (number, is_new) = state.put_slot(&slot);
            added += u32::from(is_new);
            slots.push((number, slot));
        }
        events.push(Event::SlotsPut { slots });
    }
    added
}

fn put_members(
    state: &mut State,
    category: CategoryNumber,
    import: &Import,
    events: &mut Vec<Event>,
) -> u32 {
    let Some(bit) = state.catalogue.category_bit(category) else {
        return 0;
    };
    let mut added = 0;
    let rows: Vec<&PersonKey> = member_rows(import).collect();
    for batch in rows.chunks(MEMBERS_PER_EVENT_MAX) {
        let mut people = Vec::with_capacity(batch.len());
        for key in batch {
            let Some(person) = state.number(**key, events) else {
                continue;
            };
            added += u32::from(state.add_member(person, bit));
            people.push(person);
        }
        events.push(Event::MembersPut { category, people });
    }
    added
}

/// The slot of a row, as far as its vaccine has a number.
fn slot_of(state: &State, vaccines: &[String], row: &SlotRow) -> Option<Slot> {
    let name = vaccines.get(usize::from(row.vaccine))?;
    let vaccine: VaccineNumber = state.catalogue.vaccine(name)?;
    Some(Slot {
        site: row.site,
        day: row.day,
        start_minute: row.start_minute,
        end_minute: row.end_minute,
        vaccine,
        capacity: row.capacity,
    })
}

fn site_rows(import: &Import) -> impl Iterator<Item = &Site> {
    import.chunks.iter().flat_map(|chunk| match chunk {
        ImportRows::Sites(rows) => rows.as_slice(),
        _ => &[],
    })
}

fn slot_rows(import: &Import) -> impl Iterator<Item = &SlotRow> {
    import.chunks.iter().flat_map(|chunk| match chunk {
        ImportRows::Slots(rows) => rows.as_slice(),
        _ => &[],
    })
}

fn member_rows(import: &Import) -> impl Iterator<Item = &PersonKey> {
    import.chunks.iter().flat_map(|chunk| match chunk {
        ImportRows::Members(rows) => rows.as_slice(),
        _ => &[],
    })
}
