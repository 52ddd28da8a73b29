//! What running processes cost, read from the kernel.

use std::collections::BTreeMap;
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
    Ok(cpu_ns(&threads(pid)?) / 1_000)
}

/// What threads of one name used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Time on the processor, in nanoseconds.
    pub cpu_ns: u64,
    /// How often they waited for something.
    pub waits: u64,
    /// How often another took the processor from them.
    pub preemptions: u64,
}

impl Usage {
    /// What was used since then.
    #[must_use]
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            waits: self.waits.saturating_sub(before.waits),
            preemptions: self.preemptions.saturating_sub(before.preemptions),
        }
    }
}

/// Threads of a process by their name.
pub type Threads = BTreeMap<String, Usage>;

/// The same by the name of the thread, numbers at its end left off.
///
/// # Errors
/// When the process is gone.
pub fn threads(pid: u32) -> Result<Threads, String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    let mut threads = Threads::new();
    for task in tasks {
        let path = task.map_err(|error| error.to_string())?.path();
        // A thread that has just ended has no files left.
        let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        // schedstat counts nanoseconds on the processor for each thread; stat counts ticks of 10 ms.
        let cpu = read("schedstat").split(' ').next().and_then(|word| word.parse().ok());
        let status = read("status");
        let name = read("comm");
        let name = name.trim().trim_end_matches(|last: char| last.is_ascii_digit() || last == '-');
        let usage = threads.entry(name.to_owned()).or_default();
        usage.cpu_ns += cpu.unwrap_or(0);
        usage.waits += count_of(&status, "voluntary_ctxt_switches:");
        usage.preemptions += count_of(&status, "nonvoluntary_ctxt_switches:");
    }
    Ok(threads)
}

/// Processor time of all of them.
pub fn cpu_ns(threads: &Threads) -> u64 {
    threads.values().map(|usage| usage.cpu_ns).sum()
}

/// What the threads used since then.
pub fn used_since(now: Threads, before: &Threads) -> Threads {
    let since = |(name, usage): (String, Usage)| {
        let then = before.get(&name).copied().unwrap_or_default();
        (name, usage.since(then))
    };
    now.into_iter().map(since).collect()
}

/// `gateway-core 8.61 us, 5143 waits, 37560 preemptions; …`: of each thread worth a hundredth of a
/// microsecond a request, the greatest first.
pub fn words_of(used: &Threads, requests: u64) -> String {
    let us = |usage: &Usage| usage.cpu_ns as f64 / 1e3 / requests.max(1) as f64;
    let mut used: Vec<_> = used.iter().filter(|(_, usage)| us(usage) >= 0.01).collect();
    used.sort_by_key(|(_, usage)| std::cmp::Reverse(usage.cpu_ns));
    let words = used.iter().map(|(name, usage)| {
        let Usage { waits, preemptions, .. } = usage;
        format!("{name} {:.2} us, {waits} waits, {preemptions} preemptions", us(usage))
    });
    words.collect::<Vec<_>>().join("; ")
}

fn count_of(status: &str, key: &str) -> u64 {
    let rest = status.lines().find_map(|line| line.strip_prefix(key));
    rest.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
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
    fn threads_of_one_name_are_one_and_what_they_did_is_counted() {
        let before = threads(std::process::id()).unwrap_or_default();
        let worker = std::thread::Builder::new().name("counted-7".to_owned()).spawn(|| {
            (0..50).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
            threads(std::process::id()).unwrap_or_default()
        });
        let after = worker.ok().and_then(|worker| worker.join().ok()).unwrap_or_default();
        let used = used_since(after, &before);
        let counted = used.get("counted").copied().unwrap_or_default();
        assert!(counted.waits > 0 && counted.cpu_ns > 0, "{counted:?}");
        assert!(words_of(&used, 1).contains("counted "), "{}", words_of(&used, 1));
    }

    #[test]
    fn this_process_has_cost_something() {
        let own = cpu_us(std::process::id());
        assert!(own.is_ok_and(|us| us > 0));
        assert!(own_resident_bytes().is_ok_and(|bytes| bytes > 0));
    }
}
