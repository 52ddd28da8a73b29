//! The topic of confirmations as a system outside reads it: with Kafka's own consumer, by the rules of
//! `docs/confirmations.md`, with the consumer's private key.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde_json::Value;
use vault::Secrets;

use super::{Installation, is_active};
use crate::support::{call, wait_until};

/// Where they stand.
const TOPIC: &str = "slotline.confirmations";
/// What every record says of its value.
const SCHEMA_HEADER: &str = "schema:slotline.confirmation/1";
/// The outside system's key, and its number.
const PRIVATE_KEY: &[u8; 32] = b"a consumer's private key, sample";
const KEY_ID: u8 = 7;
/// A message that comes late has at most so many higher ids before it.
const HIGHER_BEFORE_MAX: usize = 1_023;
/// Lines of one page of `/v1/confirmations`.
const PAGE_LINES: usize = 10_000;

/// Shard, sequence and index, which compare as numbers.
type Id = (u64, u64, u64);

/// Tells the installation to whom contact data goes.
pub fn add_consumer(secrets: &Path) {
    let public_key = vault::consumer::public_key(PRIVATE_KEY).unwrap();
    let with = Secrets::load(secrets).unwrap().with_consumer(KEY_ID, public_key);
    fs::write(secrets, with.to_toml().as_bytes()).unwrap();
}

/// What was found in the topic.
#[derive(Debug)]
pub struct Found {
    /// Records.
    pub records: usize,
    /// Confirmations, after equal ids were dropped.
    pub confirmations: usize,
    /// Confirmations behind a higher id.
    pub late: usize,
    /// People with a confirmation.
    pub people: usize,
}

/// Reads the whole topic and holds it against `/v1/confirmations` and the texts sent. To be called when
/// nothing is decided any more.
pub fn judge(installation: &Installation) -> Found {
    wait_until_known(installation);
    let expected = listed(installation);
    wait_until_published(installation, expected.last().copied().unwrap_or_default());
    let lines = consumed(installation);
    let phones = phones(&installation.fleet.outbox);
    let mut seen: HashMap<Id, &str> = HashMap::new();
    let mut ids: BTreeSet<Id> = BTreeSet::new();
    let (mut id_of_key, mut key_of_id) = (HashMap::new(), HashMap::new());
    let mut late = 0;
    for line in &lines {
        let mut parts = line.splitn(3, '\t');
        assert_eq!(parts.next(), Some(SCHEMA_HEADER), "{line}");
        let (key, value) = (parts.next().unwrap(), parts.next().unwrap());
        let message: Value = serde_json::from_str(value).unwrap();
        let name = message["id"].as_str().unwrap();
        let id = parsed(name);
        if let Some(before) = seen.insert(id, value) {
            assert_eq!(before, value, "equal ids, other bytes");
            continue;
        }
        let higher = ids.range(id..).count();
        assert!(higher <= HIGHER_BEFORE_MAX, "{name} comes behind {higher} higher ids");
        late += usize::from(higher > 0);
        ids.insert(id);

        let contact = message["contact"].as_str().unwrap();
        let opened = vault::consumer::open(PRIVATE_KEY, name, contact).unwrap();
        let contact: Value = serde_json::from_slice(&opened).unwrap();
        assert_eq!(contact["phone"].as_str(), phones.get(name).map(String::as_str), "{name}");
        let (key, person) = (key.to_owned(), contact["id_number"].as_str().unwrap().to_owned());
        assert!(key.parse::<u32>().is_ok(), "the key {key} is no person's number");
        let one = id_of_key.entry(key.clone()).or_insert(person.clone()).clone();
        let other = key_of_id.entry(person.clone()).or_insert(key.clone()).clone();
        assert_eq!((one, other), (person, key), "a key names one person, and a person has one key");
    }
    assert!(ids.iter().eq(&expected), "{} of {} confirmations", ids.len(), expected.len());
    Found { records: lines.len(), confirmations: ids.len(), late, people: id_of_key.len() }
}

fn parsed(id: &str) -> Id {
    let numbers: Vec<u64> = id.split('-').map(|part| part.parse().unwrap()).collect();
    let [shard, sequence, index] = numbers[..] else { panic!("{id}") };
    (shard, sequence, index)
}

/// The list tells what the gateway knows; the overview waits until that is all that was decided.
fn wait_until_known(installation: &Installation) {
    let bearer = format!("authorization: Bearer {}", installation.fleet.token);
    let url = format!("http://{}/v1/overview", installation.gateways[1].operator);
    wait_until("the gateway knows everything", || call("GET", &url, "", &[&bearer]).0 == 200);
}

/// The ids that the operator's listener gives, in order.
fn listed(installation: &Installation) -> Vec<Id> {
    let bearer = format!("authorization: Bearer {}", installation.fleet.token);
    let mut ids = Vec::new();
    let mut after = String::new();
    loop {
        let operator = installation.gateways[1].operator;
        let url = format!("http://{operator}/v1/confirmations?limit={PAGE_LINES}{after}");
        let (status, body) = call("GET", &url, "", &[&bearer]);
        assert_eq!(status, 200, "{body}");
        let Some(last) = body.lines().last() else { return ids };
        ids.extend(body.lines().map(|line| parsed(&id_of(line))));
        after = format!("&after={}", id_of(last));
    }
}

fn id_of(line: &str) -> String {
    let message: Value = serde_json::from_str(line).unwrap();
    message["id"].as_str().unwrap().to_owned()
}

fn wait_until_published(installation: &Installation, last: Id) {
    wait_until("all confirmations are in the topic", || {
        let active = installation.notifiers.iter().find(|notifier| is_active(notifier));
        let through = active.and_then(|one| one.figure("slotline_notifier_confirmations_sequence"));
        through.is_some_and(|through| through >= last.1 as f64)
    });
}

/// Every record of the topic: headers, key and value, with tabs between.
fn consumed(installation: &Installation) -> Vec<String> {
    let kafka = installation.kafka();
    let told = kafka.tool("get-offsets", &["--topic", TOPIC]).unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let end = told.trim().rsplit(':').next().unwrap();
    let arguments = [
        &["--topic", TOPIC, "--from-beginning", "--max-messages", end, "--timeout-ms", "60000"][..],
        &["--property", "print.key=true", "--property", "print.headers=true"],
    ];
    let read = kafka.tool("console-consumer", &arguments.concat()).unwrap();
    let complaint = String::from_utf8_lossy(&read.stderr).into_owned();
    let lines: Vec<String> =
        String::from_utf8(read.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len().to_string(), end, "{complaint}");
    lines
}

/// The number that each text went to, by its reference.
fn phones(outbox: &Path) -> HashMap<String, String> {
    let files = fs::read_dir(outbox).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    let mut phones = HashMap::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let text: Value = serde_json::from_str(line).unwrap();
            let member = |name: &str| text[name].as_str().unwrap().to_owned();
            let twice = phones.insert(member("reference"), member("to"));
            assert!(twice.is_none(), "two texts {}", member("reference"));
        }
    }
    phones
}
