//! Real nodes: what they keep, whom they refuse, and how they fail over.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::process::Output;
use std::time::{Duration, Instant};

use broker::{Cluster, ClusterOptions, Security};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

fn create_topic(cluster: &Cluster, topic: &str) {
    let created = cluster.tool("topics", &["--create", "--topic", topic]).unwrap();
    assert!(succeeded(created).contains("Created topic"));
}

/// Hands each line to the broker and waits until it is acknowledged.
fn try_to_produce(cluster: &Cluster, topic: &str, lines: &str, more: &[&str]) -> Output {
    let arguments = ["--topic", topic, "--request-required-acks", "all", "--sync"];
    let arguments = [&arguments[..], more].concat();
    cluster.tool_with_input("console-producer", &arguments, lines.as_bytes()).unwrap()
}

fn produce(cluster: &Cluster, topic: &str, lines: &str) {
    succeeded(try_to_produce(cluster, topic, lines, &["--message-send-max-retries", "50"]));
}

fn consume(cluster: &Cluster, topic: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments = ["--topic", topic, "--from-beginning", "--max-messages", &count];
    let arguments = [&arguments[..], &["--timeout-ms", "20000"]].concat();
    let output = cluster.tool("console-consumer", &arguments).unwrap();
    succeeded(output).lines().map(str::to_owned).collect()
}

/// The node that leads the topic's only partition.
fn leader(cluster: &Cluster, topic: &str) -> u8 {
    let output = cluster.tool("topics", &["--describe", "--topic", topic]).unwrap();
    let described = succeeded(output);
    let (_, rest) = described.split_once("Leader: ").expect("no leader in the description");
    rest.split_whitespace().next().unwrap().parse().expect(&described)
}

#[test]
fn a_message_outlives_a_killed_node() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    create_topic(&cluster, "kept");
    produce(&cluster, "kept", "one\ntwo\n");
    assert_eq!(consume(&cluster, "kept", 2), ["one", "two"]);

    cluster.kill_node(1).unwrap();
    assert!(cluster.status().unwrap().contains("stopped"), "{}", cluster.status().unwrap());
    assert!(cluster.kill_node(1).unwrap_err().contains("does not run"));

    let address = cluster.bootstrap().to_owned();
    cluster.start_node(1).unwrap();
    assert!(cluster.status().unwrap().contains(&format!("{address} runs")));
    assert!(cluster.start_node(1).unwrap_err().contains("runs already"));
    assert_eq!(consume(&cluster, "kept", 2), ["one", "two"]);

    let dir = cluster.dir().to_owned();
    drop(cluster);
    assert!(!dir.exists());
}

#[test]
fn three_nodes_go_on_without_their_leader_and_refuse_to_go_on_alone() {
    let cluster = Cluster::start(ClusterOptions { nodes: 3, ..Default::default() }).unwrap();
    assert_eq!(cluster.bootstrap().split(',').count(), 3);
    create_topic(&cluster, "replicated");
    produce(&cluster, "replicated", "before\n");

    let first = leader(&cluster, "replicated");
    let killed = Instant::now();
    cluster.kill_node(first).unwrap();
    produce(&cluster, "replicated", "after\n");
    println!("node {first} led; another took a record {:?} after its death", killed.elapsed());
    let second = leader(&cluster, "replicated");
    assert_ne!(second, first);
    assert!(cluster.await_in_sync(Duration::ZERO).unwrap_err().contains("replicated"));

    cluster.start_node(first).unwrap();
    cluster.await_in_sync(Duration::from_secs(120)).unwrap();
    cluster.stop_node(second).unwrap();
    assert_eq!(consume(&cluster, "replicated", 2), ["before", "after"]);

    cluster.stop_node(6 - first - second).unwrap();
    // Without idempotence: a producer id comes from the controllers, and one of three elects no leader.
    let plain = ["enable.idempotence=false", "delivery.timeout.ms=5000", "linger.ms=0"];
    let plain = plain.map(|property| ["--producer-property", property]).concat();
    let plain = [&plain[..], &["--request-timeout-ms", "2000"]].concat();
    let refused = try_to_produce(&cluster, "replicated", "alone\n", &plain);
    let said = text(&refused.stderr);
    assert!(!refused.status.success(), "one node of three took a record");
    assert!(said.contains("NotEnoughReplicas") || said.contains("Timeout"), "{said}");
}

#[test]
fn a_paused_node_goes_on_where_it_stood() {
    let cluster = broker::shared(1);
    cluster.pause_node(1).unwrap();
    assert!(cluster.status().unwrap().contains("is paused"));
    cluster.resume_node(1).unwrap();
    assert!(cluster.status().unwrap().contains("runs"));
    create_topic(cluster, "resumed");
    assert!(cluster.pause_node(2).unwrap_err().contains("from 1 to 1"));
}

#[test]
fn a_mistyped_topic_is_refused() {
    let cluster = broker::shared(1);
    let arguments = ["--topic", "mistyped", "--producer-property", "max.block.ms=2000"];
    let refused = cluster.tool_with_input("console-producer", &arguments, b"lost\n").unwrap();
    assert!(text(&refused.stderr).contains("mistyped"), "{}", text(&refused.stderr));
    let listed = succeeded(cluster.tool("topics", &["--list"]).unwrap());
    assert!(!listed.contains("mistyped"), "{listed}");
}

#[test]
fn a_wrong_password_is_refused() {
    let options = ClusterOptions { security: Security::SaslPlaintext, ..Default::default() };
    let cluster = Cluster::start(options).unwrap();
    create_topic(&cluster, "guarded");

    let pairs = cluster.client_properties().unwrap();
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["security.protocol", "sasl.mechanism", "sasl.username", "sasl.password"]);

    let path = cluster.dir().join("client.properties");
    let wrong = cluster.dir().join("wrong.properties");
    let right = fs::read_to_string(&path).unwrap();
    fs::write(&wrong, right.replace(&pairs[3].1, "guessed")).unwrap();
    let arguments = ["--list", "--command-config", wrong.to_str().unwrap()];
    let refused = cluster.tool("topics", &arguments).unwrap();
    assert!(!refused.status.success());
    let said = text(&refused.stderr) + &text(&refused.stdout);
    assert!(said.contains("Authentication failed"), "{said}");
}

#[test]
fn tls_serves_those_who_trust_its_authority() {
    let options = ClusterOptions { security: Security::Ssl, ..Default::default() };
    let cluster = Cluster::start(options).unwrap();
    create_topic(&cluster, "encrypted");

    let pairs = cluster.client_properties().unwrap();
    assert_eq!(pairs[0], ("security.protocol".to_owned(), "SSL".to_owned()));
    assert_eq!(pairs[1].0, "ssl.ca.location");
    assert!(fs::read_to_string(&pairs[1].1).unwrap().contains("BEGIN CERTIFICATE"));

    // The authorities that Java trusts do not include this one.
    let stranger = cluster.dir().join("stranger.properties");
    fs::write(&stranger, "security.protocol=SSL\n").unwrap();
    let arguments = ["--list", "--command-config", stranger.to_str().unwrap()];
    let refused = cluster.tool("topics", &arguments).unwrap();
    assert!(!refused.status.success());
    let said = text(&refused.stderr) + &text(&refused.stdout);
    assert!(said.contains("SSL handshake failed"), "{said}");
}
