//! Commands as bytes.
//!
//! | bytes | hot commands | the others |
//! |---|---|---|
//! | 0 | format | format |
//! | 1 | kind; bit 7: the person is named by key | kind |
//! | 2..10 | origin | origin |
//! | then | person (4 or 16), period 2, slot 4 (not in `Cancel`), key 8, fingerprint 8 | fields in postcard |

use super::bytes::{Cursor, Fixed, packed, put_packed};
use super::{DecodeError, FORMAT, check, check_format};
use crate::{
    Command, Envelope, Fingerprint, KeyHash, Origin, PeriodNumber, PersonKey, PersonNumber,
    PersonRef, RetryKey, SlotNumber,
};

/// The stable kind numbers of commands.
mod kind {
    pub(super) const BOOK: u8 = 1;
    pub(super) const MOVE: u8 = 2;
    pub(super) const CANCEL: u8 = 3;
    pub(super) const REGISTER: u8 = 16;
    pub(super) const MODIFY: u8 = 17;
    pub(super) const WITHDRAW: u8 = 18;
    pub(super) const PUT_CATEGORY: u8 = 32;
    pub(super) const PUT_PERIOD: u8 = 33;
    pub(super) const IMPORT_BEGIN: u8 = 34;
    pub(super) const IMPORT_CHUNK: u8 = 35;
    pub(super) const IMPORT_COMMIT: u8 = 36;
    pub(super) const SET_CAPACITY: u8 = 37;
    pub(super) const ATTEND: u8 = 38;
    pub(super) const CORRECT_ROSTER: u8 = 39;
    pub(super) const SUPERSEDE: u8 = 40;
    pub(super) const PULSE: u8 = 48;
    pub(super) const EPOCH: u8 = 49;
    pub(super) const ACTIVATE_RULES: u8 = 50;
    /// Set in a hot kind when the person is named by key.
    pub(super) const BY_KEY: u8 = 0x80;
}

/// Appends one command's record.
pub fn encode_command(envelope: &Envelope, out: &mut Vec<u8>) {
    let origin = envelope.origin;
    match &envelope.command {
        Command::Book { person, period, slot, retry } => {
            put_with_slot(kind::BOOK, origin, *person, *period, *slot, *retry, out);
        }
        Command::Move { person, period, slot, retry } => {
            put_with_slot(kind::MOVE, origin, *person, *period, *slot, *retry, out);
        }
        Command::Cancel { person, period, retry } => {
            put_without_slot(kind::CANCEL, origin, *person, *period, *retry, out);
        }
        cold => put_cold(origin, cold, out),
    }
}

/// Reads one command's record.
///
/// # Errors
/// When the bytes are not one whole command, or a newer version wrote them.
#[inline]
pub fn decode_command(bytes: &[u8]) -> Result<Envelope, DecodeError> {
    let mut cursor = Cursor::new(bytes);
    check_format(cursor.u8()?)?;
    let kind = cursor.u8()?;
    let origin = Origin(cursor.u64()?);
    match kind & !kind::BY_KEY {
        kind::BOOK..=kind::CANCEL => hot(kind, origin, cursor),
        _ => cold(kind, origin, cursor.rest()),
    }
}

#[inline(always)]
fn put_with_slot(
    kind: u8,
    origin: Origin,
    person: PersonRef,
    period: PeriodNumber,
    slot: SlotNumber,
    retry: RetryKey,
    out: &mut Vec<u8>,
) {
    match person {
        PersonRef::Number(number) => by_number::<36>(out, kind, origin, number, period)
            .put(slot.0.to_le_bytes())
            .put(retry.key.0.to_le_bytes())
            .put(retry.fingerprint.0.to_le_bytes())
            .done(),
        PersonRef::Key(key) => by_key::<48>(out, kind, origin, key, period)
            .put(slot.0.to_le_bytes())
            .put(retry.key.0.to_le_bytes())
            .put(retry.fingerprint.0.to_le_bytes())
            .done(),
    }
}

#[inline(always)]
fn put_without_slot(
    kind: u8,
    origin: Origin,
    person: PersonRef,
    period: PeriodNumber,
    retry: RetryKey,
    out: &mut Vec<u8>,
) {
    match person {
        PersonRef::Number(number) => by_number::<32>(out, kind, origin, number, period)
            .put(retry.key.0.to_le_bytes())
            .put(retry.fingerprint.0.to_le_bytes())
            .done(),
        PersonRef::Key(key) => by_key::<44>(out, kind, origin, key, period)
            .put(retry.key.0.to_le_bytes())
            .put(retry.fingerprint.0.to_le_bytes())
            .done(),
    }
}

#[inline(always)]
fn by_number<const N: usize>(
    out: &mut Vec<u8>,
    kind: u8,
    origin: Origin,
    person: PersonNumber,
    period: PeriodNumber,
) -> Fixed<'_, N> {
    Fixed::append_to(out)
        .put([FORMAT, kind])
        .put(origin.0.to_le_bytes())
        .put(person.0.to_le_bytes())
        .put(period.0.to_le_bytes())
}

#[inline(always)]
fn by_key<const N: usize>(
    out: &mut Vec<u8>,
    kind: u8,
    origin: Origin,
    person: PersonKey,
    period: PeriodNumber,
) -> Fixed<'_, N> {
    Fixed::append_to(out)
        .put([FORMAT, kind | kind::BY_KEY])
        .put(origin.0.to_le_bytes())
        .put(person.0)
        .put(period.0.to_le_bytes())
}

#[inline(always)]
fn hot(kind: u8, origin: Origin, mut cursor: Cursor<'_>) -> Result<Envelope, DecodeError> {
    let person = if kind & kind::BY_KEY == 0 {
        PersonRef::Number(PersonNumber(cursor.u32()?))
    } else {
        PersonRef::Key(PersonKey(cursor.array()?))
    };
    let period = PeriodNumber(cursor.u16()?);
    let kind = kind & !kind::BY_KEY;
    let slot = match kind {
        kind::CANCEL => SlotNumber(0),
        _ => SlotNumber(cursor.u32()?),
    };
    let retry = RetryKey { key: KeyHash(cursor.u64()?), fingerprint: Fingerprint(cursor.u64()?) };
    cursor.end()?;
    // Each made in its place: an envelope is large, and moving it would cost more than reading it.
    Ok(match kind {
        kind::BOOK => Envelope { origin, command: Command::Book { person, period, slot, retry } },
        kind::MOVE => Envelope { origin, command: Command::Move { person, period, slot, retry } },
        _ => Envelope { origin, command: Command::Cancel { person, period, retry } },
    })
}

#[cold]
fn put_cold(origin: Origin, command: &Command, out: &mut Vec<u8>) {
    out.push(FORMAT);
    let kind_at = out.len();
    out.push(0);
    out.extend_from_slice(&origin.0.to_le_bytes());
    let kind = put_cold_fields(command, out);
    out[kind_at] = kind;
}

/// Appends the fields of a command that is not hot, and gives its kind.
fn put_cold_fields(command: &Command, out: &mut Vec<u8>) -> u8 {
    match command {
        // The hot kinds never come here; a record of kind 0 reads as malformed.
        Command::Book { .. } | Command::Move { .. } | Command::Cancel { .. } => 0,
        Command::Register { person, attested, intent, sealed, retry } => {
            put_packed(&(person, attested, intent, sealed, retry), out);
            kind::REGISTER
        }
        Command::Modify { person, attested, intent, sealed, retry } => {
            put_packed(&(person, attested, intent, sealed, retry), out);
            kind::MODIFY
        }
        Command::Withdraw { person, retry } => {
            put_packed(&(person, retry), out);
            kind::WITHDRAW
        }
        Command::PutCategory(category) => {
            put_packed(category, out);
            kind::PUT_CATEGORY
        }
        Command::PutPeriod(period) => {
            put_packed(period, out);
            kind::PUT_PERIOD
        }
        Command::ImportBegin { import, kind } => {
            put_packed(&(import, kind), out);
            kind::IMPORT_BEGIN
        }
        Command::ImportChunk { import, rows } => {
            put_packed(&(import, rows), out);
            kind::IMPORT_CHUNK
        }
        Command::ImportCommit { import, rows, hash } => {
            put_packed(&(import, rows, hash), out);
            kind::IMPORT_COMMIT
        }
        Command::SetCapacity { slot, capacity } => {
            put_packed(&(slot, capacity), out);
            kind::SET_CAPACITY
        }
        Command::Attend { rows } => {
            put_packed(rows, out);
            kind::ATTEND
        }
        Command::CorrectRoster { roster_version, rows } => {
            put_packed(&(roster_version, rows), out);
            kind::CORRECT_ROSTER
        }
        Command::Supersede { roster_version, keys } => {
            put_packed(&(roster_version, keys), out);
            kind::SUPERSEDE
        }
        Command::Pulse { epoch } => {
            put_packed(epoch, out);
            kind::PULSE
        }
        Command::Epoch { epoch, engine } => {
            put_packed(&(epoch, engine), out);
            kind::EPOCH
        }
        Command::ActivateRules { version } => {
            put_packed(version, out);
            kind::ACTIVATE_RULES
        }
    }
}

#[cold]
fn cold(kind: u8, origin: Origin, body: &[u8]) -> Result<Envelope, DecodeError> {
    let command = cold_command(kind, body)?;
    check::command(&command)?;
    Ok(Envelope { origin, command })
}

fn cold_command(kind: u8, body: &[u8]) -> Result<Command, DecodeError> {
    Ok(match kind {
        kind::REGISTER => {
            let (person, attested, intent, sealed, retry) = packed(body)?;
            Command::Register { person, attested, intent, sealed, retry }
        }
        kind::MODIFY => {
            let (person, attested, intent, sealed, retry) = packed(body)?;
            Command::Modify { person, attested, intent, sealed, retry }
        }
        kind::WITHDRAW => {
            let (person, retry) = packed(body)?;
            Command::Withdraw { person, retry }
        }
        kind::PUT_CATEGORY => Command::PutCategory(packed(body)?),
        kind::PUT_PERIOD => Command::PutPeriod(packed(body)?),
        kind::IMPORT_BEGIN => {
            let (import, kind) = packed(body)?;
            Command::ImportBegin { import, kind }
        }
        kind::IMPORT_CHUNK => {
            let (import, rows) = packed(body)?;
            Command::ImportChunk { import, rows }
        }
        kind::IMPORT_COMMIT => {
            let (import, rows, hash) = packed(body)?;
            Command::ImportCommit { import, rows, hash }
        }
        kind::SET_CAPACITY => {
            let (slot, capacity) = packed(body)?;
            Command::SetCapacity { slot, capacity }
        }
        kind::ATTEND => Command::Attend { rows: packed(body)? },
        kind::CORRECT_ROSTER => {
            let (roster_version, rows) = packed(body)?;
            Command::CorrectRoster { roster_version, rows }
        }
        kind::SUPERSEDE => {
            let (roster_version, keys) = packed(body)?;
            Command::Supersede { roster_version, keys }
        }
        kind::PULSE => Command::Pulse { epoch: packed(body)? },
        kind::EPOCH => {
            let (epoch, engine) = packed(body)?;
            Command::Epoch { epoch, engine }
        }
        kind::ACTIVATE_RULES => Command::ActivateRules { version: packed(body)? },
        _ => return Err(DecodeError::Malformed("no such kind of command")),
    })
}
