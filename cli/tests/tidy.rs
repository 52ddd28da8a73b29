//! Reads our own sources and holds them to the house's rules.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// A longer file is split by rule or by part.
const FILE_LINES_MAX: usize = 500;
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(under: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", ".git", "data", "node_modules", "corpus", "artifacts"]
                .contains(&name.as_str())
            {
                sources(&path, ending, out);
            }
        } else if name.ends_with(ending) {
            out.push(path);
        }
    }
}

fn rust_sources() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    sources(&root(), ".rs", &mut paths);
    assert!(paths.len() > 50, "only {} sources found", paths.len());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in rust_sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together at run time, so that this file does not find itself.
    let marks =
        [["FIX", "ME"], ["XX", "X:"], ["todo", "!("], ["dbg", "!("], ["unimpl", "emented!"]];
    let marks = marks.map(|parts| parts.concat());
    for (path, text) in rust_sources() {
        for mark in &marks {
            assert!(!text.contains(mark.as_str()), "{} contains {mark}", path.display());
        }
        assert!(!text.contains(&["#[ig", "nore"].concat()), "{} leaves out a test", path.display());
    }
}

#[test]
fn every_source_says_what_it_is_for() {
    for (path, text) in rust_sources() {
        let first = text.lines().next().unwrap_or("");
        assert!(first.starts_with("//!"), "{} has no module doc", path.display());
    }
}

#[test]
fn every_configuration_key_has_a_comment() {
    let mut paths = Vec::new();
    sources(&root().join("config"), ".toml", &mut paths);
    let is_of_development = |path: &PathBuf| path.starts_with(root().join("config/dev"));
    let shipped: Vec<_> = paths.into_iter().filter(|path| !is_of_development(path)).collect();
    assert!(!shipped.is_empty());
    for path in shipped {
        let text = fs::read_to_string(&path).unwrap();
        let mut commented = false;
        for (place, line) in text.lines().enumerate() {
            let line = line.trim();
            let is_key = line.contains(" = ") && !line.starts_with('#');
            if is_key && !line.contains(" #") {
                assert!(commented, "{}:{}: {line:?} has no comment", path.display(), place + 1);
            }
            commented = line.starts_with('#') || (is_key && commented && line.ends_with(','));
        }
    }
}

#[test]
fn the_domain_reads_no_clock_and_touches_no_file() {
    let mut paths = Vec::new();
    sources(&root().join("engine/domain/src"), ".rs", &mut paths);
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for banned in
            ["std::time", "std::fs", "std::net", "std::env", "std::thread", "HashMap", "async "]
        {
            assert!(!text.contains(banned), "{} uses {banned}", path.display());
        }
    }
}

#[test]
fn every_unit_starts_a_command_that_there_is() {
    let mut units = Vec::new();
    sources(&root().join("config/systemd"), ".service", &mut units);
    assert_eq!(units.len(), 3);
    for path in units {
        let text = fs::read_to_string(&path).unwrap();
        let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let words: Vec<&str> = start.split(' ').skip(1).collect();
        let [verb, "--config", config] = words[..] else { panic!("{}: {start}", path.display()) };
        let name = format!("slotline-{verb}.service");
        assert!(path.ends_with(&name) && config.ends_with("kafka.toml"), "{}", path.display());
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_slotline"))
            .args([verb, "--help"])
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&help.stdout).contains("--config"), "{verb}: {help:?}");
        // A key that is misspelt in the environment stops the start.
        for setting in text.lines().filter_map(|line| line.strip_prefix("Environment=SLOTLINE__")) {
            let (key, _) = setting.split_once('=').unwrap();
            let known = ["DATA_DIR", "LISTEN__PUBLIC", "LISTEN__OPERATOR"];
            assert!(known.contains(&key), "{}: {key}", path.display());
        }
    }
}
