//! Any text as a document number: normalising never panics, and what is taken is taken again.
#![no_main]

use domain::identity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(number) = identity::IdNumber::parse(text) {
        assert_eq!(identity::IdNumber::parse(number.as_str()).as_ref(), Ok(&number));
    }
});
