//! The script itself: what it says when something is wrong, and what it leaves behind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions};

fn broker(arguments: &[&str]) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/broker"));
    command.args(arguments);
    command
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "it succeeded");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A name for a folder that is not there yet.
fn fresh(name: &str) -> PathBuf {
    let dir = env::temp_dir().join(format!("slotline-kafka-{name}-{}", std::process::id()));
    assert!(!dir.exists(), "{} is left from an earlier run", dir.display());
    dir
}

#[test]
fn the_nodes_end_when_the_parent_is_gone() {
    let mut parent = Command::new("sleep").arg("600").spawn().unwrap();
    let dir = fresh("parent");
    let id = parent.id().to_string();
    let started =
        broker(&["start", "--temporary", "--parent", &id, "--dir"]).arg(&dir).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let address = String::from_utf8(started.stdout).unwrap().trim().to_owned();
    TcpStream::connect(&address).unwrap();

    parent.kill().unwrap();
    parent.wait().unwrap();
    let killed = Instant::now();
    while dir.exists() {
        assert!(killed.elapsed() < Duration::from_secs(120), "the nodes outlive their parent");
        thread::sleep(Duration::from_millis(20));
    }
    println!("the folder is gone {:?} after the parent", killed.elapsed());
    TcpStream::connect(&address).expect_err("the node still listens");
}

#[test]
fn a_stopped_cluster_starts_again_with_its_data_and_settings() {
    let dir = fresh("again");
    let options = || ClusterOptions {
        dir: Some(dir.clone()),
        settings: vec![("num.partitions".to_owned(), "3".to_owned())],
        ..Default::default()
    };
    let cluster = Cluster::start(options()).unwrap();
    let created = cluster.tool("topics", &["--create", "--topic", "kept"]).unwrap();
    assert!(created.status.success());
    let address = cluster.bootstrap().to_owned();
    let refused = broker(&["start", "--dir"]).arg(&dir).output().unwrap();
    assert!(complaint(&refused).contains("runs already"), "{}", complaint(&refused));
    TcpStream::connect(&address).expect("a refused start must not end the nodes that run");
    drop(cluster);
    TcpStream::connect(&address).expect_err("the node outlives its cluster");

    let refused = broker(&["start", "--nodes", "3", "--dir"]).arg(&dir).output().unwrap();
    assert!(complaint(&refused).contains("--nodes 1"), "{}", complaint(&refused));

    let cluster = Cluster::start(options()).unwrap();
    assert_eq!(cluster.bootstrap(), address);
    let described = cluster.tool("topics", &["--describe", "--topic", "kept"]).unwrap();
    let described = String::from_utf8(described.stdout).unwrap();
    assert!(described.contains("PartitionCount: 3"), "{described}");
    drop(cluster);
    assert!(broker(&["wipe", "--dir"]).arg(&dir).status().unwrap().success());
    assert!(!dir.exists());
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = fresh("port");
    let output = broker(&["start", "--temporary", "--port", &port, "--dir"]).arg(&dir).output();
    let said = complaint(&output.unwrap());
    assert!(said.contains(&format!("port {port}")) && said.contains("taken"), "{said}");
    assert!(!dir.exists());
}

#[test]
fn a_node_that_cannot_start_shows_the_end_of_its_log() {
    let dir = fresh("log");
    let output = broker(&["start", "--temporary", "--dir"])
        .arg(&dir)
        .env("SLOTLINE_KAFKA_JAVA_OPTIONS", "-XX:NoSuchOption")
        .output()
        .unwrap();
    let said = complaint(&output);
    assert!(
        said.contains("ended while it was starting") && said.contains("NoSuchOption"),
        "{said}"
    );
    assert!(!dir.exists());
}

#[test]
fn a_setting_that_kafka_does_not_take_is_explained() {
    let options = ClusterOptions {
        settings: vec![("num.io.threads".to_owned(), "many".to_owned())],
        ..Default::default()
    };
    let said = Cluster::start(options).unwrap_err();
    assert!(said.contains("num.io.threads") && said.contains("many"), "{said}");
}

#[test]
fn wrong_words_are_explained() {
    let dir = fresh("words");
    for (words, expected) in [
        (&["strat"][..], "no command strat"),
        (&["start", "--nodes", "2"], "--nodes takes 1 or 3"),
        (&["start", "--security", "kerberos"], "--security takes"),
        (&["start", "--set", "alone"], "--set takes KEY=VALUE"),
        (&["start", "--port"], "--port needs a value"),
        (&["start", "--quickly"], "no option --quickly"),
        (&["start", "--parent", "0"], "no process 0"),
        (&["start", "--dir", "with space"], "no folder with such a name"),
        (&["stop"], "there is no cluster in"),
        (&["tool", "topics"], "there is no cluster in"),
        (&["kill-node", "1"], "there is no cluster in"),
    ] {
        let output = broker(words).env("SLOTLINE_KAFKA_DIR", &dir).output().unwrap();
        let said = complaint(&output);
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    let help = broker(&["help"]).output().unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("broker kill-node N"));
    let _ = fs::remove_dir_all(&dir);
}
