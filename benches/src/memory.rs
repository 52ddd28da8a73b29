//! Memory that is really there.
//!
//! The host of a virtual machine may back its memory only when it is first touched, and take it back
//! when it lies free: the first touch of a page then takes some fifty times as long as its clearing,
//! and every figure of something that grows becomes a figure of the host. A process of its own
//! therefore touches as much memory as will be needed, just before, and ends. Where memory is backed
//! already this takes a moment and changes nothing.

use crate::part::{Role, Run};

/// The touching, as a process.
pub const ROLE: Role = Role { name: "touch", work };

/// Bytes of a page.
const PAGE_BYTES: usize = 4_096;

/// Has the host back so many bytes of free memory.
///
/// # Errors
/// When the process does not start, in words.
pub fn back(run: &Run, bytes: usize) -> Result<(), String> {
    let mut touching = run.role(ROLE.name, &[&bytes.to_string()])?;
    // The allocator's own setting: huge pages come from the same places as those of a large state.
    let ended = touching.env("MALLOC_CONF", "thp:always").status();
    ended.map(drop).map_err(|error| error.to_string())
}

fn work(words: &[String]) -> Result<(), String> {
    let bytes = words.first().and_then(|word| word.parse().ok()).ok_or("bytes to touch")?;
    let mut memory = vec![0_u8; bytes];
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
    Ok(())
}
