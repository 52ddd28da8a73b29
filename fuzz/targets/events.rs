//! Any bytes as a record of `events`: reading never panics and never says more than the bytes hold.
#![no_main]

use domain::codec::EventGroup;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(group) = EventGroup::decode(bytes) {
        for command in group.commands() {
            let Ok(command) = command else { return };
            assert!(command.sequence >= group.first && command.sequence <= group.last());
        }
    }
});
