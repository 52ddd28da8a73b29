//! Any bytes as a record of `commands`: decoding never panics, and what decodes encodes to the same.
#![no_main]

use domain::codec::{decode_command, encode_command};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = decode_command(bytes) {
        let mut again = Vec::new();
        encode_command(&envelope, &mut again);
        assert_eq!(decode_command(&again).as_ref(), Ok(&envelope));
    }
});
