//! What a running process costs, read from the kernel.

use std::fs;

/// Processor time of a process so far, all threads, in microseconds.
///
/// # Errors
/// When the process is gone.
pub fn cpu_us(pid: u32) -> std::io::Result<u64> {
    // schedstat counts nanoseconds on the processor for each thread; stat counts ticks of 10 ms.
    let mut total_ns = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        total_ns += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total_ns / 1_000)
}

/// Memory of a process that is in RAM, in bytes.
///
/// # Errors
/// When the process is gone.
pub fn resident_bytes(pid: u32) -> std::io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    Ok(pages * 4_096)
}
