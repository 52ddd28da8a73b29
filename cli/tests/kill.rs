//! kill -9 of the real process under load, again and again: nothing acknowledged is lost, nothing is
//! oversold, no SMS is missing or doubled, the journal replays to the checkpoint, and nothing that
//! identifies a person stands in plain in the data directory or in the log.
//!
//! The load test's auditor is the judge: it keeps what it was told and asks for all of it afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::crowd::{Crowd, CrowdSize};
use support::{Folder, Home, binary, full_counts, next, seed};

/// The crowd of one run.
const SIZE: CrowdSize = CrowdSize { people: 4_000, rate: 200 };

#[test]
fn killed_under_load_it_loses_nothing() {
    let mut random = seed();
    let (runs, kills) = if full_counts() { (5, 10) } else { (1, 4) };
    for run in 0..runs {
        let folder = Folder::new(&format!("kill-{run}"));
        let home = Home::new(&folder);
        let people_seed = next(&mut random) >> 1;
        one_run(&home, &folder.0, people_seed, kills, &mut random);
        println!("run {run}: {kills} kills, audit passed, replay matches");
    }
}

fn one_run(home: &Home, folder: &Path, people_seed: u64, kills: u32, random: &mut u64) {
    let mut server = home.start();
    let mut crowd = Crowd::start(home, folder, &server, SIZE, people_seed);
    crowd.wait_for_bookings();
    for _ in 0..kills {
        // Between a moment and a second and a half of load, so that kills meet every phase of a
        // checkpoint, a sync and a batch of texts.
        std::thread::sleep(Duration::from_millis(50 + next(random) % 1_450));
        server.kill();
        server = home.start();
    }
    crowd.assert_audit_passes();
    assert!(server.stop().success(), "an orderly end exits 0");

    let replay = binary().args(["replay", "--json", "--data"]).arg(&home.data).output().unwrap();
    let found = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(replay.status.success(), "replay differs: {found}");
    assert_nobody_stands_in_plain(home, folder, people_seed);
}

/// Scans every byte under the data directory and of the log for every ID number of the run, every
/// document number, and every phone number that a text went to.
fn assert_nobody_stands_in_plain(home: &Home, folder: &Path, people_seed: u64) {
    let canaries = canaries(home, folder, people_seed);
    assert!(canaries.len() > SIZE.people as usize, "only {} canaries", canaries.len());
    let mut files = Vec::new();
    files_under(&home.data, &mut files);
    assert!(files.len() > 10, "only {} files", files.len());
    files.push(home.log.clone());
    for file in files {
        let bytes = fs::read(&file).unwrap();
        if let Some(found) = first_canary(&bytes, &canaries) {
            panic!("{} holds {found} in plain", file.display());
        }
    }
}

/// All of them have ten characters: the window of the scan.
const CANARY_BYTES: usize = 10;

fn canaries(home: &Home, folder: &Path, people_seed: u64) -> HashSet<Vec<u8>> {
    let roster = folder.join("roster.csv");
    let written = binary()
        .args(["loadtest", "people", "--count", &SIZE.people.to_string()])
        .args(["--seed", &people_seed.to_string(), "--output"])
        .arg(&roster)
        .status()
        .unwrap();
    assert!(written.success());
    let mut canaries = HashSet::new();
    for line in fs::read_to_string(&roster).unwrap().lines().skip(1) {
        let ids = line.split(',').take(2).filter(|id| id.len() == CANARY_BYTES);
        canaries.extend(ids.map(|id| id.as_bytes().to_vec()));
    }
    let mut texts = Vec::new();
    files_under(&home.outbox, &mut texts);
    for file in texts {
        for line in fs::read_to_string(file).unwrap().lines() {
            let text: serde_json::Value = serde_json::from_str(line).unwrap();
            canaries.insert(text["to"].as_str().unwrap().as_bytes().to_vec());
        }
    }
    canaries
}

fn first_canary(bytes: &[u8], canaries: &HashSet<Vec<u8>>) -> Option<String> {
    bytes
        .windows(CANARY_BYTES)
        .filter(|window| window.iter().all(u8::is_ascii_alphanumeric))
        .find(|window| canaries.contains(*window))
        .map(|window| String::from_utf8_lossy(window).into_owned())
}

fn files_under(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_under(&path, out) } else { out.push(path) }
    }
}

#[test]
fn the_scan_finds_what_stands_in_plain() {
    let canaries = HashSet::from([b"A123456789".to_vec()]);
    assert_eq!(first_canary(b"..\0A123456789\0..", &canaries).as_deref(), Some("A123456789"));
    assert_eq!(first_canary(b"..A12345678..9", &canaries), None);
}
