//! A crowd of synthetic citizens against one server, judged by the load test's own auditor.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::{Home, Server, binary, wait_until};

/// How many people, and how fast they come.
#[derive(Clone, Copy)]
pub struct CrowdSize {
    /// People of the run.
    pub people: u32,
    /// Arrivals a second.
    pub rate: u32,
}

/// A running load test.
pub struct Crowd {
    child: Child,
    record: PathBuf,
    report: PathBuf,
}

impl Crowd {
    /// Prepares the server and lets people come, who try again for as long as it takes.
    pub fn start(
        home: &Home,
        folder: &Path,
        server: &Server,
        size: CrowdSize,
        people_seed: u64,
    ) -> Crowd {
        let (record, report) = (folder.join("record"), folder.join("report.txt"));
        let output = File::create(&report).unwrap();
        let seconds = size.people / size.rate;
        let child = binary()
            .args(["loadtest", "run", "--prepare", "--no-tui", "--wait", "5"])
            .args(["--people", &size.people.to_string(), "--rate", &size.rate.to_string()])
            .args(["--duration", &format!("{seconds}s"), "--seed", &people_seed.to_string()])
            .args(["--attempts", "200", "--duplicate-share", "0.1", "--rival-share", "0.02"])
            .args(["--move-share", "0.1", "--cancel-share", "0.1", "--connections", "64"])
            .args(["--public", &server.public, "--operator", &server.operator])
            .args(["--operator-token", &server.token])
            .arg("--record")
            .arg(&record)
            .arg("--outbox")
            .arg(&home.outbox)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Crowd { child, record, report }
    }

    /// Waits until bookings are on their way.
    pub fn wait_for_bookings(&mut self) {
        wait_until("people book", || {
            fs::metadata(&self.record).is_ok_and(|found| found.len() > 0)
                || self.child.try_wait().unwrap().is_some()
        });
    }

    /// Waits for the end and panics unless the audit passed, texts included.
    pub fn assert_audit_passes(mut self) {
        let judged = self.child.wait().unwrap();
        let report = fs::read_to_string(&self.report).unwrap_or_default();
        assert!(judged.success(), "the audit failed:\n{report}");
        assert!(report.contains("text messages"), "texts were not compared:\n{report}");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
