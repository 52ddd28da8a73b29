//! Bytes of records in checkpoints and digests. Fixed layouts by hand, little-endian fields one after
//! another without padding; records of varying length by postcard.
//!
//! Fixed records are written straight to their place: a record built aside and copied over would cost
//! a booking as much as deciding it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A record of `N` bytes in a checkpoint.
pub(crate) trait Pack<const N: usize> {
    /// Writes all `N` bytes.
    fn pack(&self, place: &mut [u8; N]);

    /// The bytes by themselves.
    fn packed(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.pack(&mut bytes);
        bytes
    }
}

/// Writes fields one after another into a record of `N` bytes.
pub(crate) struct Packer<'a, const N: usize> {
    place: &'a mut [u8; N],
    filled: usize,
}

impl<'a, const N: usize> Packer<'a, N> {
    /// From the first byte on.
    #[inline(always)]
    pub(crate) fn new(place: &'a mut [u8; N]) -> Packer<'a, N> {
        Packer { place, filled: 0 }
    }

    /// Adds bytes as they are.
    #[inline(always)]
    pub(crate) fn bytes<const M: usize>(self, field: [u8; M]) -> Packer<'a, N> {
        self.place[self.filled..self.filled + M].copy_from_slice(&field);
        Packer { place: self.place, filled: self.filled + M }
    }

    /// Adds a byte.
    #[inline(always)]
    pub(crate) fn u8(self, field: u8) -> Packer<'a, N> {
        self.bytes([field])
    }

    /// Adds two bytes.
    #[inline(always)]
    pub(crate) fn u16(self, field: u16) -> Packer<'a, N> {
        self.bytes(field.to_le_bytes())
    }

    /// Adds four bytes.
    #[inline(always)]
    pub(crate) fn u32(self, field: u32) -> Packer<'a, N> {
        self.bytes(field.to_le_bytes())
    }

    /// Adds four bytes of a signed number.
    #[inline(always)]
    pub(crate) fn i32(self, field: i32) -> Packer<'a, N> {
        self.bytes(field.to_le_bytes())
    }

    /// Adds eight bytes.
    #[inline(always)]
    pub(crate) fn u64(self, field: u64) -> Packer<'a, N> {
        self.bytes(field.to_le_bytes())
    }

    /// Adds eight bytes of a signed number.
    #[inline(always)]
    pub(crate) fn i64(self, field: i64) -> Packer<'a, N> {
        self.bytes(field.to_le_bytes())
    }

    /// Adds a presence byte and four bytes.
    #[inline(always)]
    pub(crate) fn optional_i32(self, field: Option<i32>) -> Packer<'a, N> {
        self.u8(u8::from(field.is_some())).i32(field.unwrap_or_default())
    }

    /// Ends the record. A layout that does not fill it is a mistake of this crate.
    #[inline(always)]
    pub(crate) fn finish(self) {
        assert!(self.filled == N, "a packed record has another length");
    }
}

/// Reads fields one after another.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// From the first byte on.
    pub(crate) fn of(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
    }

    pub(crate) fn bytes<const M: usize>(&mut self) -> Option<[u8; M]> {
        let (field, rest) = self.0.split_first_chunk::<M>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.bytes().map(i32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_le_bytes)
    }

    pub(crate) fn optional_i32(&mut self) -> Option<Option<i32>> {
        let present = self.bool()?;
        let field = self.i32()?;
        Some(present.then_some(field))
    }

    /// The record, provided that nothing follows it.
    pub(crate) fn end<T>(self, record: T) -> Option<T> {
        self.0.is_empty().then_some(record)
    }
}

/// Packs a record of varying length.
pub(crate) fn pack_whole<T: Serialize>(record: &T) -> Vec<u8> {
    match postcard::to_allocvec(record) {
        Ok(bytes) => bytes,
        // Only a type that does not know its own length can fail here, and none of ours is one.
        Err(error) => unreachable!("a record cannot be packed: {error}"),
    }
}

/// Reads what [`pack_whole`] wrote.
pub(crate) fn unpack_whole<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((record, [])) => Some(record),
        _ => None,
    }
}
