//! Asks the processor for a cache line before it is needed. Changes nothing, whatever the address.

/// Asks for the cache line of a record that will be read soon.
#[inline(always)]
pub fn read<T>(record: Option<&T>) {
    if let Some(record) = record {
        line(std::ptr::from_ref(record).cast());
    }
}

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
