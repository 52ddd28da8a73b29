//! Waiting in the poll with a finer grain than its milliseconds.
//!
//! A poll's own time-out is rounded up to whole milliseconds, which would add half a millisecond to
//! every response time of an open-model run. On Linux a timer descriptor in the same poll wakes it
//! within tens of microseconds; elsewhere the rounding stays.

use std::io;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token};

/// The timer's name in the poll.
pub(crate) const TIMER_TOKEN: Token = Token(usize::MAX);
/// Waits longer than this are left to the poll's own time-out.
#[cfg(target_os = "linux")]
const PRECISE_WAIT_MAX: Duration = Duration::from_millis(20);

/// A timer in the poll.
#[derive(Debug)]
pub(crate) struct PreciseTimer {
    #[cfg(target_os = "linux")]
    descriptor: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl PreciseTimer {
    pub(crate) fn new(registry: &Registry) -> io::Result<PreciseTimer> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(
            &mut mio::unix::SourceFd(&descriptor.as_raw_fd()),
            TIMER_TOKEN,
            mio::Interest::READABLE,
        )?;
        Ok(PreciseTimer { descriptor })
    }

    /// Polls for at most `wait`.
    pub(crate) fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        wait: Duration,
    ) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if !wait.is_zero() && wait <= PRECISE_WAIT_MAX {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let value = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            let time = Itimerspec { it_interval: zero, it_value: value };
            timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &time)?;
        }
        poll_once(poll, events, wait)
    }

    /// The timer ran out. Setting it again makes a new edge, so it need not be read.
    pub(crate) fn fired(&mut self) {}
}

#[cfg(not(target_os = "linux"))]
impl PreciseTimer {
    pub(crate) fn new(_registry: &Registry) -> io::Result<PreciseTimer> {
        Ok(PreciseTimer {})
    }

    /// Polls for at most `wait`, rounded up to milliseconds.
    pub(crate) fn wait(
        &mut self,
        poll: &mut Poll,
        events: &mut Events,
        wait: Duration,
    ) -> io::Result<()> {
        poll_once(poll, events, wait)
    }

    /// Never called.
    pub(crate) fn fired(&mut self) {}
}

fn poll_once(poll: &mut Poll, events: &mut Events, wait: Duration) -> io::Result<()> {
    match poll.poll(events, Some(wait)) {
        // A signal is no reason to stop: the loop looks at its clock and polls again.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        other => other,
    }
}
