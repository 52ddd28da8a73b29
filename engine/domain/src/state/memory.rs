//! Hints about memory to the processor and to the system. They change nothing that can be read.
//!
//! A nation's people lie in three quarters of a gibibyte and are visited in random order. In pages of
//! four kibibytes the processor then spends more time on finding pages than on fetching records;
//! in huge pages a booking takes less than half the time.

/// Asks for the cache line of a record that will be read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(record: Option<&T>) {
    if let Some(record) = record {
        line(std::ptr::from_ref(record).cast());
    }
}

/// Asks the system to back room set aside for records by huge pages, where it has them.
pub(crate) fn prefer_huge_pages<T>(room: &mut [std::mem::MaybeUninit<T>]) {
    let start = room.as_ptr().addr().next_multiple_of(PAGE_BYTES);
    let end = room.as_ptr_range().end.addr() / PAGE_BYTES * PAGE_BYTES;
    if start < end {
        advise(start, end - start);
    }
}

/// The system takes hints for whole pages only.
const PAGE_BYTES: usize = 4_096;

#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code)]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch is a hint that never faults and changes no memory; SSE, which it needs, is
    // part of every x86_64 processor.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn line(_address: *const i8) {}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn advise(address: usize, bytes: usize) {
    let start = std::ptr::without_provenance_mut(address);
    // SAFETY: the pages lie within room that the caller owns, and MADV_HUGEPAGE changes how they are
    // backed, never what they hold. A system that cannot refuses, and nothing depends on it.
    let _refused_is_fine = unsafe { libc::madvise(start, bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_address: usize, _bytes: usize) {}
