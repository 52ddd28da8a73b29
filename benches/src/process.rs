//! What running processes cost, read from the kernel.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Bytes of a page.
const PAGE_BYTES: u64 = 4_096;
/// Ticks a second in `/proc`.
const TICKS_PER_S: f64 = 100.0;

/// Processor time of a process so far, all threads, in microseconds.
///
/// # Errors
/// When the process is gone.
pub fn cpu_us(pid: u32) -> Result<u64, String> {
    // schedstat counts nanoseconds on the processor for each thread; stat counts ticks of 10 ms.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    let mut total_ns = 0;
    for task in tasks {
        let path = task.map_err(|error| error.to_string())?.path();
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        total_ns += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total_ns / 1_000)
}

/// Memory of a process that is in RAM, in bytes.
///
/// # Errors
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> Result<u64, String> {
    let text =
        fs::read_to_string(format!("/proc/{pid}/statm")).map_err(|error| error.to_string())?;
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    Ok(pages * PAGE_BYTES)
}

/// Memory of this process that is in RAM, in bytes.
///
/// # Errors
/// When the system does not tell.
pub fn own_resident_bytes() -> Result<u64, String> {
    resident_bytes(std::process::id())
}

/// Processor time of the calling thread so far.
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// Processor time of this process so far, ended threads included.
pub fn own_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

fn clock(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor seconds of the whole machine that were not idle, and of children of this process that
/// have ended: what lies between the two was used by others.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    busy_s: f64,
    children_s: f64,
}

impl Load {
    /// As it is now; zero where the system does not tell.
    pub fn now() -> Load {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let of_all: Vec<f64> = stat
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .map(|word| word.parse().unwrap_or(0.0))
            .collect();
        // user, nice, system, (idle, iowait,) irq, softirq, steal.
        let busy = [0, 1, 2, 5, 6, 7].iter().filter_map(|place| of_all.get(*place)).sum::<f64>();
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<&str> =
            own.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // cutime and cstime, 16th and 17th of the line.
        let ticks = |place: usize| fields.get(place).and_then(|word| word.parse::<f64>().ok());
        let children = ticks(13).unwrap_or(0.0) + ticks(14).unwrap_or(0.0);
        Load { busy_s: busy / TICKS_PER_S, children_s: children / TICKS_PER_S }
    }

    /// Share of the machine's processor time since then that others used, in per cent.
    pub fn others_percent_since(&self, before: Load, elapsed: Duration) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let busy = self.busy_s - before.busy_s;
        let children = self.children_s - before.children_s;
        let available = elapsed.as_secs_f64() * cores;
        if available > 0.0 { ((busy - children) / available * 100.0).max(0.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_children_used_is_not_what_others_used() {
        let before = Load { busy_s: 10.0, children_s: 1.0 };
        let after = Load { busy_s: 14.0, children_s: 5.0 };
        assert_eq!(after.others_percent_since(before, Duration::from_secs(2)), 0.0);
        assert!(after.others_percent_since(before, Duration::ZERO) == 0.0);
    }

    #[test]
    fn this_process_has_cost_something() {
        let own = cpu_us(std::process::id());
        assert!(own.is_ok_and(|us| us > 0));
        assert!(own_resident_bytes().is_ok_and(|bytes| bytes > 0));
    }
}
