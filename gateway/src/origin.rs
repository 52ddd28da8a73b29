//! Where an answer is awaited: gateway instance, core and place in the core's slab, in one integer.
//!
//! The engine carries it unread from the command to its events, so the reader of events finds the
//! waiting request without a look-up. What this module does not do: promise that the request still
//! waits; the slab checks the request's key, or knows its serial number, before it completes anything.

use domain::Origin;

/// The place of a command whose outcome nobody awaits; its core is still told that it was seen.
pub(crate) const NOWHERE: u32 = (1 << SLAB_BITS) - 1;

const SLAB_BITS: u32 = 24;
const CORE_BITS: u32 = 8;

/// An unpacked origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Random per start of a gateway, never 0.
    pub(crate) instance: u32,
    /// Which core of it.
    pub(crate) core: u8,
    /// Which entry of that core's slab; the serial number of a command without a retry key; or
    /// [`NOWHERE`].
    pub(crate) index: u32,
}

impl Place {
    /// As it travels.
    pub(crate) const fn pack(self) -> Origin {
        let core = (self.core as u64) << SLAB_BITS;
        let instance = (self.instance as u64) << (SLAB_BITS + CORE_BITS);
        Origin(instance | core | (self.index & NOWHERE) as u64)
    }

    /// As it was.
    pub(crate) const fn unpack(origin: Origin) -> Place {
        Place {
            instance: (origin.0 >> (SLAB_BITS + CORE_BITS)) as u32,
            core: (origin.0 >> SLAB_BITS) as u8,
            index: (origin.0 as u32) & NOWHERE,
        }
    }
}

/// A name for this start of the gateway that no other carries, with overwhelming likelihood.
pub(crate) fn new_instance() -> u32 {
    rand::random_range(1..=u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_packing() {
        for place in [
            Place { instance: 1, core: 0, index: 0 },
            Place { instance: u32::MAX, core: 255, index: NOWHERE },
            Place { instance: 0x0102_0304, core: 7, index: 65_535 },
        ] {
            assert_eq!(Place::unpack(place.pack()), place);
        }
    }
}
