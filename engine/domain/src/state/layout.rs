//! Lengths of the fixed records of a checkpoint, each from the file that packs it.

pub(crate) use super::corrections::CORRECTION_BYTES;
pub(crate) use super::globals::GLOBALS_BYTES;
pub(crate) use super::history::{BOOKING_BYTES, REGISTRATION_BYTES, REQUEST_BYTES};
pub(crate) use super::people::PERSON_BYTES;
pub(crate) use super::slots::SLOT_BYTES;
