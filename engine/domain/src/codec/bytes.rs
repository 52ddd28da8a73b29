//! Reading and writing the primitives of the fixed layouts, and the packed (postcard) remainder.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DecodeError;

/// Bytes still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Cursor<'a> {
        Cursor { rest }
    }

    /// All that is left, without taking it.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(DecodeError::Malformed("ends too early")),
        }
    }

    #[inline(always)]
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline(always)]
    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    #[inline(always)]
    pub(super) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// The next `length` bytes.
    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(length) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(DecodeError::Malformed("ends too early")),
        }
    }

    /// Nothing may be left.
    #[inline(always)]
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Malformed("has bytes after its end"))
        }
    }
}

/// A fixed layout of exactly `N` bytes, filled where it will stand: built elsewhere and copied, it
/// would wait for its own small writes to be read back as a few large ones.
#[derive(Debug)]
pub(super) struct Fixed<'a, const N: usize> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a, const N: usize> Fixed<'a, N> {
    #[inline(always)]
    pub(super) fn append_to(out: &'a mut Vec<u8>) -> Fixed<'a, N> {
        let start = out.len();
        out.extend_from_slice(&[0; N]);
        Fixed { bytes: &mut out[start..start + N], length: 0 }
    }

    #[inline(always)]
    pub(super) fn put<const M: usize>(mut self, bytes: [u8; M]) -> Fixed<'a, N> {
        self.bytes[self.length..self.length + M].copy_from_slice(&bytes);
        self.length += M;
        self
    }

    /// All of it must have been filled.
    #[inline(always)]
    pub(super) fn done(self) {
        debug_assert_eq!(self.length, N, "a layout that is not filled");
    }
}

/// Appends a value in postcard's bytes.
pub(super) fn put_packed<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Postcard fails only on sequences of unknown length and on a full buffer; our types have none of
    // the former and a Vec is never full. Should that ever change, the short record reads as malformed.
    let done = postcard::serialize_with_flavor(value, Appended(out));
    debug_assert!(done.is_ok(), "a record type that postcard cannot pack");
}

/// Reads a value that must fill the bytes to the last one.
///
/// Postcard asks for no more memory than the bytes left could fill, so a claimed length allocates at
/// most in proportion to the record.
pub(super) fn packed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(DecodeError::Malformed("has bytes after its end")),
        Err(_) => Err(DecodeError::Malformed("body cannot be read")),
    }
}

/// Lets postcard append to the caller's buffer.
struct Appended<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appended<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
