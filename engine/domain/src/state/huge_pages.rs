//! Asks the system to back large arrays by huge pages, where it has them. A hint: it changes nothing
//! that can be read, and nothing depends on it.
//!
//! A nation's people lie in three quarters of a gibibyte and are visited in random order. In pages of
//! four kibibytes the processor spends more time on finding pages than on fetching records: a booking
//! takes more than twice as long.

use std::mem::MaybeUninit;

/// The system takes the hint for whole pages only.
const PAGE_BYTES: usize = 4_096;

/// Gives the hint for room set aside for records.
pub(crate) fn prefer_for<T>(room: &mut [MaybeUninit<T>]) {
    let range = room.as_ptr_range();
    let start = range.start.addr().next_multiple_of(PAGE_BYTES);
    let end = range.end.addr() / PAGE_BYTES * PAGE_BYTES;
    if start < end {
        advise(start, end - start);
    }
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn advise(address: usize, bytes: usize) {
    let start = std::ptr::without_provenance_mut(address);
    // SAFETY: the pages lie within room that the caller owns, and MADV_HUGEPAGE changes how they are
    // backed, never what they hold.
    let _refused_is_fine = unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_address: usize, _bytes: usize) {}
