//! Any bytes as what a client sends: heads, bodies, queries.
#![no_main]

use gateway::untrusted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    untrusted::request_heads(rest, usize::from(*first));
    untrusted::booking_body(rest);
    untrusted::rule_bodies(rest);
    if let Ok(text) = std::str::from_utf8(rest) {
        untrusted::query(text);
    }
});
