//! A crowd of synthetic citizens against one server, judged by the load test's own auditor.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Home, Server, binary, wait_until};

/// Where a crowd goes.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The citizens' listeners of one gateway or several.
    pub publics: &'a [String],
    /// An operator's listener.
    pub operator: &'a str,
    /// Its token.
    pub token: &'a str,
    /// Where texts are written.
    pub outbox: &'a Path,
}

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
        let stage = Stage {
            publics: std::slice::from_ref(&server.public),
            operator: &server.operator,
            token: &server.token,
            outbox: &home.outbox,
        };
        Crowd::on(stage, folder, size, people_seed)
    }

    /// The same against any number of gateways.
    pub fn on(stage: Stage<'_>, folder: &Path, size: CrowdSize, people_seed: u64) -> Crowd {
        let (record, report) = (folder.join("record"), folder.join("report.txt"));
        let child = load(stage, size, people_seed, &record, &report)
            .args(["--connections", "64"])
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

/// A load test whose people try again for as long as it takes; how many connections is left open.
pub fn load(
    stage: Stage<'_>,
    size: CrowdSize,
    people_seed: u64,
    record: &Path,
    report: &Path,
) -> Command {
    let output = File::create(report).unwrap();
    let seconds = size.people / size.rate;
    let mut command = binary();
    command
        .args(["loadtest", "run", "--prepare", "--no-tui", "--wait", "5"])
        .args(["--people", &size.people.to_string(), "--rate", &size.rate.to_string()])
        .args(["--duration", &format!("{seconds}s"), "--seed", &people_seed.to_string()])
        .args(["--attempts", "200", "--duplicate-share", "0.1", "--rival-share", "0.02"])
        .args(["--move-share", "0.1", "--cancel-share", "0.1"])
        .args(stage.publics.iter().flat_map(|public| ["--public", public]))
        .args(["--operator", stage.operator, "--operator-token", stage.token])
        .arg("--record")
        .arg(record)
        .arg("--outbox")
        .arg(stage.outbox)
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .stdin(Stdio::null());
    command
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
