//! One file per rule. This page is the law they implement, and the order of their checks.
//!
//! # Every command
//! `State::apply` counts it (the first is 1) and moves the time to the later of `at` and the time so
//! far. Whatever follows happens at that time. A record that is no command gives `Malformed`, and so
//! does a person number that was never given (no gateway that follows the events can write one).
//!
//! # A citizen's command
//! 1. The person is resolved. An unknown key gets the next number: `Numbered` comes first.
//! 2. The retry key is looked up among those of (person, period); commands on intents, and only they
//!    and a request for period 0, use period 0. Found with the same fingerprint: `Repeated`; with
//!    another: `KeyReused`. Nothing changes.
//! 3. [`REQUEST_KEYS_MAX`] keys used in (person, period): `Rejected(TooManyKeys)`, not recorded.
//! 4. The rule decides, and the key is recorded with the sequence of this command, whatever comes out.
//!
//! | command | refusals, lowest number first |
//! |---|---|
//! | Book | 2–7 ([`eligibility::booking_allowed`](crate::eligibility::booking_allowed)), 11 already booked, 12 unknown slot, 13 wrong vaccine, 14 slot past, 15 slot full |
//! | Move | 2–7, 10 no booking, 12, 13, 14 (the slot wanted **or** the slot held has begun), 15 unless it is the slot held |
//! | Cancel | 2 unknown period, 10, 14 (the slot held has begun). Eligibility and window are not asked |
//! | Register | `AlreadyRegistered` before all others; 4 the key was superseded, or no category takes the person, 9 all that do are closed |
//! | Modify | 3 no intent, 4 (as newly attested), 8 an active booking of any period, 9 |
//! | Withdraw | 3, 8, 9 (a person whom no category takes any more may withdraw) |
//!
//! - A booking is *active* until cancelled, attended, or its day in Taiwan has passed. One that was
//!   not cancelled *counts* in its period for ever. Book is refused with 11 for either.
//! - Move and Cancel concern the active booking if it is of the period named; else 10.
//! - 13: the slot's vaccine is not one of the period's, or not one of those the person ticked.
//! - A slot has begun from its first minute on.
//! - The day of a booking neither cancelled nor attended is *missed* once it has passed. The latest
//!   missed day bars its person from every period that, for that person, opened before it ended.
//! - The date of birth that holds is the attested one, unless a correction of a higher roster version
//!   is known. A key superseded by a higher version than the attested one registers nobody. A refused Register or Modify leaves nothing but its key.
//! - Withdraw ends the intent and keeps the person's number, keys, memberships and bookings.
//!
//! # An operator's command
//! `OperatorRefused` means that nothing changed, for its row at least; the lowest number that applies.
//!
//! - **PutCategory**: 7 too many vaccines, 8 a 33rd category, 13 number 0. Else `VaccineNamed` for
//!   each new name in order, `CategoryPut`. Its membership bit is its place in order of first
//!   publication.
//! - **PutPeriod**: 6 a category never published, 7, 13 number 0 or a county above 63, 14 more than
//!   [`PERIOD_OPENINGS_MAX`] openings. Else `VaccineNamed`…, `PeriodPut`.
//! - **ImportBegin**: 6 (members of an unknown category or one without list), 7 (vaccines). Else
//!   `ImportVoided` for the one under way, if any (also one of the same name), `ImportStaged{rows: 0}`.
//! - **ImportChunk**: 9 not the import under way; 11 an unknown site (first such row); 13 rows of
//!   another kind (row 0) or the first row that cannot be (a slot's day outside
//!   [`SLOT_DAY_MIN`]..=[`SLOT_DAY_MAX`], times not `start < end ≤ 1440`, a vaccine not in the list, a
//!   site's county above 63 or an empty id); 14 over [`IMPORT_CHUNK_ROWS_MAX`] or
//!   [`IMPORT_ROWS_MAX`], or the first row with which the import's events could take more than
//!   [`IMPORT_EVENT_BYTES_MAX`] (a site counts 32 bytes and its texts, a slot 24, a member 27). A refused
//!   chunk is not kept. Else `ImportStaged{rows so far}`. Each refusal
//!   is one event, of the lowest number, at the first row it applies to.
//! - **ImportCommit**: 9; 10 rows or hash differ; then over all rows 2 a capacity below the places
//!   booked (first such row), 7 (vaccines), 14 (sites or slots beyond the state's bounds). A refused
//!   commit leaves the import under way. Else the rows hold in order, a later row over an earlier:
//!   sites `SitesPut` by 512 rows; slots `VaccineNamed` for every new name of the list, then
//!   `SlotsPut` by 2,048 rows; members by 4,096 rows `Numbered` for the new people of the batch and
//!   `MembersPut` with every row of it; last `ImportCommitted{added}`: sites, slots or memberships
//!   that were not there before.
//! - **SetCapacity**: 1, 2; else `CapacitySet`.
//! - **Attend**: 14 over [`ATTENDANCE_ROWS_MAX`] rows, nothing done (row = the first too many). Each row:
//!   3, 4, 5 (`attended_at` not on the slot's day, or that day has not begun by the journal's clock);
//!   else `Attended`, also again for a booking attended before.
//! - **CorrectRoster**: 14 over [`CORRECTION_ROWS_MAX`] rows. A row is kept unless one of the same or a
//!   higher version is known for its key; then, if the person holds an intent whose date comes from a
//!   lower version, `BirthCorrected`. It numbers nobody.
//! - **Supersede**: 14 as there; 15 a key that has a number (the first such row): nothing is done then.
//!   Else each key is superseded, unless a correction of the same or a higher version is known for it;
//!   one of a higher version ends that. It numbers nobody, and there is no event.
//!
//! # The engine's commands
//! - **Epoch**: one more than the epoch so far gives `EpochBegan`; any other is void, without event.
//! - **Pulse** of the present epoch; any other is void. An import that was silent for more than
//!   [`IMPORT_SILENCE_MS_MAX`] gives `ImportVoided`. Then the sweep: when the day before today is later
//!   than the last day swept, bookings are visited by number from the cursor on, at most
//!   [`SWEEP_BOOKINGS_MAX`] visits and [`SWEEP_NO_SHOWS_MAX`] events a pulse. One that is neither
//!   cancelled nor attended, whose slot's day is the day swept or earlier and that was not announced
//!   gives `NoShow` and counts as announced (a booking is announced once). At the end of the bookings
//!   the day is swept and the cursor returns to 0. The day swept is the day before the pulse that began
//!   the pass, until the pass is over; no pulse begins a second pass.
//! - **ActivateRules**: `UnknownRules` unless newer than the version in force and known to this build.

use crate::{Event, OperatorRefusal};

pub(crate) mod activate_rules;
pub(crate) mod attendance;
pub(crate) mod book;
pub(crate) mod cancel;
pub(crate) mod capacity;
pub(crate) mod category;
pub(crate) mod citizen;
pub(crate) mod epoch;
pub(crate) mod import;
pub(crate) mod modify;
pub(crate) mod move_booking;
pub(crate) mod period;
pub(crate) mod pulse;
pub(crate) mod register;
pub(crate) mod roster_correction;
pub(crate) mod superseding;
pub(crate) mod withdraw;

#[cfg(test)]
pub(crate) mod testing;

/// Retry keys that one person may use in one period, and for intents.
pub const REQUEST_KEYS_MAX: usize = 256;

/// Staggered openings of one period.
pub const PERIOD_OPENINGS_MAX: usize = 128;

/// Rows of one import chunk.
pub const IMPORT_CHUNK_ROWS_MAX: usize = 8_192;

/// Rows of one import: its commit takes effect at once, so it bounds the longest pause of the writer.
pub const IMPORT_ROWS_MAX: usize = 1 << 20;

/// Bytes that the events of one import may take: its commit emits them all at once, into one group, and a
/// group that the journal cannot take would halt the engine for good.
pub const IMPORT_EVENT_BYTES_MAX: usize = 28 << 20;

/// An import silent for longer than this is void at the next pulse.
pub const IMPORT_SILENCE_MS_MAX: i64 = 600_000;

pub use crate::codec::{ATTENDANCE_ROWS_MAX, CORRECTION_ROWS_MAX};

/// Bookings that one pulse visits in search of no-shows.
pub const SWEEP_BOOKINGS_MAX: usize = 65_536;

/// No-shows that one pulse announces.
pub const SWEEP_NO_SHOWS_MAX: usize = 1_024;

/// The first day on which a slot may lie: 1970-01-01.
pub const SLOT_DAY_MIN: i32 = 0;

/// The last day on which a slot may lie, in the year 4707; minutes since 1970 then still fit 32 bits.
pub const SLOT_DAY_MAX: i32 = 1_000_000;

/// The rules in force before any `ActivateRules`.
pub const RULES_VERSION_FIRST: u32 = 1;

/// The newest rules that this build knows. An engine that reads an `ActivateRules` above it must halt
/// before applying it: a newer build accepted what this one would refuse.
pub const RULES_VERSION_KNOWN: u32 = 1;

/// Refuses an operator's command or one row of it.
pub(crate) fn refuse_operator(row: u32, reason: OperatorRefusal, events: &mut Vec<Event>) {
    events.push(Event::OperatorRefused { row, reason });
}
