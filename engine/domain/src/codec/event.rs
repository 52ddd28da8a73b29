//! One event as bytes: kind, then either a fixed layout (what bookings give rise to) or a length and
//! the fields in postcard (the rest). The length lets a reader step over an event it does not need.

use super::bytes::{Cursor, Fixed, packed, put_packed};
use super::{DecodeError, check};
use crate::{
    BookingNumber, Event, Fingerprint, KeyHash, Millis, OperatorRefusal, PeriodNumber, PersonKey,
    PersonNumber, Rejection, Sequence, SlotNumber,
};

/// The stable kind numbers of events.
mod kind {
    pub(super) const NUMBERED: u8 = 1;
    pub(super) const CONFIRMED: u8 = 2;
    pub(super) const CHANGED: u8 = 3;
    pub(super) const CANCELLED: u8 = 4;
    pub(super) const REJECTED: u8 = 5;
    pub(super) const REPEATED: u8 = 6;
    pub(super) const KEY_REUSED: u8 = 7;
    pub(super) const ATTENDED: u8 = 8;
    pub(super) const NO_SHOW: u8 = 9;
    pub(super) const REGISTERED: u8 = 16;
    pub(super) const ALREADY_REGISTERED: u8 = 17;
    pub(super) const MODIFIED: u8 = 18;
    pub(super) const WITHDRAWN: u8 = 19;
    pub(super) const CATEGORY_PUT: u8 = 32;
    pub(super) const PERIOD_PUT: u8 = 33;
    pub(super) const VACCINE_NAMED: u8 = 34;
    pub(super) const IMPORT_STAGED: u8 = 35;
    pub(super) const SITES_PUT: u8 = 36;
    pub(super) const SLOTS_PUT: u8 = 37;
    pub(super) const MEMBERS_PUT: u8 = 38;
    pub(super) const IMPORT_COMMITTED: u8 = 39;
    pub(super) const IMPORT_VOIDED: u8 = 40;
    pub(super) const CAPACITY_SET: u8 = 41;
    pub(super) const BIRTH_CORRECTED: u8 = 42;
    pub(super) const OPERATOR_REFUSED: u8 = 43;
    pub(super) const EPOCH_BEGAN: u8 = 48;
    pub(super) const RULES_ACTIVATED: u8 = 49;
    pub(super) const MALFORMED: u8 = 50;
}

/// Bytes of each hot event, by kind, the kind included.
const HOT_BYTES: [usize; 10] =
    [0, NUMBERED, BOOKED, CHANGED, BOOKED, REJECTED, REFERRED, REFERRED, ATTENDED, MISSED];
const NUMBERED: usize = 21;
const BOOKED: usize = 31;
const CHANGED: usize = 35;
const REJECTED: usize = 24;
const REFERRED: usize = 23;
const ATTENDED: usize = 17;
const MISSED: usize = 9;

/// Appends one event.
#[inline]
pub(crate) fn put_event(event: &Event, out: &mut Vec<u8>) {
    match *event {
        Event::Confirmed { person, period, key, fingerprint, booking, slot } => {
            request::<BOOKED>(out, kind::CONFIRMED, person, period, key)
                .put(fingerprint.0.to_le_bytes())
                .put(booking.0.to_le_bytes())
                .put(slot.0.to_le_bytes())
                .done();
        }
        Event::Rejected { person, period, key, fingerprint, reason } => {
            request::<REJECTED>(out, kind::REJECTED, person, period, key)
                .put(fingerprint.0.to_le_bytes())
                .put([reason as u8])
                .done();
        }
        Event::Changed { person, period, key, fingerprint, booking, from, to } => {
            request::<CHANGED>(out, kind::CHANGED, person, period, key)
                .put(fingerprint.0.to_le_bytes())
                .put(booking.0.to_le_bytes())
                .put(from.0.to_le_bytes())
                .put(to.0.to_le_bytes())
                .done();
        }
        Event::Cancelled { person, period, key, fingerprint, booking, slot } => {
            request::<BOOKED>(out, kind::CANCELLED, person, period, key)
                .put(fingerprint.0.to_le_bytes())
                .put(booking.0.to_le_bytes())
                .put(slot.0.to_le_bytes())
                .done();
        }
        Event::Repeated { person, period, key, first } => {
            request::<REFERRED>(out, kind::REPEATED, person, period, key)
                .put(first.0.to_le_bytes())
                .done();
        }
        Event::KeyReused { person, period, key, first } => {
            request::<REFERRED>(out, kind::KEY_REUSED, person, period, key)
                .put(first.0.to_le_bytes())
                .done();
        }
        Event::Numbered { person, key } => {
            about::<NUMBERED>(out, kind::NUMBERED, person).put(key.0).done();
        }
        Event::Attended { person, booking, attended_at } => {
            about::<ATTENDED>(out, kind::ATTENDED, person)
                .put(booking.0.to_le_bytes())
                .put(attended_at.0.to_le_bytes())
                .done();
        }
        Event::NoShow { person, booking } => {
            about::<MISSED>(out, kind::NO_SHOW, person).put(booking.0.to_le_bytes()).done();
        }
        _ => put_cold(event, out),
    }
}

/// What the hot events start with.
#[inline(always)]
fn about<const N: usize>(out: &mut Vec<u8>, kind: u8, person: PersonNumber) -> Fixed<'_, N> {
    Fixed::append_to(out).put([kind]).put(person.0.to_le_bytes())
}

/// What the answers to a person's request start with.
#[inline(always)]
fn request<const N: usize>(
    out: &mut Vec<u8>,
    kind: u8,
    person: PersonNumber,
    period: PeriodNumber,
    key: KeyHash,
) -> Fixed<'_, N> {
    about(out, kind, person).put(period.0.to_le_bytes()).put(key.0.to_le_bytes())
}

/// What a hot event touches, as far as its first bytes tell without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glimpse {
    /// Whom.
    pub(crate) person: PersonNumber,
    /// A key that gets a number.
    pub(crate) key: Option<PersonKey>,
    /// A slot whose place is taken.
    pub(crate) slot: Option<SlotNumber>,
}

/// Steps over one event; `None` inside for one that is not hot. Checks nothing but lengths.
#[inline]
pub(super) fn glimpse(cursor: &mut Cursor<'_>) -> Result<Option<Glimpse>, DecodeError> {
    let kind = cursor.u8()?;
    let Some(length) = HOT_BYTES.get(usize::from(kind)).filter(|length| **length > 0) else {
        let length = cursor.u32()?;
        cursor.slice(length as usize)?;
        return Ok(None);
    };
    let mut fields = Cursor::new(cursor.slice(length - 1)?);
    let person = PersonNumber(fields.u32()?);
    let mut glimpse = Glimpse { person, key: None, slot: None };
    match kind {
        kind::NUMBERED => glimpse.key = Some(PersonKey(fields.array()?)),
        kind::CONFIRMED => {
            fields.slice(BOOKED - 9)?;
            glimpse.slot = Some(SlotNumber(fields.u32()?));
        }
        _ => {}
    }
    Ok(Some(glimpse))
}

/// Reads one event into a place that held another: an event is large, and moving it would cost more
/// than reading it.
#[inline]
pub(super) fn read_event(cursor: &mut Cursor<'_>, event: &mut Event) -> Result<(), DecodeError> {
    let kind = cursor.u8()?;
    match kind {
        kind::CONFIRMED..=kind::KEY_REUSED => return answer(kind, cursor, event),
        kind::NUMBERED => {
            let person = PersonNumber(cursor.u32()?);
            *event = Event::Numbered { person, key: PersonKey(cursor.array()?) };
        }
        kind::ATTENDED => {
            let person = PersonNumber(cursor.u32()?);
            let booking = BookingNumber(cursor.u32()?);
            let attended_at = Millis(cursor.i64()?);
            check::instant(attended_at)?;
            *event = Event::Attended { person, booking, attended_at };
        }
        kind::NO_SHOW => {
            let person = PersonNumber(cursor.u32()?);
            *event = Event::NoShow { person, booking: BookingNumber(cursor.u32()?) };
        }
        _ => {
            let length = cursor.u32()?;
            *event = cold(kind, cursor.slice(length as usize)?)?;
        }
    }
    Ok(())
}

/// Reads the answer to a person's request on bookings.
#[inline(always)]
fn answer(kind: u8, cursor: &mut Cursor<'_>, event: &mut Event) -> Result<(), DecodeError> {
    let person = PersonNumber(cursor.u32()?);
    let period = PeriodNumber(cursor.u16()?);
    let key = KeyHash(cursor.u64()?);
    // Fingerprint or first sequence: eight bytes either way.
    let word = cursor.u64()?;
    let (fingerprint, first) = (Fingerprint(word), Sequence(word));
    match kind {
        kind::CONFIRMED => {
            let booking = BookingNumber(cursor.u32()?);
            let slot = SlotNumber(cursor.u32()?);
            *event = Event::Confirmed { person, period, key, fingerprint, booking, slot };
        }
        kind::CHANGED => {
            let booking = BookingNumber(cursor.u32()?);
            let (from, to) = (SlotNumber(cursor.u32()?), SlotNumber(cursor.u32()?));
            *event = Event::Changed { person, period, key, fingerprint, booking, from, to };
        }
        kind::CANCELLED => {
            let booking = BookingNumber(cursor.u32()?);
            let slot = SlotNumber(cursor.u32()?);
            *event = Event::Cancelled { person, period, key, fingerprint, booking, slot };
        }
        kind::REJECTED => {
            let reason = Rejection::from_number(cursor.u8()?)
                .ok_or(DecodeError::Malformed("no such reason"))?;
            *event = Event::Rejected { person, period, key, fingerprint, reason };
        }
        kind::REPEATED => *event = Event::Repeated { person, period, key, first },
        _ => *event = Event::KeyReused { person, period, key, first },
    }
    Ok(())
}

/// Appends kind, length and packed fields.
#[cold]
fn put_cold(event: &Event, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 5]);
    let kind = put_cold_fields(event, out);
    let length = (out.len() - start - 5) as u32;
    out[start] = kind;
    out[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
}

/// Appends the fields of an event that is not hot, and gives its kind.
fn put_cold_fields(event: &Event, out: &mut Vec<u8>) -> u8 {
    match event {
        Event::Registered { person, key, fingerprint, serial, born_on, intent, sealed } => {
            put_packed(&(person, key, fingerprint, serial, born_on, intent, sealed), out);
            kind::REGISTERED
        }
        Event::AlreadyRegistered { person, key, fingerprint } => {
            put_packed(&(person, key, fingerprint), out);
            kind::ALREADY_REGISTERED
        }
        Event::Modified { person, key, fingerprint, born_on, intent, sealed } => {
            put_packed(&(person, key, fingerprint, born_on, intent, sealed), out);
            kind::MODIFIED
        }
        Event::Withdrawn { person, key, fingerprint, serial } => {
            put_packed(&(person, key, fingerprint, serial), out);
            kind::WITHDRAWN
        }
        operator => put_operator_fields(operator, out),
    }
}

/// Appends the fields of an event of operators, imports or the engine itself, and gives its kind.
fn put_operator_fields(event: &Event, out: &mut Vec<u8>) -> u8 {
    match event {
        Event::CategoryPut { category, vaccines } => {
            put_packed(&(category, vaccines), out);
            kind::CATEGORY_PUT
        }
        Event::PeriodPut { period, vaccines } => {
            put_packed(&(period, vaccines), out);
            kind::PERIOD_PUT
        }
        Event::VaccineNamed { vaccine, name } => {
            put_packed(&(vaccine, name), out);
            kind::VACCINE_NAMED
        }
        Event::ImportStaged { import, rows } => {
            put_packed(&(import, rows), out);
            kind::IMPORT_STAGED
        }
        Event::SitesPut { sites } => {
            put_packed(sites, out);
            kind::SITES_PUT
        }
        Event::SlotsPut { slots } => {
            put_packed(slots, out);
            kind::SLOTS_PUT
        }
        Event::MembersPut { category, people } => {
            put_packed(&(category, people), out);
            kind::MEMBERS_PUT
        }
        Event::ImportCommitted { import, rows, added } => {
            put_packed(&(import, rows, added), out);
            kind::IMPORT_COMMITTED
        }
        Event::ImportVoided { import } => {
            put_packed(import, out);
            kind::IMPORT_VOIDED
        }
        Event::CapacitySet { slot, capacity } => {
            put_packed(&(slot, capacity), out);
            kind::CAPACITY_SET
        }
        Event::BirthCorrected { person, born_on } => {
            put_packed(&(person, born_on), out);
            kind::BIRTH_CORRECTED
        }
        Event::OperatorRefused { row, reason } => {
            put_packed(&(row, *reason as u8), out);
            kind::OPERATOR_REFUSED
        }
        Event::EpochBegan { epoch } => {
            put_packed(epoch, out);
            kind::EPOCH_BEGAN
        }
        Event::RulesActivated { version } => {
            put_packed(version, out);
            kind::RULES_ACTIVATED
        }
        Event::Malformed => kind::MALFORMED,
        // All others have been written before; a kind 0 reads as malformed.
        _ => 0,
    }
}

/// Reads the fields of an event that is not hot.
#[cold]
fn cold(kind: u8, body: &[u8]) -> Result<Event, DecodeError> {
    let event = match kind {
        kind::REGISTERED => {
            let (person, key, fingerprint, serial, born_on, intent, sealed) = packed(body)?;
            Event::Registered { person, key, fingerprint, serial, born_on, intent, sealed }
        }
        kind::ALREADY_REGISTERED => {
            let (person, key, fingerprint) = packed(body)?;
            Event::AlreadyRegistered { person, key, fingerprint }
        }
        kind::MODIFIED => {
            let (person, key, fingerprint, born_on, intent, sealed) = packed(body)?;
            Event::Modified { person, key, fingerprint, born_on, intent, sealed }
        }
        kind::WITHDRAWN => {
            let (person, key, fingerprint, serial) = packed(body)?;
            Event::Withdrawn { person, key, fingerprint, serial }
        }
        _ => operator_event(kind, body)?,
    };
    check::event(&event)?;
    Ok(event)
}

/// Reads the fields of an event of operators, imports or the engine itself.
fn operator_event(kind: u8, body: &[u8]) -> Result<Event, DecodeError> {
    Ok(match kind {
        kind::CATEGORY_PUT => {
            let (category, vaccines) = packed(body)?;
            Event::CategoryPut { category, vaccines }
        }
        kind::PERIOD_PUT => {
            let (period, vaccines) = packed(body)?;
            Event::PeriodPut { period, vaccines }
        }
        kind::VACCINE_NAMED => {
            let (vaccine, name) = packed(body)?;
            Event::VaccineNamed { vaccine, name }
        }
        kind::IMPORT_STAGED => {
            let (import, rows) = packed(body)?;
            Event::ImportStaged { import, rows }
        }
        kind::SITES_PUT => Event::SitesPut { sites: packed(body)? },
        kind::SLOTS_PUT => Event::SlotsPut { slots: packed(body)? },
        kind::MEMBERS_PUT => {
            let (category, people) = packed(body)?;
            Event::MembersPut { category, people }
        }
        kind::IMPORT_COMMITTED => {
            let (import, rows, added) = packed(body)?;
            Event::ImportCommitted { import, rows, added }
        }
        kind::IMPORT_VOIDED => Event::ImportVoided { import: packed(body)? },
        kind::CAPACITY_SET => {
            let (slot, capacity) = packed(body)?;
            Event::CapacitySet { slot, capacity }
        }
        kind::BIRTH_CORRECTED => {
            let (person, born_on) = packed(body)?;
            Event::BirthCorrected { person, born_on }
        }
        kind::OPERATOR_REFUSED => {
            let (row, reason): (u32, u8) = packed(body)?;
            let reason = OperatorRefusal::from_number(reason)
                .ok_or(DecodeError::Malformed("no such operator's reason"))?;
            Event::OperatorRefused { row, reason }
        }
        kind::EPOCH_BEGAN => Event::EpochBegan { epoch: packed(body)? },
        kind::RULES_ACTIVATED => Event::RulesActivated { version: packed(body)? },
        kind::MALFORMED => {
            packed::<()>(body)?;
            Event::Malformed
        }
        _ => return Err(DecodeError::Malformed("no such kind of event")),
    })
}
