//! The one place with `unsafe`: aligned buffers and the file calls the standard library lacks.
//!
//! Does: memory aligned for direct input and output, positional gather writes, preallocation, the
//! direct-I/O alignment of a file, the timer slack of a thread. Does not decide anything: callers say
//! what to write where. Linux only, like the product.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// Alignment of every buffer: a multiple of every block size that direct writes ask for.
pub(crate) const BUFFER_ALIGNMENT_BYTES: usize = 4_096;

/// Most parts one gather write may have; the kernel's own limit is 1,024.
pub(crate) const WRITE_PARTS_MAX: usize = 512;

/// A fixed-capacity byte buffer whose memory is aligned for direct writes. The bytes below the length
/// are initialised; those above it are not, so that a large buffer costs no clearing.
#[derive(Debug)]
pub(crate) struct AlignedBuffer {
    /// Start of the allocation; never null, owned by this value alone.
    pointer: NonNull<u8>,
    /// Bytes in use.
    length: usize,
    /// Bytes allocated, a multiple of the alignment of the smallest block (512).
    capacity: usize,
}

// SAFETY: the buffer owns its allocation exclusively; shared access only reads it.
unsafe impl Send for AlignedBuffer {}
// SAFETY: as above; every write needs `&mut self`.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// An empty buffer that can hold `capacity` bytes, rounded up to whole 512-byte blocks.
    pub(crate) fn with_capacity(capacity: usize) -> AlignedBuffer {
        let capacity = capacity.max(1).next_multiple_of(512);
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a size above zero.
        let pointer = unsafe { alloc(layout) };
        let Some(pointer) = NonNull::new(pointer) else { handle_alloc_error(layout) };
        AlignedBuffer { pointer, length: 0, capacity }
    }

    /// A buffer of `length` zeros.
    pub(crate) fn zeroed(length: usize) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::with_capacity(length);
        buffer.pad_to(length);
        buffer
    }

    /// Adds bytes at the end.
    ///
    /// # Panics
    /// When they exceed the capacity: the caller sized the buffer wrongly.
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        assert!(end <= self.capacity, "buffer of {} bytes cannot hold {end}", self.capacity);
        // SAFETY: `length..end` lies inside the allocation (asserted) and cannot overlap `bytes`,
        // which is borrowed while `self` is borrowed mutably.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                self.pointer.as_ptr().add(self.length),
                bytes.len(),
            );
        }
        self.length = end;
    }

    /// Lengthens to `length`; the bytes added are zero.
    ///
    /// # Panics
    /// When that exceeds the capacity or shortens the buffer.
    pub(crate) fn pad_to(&mut self, length: usize) {
        assert!(length >= self.length && length <= self.capacity);
        // SAFETY: `self.length..length` lies inside the allocation (asserted).
        unsafe {
            let end = self.pointer.as_ptr().add(self.length);
            std::ptr::write_bytes(end, 0, length - self.length);
        }
        self.length = length;
    }

    /// Bytes that may be held.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Shortens to `length`; a longer one changes nothing.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Makes room for `capacity` bytes in all, moving what is there.
    pub(crate) fn reserve_total(&mut self, capacity: usize) {
        if capacity > self.capacity {
            let mut larger = AlignedBuffer::with_capacity(capacity);
            larger.extend_from_slice(self);
            *self = larger;
        }
    }

    fn layout(capacity: usize) -> Layout {
        // SAFETY: the alignment is a power of two, and no caller asks for close to `isize::MAX` bytes
        // (limits are validated far below it).
        unsafe { Layout::from_size_align_unchecked(capacity, alignment_for(capacity)) }
    }
}

/// Small buffers need only the smallest block's alignment, which wastes less memory.
fn alignment_for(capacity: usize) -> usize {
    if capacity < BUFFER_ALIGNMENT_BYTES { 512 } else { BUFFER_ALIGNMENT_BYTES }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `with_capacity` with the same layout, and dropped once.
        unsafe { dealloc(self.pointer.as_ptr(), Self::layout(self.capacity)) }
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the first `length` bytes are allocated and initialised: the length only
        // grows over bytes just written.
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Writes the parts one after another at `offset`; returns how many bytes were written.
///
/// # Errors
/// The system's error; an interrupted call is made again, nothing else is.
pub(crate) fn write_parts_at(file: &File, parts: &[&[u8]], offset: u64) -> io::Result<usize> {
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; WRITE_PARTS_MAX];
    let count = parts.len().min(WRITE_PARTS_MAX);
    for (vector, part) in vectors.iter_mut().zip(parts) {
        vector.iov_base = part.as_ptr().cast_mut().cast();
        vector.iov_len = part.len();
    }
    let offset = libc::off64_t::try_from(offset)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        // SAFETY: the first `count` vectors describe slices borrowed for the whole call; pwritev only
        // reads through them.
        let written = unsafe {
            libc::pwritev64(file.as_raw_fd(), vectors.as_ptr(), count as libc::c_int, offset)
        };
        match usize::try_from(written) {
            Ok(written) => return Ok(written),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Reserves space for the first `length` bytes. A file system that cannot reserve is no error: the
/// zeros written afterwards take the space.
///
/// # Errors
/// The system's error, no space above all.
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
    let length = libc::off64_t::try_from(length)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    loop {
        // SAFETY: a plain system call on an open file.
        if unsafe { libc::fallocate64(file.as_raw_fd(), 0, 0, length) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => return Ok(()),
            _ => return Err(error),
        }
    }
}

/// Alignment that direct reads and writes of this file must keep, if the file system tells.
pub(crate) fn direct_alignment_bytes(file: &File) -> Option<u32> {
    // SAFETY: statx is plain data, for which all-zero bytes are valid.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a valid empty string, the result goes to a live value of the right type.
    let status = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            &mut found,
        )
    };
    let told = status == 0 && found.stx_mask & libc::STATX_DIOALIGN != 0;
    (told && found.stx_dio_offset_align > 0)
        .then_some(found.stx_dio_offset_align.max(found.stx_dio_mem_align))
}

/// Sixteen bytes nobody can guess, for a name that is the only one of its kind.
///
/// # Errors
/// The system's.
pub(crate) fn random_name() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the kernel writes at most `len` bytes to a live array of that length.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if filled == bytes.len() as isize { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// Lets a write beyond the process's file size limit fail like one to a full disk, instead of ending the
/// process: the journal then says why it takes no more writes, and reads go on.
pub(crate) fn survive_file_size_limit() {
    // SAFETY: sets the disposition of one signal that nothing here handles.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Raises this process's limit of open files to the highest that it may set itself; returns what holds then.
///
/// # Errors
/// The system's, when the limit cannot be read. One that cannot be raised stays as it is.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills a live value of the size it expects.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let highest = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: the kernel reads a live value of the size it expects.
    let raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const highest) } == 0;
    Ok(if raised { highest.rlim_cur } else { limit.rlim_cur })
}

/// Lets the calling thread's timed waits end within a microsecond of their time instead of 50.
/// A wish: a kernel that refuses only makes waits longer.
pub(crate) fn sharpen_timers() {
    // SAFETY: sets one number of the calling thread.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_000_u64);
    }
}

/// Asks the scheduler for short turns for the calling thread: one that asks for little is let in soon
/// after it wakes, where others keep every core busy. A wish: kernels before 6.12 ignore it.
pub(crate) fn shorten_turns() {
    const TURN_NS: u64 = 100_000;
    // SAFETY: the kernel fills or reads a live value of the size it is told.
    unsafe {
        let mut wish: libc::sched_attr = std::mem::zeroed();
        let bytes = size_of::<libc::sched_attr>();
        let found = libc::syscall(libc::SYS_sched_getattr, 0, &raw mut wish, bytes, 0);
        if found == 0 && wish.sched_policy == libc::SCHED_OTHER as u32 {
            wish.size = bytes as u32;
            wish.sched_runtime = TURN_NS;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_grow_to_their_capacity() {
        for capacity in [1, 511, 512, 513, 4_095, 4_096, 70_000] {
            let mut buffer = AlignedBuffer::with_capacity(capacity);
            assert_eq!(buffer.as_ptr() as usize % 512, 0);
            buffer.extend_from_slice(b"abc");
            buffer.pad_to(capacity.next_multiple_of(512));
            assert_eq!(&buffer[..3], b"abc");
            assert!(buffer[3..].iter().all(|&byte| byte == 0));
            assert!(buffer.len() >= capacity);
        }
    }

    #[test]
    fn parts_are_written_one_after_another() {
        let file = tempfile::tempfile().unwrap();
        let written = write_parts_at(&file, &[b"ab", b"", b"cde"], 4).unwrap();
        assert_eq!(written, 5);
        let mut read = [0; 9];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut read, 0).unwrap();
        assert_eq!(&read, b"\0\0\0\0abcde");
    }

    #[test]
    fn the_limit_of_open_files_is_as_high_as_it_may_be() {
        let limit = raise_descriptor_limit().unwrap();
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let told: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(told, [limit.to_string(), limit.to_string()]);
    }

    #[test]
    fn space_is_reserved() {
        let file = tempfile::tempfile().unwrap();
        reserve(&file, 1 << 20).unwrap();
        assert!(file.metadata().unwrap().len() <= 1 << 20);
    }
}
