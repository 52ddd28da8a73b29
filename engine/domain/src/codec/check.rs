//! What no honest writer puts into a record, whatever the state: refused on reading, so that the
//! rules and the readers may add to instants and show days without fear of overflow.

use super::{DecodeError, is_instant};
use crate::eligibility::VACCINES_MAX;
use crate::{Category, Command, Day, Event, Millis, Opening, Period, Slot, VaccineNumber};

/// Checks a command's instants and days. Those of slots to be imported are left to the rules.
pub(super) fn command(command: &Command) -> Result<(), DecodeError> {
    match command {
        Command::Register { attested, .. } | Command::Modify { attested, .. } => {
            day(attested.born_on)
        }
        Command::PutCategory(put) => category(put),
        Command::PutPeriod(put) => period(put),
        Command::Attend { rows } => rows.iter().try_for_each(|row| instant(row.attended_at)),
        Command::CorrectRoster { rows, .. } => {
            rows.iter().try_for_each(|(_, born_on)| day(*born_on))
        }
        _ => Ok(()),
    }
}

/// Checks an event's instants, days and vaccine numbers.
pub(super) fn event(event: &Event) -> Result<(), DecodeError> {
    match event {
        Event::Registered { born_on, .. }
        | Event::Modified { born_on, .. }
        | Event::BirthCorrected { born_on, .. } => day(*born_on),
        Event::Attended { attended_at, .. } => instant(*attended_at),
        Event::CategoryPut { category: put, .. } => category(put),
        Event::PeriodPut { period: put, .. } => period(put),
        Event::VaccineNamed { vaccine: named, .. } => vaccine(*named),
        Event::SlotsPut { slots } => slots.iter().try_for_each(|(_, put)| slot(put)),
        _ => Ok(()),
    }
}

/// An instant of the years 1 to 9999.
pub(super) fn instant(at: Millis) -> Result<(), DecodeError> {
    if !is_instant(at) {
        return Err(DecodeError::Malformed("instant outside the years 1 to 9999"));
    }
    Ok(())
}

fn day(day: Day) -> Result<(), DecodeError> {
    instant(day.starts_at())
}

fn category(put: &Category) -> Result<(), DecodeError> {
    put.born_on_or_before.map_or(Ok(()), day)?;
    instant(put.opens_at)?;
    put.closes_at.map_or(Ok(()), instant)
}

fn period(put: &Period) -> Result<(), DecodeError> {
    put.registered_before.map_or(Ok(()), instant)?;
    put.born_on_or_before.map_or(Ok(()), day)?;
    instant(put.opens_at)?;
    instant(put.closes_at)?;
    put.openings.iter().try_for_each(opening)
}

fn opening(put: &Opening) -> Result<(), DecodeError> {
    put.born_on_or_before.map_or(Ok(()), day)?;
    instant(put.opens_at)
}

fn vaccine(number: VaccineNumber) -> Result<(), DecodeError> {
    if usize::from(number.0) >= VACCINES_MAX {
        return Err(DecodeError::Malformed("vaccine number beyond a set"));
    }
    Ok(())
}

fn slot(put: &Slot) -> Result<(), DecodeError> {
    day(put.day)?;
    vaccine(put.vaccine)
}
