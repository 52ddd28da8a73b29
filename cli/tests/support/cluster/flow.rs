//! When decisions flow: follows the record that a load test keeps of what it asked and was told.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the record is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// What the load test asked and was told just before stands in the record by then.
const RECORDED: Duration = Duration::from_millis(100);

/// The record of one load test, as far as it was followed.
pub struct Flow {
    path: PathBuf,
    read: u64,
    rest: Vec<u8>,
}

impl Flow {
    /// Follows this file from its beginning.
    pub fn of(path: PathBuf) -> Flow {
        Flow { path, read: 0, rest: Vec::new() }
    }

    /// Leaves out everything that the load test has asked by now.
    pub fn skip_to_now(&mut self) {
        std::thread::sleep(RECORDED);
        self.lines();
    }

    /// Waits for the first decision of a request made after [`Flow::skip_to_now`]: the time from
    /// `since` to it, or `None` when none came within `limit`.
    pub fn first_decision(&mut self, since: Instant, limit: Duration) -> Option<Duration> {
        let mut asked = HashSet::new();
        loop {
            for line in self.lines() {
                let request = (line["person"].as_u64(), line["ordinal"].as_u64());
                let outcome = &line["answer"]["outcome"];
                if line.get("answer").is_none() {
                    asked.insert(request);
                } else if asked.contains(&request)
                    && (outcome == "confirmed" || outcome.get("rejected").is_some())
                {
                    return Some(since.elapsed());
                }
            }
            if since.elapsed() >= limit {
                return None;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The whole lines that are new.
    fn lines(&mut self) -> Vec<serde_json::Value> {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        self.read += file.read_to_end(&mut self.rest).unwrap() as u64;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }
}

/// Times measured, with the bound that is promised.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Notes one.
    pub fn note(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many, and how they are distributed.
    pub fn show(&mut self) -> String {
        self.0.sort_unstable();
        let Some(longest) = self.0.last() else { return "none".to_owned() };
        let at = |share: usize| self.0[(self.0.len() - 1) * share / 100].as_secs_f64();
        format!(
            "{} times, median {:.2} s, 90 % within {:.2} s, longest {:.2} s",
            self.0.len(),
            at(50),
            at(90),
            longest.as_secs_f64()
        )
    }
}
