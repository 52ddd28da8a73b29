//! The readers of bytes that anyone may send, in a form that the fuzz targets can call.
//!
//! Each takes any bytes and must neither panic nor disagree with its stricter twin. Nothing in the
//! product calls this module.

use domain::{CategoryNumber, PeriodNumber};

use crate::handler::booking::Wish;
use crate::head::HeadGuard;
use crate::import;
use crate::query::Query;

/// A connection's bytes through the watcher of request heads, in pieces of this size.
pub fn request_heads(bytes: &[u8], piece_bytes: usize) {
    let mut guard = HeadGuard::default();
    for piece in bytes.chunks(piece_bytes.max(1)) {
        if guard.watch(piece).is_err() {
            return;
        }
    }
}

/// A body of `POST /v1/bookings`.
///
/// # Panics
/// When the quick reader takes what the careful one does not, or reads it differently.
pub fn booking_body(bytes: &[u8]) {
    let quick = Wish::glance(bytes);
    let careful = Wish::read_with_care(bytes).ok();
    assert!(quick.is_none() || quick == careful, "the two readers of a booking disagree");
}

/// Bodies of the operator's `PUT`.
pub fn rule_bodies(bytes: &[u8]) {
    // Only the reading matters here.
    let _ = import::category::read(CategoryNumber(9), bytes);
    let _ = import::period::read(PeriodNumber(2), bytes);
}

/// A query string.
pub fn query(text: &str) {
    let query = Query::of(Some(text));
    let _ = query.get("wait");
    let _ = query.number("limit", 1, 10_000);
    let _ = query.required("site");
}
