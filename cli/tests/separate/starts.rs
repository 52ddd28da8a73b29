//! Every way in which a start fails: in time, with an exit code that says whose fault it is, and in words
//! that name the setting.

use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use broker::Cluster;

use crate::support::fleet::{FAILED, Fleet, Kind};
use crate::support::{Folder, PATIENCE, binary};

/// The configuration is to blame: a service manager need not try again.
pub const CONFIGURATION: i32 = 78;

/// Launches every kind of process and demands the same end of each. How long it took is printed; the
/// benchmark judges it.
pub fn assert_ends(fleet: &Fleet, what: &str, code: i32, words: &[&str]) {
    let began = Instant::now();
    let launch = |kind: Kind| fleet.launch(kind, &format!("{what}-{}", kind.verb()));
    let kinds = [Kind::Gateway, Kind::Engine, Kind::Notifier];
    let launched = kinds.map(|kind| (kind, launch(kind)));
    for (kind, process) in launched {
        let (mut ended, mut took, mut said) = process.end(PATIENCE);
        // A broker that a slow machine holds up may answer too late; another start is told then.
        while ended == Some(FAILED) && code != FAILED && began.elapsed() < PATIENCE {
            (ended, took, said) = launch(kind).end(PATIENCE);
        }
        assert_eq!(ended, Some(code), "{what}, {}, after {took:?}: {said}", kind.verb());
        println!("{what}, {}: ended with {code} after {took:?}", kind.verb());
        for word in words {
            assert!(said.contains(word), "{what}, {}: no {word:?} in: {said}", kind.verb());
        }
    }
}

fn nowhere(folder: &Path, bootstrap: &str) -> Fleet {
    Fleet::unmade(folder, bootstrap, "nowhere.")
}

#[test]
fn a_broker_that_cannot_be_reached_ends_the_start_in_time() {
    let folder = Folder::new("separate-unreachable");
    // Nobody listens here: the port was free a moment ago.
    let closed = format!("127.0.0.1:{}", crate::support::free_port());
    // Somebody takes connections here, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = silent.local_addr().unwrap().to_string();
    let rows = [
        ("closed", closed.as_str(), &["kafka.bootstrap_servers", "no broker answered"][..]),
        ("deaf", deaf.as_str(), &["kafka.bootstrap_servers", "no broker answered"]),
        ("unknown", "no-such-host.invalid:9092", &["kafka.bootstrap_servers", "no-such-host"]),
    ];
    // Side by side: each takes the whole time.
    std::thread::scope(|scope| {
        for (what, bootstrap, words) in rows {
            let folder = folder.0.join(what);
            scope.spawn(move || assert_ends(&nowhere(&folder, bootstrap), what, FAILED, words));
        }
    });
}

#[test]
fn topics_that_are_missing_or_break_a_promise_are_named() {
    let folder = Folder::new("separate-topics");
    let cluster = broker::shared(1);
    let missing = Fleet::unmade(&folder.0.join("missing"), cluster.bootstrap(), "missing.");
    assert_ends(&missing, "missing", CONFIGURATION, &["missing.commands", "admin topics create"]);
    let checked = missing.admin(&["topics", "check"]);
    assert_eq!(checked.status.code(), Some(CONFIGURATION), "{checked:?}");

    let short = Fleet::new(&folder.0.join("short"), cluster, "short.");
    alter(cluster, "short.commands", "retention.ms=60000");
    assert_ends(&short, "short", CONFIGURATION, &["short.commands", "retention.ms"]);

    // What is fit for one broker is not what `replicated` promises.
    let mut alone = Fleet::new(&folder.0.join("alone"), cluster, "alone.");
    alone.set("KAFKA__DURABILITY", "replicated");
    assert_ends(&alone, "alone", CONFIGURATION, &["alone.commands", "replication factor"]);

    let dated = Fleet::new(&folder.0.join("dated"), cluster, "dated.");
    alter(cluster, "dated.events", "message.timestamp.type=CreateTime");
    assert_ends(&dated, "dated", CONFIGURATION, &["dated.events", "message.timestamp.type"]);
}

fn alter(cluster: &Cluster, topic: &str, setting: &str) {
    let words =
        ["--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", setting];
    let altered = cluster.tool("configs", &words).unwrap();
    assert!(altered.status.success(), "{altered:?}");
}

#[test]
fn settings_that_cannot_be_are_refused_before_anything_is_asked() {
    let folder = Folder::new("separate-settings");
    type Change = fn(&mut Fleet);
    let rows: [(&str, Change, &[&str]); 5] = [
        (
            "embedded",
            |fleet| fleet.set("JOURNAL_KIND", "embedded"),
            &["journal_kind", "slotline run"],
        ),
        ("key", |fleet| fleet.set("KAFKA__CLIENT__ACKS", "1"), &["kafka.client", "acks"]),
        ("number", |fleet| fleet.set("KAFKA__LANES_MAX", "0"), &["kafka.lanes_max"]),
        ("word", |fleet| fleet.set("KAFKA__DURABILITY", "perhaps"), &["durability"]),
        ("misspelt", |fleet| fleet.set("KAFKA__SERVERS", "x:1"), &["servers"]),
    ];
    for (what, change, words) in rows {
        let mut fleet = nowhere(&folder.0.join(what), "127.0.0.1:1");
        change(&mut fleet);
        assert_ends(&fleet, what, CONFIGURATION, words);
    }
}

#[test]
fn an_engine_needs_no_secrets_and_the_others_do() {
    let folder = Folder::new("separate-secrets");
    let fleet = Fleet::new(&folder.0, broker::shared(1), "secrets.");
    std::fs::remove_file(&fleet.secrets).unwrap();
    for kind in [Kind::Gateway, Kind::Notifier] {
        let (ended, _, said) = fleet.launch(kind, kind.verb()).end(PATIENCE);
        assert_eq!(ended, Some(CONFIGURATION), "{said}");
        assert!(said.contains("secrets"), "{said}");
    }
    let engine = fleet.start(Kind::Engine, "engine");
    engine.wait_for_remark("engine", "active");
    engine.stop();
}

#[test]
fn a_journal_that_was_filled_under_other_secrets_is_refused() {
    let folder = Folder::new("separate-other-secrets");
    let fleet = Fleet::new(&folder.0, broker::shared(1), "others.");
    let (engine, notifier, gateways) = fleet.start_all(&["gateway"]);
    for member in gateways.into_iter().chain([notifier, engine]) {
        member.stop();
    }
    std::fs::remove_file(&fleet.secrets).unwrap();
    let made =
        binary().args(["admin", "secrets", "--output"]).arg(&fleet.secrets).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    // In another folder too, where nothing of the first is known.
    for name in ["gateway", "gateway-elsewhere"] {
        let (ended, _, said) = fleet.launch(Kind::Gateway, name).end(PATIENCE);
        assert_eq!(ended, Some(CONFIGURATION), "{said}");
        assert!(said.contains("secrets_file") && said.contains("identity secret"), "{said}");
    }
}

#[test]
fn validate_looks_at_the_file_and_where_asked_at_the_topics() {
    let folder = Folder::new("separate-validate");
    let cluster = broker::shared(1);
    let made = Fleet::new(&folder.0.join("made"), cluster, "validate.");
    let unmade = Fleet::unmade(&folder.0.join("unmade"), cluster.bootstrap(), "unmade.");
    let away = nowhere(&folder.0.join("away"), "127.0.0.1:1");
    let rows: [(&Fleet, bool, i32, &str); 5] = [
        (&made, false, 0, "usable"),
        (&made, true, 0, "topics are as they must be"),
        (&unmade, false, 0, "usable"),
        (&unmade, true, CONFIGURATION, "unmade.commands"),
        (&away, true, CONFIGURATION, "kafka.bootstrap_servers"),
    ];
    for (fleet, environment, code, word) in rows {
        let mut command = binary();
        command.arg("validate").args(environment.then_some("--environment"));
        let output = command.arg(&fleet.config).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
}
